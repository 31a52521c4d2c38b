//! Everything the MQTT sink must be told.

use super::bridge_facts::BridgeFacts;
use super::homeassistant::Announcer;
use super::link::Address;

/// Everything the MQTT sink must be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The broker.
    pub address: Address,
    /// Base topic, prefix and form of announcements.
    pub announcer: Announcer,
    /// Topic on which Home Assistant says `online`.
    pub birth_topic: String,
    /// A plug deleted in Home Assistant stays deleted.
    pub respect_deletion: bool,
    /// Requests that change things are obeyed.
    pub allow_admin: bool,
    /// Raw commands are sent to plugs.
    pub allow_raw: bool,
    /// What stands before the `-` in ids: the names of all families, in use or not.
    pub families: Vec<&'static str>,
    /// For `bridge/info`.
    pub facts: BridgeFacts,
}
