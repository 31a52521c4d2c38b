//! How much is published at once: announcing a fleet is spread out so that brokers do not drop what a slow
//! subscriber has not fetched. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

/// This many topics at once, then so many a second. A discovery message counts as ten.
const BURST: f64 = 8000.0;
const RATE: f64 = 2000.0;

/// Pause before more is published when the pace has been reached.
const PAUSE: Duration = Duration::from_millis(20);

/// A bucket of topics that may be published.
#[derive(Debug)]
pub(super) struct Pace {
    left: f64,
    filled_at: Duration,
}

impl Pace {
    /// Nothing has been published yet.
    pub(super) fn full(now: Duration) -> Self {
        Self { left: BURST, filled_at: now }
    }

    /// Time has passed.
    pub(super) fn refill(&mut self, now: Duration) {
        let filled = now.saturating_sub(self.filled_at).as_secs_f64() * RATE;
        self.left = (self.left + filled).min(BURST);
        self.filled_at = now;
    }

    /// So many topics are published.
    pub(super) fn spend(&mut self, topics: f64) {
        self.left -= topics;
    }

    /// Whether more may be published now.
    pub(super) fn allows(&self) -> bool {
        self.left > 0.0
    }

    /// How long to wait for more.
    pub(super) fn pause(&self) -> Duration {
        if self.allows() { Duration::ZERO } else { PAUSE }
    }
}
