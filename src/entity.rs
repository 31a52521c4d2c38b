//! What a plug offers, for any sink: which switches, sensors and buttons it has. Built from what
//! was read from the plug, never from a model name. Knows the vocabulary and nothing else.

pub use crate::capability::{Form, Setting, Shown, Value};
use crate::model::{Capabilities, PerPort, PlugView};

/// What kind of thing an entity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A relay.
    Switch,
    /// Power in W.
    Power,
    /// Energy in kWh.
    Energy,
    /// Energy of today in kWh.
    EnergyToday,
    /// Energy of this month in kWh.
    EnergyMonth,
    /// Current in A.
    Current,
    /// Voltage in V.
    Voltage,
    /// Wi-Fi signal in %.
    Signal,
    /// Something is wrong.
    Problem,
    /// How long the plug takes to answer, in ms.
    Latency,
    /// When it last answered.
    LastSeen,
    /// Something happened.
    Event,
    /// Ask it now.
    Refresh,
    /// Something that a capability shows.
    Capability(&'static Shown),
}

/// One entity of a plug.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entity {
    /// What it is.
    pub kind: Kind,
    /// Of which port; 0 is all of a strip, `None` the plug itself.
    pub port: Option<u8>,
}

impl Entity {
    /// Its key within the plug: `p1_switch`, `all_switch`, `power`. Never changes.
    pub fn key(&self) -> String {
        let word = self.word();
        match self.port {
            Some(0) => format!("all_{word}"),
            Some(port) => format!("p{port}_{word}"),
            None => word.into(),
        }
    }

    /// The word for its kind, also the last level of its topic.
    pub fn word(&self) -> &'static str {
        match self.kind {
            Kind::Switch => "switch",
            Kind::Power => "power",
            Kind::Energy => "energy",
            Kind::EnergyToday => "energy_today",
            Kind::EnergyMonth => "energy_month",
            Kind::Current => "current",
            Kind::Voltage => "voltage",
            Kind::Signal => "signal",
            Kind::Problem => "problem",
            Kind::Latency => "latency",
            Kind::LastSeen => "last_seen",
            Kind::Event => "event",
            Kind::Refresh => "refresh",
            Kind::Capability(shown) => shown.key,
        }
    }
}

/// All entities of a plug with this offer, in the order in which people look for them.
pub fn entities(offer: Capabilities) -> Vec<Entity> {
    if offer.ports == 0 {
        return Vec::new();
    }
    // Nine of each port, sixteen of the plug.
    let mut list = Vec::with_capacity(16 + 9 * usize::from(offer.ports));
    let mut add = |there: bool, kind: Kind, port: Option<u8>| {
        if there {
            list.push(Entity { kind, port });
        }
    };
    for port in 1..=offer.ports {
        add(true, Kind::Switch, Some(port));
        add(offer.power, Kind::Power, Some(port));
        add(offer.metered(), Kind::Energy, Some(port));
        add(offer.metered(), Kind::EnergyToday, Some(port));
        add(offer.metered(), Kind::EnergyMonth, Some(port));
        add(offer.current, Kind::Current, Some(port));
        add(offer.port_voltage, Kind::Voltage, Some(port));
        for shown in all_shown(offer).filter(|shown| shown.per_port) {
            add(true, Kind::Capability(shown), Some(port));
        }
    }
    let strip = offer.ports > 1;
    add(strip, Kind::Switch, Some(0));
    add(strip && offer.power, Kind::Power, None);
    add(strip && offer.metered(), Kind::Energy, None);
    add(offer.voltage, Kind::Voltage, None);
    let whole = |diagnostic: bool| {
        all_shown(offer).filter(move |shown| !shown.per_port && shown.form.is_diagnostic() == diagnostic)
    };
    whole(false).for_each(|shown| add(true, Kind::Capability(shown), None));
    add(true, Kind::Problem, None);
    add(offer.signal, Kind::Signal, None);
    whole(true).for_each(|shown| add(true, Kind::Capability(shown), None));
    for kind in [Kind::Latency, Kind::LastSeen, Kind::Event, Kind::Refresh] {
        add(true, kind, None);
    }
    list
}

/// What is shown of the capabilities that a plug has shown.
pub fn all_shown(offer: Capabilities) -> impl Iterator<Item = &'static Shown> {
    offer.able.all().flat_map(|capability| capability.shown)
}

/// What a numeric or on/off entity shows now; `None` while it is not known, and for events and
/// buttons.
pub fn value(plug: &PlugView, entity: Entity) -> Option<Value> {
    let port = |port: u8| plug.ports.port(port);
    match (entity.kind, entity.port) {
        (Kind::Switch, Some(0)) => {
            plug.ports.iter().filter_map(|port| port.relay).reduce(|a, b| a | b).map(Value::OnOff)
        }
        (Kind::Switch, Some(n)) => port(n)?.relay.map(Value::OnOff),
        (Kind::Power, Some(n)) => port(n)?.watts.map(Value::Number),
        (Kind::Power, None) => plug.watts.map(Value::Number),
        (Kind::Energy, Some(n)) => port(n)?.energy.map(Value::Energy),
        (Kind::Energy, None) => plug.energy.map(Value::Energy),
        (Kind::EnergyToday, Some(n)) => port(n)?.lately.map(|[today, _]| Value::Energy(today)),
        (Kind::EnergyMonth, Some(n)) => port(n)?.lately.map(|[_, month]| Value::Energy(month)),
        (Kind::Current, Some(n)) => port(n)?.amps.map(Value::Number),
        (Kind::Voltage, Some(n)) => port(n)?.volts.map(Value::Number),
        (Kind::Voltage, None) => plug.volts.map(Value::Number),
        (Kind::Signal, _) => plug.signal.map(Value::Number),
        (Kind::Problem, _) => Some(Value::OnOff(plug.problem.is_some())),
        (Kind::Latency, _) => plug.latency_ms.map(Value::Milliseconds),
        (Kind::LastSeen, _) => plug.last_seen_ms.map(Value::Time),
        (Kind::Capability(shown), port) => {
            (shown.value)(plug.capabilities.as_deref()?, port.unwrap_or_default())
        }
        (Kind::EnergyToday | Kind::EnergyMonth, None) => None,
        (Kind::Switch | Kind::Current, None) => None,
        (Kind::Event | Kind::Refresh, _) => None,
    }
}
