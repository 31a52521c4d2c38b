//! What a plug can do: the namespaces it lists. A namespace that is not in the list is never sent to it, because some
//! close the connection and others restart.

use super::lenient::count;
use serde_json::Value;
use std::collections::BTreeSet;

/// Namespaces kept, at most. The longest list that was captured has fewer than forty.
const MOST: usize = 256;

/// The namespaces of one plug, without `Appliance.`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ability {
    names: BTreeSet<String>,
    commands: u64,
}

impl Ability {
    /// Reads the payload of `System.Ability`; `None` where there is no list.
    pub fn read(payload: &Value) -> Option<Self> {
        let list = payload.get("ability")?.as_object().filter(|list| !list.is_empty())?;
        let names = list.keys().filter_map(|name| name.strip_prefix("Appliance."));
        let names = names.filter(|name| name.len() <= 64).take(MOST).map(str::to_owned).collect();
        let commands = list.get("Appliance.Control.Multiple").and_then(|multiple| multiple.get("maxCmdNum"));
        Some(Self { names, commands: commands.and_then(count).unwrap_or(0) })
    }

    /// Whether it may be asked about this.
    pub fn has(&self, namespace: &str) -> bool {
        self.names.contains(namespace)
    }

    /// Whether all but its ability must be encrypted over the LAN. `firmware.encrypt` does not say so.
    pub fn encrypts(&self) -> bool {
        self.has("Encrypt.ECDHE")
    }

    /// Requests it takes in one; 0 for none.
    pub fn packed(&self) -> u64 {
        if self.has("Control.Multiple") { self.commands } else { 0 }
    }
}
