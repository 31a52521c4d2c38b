//! Spans of time that overlap, added up so that none of it counts twice.

use crate::model::Now;
use std::time::Duration;

/// Spans that are told apart; from older ones on, time may count twice.
const MAX: usize = 64;

/// Spans that were counted, in milliseconds since this run began, the oldest first; none touch.
#[derive(Debug, Default)]
pub(super) struct Gaps(Vec<(i64, i64)>);

impl Gaps {
    /// A span of this length ends now, not before any that was counted. How much of it was not counted yet.
    pub(super) fn count(&mut self, length: Duration, now: &Now) -> Duration {
        let millis = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let to = millis(now.up);
        let from = to.saturating_sub(millis(length));
        let (mut first, mut fresh) = (from, to.saturating_sub(from));
        while let Some((begin, end)) = self.0.pop_if(|(_, end)| *end >= from) {
            fresh -= end - begin.max(from);
            first = first.min(begin);
        }
        if self.0.len() >= MAX {
            self.0.remove(0);
        }
        self.0.push((first, to));
        Duration::from_millis(u64::try_from(fresh).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(up_s: u64) -> Now {
        let up = Duration::from_secs(up_s);
        Now { up, unix_ms: 0, utc_offset_s: 0, dst_s: 0, nonce: 0 }
    }

    proptest! {
        #[test]
        fn every_second_counts_once(spans in proptest::collection::vec((0_u64..9, 0_u64..60), 0..50)) {
            let mut gaps = Gaps::default();
            let (mut now, mut sum) = (100, Duration::ZERO);
            let mut seconds = std::collections::BTreeSet::new();
            for (later, length) in spans {
                now += later;
                sum += gaps.count(Duration::from_secs(length), &at(now));
                seconds.extend(now - length..now);
            }
            prop_assert_eq!(sum.as_secs(), seconds.len() as u64);
        }
    }

    #[test]
    fn a_gap_may_begin_before_the_run_and_many_have_an_end() {
        let mut gaps = Gaps::default();
        assert_eq!(gaps.count(Duration::from_secs(100), &at(3)), Duration::from_secs(100));
        assert_eq!(gaps.count(Duration::from_secs(120), &at(5)), Duration::from_secs(20));
        for nth in 1..1000 {
            assert_eq!(gaps.count(Duration::from_secs(1), &at(10 * nth)), Duration::from_secs(1));
        }
        assert_eq!(gaps.0.len(), MAX);
        assert!(gaps.count(Duration::MAX, &at(u64::MAX)) > Duration::ZERO);
    }
}
