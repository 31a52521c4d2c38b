use super::ability::Ability;
use super::crypt::{LanKey, mac, md5_hex, sign};
use super::electricity::{self, Electricity};
use super::ledger::{Day, Ledger, days};
use super::status::{All, Relay, relays};
use super::timer::{Timer, week};
use super::wire::{Message, REPLY_TOPIC, WRONG_KEY, uuid, write};
use super::zone::{Change, Zone};
use super::{lenient, search, status, timer};
use crate::model::{Days, Energy, Failure, Mac, Now};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

const UUID: &str = "0123456789012345678901234567891a";

fn now() -> Now {
    Now {
        up: Duration::from_secs(1),
        unix_ms: 1_795_219_292_000,
        utc_offset_s: 3600,
        dst_s: 0,
        nonce: 0x0123_4567_89ab_cdef,
    }
}

#[test]
fn signatures_and_keys_are_those_of_the_protocol_notes() {
    let id = "0123456789abcdef0123456789abcdef";
    assert_eq!(sign("", "", 0), "cfcd208495d565ef66e7dff9f98764da");
    assert_eq!(sign(id, "", 1_700_000_000), "224dd730e3a37f3a004dbf08aaaef729");
    assert_eq!(sign(id, "pippo", 1_700_000_000), "6e5df93a7dfdaaf561ad132464426e45");
    let uuid = "01234567890123456789012345678920";
    assert_eq!(mac(uuid).map(|mac| mac.to_string()).as_deref(), Some("01:23:45:67:89:20"));
    assert_eq!(mac("short"), None);
    assert_eq!(mac("äöüäöüäöü"), None);
    let key = LanKey::new(uuid, "pippo", mac(uuid).unwrap());
    assert_eq!(key.seal(br#"{"a":1}"#), b"jSD866t+RK3FJzkqQ/oy9w==");
    assert_eq!(key.seal(b"0123456789abcdef"), b"eHLF6OOhFZhkGNOKEeq6ROL6nlJ3iGceX2rXuZgjuY4=");
    let message = concat!(
        r#"{"header":{"from":"/app/0-plug2mqtt/subscribe","messageId":"0123456789abcdef0123456789abcdef","method":"GET","#,
        r#""namespace":"Appliance.System.All","payloadVersion":1,"sign":"6e5df93a7dfdaaf561ad132464426e45","#,
        r#""timestamp":1700000000,"timestampMs":0},"payload":{}}"#
    );
    assert_eq!(message.len(), 258);
    let sealed = concat!(
        "tLRKldYE1VoVn0EJzh1bZHR4FvbUBguxJ/wj71R713YM8rZT+I2EXoZ9CqHsf+wZ3Z3kRDKBO9r3Tj2vo8LWRiN1L/XtqVVFZqB6qjTjBBWanpK8",
        "tS1dPPNopml8byft+gNZL49VLcfs+ddvcTf4opVTh7oeiEGpWxzoQErWOc5SsWpld1WTzbld6Bf/ntoCYLFzIPKLgprLo/w1KbKk7uCk4QQPdpgU",
        "xLUAZYRs20qwxY+JRyqDP4edPc0CYE4PdUdtUcyi+sf2wFSZoLZok4OX0TwZRR8wlMMBFd+EETq4Pb/EnJR56IT8QOG4fZacKnDJ+O3Sgm1EP7On",
        "IcDrfS56l6ANXNlkVAgKq9O2oCU="
    );
    assert_eq!(String::from_utf8(key.seal(message.as_bytes())).unwrap(), sealed);
    assert_eq!(key.open(sealed.as_bytes()).unwrap(), message.as_bytes());
    assert_eq!((key.open(b"AAAA"), key.open(b"!")), (None, None));
    assert_eq!(format!("{key:?}"), "LanKey(..)");
    let second = Mac::parse("48:e1:e9:aa:bb:cc").unwrap();
    let key = LanKey::new("11223344556677889900aabbccddeeff", "0123456789abcdef0123456789abcdef", second);
    let other = LanKey::new("11223344556677889900aabbccddeeff", "", second);
    assert_ne!(key, other);
}

#[test]
fn requests_are_fresh_signed_and_say_who_asks() {
    let sent = write("pippo", "GET", "System.All", &json!({}), &now());
    let message: Value = serde_json::from_slice(&sent.bytes).unwrap();
    let header = &message["header"];
    assert_eq!(header["from"], REPLY_TOPIC);
    assert_eq!((&header["triggerSrc"], &header["payloadVersion"]), (&"plug2mqtt".into(), &1.into()));
    assert_eq!(header["sign"], sign(&sent.message_id, "pippo", 1_795_219_292));
    assert_eq!(sent.message_id.len(), 32);
    let later = write("pippo", "GET", "System.All", &json!({}), &Now { nonce: 1, ..now() });
    assert_ne!(later.message_id, sent.message_id);
}

/// A reply as a plug writes it.
fn reply(sent: &super::wire::Sent, method: &str, from: &str, payload: &Value) -> Vec<u8> {
    let sign = sign(&sent.message_id, "pippo", 7);
    let header = json!({"messageId": sent.message_id, "namespace": sent.namespace, "method": method, "payloadVersion": 1,
        "from": from, "timestamp": "7", "timestampMs": 0, "sign": sign});
    json!({"header": header, "payload": payload}).to_string().into_bytes()
}

#[test]
fn an_answer_is_believed_from_its_plug_to_its_request_alone() {
    let sent = write("pippo", "GET", "System.Runtime", &json!({}), &now());
    let from = format!("/appliance/{UUID}/publish");
    let check =
        |bytes: &[u8]| Message::read(bytes).and_then(|message| message.answer(&sent, Some(UUID)).cloned());
    let payload = json!({"runtime": {"signal": 76}});
    assert_eq!(check(&reply(&sent, "GETACK", &from, &payload)), Ok(payload.clone()));
    assert_eq!(
        check(&reply(
            &sent,
            "GETACK",
            &from.to_uppercase().replace("APPLIANCE", "appliance").replace("PUBLISH", "publish"),
            &payload
        )),
        Ok(payload.clone())
    );
    let other = "/appliance/0123456789012345678901234567891b/publish";
    assert!(matches!(check(&reply(&sent, "GETACK", other, &payload)), Err(Failure::WrongDevice(_))));
    assert!(matches!(check(&reply(&sent, "GETACK", "", &payload)), Err(Failure::InvalidResponse(_))));
    let older = write("pippo", "GET", "System.Runtime", &json!({}), &Now { nonce: 9, ..now() });
    assert!(matches!(check(&reply(&older, "GETACK", &from, &payload)), Err(Failure::InvalidResponse(_))));
    let else_ = write("pippo", "GET", "System.All", &json!({}), &now());
    assert!(matches!(check(&reply(&else_, "GETACK", &from, &payload)), Err(Failure::InvalidResponse(_))));
    for error in
        [json!({"error": {"code": 5001, "detail": "sign error"}}), json!({"error": {"code": "5001"}})]
    {
        assert_eq!(check(&reply(&sent, "ERROR", &from, &error)), Err(Failure::Rejected(WRONG_KEY.into())));
    }
    let why = Failure::Rejected("error 5003".into());
    assert_eq!(check(&reply(&sent, "ERROR", &from, &json!({"error": {"code": 5003}}))), Err(why));
    let why = Failure::Rejected("an error without a code".into());
    assert_eq!(check(&reply(&sent, "ERROR", &from, &json!([]))), Err(why));
    let read = Message::read(&reply(&sent, "GETACK", &from, &payload)).unwrap();
    assert!(read.is_signed("pippo") && !read.is_signed(""));
    assert_eq!(read.timestamp, 7, "seconds since its start are no error");
    for topic in [
        "",
        "/appliance/",
        "/appliance/x/publish",
        "/appliance/a b c d e f g h/publish",
        "http://127.0.0.1/config",
    ] {
        assert_eq!(uuid(topic), None, "{topic}");
    }
    assert_eq!(uuid("/appliance/00000000000000000h5702000000aabb/publish").map(|uuid| uuid.len()), Some(32));
}

#[test]
fn values_are_read_in_every_spelling() {
    assert_eq!(["7", " 7 "].map(|text| lenient::whole(&text.into())), [Some(7); 2]);
    assert_eq!([json!(7), json!(7.0), json!("7")].map(|value| lenient::count(&value)), [Some(7); 3]);
    assert_eq!(
        [json!(-1), json!("x"), json!([]), json!(1e300)].map(|value| lenient::count(&value)),
        [None; 4]
    );
    assert_eq!([json!("NaN"), json!("inf"), json!(null)].map(|value| lenient::number(&value)), [None; 3]);
    let one = |channel, on, changed| Relay { channel, on, changed };
    let object = json!({"togglex": {"channel": 1, "onoff": 1, "lmTime": 1_539_614_273}});
    assert_eq!(relays(&object), [one(1, true, Some(1_539_614_273))]);
    let list = json!({"channel": 4_294_967_295_u64, "togglex": [{"channel": "0", "onoff": "1"}, {"channel": 2, "onoff": false}, 7]});
    assert_eq!(relays(&list), [one(0, true, None), one(2, false, None)]);
    let old = json!({"toggle": {"onoff": 1, "lmTime": 1_714_431_601}});
    assert_eq!(relays(&old), [one(0, true, Some(1_714_431_601))]);
    let twice = json!({"togglex": [{"channel": 0, "onoff": 0}, {"channel": 0, "onoff": 1}, {"channel": 1, "onoff": 9}]});
    assert_eq!(relays(&twice), [one(0, true, None)]);
}

#[test]
fn power_is_read_in_its_units_and_zero_volts_is_no_measurement() {
    let hardware_1 = json!({"electricity": {"channel": 0, "current": 418, "voltage": 2387, "power": 67_379}});
    let read = |payload: &Value, circuits| electricity::read(payload, circuits);
    let want = Electricity { channel: 0, volts: Some(238.7), amps: Some(0.418), watts: Some(67.379) };
    assert_eq!(read(&hardware_1, false), [want]);
    let zero = json!({"electricity": {"channel": 0, "current": 0, "voltage": 0, "power": 0}});
    assert_eq!(read(&zero, false), [Electricity::default()]);
    let circuits = json!({"electricity": [
        {"channel": 2, "current": 574, "voltage": 233_184, "power": 115_185, "mConsume": 4881, "factor": 0.86},
        {"channel": 6, "current": 339, "voltage": 232_127, "power": -10, "factor": -0.0001}]});
    let two = Electricity { channel: 2, volts: Some(233.184), amps: Some(0.574), watts: Some(115.185) };
    let six = Electricity { channel: 6, volts: Some(232.127), amps: Some(0.339), watts: Some(0.0) };
    assert_eq!(read(&circuits, true), [two, six]);
    let mad = json!({"electricity": {"current": 1e300, "voltage": "2300", "power": 9e9}});
    let want = Electricity { volts: Some(230.0), ..Electricity::default() };
    assert_eq!(read(&mad, false), [want]);
}

#[test]
fn timers_keep_their_days() {
    assert_eq!(week("Mon".parse().unwrap()), 0b1000_0010);
    assert_eq!(week(Days::default()), 128);
    assert_eq!(timer::days(129), "Sun".parse().unwrap());
    let captured = json!({"id": "abcdefghijklm123", "type": 1, "enable": 1, "alias": "..", "time": 1252, "week": 129, "duration": 0,
        "createTime": 1_560_513_180, "extend": {"toggle": {"onoff": 1, "lmTime": 0}}});
    let timer = Timer::read(&captured).unwrap();
    assert_eq!((timer.minute, timer.on, timer.enabled, timer.channel), (1252, true, true, 0));
    assert_eq!(timer.days, "Sun".parse().unwrap());
    for timer in [timer.clone(), Timer { days: Days::default(), enabled: false, on: false, ..timer }] {
        assert_eq!(Timer::read(&timer.write(1)), Some(timer));
    }
    assert_eq!(Timer::read(&json!({"id": "x", "time": 1440})), None);
}

#[test]
fn rules_of_a_zone_are_those_of_the_captures() {
    let zone = |name: &str, at: i64| {
        let zone = jiff::tz::TimeZone::get(name).unwrap();
        let at = jiff::Timestamp::from_second(at).unwrap();
        let before = zone.preceding(at).take(1);
        let changes = before.chain(zone.following(at)).take(super::zone::CHANGES).map(|one| Change {
            from: one.timestamp().as_second(),
            offset_s: one.offset().seconds().into(),
            summer: one.dst().is_dst(),
        });
        Zone { name: name.into(), changes: changes.collect() }
    };
    let london = zone("Europe/London", 1_681_841_111);
    let set = london.set(1_681_841_111);
    let rules = set.pointer("/time/timeRule").unwrap();
    assert_eq!(rules.as_array().map(Vec::len), Some(20));
    assert_eq!(rules[0], json!([1_679_792_400, 3600, 1]));
    assert_eq!(rules[1], json!([1_698_541_200, 0, 0]));
    assert_eq!(rules[19], json!([1_982_797_200, 0, 0]));
    let zurich = zone("Europe/Zurich", 1_774_740_000);
    assert!(zurich.set(0).to_string().contains("[1774746000,7200,1],[1792890000,3600,0]"));
    let told = status::time(set.get("time"));
    assert!(!london.differs(&told, 1_681_841_113));
    assert!(london.differs(&told, 1_681_841_200), "its clock is wrong");
    assert!(zurich.differs(&told, 1_681_841_111), "its zone is another");
    let empty =
        status::time(Some(&json!({"timestamp": 1_681_841_111, "timezone": "Europe/London", "timeRule": []})));
    assert!(london.differs(&empty, 1_681_841_111), "it knows no rule");
}

fn day(date: &str, time: u64, wh: u64) -> Day {
    Day { date: date.into(), time, wh }
}

fn wh(energy: Energy) -> f64 {
    energy.wh().round()
}

#[test]
fn the_ledger_begins_with_what_is_drawn_from_now_on_and_never_falls() {
    let mut ledger = Ledger::default();
    let take = |ledger: &mut Ledger, days: &[Day]| wh(ledger.take(UUID, days));
    assert_eq!(take(&mut ledger, &[]), 0.0);
    assert_eq!(take(&mut ledger, &[day("2024-03-10", 100, 180), day("2024-03-09", 50, 329)]), 0.0);
    assert_eq!(take(&mut ledger, &[day("2024-03-10", 160, 190), day("2024-03-09", 50, 329)]), 10.0);
    assert_eq!(take(&mut ledger, &[day("2024-03-10", 170, 100)]), 0.0, "a reset");
    assert_eq!(take(&mut ledger, &[day("2024-03-10", 180, 195)]), 5.0);
    assert_eq!(take(&mut ledger, &[day("2024-03-11", 300, 1), day("2024-03-10", 190, 200)]), 6.0);
    let before = ledger.clone();
    let kept: Ledger = serde_json::from_str(&serde_json::to_string(&before).unwrap()).unwrap();
    assert_eq!(kept, before);
    let other = "0123456789012345678901234567891b";
    assert_eq!(wh(ledger.take(other, &[day("2024-03-11", 300, 5000)])), 0.0, "another plug in its place");
    assert_eq!(wh(ledger.take(other, &[day("2024-03-11", 360, 5001)])), 1.0);
    assert_eq!(wh(ledger.take(other, &[day("2024-03-11", 400, 900_000)])), 0.0, "nothing draws so much");
    assert_eq!(wh(ledger.total()), 22.0);
}

#[test]
fn the_first_figure_of_a_day_may_be_that_of_the_day_before() {
    let check = |first: Day, want: f64| {
        let mut ledger = Ledger::default();
        ledger.take(UUID, &[day("2024-03-10", 100_000, 400)]);
        assert_eq!(wh(ledger.take(UUID, &[first])), want);
    };
    check(day("2024-03-11", 100_060, 400), 0.0);
    check(day("2024-03-11", 100_060, 402), 2.0);
    check(day("2024-03-11", 100_060, 2), 2.0);
    check(day("2024-03-11", 180_000, 900), 900.0);
    check(day("1970-01-01", 60, 3), 3.0);
}

#[test]
fn damaged_records_are_left_out() {
    let payload = json!({"consumptionx": [
        {"date": "2024-03-09", "time": "1710028683", "value": "329"}, {"date": "today", "value": 1}, {"date": "2024-03-10", "value": -1},
        {"date": "2024-03-11", "value": 1e9}, {"value": 1}, 7, null]});
    assert_eq!(days(&payload), [day("2024-03-09", 1_710_028_683, 329)]);
    assert_eq!(days(&json!({"consumptionx": {"date": "2024-03-09", "value": 1}})), [day("2024-03-09", 0, 1)]);
    assert_eq!(days(&json!({"consumptionx": 7})), []);
}

proptest! {
    #[test]
    fn the_ledger_never_falls_and_stays_small(
        looks in proptest::collection::vec(proptest::collection::vec((0u32..400, 0u64..9_000), 0..40), 1..40),
    ) {
        let mut ledger = Ledger::default();
        let mut last = Energy::default();
        for look in looks {
            let date = |number: u32| format!("20{:02}-{:02}-{:02}", number / 372, number / 31 % 12 + 1, number % 31 + 1);
            let days: Vec<Day> = look.iter().map(|(number, wh)| day(&date(*number), u64::from(*number) * 86_400, *wh)).collect();
            let grown = ledger.take(UUID, &days);
            let mut want = last;
            want.add(grown);
            prop_assert_eq!(wh(ledger.total()), wh(want));
            last = ledger.total();
            prop_assert!(serde_json::to_string(&ledger).unwrap().len() < 4096);
        }
    }

    #[test]
    fn what_was_sealed_comes_back(plain in "[ -~]{0,300}", key in "[a-z0-9]{0,40}") {
        let lan = LanKey::new(UUID, &key, mac(UUID).unwrap());
        let sealed = lan.seal(plain.as_bytes());
        prop_assert_eq!(lan.open(&sealed), Some(plain.into_bytes()));
    }

    #[test]
    fn nothing_from_the_network_hurts(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0usize..1500, to in any::<u8>()) {
        let sent = write("pippo", "GET", "System.All", &json!({}), &now());
        digest(&bytes, &sent);
        let good = reply(&sent, "GETACK", &format!("/appliance/{UUID}/publish"), &captured());
        let mut damaged = good.clone();
        if let Some(byte) = damaged.get_mut(at) {
            *byte = to;
        }
        digest(&damaged, &sent);
        digest(&good[..at.min(good.len())], &sent);
        let _ = LanKey::new(UUID, "", mac(UUID).unwrap()).open(&damaged);
        let _ = search::read(&damaged);
    }

    #[test]
    fn any_tree_is_read_without_harm(text in r#"[\[\]{}:,"0-9a-z -]{0,120}"#, leaf in any::<f64>()) {
        for payload in [json!(text), json!({"togglex": [[text]], "electricity": {"voltage": leaf, "power": leaf, "current": leaf}}),
            json!({"all": {"system": {"hardware": {"uuid": text, "type": leaf}, "time": {"timeRule": [[leaf]]}}, "control": {"toggle": text}}}),
            serde_json::from_str(&text).unwrap_or_default()]
        {
            look(&payload);
        }
    }
}

fn captured() -> Value {
    json!({"all": {"system": {"hardware": {"type": "mss310", "subType": "us", "version": "2.0.0", "chipType": "MT7682", "uuid": UUID,
        "macAddress": "01:23:45:67:89:1a"}, "firmware": {"version": "2.1.17", "port": 8883, "userId": 0},
        "time": {"timestamp": 1_795_219_292, "timezone": "Europe/London", "timeRule": [[1_648_342_800, 3600, 1], [1_667_091_600, 0, 0]]},
        "online": {"status": 1}}, "digest": {"togglex": [{"channel": 0, "onoff": 1, "lmTime": 1_708_530_599}], "triggerx": [], "timerx": []}}})
}

fn digest(bytes: &[u8], sent: &super::wire::Sent) {
    if let Ok(message) = Message::read(bytes) {
        let _ = message.is_signed("pippo");
        if let Ok(payload) = message.answer(sent, Some(UUID)) {
            look(payload);
        }
    }
}

/// Shows a payload to every reader; what they give has bounds.
fn look(payload: &Value) {
    let _ = (Ability::read(payload), Timer::read(payload));
    assert!(relays(payload).len() <= lenient::MOST);
    assert!(days(payload).len() <= lenient::MOST);
    if let Some(all) = All::read(payload) {
        assert!(all.relays.len() <= lenient::MOST && all.time.rules.len() <= lenient::MOST);
    }
    for circuits in [false, true] {
        for one in electricity::read(payload, circuits) {
            assert!(one.watts.is_none_or(|watts| (0.0..=5000.0).contains(&watts)), "{one:?}");
            assert!(one.volts.is_none_or(|volts| (0.0..=300.0).contains(&volts)), "{one:?}");
        }
    }
    assert_eq!(md5_hex("").len(), 32);
}
