//! What the settings say about families and single plugs, in the hub's words.

use super::zone;
use crate::config::{self, FamilySettings, Settings};
use crate::hub::{Limit, Pace, PlugRules};
use crate::model::{Name, Now, PowerUnit, Restore};
use std::collections::BTreeMap;

/// How often the plugs of each family that is switched on are asked.
pub(super) fn paces(settings: &Settings) -> BTreeMap<&'static str, Pace> {
    let zone_known = zone(settings).name().is_some();
    let enabled = settings.families.iter().filter(|family| family.common.enabled);
    enabled.map(|family| (family.driver.name(), pace(family, zone_known))).collect()
}

fn pace(FamilySettings { driver, common, .. }: &FamilySettings, zone_known: bool) -> Pace {
    Pace {
        poll: common.poll_interval.get(),
        burst: common.burst_interval.get(),
        burst_polls: common.burst_polls,
        timeout: common.timeout.get(),
        ask: common.slow_poll_interval.get(),
        set_clock: common.set_clock,
        zone_known,
        clock_from_ms: Now::RELEASED_MS,
        rating_w: driver.info().rating_w,
    }
}

/// What the settings say about one plug, in the hub's words.
pub(super) fn of(device: &config::Device) -> PlugRules {
    let name = |text: &Option<String>| text.as_deref().and_then(Name::clean);
    PlugRules {
        name: name(&device.name),
        poll: device.poll_interval.as_ref().map(|interval| interval.get()),
        power_change: device.power_change,
        power_unit: Some(device.power_unit).filter(|unit| *unit != PowerUnit::Auto),
        read_only: device.read_only,
        port_names: device.port.iter().filter_map(|(&n, port)| Some((n, name(&port.name)?))).collect(),
        locks: device.port.iter().map(|(&n, port)| (n, port.lock)).collect(),
        limits: limits(device),
        restore: device
            .port
            .iter()
            .map(|(&n, port)| (n, port.restore_after_restart))
            .filter(|(_, restore)| *restore != Restore::None)
            .collect(),
    }
}

/// What the plug as a whole may draw, and its ports.
fn limits(device: &config::Device) -> BTreeMap<u8, Limit> {
    let whole =
        Limit { watts: device.max_power, after: device.overload_after.get(), action: device.overload };
    let ports = device.port.iter().map(|(&n, port)| {
        let limit = Limit {
            watts: port.max_power,
            after: port.overload_after.as_ref().map_or(whole.after, |after| after.get()),
            action: port.overload.unwrap_or(whole.action),
        };
        (n, limit)
    });
    std::iter::once((0, whole)).chain(ports).collect()
}
