mod meter;

use super::meter::{MUTE, SPARED};
use super::*;
use crate::model::{MAX_WATTS, OwnValue, PowerUnit, Span};
use std::collections::BTreeMap;

const MAC: &str = "02:00:00:00:00:11";
const ID: u32 = 3;
const SECRET: [u8; 16] = *b"invented session";
const ON: &[u8] = &[1, 0, 0, 0, 1];
const OFF: &[u8] = &[1, 0, 0, 0, 0];
const FIVE_WATTS: &[u8] = &[4, 0, 0, 0, 0x88, 0x13];

fn now() -> Now {
    Now { up: Duration::from_secs(500), unix_ms: 0, utc_offset_s: 0, dst_s: 0, nonce: 0x1234 }
}

fn mac(text: &str) -> Mac {
    Mac::parse(text).expect("a MAC")
}

fn tongue_of(keep_alive: bool) -> Box<dyn Dialect> {
    let timeout = Duration::from_secs(5);
    let mut family = Family { timeout, ..Inplug.info().usual() };
    family.own.set("keep_alive", OwnValue::Switch(keep_alive));
    let facts = DeviceInfo { mac: Some(mac(MAC)), ..DeviceInfo::default() };
    let plug = Discovered {
        driver: "inplug",
        id: PlugId::new("inplug-020000000011"),
        place: Endpoint::UNKNOWN,
        facts,
    };
    let options = DialectOptions { timeout, power_unit: PowerUnit::Auto, set_clock: false };
    Inplug.attach(&family, &plug, &options)
}

fn dialect() -> Box<dyn Dialect> {
    tongue_of(false)
}

/// What the other side answers.
#[derive(Clone, Copy, PartialEq)]
enum Says {
    Hello(u16, &'static str, bool),
    Key,
    Payload(&'static [u8]),
    Random(u64),
    Error(i16),
    Nothing,
}

const HELLO: Says = Says::Hello(0x2716, MAC, false);

/// A plug of type 0x2716 with a session.
fn in_session() -> Box<dyn Dialect> {
    let mut dialect = dialect();
    play(
        dialect.as_mut(),
        &DeviceRequest::Read,
        &[HELLO, Says::Key, Says::Error(-5), Says::Payload(OFF), Says::Payload(FIVE_WATTS)],
    )
    .expect("a reading");
    dialect
}

/// A plug of another type, after its first reading with this answer to the meter's question.
fn metered(device: u16, answer: Says) -> (Box<dyn Dialect>, Option<f64>) {
    let mut dialect = dialect();
    let script = [Says::Hello(device, MAC, false), Says::Key, Says::Nothing, Says::Payload(ON), answer];
    let watts = watts(play(dialect.as_mut(), &DeviceRequest::Read, &script));
    (dialect, watts)
}

fn envelope(packet: &[u8], key: Key) -> Envelope {
    let purpose = if packet[0x26] == 0x65 { Purpose::Keys } else { Purpose::Command };
    let count = u16::from_le_bytes([packet[0x28], packet[0x29]]);
    let id = u32::from_le_bytes([packet[0x30], 0, 0, 0]);
    Envelope { purpose, device: 0x2716, count, mac: wire::reversed(mac(MAC)), id, key }
}

/// A reply to a request: the request's own layout with another type.
fn reply(request: &[u8], says: Says) -> Option<Vec<u8>> {
    let key = Key::new(&SECRET).expect("a key");
    let sealed = |key, payload: &[u8], error: i16| {
        let mut packet = wire::seal(&envelope(request, key), payload);
        let number = u16::from_le_bytes([packet[0x26], packet[0x27]]) + 0x384;
        packet[0x26..0x28].copy_from_slice(&number.to_le_bytes());
        packet[0x22..0x24].copy_from_slice(&error.to_le_bytes());
        signed(packet)
    };
    match says {
        Says::Hello(device, mac, locked) => Some(hello(device, mac, locked)),
        Says::Key => {
            let plain = [&ID.to_le_bytes()[..], &SECRET, &[0; 12]].concat();
            Some(sealed(Key::FIRST, &plain, 0))
        }
        Says::Payload(plain) => Some(sealed(key, plain, 0)),
        Says::Random(seed) => {
            let mut random = fastrand::Rng::with_seed(seed);
            let length = random.usize(..40);
            let plain: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(length).collect();
            Some(sealed(key, &plain, 0))
        }
        Says::Error(error) => Some(sealed(key, &[], error)),
        Says::Nothing => None,
    }
}

fn signed(mut packet: Vec<u8>) -> Vec<u8> {
    packet[0x20..0x22].copy_from_slice(&[0, 0]);
    let sum = wire::checksum(packet.iter().copied());
    packet[0x20..0x22].copy_from_slice(&sum.to_le_bytes());
    packet
}

fn hello(device: u16, address: &str, locked: bool) -> Vec<u8> {
    let mut packet = vec![0; 0x80];
    packet[0x26] = 7;
    packet[0x34..0x36].copy_from_slice(&device.to_le_bytes());
    packet[0x3a..0x40].copy_from_slice(&wire::reversed(mac(address)));
    packet[0x40..0x46].copy_from_slice(b"Heater");
    packet[0x7f] = u8::from(locked);
    signed(packet)
}

/// Plays a conversation to its end, which must come with the last line of the script.
fn play(dialect: &mut dyn Dialect, ask: &DeviceRequest, script: &[Says]) -> Result<DeviceResponse, Failure> {
    let mut step = dialect.start(ask, &now());
    for (line, says) in script.iter().enumerate() {
        let Step::Send(request) = &step else { panic!("line {line} is not reached: {step:?}") };
        let Message::Datagram(bytes) = &request.what else { panic!("{request:?}") };
        let answer = reply(bytes, *says);
        step = dialect.handle_response(answer.as_deref().map_or(Reply::Timeout, Reply::Bytes), &now())?;
    }
    match step {
        Step::Done(answer) => Ok(*answer),
        Step::Send(request) => panic!("more is sent than expected: {request:?}"),
    }
}

fn reading(answer: Result<DeviceResponse, Failure>) -> Reading {
    match answer {
        Ok(DeviceResponse::Reading(reading)) => reading,
        other => panic!("no reading: {other:?}"),
    }
}

fn relay(answer: Result<DeviceResponse, Failure>) -> Option<bool> {
    reading(answer).ports.first().and_then(|port| port.relay)
}

fn watts(answer: Result<DeviceResponse, Failure>) -> Option<f64> {
    reading(answer).ports.first().and_then(|port| port.watts)
}

fn switch(on: bool) -> DeviceRequest {
    DeviceRequest::Switch(Switch::Ports(BTreeMap::from([(1, on)])))
}

#[test]
fn who_then_the_key_then_firmware_once_then_only_status_and_meter() {
    let mut dialect = dialect();
    let firmware = Says::Payload(&[0x68, 0, 0, 0, 29, 0]);
    let script = [HELLO, Says::Key, firmware, Says::Payload(ON), Says::Payload(FIVE_WATTS)];
    let first = reading(play(dialect.as_mut(), &DeviceRequest::Read, &script));
    assert_eq!(first.ports, [PortReading { relay: Some(true), watts: Some(5.0), ..PortReading::default() }]);
    assert_eq!(first.facts.and_then(|facts| facts.firmware).as_deref(), Some("29"));
    let script = [Says::Payload(OFF), Says::Payload(&[4, 0, 0, 0, 0, 0])];
    let next = reading(play(dialect.as_mut(), &DeviceRequest::Read, &script));
    assert_eq!(next.ports, [PortReading { relay: Some(false), watts: Some(0.0), ..PortReading::default() }]);
    assert_eq!(next.facts, None);
}

#[test]
fn a_switch_is_read_back_in_the_same_conversation() {
    let mut dialect = in_session();
    let script = [HELLO, Says::Payload(&[2, 0, 0, 0, 1]), Says::Payload(ON)];
    assert_eq!(relay(play(dialect.as_mut(), &switch(true), &script)), Some(true));
    let all = DeviceRequest::Switch(Switch::All(false));
    let script = [HELLO, Says::Payload(&[2, 0, 0, 0, 0]), Says::Payload(ON)];
    assert_eq!(relay(play(dialect.as_mut(), &all, &script)), Some(true), "what it says, not what was wished");
}

#[test]
fn a_lost_session_is_healed_where_it_is_missed() {
    for error in [-7, -2] {
        let mut dialect = in_session();
        let ok = Says::Payload(&[2]);
        let script = [HELLO, Says::Error(error), HELLO, Says::Key, ok, Says::Payload(ON)];
        assert_eq!(relay(play(dialect.as_mut(), &switch(true), &script)), Some(true));
        let script = [Says::Payload(ON), Says::Error(error), HELLO, Says::Key, Says::Payload(FIVE_WATTS)];
        let answer = play(dialect.as_mut(), &DeviceRequest::Read, &script);
        assert!(matches!(&answer, Ok(DeviceResponse::Reading(reading)) if reading.renewed));
        assert_eq!(watts(answer), Some(5.0));
    }
}

#[test]
fn a_session_lost_twice_in_one_conversation_is_a_failure() {
    let mut dialect = in_session();
    let script = [Says::Error(-7), HELLO, Says::Key, Says::Error(-7)];
    let failure = play(dialect.as_mut(), &DeviceRequest::Read, &script);
    assert_eq!(failure, Err(Failure::Rejected("error -7: the key has expired".into())));
}

#[test]
fn another_plug_at_the_address_is_a_stranger_and_gets_no_command() {
    let other = Says::Hello(0x2716, "02:00:00:00:00:12", false);
    let stranger = Err(Failure::WrongDevice("inplug-020000000012".into()));
    assert_eq!(play(dialect().as_mut(), &switch(true), &[other]), stranger);
    // Also in a session, which its own key may fit.
    assert_eq!(play(in_session().as_mut(), &switch(true), &[other]), stranger);
    // A reading brings it to light when it does not know our key.
    assert_eq!(play(in_session().as_mut(), &DeviceRequest::Read, &[Says::Error(-7), other]), stranger);
}

#[test]
fn after_a_failure_everything_is_asked_anew() {
    let mut dialect = in_session();
    assert_eq!(play(dialect.as_mut(), &DeviceRequest::Read, &[Says::Nothing]), Err(Failure::Timeout));
    dialect.reset_session();
    let script = [HELLO, Says::Key, Says::Payload(ON), Says::Payload(FIVE_WATTS)];
    let read = reading(play(dialect.as_mut(), &DeviceRequest::Read, &script));
    assert_eq!((read.ports[0].relay, read.renewed), (Some(true), true));
    let again = play(dialect.as_mut(), &DeviceRequest::Read, &[Says::Payload(ON), Says::Payload(FIVE_WATTS)]);
    assert!(!reading(again).renewed, "it is told once");
}

#[test]
fn a_locked_plug_is_told_as_locked_with_the_remedy() {
    let locked = Says::Hello(0x2716, MAC, true);
    for answer in [Says::Error(-1), Says::Nothing] {
        match play(dialect().as_mut(), &DeviceRequest::Read, &[locked, answer]) {
            Err(Failure::Rejected(why)) => assert!(why.contains("locked") && why.contains("app"), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(
        play(dialect().as_mut(), &DeviceRequest::Read, &[HELLO, Says::Nothing]),
        Err(Failure::Timeout)
    );
    // It may have been let in before it was locked.
    let script = [locked, Says::Key, Says::Nothing, Says::Payload(ON), Says::Payload(FIVE_WATTS)];
    assert_eq!(relay(play(dialect().as_mut(), &DeviceRequest::Read, &script)), Some(true));
}

#[test]
fn a_night_light_stays_as_it_is() {
    let mut dialect = dialect();
    let script = [
        Says::Hello(0x2733, MAC, false),
        Says::Key,
        Says::Nothing,
        Says::Payload(&[1, 0, 0, 0, 3]),
        Says::Error(-4),
    ];
    assert_eq!(relay(play(dialect.as_mut(), &DeviceRequest::Read, &script)), Some(true));
    drop(dialect.start(&switch(false), &now()));
    let who = hello(0x2733, MAC, false);
    let Ok(Step::Send(request)) = dialect.handle_response(Reply::Bytes(&who), &now()) else {
        panic!("nothing is sent")
    };
    let Message::Datagram(bytes) = request.what else { panic!("no datagram") };
    let plain = Key::new(&SECRET).and_then(|key| key.decrypt(&bytes[0x38..])).expect("whole blocks");
    assert_eq!(plain[..5], [2, 0, 0, 0, 2]);
}

#[test]
fn a_night_light_not_read_yet_is_read_before_anything_is_switched() {
    let mut dialect = dialect();
    let script = [
        Says::Hello(0x2733, MAC, false),
        Says::Key,
        Says::Payload(&[1, 0, 0, 0, 3]),
        Says::Payload(&[2, 0, 0, 0, 2]),
        Says::Payload(&[1, 0, 0, 0, 2]),
    ];
    assert_eq!(relay(play(dialect.as_mut(), &switch(false), &script)), Some(false));
}

#[test]
fn what_does_not_answer_like_a_plug_is_none() {
    let script =
        [Says::Hello(0x1234, MAC, false), Says::Key, Says::Nothing, Says::Payload(&[1, 0, 0, 0, 77])];
    let failure = play(dialect().as_mut(), &DeviceRequest::Read, &script);
    assert_eq!(failure, Err(Failure::InvalidResponse("type 0x1234 does not speak like an SP2 plug".into())));
}

#[test]
fn refusals_that_pass_are_waited_for() {
    for error in [-3, -8, -10] {
        let failure = play(in_session().as_mut(), &DeviceRequest::Read, &[Says::Error(error)]);
        assert!(matches!(failure, Err(Failure::InvalidResponse(_))), "{failure:?}");
    }
    assert!(matches!(
        play(in_session().as_mut(), &DeviceRequest::Read, &[Says::Error(-6)]),
        Err(Failure::Rejected(_))
    ));
}

#[test]
fn a_stray_packet_leaves_the_conversation_where_it_was() {
    let mut dialect = in_session();
    let Step::Send(request) = dialect.start(&DeviceRequest::Read, &now()) else { panic!("nothing is sent") };
    let Message::Datagram(bytes) = request.what else { panic!("no datagram") };
    let later = Now { nonce: 0x1235, ..now() };
    let other = tongue_with_count(&bytes, 1);
    for stray in [&b""[..], b"noise", &hello(0x2716, MAC, false), &other] {
        assert!(matches!(
            dialect.handle_response(Reply::Bytes(stray), &later),
            Err(Failure::InvalidResponse(_))
        ));
    }
    let right = reply(&bytes, Says::Payload(ON)).expect("a reply");
    assert!(matches!(dialect.handle_response(Reply::Bytes(&right), &later), Ok(Step::Send(_))));
}

/// The reply to a question asked so many counts later.
fn tongue_with_count(request: &[u8], more: u8) -> Vec<u8> {
    let mut request = request.to_vec();
    request[0x28] += more;
    reply(&request, Says::Payload(OFF)).expect("a reply")
}

#[test]
fn the_keep_alive_goes_out_every_two_minutes_and_needs_no_answer() {
    let mut dialect = tongue_of(true);
    let script =
        [Says::Nothing, HELLO, Says::Key, Says::Nothing, Says::Payload(ON), Says::Payload(FIVE_WATTS)];
    assert_eq!(relay(play(dialect.as_mut(), &DeviceRequest::Read, &script)), Some(true));
    let first = |dialect: &mut dyn Dialect, after: u64| {
        let later = Now { up: now().up + Duration::from_secs(after), ..now() };
        let Step::Send(request) = dialect.start(&DeviceRequest::Read, &later) else {
            panic!("nothing is sent")
        };
        let Message::Datagram(bytes) = request.what else { panic!("no datagram") };
        bytes.len()
    };
    assert_eq!(first(dialect.as_mut(), 119), 0x48);
    assert_eq!(first(dialect.as_mut(), 120), 0x30);
    assert_eq!(first(dialect.as_mut(), 121), 0x48);
}

#[test]
fn who_are_you_is_answered_by_hello() {
    match play(dialect().as_mut(), &DeviceRequest::Identify, &[HELLO]) {
        Ok(DeviceResponse::Identity(found)) => {
            assert_eq!(found.id.map(String::from).as_deref(), Some("inplug-020000000011"));
            assert_eq!(found.facts.model_id.as_deref(), Some("0x2716"));
        }
        other => panic!("{other:?}"),
    }
    let remote = Says::Hello(0x2737, MAC, false);
    assert!(matches!(
        play(dialect().as_mut(), &DeviceRequest::Identify, &[remote]),
        Err(Failure::Rejected(_))
    ));
    let lamp = hello(0x647a, MAC, false);
    assert_eq!(Inplug.stray(&lamp), "Luceco Castra \"Heater\", type 0x647a, is a lamp: it is left alone");
    assert_eq!(
        play(dialect().as_mut(), &DeviceRequest::Capability(crate::model::Query::History(Span::Hours)), &[]),
        Ok(DeviceResponse::Unsupported)
    );
}

#[test]
fn payloads_of_chance_behind_right_sums_end_in_an_answer_or_a_failure() {
    let mut random = fastrand::Rng::with_seed(3);
    for device in [0x2716, 0x2717, 0x2733, 0x947a, 0x1234] {
        let mut dialect = dialect();
        for _ in 0..4000 {
            let ask = if random.bool() { DeviceRequest::Read } else { switch(random.bool()) };
            let mut step = dialect.start(&ask, &now());
            let answer = loop {
                let bytes = match step {
                    Step::Done(answer) => break Ok(answer),
                    Step::Send(Request { what: Message::Datagram(bytes), .. }) => bytes,
                    Step::Send(request) => panic!("{request:?}"),
                };
                let says = match (random.u8(..8), bytes.len(), bytes[0x26]) {
                    (0, ..) => Says::Nothing,
                    (_, 0x30, _) => Says::Hello(device, MAC, random.bool()),
                    (1, ..) => Says::Error(random.i16(-12..3)),
                    (2, ..) => Says::Random(random.u64(..)),
                    (_, _, 0x65) => Says::Key,
                    (3..5, ..) => Says::Payload(ON),
                    _ => Says::Random(random.u64(..)),
                };
                let reply = reply(&bytes, says);
                match dialect.handle_response(reply.as_deref().map_or(Reply::Timeout, Reply::Bytes), &now()) {
                    Ok(next) => step = next,
                    Err(failure) => break Err(failure),
                }
            };
            match answer {
                Ok(answer) => {
                    let reading = reading(Ok(*answer));
                    assert!(reading.ports.len() == 1 && reading.refused.len() <= 1, "{reading:?}");
                    let watts = reading.ports.first().and_then(|port| port.watts);
                    assert!(watts.is_none_or(|watts| (0.0..=MAX_WATTS).contains(&watts)));
                }
                Err(_) => dialect.reset_session(),
            }
        }
    }
}
