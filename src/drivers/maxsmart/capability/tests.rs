use super::*;
use crate::model::ScheduleEdit;
use std::time::Duration;

const SN: Option<&str> = Some("SWP6000000000001");

/// 2026-11-21 12:00:00 in a zone an hour ahead.
fn now() -> Now {
    Now { up: Duration::ZERO, unix_ms: 1_795_258_800_000, utc_offset_s: 3600, dst_s: 0, nonce: 5 }
}

/// The arguments of a request, decoded.
fn arguments(target: &str) -> Value {
    let json = target.split_once("&json=").map_or("null", |(_, json)| json);
    let mut bytes = Vec::new();
    let mut rest = json.bytes();
    while let Some(byte) = rest.next() {
        let digits: Option<String> = (byte == b'%').then(|| rest.by_ref().take(2).map(char::from).collect());
        bytes.push(digits.and_then(|digits| u8::from_str_radix(&digits, 16).ok()).unwrap_or(byte));
    }
    serde_json::from_slice(&bytes).expect("JSON")
}

fn acts(query: &Query, clock: Option<&Clock>, command: u16, want: Value) {
    let (sent, target) = act(query, None, clock, &now()).expect("a request");
    assert_eq!((sent, arguments(&target)), (command, want), "{query:?}");
}

fn rule(id: i64) -> RawRule {
    let days = Days::from_sunday([false, true, true, true, true, true, false]);
    RawRule { id, enabled: true, ports: vec![Some(true), Some(false), None], days, minute: 615, once: None }
}

#[test]
fn requests_are_encoded_throughout() {
    let name = Name::clean("Büro & Bad").expect("a name");
    let (_, target) = act(&Query::Names(Rename { port: 2, name }), SN, None, &now()).expect("a request");
    assert_eq!(
        target,
        "/?cmd=201&json=%7B%22name%22%3A%22B%C3%BCro%20%26%20Bad%22%2C%22port%22%3A2%2C%22sn%22%3A%22SWP6000000000001%22%7D"
    );
    assert_eq!(look(&Query::Hardware, SN), Some((124, "/?cmd=124".into())));
    let call = Query::Call(Call { command: 7, arguments: None });
    assert_eq!(look(&call, None), Some((7, "/?cmd=007".into())));
}

#[test]
fn what_is_set_is_written_as_the_plug_wants_it() {
    let clock = Clock::read("2013-12-26,00:00:10", &now()).expect("a clock");
    let timer = Query::Countdown(CountdownQuery { port: 3, minutes: Some(20) });
    acts(&timer, Some(&clock), 204, json!({"port": 3, "start": "2013-12-26,00:00:10", "delay": 20}));
    acts(&timer, None, 204, json!({"port": 3, "start": "2026-11-21,12:00:00", "delay": 20}));
    let week = json!([0, 1, 1, 1, 1, 1, 0]);
    for (change, mode, id) in
        [(ScheduleEdit::Add(rule(0)), 0, 10_000_005), (ScheduleEdit::Change(rule(77)), 1, 77)]
    {
        let want =
            json!({"mode": mode, "id": id, "en": 1, "port": [1, 0, 2], "time": 615, "day": 0, "week": week});
        acts(&Query::Schedule(Access::Write(change)), None, 206, want);
    }
    let delete =
        json!({"mode": 2, "id": 9, "en": 0, "port": [], "time": 0, "day": 0, "week": [0, 0, 0, 0, 0, 0, 0]});
    acts(&Query::Schedule(Access::Write(ScheduleEdit::Delete(9))), None, 206, delete);
    let price = Price { cost: 0.219, currency: Currency::Chf };
    acts(&Query::Price(Access::Write(price)), None, 205, json!({"cost": "0.22", "money": 3}));
    let group = LeaderGroup { roles: vec![Role::Leader, Role::Follower, Role::Neutral], limit_w: Some(35) };
    acts(&Query::Leader(Access::Write(group)), None, 202, json!({"master": [1, 0, 2], "limit": 3}));
    let days = Days::from_sunday([true]);
    let presence = PresenceSimulation { enabled: true, days, from: 1320, to: 120, ports: vec![true, false] };
    let want = json!({"en": 1, "week": [1, 0, 0, 0, 0, 0, 0], "time": [1320, 120], "port": [1, 0]});
    acts(&Query::PresenceSimulation(Access::Write(presence)), None, 207, want);
}

#[test]
fn what_would_harm_is_not_sent() {
    let call = |command, arguments: Option<&str>| {
        refused(&Query::Call(Call { command, arguments: arguments.map(Into::into) }))
    };
    for harmful in [1, 2, 5, 30, 73, 120] {
        let why = call(harmful, None).expect("a refusal");
        assert!(why.contains(&format!("command {harmful} is not sent")), "{why}");
    }
    assert!(call(120, None).is_some_and(|why| why.contains("factory reset")));
    assert_eq!(call(511, None), None);
    assert_eq!(call(515, Some(r#"{"port":1}"#)), None);
    for wrong in ["", "[1]", "{", "7"] {
        assert!(call(515, Some(wrong)).is_some(), "{wrong}");
    }
    let name =
        |text: &str| refused(&Query::Names(Rename { port: 0, name: Name::clean(text).expect("a name") }));
    assert_eq!(name("Büro & Bad"), None);
    for wrong in ["quote\"", "back\\slash", "twenty-two characters!", "ÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄÄ"] {
        assert!(name(wrong).is_some(), "{wrong}");
    }
    let group = |roles, limit_w| refused(&Query::Leader(Access::Write(LeaderGroup { roles, limit_w })));
    assert_eq!(group(vec![Role::Neutral], Some(2)), None);
    assert!(group(vec![Role::Leader, Role::Leader], Some(2)).is_some());
    assert!(group(vec![Role::Leader], Some(3)).is_some() && group(vec![Role::Leader], None).is_some());
    let nobody = RawRule { ports: vec![None; 6], ..rule(1) };
    let never = RawRule { days: Days::default(), ..rule(1) };
    let late = RawRule { minute: 1440, ..rule(1) };
    for wrong in [nobody, never, late] {
        assert!(
            refused(&Query::Schedule(Access::Write(ScheduleEdit::Add(wrong.clone())))).is_some(),
            "{wrong:?}"
        );
    }
    for cost in [f64::NAN, -0.1, 100.0] {
        assert!(
            refused(&Query::Price(Access::Write(Price { cost, currency: Currency::Eur }))).is_some(),
            "{cost}"
        );
    }
}

fn tells(query: Query, data: &str, want: QueryReply) {
    let command = look(&query, None).expect("a request").0;
    let body = format!(r#"{{"response":{command},"code":200,"data":{data}}}"#);
    assert_eq!(heard(&query, body.as_bytes(), None, &now()), Ok(want), "{data}");
}

#[test]
fn answers_are_read_leniently() {
    let running = Countdown { minutes: 5, left_s: 60 };
    let timer = Query::Countdown(CountdownQuery { port: 1, minutes: None });
    tells(
        timer.clone(),
        r#"{"start":"2026-11-21,11:56:00","delay":5}"#,
        QueryReply::Countdown(Some(running)),
    );
    tells(
        timer.clone(),
        r#"{"Start":"2026-11-21,11:56:00","delay":"5"}"#,
        QueryReply::Countdown(Some(running)),
    );
    for none in [r#"{"start":"2026-11-21,11:00:00","delay":5}"#, r#"{"start":"","delay":0}"#, "{}"] {
        tells(timer.clone(), none, QueryReply::Countdown(None));
    }
    // What lies in the memory of a plug without a timer.
    tells(timer, "{\"start\":\"\u{1}\u{0}ab\u{7}\",\"delay\":0}", QueryReply::Countdown(None));

    let listed = r#"{"total":2,"page":0,"rule":[{"id":77,"en":1,"port":[1,0,2],"time":615,"day":0,"week":[0,1,1,1,1,1,0]},
        {"id":"8","en":0,"port":[1],"time":9999,"day":1795303800,"week":[0,0,0,0,0,0,0]},{"en":1},7]}"#;
    let once = RawRule {
        id: 8,
        enabled: false,
        ports: vec![Some(true)],
        days: Days::default(),
        minute: 0,
        once: Some(1_795_303_800),
    };
    tells(Query::Schedule(Access::Read), listed, QueryReply::Schedule(vec![rule(77), once]));
    tells(Query::Schedule(Access::Read), "{}", QueryReply::Schedule(vec![]));

    let price = Price { cost: 1.01, currency: Currency::Chf };
    tells(
        Query::Price(Access::Read),
        r#"{"cost":"1.01","money":3,"watt":[]}"#,
        QueryReply::Price(Some(price)),
    );
    tells(Query::Price(Access::Read), r#"{"cost":"","money":3}"#, QueryReply::Price(None));
    let roles = vec![Role::Leader, Role::Follower, Role::Neutral, Role::Neutral];
    let group = LeaderGroup { roles, limit_w: Some(10) };
    tells(Query::Leader(Access::Read), r#"{"master":[1,0,2,"x"],"limit":2}"#, QueryReply::Leader(group));
    let group = LeaderGroup { roles: vec![Role::Follower], limit_w: None };
    tells(Query::Leader(Access::Read), r#"{"master":[0],"limit":9}"#, QueryReply::Leader(group));
    let days = Days::from_sunday([true]);
    let presence = PresenceSimulation { enabled: true, days, from: 60, to: 120, ports: vec![true, false] };
    tells(
        Query::PresenceSimulation(Access::Read),
        r#"{"en":1,"week":[1,0,0,0,0,0,0],"time":[60,120],"port":[1,0]}"#,
        QueryReply::PresenceSimulation(presence),
    );
    let hardware = Hardware {
        mac: Mac::parse("020000000001"),
        cpuid: Some("AABBCCDDEEFF".into()),
        server: Some("www.example".into()),
    };
    let told = r#"{"pclmac":"02:00:00:00:00:01","plcdak":"0000-1111","cpuid":"AABBCCDDEEFF","server":"www.example"}"#;
    tells(Query::Hardware, told, QueryReply::Hardware(hardware));
}

#[test]
fn rules_have_an_end() {
    let listed =
        vec![r#"{"id":1,"en":1,"port":[1],"time":60,"day":0,"week":[1,1,1,1,1,1,1]}"#; 1000].join(",");
    let body = format!(r#"{{"response":516,"code":200,"data":{{"rule":[{listed}]}}}}"#);
    let Ok(QueryReply::Schedule(rules)) =
        heard(&Query::Schedule(Access::Read), body.as_bytes(), None, &now())
    else {
        panic!("no rules")
    };
    assert_eq!(rules.len(), MAX_RULES);
}

#[test]
fn a_raw_answer_moves_no_cursor() {
    let call = Query::Call(Call { command: 511, arguments: None });
    let reply = "{\"response\":511,\"code\":200,\"name\":\"a\u{7f}\u{9b}2J\u{202e}\u{e4}\\u001b\"}";
    let Ok(QueryReply::Call(text)) = heard(&call, reply.as_bytes(), None, &now()) else {
        panic!("no answer")
    };
    assert!(!text.chars().any(|c| c.is_control() || c == '\u{202e}'), "{text:?}");
    let (told, said): (Value, Value) =
        (serde_json::from_str(&text).expect("JSON"), serde_json::from_str(reply).expect("JSON"));
    assert_eq!(told, said);
}

#[test]
fn a_raw_answer_has_no_credentials_in_it() {
    let call = Query::Call(Call { command: 124, arguments: None });
    let reply =
        br#"{"response":124,"code":200,"data":{"plcdak":"0000-1111","list":[{"sak":"123456789ABC"}]}}"#;
    let Ok(QueryReply::Call(text)) = heard(&call, reply, None, &now()) else { panic!("no answer") };
    assert!(text.contains("***") && !text.contains("1111") && !text.contains("ABC"), "{text}");
    let call = Query::Call(Call { command: 90, arguments: Some(r#"{"port":1}"#.into()) });
    let datagram = v3_call(&call, SN).expect("a datagram");
    assert_eq!(datagram, br#"V3{"cmd":90,"port":1,"sn":"SWP6000000000001"}"#);
    assert_eq!(v3_call(&Query::Schedule(Access::Read), SN), None);
}
