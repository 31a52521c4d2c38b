//! A plug's record made readable: when each bucket began, and watt-hours.

use super::clock::misdated;
use crate::model::{Currency, History, Meaning, Moment, PerPort, Record, RecordRow, Span};
use jiff::ToSpan;
use jiff::civil::DateTime;

/// Reads a record by the meaning that somebody has learnt or wants; without one it is assumed.
pub(super) fn record(
    history: &History,
    port: Option<u8>,
    meaning: Option<Meaning>,
    learnt: bool,
    now: &Moment,
) -> Record {
    let meaning = meaning.unwrap_or(Meaning::USUAL);
    let dated = history.date.as_deref().and_then(date);
    let back = i64::try_from(count(history)).unwrap_or(0) - 1;
    Record {
        port,
        price: history.cost,
        currency: history.currency.map(Currency::of_number),
        learnt,
        warning: dated.and_then(|dated| misdated(history, dated, back, now)),
        rows: rows(history, port, meaning, now),
    }
}

fn count(history: &History) -> usize {
    history.rows.iter().map(Vec::len).max().unwrap_or(0)
}

fn rows(history: &History, port: Option<u8>, meaning: Meaning, now: &Moment) -> Vec<RecordRow> {
    let count = count(history);
    let dated = history.date.as_deref().and_then(date);
    let told = dated.unwrap_or_else(|| now.local());
    let back = i64::try_from(count).unwrap_or(0) - 1;
    let first_named = meaning.dated_first && dated.is_some();
    (0..count)
        .zip(0_i64..)
        .map(|(place, nth)| {
            let steps = if first_named { nth } else { nth - back };
            let (span, form) = match history.span {
                Span::Hours => (steps.hours(), "%Y-%m-%d %H:00"),
                Span::Days => (steps.days(), "%Y-%m-%d"),
                Span::Months => (steps.months(), "%Y-%m"),
            };
            let time = told.checked_add(span).map(|at| at.strftime(form).to_string()).unwrap_or_default();
            let wh =
                |row: &Vec<Option<f64>>| row.get(place).copied().flatten().map(|figure| figure * meaning.wh);
            let ports: Vec<Option<f64>> = history.rows.iter().map(wh).collect();
            let wh = match port {
                Some(port) => ports.port(port).copied().flatten(),
                None => ports.iter().flatten().copied().reduce(|a, b| a + b),
            };
            RecordRow { time, wh, ports }
        })
        .collect()
}

/// Reads `2018-10-11-21`, `2018-10-11` or `2018-10`.
fn date(text: &str) -> Option<DateTime> {
    let mut parts = text.trim().splitn(4, '-');
    let year = parts.next()?.parse().ok()?;
    let month = parts.next()?.parse().ok()?;
    let mut small = |fallback: i8| parts.next().map_or(Some(fallback), |part| part.parse().ok());
    let (day, hour) = (small(1)?, small(0)?);
    DateTime::new(year, month, day, hour, 0, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn times(span: Span, date: Option<&str>, dated_first: bool) -> Vec<String> {
        let figures = vec![vec![Some(1.0), None, Some(2.5)], vec![Some(3.0)]];
        let history = History { span, date: date.map(Into::into), rows: figures, cost: None, currency: None };
        // 2026-11-21 11:00 UTC, an hour more here.
        let now =
            Moment { up: Duration::ZERO, unix_ms: 1_795_258_800_000, utc_offset_s: 3600, dst_s: 0, nonce: 0 };
        let meaning = Meaning { wh: 1000.0, dated_first };
        let all = rows(&history, None, meaning, &now);
        assert_eq!(all.iter().map(|row| row.wh).collect::<Vec<_>>(), [Some(4000.0), None, Some(2500.0)]);
        let second = rows(&history, Some(2), meaning, &now);
        assert_eq!(second.first().and_then(|row| row.wh), Some(3000.0));
        all.into_iter().map(|row| row.time).collect()
    }

    #[test]
    fn rows_carry_their_time_by_either_reading_of_the_date() {
        let newest = times(Span::Hours, Some("2018-10-11-01"), false);
        assert_eq!(newest, ["2018-10-10 23:00", "2018-10-11 00:00", "2018-10-11 01:00"]);
        let oldest = times(Span::Hours, Some("2018-10-11-01"), true);
        assert_eq!(oldest, ["2018-10-11 01:00", "2018-10-11 02:00", "2018-10-11 03:00"]);
        assert_eq!(times(Span::Days, Some("2018-10-01"), false), ["2018-09-29", "2018-09-30", "2018-10-01"]);
        assert_eq!(times(Span::Months, Some("2018-01"), false), ["2017-11", "2017-12", "2018-01"]);
        // A plug without a date: the newest is now.
        let undated = times(Span::Hours, None, true);
        assert_eq!(undated, ["2026-11-21 10:00", "2026-11-21 11:00", "2026-11-21 12:00"]);
        assert_eq!(times(Span::Hours, Some("nonsense"), false), undated);
    }

    #[test]
    fn dates_of_a_clock_that_is_wrong_are_explained_and_right_ones_are_not() {
        let now =
            Moment { up: Duration::ZERO, unix_ms: 1_795_258_800_000, utc_offset_s: 3600, dst_s: 0, nonce: 0 };
        let warning = |span, date: &str, count: usize| {
            let rows = vec![vec![Some(1.0); count]];
            let history = History { span, date: Some(date.into()), rows, cost: None, currency: None };
            record(&history, None, None, false, &now).warning
        };
        // By the newest and by the oldest.
        for (span, count, dates) in [
            (Span::Hours, 24, ["2026-11-21-12", "2026-11-20-13"]),
            (Span::Days, 31, ["2026-11-21", "2026-10-22"]),
            (Span::Months, 12, ["2026-11", "2025-12"]),
        ] {
            for date in dates {
                assert_eq!(warning(span, date, count), None, "{date}");
            }
            let never = warning(span, "2013-12-26", count).expect("years ago");
            assert!(
                never.contains("2013-12-26, as nobody has set it") && never.contains("set it:"),
                "{never}"
            );
            let wrong = warning(span, "2026-05-02", count).expect("half a year off");
            assert!(wrong.contains("2026-05-02 and is wrong"), "{wrong}");
        }
        assert!(warning(Span::Hours, "1970-01-01-03", 24).is_some_and(|why| why.contains("present hour")));
    }
}
