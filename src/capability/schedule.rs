//! The schedule by which a plug switches on its own: rules that come on days of the week or once.

mod against;
mod change;

pub use against::against;
pub use change::{RuleChange, ScheduleRequest};

use super::clock::{Clock, ClockQuery, warning};
use super::conversation::{Conversation, Request, disobeyed};
use super::device::{UNKNOWN, mixed_up};
use super::{Access, Capability, Guard, Query, QueryReply, SlowPoll};
use crate::core::{Days, Failure, Now, time};
use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value as Json, json};

pub(super) static CAPABILITY: Capability = Capability {
    name: "schedule",
    requests: &[ScheduleRequest::VERB],
    command: Some("schedule"),
    personal: Some("its schedule"),
    shown: &[],
    reads: |_| vec![Query::Schedule(Access::Read)],
    // Of interest while a port is locked: a rule may go against that.
    slow_poll: Some(SlowPoll { while_locked: true, ..SlowPoll::OFTEN }),
};

/// What the plug switches by itself at some time, as it tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawRule {
    /// Its number, by which it is changed and deleted.
    pub id: i64,
    /// Whether it is in force.
    pub enabled: bool,
    /// Where each port goes, port 1 first; `None` leaves it as it is.
    pub ports: Vec<Option<bool>>,
    /// On which days it comes again; none for a rule that comes once.
    pub days: Days,
    /// Minutes after midnight, by the plug's clock.
    pub minute: u16,
    /// For a rule that comes once: when, in seconds since 1970 UTC.
    pub once: Option<u64>,
}

/// Minutes of a day.
const DAY_MIN: i32 = 24 * 60;

/// Minutes since midnight.
fn minute_of_day(time: DateTime) -> u16 {
    u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs())
}

impl RawRule {
    /// When a rule comes that comes once, in local time. Where its minute is an hour beside, summer
    /// time has begun or ended since it was written, and the minute is right; where it is anything
    /// else, it means nothing: the vendor's app leaves there what was in its form.
    pub fn comes(&self, now: &Now) -> Option<DateTime> {
        let once = Timestamp::from_second(i64::try_from(self.once?).ok()?).ok()?;
        let local = now.offset().to_datetime(once);
        let beside = i32::from(self.minute) - i32::from(minute_of_day(local));
        let hours = match beside.rem_euclid(DAY_MIN) {
            60 => 1,
            beside if beside == DAY_MIN - 60 => -1,
            _ => 0,
        };
        local.checked_add(SignedDuration::from_hours(hours)).ok()
    }

    /// Makes it come once, at this local date and time: today's offset from UTC is taken, as the
    /// plug takes it.
    pub fn at(mut self, when: DateTime, now: &Now) -> Option<Self> {
        self.once = Some(u64::try_from(now.offset().to_timestamp(when).ok()?.as_second()).ok()?);
        self.minute = minute_of_day(when);
        self.days = Days::default();
        Some(self)
    }
}

/// A change of the schedule, as a plug takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduleEdit {
    /// A new rule; its id is chosen by the dialect.
    Add(RawRule),
    /// Another content for the rule with this id.
    Change(RawRule),
    /// No such rule any more.
    Delete(i64),
}

/// What a plug switches by itself at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduleRule {
    /// Its number, by which it is changed and deleted.
    pub id: i64,
    /// Whether it is in force.
    pub enabled: bool,
    /// The ports it switches on.
    pub on: Vec<u8>,
    /// The ports it switches off.
    pub off: Vec<u8>,
    /// Minutes after midnight, by the plug's clock.
    pub at: u16,
    /// Days on which it comes again; none for a rule that comes once.
    pub days: Days,
    /// The one day on which it comes.
    pub date: Option<Date>,
}

/// All rules of a plug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Each with the date on which it comes when it comes once; its minute is that of the clock then.
    pub rules: Vec<(RawRule, Option<Date>)>,
    /// After a change the clock by which they come, where the plug tells it.
    pub clock: Option<Clock>,
}

impl Schedule {
    fn of(rules: Vec<RawRule>, clock: Option<Clock>, now: &Now) -> Self {
        let dated = |mut rule: RawRule| {
            let comes = rule.comes(now);
            rule.minute = comes.map_or(rule.minute, minute_of_day);
            (rule, comes.map(DateTime::date))
        };
        Self { rules: rules.into_iter().map(dated).collect(), clock }
    }

    /// The rules as people read them.
    pub fn readable(&self) -> Vec<ScheduleRule> {
        self.rules.iter().map(ScheduleRule::of).collect()
    }
}

impl ScheduleRule {
    fn of((rule, date): &(RawRule, Option<Date>)) -> Self {
        let ports = |wanted: bool| {
            let all = (1..).zip(&rule.ports);
            all.filter(|(_, on)| **on == Some(wanted)).map(|(port, _)| port).collect()
        };
        Self {
            id: rule.id,
            enabled: rule.enabled,
            on: ports(true),
            off: ports(false),
            at: rule.minute,
            days: rule.days,
            date: *date,
        }
    }
}

impl Request for ScheduleRequest {
    const VERB: &'static str = "schedule";
    type Answer = Schedule;
    type Conversation = Conversing;

    fn changes(&self) -> bool {
        *self != Self::default()
    }

    fn ports(&self) -> Vec<u8> {
        let contents = self.add.iter().chain(&self.change);
        contents.flat_map(|rule| rule.on.iter().chain(&rule.off)).copied().collect()
    }

    fn check(&self) -> Result<(), String> {
        self.is_one_change()
    }

    fn open(self, guard: Guard) -> Result<Conversing, String> {
        Ok(Conversing { request: self, guard, stage: Stage::Read, clock: None })
    }

    fn report(Schedule { rules, clock }: &Schedule) -> Json {
        let one = |(rule, date): &(RawRule, Option<Date>)| {
            let days = rule.once.is_none().then(|| rule.days.to_string());
            json!({
                "id": rule.id, "enabled": rule.enabled, "time": time(rule.minute), "days": days,
                "date": date.map(|date| date.to_string()), "ports": rule.ports,
            })
        };
        let rules = rules.iter().map(one).collect::<Vec<_>>();
        match clock.as_ref().and_then(|clock| Some((clock.drift_s, warning(clock)?))) {
            Some((drift_s, warning)) => json!({"rules": rules, "drift_s": drift_s, "warning": warning}),
            None => json!({"rules": rules}),
        }
    }
}

/// Reads the rules; then, where something is to change, looks at the clock, changes them and looks whether
/// the plug shows that.
#[derive(Debug)]
pub struct Conversing {
    request: ScheduleRequest,
    guard: Guard,
    stage: Stage,
    clock: Option<Clock>,
}

/// What is asked now; a change with the number of rules there were.
#[derive(Debug)]
enum Stage {
    Read,
    Clock(ScheduleEdit, usize),
    Write(ScheduleEdit, usize),
}

impl Conversing {
    /// The clock is known, or nothing is known of it: now to the change.
    fn write(&mut self, clock: Option<Clock>) {
        self.clock = clock;
        if let Stage::Clock(edit, before) = std::mem::replace(&mut self.stage, Stage::Read) {
            self.stage = Stage::Write(edit, before);
        }
    }
}

impl Conversation for Conversing {
    type Answer = Schedule;

    fn query(&self) -> Query {
        match &self.stage {
            Stage::Read => Query::Schedule(Access::Read),
            Stage::Clock(..) => Query::Clock(ClockQuery::Read),
            Stage::Write(edit, _) => Query::Schedule(Access::Write(edit.clone())),
        }
    }

    fn take(&mut self, reply: QueryReply, now: &Now) -> Result<Option<Schedule>, Failure> {
        let rules = match (&self.stage, reply) {
            (Stage::Clock(..), QueryReply::Clock(clock)) => {
                self.write(clock);
                return Ok(None);
            }
            (Stage::Read | Stage::Write(..), QueryReply::Schedule(rules)) => rules,
            _ => return Err(mixed_up()),
        };
        if let Stage::Write(edit, before) = &self.stage {
            let obeyed = match edit {
                ScheduleEdit::Add(_) => rules.len() > *before,
                ScheduleEdit::Change(rule) => rules.contains(rule),
                ScheduleEdit::Delete(id) => !rules.iter().any(|rule| rule.id == *id),
            };
            return if obeyed { Ok(Some(Schedule::of(rules, self.clock, now))) } else { Err(disobeyed()) };
        }
        let Some(edit) = self.request.edit(&rules, &self.guard, now).map_err(Failure::Rejected)? else {
            return Ok(Some(Schedule::of(rules, None, now)));
        };
        let in_force = match &edit {
            ScheduleEdit::Add(rule) | ScheduleEdit::Change(rule) => rule.enabled,
            ScheduleEdit::Delete(_) => false,
        };
        let stage = if in_force { Stage::Clock } else { Stage::Write };
        self.stage = stage(edit, rules.len());
        Ok(None)
    }

    /// Without a clock that is told a rule is still a rule.
    fn refused(&mut self, why: Option<String>) -> Result<Option<Schedule>, Failure> {
        if matches!(self.stage, Stage::Clock(..)) {
            self.write(None);
            return Ok(None);
        }
        Err(Failure::Rejected(why.unwrap_or_else(|| UNKNOWN.into())))
    }
}

/// The command line.
#[cfg(feature = "bridge")]
mod cli;
#[cfg(feature = "bridge")]
pub(super) use cli::Command;

#[cfg(test)]
mod tests;
