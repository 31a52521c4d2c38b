//! What differs from seed to seed before anything happens.

use crate::random::Random;
use plug2mqtt::hub::{Limit, Pace, PlugRules, Rules};
use plug2mqtt::model::{Energy, Family, LogLevel, OverloadAction, OwnSettings, OwnValue, PlugId, Restore};
use plug2mqtt::sinks::mqtt::homeassistant::Announcer;
use plug2mqtt::sinks::mqtt::link::Address;
use plug2mqtt::sinks::mqtt::{BridgeFacts, DiscoveryMode, PortDevices, Settings};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(crate) const BASE: &str = "plug2mqtt";
pub(crate) const PREFIX: &str = "homeassistant";
pub(crate) const BIRTH: &str = "homeassistant/status";

pub(crate) struct Plan {
    pub(crate) fleet: usize,
    /// Two plugs with one serial.
    pub(crate) twins: bool,
    pub(crate) rules: Rules,
    pub(crate) families: BTreeMap<&'static str, Family>,
    pub(crate) settings: Arc<Settings>,
    /// Other settings, for the next start.
    pub(crate) changed: Option<Arc<Settings>>,
    /// Broadcasts reach the plugs; else they are named in the settings.
    pub(crate) broadcast: bool,
    /// Something goes wrong until then; afterwards everything must come right.
    pub(crate) chaos: Duration,
    pub(crate) end: Duration,
    /// Troubles in the hour.
    pub(crate) troubles: u64,
    /// Seconds between commands, on average.
    pub(crate) command_every: u64,
}

impl Plan {
    /// In some houses the settings ask for protection, by other lots than the rest of the house.
    pub(crate) fn protect(&mut self, ids: &[PlugId], random: &mut Random) {
        if random.chance(40) {
            return;
        }
        let rating_w = random.pick(&[Some(3680), Some(1500), None]);
        for pace in self.rules.families.values_mut() {
            pace.rating_w = rating_w;
        }
        for id in ids {
            let ports: Vec<u8> = (0..=6).filter(|_| random.chance(70)).collect();
            let limits = ports.into_iter().map(|port| (port, limit(random))).collect();
            let ports: Vec<u8> = (1..=6).filter(|_| random.chance(50)).collect();
            let restore = [Restore::Previous, Restore::On, Restore::Off];
            let restore = ports.into_iter().map(|port| (port, random.pick(&restore))).collect();
            self.rules.plugs.insert(id.clone(), PlugRules { limits, restore, ..PlugRules::default() });
        }
    }

    pub(crate) fn new(random: &mut Random) -> Self {
        let fleet = random.pick(&[1, 1, 1, 2, 2, 2, 3, 3, 4, 6]);
        let poll = random.pick(&[3_000, 10_000, 20_000, 30_000, 60_000]) * fleet as u64;
        let poll = Duration::from_millis(poll.min(60_000));
        let timeout = random.ms(1_000, 5_000);
        let set_clock = random.chance(80);
        let pace = Pace {
            poll,
            burst: random.ms(500, 3_000).min(poll),
            burst_polls: u8::try_from(random.range(0, 4)).unwrap(),
            timeout,
            ask: Duration::from_secs(10),
            set_clock,
            zone_known: true,
            clock_from_ms: 0,
            rating_w: Some(3680),
        };
        let discovery = random.secs(30, 120);
        let rules = Rules {
            families: BTreeMap::from([("maxsmart", pace), ("inplug", Pace { set_clock: false, ..pace })]),
            power_change: 1.0,
            current_change: 0.02,
            voltage_change: 1.0,
            energy_change: Energy::from_kwh(0.001).unwrap(),
            history: random.chance(50),
            heartbeat: random.secs(60, 300),
            discovery,
            adopt: true,
            allow: BTreeSet::new(),
            deny: BTreeSet::new(),
            command_timeout: random.ms(1_000, 8_000),
            misses: u32::try_from(random.range(2, 4)).unwrap(),
            read_only: false,
            lock_enforce: false,
            plugs: BTreeMap::new(),
            log_level: LogLevel::default(),
        };
        let calm = discovery + 5 * poll.max(Duration::from_secs(30)) + Duration::from_secs(60);
        let end = Duration::from_secs(3600);
        let maxsmart = Family { udp_port: 8888, http_port: 80, timeout, own: OwnSettings::default() };
        let keep_alive = random.chance(30);
        let mut inplug = Family { udp_port: 80, http_port: 80, timeout, own: OwnSettings::default() };
        inplug.own.set("keep_alive", OwnValue::Switch(keep_alive));
        Self {
            fleet,
            twins: fleet > 1 && random.chance(15),
            rules,
            families: BTreeMap::from([("maxsmart", maxsmart), ("inplug", inplug)]),
            settings: settings(random),
            changed: None,
            broadcast: random.chance(80),
            chaos: end - calm,
            end,
            troubles: random.range(0, 40),
            command_every: random.range(15, 120),
        }
    }
}

fn limit(random: &mut Random) -> Limit {
    let actions = [OverloadAction::Ignore, OverloadAction::Tell, OverloadAction::Off, OverloadAction::Latch];
    Limit {
        watts: random.chance(80).then(|| f64::from(u32::try_from(random.range(50, 2_000)).unwrap()) + 0.5),
        after: random.pick(&[Duration::ZERO, Duration::from_secs(10), Duration::from_secs(60)]),
        action: random.pick(&actions),
    }
}

/// Settings of the sink; the form of announcements differs.
pub(crate) fn settings(random: &mut Random) -> Arc<Settings> {
    let mode = random.pick(&[
        DiscoveryMode::Device,
        DiscoveryMode::Device,
        DiscoveryMode::Device,
        DiscoveryMode::Component,
        DiscoveryMode::Off,
    ]);
    let port_devices = random.pick(&[PortDevices::None, PortDevices::Child, PortDevices::Via]);
    Arc::new(Settings {
        address: Address {
            host: "127.0.0.1".into(),
            port: 1883,
            tls: None,
            login: None,
            client_id: "plug2mqtt-simulated".into(),
            keep_alive: Duration::from_secs(20),
        },
        announcer: Announcer { base: BASE.into(), prefix: PREFIX.into(), mode, port_devices, version: "0" },
        birth_topic: BIRTH.into(),
        respect_deletion: false,
        allow_admin: true,
        allow_raw: true,
        families: vec!["maxsmart", "inplug"],
        facts: BridgeFacts {
            version: "0",
            run: "5151".into(),
            take_over: false,
            started_ms: 0,
            discovery: mode.as_str(),
            drivers: vec!["maxsmart", "inplug"],
            config_checksum: String::new(),
            timezone: None,
        },
    })
}
