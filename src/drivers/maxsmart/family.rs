//! What the settings say about the family: its section with defaults, and settings of its own.

use crate::model::FamilyInfo;
use std::time::Duration;

pub(super) static FAMILY: FamilyInfo = FamilyInfo {
    name: "maxsmart",
    about: "MaxSmart and Revogi plugs.",
    udp_port: 8888,
    http_port: Some(80),
    timeout: Duration::from_secs(5),
    poll_interval: Duration::from_secs(5),
    slow_poll_interval: Some(Duration::from_secs(10)),
    set_clock: Some(true),
    rating_w: Some(3680),
    plain_text: true,
    settings: &[],
};
