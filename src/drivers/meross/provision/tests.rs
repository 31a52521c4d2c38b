//! Messages against the vectors of the protocol notes, and what plugs and people may write instead.

use super::*;
use std::time::Duration;

const UUID: &str = "11223344556677889900aabbccddeeff";

fn now() -> Now {
    let up = Duration::from_secs(1);
    Now { up, unix_ms: 1_795_219_292_000, utc_offset_s: 0, dst_s: 0, nonce: 7 }
}

fn listed(names: &[&str]) -> Value {
    let list: serde_json::Map<String, Value> =
        names.iter().map(|name| (format!("Appliance.{name}"), json!({}))).collect();
    json!({"ability": list})
}

fn talk(names: &[&str]) -> Talk {
    let mut talk = Talk::new("old");
    talk.learn(&listed(names)).expect("a list");
    talk
}

fn all() -> Value {
    let hardware = json!({"type": "mss310", "uuid": UUID, "macAddress": "48:e1:e9:aa:bb:cc"});
    json!({"all": {"system": {"hardware": hardware}}})
}

fn nowhere() -> Network {
    let list = json!({"wifiList": [
        {"ssid": "bm93aGVyZQ==", "bssid": "02-00-00-00-00-fe", "signal": 76, "channel": 11, "encryption": 6, "cipher": 3},
    ]});
    networks(&list).remove(0)
}

#[test]
fn wifi_is_told_as_the_plug_listed_it_and_sealed_where_it_wants_that() {
    let told = |names: &[&str]| {
        let bytes = talk(names).tell(Deed::Wifi(&nowhere(), "secret123"), &all(), &now()).expect("told");
        serde_json::from_slice::<Value>(&bytes).expect("JSON")
    };
    let plain = told(&["Config.Wifi"]);
    let want = json!({"wifi": {"ssid": "bm93aGVyZQ==", "password": "c2VjcmV0MTIz", "bssid": "02-00-00-00-00-fe",
        "channel": 11, "encryption": 6, "cipher": 3}});
    assert_eq!((&plain["payload"], &plain["header"]["namespace"]), (&want, &json!("Appliance.Config.Wifi")));
    let sealed = told(&["Config.Wifi", "Config.WifiX"]);
    assert_eq!(sealed["header"]["namespace"], "Appliance.Config.WifiX");
    assert_eq!(sealed["payload"]["wifi"]["password"], "4nYI7FR8qDTKaIqTeBLMpg==");
    assert_eq!(sealed["payload"]["wifi"]["ssid"], "bm93aGVyZQ==");
}

#[test]
fn both_brokers_are_the_same_and_what_is_not_listed_is_never_said() {
    let broker = Broker::parse("192.168.1.10:8884", false).expect("a broker");
    let mut talk = talk(&["Config.Key"]);
    let bytes = talk.tell(Deed::Key(&broker, "new", "0"), &all(), &now()).expect("told");
    let message: Value = serde_json::from_slice(&bytes).expect("JSON");
    let gateway = json!({"host": "192.168.1.10", "port": 8884, "secondHost": "192.168.1.10", "secondPort": 8884, "redirect": 1});
    assert_eq!(message["payload"], json!({"key": {"gateway": gateway, "key": "new", "userId": "0"}}));
    let id = message["header"]["messageId"].as_str().expect("an id");
    assert_eq!(message["header"]["sign"], crypt::sign(id, "old", 1_795_219_292));
    assert!(talk.tell(Deed::Wifi(&nowhere(), "secret123"), &all(), &now()).is_err());
    assert!(talk.tell(Deed::Reset, &all(), &now()).is_err());
}

#[test]
fn what_is_shown_has_no_secrets() {
    let broker = Broker::parse("broker.lan", false).expect("a broker");
    let mut talk = talk(&["Config.Key", "Config.WifiX", "Encrypt.ECDHE"]);
    talk.seal_by_exchange(&[7; 32]);
    let bytes = talk.tell(Deed::Key(&broker, "k-e-y", "0"), &all(), &now()).expect("told");
    assert!(!String::from_utf8_lossy(&bytes).contains("broker.lan"), "encrypted");
    let shown = talk.shown();
    assert!(shown.contains("broker.lan") && shown.contains(r#""key":"***""#), "{shown}");
    assert!(shown.contains(r#""sign":"***""#) && shown.ends_with("(encrypted)"), "{shown}");
    talk.tell(Deed::Wifi(&nowhere(), "secret123"), &all(), &now()).expect("told");
    assert!(talk.shown().contains(r#""password":"***""#), "{}", talk.shown());
    assert!(!format!("{talk:?}").contains("old"));
}

#[test]
fn lists_of_networks_are_hostile() {
    let read = |list: Value| networks(&json!({"wifiList": list}));
    let good = json!({"ssid": "bm93aGVyZQ==", "signal": "31", "channel": "6", "encryption": 0, "cipher": 0});
    assert_eq!(read(good.clone()).len(), 1, "an object for a list");
    let strong = json!({"ssid": "", "bssid": "x", "signal": 99, "channel": 1, "encryption": 8, "cipher": 4});
    let both = read(json!([good, strong]));
    assert_eq!(both.iter().map(|one| one.signal).collect::<Vec<_>>(), [Some(99), Some(31)]);
    assert_eq!((both[0].name.as_str(), both[0].bssid.as_deref()), ("", None));
    assert!(both[1].is_named("nowhere") && !both[1].is_named("") && both[1].is_open());
    for (key, value) in [
        ("ssid", json!("no base64!")),
        ("ssid", json!(BASE64_STANDARD.encode([b'x'; 33]))),
        ("channel", json!(0)),
        ("channel", json!(-1)),
        ("channel", json!(1e99)),
        ("encryption", json!(null)),
        ("cipher", json!([])),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        assert_eq!(read(bad.clone()), [], "{bad}");
    }
    assert_eq!(read(json!(vec![good; 5000])).len(), super::super::lenient::MOST);
    for odd in [json!(null), json!([]), json!("x"), json!([[[]]]), json!({"wifiList": {}})] {
        assert_eq!(networks(&odd), []);
        assert_eq!(Called::read(&odd), Called { user: "0".into(), ..Called::default() });
        assert_eq!(point(&odd), None);
    }
    let escape =
        json!({"ssid": BASE64_STANDARD.encode("\u{1b}[2Jx\n"), "channel": 1, "encryption": 0, "cipher": 0});
    assert_eq!(read(escape)[0].name, "[2Jx");
}

#[test]
fn passwords_fit_their_network() {
    let of = |encryption: u64, cipher: u64| Network { encryption, cipher, ..nowhere() };
    let (long, digits) = ("x".repeat(64), "ab".repeat(32));
    for (network, good, bad) in [
        (of(6, 3), vec!["12345678", &long[1..], digits.as_str()], vec!["", "1234567", &long, "1234567\n9"]),
        (of(0, 0), vec![""], vec!["12345678"]),
        (of(2, 1), vec!["12345", "1234567890123", "0123456789"], vec!["", "123456", "012345678x"]),
        (of(0, 1), vec!["12345"], vec![""]),
    ] {
        for password in good {
            assert_eq!(network.check(password), Ok(()), "{password:?}");
        }
        for password in bad {
            let why = network.check(password).expect_err(password);
            assert!(password.is_empty() || !why.contains(password), "{why}");
        }
    }
}

#[test]
fn a_broker_is_where_a_plug_can_reach_it() {
    let parse = |text: &str| Broker::parse(text, false);
    assert_eq!(parse(" 192.168.1.10 ").expect("good").to_string(), "192.168.1.10:8883");
    assert_eq!(parse("broker.lan:443").expect("good").to_string(), "broker.lan:443");
    assert!(parse("broker.lan").expect("good").is_name() && !parse("192.168.1.10").expect("good").is_name());
    for bad in [
        "",
        ":8883",
        "host:",
        "host:0",
        "host:65536",
        "host:x",
        "mqtts://host",
        "::1",
        "[::1]:8883",
        "two words",
        "127.0.0.1",
        "localhost",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        "10.10.10.2",
        "1.2.3",
        "1.2.3.4.5",
    ] {
        assert!(parse(bad).is_err(), "{bad}");
    }
    assert!(parse(&"x".repeat(64)).is_err());
    assert!(Broker::parse("127.0.0.1:8883", true).is_ok(), "a simulated plug");
}

#[test]
fn what_a_plug_calls_is_read_as_it_stands_there() {
    let read = |firmware: Value| Called::read(&json!({"all": {"system": {"firmware": firmware}}}));
    let called = read(
        json!({"server": "a.example", "port": "443", "secondServer": "b.example", "secondPort": 2001, "userId": 4711}),
    );
    assert_eq!(called.first.expect("one").to_string(), "a.example:443");
    assert_eq!((called.second.expect("two").port, called.user.as_str()), (2001, "4711"));
    assert_eq!(
        read(json!({"server": "", "port": 0, "userId": ""})),
        Called { user: "0".into(), ..Called::default() }
    );
    assert_eq!(read(json!({"userId": "0\",\"x"})).user, "0");
    assert_eq!(read(json!({"server": "a", "port": 70000})).first, None);
}

#[test]
fn a_point_has_its_size_and_form() {
    let answer = |bytes: &[u8]| json!({"ecdhe": {"step": 2, "pubkey": BASE64_STANDARD.encode(bytes)}});
    let good = [[4].as_slice(), &[7; 64]].concat();
    assert_eq!(point(&answer(&good)), Some(good.clone()));
    for bad in [&good[..64], &[good.as_slice(), &[0]].concat(), &[2; 65], &[]] {
        assert_eq!(point(&answer(bad)), None);
    }
    assert_eq!(point(&json!({"ecdhe": {"pubkey": 4}})), None);
}
