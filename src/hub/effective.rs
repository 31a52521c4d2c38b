//! What holds for one plug: what the settings say about its family and about it, the names and options that requests
//! have given it, and what it says about itself, taken together. The hub goes by it, and so does the command line,
//! which asks plugs without a hub.

use super::namesakes::Namesakes;
use super::rules::{Pace, PlugRules, Rules};
use crate::model::{Energy, Lock, Options, PerPort, PersistedPlug, PersistedState, PlugId, PowerUnit};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What holds for one plug.
#[derive(Debug)]
pub struct Effective {
    /// What it is called; one whose own name others have, too, is told apart.
    pub name: Arc<str>,
    /// What its ports are called, port 1 first.
    pub port_names: Vec<Arc<str>>,
    /// It may be switched and changed.
    pub control: bool,
    /// How its figures for power are to be read.
    pub power_unit: PowerUnit,
    pub(super) pace: Pace,
    pub(super) thresholds: Thresholds,
    /// Port 1 first; empty when no port is locked.
    locks: Vec<Lock>,
}

/// How far a value must move from the one last told.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Thresholds {
    pub(super) watts: f64,
    pub(super) amps: f64,
    pub(super) volts: f64,
    pub(super) energy: Energy,
}

impl Effective {
    /// For the plug `id` of this family, of which this is remembered; `namesake` when another one calls itself the
    /// same.
    pub(super) fn new(
        rules: &Rules,
        (family, own): (&Pace, &PlugRules),
        id: &PlugId,
        kept: &PersistedPlug,
        namesake: bool,
    ) -> Self {
        let (options, ports) = (&kept.options, kept.offer.ports);
        let poll = own.poll.or(options.poll_interval_ms.map(Duration::from_millis));
        Self {
            name: name(own, kept, id, namesake),
            port_names: (1..=ports).map(|port| port_name(own, kept, port)).collect(),
            control: !(rules.read_only || own.read_only || options.read_only == Some(true)),
            power_unit: own.power_unit.or(options.power_unit).unwrap_or_default(),
            pace: Pace { poll: poll.unwrap_or(family.poll), ..*family },
            thresholds: Thresholds {
                watts: own.power_change.or(options.power_change).unwrap_or(rules.power_change),
                amps: options.current_change.unwrap_or(rules.current_change),
                volts: rules.voltage_change,
                energy: rules.energy_change,
            },
            locks: locks(own, options, ports),
        }
    }

    /// For a plug by itself; `None` when the settings do not use its family.
    pub fn of(rules: &Rules, id: &PlugId, kept: &PersistedPlug) -> Option<Self> {
        let (family, none) = (rules.families.get(kept.driver.as_str())?, PlugRules::default());
        let own = rules.plugs.get(id).unwrap_or(&none);
        Some(Self::new(rules, (family, own), id, kept, false))
    }

    /// For all plugs that are remembered and that the settings let in.
    pub fn remembered(rules: &Rules, memory: &PersistedState) -> BTreeMap<PlugId, Self> {
        let (mut namesakes, none) = (Namesakes::default(), PlugRules::default());
        let own = |id: &PlugId| rules.plugs.get(id).unwrap_or(&none);
        let permitted = memory.plugs.iter().filter(|(id, _)| rules.permit(memory, id));
        let family = |kept: &PersistedPlug| rules.families.get(kept.driver.as_str());
        let plugs: Vec<_> = permitted.filter_map(|(id, kept)| Some((id, kept, family(kept)?))).collect();
        for &(id, kept, _) in &plugs {
            own_name(own(id), kept).map(|name| namesakes.list(id, name.into()));
        }
        let shared = |name: &str| namesakes.shared(&name.into());
        plugs
            .into_iter()
            .map(|(id, kept, family)| {
                let namesake = own_name(own(id), kept).is_some_and(shared);
                (id.clone(), Self::new(rules, (family, own(id)), id, kept, namesake))
            })
            .collect()
    }

    /// Takes over the locks alone; they hold at once, whatever else waits to be written.
    pub(super) fn relock(&mut self, own: &PlugRules, options: &Options, ports: u8) {
        self.locks = locks(own, options, ports);
    }

    /// By port, port 1 first; those missing are not locked.
    pub fn locks(&self) -> &[Lock] {
        &self.locks
    }

    /// Which way a port must stay.
    pub fn lock(&self, port: u8) -> Lock {
        self.locks.port(port).copied().unwrap_or(Lock::None)
    }
}

/// What a plug calls itself, until it is given a name; strips come from the shop as `STRIP`.
pub(super) fn own_name<'a>(own: &PlugRules, kept: &'a PersistedPlug) -> Option<&'a str> {
    let given = own.name.is_some() || kept.name.is_some();
    let name = kept.facts.name.as_ref().map_or(kept.facts.model.as_str(), |name| name.as_str());
    Some(name).filter(|name| !given && !name.is_empty())
}

fn name(own: &PlugRules, kept: &PersistedPlug, id: &PlugId, namesake: bool) -> Arc<str> {
    if let Some(given) = own.name.as_ref().or(kept.name.as_ref()) {
        return given.as_str().into();
    }
    match own_name(own, kept) {
        Some(name) if namesake => id.told_apart(name).into(),
        Some(name) => name.into(),
        None => id.as_str().into(),
    }
}

fn port_name(own: &PlugRules, kept: &PersistedPlug, port: u8) -> Arc<str> {
    let told = kept.facts.port_names.port(port).and_then(Option::as_ref);
    let name = own.port_names.get(&port).or(kept.port_names.get(&port)).or(told);
    name.map_or_else(|| format!("Port {port}").into(), |name| Arc::from(name.as_str()))
}

/// What settings and options together refuse, port 1 first; empty when that is nothing.
fn locks(own: &PlugRules, options: &Options, ports: u8) -> Vec<Lock> {
    let locks: Vec<Lock> = (1..=ports).map(|port| lock(own, options, port)).collect();
    if locks.iter().all(|lock| *lock == Lock::None) { Vec::new() } else { locks }
}

/// What settings and options together refuse for this port.
fn lock(own: &PlugRules, options: &Options, port: u8) -> Lock {
    let settings = own.locks.get(&port).copied().unwrap_or(Lock::None);
    settings.and(options.port.get(&port).and_then(|port| port.lock).unwrap_or(Lock::None))
}
