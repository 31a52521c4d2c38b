use super::*;
use crate::model::Span;

/// 2026-11-20 00:00 UTC, in hours.
const DAY: u64 = 498_648;

/// Minutes after `DAY`, in a zone two hours east.
fn at(minute: u64) -> Now {
    let unix_ms = DAY * HOUR_MS + minute * 60_000;
    Now { up: Duration::from_secs(minute * 60), unix_ms, utc_offset_s: 7200, dst_s: 3600, nonce: 0 }
}

fn watts(port: usize, minute: u64) -> f64 {
    // Different from hour to hour, so that hours can be told apart.
    let hour = minute / 60;
    [100.0 + 37.0 * (hour % 7) as f64, 60.0, 0.4][port]
}

fn drawn(minute: u64, minutes: u64) -> Vec<Energy> {
    (0..3).map(|port| Energy::drawn(watts(port, minute), watts(port, minute), minutes * 60_000)).collect()
}

/// Metered every minute but in these.
fn metered(from: u64, to: u64, gap: std::ops::Range<u64>) -> Hours {
    let mut hours = Hours::new(&at(from));
    let mut last = from;
    for minute in from + 1..=to {
        if gap.contains(&minute) {
            continue;
        }
        let whole = minute - last == 1;
        let energy = if whole { drawn(minute - 1, 1) } else { vec![Energy::default(); 3] };
        hours.book(&at(minute), Duration::from_secs((minute - last) * 60), &energy, whole);
        last = minute;
    }
    hours
}

/// The plug's own record at this minute, its last bucket the running hour.
fn record(minute: u64, date: Option<&str>, per_wh: f64, digits: i32) -> RawHistory {
    let running = minute / 60;
    let bucket = |port: usize, back: u64| {
        let hour = running.checked_sub(back)?;
        let until = if back == 0 { minute % 60 } else { 60 };
        let wh: f64 = (0..until).map(|m| watts(port, hour * 60 + m) / 60.0).sum();
        let scale = 10f64.powi(digits);
        Some((wh * per_wh * scale).round() / scale)
    };
    let row = |port| (0..24).rev().map(|back| bucket(port, back).or(Some(0.0))).collect();
    let date = date.map(Into::into);
    RawHistory { span: Span::Hours, date, rows: (0..3).map(row).collect(), cost: None, currency: None }
}

/// The local hour that a minute lies in, as a record's date.
fn label(minute: u64) -> String {
    let local = (DAY + 2) * 60 + minute;
    let hour = local / 60 - DAY;
    format!("2026-11-{:02}-{:02}", 20 + hour / 24, hour % 24)
}

fn total(filled: &[Filled]) -> f64 {
    filled.iter().flat_map(|hour| &hour.ports).map(|energy| energy.wh()).sum()
}

fn truth(minutes: std::ops::Range<u64>) -> f64 {
    minutes.map(|minute| (0..3).map(|port| watts(port, minute) / 60.0).sum::<f64>()).sum()
}

#[test]
fn whatever_unit_and_date_mean_the_hours_missed_are_filled() {
    let now = 600;
    let hours = metered(30, now, 250..395);
    assert!(hours.wants_record(&at(now)));
    let first_bucket = "2026-11-19-13";
    for (date, per_wh, digits) in [
        (Some(label(now).as_str()), 1.0, 0),
        (Some(label(now).as_str()), 1.0, 2),
        (Some(first_bucket), 0.001, 6),
        (Some(label(now).as_str()), 0.001, 5),
        (Some(first_bucket), 1000.0, 0),
        (None, 1.0, 0),
        (Some("nonsense"), 1.0, 2),
    ] {
        let filled = hours.compare(&record(now, date, per_wh, digits), &at(now));
        let filled = filled.unwrap_or_else(|why| panic!("{date:?} {per_wh}: {why}"));
        // 04:10 to 06:35 UTC.
        let starts: Vec<u64> = filled.iter().map(|hour| hour.unix_ms / HOUR_MS - DAY).collect();
        assert_eq!(starts, [4, 5, 6], "{date:?}");
        let (got, want) = (total(&filled), truth(249..395));
        assert!((got - want).abs() < want * 0.02 + 6.0, "{date:?} {per_wh}: {got} for {want}");
    }
}

#[test]
fn what_was_filled_is_not_filled_again_and_is_no_witness() {
    let now = 600;
    let mut hours = metered(30, now, 250..395);
    let told = record(now, Some(&label(now)), 1.0, 2);
    let filled = hours.compare(&told, &at(now)).expect("believed");
    hours.fill(&filled);
    assert!(!hours.wants_record(&at(now)));
    assert_eq!(hours.compare(&told, &at(now)), Ok(Vec::new()));
}

#[test]
fn the_hour_in_which_metering_began_and_the_running_one_are_left_alone() {
    assert!(!metered(30, 400, 0..0).wants_record(&at(400)));
    assert!(!metered(30, 400, 370..390).wants_record(&at(400)));
    assert!(metered(30, 425, 370..390).wants_record(&at(425)));
}

#[test]
fn fewer_than_three_witnesses_are_not_enough() {
    let hours = metered(30, 270, 190..205);
    let why = hours.compare(&record(270, Some(&label(270)), 1.0, 2), &at(270));
    assert_eq!(why, Err("there are fewer than three hours to compare its record with"));
}

#[test]
fn a_record_that_does_not_fit_is_not_believed() {
    let now = 600;
    let hours = metered(30, now, 250..395);
    // Seven per cent more than was metered.
    let wrong = record(now, Some(&label(now)), 1.07, 2);
    assert_eq!(hours.compare(&wrong, &at(now)), Err("its record does not agree with what was metered"));
    let empty = RawHistory { rows: Vec::new(), ..wrong };
    assert!(hours.compare(&empty, &at(now)).is_err());
}

#[test]
fn two_readings_that_fit_equally_well_and_say_different_things_are_not_believed() {
    let now = 600;
    let hours = metered(30, now, 250..395);
    let mut told = record(now, None, 1.0, 2);
    // The same in every hour but in the ones missed: nobody can tell where the record begins.
    let mut even = hours.clone();
    for row in 0..even.metered_s.len() {
        even.drawn[row * 3..row * 3 + 3].copy_from_slice(&[1000, 600, 4]);
    }
    for (port, row) in told.rows.iter_mut().enumerate() {
        row.iter_mut().for_each(|cell| *cell = Some([100.0, 60.0, 0.4][port]));
        row[17] = Some(if port == 0 { 900.0 } else { 60.0 });
    }
    let said = even.compare(&told, &at(now));
    assert_eq!(said, Err("its record can be read in two ways that fit equally well"));
}

#[test]
fn no_more_is_filled_than_a_socket_can_have_drawn() {
    let now = 600;
    let hours = metered(30, now, 250..271);
    let mut told = record(now, Some(&label(now)), 1.0, 2);
    // 04:00 UTC is the sixth bucket from the end.
    told.rows[0][24 - 7] = Some(1e9);
    let filled = hours.compare(&told, &at(now)).expect("believed");
    let most = MAX_WATTS * 22.0 / 60.0;
    assert!(total(&filled) < most + 30.0, "{}", total(&filled));
}

#[test]
fn a_clock_set_back_or_summer_time_begins_anew() {
    let mut hours = metered(30, 400, 250..395);
    assert!(hours.wants_record(&at(400)));
    hours.book(&at(200), Duration::from_secs(60), &drawn(199, 1), true);
    assert!(!hours.wants_record(&at(700)), "{hours:?}");
    let mut hours = metered(30, 400, 250..395);
    let winter = Now { utc_offset_s: 3600, dst_s: 0, ..at(401) };
    hours.book(&winter, Duration::from_secs(60), &drawn(400, 1), true);
    assert!(!hours.wants_record(&winter), "{hours:?}");
}

#[test]
fn only_a_day_is_kept_however_long_it_runs_and_a_restart_changes_nothing() {
    let mut hours = metered(0, 60 * 100, 60 * 90..60 * 91 + 10);
    assert_eq!(hours.metered_s.len(), KEPT);
    assert_eq!(hours.drawn.len(), KEPT * 3);
    let text = serde_json::to_string(&hours).expect("JSON");
    let mut again: Hours = serde_json::from_str(&text).expect("JSON");
    let now = 60 * 100 + 30;
    for (hours, step) in [(&mut hours, 30), (&mut again, 30)] {
        hours.book(&at(now), Duration::from_secs(step * 60), &drawn(60 * 100, step), true);
    }
    assert_eq!((hours.metered_s, hours.drawn), (again.metered_s, again.drawn));
    // Away for longer than a record reaches back.
    let far = 60 * 1000;
    let mut long = metered(0, 300, 0..0);
    assert!(long.book(&at(far), Duration::from_secs(60 * (far - 300)), &[Energy::default(); 3], false));
    assert_eq!(long.metered_s.len(), 1);
}
