//! Protection: overloads are told, switched off and latched.

use crate::support::{House, STRIP, run, strip, watts};
use serde_json::json;

#[test]
fn an_overload_is_told_switched_off_and_stays_off_until_it_is_released() {
    run(async {
        let mut house = House::new(vec![strip()]).await;
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
        let response = house.request("release", &format!(r#"{{"id":"{STRIP}"}}"#)).await;
        assert_eq!(response["data"]["ports"], json!([2]), "{response}");
        house.shows(&format!("{STRIP}/problem"), "OFF").await;
        let result = house.command(&format!("{STRIP}/2/set"), "ON").await;
        assert_eq!(result["status"], "ok", "{result}");
        assert_eq!(house.switched(0), [(2, false), (2, true)]);
        house.close().await;
    });
}
