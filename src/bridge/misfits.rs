//! Settings that fit no plug: sections of plugs that nobody knows, and ports that a plug does not have.
//! They are valid everywhere, and do nothing.

use crate::config::{self, Settings};
use crate::model::{PersistedState, View};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tracing::warn;

/// When the settings are held against the plugs that are known: after the first search, and once more.
const LOOKS: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(60)];

/// Known plugs by id, and how many ports each has; 0 while that is not known.
pub type Known = BTreeMap<String, u8>;

/// The plugs of a state file.
pub fn remembered(memory: &PersistedState) -> Known {
    memory.plugs.iter().map(|(id, plug)| (id.to_string(), plug.offer.ports)).collect()
}

/// What fits none of these plugs, in sentences.
pub fn misfits(settings: &Settings, known: &Known) -> Vec<String> {
    let mut list = Vec::new();
    for (id, device) in &settings.device {
        let Some(&ports) = known.get(id) else {
            let near = config::nearest(id, known.keys().map(String::as_str));
            let there = match near {
                Some(near) => format!("did you mean {near:?}?"),
                None if known.is_empty() => "none is known yet".into(),
                None => format!("known: {}", known.keys().take(8).cloned().collect::<Vec<_>>().join(", ")),
            };
            list.push(format!("device.{id:?} is no plug that is known; {there}"));
            continue;
        };
        let beyond = device.port.keys().filter(|port| ports > 0 && **port > ports);
        list.extend(beyond.map(|port| {
            let has = if ports == 1 { "port 1 only".into() } else { format!("ports 1 to {ports}") };
            format!("device.{id:?}.port.{port}: the plug has {has}")
        }));
    }
    list
}

/// Warns of them once each, when it is known who is there.
pub(super) async fn mind(settings: Settings, picture: watch::Receiver<Arc<View>>) {
    let mut told = BTreeSet::new();
    for pause in LOOKS {
        tokio::time::sleep(pause).await;
        let view = Arc::clone(&picture.borrow());
        let known = view.plugs.iter().map(|(id, plug)| (id.to_string(), plug.offer.ports)).collect();
        for text in misfits(&settings, &known) {
            if told.insert(text.clone()) {
                warn!("setting without effect: {text}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, misfits};

    #[test]
    fn plugs_nobody_knows_and_ports_they_do_not_have_are_named_with_what_was_probably_meant() {
        let text = r#"
            [device."maxsmart-swp6000000000001"]
            port.2 = { lock = "on" }
            port.9 = { lock = "on" }
            [device."maxsmart-swp600000000002"]
            name = "Kettle"
            [device."inplug-020000000011"]
            port.2 = { name = "Fan" }
        "#;
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("plug2mqtt.toml");
        std::fs::write(&file, text).expect("written");
        let (settings, _) =
            crate::config::load(Some(&file), std::iter::empty(), &[], crate::drivers::ALL).expect("valid");
        let mut known: Known = [("maxsmart-swp6000000000001", 6), ("maxsmart-swp6000000000002", 1)]
            .map(|(id, n)| (id.into(), n))
            .into();
        let found = misfits(&settings, &known);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0].contains("inplug-020000000011") && found[0].contains("known: maxsmart-"),
            "{found:?}"
        );
        assert_eq!(found[1], r#"device."maxsmart-swp6000000000001".port.9: the plug has ports 1 to 6"#);
        assert!(found[2].contains(r#"did you mean "maxsmart-swp6000000000002"?"#), "{found:?}");
        known.insert("inplug-020000000011".into(), 0);
        assert_eq!(misfits(&settings, &known).len(), 2, "its ports are not known yet");
    }
}
