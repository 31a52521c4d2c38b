//! Everything about a plug in one JSON object, for scripts and Node-RED. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::topics::{Plain, availability, on_off};
use crate::model::{CapabilityStates, Energy, LeaderGroup, PlugView, iso};
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
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_drift: Option<Option<i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader: Option<Option<u8>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    leader_limit: Option<Option<u16>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_simulation: Option<Option<&'static str>>,
}

/// All ports, by number.
struct Ports<'a>(&'a PlugView);

#[derive(Serialize)]
struct Port<'a> {
    name: &'a str,
    state: Option<&'static str>,
    power: Option<Plain>,
    current: Option<Plain>,
    energy: Option<f64>,
    energy_today: Option<f64>,
    energy_month: Option<f64>,
    since: Option<String>,
    cause: Option<&'static str>,
    locked: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    countdown_end: Option<Option<String>>,
}

impl<'a> Snapshot<'a> {
    fn of(plug: &'a PlugView) -> Self {
        let offer = plug.offer;
        let extras = plug.extras.as_deref();
        let group = extras.and_then(|extras| extras.leader.as_ref());
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
            clock_drift: offer.clock.then(|| extras.and_then(|extras| extras.drift_s)),
            leader: offer.leader.then(|| group.and_then(LeaderGroup::leader)),
            leader_limit: offer.leader.then(|| group.and_then(|group| group.limit_w)),
            presence_simulation: offer
                .presence_simulation
                .then(|| extras.and_then(|extras| extras.presence).map(on_off)),
        }
    }
}

impl Serialize for Ports<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let plug = self.0;
        let extras = plug.extras.as_deref();
        to.collect_map((1u8..).zip(&plug.ports).map(|(number, port)| {
            let one = Port {
                name: &port.name,
                state: port.relay.map(on_off),
                power: port.watts.map(Plain::of),
                current: port.amps.map(Plain::of),
                energy: port.energy.map(Energy::kwh),
                energy_today: port.lately.map(|[today, _]| today.kwh()),
                energy_month: port.lately.map(|[_, month]| month.kwh()),
                since: port.since_ms.map(iso),
                cause: port.cause.map(|cause| cause.as_str()),
                locked: port.lock.and_then(|lock| lock.as_str()),
                countdown_end: plug.offer.countdown.then(|| countdown_end(extras, number)),
            };
            (number, one)
        }))
    }
}

/// When the timer of a port ends that runs.
fn countdown_end(extras: Option<&CapabilityStates>, port: u8) -> Option<String> {
    let timer = extras?.timers.get(&port)?;
    (timer.minutes > 0).then(|| iso(timer.ends_ms))
}
