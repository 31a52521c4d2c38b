//! `doctor`: what is fine is said to be fine, and each fault is found, with a remedy.

use crate::support::{Desk, House, STRIP, Whims, on, quiet, run, strip, until};
use plug2mqtt::sim::{Faults, Strip};
use serde_json::Value;

/// The findings, as `level subject: text -> remedy`.
async fn findings(desk: &Desk, words: &[&str]) -> (Option<i32>, Vec<String>) {
    let (code, out, err) = desk.run(&[&["doctor", "--json"], words].concat()).await;
    let all: Vec<Value> = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let line = |finding: &Value| {
        let [level, subject, what, remedy] =
            ["level", "subject", "text", "remedy"].map(|key| text(finding, key));
        assert!(level == "ok" || !remedy.is_empty(), "{finding} without a remedy");
        format!("{level} {subject}: {what} -> {remedy}")
    };
    (code, all.iter().map(line).collect())
}

fn has(lines: &[String], parts: &[&str]) {
    let found = lines.iter().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(found, "{parts:?} in\n{}", lines.join("\n"));
}

#[test]
fn a_house_in_order_is_in_order() {
    run(async {
        let mut house = House::new(vec![strip()]).await;
        house.start(&[], "").await;
        let plug = house.plug(0);
        until("its clock set", || !plug.strip(|strip| strip.time(plug.now_s())).starts_with("2013")).await;
        house.stop().await.unwrap();
        let mark = house.mark();
        let desk = Desk::beside(house);
        let (code, lines) = findings(&desk, &[]).await;
        assert_eq!(code, Some(0), "{lines:?}");
        // The settings of this house name two plugs that others have.
        let (strangers, lines): (Vec<String>, Vec<String>) =
            lines.into_iter().partition(|line| line.contains("is no plug that is known; did you mean"));
        assert_eq!(strangers.len(), 2, "{strangers:?}");
        assert!(lines.iter().all(|line| line.starts_with("ok ")), "{lines:?}");
        has(&lines, &["settings: ", "plug2mqtt.toml is valid"]);
        has(&lines, &["state: ", "remembers 1 plugs"]);
        has(&lines, &["broker rules: we may subscribe and publish"]);
        has(&lines, &["leftovers: no retained topics"]);
        has(&lines, &[STRIP, "read 6 ports", "HTTP port open", "V3 silent"]);
        // It leaves nothing behind, and prints for people, too.
        assert!(desk.house.retained().await.keys().all(|topic| !topic.contains("doctor")));
        desk.house.wait_after(mark, "its own test", on("plug2mqtt/bridge/doctor", "")).await;
        let people = desk.ok(&["doctor"]).await;
        assert!(people.lines().last().unwrap().starts_with("0 bad, 2 worth knowing, "), "{people}");
        // Where broadcasts do not go, a plug is reached only as long as it keeps its address.
        let (code, lines) = findings(&desk, &["-s", "maxsmart.broadcast=[\"127.99.99.99\"]"]).await;
        assert_eq!(code, Some(0), "{lines:?}");
        has(&lines, &["note ", STRIP, "no search finds it", "maxsmart.hosts"]);
    });
}

#[test]
fn faults_of_plugs_are_found() {
    run(async {
        let twin = |mac: &str| quiet(Strip::strip_2_11("SWP6000000000008").mac(mac));
        let v3 = quiet(Strip::strip_5_11("SWW6000000000003").named("Desk"));
        let plugs = vec![strip(), v3, twin("02:00:00:00:00:08"), twin("02:00:00:00:00:09")];
        let desk = Desk::beside(House::new(plugs).await);
        let ours = |topic: &str| format!("plug2mqtt/{topic}");
        desk.house.publish(&ours("maxsmart-gone/state"), "{}", true).await;
        desk.house.plug(0).set_faults(Faults { hang: true, ..Faults::default() }).await.unwrap();
        let (code, lines) = findings(&desk, &["-s", "maxsmart.timeout=1s"]).await;
        // The strip that hangs is not remembered, so nobody misses it.
        assert_eq!(code, Some(0), "{lines:?}");
        has(
            &lines,
            &["note leftovers: 1 retained topics", "plug2mqtt/maxsmart-gone/state", "bridge/request/cleanup"],
        );
        has(&lines, &["note plugs: the serial SWP6000000000008 is claimed at", "by MAC"]);
        has(&lines, &["ok Desk (maxsmart-sww6000000000003)", "HTTP port", "closed", "V3 "]);
        has(&lines, &["note", "its clock shows 2013-12-26", "clock PLUG set"]);
        let host = format!("maxsmart.hosts=[\"{}\"]", desk.at(0));
        let (code, lines) = findings(&desk, &["-s", "maxsmart.timeout=1s", "-s", &host]).await;
        assert_eq!(code, Some(1), "{lines:?}");
        has(&lines, &["bad ", &desk.at(0), "does not answer", "discovery silent", "unplug it"]);
    });
}

#[test]
fn a_port_that_is_not_let_through_is_named() {
    run(async {
        let desk = Desk::beside(House::new(vec![strip()]).await);
        let closed = "maxsmart.http_port=9";
        let (code, lines) = findings(&desk, &["-s", closed]).await;
        assert_eq!(code, Some(1), "{lines:?}");
        has(&lines, &["bad ", STRIP, "HTTP port 9 closed", "let TCP 9 through"]);
        let (code, out, _) = desk.run(&["probe", &desk.at(0), "-s", closed]).await;
        assert_eq!(code, Some(1), "{out}");
        assert!(out.contains("let TCP 9 through"), "{out}");
    });
}

#[test]
fn faults_of_the_broker_are_found() {
    run(async {
        let (house, script) = House::scripted(vec![strip()]).await;
        let desk = Desk::beside(house);
        script.set(Whims { refuse_filter: Some("/set"), ..Whims::default() });
        let (code, lines) = findings(&desk, &[]).await;
        assert_eq!(code, Some(1));
        has(
            &lines,
            &["bad broker rules: we may not subscribe to plug2mqtt/+/set, plug2mqtt/+/+/set", "acl_file"],
        );
        script.set(Whims { refuse_login: true, ..Whims::default() });
        let (code, lines) = findings(&desk, &[]).await;
        assert_eq!(code, Some(1));
        has(&lines, &["bad broker: ", "does not let us in", "refuses the login", "mqtt.password"]);
        script.close().await;
        let (code, lines) = findings(&desk, &[]).await;
        assert_eq!(code, Some(1));
        has(&lines, &["bad broker: nobody listens at 127.0.0.1", "mqtt.url"]);
        let (_, lines) = findings(&desk, &["-s", "mqtt.url=mqtt://no-such-name.invalid"]).await;
        has(&lines, &["bad broker name: the name no-such-name.invalid cannot be resolved", "mqtt.url"]);
        let (_, lines) = findings(&desk, &["-s", "maxsmart.broadcast=[]"]).await;
        has(&lines, &["bad maxsmart search: goes nowhere", "broadcast = [\"auto\"]"]);
    });
}
