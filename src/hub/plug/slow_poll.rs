//! Slow polling: what a plug tells of its capabilities is asked at the start, when somebody has changed it,
//! and then rarely, one question at a time and well apart. A plug that has no answer is asked ever more
//! rarely. On the way its clock is kept right, as the vendor's cloud did.

use crate::capability::{self, Able, SlowPoll as Interval, States};
use crate::hub::rules::Pace;
use crate::model::{
    Capabilities, Clock, ClockQuery, DeviceInfo, DeviceResponse, Failure, Hardware, Now, PlugId, Query,
    QueryReply,
};
use std::time::Duration;
use tracing::{info, warn};

/// The first question comes so many pauses after the first reading: when a house is found, there is
/// enough to do.
const FIRST: u32 = 3;

/// The longest a command may have to wait for one of these questions.
pub(super) const BRIEF: Duration = Duration::from_secs(2);

/// After a question without an answer: this, then twice as long, up to a day.
const AGAIN: Duration = Duration::from_secs(15 * 60);
const SELDOM: Duration = Duration::from_secs(24 * 3600);

/// How far a clock may be off before it is set.
const DRIFT_S: u64 = 30;

/// The question about the clock.
const CLOCK: Query = Query::Clock(ClockQuery::Read);

/// How a capability is asked for that a question is about.
fn slow_poll(query: &Query) -> Option<&'static Interval> {
    query.capability().slow_poll.as_ref()
}

/// The questions about the capabilities that are polled so.
fn queries(ports: u8, polled: impl Fn(&Interval) -> bool) -> impl Iterator<Item = Query> {
    let all = capability::CAPABILITIES.iter().filter(move |one| one.slow_poll.as_ref().is_some_and(&polled));
    all.flat_map(move |one| (one.reads)(ports))
}

/// What is answered, or not, like this.
fn like(query: &Query, other: &Query) -> bool {
    query.capability().name == other.capability().name
}

/// When each question is asked next.
#[derive(Debug, Default)]
pub(super) struct SlowPoll {
    turns: Vec<Turn>,
    /// Pause between two questions.
    apart: Duration,
    /// None before.
    not_before: Duration,
    /// The earliest of them.
    next: Option<Duration>,
    /// Offset of local time from UTC when it was looked at last.
    offset_s: Option<i32>,
    /// Where our own clock began, milliseconds since 1970: it moves when that is set.
    zero_ms: Option<u64>,
    /// Its clock is off: it is set next, not asked for.
    sets_clock: bool,
    /// By how many seconds it was off before it was set.
    was_off_s: i64,
    /// It was said that its clock cannot be set.
    wrong_told: bool,
    /// What it has shown that it can do, told when everything was asked once: one change, not five.
    shown: Able,
    /// It has told something new about its hardware.
    renewed: bool,
    /// Ports that followed another, when any last did.
    followed: Vec<u8>,
}

#[derive(Debug)]
struct Turn {
    query: Query,
    at: Duration,
    /// Questions without an answer in a row.
    misses: u8,
}

impl SlowPoll {
    pub(super) fn at(&self) -> Option<Duration> {
        self.next
    }

    /// Asks everything again soon, but not what has had no answer.
    fn begin(&mut self, now: &Now, ports: u8, locked: bool, apart: Duration) {
        self.apart = apart;
        self.not_before = now.up + apart * FIRST;
        let polled = |poll: &Interval| locked || !poll.while_locked;
        for query in queries(ports, polled) {
            match self.turns.iter_mut().find(|turn| turn.query == query) {
                Some(turn) if turn.misses > 0 => {}
                Some(turn) => turn.at = now.up,
                None => self.turns.push(Turn { query, at: now.up, misses: 0 }),
            }
        }
        self.turns.shrink_to_fit();
        self.settle();
    }

    /// Some capabilities are of interest while a port is locked.
    fn mind_locks(&mut self, now: &Now, ports: u8, locked: bool) {
        let while_locked = |turn: &Turn| slow_poll(&turn.query).is_some_and(|poll| poll.while_locked);
        if locked != self.turns.iter().any(while_locked) {
            self.turns.retain(|turn| !while_locked(turn));
            let queries = queries(ports, |poll| locked && poll.while_locked);
            self.turns.extend(queries.map(|query| Turn { query, at: now.up, misses: 0 }));
            self.settle();
        }
    }

    /// Everything was asked.
    fn through(&self, now: &Now) -> bool {
        self.turns.iter().all(|turn| turn.at > now.up)
    }

    fn settle(&mut self) {
        self.next = self.turns.iter().map(|turn| turn.at).min().map(|at| at.max(self.not_before));
    }

    /// What to ask now, and how long it may take.
    pub(super) fn due(&self, now: &Now, timeout: Duration) -> Option<(Query, Duration)> {
        if self.next.is_none_or(|at| at > now.up) {
            return None;
        }
        let turn = self.turns.iter().filter(|turn| turn.at <= now.up).min_by_key(|turn| turn.at)?;
        let sets_clock = self.sets_clock && turn.query == CLOCK;
        let query = if sets_clock { Query::Clock(ClockQuery::Set) } else { turn.query.clone() };
        Some((query, timeout.min(BRIEF)))
    }

    /// One was answered, or not.
    pub(super) fn answered(&mut self, now: &Now, query: &Query, answer: &Result<DeviceResponse, Failure>) {
        self.not_before = now.up + self.apart;
        let query = query.reading();
        let once = slow_poll(&query).is_some_and(|poll| poll.once);
        let due = self.turns.iter().any(|turn| turn.query == query && turn.at <= now.up);
        let settled = !due || once || (query == CLOCK && self.sets_clock);
        if !matches!(answer, Ok(DeviceResponse::Capability(_))) || !settled {
            self.miss(now, &query);
        } else if once {
            self.turns.retain(|turn| turn.query != query);
        }
        self.settle();
    }

    fn miss(&mut self, now: &Now, query: &Query) {
        for turn in self.turns.iter_mut().filter(|turn| like(&turn.query, query)) {
            turn.at = now.up + (AGAIN * 2u32.saturating_pow(turn.misses.into())).min(SELDOM);
            turn.misses = turn.misses.saturating_add(1).min(16);
        }
    }

    /// It is known now, by whatever way.
    fn known(&mut self, now: &Now, query: &Query) {
        let Some(poll) = slow_poll(query).filter(|poll| !poll.once) else { return };
        for turn in self.turns.iter_mut().filter(|turn| turn.query == *query) {
            turn.at = now.up + poll.every;
            turn.misses = 0;
        }
        self.settle();
    }

    /// It was asked in vain, and its time has not come again.
    fn backs_off(&self, now: &Now, query: &Query) -> bool {
        self.turns.iter().any(|turn| turn.query == *query && turn.misses > 0 && turn.at > now.up)
    }

    fn ask_at(&mut self, query: &Query, at: Duration) {
        for turn in self.turns.iter_mut().filter(|turn| turn.query == *query) {
            turn.at = turn.at.min(at);
        }
        self.settle();
    }

    /// After a reading: it begins, or begins anew because the plug may have lost its power. Its
    /// clock is looked at when summer time has begun or ended, or ours was set: what was right by it is
    /// wrong now.
    pub(super) fn consider(&mut self, now: &Now, anew: bool, ports: u8, locked: bool, apart: Duration) {
        if anew || self.turns.is_empty() {
            self.begin(now, ports, locked, apart);
        }
        self.mind_locks(now, ports, locked);
        if self.offset_s.replace(now.utc_offset_s).is_some_and(|offset_s| offset_s != now.utc_offset_s) {
            self.ask_at(&CLOCK, now.up);
        }
        let zero_ms = now.zero_ms();
        if self.zero_ms.replace(zero_ms).is_some_and(|old| old.abs_diff(zero_ms) > DRIFT_S * 1000) {
            self.ask_at(&CLOCK, now.up);
        }
    }

    /// Ports that followed another, when any last did.
    pub(super) fn followed(&self) -> &[u8] {
        &self.followed
    }

    /// Takes in what the plug has told, whoever asked.
    pub(super) fn learn(
        &mut self,
        now: &Now,
        id: &PlugId,
        pace: &Pace,
        ports: u8,
        (query, reply): (&Query, &QueryReply),
        states: &mut States,
    ) {
        let (learnt, reading) = (states.learn(query, reply, ports, now), query.reading());
        if learnt.able {
            self.shown.insert(query.capability().name);
        }
        if let QueryReply::Clock(clock) = reply {
            self.clock_learnt(now, id, pace, *clock, *query == Query::Clock(ClockQuery::Set));
        } else {
            self.known(now, &reading);
        }
        if let QueryReply::Leader(group) = reply
            && group.roles.len() == usize::from(ports)
            && !group.followers().is_empty()
        {
            self.followed = group.followers();
        }
        if let Some(again) = learnt.again {
            self.ask_at(&reading, now.up + again + BRIEF);
        }
    }

    /// What it says about itself, if that is new.
    pub(super) fn hardware(&mut self, facts: &DeviceInfo, hardware: &Hardware) -> Option<DeviceInfo> {
        let mut new = facts.clone();
        for (own, told) in [(&mut new.cpuid, &hardware.cpuid), (&mut new.server, &hardware.server)] {
            if told.is_some() && own != told {
                own.clone_from(told);
            }
        }
        let renewed = new != *facts;
        self.renewed |= renewed;
        renewed.then_some(new)
    }

    /// Once everything was asked: what the plug can do, if that, or what it has told about its hardware,
    /// is new.
    pub(super) fn capabilities(&mut self, now: &Now, old: Capabilities) -> Option<Capabilities> {
        if !self.through(now) {
            return None;
        }
        let new = Capabilities { able: old.able.and(self.shown), ..old };
        (std::mem::take(&mut self.renewed) | (new != old)).then_some(new)
    }

    /// The clock was told, or set without being told.
    fn clock_learnt(&mut self, now: &Now, id: &PlugId, pace: &Pace, clock: Option<Clock>, was_set: bool) {
        match clock {
            Some(clock) => self.keep_right(now, id, pace, clock, was_set),
            None => {
                self.sets_clock = false;
                self.known(now, &CLOCK);
            }
        }
    }

    /// Has a clock set that is off, unless settings forbid it; a plug that does not take it is tried
    /// ever more rarely.
    fn keep_right(&mut self, now: &Now, id: &PlugId, pace: &Pace, clock: Clock, was_set: bool) {
        let drift_s = clock.drift_s;
        let wrong = drift_s.unsigned_abs() > DRIFT_S && pace.set_clock;
        let wrong = wrong && pace.knows_better(now, drift_s);
        self.sets_clock = wrong && !was_set;
        if self.sets_clock {
            self.was_off_s = drift_s;
            if !self.backs_off(now, &CLOCK) {
                self.ask_at(&CLOCK, now.up);
            }
        } else if wrong {
            self.miss(now, &CLOCK);
            self.settle();
            if !std::mem::replace(&mut self.wrong_told, true) {
                warn!(plug = %id, drift_s, "device clock still wrong after setting it; countdowns and schedule will be off, too");
            }
        } else {
            self.known(now, &CLOCK);
            self.wrong_told = false;
            if was_set {
                info!(plug = %id, "device clock set: {}", step(now, self.was_off_s, drift_s));
            }
        }
    }
}

/// What setting a clock has done to it, in words.
fn step(now: &Now, was_off_s: i64, is_off_s: i64) -> String {
    let (was, is) = (now.local_off_by(was_off_s), now.local_off_by(is_off_s));
    let how = if was.date() == is.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M:%S" };
    let offset_s = now.utc_offset_s.unsigned_abs();
    let zone = match now.utc_offset_s {
        0 => "UTC".into(),
        east_s => {
            let sign = if east_s < 0 { '-' } else { '+' };
            format!("UTC{sign}{:02}:{:02}", offset_s / 3600, offset_s / 60 % 60)
        }
    };
    format!("was {}, set to {}, zone {zone}", was.strftime(how), is.strftime(how))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_told_in_words() {
        // 2026-11-29 18:21:54 UTC.
        let at = |utc_offset_s| {
            let unix_ms = 1_795_976_514_000;
            Now { up: Duration::ZERO, unix_ms, utc_offset_s, dst_s: 0, nonce: 0 }
        };
        assert_eq!(step(&at(0), 3600, 0), "was 19:21:54, set to 18:21:54, zone UTC");
        let lost = "was 2013-12-26 19:21:54, set to 2026-11-29 19:21:55, zone UTC+01:00";
        assert_eq!(step(&at(3600), -407_894_400, 1), lost);
        assert!(step(&at(-12_600), -60, 0).ends_with("set to 14:51:54, zone UTC-03:30"));
    }
}
