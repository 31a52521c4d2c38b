//! Figures about the bridge's work.

use crate::model::{DeviceResponse, Now, Outcome, Stats};
use std::collections::VecDeque;

/// How long the last so many polls took is kept.
const KEPT: usize = 1024;

/// Figures about the bridge's work.
#[derive(Debug, Default)]
pub(super) struct Counters {
    stats: Stats,
    took_ms: VecDeque<u64>,
}

impl Counters {
    /// A conversation with a plug has ended.
    pub(super) fn count(&mut self, outcome: &Outcome) {
        if let Ok(DeviceResponse::Reading(reading)) = &outcome.result {
            self.stats.polls_ok += 1;
            self.stats.samples += reading.ports.len() as u64;
            if self.took_ms.len() == KEPT {
                self.took_ms.pop_front();
            }
            self.took_ms.push_back(u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX));
        } else if outcome.result.is_err() {
            self.stats.polls_failed += 1;
        }
    }

    /// The figures as they are now.
    pub(super) fn stats(&self, now: &Now) -> Stats {
        let mut sorted: Vec<u64> = self.took_ms.iter().copied().collect();
        sorted.sort_unstable();
        let at =
            |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)));
        Stats {
            p50_ms: at(50).copied().unwrap_or_default(),
            p95_ms: at(95).copied().unwrap_or_default(),
            unix_ms: now.unix_ms,
            uptime_s: now.up.as_secs(),
            ..self.stats.clone()
        }
    }
}
