//! The part of an announcement that is about timers, clock, groups and random switching. What Home
//! Assistant changes there it asks for like everybody, by a request. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::homeassistant::{Object, fields, measured};
use crate::entity::{Entity, Kind};
use crate::model::{LeaderGroup, PlugView};
use serde_json::{Value, json};

/// What is special about such an entity.
pub(super) fn component(base: &str, plug: &PlugView, entity: Entity) -> Object {
    let ask = |verb: &str| ("cmd_t", Value::from(format!("{base}/bridge/request/{verb}")));
    let id = &plug.id;
    match entity.kind {
        Kind::Countdown => {
            let port = entity.port.unwrap_or_default();
            let request = format!(r#"{{"id":"{id}","port":{port},"minutes":{{{{ value | int }}}}}}"#);
            fields([
                ask("countdown"),
                ("cmd_tpl", request.into()),
                ("min", 0.into()),
                // Whatever the plug may hold: Home Assistant shows no value beyond.
                ("max", u32::MAX.into()),
                ("mode", "box".into()),
                ("unit_of_meas", "min".into()),
                ("dev_cla", "duration".into()),
                config(),
            ])
        }
        Kind::CountdownEnd => fields([("dev_cla", "timestamp".into())]),
        Kind::ClockDrift => measured("duration", "s", 0),
        Kind::Leader => {
            let ports = (1..=plug.offer.ports).map(|port| port.to_string());
            let options: Vec<String> = std::iter::once("off".into()).chain(ports).collect();
            // Home Assistant reads "none" as unknown in every select, whatever its options are.
            let leader = "{{ 'none' if value == 'off' else value }}";
            let request = format!(r#"{{"id":"{id}","leader":"{leader}"}}"#);
            fields([
                ask("leader"),
                ("cmd_tpl", request.into()),
                ("val_tpl", "{{ 'off' if value == 'none' else value }}".into()),
                ("ops", json!(options)),
                config(),
            ])
        }
        Kind::LeaderLimit => {
            let request = format!(r#"{{"id":"{id}","limit_w":{{{{ value }}}}}}"#);
            let options = LeaderGroup::LIMITS.map(|watts| watts.to_string());
            fields([ask("leader"), ("cmd_tpl", request.into()), ("ops", json!(options)), config()])
        }
        Kind::PresenceSimulation => {
            let request = |on: bool| Value::from(json!({"id": id.as_str(), "enabled": on}).to_string());
            fields([
                ask("presence_simulation"),
                ("pl_on", request(true)),
                ("pl_off", request(false)),
                ("stat_on", "ON".into()),
                ("stat_off", "OFF".into()),
                config(),
            ])
        }
        Kind::Switch
        | Kind::Power
        | Kind::Energy
        | Kind::EnergyToday
        | Kind::EnergyMonth
        | Kind::Current
        | Kind::Voltage
        | Kind::Signal
        | Kind::Problem
        | Kind::Latency
        | Kind::LastSeen
        | Kind::Event
        | Kind::Refresh => Object::new(),
    }
}

/// Below the switches and sensors on the page of a device. Sensors may not be there.
fn config() -> (&'static str, Value) {
    ("ent_cat", "config".into())
}
