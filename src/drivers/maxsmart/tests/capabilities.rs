//! What only some of the plugs can do.

use super::*;
use crate::model::{Access, Call, ClockQuery, CountdownQuery, Rename};

/// A plug that has been read once.
fn known(firmware: &str) -> Box<dyn Dialect> {
    let mut plug = dialect(firmware);
    let status = if firmware.starts_with("5.") { ("90", bytes(OK_90)) } else { ("511", bytes(OK_511)) };
    play(plug.as_mut(), &DeviceRequest::Read, &[("00dv", bytes(HELLO)), status]).expect("a reading");
    plug
}

fn skill(
    plug: &mut dyn Dialect,
    skill: Query,
    script: &[(&str, Reply<'_>)],
) -> Result<DeviceResponse, Failure> {
    play(plug, &DeviceRequest::Capability(skill), script)
}

#[test]
fn a_timer_is_set_by_the_clock_of_the_plug_and_read_back() {
    let mut plug = known("1.30");
    let set = Query::Countdown(CountdownQuery { port: 1, minutes: Some(5) });
    let timer = r#"{"response":515,"code":200,"data":{"start":"1970-01-01,00:00:00","delay":5}}"#;
    let script = [
        ("cmd=502", bytes(TIME)),
        ("1970-01-01%2C00%3A00%3A00", bytes(r#"{"response":204,"code":200}"#)),
        ("cmd=515", bytes(timer)),
    ];
    let timer = crate::model::Countdown { minutes: 5, left_s: 300 };
    assert_eq!(
        skill(plug.as_mut(), set, &script),
        Ok(DeviceResponse::Capability(crate::model::QueryReply::Countdown(Some(timer))))
    );
}

#[test]
fn a_name_is_verified_by_discovery() {
    use crate::model::{Name, QueryReply};
    let mut plug = known("1.30");
    let name = Name::clean("SWITCH").expect("a name");
    let rename = |port| Query::Names(Rename { port, name: name.clone() });
    let took = ("cmd=201", bytes(r#"{"response":201,"code":200}"#));
    let told = |name: Option<&Name>| Ok(DeviceResponse::Capability(QueryReply::Names(name.cloned())));
    assert_eq!(skill(plug.as_mut(), rename(0), &[took, ("00dv", bytes(HELLO))]), told(Some(&name)));
    // A plug with one port tells no name for it.
    assert_eq!(skill(plug.as_mut(), rename(1), &[took, ("00dv", bytes(HELLO))]), told(None));
    assert_eq!(skill(plug.as_mut(), rename(0), &[took, ("00dv", Reply::Timeout)]), told(None));
    let stranger = HELLO.replace("SWP1000000000001", "SWP1000000000002");
    let answer = skill(plug.as_mut(), rename(0), &[took, ("00dv", bytes(&stranger))]);
    assert!(matches!(answer, Err(Failure::WrongDevice(_))), "{answer:?}");
}

#[test]
fn a_refusal_is_an_answer_and_silence_is_not() {
    let mut plug = known("1.30");
    let price = crate::model::Price { cost: 0.3, currency: crate::model::Currency::Chf };
    let no = [("cmd=205", bytes(r#"{"response":205,"code":400}"#))];
    let answer = skill(plug.as_mut(), Query::Price(Access::Write(price)), &no);
    assert!(matches!(answer, Ok(DeviceResponse::Refused(_))), "{answer:?}");
    let unknown = skill(plug.as_mut(), Query::Leader(Access::Read), &[("cmd=512", Reply::Closed)]);
    assert_eq!(unknown, Ok(DeviceResponse::Unsupported));
    assert_eq!(
        skill(plug.as_mut(), Query::Schedule(Access::Read), &[("cmd=516", Reply::Timeout)]),
        Err(Failure::Timeout)
    );
    let nonsense = skill(plug.as_mut(), Query::Clock(ClockQuery::Read), &[("cmd=502", bytes(OK_511))]);
    assert!(matches!(nonsense, Err(Failure::InvalidResponse(_))), "{nonsense:?}");
    // Not one byte leaves for a factory reset.
    let reset = skill(plug.as_mut(), Query::Call(Call { command: 120, arguments: None }), &[]);
    assert!(matches!(reset, Ok(DeviceResponse::Refused(_))), "{reset:?}");
}

#[test]
fn without_a_web_server_the_clock_can_be_set_and_raw_commands_sent() {
    use crate::model::QueryReply;
    let mut plug = known("5.11");
    for unknown in [
        Query::Clock(ClockQuery::Read),
        Query::Schedule(Access::Read),
        Query::Countdown(CountdownQuery { port: 1, minutes: None }),
        Query::Hardware,
        Query::Price(Access::Read),
    ] {
        assert_eq!(skill(plug.as_mut(), unknown, &[]), Ok(DeviceResponse::Unsupported));
    }
    let set = skill(plug.as_mut(), Query::Clock(ClockQuery::Set), &[("00dv=all,1970-01-01", bytes(HELLO))]);
    assert_eq!(set, Ok(DeviceResponse::Capability(QueryReply::Clock(None))));
    let call = Query::Call(Call { command: 90, arguments: None });
    let raw = skill(plug.as_mut(), call.clone(), &[(r#""cmd":90"#, bytes(OK_90))]);
    assert!(matches!(raw, Ok(DeviceResponse::Capability(QueryReply::Call(_)))), "{raw:?}");
    let stray = OK_90.replace("V3{", r#"V3{"sn":"SWP1000000000009","#);
    let raw = skill(plug.as_mut(), call, &[(r#""cmd":90"#, bytes(&stray))]);
    assert!(matches!(raw, Err(Failure::WrongDevice(_))), "{raw:?}");
    // With one, it is read back.
    let mut plug = known("1.30");
    let script = [("00dv=all,1970-01-01", bytes(HELLO)), ("cmd=502", bytes(TIME))];
    let set = skill(plug.as_mut(), Query::Clock(ClockQuery::Set), &script);
    assert!(
        matches!(set, Ok(DeviceResponse::Capability(QueryReply::Clock(Some(clock)))) if clock.drift_s == 0),
        "{set:?}"
    );
}
