//! What every driver must keep, checked by walking [`drivers::ALL`]: a new family is held to it
//! without any code from its author. Captures lie in `src/drivers/<name>/captures`: `hello-*` are
//! answers to a probe, `status-*.json` bodies of HTTP replies, `status-*.bin` datagrams,
//! `status-*.talk` whole conversations by datagram for families whose answers fit one question
//! only: a line for each answer, with the number that stood in for chance in its question. What each
//! decodes to stands beside it in a `.snap` file; `SNAPSHOT=write cargo test drivers` writes them
//! anew, to be reviewed like code.

use plug2mqtt::drivers::{ALL, Dialect, Driver, MAX_STEPS, Message, Reply, Step};
use plug2mqtt::model::{
    Call, ClockQuery, DeviceInfo, DeviceRequest, DeviceResponse, DialectOptions, Discovered, Endpoint,
    Failure, Family, MAX_PORTS, MAX_WATTS, Now, OwnSettings, PlugId, PowerUnit, Query, Reading, Switch,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn family() -> Family {
    Family { udp_port: 8888, http_port: 80, timeout: Duration::from_secs(5), own: OwnSettings::default() }
}

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

fn captures(driver: &dyn Driver, kind: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/drivers").join(driver.name()).join("captures");
    let files = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let wanted = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(kind) && !name.ends_with(".snap")
    };
    let mut list: Vec<_> = files.filter(wanted).map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    list.sort();
    assert!(!list.is_empty(), "{} has no {kind}* captures", driver.name());
    list
}

fn attach(driver: &dyn Driver) -> Box<dyn Dialect> {
    let facts = DeviceInfo::default();
    let place = Endpoint { ip: from().ip(), http: 80, udp: 8888 };
    let found =
        Discovered { driver: driver.name(), id: PlugId::of(driver.name(), "swp6000000000001"), place, facts };
    let options =
        DialectOptions { timeout: Duration::from_secs(5), power_unit: PowerUnit::Auto, set_clock: true };
    driver.attach(&family(), &found, &options)
}

/// Holds a conversation in which `answer` says what comes back for each message.
fn converse<'a>(
    dialect: &mut dyn Dialect,
    ask: &DeviceRequest,
    mut answer: impl FnMut(&Message) -> Reply<'a>,
) -> Result<DeviceResponse, Failure> {
    let mut step = dialect.start(ask, &now());
    for _ in 0..=MAX_STEPS {
        match step {
            Step::Done(answer) => return Ok(*answer),
            Step::Send(request) => {
                assert!(!request.timeout.is_zero() && request.timeout <= Duration::from_secs(5));
                step = dialect.handle_response(answer(&request.what), &now())?;
            }
        }
    }
    panic!("more than {MAX_STEPS} steps");
}

fn compare(capture: &Path, decoded: &str) {
    let snap = capture.with_extension(format!("{}.snap", capture.extension().unwrap().to_string_lossy()));
    if std::env::var_os("SNAPSHOT").is_some() {
        fs::write(&snap, decoded).unwrap();
    }
    let want = fs::read_to_string(&snap)
        .unwrap_or_else(|_| panic!("{} is missing; SNAPSHOT=write makes it", snap.display()));
    assert_eq!(decoded, want, "{}", capture.display());
}

#[test]
fn names_are_unique_and_fit_into_topics() {
    let names: BTreeSet<&str> = ALL.iter().map(|driver| driver.name()).collect();
    assert_eq!(names.len(), ALL.len());
    for name in names {
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{name}");
    }
}

#[test]
fn own_hellos_are_recognised_and_decode_to_their_snapshots() {
    for driver in ALL {
        for (path, bytes) in captures(*driver, "hello-") {
            let found =
                driver.recognise(&family(), from(), &bytes).unwrap_or_else(|| panic!("{}", path.display()));
            assert_eq!((found.driver, found.place.ip), (driver.name(), from().ip()));
            compare(&path, &format!("{found:#?}\n"));
        }
    }
}

#[test]
fn hellos_of_others_and_own_questions_are_not_recognised() {
    for driver in ALL {
        for other in ALL.iter().filter(|other| other.name() != driver.name()) {
            for (path, bytes) in captures(*other, "hello-") {
                assert!(driver.recognise(&family(), from(), &bytes).is_none(), "{}", path.display());
            }
        }
        let probes = driver.probes(&family(), &now());
        assert!(!probes.is_empty());
        for probe in probes {
            assert!(
                driver.recognise(&family(), from(), &probe.bytes).is_none(),
                "{} hears itself",
                driver.name()
            );
        }
    }
}

#[test]
fn statuses_decode_to_their_snapshots() {
    for driver in ALL {
        for (path, bytes) in captures(*driver, "status-") {
            if is_talk(&path) {
                let answer = replay(*driver, &lines(&bytes));
                let answer = answer.unwrap_or_else(|failure| panic!("{}: {failure}", path.display()));
                compare(&path, &format!("{answer:#?}\n"));
                continue;
            }
            let over_http = path.extension().is_some_and(|end| end == "json");
            let answer = converse(attach(*driver).as_mut(), &DeviceRequest::Read, |message| match message {
                Message::Datagram(_) if !over_http => Reply::Bytes(&bytes),
                Message::Get(_) | Message::Post(..) if over_http => Reply::Bytes(&bytes),
                Message::Datagram(_) | Message::Get(_) | Message::Post(..) => Reply::Unreachable,
            });
            // The first datagram may have been an identity question.
            let answer = match answer {
                Err(_) if !over_http => converse_skipping_first(*driver, &bytes),
                answer => answer,
            };
            compare(
                &path,
                &format!("{:#?}\n", answer.unwrap_or_else(|failure| panic!("{}: {failure}", path.display()))),
            );
        }
    }
}

fn is_talk(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "talk")
}

/// The nonce of each question and the answer to it, both hexadecimal.
fn lines(talk: &[u8]) -> Vec<(u64, Vec<u8>)> {
    let digits = |text: &str, at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    let text = String::from_utf8(talk.to_vec()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (nonce, answer) = line.split_once(' ').expect("NONCE ANSWER");
        let answer = (0..answer.len()).step_by(2).map(|at| digits(answer, at)).collect();
        (u64::from_str_radix(nonce, 16).unwrap(), answer)
    });
    lines.collect()
}

/// Holds a captured conversation once more; it must end with the last answer.
fn replay(driver: &dyn Driver, lines: &[(u64, Vec<u8>)]) -> Result<DeviceResponse, Failure> {
    let at = |line: usize| Now { nonce: lines.get(line).map_or(0, |(nonce, _)| *nonce), ..now() };
    let mut dialect = attach(driver);
    let mut step = dialect.start(&DeviceRequest::Read, &at(0));
    for (line, (_, answer)) in lines.iter().enumerate() {
        assert!(matches!(step, Step::Send(_)), "answer {line} is not asked for: {step:?}");
        step = dialect.handle_response(Reply::Bytes(answer), &at(line + 1))?;
    }
    match step {
        Step::Done(answer) => Ok(*answer),
        Step::Send(request) => panic!("more is asked: {request:?}"),
    }
}

fn converse_skipping_first(driver: &dyn Driver, bytes: &[u8]) -> Result<DeviceResponse, Failure> {
    let mut datagrams = 0;
    converse(attach(driver).as_mut(), &DeviceRequest::Read, |message| match message {
        Message::Datagram(_) => {
            datagrams += 1;
            if datagrams == 1 { Reply::Timeout } else { Reply::Bytes(bytes) }
        }
        Message::Get(_) | Message::Post(..) => Reply::Unreachable,
    })
}

#[test]
fn random_and_damaged_replies_end_in_an_answer_or_a_failure() {
    for driver in ALL {
        let mut random = fastrand::Rng::with_seed(7);
        let mut seeds: Vec<Vec<u8>> =
            captures(*driver, "hello-").into_iter().map(|(_, bytes)| bytes).collect();
        for (path, bytes) in captures(*driver, "status-") {
            match is_talk(&path) {
                true => seeds.extend(lines(&bytes).into_iter().map(|(_, answer)| answer)),
                false => seeds.push(bytes),
            }
        }
        let mut dialect = attach(*driver);
        for round in 0..20_000 {
            let bytes = if round % 2 == 0 { noise(&mut random) } else { damaged(&mut random, &seeds) };
            if let Some(found) = driver.recognise(&family(), from(), &bytes) {
                assert!(found.facts.port_names.len() <= MAX_PORTS);
            }
            let ask = match round % 5 {
                0 => DeviceRequest::Read,
                1 => DeviceRequest::Switch(Switch::Ports(BTreeMap::from([(1, true), (2, false)]))),
                2 => DeviceRequest::Identify,
                3 => DeviceRequest::Capability(Query::Clock(ClockQuery::Read)),
                _ => DeviceRequest::Capability(Query::Call(Call { command: 511, arguments: None })),
            };
            let faults = [Reply::Closed, Reply::Unreachable, Reply::Timeout];
            let answer = converse(dialect.as_mut(), &ask, |_| {
                if random.u8(..8) == 0 { faults[random.usize(..3)] } else { Reply::Bytes(&bytes) }
            });
            match answer {
                Ok(DeviceResponse::Reading(reading)) => believable(&reading),
                Ok(_) => {}
                Err(_) => dialect.reset_session(),
            }
        }
    }
}

fn noise(random: &mut fastrand::Rng) -> Vec<u8> {
    let length = random.usize(..300);
    std::iter::repeat_with(|| random.u8(..)).take(length).collect()
}

/// A capture with a few bytes changed, lost or repeated.
fn damaged(random: &mut fastrand::Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.usize(..seeds.len())].clone();
    for _ in 0..random.usize(..4) {
        let at = random.usize(..bytes.len().max(1));
        match random.u8(..4) {
            0 => bytes.truncate(at),
            1 if at < bytes.len() => bytes[at] = random.u8(..),
            2 => bytes.insert(at.min(bytes.len()), b"\"{}[],:-9e\\\0"[random.usize(..12)]),
            _ => bytes.extend_from_within(at.min(bytes.len())..),
        }
    }
    bytes
}

fn believable(reading: &Reading) {
    assert!(!reading.ports.is_empty() && reading.ports.len() <= MAX_PORTS);
    assert!(reading.refused.len() <= MAX_PORTS);
    for port in &reading.ports {
        assert!(
            port.watts.is_none_or(|watts| watts.is_finite() && (0.0..=MAX_WATTS).contains(&watts)),
            "{port:?}"
        );
        assert!(port.amps.is_none_or(|amps| amps.is_finite() && (0.0..=100.0).contains(&amps)), "{port:?}");
    }
}
