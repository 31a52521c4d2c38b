//! What must hold for any bytes a stranger can hand in: never a panic, nothing without bounds, and
//! what was understood is written and understood again. One function for each parser. The fuzz targets
//! and the property tests (`tests/it/properties.rs`) call the same ones.

use plug2mqtt::bridge;
use plug2mqtt::cli;
use plug2mqtt::config;
use plug2mqtt::drivers::{ALL, Dialect, MAX_STEPS, Reply, Step};
use plug2mqtt::gateway::session::Session;
use plug2mqtt::gateway::{Keys, codec};
use plug2mqtt::hub::{Effect, Hub, Input};
use plug2mqtt::io::store;
use plug2mqtt::model::{
    Access, Call, ClockQuery, CountdownQuery, DeviceInfo, DeviceRequest, DeviceResponse, DialectOptions,
    Discovered, Endpoint, Failure, Family, HubRequest, MAX_PORTS, MAX_WATTS, Name, Now, Outcome, OwnSettings,
    PersistedState, PlugId, PowerUnit, Query, QueryReply, Request, Span, Switch,
};
use plug2mqtt::sim::{self, Model, Recording};
use plug2mqtt::sinks::mqtt::homeassistant::Announcer;
use plug2mqtt::sinks::mqtt::link::Address;
use plug2mqtt::sinks::mqtt::router::{Routed, Router};
use plug2mqtt::sinks::mqtt::{BridgeFacts, DiscoveryMode, PortDevices, Settings};
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A name, and what must hold for any bytes.
pub type Check = (&'static str, fn(&[u8]));

/// All checks.
pub const CHECKS: [Check; 8] = [
    ("discovery", discovery),
    ("reply", reply),
    ("command", command),
    ("meter", meter),
    ("state", state),
    ("settings", settings),
    ("recording", recording),
    ("gateway", gateway),
];

const TIMEOUT: Duration = Duration::from_secs(5);

fn now() -> Now {
    Now {
        up: Duration::from_secs(1),
        unix_ms: 1_795_198_925_120,
        utc_offset_s: 7200,
        dst_s: 3600,
        nonce: 0x0123_4567_89ab_cdef,
    }
}

fn from() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 9], 8888))
}

fn family() -> Family {
    Family { udp_port: 8888, http_port: 80, timeout: TIMEOUT, own: OwnSettings::default() }
}

/// An answer to a search, from anybody.
pub fn discovery(bytes: &[u8]) {
    for driver in ALL {
        let Some(found) = driver.recognise(&family(), from(), bytes) else { continue };
        assert_eq!((found.driver, found.place.ip), (driver.name(), from().ip()));
        if let Some(id) = &found.id {
            assert!(id.as_str().starts_with(driver.name()), "{id}");
            assert_eq!(PlugId::new(id.as_str()).as_ref(), Some(id));
        }
        sane(&found.facts);
    }
}

fn sane(facts: &DeviceInfo) {
    assert!(facts.port_names.len() <= MAX_PORTS);
    for name in facts.name.iter().chain(facts.port_names.iter().flatten()) {
        assert_eq!(Name::clean(name.as_str()).as_ref(), Some(name));
    }
    let texts = [&facts.model_id, &facts.serial, &facts.firmware, &facts.hardware];
    for text in texts.into_iter().flatten().chain([&facts.manufacturer, &facts.model]) {
        assert!(text.chars().count() <= Name::MAX_CHARS && !text.chars().any(char::is_control), "{text:?}");
    }
}

/// What a plug, or who has its address, answers. The first byte chooses the question, the others are the
/// answer to every step: the body of an HTTP reply or a datagram.
pub fn reply(bytes: &[u8]) {
    let Some((choice, answer)) = bytes.split_first() else { return };
    let serial = (choice & 0x10 != 0).then(|| "SWP6000000000001".to_owned());
    let firmware = (choice & 0x20 != 0).then(|| "5.11".to_owned());
    let power_unit = if choice & 0x40 == 0 { PowerUnit::Auto } else { PowerUnit::Milliwatts };
    let options = DialectOptions { timeout: TIMEOUT, power_unit, set_clock: true };
    let ask = match choice & 0x0f {
        0 => DeviceRequest::Identify,
        1 => DeviceRequest::Switch(Switch::All(true)),
        2 => DeviceRequest::Switch(Switch::Ports(BTreeMap::from([(1, true), (16, false)]))),
        3 => DeviceRequest::Capability(Query::History(Span::Hours)),
        4 => DeviceRequest::Capability(Query::Clock(ClockQuery::Read)),
        5 => DeviceRequest::Capability(Query::Schedule(Access::Read)),
        6 => DeviceRequest::Capability(Query::Price(Access::Read)),
        7 => DeviceRequest::Capability(Query::Leader(Access::Read)),
        8 => DeviceRequest::Capability(Query::PresenceSimulation(Access::Read)),
        9 => DeviceRequest::Capability(Query::Hardware),
        10 => DeviceRequest::Capability(Query::Countdown(CountdownQuery { port: 1, minutes: None })),
        11 => DeviceRequest::Capability(Query::Call(Call { command: 511, arguments: None })),
        12 => DeviceRequest::Capability(Query::Countdown(CountdownQuery { port: 1, minutes: Some(9) })),
        _ => DeviceRequest::Read,
    };
    for driver in ALL {
        let place = Endpoint { ip: from().ip(), http: 80, udp: 8888 };
        let id = PlugId::of(driver.name(), "swp6000000000001");
        let mut facts = DeviceInfo::default();
        (facts.serial, facts.firmware) = (serial.clone(), firmware.clone());
        let found = Discovered { driver: driver.name(), id, place, facts };
        let mut dialect = driver.attach(&family(), &found, &options);
        // Twice: the second time it has learnt something.
        for _ in 0..2 {
            match converse(dialect.as_mut(), &ask, answer) {
                Ok(answer) => believable(&answer),
                Err(failure) => {
                    // It goes to the log and to topics.
                    let said = failure.to_string();
                    assert!(said.chars().count() < 400 && !said.chars().any(char::is_control), "{said:?}");
                    dialect.reset_session();
                }
            }
        }
    }
}

/// As the transport holds it: what makes no sense is passed over once, then there is silence.
fn converse(dialect: &mut dyn Dialect, ask: &DeviceRequest, bytes: &[u8]) -> Result<DeviceResponse, Failure> {
    let mut step = dialect.start(ask, &now());
    for _ in 0..=MAX_STEPS {
        let Step::Send(request) = step else { break };
        assert!(!request.timeout.is_zero() && request.timeout <= TIMEOUT);
        step = match dialect.handle_response(Reply::Bytes(bytes), &now()) {
            Err(Failure::InvalidResponse(_) | Failure::WrongDevice(_)) => {
                dialect.handle_response(Reply::Timeout, &now())?
            }
            heard => heard?,
        };
    }
    match step {
        Step::Done(answer) => Ok(*answer),
        Step::Send(_) => panic!("more than {MAX_STEPS} steps"),
    }
}

fn believable(answer: &DeviceResponse) {
    match answer {
        DeviceResponse::Reading(reading) => {
            assert!(!reading.ports.is_empty() && reading.ports.len() <= MAX_PORTS);
            assert!(reading.refused.len() <= MAX_PORTS);
            for why in &reading.refused {
                assert!(why.chars().count() < 400 && !why.chars().any(char::is_control), "{why:?}");
            }
            for port in &reading.ports {
                assert!(port.watts.is_none_or(|watts| (0.0..=MAX_WATTS).contains(&watts)), "{port:?}");
                assert!(port.amps.is_none_or(|amps| (0.0..=100.0).contains(&amps)), "{port:?}");
            }
            reading.facts.iter().for_each(sane);
        }
        DeviceResponse::Identity(found) => sane(&found.facts),
        DeviceResponse::Capability(QueryReply::History(history)) => {
            let figures = history.rows.iter().flatten().flatten();
            assert!(history.rows.len() <= MAX_PORTS && history.rows.iter().all(|row| row.len() <= 32));
            assert!(figures.chain(&history.cost).all(|figure| figure.is_finite() && *figure >= 0.0));
        }
        DeviceResponse::Capability(QueryReply::Call(text)) => {
            assert!(!text.chars().any(char::is_control), "{text:?}")
        }
        DeviceResponse::Capability(QueryReply::Schedule(rules)) => assert!(rules.len() <= 32),
        DeviceResponse::Capability(_) | DeviceResponse::Refused(_) | DeviceResponse::Unsupported => {}
    }
}

fn router(allow_admin: bool) -> Router {
    Router::new(Arc::new(Settings {
        address: Address {
            host: "localhost".into(),
            port: 1883,
            tls: None,
            login: None,
            client_id: String::new(),
            keep_alive: TIMEOUT,
        },
        announcer: Announcer {
            base: "plug2mqtt".into(),
            prefix: "homeassistant".into(),
            mode: DiscoveryMode::Device,
            port_devices: PortDevices::None,
            version: "0",
        },
        birth_topic: "homeassistant/status".into(),
        respect_deletion: true,
        allow_admin,
        allow_raw: true,
        families: vec!["maxsmart", "inplug"],
        facts: BridgeFacts {
            version: "0",
            run: "5151".into(),
            take_over: false,
            started_ms: 0,
            discovery: "device",
            drivers: Vec::new(),
            timezone: None,
            config_checksum: String::new(),
        },
    }))
}

/// A message from the broker: what stands before the first line feed is the topic below the base.
pub fn command(bytes: &[u8]) {
    let (topic, payload) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (&b"maxsmart-swp6000000000001/1/set"[..], bytes),
    };
    let topic = format!("plug2mqtt/{}", String::from_utf8_lossy(topic));
    for allow_admin in [true, false] {
        let router = router(allow_admin);
        let stored = router.route(&topic, payload, true);
        assert!(!matches!(stored, Routed::HubRequest(_)), "a retained message is obeyed: {stored:?}");
        match router.route(&topic, payload, false) {
            Routed::HubRequest(order) => bounded(&order, payload, allow_admin),
            Routed::Rest(_) | Routed::Nothing => {}
        }
    }
}

fn bounded(order: &HubRequest, payload: &[u8], allow_admin: bool) {
    match order {
        HubRequest::Switch(order) => {
            assert!(payload.len() <= 4096 && !payload.is_empty());
            assert!((1..=17).contains(&order.ports.len()), "{order:?}");
            assert!(order.hold.is_none_or(|hold| (1..=604_800).contains(&hold.as_secs())), "{order:?}");
            assert!(order.stagger <= Duration::from_secs(60), "{order:?}");
            let short = |id: &String| id.chars().count() <= 128;
            assert!(order.asker.mark.as_ref().is_none_or(short), "{order:?}");
            // Times are added to the present: none of them may overflow.
            let _ = order.ttl.map(|ttl| Duration::from_secs(1 << 40) + ttl);
        }
        HubRequest::Request(request, asker) => {
            assert!(payload.len() <= 4096);
            assert!(asker.mark.as_ref().is_none_or(|mark| mark.chars().count() <= 128));
            let asks = matches!(request, Request::PlugRequest(_, request) if !request.changes());
            assert!(allow_admin || asks || matches!(request, Request::Scan(_)), "{request:?}");
        }
        HubRequest::Refresh(_) => {}
        HubRequest::Metered(_) | HubRequest::MeteredMeanwhile(..) | HubRequest::Keep(_) => {
            panic!("from outside: {order:?}")
        }
    }
}

/// A retained meter that an earlier run, or somebody else, has left on the broker.
pub fn meter(bytes: &[u8]) {
    let router = router(true);
    for topic in
        ["plug2mqtt/maxsmart-swp6000000000001/1/energy", "plug2mqtt/maxsmart-swp6000000000001/energy"]
    {
        let routed = router.route(topic, bytes, true);
        assert!(!matches!(routed, Routed::HubRequest(_)));
        if let Routed::Rest(_) = routed {
            let kwh: f64 = std::str::from_utf8(bytes).expect("text").parse().expect("a number");
            assert!(kwh.is_finite() && kwh >= 0.0 && bytes.len() <= 32, "{kwh}");
        }
        assert_eq!(router.route(topic, bytes, false), Routed::Nothing);
    }
}

/// A state file, or what stands in one with the right checksum around it. A hub that wakes up with it goes
/// on for a while.
pub fn state(bytes: &[u8]) {
    let _ = store::decode(bytes);
    let head = format!("{{\"crc32\":\"{:08x}\",\"state\":", crc32(bytes));
    let sealed = [head.as_bytes(), bytes, b"}"].concat();
    let Ok(memory) = store::decode(&sealed) else { return };
    let again = store::encode(&memory).expect("what was read can be written");
    let again = store::decode(&again).expect("what was written can be read");
    assert_eq!(without_fractions(again), without_fractions(memory.clone()));
    let mut now = now();
    let mut hub = Hub::new(bridge::rules(&config::Settings::new(ALL)), memory, &now);
    for turn in 0..40 {
        while let Some(effect) = hub.effect() {
            if let Effect::Talk { who, .. } = effect {
                let result = match turn % 3 {
                    0 => Err(Failure::Timeout),
                    1 => Ok(DeviceResponse::Reading(Default::default())),
                    _ => Ok(DeviceResponse::Unsupported),
                };
                hub.handle(&now, Input::Answered(Outcome { who, result, requests: 1, took: TIMEOUT }));
            } else if effect == Effect::Save {
                hub.handle(&now, Input::Saved(if turn % 4 == 0 { Err("disk full".into()) } else { Ok(()) }));
            }
        }
        now.up = now.up.max(hub.wake_at().min(now.up + Duration::from_secs(3600)));
        now.unix_ms += 60_000;
        hub.handle(&now, Input::Tick);
        let _ = hub.view();
    }
    hub.handle(&now, Input::Stop);
    let text = store::encode(&hub.memory()).expect("it can be written");
    store::decode(&text).expect("and read");
}

/// The last bit of a fraction may change in a file of decimal digits.
fn without_fractions(mut memory: PersistedState) -> PersistedState {
    for plug in memory.plugs.values_mut() {
        plug.tally.ports.iter_mut().for_each(|port| port.watts = 0.0);
        (plug.options.power_change, plug.options.current_change) = (None, None);
    }
    memory
}

/// CRC-32 as the state file has it, written anew.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg()))
    })
}

/// A settings file. What is valid can be shown, and what is shown says the same once more.
pub fn settings(bytes: &[u8]) {
    let name = format!("plug2mqtt-{}-{:?}.toml", std::process::id(), std::thread::current().id());
    let file = std::env::temp_dir().join(name.replace(['(', ')'], ""));
    let load = |text: &[u8]| {
        std::fs::write(&file, text).expect("a file for the settings");
        config::load(Some(&file), std::iter::empty(), &[], ALL)
    };
    let loaded = load(bytes).map(|(settings, _)| {
        let _ = (bridge::rules(&settings), bridge::driver_configs(&settings), bridge::announcer(&settings));
        let mut shown = Vec::new();
        cli::config::show(&settings, None, &mut shown).expect("room");
        shown
    });
    match loaded {
        Ok(shown) => {
            let again = load(&shown).map(|(settings, _)| {
                let mut shown = Vec::new();
                cli::config::show(&settings, None, &mut shown).expect("room");
                shown
            });
            let plain = |text: &[u8]| -> Vec<String> {
                let text = String::from_utf8(text.to_vec()).expect("text");
                let origin = "  # from ";
                text.lines().map(|line| line.split(origin).next().unwrap_or_default().to_owned()).collect()
            };
            let again = again.unwrap_or_else(|errors| panic!("what is shown is not valid: {errors}"));
            assert_eq!(plain(&again), plain(&shown));
        }
        Err(errors) => assert!(errors.to_string().len() < 64 * 1024 + 200 * bytes.len()),
    }
    let _ = std::fs::remove_file(&file);
}

/// What a client sends through TLS to the gateway, packet by packet.
pub fn gateway(bytes: &[u8]) {
    let keys = Keys::new([SecretString::from("pippo")], []);
    let (mut session, mut rest) = (Session::default(), bytes);
    while let Ok(Some((packet, size))) = codec::decode(rest, 4096) {
        assert!(size >= 2 && size <= rest.len());
        let again = codec::encode(&packet).expect("what was read can be written");
        assert_eq!(codec::decode(&again, 4096), Ok(Some((packet.clone(), again.len()))));
        for cut in [0, 1, 2, size / 2, size - 1] {
            assert_eq!(codec::decode(&rest[..cut.min(size - 1)], 4096), Ok(None), "seen before it is whole");
        }
        let known = session.plug().cloned();
        let step = session.hear(&packet, &keys);
        assert!(session.silence() <= Duration::from_secs(1800));
        if let Some(answer) = &step.answer {
            assert!(codec::encode(answer).is_some_and(|answer| answer.len() <= 2 * size + 4));
        }
        if let Some((topic, _)) = step.message {
            let plug = known.expect("nobody speaks before the login");
            let own = format!("/appliance/{}/publish", plug.uuid.as_str());
            assert!(topic.to_lowercase() == own || topic.starts_with("/app/"), "{topic}");
        } else if known.is_none() && session.plug().is_none() {
            assert!(step.end.is_some(), "{packet:?}");
        }
        if step.end.is_some() {
            return;
        }
        rest = &rest[size..];
    }
}

/// A recording of a plug's traffic, out of somebody's report. What can be read can be served as a plug, and says
/// nothing that does not stand in it.
pub fn recording(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut plug = match Recording::read(&text) {
        Ok(plug) => plug,
        Err(why) => return assert!(why.len() < 200, "{why}"),
    };
    assert!(plug.serial().len() <= text.len());
    for question in [&b"00dv=all;"[..], b"V3{\"sn\":\"SWP6000000000001\",\"cmd\":90}", b"V3{", bytes] {
        let answers = plug.datagram(1.0, question);
        assert!(answers.len() <= 1 && answers.iter().all(|answer| answer.len() <= text.len()));
    }
    for target in ["/?cmd=511", "/?cmd=515&json=%7B%22port%22%3A1%7D", "/?cmd=", &text] {
        let answer = plug.http(1.0, &sim::Request::get(target)).unwrap_or_default();
        assert!(answer.len() <= text.len() + 200, "{target}");
    }
}
