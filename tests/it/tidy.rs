//! Holds each folder to the modules and crates it may mention. With clippy's bans in `hub` and
//! `drivers` this is the wall that other programs build with workspaces.

use std::fs;
use std::path::{Path, PathBuf};

/// Folder or file below `src`, the modules of ours it may name, the crates it may name.
const HOUSE: &[(&str, &[&str], &[&str])] = &[
    ("core", &[], &["serde", "jiff", "schemars"]),
    ("model", &["core", "capability"], &["serde"]),
    ("entity.rs", &["model", "capability"], &[]),
    ("fair.rs", &[], &["tokio"]),
    ("file.rs", &[], &["libc", "tempfile"]),
    ("pulse.rs", &[], &["tokio", "rustix"]),
    ("capability", &["core"], &["clap", "humantime", "jiff", "serde", "serde_json"]),
    // Text to requests and answers to text, whoever brings it: nothing of topics, and nothing of the hub.
    ("api", &["model", "capability"], &["serde", "serde_json", "serde_path_to_error", "humantime"]),
    ("hub", &["model", "capability"], &["tracing"]),
    ("drivers", &["model"], &["aes", "base64", "cbc", "md5", "serde", "serde_json"]),
    ("client", &["model", "capability", "drivers", "io"], &["jiff", "thiserror", "tokio"]),
    ("sim", &["sim"], &["aes", "base64", "cbc", "md5", "rustls", "serde_json", "tokio", "tracing"]),
    (
        "io",
        &["model", "hub", "drivers", "fair", "io", "file", "pulse"],
        &[
            "tokio",
            "reqwest",
            "crc32fast",
            "serde",
            "if_addrs",
            "tracing",
            "jiff",
            "fastrand",
            "serde_json",
            "thiserror",
            "anyhow",
        ],
    ),
    (
        "sinks",
        &["model", "api", "entity", "fair", "sinks", "file", "pulse"],
        &[
            "tokio",
            "rumqttc",
            "rustls",
            "rustls_native_certs",
            "secrecy",
            "schemars",
            "serde",
            "serde_json",
            "fastrand",
            "thiserror",
            "tracing",
            "tracing_subscriber",
            "axum",
            "prometheus_client",
            "rustix",
        ],
    ),
    (
        "config",
        // Of the sinks the words they have in the settings.
        &["config", "drivers", "file", "model", "sinks"],
        &[
            "config",
            "jiff",
            "toml",
            "humantime",
            "secrecy",
            "schemars",
            "serde",
            "serde_json",
            "serde_path_to_error",
            "proptest",
        ],
    ),
    (
        "broker.rs",
        &["broker", "file"],
        &["mqtt5", "tokio", "secrecy", "tracing", "thiserror", "serde", "serde_json"],
    ),
    (
        "broker",
        &["broker", "file"],
        &["mqtt5", "tokio", "secrecy", "tracing", "thiserror", "serde", "serde_json", "rumqttc"],
    ),
    (
        "gateway.rs",
        &["gateway", "file"],
        &[
            "base64",
            "crypto_bigint",
            "crypto_primes",
            "md5",
            "rustls",
            "secrecy",
            "thiserror",
            "tokio",
            "tokio_rustls",
            "tracing",
        ],
    ),
    (
        "gateway",
        &["gateway", "file"],
        &[
            "base64",
            "crypto_bigint",
            "crypto_primes",
            "md5",
            "rustls",
            "secrecy",
            "thiserror",
            "tokio",
            "tokio_rustls",
            "tracing",
        ],
    ),
];

/// Crates that belong in one file.
const ONE_ROOM: &[(&str, &str)] =
    &[("rumqttc", "sinks/mqtt/link.rs"), ("reqwest", "io/http.rs"), ("axum", "sinks/web.rs")];

/// The longest file.
const LONGEST: usize = 500;

/// Conductors may have more, each with the reason why it is one thing.
const LONGEST_CONDUCTOR: usize = 700;
const CONDUCTORS: &[(&str, &str)] = &[
    ("hub/mod.rs", "the hub: what an input means for all plugs, and what is written before it is answered"),
    ("hub/meter.rs", "the meters of one plug: every way in which a figure may move"),
    ("hub/plug/mod.rs", "one plug: what a reading, a command and a silence mean for all its parts"),
    ("sinks/mqtt/session.rs", "one connection: what its parts return is put into an order and sent"),
];

/// Files of `io` and of the MQTT sink that take time, randomness and bytes as arguments, and what must
/// not be in them.
const PURE: &[&str] = &[
    "io/conversation.rs",
    "io/dialects.rs",
    "io/search.rs",
    "sinks/mqtt/session.rs",
    "sinks/mqtt/publisher.rs",
    "sinks/mqtt/bridge_topics.rs",
    "sinks/mqtt/announcements.rs",
    "sinks/mqtt/pace.rs",
    "sinks/mqtt/peers.rs",
    "sinks/mqtt/echo.rs",
    "sinks/mqtt/message_size.rs",
    "sinks/mqtt/energy_recovery.rs",
    "sinks/mqtt/rejection.rs",
    "sinks/mqtt/cleanup_requests.rs",
    "sinks/mqtt/cleared.rs",
    "sinks/mqtt/previous_names.rs",
    "sinks/mqtt/memory.rs",
    "sinks/mqtt/own_event.rs",
    "sinks/mqtt/duplicates.rs",
    "sinks/mqtt/router.rs",
    "sinks/mqtt/topics.rs",
    "sinks/mqtt/incoming.rs",
    "sinks/mqtt/homeassistant.rs",
    "sinks/mqtt/controls.rs",
    "sinks/mqtt/fields.rs",
    "sinks/mqtt/diff.rs",
    "sinks/mqtt/snapshot.rs",
    "sinks/mqtt/migration.rs",
    "gateway/codec.rs",
    "gateway/login.rs",
    "gateway/session.rs",
];
const IMPURE: &[&str] = &[
    "tokio",
    "rumqttc",
    "fastrand",
    "std::fs",
    "std::net",
    "std::thread",
    "std::time::{",
    "SystemTime",
    "Instant",
    "Atomic",
    "Mutex",
    "async ",
    "super::link",
    "super::connection",
    "super::cleanup;",
    "super::cleanup::",
];

/// Where a `select!` may stand: the loop of the engine, the loop of a session, the wiring of the two
/// ends, and the places that wait for a signal or a line of input.
const SELECTS: &[&str] = &[
    "io/engine.rs",
    "sinks/mqtt/connection.rs",
    "bridge.rs",
    "main.rs",
    "cli/demo.rs",
    "broker/store.rs",
    "broker.rs",
    "gateway/connection.rs",
];

pub(crate) fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut todo = vec![root.clone()];
    let mut list = Vec::new();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|end| end == "rs") {
            let name = path.strip_prefix(&root).unwrap().to_string_lossy().replace('\\', "/");
            list.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    assert!(list.len() > 30, "the sources are not where they are expected");
    list.sort();
    list
}

/// The code of a file without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

fn is_test(name: &str) -> bool {
    name.ends_with("tests.rs") || name.contains("/tests/")
}

/// The part of a file before its test module.
fn production(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text)
}

fn room(name: &str) -> Option<&'static (&'static str, &'static [&'static str], &'static [&'static str])> {
    HOUSE.iter().find(|(room, ..)| name == *room || name.starts_with(&format!("{room}/")))
}

/// Every `word` that follows `crate::` in a line.
fn own_modules(line: &str) -> Vec<String> {
    let after =
        |rest: &str| rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or("").to_owned();
    line.match_indices("crate::")
        .map(|(at, word)| after(&line[at + word.len()..]))
        .filter(|word| !word.is_empty())
        .collect()
}

fn dependencies() -> Vec<String> {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let list =
        manifest.split("\n[dependencies]\n").nth(1).expect("dependencies").split("\n[").next().unwrap();
    list.lines()
        .filter_map(|line| line.split_once('='))
        .map(|(name, _)| name.trim().replace('-', "_"))
        .collect()
}

#[test]
fn every_folder_knows_only_whom_it_may_know() {
    let crates = dependencies();
    assert!(crates.contains(&"rumqttc".to_owned()), "{crates:?}");
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        let Some((_, modules, allowed)) = room(&name) else { continue };
        for line in code(production(&text)) {
            for module in own_modules(line) {
                let own = room(&name).is_some_and(|(room, ..)| room.trim_end_matches(".rs") == module);
                if !own && !modules.contains(&module.as_str()) {
                    wrong.push(format!("src/{name} mentions crate::{module}"));
                }
            }
            for krate in crates.iter().filter(|krate| !is_test(&name) && !allowed.contains(&krate.as_str())) {
                let path = format!("{krate}::");
                let used = line.match_indices(&path).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    before.is_none_or(|c| !(c.is_alphanumeric() || c == '_' || c == ':'))
                });
                // A module of ours may have the name of a crate.
                if used && !(krate == "config" && line.contains("crate::config")) {
                    wrong.push(format!("src/{name} mentions the crate {krate}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn some_crates_live_in_one_room() {
    for (krate, home) in ONE_ROOM {
        let users: Vec<String> = sources()
            .into_iter()
            .filter(|(name, text)| {
                !is_test(name) && code(text).any(|line| line.contains(&format!("{krate}::")))
            })
            .map(|(name, _)| name)
            .collect();
        assert_eq!(users, [home.to_string()], "{krate}");
    }
}

#[test]
fn selects_stand_where_loops_meet_and_nowhere_else() {
    for (name, text) in sources() {
        let has = code(&text).any(|line| line.contains("select!"));
        assert!(!has || SELECTS.contains(&name.as_str()) || is_test(&name), "src/{name} has a select!");
    }
}

#[test]
fn files_can_be_read_in_one_sitting() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        let conducts = CONDUCTORS.iter().any(|(conductor, _)| *conductor == name);
        let longest = if conducts { LONGEST_CONDUCTOR } else { LONGEST };
        assert!(lines <= longest, "src/{name} has {lines} lines; is there a second thing living in it?");
    }
}

#[test]
fn modules_say_what_they_are_and_nothing_is_unfinished() {
    for (name, text) in sources() {
        let opens = text.starts_with("//!") || is_test(&name) || text.starts_with("#!");
        assert!(opens, "src/{name} does not open with a paragraph about itself");
        for mark in ["todo!(", "unimplemented!(", concat!("#[ign", "ore"), concat!("FIX", "ME")] {
            assert!(!text.contains(mark), "src/{name} has {mark}");
        }
    }
}

#[test]
fn the_walls_of_the_pure_parts_stand() {
    for folder in ["hub/mod.rs", "drivers/mod.rs", "api/mod.rs", "capability/mod.rs"] {
        let text = sources().into_iter().find(|(name, _)| name == folder).unwrap().1;
        assert!(text.contains("#![deny(clippy::disallowed_methods, clippy::disallowed_types)]"), "{folder}");
    }
    for file in PURE {
        let text = sources().into_iter().find(|(name, _)| name == file).unwrap().1;
        assert!(text.contains("#![deny(clippy::disallowed_methods, clippy::disallowed_types)]"), "{file}");
        for line in code(production(&text)) {
            for word in IMPURE {
                assert!(!line.contains(word), "src/{file} has {word}: {line}");
            }
        }
    }
    let bans: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join(".clippy.toml");
    let bans = fs::read_to_string(bans).unwrap();
    for ban in ["std::time::Instant::now", "tokio::net::UdpSocket", "std::fs::File"] {
        assert!(bans.contains(ban), "{ban}");
    }
}
