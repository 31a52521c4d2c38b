//! What holds when nothing is said.

use super::interval::Interval;
use super::settings::{Availability, Broker, Finding, HomeAssistant, Metering, Mqtt, Publish, Tls};
use crate::sinks::mqtt::{DiscoveryMode, PortDevices};

impl Default for Mqtt {
    fn default() -> Self {
        Self {
            url: None,
            username: None,
            password: None,
            password_file: None,
            base_topic: "plug2mqtt".into(),
            client_id: None,
            keep_alive: Interval::seconds(20),
            allow_admin: true,
            allow_raw: false,
            tls: Tls::default(),
        }
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self { listen: ([127, 0, 0, 1], 1883).into(), username: None, password: None, password_file: None }
    }
}

impl Default for HomeAssistant {
    fn default() -> Self {
        Self {
            discovery: DiscoveryMode::default(),
            prefix: "homeassistant".into(),
            birth_topic: "homeassistant/status".into(),
            port_devices: PortDevices::default(),
            respect_deletion: false,
        }
    }
}

impl Default for Publish {
    fn default() -> Self {
        Self {
            power_change: 1.0,
            current_change: 0.02,
            voltage_change: 1.0,
            energy_change: 0.001,
            heartbeat: Interval::seconds(300),
        }
    }
}

impl Default for Metering {
    fn default() -> Self {
        Self { history: true }
    }
}

impl Default for Finding {
    fn default() -> Self {
        Self { interval: Interval::seconds(300), adopt: true, allow: Vec::new(), deny: Vec::new() }
    }
}

impl Default for Availability {
    fn default() -> Self {
        Self { misses: 3 }
    }
}
