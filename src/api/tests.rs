//! What every verb has in common; what each of them understands is tested with the topics.

use super::answer::report;
use super::*;
use crate::model::{Clock, PlugAnswer, Schedule};
use jiff::civil::DateTime;

fn refused(name: &str, text: &str) -> String {
    let verb = verb(name).expect(name);
    (verb.read)(text).expect_err(text)
}

#[test]
fn a_foreign_key_is_named_beside_all_keys_of_the_verb() {
    for Entry { name, keys, .. } in verbs() {
        let own: Vec<&str> = keys().iter().copied().filter(|key| *key != "transaction").collect();
        assert_eq!(own.len() + 1, keys().len(), "{name} has a transaction");
        let own = if own.is_empty() { "none but \"transaction\"" } else { &own.join(", ") };
        let why = refused(name, r#"{"transaction":1,"a.`b":0}"#);
        assert!(why.starts_with(&format!("{name} has no key \"a.`b\"; its keys are {own}")), "{why}");
    }
}

#[test]
fn a_foreign_key_of_an_object_inside_is_named_beside_the_keys_of_that() {
    let rule = "id, on, off, at, days, date and enabled";
    let options = "poll_interval, power_change, current_change, power_unit, read_only and port";
    for (verb, text, object, key, keys) in [
        ("device_options", r#"{"options":{"poll":1}}"#, "options", "poll", format!("its keys are {options}")),
        (
            "device_options",
            r#"{"options":{"port":{"1":{"":1}}}}"#,
            "options.port.1",
            "",
            "its only key is lock".into(),
        ),
        ("schedule", r#"{"add":{"on":[1],"when":"22:10"}}"#, "add", "when", format!("its keys are {rule}")),
        (
            "schedule",
            r#"{"change":{"id":7,"transaction":1}}"#,
            "change",
            "transaction",
            format!("its keys are {rule}"),
        ),
    ] {
        assert_eq!(refused(verb, text), format!("{object} has no key {key:?}; {keys}"), "{text}");
    }
    // The content of a raw command is the plug's business.
    let call = r#"{"id":"maxsmart-x1","command":511,"arguments":{"any":{"thing":1}}}"#;
    assert!((verb("call").expect("a verb").read)(call).is_ok());
}

#[test]
fn another_error_names_the_key_as_well() {
    assert!(
        refused("schedule", r#"{"add":{"on":"all"}}"#) == "not a request: add.on: it is a list, not \"all\""
    );
    assert!(refused("clock", r#"{"set":true,"set":true}"#).contains("there is twice the key `set`"));
    assert!(refused("clock", r#"{"set":true} {}"#).contains("trailing"));
    assert!(refused("scan", r#"{"seconds":"soon"}"#).contains("\"20m\""));
    let key = "ü".repeat(1000);
    let why = refused("scan", &serde_json::json!({&key: 1}).to_string());
    assert_eq!(why.matches('ü').count(), 128);
}

#[test]
fn errors_are_sentences_for_people() {
    for (verb, text, wanted) in [
        ("schedule", r#"{"add":5}"#, "not a request: add: it is a JSON object, not 5"),
        (
            "schedule",
            r#"{"add":{"enabled":"x"}}"#,
            "not a request: add.enabled: it is true or false, not \"x\"",
        ),
        (
            "device_options",
            r#"{"options":{"read_only":[]}}"#,
            "not a request: options.read_only: it is true or false, not a list",
        ),
        (
            "device_options",
            r#"{"options":{"port":{"01":{}}}}"#,
            "not a request: options.port: \"01\" is no port; they are numbered 1 to 16",
        ),
        (
            "device_options",
            r#"{"options":{"port":{"1":{},"1":{}}}}"#,
            "not a request: options.port: port 1 is there twice",
        ),
        (
            "device_options",
            r#"{"options":{"port":[]}}"#,
            "not a request: options.port: it is a JSON object, not a list",
        ),
        ("scan", "blah", "not a request: seconds: \"blah\" is no time; write seconds, or a time as \"20m\""),
        ("clock", r#"{"set":yes}"#, "not a request: expected value, at character 8"),
        ("log_level", "blah", "level must be error, warn, info, debug or trace"),
    ] {
        assert_eq!(refused(verb, text), wanted, "{verb} {text}");
    }
}

#[test]
fn a_word_is_understood_where_one_is_enough() {
    let asked = |name: &str, text: &str| (verb(name).expect(name).read)(text);
    assert_eq!(asked("scan", "20"), asked("scan", r#"{"seconds":20}"#));
    assert_eq!(asked("adopt", "\"on\""), asked("adopt", r#"{"value":true}"#));
    assert_eq!(asked("log_level", "debug"), asked("log_level", r#"{"level":"debug"}"#));
    // A cleanup that was to be a rehearsal is none.
    assert_eq!(
        refused("cleanup", "dry_run"),
        "not a request: cleanup is a JSON object; its keys are dry_run and transaction"
    );
    assert!(refused("clock", r#"["maxsmart-x1"]"#).starts_with("not a request"));
    assert!(refused("restart", "now").ends_with("its keys are none but \"transaction\""));
}

#[test]
fn a_schedule_tells_of_a_clock_that_is_wrong_and_of_no_other() {
    let told = |drift_s: Option<i64>| {
        let local = DateTime::constant(2013, 12, 26, 0, 0, 0, 0);
        let clock = drift_s.map(|drift_s| Clock { local, drift_s });
        report("maxsmart-x1", PlugAnswer::Schedule(Schedule { rules: Vec::new(), clock }).report())
    };
    let wrong = told(Some(-407_246_400));
    assert_eq!(wrong["drift_s"], -407_246_400);
    assert!(wrong["warning"].as_str().is_some_and(|why| why.contains("2013-12-26")), "{wrong}");
    for fine in [told(Some(3)), told(None)] {
        assert_eq!(fine, serde_json::json!({"id": "maxsmart-x1", "rules": []}));
    }
}

#[test]
fn lists_are_no_objects_and_empty_lists_mean_nothing() {
    let id = r#""id":"maxsmart-x1""#;
    for (verb, more, why) in [
        ("device_options", r#""options":["7m",3.0]"#, "options is a JSON object"),
        ("device_options", r#""options":{"port":{"1":["off"]}}"#, "options.port.1 is a JSON object"),
        ("schedule", r#""add":[null,[1],[],"22:10","Mon",null,true]"#, "add is a JSON object"),
        ("schedule", r#""add":{"id":3,"on":[1],"at":"22:10","days":"Mon"}"#, "a new rule"),
        ("presence_simulation", r#""ports":[]"#, "ports: the list is empty"),
        ("leader", r#""leader":1,"followers":[]"#, "followers: the list is empty"),
    ] {
        let refused = refused(verb, &format!("{{{id},{more}}}"));
        assert!(refused.contains(why), "{verb} {more}: {refused}");
    }
}
