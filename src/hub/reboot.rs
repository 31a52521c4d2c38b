//! Whether a plug has restarted, and what is put back then. Silence proves nothing, and relays are
//! moved by hands, too; but a clock that was right and stands long ago now has been lost.

use super::plug::Plug;
use super::{Effect, Rules};
use crate::model::{
    Backoff, Cause, Clock, ClockQuery, DeviceResponse, Event, Failure, Moment, Notification, Query,
    QueryReply, Restore,
};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tracing::{debug, info};

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
    pub(super) fn take_due(&mut self, now: &Moment) -> bool {
        self.at.take_if(|at| *at <= now.up).is_some()
    }

    /// It says what time it is, to whoever asked: true when that shows that it has restarted.
    fn told(&mut self, now: &Moment, clock: &Clock) -> bool {
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
    fn missed(&mut self, now: &Moment, silent: bool) {
        let pressing = self.away.as_ref().is_some_and(|away| now.up < away.until);
        if pressing && self.stood.is_some() {
            self.at = Some(now.up + AT_ONCE);
        } else if silent {
            self.later(now);
        }
    }

    fn later(&mut self, now: &Moment) {
        self.at = Some(now.up + AGAIN.pause(self.vain));
        self.vain = self.vain.saturating_add(1);
    }

    /// It was read; `before` are its ports as they were when it answers again, or for the first time.
    fn read(&mut self, now: &Moment, before: Option<Vec<Port>>, until: Duration) {
        let since = std::mem::replace(&mut self.read_at, now.up);
        let Some(ports) = before else { return };
        (self.at, self.vain) = (Some(now.up), 0);
        // While it comes and goes, what it was like at first counts.
        if !ports.is_empty() && self.away.as_ref().is_none_or(|away| away.until <= now.up) {
            self.away = Some(Away { since, until, ports });
        }
    }
}

impl Plug {
    /// Before a reading is taken in: what the ports are like that may have to be put back, if this
    /// reading is the first or the first after a pause.
    pub(super) fn before(&self) -> Option<Vec<Port>> {
        let again = self.read && (self.missing() || !self.online());
        if !again {
            return (!self.read).then(Vec::new);
        }
        if self.rules.restore.is_empty() {
            return Some(Vec::new());
        }
        let port = |(port, view): (u8, &crate::model::PortView)| {
            let timed = self.desk.is_timed(port);
            Port { was: view.relay, timed, is: None }
        };
        Some((1u8..).zip(&self.view.ports).map(port).collect())
    }

    /// After a reading: the plug is to be asked for its clock, if it was away.
    pub(super) fn came_back(&mut self, now: &Moment, rules: &Rules, before: Option<Vec<Port>>) {
        let is = |(mut port, live): (Port, &crate::model::PortReading)| {
            port.is = live.relay;
            port
        };
        let before = before.map(|ports| ports.into_iter().zip(&self.live).map(is).collect());
        self.restart.read(now, before, now.up + rules.command_timeout);
    }

    /// The plug has answered the question for its clock.
    pub(super) fn clocked(
        &mut self,
        now: &Moment,
        answer: Result<DeviceResponse, Failure>,
        effects: &mut VecDeque<Effect>,
    ) {
        match answer {
            Ok(DeviceResponse::Capability(told @ QueryReply::Clock(Some(clock)))) => {
                self.clock_told(now, &clock, effects);
                self.learn(now, &Query::Clock(ClockQuery::Read), &told);
            }
            Ok(_) => {
                debug!(plug = %self.id, "does not tell its clock");
                self.restart.missed(now, false);
            }
            Err(failure) => {
                debug!(plug = %self.id, "asked for its clock: {failure}");
                self.restart.missed(now, true);
            }
        }
    }

    /// Its clock was read, perhaps after it was set: that shows restarts, whoever asked.
    pub(super) fn clock_told(&mut self, now: &Moment, clock: &Clock, effects: &mut VecDeque<Effect>) {
        if self.restart.told(now, clock) {
            info!(plug = %self.id, name = %self.view.name, "device restarted: its clock was reset");
            effects.push_back(Effect::Tell(Notification::Plug(self.id.clone(), Event::DeviceRestarted)));
            self.put_back(now);
        }
    }

    /// Puts back what the settings say, where nobody has taken the matter into their own hands.
    fn put_back(&mut self, now: &Moment) {
        let Some(away) = self.restart.away.take().filter(|away| now.up < away.until) else { return };
        if !self.view.control {
            return;
        }
        let mut wishes = BTreeMap::new();
        for ((port, then), live) in (1u8..).zip(&away.ports).zip(&self.live) {
            let wanted = match self.rules.restore.get(&port) {
                None | Some(Restore::None) => continue,
                Some(Restore::On) => Some(true),
                Some(Restore::Off) => Some(false),
                Some(Restore::Previous) => then.was,
            };
            let Some(on) = wanted.filter(|_| live.relay.is_some() && live.relay != wanted) else { continue };
            // A port that was on for a while only must not come on for good; one that has moved since
            // was moved by somebody; a command since then is newer than what was before.
            let free = !then.timed && live.relay == then.is && !self.desk.touched(port, away.since);
            let latched = on && self.kept.latched.contains(&port);
            if free && !latched && !self.lock(port).refuses(on) {
                wishes.insert(port, on);
            }
        }
        if !wishes.is_empty() {
            info!(plug = %self.id, ?wishes, "restoring ports after the restart of the device");
            self.desk.own(now, &wishes, Cause::Restore, away.until - now.up);
        }
    }
}

#[cfg(test)]
mod tests;
