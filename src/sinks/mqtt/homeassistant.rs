//! What Home Assistant is told so that it makes entities: MQTT discovery, pure. One message for a
//! plug (`device`), or one for each entity (`component`, for releases that read no other: Home Assistant
//! before 2024.12, openHAB before February 2026).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::controls;
use super::discovery_mode::{DiscoveryMode, PortDevices};
use super::fields::{Object, fields, measured, total};
use super::memory::Announcement;
use super::topics::tail;
use crate::entity::{Entity, Kind, entities};
use crate::model::{LogLevel, PerPort, PlugId, PlugView};
use serde_json::{Value, json};

/// Types of events a plug's event entity may show.
const EVENT_TYPES: [&str; 9] = [
    "overload",
    "command_failed",
    "device_restarted",
    "return_dropped",
    "switched_locally",
    "lock_enforced",
    "address_changed",
    "energy_filled",
    "energy_not_filled",
];

/// The parts of the settings that shape an announcement.
#[derive(Debug, Clone)]
pub struct Announcer {
    /// Base topic.
    pub base: String,
    /// Discovery prefix.
    pub prefix: String,
    /// Which form.
    pub mode: DiscoveryMode,
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
        if all.is_empty() || !plug.adopted {
            return Vec::new();
        }
        match self.mode {
            DiscoveryMode::Off => Vec::new(),
            DiscoveryMode::Component => {
                // First the plug's own: devices of ports are via its device, which must be there.
                let (own, ports): (Vec<Entity>, Vec<Entity>) =
                    all.iter().copied().partition(|entity| entity.port.is_none_or(|port| port == 0));
                own.into_iter().chain(ports).map(|entity| self.single(plug, entity)).collect()
            }
            DiscoveryMode::Device => self.whole(plug, &all),
        }
    }

    /// Whether anything is announced at all.
    pub(super) fn is_on(&self) -> bool {
        self.mode != DiscoveryMode::Off
    }

    /// What is to be remembered of these messages; `None` when there are none.
    pub(super) fn announcement(&self, plug: &PlugView) -> Option<Announcement> {
        let announced = self.is_on() && plug.adopted && plug.offer.ports > 0;
        announced.then(|| Announcement {
            prefix: self.prefix.clone(),
            mode: self.mode,
            port_devices: self.port_devices,
            offer: plug.offer,
        })
    }

    fn whole(&self, plug: &PlugView, all: &[Entity]) -> Vec<Message> {
        let strip = plug.offer.ports > 1;
        let split = self.port_devices != PortDevices::None && strip;
        let own = all.iter().filter(|entity| !split || entity.port.is_none_or(|port| port == 0));
        let parts = own.map(|entity| (entity.key(), Value::Object(self.component(plug, *entity)))).collect();
        let mut main = self.frame(self.device(plug), parts);
        main.extend(self.availability(plug));
        let mut messages = Vec::new();
        if split {
            let ports = (1..=plug.offer.ports).map(|port| (port, self.port_parts(plug, all, port)));
            if self.port_devices == PortDevices::Child {
                let children = ports.map(
                    |(port, parts)| json!({"ids": [port_id(&plug.id, port)], "name": port_name(plug, port), "cmps": parts}),
                );
                main.insert("child_devices".into(), children.collect());
            } else {
                messages.extend(ports.map(|(port, parts)| {
                    let mut own = self.frame(self.port_device(plug, port), parts);
                    own.extend(self.availability(plug));
                    Message {
                        topic: self.device_topic(&port_id(&plug.id, port)),
                        payload: Value::Object(own),
                    }
                }));
            }
        }
        let topic = self.device_topic(&device_id(&plug.id));
        messages.insert(0, Message { topic, payload: Value::Object(main) });
        messages
    }

    fn port_parts(&self, plug: &PlugView, all: &[Entity], port: u8) -> Object {
        let own = all.iter().filter(|entity| entity.port == Some(port));
        own.map(|entity| (entity.key(), Value::Object(self.component(plug, *entity)))).collect()
    }

    fn single(&self, plug: &PlugView, entity: Entity) -> Message {
        let key = entity.key();
        let topic = format!("{}/{}/{}/{key}/config", self.prefix, platform(entity.kind), plug.id);
        let split = self.port_devices != PortDevices::None && plug.offer.ports > 1;
        let device = match entity.port {
            Some(port) if port > 0 && split => self.port_device(plug, port),
            _ => self.device(plug),
        };
        let mut payload = self.component(plug, entity);
        payload.remove("p");
        payload.extend(self.availability(plug));
        payload.extend(fields([("dev", Value::Object(device)), ("o", self.origin()), ("qos", 1.into())]));
        Message { topic, payload: Value::Object(payload) }
    }

    fn frame(&self, device: Object, parts: Object) -> Object {
        fields([
            ("dev", Value::Object(device)),
            ("o", self.origin()),
            ("qos", 1.into()),
            ("cmps", Value::Object(parts)),
        ])
    }

    fn origin(&self) -> Value {
        json!({"name": "plug2mqtt", "sw": self.version, "url": env!("CARGO_PKG_HOMEPAGE")})
    }

    fn availability(&self, plug: &PlugView) -> Object {
        let topics = json!([
            {"t": format!("{}/bridge/state", self.base)},
            {"t": format!("{}/{}/availability", self.base, plug.id)},
        ]);
        fields([("avty", topics), ("avty_mode", "all".into())])
    }

    fn device(&self, plug: &PlugView) -> Object {
        let facts = &plug.facts;
        let mut device = fields([("ids", json!([device_id(&plug.id)])), ("name", (*plug.name).into())]);
        if self.announces_bridge() {
            // Home Assistant makes an empty device of one that nobody announces.
            device.insert("via_device".into(), self.bridge_id().into());
        }
        let known = [
            ("mf", Some(&facts.manufacturer)),
            ("mdl", Some(&facts.model)),
            ("mdl_id", facts.model_id.as_ref()),
            ("sn", facts.serial.as_ref()),
            ("sw", facts.firmware.as_ref()),
            ("hw", facts.hardware.as_ref()),
        ];
        let known = known
            .into_iter()
            .filter_map(|(key, value)| Some((key.into(), value.filter(|v| !v.is_empty())?.as_str().into())));
        device.extend(known);
        device.extend(facts.mac.map(|mac| ("cns".into(), json!([["mac", mac.to_string()]]))));
        device
    }

    fn port_device(&self, plug: &PlugView, port: u8) -> Object {
        fields([
            ("ids", json!([port_id(&plug.id, port)])),
            ("name", port_name(plug, port).into()),
            ("mf", plug.facts.manufacturer.as_str().into()),
            ("mdl", plug.facts.model.as_str().into()),
            ("via_device", device_id(&plug.id).into()),
        ])
    }

    fn component(&self, plug: &PlugView, entity: Entity) -> Object {
        let topic = |tail: &str| Value::from(format!("{}/{}/{tail}", self.base, plug.id));
        let mut part = fields([
            ("p", platform(entity.kind).into()),
            ("uniq_id", format!("{}_{}", device_id(&plug.id), entity.key()).into()),
            ("name", self.entity_name(plug, entity)),
        ]);
        part.extend(match entity.kind {
            Kind::Switch => fields([("dev_cla", "outlet".into())]),
            Kind::Power => measured("power", "W", 1),
            Kind::Energy | Kind::EnergyToday | Kind::EnergyMonth => total("energy", "kWh", 3),
            Kind::Current => measured("current", "A", 2),
            Kind::Voltage => measured("voltage", "V", 1),
            // Percent is not a unit of the class "signal_strength".
            Kind::Signal => fields([("unit_of_meas", "%".into()), ("stat_cla", "measurement".into())]),
            Kind::Problem => fields([("dev_cla", "problem".into())]),
            Kind::Latency => measured("duration", "ms", 0),
            Kind::LastSeen => fields([("dev_cla", "timestamp".into())]),
            Kind::Event => fields([("evt_typ", EVENT_TYPES.as_slice().into())]),
            Kind::Refresh => fields([("cmd_t", topic("get")), ("pl_prs", "get".into())]),
            Kind::Capability(shown) => controls::component(&self.base, plug, shown, entity.port),
        });
        if entity.kind != Kind::Refresh {
            part.insert("stat_t".into(), topic(&tail(entity)));
        }
        if let (Kind::Switch, Some(port)) = (entity.kind, entity.port) {
            part.insert("cmd_t".into(), topic(&format!("{port}/set")));
        }
        let of_plug = matches!(
            entity.kind,
            Kind::Problem | Kind::Signal | Kind::Latency | Kind::LastSeen | Kind::Refresh
        );
        if of_plug || matches!(entity.kind, Kind::Capability(shown) if shown.form.is_diagnostic()) {
            part.insert("ent_cat".into(), "diagnostic".into());
        }
        if matches!(
            entity.kind,
            Kind::EnergyToday
                | Kind::EnergyMonth
                | Kind::Current
                | Kind::Signal
                | Kind::Latency
                | Kind::LastSeen
                | Kind::Refresh
        ) {
            part.insert("en".into(), false.into());
        }
        part
    }

    /// The name below the device's; `null` for the one main entity of a device.
    fn entity_name(&self, plug: &PlugView, entity: Entity) -> Value {
        let word = match entity.kind {
            Kind::Switch => "",
            Kind::Power => "power",
            Kind::Energy => "energy",
            Kind::EnergyToday => "energy today",
            Kind::EnergyMonth => "energy this month",
            Kind::Current => "current",
            Kind::Voltage => "voltage",
            Kind::Signal => "signal strength",
            Kind::Problem => "problem",
            Kind::Latency => "response time",
            Kind::LastSeen => "last seen",
            Kind::Event => "event",
            Kind::Refresh => "refresh",
            Kind::Capability(shown) => shown.name,
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
                let short = name.strip_prefix(&*plug.name).map(str::trim).filter(|rest| !rest.is_empty());
                format!("{} {word}", short.unwrap_or(&name)).trim().into()
            }
            (None, Kind::Power) => "Total power".into(),
            (None, Kind::Energy) => "Total energy".into(),
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

    /// Where the bridge's own device is announced.
    pub fn bridge_topic(&self) -> String {
        self.device_topic(&self.bridge_id())
    }

    /// Whether the bridge itself is announced.
    fn announces_bridge(&self) -> bool {
        self.mode == DiscoveryMode::Device
    }

    /// The bridge's own device; only in `device` mode.
    pub fn bridge(&self) -> Option<Message> {
        if !self.announces_bridge() {
            return None;
        }
        let (base, id) = (&self.base, self.bridge_id());
        let info = format!("{base}/bridge/info");
        let ask = |verb: &str| format!("{base}/bridge/request/{verb}");
        let mut parts = json!({
            "connection": {"p": "binary_sensor", "name": "Connection", "dev_cla": "connectivity", "ent_cat": "diagnostic",
                "stat_t": format!("{base}/bridge/state"), "pl_on": "online", "pl_off": "offline", "avty": []},
            "problem": {"p": "binary_sensor", "name": "Problem", "dev_cla": "problem", "ent_cat": "diagnostic",
                "stat_t": format!("{base}/bridge/problem"), "json_attr_t": info,
                "json_attr_tpl": "{{ {'problem': value_json.problem} | tojson }}"},
            "adopt": {"p": "switch", "name": "Adopt new devices", "ent_cat": "config", "stat_t": info,
                "val_tpl": "{{ 'ON' if value_json.adopt else 'OFF' }}", "cmd_t": ask("adopt")},
            "log_level": {"p": "select", "name": "Log level", "ent_cat": "config", "ops": LogLevel::ALL.map(LogLevel::as_str),
                "stat_t": info, "val_tpl": "{{ value_json.log_level }}", "cmd_t": ask("log_level")},
            "devices_online": {"p": "sensor", "name": "Devices online", "stat_cla": "measurement", "ent_cat": "diagnostic",
                "stat_t": format!("{base}/bridge/health"), "val_tpl": "{{ value_json.devices.online }}"},
            "scan": {"p": "button", "name": "Scan network", "ent_cat": "config", "cmd_t": ask("scan"), "pl_prs": "{}"},
            "restart": {"p": "button", "name": "Restart", "dev_cla": "restart", "ent_cat": "config",
                "cmd_t": ask("restart"), "pl_prs": "{}"},
        });
        for (key, part) in parts.as_object_mut().into_iter().flatten() {
            part.as_object_mut()?.insert("uniq_id".into(), format!("{id}_{key}").into());
        }
        let device = json!({"ids": [id], "name": "plug2mqtt bridge", "mf": "plug2mqtt", "mdl": "MQTT bridge", "sw": self.version});
        let payload = json!({
            "dev": device, "o": self.origin(), "qos": 1, "cmps": parts, "avty": [{"t": format!("{base}/bridge/state")}],
        });
        Some(Message { topic: self.bridge_topic(), payload })
    }
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_ascii_uppercase().to_string() + letters.as_str()).unwrap_or_default()
}

pub(super) fn platform(kind: Kind) -> &'static str {
    match kind {
        Kind::Switch => "switch",
        Kind::Power
        | Kind::Energy
        | Kind::EnergyToday
        | Kind::EnergyMonth
        | Kind::Current
        | Kind::Voltage
        | Kind::Signal
        | Kind::Latency
        | Kind::LastSeen => "sensor",
        Kind::Problem => "binary_sensor",
        Kind::Event => "event",
        Kind::Refresh => "button",
        Kind::Capability(shown) => controls::platform(shown),
    }
}

pub(super) fn device_id(id: &PlugId) -> String {
    format!("plug2mqtt_{id}")
}

pub(super) fn port_id(id: &PlugId, port: u8) -> String {
    format!("plug2mqtt_{id}_p{port}")
}

/// The plug in the id of a device, or in a part of a topic.
pub(super) fn plug_of(part: &str) -> &str {
    let id = part.strip_prefix("plug2mqtt_").unwrap_or(part);
    id.split_once('_').map_or(id, |(id, _)| id)
}

fn port_name(plug: &PlugView, port: u8) -> String {
    plug.ports.port(port).map_or_else(|| format!("Port {port}"), |view| view.name.to_string())
}

#[cfg(test)]
mod tests;
