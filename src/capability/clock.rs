//! What a plug's clock means for people, in words.

use crate::model::{Clock, History, Moment, Span};
use jiff::civil::DateTime;
use jiff::{SignedDuration, ToSpan};

/// What it may be off before rules that come by it are said to come at a wrong time.
const WRONG_S: u64 = 60;

/// Plugs begin in 1970 or 2013 when they start; a clock in a year before this was not set since.
const SET_FROM: i16 = 2016;

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

const NEVER_SET: &str = ", as nobody has set it since the plug started";
const REMEDY: &str = "set it: clock PLUG set, over MQTT the request clock with \"set\": true";

fn never_set(shown: DateTime) -> bool {
    shown.year() < SET_FROM
}

/// What is wrong with the clock by which a record is dated: neither its first nor its last date is
/// about now.
pub(super) fn misdated(history: &History, dated: DateTime, count: i64, now: &Moment) -> Option<String> {
    let (length, bucket, margin_h) = match history.span {
        Span::Hours => (count.hours(), "hour", 2),
        Span::Days => (count.days(), "day", 48),
        Span::Months => (count.months(), "month", 62 * 24),
    };
    let about =
        |time: DateTime| time.duration_since(now.local()).abs() <= SignedDuration::from_hours(margin_h);
    if about(dated) || dated.checked_add(length).is_ok_and(about) {
        return None;
    }
    let date = dated.strftime("%Y-%m-%d");
    let why = if never_set(dated) { NEVER_SET } else { " and is wrong" };
    Some(format!(
        "the dates are by the plug's clock, which shows {date}{why}; the last line is the present {bucket}; {REMEDY}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

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
