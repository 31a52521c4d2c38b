//! Whether a plug has restarted, and what is put back then. Silence proves nothing, and relays are
//! moved by hands, too; but a clock that was right and stands long ago now has been lost.

use crate::model::{Backoff, Clock, Now, PortReading, PortView, Restore};
use std::collections::BTreeMap;
use std::time::Duration;

const DAY_S: i64 = 86_400;

/// A clock is right when it is no further from ours: whoever sets it may live in another zone.
const RIGHT_S: i64 = DAY_S;

/// A clock that goes back so far was not set by anybody.
const LOST_S: i64 = 30 * DAY_S;

/// Pause before a clock that was not right, or could not be read, is looked at again.
const AGAIN: Backoff = Backoff::doubling(Duration::from_secs(300), Duration::from_secs(86_400));

/// The same while something may have to be put back: a plug that has just booted is slow to speak.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What is known of a plug's restarts.
#[derive(Debug, Default)]
pub(super) struct Restart {
    /// When to ask for its clock.
    at: Option<Duration>,
    /// Where its clock stood when it was seen right last in this run, in seconds of local time since
    /// 1970.
    stood: Option<i64>,
    /// Looks in a row that brought no right clock.
    vain: u32,
    /// When it was read last.
    read_at: Duration,
    /// It was away lately, and something may have to be put back.
    away: Option<Away>,
}

/// A plug that answers again.
#[derive(Debug)]
struct Away {
    /// When it was last read before.
    since: Duration,
    /// What comes later is too late.
    until: Duration,
    /// Port 1 first.
    ports: Vec<Port>,
}

/// A port before and after its plug was away.
#[derive(Debug, Clone, Copy)]
pub(super) struct Port {
    was: Option<bool>,
    /// It was to go back by itself.
    timed: bool,
    is: Option<bool>,
}

impl Restart {
    /// When to ask for the clock.
    pub(super) fn at(&self) -> Option<Duration> {
        self.at
    }

    /// Whether it is to be asked for now; says so once.
    pub(super) fn take_due(&mut self, now: &Now) -> bool {
        self.at.take_if(|at| *at <= now.up).is_some()
    }

    /// It says what time it is, to whoever asked: true when that shows that it has restarted.
    pub(super) fn told(&mut self, now: &Now, clock: &Clock) -> bool {
        let ours = i64::try_from(now.local_ms() / 1000).unwrap_or(i64::MAX);
        let stands = ours.saturating_add(clock.drift_s);
        let lost = self.stood.is_some_and(|stood| stood.saturating_sub(stands) > LOST_S);
        self.stood = (clock.drift_s.unsigned_abs() <= RIGHT_S.unsigned_abs()).then_some(stands);
        match self.stood {
            Some(_) => (self.at, self.vain) = (None, 0),
            None => self.later(now),
        }
        lost
    }

    /// Asked for its clock, it did not tell it.
    pub(super) fn missed(&mut self, now: &Now, silent: bool) {
        let pressing = self.away.as_ref().is_some_and(|away| now.up < away.until);
        if pressing && self.stood.is_some() {
            self.at = Some(now.up + AT_ONCE);
        } else if silent {
            self.later(now);
        }
    }

    fn later(&mut self, now: &Now) {
        self.at = Some(now.up + AGAIN.pause(self.vain));
        self.vain = self.vain.saturating_add(1);
    }

    /// It was read; `before` are its ports as they were when it answers again, or for the first time, and
    /// `live` as they are. What has to be put back is until then.
    pub(super) fn read(
        &mut self,
        now: &Now,
        before: Option<Vec<Port>>,
        live: &[PortReading],
        until: Duration,
    ) {
        let since = std::mem::replace(&mut self.read_at, now.up);
        let Some(before) = before else { return };
        (self.at, self.vain) = (Some(now.up), 0);
        let is = |(port, live): (Port, &PortReading)| Port { is: live.relay, ..port };
        let ports: Vec<Port> = before.into_iter().zip(live).map(is).collect();
        // While it comes and goes, what it was like at first counts.
        if !ports.is_empty() && self.away.as_ref().is_none_or(|away| away.until <= now.up) {
            self.away = Some(Away { since, until, ports });
        }
    }

    /// It has restarted: what the settings say is to be put back, and how long that may take. Ports that somebody
    /// has switched since then, or that must not be switched this way, are for `free` to know.
    pub(super) fn put_back(
        &mut self,
        now: &Now,
        restore: &BTreeMap<u8, Restore>,
        live: &[PortReading],
        free: impl Fn(u8, bool, Duration) -> bool,
    ) -> Option<(BTreeMap<u8, bool>, Duration)> {
        let away = self.away.take().filter(|away| now.up < away.until)?;
        let mut wishes = BTreeMap::new();
        for ((port, then), live) in (1u8..).zip(&away.ports).zip(live) {
            let wanted = match restore.get(&port) {
                None | Some(Restore::None) => continue,
                Some(Restore::On) => Some(true),
                Some(Restore::Off) => Some(false),
                Some(Restore::Previous) => then.was,
            };
            let Some(on) = wanted.filter(|_| live.relay.is_some() && live.relay != wanted) else { continue };
            // A port that was on for a while only must not come on for good; one that has moved since
            // was moved by somebody; a command since then is newer than what was before.
            if !then.timed && live.relay == then.is && free(port, on, away.since) {
                wishes.insert(port, on);
            }
        }
        (!wishes.is_empty()).then(|| (wishes, away.until - now.up))
    }
}

/// Before a reading is taken in that may show a restart: what the ports are like that may have to be put back.
pub(super) fn before(ports: &[PortView], is_timed: impl Fn(u8) -> bool) -> Vec<Port> {
    let port = |(port, view): (u8, &PortView)| Port { was: view.relay, timed: is_timed(port), is: None };
    (1u8..).zip(ports).map(port).collect()
}

#[cfg(test)]
mod tests;
