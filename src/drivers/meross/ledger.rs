//! Energy from the plug's day records, as a figure that never falls.
//!
//! A plug keeps about thirty days, each with the watt-hours drawn on it, in the order of a ring. The ledger remembers
//! the highest figure seen for each date and adds what it grows by. What is smaller than before is a reset or a
//! correction and changes nothing. On first contact, and when another plug has taken the place of the old one, the
//! records count as read: the total begins with what is drawn from then on.

use super::lenient::{count, each, text};
use crate::model::Energy;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Dates remembered: twice as many as a plug keeps.
const DATES: usize = 62;

/// The largest figure of a record, in watt-hours. Firmware that does not begin days at zero goes on for years.
const MOST_WH: u64 = 100_000_000;

/// The most a plug can draw in a day, in watt-hours: a figure that grows by more is remembered and not counted.
const MOST_A_DAY_WH: u64 = MOST_W * 24;

/// The most a plug can draw, in watts.
const MOST_W: u64 = 5_000;

/// For how long after the last look the first figure of a new day is held against what can have been drawn since.
const RECENT_S: u64 = 6 * 3600;

/// A day record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Day {
    /// The plug's local date, as `2024-03-09`.
    pub date: String,
    /// When it was last written, by the plug's clock.
    pub time: u64,
    /// Watt-hours.
    pub wh: u64,
}

/// Reads the payload of `Control.ConsumptionX`; what is no record is left out.
pub fn days(payload: &Value) -> Vec<Day> {
    let day = |one: &Value| {
        let date = text(one, "date").filter(|date| is_date(date))?;
        let wh = one.get("value").and_then(count).filter(|wh| *wh <= MOST_WH)?;
        Some(Day { date: date.to_owned(), time: one.get("time").and_then(count).unwrap_or(0), wh })
    };
    each(payload.get("consumptionx")).filter_map(day).collect()
}

/// Ten characters that sort like the days they stand for.
fn is_date(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

/// The highest figure of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    wh: u64,
    time: u64,
}

/// What was counted of one plug; kept over restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    uuid: String,
    total_wh: u64,
    dates: BTreeMap<String, Seen>,
    /// Dates up to this one are forgotten and count no more.
    forgotten: String,
}

impl Ledger {
    /// Takes what the plug with this uuid tells, and gives by how much the total has grown.
    pub fn take(&mut self, uuid: &str, days: &[Day]) -> Energy {
        if days.is_empty() {
            return Energy::default();
        }
        let first = !self.uuid.eq_ignore_ascii_case(uuid);
        if first {
            self.uuid = uuid.to_ascii_lowercase();
            self.dates.clear();
            self.forgotten.clear();
        }
        let mut sorted: Vec<&Day> = days.iter().collect();
        sorted.sort_by(|one, other| one.date.cmp(&other.date));
        let mut grown = 0;
        for day in sorted.into_iter().filter(|day| day.date > self.forgotten) {
            let known = self.dates.get(&day.date).copied();
            let floor = match known {
                Some(seen) => seen.wh,
                None if first => day.wh,
                None => self.carried(day),
            };
            let more = day.wh.saturating_sub(floor);
            grown += if more <= MOST_A_DAY_WH { more } else { 0 };
            let wh = known.map_or(day.wh, |seen| seen.wh.max(day.wh));
            self.dates.insert(day.date.clone(), Seen { wh, time: day.time });
        }
        while self.dates.len() > DATES {
            if let Some((date, _)) = self.dates.pop_first() {
                self.forgotten = date;
            }
        }
        self.total_wh = self.total_wh.saturating_add(grown);
        energy(grown)
    }

    /// What was counted.
    pub fn total(&self) -> Energy {
        energy(self.total_wh)
    }

    /// How much of the first figure of a new day is that of the day before: some firmware does not begin at zero.
    /// It is, if it is the same, or if more would have been drawn since the last look than anything can draw.
    fn carried(&self, day: &Day) -> u64 {
        let before = self.dates.range(..day.date.clone()).next_back();
        let Some((_, before)) = before.filter(|(_, before)| before.wh > 0 && day.wh >= before.wh) else {
            return 0;
        };
        let since = day.time.checked_sub(before.time).filter(|since| *since <= RECENT_S);
        let impossible = since.is_some_and(|since| day.wh > MOST_W * since / 3600 + 1);
        if day.wh == before.wh || impossible { before.wh } else { 0 }
    }
}

fn energy(wh: u64) -> Energy {
    // Far below 2^53 for every total there can be.
    Energy::from_wh(wh as f64)
}
