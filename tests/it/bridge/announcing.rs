//! What Home Assistant is told, when, and in which order.

use crate::support::{Message, STRIP, TestBridge, on, run, strip, until};
use plug2mqtt::io::store;
use serde_json::{Map, Value, json};
use std::path::Path;

fn config() -> String {
    format!("homeassistant/device/plug2mqtt_{STRIP}/config")
}

/// What is said about plugs; the bridge takes its own announcement back at each start.
fn announced(messages: &[Message]) -> Vec<String> {
    let own = |m: &&Message| m.topic.contains("plug2mqtt_bridge_") && m.payload.is_empty();
    let all = messages.iter().filter(|m| m.topic.starts_with("homeassistant/"));
    all.filter(|m| !own(m)).map(|m| m.topic.clone()).collect()
}

fn count(messages: &[Message], topic: &str) -> usize {
    messages.iter().filter(|message| message.topic == topic).count()
}

#[test]
fn a_connection_begins_in_the_order_of_the_contract() {
    run(async {
        let (mut house, _script) = TestBridge::scripted(vec![strip()]).await;
        house.start(&[], "").await;
        house.stop().await.unwrap();
        // The second run knows the plug from the start.
        let mark = house.mark();
        house.start(&[], "").await;
        let said = house.since(mark);
        let at = |topic: &str| {
            said.iter().position(|m| m.topic == topic).unwrap_or_else(|| panic!("{topic} is missing"))
        };
        let steps = [
            "$connect".to_owned(),
            "$subscribe".into(),
            "plug2mqtt/bridge/info".into(),
            "plug2mqtt/bridge/devices".into(),
            config(),
            format!("plug2mqtt/{STRIP}/availability"),
            "plug2mqtt/bridge/state".into(),
        ];
        let order: Vec<usize> = steps.iter().map(|topic| at(topic)).collect();
        assert!(order.is_sorted(), "{steps:?} came at {order:?}");
        assert!(order[5] < at(&format!("plug2mqtt/{STRIP}/1/state")), "availability before states");
        let filters = said[at("$subscribe")].text();
        let mut filters: Vec<&str> = filters.split(' ').collect();
        filters.sort_unstable();
        assert_eq!(
            filters,
            [
                "homeassistant/status",
                "plug2mqtt/+/+/set",
                "plug2mqtt/+/availability",
                "plug2mqtt/+/get",
                "plug2mqtt/+/set",
                "plug2mqtt/bridge/request/+",
                "plug2mqtt/bridge/response/health_check",
                "plug2mqtt/bridge/state"
            ]
        );
        house.close().await;
    });
}

#[test]
fn births_announce_everything_once_more_and_only_live_ones_count() {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        house.publish("homeassistant/status", "online", true).await;
        house.start(&[], "").await;
        // What it can do beyond switching is announced once it is known.
        house.shows(&format!("{STRIP}/presence_simulation"), "OFF").await;
        let mark = house.mark();
        house.publish("homeassistant/status", "offline", false).await;
        for _ in 0..3 {
            house.publish("homeassistant/status", "online", false).await;
        }
        house.wait_after(mark, "the last word", on("plug2mqtt/bridge/state", "online")).await;
        let said = house.since(mark);
        assert_eq!(count(&said, &config()), 1, "several births are one");
        let at = |topic: &str| said.iter().position(|m| m.topic == topic);
        let availability = at(&format!("plug2mqtt/{STRIP}/availability"));
        assert!(at(&config()) < availability && availability < at(&format!("plug2mqtt/{STRIP}/1/state")));
        assert!(availability.is_some());
        // The retained birth, had it counted, would have brought a second round by now.
        let again = house.mark();
        house.publish("homeassistant/status", "online", false).await;
        house.wait_after(again, "the second", on("plug2mqtt/bridge/state", "online")).await;
        assert_eq!(count(&house.since(mark), &config()), 2);
        house.close().await;
    });
}

#[test]
fn a_plug_deleted_in_home_assistant_is_reported_and_comes_back_at_the_next_birth() {
    run(async {
        let house = TestBridge::running().await;
        let mark = house.mark();
        house.publish(&config(), "", true).await;
        assert_eq!(house.bridge_event(mark, "discovery_cleared_by_ha").await["device"], STRIP);
        house.polls(0, 2).await;
        assert!(!house.retained().await.contains_key(&config()), "not at once");
        house.publish("homeassistant/status", "online", false).await;
        house.wait_after(mark, "the announcement", |m| m.topic == config() && !m.payload.is_empty()).await;
        house.close().await;
    });
}

#[test]
fn a_plug_deleted_in_home_assistant_stays_deleted_if_that_is_respected() {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        let respect = [("home_assistant.respect_deletion", "true")];
        house.start(&respect, "").await;
        let mark = house.mark();
        house.publish(&config(), "", true).await;
        house.bridge_event(mark, "discovery_cleared_by_ha").await;
        house.request("republish", "{}").await;
        house.stop().await.unwrap();
        let mark = house.mark();
        house.start(&respect, "").await;
        assert_eq!(count(&house.since(mark), &config()), 0);
        assert!(!house.retained().await.contains_key(&config()));
        // It still works, it is only not announced.
        assert_eq!(house.command(&format!("{STRIP}/1/set"), "OFF").await["status"], "ok");
        house.close().await;
    });
}

#[test]
fn changing_the_form_migrates_every_entity_and_clears_the_old_topics() {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        house.start(&[], "").await;
        let whole: Value = serde_json::from_str(&house.retained().await[&config()]).unwrap();
        let ids = |parts: &Value| -> Vec<String> {
            let parts = parts.as_object().unwrap().values();
            let mut ids: Vec<String> = parts.map(|p| p["uniq_id"].as_str().unwrap().to_owned()).collect();
            ids.sort_unstable();
            ids
        };
        let whole_ids = ids(&whole["cmps"]);
        house.stop().await.unwrap();

        let mark = house.mark();
        house.start(&[("home_assistant.discovery", "component")], "").await;
        house.wait_after(mark, "the old topic emptied", on(&config(), "")).await;
        let mut said: Vec<Message> =
            house.since(mark).into_iter().filter(|m| m.topic.starts_with("homeassistant/")).collect();
        let own = said.remove(0);
        assert!(own.topic.contains("plug2mqtt_bridge_") && own.payload.is_empty(), "the bridge's own device");
        assert_eq!(said[0].topic, config());
        assert_eq!(said[0].json(), json!({"migrate_discovery": true}), "first");
        let last = said.iter().position(on(&config(), "")).unwrap();
        let single = |m: &Message| m.topic.contains(&format!("/{STRIP}/")) && m.json()["uniq_id"].is_string();
        let mut new: Vec<String> = said[1..last]
            .iter()
            .filter(|m| single(m))
            .map(|m| m.json()["uniq_id"].as_str().unwrap().to_owned())
            .collect();
        new.sort_unstable();
        assert_eq!(new, whole_ids, "the same entities, between first and last");
        house.stop().await.unwrap();

        let mark = house.mark();
        house.start(&[], "").await;
        let switch = format!("homeassistant/switch/{STRIP}/p1_switch/config");
        house.wait_after(mark, "the way back", on(&switch, "")).await;
        let said = house.since(mark);
        let at = |wanted: &dyn Fn(&Message) -> bool| said.iter().position(wanted).unwrap();
        let first = at(&|m| m.topic == switch && m.text().contains("migrate_discovery"));
        let new = at(&|m| m.topic == config() && m.json()["cmps"].is_object());
        assert!(first < new && new < at(&on(&switch, "")));
        until("only the whole message is left", || {
            let mut left: std::collections::BTreeMap<String, bool> = Default::default();
            left.extend(house.heard().into_iter().map(|m| (m.topic, !m.payload.is_empty())));
            left.iter()
                .filter(|(t, there)| **there && t.contains(&format!("/{STRIP}/")) && t.ends_with("/config"))
                .count()
                == 0
        })
        .await;
        house.stop().await.unwrap();

        let mark = house.mark();
        house.start(&[("home_assistant.discovery", "off")], "").await;
        house.wait_after(mark, "taken back", on(&config(), "")).await;
        house.stop().await.unwrap();
        let mark = house.mark();
        house.start(&[("home_assistant.discovery", "off")], "").await;
        assert_eq!(announced(&house.since(mark)), Vec::<String>::new());
        house.close().await;
    });
}

#[test]
fn ports_become_children_or_devices_of_their_own() {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        house.start(&[("home_assistant.port_devices", "child")], "").await;
        let message: Value = serde_json::from_str(&house.retained().await[&config()]).unwrap();
        assert_eq!(message["child_devices"].as_array().map(Vec::len), Some(6), "{message}");
        house.stop().await.unwrap();
        let mark = house.mark();
        house.start(&[("home_assistant.port_devices", "via")], "").await;
        let port = |n: u8| format!("homeassistant/device/plug2mqtt_{STRIP}_p{n}/config");
        let sixth = house
            .wait_after(mark, "port 6", |m| m.topic == port(6) && m.text().contains("via_device"))
            .await
            .json();
        assert_eq!(sixth["dev"]["via_device"], format!("plug2mqtt_{STRIP}"));
        assert!(sixth["cmps"]["p6_switch"].is_object(), "{sixth}");
        house.stop().await.unwrap();
        let mark = house.mark();
        house.start(&[], "").await;
        for n in 1..=6 {
            house.wait_after(mark, "taken back", on(&port(n), "")).await;
        }
        house.close().await;
    });
}

#[test]
fn what_was_never_announced_is_not_taken_back() {
    run(async {
        for mode in ["component", "off"] {
            let mut house = TestBridge::new(vec![strip()]).await;
            house.start(&[("home_assistant.discovery", mode)], "").await;
            house.request("republish", "{}").await;
            let heard = house.heard();
            let of_ours = heard.iter().filter(|m| m.topic.starts_with("homeassistant/"));
            let emptied: Vec<&str> =
                of_ours.filter(|m| m.payload.is_empty()).map(|m| m.topic.as_str()).collect();
            assert_eq!(emptied, Vec::<&str>::new(), "{mode}");
            house.close().await;
        }
    });
}

/// Writes the state file as version 1 did, with what was announced among what belongs to the bridge.
fn as_version_1(file: &Path) {
    let new = std::fs::read(file).unwrap();
    let mut state = serde_json::to_value(store::decode(&new).unwrap()).unwrap();
    let sinks = state.as_object_mut().unwrap().remove("sinks").unwrap();
    let texts = sinks["mqtt"].as_object().unwrap();
    let json = |text: &Value| serde_json::from_str::<Value>(text.as_str().unwrap()).unwrap();
    let of_plugs = texts.iter().filter(|(key, _)| *key != "bridge");
    let plugs: Map<String, Value> =
        of_plugs.map(|(id, text)| (id.clone(), json(text)["announced"].take())).collect();
    assert_eq!(plugs.keys().collect::<Vec<_>>(), [STRIP]);
    state["announced"] = json!({"plugs": plugs, "names": json(&texts["bridge"])});
    state["version"] = 1.into();
    let state = state.to_string();
    let crc32 = crc32fast::hash(state.as_bytes());
    std::fs::write(file, format!(r#"{{"state":{state},"crc32":"{crc32:08x}"}}"#)).unwrap();
}

#[test]
fn what_was_told_under_other_names_is_taken_back() {
    taken_back(|_| {});
}

#[test]
fn what_an_earlier_version_has_told_under_other_names_is_taken_back() {
    taken_back(as_version_1);
}

fn taken_back(meanwhile: fn(&Path)) {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        house.start(&[], "").await;
        house.publish("weather", "mild", true).await;
        house.stop().await.unwrap();
        meanwhile(&house.state_file());
        let old = house.retained().await;
        assert!(old.contains_key("plug2mqtt/bridge/info") && old.contains_key(&config()), "{old:?}");
        let names = [("mqtt.base_topic", "home/plugs"), ("home_assistant.prefix", "ha")];
        let mark = house.mark();
        house.launch(&names, "");
        house.wait_after(mark, "online", on("home/plugs/bridge/state", "online")).await;
        house.wait_after(mark, "the plug", on(&format!("home/plugs/{STRIP}/availability"), "online")).await;
        house
            .wait_after(mark, "announced", |m| m.topic == format!("ha/device/plug2mqtt_{STRIP}/config"))
            .await;
        let ours = |topic: &&String| topic.starts_with("plug2mqtt/") || topic.starts_with("homeassistant/");
        loop {
            let now = house.retained().await;
            let left: Vec<&String> = now.keys().filter(ours).collect();
            if left == ["plug2mqtt/weather"] {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        // Once, and not at each start.
        house.stop().await.unwrap();
        let mark = house.mark();
        house.launch(&names, "");
        house.wait_after(mark, "online", on("home/plugs/bridge/state", "online")).await;
        let strange = house.since(mark).into_iter().filter(|m| ours(&&m.topic)).count();
        assert_eq!(strange, 0);
        house.close().await;
    });
}
