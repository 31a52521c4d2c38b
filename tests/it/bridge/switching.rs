//! Commands: what is switched, and the one result each of them gets.

use crate::support::{Message, STRIP, TestBridge, on, quiet, run, strip, until};
use plug2mqtt::sim::{Faults, Strip};
use serde_json::{Value, json};
use std::time::Duration;

fn results(house: &TestBridge, mark: usize) -> Vec<Value> {
    let topic = format!("plug2mqtt/{STRIP}/response");
    house.since(mark).iter().filter(|m| m.topic == topic).map(Message::json).collect()
}

#[test]
fn every_spelling_of_a_command_switches_and_gets_one_result() {
    run(async {
        let house = TestBridge::running().await;
        let mark = house.mark();
        for (topic, payload, ports, relays) in [
            ("1/set", "OFF", json!({"1": "OFF"}), [0, 1, 1, 1, 1, 1]),
            ("1/set", "on", json!({"1": "ON"}), [1, 1, 1, 1, 1, 1]),
            ("2/set", "TOGGLE", json!({"2": "OFF"}), [1, 0, 1, 1, 1, 1]),
            ("2/set", "true", json!({"2": "ON"}), [1, 1, 1, 1, 1, 1]),
            ("3/set", "0", json!({"3": "OFF"}), [1, 1, 0, 1, 1, 1]),
            ("3/set", r#"{"state":"ON","id":"nr-17"}"#, json!({"3": "ON"}), [1, 1, 1, 1, 1, 1]),
            (
                "set",
                r#"{"ports":{"1":"OFF","5":"OFF"}}"#,
                json!({"1": "OFF", "5": "OFF"}),
                [0, 1, 1, 1, 0, 1],
            ),
        ] {
            let result = house.command(&format!("{STRIP}/{topic}"), payload).await;
            assert_eq!(result["status"], "ok", "{payload}: {result}");
            assert_eq!(result["ports"], ports, "{payload}");
            assert_eq!(result["confirmed"], true);
            assert_eq!(result["attempts"], 1, "{result}");
            assert!(result["latency_ms"].is_u64() && result["ts"].is_string(), "{result}");
            assert_eq!(house.relays(0), relays.map(|on| on == 1), "{payload}");
            for (port, state) in ports.as_object().unwrap() {
                // What the result speaks of is on its topic already.
                assert_eq!(house.value(&format!("{STRIP}/{port}/state")).as_deref(), state.as_str());
            }
        }
        let all = results(&house, mark);
        assert_eq!(all.len(), 7, "exactly one result each: {all:?}");
        assert_eq!(all[5]["id"], "nr-17");
        house.close().await;
    });
}

#[test]
fn port_0_is_one_request_for_the_whole_strip() {
    run(async {
        let house = TestBridge::running().await;
        assert_eq!(house.value(&format!("{STRIP}/0/state")).as_deref(), Some("ON"));
        let result = house.command(&format!("{STRIP}/0/set"), "OFF").await;
        assert_eq!(result["ports"].as_object().map(|ports| ports.len()), Some(6), "{result}");
        assert_eq!(house.switched(0), [(0, false)]);
        house.shows(&format!("{STRIP}/0/state"), "OFF").await;
        house.command(&format!("{STRIP}/4/set"), "ON").await;
        house.shows(&format!("{STRIP}/0/state"), "ON").await;
        house.close().await;
    });
}

#[test]
fn six_ports_at_once_become_few_requests() {
    run(async {
        let house = TestBridge::running().await;
        let mut few = false;
        // A busy machine may tear the six apart; it does not every time.
        for (round, state) in ["OFF", "ON"].into_iter().cycle().take(20).enumerate() {
            let (mark, before) = (house.mark(), house.switched(0).len());
            for port in 1..=6 {
                let command = format!(r#"{{"state":"{state}","id":"{round}-{port}"}}"#);
                house.publish(&format!("{STRIP}/{port}/set"), command, false).await;
            }
            for port in 1..=6 {
                let id = format!("{round}-{port}");
                let result = house.result(mark, STRIP, |r| r["id"] == id).await;
                assert_eq!(result["status"], "ok", "{result}");
            }
            assert_eq!(house.relays(0), [state == "ON"; 6]);
            assert_eq!(results(&house, mark).len(), 6);
            few = house.switched(0).len() - before <= 3;
            if few {
                break;
            }
        }
        assert!(few, "{:?}", house.switched(0));
        house.close().await;
    });
}

#[test]
fn a_timed_command_goes_back_by_itself() {
    run(async {
        let house = TestBridge::running().await;
        let mark = house.mark();
        house.command(&format!("{STRIP}/2/set"), r#"{"state":"OFF","for_s":1}"#).await;
        let state = format!("plug2mqtt/{STRIP}/2/state");
        house.wait_after(mark, "off", on(&state, "OFF")).await;
        let off = house.mark();
        house.wait_after(off, "back on", on(&state, "ON")).await;
        assert_eq!(house.switched(0), [(2, false), (2, true)]);
        assert_eq!(results(&house, mark).len(), 1);
        let snapshot = format!("plug2mqtt/{STRIP}/state");
        house
            .wait_after(off, "the cause", |m| {
                m.topic == snapshot && m.json()["ports"]["2"]["cause"] == "countdown"
            })
            .await;
        house.close().await;
    });
}

#[test]
fn staggered_ports_are_switched_one_after_another() {
    run(async {
        let house = TestBridge::running().await;
        let began = std::time::Instant::now();
        let scene = r#"{"ports":{"1":"OFF","2":"OFF","3":"OFF"},"stagger_ms":150}"#;
        let result = house.command(&format!("{STRIP}/set"), scene).await;
        assert_eq!((&result["status"], &result["attempts"]), (&json!("ok"), &json!(1)), "{result}");
        assert!(began.elapsed() >= Duration::from_millis(300), "{result}");
        assert_eq!(house.switched(0), [(1, false), (2, false), (3, false)]);
        house.close().await;
    });
}

#[test]
fn a_command_to_a_plug_that_is_off_fails_and_the_true_state_is_published_again() {
    run(async {
        let house = TestBridge::running().await;
        let faults = Faults { off: true, ..Default::default() };
        house.plug(0).set_faults(faults).await.unwrap();
        // It is not known yet that the plug is off: the command lives no longer than it says.
        let result = house.command(&format!("{STRIP}/1/set"), r#"{"state":"OFF","ttl_ms":400}"#).await;
        assert_eq!(result["status"], "failed", "{result}");
        assert!(["timeout", "expired", "offline"].contains(&result["error"].as_str().unwrap()), "{result}");
        assert!(result["latency_ms"].as_u64().unwrap() < 1000, "{result}");
        house.shows(&format!("{STRIP}/availability"), "offline").await;
        let mark = house.mark();
        let result = house.command(&format!("{STRIP}/3/set"), "OFF").await;
        assert_eq!(result["error"], "offline", "{result}");
        house.wait_after(mark, "the true state", on(&format!("plug2mqtt/{STRIP}/3/state"), "ON")).await;
        let event = house.plug_event(mark, STRIP, "command_failed").await;
        assert_eq!((&event["error"], &event["port"]), (&json!("offline"), &json!(0)), "{event}");
        assert_eq!(house.switched(0), []);
        house.close().await;
    });
}

#[test]
fn locks_and_read_only_refuse_and_options_cannot_loosen_the_settings() {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        let locks = format!(
            "[device.\"{STRIP}\".port.1]\nlock = \"on\"\n[device.\"{STRIP}\".port.2]\nlock = \"both\"\n"
        );
        house.start(&[], &locks).await;
        let mark = house.mark();
        let result = house.command(&format!("{STRIP}/1/set"), "OFF").await;
        assert_eq!((&result["error"], &result["port"]), (&json!("locked"), &json!(1)), "{result}");
        house.wait_after(mark, "spring back", on(&format!("plug2mqtt/{STRIP}/1/state"), "ON")).await;
        // As a whole or not at all.
        let result = house.command(&format!("{STRIP}/set"), r#"{"ports":{"2":"OFF","3":"OFF"}}"#).await;
        assert_eq!((&result["error"], &result["port"]), (&json!("locked"), &json!(2)), "{result}");
        let result = house.command(&format!("{STRIP}/0/set"), "OFF").await;
        assert_eq!(result["error"], "locked", "{result}");
        let loosen = format!(r#"{{"id":"{STRIP}","options":{{"port":{{"1":{{"lock":"none"}}}}}}}}"#);
        let response = house.request("device_options", &loosen).await;
        assert_eq!(response["status"], "error", "{response}");
        assert!(response["error"].as_str().unwrap().contains("settings lock port 1"), "{response}");
        let tighten =
            format!(r#"{{"id":"{STRIP}","options":{{"port":{{"4":{{"lock":"off"}}}}}},"transaction":7}}"#);
        let response = house.request("device_options", &tighten).await;
        assert_eq!((&response["status"], &response["transaction"]), (&json!("ok"), &json!(7)), "{response}");
        house.command(&format!("{STRIP}/4/set"), "OFF").await;
        assert_eq!(house.command(&format!("{STRIP}/4/set"), "ON").await["error"], "locked");
        assert_eq!(house.switched(0), [(4, false)]);
        house.stop().await.unwrap();

        house.start(&[("commands.read_only", "true")], &locks).await;
        assert_eq!(house.command(&format!("{STRIP}/3/set"), "OFF").await["error"], "read_only");
        let response = house
            .request("device_options", &format!(r#"{{"id":"{STRIP}","options":{{"read_only":false}}}}"#))
            .await;
        assert_eq!(response["status"], "error", "{response}");
        assert_eq!(house.switched(0), [(4, false)]);
        house.close().await;
    });
}

#[test]
fn a_retained_command_is_refused_cleared_and_reported() {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        house.publish(&format!("{STRIP}/2/set"), "OFF", true).await;
        house.publish("bridge/request/restart", "{}", true).await;
        let mark = house.mark();
        house.start(&[], "").await;
        let event = house.bridge_event(mark, "retained_command").await;
        assert_eq!((&event["device"], &event["port"]), (&json!(STRIP), &json!(2)), "{event}");
        let result = house.result(mark, STRIP, |_| true).await;
        assert_eq!(result["error"], "retained", "{result}");
        house.wait_after(mark, "request cleared", on("plug2mqtt/bridge/request/restart", "")).await;
        house.polls(0, 3).await;
        let retained = house.retained().await;
        assert!(
            !retained.keys().any(|topic| topic.ends_with("/set") || topic.contains("/request/")),
            "{retained:?}"
        );
        assert_eq!(house.switched(0), []);
        house.close().await;
    });
}

#[test]
fn a_live_command_with_the_retain_flag_is_obeyed_once_and_its_copy_cleared() {
    run(async {
        let house = TestBridge::running().await;
        let mark = house.mark();
        let set = format!("plug2mqtt/{STRIP}/2/set");
        house.publish(&set, "OFF", true).await;
        assert_eq!(house.result(mark, STRIP, |_| true).await["status"], "ok");
        house.wait_after(mark, "the copy cleared", on(&set, "")).await;
        house.polls(0, 2).await;
        assert!(!house.retained().await.contains_key(&set));
        assert_eq!(house.switched(0), [(2, false)]);
        assert_eq!(results(&house, mark).len(), 1);
        house.close().await;
    });
}

#[test]
fn the_newest_command_for_a_port_wins_and_the_others_are_told_so() {
    run(async {
        let house = TestBridge::running().await;
        let faults = Faults { delay: Duration::from_millis(60), ..Faults::default() };
        house.plug(0).set_faults(faults).await.unwrap();
        let mark = house.mark();
        for (id, state) in [("a", "OFF"), ("b", "ON"), ("c", "OFF"), ("d", "ON"), ("e", "OFF")] {
            let command = format!(r#"{{"state":"{state}","id":"{id}"}}"#);
            house.publish(&format!("{STRIP}/2/set"), command, false).await;
        }
        let last = house.result(mark, STRIP, |r| r["id"] == "e").await;
        assert_eq!((&last["status"], &last["ports"]["2"]), (&json!("ok"), &json!("OFF")), "{last}");
        assert!(!house.relays(0)[1]);
        house.polls(0, 3).await;
        let all = results(&house, mark);
        let ids: Vec<&str> = all.iter().map(|r| r["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), 5, "one result each: {ids:?}");
        assert!(all.iter().any(|r| r["error"] == "superseded"), "{all:?}");
        house.close().await;
    });
}

async fn flood(house: &TestBridge, count: u64) {
    for n in 0..count {
        let command = format!(r#"{{"state":"{}","id":{n}}}"#, if n % 2 == 0 { "OFF" } else { "ON" });
        house.publish(&format!("{STRIP}/{}/set", n % 6 + 1), command, false).await;
    }
}

fn marks(house: &TestBridge, mark: usize) -> Vec<u64> {
    let all = results(house, mark);
    let mut marks: Vec<u64> = all.iter().filter_map(|result| result["id"].as_u64()).collect();
    marks.sort_unstable();
    marks
}

#[test]
fn hundreds_of_commands_at_once_get_a_result_each() {
    run(async {
        let house = TestBridge::running().await;
        let mark = house.mark();
        flood(&house, 400).await;
        until("all results", || results(&house, mark).len() >= 400).await;
        house.polls(0, 3).await;
        assert!(marks(&house, mark).into_iter().eq(0..400), "each exactly once");
        assert!(house.switched(0).len() < 100, "few of them reached the plug");
        house.close().await;
    });
}

#[test]
fn a_flood_gets_a_result_each_and_costs_another_plug_nothing() {
    run(async {
        let other = "maxsmart-swp6000000000002";
        let second = quiet(Strip::strip_3_36("SWP6000000000002").mac("02:00:00:00:00:02"));
        let mut house = TestBridge::new(vec![strip(), second]).await;
        house.start(&[], "").await;
        let mark = house.mark();
        for n in 0..6000 {
            house
                .publish(&format!("{STRIP}/0/set"), format!(r#"{{"state":"TOGGLE","id":{n}}}"#), false)
                .await;
        }
        let nonsense = 100;
        for _ in 0..nonsense {
            house.publish(&format!("{STRIP}/1/set"), "BOIL", false).await;
        }
        let result = house.command(&format!("{other}/1/set"), "OFF").await;
        assert_eq!(result["status"], "ok", "{result}");
        until("a result each", || results(&house, mark).len() >= 6000 + nonsense).await;
        house.polls(0, 3).await;
        assert!(marks(&house, mark).into_iter().eq(0..6000), "each exactly once");
        let all = results(&house, mark);
        let expected = |result: &&Value| {
            ["superseded", "busy", "bad_payload"].iter().any(|why| result["error"] == *why)
                || result["status"] == "ok"
        };
        assert_eq!(all.iter().filter(expected).count(), all.len());
        let health = house.request("health_check", "{}").await;
        assert_eq!(health["data"]["health"]["mqtt"]["dropped"], 0, "{health}");
        house.close().await;
    });
}

#[test]
fn a_timed_command_goes_back_even_after_a_restart() {
    run(async {
        let mut house = TestBridge::running().await;
        house.command(&format!("{STRIP}/2/set"), r#"{"state":"OFF","for_s":1}"#).await;
        house.stop().await.unwrap();
        assert!(!house.relays(0)[1]);
        house.start(&[], "").await;
        house.shows(&format!("{STRIP}/2/state"), "ON").await;
        assert!(house.relays(0)[1]);
        house.close().await;
    });
}

#[test]
fn what_cannot_be_written_down_is_not_done_and_answered_so() {
    run(async {
        let house = TestBridge::running().await;
        assert_eq!(house.command(&format!("{STRIP}/1/set"), "OFF").await["status"], "ok");
        std::fs::rename(house.state_directory(), house.state_directory().with_extension("away")).unwrap();
        let rename = house.request("device_rename", &format!(r#"{{"id":"{STRIP}","name":"Attic"}}"#)).await;
        let error = rename["error"].as_str().unwrap_or_default().to_owned();
        assert!(error.starts_with("not saved: "), "{rename}");
        house.shows("bridge/problem", "ON").await;
        let timed = house.command(&format!("{STRIP}/1/set"), r#"{"state":"ON","for_s":60}"#).await;
        assert_eq!((&timed["error"], &timed["port"]), (&"not_saved".into(), &1.into()), "{timed}");
        assert!(!house.relays(0)[0], "nothing moves");
        assert_eq!(house.command(&format!("{STRIP}/2/set"), "OFF").await["status"], "ok", "plain ones do");
        std::fs::rename(house.state_directory().with_extension("away"), house.state_directory()).unwrap();
        let timed = house.command(&format!("{STRIP}/1/set"), r#"{"state":"ON","for_s":1}"#).await;
        assert_eq!(timed["status"], "ok", "{timed}");
        until("the way back", || !house.relays(0)[0]).await;
        house.shows("bridge/problem", "OFF").await;
        house.close().await;
    });
}
