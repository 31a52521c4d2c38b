//! What Home Assistant is told so that it makes entities: MQTT discovery, pure. One message for a
//! plug (`device`), or one for each entity (`component`, which openHAB and old releases read).

use super::topics::tail;
use crate::entity::{Entity, Kind, entities};
use crate::model::{Offer, PlugId, PlugView, Shape};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Types of events a plug's event entity may show.
const EVENT_TYPES: [&str; 5] =
    ["overload", "command_failed", "device_restarted", "switched_locally", "address_changed"];

/// How plugs are announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// One message a plug; Home Assistant 2024.12 and later.
    Device,
    /// One message an entity; openHAB and older releases.
    Component,
    /// Not at all.
    Off,
}

impl Mode {
    /// The word for it in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Component => "component",
            Self::Off => "off",
        }
    }
}

/// Whether ports are devices of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PortDevices {
    /// All entities belong to the plug.
    None,
    /// Child devices in the plug's message; Home Assistant 2026.11 and later.
    Child,
    /// A device with its own message for each port.
    Via,
}

impl PortDevices {
    /// The word for it in settings.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Child => "child",
            Self::Via => "via",
        }
    }
}

/// The parts of the settings that shape an announcement.
#[derive(Debug, Clone)]
pub struct Announcer {
    /// Base topic.
    pub base: String,
    /// Discovery prefix.
    pub prefix: String,
    /// Which form.
    pub mode: Mode,
    /// Whether ports are devices.
    pub port_devices: PortDevices,
    /// Version of the program.
    pub version: &'static str,
}

/// One discovery message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its topic.
    pub topic: String,
    /// Its JSON.
    pub payload: Value,
}

impl Announcer {
    /// All discovery messages of a plug; none while it has nothing to offer.
    pub fn messages(&self, plug: &PlugView) -> Vec<Message> {
        let all = entities(plug.offer);
        if all.is_empty() || !plug.adopted || plug.deleted {
            return Vec::new();
        }
        match self.mode {
            Mode::Off => Vec::new(),
            Mode::Component => all.iter().map(|entity| self.single(plug, *entity)).collect(),
            Mode::Device => self.whole(plug, &all),
        }
    }

    /// The shape these messages have, to be remembered; `None` when there are none.
    pub fn shape(&self, plug: &PlugView) -> Option<Shape> {
        let announced = self.mode != Mode::Off && plug.adopted && !plug.deleted && plug.offer.ports > 0;
        announced.then(|| Shape {
            prefix: self.prefix.clone(),
            mode: self.mode.as_str().into(),
            port_devices: self.port_devices.as_str().into(),
            offer: plug.offer,
        })
    }

    fn whole(&self, plug: &PlugView, all: &[Entity]) -> Vec<Message> {
        let strip = plug.offer.ports > 1;
        let split = self.port_devices != PortDevices::None && strip;
        let own = all.iter().filter(|entity| !split || entity.port.is_none_or(|port| port == 0));
        let parts = own.map(|entity| (entity.key(), self.component(plug, *entity))).collect();
        let mut main = self.frame(self.device(plug), parts);
        let mut messages = Vec::new();
        if split {
            let ports = (1..=plug.offer.ports).map(|port| (port, self.port_parts(plug, all, port)));
            if self.port_devices == PortDevices::Child {
                let children = ports.map(|(port, parts)| {
                    json!({"ids": [port_id(&plug.id, port)], "name": port_name(plug, port), "cmps": parts})
                });
                main.insert("child_devices".into(), children.collect());
            } else {
                messages.extend(ports.map(|(port, parts)| {
                    let payload = Value::Object(self.frame(self.port_device(plug, port), parts));
                    Message { topic: self.device_topic(&port_id(&plug.id, port)), payload }
                }));
            }
        }
        let topic = self.device_topic(&device_id(&plug.id));
        messages.insert(0, Message { topic, payload: Value::Object(main) });
        // Availability belongs to each message; the frame has the bridge's and the plug's.
        for message in &mut messages {
            message.payload["avty"] = self.availability(plug);
            message.payload["avty_mode"] = "all".into();
        }
        messages
    }

    fn port_parts(&self, plug: &PlugView, all: &[Entity], port: u8) -> Map<String, Value> {
        let own = all.iter().filter(|entity| entity.port == Some(port));
        own.map(|entity| (entity.key(), self.component(plug, *entity))).collect()
    }

    fn single(&self, plug: &PlugView, entity: Entity) -> Message {
        let key = entity.key();
        let component = self.component(plug, entity);
        let topic = format!("{}/{}/{}/{key}/config", self.prefix, platform(entity.kind), plug.id);
        let split = self.port_devices != PortDevices::None && plug.offer.ports > 1;
        let device = match entity.port {
            Some(port) if port > 0 && split => self.port_device(plug, port),
            _ => self.device(plug),
        };
        let mut payload = component;
        payload.as_object_mut().map(|object| object.remove("p"));
        payload["dev"] = device;
        payload["o"] = self.origin();
        payload["avty"] = self.availability(plug);
        payload["avty_mode"] = "all".into();
        payload["qos"] = 1.into();
        Message { topic, payload }
    }

    fn frame(&self, device: Value, parts: Map<String, Value>) -> Map<String, Value> {
        let mut frame = Map::new();
        frame.insert("dev".into(), device);
        frame.insert("o".into(), self.origin());
        frame.insert("qos".into(), 1.into());
        frame.insert("cmps".into(), Value::Object(parts));
        frame
    }

    fn origin(&self) -> Value {
        json!({"name": "plug2mqtt", "sw": self.version})
    }

    fn availability(&self, plug: &PlugView) -> Value {
        json!([{"t": format!("{}/bridge/state", self.base)}, {"t": format!("{}/{}/availability", self.base, plug.id)}])
    }

    fn device(&self, plug: &PlugView) -> Value {
        let facts = &plug.facts;
        let mut device = json!({
            "ids": [device_id(&plug.id)],
            "name": plug.name,
            "via_device": self.bridge_id(),
        });
        let known = [
            ("mf", Some(&facts.manufacturer)),
            ("mdl", Some(&facts.model)),
            ("mdl_id", facts.model_id.as_ref()),
            ("sn", facts.serial.as_ref()),
            ("sw", facts.firmware.as_ref()),
            ("hw", facts.hardware.as_ref()),
        ];
        for (key, value) in known {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                device[key] = value.as_str().into();
            }
        }
        if let Some(mac) = facts.mac {
            device["cns"] = json!([["mac", mac.to_string()]]);
        }
        device
    }

    fn port_device(&self, plug: &PlugView, port: u8) -> Value {
        json!({
            "ids": [port_id(&plug.id, port)],
            "name": port_name(plug, port),
            "mf": plug.facts.manufacturer,
            "mdl": plug.facts.model,
            "via_device": device_id(&plug.id),
        })
    }

    fn component(&self, plug: &PlugView, entity: Entity) -> Value {
        let state = format!("{}/{}/{}", self.base, plug.id, tail(entity));
        let mut part = json!({
            "p": platform(entity.kind),
            "uniq_id": format!("{}_{}", device_id(&plug.id), entity.key()),
            "name": self.entity_name(plug, entity),
        });
        let traits: &[(&str, Value)] = &match entity.kind {
            Kind::Switch => vec![("dev_cla", "outlet".into())],
            Kind::Power => measured("power", "W", 1),
            Kind::Current => measured("current", "A", 2),
            Kind::Voltage => measured("voltage", "V", 1),
            // Percent is not a unit of the class "signal_strength".
            Kind::Signal => vec![("unit_of_meas", "%".into()), ("stat_cla", "measurement".into())],
            Kind::Problem => vec![("dev_cla", "problem".into())],
            Kind::Latency => measured("duration", "ms", 0),
            Kind::LastSeen => vec![("dev_cla", "timestamp".into())],
            Kind::Event => vec![("evt_typ", EVENT_TYPES.as_slice().into())],
            Kind::Refresh => vec![("pl_prs", "get".into())],
        };
        for (key, value) in traits {
            part[*key] = value.clone();
        }
        match entity.kind {
            Kind::Refresh => part["cmd_t"] = format!("{}/{}/get", self.base, plug.id).into(),
            Kind::Switch => {
                part["cmd_t"] = format!("{}/{}/{}/set", self.base, plug.id, entity.port.unwrap_or(0)).into();
                part["stat_t"] = state.into();
            }
            _ => part["stat_t"] = state.into(),
        }
        if matches!(
            entity.kind,
            Kind::Problem | Kind::Signal | Kind::Latency | Kind::LastSeen | Kind::Refresh
        ) {
            part["ent_cat"] = "diagnostic".into();
        }
        if matches!(
            entity.kind,
            Kind::Current | Kind::Signal | Kind::Latency | Kind::LastSeen | Kind::Refresh
        ) {
            part["en"] = false.into();
        }
        part
    }

    /// The name below the device's; `null` for the one main entity of a device.
    fn entity_name(&self, plug: &PlugView, entity: Entity) -> Value {
        let word = match entity.kind {
            Kind::Switch => "",
            Kind::Power => "power",
            Kind::Current => "current",
            Kind::Voltage => "voltage",
            Kind::Signal => "signal strength",
            Kind::Problem => "problem",
            Kind::Latency => "response time",
            Kind::LastSeen => "last seen",
            Kind::Event => "event",
            Kind::Refresh => "refresh",
        };
        let strip = plug.offer.ports > 1;
        let own_device = self.port_devices != PortDevices::None || !strip;
        match (entity.port, entity.kind) {
            (Some(0), _) => "All".into(),
            (Some(_), Kind::Switch) if own_device => Value::Null,
            (Some(_), _) if own_device => capital(word).into(),
            (Some(port), _) => {
                let name = port_name(plug, port);
                // Home Assistant puts the device's name in front by itself.
                let short = name.strip_prefix(&plug.name).map(str::trim).filter(|rest| !rest.is_empty());
                format!("{} {word}", short.unwrap_or(&name)).trim().into()
            }
            (None, Kind::Power) => "Total power".into(),
            (None, _) => capital(word).into(),
        }
    }

    fn device_topic(&self, id: &str) -> String {
        format!("{}/device/{id}/config", self.prefix)
    }

    /// The identifier of the bridge's own device.
    pub fn bridge_id(&self) -> String {
        let instance: String = self
            .base
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' })
            .collect();
        format!("plug2mqtt_bridge_{instance}")
    }

    /// The bridge's own device; only in `device` mode.
    pub fn bridge(&self) -> Option<Message> {
        if self.mode != Mode::Device {
            return None;
        }
        let (base, id) = (&self.base, self.bridge_id());
        let info = format!("{base}/bridge/info");
        let part = |key: &str, value: Value| {
            let mut value = value;
            value["uniq_id"] = format!("{id}_{key}").into();
            (key.to_owned(), value)
        };
        let ask = |verb: &str| format!("{base}/bridge/request/{verb}");
        let parts: Map<String, Value> = [
            part("connection", json!({"p": "binary_sensor", "name": "Connection", "dev_cla": "connectivity", "ent_cat": "diagnostic",
                "stat_t": format!("{base}/bridge/state"), "pl_on": "online", "pl_off": "offline", "avty": []})),
            part("adopt", json!({"p": "switch", "name": "Adopt new devices", "ent_cat": "config", "stat_t": info,
                "val_tpl": "{{ 'ON' if value_json.adopt else 'OFF' }}", "cmd_t": ask("adopt")})),
            part("log_level", json!({"p": "select", "name": "Log level", "ent_cat": "config",
                "ops": crate::model::LogLevel::ALL.map(|level| level.as_str()), "stat_t": info,
                "val_tpl": "{{ value_json.log_level }}", "cmd_t": ask("log_level")})),
            part("devices_online", json!({"p": "sensor", "name": "Devices online", "stat_cla": "measurement", "ent_cat": "diagnostic",
                "stat_t": format!("{base}/bridge/health"), "val_tpl": "{{ value_json.devices.online }}"})),
            part("scan", json!({"p": "button", "name": "Scan network", "ent_cat": "config", "cmd_t": ask("scan"), "pl_prs": "{}"})),
            part("restart", json!({"p": "button", "name": "Restart", "dev_cla": "restart", "ent_cat": "config", "cmd_t": ask("restart"), "pl_prs": "{}"})),
        ]
        .into_iter()
        .collect();
        let device = json!({"ids": [id], "name": "plug2mqtt bridge", "mf": "plug2mqtt", "mdl": "MQTT bridge", "sw": self.version});
        let mut payload = Value::Object(self.frame(device, parts));
        payload["avty"] = json!([{"t": format!("{base}/bridge/state")}]);
        Some(Message { topic: self.device_topic(&id), payload })
    }
}

fn measured(class: &str, unit: &str, digits: u8) -> Vec<(&'static str, Value)> {
    vec![
        ("dev_cla", class.into()),
        ("unit_of_meas", unit.into()),
        ("stat_cla", "measurement".into()),
        ("sug_dsp_prc", digits.into()),
    ]
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

fn platform(kind: Kind) -> &'static str {
    match kind {
        Kind::Switch => "switch",
        Kind::Power | Kind::Current | Kind::Voltage | Kind::Signal | Kind::Latency | Kind::LastSeen => {
            "sensor"
        }
        Kind::Problem => "binary_sensor",
        Kind::Event => "event",
        Kind::Refresh => "button",
    }
}

fn device_id(id: &PlugId) -> String {
    format!("plug2mqtt_{id}")
}

fn port_id(id: &PlugId, port: u8) -> String {
    format!("plug2mqtt_{id}_p{port}")
}

fn port_name(plug: &PlugView, port: u8) -> String {
    let view = usize::from(port).checked_sub(1).and_then(|index| plug.ports.get(index));
    view.map_or_else(|| format!("Port {port}"), |view| view.name.clone())
}

/// Every discovery topic of an announcement of this shape, with its component keys and platforms.
pub(super) fn topics_of(shape: &Shape, id: &PlugId) -> BTreeMap<String, BTreeMap<String, &'static str>> {
    let mut topics: BTreeMap<String, BTreeMap<String, &'static str>> = BTreeMap::new();
    let via = shape.port_devices == "via" && shape.offer.ports > 1;
    for entity in entities(shape.offer) {
        let topic = match (shape.mode.as_str(), entity.port) {
            ("component", _) => {
                format!("{}/{}/{id}/{}/config", shape.prefix, platform(entity.kind), entity.key())
            }
            (_, Some(port)) if port > 0 && via => {
                format!("{}/device/{}/config", shape.prefix, port_id(id, port))
            }
            _ => format!("{}/device/{}/config", shape.prefix, device_id(id)),
        };
        topics.entry(topic).or_default().insert(entity.key(), platform(entity.kind));
    }
    topics
}

/// The ends of all retained topics of a plug announced with this shape.
pub(super) fn state_tails(shape: &Shape) -> Vec<String> {
    offer_tails(shape.offer)
}

/// The ends of all retained topics of a plug with this offer.
pub(super) fn offer_tails(offer: Offer) -> Vec<String> {
    let stateful = |entity: &Entity| !matches!(entity.kind, Kind::Event | Kind::Refresh);
    let own = entities(offer).into_iter().filter(stateful).map(tail);
    own.chain(["availability", "info", "state"].map(Into::into)).collect()
}

/// What must be published to get from what was announced to what is to be announced.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Transition {
    /// First: these, at once.
    pub(super) first: Vec<Message>,
    /// Then, after Home Assistant had time for them: these.
    pub(super) second: Vec<Message>,
    /// At last: these topics are emptied.
    pub(super) emptied: Vec<String>,
    /// A pause is needed between first and second.
    pub(super) pause: bool,
}

/// From an old shape to new messages: in place where possible, by Home Assistant's migration where
/// the form changes, so that ids, areas and history stay.
pub(super) fn transition(
    id: &PlugId,
    old: Option<&Shape>,
    new: Option<&Shape>,
    messages: Vec<Message>,
) -> Transition {
    let old_topics = old.map(|shape| topics_of(shape, id)).unwrap_or_default();
    let new_topics = new.map(|shape| topics_of(shape, id)).unwrap_or_default();
    let emptied: Vec<String> =
        old_topics.keys().filter(|topic| !new_topics.contains_key(*topic)).cloned().collect();
    let form = |shape: &Shape| (shape.prefix.clone(), shape.mode.clone(), shape.port_devices == "via");
    let moves = matches!((old, new), (Some(old), Some(new)) if form(old) != form(new));
    if moves {
        let migrate = old_topics
            .into_keys()
            .map(|topic| Message { topic, payload: json!({"migrate_discovery": true}) });
        return Transition { first: migrate.collect(), second: messages, emptied, pause: true };
    }
    // A part that is left out stays in Home Assistant for ever; it must be sent once as a bare
    // platform, and the whole message again a little later (2026.10 deletes too much otherwise).
    let mut first = messages.clone();
    let mut gone = false;
    for message in &mut first {
        let (old, new) = (old_topics.get(&message.topic), new_topics.get(&message.topic));
        let lost = old.into_iter().flatten().filter(|(key, _)| new.is_none_or(|new| !new.contains_key(*key)));
        for (key, platform) in lost {
            if let Some(parts) = message.payload.get_mut("cmps").and_then(Value::as_object_mut) {
                parts.insert(key.clone(), json!({"p": platform}));
                gone = true;
            }
        }
    }
    let second = if gone { messages } else { Vec::new() };
    Transition { first, second, emptied, pause: gone }
}

#[cfg(test)]
mod tests;
