//! The words and bounds that settings and requests share. The doc comments of the words are also in the
//! JSON schema of the settings.

#[cfg(feature = "bridge")]
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;

/// How long the pause between two polls of a plug may be, in milliseconds.
pub const POLL_MS: RangeInclusive<u64> = 200..=3_600_000;

/// The largest change of current that may be set to be worth no message, in amperes; of power it is
/// [`MAX_WATTS`](super::MAX_WATTS).
pub const MAX_AMPS_CHANGE: f64 = 100.0;

/// Unit in which a plug reports power.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bridge", derive(JsonSchema))]
pub enum PowerUnit {
    /// By the type of each value: text and fractions are watts, whole numbers milliwatts.
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bridge", derive(JsonSchema))]
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

impl Lock {
    /// Whether going to `on` is refused.
    pub fn refuses(self, on: bool) -> bool {
        match self {
            Self::None => false,
            Self::On => !on,
            Self::Off => on,
            Self::Both => true,
        }
    }

    /// What both locks refuse together.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::None, lock) | (lock, Self::None) => lock,
            (a, b) if a == b => a,
            _ => Self::Both,
        }
    }

    /// The word for it; `None` when not locked.
    pub fn as_str(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::On => Some("on"),
            Self::Off => Some("off"),
            Self::Both => Some("both"),
        }
    }
}

/// What happens when too much power is drawn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bridge", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum OverloadAction {
    /// Nothing: it is not watched.
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "bridge", derive(JsonSchema))]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "bridge", derive(JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
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

impl LogLevel {
    /// All levels, as a select offers them.
    pub const ALL: [Self; 5] = [Self::Error, Self::Warn, Self::Info, Self::Debug, Self::Trace];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }

    /// The level a word stands for.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(word.trim()))
    }
}
