//! Everything about a plug in one JSON object, for scripts and Node-RED. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::topics::{Plain, availability, on_off};
use crate::entity::{Entity, Kind, Shown, Value, all_shown, value};
use crate::model::{Energy, PlugView, iso};
use serde::Serialize;
use serde::ser::Serializer;

/// What a plug does not have, like a leader, is not there; what is not known is null.
pub(super) fn snapshot(plug: &PlugView) -> String {
    serde_json::to_string(&Snapshot::of(plug)).unwrap_or_default()
}

#[derive(Serialize)]
struct Snapshot<'a> {
    ts: String,
    availability: &'static str,
    power: Option<Plain>,
    energy: Option<f64>,
    unmetered_s: Option<u64>,
    ports: Ports<'a>,
    problem: Option<&'a str>,
    latency_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voltage: Option<Option<Plain>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<Option<Plain>>,
    #[serde(flatten)]
    capabilities: Of<'a>,
}

/// All ports, by number.
struct Ports<'a>(&'a PlugView);

#[derive(Serialize)]
struct Port<'a> {
    name: &'a str,
    state: Option<&'static str>,
    power: Option<Plain>,
    current: Option<Plain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    voltage: Option<Option<Plain>>,
    energy: Option<f64>,
    energy_today: Option<f64>,
    energy_month: Option<f64>,
    since: Option<String>,
    cause: Option<&'static str>,
    locked: Option<&'static str>,
    #[serde(flatten)]
    capabilities: Of<'a>,
}

impl<'a> Snapshot<'a> {
    fn of(plug: &'a PlugView) -> Self {
        let offer = plug.offer;
        Self {
            ts: iso(plug.unix_ms),
            availability: availability(plug),
            power: plug.watts.map(Plain::of),
            energy: plug.energy.map(Energy::kwh),
            unmetered_s: plug.energy.map(|_| plug.unmetered_s),
            ports: Ports(plug),
            problem: plug.problem.as_deref(),
            latency_ms: plug.latency_ms,
            voltage: offer.voltage.then(|| plug.volts.map(Plain::of)),
            signal: offer.signal.then(|| plug.signal.map(Plain::of)),
            capabilities: Of { plug, port: None },
        }
    }
}

impl Serialize for Ports<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let plug = self.0;
        to.collect_map((1u8..).zip(&plug.ports).map(|(number, port)| {
            let one = Port {
                name: &port.name,
                state: port.relay.map(on_off),
                power: port.watts.map(Plain::of),
                current: port.amps.map(Plain::of),
                voltage: plug.offer.port_voltage.then(|| port.volts.map(Plain::of)),
                energy: port.energy.map(Energy::kwh),
                energy_today: port.lately.map(|[today, _]| today.kwh()),
                energy_month: port.lately.map(|[_, month]| month.kwh()),
                since: port.since_ms.map(iso),
                cause: port.cause.map(|cause| cause.as_str()),
                locked: port.lock.and_then(|lock| lock.as_str()),
                capabilities: Of { plug, port: Some(number) },
            };
            (number, one)
        }))
    }
}

/// What the capabilities show of a port, or of the plug.
struct Of<'a> {
    plug: &'a PlugView,
    port: Option<u8>,
}

impl Serialize for Of<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let own = |shown: &&Shown| shown.in_snapshot && shown.per_port == self.port.is_some();
        to.collect_map(all_shown(self.plug.offer).filter(own).map(|shown| {
            let entity = Entity { kind: Kind::Capability(shown), port: self.port };
            (shown.key, Shows(value(self.plug, entity)))
        }))
    }
}

/// A value as it stands in a snapshot; what is not known or not there is null.
struct Shows(Option<Value>);

impl Serialize for Shows {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(Value::OnOff(on)) => to.serialize_str(on_off(on)),
            Some(Value::Number(number)) => Plain::of(number).serialize(to),
            Some(Value::Energy(energy)) => to.serialize_f64(energy.kwh()),
            Some(Value::Milliseconds(ms)) => to.serialize_u64(ms),
            Some(Value::Time(ms)) => to.serialize_str(&iso(ms)),
            None | Some(Value::Word(_) | Value::Nothing) => to.serialize_none(),
        }
    }
}
