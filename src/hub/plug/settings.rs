//! What holds for one plug: the settings of its family and its own, and the options that requests have given
//! it, taken together.

use super::deadband::Thresholds;
use crate::hub::rules::{Pace, PlugRules, Rules};
use crate::model::{Lock, Options, PerPort};
use std::time::Duration;

/// What holds for one plug.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) pace: Pace,
    pub(super) thresholds: Thresholds,
    /// It may be switched and changed.
    pub(super) control: bool,
    /// Port 1 first; empty when no port is locked.
    locks: Vec<Lock>,
}

impl Settings {
    pub(super) fn new(rules: &Rules, family: &Pace, own: &PlugRules, options: &Options, ports: u8) -> Self {
        let poll = own.poll.or(options.poll_interval_ms.map(Duration::from_millis));
        Self {
            pace: Pace { poll: poll.unwrap_or(family.poll), ..*family },
            thresholds: Thresholds {
                watts: own.power_change.or(options.power_change).unwrap_or(rules.power_change),
                amps: options.current_change.unwrap_or(rules.current_change),
                volts: rules.voltage_change,
                energy: rules.energy_change,
            },
            control: !(rules.read_only || own.read_only || options.read_only == Some(true)),
            locks: locks(own, options, ports),
        }
    }

    /// Takes over the locks alone; they hold at once, whatever else waits to be written.
    pub(super) fn relock(&mut self, own: &PlugRules, options: &Options, ports: u8) {
        self.locks = locks(own, options, ports);
    }

    /// By port, port 1 first; those missing are not locked.
    pub(super) fn locks(&self) -> &[Lock] {
        &self.locks
    }

    pub(super) fn lock(&self, port: u8) -> Lock {
        self.locks.port(port).copied().unwrap_or(Lock::None)
    }
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
