//! Every parser against bytes nobody meant: the checks of the fuzz targets, on noise and on good
//! examples with damage; and round trips through every writer there is.

#[path = "../../fuzz/src/lib.rs"]
#[expect(unreachable_pub, reason = "public for the fuzz targets")]
mod checks;

use checks::CHECKS;
use plug2mqtt::drivers::{self, Message, Reply, Step};
use plug2mqtt::io::store;
use plug2mqtt::model::{
    Capabilities, DeviceInfo, DeviceRequest, DeviceResponse, DialectOptions, Discovered, Endpoint, Energy,
    Failure, Family, MAX_WATTS, Mac, MeterState, Name, Now, Options, OwnSettings, PersistedPlug,
    PersistedState, PlugId, PortMeterState, PowerUnit, Reading, Revert, Since,
};
use plug2mqtt::sim::{self, Inplug, Load, Model, Strip};
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::RngSeed;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        rng_seed: RngSeed::Fixed(7),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

fn files(folder: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let list = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = list.map(|entry| entry.unwrap().path()).filter(|path| !path.ends_with(".keep"));
    let mut files: Vec<_> = paths.map(|path| (path.display().to_string(), fs::read(path).unwrap())).collect();
    files.sort();
    files
}

/// Good examples for a check: captures and what people write.
fn seeds(check: &str) -> Vec<Vec<u8>> {
    let captures = drivers::ALL.iter().flat_map(|d| files(&format!("src/drivers/{}/captures", d.name())));
    let captures = captures.filter(|(name, _)| name.ends_with(".bin") || name.ends_with(".json"));
    let captured: Vec<Vec<u8>> = match check {
        "discovery" => {
            captures.filter(|(name, _)| name.contains("/hello-")).map(|(_, bytes)| bytes).collect()
        }
        // Each as the answer to every question.
        "reply" => {
            let asks = (0..14).flat_map(|ask| [ask, ask | 0x30]);
            captures
                .flat_map(|(_, bytes)| asks.clone().map(move |ask| [&[ask], &bytes[..]].concat()))
                .collect()
        }
        _ => Vec::new(),
    };
    let own = drivers::ALL.iter().map(|driver| format!("src/drivers/{}", driver.name()));
    let own = own.chain(["fuzz".into()]).map(|folder| format!("{folder}/seeds/{check}"));
    let own = own.filter(|folder| Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).is_dir());
    let own = own.flat_map(|folder| files(&folder)).map(|(_, bytes)| bytes);
    let all: Vec<Vec<u8>> = own.chain(captured).collect();
    assert!(!all.is_empty(), "{check} has no examples");
    all
}

/// One thing that can happen to bytes.
#[derive(Debug, Clone)]
enum Damage {
    Cut(Index),
    Change(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let marks = prop::sample::select(b"\"{}[],:-+9eE.\\\0\n #=/u".to_vec());
    let piece = prop_oneof![
        3 => prop::collection::vec(marks, 1..4),
        1 => prop::collection::vec(any::<u8>(), 1..8),
        1 => Just(b"1e999".to_vec()),
        1 => Just(b"18446744073709551616".to_vec()),
        1 => Just("\u{202e}\u{0}\u{e4}".as_bytes().to_vec()),
    ];
    prop_oneof![
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Change(at, byte)),
        (any::<Index>(), piece).prop_map(|(at, piece)| Damage::Insert(at, piece)),
        (any::<Index>(), 1..20_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Repeat(from, to)),
    ]
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let room = bytes.len() + 1;
        match self {
            Self::Cut(at) => bytes.truncate(at.index(room)),
            Self::Change(at, byte) => {
                if let Some(place) = bytes.get_mut(at.index(room)) {
                    *place = *byte;
                }
            }
            Self::Insert(at, piece) => {
                let at = at.index(room);
                bytes.splice(at..at, piece.iter().copied());
            }
            Self::Remove(at, count) => {
                let at = at.index(room);
                bytes.drain(at..(at + count).min(bytes.len()));
            }
            Self::Repeat(from, to) => {
                let (from, to) = (from.index(room), to.index(room));
                let piece = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(to..to, piece);
            }
        }
    }
}

/// Holds a check to noise and to damaged examples.
fn endures(name: &str, cases: u32) {
    let (_, check) = CHECKS.iter().find(|(check, _)| *check == name).expect("a check of this name");
    let seeds = seeds(name);
    seeds.iter().for_each(|seed| check(seed));
    let damaged = (any::<Index>(), prop::collection::vec(damage(), 0..6)).prop_map(|(seed, damages)| {
        let mut bytes = seeds[seed.index(seeds.len())].clone();
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        bytes
    });
    let bytes = prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..400), 7 => damaged];
    let mut runner = proptest::test_runner::TestRunner::new(config(cases));
    let done = runner.run(&bytes, |bytes| {
        check(&bytes);
        Ok(())
    });
    done.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn no_answer_to_a_search_is_too_odd() {
    endures("discovery", 4000);
}

#[test]
fn no_reply_of_a_plug_is_too_odd() {
    endures("reply", 4000);
}

#[test]
fn no_message_on_a_topic_of_ours_is_too_odd() {
    endures("command", 4000);
}

#[test]
fn no_retained_meter_is_too_odd() {
    endures("meter", 2000);
}

#[test]
fn no_state_file_is_too_odd() {
    endures("state", 2000);
}

#[test]
fn no_settings_file_is_too_odd() {
    endures("settings", 1000);
}

#[test]
fn no_recording_is_too_odd() {
    endures("recording", 2000);
}

#[test]
fn nothing_that_a_client_of_the_gateway_sends_is_too_odd() {
    endures("gateway", 4000);
}

/// What fuzzing has found stays found. A file lies in `fuzz/findings`, named after its check.
#[test]
fn findings_of_the_past_are_endured() {
    for (name, bytes) in files("fuzz/findings") {
        let (_, check) = CHECKS.iter().find(|(check, _)| name.contains(&format!("/{check}-"))).expect(&name);
        eprintln!("{name}");
        check(&bytes);
    }
}

#[test]
fn every_check_has_a_fuzz_target() {
    let manifest = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/Cargo.toml")).unwrap();
    for (name, _) in CHECKS {
        assert!(manifest.contains(&format!("path = \"targets/{name}.rs\"")), "{name}");
    }
    for (path, target) in files("fuzz/targets") {
        let called = CHECKS.iter().filter(|(name, _)| {
            String::from_utf8_lossy(&target).contains(&format!("plug2mqtt_fuzz::{name}(bytes)"))
        });
        assert_eq!(called.count(), 1, "{path}");
    }
    assert_eq!(files("fuzz/targets").len(), CHECKS.len());
}

const NOW: Now = Now {
    up: Duration::from_secs(1),
    unix_ms: 1_795_198_925_120,
    utc_offset_s: 7200,
    dst_s: 3600,
    nonce: 0x0123_4567_89ab_cdef,
};

fn family() -> Family {
    let timeout = Duration::from_secs(5);
    Family { udp_port: 8888, http_port: 80, timeout, own: OwnSettings::default() }
}

/// Asks a simulated plug how it is, as one that has just been found.
fn read(driver: &str, plug: &mut impl Model, facts: DeviceInfo) -> Reading {
    match talk(driver, plug, facts, |_| {}) {
        Ok(DeviceResponse::Reading(reading)) => reading,
        other => panic!("{other:?}"),
    }
}

/// The same, with something done to every answer on its way.
fn talk(
    driver: &str,
    plug: &mut impl Model,
    facts: DeviceInfo,
    mut harm: impl FnMut(&mut Vec<u8>),
) -> Result<DeviceResponse, Failure> {
    let driver = drivers::named(driver).unwrap();
    let place = Endpoint { ip: Ipv4Addr::LOCALHOST.into(), http: 80, udp: 8888 };
    let found = Discovered { driver: driver.name(), id: None, place, facts };
    let options =
        DialectOptions { timeout: Duration::from_secs(5), power_unit: PowerUnit::Auto, set_clock: true };
    let mut dialect = driver.attach(&family(), &found, &options);
    let mut step = dialect.start(&DeviceRequest::Read, &NOW);
    loop {
        let reply = match step {
            Step::Done(answer) => return Ok(*answer),
            Step::Send(request) => match request.what {
                Message::Datagram(bytes) => plug.datagram(1.0, &bytes).pop(),
                Message::Get(target) => plug.http(1.0, &sim::Request::get(&target)).map(|reply| {
                    let body = reply.windows(4).position(|end| end == b"\r\n\r\n").expect("a head") + 4;
                    reply[body..].to_vec()
                }),
                Message::Post(..) => None,
            },
        };
        step = match reply {
            Some(mut bytes) => {
                harm(&mut bytes);
                dialect.handle_response(Reply::Bytes(&bytes), &NOW)?
            }
            None => dialect.handle_response(Reply::Timeout, &NOW)?,
        };
    }
}

fn hello(driver: &str, plug: &mut impl Model) -> Discovered {
    let driver = drivers::named(driver).unwrap();
    let probe = driver.probes(&family(), &NOW).remove(0);
    let answer = plug.broadcast(1.0, &probe.bytes).remove(0);
    driver.recognise(&family(), SocketAddr::from(([127, 0, 0, 9], 8888)), &answer).expect("recognised")
}

/// What people and other programs call things.
fn words() -> impl Strategy<Value = String> {
    prop_oneof!["[ -~]{0,40}", "\\PC{0,80}", "[\"\\\\/+#{}\u{e4}\u{1f50c} ]{0,30}"]
}

fn name() -> impl Strategy<Value = Name> {
    words().prop_filter_map("nothing visible", |text| Name::clean(&text))
}

fn id() -> impl Strategy<Value = PlugId> {
    "[a-z]{2,9}-[a-z0-9]{1,20}".prop_filter_map("an id", |text| PlugId::new(&text))
}

fn mac() -> impl Strategy<Value = Mac> {
    any::<u64>().prop_filter_map("a MAC", |n| Mac::parse(&format!("{:012x}", n & 0xffff_ffff_ffff)))
}

prop_compose! {
    fn facts()(
        name in proptest::option::of(name()),
        port_names in prop::collection::vec(proptest::option::of(name()), 0..7),
        manufacturer in words(),
        serial in proptest::option::of("[A-Z0-9]{4,32}"),
        mac in proptest::option::of(mac()),
        firmware in proptest::option::of(words()),
    ) -> DeviceInfo {
        let mut facts = DeviceInfo::default();
        (facts.name, facts.port_names, facts.manufacturer) = (name, port_names, manufacturer);
        (facts.serial, facts.mac, facts.firmware) = (serial, mac, firmware);
        facts
    }
}

prop_compose! {
    fn tally()(
        ports in prop::collection::vec((0u64..44_000_000_000, 0u32..5_000_000), 0..7),
        unmetered_ms in any::<u64>(),
        unix_ms in any::<u64>(),
        certain_ms in any::<Option<u64>>(),
        (day, month) in any::<(u32, u32)>(),
    ) -> MeterState {
        let energy = |digits: u64| Energy::from_kwh(digits as f64 / 1e4).unwrap();
        // Power is remembered to be shown; its last bit may change in a file of decimal digits.
        let watts = |milliwatts: u32| f64::from(milliwatts) / 1000.0;
        let ports = ports.into_iter().map(|(digits, milliwatts)| PortMeterState {
            energy: energy(digits),
            watts: watts(milliwatts),
        });
        let ports: Vec<PortMeterState> = ports.collect();
        let since = Since { day, month, ports: ports.iter().map(|port| [port.energy; 2]).collect() };
        MeterState { ports, unmetered_ms, unix_ms, certain_ms, since, counters: Vec::new(), hours: None }
    }
}

prop_compose! {
    fn remembered()(
        driver in "[a-z]{1,9}",
        ip in any::<u32>(),
        ports in any::<(u16, u16)>(),
        facts in facts(),
        offer in (0u8..17, any::<[bool; 4]>()),
        name in proptest::option::of(name()),
        port_names in prop::collection::btree_map(1u8..17, name(), 0..6),
        options in (proptest::option::of(200u64..3_600_000), proptest::option::of(0u32..5_000_000)),
        reverts in prop::collection::btree_map(1u8..17, any::<(u64, bool)>(), 0..6),
        tally in tally(),
        hardware in proptest::option::of(id()),
        latched in prop::collection::btree_set(1u8..17, 0..6),
    ) -> PersistedPlug {
        let [power, current, voltage, signal] = offer.1;
        let (poll_interval_ms, power_change) = options;
        PersistedPlug {
            driver,
            place: Endpoint { ip: Ipv4Addr::from_bits(ip).into(), http: ports.0, udp: ports.1 },
            hardware,
            facts: facts.into(),
            offer: Capabilities { ports: offer.0, power, current, voltage, signal, ..Capabilities::default() },
            name,
            port_names,
            options: Options {
                poll_interval_ms,
                power_change: power_change.map(|milliwatts| f64::from(milliwatts) / 1000.0),
                ..Options::default()
            },
            reverts: reverts.into_iter().map(|(port, (unix_ms, on))| (port, Revert::at(unix_ms, on))).collect(),
            latched,
            tally,
        }
    }
}

prop_compose! {
    fn memory()(
        client_id in words(),
        adopt in any::<Option<bool>>(),
        blocked in prop::collection::btree_set(id(), 0..4),
        plugs in prop::collection::btree_map(id(), remembered(), 0..4),
    ) -> PersistedState {
        PersistedState { version: PersistedState::VERSION, client_id, adopt, blocked, plugs, ..PersistedState::default() }
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn a_strip_is_found_as_it_introduces_itself(
        serial in "SWP6[0-9]{12}",
        mac in mac(),
        plug_name in words(),
        names in prop::collection::vec(words(), 6),
    ) {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let strip = Strip::strip_1_30(&serial).mac(&mac.to_string()).named(&plug_name).naming_ports(&names);
        let found = hello("maxsmart", &mut strip.clone());
        prop_assert_eq!(found.facts.serial.as_deref(), Some(serial.as_str()));
        prop_assert_eq!(found.facts.mac, Some(mac));
        prop_assert_eq!(found.facts.name, Name::clean(&plug_name));
        let wanted: Vec<Option<Name>> = names.iter().map(|name| Name::clean(name)).collect();
        prop_assert_eq!(found.facts.port_names, wanted);
    }

    #[test]
    fn a_strip_is_read_as_it_is_over_http_and_v3(
        loads in prop::collection::vec(0u32..5_000_000, 6),
        relays in prop::collection::vec(any::<bool>(), 6),
    ) {
        let serial = "SWP6000000000001";
        for strip in [Strip::strip_1_30(serial), Strip::strip_2_11(serial), Strip::strip_3_36(serial), Strip::strip_5_11(serial)] {
            let strip = (1..).zip(&loads).fold(strip.with_relays(&relays), |strip, (port, milliwatts)| {
                strip.load(port, Load::Constant { milliwatts: *milliwatts })
            });
            let facts = hello("maxsmart", &mut strip.clone()).facts;
            let reading = read("maxsmart", &mut strip.clone(), facts);
            prop_assert_eq!(reading.ports.len(), 6);
            prop_assert!(reading.refused.is_empty(), "{:?}", reading);
            for (port, (on, watts)) in reading.ports.iter().zip(relays.iter().zip(strip.watts(1.0))) {
                prop_assert_eq!(port.relay, Some(*on));
                // Firmware 1.30 tells hundredths of a watt.
                prop_assert!((port.watts.unwrap() - watts).abs() < 0.0101, "{:?} {}", port, watts);
            }
        }
    }

    #[test]
    fn an_inplug_is_found_and_read_as_it_is(number in any::<u8>(), name in words(), on in any::<bool>(), milliwatts in 0u32..3_600_000) {
        let mut plug = Inplug::new(number).named(&name).with_relay(on).load(Load::Constant { milliwatts });
        let found = hello("inplug", &mut plug);
        prop_assert_eq!(found.id.clone(), PlugId::of("inplug", &plug.mac()));
        let reading = read("inplug", &mut plug, found.facts);
        prop_assert_eq!(reading.ports[0].relay, Some(on));
        let watts = if on { f64::from(milliwatts) / 1000.0 } else { 0.0 };
        prop_assert!((reading.ports[0].watts.unwrap() - watts).abs() < 0.01, "{:?}", reading);
    }

    #[test]
    fn an_answer_damaged_on_its_way_ends_in_a_failure_or_a_sane_reading(
        damages in prop::collection::vec(damage(), 1..4),
        nth in 0usize..4,
        brief in any::<bool>(),
    ) {
        let mut plug = Inplug::new(1).with_relay(true).load(Load::Constant { milliwatts: 60_000 });
        if brief {
            plug = plug.brief();
        }
        let facts = hello("inplug", &mut plug).facts;
        let mut answer = 0;
        let said = talk("inplug", &mut plug, facts, |bytes| {
            if answer == nth {
                damages.iter().for_each(|damage| damage.apply(bytes));
            }
            answer += 1;
        });
        if let Ok(DeviceResponse::Reading(reading)) = said {
            prop_assert_eq!(reading.ports.len(), 1);
            prop_assert!(reading.ports[0].watts.is_none_or(|watts| (0.0..=MAX_WATTS).contains(&watts)));
        }
    }

    #[test]
    fn what_is_remembered_comes_back(memory in memory()) {
        let text = store::encode(&memory).unwrap();
        prop_assert_eq!(store::decode(&text), Ok(memory));
    }

    #[test]
    fn a_state_file_with_any_bit_changed_or_end_missing_is_refused(memory in memory(), at in any::<Index>(), bit in 0u8..8) {
        let text = store::encode(&memory).unwrap();
        let at = at.index(text.len() - 1);
        prop_assert!(store::decode(&text[..at]).is_err());
        let mut changed = text;
        changed[at] ^= 1 << bit;
        prop_assert!(store::decode(&changed).is_err());
    }

    #[test]
    fn names_ids_and_addresses_are_stable_once_read(text in "\\PC{0,80}|[\\x00-\\x7f]{0,80}") {
        if let Some(name) = Name::clean(&text) {
            prop_assert_eq!(Name::clean(name.as_str()), Some(name.clone()));
            prop_assert!((1..=Name::MAX_CHARS).contains(&name.as_str().chars().count()));
            prop_assert!(!name.as_str().chars().any(char::is_control));
        }
        if let Some(id) = PlugId::new(&text) {
            prop_assert_eq!(id.as_str(), text.as_str());
        }
        if let Some(mac) = Mac::parse(&text) {
            prop_assert_eq!(Mac::parse(&mac.to_string()), Some(mac));
        }
    }
}
