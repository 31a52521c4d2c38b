//! `panic!` on everything else is what a test wants.
#![expect(clippy::wildcard_enum_match_arm, reason = "a test names the one case it wants")]

use super::*;
use crate::model::{LogLevel, Name, SwitchAction};
use std::collections::BTreeMap;
use std::time::Duration;

mod said;
mod times;

const ALL: Allow = Allow { admin: true, raw: true };
const LITTLE: Allow = Allow { admin: false, raw: false };

fn plug() -> PlugId {
    PlugId::new("maxsmart-x1").expect("an id")
}

fn set(port: Option<&str>, payload: &[u8]) -> Incoming {
    incoming(&Topic::Set("maxsmart-x1", port), payload, ALL)
}

fn wishes(incoming: Incoming) -> Vec<(u8, SwitchAction)> {
    match incoming {
        Incoming::HubRequest(HubRequest::Switch(order)) => order.ports.into_iter().collect(),
        other => panic!("{other:?}"),
    }
}

fn refused(incoming: Incoming) -> CommandError {
    match incoming {
        Incoming::Bad(id, _, error, why) => {
            assert_eq!(id, plug());
            assert!(!why.is_empty());
            error
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn topics_are_taken_apart_and_others_left_alone() {
    let check = |text: &str, want: Option<Topic<'_>>| assert_eq!(topic("home/p", text), want, "{text}");
    check("home/p/maxsmart-x1/set", Some(Topic::Set("maxsmart-x1", None)));
    check("home/p/maxsmart-x1/3/set", Some(Topic::Set("maxsmart-x1", Some("3"))));
    check("home/p/maxsmart-x1/get", Some(Topic::Get("maxsmart-x1")));
    check("home/p/bridge/request/scan", Some(Topic::Request("scan")));
    for other in ["home/p/a/b/c/set", "home/p", "home/pp/x/set", "x/y/set", "home/p/a/3/state", ""] {
        check(other, None);
    }
}

#[test]
fn words_in_any_case_are_commands() {
    for (word, wish) in [
        ("ON", SwitchAction::On),
        ("off", SwitchAction::Off),
        ("Toggle", SwitchAction::Toggle),
        ("true", SwitchAction::On),
        ("0", SwitchAction::Off),
        (" 1\n", SwitchAction::On),
        ("\"ON\"", SwitchAction::On),
        (" \"off \" ", SwitchAction::Off),
    ] {
        assert_eq!(wishes(set(Some("2"), word.as_bytes())), [(2, wish)], "{word}");
    }
    assert_eq!(wishes(set(None, b"OFF")), [(SwitchOrder::WHOLE, SwitchAction::Off)]);
}

#[test]
fn json_commands_carry_mark_life_and_hold() {
    let Incoming::HubRequest(HubRequest::Switch(order)) =
        set(Some("1"), br#"{"state":"ON","id":"nr-17","ttl_ms":5000,"for_s":900}"#)
    else {
        panic!("not an order");
    };
    assert_eq!(order.asker.mark.as_deref(), Some("\"nr-17\""));
    assert_eq!((order.ttl, order.hold), (Some(Duration::from_secs(5)), Some(Duration::from_secs(900))));
    let scene = br#"{"id":7,"ports":{"1":"ON","5":"toggle","2":false},"stagger_ms":250}"#;
    let Incoming::HubRequest(HubRequest::Switch(order)) = set(None, scene) else { panic!("not an order") };
    assert_eq!(order.asker.mark.as_deref(), Some("7"));
    assert_eq!(order.stagger, Duration::from_millis(250));
    assert_eq!(
        order.ports,
        BTreeMap::from([(1, SwitchAction::On), (2, SwitchAction::Off), (5, SwitchAction::Toggle)])
    );
}

#[test]
fn a_key_that_is_not_known_is_named_and_nothing_moves() {
    let refusal = |port, payload: &[u8]| match set(port, payload) {
        Incoming::Bad(_, mark, CommandError::BadPayload, why) => (mark, why),
        other => panic!("{other:?}"),
    };
    let (mark, why) = refusal(Some("1"), br#"{"state":"ON","for":3,"id":7}"#);
    assert_eq!(mark.as_deref(), Some("7"));
    assert_eq!(
        why,
        "a command has no key \"for\"; its keys are state, ports, ttl_ms, for_s, stagger_ms and id"
    );
    assert!(refusal(None, br#"{"ports":{"1":"ON"},"stagger":3}"#).1.contains("\"stagger\""));
    assert_eq!(
        refusal(Some("1"), br#"{"state":"ON","id":{"a":[1]},"x":0}"#).0.as_deref(),
        Some("{\"a\":[1]}")
    );
}

#[test]
fn what_is_no_command_is_refused_with_a_reason() {
    let long = [b"{\"state\":\"ON\",\"id\":\"", "x".repeat(1 << 20).as_bytes(), b"\"}"].concat();
    for bad in [
        &b"banana"[..],
        b"",
        b"\xff\xfe",
        b"{",
        b"{}",
        b"[]",
        b"{\"state\":1e999}",
        b"{\"state\":null}",
        b"{\"state\":2}",
        b"{\"state\":\"ON\",\"for_s\":0}",
        b"{\"state\":\"ON\",\"for_s\":99999999}",
        b"{\"state\":\"ON\",\"ttl_ms\":-1}",
        b"{\"state\":\"ON\",\"stagger_ms\":99999999}",
        b"{\"state\":\"ON\",\"ports\":{}}",
        b"\"ON",
        b"nan",
        &long,
    ] {
        assert_eq!(
            refused(set(Some("1"), bad)),
            CommandError::BadPayload,
            "{}",
            bad.escape_ascii().to_string().chars().take(60).collect::<String>()
        );
    }
    assert_eq!(
        refused(set(Some("1"), br#"{"ports":{"1":"ON"}}"#)),
        CommandError::BadPayload,
        "ports belong on the plug's topic"
    );
    for ports in
        [r#"{"x":"ON"}"#, r#"{"01":"ON"}"#, r#"{"0":"ON"}"#, r#"{"17":"ON"}"#, r#"{"1":"ON","1":"OFF"}"#]
    {
        let payload = format!("{{\"ports\":{ports}}}");
        assert_eq!(refused(set(None, payload.as_bytes())), CommandError::BadPayload, "{ports}");
    }
    for port in ["-1", "x", "255", "256", "", "1.0", "01", "+1", "00"] {
        assert_eq!(refused(set(Some(port), b"ON")), CommandError::UnknownPort, "{port}");
    }
    // Numbers of ports that do not exist are for the hub to refuse: it knows how many there are.
    assert_eq!(wishes(set(Some("99"), b"ON")), [(99, SwitchAction::On)]);
}

#[test]
fn who_is_refused_reads_which_key_was_wrong_and_finds_the_own_mark() {
    for (payload, key) in [
        (r#"{"state":"ON","id":"me","for_s":-5}"#, "for_s: -5 is no time"),
        (r#"{"state":"ON","id":"me","ttl_ms":"1s"}"#, "ttl_ms: it is a whole number, not \"1s\""),
        (r#"{"state":"ON","id":"me","state":"OFF"}"#, "there is twice the key `state`"),
        (r#"{"id":"me","state":"OFF","for_s":0}"#, "for_s must be"),
    ] {
        let Incoming::Bad(_, mark, error, why) = set(Some("1"), payload.as_bytes()) else {
            panic!("{payload}")
        };
        assert_eq!((mark.as_deref(), error), (Some("\"me\""), CommandError::BadPayload), "{payload}");
        assert!(why.contains(key), "{payload}: {why}");
    }
    for (verb, payload, key) in [
        (
            "device_options",
            r#"{"transaction":7,"options":{"power_change":"x"}}"#,
            "options.power_change: it is a number, not \"x\"",
        ),
        (
            "device_options",
            r#"{"transaction":7,"options":{"port":{"1":{"lock":"x"}}}}"#,
            "options.port.1.lock: there is no word `x`",
        ),
        ("countdown", r#"{"transaction":7,"port":"one"}"#, "port: it is a whole number, not \"one\""),
        ("scan", r#"{"transaction":7,"secs":1}"#, "scan has no key \"secs\""),
    ] {
        let answer = incoming(&Topic::Request(verb), payload.as_bytes(), ALL);
        let Incoming::BadRequest(_, mark, why) = answer else { panic!("{payload}") };
        assert_eq!(mark.as_deref(), Some("7"), "{payload}");
        assert!(why.contains(key), "{payload}: {why}");
    }
}

#[test]
fn a_command_to_a_name_is_told_that_it_is_no_id() {
    for device in ["+", "a b", "Ä", "bridge", "", "x".repeat(65).as_str()] {
        let nobody = Incoming::Nobody(device.into(), None);
        assert_eq!(incoming(&Topic::Set(device, Some("1")), b"ON", ALL), nobody, "{device}");
        let marked = Incoming::Nobody(device.into(), Some("7".into()));
        assert_eq!(incoming(&Topic::Set(device, None), br#"{"id":7,"state":1}"#, ALL), marked, "{device}");
        assert_eq!(incoming(&Topic::Get(device), b"", ALL), Incoming::NobodyToGet(device.into()));
    }
}

#[test]
fn a_mark_comes_back_as_it_was_or_the_command_is_refused() {
    let whole = format!("a\u{1}\n\u{7f}{}", "ü".repeat(124));
    for text in ["", "a\u{0}b\r\n", whole.as_str()] {
        let payload = serde_json::json!({"state": "ON", "id": text}).to_string();
        let Incoming::HubRequest(HubRequest::Switch(order)) = set(Some("1"), payload.as_bytes()) else {
            panic!("{text:?}")
        };
        assert_eq!(order.asker.mark, Some(serde_json::json!(text).to_string()));
    }
    for id in [serde_json::json!(format!("{whole}!")), serde_json::json!(["x".repeat(127)])] {
        let payload = serde_json::json!({"state": "ON", "id": id}).to_string();
        let Incoming::Bad(_, Some(mark), CommandError::BadPayload, why) = set(Some("1"), payload.as_bytes())
        else {
            panic!("{payload}")
        };
        let begin = serde_json::from_str::<String>(&mark).unwrap_or(mark);
        assert_eq!((begin.chars().count(), why.contains("at most 128")), (128, true), "{why}");
    }
}

#[test]
fn a_key_of_another_verb_is_refused_with_the_own_ones() {
    for (verb, payload, keys) in [
        (
            "countdown",
            r#"{"id":"maxsmart-x1","port":1,"minutes":5,"leader":2}"#,
            "\"leader\"; its keys are id, port, minutes and",
        ),
        (
            "device_rename",
            r#"{"id":"maxsmart-x1","name":"A","kwh":7}"#,
            "\"kwh\"; its keys are id, name, device_too and",
        ),
        ("scan", r#"{"secs":1}"#, "\"secs\"; its keys are seconds and transaction"),
        ("republish", r#"{"id":"maxsmart-x1"}"#, "\"id\"; its keys are none but"),
        ("adopt", r#"{"value":true,"dry_run":true}"#, "\"dry_run\"; its keys are value, time and"),
    ] {
        let why = request_of(verb, payload).expect_err(payload);
        assert!(why.starts_with(&format!("{verb} has no key")) && why.contains(keys), "{payload}: {why}");
    }
}

fn request_of(verb: &str, payload: &str) -> Result<(Request, Option<String>), String> {
    match incoming(&Topic::Request(verb), payload.as_bytes(), ALL) {
        Incoming::HubRequest(HubRequest::Request(request, asker)) => Ok((request, asker.mark)),
        Incoming::BadRequest(_, _, why) => Err(why),
        other => panic!("{other:?}"),
    }
}

#[test]
fn requests_by_word_and_by_json() {
    let ok =
        |verb, payload| request_of(verb, payload).unwrap_or_else(|why| panic!("{verb} {payload}: {why}")).0;
    assert_eq!(ok("scan", ""), Request::Scan(Duration::from_secs(5)));
    assert_eq!(ok("scan", r#"{"seconds":2}"#), Request::Scan(Duration::from_secs(2)));
    assert_eq!(ok("adopt", "OFF"), Request::Adopt(false, None));
    assert_eq!(
        ok("adopt", r#"{"value":true,"time":300}"#),
        Request::Adopt(true, Some(Duration::from_secs(300)))
    );
    assert_eq!(
        ok("device_remove", r#"{"id":"maxsmart-x1","block":true}"#),
        Request::DeviceRemove { id: plug(), block: true }
    );
    assert_eq!(
        ok("device_rename", r#"{"id":"maxsmart-x1","name":" A "}"#),
        Request::DeviceRename { id: plug(), name: Name::clean("A") }
    );
    assert_eq!(
        ok("device_rename", r#"{"id":"maxsmart-x1","name":""}"#),
        Request::DeviceRename { id: plug(), name: None }
    );
    assert_eq!(ok("log_level", "DEBUG"), Request::LogLevel(LogLevel::Debug));
    assert_eq!(ok("log_level", r#"{"level":"warn"}"#), Request::LogLevel(LogLevel::Warn));
    let options = ok(
        "device_options",
        r#"{"id":"maxsmart-x1","options":{"poll_interval":"10s","port":{"1":{"lock":"on"}}}}"#,
    );
    let Request::DeviceOptions { options, .. } = options else { panic!("{options:?}") };
    assert_eq!(options.poll_interval_ms, Some(Some(10_000)));
    assert_eq!(options.power_change, None);
    let options = ok(
        "device_options",
        r#"{"id":"maxsmart-x1","options":{"poll_interval":null,"power_change":null,"read_only":false}}"#,
    );
    let Request::DeviceOptions { options, .. } = options else { panic!("{options:?}") };
    assert_eq!((options.poll_interval_ms, options.power_change), (Some(None), Some(None)));
    assert_eq!((options.power_unit, options.read_only), (None, Some(Some(false))));
    assert_eq!(request_of("scan", r#"{"transaction":{"a":1}}"#).unwrap().1.as_deref(), Some(r#"{"a":1}"#));
}

#[test]
fn requests_that_make_no_sense_are_answered_with_the_remedy() {
    for (verb, payload) in [
        ("nonsense", ""),
        ("scan", r#"{"seconds":0}"#),
        ("scan", "{"),
        ("scan", r#"{"secs":1}"#),
        ("adopt", ""),
        ("adopt", "maybe"),
        ("device_remove", "{}"),
        ("device_remove", r#"{"id":"A B"}"#),
        ("port_rename", r#"{"id":"maxsmart-x1","name":"x"}"#),
        ("device_rename", r#"{"id":"maxsmart-x1","name":"\u0007"}"#),
        ("log_level", "loud"),
        ("device_options", r#"{"id":"maxsmart-x1"}"#),
        ("device_options", r#"{"id":"maxsmart-x1","options":{"poll_interval":"5"}}"#),
        ("device_options", r#"{"id":"maxsmart-x1","options":{"what":1}}"#),
    ] {
        assert!(!request_of(verb, payload).expect_err(verb).is_empty(), "{verb} {payload}");
    }
}

#[test]
fn on_a_shared_broker_requests_that_change_things_can_be_switched_off() {
    for verb in [
        "adopt",
        "device_remove",
        "device_rename",
        "port_rename",
        "device_options",
        "cleanup",
        "log_level",
        "restart",
    ] {
        assert!(
            matches!(incoming(&Topic::Request(verb), b"{}", LITTLE), Incoming::BadRequest(_, _, why) if why.contains("allow_admin")),
            "{verb}"
        );
    }
    for verb in ["scan", "republish", "health_check"] {
        assert!(
            !matches!(incoming(&Topic::Request(verb), b"{}", LITTLE), Incoming::BadRequest(..)),
            "{verb}"
        );
    }
}

#[test]
fn requests_to_one_plug_have_the_words_of_the_command_line() {
    use crate::model::{
        Call, ClockRequest, CountdownRequest, Currency, Days, HistoryRequest, LeaderChange,
        PresenceSimulationChange, Price, PriceRequest, Rename, RuleChange, ScheduleRequest, Span,
    };
    let weekdays: Days = "Mon-Fri".parse().expect("days");
    let rule = RuleChange {
        on: vec![1, 2],
        off: vec![3],
        at: Some(1330),
        days: Some(weekdays),
        ..RuleChange::default()
    };
    let date = RuleChange {
        id: Some(7),
        date: "2026-12-24".parse().ok(),
        enabled: Some(false),
        ..RuleChange::default()
    };
    let evenings = PresenceSimulationChange {
        enabled: Some(true),
        days: Some(weekdays),
        from: Some(1110),
        to: Some(60),
        ports: vec![1, 2],
    };
    let lead = LeaderChange { leader: Some(Some(1)), followers: vec![2, 3], limit_w: Some(5) };
    let chf = Price { cost: 0.31, currency: Currency::Chf };
    for (verb, more, want) in [
        ("clock", "", ClockRequest { set: false }.into()),
        ("clock", r#","set":true"#, ClockRequest { set: true }.into()),
        ("countdown", "", CountdownRequest::default().into()),
        (
            "countdown",
            r#","port":2,"minutes":20"#,
            CountdownRequest { port: Some(2), minutes: Some(20) }.into(),
        ),
        (
            "countdown",
            r#","port":2,"minutes":"cancel""#,
            CountdownRequest { port: Some(2), minutes: Some(0) }.into(),
        ),
        ("schedule", "", ScheduleRequest::default().into()),
        (
            "schedule",
            r#","add":{"on":[1,2],"off":[3],"at":"22:10","days":"Mon-Fri"}"#,
            ScheduleRequest::add(rule).into(),
        ),
        (
            "schedule",
            r#","change":{"id":7,"date":"2026-12-24","enabled":false}"#,
            ScheduleRequest::change(date.clone()).into(),
        ),
        (
            "schedule",
            r#","change":{"id":7,"date":"24.12.2026","enabled":false}"#,
            ScheduleRequest::change(date).into(),
        ),
        ("schedule", r#","delete":7"#, ScheduleRequest::delete(7).into()),
        (
            "history",
            r#","span":"days","port":1"#,
            HistoryRequest { span: Some(Span::Days), port: Some(1), meaning: None }.into(),
        ),
        ("price", r#","price":0.31,"currency":"chf""#, PriceRequest::from(chf).into()),
        ("price", r#","price":"0,31","currency":"chf""#, PriceRequest::from(chf).into()),
        ("leader", r#","leader":1,"followers":[2,3],"limit_w":5"#, lead.into()),
        (
            "leader",
            r#","leader":"none""#,
            LeaderChange { leader: Some(None), ..LeaderChange::default() }.into(),
        ),
        (
            "presence_simulation",
            r#","enabled":true,"days":"weekdays","from":"18:30","to":"1:00","ports":[1,2]"#,
            evenings.into(),
        ),
        (
            "call",
            r#","command":515,"arguments":{"port":1}"#,
            Call { command: 515, arguments: Some(r#"{"port":1}"#.into()) }.into(),
        ),
        (
            "port_rename",
            r#","port":2,"name":"Lamp","device_too":true"#,
            Rename { port: 2, name: Name::clean("Lamp").expect("a name") }.into(),
        ),
    ] {
        let payload = format!(r#"{{"id":"maxsmart-x1","transaction":[1]{more}}}"#);
        let built = request_of(verb, &payload).unwrap_or_else(|why| panic!("{verb} {payload}: {why}"));
        assert_eq!(built, (Request::PlugRequest(plug(), want), Some("[1]".into())), "{verb} {payload}");
    }
    for (verb, more, part) in [
        ("clock", r#","sett":true"#, "sett"),
        ("countdown", r#","port":2,"minutes":"soon""#, "cancel"),
        ("schedule", r#","add":{"at":"25:00"}"#, "22:10"),
        ("schedule", r#","add":{"days":"Noday"}"#, "Mon-Fri"),
        ("schedule", r#","add":{"date":"24.12."}"#, "2026-12-24"),
        ("schedule", r#","add":{"date":"2026-12-24","days":"daily"}"#, "not both"),
        ("schedule", r#","change":{"at":"22:00"}"#, "\"id\""),
        ("schedule", r#","delete":7,"add":{}"#, "one of"),
        ("history", r#","span":"weeks""#, "months"),
        ("price", r#","price":1"#, "currency"),
        ("price", r#","price":1,"currency":"XXX""#, "CHF"),
        ("price", r#","price":"1.234,56","currency":"CHF""#, "write 0.31"),
        ("price", r#","price":true,"currency":"CHF""#, "write 0.31"),
        ("schedule", r#","add":{"date":"24/12/2026"}"#, "24.12.2026"),
        ("leader", r#","leader":"all""#, "none"),
        ("presence_simulation", r#","from":"6pm""#, "22:10"),
        ("call", "", "command"),
        ("call", r#","command":515,"arguments":"x""#, "a JSON object"),
        ("device_rename", r#","device_too":true"#, "name"),
    ] {
        let why = request_of(verb, &format!(r#"{{"id":"maxsmart-x1"{more}}}"#)).expect_err(verb);
        assert!(why.contains(part), "{verb} {more}: {why}");
    }
    assert!(request_of("clock", "").is_err_and(|why| why.contains("not a request")));
    assert!(request_of("clock", "{}").is_err_and(|why| why.contains("bridge/devices")));
}

#[test]
fn on_a_shared_broker_plugs_can_be_asked_and_not_changed_and_raw_commands_are_off() {
    let refusal = |verb: &str, more: &str, allow: Allow| {
        let payload = format!(r#"{{"id":"maxsmart-x1"{more}}}"#);
        match incoming(&Topic::Request(verb), payload.as_bytes(), allow) {
            Incoming::BadRequest(_, _, why) => Some(why),
            _ => None,
        }
    };
    for (verb, more) in [
        ("clock", r#","set":true"#),
        ("countdown", r#","port":1,"minutes":5"#),
        ("schedule", r#","delete":7"#),
        ("price", r#","price":1,"currency":"EUR""#),
        ("leader", r#","leader":"none""#),
        ("presence_simulation", r#","enabled":false"#),
    ] {
        let why = refusal(verb, more, LITTLE).unwrap_or_else(|| panic!("{verb} {more}"));
        assert!(why.contains("allow_admin"), "{why}");
        assert_eq!(refusal(verb, "", LITTLE), None, "{verb}: asking is allowed");
    }
    let call = r#","command":511"#;
    let why = refusal("call", call, Allow { admin: true, raw: false }).expect("off unless switched on");
    assert!(why.contains("mqtt.allow_raw = true"), "{why}");
    assert!(refusal("call", call, Allow { admin: false, raw: true }).is_some());
    assert_eq!(refusal("call", call, ALL), None);
}
