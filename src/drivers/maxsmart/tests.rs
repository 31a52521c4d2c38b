use super::identity::SURE;
use super::*;
use crate::model::OwnSettings;

mod capabilities;
mod identity;
mod ways;

const OK_511: &str = r#"{"response":511,"code":200,"data":{"watt":["5.20"],"amp":["0.1"],"switch":[1]}}"#;
const OK_90: &str = r#"V3{"response":90,"code":200,"data":{"watt":[5200],"amp":[23],"switch":[0]}}"#;
const NO_DATA_90: &str = r#"V3{"response":90,"code":200}"#;
const OK_200: &str = r#"{"response":200,"code":200}"#;
const OK_20: &str = r#"V3{"response":20,"code":200}"#;
const HELLO: &str = r#"{"response":0,"data":{"sn":"SWP1000000000001","name":"SWITCH","mac":"02:00:00:00:00:01","ver":"1.30"}}"#;

fn now() -> Now {
    Now { up: Duration::ZERO, unix_ms: 0, utc_offset_s: 0, dst_s: 0, nonce: 0 }
}

fn dialect(firmware: &str) -> Box<dyn Dialect> {
    let facts = DeviceInfo {
        serial: Some("SWP1000000000001".into()),
        firmware: Some(firmware.into()),
        ..DeviceInfo::default()
    };
    let found = Discovered {
        driver: "maxsmart",
        id: PlugId::new("maxsmart-swp1000000000001"),
        place: Endpoint::UNKNOWN,
        facts,
    };
    attach(&found)
}

fn attach(found: &Discovered) -> Box<dyn Dialect> {
    attach_with(found, false)
}

fn attach_with(found: &Discovered, set_clock: bool) -> Box<dyn Dialect> {
    let options = DialectOptions { timeout: Duration::from_secs(5), power_unit: PowerUnit::Auto, set_clock };
    let family =
        Family { udp_port: 8888, http_port: 80, timeout: options.timeout, own: OwnSettings::default() };
    Maxsmart.attach(&family, found, &options)
}

/// Plays a conversation: what is expected on the wire, and what comes back.
fn play(
    dialect: &mut dyn Dialect,
    ask: &DeviceRequest,
    script: &[(&str, Reply<'_>)],
) -> Result<DeviceResponse, Failure> {
    let mut step = dialect.start(ask, &now());
    for (wire, reply) in script {
        let Step::Send(request) = &step else { panic!("{wire} is not sent: {step:?}") };
        let sent = match &request.what {
            Message::Get(target) => target.clone(),
            Message::Datagram(bytes) | Message::Post(_, bytes) => String::from_utf8_lossy(bytes).into_owned(),
        };
        assert!(sent.contains(wire), "{sent} instead of {wire}");
        step = dialect.handle_response(*reply, &now())?;
    }
    match step {
        Step::Done(answer) => Ok(*answer),
        Step::Send(request) => panic!("more is sent than expected: {request:?}"),
    }
}

fn bytes(text: &str) -> Reply<'_> {
    Reply::Bytes(text.as_bytes())
}

fn relay(answer: Result<DeviceResponse, Failure>) -> Option<bool> {
    match answer {
        Ok(DeviceResponse::Reading(reading)) => reading.ports.first().and_then(|port| port.relay),
        other => panic!("no reading: {other:?}"),
    }
}

#[test]
fn an_http_plug_is_asked_who_it_is_once_and_then_only_how() {
    let mut plug = dialect("1.30");
    assert_eq!(
        relay(play(plug.as_mut(), &DeviceRequest::Read, &[("00dv", bytes(HELLO)), ("511", bytes(OK_511))])),
        Some(true)
    );
    assert_eq!(relay(play(plug.as_mut(), &DeviceRequest::Read, &[("511", bytes(OK_511))])), Some(true));
    plug.reset_session();
    // It does say who it is: silence may be that of another plug at its address.
    for _ in 1..STREAK {
        let dead = [("00dv", Reply::Timeout), ("511", Reply::Timeout)];
        assert_eq!(play(plug.as_mut(), &DeviceRequest::Read, &dead), Err(Failure::Timeout));
        plug.reset_session();
    }
    let off = DeviceRequest::Switch(Switch::All(false));
    let evasive = [("00dv", Reply::Timeout), ("511", bytes(OK_511)), ("00dv", Reply::Timeout)];
    for _ in 1..STREAK {
        assert_eq!(play(plug.as_mut(), &off, &evasive), Err(Failure::Timeout), "nothing is switched");
        plug.reset_session();
    }
    let read = [evasive.as_slice(), &[("511", bytes(OK_511))]].concat();
    assert_eq!(
        relay(play(plug.as_mut(), &DeviceRequest::Read, &read)),
        Some(true),
        "but there may be a router now that lets no datagrams through"
    );
}

#[test]
fn each_way_has_the_whole_time_and_each_goes_first_in_turn() {
    let mut plug = dialect("1.30");
    let first = |plug: &mut dyn Dialect| {
        drop(plug.start(&DeviceRequest::Read, &now()));
        let step = plug.handle_response(bytes(HELLO), &now());
        let Ok(Step::Send(Request { what, timeout })) = step else { panic!("{step:?}") };
        assert_eq!(timeout, Duration::from_secs(5));
        plug.handle_response(Reply::Timeout, &now()).expect("the other way");
        plug.reset_session();
        matches!(what, Message::Get(_))
    };
    let turns: Vec<bool> = (0..4).map(|_| first(plug.as_mut())).collect();
    assert_eq!(turns, [true, false, true, false]);
}

#[test]
fn a_plug_that_is_heard_again_is_asked_at_once_as_before() {
    let mut plug = dialect("1.30");
    for vain in 1..=5 {
        for _ in 0..vain {
            let mut step = Ok(plug.start(&DeviceRequest::Read, &now()));
            while let Ok(Step::Send(_)) = step {
                step = plug.handle_response(Reply::Timeout, &now());
            }
            plug.reset_session();
        }
        let read = [("00dv", bytes(HELLO)), ("511", bytes(OK_511))];
        assert!(play(plug.as_mut(), &DeviceRequest::Read, &read).is_ok(), "after {vain}");
    }
}

#[test]
fn a_plug_not_heard_for_a_while_is_asked_who_it_is_again() {
    let mut plug = dialect("1.30");
    play(plug.as_mut(), &DeviceRequest::Read, &[("00dv", bytes(HELLO)), ("511", bytes(OK_511))])
        .expect("HTTP");
    let asked = |plug: &mut dyn Dialect, up: Duration| {
        let step = plug.start(&DeviceRequest::Read, &Now { up, ..now() });
        matches!(step, Step::Send(Request { what: Message::Datagram(_), .. }))
    };
    assert!(!asked(plug.as_mut(), SURE));
    assert!(asked(plug.as_mut(), SURE + Duration::from_millis(1)));
    let other = HELLO.replace("SWP1000000000001", "SWP1000000000002");
    let heard = plug.handle_response(bytes(&other), &now());
    assert_eq!(heard, Err(Failure::WrongDevice("maxsmart-swp1000000000002".into())));
}

#[test]
fn a_plug_that_does_not_tell_its_clock_is_told_the_time_now_and_then() {
    let id = PlugId::new("maxsmart-swp1000000000001");
    let found = Discovered { driver: "maxsmart", id, place: Endpoint::UNKNOWN, facts: DeviceInfo::default() };
    let dated = |plug: &mut dyn Dialect, secs: u64, silent: bool| {
        let unix_ms = Now::RELEASED_MS + secs * 1000;
        let now = Now { up: Duration::from_secs(secs), unix_ms, ..now() };
        let (mut step, mut dated) = (plug.start(&DeviceRequest::Read, &now), 0);
        while let Step::Send(Request { what, .. }) = step {
            let Message::Datagram(question) = what else {
                step = plug.handle_response(bytes(OK_511), &now).expect("a reading");
                continue;
            };
            let with_time = question.starts_with(b"00dv=all,2026");
            dated += u32::from(with_time);
            let answer = if with_time && silent { Reply::Timeout } else { bytes(HELLO) };
            step = plug.handle_response(answer, &now).expect("more to say");
        }
        assert!(matches!(step, Step::Done(answer) if matches!(*answer, DeviceResponse::Reading(_))));
        dated
    };
    let mut plug = attach_with(&found, true);
    let told = |plug: &mut dyn Dialect| -> Vec<u64> {
        (0..200).map(|n| n * 5).filter(|secs| dated(plug, *secs, *secs > 500) > 0).collect()
    };
    assert_eq!(told(plug.as_mut()), [60, 360, 660, 960], "silence is as good as an answer");
    plug.reset_session();
    assert_eq!([1000, 1059, 1060].map(|secs| dated(plug.as_mut(), secs, false)), [0, 0, 1]);
    assert!(told(attach(&found).as_mut()).is_empty(), "settings can forbid it");
    let mut plug = attach_with(&found, true);
    assert_eq!(dated(plug.as_mut(), 0, false), 0);
    let time = r#"{"response":502,"code":200,"data":{"time":"2013-12-26,00:00:20"}}"#;
    assert!(matches!(
        play(
            plug.as_mut(),
            &DeviceRequest::Capability(Query::Clock(crate::model::ClockQuery::Read)),
            &[("502", bytes(time))]
        ),
        Ok(DeviceResponse::Capability(_))
    ));
    assert!(
        [5, 65, 365].iter().all(|secs| dated(plug.as_mut(), *secs, false) == 0),
        "who reads it can set it"
    );
}

#[test]
fn of_two_plugs_with_one_serial_the_first_is_known_by_its_mac() {
    let facts = DeviceInfo { mac: Mac::parse("02:00:00:00:00:01"), ..DeviceInfo::default() };
    let id = PlugId::new("maxsmart-swp1000000000001");
    let found = Discovered { driver: "maxsmart", id, place: Endpoint::UNKNOWN, facts };
    let mut plug = attach(&found);
    plug.start(&DeviceRequest::Read, &now());
    let second = HELLO.replace("02:00:00:00:00:01", "02:00:00:00:00:02");
    assert!(matches!(plug.handle_response(bytes(&second), &now()), Err(Failure::WrongDevice(_))));
    assert!(matches!(plug.handle_response(bytes(HELLO), &now()), Ok(Step::Send(_))));
}

#[test]
fn a_closed_web_server_means_v3_and_the_choice_is_remembered() {
    let mut plug = dialect("");
    let first = [("00dv", Reply::Timeout), ("511", Reply::Unreachable), (r#""cmd":90"#, bytes(OK_90))];
    assert_eq!(relay(play(plug.as_mut(), &DeviceRequest::Read, &first)), Some(false));
    assert_eq!(
        relay(play(plug.as_mut(), &DeviceRequest::Read, &[(r#""cmd":90"#, bytes(OK_90))])),
        Some(false)
    );
}

#[test]
fn firmware_5_is_asked_by_v3_first() {
    let mut plug = dialect("5.11");
    assert_eq!(
        relay(play(plug.as_mut(), &DeviceRequest::Read, &[("00dv", Reply::Timeout), ("90", bytes(OK_90))])),
        Some(false)
    );
}

#[test]
fn a_v3_status_without_data_means_http() {
    let mut plug = dialect("5.0");
    let script = [("00dv", Reply::Timeout), ("90", bytes(NO_DATA_90)), ("511", bytes(OK_511))];
    assert_eq!(relay(play(plug.as_mut(), &DeviceRequest::Read, &script)), Some(true));
}

#[test]
fn after_a_streak_of_failures_the_dialect_is_chosen_anew() {
    let mut plug = dialect("1.30");
    play(plug.as_mut(), &DeviceRequest::Read, &[("00dv", Reply::Timeout), ("511", bytes(OK_511))])
        .expect("HTTP");
    let dead = [("00dv", Reply::Timeout), ("511", Reply::Unreachable)];
    for streak in 0..STREAK {
        // After a failure the identity question comes back.
        let script = if streak == 0 { &dead[1..] } else { &dead[..] };
        let failure = play(plug.as_mut(), &DeviceRequest::Read, script);
        assert!(matches!(failure, Err(Failure::Unreachable(_))), "{failure:?}");
        plug.reset_session();
    }
    let script = [("00dv", Reply::Timeout), ("511", Reply::Unreachable), ("90", bytes(OK_90))];
    assert_eq!(relay(play(plug.as_mut(), &DeviceRequest::Read, &script)), Some(false));
}

#[test]
fn a_question_that_not_every_firmware_knows_shakes_no_trust() {
    let mut plug = dialect("1.30");
    play(plug.as_mut(), &DeviceRequest::Read, &[("00dv", bytes(HELLO)), ("511", bytes(OK_511))])
        .expect("HTTP");
    for _ in 0..2 * STREAK {
        let clock = DeviceRequest::Capability(Query::Clock(crate::model::ClockQuery::Read));
        assert_eq!(play(plug.as_mut(), &clock, &[("502", Reply::Timeout)]), Err(Failure::Timeout));
        plug.reset_session();
        let record = DeviceRequest::Capability(Query::History(Span::Hours));
        let silent = [("00dv", bytes(HELLO)), ("510", Reply::Timeout)];
        assert_eq!(play(plug.as_mut(), &record, &silent), Err(Failure::Timeout));
        plug.reset_session();
        // It is HTTP as before; only who is there is asked again.
        let well = [("00dv", bytes(HELLO)), ("511", bytes(OK_511))];
        assert_eq!(relay(play(plug.as_mut(), &DeviceRequest::Read, &well)), Some(true));
    }
}

#[test]
fn a_switch_is_read_back_in_the_same_conversation() {
    let mut plug = dialect("1.30");
    play(plug.as_mut(), &DeviceRequest::Read, &[("00dv", bytes(HELLO)), ("511", bytes(OK_511))])
        .expect("HTTP");
    let on = DeviceRequest::Switch(Switch::Ports(BTreeMap::from([(1, true)])));
    assert_eq!(
        relay(play(
            plug.as_mut(),
            &on,
            &[("00dv", bytes(HELLO)), ("cmd=200", bytes(OK_200)), ("511", bytes(OK_511))]
        )),
        Some(true)
    );
    let no = [("00dv", bytes(HELLO)), ("cmd=200", bytes(r#"{"response":200,"code":400}"#))];
    let refused = play(plug.as_mut(), &on, &no);
    assert!(matches!(refused, Err(Failure::Rejected(_))), "{refused:?}");
}

#[test]
fn a_switch_to_a_plug_never_spoken_to_finds_out_its_dialect_by_reading_first() {
    let mut plug = dialect("");
    let all = DeviceRequest::Switch(Switch::All(false));
    let script = [
        ("00dv", Reply::Timeout),
        ("511", Reply::Closed),
        ("90", bytes(OK_90)),
        (r#""cmd":20,"port":0,"state":0"#, bytes(OK_20)),
        ("90", bytes(OK_90)),
    ];
    assert_eq!(relay(play(plug.as_mut(), &all, &script)), Some(false));
}

#[test]
fn another_plug_at_the_address_is_a_stranger_and_nothing_is_switched() {
    let mut plug = dialect("1.30");
    let theirs = HELLO.replace("SWP1000000000001", "SWP1000000000002");
    let on = DeviceRequest::Switch(Switch::Ports(BTreeMap::from([(1, true)])));
    let stranger = Err(Failure::WrongDevice("maxsmart-swp1000000000002".into()));
    assert_eq!(play(plug.as_mut(), &on, &[("00dv", bytes(&theirs))]), stranger);
    // As it has just told that, it is not believed later because it keeps silent.
    let hello = [("00dv", bytes(HELLO)), ("511", bytes(OK_511))];
    assert_eq!(relay(play(plug.as_mut(), &DeviceRequest::Read, &hello)), Some(true));
    let mute = [("00dv", Reply::Timeout), ("511", bytes(OK_511)), ("00dv", Reply::Timeout)];
    for _ in 0..2 * STREAK {
        plug.reset_session();
        assert_eq!(play(plug.as_mut(), &on, &mute), Err(Failure::Timeout), "nothing is switched");
        plug.reset_session();
        assert_eq!(play(plug.as_mut(), &on, &[("00dv", bytes(&theirs))]), stranger);
    }
}

#[test]
fn who_is_there_is_asked_before_every_relay_though_nothing_failed() {
    let mut plug = dialect("1.30");
    play(plug.as_mut(), &DeviceRequest::Read, &[("00dv", bytes(HELLO)), ("511", bytes(OK_511))])
        .expect("a reading");
    assert_eq!(relay(play(plug.as_mut(), &DeviceRequest::Read, &[("511", bytes(OK_511))])), Some(true));
    let theirs = HELLO.replace("SWP1000000000001", "SWP1000000000002");
    let on = DeviceRequest::Switch(Switch::Ports(BTreeMap::from([(1, true)])));
    let stranger = Err(Failure::WrongDevice("maxsmart-swp1000000000002".into()));
    for _ in 0..2 * STREAK {
        assert_eq!(play(plug.as_mut(), &on, &[("00dv", bytes(&theirs))]), stranger);
    }
    // One that does not tell it any more is asked a few times, then left in peace.
    let mute = [("00dv", Reply::Timeout), ("511", bytes(OK_511)), ("00dv", Reply::Timeout)];
    for _ in 1..STREAK {
        assert_eq!(play(plug.as_mut(), &on, &mute), Err(Failure::Timeout));
        plug.reset_session();
    }
    let done = [("cmd=200", bytes(OK_200)), ("511", bytes(OK_511))];
    assert_eq!(relay(play(plug.as_mut(), &on, &[&mute[..], &done].concat())), Some(true));
    assert_eq!(relay(play(plug.as_mut(), &on, &done)), Some(true));
}

#[test]
fn a_web_server_that_names_another_serial_is_a_strangers() {
    let theirs = |reply: &str| reply.replacen("\"code\"", "\"sn\":\"SWP1000000000009\",\"code\"", 1);
    let stranger = Err(Failure::WrongDevice("SWP1000000000009".into()));
    let (status, switched) = (theirs(OK_511), theirs(OK_200));
    // Also while it is not known yet how it speaks.
    let mut plug = dialect("1.30");
    let script = [("00dv", bytes(HELLO)), ("511", bytes(&status))];
    assert_eq!(play(plug.as_mut(), &DeviceRequest::Read, &script), stranger);
    let mut plug = dialect("1.30");
    play(plug.as_mut(), &DeviceRequest::Read, &[("00dv", bytes(HELLO)), ("511", bytes(OK_511))])
        .expect("a reading");
    assert_eq!(play(plug.as_mut(), &DeviceRequest::Read, &[("511", bytes(&status))]), stranger);
    assert_eq!(
        play(
            plug.as_mut(),
            &DeviceRequest::Switch(Switch::All(true)),
            &[("00dv", bytes(HELLO)), ("cmd=200", bytes(&switched))]
        ),
        stranger
    );
    plug.reset_session();
    let next = plug.start(&DeviceRequest::Read, &now());
    assert!(matches!(next, Step::Send(Request { what: Message::Datagram(_), .. })), "it is asked who it is");
    let inside = OK_511.replacen("{\"watt\"", "{\"sn\":\"swp1000000000001\",\"watt\"", 1);
    let script = [("00dv", bytes(HELLO)), ("511", bytes(&inside))];
    assert_eq!(relay(play(plug.as_mut(), &DeviceRequest::Read, &script)), Some(true));
}

#[test]
fn a_plug_that_tells_no_relay_shows_what_was_acknowledged_and_watts_prove_on() {
    let idle = r#"V3{"response":90,"code":200,"data":{"watt":[0],"amp":[0]}}"#;
    let loaded = r#"V3{"response":90,"code":200,"data":{"watt":[9000],"amp":[40]}}"#;
    let mut plug = dialect("5.0");
    let script = [("00dv", Reply::Timeout), ("90", bytes(idle))];
    assert_eq!(relay(play(plug.as_mut(), &DeviceRequest::Read, &script)), None);
    let off = DeviceRequest::Switch(Switch::Ports(BTreeMap::from([(1, false)])));
    assert_eq!(relay(play(plug.as_mut(), &off, &[("20", bytes(OK_20)), ("90", bytes(idle))])), Some(false));
    assert_eq!(relay(play(plug.as_mut(), &DeviceRequest::Read, &[("90", bytes(loaded))])), Some(true));
}

const OK_510: &str = r#"{"response":510,"code":200,"data":{"cost":"1.01","money":3,"type":0,"date":"2018-10-11-21","watt":[["0.00","52.10","x"],[1,2.5,-3]]}}"#;

fn history(answer: Result<DeviceResponse, Failure>) -> crate::model::RawHistory {
    match answer {
        Ok(DeviceResponse::Capability(QueryReply::History(history))) => history,
        other => panic!("no history: {other:?}"),
    }
}

#[test]
fn the_record_is_read_raw_and_nonsense_in_it_is_nothing() {
    let mut plug = dialect("1.30");
    let script = [
        ("00dv", bytes(HELLO)),
        ("511", bytes(OK_511)),
        ("cmd=510&json=%7B%22type%22%3A0%7D", bytes(OK_510)),
    ];
    let told = history(play(plug.as_mut(), &DeviceRequest::Capability(Query::History(Span::Hours)), &script));
    assert_eq!(told.date.as_deref(), Some("2018-10-11-21"));
    assert_eq!((told.cost, told.currency), (Some(1.01), Some(3)));
    assert_eq!(told.rows, [vec![Some(0.0), Some(52.1), None], vec![Some(1.0), Some(2.5), None]]);
    // A plug with one port, a null date and a bare row.
    let bare = r#"{"response":510,"code":200,"data":{"type":0,"date":null,"watt":[1,2]}}"#;
    let told = history(play(
        plug.as_mut(),
        &DeviceRequest::Capability(Query::History(Span::Hours)),
        &[("510", bytes(bare))],
    ));
    assert_eq!((told.date, told.rows), (None, vec![vec![Some(1.0), Some(2.0)]]));
}

#[test]
fn a_plug_without_a_record_says_so_in_any_way_it_likes() {
    let mut plug = dialect("1.30");
    let first = [("00dv", bytes(HELLO)), ("511", bytes(OK_511)), ("510", Reply::Closed)];
    assert_eq!(
        play(plug.as_mut(), &DeviceRequest::Capability(Query::History(Span::Hours)), &first),
        Ok(DeviceResponse::Unsupported)
    );
    let no = [("510", bytes(r#"{"response":510,"code":400}"#))];
    assert_eq!(
        play(plug.as_mut(), &DeviceRequest::Capability(Query::History(Span::Hours)), &no),
        Ok(DeviceResponse::Unsupported)
    );
    let months = OK_510.replace("\"type\":0", "\"type\":2");
    let other = [("510", bytes(&months))];
    let history = play(plug.as_mut(), &DeviceRequest::Capability(Query::History(Span::Hours)), &other);
    assert!(matches!(history, Err(Failure::InvalidResponse(_))));
    let mut v3 = dialect("5.11");
    let script = [("00dv", bytes(HELLO)), (r#""cmd":90"#, bytes(OK_90))];
    assert_eq!(
        play(v3.as_mut(), &DeviceRequest::Capability(Query::History(Span::Days)), &script),
        Ok(DeviceResponse::Unsupported)
    );
}

const TIME: &str = r#"{"response":502,"code":200,"data":{"time":"1970-01-01,00:00:00"}}"#;
