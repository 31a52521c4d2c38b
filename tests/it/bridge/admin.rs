//! Requests to the bridge, and what survives a restart.

use crate::support::{Message, STRIP, TestBridge, on, quiet, run, strip, until, with};
use plug2mqtt::bridge::Ended;
use plug2mqtt::sim::Strip;
use serde_json::json;

const LATE: &str = "maxsmart-swp6000000000002";

fn late() -> Strip {
    quiet(Strip::strip_3_36("SWP6000000000002").mac("02:00:00:00:00:02").named("Late"))
}

#[test]
fn a_plug_not_adopted_is_listed_only_until_adopting_is_allowed_for_a_while() {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        house.launch(&[("discovery.adopt", "false")], "");
        house.shows("bridge/state", "online").await;
        let response = house.request("scan", r#"{"seconds":1,"transaction":"s1"}"#).await;
        assert_eq!(response["transaction"], "s1");
        assert_eq!(response["data"]["found"], json!([STRIP]), "{response}");
        let devices = |m: &Message, adopted: bool| {
            m.topic == "plug2mqtt/bridge/devices"
                && m.json().as_array().unwrap().iter().any(|d| d["id"] == STRIP && d["adopted"] == adopted)
        };
        house.wait_after(0, "the list", |m| devices(m, false)).await;
        let retained = house.retained().await;
        assert!(!retained.keys().any(|topic| topic.contains(STRIP)), "{:?}", retained.keys());
        assert_eq!(house.command(&format!("{STRIP}/1/set"), "OFF").await["error"], "unknown_device");
        assert_eq!(house.switched(0), []);

        let response = house.request("adopt", r#"{"value":true,"time":1}"#).await;
        assert_eq!(response["data"], json!({"value": true, "time": 1}));
        house.shows(&format!("{STRIP}/availability"), "online").await;
        house.wait_after(0, "adopted", |m| devices(m, true)).await;
        let over = with("plug2mqtt/bridge/info", |text| text.contains("\"adopt\":false"));
        let mark = house.mark();
        house.wait_after(mark, "the end of adopting", over).await;
        assert_eq!(house.command(&format!("{STRIP}/1/set"), "OFF").await["status"], "ok");
        house.close().await;
    });
}

#[test]
fn a_removed_plug_leaves_nothing_behind_and_a_blocked_one_stays_away() {
    run(async {
        let mut house = TestBridge::new(vec![strip(), late()]).await;
        house.start(&[], "").await;
        house.shows(&format!("{LATE}/availability"), "online").await;
        let mark = house.mark();
        let response = house.request("device_remove", &format!(r#"{{"id":"{STRIP}","block":true}}"#)).await;
        assert_eq!(response["data"]["id"], STRIP, "{response}");
        assert_eq!(house.bridge_event(mark, "device_removed").await["device"], STRIP);
        let announcement = format!("homeassistant/device/plug2mqtt_{STRIP}/config");
        house.wait_after(mark, "the announcement taken back", on(&announcement, "")).await;
        house.polls(1, 3).await;
        let retained = house.retained().await;
        let left: Vec<_> = retained.iter().filter(|(t, p)| t.contains(STRIP) || p.contains(STRIP)).collect();
        assert!(left.is_empty(), "{left:?}");
        assert!(retained.contains_key(&format!("plug2mqtt/{LATE}/availability")));
        assert_eq!(house.request("scan", r#"{"seconds":1}"#).await["data"]["found"], json!([LATE]));
        let remove = format!(r#"{{"id":"{STRIP}"}}"#);
        let unblocked = house.request("device_remove", &remove).await;
        assert_eq!(unblocked["status"], "ok", "{unblocked}");
        let gone = house.request("device_remove", &remove).await;
        assert_eq!(gone["status"], "error", "{gone}");
        house.request("scan", r#"{"seconds":1}"#).await;
        house.shows(&format!("{STRIP}/availability"), "online").await;
        house.close().await;
    });
}

#[test]
fn names_and_options_are_changed_in_place_and_survive_a_restart() {
    run(async {
        let mut house = TestBridge::running().await;
        let mark = house.mark();
        house.request("device_rename", &format!(r#"{{"id":"{STRIP}","name":"Büro \"neu\""}}"#)).await;
        house.request("port_rename", &format!(r#"{{"id":"{STRIP}","port":2,"name":"Lampe"}}"#)).await;
        let options = format!(r#"{{"id":"{STRIP}","options":{{"poll_interval":"300ms","power_change":5}}}}"#);
        let response = house.request("device_options", &options).await;
        assert_eq!(response["data"]["options"]["poll_interval"], "300ms", "{response}");
        let config = format!("homeassistant/device/plug2mqtt_{STRIP}/config");
        let named = |m: &Message| {
            m.topic == config
                && m.json()["dev"]["name"] == "Büro \"neu\""
                && m.json()["cmps"]["p2_switch"]["name"] == "Lampe"
        };
        house.wait_after(mark, "new names", named).await;
        // A rename touches no topic and no id, and nothing is taken back for it.
        assert!(!house.since(mark).iter().any(|m| m.topic == config && m.payload.is_empty()));
        for (verb, payload) in [
            ("port_rename", format!(r#"{{"id":"{STRIP}","port":7,"name":"x"}}"#)),
            ("port_rename", format!(r#"{{"id":"{STRIP}","name":"x"}}"#)),
            ("device_rename", r#"{"id":"maxsmart-nobody","name":"x"}"#.into()),
            ("device_rename", r#"{"id":"../..","name":"x"}"#.into()),
            ("device_options", format!(r#"{{"id":"{STRIP}","options":{{"poll_interval":"1ms"}}}}"#)),
            ("device_options", format!(r#"{{"id":"{STRIP}","options":{{"nonsense":1}}}}"#)),
        ] {
            let response = house.request(verb, &payload).await;
            assert_eq!(response["status"], "error", "{verb} {payload}: {response}");
            assert!(response["error"].as_str().unwrap().len() > 8, "{response}");
        }
        house.stop().await.unwrap();
        let mark = house.mark();
        house.start(&[], "").await;
        house.wait_after(mark, "the names again", named).await;
        house.close().await;
    });
}

#[test]
fn log_level_and_health_are_answered_and_republish_says_everything_again() {
    run(async {
        let house = TestBridge::running().await;
        assert_eq!(house.request("log_level", "debug").await["data"]["level"], "debug");
        house
            .wait_after(0, "info", with("plug2mqtt/bridge/info", |t| t.contains("\"log_level\":\"debug\"")))
            .await;
        assert_eq!(house.request("log_level", "loud").await["status"], "error");
        let health = house.request("health_check", r#"{"transaction":{"a":1}}"#).await;
        assert_eq!((&health["data"]["healthy"], &health["transaction"]), (&json!(true), &json!({"a": 1})));
        assert_eq!(health["data"]["health"]["devices"], json!({"online": 1, "known": 1}), "{health}");
        let before = house.retained().await;
        let mark = house.mark();
        assert_eq!(house.request("republish", "{}").await["status"], "ok");
        house.wait_after(mark, "the last word", on("plug2mqtt/bridge/state", "online")).await;
        until("everything again", || {
            let said = house.since(mark);
            before.keys().all(|topic| said.iter().any(|m| m.topic == *topic))
        })
        .await;
        house.close().await;
    });
}

#[test]
fn cleanup_finds_what_nobody_owns_and_removes_it_only_when_told() {
    run(async {
        let house = TestBridge::running().await;
        let orphans = [
            "homeassistant/device/plug2mqtt_maxsmart-gone/config",
            "plug2mqtt/maxsmart-gone/1/state",
            "plug2mqtt/maxsmart-gone/availability",
        ];
        for topic in orphans {
            let payload = r#"{"avty":[{"t":"plug2mqtt/bridge/state"}]}"#;
            house.publish(topic, payload, true).await;
        }
        house.publish("homeassistant/device/another/config", r#"{"avty":"other/state"}"#, true).await;
        // Another bridge whose base lies below ours, and whoever else writes there.
        for topic in
            ["plug2mqtt/garage/bridge/state", "plug2mqtt/garage/maxsmart-x1/state", "plug2mqtt/weather"]
        {
            house.publish(topic, "online", true).await;
        }
        // The last of what a plug tells; it waits for what earlier runs have told.
        house.wait_after(0, "energy", |m| m.topic.ends_with("0001/energy")).await;
        let before = house.retained().await;
        let look = house.request("cleanup", r#"{"dry_run":true}"#).await;
        assert_eq!(
            look["data"],
            json!({"dry_run": true, "count": orphans.len(), "topics": orphans}),
            "{look}"
        );
        let now = house.retained().await;
        let moved: Vec<_> = now
            .keys()
            .filter(|t| !before.contains_key(*t))
            .chain(before.keys().filter(|t| !now.contains_key(*t)))
            .collect();
        assert!(moved.is_empty(), "{moved:?}");
        let done = house.request("cleanup", "{}").await;
        assert_eq!(done["data"]["topics"], json!(orphans), "{done}");
        let after = house.retained().await;
        let left: Vec<_> = before.keys().filter(|topic| !after.contains_key(*topic)).collect();
        assert_eq!(left, orphans);
        house.close().await;
    });
}

#[test]
fn a_restart_is_answered_and_ends_the_run() {
    run(async {
        let mut house = TestBridge::running().await;
        assert_eq!(house.request("restart", "{}").await["status"], "ok");
        assert_eq!(house.ended().await, Ok(Ended::Restart));
        house.shows("bridge/state", "offline").await;
        house.start(&[], "").await;
        house.close().await;
    });
}

#[test]
fn without_admin_only_harmless_requests_are_obeyed() {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        house.start(&[("mqtt.allow_admin", "false")], "").await;
        for (verb, payload) in [
            ("adopt", "OFF".to_owned()),
            ("device_remove", format!(r#"{{"id":"{STRIP}"}}"#)),
            ("device_rename", format!(r#"{{"id":"{STRIP}","name":"x"}}"#)),
            ("cleanup", "{}".into()),
            ("log_level", "trace".into()),
            ("restart", "{}".into()),
        ] {
            let response = house.request(verb, &payload).await;
            assert!(response["error"].as_str().unwrap().contains("mqtt.allow_admin"), "{verb}: {response}");
        }
        assert_eq!(house.request("health_check", "{}").await["status"], "ok");
        assert_eq!(house.command(&format!("{STRIP}/1/set"), "OFF").await["status"], "ok");
        house.close().await;
    });
}

#[test]
fn a_clean_stop_says_one_word_and_leaves_the_plugs_topics_alone() {
    run(async {
        let mut house = TestBridge::running().await;
        let before = house.retained().await;
        let mark = house.mark();
        house.stop().await.unwrap();
        house.shows("bridge/state", "offline").await;
        let said: Vec<String> =
            house.since(mark).iter().map(|m| m.topic.clone()).filter(|t| !t.starts_with("end/")).collect();
        assert_eq!(said, ["plug2mqtt/bridge/state"]);
        let after = house.retained().await;
        for (topic, payload) in before.iter().filter(|(topic, _)| *topic != "plug2mqtt/bridge/state") {
            assert_eq!(after.get(topic), Some(payload));
        }
        house.start(&[], "").await;
        house.close().await;
    });
}

#[test]
fn a_request_with_a_key_of_another_verb_changes_nothing_and_says_which_keys_it_has() {
    run(async {
        let house = TestBridge::running().await;
        let devices = house.value("bridge/devices");
        for (verb, keys, answer) in [
            (
                "countdown",
                r#""port":1,"minutes":5,"leader":2"#,
                "countdown has no key \"leader\"; its keys are id, port, minutes and transaction",
            ),
            (
                "device_rename",
                r#""name":"Other","kwh":7"#,
                "device_rename has no key \"kwh\"; its keys are id, name, device_too and transaction",
            ),
        ] {
            let request = format!(r#"{{"id":"{STRIP}","transaction":[1],{keys}}}"#);
            let response = house.request(verb, &request).await;
            let want = json!({"status": "error", "data": {}, "error": answer, "transaction": [1]});
            assert_eq!(response, want);
        }
        let countdowns = house.request("countdown", &format!(r#"{{"id":"{STRIP}","port":1}}"#)).await;
        assert_eq!(countdowns["data"]["countdowns"][0]["minutes"], json!(null), "{countdowns}");
        assert_eq!(house.value("bridge/devices"), devices, "nothing is called otherwise");
        house.close().await;
    });
}
