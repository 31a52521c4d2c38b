//! Energy that a plug counts by itself. Its counters may stand still for long, go on while the bridge is away, and
//! begin again at zero; what they say is added to the meters, which never fall. Between two figures the meters may
//! run ahead of a counter by what was integrated; then they stand still until it has caught up.

use crate::model::{CounterState, Energy, MAX_WATTS, Now};
use std::time::Duration;

/// A counter may be so much later than what was drawn, beside the time in which it stood still.
const SLACK: Duration = Duration::from_secs(3600);

/// A counter that was not told for so long is waited for no more: energy is integrated again.
const SILENT: Duration = Duration::from_secs(900);

/// A figure that is lower by no more than can be drawn in so many milliseconds is an older one that came late, or its
/// last digit.
const LATE_MS: u64 = 10_000;

/// What others have told is in a figure that is no older.
const FRESH: Duration = Duration::from_secs(15);

/// The counters of one plug's ports; empty for plugs that have none.
#[derive(Debug, Default)]
pub(super) struct Counters(Vec<Option<Counter>>);

#[derive(Debug, Clone, Copy)]
struct Counter {
    state: CounterState,
    /// When it was told last in this run.
    told_at: Option<Duration>,
    /// When it was seen to move last in this run.
    moved_at: Option<Duration>,
    /// The meter is ahead of it, and waits since then.
    waits: Option<Duration>,
}

impl Counters {
    pub(super) fn new(kept: &[Option<CounterState>]) -> Self {
        let counter = |state: &CounterState| Counter {
            state: *state,
            told_at: None,
            moved_at: None,
            waits: (state.ahead != Energy::default()).then_some(Duration::ZERO),
        };
        Self(kept.iter().map(|kept| kept.as_ref().map(counter)).collect())
    }

    /// As they are to be remembered.
    pub(super) fn state(&self) -> Vec<Option<CounterState>> {
        self.0.iter().map(|counter| counter.map(|counter| counter.state)).collect()
    }

    /// A port's counter, port 1 at 0, shows this much: what the meter is to count. `None` for the first figure of
    /// all, from which it goes on. `away` is how long the bridge was not there before this run.
    pub(super) fn told(&mut self, index: usize, now: &Now, shows: Energy, away: Duration) -> Option<Energy> {
        if self.0.len() <= index {
            self.0.resize(index + 1, None);
        }
        let place = self.0.get_mut(index)?;
        let now_ms = if now.plausible() { now.unix_ms } else { 0 };
        let Some(Counter { state, told_at, moved_at, waits }) = place else {
            let state = CounterState { shows, ahead: Energy::default(), moved_ms: now_ms };
            *place = Some(Counter { state, told_at: Some(now.up), moved_at: Some(now.up), waits: None });
            return None;
        };
        *told_at = Some(now.up);
        let fallen = state.shows.beyond(shows);
        if fallen != Energy::default() && fallen <= Energy::drawn(MAX_WATTS, MAX_WATTS, LATE_MS) {
            return Some(Energy::default());
        }
        // Much less than before: it has begun again, and shows what was drawn since.
        let drawn = if shows < state.shows { shows } else { shows.beyond(state.shows) };
        let passed = match *moved_at {
            Some(at) => now.up.saturating_sub(at),
            None => now.ms_since(state.moved_ms).map_or(away + now.up, Duration::from_millis),
        };
        let passed = passed + SLACK;
        let most = Energy::drawn(MAX_WATTS, MAX_WATTS, u64::try_from(passed.as_millis()).unwrap_or(u64::MAX));
        state.shows = shows;
        if drawn != Energy::default() {
            (*moved_at, state.moved_ms) = (Some(now.up), now_ms);
        }
        if drawn > most {
            // No socket gives so much: the counter goes on from there, and what was integrated stands.
            (state.ahead, *waits) = (Energy::default(), None);
            return Some(Energy::default());
        }
        let counted = drawn.beyond(state.ahead);
        state.ahead = state.ahead.beyond(drawn);
        *waits = (state.ahead != Energy::default()).then_some(now.up);
        Some(counted)
    }

    /// A port has a counter, and it was told not long ago.
    pub(super) fn is_told(&self, index: usize, now: &Now) -> bool {
        let told_at = self.0.get(index).and_then(|counter| counter.as_ref()?.told_at);
        told_at.is_some_and(|at| at + SILENT >= now.up)
    }

    /// So much was integrated since the reading before, in a reading without a figure of the counter: what of it
    /// counts, and for how long the meter has waited for a counter that is not told any more.
    pub(super) fn between(&mut self, index: usize, now: &Now, drawn: Energy) -> (Energy, Duration) {
        let Some(Some(Counter { state, waits, .. })) = self.0.get_mut(index) else {
            return (drawn, Duration::ZERO);
        };
        let waited = waits.map_or(Duration::ZERO, |since| now.up.saturating_sub(since));
        if waits.is_some() && waited <= SILENT {
            return (Energy::default(), Duration::ZERO);
        }
        *waits = None;
        state.ahead.add(drawn);
        (drawn, waited)
    }

    /// The meter was set: it goes on from there with the next figure.
    pub(super) fn set(&mut self, index: usize) {
        if let Some(Some(Counter { state, waits, .. })) = self.0.get_mut(index) {
            (state.ahead, *waits) = (Energy::default(), None);
        }
    }

    /// The meter has gone up by what others have told, before its next figure has: that has it, too.
    pub(super) fn lifted(&mut self, index: usize, now: &Now, lead: Energy) {
        if let Some(Some(Counter { state, told_at, waits, .. })) = self.0.get_mut(index)
            && told_at.is_none_or(|at| at + FRESH < now.up)
        {
            state.ahead.add(lead);
            *waits = Some(now.up);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Now {
        Now {
            up: Duration::from_secs(s),
            unix_ms: 1_795_000_000_000 + s * 1000,
            utc_offset_s: 0,
            dst_s: 0,
            nonce: 0,
        }
    }

    fn kwh(kwh: f64) -> Energy {
        Energy::from_kwh(kwh).expect("a figure")
    }

    const NONE: Duration = Duration::ZERO;

    #[test]
    fn what_a_counter_gains_counts_and_one_that_begins_again_takes_nothing_away() {
        let mut counters = Counters::default();
        let mut told = |s, shows| counters.told(1, &at(s), kwh(shows), NONE);
        assert_eq!(told(0, 500.0), None, "from here it goes on");
        assert_eq!(told(10, 500.25), Some(kwh(0.25)));
        assert_eq!(told(20, 500.25), Some(kwh(0.0)));
        assert_eq!(told(30, 0.1), Some(kwh(0.1)));
        assert_eq!(told(40, 900.0), Some(kwh(0.0)), "no socket gives so much");
        assert_eq!(told(50, 900.5), Some(kwh(0.5)));
    }

    #[test]
    fn a_figure_that_comes_late_is_no_new_beginning() {
        let mut counters = Counters::default();
        let mut told = |s, shows| counters.told(0, &at(s), kwh(shows), NONE);
        told(0, 3.0);
        assert_eq!(told(10, 3.001), Some(kwh(0.001)));
        assert_eq!(told(11, 3.0), Some(kwh(0.0)));
        assert_eq!(told(20, 3.002), Some(kwh(0.001)), "once");
    }

    #[test]
    fn a_counter_that_moves_once_a_day_is_believed() {
        let mut counters = Counters::default();
        for s in 0..86_400 / 60 {
            counters.told(0, &at(s * 60), kwh(3.0), NONE);
        }
        assert_eq!(counters.told(0, &at(86_400), kwh(43.0), NONE), Some(kwh(40.0)));
        // And one that was not seen for so long.
        let mut again = Counters::new(&counters.state());
        assert_eq!(again.told(0, &at(1), kwh(83.0), Duration::from_secs(86_400)), Some(kwh(40.0)));
    }

    #[test]
    fn one_that_moves_once_a_day_is_believed_by_a_bridge_that_began_a_moment_ago() {
        let mut counters = Counters::default();
        for s in 0..86_400 / 60 {
            counters.told(0, &at(s * 60), kwh(3.0), NONE);
        }
        // Told in this run without having moved.
        let mut again = Counters::new(&counters.state());
        let day_later = |up: u64| Now { up: Duration::from_secs(up), ..at(86_400 + up) };
        assert_eq!(again.told(0, &day_later(5), kwh(3.0), Duration::from_secs(5)), Some(kwh(0.0)));
        assert_eq!(again.told(0, &day_later(60), kwh(43.0), Duration::from_secs(5)), Some(kwh(40.0)));
        assert_eq!(again.told(0, &day_later(120), kwh(83.0), Duration::from_secs(5)), Some(kwh(0.0)));
    }

    #[test]
    fn what_was_counted_between_two_figures_is_in_the_next() {
        let mut counters = Counters::default();
        counters.told(0, &at(0), kwh(1.0), NONE);
        assert_eq!(counters.between(0, &at(1), kwh(0.3)), (kwh(0.3), NONE));
        assert_eq!(counters.told(0, &at(5), kwh(1.2), NONE), Some(kwh(0.0)));
        assert_eq!(counters.between(0, &at(6), kwh(0.3)), (kwh(0.0), NONE), "the meter waits");
        assert_eq!(counters.told(0, &at(10), kwh(1.5), NONE), Some(kwh(0.2)));
        assert_eq!(counters.between(3, &at(11), kwh(0.3)), (kwh(0.3), NONE), "a port without one");
    }

    #[test]
    fn a_counter_that_is_not_told_any_more_is_not_waited_for_for_ever() {
        let mut counters = Counters::default();
        counters.told(0, &at(0), kwh(1.0), NONE);
        counters.between(0, &at(1), kwh(0.3));
        counters.told(0, &at(5), kwh(1.2), NONE);
        let silent = 5 + SILENT.as_secs();
        assert_eq!(counters.between(0, &at(silent), kwh(0.1)), (kwh(0.0), NONE));
        assert_eq!(counters.between(0, &at(silent + 5), kwh(0.1)), (kwh(0.1), Duration::from_secs(905)));
        assert_eq!(counters.between(0, &at(silent + 10), kwh(0.1)), (kwh(0.1), NONE));
        // It is told again after all: what was counted meanwhile is in its figure.
        assert_eq!(counters.told(0, &at(silent + 15), kwh(2.2), NONE), Some(kwh(0.7)));
        // In the next run too.
        counters.between(0, &at(silent + 16), kwh(0.1));
        let mut again = Counters::new(&counters.state());
        assert_eq!(again.between(0, &at(800), kwh(0.1)), (kwh(0.0), NONE));
        assert_eq!(again.between(0, &at(905), kwh(0.1)), (kwh(0.1), Duration::from_secs(905)));
    }

    #[test]
    fn what_was_integrated_before_a_figure_that_is_no_figure_is_not_taken_off_the_next() {
        let mut counters = Counters::default();
        counters.told(0, &at(0), kwh(1.0), NONE);
        counters.between(0, &at(1), kwh(0.3));
        assert_eq!(counters.told(0, &at(5), kwh(900.0), NONE), Some(kwh(0.0)));
        assert_eq!(counters.told(0, &at(10), kwh(900.2), NONE), Some(kwh(0.2)));
    }

    #[test]
    fn what_others_have_told_is_not_counted_once_more() {
        let mut counters = Counters::default();
        counters.told(0, &at(0), kwh(1.0), NONE);
        counters.lifted(0, &at(3600), kwh(0.5));
        assert_eq!(counters.told(0, &at(3601), kwh(1.6), NONE), Some(kwh(0.1)));
        // One that was told a moment ago has it already.
        counters.lifted(0, &at(3602), kwh(0.5));
        assert_eq!(counters.told(0, &at(3603), kwh(1.7), NONE), Some(kwh(0.1)));
        counters.lifted(0, &at(9000), kwh(5.0));
        counters.set(0);
        assert_eq!(counters.told(0, &at(9001), kwh(1.8), NONE), Some(kwh(0.1)));
    }
}
