//! The running day and month of one plug's meters: when they turn, and what of that is still to be told. The
//! last figure of a day is told a moment before its end, and the next day begins there.

use super::period;
use crate::model::{Energy, Now, Since};
use std::time::Duration;

/// How often what was drawn today and this month is told, at the most.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// The last figure of a day is told so long before its end, that it is out before the new one begins.
const CLOSING: Duration = Duration::from_secs(2);

/// How often a day that has begun is looked at while it may not be told.
const UNTOLD: Duration = Duration::from_secs(60);

/// The running day and month of one plug's meters.
#[derive(Debug, Default)]
pub(super) struct Day {
    /// Where the meters stood when day and month began.
    since: Since,
    /// A day ends or has begun, and that was not told yet.
    turned: bool,
    /// What the meters showed when the last figure of the running day was told; there the next begins.
    closed: Option<Vec<Energy>>,
    /// When the day is to be looked at.
    at: Option<Duration>,
    told_at: Option<Duration>,
}

impl Day {
    pub(super) fn new(since: Since) -> Self {
        Self { since, ..Self::default() }
    }

    /// Where the meters stood when day and month began.
    pub(super) fn since(&self) -> &Since {
        &self.since
    }

    /// A first day begins with the meters at these figures, if none has.
    pub(super) fn begin(&mut self, now: &Now, meters: impl Iterator<Item = Energy>) {
        if !self.since.begun() {
            self.turned |= self.since.turn(now, meters);
        }
    }

    /// Looks at a clock that is `believed`: the day may end, or have ended, with the meters at these
    /// figures. True while that is to be told.
    pub(super) fn mind(
        &mut self,
        now: &Now,
        believed: bool,
        meters: impl ExactSizeIterator<Item = Energy>,
    ) -> bool {
        if !self.since.begun() || !believed {
            (self.closed, self.at) = (None, None);
            return false;
        }
        let left = period::left(now);
        if self.since.is_over(now) {
            let began = self.closed.take().filter(|began| began.len() == meters.len());
            let began = began.unwrap_or_else(|| meters.collect());
            self.turned |= self.since.turn(now, began.into_iter());
        } else if left > CLOSING {
            self.closed = None;
        } else if self.closed.is_none() {
            self.closed = Some(meters.collect());
            self.turned = true;
        }
        let next = if self.closed.is_some() { left } else { left.saturating_sub(CLOSING) };
        let next = next.max(Duration::from_millis(1));
        self.at = Some(now.up + if self.turned { next.min(UNTOLD) } else { next });
        self.turned
    }

    /// When to do so again.
    pub(super) fn at(&self) -> Option<Duration> {
        self.at
    }

    /// A day ends or has begun, and that was not told yet.
    pub(super) fn has_turned(&self) -> bool {
        self.turned
    }

    /// A meter has moved otherwise than by metering: the last figure of the day was not the last.
    pub(super) fn reopen(&mut self) {
        self.closed = None;
    }

    /// A meter, port 1 at 0, has gone up for what was drawn at this time, which may have been before today.
    pub(super) fn credit(&mut self, now: &Now, index: usize, more: Energy, at_ms: u64) {
        self.since.credit(now, index, more, at_ms);
    }

    /// A meter was set: what was drawn today stays.
    pub(super) fn set(&mut self, index: usize, from: Energy, to: Energy) {
        self.reopen();
        self.since.set(index, from, to);
    }

    /// What a port has drawn today and this month, by what its meter shows, once a day has begun.
    pub(super) fn drawn(&self, index: usize, meter: Energy) -> Option<[Energy; 2]> {
        self.since.begun().then(|| self.since.drawn(index, meter))
    }

    /// Whether that is to be told now; says so once.
    pub(super) fn take_due(&mut self, now: &Now) -> bool {
        let due = self.turned || self.told_at.is_none_or(|at| at + TOLD_EVERY <= now.up);
        if due {
            (self.turned, self.told_at) = (false, Some(now.up));
        }
        due
    }
}
