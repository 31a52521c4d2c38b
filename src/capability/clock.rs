//! The clock of a plug, by which its countdowns and schedule go: read, set to local time, and what it means
//! for people when it is wrong.

use super::conversation::{Conversation, disobeyed};
use super::device::mixed_up;
use super::entity::{Form, Shown, Value};
use super::{Capability, Guard, Learnt, Query, QueryReply, Request, SlowPoll, States};
use crate::core::{Failure, Now};
use jiff::civil::DateTime;
use serde::Deserialize;
use serde_json::{Value as Json, json};

/// What it may be off before rules that come by it are said to come at a wrong time.
const WRONG_S: u64 = 60;

/// Plugs begin in 1970 or 2013 when they start; a clock in a year before this was not set since.
const SET_FROM: i16 = 2016;

/// Differences that are told.
const TOLD_S: u64 = 1;

pub(super) static CAPABILITY: Capability = Capability {
    name: "clock",
    requests: &[ClockRequest::VERB],
    command: Some("clock"),
    personal: Some("its clock"),
    shown: &[Shown {
        key: "clock_drift",
        name: "clock drift",
        per_port: false,
        form: Form::Drift,
        in_snapshot: true,
        #[expect(clippy::cast_precision_loss, reason = "seconds of a century")]
        value: |states, _| Some(Value::Number(states.drift_s? as f64)),
    }],
    reads: |_| vec![Query::Clock(ClockQuery::Read)],
    slow_poll: Some(SlowPoll::OFTEN),
};

/// What a plug is asked about its clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockQuery {
    /// What time is it?
    Read,
    /// Set it to local time.
    Set,
}

/// A plug's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Clock {
    /// Local date and time on the plug.
    pub local: DateTime,
    /// Seconds by which it is ahead of ours; negative when it is behind.
    pub drift_s: i64,
}

impl Clock {
    /// Reads `2018-10-13,00:23:35`, with a blank or `T` for the comma, too.
    #[doc(hidden)]
    pub fn read(text: &str, now: &Now) -> Option<Self> {
        let local = local(text)?;
        let ours =
            DateTime::from_parts(now.local().date(), now.local().time().with().nanosecond(0).build().ok()?);
        Some(Self { local, drift_s: local.duration_since(ours).as_secs() })
    }
}

/// Reads local date and time in the spelling of the plugs.
pub fn local(text: &str) -> Option<DateTime> {
    text.trim().replacen([',', ' '], "T", 1).parse().ok()
}

/// Reads a plug's clock, or sets it to local time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClockRequest {
    /// Set it.
    pub set: bool,
}

impl Request for ClockRequest {
    const VERB: &'static str = "clock";
    /// `None` when it was set and cannot be read.
    type Answer = Option<Clock>;
    type Conversation = Self;

    fn changes(&self) -> bool {
        self.set
    }

    fn open(self, _: Guard) -> Result<Self, String> {
        Ok(self)
    }

    fn report(clock: &Option<Clock>) -> Json {
        json!({"time": clock.map(|clock| clock.local.to_string()), "drift_s": clock.map(|clock| clock.drift_s)})
    }
}

/// Asks once; a clock that was set shows it.
impl Conversation for ClockRequest {
    type Answer = Option<Clock>;

    fn query(&self) -> Query {
        Query::Clock(if self.set { ClockQuery::Set } else { ClockQuery::Read })
    }

    fn take(&mut self, reply: QueryReply, _: &Now) -> Result<Option<Self::Answer>, Failure> {
        let QueryReply::Clock(clock) = reply else { return Err(mixed_up()) };
        let wrong = clock.is_some_and(|clock| clock.drift_s.unsigned_abs() >= WRONG_S);
        if self.set && wrong { Err(disobeyed()) } else { Ok(Some(clock)) }
    }
}

/// Whether plugs' clocks can be set to local time as it is here.
///
/// # Errors
///
/// Why not, with the remedy: the clock here shows less than `from_ms`, milliseconds since 1970, or local
/// time is not known.
pub fn may_set(now: &Now, from_ms: u64, zone_known: bool) -> Result<(), String> {
    if now.unix_ms < from_ms {
        let shown = now.local().strftime("%Y-%m-%d %H:%M");
        return Err(format!("the clock of this machine shows {shown}, which is in the past; set that first"));
    }
    match zone_known {
        true => Ok(()),
        false => Err("no time zone is known, so the plug would be set to UTC; set timezone, as in timezone = \"Europe/Berlin\"".into()),
    }
}

/// What is shown since the plug has told its clock: a drift that has hardly changed stands.
pub(super) fn learn(told: Option<Clock>, states: &mut States) -> Learnt {
    let Some(Clock { drift_s, .. }) = told else { return Learnt::default() };
    let far = states.drift_s.is_none_or(|shown| shown.abs_diff(drift_s) > TOLD_S);
    states.drift_s = if far { Some(drift_s) } else { states.drift_s };
    Learnt::able(true)
}

/// How far a clock is off, as `4 min 5 s behind`.
pub fn drift(drift_s: i64) -> String {
    let seconds = drift_s.unsigned_abs();
    let days = seconds / 86_400;
    let time = match days {
        0 => {
            let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "min"), (seconds % 60, "s")];
            let told = parts.iter().filter(|(number, _)| *number > 0).take(2);
            told.map(|(number, unit)| format!("{number} {unit}")).collect::<Vec<_>>().join(" ")
        }
        1 => "1 day".into(),
        days => format!("{days} days"),
    };
    match drift_s {
        0 => "as here".into(),
        1.. => format!("{time} ahead"),
        _ => format!("{time} behind"),
    }
}

/// What is wrong with a clock by which rules come, and the remedy.
pub fn warning(clock: &Clock) -> Option<String> {
    (clock.drift_s.unsigned_abs() >= WRONG_S).then(|| {
        let shown = clock.local.strftime("%Y-%m-%d %H:%M");
        let why = if never_set(clock.local) { NEVER_SET } else { "" };
        let off = drift(clock.drift_s);
        format!("its clock shows {shown}, {off}{why}, and rules come by that clock; {REMEDY}")
    })
}

pub(super) const NEVER_SET: &str = ", as nobody has set it since the plug started";
pub(super) const REMEDY: &str = "set it: clock PLUG set, over MQTT the request clock with \"set\": true";

/// A plug shows this while nobody has set its clock.
pub(super) fn never_set(shown: DateTime) -> bool {
    shown.year() < SET_FROM
}

/// The command line.
#[cfg(feature = "bridge")]
mod cli {
    use super::*;
    use crate::capability::cli::{Face, Labels, Target, Text};

    /// Shows the plug's clock, or sets it.
    #[derive(Debug, clap::Args)]
    pub struct Command {
        #[command(flatten)]
        target: Target,
        /// Set it to the time of this machine.
        #[arg(value_enum)]
        action: Option<Action>,
    }

    #[derive(Debug, Clone, Copy, clap::ValueEnum)]
    enum Action {
        /// Set it.
        Set,
    }

    impl Face for Command {
        type Request = ClockRequest;
        const ABOUT: &'static str = "for its clock";

        fn target(&self) -> &Target {
            &self.target
        }

        fn sets_clock(&self) -> bool {
            self.action.is_some()
        }

        fn request<E>(&self, _: impl Fn(&str) -> Result<u8, E>) -> Result<ClockRequest, E> {
            Ok(ClockRequest { set: self.action.is_some() })
        }

        fn text(&self, clock: &Option<Clock>, plug: &dyn Labels) -> Text {
            let name = plug.name();
            let Some(clock) = clock else { return Text::line(format!("{name}: set; it cannot be read")) };
            let local = clock.local.strftime("%Y-%m-%d %H:%M:%S");
            Text::line(format!("{name}: {local}, {}", drift(clock.drift_s)))
        }
    }
}
#[cfg(feature = "bridge")]
pub(super) use cli::Command;

#[cfg(test)]
mod tests {
    use super::super::tests::{guard, now, play};
    use super::*;

    #[test]
    fn a_clock_is_read_with_its_drift() {
        let drift = |text| Clock::read(text, &now()).map(|clock| clock.drift_s);
        assert_eq!(drift("2026-11-21,12:00:05"), Some(5));
        assert_eq!(drift("2026-11-21 11:59:00"), Some(-60));
        assert_eq!(drift("2013-12-26,00:00:00"), Some(-407_246_400));
        assert_eq!(drift("2026-13-21,12:00:05"), None);
        assert_eq!(drift(""), None);
    }

    #[test]
    fn a_clock_that_was_set_shows_it() {
        let clock = |drift_s| Some(Clock { local: now().local(), drift_s });
        let end = |set, told| play(ClockRequest { set }, guard(), vec![QueryReply::Clock(told).into()]).1;
        for told in [clock(0), clock(-59), clock(59), None] {
            assert_eq!(end(true, told), Ok(told));
        }
        for drift_s in [60, -60, 1_796_000_000] {
            let why = end(true, clock(drift_s)).expect_err("it was not set");
            assert!(why.contains("shows no such change"), "{why}");
            assert_eq!(end(false, clock(drift_s)), Ok(clock(drift_s)), "only read");
        }
    }

    #[test]
    fn no_clock_is_set_by_one_that_is_wrong_or_without_a_zone() {
        let from_ms = now().unix_ms;
        assert_eq!(may_set(&now(), from_ms, true), Ok(()));
        let early = Now { unix_ms: 30_000, ..now() };
        let why = may_set(&early, from_ms, true).expect_err("the past");
        assert!(why.contains("shows 1970-01-01") && why.contains("set that first"), "{why}");
        let why = may_set(&now(), from_ms, false).expect_err("UTC");
        assert!(why.contains("set timezone"), "{why}");
    }

    #[test]
    fn a_drift_has_the_units_of_its_size() {
        for (drift_s, want) in [
            (0, "as here"),
            (5, "5 s ahead"),
            (-245, "4 min 5 s behind"),
            (3600, "1 h ahead"),
            (-3661, "1 h 1 min behind"),
            (86_400, "1 day ahead"),
            (-407_246_400, "4713 days behind"),
        ] {
            assert_eq!(drift(drift_s), want);
        }
        assert!(drift(i64::MIN).ends_with("days behind"));
    }

    #[test]
    fn a_clock_that_is_wrong_or_was_never_set_is_explained() {
        let clock = |year, drift_s| Clock { local: DateTime::constant(year, 12, 26, 0, 3, 0, 0), drift_s };
        assert_eq!(warning(&clock(2026, 59)), None);
        let hour = warning(&clock(2026, -3600)).expect("an hour is too much");
        assert!(hour.contains("1 h behind, and rules") && hour.contains("set it"), "{hour}");
        let never = warning(&clock(2013, -407_246_400)).expect("years are");
        assert!(never.contains("2013-12-26 00:03") && never.contains("nobody has set it"), "{never}");
    }
}
