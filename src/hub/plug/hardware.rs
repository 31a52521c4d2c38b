//! What a plug says about itself, and what other hardware takes over from the one whose place it takes.

use crate::model::{DeviceInfo, Name, PerPort, PersistedPlug, PlugId};
use std::sync::Arc;

/// What it says about itself now. What it does not say any more is kept: not every firmware says everything
/// every time.
pub(super) fn renewed(old: &DeviceInfo, facts: DeviceInfo) -> DeviceInfo {
    let port_names = if facts.port_names.is_empty() { old.port_names.clone() } else { facts.port_names };
    DeviceInfo {
        name: facts.name.or(old.name.clone()),
        port_names,
        model_id: facts.model_id.or(old.model_id.clone()),
        serial: facts.serial.or(old.serial.clone()),
        mac: facts.mac.or(old.mac),
        firmware: facts.firmware.or(old.firmware.clone()),
        hardware: facts.hardware.or(old.hardware.clone()),
        cpuid: facts.cpuid.or(old.cpuid.clone()),
        server: facts.server.or(old.server.clone()),
        manufacturer: facts.manufacturer,
        model: facts.model,
    }
}

/// Other hardware takes the place of a plug. What that was called, what it was told and what it has metered
/// stay.
pub(super) fn replace(kept: &mut PersistedPlug, id: &PlugId, by: &PersistedPlug, by_id: &PlugId) {
    let facts = std::mem::replace(&mut kept.facts, Arc::clone(&by.facts));
    kept.name = kept.name.take().or_else(|| facts.name.clone());
    for (port, name) in (1..).zip(facts.port_names.iter().cloned()) {
        if let (Some(name), false) = (name, kept.port_names.contains_key(&port)) {
            kept.port_names.insert(port, name);
        }
    }
    let hardware = by.hardware.as_ref().unwrap_or(by_id);
    kept.hardware = Some(hardware.clone()).filter(|hardware| hardware != id);
    kept.driver.clone_from(&by.driver);
    kept.offer = by.offer;
}

/// A new name, kept by the plug or here. Brings back the one that was kept here before.
pub(super) fn keep_name(kept: &mut PersistedPlug, port: u8, name: &Name, here: bool) -> Option<Name> {
    let was = match port {
        0 => std::mem::replace(&mut kept.name, here.then(|| name.clone())),
        port if here => kept.port_names.insert(port, name.clone()),
        port => kept.port_names.remove(&port),
    };
    if !here {
        let facts = Arc::make_mut(&mut kept.facts);
        if port == 0 {
            facts.name = Some(name.clone());
        } else {
            facts.port_names.resize(facts.port_names.len().max(port.into()), None);
            if let Some(own) = facts.port_names.port_mut(port) {
                *own = Some(name.clone());
            }
        }
    }
    was
}
