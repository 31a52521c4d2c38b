use super::*;
use proptest::collection::vec;
use proptest::prelude::*;

const LARGEST: usize = 4096;

/// The CONNECT of a plug, as MQTT 3.1 has it, byte by byte.
fn plug() -> Vec<u8> {
    let id = "fmware:01234567890123456789020000004d07_0123456789abcdef";
    let (user, password) = ("02:00:00:00:4d:07", "0_8492650bfa7f13e6afa11399a19dfe93");
    let mut bytes = vec![0x10, 127, 0, 6];
    bytes.extend(b"MQIsdp\x03\xc2\x00\x78");
    for text in [id, user, password] {
        bytes.extend([0, u8::try_from(text.len()).unwrap()]);
        bytes.extend(text.bytes());
    }
    bytes[1] = u8::try_from(bytes.len() - 2).unwrap();
    bytes
}

#[test]
fn a_plug_comes_with_mqtt_3_1_and_a_long_name() {
    let bytes = plug();
    let (packet, size) = decode(&bytes, LARGEST).unwrap().unwrap();
    let Packet::Connect(connect) = &packet else { panic!("{packet:?}") };
    assert_eq!(
        (size, connect.level, connect.keep_alive_s, connect.clean),
        (bytes.len(), Level::V31, 120, true)
    );
    assert_eq!((connect.client_id.len(), connect.username), (56, Some("02:00:00:00:4d:07")));
    assert_eq!(encode(&packet).unwrap(), bytes);
}

#[test]
fn what_no_client_may_send_is_told_from_what_is_not_complete() {
    for (bytes, why) in [
        (&b"\x00\x00"[..], "no packet of MQTT 3"),
        (b"\x16\x03\x01\x02\x00", "a packet that is too short"),
        (b"\x30\xff\xff\xff\xff", "a length of more than four bytes"),
        (b"\x30\xff\xff\x7f", "a packet that is too large"),
        (b"\x10\x08\x00\x04HTTP\x04\x02", "another protocol than MQTT"),
        (b"\x10\x0c\x00\x04MQTT\x04\x03\x00\x00\x00\x00", "a reserved flag"),
        (b"\x10\x0d\x00\x04MQTT\x04\x42\x00\x00\x00\x00\x00", "a packet that is too short"),
        (b"\x10\x0e\x00\x04MQTT\x04\x42\x00\x00\x00\x00\x00\x00", "a password without a user"),
        (b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x00\x00", "a packet that is too long"),
        (b"\x30\x02\x00\x00", "a message to no topic"),
        (b"\x30\x03\x00\x01#", "a message to no topic"),
        (b"\x30\x03\x00\x01\xff", "text that is not UTF-8"),
        (b"\x30\x03\x00\x01\x00", "text with a NUL"),
        (b"\x36\x05\x00\x01a\x00\x01", "a QoS above 2"),
        (b"\x32\x05\x00\x01a\x00\x00", "a packet id of 0"),
        (b"\x80\x06\x00\x01\x00\x01a\x00", "a subscription without acknowledgement"),
        (b"\x82\x02\x00\x01", "a subscription to nothing"),
        (b"\xc0\x01\x00", "a packet that is too long"),
    ] {
        assert_eq!(decode(bytes, LARGEST).unwrap_err().to_string(), why, "{bytes:?}");
    }
    let newer = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00";
    assert_eq!(decode(newer, LARGEST), Ok(Some((Packet::Foreign(5), newer.len()))));
    for part in 0..plug().len() {
        assert_eq!(decode(&plug()[..part], LARGEST), Ok(None), "{part}");
    }
}

#[test]
fn what_is_too_long_for_mqtt_is_not_written() {
    let long = "t".repeat(65_536);
    assert_eq!(encode(&Packet::Unsubscribe(1, vec![&long])), None);
}

fn text() -> impl Strategy<Value = String> {
    "[^\u{0}]{0,40}"
}

fn topic() -> impl Strategy<Value = String> {
    "[^\u{0}+#]{1,40}"
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

/// Writes a packet, and reads it again, whatever comes behind it.
fn returns(packet: &Packet<'_>) {
    let mut bytes = encode(packet).expect("it fits");
    let size = bytes.len();
    for part in 0..size {
        assert_eq!(decode(&bytes[..part], LARGEST), Ok(None), "{packet:?} cut at {part}");
    }
    assert!(decode(&bytes, size - 1).is_err(), "{packet:?} is larger than allowed");
    bytes.extend([0xc0, 0]);
    assert_eq!(decode(&bytes, LARGEST), Ok(Some((packet.clone(), size))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_packet_comes_back_and_none_is_seen_before_it_is_whole(
        (client_id, username, password) in (text(), proptest::option::of(text()), proptest::option::of(vec(any::<u8>(), 0..40))),
        (will, will_qos) in (proptest::option::of((topic(), vec(any::<u8>(), 0..40))), qos()),
        (old, clean, keep_alive_s) in (any::<bool>(), any::<bool>(), any::<u16>()),
        (id, step, code) in (1..=u16::MAX, 5_u8..=7, any::<u8>()),
        (at, payload) in (topic(), vec(any::<u8>(), 0..300)),
        topics in vec((text(), qos()), 1..5),
    ) {
        let level = if old { Level::V31 } else { Level::V311 };
        let will = will.as_ref().map(|(topic, payload)| Will { topic, payload, qos: will_qos, retain: clean });
        let password = password.as_deref().filter(|_| username.is_some());
        let (client_id, username) = (client_id.as_str(), username.as_deref());
        returns(&Packet::Connect(Connect { level, clean, keep_alive_s, client_id, will, username, password }));
        for delivery in [Delivery::AtMostOnce, Delivery::AtLeastOnce(id), Delivery::ExactlyOnce(id)] {
            returns(&Packet::Publish(Publish { dup: old, delivery, retain: clean, topic: &at, payload: &payload }));
        }
        returns(&Packet::Subscribe(id, topics.iter().map(|(topic, qos)| (topic.as_str(), *qos)).collect()));
        returns(&Packet::Unsubscribe(id, topics.iter().map(|(topic, _)| topic.as_str()).collect()));
        returns(&Packet::SubAck(id, vec![0, 1, REFUSED]));
        for packet in [Packet::ConnAck(code), Packet::PubAck(id), Packet::ExactlyOnce(step, id), Packet::UnsubAck(id)] {
            returns(&packet);
        }
        for packet in [Packet::PingReq, Packet::PingResp, Packet::Disconnect, Packet::Foreign(code | 0x40)] {
            returns(&packet);
        }
    }

    #[test]
    fn no_bytes_are_too_odd(mut bytes in vec(any::<u8>(), 0..200), kind in 0_u8..16) {
        if let (Some(first), true) = (bytes.first_mut(), kind > 0) {
            *first = *first & 0x0f | kind << 4;
        }
        if let Ok(Some((packet, size))) = decode(&bytes, LARGEST) {
            prop_assert!(size <= bytes.len());
            let again = encode(&packet).expect("what was read can be written");
            prop_assert_eq!(decode(&again, LARGEST).unwrap(), Some((packet, again.len())));
        }
    }
}
