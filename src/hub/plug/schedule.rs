//! When a plug is asked next: on the grid of its group, earlier after something moved, ever more
//! rarely while it is dead.

use crate::hub::rules::Pace;
use crate::model::{Backoff, Now};
use std::collections::VecDeque;
use std::time::Duration;

/// A dead plug is tried at least this often.
const MAX_BACK_OFF: Duration = Duration::from_secs(30);

/// While something is expected to have moved, a plug that does not answer is tried at least this often.
const EXPECTED: Duration = Duration::from_secs(5);

/// In a fleet with room for that each plug has its own moment in the interval, so that none waits for another: where
/// the moments are this far apart, or where there are no more plugs than this.
const APART: Duration = Duration::from_millis(10);
const SMALL: u32 = 32;

/// In a larger one so many are asked together, so that one wake-up serves many; two to four times
/// an interval.
const TOGETHER: u32 = 100;

/// Pause between two polls that were asked for.
const REFRESH_EVERY: Duration = Duration::from_secs(1);

/// Pause after any conversation before a question that can wait: plugs want to be left alone in between.
const BREATH: Duration = Duration::from_millis(100);

/// When one plug is asked next.
#[derive(Debug)]
pub(super) struct Schedule {
    due: Duration,
    /// Further early polls, soonest first.
    burst: VecDeque<Duration>,
    /// Polls that went unanswered in a row.
    misses: u32,
    /// Polls in a row that a dead plug did not answer.
    dead: u32,
    /// Position in the fleet, spreads the polls over the groups.
    ordinal: u32,
    /// Nothing is begun before: another conversation has its address.
    held: Duration,
    /// Nobody gets it asked out of turn before.
    refresh_from: Duration,
    /// Questions that can wait do so until then.
    rests_until: Duration,
}

impl Schedule {
    /// Due at once.
    pub(super) fn new(now: &Now, ordinal: u32) -> Self {
        let burst = VecDeque::new();
        Self {
            due: now.up,
            burst,
            misses: 0,
            dead: 0,
            ordinal,
            held: Duration::ZERO,
            refresh_from: Duration::ZERO,
            rests_until: Duration::ZERO,
        }
    }

    /// When it is asked next.
    pub(super) fn at(&self) -> Duration {
        self.due.max(self.held)
    }

    /// Before this nothing can be begun.
    pub(super) fn held(&self) -> Duration {
        self.held
    }

    /// A conversation has ended.
    pub(super) fn rest(&mut self, now: &Now) {
        self.rests_until = now.up + BREATH;
    }

    /// Until when questions that can wait do so.
    pub(super) fn rests_until(&self) -> Duration {
        self.rests_until
    }

    pub(super) fn misses(&self) -> u32 {
        self.misses
    }

    /// Ask at once.
    pub(super) fn look_now(&mut self, now: &Now) {
        self.due = now.up;
    }

    /// Somebody wants it asked now, as many did before: once a second is enough for all of them.
    pub(super) fn refresh(&mut self, now: &Now) {
        let at = now.up.max(self.refresh_from);
        if at < self.due {
            self.due = at;
            self.refresh_from = at + REFRESH_EVERY;
        }
    }

    /// Begin nothing for so long.
    pub(super) fn hold(&mut self, now: &Now, by: Duration) {
        self.held = now.up + by;
    }

    /// Something moved: look again soon, and a few times more.
    pub(super) fn hurry(&mut self, now: &Now, pace: &Pace) {
        let beat = pace.burst.min(pace.poll);
        let early = std::iter::once(beat / 2);
        let later = (1..=u32::from(pace.burst_polls)).map(|n| beat * n);
        self.burst = early.chain(later).map(|after| now.up + after).collect();
    }

    /// As after a change, and without waiting for a conversation to end.
    pub(super) fn look_soon(&mut self, now: &Now, pace: &Pace) {
        self.hurry(now, pace);
        self.due = self.burst.front().map_or(self.due, |first| self.due.min(*first));
    }

    /// No reason to look early any more.
    pub(super) fn calm(&mut self) {
        self.burst.clear();
    }

    /// It answered.
    pub(super) fn answered(&mut self) {
        (self.dead, self.misses) = (0, 0);
    }

    /// So many polls went unanswered.
    pub(super) fn missed(&mut self, count: u32) {
        self.misses = self.misses.saturating_add(count);
    }

    /// It is dead: ask ever more rarely.
    pub(super) fn slow_down(&mut self) {
        self.dead = self.dead.saturating_add(1);
    }

    /// It is somewhere else: what was learnt about its silence does not count.
    pub(super) fn start_over(&mut self, now: &Now) {
        self.due = now.up;
        self.dead = 0;
    }

    /// Sets the time of the next poll, after a conversation that began at `began`.
    pub(super) fn next(&mut self, now: &Now, began: Duration, pace: &Pace, fleet: usize) {
        if self.dead > 0 {
            let back_off = Backoff::doubling(pace.poll, MAX_BACK_OFF.max(pace.poll));
            // Waiting in vain is part of the pause, so that the longest is what it is said to be.
            let at_latest = (began + back_off.longest).max(now.up + pace.poll);
            self.due = (now.up + back_off.pause(self.dead)).min(at_latest);
            return;
        }
        while self.burst.front().is_some_and(|at| *at <= now.up) {
            self.burst.pop_front();
        }
        if self.misses > 0 {
            // Whether it is dead must be known soon: no waiting for the grid.
            let apart = if self.burst.is_empty() { pace.poll } else { pace.poll.min(EXPECTED) };
            self.due = (began + apart).max(now.up + apart / 100);
            return;
        }
        let grid = self.grid(now.up, pace.poll, groups(fleet, pace.poll));
        self.due = self.burst.front().map_or(grid, |burst| grid.min(*burst));
    }

    /// The next time its group is due, at least a tenth of an interval away.
    fn grid(&self, up: Duration, poll: Duration, groups: u32) -> Duration {
        let step = poll.as_micros().max(1);
        let phase = step * u128::from(self.ordinal % groups) / u128::from(groups);
        let earliest = up.as_micros() + step / 10;
        let turns = earliest.saturating_sub(phase).div_ceil(step);
        let at = phase + turns * step;
        Duration::from_micros(u64::try_from(at).unwrap_or(u64::MAX))
    }
}

/// Groups into which the polls of an interval fall, for so many plugs.
fn groups(fleet: usize, poll: Duration) -> u32 {
    let room = u32::try_from(poll.as_millis() / APART.as_millis()).unwrap_or(u32::MAX);
    match u32::try_from(fleet).unwrap_or(u32::MAX) {
        few if few <= room.max(SMALL) => few.max(1),
        many => (many / TOGETHER).clamp(2, 4),
    }
}
