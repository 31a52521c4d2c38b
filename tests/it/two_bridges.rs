//! Two bridges on one base topic: one acts, the other waits, and nobody is left for dead.

use crate::cli::{Running, arg, program};
use crate::support::{Message, STRIP, TIMEOUT, TestBridge, on, quiet, run, spawned, strip, until, with};
use plug2mqtt::bridge::Ended;
use plug2mqtt::sim::Strip;
use std::process::Stdio;
use std::time::{Duration, Instant};

fn another() -> Strip {
    quiet(Strip::strip_1_30("SWP6000000000007").mac("02:00:00:00:00:07"))
}

/// What `doctor` says.
async fn doctor(house: &TestBridge) -> String {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_plug2mqtt"));
    command.arg("doctor").arg("-c").arg(house.settings_file("")).env_clear().env("TZ", "UTC");
    let child = spawned(command.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null()));
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The run that acts, as `bridge/info` tells it.
fn acting(house: &TestBridge) -> String {
    let info = house.value("bridge/info").expect("somebody acts");
    serde_json::from_str::<serde_json::Value>(&info).unwrap()["run"].as_str().unwrap().to_owned()
}

#[test]
fn a_second_bridge_waits_without_a_word_until_the_first_has_gone() {
    run(async {
        let (mut first, script) = TestBridge::scripted(vec![strip()]).await;
        first.start(&[], "").await;
        let run = acting(&first);
        let mark = first.mark();
        let mut second = TestBridge::guest(vec![another()], &script).await;
        second.launch(&[], "");
        let asked =
            |house: &TestBridge| house.since(mark).iter().any(|m| m.topic.ends_with("request/health_check"));
        until("a question", || asked(&first)).await;
        first.wait_after(mark, "the answer", |m| m.topic.ends_with("response/health_check")).await;
        first.polls(0, 8).await;
        let result = first.command(&format!("{STRIP}/2/set"), "TOGGLE").await;
        assert_eq!((&result["status"], first.relays(0)[1]), (&"ok".into(), false));
        assert_eq!(first.switched(0).len(), 1);
        assert_eq!((second.plug(0).requests(), acting(&first)), (0, run.clone()), "the second one acts");
        let wrong = |m: &Message| m.topic == "plug2mqtt/bridge/state" || m.text().contains("0007");
        assert!(!first.since(mark).iter().any(wrong), "the second one speaks");
        // It goes while it waits as well.
        assert_eq!(second.stop().await, Ok(Ended::Stopped));
        second.launch(&[], "");
        first.stop().await.unwrap();
        let online = on("plug2mqtt/bridge/state", "online");
        at_last("its turn", || second.since(mark).iter().any(&online)).await;
        second.shows("maxsmart-swp6000000000007/availability", "online").await;
        assert_ne!(acting(&second), run);
        second.close().await;
    });
}

#[test]
fn what_a_dead_one_has_left_behind_stops_nobody() {
    run(async {
        let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
        script.publish("plug2mqtt/bridge/state", b"online".to_vec(), true);
        let info = br#"{"version":"0.1.0","run":"dead","started":"2026-01-01T00:00:00.000Z"}"#;
        script.publish("plug2mqtt/bridge/info", info.to_vec(), true);
        house.start(&[], "").await;
        assert_ne!(acting(&house), "dead");
        assert_eq!(house.value("bridge/problem").as_deref(), Some("OFF"));
        let (one, many) = (doctor(&house).await, doctor(&house));
        assert!(one.contains("ok    bridge: acts on plug2mqtt"), "{one}");
        // As if there were two.
        let ghost = async {
            let question =
                |m: &Message| m.topic.ends_with("request/health_check") && m.text().contains("transaction");
            house.wait_after(house.mark(), "a question", question).await;
            let answer = br#"{"status":"ok","data":{"healthy":true,"run":"ghost","started":"2999-01-01T00:00:00.000Z"}}"#;
            script.publish("plug2mqtt/bridge/response/health_check", answer.to_vec(), false);
        };
        let (many, ()) = tokio::join!(many, ghost);
        assert!(many.contains("bad   bridge: 2 bridges act on plug2mqtt"), "{many}");
        house.shows("bridge/problem", "ON").await;
        house.close().await;
    });
}

#[test]
fn who_is_told_to_take_over_acts_and_the_other_one_ends() {
    run(async {
        let (mut first, script) = TestBridge::scripted(vec![strip()]).await;
        first.start(&[], "").await;
        let mark = first.mark();
        let mut second = TestBridge::guest(vec![another()], &script).await;
        second.launch_over(&[]);
        assert_eq!(first.ended().await, Ok(Ended::Yielded));
        second.bridge_event(mark, "another_bridge").await;
        second.shows("maxsmart-swp6000000000007/availability", "online").await;
        second.shows("bridge/state", "online").await;
        second.shows("bridge/problem", "ON").await;
        let heard = second.since(mark);
        assert!(!heard.iter().any(on("plug2mqtt/bridge/state", "offline")), "it is alive all the time");
        second.close().await;
    });
}

#[test]
fn nobody_else_can_say_for_good_that_it_is_offline() {
    run(async {
        let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
        house.start(&[], "").await;
        for topic in ["plug2mqtt/bridge/state".to_owned(), format!("plug2mqtt/{STRIP}/availability")] {
            for word in ["offline", "", "perhaps"] {
                let (mark, began) = (house.mark(), Instant::now());
                script.publish(&topic, word.into(), true);
                house.wait_after(mark, "the truth", on(&topic, "online")).await;
                assert!(began.elapsed() < Duration::from_secs(4), "{topic} {word}");
                assert_eq!(script.retained()[&topic], "online");
            }
        }
        // Nor that somebody else acts.
        let (run, mark) = (acting(&house), house.mark());
        let info = br#"{"version":"0.1.0","run":"ghost","started":"2026-01-01T00:00:00.000Z"}"#;
        script.publish("plug2mqtt/bridge/info", info.to_vec(), true);
        house.wait_after(mark, "a problem", on("plug2mqtt/bridge/problem", "ON")).await;
        house.bridge_event(mark, "another_bridge").await;
        assert_eq!(acting(&house), run);
        let health = house.request("health_check", "{}").await;
        assert_eq!(health["data"]["run"], run.as_str());
        assert_eq!(house.command(&format!("{STRIP}/1/set"), "OFF").await["status"], "ok");
        house.close().await;
    });
}

/// The same settings with a state directory of its own: two programs, one base topic, the same plugs.
fn twin(house: &TestBridge, name: &str) -> Running {
    let state = house.folder().join(name);
    let set = format!("state.directory={}", state.display());
    let file = house.settings_file("[publish]\nenergy_change = 0.0001");
    let words = ["run", "-c", arg(&file), "--set", &set];
    let log = std::fs::File::create(house.folder().join(format!("{name}.log"))).unwrap();
    Running(spawned(program(house.folder(), &words).stdout(Stdio::null()).stderr(log)))
}

/// Waits up to half a minute.
async fn at_last(what: &str, done: impl Fn() -> bool) {
    let began = Instant::now();
    while !done() {
        assert!(began.elapsed() < TIMEOUT * 3, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn a_bridge_that_stood_still_looks_for_another_one_before_it_says_or_does_anything() {
    run(async {
        let heavy = strip().load(1, crate::support::watts(3000));
        let (house, script) = TestBridge::scripted(vec![heavy]).await;
        let first = twin(&house, "first");
        house.wait_after(0, "the first one", on("plug2mqtt/bridge/state", "online")).await;
        let energy = format!("plug2mqtt/{STRIP}/1/energy");
        house.wait_after(0, "energy", with(&energy, |_| true)).await;
        let old = acting(&house);
        let _second = twin(&house, "second");
        let answer = |m: &Message| m.topic.ends_with("response/health_check");
        house.wait_after(0, "the second one waits", answer).await;

        first.signal("STOP");
        let mark = house.mark();
        let taken_over = || acting(&house) != old;
        at_last("the second one's turn", taken_over).await;
        let state = format!("plug2mqtt/{STRIP}/2/state");
        house.wait_after(mark, "its word on the port", with(&state, |_| true)).await;
        let mark = house.mark();
        let result = house.command(&format!("{STRIP}/2/set"), "TOGGLE").await;
        assert_eq!(result["status"], "ok", "{result}");
        let new = acting(&house);
        let grown = |m: &Message| m.topic == energy;
        house.wait_after(mark, "more energy", grown).await;

        let mark = house.mark();
        first.signal("CONT");
        let told = || std::fs::read_to_string(house.folder().join("first.log")).unwrap();
        at_last("the first one waits", || told().contains("stays passive")).await;
        assert!(told().contains("stood still for"), "{}", told());
        assert_eq!((house.switched(0).len(), acting(&house)), (1, new), "it acts: {}", told());
        assert_eq!(house.value("bridge/state").as_deref(), Some("online"));
        let meters: Vec<f64> = house
            .heard()
            .iter()
            .filter(|m| m.topic == energy)
            .map(|m| m.text().parse().expect("a meter"))
            .collect();
        assert!(meters.is_sorted() && meters.len() >= 2, "{meters:?}");
        let own = |m: &Message| m.topic == "plug2mqtt/bridge/info" && m.text().contains(&old);
        assert!(!house.since(mark).iter().any(own), "it speaks");
        assert_eq!(script.retained()["plug2mqtt/bridge/state"], "online");
    });
}
