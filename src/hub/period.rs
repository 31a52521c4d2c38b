//! Where the meters of a plug stood when the day and the month began, so that what was drawn today
//! and this month can be told. By the bridge's local time; the plug's own record is not asked, as
//! nobody knows its unit for sure.

use crate::model::{Energy, Now, Since};
use std::time::Duration;

const DAY_MS: u64 = 86_400_000;

/// How long the local day still lasts.
pub(super) fn left(now: &Now) -> Duration {
    Duration::from_millis(DAY_MS - now.local_ms() % DAY_MS)
}

/// Local day since 1970, and month since the year 0.
fn date(now: &Now) -> (u32, u32) {
    let local = now.local();
    let month = i32::from(local.year()) * 12 + i32::from(local.month());
    (day(now), u32::try_from(month).unwrap_or(0))
}

fn day(now: &Now) -> u32 {
    u32::try_from(now.local_ms() / DAY_MS).unwrap_or(u32::MAX)
}

impl Since {
    /// A first day has begun.
    pub(super) fn begun(&self) -> bool {
        self.day != 0
    }

    /// Another day has begun than the one it knows.
    pub(super) fn is_over(&self, now: &Now) -> bool {
        let day = day(now);
        // A clock set back across midnight begins no day twice.
        day != self.day && self.day.checked_sub(day) != Some(1)
    }

    /// A new day, or month, begins with the meters at these figures. True when one has.
    pub(super) fn turn(&mut self, now: &Now, meters: impl Iterator<Item = Energy>) -> bool {
        if !self.is_over(now) {
            return false;
        }
        let (day, month) = date(now);
        let old = std::mem::replace(&mut self.month, month);
        self.day = day;
        for (index, meter) in meters.enumerate() {
            let [day, month_began] = self.port(index);
            *day = meter;
            if old != month {
                *month_began = meter;
            }
        }
        true
    }

    fn port(&mut self, index: usize) -> &mut [Energy; 2] {
        if self.ports.len() <= index {
            self.ports.resize(index + 1, Default::default());
        }
        // There is one now.
        self.ports.get_mut(index).expect("the list was made long enough")
    }

    /// What a port has drawn today and this month, cut off after the digits that are shown.
    pub(super) fn drawn(&self, index: usize, meter: Energy) -> [Energy; 2] {
        let began = self.ports.get(index).copied().unwrap_or_default();
        began.map(|began| meter.beyond(began).shown())
    }

    /// A meter has gone up for what was drawn at this time, which may have been before today.
    pub(super) fn credit(&mut self, now: &Now, index: usize, more: Energy, at_ms: u64) {
        let (day, month) = date(&Now { unix_ms: at_ms, ..*now });
        let before = [day < self.day, month < self.month];
        for (began, before) in self.port(index).iter_mut().zip(before) {
            if before {
                began.add(more);
            }
        }
    }

    /// A meter was set: what was drawn today stays.
    pub(super) fn set(&mut self, index: usize, from: Energy, to: Energy) {
        for began in self.port(index) {
            *began = to.beyond(from.beyond(*began));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Noon in Switzerland, so many hours later.
    fn at(hours: u64) -> Now {
        // 2026-11-29 11:00 UTC.
        let unix_ms = 1_795_950_000_000 + hours * 3_600_000;
        Now { up: Duration::ZERO, unix_ms, utc_offset_s: 3600, dst_s: 0, nonce: 0 }
    }

    fn kwh(kwh: f64) -> Energy {
        Energy::from_kwh(kwh).expect("an amount")
    }

    #[test]
    fn days_and_months_begin_at_local_midnight() {
        let mut since = Since::default();
        assert!(since.turn(&at(0), [kwh(5.0), kwh(1.0)].into_iter()));
        assert!(!since.turn(&at(11), [kwh(6.0), kwh(1.0)].into_iter()), "23:00");
        assert_eq!(since.drawn(0, kwh(6.0)), [kwh(1.0); 2]);
        assert!(since.turn(&at(12), [kwh(6.0), kwh(1.0)].into_iter()), "midnight");
        assert_eq!(since.drawn(0, kwh(6.5)), [kwh(0.5), kwh(1.5)]);
        assert!(since.turn(&at(36), [kwh(7.0), kwh(3.0)].into_iter()), "December");
        assert_eq!((since.drawn(0, kwh(7.0)), since.drawn(1, kwh(3.25))), ([kwh(0.0); 2], [kwh(0.25); 2]));
        assert!(!since.turn(&at(35), [kwh(8.0), kwh(3.0)].into_iter()), "the clock was set back a little");
        assert_eq!(since.drawn(0, kwh(8.0)), [kwh(1.0); 2]);
        assert!(since.turn(&at(0), [kwh(8.0), kwh(3.0)].into_iter()), "it was wrong by days");
        assert_eq!(since.drawn(0, kwh(8.0)), [kwh(0.0); 2]);
    }

    #[test]
    fn what_is_learnt_later_belongs_to_its_day() {
        let mut since = Since::default();
        since.turn(&at(0), [kwh(0.0)].into_iter());
        since.turn(&at(24), [kwh(1.0)].into_iter());
        // An hour of yesterday, then one of today.
        since.credit(&at(24), 0, kwh(0.25), at(6).unix_ms);
        assert_eq!(since.drawn(0, kwh(1.25)), [kwh(0.0), kwh(1.25)]);
        since.credit(&at(24), 0, kwh(0.5), at(23).unix_ms);
        assert_eq!(since.drawn(0, kwh(1.75)), [kwh(0.5), kwh(1.75)]);
        since.set(0, kwh(1.75), kwh(100.0));
        assert_eq!(since.drawn(0, kwh(100.0)), [kwh(0.5), kwh(1.75)]);
        since.set(0, kwh(100.0), kwh(1.0));
        assert_eq!(since.drawn(0, kwh(1.0)), [kwh(0.5), kwh(1.0)], "no more than there is");
    }
}
