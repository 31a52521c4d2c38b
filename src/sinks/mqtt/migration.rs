//! From one announcement to the next: in place where possible, by Home Assistant's own migration
//! where the form changes, and without leaving anything behind. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::discovery_mode::{DiscoveryMode, PortDevices};
use super::homeassistant::{Announcer, Message, device_id, platform, port_id};
use super::memory::{Announcement, Memory};
use super::topics::{self, tail};
use crate::entity::{Entity, Kind, entities};
use crate::model::{Capabilities, PlugId, View};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Every discovery topic of an announcement of this shape, with its component keys and platforms.
pub(super) fn topics_of(
    shape: &Announcement,
    id: &PlugId,
) -> BTreeMap<String, BTreeMap<String, &'static str>> {
    let mut topics: BTreeMap<String, BTreeMap<String, &'static str>> = BTreeMap::new();
    let via = shape.port_devices == PortDevices::Via && shape.offer.ports > 1;
    for entity in entities(shape.offer) {
        let topic = match (shape.mode, entity.port) {
            (DiscoveryMode::Component, _) => {
                format!("{}/{}/{id}/{}/config", shape.prefix, platform(entity.kind), entity.key())
            }
            (_, Some(port)) if port > 0 && via => {
                format!("{}/device/{}/config", shape.prefix, port_id(id, port))
            }
            _ => format!("{}/device/{}/config", shape.prefix, device_id(id)),
        };
        topics.entry(topic).or_default().insert(entity.key(), platform(entity.kind));
    }
    topics
}

/// The ends of all retained topics of a plug announced with this shape.
pub(super) fn state_tails(shape: &Announcement) -> Vec<String> {
    offer_tails(shape.offer)
}

/// The ends of all retained topics of a plug with this offer.
pub(super) fn offer_tails(offer: Capabilities) -> Vec<String> {
    let stateful = |entity: &Entity| !matches!(entity.kind, Kind::Event | Kind::Refresh);
    let own = entities(offer).into_iter().filter(stateful).map(tail);
    own.chain(["availability", "info", "state"].map(Into::into)).collect()
}

/// What must be published to get from what was announced to what is to be announced.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Transition {
    /// First: these, at once.
    pub(super) first: Vec<Message>,
    /// Then, after Home Assistant had time for them: these.
    pub(super) second: Vec<Message>,
    /// At last: these topics are emptied.
    pub(super) emptied: Vec<String>,
    /// A pause is needed between first and second.
    pub(super) pause: bool,
}

/// From an old shape to new messages: in place where possible, by Home Assistant's migration where
/// the form changes, so that ids, areas and history stay.
pub(super) fn transition(
    id: &PlugId,
    old: Option<&Announcement>,
    new: Option<&Announcement>,
    messages: Vec<Message>,
) -> Transition {
    let old_topics = old.map(|shape| topics_of(shape, id)).unwrap_or_default();
    let new_topics = new.map(|shape| topics_of(shape, id)).unwrap_or_default();
    let emptied: Vec<String> =
        old_topics.keys().filter(|topic| !new_topics.contains_key(*topic)).cloned().collect();
    let form =
        |shape: &Announcement| (shape.prefix.clone(), shape.mode, shape.port_devices == PortDevices::Via);
    let moves = matches!((old, new), (Some(old), Some(new)) if form(old) != form(new));
    if moves {
        let migrate = old_topics
            .into_keys()
            .map(|topic| Message { topic, payload: json!({"migrate_discovery": true}) });
        return Transition { first: migrate.collect(), second: messages, emptied, pause: true };
    }
    // A part that is left out stays in Home Assistant for ever; it must be sent once as a bare
    // platform, and the whole message again a little later (2026.10 deletes too much otherwise).
    let mut first = messages.clone();
    let mut gone = false;
    for message in &mut first {
        let (old, new) = (old_topics.get(&message.topic), new_topics.get(&message.topic));
        let lost = old.into_iter().flatten().filter(|(key, _)| new.is_none_or(|new| !new.contains_key(*key)));
        for (key, platform) in lost {
            if let Some(parts) = message.payload.get_mut("cmps").and_then(Value::as_object_mut) {
                parts.insert(key.clone(), json!({"p": platform}));
                gone = true;
            }
        }
    }
    let second = if gone { messages } else { Vec::new() };
    Transition { first, second, emptied, pause: gone }
}

/// The retained topics of a bridge itself.
pub(super) fn bridge_topics(base: &str) -> BTreeSet<String> {
    ["state", "info", "problem", "devices", "health"].map(|tail| format!("{base}/bridge/{tail}")).into()
}

/// Every retained topic we own.
pub(super) fn owned(announcer: &Announcer, view: &View, memory: &Memory) -> BTreeSet<String> {
    let base = &announcer.base;
    let mut owned = bridge_topics(base);
    owned.extend(announcer.bridge().map(|message| message.topic));
    for plug in view.plugs.values().filter(|plug| topics::shown(plug)) {
        owned.insert(topics::snapshot_topic(base, &plug.id));
        // Values of an earlier run stay until this run has read the plug.
        let offer = plug.offer;
        owned.extend(offer_tails(offer).into_iter().map(|tail| format!("{base}/{}/{tail}", plug.id)));
        if !memory.deleted(&plug.id) {
            owned.extend(announcer.messages(plug).into_iter().map(|message| message.topic));
        }
    }
    owned
}

#[cfg(test)]
mod tests;
