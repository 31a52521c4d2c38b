//! What nobody means to send, and somebody does: it gets a clear answer, nothing switches, nothing
//! falls over.

use crate::support::{Message, STRIP, TestBridge, on, quiet, run, strip};
use plug2mqtt::sim::{Faults, Strip};
use serde_json::{Value, json};
use std::fs;

#[test]
fn commands_that_make_no_sense_get_a_clear_result_and_switch_nothing() {
    run(async {
        let mut house = TestBridge::new(vec![
            strip(),
            quiet(Strip::plug_1_30("SWP1000000000002").mac("02:00:00:00:00:02")),
        ])
        .await;
        house.start(&[], "").await;
        house.shows("maxsmart-swp1000000000002/availability", "online").await;
        let (bad, port) = ("bad_payload", "unknown_port");
        let deep = "{\"state\":".repeat(2000);
        let cases: Vec<(&str, Vec<u8>, &str)> = vec![
            ("1/set", b"maybe".to_vec(), bad),
            ("1/set", b" ".to_vec(), bad),
            ("1/set", vec![b'x'; 1 << 20], bad),
            ("1/set", vec![0xff, 0xfe, 0x00], bad),
            ("1/set", b"\x00ON".to_vec(), bad),
            ("1/set", br#"{"state":1e999}"#.to_vec(), bad),
            ("1/set", br#"{"state":2}"#.to_vec(), bad),
            ("1/set", br#"{"state":null}"#.to_vec(), bad),
            ("1/set", br#"{"state":"ON""#.to_vec(), bad),
            ("1/set", b"{}".to_vec(), bad),
            ("1/set", b"[\"ON\"]".to_vec(), bad),
            ("1/set", deep.into_bytes(), bad),
            ("1/set", br#"{"state":"OFF","for_s":0}"#.to_vec(), bad),
            ("1/set", br#"{"state":"OFF","for_s":1e30}"#.to_vec(), bad),
            ("1/set", br#"{"state":"OFF","ttl_ms":-1}"#.to_vec(), bad),
            ("1/set", br#"{"ports":{"1":"OFF"}}"#.to_vec(), bad),
            ("set", br#"{"ports":{}}"#.to_vec(), bad),
            ("set", br#"{"ports":{"x":"OFF"}}"#.to_vec(), bad),
            ("set", br#"{"ports":{"1":"OFF","7":"OFF"}}"#.to_vec(), port),
            ("7/set", b"OFF".to_vec(), port),
            ("99/set", b"OFF".to_vec(), port),
            ("-1/set", b"OFF".to_vec(), port),
            ("256/set", b"OFF".to_vec(), port),
            ("x/set", b"OFF".to_vec(), port),
        ];
        for (tail, payload, error) in cases {
            let shown = String::from_utf8_lossy(&payload).chars().take(60).collect::<String>();
            let result = house.command(&format!("{STRIP}/{tail}"), payload).await;
            assert_eq!(result["status"], "failed", "{tail} {shown}: {result}");
            assert_eq!(result["error"], error, "{tail} {shown}: {result}");
        }
        assert_eq!(house.command("maxsmart-swp1000000000002/0/set", "OFF").await["error"], port);
        assert_eq!(house.command("maxsmart-nobody/1/set", "OFF").await["error"], "unknown_device");
        // A mark of any kind comes back as it was.
        let result =
            house.command(&format!("{STRIP}/1/set"), br#"{"state":7,"id":{"a":[1]}}"#.to_vec()).await;
        assert_eq!(result["id"]["a"][0], 1, "{result}");
        assert_eq!((house.switched(0), house.switched(1)), (vec![], vec![]));

        // To what is no plug: an answer there. To the bridge, or no command at all: nothing comes of it.
        let mark = house.mark();
        house.publish("//set", "OFF", false).await;
        let refused = |m: &Message| m.topic == "plug2mqtt//response" && m.json()["error"] == "unknown_device";
        house.wait_after(mark, "//set", refused).await;
        let mark = house.mark();
        house.publish(&format!("{STRIP}/1/set"), "", false).await;
        for bridge in ["bridge/get", "bridge/set", "bridge/1/set"] {
            house.publish(bridge, "OFF", false).await;
        }
        let result = house.command(&format!("{STRIP}/1/set"), r#"{"state":"OFF","id":"last"}"#).await;
        assert_eq!((&result["id"], &result["status"]), (&json!("last"), &json!("ok")), "{result}");
        let results = house.since(mark).iter().filter(|m| m.topic.ends_with("/response")).count();
        assert_eq!(results, 1);
        // To a name: the answer lists the ids.
        let result = house.command("Office strip/1/set", r#"{"state":"OFF","id":5}"#).await;
        assert_eq!((&result["error"], &result["id"]), (&json!("unknown_device"), &json!(5)), "{result}");
        assert!(result["detail"].as_str().is_some_and(|detail| detail.contains(STRIP)), "{result}");
        assert_eq!(
            house.command("maxsmart-nobody/1/set", "OFF").await["detail"].as_str().map(|d| d.contains(STRIP)),
            Some(true)
        );
        house.close().await;
    });
}

#[test]
fn requests_that_make_no_sense_are_answered_with_a_remedy() {
    run(async {
        let house = TestBridge::running().await;
        for (verb, payload) in [
            ("adopt", "maybe".to_owned()),
            ("adopt", "{\"value\":true,\"time\":0}".into()),
            ("scan", "{\"seconds\":100000}".into()),
            ("device_remove", "{\"id\":\"bridge/#\"}".into()),
            ("device_remove", "{\"id\":[]}".into()),
            ("port_rename", format!("{{\"id\":\"{STRIP}\",\"port\":300,\"name\":\"x\"}}")),
            ("log_level", "{".into()),
            ("device_options", format!("{{\"id\":\"{STRIP}\",\"options\":{{\"power_change\":-1}}}}")),
            ("cleanup", "x".repeat(5000)),
        ] {
            let response = house.request(verb, &payload).await;
            assert_eq!(response["status"], "error", "{verb}: {response}");
            assert!(response["error"].as_str().is_some_and(|text| text.len() > 8), "{verb}: {response}");
        }
        let mark = house.mark();
        house.publish("bridge/request/make coffee", "{}", false).await;
        let unknown = |m: &Message| m.topic == "plug2mqtt/bridge/response/unknown";
        assert!(house.wait_after(mark, "an answer", unknown).await.text().contains("device_remove"));
        assert_eq!(house.request("health_check", "{}").await["status"], "ok");
        house.close().await;
    });
}

#[test]
fn names_of_any_kind_stay_text_and_never_reach_a_topic() {
    run(async {
        let long = "ä".repeat(5000);
        let names = ["\"quoted\" \\", "+/#", "🔌 plug", "tab\tand\nline\u{7}", &long, "   "];
        let plug = strip().named("+/#\"\u{1}🔌").naming_ports(&names);
        let mut house = TestBridge::new(vec![plug]).await;
        house.start(&[], "").await;
        let retained = house.retained().await;
        let config = &retained[&format!("homeassistant/device/plug2mqtt_{STRIP}/config")];
        let config: Value = serde_json::from_str(config).unwrap();
        let shown: Vec<&str> =
            (1..=6).map(|n| config["cmps"][format!("p{n}_switch")]["name"].as_str().unwrap()).collect();
        assert_eq!(shown[..3], ["\"quoted\" \\", "+/#", "🔌 plug"]);
        assert_eq!(shown[5], "Port 6", "nothing visible is no name");
        for name in &shown {
            assert!(name.chars().count() <= 64 && !name.chars().any(char::is_control), "{name:?}");
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || "/-_".contains(c);
        assert!(retained.keys().all(|topic| topic.chars().all(plain)), "{:?}", retained.keys());
        let rename = json!({"id": STRIP, "port": 1, "name": "x\u{0}\u{202e}y".repeat(100)}).to_string();
        assert_eq!(house.request("port_rename", &rename).await["status"], "ok");
        assert_eq!(house.command(&format!("{STRIP}/1/set"), "OFF").await["status"], "ok");
        house.close().await;
    });
}

#[test]
fn a_state_file_that_cannot_be_read_is_set_aside_and_the_house_found_again() {
    run(async {
        let mut house = TestBridge::running().await;
        house.stop().await.unwrap();
        let whole = fs::read(house.state_file()).unwrap();
        fs::write(house.state_file(), &whole[..whole.len() / 2]).unwrap();
        house.start(&[], "").await;
        house.stop().await.unwrap();
        assert_eq!(
            fs::read(house.state_directory().join("state.json.bad")).unwrap(),
            whole[..whole.len() / 2]
        );
        fs::remove_file(house.state_file()).unwrap();
        fs::create_dir(house.state_file()).unwrap();
        house.start(&[], "").await;
        assert_eq!(house.command(&format!("{STRIP}/1/set"), "OFF").await["status"], "ok");
        house.stop().await.unwrap();
        assert!(house.state_file().is_file());
        house.start(&[], "").await;
        house.close().await;
    });
}

#[test]
fn answers_in_anothers_name_are_not_believed() {
    run(async {
        // The 2.0 plug signs its answers; one that says it is another is not heard.
        let serial = "SWW1000000000007";
        let id = "maxsmart-sww1000000000007";
        let mut house =
            TestBridge::new(vec![strip(), quiet(Strip::plug_2_0(serial).mac("02:00:00:00:00:07"))]).await;
        house.start(&[], "").await;
        house.shows(&format!("{id}/availability"), "online").await;
        let mark = house.mark();
        for other in [&b"SWW1999999999999"[..], b"\xff\xff\xff\xff", b"+/#"] {
            let faults = Faults { wrong_serial: Some(other.to_vec()), ..Faults::default() };
            house.plug(1).set_faults(faults).await.unwrap();
            house.polls(1, 4).await;
        }
        house.plug(1).strip(|strip| strip.plug_in(1, crate::support::watts(50)));
        let faults = Faults { wrong_serial: Some(b"SWW1999999999999".to_vec()), ..Faults::default() };
        house.plug(1).set_faults(faults).await.unwrap();
        house.wait_after(mark, "offline", on(&format!("plug2mqtt/{id}/availability"), "offline")).await;
        assert!(!house.since(mark).iter().any(on(&format!("plug2mqtt/{id}/1/power"), "50")));
        house.plug(1).set_faults(Faults::default()).await.unwrap();
        house.shows(&format!("{id}/1/power"), "50").await;
        house.shows(&format!("{id}/availability"), "online").await;
        house.close().await;
    });
}

#[test]
fn noise_in_a_search_is_not_taken_for_a_plug() {
    run(async {
        let noisy =
            |n: u8| Strip::strip_5_11(&format!("SWW600000000010{n}")).mac(&format!("02:00:00:00:02:0{n}"));
        let mut house = TestBridge::new(vec![strip(), noisy(1), noisy(2), noisy(3)]).await;
        for (place, faults) in [
            (1, Faults { garbage: true, ..Faults::default() }),
            (2, Faults { truncate: Some(30), ..Faults::default() }),
            (3, Faults { empty: true, double: true, ..Faults::default() }),
        ] {
            house.plug(place).set_faults(faults).await.unwrap();
        }
        house.start(&[], "").await;
        let response = house.request("scan", r#"{"seconds":1}"#).await;
        assert_eq!(response["data"]["found"], json!([STRIP]), "{response}");
        let devices: Value = serde_json::from_str(&house.value("bridge/devices").unwrap()).unwrap();
        assert_eq!(devices.as_array().map(Vec::len), Some(1), "{devices}");
        house.close().await;
    });
}
