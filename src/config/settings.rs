//! The settings by name. The doc comments here are also the JSON schema, the commented file that
//! `config init` writes and the reference table; nothing about a setting is written twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value as Json;

use super::choice::{Format, TopicLevel};
use super::family::FamilySettings;
use super::interval::{KeepAlive, LongInterval, OverloadTime, PollInterval, WaitTime};
use super::origin::Origin;
use super::value::{BrokerUrl, HIDDEN};
use crate::drivers::{Driver, Drivers};
use crate::model::{Lock, LogLevel, MAX_AMPS_CHANGE, MAX_WATTS, OverloadAction, PowerUnit, Restore};
use crate::sinks::mqtt::{DiscoveryMode, PortDevices};

/// All settings. Each has a working default.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Time zone in which a day begins and to which the clocks of plugs are set. Default: that of this machine.
    #[schemars(extend("x-allowed" = "name like `Europe/Berlin`"))]
    pub timezone: Option<String>,
    /// The connection to the MQTT broker.
    pub mqtt: Mqtt,
    /// The built-in MQTT broker, which runs when `mqtt.url` is not set.
    pub broker: Broker,
    /// Home Assistant discovery.
    pub home_assistant: HomeAssistant,
    /// When a changed value is published.
    pub publish: Publish,
    /// Energy metering.
    pub energy: Metering,
    /// How plugs are found and which are adopted.
    pub discovery: Finding,
    /// Commands to plugs.
    pub commands: Commands,
    /// When a plug is offline.
    pub availability: Availability,
    /// Each family of plugs, in the order of the drivers; its section has the name of its driver.
    #[serde(skip)]
    #[schemars(skip)]
    pub families: Vec<FamilySettings>,
    /// Settings of single plugs, by id.
    pub device: BTreeMap<String, Device>,
    /// The web listener for Prometheus and health checks.
    pub web: Web,
    /// Data that survive a restart.
    pub state: State,
    /// The log.
    pub log: Log,
    /// Where each setting that was given came from, by dotted name.
    #[serde(skip)]
    pub origins: BTreeMap<String, Origin>,
}

impl Settings {
    /// What holds when nothing is said.
    pub fn new(drivers: Drivers) -> Self {
        let families = drivers.iter().copied().map(FamilySettings::new);
        Self { families: families.collect(), ..Self::default() }
    }

    /// All values in one tree, as in a file; secrets are hidden.
    pub fn values(&self) -> Json {
        let mut values = serde_json::to_value(self).unwrap_or_default();
        if let Some(values) = values.as_object_mut() {
            values.extend(self.families.iter().map(|family| (family.driver.name().into(), family.values())));
        }
        values
    }

    /// The drivers of all families, in use or not.
    pub fn drivers(&self) -> Vec<&'static dyn Driver> {
        self.families.iter().map(|family| family.driver).collect()
    }

    /// The section of a family.
    pub fn family(&self, name: &str) -> Option<&FamilySettings> {
        self.families.iter().find(|family| family.driver.name() == name)
    }

    /// The same, to be changed.
    pub fn family_mut(&mut self, name: &str) -> Option<&mut FamilySettings> {
        self.families.iter_mut().find(|family| family.driver.name() == name)
    }
}

/// The connection to the MQTT broker.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mqtt {
    /// Address of the broker; `mqtts://` for TLS. Default port 1883, or 8883 with TLS. If not set, the built-in broker is started and used.
    pub url: Option<BrokerUrl>,
    /// User name for the login.
    #[schemars(extend("x-allowed" = "text"))]
    pub username: Option<String>,
    /// Password for the login.
    #[schemars(with = "Option<String>", extend("x-secret" = true, "x-allowed" = "text"))]
    #[serde(serialize_with = "hide")]
    pub password: Option<SecretString>,
    /// File that contains the password.
    #[schemars(extend("x-allowed" = "path"))]
    pub password_file: Option<PathBuf>,
    /// First part of every topic.
    #[schemars(extend("x-allowed" = "topic without wildcards"))]
    pub base_topic: String,
    /// Client id at the broker. If not set, one is generated and stored.
    #[schemars(extend("x-allowed" = "1 to 64 printable characters"))]
    pub client_id: Option<String>,
    /// Keep-alive interval of the connection.
    pub keep_alive: KeepAlive,
    /// Allow requests over MQTT that adopt, remove, rename or change plugs.
    pub allow_admin: bool,
    /// Allow requests over MQTT that send plugs any command of their protocol.
    pub allow_raw: bool,
    /// TLS to the broker, used with `mqtts://`.
    pub tls: Tls,
}

/// TLS to the broker.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Trusted certificates, PEM. Default: those of the system.
    #[schemars(extend("x-allowed" = "path"))]
    pub ca_file: Option<PathBuf>,
    /// Client certificate, PEM. Needs `key_file`.
    #[schemars(extend("x-allowed" = "path"))]
    pub cert_file: Option<PathBuf>,
    /// Key of the client certificate, PEM. Needs `cert_file`.
    #[schemars(extend("x-allowed" = "path"))]
    pub key_file: Option<PathBuf>,
}

/// The built-in MQTT broker.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Broker {
    /// Address to listen on. Anything but loopback needs `username` and `password`.
    #[schemars(with = "String", extend("x-allowed" = "IP address:port"))]
    pub listen: SocketAddr,
    /// User name that clients must log in with.
    #[schemars(extend("x-allowed" = "text"))]
    pub username: Option<String>,
    /// Password that clients must log in with.
    #[schemars(with = "Option<String>", extend("x-secret" = true, "x-allowed" = "text"))]
    #[serde(serialize_with = "hide")]
    pub password: Option<SecretString>,
    /// File that contains the password.
    #[schemars(extend("x-allowed" = "path"))]
    pub password_file: Option<PathBuf>,
}

/// Home Assistant discovery.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HomeAssistant {
    /// Discovery mode: one message per plug, one per entity, or none.
    pub discovery: DiscoveryMode,
    /// Discovery prefix of Home Assistant.
    #[schemars(extend("x-allowed" = "topic without wildcards"))]
    pub prefix: String,
    /// Topic on which Home Assistant publishes that it has started.
    #[schemars(extend("x-allowed" = "topic without wildcards"))]
    pub birth_topic: String,
    /// Make each port a device of its own, so that it can have its own area.
    pub port_devices: PortDevices,
    /// Do not publish the discovery message of a plug again that was deleted in Home Assistant.
    pub respect_deletion: bool,
}

/// When a changed value is published.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Publish {
    /// Publish power when it differs by more than this from the last value published, in W.
    #[schemars(range(min = 0.0, max = MAX_WATTS))]
    pub power_change: f64,
    /// Publish current when it differs by more than this, in A.
    #[schemars(range(min = 0.0, max = MAX_AMPS_CHANGE))]
    pub current_change: f64,
    /// Publish voltage when it differs by more than this, in V.
    #[schemars(range(min = 0.0, max = 500.0))]
    pub voltage_change: f64,
    /// Publish energy when it has grown by this much since the last value published, in kWh.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub energy_change: f64,
    /// Longest time between two messages about a plug, even if nothing has changed.
    pub heartbeat: LongInterval,
}

/// Energy metering.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metering {
    /// Fill missed hours from the plug's own record, where it can be trusted.
    pub history: bool,
}

/// How plugs are found and which are adopted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Finding {
    /// Time between two searches.
    pub interval: LongInterval,
    /// Adopt new plugs. If off, only those in `allow` or with a `device` section are adopted.
    pub adopt: bool,
    /// The only plugs to adopt. Empty means all.
    #[schemars(extend("x-allowed" = "list of plug ids"))]
    pub allow: Vec<String>,
    /// Plugs to ignore, even if `allow` names them. Stored data about them are kept.
    #[schemars(extend("x-allowed" = "list of plug ids"))]
    pub deny: Vec<String>,
}

/// Commands to plugs.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Commands {
    /// Time after which an unconfirmed command has failed.
    pub timeout: WaitTime,
    /// Refuse every command on every plug.
    pub read_only: bool,
    /// Put a locked port back at once if a schedule in the plug, another program or the button has switched it.
    pub lock_enforce: bool,
}

/// When a plug is offline.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Availability {
    /// Unanswered polls in a row after which a plug is offline.
    #[schemars(range(min = 1, max = 20))]
    pub misses: u8,
}

/// Settings of one plug.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Device {
    /// Name to show instead of the plug's own.
    #[schemars(extend("x-allowed" = "1 to 64 characters"))]
    pub name: Option<String>,
    /// Time between two polls of this plug.
    pub poll_interval: Option<PollInterval>,
    /// Publish power when it differs by more than this from the last value published, in W.
    #[schemars(range(min = 0.0, max = MAX_WATTS))]
    pub power_change: Option<f64>,
    /// Unit in which the plug reports power.
    pub power_unit: PowerUnit,
    /// Refuse every command to this plug.
    pub read_only: bool,
    /// Maximum power of the plug as a whole, in W. Default: the rated power of the family, where it has one.
    #[schemars(range(min = 1.0, max = MAX_WATTS))]
    pub max_power: Option<f64>,
    /// How long `max_power` may be exceeded before the overload action.
    pub overload_after: OverloadTime,
    /// Overload action: none, an event, switch off, or switch off and refuse ON until `overload_reset`.
    pub overload: OverloadAction,
    /// Settings of its ports, by number, 1 to 16.
    pub port: BTreeMap<u8, Port>,
}

/// Settings of one port of a plug.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Port {
    /// Name to show instead of the port's own.
    #[schemars(extend("x-allowed" = "1 to 64 characters"))]
    pub name: Option<String>,
    /// Lock: none, on (refuse to switch off), off (refuse to switch on), or both.
    pub lock: Lock,
    /// Maximum power of this port, in W. Default: the rated power of the family, where it has one.
    #[schemars(range(min = 1.0, max = MAX_WATTS))]
    pub max_power: Option<f64>,
    /// How long `max_power` may be exceeded before the overload action. Default: that of the plug.
    pub overload_after: Option<OverloadTime>,
    /// Overload action. Default: that of the plug.
    #[schemars(with = "OverloadAction")]
    pub overload: Option<OverloadAction>,
    /// State after a detected restart of the plug: left as the plug has it, as before the restart, on, or off.
    pub restore_after_restart: Restore,
}

/// The web listener for Prometheus and health checks.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// Address to listen on for `/metrics`, `/healthz` and `/readyz`; `/` lists them. If not set, there is no listener.
    #[schemars(with = "Option<String>", extend("x-allowed" = "address and port"))]
    pub listen: Option<SocketAddr>,
    /// Allowed host names, besides `localhost`, this machine's own name and any IP address.
    #[schemars(extend("x-allowed" = "list of names"))]
    pub hosts: Vec<String>,
}

/// Data that survive a restart.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    /// Directory of the state file. Default: `$STATE_DIRECTORY`, then `$XDG_STATE_HOME/plug2mqtt`, then `~/.local/state/plug2mqtt`.
    #[schemars(extend("x-allowed" = "path"))]
    pub directory: Option<PathBuf>,
}

/// The log.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// Minimum log level.
    pub level: LogLevel,
    /// Log format.
    pub format: Format,
    /// Minimum level of messages published on `bridge/log`, at most ten a second.
    pub topic: TopicLevel,
}

fn hide<S: Serializer>(secret: &Option<SecretString>, to: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| HIDDEN).serialize(to)
}
