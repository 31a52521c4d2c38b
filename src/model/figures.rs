//! Figures about each plug's conversations, for monitoring: counted from the start of the program.

use super::{Failure, PlugId, View};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Upper ends of the ranges in which times are counted, in seconds; one more range lies beyond.
pub const RANGES_S: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Everything at one moment.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// What everybody may see.
    pub view: Arc<View>,
    /// Plugs that were taken in.
    pub plugs: BTreeMap<PlugId, PlugFigures>,
}

/// Figures about one plug.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlugFigures {
    /// As last read, port 1 first.
    pub ports: Vec<PortFigures>,
    /// Polls by how they ended: `ok`, or the word of the failure.
    pub polls: OutcomeCounters,
    /// How long polls took that brought a reading.
    pub poll_times: Histogram,
    /// Commands by how they ended: `ok`, or the word of the error.
    pub commands: OutcomeCounters,
    /// From arrival to confirmation.
    pub command_times: Histogram,
    /// Session keys that had to be negotiated anew, for families that have any.
    pub renewals: u64,
    /// Values it told that cannot be, and were not believed.
    pub refused: u64,
    /// How often it was followed to a new address.
    pub moves: u64,
    /// Seconds in which energy was not metered.
    pub unmetered_s: u64,
    /// When it last answered, milliseconds since 1970; `None` while it has not in this run.
    pub seen_ms: Option<u64>,
}

impl PlugFigures {
    /// One more poll, with what it failed by, if it did.
    pub fn count_poll(&mut self, failure: Option<&Failure>, took: Duration) {
        self.polls.count(failure.map_or("ok", Failure::word));
        if failure.is_none() {
            self.poll_times.note(took);
        }
    }
}

/// One port as last read, without deadbands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PortFigures {
    /// Whether the relay is closed.
    pub relay: Option<bool>,
    /// Power in watts.
    pub watts: Option<f64>,
    /// Current in amperes.
    pub amps: Option<f64>,
    /// Voltage in volts, where each port has its own.
    pub volts: Option<f64>,
    /// All it has drawn, in joules; `None` until it is certain that it is not too low.
    pub joules: Option<f64>,
}

/// How often something ended in which way.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OutcomeCounters(Vec<(&'static str, u64)>);

impl OutcomeCounters {
    /// One more that ended like this.
    pub fn count(&mut self, word: &'static str) {
        match self.0.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => self.0.push((word, 1)),
        }
    }

    /// The ways there have been.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().copied()
    }
}

/// Histogram, counted in ranges.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Histogram {
    /// How many fell into each range of [`RANGES_S`]; the last is beyond.
    pub counts: [u32; RANGES_S.len() + 1],
    /// Their sum.
    pub sum: Duration,
}

impl Histogram {
    /// One more.
    pub fn note(&mut self, time: Duration) {
        let range = RANGES_S.iter().position(|end| time.as_secs_f64() <= *end).unwrap_or(RANGES_S.len());
        if let Some(count) = self.counts.get_mut(range) {
            *count = count.saturating_add(1);
        }
        self.sum = self.sum.saturating_add(time);
    }
}
