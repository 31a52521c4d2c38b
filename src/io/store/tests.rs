use super::*;
use crate::model::{
    Capabilities, CounterState, DeviceInfo, Endpoint, Energy, Hours, Keep, Lock, Mac, MeterState, Name,
    Options, PersistedPlug, PlugId, PortMeterState, PortOptions, PowerUnit, Revert, Since, SinkMemory,
};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

fn open(directory: &Path) -> Store {
    Store::open(directory).expect("an empty directory can be used")
}

#[test]
fn a_file_that_may_only_be_read_is_read_and_replaced() {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join(STATE);
    fs::write(&path, encode(&named("plug2mqtt-abc123")).expect("text")).expect("it is written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("it is locked");
    let store = open(dir.path());
    assert_eq!(store.load(), named("plug2mqtt-abc123"));
    store.save(&named("plug2mqtt-def456")).expect("it is replaced");
    assert_eq!(store.load(), named("plug2mqtt-def456"));
}

#[test]
fn what_is_saved_comes_back_and_only_we_may_read_it() {
    let dir = tempfile::tempdir().expect("temp dir");
    let inner = dir.path().join("state");
    let store = open(&inner);
    assert_eq!(store.load(), PersistedState::default());
    let memory = PersistedState {
        version: PersistedState::VERSION,
        client_id: "plug2mqtt-abc123".into(),
        ..PersistedState::default()
    };
    store.save(&memory).expect("saved");
    assert_eq!(store.load(), memory);
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&inner), mode(&inner.join("state.json"))), (0o700, 0o600));
}

fn sealed(state: &str) -> Vec<u8> {
    format!(r#"{{"crc32":"{:08x}","state":{state}}}"#, crc32fast::hash(state.as_bytes())).into_bytes()
}

fn named(client_id: &str) -> PersistedState {
    PersistedState {
        version: PersistedState::VERSION,
        client_id: client_id.into(),
        ..PersistedState::default()
    }
}

#[test]
fn nothing_that_an_earlier_version_has_announced_is_forgotten() {
    let offer = r#"{"ports":6,"power":true,"current":false,"voltage":false,"signal":false,"countdown":true}"#;
    let how = format!(r#"{{"prefix":"ha","mode":"component","port_devices":"child","offer":{offer}}}"#);
    let place = r#"{"ip":"127.0.0.1","http":80,"udp":8888}"#;
    let plug = |deleted: bool| {
        let facts = r#"{"manufacturer":"","model":"","model_id":null,"serial":null,"mac":null}"#;
        format!(
            r#"{{"driver":"maxsmart","place":{place},"facts":{facts},"offer":{offer},"deleted":{deleted}}}"#
        )
    };
    let names = r#"{"base":"home","prefix":"ha","bridge":true}"#;
    let state = format!(
        r#"{{"version":1,"client_id":"x","plugs":{{"maxsmart-a":{},"maxsmart-b":{}}},
        "announced":{{"plugs":{{"maxsmart-a":{how},"maxsmart-gone":{how}}},"names":{names}}}}}"#,
        plug(false),
        plug(true),
    );
    let memory = decode(&sealed(&state)).expect("understood");
    assert_eq!(memory.plugs.len(), 2);
    assert!(
        memory.plugs.values().all(|plug| plug.offer.able.has("countdown") && !plug.offer.able.has("clock"))
    );
    let section = memory.sinks.section("mqtt");
    let json = |key: &str| serde_json::from_str::<serde_json::Value>(&section[key]).expect("JSON");
    let mut how: serde_json::Value = serde_json::from_str(&how).expect("JSON");
    let offer = how["offer"].as_object_mut().expect("an object");
    offer.remove("countdown");
    offer.insert("able".into(), serde_json::json!(["countdown"]));
    assert_eq!(json("maxsmart-a"), serde_json::json!({"announced": how}));
    assert_eq!(json("maxsmart-gone"), serde_json::json!({"announced": how}));
    assert_eq!(json("maxsmart-b"), serde_json::json!({"deleted": true}));
    assert_eq!(json("bridge"), serde_json::from_str::<serde_json::Value>(names).expect("JSON"));
    assert_eq!(section.len(), 4);
    // Once written, it is a file of this version.
    let now = crate::io::clock::Clock::start().now();
    let again = crate::hub::Hub::new(crate::hub::tests::rules(), memory.clone(), &now).memory();
    assert_eq!((again.version, &again.sinks), (PersistedState::VERSION, &memory.sinks));
    assert_eq!(decode(&encode(&again).expect("text")).expect("read"), again);
}

#[test]
fn what_cannot_be_read_is_set_aside() {
    let (newer, odd) = (sealed(r#"{"version":99}"#), sealed(r#"{"plugs":{"A B":1}}"#));
    let changed =
        sealed(r#"{"version":1}"#).iter().map(|b| if *b == b'1' { b'2' } else { *b }).collect::<Vec<u8>>();
    for content in [&b"{\"version\":1,"[..], b"", b"\xff\xfe", b"42", b"{}", &newer, &odd, &changed] {
        let dir = tempfile::tempdir().expect("temp dir");
        let store = open(dir.path());
        fs::write(dir.path().join("state.json"), content).expect("written");
        assert_eq!(store.load(), PersistedState::default());
        assert_eq!(fs::read(dir.path().join("state.json.bad")).expect("kept"), content);
        store.save(&PersistedState::default()).expect("can go on");
    }
}

#[test]
fn a_torn_file_is_known_at_every_byte_and_the_one_before_is_used() {
    let dir = tempfile::tempdir().expect("temp dir");
    let store = open(dir.path());
    store.save(&named("first")).expect("saved");
    store.save(&named("second")).expect("saved");
    assert_eq!(store.load(), named("second"));
    let whole = fs::read(dir.path().join("state.json")).expect("there");
    // Without the line end it is still whole.
    for length in 0..whole.len() - 1 {
        let torn = whole.get(..length).expect("shorter");
        assert!(decode(torn).is_err(), "{length}");
        fs::write(dir.path().join("state.json"), torn).expect("written");
        assert_eq!(store.load(), PersistedState { older: true, ..named("first") });
    }
    assert_eq!(Store::peek(dir.path()).expect("the one before"), named("first"));
    store.save(&named("third")).expect("can go on");
    assert_eq!(store.load(), named("third"));
}

#[test]
fn an_older_file_in_the_place_of_the_newest_is_known() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (state, backup) = (dir.path().join("state.json"), dir.path().join("backup"));
    let store = open(dir.path());
    let now_ms = || u64::try_from(UNIX_EPOCH.elapsed().expect("after 1970").as_millis()).expect("fits");
    let at = |generation, written_ms| PersistedState { generation, written_ms, ..named("x") };
    for generation in 1..=3 {
        store.save(&at(generation, now_ms())).expect("saved");
        fs::copy(&state, backup.with_extension(generation.to_string())).expect("copied");
        assert!(!store.load().older, "{generation}");
    }
    fs::rename(backup.with_extension("3"), &state).expect("the newest itself");
    assert!(!store.load().older);
    fs::rename(backup.with_extension("1"), &state).expect("put back");
    let memory = store.load();
    assert!(memory.older && memory.generation == 1, "{memory:?}");
    // Also the one before, and where nothing newer is left.
    store.save(&at(4, now_ms())).expect("saved");
    store.save(&at(5, now_ms())).expect("saved");
    fs::rename(dir.path().join("state.before.json"), &state).expect("put back");
    assert!(store.load().older);
    store.save(&at(6, now_ms() - 7 * 86_400_000)).expect("saved");
    assert!(store.load().older, "a copy of last week's");
    store.save(&at(7, now_ms())).expect("saved");
    assert!(!store.load().older);
}

#[test]
fn killed_between_its_two_renames_nothing_is_lost() {
    let dir = tempfile::tempdir().expect("temp dir");
    let store = open(dir.path());
    store.save(&named("first")).expect("saved");
    fs::rename(dir.path().join("state.json"), dir.path().join("state.before.json")).expect("renamed");
    assert_eq!(store.load(), PersistedState { older: true, ..named("first") });
    assert_eq!(Store::peek(dir.path()).expect("read"), named("first"));
}

#[test]
fn a_file_that_may_not_be_read_is_no_damaged_one() {
    let remedy = |problem| PeekError { path: STATE.into(), problem }.remedy();
    assert!(remedy(Unread::Forbidden).contains("sudo -u"));
    let dir = tempfile::tempdir().expect("temp dir");
    fs::write(dir.path().join(STATE), "{").expect("written");
    assert!(Store::peek(dir.path()).expect_err("damaged").remedy().contains("backup"));
}

#[test]
fn one_changed_byte_is_noticed() {
    let whole = encode(&named("plug2mqtt-abc123")).expect("text");
    for place in 0..whole.len() - 1 {
        let mut changed = whole.clone();
        changed[place] ^= 1;
        assert_ne!(decode(&changed).ok(), Some(named("plug2mqtt-abc123")), "{place}");
    }
}

#[test]
fn more_than_a_house_can_make_is_set_aside_without_being_read() {
    let dir = tempfile::tempdir().expect("temp dir");
    let store = open(dir.path());
    let file = File::create(dir.path().join("state.json")).expect("made");
    // Takes no room on a disk; reading all of it would take a long time.
    file.set_len(1 << 40).expect("a sparse file");
    assert!(read(&dir.path().join("state.json")).is_err_and(|why| why.to_string() == "more than 256 MiB"));
    assert_eq!(store.load(), PersistedState::default());
    assert!(dir.path().join("state.json.bad").is_file());
}

/// A plug with everything there can be, each as long as it can be.
fn largest(n: usize) -> (PlugId, PersistedPlug) {
    let id = PlugId::new(&format!("maxsmart-{n:055}")).expect("64 characters");
    let name = || Name::clean(&"\u{1f50c}".repeat(Name::MAX_CHARS));
    let text = || name().map(String::from);
    let (ports, count) = (1..=16_u8, usize::from(16_u8));
    let energy = Energy::from_kwh(crate::model::MAX_KWH).expect("an amount");
    let facts = DeviceInfo {
        name: name(),
        port_names: vec![name(); count],
        manufacturer: "Max Hauri".into(),
        model: "MaxSmart Power Station with a name that is long".into(),
        model_id: text(),
        serial: text(),
        mac: Mac::parse("02:00:00:00:00:01"),
        firmware: text(),
        hardware: text(),
        cpuid: text(),
        server: text(),
    };
    let yes = true;
    let offer = Capabilities {
        port_voltage: true,
        energy_counted: true,
        ports: 16,
        power: yes,
        current: yes,
        voltage: yes,
        signal: yes,
        able: crate::model::CAPABILITIES.iter().map(|one| one.name).collect(),
    };
    let options = Options {
        poll_interval_ms: Some(u64::MAX),
        power_change: Some(-1.797_693_134_862_315_7e308),
        current_change: Some(-1.797_693_134_862_315_7e308),
        power_unit: Some(PowerUnit::Milliwatts),
        read_only: Some(false),
        port: ports.clone().map(|port| (port, PortOptions { lock: Some(Lock::Both) })).collect(),
    };
    let hours = Hours {
        first: 400_000_000,
        origin: 400_000_000,
        utc_offset_s: -43_200,
        ports: 16,
        metered_s: vec![3600; 26],
        drawn: vec![u16::MAX; 26 * count],
        running: Vec::new(),
        running_ms: 0,
    };
    let tally = MeterState {
        counters: vec![Some(CounterState { shows: energy, ahead: energy, moved_ms: u64::MAX }); count],
        ports: vec![PortMeterState { energy, watts: 4_999.123_456_789_012 }; count],
        unmetered_ms: u64::MAX / 2,
        unix_ms: 1_795_000_000_000,
        certain_ms: Some(1_795_000_000_000),
        since: Since { day: 400_000, month: 40_000, ports: vec![[energy, energy]; count] },
        hours: Some(Box::new(hours)),
    };
    let kept = PersistedPlug {
        driver: "maxsmart".into(),
        place: Endpoint { ip: std::net::Ipv6Addr::from(u128::MAX).into(), http: u16::MAX, udp: u16::MAX },
        hardware: Some(id.clone()),
        facts: facts.into(),
        offer,
        name: name(),
        port_names: ports.clone().filter_map(|port| Some((port, name()?))).collect(),
        options,
        reverts: ports.clone().map(|port| (port, Revert::at(u64::MAX, false))).collect(),
        latched: ports.collect(),
        tally,
    };
    (id, kept)
}

#[test]
fn the_largest_plugs_there_can_be_fit_and_come_back() {
    const SOME: usize = 32;
    let plugs: BTreeMap<PlugId, PersistedPlug> = (0..SOME).map(largest).collect();
    // A sink keeps twice as many texts, for plugs that are known no more. Each mark is two in the file.
    let mut sinks = SinkMemory::default();
    for (id, _) in (0..2 * SOME).map(largest) {
        let value = Some("\"".repeat(SinkMemory::MAX_VALUE));
        sinks.keep(Keep { section: "mqtt", key: id.to_string(), value }).expect("room");
    }
    let memory = PersistedState {
        version: PersistedState::VERSION,
        client_id: "plug2mqtt-abc123".into(),
        adopt: Some(false),
        blocked: (0..SOME).map(|n| largest(n + 2 * SOME).0).collect(),
        sinks,
        plugs,
        ..PersistedState::default()
    };
    let text = encode(&memory).expect("text");
    let each = text.len() / SOME;
    assert!(each <= MAX_PLUG, "{each} bytes for each plug");
    // Nothing is lost by a save, a start and another save.
    let dir = tempfile::tempdir().expect("temp dir");
    open(dir.path()).save(&memory).expect("saved");
    let loaded = open(dir.path()).load();
    assert_eq!(loaded, memory);
    let now = crate::io::clock::Clock::start().now();
    let hub = crate::hub::Hub::new(crate::hub::tests::rules(), loaded, &now);
    let again = hub.memory();
    assert_eq!((&again.adopt, &again.blocked), (&memory.adopt, &memory.blocked));
    assert_eq!(again.sinks, memory.sinks);
    for (id, old) in &memory.plugs {
        let new = again.plugs.get(id).expect("known");
        assert_eq!((&new.name, &new.port_names, &new.options), (&old.name, &old.port_names, &old.options));
        assert_eq!(new.tally.ports, old.tally.ports);
    }
    open(dir.path()).save(&again).expect("saved");
    assert_eq!(open(dir.path()).load().plugs.len(), SOME);
}

#[test]
fn a_full_section_of_a_sink_survives_a_restart() {
    use crate::hub::{Hub, Input, tests::rules};
    use crate::model::HubRequest;
    let now = crate::io::clock::Clock::start().now();
    let mut hub = Hub::new(rules(), PersistedState::default(), &now);
    for n in 0..SinkMemory::MAX_KEYS + 5 {
        let (key, value) = (format!("maxsmart-{n:055}"), Some("v".repeat(SinkMemory::MAX_VALUE)));
        hub.handle(&now, Input::Commanded(HubRequest::Keep(Keep { section: "mqtt", key, value })));
    }
    let dir = tempfile::tempdir().expect("temp dir");
    open(dir.path()).save(&hub.memory()).expect("saved");
    let section = Hub::new(rules(), open(dir.path()).load(), &now).memory().sinks.section("mqtt");
    assert_eq!(section.len(), SinkMemory::MAX_KEYS);
    assert!(section.values().all(|value| value.len() == SinkMemory::MAX_VALUE));
}

#[test]
fn a_directory_in_the_place_of_the_file_is_set_aside() {
    let dir = tempfile::tempdir().expect("temp dir");
    let store = open(dir.path());
    fs::create_dir(dir.path().join("state.json")).expect("made");
    assert_eq!(store.load(), PersistedState::default());
    assert!(dir.path().join("state.json.bad").is_dir());
    store.save(&PersistedState::default()).expect("can go on");
}

#[test]
fn what_is_no_file_is_refused_and_left_where_it_is() {
    let pipe = |path: &Path| {
        assert!(std::process::Command::new("mkfifo").arg(path).status().expect("run").success());
    };
    for name in [STATE, BEFORE] {
        let dir = tempfile::tempdir().expect("temp dir");
        let (elsewhere, path) = (dir.path().join("elsewhere"), dir.path().join(name));
        open(dir.path()).save(&PersistedState::default()).expect("written");
        fs::rename(dir.path().join(STATE), &elsewhere).expect("moved");
        std::os::unix::fs::symlink(&elsewhere, &path).expect("linked");
        let refused = Store::open(dir.path()).expect_err("a link").to_string();
        assert!(refused.contains(&format!("{name} in it is a symbolic link; remove it")), "{refused}");
        assert_eq!(fs::read_link(&path).expect("a link"), elsewhere);
        let peeked = Store::peek(dir.path()).expect_err("a link");
        assert!(peeked.to_string().contains("is a symbolic link"), "{peeked}");
        assert!(peeked.remedy().contains("does not start"), "{}", peeked.remedy());
        fs::remove_file(&path).expect("removed");
        pipe(&path);
        let refused = Store::open(dir.path()).expect_err("a pipe").to_string();
        assert!(refused.contains(&format!("{name} in it is a pipe")), "{refused}");
        fs::remove_file(&path).expect("removed");
        open(dir.path());
    }
}

#[test]
fn a_directory_in_use_or_not_a_directory_is_refused_with_a_remedy() {
    let dir = tempfile::tempdir().expect("temp dir");
    let _first = open(dir.path());
    let second = Store::open(dir.path()).expect_err("locked").to_string();
    assert!(second.contains("another plug2mqtt"), "{second}");
    let file = dir.path().join("file");
    fs::write(&file, "x").expect("written");
    let third = Store::open(&file).expect_err("not a directory").to_string();
    assert!(third.contains("set state.directory"), "{third}");
}
