//! What the settings say about the family: its section with defaults, and settings of its own.

use crate::model::{FamilyInfo, Setting, SettingKind};
use std::time::Duration;

pub(super) static FAMILY: FamilyInfo = FamilyInfo {
    name: "inplug",
    about: "Watts Clever INPLUG, Ankuoo NEO and other plugs that speak like a Broadlink SP2.",
    udp_port: 80,
    http_port: None,
    timeout: Duration::from_secs(5),
    poll_interval: Duration::from_secs(10),
    slow_poll_interval: None,
    set_clock: None,
    // Sold for sockets of 10, 13, 15 and 16 A.
    rating_w: None,
    // It speaks in secret keys.
    recorded: None,
    settings: &[Setting {
        key: "keep_alive",
        doc: "Send plugs a keep-alive every two minutes. Some firmware restarts without its cloud otherwise.",
        kind: SettingKind::Switch(false),
    }],
};
