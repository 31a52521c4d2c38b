//! Topics cleared lately: a connection broken unnoticed may have swallowed that. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Topics remembered: a house of a thousand strips, announced in another form.
const MAX_REMEMBERED: usize = 1 << 16;

/// Topics cleared lately.
#[derive(Debug)]
pub(super) struct Cleared {
    topics: VecDeque<(Duration, String)>,
    /// A dead connection is noticed within this time.
    noticed: Duration,
}

impl Cleared {
    /// With this keep-alive, a dead connection is noticed within two.
    pub(super) fn new(keep_alive: Duration) -> Self {
        Self { topics: VecDeque::new(), noticed: keep_alive * 2 + Duration::from_secs(5) }
    }

    /// A topic was cleared.
    pub(super) fn add(&mut self, now: Duration, topic: &str) {
        self.topics.push_back((now, topic.to_owned()));
        self.age(now);
    }

    /// All that the connection before may not have carried to the broker.
    pub(super) fn take(&mut self, now: Duration) -> BTreeSet<String> {
        self.age(now);
        self.topics.drain(..).map(|(_, topic)| topic).collect()
    }

    fn age(&mut self, now: Duration) {
        while self.topics.len() > MAX_REMEMBERED
            || self.topics.front().is_some_and(|(at, _)| *at + self.noticed < now)
        {
            self.topics.pop_front();
        }
    }
}
