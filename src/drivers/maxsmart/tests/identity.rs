//! Who a plug is, asked for its own sake, and how long it may take for that.

use super::super::identity::IDENTITY_PATIENCE;
use super::*;

#[test]
fn who_are_you_is_answered_by_discovery_or_by_hardware_ids() {
    let mut plug = dialect("");
    let id = |answer| match answer {
        Ok(DeviceResponse::Identity(found)) => found.id.map(String::from),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        id(play(plug.as_mut(), &DeviceRequest::Identify, &[("00dv", bytes(HELLO))])).as_deref(),
        Some("maxsmart-swp1000000000001")
    );
    let ids =
        r#"{"response":124,"code":200,"data":{"plcmac":"","cpuid":"AABBCCDDEEFF554433221100","server":"x"}}"#;
    let nameless = r#"{"response":0,"data":{"sn":"","name":"STRIP","mac":"","ver":"1.10"}}"#;
    let script = [("00dv", bytes(nameless)), ("124", bytes(ids))];
    assert_eq!(
        id(play(plug.as_mut(), &DeviceRequest::Identify, &script)).as_deref(),
        Some("maxsmart-aabbccddeeff554433221100")
    );
}

#[test]
fn who_is_slow_or_answers_its_status_alone_is_told_from_nobody() {
    let closed = ("124", Reply::Closed);
    let ask = |script: &[(&str, Reply<'_>)]| play(dialect("").as_mut(), &DeviceRequest::Identify, script);
    let silent = ("00dv", Reply::Timeout);
    for hardware in [Reply::Unreachable, Reply::Timeout, Reply::Closed, bytes("{}")] {
        let slow = [silent, ("124", hardware), ("00dv", bytes(HELLO))];
        assert!(matches!(ask(&slow), Ok(DeviceResponse::Identity(_))), "{hardware:?}");
    }
    assert_eq!(ask(&[silent, ("124", Reply::Timeout), silent]), Err(Failure::Timeout));
    let nameless = ("00dv", bytes(r#"{"response":0,"data":{"sn":"","name":"STRIP","mac":"","ver":"1.10"}}"#));
    for script in [[silent, closed, silent].as_slice(), &[nameless, closed]] {
        let told = |status| ask(&[script, &[("511", status)]].concat());
        assert!(matches!(told(bytes(OK_511)), Err(Failure::Rejected(why)) if why.contains("neither serial")));
        assert_eq!(told(bytes("<html>")), Err(Failure::Closed));
        assert_eq!(told(Reply::Closed), Err(Failure::Closed));
    }
    // One that takes long for its hardware ids has as long for its serial.
    let mut plug = dialect("");
    let late = Now { up: Duration::from_secs(1), ..now() };
    let ids = r#"{"response":124,"code":200,"data":{"plcmac":"02:00:00:00:00:01","cpuid":"","server":"x"}}"#;
    for answer in [bytes(HELLO), Reply::Timeout] {
        plug.start(&DeviceRequest::Identify, &now());
        plug.handle_response(Reply::Timeout, &now()).expect("hardware");
        plug.handle_response(bytes(ids), &late).expect("discovery");
        let Ok(Step::Done(told)) = plug.handle_response(answer, &late) else { panic!("{answer:?}") };
        let DeviceResponse::Identity(found) = *told else { panic!("{told:?}") };
        assert_eq!(found.facts.serial.is_some(), answer != Reply::Timeout);
    }
    // The second time it has the whole timeout.
    let mut plug = dialect("");
    let step = plug.start(&DeviceRequest::Identify, &now());
    assert!(matches!(step, Step::Send(Request { timeout, .. }) if timeout == IDENTITY_PATIENCE));
    plug.handle_response(Reply::Timeout, &now()).expect("hardware");
    let step = plug.handle_response(Reply::Unreachable, &now());
    assert!(matches!(step, Ok(Step::Send(Request { timeout, .. })) if timeout == Duration::from_secs(5)));
}

#[test]
fn whoever_takes_long_for_its_status_has_as_long_to_say_who_it_is() {
    let mut plug = dialect("1.30");
    let at = |s: u64| Now { up: Duration::from_secs(s), ..now() };
    let timeout = |step: Result<Step, Failure>| match step {
        Ok(Step::Send(request)) => request.timeout,
        other => panic!("{other:?}"),
    };
    plug.start(&DeviceRequest::Read, &at(0));
    plug.handle_response(bytes(HELLO), &at(0)).expect("status");
    assert!(matches!(plug.handle_response(bytes(OK_511), &at(2)), Ok(Step::Done(_))));
    plug.reset_session();
    assert_eq!(timeout(Ok(plug.start(&DeviceRequest::Read, &at(3)))), Duration::from_secs(4));
    plug.handle_response(bytes(HELLO), &at(5)).expect("status");
    assert!(matches!(plug.handle_response(bytes(OK_511), &at(9)), Ok(Step::Done(_))));
    plug.reset_session();
    assert_eq!(timeout(Ok(plug.start(&DeviceRequest::Read, &at(10)))), Duration::from_secs(5));
}
