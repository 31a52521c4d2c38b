//! The settings that are a choice between a few words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How plugs are announced to Home Assistant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Discovery {
    /// One message per plug.
    #[default]
    Device,
    /// One message per entity, for Home Assistant before 2024.11.
    Component,
    /// No announcements.
    Off,
}

/// Whether each port becomes a device of its own in Home Assistant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PortDevices {
    /// All entities belong to the plug.
    #[default]
    None,
    /// Each port is a device.
    Child,
    /// Each port is a device, linked to the plug.
    Via,
}

/// Unit in which a plug reports power.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PowerUnit {
    /// Found out from what the plug says.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// Watts.
    #[serde(rename = "W")]
    Watts,
    /// Milliwatts.
    #[serde(rename = "mW")]
    Milliwatts,
}

/// Which way a port must stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Lock {
    /// Not locked.
    #[default]
    None,
    /// Must stay on: switching it off is refused.
    On,
    /// Must stay off: switching it on is refused.
    Off,
    /// Must stay as it is: both are refused.
    Both,
}

/// What happens when too much power is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Overload {
    /// Nothing.
    Ignore,
    /// It is told.
    #[default]
    Tell,
    /// It is told and switched off.
    Off,
    /// It is told, switched off, and commands to switch it on are refused until `overload_reset`.
    Latch,
}

/// Where a port goes after a restart of its plug.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Restore {
    /// It is left as the plug has it.
    #[default]
    None,
    /// Where it was before.
    Previous,
    /// On.
    On,
    /// Off.
    Off,
}

/// The least important log messages that are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What does not work.
    Error,
    /// What works, but someone should look.
    Warn,
    /// Changes a user cares about.
    #[default]
    Info,
    /// Decisions.
    Debug,
    /// Bytes.
    Trace,
}

impl Level {
    /// The word it is written as.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The least important log messages that are published.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TopicLevel {
    /// None.
    #[default]
    Off,
    /// What does not work.
    Error,
    /// What works, but someone should look.
    Warn,
    /// Changes a user cares about.
    Info,
}

/// How log messages are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}
