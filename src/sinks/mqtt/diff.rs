//! From one picture of a plug to the next: which retained topics must be said again. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::topics::{
    Nature, Retained, availability, in_order, info, nature, read, retained, shown, tail, text,
};
use crate::entity::value;
use crate::model::PlugView;

/// Home Assistant's word for a value that is not known any more: it passes over an empty payload and
/// would go on showing the old one.
const UNKNOWN: &str = "None";

/// What must be said to get from one picture to the next, as [`retained`] orders it; an empty
/// payload takes a topic back. What is said `again` is said though it has not changed.
pub(super) fn changes(
    base: &str,
    old: Option<&PlugView>,
    new: &PlugView,
    again: impl Fn(Nature) -> bool,
) -> Vec<Retained> {
    let same_topics = |old: &PlugView| {
        let told = |plug: &PlugView| (shown(plug), read(plug) || plug.problem.is_some());
        told(old) == (true, true) && told(new) == (true, true) && old.offer == new.offer
    };
    match old {
        // The usual case, at each change of each plug: nothing is rendered but what has changed.
        Some(old) if same_topics(old) => changed_values(base, old, new, again),
        _ => changed_topics(base, old, new, again),
    }
}

fn changed_values(
    base: &str,
    old: &PlugView,
    new: &PlugView,
    again: impl Fn(Nature) -> bool,
) -> Vec<Retained> {
    let mut list = Vec::new();
    let mut add = |tail: &str, payload: String, nature: Nature| {
        list.push(Retained { topic: format!("{base}/{}/{tail}", new.id), payload, nature });
    };
    if old.online != new.online || again(Nature::Fact) {
        add("availability", availability(new).into(), Nature::Fact);
    }
    if info_differs(old, new) || again(Nature::Fact) {
        add("info", info(new).to_string(), Nature::Fact);
    }
    for entity in in_order(new) {
        match (value(old, entity), value(new, entity)) {
            (None, None) => {}
            (Some(was), None) => add(&tail(entity), UNKNOWN.into(), nature(entity.kind, was)),
            (was, Some(now)) => {
                let nature = nature(entity.kind, now);
                if again(nature) || (was != Some(now) && was.map(text) != Some(text(now))) {
                    add(&tail(entity), text(now), nature);
                }
            }
        }
    }
    list
}

fn changed_topics(
    base: &str,
    old: Option<&PlugView>,
    new: &PlugView,
    again: impl Fn(Nature) -> bool,
) -> Vec<Retained> {
    let before = old.map(|old| retained(base, old)).unwrap_or_default();
    let now = retained(base, new);
    let payload = |list: &[Retained], topic: &str| {
        list.iter().find(|message| message.topic == topic).map(|message| message.payload.clone())
    };
    let gone = before.iter().filter(|message| payload(&now, &message.topic).is_none());
    let still = shown(new) && (read(new) || new.problem.is_some());
    let known: Vec<String> =
        in_order(new).filter(|_| still).map(|entity| format!("{base}/{}/{}", new.id, tail(entity))).collect();
    // What it still has, and is only not known any more.
    let payload_of = |topic: &String| if known.contains(topic) { UNKNOWN } else { "" };
    let gone: Vec<Retained> = gone
        .map(|message| Retained { payload: payload_of(&message.topic).into(), ..message.clone() })
        .collect();
    let told = |message: &Retained| payload(&before, &message.topic).as_ref() == Some(&message.payload);
    let mut list: Vec<Retained> = now
        .iter()
        .filter(|message| (old.is_some() && again(message.nature)) || !told(message))
        .cloned()
        .collect();
    list.extend(gone);
    list
}

/// Whether `info` is another one.
fn info_differs(old: &PlugView, new: &PlugView) -> bool {
    let own = |plug: &PlugView| {
        let unmetered = plug.energy.map(|_| plug.unmetered_s);
        (plug.ip.clone(), plug.offer, unmetered, plug.control, plug.relays_remembered)
    };
    old.name != new.name || old.facts != new.facts || own(old) != own(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Capabilities, Energy, PlugId, PortView};
    use std::sync::Arc;

    /// Each differs from the first in one thing.
    fn pictures() -> Vec<PlugView> {
        let port = PortView { relay: Some(true), watts: Some(9.8), amps: Some(0.05), ..PortView::default() };
        let first = PlugView {
            adopted: true,
            online: true,
            offer: Capabilities {
                ports: 2,
                power: true,
                current: true,
                able: ["countdown"].into_iter().collect(),
                ..Capabilities::default()
            },
            ports: vec![port.clone(), port],
            watts: Some(19.6),
            latency_ms: Some(84),
            last_seen_ms: Some(1000),
            ..PlugView::unknown(PlugId::new("maxsmart-x1").expect("an id"))
        };
        let changes: [fn(&mut PlugView); 15] = [
            |plug| plug.online = false,
            |plug| plug.name = "Other".into(),
            |plug| plug.ip = Some("192.0.2.7".into()),
            |plug| plug.control = !plug.control,
            |plug| {
                plug.facts =
                    Arc::new(crate::model::DeviceInfo { model: "SOW321".into(), ..Default::default() })
            },
            |plug| plug.ports[0].relay = Some(false),
            |plug| plug.ports[1].relay = None,
            |plug| plug.ports[1].watts = Some(9.8001),
            |plug| plug.ports[1].watts = None,
            |plug| plug.energy = Energy::from_kwh(1.0),
            |plug| (plug.energy, plug.unmetered_s) = (Energy::from_kwh(1.0), 7),
            |plug| plug.problem = Some("does not answer".into()),
            |plug| plug.adopted = false,
            |plug| plug.last_seen_ms = None,
            |plug| plug.offer.ports = 3,
        ];
        let changed = changes.iter().map(|change| {
            let mut plug = first.clone();
            change(&mut plug);
            plug
        });
        std::iter::once(first.clone()).chain(changed).collect()
    }

    #[test]
    fn what_has_changed_is_what_differs_between_all_topics() {
        let mut said = 0;
        for old in pictures() {
            for new in pictures() {
                for again in [None, Some(Nature::Number), Some(Nature::State), Some(Nature::Fact)] {
                    let again = |nature| Some(nature) == again;
                    let mut quick = changes("p", Some(&old), &new, again);
                    let mut all = changed_topics("p", Some(&old), &new, again);
                    quick.sort_by(|a, b| a.topic.cmp(&b.topic));
                    all.sort_by(|a, b| a.topic.cmp(&b.topic));
                    assert_eq!(quick, all, "{old:?} {new:?}");
                    said += quick.len();
                }
            }
        }
        assert!(said > 1000, "{said}");
    }
}
