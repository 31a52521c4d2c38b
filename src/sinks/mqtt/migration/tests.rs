use super::*;
use DiscoveryMode::{Component, Device};

fn id() -> PlugId {
    PlugId::new("maxsmart-x1").expect("an id")
}

fn shape(mode: DiscoveryMode, port_devices: PortDevices, ports: u8) -> Announcement {
    let offer = Capabilities { ports, power: true, ..Capabilities::default() };
    Announcement { prefix: "homeassistant".into(), mode, port_devices, offer }
}

fn message(topic: &str) -> Message {
    Message { topic: topic.into(), payload: json!({"cmps": {}}) }
}

const WHOLE: &str = "homeassistant/device/plug2mqtt_maxsmart-x1/config";

#[test]
fn a_first_announcement_is_just_made() {
    let steps = transition(&id(), None, Some(&shape(Device, PortDevices::None, 6)), vec![message(WHOLE)]);
    assert_eq!(steps, Transition { first: vec![message(WHOLE)], ..Transition::default() });
}

#[test]
fn the_same_form_is_updated_in_place() {
    for ports in [PortDevices::None, PortDevices::Child] {
        let (old, new) = (shape(Device, PortDevices::None, 6), shape(Device, ports, 6));
        let steps = transition(&id(), Some(&old), Some(&new), vec![message(WHOLE)]);
        assert_eq!(steps.first, [message(WHOLE)], "{ports:?}");
        assert!(!steps.pause && steps.emptied.is_empty());
    }
}

#[test]
fn another_form_migrates_first_is_announced_then_and_leaves_nothing_behind() {
    let (old, new) = (shape(Component, PortDevices::None, 1), shape(Device, PortDevices::None, 1));
    let steps = transition(&id(), Some(&old), Some(&new), vec![message(WHOLE)]);
    assert!(steps.pause);
    assert_eq!(steps.first.len(), topics_of(&old, &id()).len());
    assert!(steps.first.iter().all(|message| message.payload == json!({"migrate_discovery": true})));
    assert_eq!(steps.second, [message(WHOLE)]);
    let old_topics: Vec<String> = topics_of(&old, &id()).into_keys().collect();
    assert_eq!(steps.emptied, old_topics);
}

#[test]
fn the_plugs_own_topic_survives_a_change_to_a_device_for_each_port() {
    let (old, new) = (shape(Device, PortDevices::None, 6), shape(Device, PortDevices::Via, 6));
    let steps = transition(&id(), Some(&old), Some(&new), vec![message(WHOLE)]);
    assert_eq!(steps.first.len(), 1);
    assert!(steps.emptied.is_empty(), "{:?}", steps.emptied);
    let back = transition(&id(), Some(&new), Some(&old), vec![message(WHOLE)]);
    assert_eq!(back.emptied.len(), 6);
}

#[test]
fn a_part_that_is_gone_is_said_to_be_gone_and_left_out_later() {
    let (old, new) = (shape(Device, PortDevices::None, 2), shape(Device, PortDevices::None, 1));
    let steps = transition(&id(), Some(&old), Some(&new), vec![message(WHOLE)]);
    assert!(steps.pause);
    let parts = &steps.first.first().expect("a message").payload["cmps"];
    assert_eq!(parts["p2_switch"], json!({"p": "switch"}));
    assert_eq!(parts["all_switch"], json!({"p": "switch"}));
    assert!(parts.get("p1_switch").is_none());
    assert_eq!(steps.second, [message(WHOLE)]);
}

#[test]
fn what_is_not_wanted_any_more_is_emptied() {
    let steps = transition(&id(), Some(&shape(Device, PortDevices::Via, 6)), None, Vec::new());
    assert_eq!(steps.emptied.len(), 7);
    assert!(steps.first.is_empty() && !steps.pause);
}
