//! Wires the parts together: settings in, a running bridge out.

mod builtin;
mod listener;
pub mod misfits;
mod own_rules;
mod supervision;
mod turn;

use builtin::Broker;
pub use turn::Instance;

use crate::config::{self, FamilySection, FamilySettings, Settings};
use crate::fair::{self, Room};
use crate::hub::{Hub, Rules};
use crate::io::clock::{Clock, Zone};
use crate::io::engine::{Engine, Parts, SetLogLevel};
use crate::io::http::Http;
use crate::io::probe::{DiscoveryScope, DriverConfig};
use crate::io::store::{Store, StoreError};
use crate::model::{Energy, PersistedState, PlugId};
use crate::pulse::Pulse;
use crate::sinks::mqtt::{
    self, BridgeFacts, Channels, Leave,
    homeassistant::Announcer,
    link::{Address, Tls},
};
#[cfg(feature = "metrics")]
use crate::sinks::web;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

/// Orders that may wait for the hub, of one plug and of all; more are refused with a result.
const MAX_ORDERS: usize = 1024;
const MAX_ALL_ORDERS: usize = 16_384;

/// Notes that may wait for a sink, of one plug and of all; more are dropped and counted.
const MAX_NOTES: usize = 16_384;
const MAX_ALL_NOTES: usize = 65_536;

/// Scrapes that may wait for the hub.
const MAX_SCRAPES: usize = 8;

/// How long the MQTT sink may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(5);

/// Why a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was told to stop.
    Stopped,
    /// Somebody asked for a fresh start.
    Restart,
    /// Another bridge acts on the base topic and has been there longer. Run again, told by
    /// [`Instance::after`], this one waits for its turn.
    Yielded,
    /// The process stood still for so long that another bridge may have taken over. It is run again like
    /// one that yielded.
    StoodStill,
}

/// Why a run could not begin; the text names the setting and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The state directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The built-in broker.
    #[cfg(feature = "broker")]
    #[error(transparent)]
    Broker(#[from] crate::broker::BrokerError),
    /// The web listener's address.
    #[cfg(feature = "metrics")]
    #[error(transparent)]
    Web(#[from] web::WebError),
    /// Another bridge acts on the base topic.
    #[error("{0}; --take-over makes that one wait instead")]
    Another(String),
    /// Settings that turn out not to work.
    #[error("{0}")]
    Settings(String),
}

/// How the program's own log is handled while the bridge runs.
pub struct Logging {
    /// Changes how much is logged.
    pub set_level: SetLogLevel,
    /// Lines to be published on `bridge/log`.
    pub lines: Option<mqtt::log::Lines>,
}

/// Runs the bridge until `stop` is ready or a restart is requested. `ready` is told the address of
/// the broker in use once everything has started.
///
/// # Errors
///
/// When it cannot begin: the state directory or the built-in broker's address cannot be used, or
/// files for TLS cannot be read.
pub async fn run(
    settings: &Settings,
    set_level: SetLogLevel,
    ready: impl FnOnce(&str),
    stop: impl Future<Output = ()>,
) -> Result<Ended, StartError> {
    run_logged(settings, Logging { set_level, lines: None }, ready, stop).await
}

/// Like [`run`], with log lines that may be published.
///
/// # Errors
///
/// As [`run`].
pub async fn run_logged(
    settings: &Settings,
    logging: Logging,
    ready: impl FnOnce(&str),
    stop: impl Future<Output = ()>,
) -> Result<Ended, StartError> {
    run_as(settings, &Instance::new(), logging, ready, stop).await
}

/// Like [`run_logged`], as this process.
///
/// # Errors
///
/// As [`run`], and when another bridge acts on the base topic and this one is not to wait.
pub async fn run_as(
    settings: &Settings,
    instance: &Instance,
    logging: Logging,
    ready: impl FnOnce(&str),
    stop: impl Future<Output = ()>,
) -> Result<Ended, StartError> {
    let store = Arc::new(Store::open(&state_directory(settings))?);
    let mut memory = store.load();
    if memory.client_id.is_empty() {
        memory.client_id = format!("plug2mqtt-{:06x}", fastrand::u32(..0x0100_0000));
    }
    let broker = Broker::start(settings, &client_id(settings, &memory)).await?;
    let mqtt = mqtt_settings(settings, instance, &memory, broker.address(settings))?;
    let (counters, (stopping, stopped)) = (Arc::default(), watch::channel(false));
    let (asks, figures) = mpsc::channel(MAX_SCRAPES);
    listener::serve(settings, asks.clone(), Arc::clone(&counters), stopped.clone()).await?;
    let mut stop = pin!(stop);
    let turn = tokio::select! {
        () = &mut stop => None,
        turn = turn::wait(&mqtt, instance, &counters) => Some(turn?),
    };
    let Some(alone) = turn else {
        broker.stop().await;
        return Ok(Ended::Stopped);
    };
    let pulse = Pulse::start();
    let beats = tokio::spawn(pulse.clone().run());
    ready(&format!("{}:{}", mqtt.address.host, mqtt.address.port));

    let zone = zone(settings);
    if zone.name().is_none() {
        let why = std::env::var("TZ").ok().filter(|tz| !tz.is_empty());
        let why = why
            .map_or_else(|| "no TZ, no /etc/localtime".into(), |tz| format!("TZ={tz:?} is not understood"));
        warn!(
            "no time zone known ({why}): days begin at midnight UTC, and device clocks are not corrected by whole half hours; set timezone, as in timezone = \"Europe/Berlin\""
        );
    }
    let mut clock = Clock::start_in(zone);
    if !clock.now().plausible() {
        warn!("the system clock is earlier than the release of this version; device clocks are not set");
    }
    let kept = mqtt::Memory::read(&memory.sinks.section(mqtt::SECTION));
    let hub = Hub::new(rules(settings), memory, &clock.now());
    let (view, picture) = watch::channel(hub.view());
    let (notes, heard) = fair::channel(Room { each: MAX_NOTES, all: MAX_ALL_NOTES });
    let (orders, wanted) = fair::channel(Room { each: MAX_ORDERS, all: MAX_ALL_ORDERS });
    let (leave, mut leaves) = mpsc::channel(1);
    let mut watch = clock.clone();
    tokio::spawn(misfits::mind(settings.clone(), picture.clone()));
    tokio::spawn(supervision::supervise(asks, Arc::clone(&counters), stopped.clone()));
    let refused = broker.refusals(&counters);
    let channels = Channels {
        clock: Box::new(move || watch.now()),
        view: picture,
        notes: heard,
        log: logging.lines,
        orders,
        leave,
        counters,
        stop: stopped,
        pulse: pulse.clone(),
        refused,
        alone,
    };
    let sink = tokio::spawn(mqtt::run(mqtt, channels, kept));
    let http = Http::new().map_err(StartError::Settings)?;
    let parts = Parts {
        http,
        configs: driver_configs(settings),
        store,
        set_log_level: logging.set_level,
        view,
        notes,
        figures,
        pulse: pulse.clone(),
    };
    let engine = Engine::new(hub, clock, parts);

    let mut ended = Ended::Stopped;
    let until = async {
        tokio::select! {
            () = stop => {}
            stood = pulse.standstill() => {
                warn!("stood still for {} s, as a suspended machine does; starting again", stood.as_secs());
                ended = Ended::StoodStill;
            }
            Some(leave) = leaves.recv() => ended = match leave {
                Leave::Restart => Ended::Restart,
                Leave::Yield(peer) => {
                    warn!("{}; it was started first, so this one stops", peer.sentence(&settings.mqtt.base_topic));
                    Ended::Yielded
                }
            },
        }
    };
    engine.run(wanted, until).await;
    // The last results are on their way; after them the last word.
    let _ = stopping.send(true);
    drop(tokio::time::timeout(GOODBYE, sink).await);
    beats.abort();
    broker.stop().await;
    info!("stopped");
    Ok(ended)
}

/// The state directory: the one set, else systemd's, else the user's.
pub fn state_directory(settings: &Settings) -> PathBuf {
    let env = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let own = settings.state.directory.clone().filter(|path| !path.as_os_str().is_empty());
    own.or_else(|| env("STATE_DIRECTORY"))
        .or_else(|| Some(env("XDG_STATE_HOME")?.join("plug2mqtt")))
        .or_else(|| Some(env("HOME")?.join(".local/state/plug2mqtt")))
        .unwrap_or_else(|| PathBuf::from("plug2mqtt-state"))
}

fn client_id(settings: &Settings, memory: &PersistedState) -> String {
    settings.mqtt.client_id.clone().unwrap_or_else(|| memory.client_id.clone())
}

fn mqtt_settings(
    settings: &Settings,
    instance: &Instance,
    memory: &PersistedState,
    (host, port, tls): (String, u16, bool),
) -> Result<mqtt::Settings, StartError> {
    let own = &settings.mqtt;
    let builtin = own.url.is_none();
    let (user, password) = match builtin {
        true => (&settings.broker.username, &settings.broker.password),
        false => (&own.username, &own.password),
    };
    check_tls(settings).map_err(StartError::Settings)?;
    let tls = tls.then(|| self::tls(settings));
    let announcer = announcer(settings);
    Ok(mqtt::Settings {
        address: Address {
            host,
            port,
            tls,
            login: user.clone().map(|user| (user, password.clone().unwrap_or_default())),
            client_id: client_id(settings, memory),
            keep_alive: own.keep_alive.get(),
        },
        facts: BridgeFacts {
            version: env!("CARGO_PKG_VERSION"),
            run: instance.run.clone(),
            started_ms: instance.started_ms,
            take_over: instance.take_over,
            discovery: announcer.mode.as_str(),
            drivers: rules(settings).families.into_keys().collect(),
            config_checksum: checksum(settings),
            timezone: zone(settings).name(),
        },
        announcer,
        birth_topic: settings.home_assistant.birth_topic.clone(),
        respect_deletion: settings.home_assistant.respect_deletion,
        allow_admin: own.allow_admin,
        allow_raw: own.allow_raw,
        families: settings.families.iter().map(|family| family.driver.name()).collect(),
    })
}

fn tls(settings: &Settings) -> Tls {
    let own = &settings.mqtt.tls;
    Tls { ca_file: own.ca_file.clone(), client: own.cert_file.clone().zip(own.key_file.clone()) }
}

/// Looks into the files that TLS to the broker takes, where the settings want it.
///
/// # Errors
///
/// Names the file and what is wrong with it.
pub fn check_tls(settings: &Settings) -> Result<(), String> {
    match broker_address(settings) {
        (.., true) => mqtt::link::check_tls(&tls(settings)),
        (.., false) => Ok(()),
    }
}

/// Host, port and TLS of the broker in the settings; of the built-in one when they name none.
pub fn broker_address(settings: &Settings) -> (String, u16, bool) {
    match &settings.mqtt.url {
        Some(url) => (url.host.clone(), url.port, url.tls),
        None => {
            let listen = settings.broker.listen;
            let host =
                if listen.ip().is_unspecified() { "127.0.0.1".into() } else { listen.ip().to_string() };
            (host, listen.port(), false)
        }
    }
}

/// Examines the broker, with what earlier runs remember of plugs, as far as that can be read.
///
/// # Errors
///
/// Why it does not let us in, in a sentence.
pub async fn examine_broker(settings: &Settings) -> Result<mqtt::BrokerReport, String> {
    let mut memory = Store::peek(&state_directory(settings)).unwrap_or_default();
    if memory.client_id.is_empty() {
        memory.client_id = "plug2mqtt".into();
    }
    let sink = mqtt_settings(settings, &Instance::new(), &memory, broker_address(settings))
        .map_err(|error| error.to_string())?;
    let kept = mqtt::Memory::read(&memory.sinks.section(mqtt::SECTION));
    let hub = Hub::new(rules(settings), memory, &Clock::start().now());
    mqtt::check_broker(&sink, &hub.view(), &kept).await
}

/// How plugs are announced to Home Assistant.
pub fn announcer(settings: &Settings) -> Announcer {
    let own = &settings.home_assistant;
    Announcer {
        base: settings.mqtt.base_topic.clone(),
        prefix: own.prefix.clone(),
        mode: own.discovery,
        port_devices: own.port_devices,
        version: env!("CARGO_PKG_VERSION"),
    }
}

/// Tells two runs with the same settings from two with different ones; secrets are not in it.
fn checksum(settings: &Settings) -> String {
    let mut hasher = DefaultHasher::new();
    settings.values().to_string().hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

/// The time zone in use.
pub fn zone(settings: &Settings) -> Zone {
    Zone::of(settings.timezone.as_deref())
}

/// The settings in the hub's words.
pub fn rules(settings: &Settings) -> Rules {
    let ids = |list: &[String]| list.iter().filter_map(|id| PlugId::new(id)).collect();
    let plugs =
        settings.device.iter().filter_map(|(id, device)| Some((PlugId::new(id)?, own_rules::of(device))));
    Rules {
        families: own_rules::paces(settings),
        power_change: settings.publish.power_change,
        current_change: settings.publish.current_change,
        voltage_change: settings.publish.voltage_change,
        energy_change: Energy::from_kwh(settings.publish.energy_change).unwrap_or_default(),
        history: settings.energy.history,
        heartbeat: settings.publish.heartbeat.get(),
        discovery: settings.discovery.interval.get(),
        adopt: settings.discovery.adopt,
        allow: ids(&settings.discovery.allow),
        deny: ids(&settings.discovery.deny),
        command_timeout: settings.commands.timeout.get(),
        misses: u32::from(settings.availability.misses),
        read_only: settings.commands.read_only,
        lock_enforce: settings.commands.lock_enforce,
        plugs: plugs.collect(),
        log_level: settings.log.level,
    }
}

/// Where each family that is in use is looked for.
pub fn driver_configs(settings: &Settings) -> Vec<DriverConfig> {
    let config = |family: &FamilySettings| {
        let FamilySection { enabled, broadcast, hosts, scan, .. } = &family.common;
        let reach = reach(broadcast, hosts, scan);
        enabled.then(|| DriverConfig { driver: family.driver, family: family.reached(), reach })
    };
    settings.families.iter().filter_map(config).collect()
}

/// How to get out of having no family in use, with the settings named.
pub fn enable_one(settings: &Settings) -> String {
    let all: Vec<_> =
        settings.families.iter().map(|family| format!("{}.enabled = true", family.driver.name())).collect();
    format!("set {}", all.join(" or "))
}

fn reach(
    broadcast: &[config::Broadcast],
    hosts: &[config::Host],
    scan: &[config::Network],
) -> DiscoveryScope {
    let named = broadcast.iter().filter_map(|broadcast| match broadcast {
        config::Broadcast::Auto => None,
        config::Broadcast::To(address) => Some(*address),
    });
    DiscoveryScope {
        everywhere: broadcast.contains(&config::Broadcast::Auto),
        broadcast: named.collect(),
        hosts: hosts.iter().map(|host| (host.name.clone(), host.port)).collect(),
        scan: scan.iter().flat_map(config::Network::addresses).collect(),
    }
}
