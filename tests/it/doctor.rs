//! `doctor`: what is fine is said to be fine, and each fault is found, with a remedy.

use crate::cli::{arg, program};
use crate::support::{
    BrokerFaults, CliHarness, LOCK, STRIP, TestBridge, addresses, on, quiet, run, spawned, strip, until,
};
use plug2mqtt::sim::{Faults, Strip};
use serde_json::Value;
use std::fs::{self, Permissions};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

/// The findings, as `level subject: text -> remedy`.
async fn findings(desk: &CliHarness, words: &[&str]) -> (Option<i32>, Vec<String>) {
    let (code, out, err) = desk.run(&[&["doctor", "--json"], words].concat()).await;
    (code, lines(&out, &err))
}

fn lines(out: &str, err: &str) -> Vec<String> {
    let all: Vec<Value> = serde_json::from_str(out).unwrap_or_else(|_| panic!("{out}{err}"));
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let line = |finding: &Value| {
        let [level, subject, what, remedy] =
            ["level", "subject", "text", "remedy"].map(|key| text(finding, key));
        assert!(level == "ok" || !remedy.is_empty(), "{finding} without a remedy");
        format!("{level} {subject}: {what} -> {remedy}")
    };
    all.iter().map(line).collect()
}

fn has(lines: &[String], parts: &[&str]) {
    let found = lines.iter().any(|line| parts.iter().all(|part| line.contains(part)));
    assert!(found, "{parts:?} in\n{}", lines.join("\n"));
}

#[test]
fn a_house_in_order_is_in_order() {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        house.start(&[], "").await;
        let plug = house.plug(0);
        until("its clock set", || !plug.strip(|strip| strip.time(plug.now_s())).starts_with("2013")).await;
        house.stop().await.unwrap();
        let mark = house.mark();
        let desk = CliHarness::beside(house);
        desk.house.settings_file(LOCK);
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
        has(&lines, &[STRIP, "read 6 ports", "HTTP port open", "V3: no response"]);
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
        let desk = CliHarness::beside(TestBridge::new(plugs).await);
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
        has(
            &lines,
            &["note", "its clock shows 2013-12-26", " days behind -> set it with `plug2mqtt clock PLUG set`"],
        );
        let host = format!("maxsmart.hosts=[\"{}\"]", desk.at(0));
        let (code, lines) = findings(&desk, &["-s", "maxsmart.timeout=1s", "-s", &host]).await;
        assert_eq!(code, Some(1), "{lines:?}");
        has(&lines, &["bad ", &desk.at(0), "does not answer", "discovery: no response", "unplug it"]);
    });
}

#[test]
fn two_plugs_with_one_serial_have_the_ids_they_have_on_the_broker() {
    run(async {
        let twin = |mac: &str| quiet(Strip::strip_2_11("SWP6000000000008").mac(mac));
        let mut house = TestBridge::new(vec![twin("02:00:00:00:00:08"), twin("02:00:00:00:00:09")]).await;
        house.start(&[], "").await;
        let online = |house: &TestBridge| {
            let id = |tail: &str| format!("maxsmart-swp6000000000008{tail}");
            let there = |id: &String| house.value(&format!("{id}/availability")).as_deref() == Some("online");
            ["", "-000008", "-000009"].map(id).into_iter().filter(there).collect::<Vec<_>>()
        };
        until("both are online", || online(&house).len() == 2).await;
        let ids = online(&house);
        house.stop().await.unwrap();
        let (_, lines) = findings(&CliHarness::beside(house), &[]).await;
        for id in ids {
            let said =
                lines.iter().filter(|line| line.starts_with("ok ") && line.contains(&format!("({id})")));
            assert_eq!(said.count(), 1, "{id} in {lines:?}");
        }
    });
}

/// Runs a command for which modes of files hold, also where the tests run as root: exit code, standard output,
/// standard error.
async fn unprivileged(desk: &CliHarness, words: &[&str]) -> (Option<i32>, String, String) {
    let file = desk.house.settings_file(LOCK);
    let words = [words, &["-c", arg(&file)]].concat();
    let mut command = program(desk.house.folder(), &words);
    if fs::read_dir(desk.house.state_directory()).is_ok() {
        let mut bare = Command::new("setpriv");
        bare.arg("--bounding-set=-dac_override,-dac_read_search").arg(command.get_program());
        bare.args(words).current_dir(desk.house.folder()).stdin(Stdio::null());
        command = bare;
    }
    let child = spawned(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn another_user_than_the_bridge_calls_no_living_plug_a_leftover() {
    run(async {
        let mut house = TestBridge::new(vec![strip()]).await;
        house.start(&[], "").await;
        house.stop().await.unwrap();
        let desk = CliHarness::beside(house);
        desk.house.publish("plug2mqtt/maxsmart-gone/state", "{}", true).await;
        let mode = |mode| fs::set_permissions(desk.house.state_directory(), Permissions::from_mode(mode));
        mode(0).unwrap();
        let (code, out, err) = unprivileged(&desk, &["doctor", "--json"]).await;
        let (_, _, nobody) = unprivileged(&desk, &["status", "nobody"]).await;
        mode(0o700).unwrap();
        let found = lines(&out, &err);
        assert_eq!(code, Some(1), "{found:?}");
        has(&found, &["bad state: ", "state.json: permission denied", "sudo -u"]);
        has(&found, &["note leftovers: cannot be judged", "state.json", "sudo -u"]);
        assert!(
            !found.iter().any(|line| line.contains("nobody owns") || line.contains("backup")),
            "{found:?}"
        );
        assert!(nobody.contains("no plug answers to nobody") && nobody.contains("sudo -u"), "{nobody}");
        // A run does not take what it may not read for damaged, and forget it.
        let state = desk.house.state_directory().join("state.json");
        fs::set_permissions(&state, Permissions::from_mode(0o0)).unwrap();
        let (code, _, refused) = unprivileged(&desk, &["run"]).await;
        fs::set_permissions(&state, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(code, Some(78), "{refused}");
        assert!(
            refused.contains("state.json in it may not be read") && refused.contains("chown"),
            "{refused}"
        );
        assert!(!desk.house.state_directory().join("state.json.bad").exists());
        // Or it has a state directory of its own, with nothing in it.
        let own = format!("state.directory={:?}", desk.house.folder().join("own"));
        let (_, found) = findings(&desk, &["-s", &own]).await;
        has(
            &found,
            &["note state: ", "not remembered in", STRIP.trim_start_matches("plug2mqtt/"), "sudo -u"],
        );
        has(&found, &["note leftovers: 1 retained topics", "plug2mqtt/maxsmart-gone/state"]);
    });
}

#[test]
fn a_plug_without_power_is_not_said_to_hang_and_where_it_was_is_told() {
    run(async {
        let mut house =
            TestBridge::new(vec![quiet(Strip::strip_5_11("SWW6000000000003").named("Desk"))]).await;
        house.start(&[], "").await;
        house.stop().await.unwrap();
        let desk = CliHarness::beside(house);
        desk.house.plug(0).set_faults(Faults { off: true, ..Faults::default() }).await.unwrap();
        let (code, lines) = findings(&desk, &["-s", "maxsmart.timeout=1s"]).await;
        assert_eq!(code, Some(1), "{lines:?}");
        has(&lines, &["bad Desk", "does not answer", "discovery: no response", "power and Wi-Fi"]);
        // On a real network nobody refuses connections for it: they are waited for in vain, as at a door with a
        // queue that is full.
        let door = tokio::net::TcpSocket::new_v4().unwrap();
        door.bind(format!("{}:0", addresses(1)[0]).parse().unwrap()).unwrap();
        let at = door.local_addr().unwrap();
        let _door = door.listen(0).unwrap();
        let _queue = TcpStream::connect(at).unwrap();
        let _mute = UdpSocket::bind((at.ip(), desk.house.shelf.ports().0)).unwrap();
        let host = format!("maxsmart.hosts=[\"{at}\"]");
        let (_, lines) = findings(&desk, &["-s", "maxsmart.timeout=1s", "-s", &host]).await;
        has(
            &lines,
            &[
                "bad ",
                &at.ip().to_string(),
                "no connection within 4 s",
                "HTTP port",
                "timeout",
                "V3: no response",
                "power and Wi-Fi",
            ],
        );
        assert!(!lines.iter().any(|line| line.contains("it hangs")), "{lines:?}");
        let last = format!("Desk (maxsmart-sww6000000000003) was last at {}", desk.at(0));
        desk.fails(&["status", "desk", "-s", "maxsmart.timeout=1s"], &[&last, "power", "nobody"]).await;
    });
}

#[test]
fn a_port_that_is_not_let_through_is_named() {
    run(async {
        let desk = CliHarness::beside(TestBridge::new(vec![strip()]).await);
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
        let (house, script) = TestBridge::scripted(vec![strip()]).await;
        let desk = CliHarness::beside(house);
        script.set(BrokerFaults { refuse_filter: Some("/set"), ..BrokerFaults::default() });
        let (code, lines) = findings(&desk, &[]).await;
        assert_eq!(code, Some(1));
        has(
            &lines,
            &["bad broker rules: we may not subscribe to plug2mqtt/+/set, plug2mqtt/+/+/set", "acl_file"],
        );
        script.set(BrokerFaults { refuse_login: true, ..BrokerFaults::default() });
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
