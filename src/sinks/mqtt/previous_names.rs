//! The base topic, the discovery prefix or the form of announcements is another one than in the run before:
//! what was told under the old names is taken back. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::homeassistant::Announcer;
use super::memory::{Memory, Names};
use super::migration;
use super::topics;
use crate::model::View;
use std::collections::BTreeSet;
use tracing::info;

/// What is known of the names of the run before.
#[derive(Debug, Default)]
pub(super) struct PreviousNames {
    /// Those that are not ours any more, until all is taken back.
    names: Option<Names>,
    /// Nobody else lives under them.
    free: bool,
    /// Ours are remembered.
    remembered: bool,
}

/// What this run calls its topics.
pub(super) fn names(announcer: &Announcer) -> Names {
    let bridge = announcer.bridge().is_some();
    Names { base: announcer.base.clone(), prefix: announcer.prefix.clone(), bridge }
}

impl PreviousNames {
    /// What stands under other names than those of now.
    pub(super) fn new(announcer: &Announcer, memory: &Memory) -> Self {
        let remembered = memory.names() == Some(&names(announcer));
        Self { free: false, remembered, names: memory.names().filter(|_| !remembered).cloned() }
    }

    /// The base topic of the run before, as long as something may stand there.
    pub(super) fn base(&self) -> Option<&str> {
        self.names.as_ref().map(|names| names.base.as_str())
    }

    /// Nobody else acts under the names of the run before (`true`), or somebody does and all there is theirs.
    pub(super) fn is_free(&mut self, free: bool) {
        self.free = free;
        if !free {
            self.names = None;
        }
    }

    /// The topics that stand under the names of the run before and are to be taken back.
    pub(super) fn leftovers(&self, announcer: &Announcer, view: &View, memory: &Memory) -> Vec<String> {
        let Some(names) = self.names.as_ref().filter(|_| self.free) else { return Vec::new() };
        let owned = migration::owned(announcer, view, memory);
        let mut topics = BTreeSet::new();
        if names.base != announcer.base {
            let base = &names.base;
            for (id, how) in memory.all_announced() {
                topics.extend(migration::state_tails(how).iter().map(|tail| format!("{base}/{id}/{tail}")));
            }
            // Also those that were told and not announced.
            for plug in view.plugs.values().filter(|plug| topics::shown(plug)) {
                let tails = migration::offer_tails(plug.offer);
                topics.extend(tails.iter().map(|tail| format!("{base}/{}/{tail}", plug.id)));
            }
            topics.extend(migration::bridge_topics(base));
        }
        // Home Assistant warns of announcements taken back that it has never heard of.
        if names.bridge {
            let old =
                Announcer { base: names.base.clone(), prefix: names.prefix.clone(), ..announcer.clone() };
            topics.insert(old.bridge_topic());
        }
        let topics: Vec<String> = topics.difference(&owned).cloned().collect();
        info!(
            base = names.base,
            prefix = names.prefix,
            topics = topics.len(),
            "what was told under other names is taken back"
        );
        topics
    }

    /// All is told under the names of now, and what stood under others is taken back. Whether that is to be
    /// remembered.
    pub(super) fn all_told(&mut self) -> bool {
        // Where it is not known who lives there, the next connection looks again.
        if self.remembered || (self.names.is_some() && !self.free) {
            return false;
        }
        *self = Self { remembered: true, ..Self::default() };
        true
    }
}
