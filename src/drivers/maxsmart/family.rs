//! What the settings say about the family: its section with defaults, and settings of its own.

use crate::model::{FamilyInfo, Recorded};
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
    recorded: Some(Recorded {
        personal: &[
            // Four characters of a serial tell its kind.
            ("sn", "....000000000001"),
            ("mac", "02:00:00:00:00:01"),
            ("plcmac", "02:00:00:00:00:01"),
            ("pclmac", "02:00:00:00:00:01"),
            ("cpuid", "000000000000000000000000"),
            ("sak", ""),
            ("regid", ""),
            ("plcdak", ""),
            ("pcldak", ""),
        ],
        // The relays alone.
        calls: &[513],
    }),
    settings: &[],
};
