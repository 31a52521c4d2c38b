//! How long to wait before something that went wrong is tried again.

use std::time::Duration;

/// Pauses that grow from one vain try to the next.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The first pause.
    pub first: Duration,
    /// So many times as long is the next one.
    pub factor: f64,
    /// No pause is longer.
    pub longest: Duration,
}

impl Backoff {
    /// Pauses each twice as long as the one before.
    pub const fn doubling(first: Duration, longest: Duration) -> Self {
        Self { first, factor: 2.0, longest }
    }

    /// The pause that comes after so many others.
    pub fn pause(&self, before: u32) -> Duration {
        let seconds = self.first.as_secs_f64() * self.factor.powi(i32::try_from(before).unwrap_or(i32::MAX));
        Duration::try_from_secs_f64(seconds).unwrap_or(self.longest).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest_and_stay_there() {
        let pauses = Backoff::doubling(Duration::from_millis(250), Duration::from_secs(2));
        let ms = |before| pauses.pause(before).as_millis();
        assert_eq!([0, 1, 2, 3, 4, 99, u32::MAX].map(ms), [250, 500, 1000, 2000, 2000, 2000, 2000]);
        let slower = Backoff { factor: 1.5, ..pauses };
        assert_eq!(slower.pause(2), Duration::from_micros(562_500));
    }
}
