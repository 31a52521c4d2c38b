//! The plug's own record of energy, HTTP 510: what its ports drew in each hour of its clock.
//!
//! Hours in service are counted truly. What was before the plug went into service, and days and months, are the
//! pattern of the loads run backwards, so that there is something to show.

use super::wire::Object;
use super::{Firmware, Strip};
use crate::sim::clock;
use crate::sim::load::PERIOD_S;
use serde_json::Value;
use std::collections::VecDeque;

const HOUR_S: u64 = 3_600;
const HOURS: u64 = 24;
const SAMPLES: u64 = 60;

/// Milliwatt-seconds of each port, by local hour since 1970, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Record {
    hours: VecDeque<(u64, Vec<u64>)>,
    /// The first second not counted yet.
    next: u64,
    ever: Drawn,
    last: u64,
}

/// What a plug has truly drawn since it went into service, all ports together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// Milliwatt-seconds.
    pub mws: u64,
    /// All ups and downs of its power from second to second, in milliwatts: how far samples may mislead.
    pub ups_and_downs: u64,
}

/// How a firmware writes its figures, as far as sources disagree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Metrics {
    /// Watt-hours; the date is that of the last bucket.
    #[default]
    WattHours,
    /// Kilowatt-hours; the date is that of the first bucket.
    KilowattHours,
}

impl Strip {
    /// Counts what the ports have drawn until now. Whoever changes a relay or a load by hand does this before, lest
    /// the change counts from the last request on.
    pub fn count(&mut self, now_s: f64) {
        self.count_to(clock::whole_seconds(now_s));
    }

    /// Goes into service now: what was before is not counted.
    pub fn begin(&mut self, now_s: f64) {
        self.record.next = clock::whole_seconds(now_s);
    }

    /// What it has truly drawn until now.
    pub fn drawn(&mut self, now_s: f64) -> Drawn {
        self.count(now_s);
        self.record.ever
    }

    pub(super) fn count_to(&mut self, second: u64) {
        while self.record.next < second {
            let at = self.record.next;
            self.record.next += 1;
            self.keep_time(at);
            let hour = self.local(at) / HOUR_S;
            let drawn = self.milliwatts(at);
            let all: u64 = drawn.iter().copied().map(u64::from).sum();
            self.record.ever.mws += all;
            self.record.ever.ups_and_downs += all.abs_diff(self.record.last);
            self.record.last = all;
            let hours = &mut self.record.hours;
            if hours.back().is_none_or(|(last, _)| *last != hour) {
                // A clock set back begins the hour anew.
                hours.retain(|(other, _)| *other != hour);
                hours.push_back((hour, vec![0; drawn.len()]));
                if hours.len() as u64 > HOURS + 1 {
                    hours.pop_front();
                }
            }
            if let Some((_, sums)) = hours.back_mut() {
                sums.iter_mut().zip(drawn).for_each(|(sum, milliwatts)| *sum += u64::from(milliwatts));
            }
        }
    }

    /// Watt-hours per bucket, the running one last.
    pub(super) fn statistics(&self, second: u64, kind: u64) -> Option<String> {
        let rows: Vec<Value> = (0..self.ports())
            .map(|place| match kind {
                0 => Some(self.hourly(second, place)),
                1 => Some(self.pattern(second, place, 31, 24 * HOUR_S)),
                2 => Some(self.pattern(second, place, 12, 720 * HOUR_S)),
                _ => None,
            })
            .collect::<Option<_>>()?;
        // A one-port plug other than 1.30 gives no date (maxsmart 6000f03).
        let dated = self.firmware == Firmware::V1 || self.ports() > 1;
        let label = match (self.figures, kind) {
            (Metrics::KilowattHours, 0) => self.local(second).saturating_sub((HOURS - 1) * HOUR_S),
            _ => self.local(second),
        };
        let date = dated.then(|| clock::label(label, kind));
        let object = Object::new().put("cost", self.price().0).put("money", self.price().1).put("type", kind);
        Some(object.put("date", date).put("watt", rows).end())
    }

    fn hourly(&self, second: u64, place: usize) -> Value {
        let local = self.local(second);
        let hour = local / HOUR_S;
        let bucket = |back: u64| {
            let counted = self.record.hours.iter().find(|(other, _)| other + back == hour);
            let counted = counted.and_then(|(_, sums)| sums.get(place)).copied().unwrap_or(0);
            // Seconds since the plug went into service at which that hour began; negative before.
            let began = i128::from(second) - i128::from(local % HOUR_S) - i128::from(back * HOUR_S);
            let step = HOUR_S / SAMPLES;
            let before: u64 = (0..SAMPLES)
                .map(|nth| began + i128::from(nth * step))
                .filter(|at| *at < 0)
                .map(|at| u64::try_from(at + i128::from(PERIOD_S * 4_000)).unwrap_or(0))
                .map(|at| self.draws(place, at) * step)
                .sum();
            self.figure((counted + before) / HOUR_S)
        };
        (0..HOURS).rev().map(bucket).collect()
    }

    fn pattern(&self, second: u64, place: usize, buckets: u64, length_s: u64) -> Value {
        // A whole number of patterns keeps times positive.
        let start = second + PERIOD_S * 4_000 - buckets * length_s;
        let bucket = |nth: u64| {
            let sample = |step: u64| start + nth * length_s + step * length_s / SAMPLES;
            let sum: u64 = (0..SAMPLES).map(|step| self.draws(place, sample(step))).sum();
            self.figure(sum / SAMPLES * length_s / HOUR_S)
        };
        (0..buckets).map(bucket).collect()
    }

    /// Milliwatts by the load's pattern, as if the relay had always been as it is now.
    fn draws(&self, place: usize, second: u64) -> u64 {
        let on = self.relays.get(place).copied().unwrap_or(false);
        let load = self.loads.get(place).filter(|_| on);
        load.map_or(0, |load| u64::from(load.milliwatts(place + 1, second)))
    }

    /// Writes milliwatt-hours.
    fn figure(&self, mwh: u64) -> Value {
        match (self.figures, self.firmware) {
            (Metrics::KilowattHours, _) => format!("{}.{:06}", mwh / 1_000_000, mwh % 1_000_000).into(),
            (Metrics::WattHours, Firmware::V1) => format!("{}.{:02}", mwh / 1000, mwh % 1000 / 10).into(),
            (Metrics::WattHours, _) => (mwh / 1000).into(),
        }
    }
}
