//! Finding plugs, keeping hold of them, and telling how they are.

use crate::support::{Message, STRIP, TestBridge, addresses, on, quiet, run, strip, until, watts, with};
use plug2mqtt::sim::{Faults, Strip};
use serde_json::json;
use std::time::{Duration, Instant};

const PLUG: &str = "maxsmart-swp1000000000002";
const DESK: &str = "maxsmart-sww6000000000003";

fn shelf() -> Vec<Strip> {
    vec![
        strip(),
        quiet(Strip::plug_2_11("SWP1000000000002").mac("02:00:00:00:00:02").named("Coffee")),
        quiet(Strip::strip_5_11("SWW6000000000003").mac("02:00:00:00:00:03").named("Desk")),
    ]
}

#[test]
fn a_broadcast_finds_all_firmwares_and_shows_what_they_measure() {
    run(async {
        let mut house = TestBridge::new(shelf()).await;
        house.start(&[], "").await;
        for id in [STRIP, PLUG, DESK] {
            house.shows(&format!("{id}/availability"), "online").await;
            house.shows(&format!("{id}/1/power"), "10").await;
            house.shows(&format!("{id}/1/state"), "ON").await;
            house.shows(&format!("{id}/problem"), "OFF").await;
        }
        house.shows(&format!("{STRIP}/power"), "10").await;
        let retained = house.retained().await;
        assert!(!retained.contains_key(&format!("plug2mqtt/{PLUG}/power")), "one port needs no sum");
        let info: serde_json::Value =
            serde_json::from_str(&retained[&format!("plug2mqtt/{STRIP}/info")]).unwrap();
        for (key, value) in [
            ("id", json!(STRIP)),
            ("driver", json!("maxsmart")),
            ("name", json!("Office strip")),
            ("model_id", json!("SOP111")),
            ("serial", json!("SWP6000000000001")),
            ("mac", json!("02:00:00:00:00:01")),
            ("firmware", json!("1.30")),
            ("ports", json!(6)),
            ("metering", json!(["power", "current"])),
            ("control", json!(true)),
        ] {
            assert_eq!(info[key], value, "{info}");
        }
        // A plug with one port has no port 0 and no second one.
        assert!(!retained.contains_key(&format!("plug2mqtt/{PLUG}/0/state")));
        assert!(!retained.contains_key(&format!("plug2mqtt/{PLUG}/2/state")));
        house.close().await;
    });
}

#[test]
fn a_slow_plug_is_met_with_the_patience_that_it_is_polled_with() {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        let slow = Faults { delay: Duration::from_millis(1200), ..Faults::default() };
        house.plug(0).set_faults(slow).await.unwrap();
        house.start(&[("maxsmart.timeout", "2s"), ("maxsmart.set_clock", "false")], "").await;
        house.polls(0, 2).await;
        house.shows(&format!("{STRIP}/availability"), "online").await;
        house.close().await;
    });
}

#[test]
fn a_plug_behind_a_closed_port_is_told_with_its_reason() {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        // It answers the search, and its web server is behind a door that is not let through.
        house.launch(&[("maxsmart.http_port", "9")], "");
        let event = house.bridge_event(0, "device_offline").await;
        assert_eq!(event["device"], STRIP);
        let devices = |m: &Message| m.topic == "plug2mqtt/bridge/devices" && m.text().contains("offline");
        house.wait_after(0, "it in the list", devices).await;
        let found = |m: &&Message| m.topic == "plug2mqtt/bridge/event" && m.text().contains("device_found");
        assert_eq!(house.heard().iter().filter(found).count(), 1);
        house.close().await;
    });
}

#[test]
fn named_hosts_are_found_without_a_broadcast() {
    run(async {
        let mut house = TestBridge::new(shelf()).await;
        let hosts: Vec<String> = house.shelf.plugs().iter().map(|plug| plug.ip().to_string()).collect();
        // The second does not answer discovery: it is asked over HTTP who it is.
        let faults = Faults { lose_reply_every: 1, ..Faults::default() };
        house.plug(1).set_faults(faults).await.unwrap();
        house.start(&[("maxsmart.broadcast", ""), ("maxsmart.hosts", &hosts.join(","))], "").await;
        house.shows(&format!("{DESK}/availability"), "online").await;
        house.shows("maxsmart-020000000002/availability", "online").await;
        house.close().await;
    });
}

#[test]
fn a_named_host_that_answers_after_the_search_has_ended_is_found_and_stays() {
    run(async {
        let mut house = TestBridge::new(vec![Strip::strip_5_11("SWW6000000000003")]).await;
        let slow = Faults { delay: Duration::from_millis(2600), ..Faults::default() };
        house.plug(0).set_faults(slow).await.unwrap();
        let host = house.plug(0).ip().to_string();
        let mark = house.mark();
        house
            .launch(&[("maxsmart.broadcast", ""), ("maxsmart.hosts", &host), ("maxsmart.timeout", "4s")], "");
        let id = "maxsmart-sww6000000000003";
        assert_eq!(house.bridge_event(mark, "device_found").await["device"], id);
        house.shows(&format!("{id}/availability"), "online").await;
        house.polls(0, 2).await;
        house.shows(&format!("{id}/availability"), "online").await;
        house.close().await;
    });
}

#[test]
fn networks_are_scanned_without_a_broadcast_and_their_silence_is_not_told() {
    run(async {
        let mut house = TestBridge::new(shelf()).await;
        let networks: Vec<String> = house
            .shelf
            .plugs()
            .iter()
            .map(|plug| {
                let [a, b, c, d] = plug.ip().octets();
                format!("{a}.{b}.{c}.{}/31", d & !1)
            })
            .collect();
        let networks = networks.join(",");
        house.start(&[("maxsmart.broadcast", ""), ("maxsmart.scan", &networks)], "").await;
        for id in [STRIP, PLUG, DESK] {
            house.shows(&format!("{id}/availability"), "online").await;
        }
        house.close().await;
    });
}

#[test]
fn a_named_host_that_comes_later_is_found_soon() {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        let host = house.plug(0).ip().to_string();
        house.plug(0).set_faults(Faults { off: true, ..Faults::default() }).await.unwrap();
        let mark = house.mark();
        house.launch(&[("maxsmart.broadcast", ""), ("maxsmart.hosts", &host)], "");
        house.wait_after(mark, "online", on("plug2mqtt/bridge/state", "online")).await;
        tokio::time::sleep(Duration::from_secs(4)).await;
        house.plug(0).set_faults(Faults::default()).await.unwrap();
        house.shows(&format!("{STRIP}/availability"), "online").await;
        house.close().await;
    });
}

#[test]
fn only_what_moved_is_published_and_the_heartbeat_repeats_the_rest() {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        house.start(&[("publish.heartbeat", "2s")], "").await;
        let numbers = |messages: Vec<Message>| {
            let count = messages.iter().filter(|m| m.topic.ends_with("/power")).count();
            (
                count,
                messages
                    .iter()
                    .filter(|m| m.topic.ends_with("/state") && m.topic.matches('/').count() == 3)
                    .count(),
            )
        };
        let mark = house.mark();
        house.polls(0, 3).await;
        assert_eq!(numbers(house.since(mark)), (0, 0), "nothing moved");
        // Exactly 1 W is not more than 1 W.
        house.plug(0).strip(|strip| strip.plug_in(1, watts(11)));
        house.polls(0, 2).await;
        assert_eq!(numbers(house.since(mark)), (0, 0), "1 W is within the deadband");
        house.plug(0).strip(|strip| strip.plug_in(1, watts(12)));
        house.shows(&format!("{STRIP}/1/power"), "12").await;
        house.shows(&format!("{STRIP}/power"), "12").await;
        let mark = house.mark();
        let beat = with(&format!("plug2mqtt/{STRIP}/2/power"), |text| text == "0");
        house.wait_after(mark, "a heartbeat", &beat).await;
        let second = house.mark();
        house.wait_after(second, "a second heartbeat", &beat).await;
        // Relays are no numbers: they are not repeated.
        assert_eq!(numbers(house.since(mark)).1, 0);
        house.close().await;
    });
}

#[test]
fn a_pressed_button_is_seen_and_put_down_to_a_hand() {
    run(async {
        let house = TestBridge::running().await;
        let mark = house.mark();
        house.plug(0).press(3);
        let event = house.plug_event(mark, STRIP, "switched_locally").await;
        assert_eq!((&event["port"], &event["state"]), (&json!(3), &json!("OFF")), "{event}");
        assert_eq!(house.value(&format!("{STRIP}/3/state")).as_deref(), Some("OFF"), "before its event");
        let snapshot = format!("plug2mqtt/{STRIP}/state");
        let local = |m: &Message| {
            m.topic == snapshot
                && m.json()["ports"]["3"]["cause"] == "local"
                && m.json()["ports"]["3"]["state"] == "OFF"
        };
        house.wait_after(mark, "the cause", local).await;
        house.close().await;
    });
}

#[test]
fn snapshots_come_once_a_second_at_most() {
    run(async {
        let house = TestBridge::running().await;
        let mark = house.mark();
        let began = Instant::now();
        for port in [1, 2, 3, 4, 5, 6, 1, 2] {
            house.command(&format!("{STRIP}/{port}/set"), "TOGGLE").await;
        }
        let snapshot = format!("plug2mqtt/{STRIP}/state");
        house
            .wait_after(mark, "the last one", |m| {
                m.topic == snapshot
                    && m.json()["ports"]["6"]["state"] == "OFF"
                    && m.json()["ports"]["2"]["state"] == "ON"
            })
            .await;
        let count = house.since(mark).iter().filter(|m| m.topic == snapshot).count();
        let most = began.elapsed().as_secs_f64() + 2.0;
        assert!((count as f64) <= most, "{count} snapshots in {:?}", began.elapsed());
        house.close().await;
    });
}

#[test]
fn a_plug_that_is_off_goes_offline_after_three_misses_and_disturbs_nobody() {
    run(async {
        let mut house = TestBridge::new(shelf()).await;
        house.start(&[], "").await;
        for id in [PLUG, DESK] {
            house.shows(&format!("{id}/availability"), "online").await;
        }
        let mark = house.mark();
        let began = Instant::now();
        house.plug(0).set_faults(Faults { off: true, ..Faults::default() }).await.unwrap();
        let event = house.bridge_event(mark, "device_offline").await;
        assert_eq!(event["device"], STRIP);
        assert!(began.elapsed() >= Duration::from_millis(600), "three misses of 300 ms");
        house.shows(&format!("{STRIP}/availability"), "offline").await;
        house.shows(&format!("{STRIP}/problem"), "ON").await;
        let result = house.command(&format!("{PLUG}/1/set"), "OFF").await;
        assert_eq!(result["status"], "ok");
        assert!(result["latency_ms"].as_u64().unwrap() < 500, "{result}");
        house.polls(2, 3).await;
        house.plug(0).set_faults(Faults::default()).await.unwrap();
        let event = house.bridge_event(mark, "device_online").await;
        assert_eq!(event["device"], STRIP);
        house.shows(&format!("{STRIP}/availability"), "online").await;
        house.shows(&format!("{STRIP}/problem"), "OFF").await;
        for id in [PLUG, DESK] {
            let gone = house.since(mark).iter().any(on(&format!("plug2mqtt/{id}/availability"), "offline"));
            assert!(!gone, "{id} was disturbed");
        }
        for place in 0..3 {
            assert!(house.plug(place).max_connections() <= 1, "one connection at a time");
        }
        house.close().await;
    });
}

#[test]
fn a_plug_is_followed_to_its_new_address() {
    run(async {
        let house = TestBridge::running().await;
        let mark = house.mark();
        let [ip] = addresses(1)[..] else { return };
        house.plug(0).move_to(ip).await.unwrap();
        let event = house.plug_event(mark, STRIP, "address_changed").await;
        assert!(event["to"].as_str().unwrap().starts_with(&ip.to_string()), "{event}");
        house.shows(&format!("{STRIP}/availability"), "online").await;
        let info = format!("plug2mqtt/{STRIP}/info");
        house
            .wait_after(mark, "its address", |m| {
                m.topic == info && m.json()["ip"].as_str().unwrap().starts_with(&ip.to_string())
            })
            .await;
        assert_eq!(house.command(&format!("{STRIP}/1/set"), "OFF").await["status"], "ok");
        house.close().await;
    });
}

#[test]
fn two_plugs_with_one_serial_are_told_apart_by_their_mac() {
    run(async {
        let second = quiet(Strip::strip_1_30("SWP6000000000001").named("Twin").mac("02:00:00:00:00:99"));
        let mut house = TestBridge::new(vec![strip(), second]).await;
        house.start(&[], "").await;
        let twin = format!("{STRIP}-000099");
        let plain = format!("{STRIP}-000001");
        until("both", || {
            let there = |id: &str| house.value(&format!("{id}/availability")).as_deref() == Some("online");
            there(STRIP) && (there(&twin) || there(&plain))
        })
        .await;
        let (first, other) =
            if house.value(&format!("{twin}/availability")).is_some() { (0, twin) } else { (1, plain) };
        house.command(&format!("{STRIP}/1/set"), "OFF").await;
        assert!(!house.relays(first)[0] && house.relays(1 - first)[0], "the right one");
        house.command(&format!("{other}/2/set"), "OFF").await;
        assert!(house.relays(first)[1] && !house.relays(1 - first)[1], "and the other");
        // Neither is mistaken for the other from then on.
        house.polls(0, 3).await;
        house.polls(1, 3).await;
        for id in [STRIP, &other] {
            assert_eq!(house.value(&format!("{id}/availability")).as_deref(), Some("online"));
        }
        house.close().await;
    });
}

#[test]
fn known_plugs_are_asked_before_any_search_and_announced_offline_when_they_are_gone() {
    run(async {
        let mut house = TestBridge::new(shelf()).await;
        // A busy machine takes longer than usual.
        house.start(&[("maxsmart.timeout", "1s")], "").await;
        for id in [PLUG, DESK] {
            house.shows(&format!("{id}/availability"), "online").await;
        }
        house.stop().await.unwrap();
        house.plug(1).set_faults(Faults { off: true, ..Faults::default() }).await.unwrap();
        let mark = house.mark();
        // No search could find anybody here.
        house.start(&[("maxsmart.broadcast", ""), ("maxsmart.timeout", "1s")], "").await;
        house.wait_after(mark, "desk", on(&format!("plug2mqtt/{DESK}/availability"), "online")).await;
        house.wait_after(mark, "coffee", on(&format!("plug2mqtt/{PLUG}/availability"), "offline")).await;
        let coffee = format!("homeassistant/device/plug2mqtt_{PLUG}/config");
        let announced = house.wait_after(mark, "its announcement", |m| m.topic == coffee).await;
        assert_eq!(announced.json()["dev"]["name"], "Coffee");
        let state = format!("plug2mqtt/{PLUG}/1/state");
        assert!(!house.since(mark).iter().any(|m| m.topic == state), "it was not reached in this run");
        house.close().await;
    });
}

#[test]
fn a_plug_that_comes_later_is_found_by_a_scan_and_reported() {
    run(async {
        let mut house = TestBridge::new(shelf()).await;
        for place in [1, 2] {
            house.plug(place).set_faults(Faults { off: true, ..Faults::default() }).await.unwrap();
        }
        house.start(&[("discovery.deny", DESK)], "").await;
        for place in [1, 2] {
            house.plug(place).set_faults(Faults::default()).await.unwrap();
        }
        let mark = house.mark();
        let response = house.request("scan", r#"{"seconds":1}"#).await;
        assert_eq!(response["data"], json!({"found": [PLUG, STRIP], "new": [PLUG]}), "{response}");
        for kind in ["device_found", "device_adopted"] {
            assert_eq!(house.bridge_event(mark, kind).await["device"], PLUG);
        }
        house.shows(&format!("{PLUG}/availability"), "online").await;
        assert_eq!(house.value(&format!("{DESK}/availability")), None, "denied");
        house.close().await;
    });
}
