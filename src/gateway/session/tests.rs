use super::super::codec::Publish;
use super::*;
use secrecy::SecretString;

const UUID: &str = "01234567890123456789020000004d07";
const OTHER: &str = "01234567890123456789020000004d08";
const MAC: &str = "02:00:00:00:4d:07";

fn keys() -> Keys {
    Keys::new([SecretString::from("pippo")], [])
}

fn password() -> String {
    use md5::{Digest as _, Md5};
    let hash = Md5::new().chain_update(MAC).chain_update("pippo").finalize();
    hash.iter().fold(String::from("0_"), |text, byte| text + &format!("{byte:02x}"))
}

fn connect(level: Level, keep_alive_s: u16, password: &str, hear: impl FnOnce(&Packet<'_>)) {
    let client_id = format!("fmware:{UUID}_0123456789abcdef");
    let (username, password) = (Some(MAC), Some(password.as_bytes()));
    let (clean, will, client_id) = (true, None, client_id.as_str());
    hear(&Packet::Connect(Connect { level, clean, keep_alive_s, client_id, will, username, password }));
}

fn logged_in(level: Level) -> Session {
    let mut session = Session::default();
    connect(level, 120, &password(), |packet| {
        let step = session.hear(packet, &keys());
        assert_eq!((step.answer, step.end), (Some(Packet::ConnAck(ACCEPTED)), None));
    });
    session
}

fn publish<'a>(topic: &'a str, delivery: Delivery) -> Packet<'a> {
    Packet::Publish(Publish { dup: false, delivery, retain: false, topic, payload: b"{}" })
}

#[test]
fn a_plug_logs_in_subscribes_and_speaks() {
    for level in [Level::V31, Level::V311] {
        let mut session = logged_in(level);
        assert_eq!(session.plug().map(|plug| (plug.mac.as_str(), plug.level)), Some((MAC, level)));
        assert_eq!((session.commands(), session.silence()), (None, Duration::from_secs(180)));
        let topic = format!("/appliance/{UUID}/subscribe");
        let subscribe = Packet::Subscribe(7, vec![(&topic, QoS::AtLeastOnce)]);
        assert_eq!(session.hear(&subscribe, &keys()), answers(Packet::SubAck(7, vec![0])));
        assert_eq!(session.commands(), Some(topic.clone()));
        let own = format!("/appliance/{UUID}/publish");
        for topic in [own.as_str(), "/app/0-plug2mqtt/subscribe"] {
            for (delivery, answer) in
                [(Delivery::AtMostOnce, None), (Delivery::AtLeastOnce(3), Some(Packet::PubAck(3)))]
            {
                let step = session.hear(&publish(topic, delivery), &keys());
                assert_eq!(step, Step { message: Some((topic, b"{}")), answer, ..Step::default() });
            }
        }
        assert_eq!(session.hear(&Packet::PingReq, &keys()), answers(Packet::PingResp));
        assert_eq!(session.hear(&Packet::PubAck(1), &keys()), Step::default());
        assert_eq!(
            session.hear(&Packet::Unsubscribe(8, vec![&topic]), &keys()),
            answers(Packet::UnsubAck(8))
        );
        assert_eq!(session.commands(), None);
        assert_eq!(session.hear(&Packet::Disconnect, &keys()), ends(End::Left));
    }
}

#[test]
fn a_plug_speaks_for_no_other_and_hears_no_other() {
    let others = format!("/appliance/{OTHER}/publish");
    let commands = format!("/appliance/{UUID}/subscribe");
    for topic in [
        others.as_str(),
        &commands,
        "/app/",
        "/appliance//publish",
        "/appliance/publish",
        "plug2mqtt/1/set",
        "$SYS/x",
    ] {
        let step = logged_in(Level::V311).hear(&publish(topic, Delivery::AtLeastOnce(3)), &keys());
        let ignored = Step { answer: Some(Packet::PubAck(3)), ignored: true, ..Step::default() };
        assert_eq!(step, ignored, "{topic}");
    }
    let topics = [format!("/appliance/{OTHER}/subscribe"), "#".into(), "/appliance/+/subscribe".into()];
    for (level, code) in [(Level::V311, REFUSED), (Level::V31, 1)] {
        let mut session = logged_in(level);
        for topic in &topics {
            let subscribe = Packet::Subscribe(7, vec![(topic, QoS::ExactlyOnce)]);
            assert_eq!(session.hear(&subscribe, &keys()), answers(Packet::SubAck(7, vec![code])), "{topic}");
            assert_eq!(session.commands(), None);
        }
    }
}

#[test]
fn who_is_not_let_in_is_told_why() {
    let mut session = Session::default();
    connect(Level::V31, 120, "0_wrong", |packet| {
        let step = session.hear(packet, &keys());
        assert_eq!(step, turned_away(NOT_AUTHORISED, End::Refused(Refusal::Key)));
    });
    assert_eq!(session.plug(), None);
    let step = session.hear(&Packet::Foreign(5), &keys());
    assert_eq!(step, turned_away(WRONG_VERSION, End::Version(5)));
    for packet in [Packet::PingReq, Packet::Disconnect, publish("/app/x", Delivery::AtMostOnce)] {
        assert_eq!(Session::default().hear(&packet, &keys()), ends(End::Order), "{packet:?}");
    }
}

#[test]
fn the_order_of_mqtt_is_kept() {
    connect(Level::V31, 120, &password(), |packet| {
        assert_eq!(logged_in(Level::V31).hear(packet, &keys()), ends(End::Order));
    });
    for packet in [Packet::ConnAck(0), Packet::SubAck(1, vec![0]), Packet::UnsubAck(1), Packet::PingResp] {
        assert_eq!(logged_in(Level::V31).hear(&packet, &keys()), ends(End::Order), "{packet:?}");
    }
    for packet in [publish("/app/x", Delivery::ExactlyOnce(1)), Packet::ExactlyOnce(6, 1)] {
        assert_eq!(logged_in(Level::V31).hear(&packet, &keys()), ends(End::ExactlyOnce), "{packet:?}");
    }
}

#[test]
fn silence_has_an_end_whatever_was_promised() {
    for (keep_alive_s, seconds) in [(30, 45), (120, 180), (0, 1800), (u16::MAX, 1800)] {
        let mut session = Session::default();
        connect(Level::V311, keep_alive_s, &password(), |packet| {
            session.hear(packet, &keys());
        });
        assert_eq!(session.silence(), Duration::from_secs(seconds));
    }
}

#[test]
fn a_burst_is_read_at_once_and_a_flood_at_its_pace() {
    let mut allowance = Allowance::default();
    let start = Duration::from_secs(5);
    let waits: Vec<Duration> = (1..BURST + 2).map(|_| allowance.take(start)).collect();
    let each = Duration::from_millis(100);
    let (at_once, later) = waits.split_at(BURST as usize - 1);
    assert!(at_once.iter().all(Duration::is_zero), "{waits:?}");
    assert_eq!(later, [each, 2 * each], "before the next one");
    // Ten a second are never held up.
    let mut now = start + Duration::from_secs(60);
    for _ in 0..1000 {
        now += each;
        assert_eq!(allowance.take(now), Duration::ZERO);
    }
}

#[test]
fn a_command_is_for_one_plug() {
    assert_eq!(commanded(&format!("/appliance/{UUID}/subscribe")).unwrap().as_str(), UUID);
    for topic in ["", "/appliance/+/subscribe", "/appliance//subscribe", "/app/x", "/appliance/subscribe"] {
        assert_eq!(commanded(topic), None, "{topic}");
    }
}
