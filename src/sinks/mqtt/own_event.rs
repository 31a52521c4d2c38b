//! What happens to the sink itself, which `bridge/event` tells beside what happens in the hub. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::model::{PlugId, iso};
use serde_json::{Value, json};

/// Something that happened to the sink.
#[derive(Debug)]
pub(super) enum OwnEvent<'a> {
    /// A command was found retained on the broker, was refused and cleared; the port, 0 for several.
    RetainedCommand(&'a PlugId, u8),
    /// Home Assistant cleared the discovery message of this plug.
    DiscoveryCleared(&'a PlugId),
    /// Another bridge acts on our base topic; the name of its run.
    AnotherBridge(&'a str),
}

impl OwnEvent<'_> {
    /// What `bridge/event` says of it.
    pub(super) fn json(&self, unix_ms: u64) -> Value {
        let ts = iso(unix_ms);
        match self {
            Self::RetainedCommand(id, port) => {
                json!({"event_type": "retained_command", "device": id.as_str(), "port": port, "ts": ts})
            }
            Self::DiscoveryCleared(id) => {
                json!({"event_type": "discovery_cleared_by_ha", "device": id.as_str(), "ts": ts})
            }
            Self::AnotherBridge(run) => json!({"event_type": "another_bridge", "run": run, "ts": ts}),
        }
    }
}
