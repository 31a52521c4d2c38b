//! The plug's calendar: local civil time as seconds since 1970, in the two spellings the plugs use.
//!
//! Knows no zones and no running clock; whoever asks brings the seconds.

use std::time::Duration;

/// 2013-12-26,00:00:00, the date a strip shows in its captured configuration before anybody has set its clock.
pub(super) const UNSET: u64 = 1_388_016_000;

/// Whole seconds of a virtual time; times before zero or beyond reason are zero.
pub(super) fn whole_seconds(now_s: f64) -> u64 {
    Duration::try_from_secs_f64(now_s).map_or(0, |since| since.as_secs())
}

/// Reads `2018-10-07,10:48:42` with anything after a further comma.
pub(super) fn parse(text: &str) -> Option<u64> {
    let mut parts = text.split(',');
    let [year, month, day] = three(parts.next()?, '-')?;
    let [hour, minute, second] = three(parts.next()?, ':')?;
    let valid = (1970..=2999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    valid.then(|| days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// Writes `2018-10-07,10:48:42`.
pub(super) fn render(local: u64) -> String {
    let (year, month, day) = civil(local / 86_400);
    let (hour, minute, second) = (local / 3600 % 24, local / 60 % 60, local % 60);
    format!("{year:04}-{month:02}-{day:02},{hour:02}:{minute:02}:{second:02}")
}

/// Writes the label of a statistics reply: to the hour, the day or the month for type 0, 1 and 2.
pub(super) fn label(local: u64, kind: u64) -> String {
    let (year, month, day) = civil(local / 86_400);
    match kind {
        0 => format!("{year:04}-{month:02}-{day:02}-{:02}", local / 3600 % 24),
        1 => format!("{year:04}-{month:02}-{day:02}"),
        _ => format!("{year:04}-{month:02}"),
    }
}

fn three(text: &str, by: char) -> Option<[u64; 3]> {
    let mut parts = text.splitn(3, by).map(str::parse);
    Some([parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?])
}

fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    (year + era * 400 + u64::from(month <= 2), month, of_year - (153 * march + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_date_comes_back() {
        for text in
            ["1970-01-01,00:00:00", "2000-02-29,23:59:59", "2018-10-07,10:48:42", "2026-12-31,12:00:01"]
        {
            assert_eq!(parse(text).map(render).as_deref(), Some(text));
        }
        assert_eq!(render(UNSET), "2013-12-26,00:00:00");
    }

    #[test]
    fn nonsense_is_no_date() {
        for text in [
            "",
            ",,",
            "{datetime}",
            "2018-13-01,00:00:00",
            "2018-10-07",
            "2018-10-07,10:48",
            "2018-10-07,24:00:00",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn labels_shorten_with_the_type() {
        let local = parse("2018-10-11,21:05:00,13").expect("a date");
        assert_eq!([0, 1, 2].map(|kind| label(local, kind)), ["2018-10-11-21", "2018-10-11", "2018-10"]);
    }
}
