//! `meross setup`, `repoint` and `reset` against simulated plugs, as a user starts them.

use crate::cli::{Running, program, ran};
use crate::support::{addresses, run, spawned, until};
use plug2mqtt::sim::{Endpoint, Faults, Kind, Meross, Model, Request, Served, serve};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, tcgetattr};
use serde_json::Value;
use std::fmt;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const PASSWORD: &str = "zwetschge-123";

/// What becomes of the answer to a request that a plug has heard in the clear and carried out.
type Trick = Box<dyn FnMut(&Value, Option<Vec<u8>>) -> Option<Vec<u8>> + Send>;

/// A plug of which some answers are changed.
struct Tricky(Meross, Trick);

impl fmt::Debug for Tricky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Model for Tricky {
    fn serial(&self) -> &str {
        self.0.serial()
    }

    fn speaks_http(&self) -> bool {
        true
    }

    fn is_up(&self, now_s: f64) -> bool {
        self.0.is_up(now_s)
    }

    fn datagram(&mut self, now_s: f64, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.0.datagram(now_s, bytes)
    }

    fn http(&mut self, now_s: f64, request: &Request<'_>) -> Option<Vec<u8>> {
        let heard = serde_json::from_slice(request.body).unwrap_or_default();
        let answer = self.0.http(now_s, request);
        (self.1)(&heard, answer)
    }

    fn press(&mut self, now_s: f64, port: usize) {
        self.0.press(now_s, port);
    }

    fn reboot(&mut self, now_s: f64) {
        self.0.reboot(now_s);
    }

    fn watts(&self, now_s: f64) -> Vec<f64> {
        self.0.watts(now_s)
    }
}

async fn served<M: Model>(plug: M) -> Served<M> {
    let place = Endpoint { ip: addresses(1)[0], udp_port: 0, http_port: 0, broadcasts: Vec::new() };
    serve(plug, place).await.unwrap()
}

/// A plug whose uuid ends with its MAC, as it must.
fn plug(kind: &'static Kind) -> Meross {
    Meross::new(kind, 7).with_uuid("01234567890123456789020000004d07")
}

fn fresh(kind: &'static Kind) -> Meross {
    plug(kind).unpaired()
}

/// A folder with the password of the network in a file.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("password"), format!("{PASSWORD}\n")).unwrap();
    folder
}

/// The words that set a plug up without a question; more may follow, the last of a kind counts not: each is given once.
fn words<'a>(host: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let always = ["meross", "setup", "--host", host, "--key-file", "new.key", "--wait", "0s"];
    let usual = [("--wifi", "nowhere"), ("--wifi-password-file", "password"), ("--to", "192.168.30.10")];
    let usual =
        usual.iter().filter(|(flag, _)| !more.contains(flag)).flat_map(|(flag, value)| [*flag, *value]);
    always.into_iter().chain(usual).chain(more.iter().copied()).collect()
}

fn key(folder: &Path) -> String {
    fs::read_to_string(folder.join("new.key")).unwrap().trim_end().to_owned()
}

#[test]
fn every_kind_is_set_up_over_its_access_point() {
    run(async {
        for kind in [
            &Kind::MSS310_HW1,
            &Kind::MSS310_HW2,
            &Kind::MSS310_HW6,
            &Kind::MSS110,
            &Kind::MSS110_7_3_46,
            &Kind::MSS315,
            &Kind::MSS425E,
            &Kind::EM06,
        ] {
            let (plug, folder) = (served(fresh(kind)).await, folder());
            let host = plug.http_addr().to_string();
            // However much it is to say.
            let (code, out, err) = ran(folder.path(), &words(&host, &["-v", "-v"])).await;
            assert_eq!(code, Some(0), "{} {out}{err}", kind.name);
            for part in [
                kind.name.to_uppercase().as_str(),
                "nowhere",
                "76 %",
                "guests",
                "new.key",
                "LED",
                "192.168.30.10:8883",
            ] {
                assert!(out.contains(part), "{part} is missing:\n{out}");
            }
            let key = key(folder.path());
            assert!(key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit()), "{key}");
            let mode = fs::metadata(folder.path().join("new.key")).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            for secret in [key.as_str(), PASSWORD, "endldHNjaGdlLTEyMw"] {
                assert!(!out.contains(secret) && !err.contains(secret), "{secret}: {out}{err}");
            }
            plug.plug(|plug| {
                assert_eq!(
                    (plug.key(), plug.wifi(), plug.resets()),
                    (key.as_str(), Some(("nowhere", PASSWORD)), 0)
                );
                let gateway = plug.gateway();
                assert_eq!((gateway.host.as_str(), gateway.port), ("192.168.30.10", 8883));
                assert_eq!((gateway.second_host.as_str(), gateway.second_port), ("192.168.30.10", 8883));
                assert_eq!(gateway.user, "0");
            });
        }
    });
}

#[test]
fn a_key_is_used_again_and_a_plug_that_was_left_halfway_is_finished() {
    run(async {
        let folder = folder();
        for kind in [&Kind::MSS310_HW2, &Kind::MSS110] {
            // It has heard key and broker in an earlier setup, and nothing of Wi-Fi.
            let mine = "0123456789abcdef0123456789abcdef";
            fs::write(folder.path().join("new.key"), mine).unwrap();
            fs::set_permissions(folder.path().join("new.key"), PermissionsExt::from_mode(0o600)).unwrap();
            let plug = served(plug(kind).with_key(mine)).await;
            let host = plug.http_addr().to_string();
            fs::write(folder.path().join("none"), "").unwrap();
            let (code, out, err) =
                ran(folder.path(), &words(&host, &["--wifi", "guests", "--wifi-password-file", "none"]))
                    .await;
            assert_eq!(code, Some(0), "{out}{err}");
            assert_eq!(key(folder.path()), mine);
            plug.plug(|plug| assert_eq!((plug.key(), plug.wifi()), (mine, Some(("guests", "")))));
        }
    });
}

#[test]
fn a_rehearsal_asks_the_plug_and_changes_nothing() {
    run(async {
        for (kind, namespace) in [(&Kind::MSS310_HW1, "Config.Wifi\""), (&Kind::MSS110, "Config.WifiX\"")] {
            let (plug, folder) = (served(fresh(kind)).await, folder());
            let host = plug.http_addr().to_string();
            let (code, out, err) = ran(folder.path(), &words(&host, &["--dry-run"])).await;
            assert_eq!(code, Some(0), "{out}{err}");
            let sent: Vec<&str> = out.lines().filter_map(|line| line.strip_prefix("would send: ")).collect();
            assert_eq!(sent.len(), 3, "time, key, Wi-Fi: {out}");
            assert_eq!(
                sent.iter().filter(|line| line.ends_with("(encrypted)")).count(),
                if kind.encrypts() { 3 } else { 0 }
            );
            assert!(sent[1].contains(r#""key":"***""#) && sent[2].contains(r#""password":"***""#), "{out}");
            assert!(
                sent[2].contains(namespace) && sent.iter().all(|line| line.contains(r#""sign":"***""#)),
                "{out}"
            );
            assert!(!folder.path().join("new.key").exists());
            plug.plug(|plug| {
                assert_eq!((plug.login(), plug.wifi(), plug.resets()), (None, None, 0));
            });
        }
    });
}

#[test]
fn a_network_that_hides_its_name_is_told_by_flags() {
    run(async {
        let (plug, folder) = (served(fresh(&Kind::MSS310_HW6)).await, folder());
        let host = plug.http_addr().to_string();
        let hidden = ["--wifi", "unseen", "--hidden", "--channel", "4"];
        let (code, out, err) = ran(folder.path(), &words(&host, &hidden)).await;
        assert_eq!(code, Some(0), "{out}{err}");
        plug.plug(|plug| assert_eq!(plug.wifi(), Some(("unseen", PASSWORD))));
        let (code, _, err) = ran(folder.path(), &words(&host, &["--wifi", "unseen", "--hidden"])).await;
        assert!(code == Some(2) && err.contains("--channel"), "{err}");
    });
}

#[test]
fn what_is_wrong_is_said_with_its_remedy_and_nothing_is_told_to_the_plug() {
    run(async {
        let (plug, folder) = (served(fresh(&Kind::MSS310_HW2)).await, folder());
        let host = plug.http_addr().to_string();
        let path = folder.path();
        fs::write(path.join("short"), "1234567").unwrap();
        fs::write(path.join("wide"), "0123456789abcdef").unwrap();
        fs::set_permissions(path.join("wide"), PermissionsExt::from_mode(0o644)).unwrap();
        fs::write(path.join("words"), "two words").unwrap();
        fs::write(path.join("large"), "x".repeat(1025)).unwrap();
        fs::set_permissions(path.join("words"), PermissionsExt::from_mode(0o600)).unwrap();
        let cases: [(&[&str], i32, &[&str]); 9] = [
            (&["--wifi", "elsewhere"], 2, &["elsewhere", "nowhere", "--hidden"]),
            (&["--wifi-password-file", "short"], 2, &["8 to 63", "not 7"]),
            (&["--wifi", "guests"], 2, &["open network"]),
            (&["--wifi-password-file", "missing"], 2, &["missing", "--wifi-password-file"]),
            (&["--bssid", "02-00-00-00-00-0g"], 2, &["--bssid"]),
            (&["--bssid", "02-00-00-00-00-01"], 2, &["02:00:00:00:00:01"]),
            (&["--to", "mqtt://192.168.1.10"], 2, &["HOST:PORT"]),
            (&["--to", "0.0.0.0:8883"], 2, &["0.0.0.0"]),
            (&["--to", "192.168.1.10:0"], 2, &["1 to 65535"]),
        ];
        for (more, want, parts) in cases {
            let (code, out, err) = ran(path, &words(&host, more)).await;
            assert_eq!(code, Some(want), "{more:?} {out}{err}");
            assert!(parts.iter().all(|part| err.contains(part)), "{more:?} {err}");
            assert!(!err.contains("1234567") && !err.contains(PASSWORD), "{err}");
        }
        for (file, part) in [
            ("wide", "chmod 600"),
            ("words", "holds no key"),
            ("large", "cannot be read"),
            (".", "cannot be read"),
            ("password/new", "cannot be"),
        ] {
            let mut words = words(&host, &[]);
            *words.iter_mut().find(|word| **word == "new.key").unwrap() = file;
            let (code, out, err) = ran(path, &words).await;
            assert_eq!(code, Some(78), "{file} {out}{err}");
            assert!(err.contains(part) && err.contains(file), "{err}");
        }
        // Without a terminal there is nobody to ask.
        for (flag, rest) in [("--to", ["--wifi", "nowhere"]), ("--wifi", ["--to", "192.168.1.10"])] {
            let always = [
                "meross",
                "setup",
                "--host",
                &host,
                "--key-file",
                "new.key",
                "--wifi-password-file",
                "password",
            ];
            let (code, _, err) = ran(path, &[&always[..], &rest].concat()).await;
            assert!(code == Some(2) && err.contains(flag) && err.contains("terminal"), "{err}");
        }
        plug.plug(|plug| assert_eq!((plug.login(), plug.wifi(), plug.resets()), (None, None, 0)));
        // Somebody else's, and nobody at all.
        for kind in [&Kind::MSS310_HW1, &Kind::MSS110] {
            let foreign = served(self::plug(kind)).await;
            let (code, _, err) = ran(path, &words(&foreign.http_addr().to_string(), &[])).await;
            assert!(code == Some(1) && err.contains("another key") && err.contains("button"), "{err}");
            foreign.plug(|plug| assert_eq!((plug.key(), plug.wifi()), ("pippo", None)));
        }
        plug.stop().await;
        let (code, _, err) = ran(path, &words(&host, &[])).await;
        assert!(code == Some(1) && err.contains("no plug answers") && err.contains("button"), "{err}");
    });
}

fn namespace(heard: &Value) -> &str {
    heard.pointer("/header/namespace").and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn a_plug_that_answers_nonsense_ends_it_with_a_sentence() {
    run(async {
        let folder = folder();
        let tricks: [(Trick, &str); 5] = [
            (Box::new(|_, _| Some(b"HTTP/1.1 200 OK\r\n\r\n{\"header\":7}".to_vec())), "no Meross plug"),
            (Box::new(|_, _| Some(b"HTTP/1.1 404 Not Found\r\n\r\nwhat?".to_vec())), "no Meross plug"),
            (
                Box::new(|heard, answer| match namespace(heard) {
                    "Appliance.System.All" => {
                        Some([b"HTTP/1.1 200 OK\r\n\r\n".as_slice(), &[b'['; 60_000]].concat())
                    }
                    _ => answer,
                }),
                "about itself",
            ),
            (
                Box::new(|heard, answer| match namespace(heard) {
                    "Appliance.Config.WifiList" => {
                        let text = String::from_utf8(answer?).unwrap();
                        let (head, rest) = text.split_once(r#""payload":"#).unwrap();
                        assert!(rest.starts_with('{'));
                        Some(format!(r#"{head}"payload":{{"wifiList":[]}}}}"#).into_bytes())
                    }
                    _ => answer,
                }),
                "2.4 GHz",
            ),
            (
                Box::new(|heard, answer| match namespace(heard) {
                    // In the name of another plug.
                    "Appliance.System.All" => Some(
                        String::from_utf8(answer?)
                            .unwrap()
                            .replace("020000004d07", "020000004d08")
                            .into_bytes(),
                    ),
                    _ => answer,
                }),
                "020000004d08",
            ),
        ];
        for (trick, part) in tricks {
            let plug = served(Tricky(fresh(&Kind::MSS310_HW2), trick)).await;
            let (code, out, err) = ran(folder.path(), &words(&plug.http_addr().to_string(), &[])).await;
            assert!(code == Some(1) && err.contains(part), "{part} {out}{err}");
            plug.plug(|plug| assert_eq!((plug.0.login(), plug.0.wifi()), (None, None)));
        }
    });
}

#[test]
fn a_connection_that_drops_after_the_key_does_not_end_the_setup() {
    run(async {
        let folder = folder();
        let dropping = |about: &'static str, mut times: u32| -> Trick {
            Box::new(move |heard, answer| {
                let lost = times > 0 && namespace(heard) == about;
                times -= u32::from(lost);
                if lost { None } else { answer }
            })
        };
        let one = served(Tricky(fresh(&Kind::MSS310_HW2), dropping("Appliance.Config.Key", 1))).await;
        let (code, out, err) = ran(folder.path(), &words(&one.http_addr().to_string(), &[])).await;
        assert_eq!(code, Some(0), "{out}{err}");
        one.plug(|plug| assert_eq!(plug.0.wifi(), Some(("nowhere", PASSWORD))));
        let plug = served(Tricky(fresh(&Kind::MSS310_HW2), dropping("Appliance.Config.Key", 2))).await;
        let host = plug.http_addr().to_string();
        let (code, out, err) = ran(folder.path(), &words(&host, &[])).await;
        assert!(code == Some(1) && err.contains("not known") && err.contains("Run this again"), "{out}{err}");
        let mine = key(folder.path());
        plug.plug(|plug| assert_eq!((plug.0.key(), plug.0.wifi()), (mine.as_str(), None)));
        // The next time it answers: the same key, and no contradiction.
        let (code, out, err) = ran(folder.path(), &words(&host, &[])).await;
        assert_eq!(code, Some(0), "{out}{err}");
        plug.plug(|plug| {
            assert_eq!((plug.0.key(), plug.0.wifi()), (mine.as_str(), Some(("nowhere", PASSWORD))))
        });
        // The answer about Wi-Fi is often lost: the plug restarts.
        let silent = dropping("Appliance.Config.Wifi", 1);
        let plug = served(Tricky(fresh(&Kind::MSS310_HW2), silent)).await;
        let (code, out, err) = ran(folder.path(), &words(&plug.http_addr().to_string(), &[])).await;
        assert!(code == Some(0) && out.contains("restarted already"), "{out}{err}");
    });
}

/// A terminal, and everything that was ever to be seen on it.
struct Terminal {
    master: File,
    slave: File,
    seen: Arc<Mutex<String>>,
}

impl Terminal {
    fn new() -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let (master, seen) = (File::from(master), Arc::new(Mutex::new(String::new())));
        let (mut from, to) = (master.try_clone().unwrap(), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut bytes = [0; 256];
            while let Ok(length @ 1..) = from.read(&mut bytes) {
                to.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
        });
        Self { master, slave, seen }
    }

    fn start(&self, folder: &Path, words: &[&str]) -> Running {
        let end = || Stdio::from(self.slave.try_clone().unwrap());
        let mut command = program(folder, words);
        Running(spawned(command.stdin(end()).stdout(end()).stderr(end())))
    }

    fn seen(&self) -> String {
        self.seen.lock().unwrap().clone()
    }

    async fn shows(&self, part: &str) {
        until(part, || self.seen().contains(part)).await;
    }

    async fn types(&mut self, after: &str, text: &str) {
        self.shows(after).await;
        self.master.write_all(text.as_bytes()).unwrap();
    }

    fn echoes(&self) -> bool {
        tcgetattr(&self.slave).unwrap().local_modes.contains(LocalModes::ECHO)
    }
}

#[test]
fn at_a_terminal_it_asks_and_does_not_show_the_password() {
    run(async {
        let (plug, folder) = (served(fresh(&Kind::MSS315)).await, folder());
        let (host, mut terminal) = (plug.http_addr().to_string(), Terminal::new());
        let mut setup = terminal.start(
            folder.path(),
            &["meross", "setup", "--host", &host, "--wait", "0s", "--key-file", "new.key"],
        );
        terminal.types("Network to join", "1\n").await;
        terminal.shows("which is not shown").await;
        until("silence", || !terminal.echoes()).await;
        terminal.types("which is not shown", &format!("{PASSWORD}\n")).await;
        terminal.shows("HOST:PORT").await;
        assert!(terminal.echoes(), "the next answer is shown again");
        // What others of this machine can see of a process.
        let cmdline = fs::read(format!("/proc/{}/cmdline", setup.0.id())).unwrap();
        assert!(!String::from_utf8_lossy(&cmdline).contains(PASSWORD));
        terminal.types("HOST:PORT", "192.168.30.10\n").await;
        assert_eq!(setup.code().await, Some(0), "{}", terminal.seen());
        terminal.shows("LED").await;
        let seen = terminal.seen();
        assert!(seen.contains("192.168.30.10\r\n"), "what is no secret is shown: {seen}");
        assert!(!seen.contains(PASSWORD) && !seen.contains(&key(folder.path())), "{seen}");
        plug.plug(|plug| assert_eq!(plug.wifi(), Some(("nowhere", PASSWORD))));
    });
}

#[test]
fn an_interruption_leaves_the_terminal_and_the_plug_as_they_were() {
    run(async {
        let (plug, folder) = (served(fresh(&Kind::MSS310_HW2)).await, folder());
        let (host, terminal) = (plug.http_addr().to_string(), Terminal::new());
        let words = ["meross", "setup", "--host", &host, "--wifi", "nowhere", "--key-file", "new.key"];
        let mut setup = terminal.start(folder.path(), &words);
        terminal.shows("which is not shown").await;
        until("silence", || !terminal.echoes()).await;
        setup.signal("INT");
        assert_eq!(setup.code().await, Some(1), "{}", terminal.seen());
        assert!(terminal.echoes());
        terminal.shows("told nothing").await;
        plug.plug(|plug| assert_eq!((plug.login(), plug.wifi()), (None, None)));
        // While it is being told: it is said how far that has come.
        let mut terminal = Terminal::new();
        let words = [&words[..], &["--wifi-password-file", "password"]].concat();
        let mut setup = terminal.start(folder.path(), &words);
        terminal.shows("HOST:PORT").await;
        plug.set_faults(Faults { delay: Duration::from_secs(2), ..Faults::default() }).await.unwrap();
        terminal.types("HOST:PORT", "192.168.30.10\n").await;
        until("the key", || plug.plug(|plug| plug.login().is_some())).await;
        setup.signal("INT");
        assert_eq!(setup.code().await, Some(1), "{}", terminal.seen());
        terminal.shows("the same key is used").await;
        plug.plug(|plug| assert_eq!((plug.key(), plug.wifi()), (key(folder.path()).as_str(), None)));
    });
}

#[test]
fn a_paired_plug_is_pointed_elsewhere_and_back() {
    run(async {
        for kind in [&Kind::MSS310_HW1, &Kind::MSS310_HW2, &Kind::MSS110] {
            let (plug, folder) = (served(plug(kind)).await, tempfile::tempdir().unwrap());
            let path = folder.path();
            let host = plug.http_addr().to_string();
            fs::write(path.join("old.key"), "pippo\n").unwrap();
            fs::set_permissions(path.join("old.key"), PermissionsExt::from_mode(0o600)).unwrap();
            let to = |to: &'static str, more: &[&'static str]| {
                let always = ["meross", "repoint", &host, "--to", to, "--key-file", "old.key"];
                ran(path, &[&always[..], more].concat())
            };
            let called = || plug.plug(|plug| plug.gateway().clone());
            let (code, _, err) = to("192.168.30.10", &[]).await;
            assert!(code == Some(2) && err.contains("--yes"), "{err}");
            let (code, out, err) = to("192.168.30.10", &["--dry-run"]).await;
            assert!(code == Some(0) && out.contains("***") && !out.contains("pippo"), "{out}{err}");
            assert_eq!(called().host, "");
            let (code, out, err) = to("192.168.30.10", &["--yes"]).await;
            assert_eq!(code, Some(0), "{out}{err}");
            assert!(out.contains("done") && !out.contains("pippo"), "{out}");
            assert_eq!(
                (called().host.as_str(), called().second_host.as_str()),
                ("192.168.30.10", "192.168.30.10")
            );
            let (code, out, err) = to("broker.lan:8884", &["--yes"]).await;
            assert_eq!(code, Some(0), "{out}{err}");
            assert_eq!(
                (called().host.as_str(), called().port, called().second_port),
                ("broker.lan", 8884, 8884)
            );
            let back = out.lines().find_map(|line| line.strip_prefix("to go back: plug2mqtt ")).unwrap();
            let back: Vec<&str> = back.split_whitespace().chain(["--yes"]).collect();
            let (code, out, err) = ran(path, &back).await;
            assert_eq!(code, Some(0), "{out}{err}");
            assert_eq!((called().host.as_str(), called().port), ("192.168.30.10", 8883));
            plug.plug(|plug| assert_eq!((plug.key(), plug.resets()), ("pippo", 0)));

            fs::write(path.join("old.key"), "wrong").unwrap();
            let (code, _, err) = to("192.168.30.11", &["--yes"]).await;
            assert!(code == Some(1) && err.contains("key") && err.contains("meross.key"), "{err}");
            assert_eq!(called().host, "192.168.30.10");
            let words = ["meross", "reset", &host, "--key-file", "old.key", "--yes-factory-reset"];
            let (code, _, err) = ran(path, &words).await;
            assert!(code == Some(1) && err.contains("key"), "{err}");
            plug.plug(|plug| assert_eq!(plug.resets(), 0));
        }
    });
}

#[test]
fn a_plug_is_reset_only_where_that_is_spelt_out() {
    run(async {
        for kind in [&Kind::MSS310_HW2, &Kind::MSS110] {
            let (plug, folder) = (served(plug(kind)).await, tempfile::tempdir().unwrap());
            let path = folder.path();
            fs::write(path.join("old.key"), "pippo").unwrap();
            fs::set_permissions(path.join("old.key"), PermissionsExt::from_mode(0o600)).unwrap();
            let host = plug.http_addr().to_string();
            let words = ["meross", "reset", &host, "--key-file", "old.key"];
            let before = plug.requests();
            let (code, _, err) = ran(path, &words).await;
            assert!(code == Some(2) && err.contains("--yes-factory-reset"), "{err}");
            assert_eq!(plug.requests(), before, "nothing was said at all");
            let (code, out, err) = ran(path, &[&words[..], &["--dry-run"]].concat()).await;
            assert!(code == Some(0) && out.contains("Control.Unbind"), "{out}{err}");
            assert_eq!(plug.plug(|plug| plug.resets()), 0);
            let (code, out, err) = ran(path, &[&words[..], &["--yes-factory-reset"]].concat()).await;
            assert!(code == Some(0) && out.contains("alternates"), "{out}{err}");
            plug.plug(|plug| assert_eq!((plug.resets(), plug.login()), (1, None)));
        }
    });
}

#[test]
fn nothing_else_can_reset_a_plug() {
    // The namespace stands in one place, behind a word that one command says.
    let told = |word: &str| -> Vec<String> {
        let sources = crate::tidy::sources().into_iter().filter(|(name, _)| !name.starts_with("sim/"));
        let sources = sources.filter(|(name, _)| !name.ends_with("tests.rs"));
        let lines = sources.flat_map(|(name, text)| {
            let code = text.lines().filter(|line| !line.trim().starts_with("//") && line.contains(word));
            code.map(|line| format!("{name}: {}", line.trim())).collect::<Vec<_>>()
        });
        lines.collect()
    };
    assert_eq!(told("Unbind"), [r#"drivers/meross/provision.rs: const RESET: &str = "Control.Unbind";"#]);
    let saying = told("Deed::Reset");
    assert!(
        saying.iter().all(|line| line.starts_with("cli/family/meross/moves.rs: ")
            || line.starts_with("drivers/meross/provision.rs: Deed::Reset =>")),
        "{saying:?}"
    );
    assert_eq!(saying.len(), 3, "shown, said, written: {saying:?}");
}
