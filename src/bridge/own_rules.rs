//! What the settings say about single plugs, in the hub's words.

use crate::config;
use crate::hub::{Consequence, Limit, PlugRules, Restore};
use crate::model::{Lock, Name, PowerUnit};
use std::collections::BTreeMap;

/// What the settings say about one plug, in the hub's words.
pub(super) fn of(device: &config::Device) -> PlugRules {
    let name = |text: &Option<String>| text.as_deref().and_then(Name::clean);
    let lock = |lock| match lock {
        config::Lock::None => Lock::None,
        config::Lock::On => Lock::On,
        config::Lock::Off => Lock::Off,
        config::Lock::Both => Lock::Both,
    };
    let restore = |restore| match restore {
        config::Restore::Leave => None,
        config::Restore::Last => Some(Restore::Last),
        config::Restore::On => Some(Restore::On),
        config::Restore::Off => Some(Restore::Off),
    };
    PlugRules {
        name: name(&device.name),
        poll: device.poll_interval.as_ref().map(|interval| interval.get()),
        power_change: device.power_change,
        power_unit: match device.power_unit {
            config::PowerUnit::Auto => None,
            config::PowerUnit::Watts => Some(PowerUnit::W),
            config::PowerUnit::Milliwatts => Some(PowerUnit::MilliW),
        },
        read_only: device.read_only,
        port_names: device.port.iter().filter_map(|(&n, port)| Some((n, name(&port.name)?))).collect(),
        locks: device.port.iter().map(|(&n, port)| (n, lock(port.lock))).collect(),
        limits: limits(device),
        restore: device.port.iter().filter_map(|(&n, port)| Some((n, restore(port.restore)?))).collect(),
    }
}

/// What the plug as a whole may draw, and its ports.
fn limits(device: &config::Device) -> BTreeMap<u8, Limit> {
    let consequence = |overload| match overload {
        config::Overload::Ignore => Consequence::Ignore,
        config::Overload::Tell => Consequence::Tell,
        config::Overload::Off => Consequence::Off,
        config::Overload::Latch => Consequence::Latch,
    };
    let whole = Limit {
        watts: device.max_power,
        after: device.overload_after.get(),
        consequence: consequence(device.overload),
    };
    let ports = device.port.iter().map(|(&n, port)| {
        let limit = Limit {
            watts: port.max_power,
            after: port.overload_after.as_ref().map_or(whole.after, |after| after.get()),
            consequence: port.overload.map_or(whole.consequence, consequence),
        };
        (n, limit)
    });
    std::iter::once((0, whole)).chain(ports).collect()
}
