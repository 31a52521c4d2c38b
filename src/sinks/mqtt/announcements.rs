//! Discovery messages: how each plug was announced, the second steps of changes that need two, and which of
//! its own topics a bridge has cleared itself. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::discovery_mode::DiscoveryMode;
use super::echo::Echo;
use super::homeassistant::{Announcer, Message};
use super::memory::{Announcement, Memory, Names};
use super::migration;
use crate::model::{Keep, PlugId, PlugView};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Pause between the two messages of a change that Home Assistant must digest in between.
const DIGEST: Duration = Duration::from_secs(2);

/// Own discovery topics are watched in houses up to this size.
const MAX_WATCHED: usize = 200;

/// Topics cleared by this bridge that are remembered.
const MAX_CLEARED: usize = MAX_WATCHED * 64;

/// What this bridge has announced.
#[derive(Debug)]
pub(super) struct Announcements {
    memory: Memory,
    /// Second messages of changes in two steps.
    later: VecDeque<Later>,
    /// Topics this bridge has cleared itself.
    cleared: BTreeSet<String>,
    /// Discovery topics subscribed to.
    watched: BTreeSet<String>,
    /// Whether they arrive.
    pub(super) echo: Echo,
}

/// The second step of a change in two.
#[derive(Debug)]
struct Later {
    at: Duration,
    id: PlugId,
    messages: Vec<Message>,
    emptied: Vec<String>,
    /// Only now the plug is announced like this.
    how: Option<Announcement>,
}

/// What must be published, in this order, and then kept.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) messages: Vec<Message>,
    pub(super) emptied: Vec<String>,
    pub(super) keep: Option<Keep>,
}

impl Announcements {
    /// What earlier runs have announced.
    pub(super) fn new(memory: Memory) -> Self {
        Self {
            memory,
            later: VecDeque::new(),
            cleared: BTreeSet::new(),
            watched: BTreeSet::new(),
            echo: Echo::default(),
        }
    }

    /// What belongs to one connection begins anew.
    pub(super) fn connected(&mut self) {
        self.later.clear();
        self.cleared.clear();
        self.watched.clear();
        self.echo.connected();
    }

    /// What is kept over restarts.
    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    /// When there is a second step to take, or a message has not come back.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        self.later.front().map(|later| later.at).into_iter().chain(self.echo.wake_at()).min()
    }

    /// Announces a plug, or takes its announcement back.
    pub(super) fn announce(
        &mut self,
        now: Duration,
        announcer: &Announcer,
        id: &PlugId,
        plug: Option<&PlugView>,
    ) -> Said {
        let plug = plug.filter(|_| !self.memory.deleted(id));
        let messages = plug.map(|plug| announcer.messages(plug)).unwrap_or_default();
        let how = plug.and_then(|plug| announcer.announcement(plug));
        let steps = migration::transition(id, self.memory.announced(id), how.as_ref(), messages);
        // A change under way begins again from where it began.
        self.later.retain(|later| later.id != *id);
        if !steps.pause {
            let keep = self.memory.announce(id, how);
            return Said { messages: steps.first, emptied: steps.emptied, keep };
        }
        let (messages, emptied) = (steps.second, steps.emptied);
        self.later.push_back(Later { at: now + DIGEST, id: id.clone(), messages, emptied, how });
        Said { messages: steps.first, ..Said::default() }
    }

    /// The next second step whose time has come.
    pub(super) fn due(&mut self, now: Duration) -> Option<Said> {
        let later = if self.later.front()?.at <= now { self.later.pop_front()? } else { return None };
        let keep = self.memory.announce(&later.id, later.how);
        Some(Said { messages: later.messages, emptied: later.emptied, keep })
    }

    /// A discovery message is published. Whether its topic is to be subscribed to from now on: Home Assistant
    /// clears it when a user deletes the device.
    pub(super) fn published(&mut self, announcer: &Announcer, topic: &str) -> bool {
        self.cleared.remove(topic);
        let watch = announcer.mode == DiscoveryMode::Device
            && self.watched.len() < MAX_WATCHED
            && self.watched.insert(topic.to_owned());
        if watch {
            self.echo.published(topic);
        }
        watch
    }

    /// This bridge clears a topic.
    pub(super) fn clears(&mut self, topic: &str) {
        self.cleared.insert(topic.to_owned());
        while self.cleared.len() > MAX_CLEARED {
            self.cleared.pop_first();
        }
    }

    /// A topic was cleared; if by somebody else, the plug that was announced there.
    pub(super) fn cleared(&mut self, topic: &str) -> Option<PlugId> {
        if self.cleared.remove(topic) {
            return None;
        }
        let is_its = |(id, how): &(&PlugId, &Announcement)| migration::topics_of(how, id).contains_key(topic);
        self.memory.all_announced().find(is_its).map(|(id, _)| id.clone())
    }

    /// The user deleted this plug, and it is to stay so.
    pub(super) fn delete(&mut self, id: &PlugId) -> Option<Keep> {
        self.memory.delete(id)
    }

    /// This plug is known no more: should it come back, it is a new one.
    pub(super) fn forget_deletion(&mut self, id: &PlugId) -> Option<Keep> {
        self.memory.forget_deletion(id)
    }

    /// All is published under these names.
    pub(super) fn name(&mut self, names: &Names) -> Keep {
        self.memory.name(names)
    }

    /// What was announced under other prefixes is somebody else's.
    pub(super) fn only_under(&mut self, prefix: &str) {
        self.memory.only_under(prefix);
    }
}
