//! The settings by name. The doc comments here are also the JSON schema, the commented file that
//! `config init` writes and the reference table; nothing about a setting is written twice.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize, Serializer};

use super::choice::{Format, TopicLevel};
use super::interval::{KeepAlive, LongInterval, OverloadTime, PlugTimeout, PollInterval, WaitTime};
use super::layer::Origin;
use super::value::{Broadcast, BrokerUrl, Host, Network};
use crate::model::{
    DiscoveryMode, Lock, LogLevel, MAX_AMPS_CHANGE, MAX_WATTS, OverloadAction, PortDevices, PowerUnit,
    Restore,
};

/// Everything a user may say. Each field has a working default.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Time zone in which a day begins and to which the clocks of plugs are set. Without it that of this machine.
    #[schemars(extend("x-allowed" = "name like `Europe/Berlin`"))]
    pub timezone: Option<String>,
    /// The connection to the MQTT broker.
    pub mqtt: Mqtt,
    /// The built-in MQTT broker, which runs when `mqtt.url` is not set.
    pub broker: Broker,
    /// What Home Assistant is told.
    pub home_assistant: HomeAssistant,
    /// When a value is worth publishing again.
    pub publish: Publish,
    /// How energy is counted.
    pub energy: Metering,
    /// How plugs are found and which are taken.
    pub discovery: Finding,
    /// Commands that switch and change things.
    pub commands: Commands,
    /// When a plug counts as gone.
    pub availability: Availability,
    /// MaxSmart and Revogi plugs.
    pub maxsmart: Maxsmart,
    /// Watts Clever INPLUG, Ankuoo NEO and other plugs that speak like a Broadlink SP2.
    pub inplug: Inplug,
    /// What is special about single plugs, by id.
    pub device: BTreeMap<String, Device>,
    /// The web listener for Prometheus and for health checks.
    pub web: Web,
    /// What is remembered across restarts.
    pub state: State,
    /// The log.
    pub log: Log,
    /// Where each setting that was given came from, by dotted name.
    #[serde(skip)]
    pub origins: BTreeMap<String, Origin>,
}

/// The connection to the MQTT broker.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mqtt {
    /// Address of the broker; `mqtts://` for TLS; port 1883, or 8883 with TLS, where none is given. Without it the built-in broker is started and used.
    pub url: Option<BrokerUrl>,
    /// Name to log in with.
    #[schemars(extend("x-allowed" = "text"))]
    pub username: Option<String>,
    /// Password to log in with.
    #[schemars(with = "Option<String>", extend("x-secret" = true, "x-allowed" = "text"))]
    #[serde(serialize_with = "hide")]
    pub password: Option<SecretString>,
    /// File that holds the password.
    #[schemars(extend("x-allowed" = "path"))]
    pub password_file: Option<PathBuf>,
    /// First part of every topic.
    #[schemars(extend("x-allowed" = "topic without wildcards"))]
    pub base_topic: String,
    /// Client id at the broker. Without it one is made up and remembered.
    #[schemars(extend("x-allowed" = "1 to 64 printable characters"))]
    pub client_id: Option<String>,
    /// Longest silence on the connection before it is tested.
    pub keep_alive: KeepAlive,
    /// Whether plugs may be taken, removed, renamed and changed otherwise by requests over MQTT.
    pub allow_admin: bool,
    /// Whether requests over MQTT may send plugs any command of their protocol.
    pub allow_raw: bool,
    /// TLS to the broker, used with `mqtts://`.
    pub tls: Tls,
}

/// TLS to the broker.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Certificates to trust, PEM. Without it those of the system.
    #[schemars(extend("x-allowed" = "path"))]
    pub ca_file: Option<PathBuf>,
    /// Own certificate, PEM. Needs `key_file`.
    #[schemars(extend("x-allowed" = "path"))]
    pub cert_file: Option<PathBuf>,
    /// Key of the own certificate, PEM. Needs `cert_file`.
    #[schemars(extend("x-allowed" = "path"))]
    pub key_file: Option<PathBuf>,
}

/// The built-in MQTT broker.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Broker {
    /// Where it listens. Anything but loopback needs `username` and `password`.
    #[schemars(with = "String", extend("x-allowed" = "IP address:port"))]
    pub listen: SocketAddr,
    /// Name that clients have to log in with.
    #[schemars(extend("x-allowed" = "text"))]
    pub username: Option<String>,
    /// Password that clients have to log in with.
    #[schemars(with = "Option<String>", extend("x-secret" = true, "x-allowed" = "text"))]
    #[serde(serialize_with = "hide")]
    pub password: Option<SecretString>,
    /// File that holds the password.
    #[schemars(extend("x-allowed" = "path"))]
    pub password_file: Option<PathBuf>,
}

/// What Home Assistant is told.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HomeAssistant {
    /// How plugs are announced: one message per plug, one per entity, or not at all.
    pub discovery: DiscoveryMode,
    /// Topic prefix that Home Assistant watches for announcements.
    #[schemars(extend("x-allowed" = "topic without wildcards"))]
    pub prefix: String,
    /// Topic on which Home Assistant says that it has started.
    #[schemars(extend("x-allowed" = "topic without wildcards"))]
    pub birth_topic: String,
    /// Whether each port becomes a device of its own, so that it can have its own area.
    pub port_devices: PortDevices,
    /// Whether a plug whose announcement somebody deleted stays deleted.
    pub respect_deletion: bool,
}

/// When a value is worth publishing again.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Publish {
    /// Power has changed when it moved by more than this from the last value published, in W.
    #[schemars(range(min = 0.0, max = MAX_WATTS))]
    pub power_change: f64,
    /// Current has changed when it moved by more than this, in A.
    #[schemars(range(min = 0.0, max = MAX_AMPS_CHANGE))]
    pub current_change: f64,
    /// Voltage has changed when it moved by more than this, in V.
    #[schemars(range(min = 0.0, max = 500.0))]
    pub voltage_change: f64,
    /// Energy has changed when it moved by this much from the last value published, in kWh.
    #[schemars(range(min = 0.0, max = 1000.0))]
    pub energy_change: f64,
    /// Longest time without a message about a plug, even when nothing changed.
    pub heartbeat: LongInterval,
}

/// How energy is counted.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Metering {
    /// Whether hours that were missed are filled from the plug's own record, where it can be believed.
    pub history: bool,
}

/// How plugs are found and which are taken.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Finding {
    /// Time between two searches.
    pub interval: LongInterval,
    /// Whether new plugs are taken without asking. Otherwise only those in `allow` or with a `device` section.
    pub adopt: bool,
    /// The only plugs to take. Empty means all.
    #[schemars(extend("x-allowed" = "list of plug ids"))]
    pub allow: Vec<String>,
    /// Plugs to leave alone, even when `allow` names them. What is known of them is kept.
    #[schemars(extend("x-allowed" = "list of plug ids"))]
    pub deny: Vec<String>,
}

/// Commands that switch and change things.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Commands {
    /// Time after which a command that was not confirmed has failed.
    pub timeout: WaitTime,
    /// Refuse every command on every plug.
    pub read_only: bool,
    /// Put a locked port back at once that a rule in the plug, another program or a hand has moved.
    pub lock_enforce: bool,
}

/// When a plug counts as gone.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Availability {
    /// Unanswered polls in a row after which a plug is offline.
    #[schemars(range(min = 1, max = 20))]
    pub misses: u8,
}

/// MaxSmart and Revogi plugs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Maxsmart {
    /// Whether these plugs are looked for and spoken to.
    pub enabled: bool,
    /// Where searches are sent: `auto` means every IPv4 network of this machine.
    #[schemars(extend("x-allowed" = "list of `auto` and IPv4 addresses"))]
    pub broadcast: Vec<Broadcast>,
    /// Plugs that are asked directly, because a search does not reach them. One that keeps silent is told.
    #[schemars(extend("x-allowed" = "list of addresses or names, each with or without `:port`"))]
    pub hosts: Vec<Host>,
    /// Networks in which every address is asked at each search, gently; silence is not told.
    #[schemars(extend("x-allowed" = "list of IPv4 networks, `/20` to `/32`, 8192 addresses in all"))]
    pub scan: Vec<Network>,
    /// UDP port that searches go to.
    #[schemars(range(min = 1, max = 65535))]
    pub udp_port: u16,
    /// TCP port that plugs are asked on.
    #[schemars(range(min = 1, max = 65535))]
    pub http_port: u16,
    /// Time between two polls of a plug.
    pub poll_interval: PollInterval,
    /// Time between two polls right after a command.
    pub burst_interval: PollInterval,
    /// Number of such polls after a command.
    #[schemars(range(min = 0, max = 20))]
    pub burst_polls: u8,
    /// Time between two questions about clock, timers and what else only some plugs can do.
    pub slow_poll_interval: PollInterval,
    /// Time a plug has to answer.
    pub timeout: PlugTimeout,
    /// Whether the clocks of the plugs are kept at local time.
    pub set_clock: bool,
}

/// Watts Clever INPLUG, Ankuoo NEO and other plugs that speak like a Broadlink SP2.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Inplug {
    /// Whether these plugs are looked for and spoken to.
    pub enabled: bool,
    /// Where searches are sent: `auto` means every IPv4 network of this machine.
    #[schemars(extend("x-allowed" = "list of `auto` and IPv4 addresses"))]
    pub broadcast: Vec<Broadcast>,
    /// Plugs that are asked directly, because a search does not reach them. A locked one hears no other question. One that keeps silent is told.
    #[schemars(extend("x-allowed" = "list of addresses or names"))]
    pub hosts: Vec<Host>,
    /// Networks in which every address is asked at each search, gently; silence is not told.
    #[schemars(extend("x-allowed" = "list of IPv4 networks, `/20` to `/32`, 8192 addresses in all"))]
    pub scan: Vec<Network>,
    /// UDP port that plugs are asked on.
    #[schemars(range(min = 1, max = 65535))]
    pub udp_port: u16,
    /// Time between two polls of a plug.
    pub poll_interval: PollInterval,
    /// Time between two polls right after a command.
    pub burst_interval: PollInterval,
    /// Number of such polls after a command.
    #[schemars(range(min = 0, max = 20))]
    pub burst_polls: u8,
    /// Time a plug has to answer.
    pub timeout: PlugTimeout,
    /// Whether plugs are told every two minutes that somebody is there. Some firmware restarts without its cloud otherwise.
    pub keep_alive: bool,
}

/// What is special about one plug.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Device {
    /// Name to show instead of the plug's own.
    #[schemars(extend("x-allowed" = "1 to 64 characters"))]
    pub name: Option<String>,
    /// Time between two polls of this plug.
    pub poll_interval: Option<PollInterval>,
    /// Power has changed when it moved by more than this from the last value published, in W.
    #[schemars(range(min = 0.0, max = MAX_WATTS))]
    pub power_change: Option<f64>,
    /// Unit in which the plug reports power.
    pub power_unit: PowerUnit,
    /// Refuse every command to this plug.
    pub read_only: bool,
    /// Most power for the plug as a whole, in W. Without it what the family is built for, 3680 for MaxSmart and Revogi.
    #[schemars(range(min = 1.0, max = MAX_WATTS))]
    pub max_power: Option<f64>,
    /// How long `max_power` may be exceeded before the overload action.
    pub overload_after: OverloadTime,
    /// What happens then: nothing, an event, switching off, or switching off and refusing ON until `overload_reset`.
    pub overload: OverloadAction,
    /// What is special about its ports, by number, 1 to 16.
    pub port: BTreeMap<u8, Port>,
}

/// What is special about one port of a plug.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Port {
    /// Name to show instead of the port's own.
    #[schemars(extend("x-allowed" = "1 to 64 characters"))]
    pub name: Option<String>,
    /// How it must stay: free, on (switching off is refused), off (switching on is refused), or as it is.
    pub lock: Lock,
    /// Most power for this port, in W. Without it what the family is built for.
    #[schemars(range(min = 1.0, max = MAX_WATTS))]
    pub max_power: Option<f64>,
    /// How long `max_power` may be exceeded before the overload action. Without it that of the plug.
    pub overload_after: Option<OverloadTime>,
    /// What happens then. Without it what the plug says.
    #[schemars(with = "OverloadAction")]
    pub overload: Option<OverloadAction>,
    /// State after a detected restart of the plug: left as the plug has it, as before the restart, on, or off.
    pub restore_after_restart: Restore,
}

/// The web listener for Prometheus and for health checks.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    /// Where it listens for `/metrics`, `/healthz` and `/readyz`; `/` lists them. Without it there is no listener.
    #[schemars(with = "Option<String>", extend("x-allowed" = "address and port"))]
    pub listen: Option<SocketAddr>,
    /// Names it may be asked by, besides `localhost`, this machine's own name and any IP address.
    #[schemars(extend("x-allowed" = "list of names"))]
    pub hosts: Vec<String>,
}

/// What is remembered across restarts.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct State {
    /// Folder for what is remembered. Without it `$STATE_DIRECTORY`, then `$XDG_STATE_HOME/plug2mqtt`, then `~/.local/state/plug2mqtt`.
    #[schemars(extend("x-allowed" = "path"))]
    pub directory: Option<PathBuf>,
}

/// The log.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// The least important messages to write.
    pub level: LogLevel,
    /// How messages are written.
    pub format: Format,
    /// The least important messages also published on `bridge/log`, at most ten a second.
    pub topic: TopicLevel,
}

/// What stands in for a secret wherever settings are written.
pub(super) const HIDDEN: &str = "********";

fn hide<S: Serializer>(secret: &Option<SecretString>, to: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(|_| HIDDEN).serialize(to)
}
