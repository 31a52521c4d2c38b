//! The program as people start it: what it prints and how it ends.

use crate::support::{Message, STRIP, TIMEOUT, TestBridge, on, quiet, run, spawned, strip, until};
use plug2mqtt::sim::Strip;
use serde_json::{Value, json};
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

pub(crate) fn program(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plug2mqtt"));
    command.args(words).current_dir(folder).env_clear().env("HOME", folder).stdin(Stdio::null());
    command
}

/// Runs it to its end while the plugs go on.
pub(crate) fn ran(
    folder: &Path,
    words: &[&str],
) -> impl Future<Output = (Option<i32>, String, String)> + use<> {
    let mut command = program(folder, words);
    let child = spawned(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let output = tokio::task::spawn_blocking(move || child.wait_with_output());
    async {
        let Output { status, stdout, stderr } = output.await.unwrap().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }
}

/// A program that is killed when the test ends.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    pub(crate) fn start(folder: &Path, words: &[&str]) -> Self {
        let mut command = program(folder, words);
        Self(spawned(command.stdout(Stdio::piped()).stderr(Stdio::null())))
    }

    pub(crate) fn signal(&self, name: &str) {
        let mut kill = Command::new("kill");
        let sent = spawned(kill.args(["-s", name, &self.0.id().to_string()])).wait().unwrap();
        assert!(sent.success());
    }

    pub(crate) async fn code(&mut self) -> Option<i32> {
        let mut code = None;
        until("its end", || {
            code = self.0.try_wait().unwrap().map(|status| status.code());
            code.is_some()
        })
        .await;
        code.flatten()
    }
}

pub(crate) fn arg(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn discover_and_probe_print_what_is_there() {
    run(async {
        let plug = quiet(Strip::plug_2_0("SWW1000000000007").mac("02:00:00:00:00:07").named("Kettle"));
        let house = TestBridge::new(vec![strip(), plug]).await;
        let file = house.settings_file("");
        let folder = house.folder();
        // Three programs at one time: what is shown does not depend on how busy the machine is.
        let patient = "maxsmart.timeout=5s";
        let (host, probe) = (house.plug(0).http_addr().to_string(), "probe");
        let (table, list, probed) = tokio::join!(
            ran(folder, &["discover", "--config", arg(&file), "-s", patient]),
            ran(folder, &["--config", arg(&file), "discover", "--json", "-s", patient]),
            ran(folder, &["-c", arg(&file), probe, &host, "-s", patient]),
        );
        let (code, out, err) = table;
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let lines: Vec<&str> = out.lines().collect();
        assert_eq!(lines.len(), 3, "{out}");
        assert!(lines[0].starts_with("ID ") && lines[1].starts_with(STRIP), "{out}");
        assert!(lines[1].ends_with("6 of 6 on, 10.0 W") && lines[1].contains("Office strip"), "{out}");
        assert!(lines[2].contains("Kettle") && lines[2].ends_with("1 of 1 on, 10.0 W"), "{out}");

        let (code, out, _) = list;
        let all: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((code, all.as_array().map(Vec::len)), (Some(0), Some(2)), "{out}");
        for (key, value) in
            [("id", STRIP), ("driver", "maxsmart"), ("serial", "SWP6000000000001"), ("firmware", "1.30")]
        {
            assert_eq!(all[0][key], value, "{out}");
        }
        assert_eq!(all[0]["ports"], 6);

        let (code, out, _) = probed;
        assert_eq!(code, Some(0), "{out}");
        for part in
            [STRIP, "answers on UDP", "port 6", "10.00 W", "1.30", "AABBCCDDEEFF554433221100 (hardware)"]
        {
            assert!(out.contains(part), "{part} is missing:\n{out}");
        }
        let (code, out, err) =
            ran(folder, &["probe", &host, "--json", "--config", arg(&file), "-s", patient]).await;
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let told: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((&told[0]["id"], &told[0]["ports"]), (&json!(STRIP), &json!(6)), "{out}");
        // Nobody there: it says so, with a remedy, and code 1.
        house.shelf.stop().await;
        let (code, out, _) = ran(folder, &["probe", &host, "--config", arg(&file)]).await;
        assert_eq!(code, Some(1), "{out}");
        assert!(out.contains("maxsmart.hosts"), "{out}");
        let (code, out, _) = ran(folder, &["discover", "--config", arg(&file)]).await;
        assert_eq!(code, Some(1));
        assert!(out.contains("no plugs answered") && out.contains("maxsmart.hosts"), "{out}");
        let (code, out, _) = ran(folder, &["discover", "--json", "--config", arg(&file)]).await;
        assert_eq!((code, out.trim()), (Some(1), "[]"));
    });
}

#[test]
fn show_discovery_prints_the_messages_of_remembered_plugs() {
    run(async {
        let mut house = TestBridge::running().await;
        house.stop().await.unwrap();
        let file = house.settings_file("");
        let (by_id, by_name, nobody) = tokio::join!(
            ran(house.folder(), &["show-discovery", STRIP, "-c", arg(&file)]),
            ran(house.folder(), &["show-discovery", "office strip", "-c", arg(&file)]),
            ran(house.folder(), &["show-discovery", "nobody", "-c", arg(&file)]),
        );
        let (topic, message) = by_id.1.split_once('\n').unwrap();
        assert_eq!(topic, format!("homeassistant/device/plug2mqtt_{STRIP}/config"));
        let message: Value = serde_json::from_str(message).unwrap();
        let published: Value = serde_json::from_str(&house.retained().await[topic]).unwrap();
        assert_eq!(message, published, "the exact message");
        assert_eq!(by_name.1, by_id.1);
        assert_eq!(nobody.0, Some(1));
        assert!(nobody.2.contains(STRIP), "names those that are known: {}", nobody.2);
    });
}

#[test]
fn settings_are_checked_shown_written_and_described() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let (code, schema, _) = ran(folder, &["config", "schema"]).await;
        let schema: Value = serde_json::from_str(&schema).unwrap();
        assert_eq!(code, Some(0));
        assert!(schema["properties"]["maxsmart"].is_object());
        let (code, _, err) = ran(folder, &["config", "init", "--no-search", "-o", "fresh.toml"]).await;
        assert_eq!(code, Some(0), "{err}");
        let (code, out, err) = ran(folder, &["config", "check", "--config", "fresh.toml"]).await;
        assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "settings are valid: fresh.toml\n", ""));
        let words =
            ["config", "show", "-c", "fresh.toml", "-s", "mqtt.password=geheim", "-s", "mqtt.username=me"];
        let (code, out, err) = ran(folder, &words).await;
        assert_eq!(code, Some(0), "{err}");
        assert!(out.contains("********") && !out.contains("geheim"), "{out}");

        let wrong = "[mqtt]\nkeep_alive = \"1\"\n\n[maxsmart]\npoll_intervall = \"5s\"\ntimeout = \"0s\"\n";
        std::fs::write(folder.join("wrong.toml"), wrong).unwrap();
        let (code, out, err) = ran(folder, &["run", "--config", "wrong.toml"]).await;
        assert_eq!((code, out.as_str()), (Some(78), ""));
        for part in [
            "wrong.toml:2",
            "mqtt.keep_alive",
            "wrong.toml:5",
            "poll_intervall",
            "wrong.toml:6",
            "maxsmart.timeout",
        ] {
            assert!(err.contains(part), "{part} is missing:\n{err}");
        }
        std::fs::write(folder.join("broken.toml"), "[mqtt\n").unwrap();
        let (code, _, err) = ran(folder, &["config", "check", "-c", "broken.toml"]).await;
        assert_eq!(code, Some(78));
        assert!(err.contains("broken.toml:1"), "{err}");
        // Files that TLS takes must be there; they are looked into where the broker is reached by it.
        std::fs::write(folder.join("noise.pem"), "no certificate").unwrap();
        let check = async |url: &str, set: &[&str]| {
            let url = format!("mqtt.url={url}://127.0.0.1");
            ran(folder, &[&["config", "check", "-c", "fresh.toml", "-s", &url], set].concat()).await
        };
        for (set, parts) in [
            (&["-s", "mqtt.tls.ca_file=gone.pem"][..], &["gone.pem"]),
            (&["-s", "mqtt.tls.ca_file=noise.pem"], &["noise.pem"]),
            (&["-s", "mqtt.tls.cert_file=noise.pem", "-s", "mqtt.tls.key_file=noise.pem"], &["noise.pem"]),
            (&["-s", "mqtt.tls.cert_file=gone.pem", "-s", "mqtt.tls.key_file=noise.pem"], &["gone.pem"]),
        ] {
            let (code, out, err) = check("mqtts", set).await;
            assert_eq!(code, Some(78), "{set:?}: {out}{err}");
            for part in parts {
                assert!(err.contains(part), "{part} is missing: {err}");
            }
            let (code, _, err) = check("mqtt", set).await;
            assert_eq!(code, Some(if *parts == ["gone.pem"] { 78 } else { 0 }), "{set:?}: {err}");
        }
        for words in [["--config", "gone.toml", "run"], ["run", "--config", "gone.toml"]] {
            let (code, _, err) = ran(folder, &words).await;
            assert_eq!(code, Some(78), "{err}");
            assert!(err.contains("gone.toml"), "{err}");
        }
        assert_eq!(ran(folder, &["fly"]).await.0, Some(2));
    });
}

#[test]
fn a_taken_broker_port_ends_run_with_a_remedy_and_moves_the_demo() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let listen = format!("broker.listen={address}");
        let (code, _, err) = ran(
            folder.path(),
            &["run", "-s", &listen, "-s", "maxsmart.enabled=false", "-s", "state.directory=s"],
        )
        .await;
        assert_eq!(code, Some(78), "{err}");
        assert!(err.contains(&address) && err.contains("mqtt.url") && err.contains("broker.listen"), "{err}");

        let mut demo = Running::start(folder.path(), &["demo", "-s", &listen]);
        let mut out = demo.0.stdout.take().unwrap();
        let text = tokio::task::spawn_blocking(move || {
            let (mut text, mut some) = (String::new(), [0; 512]);
            while !text.contains("Ctrl-C") {
                match out.read(&mut some) {
                    Ok(n @ 1..) => text.push_str(&String::from_utf8_lossy(&some[..n])),
                    _ => break,
                }
            }
            text
        });
        let text = tokio::time::timeout(TIMEOUT, text).await.unwrap().unwrap();
        assert!(text.contains("mosquitto_sub") && !text.contains(&address), "{text}");
        assert!(text.contains("Kitchen strip"), "{text}");
        // The first lines to try work as they stand there.
        let own = format!("  {} -c ", env!("CARGO_BIN_EXE_plug2mqtt"));
        let lines: Vec<&str> = text.lines().filter(|line| line.starts_with(&own)).collect();
        assert_eq!(lines.len(), 3, "{text}");
        for line in lines {
            let mut shell = Command::new("sh");
            shell.args(["-c", line]).current_dir("/").env_clear().stdin(Stdio::null());
            let child = spawned(shell.stdout(Stdio::piped()).stderr(Stdio::piped()));
            let output =
                tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(
                output.status.success() && said.contains("Lamp") | said.contains("Kitchen"),
                "{line}: {output:?}"
            );
        }
    });
}

#[test]
fn simulated_plugs_are_listed_with_a_line_that_finds_them() {
    run(async {
        let folder = tempfile::tempdir().unwrap();
        let mut command = program(folder.path(), &["simulate", "--free-ports"]);
        let mut plugs = Running(spawned(command.stdout(Stdio::null()).stderr(Stdio::piped())));
        let mut stderr = plugs.0.stderr.take().unwrap();
        let text = tokio::task::spawn_blocking(move || {
            let (mut text, mut some) = (String::new(), [0; 512]);
            while !text.contains(" discover\n") {
                match stderr.read(&mut some) {
                    Ok(n @ 1..) => text.push_str(&String::from_utf8_lossy(&some[..n])),
                    _ => break,
                }
            }
            text
        });
        let text = tokio::time::timeout(TIMEOUT, text).await.unwrap().unwrap();
        assert!(text.contains("Kitchen strip") && text.contains("at 127.0.18.14"), "{text}");
        assert_eq!(ran(folder.path(), &["simulate", "127.0.9.1=teapot"]).await.0, Some(2));
        let line = text.lines().find(|line| line.ends_with(" discover")).unwrap().to_owned();
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let (code, out, err) = ran(folder.path(), &words).await;
        assert!(code == Some(0) && out.contains("Kitchen strip") && out.contains("Heater"), "{out}{err}");
    });
}

#[test]
fn a_stop_signal_ends_it_well_and_an_abrupt_end_leaves_the_will() {
    run(async {
        let house = TestBridge::new(vec![strip()]).await;
        let file = house.settings_file("");
        let mut bridge = Running::start(house.folder(), &["-c", arg(&file)]);
        house.shows(&format!("{STRIP}/availability"), "online").await;
        house.shows("bridge/state", "online").await;
        let mark = house.mark();
        bridge.signal("TERM");
        assert_eq!(bridge.code().await, Some(0));
        house.wait_after(mark, "the last word", on("plug2mqtt/bridge/state", "offline")).await;

        let mark = house.mark();
        let mut bridge = Running::start(house.folder(), &["run", "-c", arg(&file)]);
        house.wait_after(mark, "online", on("plug2mqtt/bridge/state", "online")).await;
        // Two at one time with one state directory would undo each other's work.
        let (code, _, err) = ran(house.folder(), &["run", "-c", arg(&file)]).await;
        assert_eq!(code, Some(78), "{err}");
        assert!(err.contains("another plug2mqtt"), "{err}");
        let mark = house.mark();
        bridge.0.kill().unwrap();
        house.wait_after(mark, "the will", on("plug2mqtt/bridge/state", "offline")).await;
    });
}

#[test]
fn no_log_tells_the_password_or_what_a_plug_tells_its_cloud() {
    run(async {
        // Discovery of firmware 5.11 has cloud credentials in it; hardware ids hold more.
        let v3 = Strip::strip_5_11("SWP6000000000002").mac("02:00:00:00:00:02");
        let (house, _script) = TestBridge::scripted(vec![strip(), quiet(v3)]).await;
        let file = house.settings_file("[log]\nlevel = \"trace\"\n");
        let login = ["-s", "mqtt.username=lamp", "-s", "mqtt.password=hunter2"];
        let mut command = program(house.folder(), &[&["-c", arg(&file)], &login[..]].concat());
        let mut bridge = Running(spawned(command.stdout(Stdio::null()).stderr(Stdio::piped())));
        let mut stderr = bridge.0.stderr.take().unwrap();
        let log = tokio::task::spawn_blocking(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).map(|_| text)
        });
        for plug in [STRIP, "maxsmart-swp6000000000002"] {
            house.shows(&format!("{plug}/availability"), "online").await;
        }
        let result = house.command(&format!("{STRIP}/1/set"), "OFF").await;
        assert_eq!(result["status"], "ok", "{result}");
        bridge.0.kill().unwrap();
        let log = log.await.unwrap().unwrap();
        assert!(log.contains("TRACE") && log.contains("heard"), "{log}");
        for secret in ["hunter2", "sak", "regid", "rvg0"] {
            assert!(!log.contains(secret), "{secret} in {log}");
            let told = |m: &Message| m.text().contains(secret) || m.topic.contains(secret);
            assert_eq!(house.heard().into_iter().find(told), None);
        }
    });
}
