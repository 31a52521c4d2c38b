use super::*;
use crate::model::{Asker, Capabilities, PortView};

fn plug() -> PlugView {
    PlugView {
        driver: "maxsmart",
        name: "Strip".into(),
        ip: Some("192.0.2.10".into()),
        adopted: true,
        offer: Capabilities { ports: 2, power: true, current: true, ..Capabilities::default() },
        online: true,
        ports: vec![
            PortView {
                name: "A".into(),
                relay: Some(true),
                watts: Some(9.8),
                amps: Some(0.05),
                energy: Energy::from_kwh(31.22079),
                ..PortView::default()
            },
            PortView { name: "B".into(), relay: Some(false), watts: Some(0.1 + 0.2), ..PortView::default() },
        ],
        watts: Some(10.1),
        energy: Energy::from_kwh(31.2207),
        unmetered_s: 40,
        latency_ms: Some(84),
        last_seen_ms: Some(0),
        ..PlugView::unknown(PlugId::new("maxsmart-x1").expect("an id"))
    }
}

fn value_of(list: &[Retained], tail: &str) -> Option<String> {
    list.iter()
        .find(|message| message.topic == format!("p/maxsmart-x1/{tail}"))
        .map(|message| message.payload.clone())
}

#[test]
fn availability_comes_first_then_relays_and_unknown_values_have_no_topic() {
    let list = retained("p", &plug());
    let topics: Vec<&str> = list.iter().map(|message| message.topic.as_str()).collect();
    assert_eq!(
        topics[..5],
        [
            "p/maxsmart-x1/availability",
            "p/maxsmart-x1/info",
            "p/maxsmart-x1/1/state",
            "p/maxsmart-x1/2/state",
            "p/maxsmart-x1/0/state"
        ]
    );
    assert_eq!(value_of(&list, "0/state").as_deref(), Some("ON"), "any on counts as on");
    assert_eq!(value_of(&list, "2/power").as_deref(), Some("0.3"), "no binary dust");
    assert_eq!(value_of(&list, "power").as_deref(), Some("10.1"));
    assert_eq!(value_of(&list, "2/current"), None);
    assert_eq!(value_of(&list, "1/energy").as_deref(), Some("31.2207"), "cut off, never rounded up");
    assert_eq!(value_of(&list, "2/energy"), None, "no zero in the place of what is not known");
    assert_eq!(value_of(&list, "problem").as_deref(), Some("OFF"));
    assert_eq!(value_of(&list, "last_seen").as_deref(), Some("1970-01-01T00:00:00.000Z"));
}

#[test]
fn a_plug_not_taken_in_or_never_read_has_no_topics() {
    assert!(retained("p", &PlugView { adopted: false, ..plug() }).is_empty());
    assert!(
        retained("p", &PlugView { offer: Capabilities::default(), ports: Vec::new(), ..plug() }).is_empty()
    );
}

#[test]
fn a_plug_not_reached_in_this_run_tells_only_who_it_is() {
    let unread = PlugView {
        online: false,
        last_seen_ms: None,
        ports: vec![PortView::default(); 2],
        watts: None,
        latency_ms: None,
        ..plug()
    };
    let tails: Vec<String> = retained("p", &unread).into_iter().map(|message| message.topic).collect();
    assert_eq!(tails, ["p/maxsmart-x1/availability", "p/maxsmart-x1/info"]);
}

#[test]
fn one_port_has_no_port_zero_and_no_total() {
    let mut one = plug();
    one.offer.ports = 1;
    one.ports.truncate(1);
    let list = retained("p", &one);
    assert_eq!((value_of(&list, "0/state"), value_of(&list, "power")), (None, None));
    assert_eq!(value_of(&list, "1/state").as_deref(), Some("ON"));
}

#[test]
fn numbers_are_plain() {
    for (number, want) in [
        (0.0, "0"),
        (-0.0, "0"),
        (5000.0, "5000"),
        (1e-9, "0"),
        (18.33, "18.33"),
        (0.0005, "0.001"),
        (100.0, "100"),
        (-0.0001, "0"),
        (-0.25, "-0.25"),
        (0.07, "0.07"),
        (3680.005, "3680.005"),
    ] {
        assert_eq!(Plain::of(number).to_string(), want);
        assert_eq!(serde_json::to_string(&Plain::of(number)).expect("a number"), want);
    }
}

#[test]
fn the_snapshot_says_everything_and_null_where_nothing_is_known() {
    let text = crate::sinks::mqtt::snapshot::snapshot(&plug());
    let all: Json = serde_json::from_str(&text).expect("JSON");
    assert_eq!(
        all["ports"]["1"],
        json!({"name": "A", "state": "ON", "power": 9.8, "current": 0.05, "energy": 31.2207, "energy_today": null, "energy_month": null, "since": null, "cause": null, "locked": null})
    );
    assert_eq!((&all["ports"]["2"]["current"], &all["ports"]["2"]["energy"]), (&Json::Null, &Json::Null));
    assert_eq!((&all["energy"], &all["unmetered_s"]), (&json!(31.2207), &json!(40)));
    assert_eq!(
        (&all["availability"], &all["power"], &all["latency_ms"]),
        (&json!("online"), &json!(10.1), &json!(84))
    );
}

#[test]
fn a_failed_command_names_error_and_port() {
    let result = CommandResult {
        plug: PlugId::new("maxsmart-x1").expect("an id"),
        asker: Asker::mqtt(Some("{\"scene\":1}".into())),
        ports: [(1, Some(true)), (2, None)].into(),
        error: Some((crate::model::CommandError::Locked, Some(2))),
        detail: None,
        latency: std::time::Duration::from_millis(143),
        requests: 3,
        attempts: 1,
        unix_ms: 0,
    };
    let (topic, payload) = note("p", &Notification::Result(result), 0);
    assert_eq!(topic, "p/maxsmart-x1/response");
    let want = json!({"id": {"scene": 1}, "status": "failed", "error": "locked", "port": 2, "ports": {"1": "ON", "2": null},
        "confirmed": false, "latency_ms": 143, "requests": 3, "attempts": 1, "ts": "1970-01-01T00:00:00.000Z"});
    assert_eq!(payload, want);
}

#[test]
fn filled_hours_are_told_with_their_energy() {
    let id = PlugId::new("maxsmart-x1").expect("an id");
    let ports = vec![Energy::from_wh(300.0), Energy::from_wh(10.0)];
    let filled = Event::EnergyFilled { hours: vec![1_795_197_600_000], ports };
    let (topic, payload) = note("p", &Notification::Plug(id, filled), 0);
    assert_eq!(topic, "p/maxsmart-x1/event");
    let want = json!({"event_type": "energy_filled", "hours": ["2026-11-20T18:00:00.000Z"], "kwh": 0.31,
        "ports": {"1": 0.3, "2": 0.01}, "ts": "1970-01-01T00:00:00.000Z"});
    assert_eq!(payload, want);
}
