//! Requests to one plug, from MQTT to the plug and back.

use crate::support::{LOCK, STRIP, TestBridge, quiet, run, strip, watts};
use plug2mqtt::sim::Strip;
use serde_json::{Value, json};

const YOUNG: &str = "maxsmart-swp6000000000002";
const NEW: &str = "maxsmart-swp6000000000003";

/// Asks for something of a plug; the answer's data.
async fn ask(house: &TestBridge, plug: &str, verb: &str, more: Value) -> Value {
    let response = raw(house, plug, verb, more).await;
    assert_eq!(response["status"], "ok", "{verb}: {response}");
    assert_eq!(response["data"]["id"], plug, "{verb}: {response}");
    response["data"].clone()
}

/// The same, refused; why.
async fn refused(house: &TestBridge, plug: &str, verb: &str, more: Value) -> String {
    let response = raw(house, plug, verb, more).await;
    assert_eq!(response["status"], "error", "{verb}: {response}");
    response["error"].as_str().unwrap().to_owned()
}

async fn raw(house: &TestBridge, plug: &str, verb: &str, mut more: Value) -> Value {
    let object = more.as_object_mut().unwrap();
    object.insert("id".into(), plug.into());
    object.insert("transaction".into(), verb.into());
    let response = house.request(verb, &more.to_string()).await;
    assert_eq!(response["transaction"], verb);
    response
}

#[test]
fn clock_countdown_price_leader_and_presence_simulation_are_set_and_read_back() {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        house.start(&[("maxsmart.set_clock", "false")], "").await;
        // Nobody sets the clock unasked.
        let clock = ask(&house, STRIP, "clock", json!({})).await;
        assert!(clock["drift_s"].as_i64().unwrap() < -100_000_000, "{clock}");
        let clock = ask(&house, STRIP, "clock", json!({"set": true})).await;
        assert!(clock["drift_s"].as_i64().unwrap().abs() <= 2, "{clock}");

        let timer = ask(&house, STRIP, "countdown", json!({"port": 2, "minutes": 20})).await;
        assert_eq!(
            (&timer["countdowns"][0]["port"], &timer["countdowns"][0]["minutes"]),
            (&json!(2), &json!(20))
        );
        assert!((1190..=1200).contains(&timer["countdowns"][0]["left_s"].as_i64().unwrap()), "{timer}");
        let all = ask(&house, STRIP, "countdown", json!({})).await;
        assert_eq!(
            (all["countdowns"].as_array().unwrap().len(), &all["countdowns"][0]["minutes"]),
            (6, &Value::Null)
        );
        let none = ask(&house, STRIP, "countdown", json!({"port": 2, "minutes": "cancel"})).await;
        assert_eq!(none["countdowns"][0]["left_s"], Value::Null);

        let price = json!({"price": 0.31, "currency": "CHF"});
        assert_eq!(ask(&house, STRIP, "price", price.clone()).await["currency"], "CHF");
        assert_eq!(ask(&house, STRIP, "price", json!({})).await["price"], 0.31);

        let group = json!({"leader": 1, "followers": [2, 3], "limit_w": 10});
        let group = ask(&house, STRIP, "leader", group).await;
        assert_eq!(group, json!({"id": STRIP, "leader": 1, "followers": [2, 3], "limit_w": 10}));
        assert!(refused(&house, STRIP, "leader", json!({"limit_w": 7})).await.contains("2, 5, 10 or 35 W"));
        assert_eq!(ask(&house, STRIP, "leader", json!({"leader": "none"})).await["followers"], json!([]));

        assert!(
            refused(&house, STRIP, "presence_simulation", json!({"enabled": true})).await.contains("days")
        );
        let lived =
            json!({"enabled": true, "days": "fri-sun", "from": "18:30", "to": "1:00", "ports": [2, 4]});
        let presence = ask(&house, STRIP, "presence_simulation", lived).await;
        let want = json!({"id": STRIP, "enabled": true, "days": "Fri-Sun", "from": "18:30", "to": "01:00", "ports": [2, 4]});
        assert_eq!(presence, want);
        assert_eq!(
            ask(&house, STRIP, "presence_simulation", json!({"enabled": false})).await["days"],
            "Fri-Sun"
        );
        assert_eq!(house.switched(0), [], "nothing of this is a command");
        house.close().await;
    });
}

#[test]
fn what_a_plug_can_do_is_announced_once_shown_and_kept_over_a_restart() {
    run(async {
        let mut house = TestBridge::new(vec![
            strip(),
            quiet(Strip::strip_5_11("SWP6000000000003").mac("02:00:00:00:00:03")),
        ])
        .await;
        house.start(&[], "").await;
        for (tail, value) in [
            ("1/countdown", "0"),
            ("1/countdown_end", "None"),
            ("leader", "none"),
            ("presence_simulation", "OFF"),
        ] {
            house.shows(&format!("{STRIP}/{tail}"), value).await;
        }
        let drift = format!("plug2mqtt/{STRIP}/clock_drift");
        let small = |text: &str| text.parse::<i64>().is_ok_and(|drift_s| drift_s.abs() <= 30);
        house.wait_after(0, "the clock set", |m| m.topic == drift && small(&m.text())).await;
        let config = format!("homeassistant/device/plug2mqtt_{STRIP}/config");
        let able = |m: &crate::support::Message| m.topic == config && m.text().contains("p6_countdown_end");
        let first = house.wait_after(0, "the announcement", able).await.json();
        // As Home Assistant asks for it.
        let number = &first["cmps"]["p2_countdown"];
        let payload = number["cmd_tpl"].as_str().unwrap().replace("{{ value | int }}", "20");
        house.publish(number["cmd_t"].as_str().unwrap(), payload, false).await;
        house.shows(&format!("{STRIP}/2/countdown"), "20").await;
        let end = house.value(&format!("{STRIP}/2/countdown_end")).unwrap();
        assert!(end.starts_with("20") && end.ends_with('Z'), "{end}");
        let select = &first["cmps"]["leader"];
        ask(&house, STRIP, "leader", json!({"leader": 1, "followers": [2, 3], "limit_w": 5})).await;
        let template = select["cmd_tpl"].as_str().unwrap();
        let payload = template.replace("{{ 'none' if value == 'off' else value }}", "2");
        house.publish(select["cmd_t"].as_str().unwrap(), payload, false).await;
        house.shows(&format!("{STRIP}/leader"), "2").await;
        let limit = &first["cmps"]["leader_limit"];
        let payload = limit["cmd_tpl"].as_str().unwrap().replace("{{ value }}", "35");
        house.publish(limit["cmd_t"].as_str().unwrap(), payload, false).await;
        house.shows(&format!("{STRIP}/leader_limit"), "35").await;
        let lived = json!({"days": "daily", "from": "18:30", "to": "1:00", "ports": [2]});
        ask(&house, STRIP, "presence_simulation", lived).await;
        let switch = &first["cmps"]["presence_simulation"];
        house.publish(switch["cmd_t"].as_str().unwrap(), switch["pl_on"].as_str().unwrap(), false).await;
        house.shows(&format!("{STRIP}/presence_simulation"), "ON").await;
        // One that has none of it is announced without.
        let other = house.value(&format!("homeassistant/device/plug2mqtt_{NEW}/config")).unwrap();
        assert!(!other.contains("countdown") && !other.contains("presence"), "{other}");
        house.stop().await.unwrap();
        let mark = house.mark();
        house.start(&[], "").await;
        let again = house.wait_after(mark, "the announcement", |m| m.topic == config).await;
        assert_eq!(again.json(), first, "at once, and the same");
        house.shows(&format!("{STRIP}/2/countdown"), "20").await;
        house.close().await;
    });
}

#[test]
fn rules_are_added_changed_and_deleted_and_the_record_is_told() {
    run(async {
        let mut house = TestBridge::new(vec![strip().load(1, watts(100))]).await;
        house.start(&[], "").await;
        let rule = json!({"on": [1], "off": [4], "at": "22:10", "days": "Mon-Fri"});
        let added = ask(&house, STRIP, "schedule", json!({"add": rule})).await;
        let id = added["rules"][0]["id"].clone();
        assert_eq!(added["rules"][0]["ports"], json!([true, null, null, false, null, null]));
        let change = json!({"id": id, "at": "6:05", "enabled": false});
        let changed = ask(&house, STRIP, "schedule", json!({"change": change})).await;
        let one = &changed["rules"][0];
        assert_eq!(
            (&one["time"], &one["enabled"], &one["days"]),
            (&json!("06:05"), &json!(false), &json!("Mon-Fri"))
        );
        let once = json!({"off": [1], "at": "6:05", "date": "2027-12-24"});
        let once = ask(&house, STRIP, "schedule", json!({"add": once})).await;
        assert_eq!(once["rules"][1]["date"], "2027-12-24", "{once}");
        let left = ask(&house, STRIP, "schedule", json!({"delete": id})).await;
        assert_eq!(left["rules"].as_array().unwrap().len(), 1);
        assert!(refused(&house, STRIP, "schedule", json!({"delete": id})).await.contains("has no rule"));
        assert_eq!(ask(&house, STRIP, "schedule", json!({})).await, left);

        let hours = ask(&house, STRIP, "history", json!({"port": 1})).await;
        let rows = hours["rows"].as_array().unwrap();
        assert_eq!((rows.len(), &hours["learnt"], &hours["currency"]), (24, &json!(false), &json!("EUR")));
        assert_eq!((&rows[5]["wh"], &rows[5]["cost"]), (&json!(100.0), &json!(0.021)), "{hours}");
        let months = ask(&house, STRIP, "history", json!({"span": "months"})).await;
        assert_eq!(months["rows"].as_array().unwrap().len(), 12);
        house.close().await;
    });
}

#[test]
fn names_go_to_the_plug_and_are_kept_by_the_bridge_where_it_does_not_take_them() {
    run(async {
        let young = quiet(Strip::strip_3_36("SWP6000000000002").mac("02:00:00:00:00:02").named("Young"));
        let mut house = TestBridge::new(vec![strip(), young]).await;
        house.start(&[], "").await;
        house.shows(&format!("{YOUNG}/availability"), "online").await;
        let named =
            ask(&house, STRIP, "device_rename", json!({"name": "Flur & Bad", "device_too": true})).await;
        assert_eq!((&named["kept_by"], &named["name"]), (&json!("plug"), &json!("Flur & Bad")));
        let port = json!({"port": 2, "name": "Büro", "device_too": true});
        assert_eq!(ask(&house, STRIP, "port_rename", port.clone()).await["kept_by"], "plug");
        house.plug(0).strip(|strip| {
            assert_eq!((strip.name(), strip.port_names()[1].as_str()), ("Flur & Bad", "Büro"))
        });
        let kept = ask(&house, YOUNG, "port_rename", port).await;
        assert_eq!(kept["kept_by"], "bridge");
        assert!(kept["reason"].as_str().unwrap().len() > 10, "{kept}");
        for plug in [STRIP, YOUNG] {
            let shown = |m: &crate::support::Message| {
                m.topic == format!("plug2mqtt/{plug}/state") && m.json()["ports"]["2"]["name"] == "Büro"
            };
            house.wait_after(0, "the name", shown).await;
        }
        let quotes = json!({"name": "quote\"", "device_too": true});
        assert_eq!(ask(&house, STRIP, "device_rename", quotes).await["kept_by"], "bridge");
        house.close().await;
    });
}

#[test]
fn what_a_plug_cannot_do_is_an_answer_and_harmful_commands_are_not_sent() {
    run(async {
        let young = quiet(Strip::strip_3_36("SWP6000000000002").mac("02:00:00:00:00:02"));
        let new = quiet(Strip::strip_5_11("SWP6000000000003").mac("02:00:00:00:00:03"));
        let mut house = TestBridge::new(vec![strip(), young, new]).await;
        house.start(&[("mqtt.allow_raw", "true")], "").await;
        for plug in [YOUNG, NEW] {
            house.shows(&format!("{plug}/availability"), "online").await;
            for verb in ["schedule", "countdown", "leader", "presence_simulation"] {
                let why = refused(&house, plug, verb, json!({})).await;
                assert!(why.starts_with(plug) && why.contains("does not know"), "{why}");
            }
            house.shows(&format!("{plug}/problem"), "OFF").await;
            house.shows(&format!("{plug}/availability"), "online").await;
        }
        assert!(refused(&house, NEW, "history", json!({})).await.contains("keeps no record"));
        let why = refused(&house, STRIP, "call", json!({"command": 120})).await;
        assert!(why.contains("factory reset"), "{why}");
        let call = json!({"command": 515, "arguments": {"port": 1}});
        assert_eq!(ask(&house, STRIP, "call", call).await["answer"]["response"], 515);
        let ids = ask(&house, STRIP, "call", json!({"command": 124})).await;
        assert_eq!(ids["answer"]["data"]["plcdak"], "***", "{ids}");
        assert!(refused(&house, "maxsmart-nobody", "clock", json!({})).await.contains("bridge/devices"));
        house.close().await;
    });
}

#[test]
fn locks_read_only_and_allow_admin_hold_and_raw_commands_are_off() {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        house.start(&[], LOCK).await;
        let why = refused(&house, STRIP, "countdown", json!({"port": 6, "minutes": 5})).await;
        assert!(why.contains("port 6") && why.contains("locked"), "{why}");
        let rule = json!({"off": [6], "at": "22:10", "days": "daily"});
        assert!(refused(&house, STRIP, "schedule", json!({"add": rule})).await.contains("locked"));
        let group = json!({"leader": 1, "followers": [6]});
        assert!(refused(&house, STRIP, "leader", group).await.contains("locked"));
        let lived = json!({"enabled": true, "days": "daily", "from": "18:30", "to": "1:00", "ports": [6]});
        assert!(refused(&house, STRIP, "presence_simulation", lived).await.contains("locked"));
        assert!(refused(&house, STRIP, "call", json!({"command": 511})).await.contains("mqtt.allow_raw"));
        house.stop().await.unwrap();

        house.start(&[("mqtt.allow_raw", "true")], LOCK).await;
        assert!(refused(&house, STRIP, "call", json!({"command": 511})).await.contains("locked ports"));
        house.stop().await.unwrap();

        house.start(&[("commands.read_only", "true"), ("mqtt.allow_raw", "true")], "").await;
        for (verb, more) in [
            ("clock", json!({"set": true})),
            ("countdown", json!({"port": 1, "minutes": 5})),
            ("price", json!({"price": 1, "currency": "EUR"})),
            ("call", json!({"command": 511})),
        ] {
            assert!(refused(&house, STRIP, verb, more).await.contains("read-only"), "{verb}");
        }
        ask(&house, STRIP, "clock", json!({})).await;
        house.stop().await.unwrap();

        house.start(&[("mqtt.allow_admin", "false")], "").await;
        let why = refused(&house, STRIP, "countdown", json!({"port": 1, "minutes": 5})).await;
        assert!(why.contains("mqtt.allow_admin"), "{why}");
        assert_eq!(
            ask(&house, STRIP, "countdown", json!({"port": 1})).await["countdowns"][0]["minutes"],
            Value::Null
        );
        assert_eq!(house.switched(0), []);
        house.close().await;
    });
}
