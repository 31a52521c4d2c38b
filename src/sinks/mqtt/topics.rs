//! Topics and payloads, pure: a picture in, texts out; a topic and a payload in, an order out.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::bridge_facts::BridgeFacts;
use super::counters::Metrics;
use crate::api::answer::{self, mark};
use crate::entity::{Entity, Kind, Value, entities, value};
use crate::model::{
    BridgeView, CommandError, CommandResult, Energy, Event, Notification, PlugId, PlugView, View, iso,
};
use serde::ser::{Serialize, Serializer};
use serde_json::{Map, Value as Json, json};
use std::fmt;

/// Ids told in a sentence, at the most.
const MAX_IDS: usize = 8;

/// How a topic behaves when nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// Published when it changes.
    Fact,
    /// A relay's state: again when a command failed, so that switches spring back.
    State,
    /// A number: again at each heartbeat.
    Number,
}

/// A message that should be retained.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Retained {
    pub(super) topic: String,
    pub(super) payload: String,
    pub(super) nature: Nature,
}

/// What is told of a plug's availability.
pub(super) fn availability(plug: &PlugView) -> &'static str {
    if plug.online { "online" } else { "offline" }
}

/// Every retained topic of a plug but its snapshot; availability first, then relays, then the rest.
/// A plug that was never read, or was not taken in, has none.
pub(super) fn retained(base: &str, plug: &PlugView) -> Vec<Retained> {
    let mut list = Vec::new();
    if !shown(plug) {
        return list;
    }
    let mut add = |tail: &str, payload: String, nature: Nature| {
        list.push(Retained { topic: format!("{base}/{}/{tail}", plug.id), payload, nature });
    };
    add("availability", availability(plug).into(), Nature::Fact);
    add("info", info(plug).to_string(), Nature::Fact);
    if plug.problem.is_none() && !read(plug) {
        // Not reached in this run: what an earlier one told stands.
        return list;
    }
    for entity in in_order(plug) {
        let Some(now) = value(plug, entity) else { continue };
        add(&tail(entity), text(now), nature(entity.kind, now));
    }
    list
}

/// Relays first.
pub(super) fn in_order(plug: &PlugView) -> impl Iterator<Item = Entity> {
    let all = entities(plug.offer);
    let is_relay = |entity: &Entity| entity.kind == Kind::Switch;
    let relays: Vec<Entity> = all.iter().copied().filter(is_relay).collect();
    relays.into_iter().chain(all.into_iter().filter(move |entity| !is_relay(entity)))
}

pub(super) fn nature(kind: Kind, value: Value) -> Nature {
    match value {
        // Told when it changes.
        _ if matches!(kind, Kind::Capability(_)) => Nature::Fact,
        Value::OnOff(_) if kind == Kind::Switch => Nature::State,
        Value::OnOff(_) | Value::Word(_) | Value::Nothing => Nature::Fact,
        Value::Number(_) | Value::Energy(_) | Value::Milliseconds(_) | Value::Time(_) => Nature::Number,
    }
}

/// What the broker publishes when the bridge is gone without a word: topic and payload, retained.
pub fn last_will(base: &str) -> (String, &'static str) {
    (format!("{base}/bridge/state"), "offline")
}

/// It was read in this run.
pub(super) fn read(plug: &PlugView) -> bool {
    plug.last_seen_ms.is_some()
}

/// A plug that has topics of its own.
pub(super) fn shown(plug: &PlugView) -> bool {
    plug.adopted && plug.offer.ports > 0
}

/// The end of an entity's state topic, below the plug's.
pub(super) fn tail(entity: Entity) -> String {
    let word = if entity.kind == Kind::Switch { "state" } else { entity.word() };
    match entity.port {
        Some(port) => format!("{port}/{word}"),
        None => word.into(),
    }
}

pub(super) fn text(value: Value) -> String {
    match value {
        Value::OnOff(on) => on_off(on).into(),
        Value::Number(number) => Plain::of(number).to_string(),
        Value::Energy(energy) => energy.to_string(),
        Value::Milliseconds(ms) => ms.to_string(),
        Value::Time(ms) => iso(ms),
        Value::Word(word) => word.into(),
        // Home Assistant's word for a value that is not there.
        Value::Nothing => "None".into(),
    }
}

/// `ON` or `OFF`.
pub(super) fn on_off(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

/// A number as it is published: at most three decimals, no exponent, no trailing zeros.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plain {
    thousandths: i64,
}

impl Plain {
    #[expect(clippy::cast_possible_truncation, reason = "drivers believe no number of that size")]
    pub(super) fn of(number: f64) -> Self {
        Self { thousandths: (number * 1000.0).round() as i64 }
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.thousandths < 0 { "-" } else { "" };
        let size = self.thousandths.unsigned_abs();
        let (whole, rest) = (size / 1000, size % 1000);
        match rest {
            0 => write!(f, "{sign}{whole}"),
            _ if rest % 100 == 0 => write!(f, "{sign}{whole}.{}", rest / 100),
            _ if rest % 10 == 0 => write!(f, "{sign}{whole}.{:02}", rest / 10),
            _ => write!(f, "{sign}{whole}.{rest:03}"),
        }
    }
}

impl Serialize for Plain {
    #[expect(clippy::cast_precision_loss, reason = "three decimals of a number that was one")]
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.thousandths % 1000 {
            0 => to.serialize_i64(self.thousandths / 1000),
            _ => to.serialize_f64(self.thousandths as f64 / 1000.0),
        }
    }
}

/// Topic of a plug's snapshot.
pub(super) fn snapshot_topic(base: &str, id: &PlugId) -> String {
    format!("{base}/{id}/state")
}

/// What does not change from poll to poll.
pub(super) fn info(plug: &PlugView) -> Json {
    let facts = &plug.facts;
    let metering = [
        ("power", plug.offer.power),
        ("current", plug.offer.current),
        ("voltage", plug.offer.voltage | plug.offer.port_voltage),
    ];
    let metering: Vec<&str> = metering.iter().filter(|(_, there)| *there).map(|(word, _)| *word).collect();
    json!({
        "id": plug.id.as_str(),
        "driver": plug.driver,
        "name": &*plug.name,
        "manufacturer": facts.manufacturer,
        "model": facts.model,
        "model_id": facts.model_id,
        "serial": facts.serial,
        "mac": facts.mac.map(|mac| mac.to_string()),
        "firmware": facts.firmware,
        "hardware": facts.hardware,
        "cpuid": facts.cpuid,
        "server": facts.server,
        "ip": plug.ip.as_deref(),
        "ports": plug.offer.ports,
        "metering": metering,
        "energy_source": plug.offer.metered().then_some(if plug.offer.energy_counted { "device" } else { "integrated" }),
        "unmetered_s": plug.energy.map(|_| plug.unmetered_s),
        "control": plug.control,
        "state_source": if plug.relays_remembered { "remembered" } else { "device" },
    })
}

/// Bytes that `bridge/devices` has at the most.
const MAX_DEVICES: usize = 1 << 20;

/// `bridge/devices`: one line for each plug, taken in or not.
///
/// Written line by line: as one tree, the list of a large fleet takes many times its text.
pub(super) fn devices(view: &View) -> String {
    let line = |plug: &PlugView| {
        json!({
            "id": plug.id.as_str(),
            "driver": plug.driver,
            "name": &*plug.name,
            "model": plug.facts.model,
            "serial": plug.facts.serial,
            "firmware": plug.facts.firmware,
            "ip": plug.ip.as_deref(),
            "ports": plug.offer.ports,
            "availability": availability(plug),
            "adopted": shown(plug),
        })
    };
    let mut text = String::from("[");
    // Those that were taken in come first, should there be too many.
    let (ours, others): (Vec<_>, Vec<_>) = view.plugs.values().partition(|plug| plug.adopted);
    for plug in ours.into_iter().chain(others) {
        let line = line(plug).to_string();
        if text.len() + line.len() > MAX_DEVICES {
            break;
        }
        if text.len() > 1 {
            text.push(',');
        }
        text += &line;
    }
    text.push(']');
    text
}

/// `bridge/health`.
pub(super) fn health(
    view: &View,
    version: &str,
    reconnects: u64,
    link: Metrics,
    problem: Option<&str>,
) -> Json {
    let stats = &view.bridge.stats;
    json!({
        "ts": iso(stats.unix_ms),
        "uptime_s": stats.uptime_s,
        "version": version,
        "mqtt": {
            "connected": true, "protocol": 4, "reconnects": reconnects, "published": link.published,
            "received": link.received, "queued": link.queued, "dropped": link.dropped,
        },
        "devices": {
            "online": view.plugs.values().filter(|plug| plug.online).count(),
            "known": view.plugs.len(),
        },
        "polls": {
            "ok": stats.polls_ok, "failed": stats.polls_failed, "p50_ms": stats.p50_ms, "p95_ms": stats.p95_ms,
        },
        "samples": stats.samples,
        "memory_mb": link.memory_mb,
        "problem": problem,
    })
}

/// `bridge/info`.
pub(super) fn bridge_info(
    base: &str,
    facts: &BridgeFacts,
    bridge: &BridgeView,
    problem: Option<&str>,
) -> Json {
    json!({
        "version": facts.version,
        "instance": base,
        "run": facts.run,
        "started": iso(facts.started_ms),
        "adopt": bridge.adopt,
        "log_level": bridge.log_level.as_str(),
        "read_only": bridge.read_only,
        "discovery": facts.discovery,
        "drivers": facts.drivers,
        "config_checksum": facts.config_checksum,
        "timezone": facts.timezone,
        "take_over": facts.take_over,
        "problem": problem,
    })
}

/// Topic and payload of something told once.
pub(super) fn note(base: &str, note: &Notification, unix_ms: u64) -> (String, Json) {
    match note {
        Notification::Result(result) => (format!("{base}/{}/response", result.plug), command_result(result)),
        Notification::Plug(id, what) => (format!("{base}/{id}/event"), event(what, unix_ms)),
        Notification::Bridge(what) => (format!("{base}/bridge/event"), event(what, unix_ms)),
        Notification::Response(response) => {
            (format!("{base}/bridge/response/{}", response.verb), answer::response(response))
        }
    }
}

fn command_result(result: &CommandResult) -> Json {
    let ports = result.ports.iter().map(|(port, on)| (port.to_string(), on.map(on_off).into()));
    let mut all = json!({
        "id": result.asker.mark.as_deref().map(mark),
        "status": if result.error.is_none() { "ok" } else { "failed" },
        "ports": ports.collect::<Map<String, Json>>(),
        "confirmed": result.error.is_none(),
        "latency_ms": u64::try_from(result.latency.as_millis()).unwrap_or(u64::MAX),
        "requests": result.requests,
        "attempts": result.attempts,
        "ts": iso(result.unix_ms),
    });
    if let (Some((error, port)), Some(object)) = (result.error, all.as_object_mut()) {
        object.insert("error".into(), error.as_str().into());
        object.extend(port.map(|port| ("port".to_owned(), port.into())));
        object.extend(result.detail.clone().map(|detail| ("detail".to_owned(), detail.into())));
    }
    all
}

/// The result of a command that no plug can have: it went to what is no id.
pub(super) fn refusal(id: Option<String>, error: CommandError, detail: &str, unix_ms: u64) -> Json {
    json!({
        "id": id.as_deref().map(mark), "status": "failed", "ports": {}, "confirmed": false, "latency_ms": 0, "requests": 0,
        "attempts": 0, "ts": iso(unix_ms), "error": error.as_str(), "detail": detail,
    })
}

/// The ids there are, as far as a line holds them.
pub(super) fn ids(view: &View) -> String {
    let all: Vec<&str> = view.plugs.keys().map(PlugId::as_str).take(MAX_IDS).collect();
    match (all.len(), view.plugs.len()) {
        (_, 0) => "no plug is known yet".into(),
        (told, all_of_them) if told < all_of_them => {
            format!("there are {} and {} more, see bridge/devices", all.join(", "), all_of_them - told)
        }
        _ => format!("there are {}", all.join(", ")),
    }
}

fn event(event: &Event, unix_ms: u64) -> Json {
    let ts = iso(unix_ms);
    match event {
        Event::SwitchedLocally { port, on } => {
            json!({"event_type": "switched_locally", "port": port, "state": on_off(*on), "ts": ts})
        }
        Event::LockEnforced { port, on } => {
            json!({"event_type": "lock_enforced", "port": port, "state": on_off(*on), "ts": ts})
        }
        Event::CommandFailed { port, error } => {
            json!({"event_type": "command_failed", "port": port, "error": error.as_str(), "ts": ts})
        }
        Event::Overload { port, hazard, watts, limit, remedy } => json!({
            "event_type": "overload", "port": port, "reason": hazard.as_str(), "power": Plain::of(*watts),
            "limit": limit.map(Plain::of), "action": remedy.as_str(), "ts": ts,
        }),
        Event::ReturnDropped { port, on, reason } => {
            json!({"event_type": "return_dropped", "port": port, "state": on_off(*on), "reason": reason, "ts": ts})
        }
        Event::DeviceRestarted => json!({"event_type": "device_restarted", "ts": ts}),
        Event::EnergyFilled { hours, ports } => {
            let kwh: Energy = ports.iter().copied().sum();
            let hours: Vec<String> = hours.iter().copied().map(iso).collect();
            let ports = (1..).zip(ports).map(|(n, energy): (u8, _)| (n.to_string(), energy.kwh().into()));
            let ports: Map<String, Json> = ports.collect();
            json!({"event_type": "energy_filled", "hours": hours, "kwh": kwh.kwh(), "ports": ports, "ts": ts})
        }
        Event::EnergyNotFilled { reason } => {
            json!({"event_type": "energy_not_filled", "reason": reason, "ts": ts})
        }
        Event::AddressChanged { from, to } => {
            json!({"event_type": "address_changed", "from": from, "to": to, "ts": ts})
        }
        Event::DeviceFound(id) => json!({"event_type": "device_found", "device": id.as_str(), "ts": ts}),
        Event::DeviceAdopted(id) => json!({"event_type": "device_adopted", "device": id.as_str(), "ts": ts}),
        Event::DeviceRemoved(id) => json!({"event_type": "device_removed", "device": id.as_str(), "ts": ts}),
        Event::DeviceOffline(id, why) => {
            json!({"event_type": "device_offline", "device": id.as_str(), "reason": why, "ts": ts})
        }
        Event::DeviceOnline(id) => json!({"event_type": "device_online", "device": id.as_str(), "ts": ts}),
    }
}

#[cfg(test)]
mod tests;
