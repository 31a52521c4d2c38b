use super::*;
use serde_json::Value;

/// Made-up packets, computed from the layout of the family by a program of its own.
fn vector(list: &str, name: &str, key: &str) -> Vec<u8> {
    let text = include_str!("../../drivers/inplug/wire/vectors.json");
    let all: Value = serde_json::from_str(text).expect("JSON");
    let all = all[list].as_array().cloned().unwrap_or_default();
    let one = all.iter().find(|vector| vector["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    let hex = one[key].as_str().unwrap_or_else(|| panic!("no {key}"));
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex")).collect()
}

/// The plug of the vectors.
fn plug() -> Inplug {
    let mut plug = Inplug::new(1).named("Heater").brief();
    plug.mac = [0xb4, 0x43, 0x0d, 0, 0, 1];
    plug.key = *b"\x85\x53\x22\x69\x06\x1b\xa2\xca\xaf\xa6\xe6\xe4\xc3\x22\x38\x96";
    plug
}

fn check(plug: &mut Inplug, name: &str) {
    let replies = plug.datagram(0.0, &vector("commands", name, "request"));
    assert_eq!(replies, [vector("commands", name, "reply")], "{name}");
}

#[test]
fn it_introduces_itself() {
    let question = vector("hello_requests", "plugmon-example", "hex");
    let answer = |plug: &mut Inplug| plug.datagram(0.0, &question).concat();
    let mut want = vector("hello_replies", "echo-unlocked", "hex");
    // The plug does not know its own address; the sum changes with it.
    want[0x36..0x3a].fill(0);
    let mut got = answer(&mut plug());
    for packet in [&mut want, &mut got] {
        packet[0x20..0x22].fill(0);
    }
    assert_eq!(got, want);
    let mut locked = plug();
    locked.lock(true);
    assert_eq!(answer(&mut locked).last(), Some(&1));
    assert!(locked.broadcast(0.0, &question).is_empty());
    assert_eq!(plug().broadcast(0.0, &question).len(), 1);
}

#[test]
fn it_answers_as_the_vectors_say() {
    let mut plug = plug();
    check(&mut plug, "auth");
    for (name, milliwatts) in
        [("meter-0-mW", 0), ("meter-57471-mW", 57_471), ("meter-16777215-mW", 16_777_215)]
    {
        plug.relay = true;
        plug.plug_in(Load::Constant { milliwatts });
        check(&mut plug, name);
    }
    check(&mut plug, "switch-on");
    check(&mut plug, "status-16-bytes");
    check(&mut plug, "switch-off");
    check(&mut plug, "firmware");
    plug.meter = Meter::None;
    check(&mut plug, "meter-not-supported");
    plug.meter = Meter::Digits;
    plug.relay = true;
    plug.plug_in(Load::Constant { milliwatts: 1_234_560 });
    check(&mut plug, "sp3s-meter-1234.56");
    plug.expire();
    check(&mut plug, "key-expired");
    plug.lock(true);
    check(&mut plug, "auth-locked");
    assert_eq!(plug.switched().collect::<Vec<_>>(), [true, false]);
}

#[test]
fn without_a_key_exchange_nothing_is_obeyed() {
    let mut plug = plug();
    let replies = plug.datagram(0.0, &vector("commands", "switch-on", "request"));
    assert_eq!(replies.concat().get(0x22..0x24), Some(&(-7_i16).to_le_bytes()[..]));
    assert!(!plug.relay() && plug.switched().next().is_none());
}

#[test]
fn a_reboot_takes_seconds_and_changes_the_key() {
    let mut plug = plug();
    check(&mut plug, "auth");
    plug.press(0.0, 1);
    plug.press(0.0, 2);
    let key = plug.key;
    plug.reboot(10.0);
    assert!(!plug.is_up(13.9) && plug.is_up(14.0) && plug.relay());
    assert!(plug.datagram(12.0, &vector("commands", "auth", "request")).is_empty());
    assert_ne!(plug.key, key);
}

#[test]
fn noise_and_what_is_not_signed_get_no_answer() {
    let mut plug = plug();
    let mut question = vector("hello_requests", "all-zero-address", "hex");
    question[0x20] ^= 1;
    let mut command = vector("commands", "status-on", "request");
    command[0x40] ^= 1;
    for noise in [&b""[..], b"00dv=all;", &question, &command, &[0xff; 80]] {
        assert!(plug.datagram(0.0, noise).is_empty(), "{noise:?}");
    }
    assert!(plug.datagram(0.0, &keep_alive()).is_empty());
    assert_eq!(plug.kept_alive(), 1);
}

fn keep_alive() -> Vec<u8> {
    let mut packet = vec![0; 48];
    packet[38] = 1;
    packet
}

#[test]
fn plugs_have_keys_of_their_own() {
    assert_ne!(Inplug::new(1).key, Inplug::new(2).key);
    assert_eq!(Inplug::sp3s(0x11).mac(), "020000002711");
}
