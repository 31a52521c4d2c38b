//! Held against messages that Home Assistant 2024.12, 2026.10 and 2026.11 accept as they stand.

use super::super::{snapshot::snapshot, topics};
use super::*;
use crate::model::{Capabilities, DeviceInfo, LeaderGroup, Mac, PortView};
use std::collections::BTreeSet;
use std::sync::Arc;

fn announcer(mode: DiscoveryMode, port_devices: PortDevices) -> Announcer {
    let (base, prefix) = ("plug2mqtt".into(), "homeassistant".into());
    Announcer { base, prefix, mode, port_devices, version: "0.1.0" }
}

fn plug(id: &str, name: &str, facts: DeviceInfo, offer: Capabilities, ports: &[&str]) -> PlugView {
    let port = |name: &&str| PortView { name: (*name).into(), ..PortView::default() };
    PlugView {
        driver: "maxsmart",
        facts: Arc::new(facts),
        name: name.into(),
        adopted: true,
        offer,
        online: true,
        ports: ports.iter().map(port).collect(),
        ..PlugView::unknown(PlugId::new(id).expect("an id"))
    }
}

fn strip(ports: &[&str]) -> PlugView {
    let facts = DeviceInfo {
        manufacturer: "Max Hauri".into(),
        model: "MaxSmart Power Station".into(),
        model_id: Some("SOP111".into()),
        serial: Some("SWP6000000000001".into()),
        mac: Mac::parse("02:00:00:00:00:01"),
        firmware: Some("1.30".into()),
        ..DeviceInfo::default()
    };
    let offer = Capabilities {
        ports: u8::try_from(ports.len()).unwrap(),
        power: true,
        current: true,
        ..Capabilities::default()
    };
    plug("maxsmart-swp6000000000001", "Office strip", facts, offer, ports)
}

const SIX: [&str; 6] = ["Desk lamp", "Monitor", "Printer", "Amplifier", "Charger", "Fan"];

fn golden(text: &str) -> Value {
    serde_json::from_str(text).expect("a golden file is JSON")
}

fn one(messages: Vec<Message>) -> Message {
    assert_eq!(messages.len(), 1);
    messages.into_iter().next().unwrap()
}

#[test]
fn a_strip_in_one_message() {
    let message = one(announcer(DiscoveryMode::Device, PortDevices::None).messages(&strip(&SIX)));
    assert_eq!(message.topic, "homeassistant/device/plug2mqtt_maxsmart-swp6000000000001/config");
    assert_eq!(message.payload, golden(include_str!("strip.json")));
}

#[test]
fn a_strip_with_child_devices() {
    let message =
        one(announcer(DiscoveryMode::Device, PortDevices::Child).messages(&strip(&["Desk lamp", "Monitor"])));
    assert_eq!(message.payload, golden(include_str!("child.json")));
}

#[test]
fn a_plug_with_one_port() {
    let facts = DeviceInfo {
        manufacturer: "Meross".into(),
        model: "Smart Wi-Fi Plug".into(),
        model_id: Some("MSS310".into()),
        serial: Some("2102030405060708090a48e1e9000002".into()),
        mac: Mac::parse("02:00:00:00:00:02"),
        firmware: Some("6.3.22".into()),
        hardware: Some("6.0.0".into()),
        ..DeviceInfo::default()
    };
    let offer = Capabilities {
        ports: 1,
        power: true,
        current: true,
        voltage: true,
        signal: true,
        ..Capabilities::default()
    };
    let plug = plug("meross-020000000002", "Coffee machine", facts, offer, &["Port 1"]);
    let message = one(announcer(DiscoveryMode::Device, PortDevices::None).messages(&plug));
    assert_eq!(message.payload, golden(include_str!("plug.json")));
}

#[test]
fn a_strip_that_can_do_more() {
    let mut strip = strip(&["Desk lamp", "Monitor"]);
    strip.offer = Capabilities {
        ports: 2,
        able: ["clock", "countdown", "leader", "presence_simulation"].into_iter().collect(),
        ..Capabilities::default()
    };
    let message = one(announcer(DiscoveryMode::Device, PortDevices::None).messages(&strip));
    assert_eq!(message.payload, golden(include_str!("capabilities.json")));
}

#[test]
fn the_bridge_itself() {
    let message = announcer(DiscoveryMode::Device, PortDevices::None).bridge().unwrap();
    assert_eq!(message.topic, "homeassistant/device/plug2mqtt_bridge_plug2mqtt/config");
    assert_eq!(message.payload, golden(include_str!("bridge.json")));
}

#[test]
fn every_form_has_the_same_unique_ids() {
    let unique = |messages: Vec<Message>| {
        let mut ids = BTreeSet::new();
        let mut collect = |part: &Value| {
            assert!(ids.insert(part["uniq_id"].as_str().unwrap().to_owned()), "{part}");
        };
        for message in messages {
            let payload = &message.payload;
            if payload.get("uniq_id").is_some() {
                collect(payload);
            }
            let children = payload["child_devices"].as_array().into_iter().flatten();
            for device in children.chain([payload]) {
                device["cmps"].as_object().into_iter().flatten().for_each(|(_, part)| collect(part));
            }
        }
        ids
    };
    let flat = unique(announcer(DiscoveryMode::Device, PortDevices::None).messages(&strip(&SIX)));
    assert_eq!(flat.len(), 44);
    for (mode, ports) in [
        (DiscoveryMode::Device, PortDevices::Child),
        (DiscoveryMode::Device, PortDevices::Via),
        (DiscoveryMode::Component, PortDevices::None),
        (DiscoveryMode::Component, PortDevices::Via),
    ] {
        assert_eq!(unique(announcer(mode, ports).messages(&strip(&SIX))), flat, "{mode:?} {ports:?}");
    }
    assert!(announcer(DiscoveryMode::Off, PortDevices::None).messages(&strip(&SIX)).is_empty());
}

#[test]
fn single_messages_are_complete_and_their_topics_legal() {
    for message in announcer(DiscoveryMode::Component, PortDevices::None).messages(&strip(&SIX)) {
        let legal = |level: &str| level.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
        assert!(message.topic.split('/').all(legal), "{}", message.topic);
        for key in ["dev", "o", "avty", "uniq_id", "name"] {
            assert!(message.payload.get(key).is_some(), "{key} in {}", message.topic);
        }
        assert!(message.payload.get("p").is_none());
    }
}

#[test]
fn what_is_set_once_in_a_while_is_below_the_switches() {
    let mut strip = strip(&SIX);
    strip.offer.able = ["countdown", "leader", "presence_simulation"].into_iter().collect();
    let mut seen = BTreeSet::new();
    for ports in [PortDevices::None, PortDevices::Child, PortDevices::Via] {
        for message in announcer(DiscoveryMode::Device, ports).messages(&strip) {
            let children = message.payload["child_devices"].as_array().into_iter().flatten();
            for device in children.chain([&message.payload]) {
                for (key, part) in device["cmps"].as_object().unwrap() {
                    let platform = part["p"].as_str().unwrap();
                    // Home Assistant takes no sensor there.
                    let relay = part["dev_cla"] == "outlet";
                    let wanted = matches!(platform, "number" | "select" | "switch") && !relay;
                    assert_eq!(part["ent_cat"] == "config", wanted, "{key}");
                    seen.insert(platform.to_owned());
                }
            }
        }
    }
    assert!(["number", "select", "switch", "sensor"].iter().all(|platform| seen.contains(*platform)));
}

#[test]
fn every_message_says_where_it_comes_from() {
    let bridge = announcer(DiscoveryMode::Device, PortDevices::None).bridge();
    let device = announcer(DiscoveryMode::Device, PortDevices::Via).messages(&strip(&SIX));
    let component = announcer(DiscoveryMode::Component, PortDevices::None).messages(&strip(&SIX));
    for message in bridge.into_iter().chain(device).chain(component) {
        let origin = &message.payload["o"];
        assert_eq!((&origin["name"], &origin["sw"]), (&"plug2mqtt".into(), &"0.1.0".into()));
        // Home Assistant refuses a whole message with an address it does not understand.
        assert!(origin["url"].as_str().unwrap().starts_with("https://"), "{}", message.topic);
    }
}

#[test]
fn a_device_is_via_another_only_where_that_is_announced() {
    let all = [DiscoveryMode::Device, DiscoveryMode::Component, DiscoveryMode::Off];
    let ports = [PortDevices::None, PortDevices::Child, PortDevices::Via];
    for (mode, ports) in all.into_iter().flat_map(|mode| ports.map(|ports| (mode, ports))) {
        let announcer = announcer(mode, ports);
        let messages: Vec<Message> =
            announcer.bridge().into_iter().chain(announcer.messages(&strip(&SIX))).collect();
        let devices = messages.iter().flat_map(|message| {
            let children = message.payload["child_devices"].as_array().into_iter().flatten();
            children.map(|child| &child["ids"]).chain([&message.payload["dev"]["ids"]])
        });
        let devices: BTreeSet<&str> = devices.map(|ids| ids[0].as_str().unwrap()).collect();
        for via in messages.iter().filter_map(|message| message.payload["dev"]["via_device"].as_str()) {
            assert!(devices.contains(via), "{mode:?} {ports:?}: {via} is not among {devices:?}");
        }
    }
}

#[test]
fn entity_names_do_not_repeat_the_device_name() {
    let mut plug = strip(&SIX);
    plug.ports[0].name = "Office strip lamp".into();
    plug.ports[1].name = "Office strip".into();
    let message = one(announcer(DiscoveryMode::Device, PortDevices::None).messages(&plug));
    let name = |key: &str| message.payload["cmps"][key]["name"].as_str().unwrap().to_owned();
    assert_eq!((name("p1_switch"), name("p1_power")), ("lamp".into(), "lamp power".into()));
    assert_eq!(name("p2_switch"), "Office strip", "nothing would be left");
}

#[test]
fn hostile_names_are_data_and_nothing_else() {
    let mut plug = strip(&SIX);
    plug.name = "\"},{\"#/+\u{1F4A1}".into();
    let message = one(announcer(DiscoveryMode::Device, PortDevices::None).messages(&plug));
    let again: Value = serde_json::from_str(&message.payload.to_string()).unwrap();
    assert_eq!(again["dev"]["name"], *plug.name);
    assert!(!message.topic.contains(['#', '+', '"']));
}

#[test]
fn what_a_plug_can_hold_is_what_its_entities_can_show() {
    let mut strip = strip(&["Desk lamp", "Monitor"]);
    strip.offer = Capabilities {
        ports: 2,
        able: ["countdown", "leader"].into_iter().collect(),
        ..Capabilities::default()
    };
    let message = one(announcer(DiscoveryMode::Device, PortDevices::None).messages(&strip));
    let options = |key: &str| message.payload["cmps"][key]["ops"].as_array().expect("options").clone();
    for minutes in [0, 2880, u32::MAX] {
        let max = message.payload["cmps"]["p1_countdown"]["max"].as_u64().expect("a limit");
        assert!(u64::from(minutes) <= max);
    }
    for watts in LeaderGroup::LIMITS {
        assert!(options("leader_limit").contains(&watts.to_string().into()), "{watts}");
    }
    for leader in ["off", "1", "2"] {
        assert!(options("leader").contains(&leader.into()), "{leader}");
    }
}

/// A house that nobody has: all that a plug can have, on each port.
#[test]
fn a_thousand_large_strips_fit_into_the_room_that_the_built_in_broker_gives_the_bridge() {
    const ROOM: usize = 64 << 20;
    const TOPICS: usize = 250_000;
    let mut large = strip(&SIX);
    large.offer.able = ["clock", "countdown", "leader", "presence_simulation"].into_iter().collect();
    (large.name, large.last_seen_ms) = ("\u{1f50c}".repeat(64).into(), Some(1));
    for port in &mut large.ports {
        (port.name, port.relay, port.watts) = ("\u{1f50c}".repeat(64).into(), Some(true), Some(1234.5));
        (port.amps, port.energy) = (Some(10.05), crate::model::Energy::from_kwh(123_456.0));
        port.lately = port.energy.map(|energy| [energy; 2]);
    }
    let announced = announcer(DiscoveryMode::Device, PortDevices::Via).messages(&large);
    let announced = announced.into_iter().map(|message| (message.topic, message.payload.to_string()));
    let states = topics::retained("plug2mqtt", &large).into_iter().map(|one| (one.topic, one.payload));
    let whole = (topics::snapshot_topic("plug2mqtt", &large.id), snapshot(&large));
    let all: Vec<_> = announced.chain(states).chain([whole]).collect();
    assert!(all.len() > 40, "{} topics", all.len());
    assert!(1000 * all.len() <= TOPICS, "{} topics", all.len());
    // In the file, quotes are escaped.
    let line = |(topic, payload): &(String, String)| {
        40 + topic.len() + payload.len() + payload.matches(['"', '\\']).count()
    };
    let bytes: usize = all.iter().map(line).sum();
    assert!(1000 * bytes <= ROOM, "{bytes} bytes");
}
