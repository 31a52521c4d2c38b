//! What a meter keeps: watt-hours for each of about thirty days, and for each of the last twenty-four hours.
//!
//! Both are rings in the order of the calendar, as captures show: the place of a record is its day of the month, or
//! its hour of the day.

use super::clock;

const DAY_S: u64 = 86_400;
const HOUR_S: u64 = 3_600;
const DAYS: u64 = 31;
const HOURS: usize = 24;
/// Milliwatt-seconds in a watt-hour.
const WH: u64 = 3_600_000;

#[derive(Clone, Debug)]
struct Day {
    /// Days since 1970 in local time.
    number: u64,
    time: u64,
    wh: u64,
}

#[derive(Clone, Copy, Debug)]
struct Hour {
    number: u64,
    time: u64,
    wh: u64,
}

/// When something is counted: by the clock, and in local time.
#[derive(Clone, Copy, Debug)]
pub(super) struct When {
    pub(super) now: u64,
    pub(super) local: u64,
}

/// The records of one circuit.
#[derive(Clone, Debug)]
pub(super) struct Records {
    days: Vec<Option<Day>>,
    hours: Vec<Option<Hour>>,
    latest: Option<u64>,
    milliwatt_s: u64,
    total_wh: u64,
    /// The first figure of a day carries that of the day before.
    carries: bool,
}

impl Records {
    pub(super) fn new() -> Self {
        Self {
            days: vec![None; 31],
            hours: vec![None; HOURS],
            latest: None,
            milliwatt_s: 0,
            total_wh: 0,
            carries: false,
        }
    }

    /// Does not begin a day at zero.
    pub(super) fn carry(&mut self) {
        self.carries = true;
    }

    /// Counts a second at this power.
    pub(super) fn count(&mut self, when: When, milliwatts: u32) {
        self.milliwatt_s += u64::from(milliwatts);
        let wh = self.milliwatt_s / WH;
        if wh > 0 {
            self.milliwatt_s %= WH;
            self.add(when, wh);
        }
    }

    /// Adds whole watt-hours.
    pub(super) fn add(&mut self, When { now, local }: When, wh: u64) {
        self.total_wh += wh;
        let number = local / DAY_S;
        let before =
            self.latest.filter(|_| self.carries).and_then(|latest| self.day(latest)).map(|day| day.wh);
        let same = self.day(number).is_some();
        if let Some(slot) = self.days.get_mut(slot(number)) {
            match slot {
                Some(day) if same => {
                    day.time = now;
                    day.wh += wh;
                }
                _ => *slot = Some(Day { number, time: now, wh: wh + before.unwrap_or(0) }),
            }
        }
        self.latest = Some(number);
        let number = local / HOUR_S;
        let place = usize::try_from(number % 24).unwrap_or(0);
        if let Some(slot) = self.hours.get_mut(place) {
            let kept = slot.filter(|hour| hour.number == number).map_or(0, |hour| hour.wh);
            *slot = Some(Hour { number, time: now, wh: kept + wh });
        }
    }

    /// Forgets the day that is running, as after a repair of its memory.
    pub(super) fn lose(&mut self, local: u64) {
        if let Some(slot) = self.days.get_mut(slot(local / DAY_S)) {
            *slot = None;
        }
    }

    /// Watt-hours counted since it was built.
    pub(super) fn total_wh(&self) -> u64 {
        self.total_wh
    }

    /// The days, as they stand in `ConsumptionX`.
    pub(super) fn tell_days(&self) -> String {
        let day = |day: &Day| {
            let date = clock::date(day.number * DAY_S);
            format!(r#"{{"date":"{date}","time":{},"value":{}}}"#, day.time, day.wh)
        };
        let days: Vec<String> = self.days.iter().flatten().map(day).collect();
        format!("[{}]", days.join(","))
    }

    /// The hours, as they stand in `ConsumptionH`; `total` was 0 on a plug with one outlet.
    pub(super) fn tell_hours(&self, channel: usize, totals: bool) -> String {
        let hour = |hour: &Hour| format!(r#"{{"timestamp":{},"value":{}}}"#, hour.time, hour.wh);
        let hours: Vec<String> = self.hours.iter().flatten().map(hour).collect();
        let total = if totals { self.hours.iter().flatten().map(|hour| hour.wh).sum() } else { 0_u64 };
        format!(r#"{{"channel":{channel},"total":{total},"data":[{}]}}"#, hours.join(","))
    }

    fn day(&self, number: u64) -> Option<&Day> {
        self.days.get(slot(number))?.as_ref().filter(|day| day.number == number)
    }
}

/// The place of a day in the ring: its day of the month.
fn slot(number: u64) -> usize {
    let date = clock::date(number * DAY_S);
    let day: u64 = date.get(8..).and_then(|day| day.parse().ok()).unwrap_or(0);
    usize::try_from(day % DAYS).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2024-02-24 00:00.
    const BEGIN: u64 = 1_708_732_800;

    fn at(second: u64) -> When {
        When { now: second, local: second }
    }

    fn dates(records: &Records) -> Vec<String> {
        let told = records.tell_days();
        told.split("\"date\":\"").skip(1).map(|rest| rest.chars().take(10).collect()).collect()
    }

    #[test]
    fn days_stand_in_the_order_of_the_calendar_and_are_overwritten_after_a_month() {
        let mut records = Records::new();
        for day in 0..16 {
            records.add(at(BEGIN + day * DAY_S + 100), 300 + day);
        }
        let seen = dates(&records);
        assert_eq!(seen.first().map(String::as_str), Some("2024-03-01"));
        assert_eq!(seen.get(9).map(String::as_str), Some("2024-03-10"));
        assert_eq!(seen.get(10).map(String::as_str), Some("2024-02-24"));
        for day in 16..400 {
            records.add(at(BEGIN + day * DAY_S), 1);
        }
        assert!((30..=31).contains(&dates(&records).len()));
        assert_eq!(records.total_wh(), (300..316).sum::<u64>() + 384);
    }

    #[test]
    fn a_kilowatt_is_counted_by_the_hour_and_the_day() {
        let mut records = Records::new();
        for second in 0..7_200 {
            records.count(at(BEGIN + second), 1_000_000);
        }
        let day = format!(r#"[{{"date":"2024-02-24","time":{},"value":2000}}]"#, BEGIN + 7_199);
        assert_eq!(records.tell_days(), day);
        let hours = records.tell_hours(1, true);
        assert!(hours.starts_with(r#"{"channel":1,"total":2000,"data":[{"timestamp":"#), "{hours}");
        assert_eq!(hours.matches(r#""value":"#).count(), 2);
        assert!(records.tell_hours(0, false).contains(r#""total":0,"#));
    }

    #[test]
    fn a_new_day_may_begin_with_the_figure_of_the_old_one() {
        let mut records = Records::new();
        records.carry();
        records.add(at(BEGIN), 80);
        records.add(at(BEGIN + DAY_S), 1);
        records.add(at(BEGIN + DAY_S), 1);
        assert!(records.tell_days().contains(r#""value":82}"#), "{}", records.tell_days());
        records.lose(BEGIN + DAY_S);
        assert_eq!(dates(&records), ["2024-02-24"]);
    }
}
