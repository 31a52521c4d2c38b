//! What this sink keeps over restarts, in its own section of the state file: how each plug was announced
//! to Home Assistant and under which names, so that what is no longer wanted can be taken back. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::discovery_mode::{DiscoveryMode, PortDevices};
use crate::model::{Capabilities, Keep, PlugId, Section};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tracing::warn;

/// The name of the section.
pub const SECTION: &str = "mqtt";

/// The key of [`Names`]; no plug can be called so.
const BRIDGE: &str = "bridge";

/// What the topics of a run begin with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Names {
    /// Base topic.
    pub(super) base: String,
    /// Discovery prefix.
    pub(super) prefix: String,
    /// The bridge itself was announced.
    pub(super) bridge: bool,
}

/// How a plug was announced: enough to write it again and take back what is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Announcement {
    /// Discovery prefix it was published under.
    pub(super) prefix: String,
    /// One message, or one for each entity.
    pub(super) mode: DiscoveryMode,
    /// Whether ports were devices.
    pub(super) port_devices: PortDevices,
    /// What was on offer.
    pub(super) offer: Capabilities,
}

/// What is kept of one plug.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Entry {
    #[serde(skip_serializing_if = "Option::is_none")]
    announced: Option<Announcement>,
    /// The user deleted it in Home Assistant and that is respected.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    deleted: bool,
}

/// What this sink keeps. Each change is to be handed to the hub, which writes it down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    plugs: BTreeMap<PlugId, Entry>,
    names: Option<Names>,
}

impl Memory {
    /// What earlier runs have written.
    pub fn read(section: &Section) -> Self {
        let mut memory = Self::default();
        for (key, text) in section {
            let read = if key == BRIDGE {
                serde_json::from_str(text).map(|names| memory.names = Some(names))
            } else {
                let Some(id) = PlugId::new(key) else { continue };
                serde_json::from_str(text).map(|entry| drop(memory.plugs.insert(id, entry)))
            };
            if let Err(why) = read {
                warn!(
                    key,
                    "what was announced is not understood ({why}); `cleanup` finds what is left of it"
                );
            }
        }
        memory
    }

    /// How a plug was announced, if it was.
    pub(super) fn announced(&self, id: &PlugId) -> Option<&Announcement> {
        self.plugs.get(id)?.announced.as_ref()
    }

    /// All plugs that were announced.
    pub(super) fn all_announced(&self) -> impl Iterator<Item = (&PlugId, &Announcement)> {
        self.plugs.iter().filter_map(|(id, entry)| Some((id, entry.announced.as_ref()?)))
    }

    /// All plugs of which something is kept.
    pub(super) fn plugs(&self) -> impl Iterator<Item = &PlugId> {
        self.plugs.keys()
    }

    /// Whether the user deleted this plug, and it is to stay so.
    pub(super) fn deleted(&self, id: &PlugId) -> bool {
        self.plugs.get(id).is_some_and(|entry| entry.deleted)
    }

    /// What the topics of the run before begin with.
    pub(super) fn names(&self) -> Option<&Names> {
        self.names.as_ref()
    }

    /// A plug is announced like this from now on.
    pub(super) fn announce(&mut self, id: &PlugId, how: Option<Announcement>) -> Option<Keep> {
        self.change(id, |entry| entry.announced = how)
    }

    /// The user deleted this plug, and it is to stay so.
    pub(super) fn delete(&mut self, id: &PlugId) -> Option<Keep> {
        self.change(id, |entry| entry.deleted = true)
    }

    /// This plug is known no more: should it come back, it is a new one.
    pub(super) fn forget_deletion(&mut self, id: &PlugId) -> Option<Keep> {
        self.change(id, |entry| entry.deleted = false)
    }

    /// All stands under these names.
    pub(super) fn name(&mut self, names: &Names) -> Keep {
        self.names = Some(names.clone());
        keep(BRIDGE, Some(names))
    }

    /// What was announced under other prefixes is somebody else's in this run.
    pub(super) fn only_under(&mut self, prefix: &str) {
        for entry in self.plugs.values_mut() {
            entry.announced.take_if(|how| how.prefix != prefix);
        }
    }

    fn change(&mut self, id: &PlugId, change: impl FnOnce(&mut Entry)) -> Option<Keep> {
        let old = self.plugs.get(id);
        let mut entry = old.cloned().unwrap_or_default();
        change(&mut entry);
        if old.map_or(entry == Entry::default(), |old| *old == entry) {
            return None;
        }
        let keep = keep(id.as_str(), (entry != Entry::default()).then_some(&entry));
        match keep.value {
            Some(_) => self.plugs.insert(id.clone(), entry),
            None => self.plugs.remove(id),
        };
        Some(keep)
    }
}

fn keep(key: &str, value: Option<&impl Serialize>) -> Keep {
    let value = value.and_then(|value| serde_json::to_string(value).ok());
    Keep { section: SECTION, key: key.into(), value }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SinkMemory;

    fn id(text: &str) -> PlugId {
        PlugId::new(text).expect("an id")
    }

    fn how(prefix: &str) -> Announcement {
        Announcement {
            prefix: prefix.into(),
            mode: DiscoveryMode::Component,
            port_devices: PortDevices::Child,
            offer: Capabilities {
                ports: 6,
                power: true,
                able: ["clock"].into_iter().collect(),
                ..Capabilities::default()
            },
        }
    }

    #[test]
    fn what_was_kept_comes_back_and_what_was_forgotten_does_not() {
        let (mut memory, mut kept) = (Memory::default(), SinkMemory::default());
        let (a, b, c) = (id("maxsmart-a"), id("maxsmart-b"), id("maxsmart-c"));
        let names = Names { base: "home".into(), prefix: "ha".into(), bridge: true };
        let changes = [
            memory.announce(&a, Some(how("ha"))),
            memory.announce(&b, Some(how("ha"))),
            memory.delete(&b),
            memory.announce(&b, None),
            memory.announce(&c, Some(how("ha"))),
            memory.announce(&c, None),
            Some(memory.name(&names)),
        ];
        for change in changes {
            kept.keep(change.expect("a change")).expect("room");
        }
        assert_eq!((memory.announce(&a, Some(how("ha"))), memory.announce(&c, None)), (None, None));
        let again = Memory::read(&kept.section(SECTION));
        assert_eq!(again, memory);
        assert_eq!((again.announced(&a), again.deleted(&a)), (Some(&how("ha")), false));
        assert_eq!((again.announced(&b), again.deleted(&b)), (None, true));
        assert_eq!(again.plugs().collect::<Vec<_>>(), [&a, &b]);
        assert_eq!(again.names(), Some(&names));
    }

    #[test]
    fn what_is_not_understood_costs_nothing_else() {
        let section =
            [("maxsmart-a", "{"), ("bridge", "7"), ("A B", "{}"), ("maxsmart-b", r#"{"deleted":true}"#)];
        let section: Section = section.map(|(key, text)| (key.into(), text.into())).into();
        let memory = Memory::read(&section);
        assert_eq!(memory.names(), None);
        assert_eq!(memory.plugs().collect::<Vec<_>>(), [&id("maxsmart-b")]);
    }

    #[test]
    fn the_longest_that_is_announced_fits() {
        let mut offer = how("").offer;
        (offer.ports, offer.current, offer.voltage, offer.signal) = (16, true, true, true);
        offer.able = crate::model::CAPABILITIES.iter().map(|capability| capability.name).collect();
        let how = Announcement { offer, ..how(&"\"".repeat(256)) };
        let mut kept = SinkMemory::default();
        let mut memory = Memory::default();
        let id = id(&format!("maxsmart-{}", "a".repeat(55)));
        kept.keep(memory.announce(&id, Some(how)).expect("a change")).expect("room");
        kept.keep(memory.delete(&id).expect("a change")).expect("room");
        let names = Names { base: "\"".repeat(256), prefix: "\"".repeat(256), bridge: true };
        kept.keep(memory.name(&names)).expect("room, \\\" is two");
    }
}
