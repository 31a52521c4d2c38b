//! The second family, INPLUG: the same topics, results and events as every other plug, and what is
//! its own: sessions, locks, a meter or none.

use crate::support::{Message, TestBridge, addresses, run, strip, until, watts, with};
use plug2mqtt::model::Mac;
use plug2mqtt::sim::{Faults, Inplug, Served, Shelf};
use serde_json::{Value, json};

const HEATER: &str = "inplug-020000002711";
const LAMP: &str = "inplug-020000002712";
const FAN: &str = "inplug-020000002713";

/// A strip, INPLUGs and the bridge in service.
async fn house(plugs: Vec<Inplug>, set: &[(&str, &str)], more: &str) -> (TestBridge, Shelf<Inplug>) {
    let homes = addresses(plugs.len());
    let plugs = Shelf::serve(homes.into_iter().zip(plugs).collect(), 0, 0).await.expect("a shelf");
    let port = plugs.ports().0.to_string();
    let own = [
        ("inplug.enabled", "true"),
        ("inplug.udp_port", &port),
        ("inplug.broadcast", "127.255.255.255"),
        ("inplug.poll_interval", "200ms"),
        ("inplug.burst_interval", "200ms"),
        ("inplug.timeout", "2s"),
        ("discovery.interval", "3s"),
    ];
    let mut house = TestBridge::new(vec![strip()]).await;
    house.start(&[&own[..], set].concat(), more).await;
    (house, plugs)
}

fn heater() -> Inplug {
    Inplug::new(0x11).named("Heater").with_relay(true).load(watts(60))
}

async fn close(house: TestBridge, plugs: Shelf<Inplug>) {
    house.close().await;
    plugs.stop().await;
}

fn relay(plug: &Served<Inplug>) -> bool {
    plug.plug(|plug| plug.relay())
}

#[test]
fn it_is_found_announced_switched_and_metered_like_every_other() {
    run(async {
        let (house, plugs) = house(vec![heater()], &[], "").await;
        let plug = &plugs.plugs()[0];
        for (topic, value) in
            [("availability", "online"), ("1/state", "ON"), ("1/power", "60"), ("problem", "OFF")]
        {
            house.shows(&format!("{HEATER}/{topic}"), value).await;
        }
        house.wait_after(0, "its meter", with(&format!("plug2mqtt/{HEATER}/1/energy"), |_| true)).await;
        let retained = house.retained().await;
        let info: Value = serde_json::from_str(&retained[&format!("plug2mqtt/{HEATER}/info")]).unwrap();
        for (key, value) in [
            ("driver", json!("inplug")),
            ("name", json!("Heater")),
            ("model_id", json!("0x2716")),
            ("mac", json!("02:00:00:00:27:11")),
            ("firmware", json!("29")),
            ("ports", json!(1)),
            ("control", json!(true)),
        ] {
            assert_eq!(info[key], value, "{info}");
        }
        let announced = &retained[&format!("homeassistant/device/plug2mqtt_{HEATER}/config")];
        assert!(announced.contains(&format!("plug2mqtt/{HEATER}/1/set")), "{announced}");

        let result = house.command(&format!("{HEATER}/1/set"), r#"{"state":"OFF","id":"x"}"#).await;
        assert_eq!((&result["status"], &result["id"]), (&json!("ok"), &json!("x")), "{result}");
        assert_eq!(result["confirmed"], true);
        assert!(!relay(plug));
        assert_eq!(house.value(&format!("{HEATER}/1/state")).as_deref(), Some("OFF"));
        house.shows(&format!("{HEATER}/1/power"), "0").await;

        let mark = house.mark();
        plug.press(1);
        house.plug_event(mark, HEATER, "switched_locally").await;
        house.shows(&format!("{HEATER}/1/state"), "ON").await;
        assert_eq!(plug.plug(|plug| plug.switched().collect::<Vec<_>>()), [false]);
        assert_eq!(plug.plug(|plug| plug.exchanges()), 1, "one session serves all of it");
        close(house, plugs).await;
    });
}

#[test]
fn what_is_locked_in_the_settings_is_refused() {
    run(async {
        let more = format!("[device.{HEATER}]\nport.1.lock = \"on\"\n");
        let (house, plugs) = house(vec![heater()], &[], &more).await;
        house.shows(&format!("{HEATER}/availability"), "online").await;
        let result = house.command(&format!("{HEATER}/1/set"), "OFF").await;
        assert_eq!(result["error"], "locked", "{result}");
        assert!(relay(&plugs.plugs()[0]));
        close(house, plugs).await;
    });
}

#[test]
fn a_lost_session_is_healed_and_nobody_notices() {
    run(async {
        // Nothing but the session may fail here, however busy the machine is.
        let (house, plugs) = house(vec![heater()], &[("inplug.timeout", "5s")], "").await;
        let plug = &plugs.plugs()[0];
        house.shows(&format!("{HEATER}/1/power"), "60").await;
        let mark = house.mark();
        plug.plug(Inplug::expire);
        until("another key exchange", || plug.plug(|plug| plug.exchanges()) == 2).await;
        // A conversation heals once: this one, with status and power still to come, must be over.
        let asked = plug.plug(|plug| plug.requests());
        until("the next conversation", || plug.plug(|plug| plug.requests()) >= asked + 3).await;
        plug.plug(Inplug::expire);
        let result = house.command(&format!("{HEATER}/1/set"), "OFF").await;
        assert_eq!((&result["status"], &result["attempts"]), (&json!("ok"), &json!(1)), "{result}");
        house.shows(&format!("{HEATER}/1/state"), "OFF").await;
        for message in house.since(mark) {
            let trouble = message.topic.ends_with("/availability") || message.topic.ends_with("/problem");
            assert!(!trouble, "{} {}", message.topic, message.text());
        }
        // With the mains it loses its key, too, and is away for a while.
        let before = plug.plug(|plug| plug.exchanges());
        plug.reboot();
        until("a key exchange after the reboot", || plug.plug(|plug| plug.exchanges()) > before).await;
        house.shows(&format!("{HEATER}/availability"), "online").await;
        let result = house.command(&format!("{HEATER}/1/set"), "ON").await;
        assert_eq!(result["status"], "ok", "{result}");
        close(house, plugs).await;
    });
}

#[test]
fn a_locked_plug_is_told_as_locked_with_the_remedy() {
    run(async {
        let (house, plugs) = house(vec![heater()], &[], "").await;
        let plug = &plugs.plugs()[0];
        house.shows(&format!("{HEATER}/availability"), "online").await;
        plug.plug(|plug| plug.lock(true));
        house.shows(&format!("{HEATER}/problem"), "ON").await;
        house.shows(&format!("{HEATER}/availability"), "offline").await;
        let remedy = |message: &Message| {
            let told = message.json()["problem"].as_str().unwrap_or_default().to_owned();
            told.contains("it is locked") && told.contains("\"lock device\" off")
        };
        let state = format!("plug2mqtt/{HEATER}/state");
        house.wait_after(0, "the remedy", |message| message.topic == state && remedy(message)).await;
        plug.plug(|plug| plug.lock(false));
        house.shows(&format!("{HEATER}/availability"), "online").await;
        house.shows(&format!("{HEATER}/problem"), "OFF").await;
        close(house, plugs).await;
    });
}

#[test]
fn plugs_that_swapped_addresses_are_not_mistaken() {
    run(async {
        let lamp = Inplug::new(0x12).named("Lamp").with_relay(true).load(watts(7));
        let (house, plugs) = house(vec![heater(), lamp], &[("discovery.interval", "1s")], "").await;
        let [heater, lamp] = plugs.plugs() else { panic!("two plugs") };
        house.shows(&format!("{HEATER}/1/power"), "60").await;
        house.shows(&format!("{LAMP}/1/power"), "7").await;
        let (first, second, between) = (heater.ip(), lamp.ip(), addresses(1)[0]);
        heater.move_to(between).await.unwrap();
        lamp.move_to(first).await.unwrap();
        heater.move_to(second).await.unwrap();
        // Whenever a command comes in between: it reaches the right plug, or none.
        for state in ["OFF", "ON", "OFF"] {
            house.command(&format!("{LAMP}/1/set"), state).await;
        }
        house.shows(&format!("{LAMP}/availability"), "online").await;
        house.shows(&format!("{HEATER}/availability"), "online").await;
        let result = house.command(&format!("{LAMP}/1/set"), "OFF").await;
        assert_eq!(result["status"], "ok", "{result}");
        assert!(!relay(lamp) && relay(heater));
        assert_eq!(heater.plug(|plug| plug.switched().count()), 0);
        house.shows(&format!("{HEATER}/1/power"), "60").await;
        close(house, plugs).await;
    });
}

#[test]
fn kin_with_another_meter_or_none_are_taken_as_they_are() {
    run(async {
        let sp3s = Inplug::sp3s(0x12).with_relay(true).load(watts(42));
        let new = Inplug::without_meter(0x13).of_type(0x1234).brief();
        let remote = Inplug::new(0x14).of_type(0x2737);
        let (house, plugs) = house(vec![heater(), sp3s, new, remote], &[], "").await;
        house.shows(&format!("{LAMP}/1/power"), "42").await;
        house.shows(&format!("{FAN}/1/state"), "OFF").await;
        let result = house.command(&format!("{FAN}/1/set"), "ON").await;
        assert_eq!(result["status"], "ok", "{result}");
        // Several polls later nothing has come up.
        let asked = plugs.plugs()[2].requests();
        until("further polls", || plugs.plugs()[2].requests() > asked + 5).await;
        let retained = house.retained().await;
        assert!(!retained.contains_key(&format!("plug2mqtt/{FAN}/1/power")), "it has no meter");
        assert!(!retained.keys().any(|topic| topic.contains("020000002714")), "a remote control is no plug");
        close(house, plugs).await;
    });
}

#[test]
fn lost_and_doubled_datagrams_and_noise_are_survived() {
    run(async {
        // One poll that fails must not count as three missed ones.
        let pace = [("inplug.timeout", "3s"), ("inplug.poll_interval", "2s"), ("commands.timeout", "20s")];
        let (house, plugs) = house(vec![heater()], &pace, "").await;
        let plug = &plugs.plugs()[0];
        house.shows(&format!("{HEATER}/1/power"), "60").await;
        let lossy = Faults { lose_request_every: 3, lose_reply_every: 4, double: true, ..Faults::default() };
        plug.set_faults(lossy).await.unwrap();
        for (state, on) in [("OFF", false), ("ON", true), ("OFF", false)] {
            let result = house.command(&format!("{HEATER}/1/set"), state).await;
            assert_eq!(result["status"], "ok", "{result}");
            assert_eq!(relay(plug), on);
        }
        for faults in [
            Faults { garbage: true, ..Faults::default() },
            Faults { truncate: Some(40), ..Faults::default() },
            Faults { oversized: true, ..Faults::default() },
            Faults { empty: true, ..Faults::default() },
        ] {
            let asked = plug.requests();
            plug.set_faults(faults).await.unwrap();
            until("questions", || plug.requests() > asked + 2).await;
        }
        plug.set_faults(Faults::default()).await.unwrap();
        house.shows(&format!("{HEATER}/availability"), "online").await;
        let result = house.command(&format!("{HEATER}/1/set"), "ON").await;
        assert_eq!(result["status"], "ok", "{result}");
        house.shows(&format!("{HEATER}/1/power"), "60").await;
        close(house, plugs).await;
    });
}

#[test]
fn the_keep_alive_is_sent_to_those_who_want_it() {
    run(async {
        let set = [("inplug.keep_alive", "true")];
        let (house, plugs) = house(vec![heater()], &set, "").await;
        house.shows(&format!("{HEATER}/1/power"), "60").await;
        assert_eq!(plugs.plugs()[0].plug(|plug| plug.kept_alive()), 1);
        close(house, plugs).await;
    });
}

#[test]
fn a_plug_that_answers_no_broadcast_is_asked_at_its_host() {
    run(async {
        let plug = heater();
        let mac = Mac::parse(&plug.mac()).expect("a MAC");
        let home = addresses(1)[0].to_string();
        let plugs = vec![(home.parse().unwrap(), plug)];
        let plugs = Shelf::serve(plugs, 0, 0).await.expect("a shelf");
        let port = plugs.ports().0.to_string();
        let mut house = TestBridge::new(vec![strip()]).await;
        let set = [
            ("inplug.enabled", "true"),
            ("inplug.udp_port", port.as_str()),
            ("inplug.broadcast", ""),
            ("inplug.hosts", home.as_str()),
        ];
        house.start(&set, "").await;
        house.shows(&format!("inplug-{}/1/power", mac.bare()), "60").await;
        close(house, plugs).await;
    });
}

#[test]
fn a_locked_plug_nobody_has_read_yet_is_told_once_and_kept() {
    run(async {
        let mut locked = heater();
        locked.lock(true);
        let home = addresses(1)[0];
        let plugs = Shelf::serve(vec![(home, locked)], 0, 0).await.expect("a shelf");
        let (port, host) = (plugs.ports().0.to_string(), home.to_string());
        let set = [
            ("inplug.enabled", "true"),
            ("inplug.udp_port", &port),
            ("inplug.broadcast", "127.255.255.255"),
            ("inplug.hosts", &host),
            ("inplug.poll_interval", "200ms"),
            ("discovery.interval", "1s"),
        ];
        let mut house = TestBridge::new(vec![strip()]).await;
        house.start(&set, "").await;
        let plug = &plugs.plugs()[0];
        let told = house.bridge_event(0, "device_offline").await;
        assert!(told["reason"].as_str().is_some_and(|why| why.contains("it is locked")), "{told}");
        // Further searches and questions later nothing more has been said.
        let asked = plug.requests();
        until("further questions", || plug.requests() > asked + 10).await;
        let events = house.heard().into_iter().filter(|m| m.topic == "plug2mqtt/bridge/event");
        let ours: Vec<Value> = events.map(|m| m.json()).filter(|event| event["device"] == HEATER).collect();
        assert_eq!(ours.len(), 2, "found, and offline: {ours:?}");
        assert!(!house.retained().await.contains_key(&format!("plug2mqtt/{HEATER}/info")));
        plug.plug(|plug| plug.lock(false));
        house.shows(&format!("{HEATER}/1/power"), "60").await;
        close(house, plugs).await;
    });
}
