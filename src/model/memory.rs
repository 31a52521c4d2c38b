//! What outlives the process: one value, one file.

use super::{Able, DeviceInfo, Discovered, Endpoint, Energy, Lock, Name, Now, PlugId, PowerUnit, SinkMemory};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Everything kept over restarts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PersistedState {
    /// Version of this shape of file.
    pub version: u32,
    /// Client id at the broker, made once.
    pub client_id: String,
    /// Whether new plugs are taken, when a request said so.
    pub adopt: Option<bool>,
    /// Plugs that are never to be taken again.
    pub blocked: BTreeSet<PlugId>,
    /// Every plug that was ever taken and not removed.
    pub plugs: BTreeMap<PlugId, PersistedPlug>,
    /// What the sinks keep.
    pub sinks: SinkMemory,
    /// Counts what was written, so that an older file in the place of the newest is known.
    pub generation: u64,
    /// When it was written, milliseconds since 1970; 0 when it never was.
    pub written_ms: u64,
    /// This is not what was written last: that cannot be read, or an older file stands in its place.
    #[serde(skip)]
    pub older: bool,
}

impl PersistedState {
    /// The version written by this program.
    pub const VERSION: u32 = 2;
}

/// What a plug has to offer, as far as entities go; read from the plug, never from a model name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capabilities {
    /// How many ports; 0 while it was never read.
    pub ports: u8,
    /// It measures power.
    pub power: bool,
    /// It measures current.
    pub current: bool,
    /// It measures voltage.
    pub voltage: bool,
    /// It tells its Wi-Fi signal.
    pub signal: bool,
    /// It measures voltage at each port.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub port_voltage: bool,
    /// It counts energy by itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub energy_counted: bool,
    /// The capabilities it has shown.
    #[serde(skip_serializing_if = "Able::is_empty")]
    pub able: Able,
}

impl Capabilities {
    /// There is energy to be told, counted by itself or integrated from its power.
    pub fn metered(&self) -> bool {
        self.power || self.energy_counted
    }
}

/// One plug as remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersistedPlug {
    /// Name of its driver.
    pub driver: String,
    /// Where it was last.
    pub place: Endpoint,
    /// The id of the hardware that has taken this plug's place, when it is not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<PlugId>,
    /// What it said about itself.
    pub facts: Arc<DeviceInfo>,
    /// What it has to offer.
    pub offer: Capabilities,
    /// Name given by a request.
    #[serde(default)]
    pub name: Option<Name>,
    /// Port names given by a request.
    #[serde(default)]
    pub port_names: BTreeMap<u8, Name>,
    /// Options given by a request.
    #[serde(default)]
    pub options: Options,
    /// Ports that go back by themselves.
    #[serde(default)]
    pub reverts: BTreeMap<u8, Revert>,
    /// Ports that protection has latched off.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub latched: BTreeSet<u8>,
    /// What was metered.
    #[serde(default)]
    pub tally: MeterState,
}

impl PersistedPlug {
    /// A plug of which nothing is known but what it said when it was found.
    pub fn new(found: &Discovered) -> Self {
        Self {
            driver: found.driver.into(),
            place: found.place,
            hardware: None,
            facts: Arc::new(found.facts.clone()),
            offer: Capabilities::default(),
            name: None,
            port_names: BTreeMap::new(),
            options: Options::default(),
            reverts: BTreeMap::new(),
            latched: BTreeSet::new(),
            tally: MeterState::default(),
        }
    }
}

/// The meters of a plug.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MeterState {
    /// Port 1 first.
    pub ports: Vec<PortMeterState>,
    /// Milliseconds in which energy was not metered.
    pub unmetered_ms: u64,
    /// When it was metered last, milliseconds since 1970; 0 while it never was.
    pub unix_ms: u64,
    /// When it was metered last by a run that knew what had been told, if that is not the same: from
    /// then on more may have been drawn than stands here. 0 when there never was such a run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certain_ms: Option<u64>,
    /// Where the meters stood when day and month began.
    pub since: Since,
    /// The plug's own counters, port 1 first; empty when it has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub counters: Vec<Option<CounterState>>,
    /// The last hours, for plugs that may have a record of their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<Box<Hours>>,
}

/// Where the meters of a plug stood when the day and the month began.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Since {
    /// The day, in days of local time since 1970; 0 while none has begun.
    pub day: u32,
    /// Its month, in months since the year 0.
    pub month: u32,
    /// What each meter showed when they began, port 1 first.
    pub ports: Vec<[Energy; 2]>,
}

/// What was metered hour by hour of local time, to be compared with a plug's own record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// The hour of the first row, in hours of local time since 1970.
    pub first: u64,
    /// The hour in which metering began, which is not known as a whole.
    pub origin: u64,
    /// Offset of local time from UTC, in seconds.
    pub utc_offset_s: i32,
    /// Cells in a row.
    pub ports: u8,
    /// For each hour the seconds metered, the running hour last.
    pub metered_s: Vec<u16>,
    /// For each hour and port what was drawn, in tenths of a watt-hour.
    pub drawn: Vec<u16>,
    /// What was drawn in the running hour, exactly.
    #[serde(skip)]
    pub running: Vec<Energy>,
    /// How much of the running hour was metered.
    #[serde(skip)]
    pub running_ms: u64,
}

/// The meter of one port.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PortMeterState {
    /// All it has drawn, in microjoules.
    pub energy: Energy,
    /// What it drew when it was metered last, watts.
    pub watts: f64,
}

/// A counter of energy in a plug.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CounterState {
    /// What it showed last.
    pub shows: Energy,
    /// By how much the meter is ahead of it.
    pub ahead: Energy,
    /// When it moved last, milliseconds since 1970; 0 while that is not known.
    #[serde(default)]
    pub moved_ms: u64,
}

/// A port that goes back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revert {
    /// When, milliseconds since 1970.
    pub unix_ms: u64,
    /// Where to.
    pub on: bool,
    /// What was left of it, in milliseconds, when it was written down or made: a clock that was set back
    /// since makes it no longer.
    #[serde(skip, default = "longest")]
    pub most_ms: u64,
}

fn longest() -> u64 {
    u64::MAX
}

impl Revert {
    /// So long from now.
    pub fn after(hold: Duration, on: bool, now: &Now) -> Self {
        let ms = u64::try_from(hold.as_millis()).unwrap_or(u64::MAX);
        Self { most_ms: ms, ..Self::at(now.unix_ms.saturating_add(ms), on) }
    }

    /// Then, in milliseconds since 1970.
    pub fn at(unix_ms: u64, on: bool) -> Self {
        Self { unix_ms, on, most_ms: longest() }
    }

    /// As it was written down then, in milliseconds since 1970; 0 when that is not known.
    pub fn written(self, unix_ms: u64) -> Self {
        let most_ms = if unix_ms == 0 { longest() } else { self.unix_ms.saturating_sub(unix_ms) };
        Self { most_ms, ..self }
    }

    /// How long it is overdue.
    pub fn late(&self, now: &Now) -> Duration {
        Duration::from_millis(now.unix_ms.saturating_sub(self.unix_ms))
    }

    /// How long until then.
    pub fn left(&self, now: &Now) -> Duration {
        Duration::from_millis(self.unix_ms.saturating_sub(now.unix_ms).min(self.most_ms))
    }
}

/// Options of one plug. `None` leaves what the settings say.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Pause between polls, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub poll_interval_ms: Option<u64>,
    /// Power counts as changed when it moved by more than this, in watts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_change: Option<f64>,
    /// Current counts as changed when it moved by more than this, in amperes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_change: Option<f64>,
    /// How the plug's figures for power are to be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_unit: Option<PowerUnit>,
    /// The plug is shown but never switched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
    /// Options of its ports.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub port: BTreeMap<u8, PortOptions>,
}

/// A change of [`Options`]: what is `None` stays as it is, `Some(None)` goes back to what the settings
/// say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OptionsChange {
    /// Pause between polls, in milliseconds.
    pub poll_interval_ms: Option<Option<u64>>,
    /// Power counts as changed when it moved by more than this, in watts.
    pub power_change: Option<Option<f64>>,
    /// Current counts as changed when it moved by more than this, in amperes.
    pub current_change: Option<Option<f64>>,
    /// How the plug's figures for power are to be read.
    pub power_unit: Option<Option<PowerUnit>>,
    /// The plug is shown but never switched.
    pub read_only: Option<Option<bool>>,
    /// Options of its ports; ports that are not there stay as they are.
    pub port: BTreeMap<u8, PortOptions>,
}

/// Options of one port.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PortOptions {
    /// Which ways it must not be switched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
}
