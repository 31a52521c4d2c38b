//! The part of an announcement that is about capabilities. What Home Assistant changes there it asks for
//! like everybody, by a request. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::fields::{Object, fields, measured};
use crate::entity::{Form, Setting, Shown};
use crate::model::PlugView;
use serde_json::{Value, json};

/// What kind of entity it is.
pub(super) fn platform(shown: &Shown) -> &'static str {
    match shown.form {
        Form::Minutes(_) => "number",
        Form::ChoiceOrNone(..) | Form::Choice(..) => "select",
        Form::Toggle(_) => "switch",
        Form::Timestamp | Form::Drift => "sensor",
    }
}

/// What is special about such an entity, of a port or of the plug.
pub(super) fn component(base: &str, plug: &PlugView, shown: &Shown, port: Option<u8>) -> Object {
    let id = &plug.id;
    let ask = |setting: &Setting| ("cmd_t", Value::from(format!("{base}/bridge/request/{}", setting.verb)));
    let port = port.map(|port| format!("\"port\":{port},")).unwrap_or_default();
    let request = |key: &str, value: &str| {
        ("cmd_tpl", Value::from(format!("{{\"id\":\"{id}\",{port}\"{key}\":{value}}}")))
    };
    match &shown.form {
        Form::Minutes(setting) => fields([
            ask(setting),
            request(setting.key, "{{ value | int }}"),
            ("min", 0.into()),
            // Whatever the plug may hold: Home Assistant shows no value beyond.
            ("max", u32::MAX.into()),
            ("mode", "box".into()),
            ("unit_of_meas", "min".into()),
            ("dev_cla", "duration".into()),
            config(),
        ]),
        Form::ChoiceOrNone(options, setting) => {
            let options: Vec<String> =
                std::iter::once("off".into()).chain(options(plug.offer.ports)).collect();
            fields([
                ask(setting),
                // Home Assistant reads "none" as unknown in every select, whatever its options are.
                request(setting.key, "\"{{ 'none' if value == 'off' else value }}\""),
                ("val_tpl", "{{ 'off' if value == 'none' else value }}".into()),
                ("ops", json!(options)),
                config(),
            ])
        }
        Form::Choice(options, setting) => fields([
            ask(setting),
            request(setting.key, "{{ value }}"),
            ("ops", json!(options(plug.offer.ports))),
            config(),
        ]),
        Form::Toggle(setting) => {
            let request = |on: bool| Value::from(json!({"id": id.as_str(), setting.key: on}).to_string());
            fields([
                ask(setting),
                ("pl_on", request(true)),
                ("pl_off", request(false)),
                ("stat_on", "ON".into()),
                ("stat_off", "OFF".into()),
                config(),
            ])
        }
        Form::Timestamp => fields([("dev_cla", "timestamp".into())]),
        Form::Drift => measured("duration", "s", 0),
    }
}

/// Below the switches and sensors on the page of a device. Sensors may not be there.
fn config() -> (&'static str, Value) {
    ("ent_cat", "config".into())
}
