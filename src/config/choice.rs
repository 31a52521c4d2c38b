//! The settings that are a choice between a few words which nobody else uses.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
