//! Protection: overloads are told, switched off and latched. Restarts: told, and ports put back.

use crate::support::{STRIP, TestBridge, run, strip, watts};
use plug2mqtt::io::clock::Clock;
use serde_json::json;

#[test]
fn an_overload_is_told_switched_off_and_stays_off_until_it_is_released() {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        let ports = "port.2 = { max_power = 500.0, overload_after = \"1s\", overload = \"latch\" }\n\
                     port.3 = { overload_after = \"0s\" }";
        house.start(&[], &format!("[device.\"{STRIP}\"]\n{ports}\n")).await;
        let plug_in = |port, load| house.plug(0).strip(|strip| strip.plug_in(port, watts(load)));

        let mark = house.mark();
        plug_in(3, 4000);
        let event = house.plug_event(mark, STRIP, "overload").await;
        let told = (&event["port"], &event["reason"], &event["power"], &event["limit"], &event["action"]);
        assert_eq!(
            told,
            (&json!(3), &json!("overload"), &json!(4000), &json!(3680), &json!("none")),
            "{event}"
        );
        house.shows(&format!("{STRIP}/problem"), "ON").await;
        plug_in(3, 40);
        house.shows(&format!("{STRIP}/problem"), "OFF").await;
        assert!(house.relays(0)[2], "it was only told");

        let mark = house.mark();
        plug_in(2, 800);
        let event = house.plug_event(mark, STRIP, "overload").await;
        assert_eq!((&event["port"], &event["action"]), (&json!(2), &json!("latch")), "{event}");
        house.shows(&format!("{STRIP}/2/state"), "OFF").await;
        assert_eq!(house.switched(0), [(2, false)]);
        plug_in(2, 40);
        for command in ["ON", "TOGGLE", r#"{"state":"OFF","for_s":1}"#] {
            let result = house.command(&format!("{STRIP}/2/set"), command).await;
            assert_eq!((&result["error"], &result["port"]), (&json!("latched"), &json!(2)), "{command}");
        }
        house.stop().await.unwrap();

        house.start(&[], &format!("[device.\"{STRIP}\"]\n{ports}\n")).await;
        let result = house.command(&format!("{STRIP}/2/set"), "ON").await;
        assert_eq!(result["error"], "latched", "{result}");
        house.shows(&format!("{STRIP}/problem"), "ON").await;
        let response = house.request("overload_reset", &format!(r#"{{"id":"{STRIP}"}}"#)).await;
        assert_eq!(response["data"]["ports"], json!([2]), "{response}");
        house.shows(&format!("{STRIP}/problem"), "OFF").await;
        let result = house.command(&format!("{STRIP}/2/set"), "ON").await;
        assert_eq!(result["status"], "ok", "{result}");
        assert_eq!(house.switched(0), [(2, false), (2, true)]);
        house.close().await;
    });
}

#[test]
fn after_a_restart_ports_are_put_back_where_the_settings_say() {
    run(async {
        let mut house = TestBridge::new(vec![strip().forgetting_relays()]).await;
        let now = Clock::start().now().local().strftime("00dv=all,%Y-%m-%d,%H:%M:%S,13;").to_string();
        let now_s = house.plug(0).now_s();
        house.plug(0).strip(|strip| strip.datagram(now_s, now.as_bytes()));
        let ports = "port.1 = { restore_after_restart = \"previous\" }\n\
                     port.2 = { restore_after_restart = \"previous\" }\n\
                     port.3 = { restore_after_restart = \"on\" }\n\
                     port.4 = { restore_after_restart = \"on\", lock = \"off\" }\n\
                     port.5 = { restore_after_restart = \"off\" }\n";
        house.start(&[("commands.timeout", "10s")], &format!("[device.\"{STRIP}\"]\n{ports}\n")).await;
        // So the clock has been read: it is asked for right after the first reading.
        house.polls(0, 4).await;
        house.command(&format!("{STRIP}/2/set"), "OFF").await;
        let (mark, before) = (house.mark(), house.switched(0).len());
        house.plug(0).reboot();
        house.plug_event(mark, STRIP, "device_restarted").await;
        let snapshot = format!("plug2mqtt/{STRIP}/state");
        let back = |m: &crate::support::Message| {
            let told = |port: &str| m.json()["ports"][port].clone();
            let is = |port: &str, state: &str| told(port)["state"] == state;
            m.topic == snapshot
                && (is("1", "ON") && told("1")["cause"] == "restore" && is("3", "ON"))
                && ["2", "4", "5", "6"].iter().all(|port| is(port, "OFF"))
        };
        house.wait_after(mark, "ports 1 and 3 back on", back).await;
        house.polls(0, 4).await;
        assert_eq!(house.switched(0)[before..], [(1, true), (3, true)]);
        house.close().await;
    });
}
