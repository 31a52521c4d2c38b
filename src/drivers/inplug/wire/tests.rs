use super::*;
use crate::drivers::Driver;
use crate::drivers::inplug::Inplug;
use crate::drivers::inplug::kind::{Gauge, kind};
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("vectors.json")).expect("JSON")
}

fn list(vectors: &Value, name: &str) -> Vec<Value> {
    let list = vectors[name].as_array().cloned().unwrap_or_default();
    assert!(!list.is_empty(), "no {name}");
    list
}

fn text<'a>(vector: &'a Value, key: &str) -> &'a str {
    vector[key].as_str().unwrap_or_else(|| panic!("no {key} in {vector}"))
}

fn hex(text: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digits).collect()
}

fn number(vector: &Value, key: &str) -> u64 {
    match &vector[key] {
        Value::String(text) => u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("a number"),
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.as_u64().unwrap_or_else(|| panic!("no {key} in {vector}"))
        }
    }
}

fn small<T: TryFrom<u64>>(number: u64) -> T {
    T::try_from(number).ok().expect("in range")
}

/// The moment of a vector: `2017-04-29T01:12:05`.
fn moment(utc: &str) -> Now {
    let time: jiff::Timestamp = format!("{utc}Z").parse().expect("a time");
    let unix_ms = u64::try_from(time.as_millisecond()).expect("after 1970");
    let up = std::time::Duration::ZERO;
    // The zone here must not show: the question carries UTC.
    Now { up, unix_ms, utc_offset_s: -7200, dst_s: 3600, nonce: 0 }
}

fn envelope(vectors: &Value, command: &Value) -> Envelope {
    Envelope {
        purpose: if number(command, "type") == 0x65 { Purpose::Keys } else { Purpose::Command },
        device: small(number(vectors, "devtype")),
        count: small(number(command, "count")),
        mac: reversed(Mac::parse(text(vectors, "mac")).expect("a MAC")),
        id: small(number(command, "id")),
        key: Key::new(&hex(text(command, "key"))).expect("a key"),
    }
}

#[test]
fn the_constants_are_those_of_the_vectors() {
    let vectors = vectors();
    assert_eq!(Key::new(&hex(text(&vectors, "default_key"))), Some(Key::FIRST));
    assert_eq!(number(&vectors, "seed"), 0xbeaf);
    assert_eq!(format!("{:?}", Key::FIRST), "Key(..)");
}

#[test]
fn sums() {
    for vector in list(&vectors(), "checksum") {
        let sum = checksum(hex(text(&vector, "hex")));
        assert_eq!(u64::from(sum), number(&vector, "sum"), "{vector}");
    }
}

#[test]
fn blocks_there_and_back() {
    for vector in list(&vectors(), "aes_cbc") {
        let key = Key::new(&hex(text(&vector, "key"))).expect("a key");
        let (plain, cipher) = (hex(text(&vector, "plain")), hex(text(&vector, "cipher")));
        assert_eq!(key.encrypt(&plain), cipher);
        assert_eq!(key.decrypt(&cipher), Some(plain));
    }
    assert_eq!(Key::new(&[0; 15]), None);
    assert_eq!(Key::FIRST.decrypt(&[0; 17]), None);
}

#[test]
fn questions_carry_the_time() {
    for vector in list(&vectors(), "hello_requests") {
        let mut packet = hello(&moment(text(&vector, "utc")));
        // Zone, address and port are left zero by the driver; the rest must be as others send it.
        let want = hex(text(&vector, "hex"));
        for range in [0x08..0x0c, 0x18..0x1e] {
            put(&mut packet, range.start, &want[range]);
        }
        sign(&mut packet);
        assert_eq!(packet, want, "{}", text(&vector, "name"));
        assert_eq!(u64::from(word(&packet, CHECKSUM).expect("there")), number(&vector, "checksum"));
        assert_eq!(hello_reply(&packet), None);
    }
}

#[test]
fn every_form_of_hello_is_read() {
    for vector in list(&vectors(), "hello_replies") {
        let (packet, want) = (hex(text(&vector, "hex")), &vector["expect"]);
        let hello = hello_reply(&packet).unwrap_or_else(|| panic!("{vector}"));
        assert_eq!(u64::from(hello.device), number(want, "devtype"));
        assert_eq!(hello.mac.to_string(), text(want, "mac"));
        assert_eq!(hello.name.as_ref().map_or("", Name::as_str), text(want, "name"));
        assert_eq!(Some(hello.locked), want["locked"].as_bool(), "{vector}");
        for cut in 0..0x80 {
            assert_eq!(hello_reply(&packet[..cut]), None);
        }
    }
}

#[test]
fn one_that_tells_no_mac_is_told_apart_from_noise() {
    for vector in list(&vectors(), "hello_replies") {
        for no in [0x00, 0xff] {
            let mut packet = hex(text(&vector, "hex"));
            put(&mut packet, 0x3a, &[no; 6]);
            sign(&mut packet);
            assert_eq!(hello_reply(&packet), None);
            let said = Inplug.stray(&packet);
            assert_eq!(
                said,
                "it answers and tells no MAC, by which it could be told from others: it is left alone"
            );
        }
    }
}

#[test]
fn longer_hellos_keep_their_places() {
    let short = hex(text(&list(&vectors(), "hello_replies")[1], "hex"));
    assert!(hello_reply(&short).is_some_and(|hello| hello.locked));
    let mut long = [short.as_slice(), &[0xff; 30]].concat();
    sign(&mut long);
    assert!(hello_reply(&long).is_some_and(|hello| hello.locked));
    let mut magic = hex(text(&list(&vectors(), "hello_replies")[7], "hex"));
    assert_eq!(magic.len(), 132);
    put(&mut magic, 0x83, &[1]);
    assert_eq!(hello_reply(&magic), None, "not signed");
    sign(&mut magic);
    assert!(hello_reply(&magic).is_some_and(|hello| hello.locked));
}

#[test]
fn requests_are_sealed_and_replies_opened() {
    let vectors = vectors();
    for command in list(&vectors, "commands") {
        let name = text(&command, "name");
        let envelope = envelope(&vectors, &command);
        let payload = hex(text(&command, "request_plain"));
        assert_eq!(seal(&envelope, &payload), hex(text(&command, "request")), "{name}");
        let opened =
            open(&hex(text(&command, "reply")), &envelope).unwrap_or_else(|why| panic!("{name}: {why}"));
        match command["error"].as_i64() {
            Some(0) => assert_eq!(opened, Ok(hex(text(&command, "reply_plain"))), "{name}"),
            error => {
                assert_eq!(opened.clone().map_err(|refusal| Some(i64::from(refusal.0))), Err(error), "{name}")
            }
        }
        check(name, &payload, opened, &command["expect"]);
    }
}

/// The payload asked is the driver's, and what came back means what is expected.
fn check(name: &str, payload: &[u8], opened: Result<Vec<u8>, Refusal>, want: &Value) {
    // The vectors fill up to whole blocks, the driver does not.
    let asks = |question: &[u8]| assert!(is_echo(payload, question), "{name} asks {payload:02x?}");
    match (name.split('-').next().unwrap_or_default(), opened) {
        ("auth", Ok(plain)) => {
            asks(&introduction());
            let key = Key::new(&hex(text(want, "session_key"))).expect("a key");
            assert_eq!(session(&plain), Some((small(number(want, "id")), key)));
        }
        ("auth", Err(refusal)) => assert_eq!(refusal, Refusal::LOCKED),
        ("status", Ok(plain)) => {
            asks(&STATUS);
            assert_eq!(status(&plain, true).map(|state| state & 1 == 1), want["relay"].as_bool(), "{name}");
            assert_eq!(status(&plain, false), status(&plain, true));
        }
        ("switch", Ok(_)) => asks(&relay(want["relay"] == true, 0)),
        ("meter", Ok(plain)) => {
            asks(&METER);
            assert_eq!(milliwatts(&plain), want["watts"].as_f64(), "{name}");
        }
        ("meter", Err(refusal)) => assert!(refusal.is_unknown_command()),
        ("key", Err(refusal)) => assert!(refusal.is_session_lost()),
        ("firmware", Ok(plain)) => {
            asks(&FIRMWARE);
            assert_eq!(firmware(&plain).map(u64::from), want["fw"].as_u64());
        }
        ("sp3s", Ok(plain)) => {
            asks(&DECIMAL_METER);
            assert_eq!(decimal(&plain), want["watts"].as_f64(), "{name}");
        }
        (_, opened) => panic!("{name}: nobody has thought of {opened:?}"),
    }
}

#[test]
fn what_is_no_answer_is_not_opened() {
    let vectors = vectors();
    let commands = list(&vectors, "commands");
    for wrong in list(&vectors, "must_reject") {
        let asked = commands.iter().find(|command| command["name"] == wrong["answers"]).expect("a command");
        let opened = open(&hex(text(&wrong, "hex")), &envelope(&vectors, asked));
        assert!(matches!(opened, Err(Failure::InvalidResponse(_))), "{}: {opened:?}", text(&wrong, "why"));
    }
}

#[test]
fn the_type_of_the_vectors_is_the_inplug() {
    let kind = kind(small(number(&vectors(), "devtype"))).expect("a plug");
    assert_eq!((kind.model, kind.gauge), ("INPLUG, NEO PRO", Gauge::Milliwatts));
}

#[test]
fn packed_digits_must_be_digits() {
    assert_eq!(decimal(&[8, 0, 0xfe, 1, 5, 0x68, 0x25, 0x99]), Some(9925.68));
    assert_eq!(decimal(&[8, 0, 0xfe, 1, 5, 0x6a, 0x25, 0x00]), None);
    assert_eq!(decimal(&[8, 0, 0xfe, 1, 5, 0x68]), None);
}

#[test]
fn a_type_nobody_knows_must_answer_like_an_sp2() {
    assert_eq!(status(&[1, 0, 0, 0, 1], false), Some(1));
    for odd in [&[4, 0, 0, 0, 1][..], &[1, 0, 0, 0, 9], &[1, 0, 0, 0]] {
        assert_eq!(status(odd, false), None, "{odd:?}");
    }
    assert_eq!(status(&[0, 0, 0, 0, 9], true), Some(9));
}

#[test]
fn the_keep_alive_is_empty_but_for_its_type() {
    let packet = keep_alive();
    assert_eq!((packet.len(), packet.get(0x26)), (48, Some(&1)));
    assert_eq!(packet.iter().filter(|byte| **byte != 0).count(), 1);
}
