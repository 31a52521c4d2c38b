//! How plugs may be announced to Home Assistant. The doc comments are also in the JSON schema of the settings.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How plugs are announced to Home Assistant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DiscoveryMode {
    /// One message per plug, for Home Assistant 2024.12 and later, and openHAB since February 2026.
    #[default]
    Device,
    /// One message per entity, for older releases of both.
    Component,
    /// No announcements.
    Off,
}

impl DiscoveryMode {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Component => "component",
            Self::Off => "off",
        }
    }
}

/// Whether each port becomes a device of its own in Home Assistant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PortDevices {
    /// All entities belong to the plug.
    #[default]
    None,
    /// Each port is a device in the plug's message, for Home Assistant 2026.11 and later.
    Child,
    /// Each port is a device with a message of its own, linked to the plug.
    Via,
}

impl PortDevices {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Child => "child",
            Self::Via => "via",
        }
    }
}
