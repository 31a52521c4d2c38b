//! The base topic, the discovery prefix or the form of announcements is another one than in the run before:
//! what was told under the old names is taken back. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::homeassistant::Announcer;
use super::memory::{Memory, Names};
use super::migration;
use super::session::Session;
use super::topics;
use std::collections::BTreeSet;
use tracing::info;

/// What is known of the names of the run before.
#[derive(Debug, Default)]
pub(super) struct Former {
    /// Those that are not ours any more, until all is taken back.
    names: Option<Names>,
    /// Nobody else lives under them.
    free: bool,
    /// Ours are remembered.
    remembered: bool,
}

/// What this run calls its topics.
fn names(announcer: &Announcer) -> Names {
    let bridge = announcer.bridge().is_some();
    Names { base: announcer.base.clone(), prefix: announcer.prefix.clone(), bridge }
}

impl Former {
    /// What stands under other names than those of now.
    pub(super) fn new(announcer: &Announcer, memory: &Memory) -> Self {
        let remembered = memory.names() == Some(&names(announcer));
        Self { free: false, remembered, names: memory.names().filter(|_| !remembered).cloned() }
    }
}

impl Session {
    /// The base topic of the run before, as long as something may stand there. That is taken back at the
    /// next connection, once [`former_is_free`](Self::former_is_free) has been said.
    pub fn former_base(&self) -> Option<&str> {
        self.former.names.as_ref().map(|names| names.base.as_str())
    }

    /// Nobody else acts under the names of the run before (`true`), or somebody does and all there is
    /// theirs.
    pub fn former_is_free(&mut self, free: bool) {
        self.former.free = free;
        if !free {
            self.former.names = None;
            let prefix = self.announcer().prefix.clone();
            self.memory.only_under(&prefix);
        }
    }

    /// Takes back what stands under the names of the run before.
    pub(super) fn take_back_former(&mut self) {
        let Some(names) = self.former.names.as_ref().filter(|_| self.former.free) else { return };
        let owned = migration::owned(self.announcer(), &self.view, &self.memory);
        let mut topics = BTreeSet::new();
        if names.base != self.base() {
            let base = &names.base;
            for (id, how) in self.memory.all_announced() {
                topics.extend(migration::state_tails(how).iter().map(|tail| format!("{base}/{id}/{tail}")));
            }
            // Also those that were told and not announced.
            for plug in self.view.plugs.values().filter(|plug| topics::shown(plug)) {
                let tails = migration::offer_tails(plug.offer);
                topics.extend(tails.iter().map(|tail| format!("{base}/{}/{tail}", plug.id)));
            }
            topics.extend(migration::bridge_topics(base));
        }
        // Home Assistant warns of announcements taken back that it has never heard of.
        if names.bridge {
            let old = Announcer {
                base: names.base.clone(),
                prefix: names.prefix.clone(),
                ..self.announcer().clone()
            };
            topics.insert(old.bridge_topic());
        }
        let topics: Vec<String> = topics.difference(&owned).cloned().collect();
        info!(
            base = names.base,
            prefix = names.prefix,
            topics = topics.len(),
            "what was told under other names is taken back"
        );
        self.empty(topics);
    }

    /// All is told under the names of now, and what stood under others is taken back.
    pub(super) fn names_told(&mut self) {
        // Where it is not known who lives there, the next connection looks again.
        if self.former.remembered || (self.former.names.is_some() && !self.former.free) {
            return;
        }
        self.former = Former { remembered: true, ..Former::default() };
        let kept = self.memory.name(&names(self.announcer()));
        self.keep(Some(kept));
    }
}
