//! Times and numbers as people write them.

use super::*;
use crate::model::Energy;

#[test]
fn times_and_numbers_are_understood_as_people_write_them() {
    let hold = |text: &str| match set(Some("1"), format!(r#"{{"state":"ON","for_s":{text}}}"#).as_bytes()) {
        Incoming::HubRequest(HubRequest::Switch(order)) => Ok(order.hold.map(|hold| hold.as_secs())),
        Incoming::Bad(_, _, _, why) => Err(why),
        other => panic!("{other:?}"),
    };
    for (text, seconds) in [("90", Some(90)), ("\"90\"", Some(90)), ("\"20m\"", Some(1200)), ("null", None)] {
        assert_eq!(hold(text), Ok(seconds), "{text}");
    }
    for text in ["\"soon\"", "[]", "1.5", "\"1.5s\""] {
        assert!(hold(text).unwrap_err().contains("20m"), "{text}");
    }
    let id = r#""id":"maxsmart-x1""#;
    let asked = |verb, more: &str| incoming(&Topic::Request(verb), format!("{{{id}{more}}}").as_bytes(), ALL);
    let order = |request: Incoming| match request {
        Incoming::HubRequest(HubRequest::Request(request, _)) => request,
        other => panic!("{other:?}"),
    };
    let countdown = order(asked("countdown", r#","port":2,"minutes":"20m""#));
    assert!(
        matches!(countdown, Request::PlugRequest(_, PlugRequest::Countdown(request)) if request.minutes == Some(20))
    );
    let set = order(asked("energy_set", r#","port":1,"kwh":"0,5""#));
    assert!(matches!(set, Request::EnergySet { energy, .. } if energy == Energy::from_kwh(0.5).unwrap()));
    let Incoming::BadRequest(_, _, why) = asked("energy_set", r#","port":1,"kwh":"much""#) else { panic!() };
    assert!(why.contains("0,31"), "{why}");
}
