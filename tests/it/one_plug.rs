//! The commands for one plug, without broker and bridge, as people type them.

use crate::support::{CliHarness, LOCK, STRIP, TestBridge, addresses, quiet, run, strip, until, watts};
use plug2mqtt::sim::{self, Faults, Inplug, Shelf, Strip};
use serde_json::{Value, json};
use std::time::Duration;

fn columns(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn a_plug_is_found_by_name_id_serial_mac_and_address() {
    run(async {
        let other = quiet(Strip::plug_1_30("SWP1000000000002").mac("02:00:00:00:00:02").named("Büro"));
        let desk = CliHarness::new(vec![strip(), other]).await;
        let (address, http) = (desk.at(1), desk.house.plug(1).http_addr().to_string());
        let words = [
            ["status", "büro"],
            ["status", "maxsmart-swp1000000000002"],
            ["status", "swp1000000000002"],
            ["status", "02:00:00:00:00:02"],
            ["status", &address],
            ["status", &http],
        ];
        let [a, b, c, d, e, f] = words.each_ref().map(|words| desk.ok(words));
        let (a, b, c, d, e, f) = tokio::join!(a, b, c, d, e, f);
        for out in [&b, &c, &d, &e, &f] {
            assert_eq!(*out, a);
        }
        assert!(a.starts_with("Büro (maxsmart-swp1000000000002)\n"), "{a}");
        assert_eq!(columns(a.lines().nth(2).unwrap()), ["1", "on", "10.0", "W"]);
        let who = ["no plug answers to nobody", "\"Büro\"", "maxsmart-swp6000000000001", "address"];
        desk.fails(&["status", "nobody"], &who).await;
        desk.house
            .plug(0)
            .strip(|strip| strip.http(0.0, &sim::Request::get(r#"/?cmd=201&json={"port":0,"name":"Büro"}"#)));
        desk.fails(&["status", "Büro"], &["is several plugs", "give an id"]).await;
    });
}

#[test]
fn ports_are_switched_by_number_and_name_and_locks_hold() {
    run(async {
        let named = strip().naming_ports(&["Lamp", "Fan"]);
        let twin = strip().mac("02:00:00:00:00:09");
        let desk = CliHarness::new(vec![named, quiet(Strip::strip_5_11("SWW6000000000003")), twin]).await;
        let (old, new, twin) = (desk.at(0), desk.at(1), desk.at(2));
        let relays = |place: usize| desk.house.plug(place).strip(|strip| strip.relays().to_vec());
        let out = desk.ok(&["off", &old, "fan", "3"]).await;
        assert_eq!(relays(0), [true, false, false, true, true, true], "{out}");
        let told = desk.json(&["toggle", &old, "1", "2"]).await;
        assert_eq!(relays(0), [false, true, false, true, true, true]);
        let (first, second) = (&told["ports"]["1"], &told["ports"]["2"]);
        assert_eq!((&first["state"], &second["name"]), (&"OFF".into(), &"Fan".into()));
        desk.misused(&["on", &old, "7"], &["no port 7", "2 (Fan)"]).await;
        desk.misused(&["countdown", &old, "lamp shade"], &["no port lamp shade"]).await;
        desk.misused(&["rename", &old, " "], &["visible character"]).await;
        desk.ok(&["on", &old, "1,fan"]).await;
        assert_eq!(relays(0), [true, true, false, true, true, true]);
        // The whole plug: off when any port is on, else on, as over MQTT.
        desk.ok(&["toggle", &old]).await;
        assert_eq!(relays(0), [false; 6]);
        desk.ok(&["toggle", &old]).await;
        assert_eq!(relays(0), [true; 6]);
        // All of them are port 0 there.
        desk.ok(&["off", &old, "0"]).await;
        assert_eq!(relays(0), [false; 6]);
        desk.ok(&["on", &old, "0"]).await;
        desk.misused(&["on", &old, "0,1"], &["no port 0"]).await;
        desk.ok(&["off", &old, "1,3"]).await;
        // One request for all of them.
        desk.ok(&["off", &new]).await;
        assert_eq!(relays(1), [false; 6]);
        assert_eq!(desk.house.plug(1).strip(|strip| strip.switched().count()), 1);
        // A lock in the settings holds before any bridge has taken the plug in, and after.
        let mut desk = desk;
        desk.house.settings_file(LOCK);
        desk.ok(&["on", &old]).await;
        for words in
            [&["off", &old, "6"][..], &["off", &old], &["toggle", &old], &["countdown", &old, "6", "5"]]
        {
            desk.fails(words, &["port 6", "locked"]).await;
        }
        // Of two with one serial it is not known yet which will have the longer id.
        let read_only = "device.maxsmart-swp6000000000001-000001.read_only=true";
        desk.fails(&["off", &old, "1", "-s", read_only], &["read-only"]).await;
        let name = "device.maxsmart-sww6000000000003.name=Attic";
        assert!(desk.ok(&["status", "attic", "-s", name]).await.contains("Attic"), "named in the settings");
        desk.house.start(&[], LOCK).await;
        let both = || {
            let heard = desk.house.heard();
            let online = |tail: &str| heard.iter().any(|m| m.topic.ends_with(tail) && m.text() == "online");
            online("000001/availability")
                && (online("000001-000001/availability") || online("-000009/availability"))
        };
        until("both strips with one serial", both).await;
        desk.house.stop().await.unwrap();
        for strip in [&old, &twin] {
            desk.fails(&["off", strip], &["port 6", "locked"]).await;
        }
        desk.fails(&["countdown", &old, "6", "5"], &["port 6", "locked"]).await;
        let shut = ["", "-000001", "-000009"]
            .map(|tail| format!("device.maxsmart-swp6000000000001{tail}.read_only=true"));
        let shut: Vec<&str> = shut.iter().flat_map(|setting| ["-s", setting.as_str()]).collect();
        for words in [&["rename", &old, "x"][..], &["call", &old, "511"], &["off", &old, "1"]] {
            desk.fails(&[words, &shut].concat(), &["read-only"]).await;
        }
        assert!(desk.house.plug(0).strip(|strip| strip.relays()[5]));
    });
}

#[test]
fn names_clock_countdowns_price_leader_and_presence_simulation_are_set_and_read_back() {
    run(async {
        let desk = CliHarness::new(vec![strip()]).await;
        let at = desk.at(0);
        let at = at.as_str();
        assert!(desk.ok(&["rename", at, "Flur & Bad"]).await.contains("is now Flur & Bad"));
        let renamed = desk.json(&["rename", at, "Büro", "--port", "2"]).await;
        assert_eq!((&renamed["name"], &renamed["verified"]), (&json!("Büro"), &json!(true)), "{renamed}");
        assert_eq!(desk.house.plug(0).strip(|strip| strip.port_names()[1].clone()), "Büro");
        desk.fails(&["rename", at, "quote\""], &["Flur & Bad", "quotes"]).await;

        // Nobody has set the clock on the way.
        let clock = desk.json(&["clock", at]).await;
        assert!(clock["drift_s"].as_i64().unwrap() < -100_000_000, "{clock}");
        let clock = desk.json(&["clock", at, "set"]).await;
        assert!(clock["drift_s"].as_i64().unwrap().abs() <= 2, "{clock}");

        let timer = desk.json(&["countdown", at, "Büro", "20"]).await;
        assert!((1190..=1200).contains(&timer["countdowns"][0]["left_s"].as_i64().unwrap()), "{timer}");
        let all = desk.json(&["countdown", at]).await;
        assert_eq!(
            (all["countdowns"].as_array().unwrap().len(), &all["countdowns"][0]["left_s"]),
            (6, &Value::Null)
        );
        assert!(desk.ok(&["countdown", at, "2", "cancel"]).await.contains("Büro  -"));

        assert!(desk.ok(&["price", at, "0,29", "chf"]).await.ends_with(": 0.29 CHF per kWh\n"));
        assert_eq!(desk.json(&["price", at]).await["currency"], "CHF");
        assert!(desk.ok(&["leader", at]).await.ends_with("no port leads\n"));
        let out = desk.ok(&["leader", at, "--leader", "1", "--followers", "Büro,3", "--limit", "10"]).await;
        assert!(out.ends_with("port 1 leads port 2, 3 above 10 W\n"), "{out}");
        desk.misused(&["leader", at, "--limit", "7"], &["2, 5, 10 or 35 W"]).await;
        assert_eq!(desk.json(&["leader", at, "--none"]).await["leader"], Value::Null);

        desk.fails(&["presence-simulation", at, "on"], &["needs days", "18:30"]).await;
        let words = [
            "presence-simulation",
            at,
            "on",
            "--days",
            "fri-sun",
            "--from",
            "18:30",
            "--to",
            "1:00",
            "--ports",
            "2,4",
        ];
        assert!(desk.ok(&words).await.ends_with("is on, Fri-Sun 18:30-01:00, port 2, 4\n"));
        assert_eq!(desk.json(&["presence-simulation", at, "off"]).await["enabled"], false);
    });
}

#[test]
fn rules_are_added_changed_and_deleted() {
    run(async {
        let desk = CliHarness::new(vec![strip()]).await;
        let at = desk.at(0);
        let at = at.as_str();
        assert!(desk.ok(&["schedule", at]).await.ends_with("has no rules\n"));
        desk.misused(&["schedule", at, "add", "--on", "1"], &["at 22:10", "Mon-Fri"]).await;
        let both = ["schedule", at, "add", "--on", "1", "--off", "1", "--at", "7:05", "--days", "all"];
        desk.misused(&both, &["port 1 is named twice"]).await;
        let added = desk
            .json(&["schedule", at, "add", "--on", "1", "--off", "4,5", "--at", "22:10", "--days", "mon-fri"])
            .await;
        let id = added["rules"][0]["id"].to_string();
        assert_eq!(
            (&added["rules"][0]["time"], &added["rules"][0]["days"]),
            (&"22:10".into(), &"Mon-Fri".into())
        );
        let changed = desk.json(&["schedule", at, "change", &id, "--at", "6:05", "--disabled"]).await;
        assert_eq!(
            (&changed["rules"][0]["enabled"], &changed["rules"][0]["ports"][3]),
            (&false.into(), &false.into())
        );
        let once =
            desk.ok(&["schedule", at, "add", "--off", "1", "--at", "6:05", "--date", "24.12.2027"]).await;
        assert!(once.contains("mind: its clock shows 2013") && once.contains("nobody has set it"), "{once}");
        let past = ["schedule", at, "add", "--off", "1", "--at", "6:05", "--date", "2020-12-24"];
        desk.fails(&past, &["2020-12-24 06:05 is past"]).await;
        let rows: Vec<&str> = once.lines().collect();
        assert_eq!(columns(rows[1]), [id.as_str(), "06:05", "Mon-Fri", "1", "4,5", "disabled"]);
        assert_eq!(columns(rows[2])[1..], ["06:05", "2027-12-24", "1"]);
        let left = desk.json(&["schedule", at, "delete", &id]).await;
        assert_eq!(left["rules"].as_array().map(Vec::len), Some(1));
        desk.fails(&["schedule", at, "delete", &id], &["has no rule"]).await;
        assert_eq!(desk.run(&["schedule", at, "add", "--on", "1", "--at", "25:00"]).await.0, Some(2));
    });
}

#[test]
fn the_record_is_charted_listed_and_counted() {
    run(async {
        let desk =
            CliHarness::new(vec![strip().load(1, watts(100)), quiet(Strip::strip_5_11("SWW6000000000003"))])
                .await;
        let at = desk.at(0);
        let at = at.as_str();
        let never = desk.ok(&["history", at]).await;
        assert!(never.contains("nobody has set it since the plug started"), "{never}");
        desk.ok(&["clock", at, "set"]).await;
        let chart = desk.ok(&["history", at, "--port", "1"]).await;
        // The running hour may be too young for a bar.
        assert!(chart.lines().filter(|line| line.contains("100.0 Wh  ████")).count() >= 23, "{chart}");
        assert!(chart.contains("100.0 Wh") && chart.contains("together 2."), "{chart}");
        let csv = desk.ok(&["history", at, "--span", "days", "--csv"]).await;
        assert_eq!(csv.lines().count(), 32);
        assert!(csv.starts_with("time,port_1_wh,port_2_wh") && csv.contains(",2400.00,0.5040\n"), "{csv}");
        let months = desk.json(&["history", at, "--span", "months", "--unit", "kwh"]).await;
        assert_eq!(months["rows"].as_array().map(Vec::len), Some(12));
        assert_eq!((&months["rows"][0]["wh"], &months["price"]), (&72_000_000.0.into(), &0.21.into()));
        desk.fails(&["history", &desk.at(1)], &["keeps no record"]).await;
    });
}

#[test]
fn what_a_plug_does_not_know_is_said_and_120_is_never_sent() {
    run(async {
        let young = quiet(Strip::strip_3_36("SWP6000000000004"));
        let desk = CliHarness::new(vec![strip(), young]).await;
        let (old, young) = (desk.at(0), desk.at(1));
        for words in
            [["schedule", &young], ["countdown", &young], ["leader", &young], ["presence-simulation", &young]]
        {
            desk.fails(&words, &["firmware 3.36", "does not know"]).await;
        }
        desk.fails(&["rename", &young, "x"], &["the bridge can keep it"]).await;
        let before = desk.house.plug(0).requests();
        desk.fails(&["call", &old, "120"], &["120", "factory reset"]).await;
        // Who it is was asked, and nothing else.
        assert_eq!(desk.house.plug(0).requests(), before + 1);
        let raw = desk.ok(&["call", &old, "515", r#"{"port":1}"#]).await;
        assert!(raw.contains(r#""response":515"#), "{raw}");
        let ids = desk.ok(&["call", &old, "124"]).await;
        assert!(ids.contains("AABBCCDDEEFF554433221100") && ids.contains(r#""plcdak":"***""#), "{ids}");
        desk.fails(&["call", &old, "515", "port=1"], &["no JSON object"]).await;
        desk.fails(&["call", &old, "999"], &["does not know"]).await;
        let watched = desk.ok(&["watch", &old, "--every", "100ms", "--times", "2"]).await;
        assert_eq!(watched.lines().count(), 14, "{watched}");
        assert!(watched.contains("10.0 W  █████"), "{watched}");
        let watched = desk.ok(&["watch", &old, "--every", "100ms", "--times", "2", "--json"]).await;
        let looks: Vec<Value> = watched.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((looks.len(), &looks[1]["ports"]["1"]["power"]), (2, &json!(10.0)), "{watched}");
    });
}

#[test]
fn a_script_reads_the_same_words_here_and_over_mqtt() {
    run(async {
        let house = TestBridge::running().await;
        house.shows(&format!("{STRIP}/1/power"), "10").await;
        let published = house.retained().await;
        let json =
            |topic: &str| serde_json::from_str::<Value>(&published[&format!("plug2mqtt/{topic}")]).unwrap();
        let (state, devices) = (json(&format!("{STRIP}/state")), json("bridge/devices"));
        let desk = CliHarness::beside(house);
        let status = desk.json(&["status", STRIP]).await;
        for key in status.as_object().unwrap().keys() {
            assert!(["id", "name"].contains(&key.as_str()) || state.get(key).is_some(), "{key}: {state}");
        }
        for key in status["ports"]["1"].as_object().unwrap().keys() {
            let (here, there) = (&status["ports"]["1"][key], &state["ports"]["1"][key]);
            let alike = here == there || (here.is_f64() && here.as_f64() == there.as_f64());
            assert!(alike, "{key}: {status} {state}");
        }
        let found = desk.json(&["discover"]).await;
        for key in ["id", "driver", "model", "serial", "firmware", "ports"] {
            assert_eq!(found[0][key], devices[0][key], "{key}");
        }
        assert_eq!(found[0]["state"][0], state["ports"]["1"]["state"]);
    });
}

#[test]
fn plugs_that_take_long_to_answer_are_found_by_their_address_and_read_whole() {
    run(async {
        let v3 = quiet(Strip::strip_5_11("SWW6000000000003"));
        let desk = CliHarness::new(vec![v3, strip()]).await;
        let inplug = Inplug::new(0x11).with_relay(true).load(watts(25));
        let inplugs = addresses(1).into_iter().zip([inplug]).collect();
        let inplugs = Shelf::serve(inplugs, 0, 0).await.expect("a shelf");
        let slow = Faults { delay: Duration::from_millis(900), ..Faults::default() };
        for plug in desk.house.shelf.plugs() {
            plug.set_faults(slow.clone()).await.unwrap();
        }
        inplugs.plugs()[0].set_faults(slow).await.unwrap();
        let (v3, http, inplug) = (desk.at(0), desk.at(1), inplugs.plugs()[0].ip().to_string());
        let port = format!("inplug.udp_port={}", inplugs.ports().0);
        let inplug =
            ["status", &inplug, "-s", "inplug.enabled=true", "-s", "inplug.timeout=1500ms", "-s", &port];
        let (v3, http) = (["status", &v3], ["status", &http]);
        let (v3, http, inplug) = tokio::join!(desk.ok(&v3), desk.ok(&http), desk.ok(&inplug));
        assert!(v3.contains("maxsmart-sww6000000000003"), "{v3}");
        assert!(http.contains("maxsmart-swp6000000000001"), "{http}");
        assert!(inplug.contains("25.0 W"), "{inplug}");
        inplugs.stop().await;
    });
}

#[test]
fn what_is_asked_is_told_to_whoever_wants_to_know() {
    run(async {
        let desk = CliHarness::new(vec![strip()]).await;
        let (code, out, err) = desk.run(&["status", &desk.at(0), "-v"]).await;
        assert_eq!(code, Some(0), "{out}{err}");
        for part in ["DEBUG", "asked who it is: answered", "asked how it is: answered"] {
            assert!(err.contains(part) && !out.contains(part), "{part}: {err}");
        }
    });
}
