//! Conversations under way: one for each plug and address, and only so many young ones at a time.

use crate::model::{Endpoint, Now, Who};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Polls in flight while the program starts and finds out who is there; more wait for these to
/// end or to grow old.
pub(super) const AT_START: usize = 16;
const START: Duration = Duration::from_secs(10);

/// Polls in flight later. Each takes some 35 KiB, most of it the HTTP client's.
const LATER: usize = 32;

/// A poll in flight for longer no longer keeps others waiting: the plug is slow or dead.
const YOUNG_AT_START: Duration = Duration::from_millis(250);
const YOUNG: Duration = Duration::from_millis(50);

/// When a conversation began, and its number.
type Age = (Duration, u64);

/// Conversations under way.
#[derive(Debug)]
pub(super) struct InFlight {
    talks: BTreeMap<Who, (Age, Endpoint)>,
    /// When they began.
    ages: BTreeSet<Age>,
    /// Addresses in a conversation: nobody is ever connected to twice.
    lines: BTreeSet<Endpoint>,
    /// Conversations begun so far.
    begun: u64,
    /// When the hub woke up.
    woke: Duration,
}

impl InFlight {
    pub(super) fn new(now: &Now) -> Self {
        let (talks, ages, lines) = Default::default();
        Self { talks, ages, lines, begun: 0, woke: now.up }
    }

    /// Somebody is spoken to at this address.
    pub(super) fn engaged(&self, place: &Endpoint) -> bool {
        self.lines.contains(place)
    }

    /// This one is spoken to, at whatever address.
    pub(super) fn speaks_to(&self, who: &Who) -> bool {
        self.talks.contains_key(who)
    }

    /// There is room for one more poll among those of this many plugs.
    pub(super) fn has_room(&self, now: &Now, plugs: usize) -> bool {
        let (room, age) = self.room(now, plugs);
        let since = now.up.saturating_sub(age);
        let young = self.ages.iter().rev().take_while(|(began, _)| *began > since).count();
        young < room
    }

    /// When there will be room because what fills it has grown old.
    pub(super) fn room_at(&self, now: &Now, plugs: usize) -> Option<Duration> {
        let (room, age) = self.room(now, plugs);
        self.ages.iter().rev().nth(room.saturating_sub(1)).map(|(began, _)| *began + age)
    }

    /// How many young polls there may be, and how long a poll is young.
    fn room(&self, now: &Now, plugs: usize) -> (usize, Duration) {
        match now.up.saturating_sub(self.woke) < START {
            true => (AT_START, YOUNG_AT_START),
            false => (LATER.max(plugs / 32), YOUNG),
        }
    }

    pub(super) fn begin(&mut self, now: &Now, who: Who, place: Endpoint) {
        self.lines.insert(place);
        self.begun += 1;
        let age = (now.up, self.begun);
        self.ages.insert(age);
        self.talks.insert(who, (age, place));
    }

    pub(super) fn end(&mut self, who: &Who) {
        if let Some((age, place)) = self.talks.remove(who) {
            self.ages.remove(&age);
            self.lines.remove(&place);
        }
    }
}
