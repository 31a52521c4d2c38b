//! Ports of one plug that go back by themselves: when, where to, and how much of that is written
//! down. What is too late or too old to be believed is not carried out.

use crate::model::{Now, Revert};
use std::collections::BTreeMap;
use std::time::Duration;

/// Pause before a timed port that could not be put back is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// The same while the plug is not online.
const SOON: Duration = Duration::from_secs(1);

/// A port is switched on by itself at most this late. Off it goes however late: a heater must not
/// stay on because nobody was there in time.
const LATEST: Duration = Duration::from_secs(600);

/// The wall clock was set when it moved by more than this against the time since start.
const CLOCK_SET_MS: u64 = 1000;

/// A change that the hub has not numbered yet; behind all that it has.
pub(super) const UNNUMBERED: u64 = u64::MAX;

/// The timed ports of one plug.
#[derive(Debug, Default)]
pub(super) struct Returns {
    timed: BTreeMap<u8, Timed>,
    /// Ports whose return has changed, until that is written: the number of the change.
    unwritten: BTreeMap<u8, u64>,
    dropped: Vec<Dropped>,
    /// [`Now::zero_ms`] as it was last seen.
    zero_ms: u64,
}

/// A port that goes back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Timed {
    kept: Revert,
    at: Duration,
    /// By an earlier run, which knew the time of day.
    of_old: bool,
}

/// A return that is not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) port: u8,
    /// Where it would have gone.
    pub(super) on: bool,
    pub(super) why: &'static str,
}

impl Timed {
    pub(super) fn after(time: Duration, on: bool, now: &Now) -> Self {
        Self { kept: Revert::after(time, on, now), at: now.up + time, of_old: false }
    }

    pub(super) fn on(&self) -> bool {
        self.kept.on
    }
}

impl Returns {
    /// Takes in what an earlier run has written.
    pub(super) fn new(reverts: &BTreeMap<u8, Revert>, now: &Now) -> Self {
        let timed = |kept: &Revert| Timed { kept: *kept, at: now.up + kept.left(now), of_old: true };
        Self {
            timed: reverts.iter().map(|(&port, kept)| (port, timed(kept))).collect(),
            zero_ms: now.zero_ms(),
            ..Self::default()
        }
    }

    /// They are of an older state than the last one: nobody knows which were cancelled since.
    pub(super) fn distrust(&mut self) {
        for port in self.timed.keys().copied().collect::<Vec<_>>() {
            self.drop(port, "the state file is not the newest one");
        }
    }

    /// What is to be remembered.
    pub(super) fn kept(&self) -> BTreeMap<u8, Revert> {
        self.timed.iter().map(|(&port, timed)| (port, timed.kept)).collect()
    }

    pub(super) fn get(&self, port: u8) -> Option<Timed> {
        self.timed.get(&port).copied()
    }

    /// This port goes back then, or not at all; true when that is news.
    pub(super) fn put(&mut self, port: u8, timed: Option<Timed>) -> bool {
        let before = match timed {
            Some(timed) => self.timed.insert(port, timed),
            None => self.timed.remove(&port),
        };
        let news = before != timed;
        if news {
            self.unwritten.insert(port, UNNUMBERED);
        }
        news
    }

    fn drop(&mut self, port: u8, why: &'static str) {
        if let Some(timed) = self.get(port) {
            self.put(port, None);
            self.dropped.push(Dropped { port, on: timed.kept.on, why });
        }
    }

    /// Returns that will not be carried out, since the last call.
    pub(super) fn take_dropped(&mut self) -> Vec<Dropped> {
        std::mem::take(&mut self.dropped)
    }

    /// Somebody may have set the clock, as it happens soon after the start of a machine that keeps no
    /// time. What an earlier run has timed ends by the new time, unless that run's clock was as wrong; that, and
    /// what this run has timed, moves with the clock.
    pub(super) fn watch_clock(&mut self, now: &Now) {
        let old = std::mem::replace(&mut self.zero_ms, now.zero_ms());
        if old.abs_diff(self.zero_ms) <= CLOCK_SET_MS {
            return;
        }
        for (&port, timed) in &mut self.timed {
            if timed.of_old && timed.kept.unix_ms >= Now::RELEASED_MS {
                timed.at = now.up + timed.kept.left(now);
            } else {
                timed.kept = Revert::after(timed.at.saturating_sub(now.up), timed.kept.on, now);
            }
            self.unwritten.insert(port, UNNUMBERED);
        }
    }

    /// No port goes back by itself.
    pub(super) fn is_empty(&self) -> bool {
        self.timed.is_empty()
    }

    /// When the next port goes back of those that are not `busy`.
    pub(super) fn alarm(&self, busy: impl Fn(u8) -> bool) -> Option<Duration> {
        self.timed.iter().filter(|(port, _)| !busy(**port)).map(|(_, timed)| timed.at).min()
    }

    /// Ports whose time has come, and where they go; what comes too late is dropped.
    pub(super) fn due(&mut self, now: &Now, busy: impl Fn(u8) -> bool) -> Vec<(u8, bool)> {
        let due = self.timed.iter().filter(|(port, timed)| timed.at <= now.up && !busy(**port));
        let (late, due): (Vec<_>, Vec<_>) = due
            .map(|(&port, timed)| (port, timed.kept))
            .partition(|(_, kept)| kept.on && kept.late(now) > LATEST);
        for (port, _) in late {
            self.drop(port, "more than ten minutes late");
        }
        due.into_iter().map(|(port, kept)| (port, kept.on)).collect()
    }

    /// It is being put back; if that fails, it is tried again, and soon where the plug has yet to be read.
    pub(super) fn try_again(&mut self, now: &Now, port: u8, online: bool) {
        if let Some(timed) = self.timed.get_mut(&port) {
            timed.at = now.up + if online { AGAIN } else { SOON };
        }
    }

    /// The number of the change to this port's return that is not written yet.
    pub(super) fn unwritten(&self, port: u8) -> Option<u64> {
        self.unwritten.get(&port).copied()
    }

    /// Something waits for its number.
    pub(super) fn unnumbered(&self) -> bool {
        self.unwritten.values().any(|number| *number == UNNUMBERED)
    }

    pub(super) fn number(&mut self, number: u64) {
        for unwritten in self.unwritten.values_mut() {
            *unwritten = number.min(*unwritten);
        }
    }

    /// Changes up to this number are written.
    pub(super) fn written(&mut self, number: u64) {
        self.unwritten.retain(|_, unwritten| *unwritten > number);
    }

    /// A change to this port's return is taken back; it is as the disk has it, unless that is `perhaps`
    /// written yet.
    pub(super) fn taken_back(&mut self, port: u8, perhaps: bool) {
        if !perhaps {
            self.unwritten.remove(&port);
        }
    }

    /// Nothing is to be written.
    pub(super) fn all_written(&self) -> bool {
        self.unwritten.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET_MS: u64 = Now::RELEASED_MS + 86_400_000;
    const HOUR_MS: u64 = 3_600_000;

    /// So many seconds after the start of this run, by a clock that showed this then.
    fn at(s: u64, zero_ms: u64) -> Now {
        Now { up: Duration::from_secs(s), unix_ms: zero_ms + s * 1000, utc_offset_s: 0, dst_s: 0, nonce: 0 }
    }

    #[test]
    fn what_an_earlier_run_has_timed_by_a_clock_as_wrong_moves_with_the_clock() {
        for on in [false, true] {
            // It was 1970 then, and is when the program starts again.
            let begun = at(0, HOUR_MS);
            let mut returns =
                Returns::new(&[(1, Revert::after(Duration::from_secs(60), on, &begun))].into(), &begun);
            returns.watch_clock(&at(10, SET_MS));
            assert_eq!(returns.due(&at(59, SET_MS), |_| false), [], "its time has not passed");
            let kept = returns.kept();
            assert_eq!(kept.get(&1).map(|kept| kept.unix_ms), Some(SET_MS + 60_000), "it is written so");
            assert_eq!(returns.due(&at(60, SET_MS), |_| false), [(1, on)]);
            assert_eq!(returns.take_dropped(), []);
        }
    }

    #[test]
    fn what_an_earlier_run_has_timed_by_a_right_clock_ends_by_the_right_time() {
        let kept = Revert::after(Duration::from_secs(60), false, &at(0, SET_MS));
        let mut returns = Returns::new(&[(1, kept)].into(), &at(0, HOUR_MS));
        assert_eq!(returns.due(&at(10, HOUR_MS), |_| false), []);
        returns.watch_clock(&at(10, SET_MS + HOUR_MS));
        assert_eq!(returns.due(&at(10, SET_MS + HOUR_MS), |_| false), [(1, false)]);
    }
}
