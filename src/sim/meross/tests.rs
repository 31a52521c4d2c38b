use super::*;
use serde_json::Value;
use serde_json::json;

fn message(plug: &Meross, method: &str, namespace: &str, payload: &Value) -> String {
    under(plug.key(), method, namespace, payload)
}

fn under(key: &str, method: &str, namespace: &str, payload: &Value) -> String {
    let id = "0123456789abcdef0123456789abcdef";
    let sign = crypt::sign(id, key, 1_700_000_000);
    let header = json!({"from": "/app/0-plug2mqtt/subscribe", "messageId": id, "method": method, "payloadVersion": 1,
        "namespace": format!("Appliance.{namespace}"), "sign": sign, "timestamp": 1_700_000_000, "triggerSrc": "test"});
    json!({"header": header, "payload": payload}).to_string()
}

fn body(reply: Option<Vec<u8>>) -> Option<String> {
    let reply = String::from_utf8(reply?).expect("text");
    let (_, body) = reply.split_once("\r\n\r\n").or_else(|| reply.split_once("\n\n")).expect("a head");
    Some(body.to_owned())
}

/// Posts a message in the way the plug wants it.
fn ask(
    plug: &mut Meross,
    now_s: f64,
    method: &str,
    namespace: &str,
    payload: &Value,
) -> Option<(String, Value)> {
    let text = message(plug, method, namespace, payload);
    let key = crypt::lan_key(plug.uuid(), plug.key(), &plug.mac());
    let sealed = plug.encrypts() && namespace != "System.Ability";
    let sent = if sealed { crypt::seal(&key, text.as_bytes()) } else { text };
    let reply = body(plug.post(now_s, "/config", sent.as_bytes()))?;
    let reply =
        if sealed { crypt::open(&key, reply.as_bytes()).expect("sealed") } else { reply.into_bytes() };
    let reply: Value = serde_json::from_slice(&reply).expect("JSON");
    let method = reply.pointer("/header/method").and_then(Value::as_str).expect("a method");
    Some((method.to_owned(), reply.get("payload").expect("a payload").clone()))
}

fn get(plug: &mut Meross, now_s: f64, namespace: &str) -> Value {
    let (method, payload) = ask(plug, now_s, "GET", namespace, &json!({})).expect("an answer");
    assert_eq!(method, "GETACK");
    payload
}

fn toggle(plug: &mut Meross, now_s: f64, channel: u64, on: u64) -> Option<(String, Value)> {
    let (namespace, payload) = match plug.kind().is_old() {
        true => ("Control.Toggle", json!({"channel": 0, "toggle": {"onoff": on}})),
        false => ("Control.ToggleX", json!({"togglex": {"channel": channel, "onoff": on}})),
    };
    ask(plug, now_s, "SET", namespace, &payload)
}

#[test]
fn every_kind_tells_what_it_can_and_answers_what_it_lists() {
    for kind in Kind::ALL {
        let mut plug = Meross::new(kind, 7);
        let ability = get(&mut plug, 1.0, "System.Ability");
        let list = ability.get("ability").and_then(Value::as_object).expect("a list");
        assert_eq!(list.len(), kind.ability.len(), "{}", kind.name);
        let all = get(&mut plug, 2.0, "System.All");
        assert_eq!(all.pointer("/all/system/hardware/type"), Some(&kind.name.into()));
        assert_eq!(all.pointer("/all/system/hardware/uuid"), Some(&plug.uuid().into()));
        for name in list.keys() {
            let namespace = name.strip_prefix("Appliance.").expect("a prefix");
            let closed = [
                "Config.Key",
                "Config.Wifi",
                "Config.WifiX",
                "Control.Bind",
                "Control.Unbind",
                "Control.Upgrade",
                "Control.Multiple",
                "System.Report",
                "System.Clock",
                "Config.NtpSite",
                "Encrypt.ECDHE",
                "Control.OverTemp",
                "Control.AlertReport",
                "Control.AlertConfig",
                "Config.StandbyKiller",
                "Control.Sensor.History",
            ];
            let answer = ask(&mut plug, 3.0, "GET", namespace, &json!({}));
            assert_eq!(answer.is_none(), closed.contains(&namespace), "{} {namespace}", kind.name);
        }
    }
}

#[test]
fn a_switch_is_what_captures_show() {
    for kind in Kind::ALL.into_iter().filter(|kind| kind.relays != Relays::None) {
        let mut plug = Meross::new(kind, 7);
        assert_eq!(toggle(&mut plug, 10.0, 0, 0), Some(("SETACK".into(), json!({}))), "{}", kind.name);
        assert_eq!(plug.relay(0), Some(false));
        assert_eq!(plug.toggled().collect::<Vec<_>>(), [Toggled { channel: 0, on: false }]);
        assert_eq!(toggle(&mut plug, 11.0, 0, 2).map(|answer| answer.0).as_deref(), Some("SETACK"));
        assert_eq!(plug.relay(0), Some(false));
        assert!(kind.is_old() || toggle(&mut plug, 12.0, 9, 1).is_none());
    }
    let mut plug = Meross::new(&Kind::MSS310_HW1, 1).with_time(Some(1_714_345_202));
    toggle(&mut plug, 0.0, 0, 1);
    let told = json!({"toggle": {"onoff": 1, "lmTime": 1_714_345_202}});
    assert_eq!(get(&mut plug, 1.0, "Control.Toggle"), told);
    let all = get(&mut plug, 1.0, "System.All");
    let control = json!({"toggle": {"onoff": 1, "lmTime": 1_714_345_202}, "trigger": [], "timer": []});
    assert_eq!(all.pointer("/all/control"), Some(&control));
    let mut plug = Meross::new(&Kind::MSS310_HW2, 2);
    let one = json!({"channel": 0, "togglex": {"channel": 0, "onoff": 1, "lmTime": 0}});
    assert_eq!(get(&mut plug, 1.0, "Control.ToggleX"), one);
    let mut plug = Meross::new(&Kind::MSS110, 3);
    let list = json!({"channel": 4_294_967_295_u64, "togglex": [{"channel": 0, "onoff": 1, "lmTime": 0}]});
    assert_eq!(get(&mut plug, 1.0, "Control.ToggleX"), list);
}

#[test]
fn the_master_of_a_strip_switches_all_and_tells_nothing_of_single_outlets() {
    let mut strip = Meross::new(&Kind::MSS425E, 4).with_relays(false);
    toggle(&mut strip, 1.0, 2, 1);
    assert_eq!(
        [0, 1, 2, 3, 4].map(|channel| strip.relay(channel)),
        [false, false, true, false, false].map(Some)
    );
    toggle(&mut strip, 2.0, 0, 1);
    assert_eq!([0, 1, 2, 3, 4].map(|channel| strip.relay(channel)), [Some(true); 5]);
    strip.press(3.0, 4);
    assert_eq!((strip.relay(0), strip.relay(4), strip.relay(5)), (Some(true), Some(false), None));
}

#[test]
fn wrong_keys_are_refused_and_change_nothing() {
    for kind in [&Kind::MSS310_HW2, &Kind::MSS110] {
        let mut plug = Meross::new(kind, 5);
        let payload = json!({"togglex": {"channel": 0, "onoff": 0}});
        let text = under("wrong", "SET", "Control.ToggleX", &payload);
        let key = crypt::lan_key(plug.uuid(), plug.key(), &plug.mac());
        let sent = if plug.encrypts() { crypt::seal(&key, text.as_bytes()) } else { text.clone() };
        let reply = body(plug.post(1.0, "/config", sent.as_bytes())).expect("an answer");
        let reply = if plug.encrypts() {
            crypt::open(&key, reply.as_bytes()).expect("sealed")
        } else {
            reply.into_bytes()
        };
        let reply = String::from_utf8(reply).expect("text");
        assert!(reply.contains(r#""method":"ERROR""#) && reply.contains(r#""code":5001"#), "{reply}");
        assert!(reply.contains(&format!("/appliance/{}/publish", plug.uuid())), "{reply}");
        assert_eq!(plug.relay(0), Some(true));
        let mut fresh = Meross::new(kind, 6).unpaired();
        let open = fresh.post(1.0, "/config", text.as_bytes()).is_some();
        assert_eq!(open, !fresh.encrypts());
        assert_eq!(fresh.relay(0), Some(fresh.encrypts()));
    }
}

#[test]
fn what_a_plug_does_not_understand_closes_the_connection_or_restarts_it() {
    let mut plug = Meross::new(&Kind::MSS310_HW2, 5);
    let good = message(&plug, "GET", "System.All", &json!({}));
    for (path, text) in [
        ("/config", String::new()),
        ("/config", "1".into()),
        ("/config", "{}".into()),
        ("/config", good.replace(r#""payload":{}"#, r#""payload":[]"#)),
        ("/config", message(&plug, "GET", "Control.ConsumptionH", &json!({}))),
        ("/config", message(&plug, "GET", "Control.Nothing", &json!({}))),
        ("/config", message(&plug, "NONE", "System.All", &json!({}))),
        (
            "/config",
            message(&plug, "SET", "Control.ToggleX", &json!({"togglex": [{"channel": 0, "onoff": 1}]})),
        ),
        ("/public", good.clone()),
        ("/", good.clone()),
    ] {
        assert_eq!(plug.post(1.0, path, text.as_bytes()), None, "{path} {text}");
    }
    assert!(plug.post(1.0, "/config", good.as_bytes()).is_some() && plug.is_up(1.0));
    let mut fragile = Meross::new(&Kind::MSS310_HW2, 5).rebooting_when_confused();
    assert_eq!(fragile.post(1.0, "/config", b"1"), None);
    assert!(!fragile.is_up(2.0) && fragile.is_up(6.0));
    let mut refoss = Meross::new(&Kind::EM06, 5).with_key("");
    let good = message(&refoss, "GET", "System.All", &json!({}));
    assert!(refoss.post(1.0, "/public", good.as_bytes()).is_some());
}

#[test]
fn an_encrypting_plug_says_in_the_clear_what_it_can_and_no_more() {
    for kind in Kind::ALL.into_iter().filter(|kind| kind.encrypts()) {
        let mut plug = Meross::new(kind, 9);
        let plain = message(&plug, "GET", "System.All", &json!({}));
        assert_eq!(plug.post(1.0, "/config", plain.as_bytes()), None);
        assert!(get(&mut plug, 1.0, "System.Ability").pointer("/ability/Appliance.Encrypt.ECDHE").is_some());
        assert!(get(&mut plug, 1.0, "System.All").get("all").is_some());
        assert_eq!(plug.post(1.0, "/config", b"bm8gbWVzc2FnZQ=="), None);
    }
    let mut plug = Meross::new(&Kind::MSS310_HW6, 9);
    let plain = message(&plug, "GET", "System.All", &json!({}));
    assert!(plug.post(1.0, "/config", plain.as_bytes()).is_some());
    plug.update(2.0);
    assert_eq!(plug.post(7.0, "/config", plain.as_bytes()), None);
    assert!(get(&mut plug, 7.0, "System.Ability").pointer("/ability/Appliance.Encrypt.ECDHE").is_some());
    assert!(get(&mut plug, 7.0, "System.All").get("all").is_some());
}

#[test]
fn a_command_without_its_source_is_acknowledged_and_ignored_by_7_3_46() {
    let mut plug = Meross::new(&Kind::MSS110_7_3_46, 9);
    let payload = json!({"togglex": {"channel": 0, "onoff": 0}});
    let text = message(&plug, "SET", "Control.ToggleX", &payload)
        .replace(r#""triggerSrc":"test""#, r#""triggerSrc":"""#);
    let key = crypt::lan_key(plug.uuid(), plug.key(), &plug.mac());
    assert!(plug.post(1.0, "/config", crypt::seal(&key, text.as_bytes()).as_bytes()).is_some());
    assert_eq!(plug.relay(0), Some(true));
    toggle(&mut plug, 2.0, 0, 0);
    assert_eq!(plug.relay(0), Some(false));
}

#[test]
fn power_is_told_in_the_units_of_the_captures() {
    let load = Load::Constant { milliwatts: 67_379 };
    let mut plug = Meross::new(&Kind::MSS310_HW1, 1).load(1, load);
    let told = json!({"electricity": {"channel": 0, "current": 325, "voltage": 2300, "power": 67_379}});
    assert_eq!(get(&mut plug, 1.0, "Control.Electricity"), told);
    let mut plug = Meross::new(&Kind::MSS305, 1).load(1, load);
    let config = json!({"voltageRatio": 188, "electricityRatio": 101, "maxElectricityCurrent": 14_000});
    assert_eq!(get(&mut plug, 1.0, "Control.Electricity").pointer("/electricity/config"), Some(&config));
    let mut lingering = Meross::new(&Kind::MSS310R, 1).load(1, load);
    toggle(&mut lingering, 10.0, 0, 0);
    let power = |plug: &mut Meross, now_s| {
        get(plug, now_s, "Control.Electricity").pointer("/electricity/power").cloned()
    };
    assert_eq!(power(&mut lingering, 11.0), Some(67_379.into()));
    assert_eq!(power(&mut lingering, 13.0), Some(0.into()));
    let mut circuits = Meross::new(&Kind::EM06, 1).load(2, load);
    let told = get(&mut circuits, 1.0, "Control.ElectricityX");
    let circuit = json!({"channel": 2, "current": 325, "voltage": 230_000, "power": 67_379, "mConsume": 0, "factor": 0.9});
    assert_eq!(told.pointer("/electricity/1"), Some(&circuit));
}

#[test]
fn nothing_is_measured_without_the_time_and_on_hardware_6_without_a_zone() {
    let load = Load::Constant { milliwatts: 360_000 };
    let voltage = |plug: &mut Meross, now_s| {
        get(plug, now_s, "Control.Electricity").pointer("/electricity/voltage").and_then(Value::as_u64)
    };
    let mut blocked = Meross::new(&Kind::MSS310_HW2, 1).load(1, load).with_time(None);
    assert_eq!(voltage(&mut blocked, 60.0), Some(0));
    assert_eq!(blocked.drawn_wh(3_600.0), 0);
    let time = json!({"time": {"timestamp": 1_795_219_292, "timezone": "", "timeRule": []}});
    assert!(ask(&mut blocked, 3_600.0, "SET", "System.Time", &time).is_some());
    assert_eq!(voltage(&mut blocked, 3_601.0), Some(2300));
    assert_eq!(blocked.drawn_wh(7_200.0), 360);
    let days = get(&mut blocked, 7_200.0, "Control.ConsumptionX");
    assert_eq!(days.pointer("/consumptionx/0/date"), Some(&"2026-11-21".into()));
    let mut zoneless = Meross::new(&Kind::MSS310_HW6, 1).load(1, load);
    assert_eq!(voltage(&mut zoneless, 60.0), Some(0));
    let time = json!({"time": {"timezone": "Europe/Zurich", "timeRule": [[1_792_890_000, 3600, 0]]}});
    ask(&mut zoneless, 61.0, "SET", "System.Time", &time).expect("set");
    assert_eq!(voltage(&mut zoneless, 62.0), Some(2300));
    blocked.reboot(7_200.0);
    assert_eq!(voltage(&mut blocked, 7_210.0), Some(0));
}

#[test]
fn long_replies_break_what_each_kind_breaks() {
    let packed = |plug: &Meross, count: usize| {
        let one = json!({"header": {"messageId": "0", "method": "GET", "namespace": "Appliance.System.All"}, "payload": {}});
        message(plug, "SET", "Control.Multiple", &json!({"multiple": vec![one; count]}))
    };
    for (kind, count) in [(&Kind::MSS310_HW2, 5), (&Kind::MSS305, 3), (&Kind::MSS310_HW6, 3)] {
        let mut plug = Meross::new(kind, 3);
        let request = packed(&plug, 1);
        let reply = body(plug.post(1.0, "/config", request.as_bytes())).expect("an answer");
        assert!(reply.contains(r#""payload":{"multiple":[{"header":"#), "{reply}");
        let request = packed(&plug, count);
        let reply = plug.post(2.0, "/config", request.as_bytes());
        match kind.too_long {
            TooLong::Closes => assert!(reply.is_none() && plug.is_up(2.0)),
            TooLong::Reboots => assert!(reply.is_none() && !plug.is_up(2.0) && plug.relay(0) == Some(false)),
            TooLong::Cuts => assert_eq!(body(reply).map(|body| body.len()), Some(LONGEST_REPLY)),
        }
    }
}

#[test]
fn timers_of_the_plug_switch_it() {
    // 2026-11-21 00:01:32 UTC, a Saturday.
    let mut plug = Meross::new(&Kind::MSS310_HW2, 1).with_time(Some(1_795_219_292));
    let timer = json!({"timerx": {"id": "abcdefghijklm123", "type": 1, "enable": 1, "channel": 0, "alias": "x", "time": 3,
        "week": 128 + 64, "duration": 0, "sunOffset": 0, "createTime": 1, "extend": {"toggle": {"onoff": 0, "lmTime": 0}}}});
    ask(&mut plug, 0.0, "SET", "Control.TimerX", &timer).expect("set");
    let digest = json!({"digest": [{"channel": 0, "id": "abcdefghijklm123", "count": 1}]});
    assert_eq!(get(&mut plug, 1.0, "Digest.TimerX"), digest);
    get(&mut plug, 87.0, "System.Runtime");
    assert_eq!(plug.relay(0), Some(true));
    get(&mut plug, 90.0, "System.Runtime");
    assert_eq!(plug.relay(0), Some(false));
    let id = json!({"timerx": {"id": "abcdefghijklm123"}});
    assert_eq!(
        ask(&mut plug, 91.0, "DELETE", "Control.TimerX", &id).map(|answer| answer.0).as_deref(),
        Some("DELETEACK")
    );
    assert_eq!(get(&mut plug, 92.0, "Digest.TimerX"), json!({"digest": []}));
}

#[test]
fn a_search_is_answered_by_some_and_by_its_make() {
    let ask = |plug: &mut Meross, id: &str| {
        let question = format!(r#"{{"id":"{id}","devName":"*"}}"#);
        plug.broadcast(1.0, question.as_bytes()).len()
    };
    let (meross, refoss) = ("49f33d8a2de2f2089ccf45ba8cdd4440", "48cbd88f969eb3c486085cfe7b5eb1e4");
    let mut plug = Meross::new(&Kind::MSS310_HW2, 1);
    assert_eq!((ask(&mut plug, meross), ask(&mut plug, refoss)), (1, 0));
    let mut meter = Meross::new(&Kind::EM06, 1);
    assert_eq!((ask(&mut meter, meross), ask(&mut meter, refoss)), (0, 1));
    let mut silent = Meross::new(&Kind::MSS110, 1);
    assert_eq!(ask(&mut silent, meross), 0);
    assert_eq!(plug.datagram(1.0, b"\xff"), Vec::<Vec<u8>>::new());
}

#[test]
fn it_is_re_pointed_under_its_old_key_and_set_up_by_its_access_point() {
    let mut plug = Meross::new(&Kind::MSS310_HW2, 1);
    assert_eq!(plug.login(), None);
    let gateway = json!({"host": "127.0.0.1", "port": "8883", "secondHost": "127.0.0.1", "secondPort": 8883, "redirect": 1});
    let payload = json!({"key": {"gateway": gateway, "key": "new", "userId": "0"}});
    let old = message(&plug, "GET", "System.All", &json!({}));
    assert_eq!(ask(&mut plug, 1.0, "SET", "Config.Key", &payload), Some(("SETACK".into(), json!({}))));
    assert!(body(plug.post(2.0, "/config", old.as_bytes())).is_some_and(|reply| reply.contains("5001")));
    let login = plug.login().expect("a broker");
    assert_eq!(login.username, plug.mac());
    assert_eq!(login.password, crypt::mqtt_password("0", &plug.mac(), "new"));
    assert_eq!((login.client_id.len(), plug.gateway().port), (56, 8883));
    let mut fresh = Meross::new(&Kind::MSS310_HW6, 2).unpaired();
    assert!(get(&mut fresh, 1.0, "Config.WifiList").pointer("/wifiList/0/channel").is_some());
    let key = crypt::wifi_key("mss310", fresh.uuid(), &fresh.mac());
    let wifi =
        json!({"wifi": {"ssid": "bm93aGVyZQ==", "password": crypt::seal(&key, b"secret123"), "channel": 11}});
    assert!(ask(&mut fresh, 2.0, "SET", "Config.WifiX", &wifi).is_some());
    assert_eq!(fresh.wifi(), Some(("nowhere", "secret123")));
    assert!(!fresh.is_up(3.0));
    let unbind = under("pippo", "PUSH", "Control.Unbind", &json!({}));
    assert!(body(plug.post(9.0, "/config", unbind.as_bytes())).is_some_and(|reply| reply.contains("5001")));
    assert_eq!(plug.resets(), 0, "signed with its old key");
    assert_eq!(ask(&mut plug, 9.0, "PUSH", "Control.Unbind", &json!({})), None);
    assert_eq!((plug.resets(), plug.key()), (1, ""));
}

#[cfg(feature = "tls")]
#[test]
fn a_fresh_encrypting_plug_wants_an_exchange_of_keys() {
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use md5::{Digest as _, Md5};
    let group = rustls::crypto::ring::kx_group::SECP256R1;
    let mut plug = Meross::new(&Kind::MSS110, 3).unpaired();
    let ours = group.start().expect("a key");
    let point = BASE64_STANDARD.encode(ours.pub_key());
    let exchange = json!({"ecdhe": {"step": 1, "pubkey": point}});
    let request = under("", "SET", "Encrypt.ECDHE", &exchange);
    let all = under("", "GET", "System.All", &json!({}));
    let by_key = crypt::seal(&crypt::lan_key(plug.uuid(), "", &plug.mac()), all.as_bytes());
    assert_eq!(plug.post(1.0, "/config", by_key.as_bytes()), None, "it has no key");
    let reply = body(plug.post(1.0, "/config", request.as_bytes())).expect("an answer");
    let reply: Value = serde_json::from_str(&reply).expect("JSON");
    let theirs = reply.pointer("/payload/ecdhe/pubkey").and_then(Value::as_str).expect("a point");
    let secret = ours.complete(&BASE64_STANDARD.decode(theirs).expect("base64")).expect("a secret");
    let hex: String = Md5::digest(secret.secret_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let key: [u8; 32] = hex.as_bytes().try_into().expect("32 digits");
    let sealed = crypt::seal(&key, all.as_bytes());
    let reply = body(plug.post(1.0, "/config", sealed.as_bytes())).expect("an answer");
    assert!(crypt::open(&key, reply.as_bytes()).is_some_and(|reply| reply.starts_with(b"{")));
    plug.reboot(2.0);
    assert_eq!(plug.post(9.0, "/config", sealed.as_bytes()), None, "forgotten");
    for bad in ["", "AAAA", &BASE64_STANDARD.encode([4; 65])] {
        let request = under("", "SET", "Encrypt.ECDHE", &json!({"ecdhe": {"step": 1, "pubkey": bad}}));
        assert_eq!(plug.post(9.0, "/config", request.as_bytes()), None, "{bad}");
    }
    let mut paired = Meross::new(&Kind::MSS110, 3);
    assert_eq!(paired.post(1.0, "/config", request.as_bytes()), None);
}

fn published(deeds: &[Deed]) -> Vec<(String, Value)> {
    let one = |deed: &Deed| match deed {
        Deed::Publish(topic, bytes) => Some((topic.clone(), serde_json::from_slice(bytes).expect("JSON"))),
        Deed::Close | Deed::Reboot => None,
    };
    deeds.iter().filter_map(one).collect()
}

fn names(deeds: &[Deed]) -> Vec<String> {
    let name = |(_, message): &(String, Value)| {
        let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str).expect("text").to_owned();
        format!("{} {}", text("/header/method"), text("/header/namespace").trim_start_matches("Appliance."))
    };
    published(deeds).iter().map(name).collect()
}

/// Sends a message back as it came, with another method and payload.
fn answered(deeds: &[Deed], nth: usize, method: &str, payload: &Value) -> String {
    let (_, mut message) = published(deeds).swap_remove(nth);
    message["header"]["method"] = method.into();
    message["payload"] = payload.clone();
    message.to_string()
}

#[test]
fn the_conversation_with_a_broker_goes_as_recorded() {
    let mut plug = Meross::new(&Kind::MSS315, 1).with_time(None);
    let topic = format!("/appliance/{}/subscribe", plug.uuid());
    plug.mqtt_connected(10.0);
    let said = plug.mqtt_due(10.0);
    assert_eq!(names(&said), ["PUSH System.Clock"]);
    assert_eq!(names(&plug.mqtt_due(11.0)), Vec::<String>::new());
    let again = plug.mqtt_due(13.0);
    assert_eq!(names(&again), ["PUSH System.Clock"]);
    assert_eq!(published(&again)[0].0, format!("/appliance/{}/publish", plug.uuid()));
    let clock = answered(&again, 0, "PUSH", &json!({"clock": {"timestamp": 1_795_219_292}}));
    assert_eq!(plug.mqtt_hear(14.0, &topic, clock.as_bytes()), []);
    let said = plug.mqtt_due(14.0);
    assert_eq!(names(&said), ["SET Control.Bind", "PUSH Control.ConsumptionConfig"]);
    assert_eq!(published(&said)[0].1.pointer("/payload/bind/bindTime"), Some(&1_795_219_292.into()));
    let echo = answered(&said, 1, "PUSH", &published(&said)[1].1["payload"]);
    assert_eq!(plug.mqtt_hear(14.0, &topic, echo.as_bytes()), []);
    let bound = answered(&said, 0, "SETACK", &json!({}));
    assert_eq!(
        names(&plug.mqtt_hear(15.0, &topic, bound.as_bytes())),
        ["PUSH System.Report", "PUSH System.Time"]
    );
    let off = message(&plug, "SET", "Control.ToggleX", &json!({"togglex": {"channel": 0, "onoff": 0}}));
    let reply = plug.mqtt_hear(16.0, &topic, off.as_bytes());
    assert_eq!(names(&reply), ["SETACK Control.ToggleX"]);
    assert_eq!(published(&reply)[0].0, "/app/0-plug2mqtt/subscribe");
    let pushed = plug.mqtt_due(16.0);
    let list = json!([{"channel": 0, "onoff": 0, "lmTime": 1_795_219_294}]);
    assert_eq!(published(&pushed)[0].1.pointer("/payload/togglex"), Some(&list));
    let wrong = under("wrong", "GET", "Control.Electricity", &json!({}));
    assert_eq!(names(&plug.mqtt_hear(17.0, &topic, wrong.as_bytes())), ["ERROR Control.Electricity"]);
    plug.press(18.0, 1);
    assert_eq!(names(&plug.mqtt_due(18.0)), ["PUSH Control.ToggleX"]);
    assert_eq!(plug.mqtt_hear(19.0, "/appliance/another/subscribe", off.as_bytes()), []);
    plug.set_deaf(true);
    assert_eq!(plug.mqtt_hear(20.0, &topic, off.as_bytes()), []);
    assert_eq!(plug.mqtt_due(100.0), []);
    assert!(get(&mut plug, 100.0, "System.Online").pointer("/online/status") == Some(&1.into()));
}

#[test]
fn it_leaves_a_broker_that_answers_nothing() {
    let mut plug = Meross::new(&Kind::MSS310_HW2, 1);
    plug.mqtt_connected(0.0);
    let deeds: Vec<Deed> = (0..60).flat_map(|second| plug.mqtt_due(f64::from(second))).collect();
    assert_eq!(deeds.len(), 11);
    assert_eq!(deeds.last(), Some(&Deed::Reboot));
    let mut plug = Meross::new(&Kind::MSS315, 1);
    let topic = format!("/appliance/{}/subscribe", plug.uuid());
    plug.mqtt_connected(0.0);
    let said = plug.mqtt_due(0.0);
    let clock = answered(&said, 0, "PUSH", &json!({"clock": {"timestamp": 1_795_219_292}}));
    plug.mqtt_hear(0.0, &topic, clock.as_bytes());
    let said = plug.mqtt_due(1.0);
    plug.mqtt_hear(1.0, &topic, answered(&said, 0, "SETACK", &json!({})).as_bytes());
    assert_eq!(
        (2..30).flat_map(|second| plug.mqtt_due(f64::from(second))).collect::<Vec<_>>(),
        [Deed::Close]
    );
    let mut old = Meross::new(&Kind::MSS425E, 1);
    old.mqtt_connected(0.0);
    let first = ["PUSH Control.Bind", "PUSH System.Report", "PUSH System.Time"];
    assert_eq!(names(&old.mqtt_due(0.0)), first);
}

#[test]
fn damaged_messages_never_hurt() {
    let mut plug = Meross::new(&Kind::MSS310_HW2, 1);
    let good = message(&plug, "SET", "Control.ToggleX", &json!({"togglex": {"channel": 0, "onoff": 0}}));
    for place in 0..good.len() {
        plug.post(1.0, "/config", good.get(..place).expect("ASCII").as_bytes());
        let mut bytes = good.clone().into_bytes();
        bytes[place] ^= 0x15;
        plug.post(1.0, "/config", &bytes);
        plug.datagram(1.0, &bytes);
        plug.mqtt_hear(1.0, "/appliance/x/subscribe", &bytes);
    }
    assert_eq!(plug.relay(0).map(|_| ()), Some(()));
}
