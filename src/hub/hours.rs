//! What was metered hour by hour, and how a plug's own record fills the hours that were missed.
//!
//! Sources disagree about the unit of that record and about which hour its date names. So both are
//! learnt: every reading of it that could be meant is laid beside the hours both have seen, and
//! only one that agrees with at least three of them is believed.

use crate::model::{Energy, Hours, MAX_WATTS, Meaning, Now, RawHistory};
use std::time::Duration;

const HOUR_MS: u64 = 3_600_000;
const HOUR_S: u16 = 3600;

/// Hours kept: those of a record, the running one, and one more.
const KEPT: usize = 26;

/// An hour metered for this long is complete.
const COMPLETE_S: u16 = HOUR_S - HOUR_S / 100;

/// Stands in the place of the seconds of an hour that was filled from the plug's record.
const FILLED: u16 = u16::MAX;

/// Hours that must agree before a record is believed, and how well.
const WITNESSES: usize = 3;
const TOLERANCE: f64 = 0.05;

/// What the figures of a record may mean, in watt-hours.
const UNITS: [f64; 3] = [1.0, 1000.0, 0.001];

/// Energy that was missed in one hour.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Filled {
    /// When the hour began, milliseconds since 1970.
    pub(super) unix_ms: u64,
    hour: u64,
    /// Port 1 first.
    pub(super) ports: Vec<Energy>,
}

impl Hours {
    /// Begins with the running hour.
    pub(super) fn new(now: &Now) -> Self {
        let first = now.local_ms() / HOUR_MS;
        Self { first, utc_offset_s: now.utc_offset_s, origin: first, ..Self::default() }
    }

    /// Books what the ports have drawn in the time that has just passed; `metered` is false for a
    /// gap. True when an hour has ended.
    pub(super) fn book(&mut self, now: &Now, passed: Duration, drawn: &[Energy], metered: bool) -> bool {
        let end = now.local_ms();
        let mut begun = self.running_hour();
        let ports = u8::try_from(drawn.len()).unwrap_or(u8::MAX);
        // After summer time or a clock set back hours cannot be told apart.
        if now.utc_offset_s != self.utc_offset_s || end / HOUR_MS < begun || ports != self.ports {
            *self = Self::new(now);
            self.ports = ports;
            begun = self.first;
        }
        let passed_ms = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX);
        let start = end.saturating_sub(passed_ms).max(begun * HOUR_MS);
        let mut from = if metered { start } else { end };
        loop {
            self.reach(from / HOUR_MS);
            let until = end.min((from / HOUR_MS + 1) * HOUR_MS);
            if metered {
                self.running_ms += until - from;
                for (sum, drawn) in self.running.iter_mut().zip(drawn) {
                    sum.add(drawn.share(until - from, passed_ms));
                }
            }
            self.write();
            if until >= end {
                break;
            }
            from = until;
        }
        self.running_hour() > begun
    }

    fn running_hour(&self) -> u64 {
        self.first + (self.metered_s.len() as u64).saturating_sub(1)
    }

    /// Books what a port had drawn before a crash and the file did not know; not its time.
    pub(super) fn credit(&mut self, port: usize, energy: Energy) {
        if let Some(sum) = self.running.get_mut(port) {
            sum.add(energy);
            self.write();
        }
    }

    /// Makes this hour the running one.
    fn reach(&mut self, hour: u64) {
        let ports = usize::from(self.ports);
        if self.metered_s.is_empty() {
            self.first = hour;
            self.metered_s.push(0);
        }
        // More than a list's worth of hours has passed: the old ones are of no use.
        if hour - self.first > 2 * KEPT as u64 {
            (self.first, self.metered_s) = (hour, vec![0]);
            self.drawn.clear();
            self.running_ms = 0;
            self.running.clear();
        }
        while self.running_hour() < hour {
            self.metered_s.push(0);
            self.running_ms = 0;
            self.running.clear();
        }
        let rows = self.metered_s.len();
        self.drawn.resize(rows * ports, 0);
        if self.running.len() < ports {
            let written = self.drawn.get((rows - 1) * ports..).unwrap_or_default();
            self.running = written.iter().map(|tenths| Energy::from_wh(f64::from(*tenths) / 10.0)).collect();
            self.running_ms = u64::from(self.metered_s.last().copied().unwrap_or(0)) * 1000;
        }
        let surplus = rows.saturating_sub(KEPT);
        self.metered_s.drain(..surplus);
        self.drawn.drain(..surplus * ports);
        self.first += surplus as u64;
    }

    fn write(&mut self) {
        let ports = usize::from(self.ports);
        let last = self.metered_s.len().saturating_sub(1);
        if let Some(metered_s) = self.metered_s.last_mut() {
            *metered_s = u16::try_from(self.running_ms / 1000).unwrap_or(HOUR_S).min(HOUR_S);
        }
        let row = self.drawn.get_mut(last * ports..).unwrap_or_default();
        for (cell, sum) in row.iter_mut().zip(&self.running) {
            *cell = tenths(*sum);
        }
    }

    fn metered(&self, hour: u64) -> Option<u16> {
        let row = usize::try_from(hour.checked_sub(self.first)?).ok()?;
        self.metered_s.get(row).copied()
    }

    /// Watt-hours of one port in one hour.
    fn wh(&self, hour: u64, port: usize) -> f64 {
        let row = usize::try_from(hour.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let cell = row.checked_mul(self.ports.into()).and_then(|at| self.drawn.get(at + port));
        cell.map_or(0.0, |tenths| f64::from(*tenths) / 10.0)
    }

    /// Hours that are over and were not metered as a whole, since metering began.
    fn missed(&self, now: &Now) -> impl Iterator<Item = u64> + '_ {
        let running = now.local_ms() / HOUR_MS;
        let rows = (self.first..).zip(&self.metered_s);
        rows.filter(move |(hour, metered_s)| {
            *hour > self.origin && *hour < running && **metered_s < COMPLETE_S
        })
        .map(|(hour, _)| hour)
    }

    /// There is something a record could fill.
    pub(super) fn wants_record(&self, now: &Now) -> bool {
        self.missed(now).next().is_some()
    }

    /// What a record says about the hours that were missed.
    ///
    /// # Errors
    ///
    /// Why it cannot be believed, in words.
    pub(super) fn compare(&self, record: &RawHistory, now: &Now) -> Result<Vec<Filled>, &'static str> {
        let (believed, witnesses) = self.believed(record, now);
        let offers: Vec<Vec<Filled>> =
            believed.iter().map(|(_, reading)| self.missing(reading, now)).collect();
        let total = |offer: &Vec<Filled>| offer.iter().flat_map(|hour| &hour.ports).copied().sum::<Energy>();
        let (Some(least), Some(most)) = (offers.iter().map(total).min(), offers.iter().map(total).max())
        else {
            return Err(match witnesses < WITNESSES {
                true => "there are fewer than three hours to compare its record with",
                false => "its record does not agree with what was metered",
            });
        };
        if most.beyond(least).wh() > most.wh() * TOLERANCE {
            return Err("its record can be read in two ways that fit equally well");
        }
        Ok(offers.into_iter().min_by_key(total).unwrap_or_default())
    }

    /// How a record is to be read, if that can be believed.
    pub(super) fn meaning(&self, record: &RawHistory, now: &Now) -> Option<Meaning> {
        let (believed, _) = self.believed(record, now);
        believed.first().map(|(dated_first, reading)| Meaning { wh: reading.unit, dated_first: *dated_first })
    }

    /// The readings of a record that agree with what was metered, and whether its date is that of the
    /// first bucket; how many hours could be compared.
    fn believed<'a>(&self, record: &'a RawHistory, now: &Now) -> (Vec<(bool, Reading<'a>)>, usize) {
        let running = now.local_ms() / HOUR_MS;
        let buckets = record.rows.iter().map(Vec::len).max().unwrap_or(0) as u64;
        // It may name the last bucket or the first; undated, the last may be this hour or the one before.
        let back = buckets.saturating_sub(1);
        let begins = match record.dated_hour() {
            Some(hour) => [(false, hour.checked_sub(back)), (true, Some(hour))],
            None => [(false, running.checked_sub(back)), (false, running.checked_sub(back + 1))],
        };
        let digit = last_digit(record);
        let mut believed = Vec::new();
        let mut witnesses = 0;
        for (dated_first, begin) in begins {
            let Some(begin) = begin else { continue };
            for unit in UNITS {
                let reading = Reading { record, begin, unit, digit: digit * unit };
                let (agree, differ) = self.weigh(&reading, running);
                witnesses = witnesses.max(agree + differ);
                if agree >= WITNESSES && differ * 4 <= agree {
                    believed.push((dated_first, reading));
                }
            }
        }
        (believed, witnesses)
    }

    /// How many complete hours agree with a reading of the record, and how many do not.
    fn weigh(&self, reading: &Reading<'_>, running: u64) -> (usize, usize) {
        let (mut agree, mut differ) = (0, 0);
        for hour in self.first..running {
            let complete = self.metered(hour).is_some_and(|s| (COMPLETE_S..=HOUR_S).contains(&s));
            let ports = usize::from(self.ports);
            let cells = (0..ports).map(|port| (self.wh(hour, port), reading.wh(hour, port)));
            let cells: Option<Vec<(f64, f64)>> = cells.map(|(ours, theirs)| Some((ours, theirs?))).collect();
            let Some(cells) = cells.filter(|_| complete) else { continue };
            // Half of what is shown is lost in the last digit of a small figure.
            let close = |(ours, theirs): &(f64, f64)| {
                (ours - theirs).abs() <= (ours * TOLERANCE).max(reading.digit * 1.5)
            };
            let telling = |(ours, theirs): &(f64, f64)| ours.max(*theirs) >= reading.digit * 30.0;
            if !cells.iter().all(close) {
                differ += 1;
            } else if cells.iter().any(telling) {
                agree += 1;
            }
        }
        (agree, differ)
    }

    /// What a reading of the record has more than was metered, as far as a socket can have drawn it
    /// in the time that was not metered.
    fn missing(&self, reading: &Reading<'_>, now: &Now) -> Vec<Filled> {
        let fill = |hour: u64| {
            let unmetered_s = f64::from(HOUR_S.saturating_sub(self.metered(hour)?));
            let most = MAX_WATTS * unmetered_s / f64::from(HOUR_S);
            let port = |port: usize| {
                let missed = reading.wh(hour, port)? - self.wh(hour, port);
                Some(Energy::from_wh(missed.clamp(0.0, most)))
            };
            let ports = (0..usize::from(self.ports)).map(port).collect::<Option<Vec<_>>>()?;
            let unix_ms = now.unix_ms_of(hour * HOUR_MS);
            Some(Filled { unix_ms, hour, ports })
        };
        self.missed(now).filter_map(fill).collect()
    }

    /// These hours are accounted for now.
    pub(super) fn fill(&mut self, filled: &[Filled]) {
        for hour in filled {
            let Some(row) = hour.hour.checked_sub(self.first).and_then(|row| usize::try_from(row).ok())
            else {
                continue;
            };
            if let Some(metered_s) = self.metered_s.get_mut(row) {
                *metered_s = FILLED;
            }
        }
    }
}

/// One way to read a record.
struct Reading<'a> {
    record: &'a RawHistory,
    /// The hour of the first bucket.
    begin: u64,
    /// Watt-hours that a figure of 1 stands for.
    unit: f64,
    /// Watt-hours that the last digit stands for.
    digit: f64,
}

impl Reading<'_> {
    fn wh(&self, hour: u64, port: usize) -> Option<f64> {
        let bucket = usize::try_from(hour.checked_sub(self.begin)?).ok()?;
        let figure = (*self.record.rows.get(port)?.get(bucket)?)?;
        Some(figure * self.unit)
    }
}

/// What the last digit of its figures stands for: 1 when all are whole, 0.01 with two decimals.
fn last_digit(record: &RawHistory) -> f64 {
    let whole = |figure: f64| (figure - figure.round()).abs() < 1e-6;
    let fits = |digit: &f64| record.rows.iter().flatten().flatten().all(|figure| whole(figure / digit));
    [1.0, 0.1, 0.01, 1e-3, 1e-4, 1e-5].into_iter().find(fits).unwrap_or(1e-6)
}

/// Tenths of a watt-hour; five kilowatts for an hour are 50 000 of them.
fn tenths(energy: Energy) -> u16 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, never wraps")]
    let tenths = (energy.wh() * 10.0).round() as u16;
    tenths
}

#[cfg(test)]
mod tests;
