//! How the hub goes about its work: the settings, in its words.

use crate::model::{
    Energy, Lock, LogLevel, Name, Now, OverloadAction, PersistedState, PlugId, PowerUnit, Restore,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What zones differ by, in seconds.
const HALF_HOUR_S: u64 = 1800;

/// How the hub goes about its work: the settings, in its words.
#[derive(Debug, Clone)]
pub struct Rules {
    /// By driver name; drivers not in here are not used.
    pub families: BTreeMap<&'static str, Pace>,
    /// Watts.
    pub power_change: f64,
    /// Amperes.
    pub current_change: f64,
    /// Volts.
    pub voltage_change: f64,
    /// Kilowatt-hours.
    pub energy_change: Energy,
    /// Fill hours that were missed from the plugs' own records.
    pub history: bool,
    /// Everything is told again after this long, to prove life.
    pub heartbeat: Duration,
    /// Pause between searches.
    pub discovery: Duration,
    /// Take new plugs automatically.
    pub adopt: bool,
    /// Only these, unless empty.
    pub allow: BTreeSet<PlugId>,
    /// Never these.
    pub deny: BTreeSet<PlugId>,
    /// A command lives no longer than this.
    pub command_timeout: Duration,
    /// Polls that must go unanswered in a row before a plug is offline.
    pub misses: u32,
    /// Switch nothing at all.
    pub read_only: bool,
    /// Put locked ports back that somebody else has moved.
    pub lock_enforce: bool,
    /// Rules for single plugs.
    pub plugs: BTreeMap<PlugId, PlugRules>,
    /// How much is logged at start.
    pub log_level: LogLevel,
}

impl Rules {
    /// These and requests let this plug be taken in.
    pub(super) fn permit(&self, memory: &PersistedState, id: &PlugId) -> bool {
        let allowed = self.allow.is_empty() || self.allow.contains(id);
        allowed && !self.deny.contains(id) && !memory.blocked.contains(id)
    }

    /// Earlier than what is remembered is no time a clock could show that is right.
    pub(super) fn learn_time(&mut self, memory: &PersistedState) {
        let metered_ms = memory.plugs.values().map(|kept| kept.tally.unix_ms).max().unwrap_or(0);
        for pace in self.families.values_mut() {
            pace.clock_from_ms = pace.clock_from_ms.max(metered_ms);
        }
    }
}

/// How often the plugs of one family are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// Pause between polls.
    pub poll: Duration,
    /// Pause between polls after a command or a change seen.
    pub burst: Duration,
    /// How many of those.
    pub burst_polls: u8,
    /// The longest a conversation may take.
    pub timeout: Duration,
    /// Pause between two questions of the slow round.
    pub ask: Duration,
    /// Whether the plugs' clocks are set to local time now and then.
    pub set_clock: bool,
    /// Whether local time is known; without it no clock is set by whole half hours.
    pub zone_known: bool,
    /// No clock is set while the wall clock shows less, milliseconds since 1970.
    pub clock_from_ms: u64,
    /// What the plugs are built for, in watts, where that is known.
    pub rating_w: Option<u16>,
}

impl Pace {
    /// Whether a plug's clock that is off by so much is wrong, and not ours.
    pub(super) fn knows_better(&self, now: &Now, drift_s: i64) -> bool {
        let off = drift_s.unsigned_abs();
        // Zones are half hours apart and up to 26 hours; a clock that is off by more was lost.
        let other_zone = (HALF_HOUR_S / 2..=26 * 2 * HALF_HOUR_S).contains(&off);
        now.unix_ms >= self.clock_from_ms && (self.zone_known || !other_zone)
    }
}

/// What the settings say about one plug.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PlugRules {
    /// Its name.
    pub name: Option<Name>,
    /// Pause between polls.
    pub poll: Option<Duration>,
    /// Watts.
    pub power_change: Option<f64>,
    /// How its figures for power are to be read.
    pub power_unit: Option<PowerUnit>,
    /// Never switch it.
    pub read_only: bool,
    /// Names of ports.
    pub port_names: BTreeMap<u8, Name>,
    /// Locks of ports.
    pub locks: BTreeMap<u8, Lock>,
    /// How much the plug as a whole may draw, which is port 0, and its ports where that is another
    /// limit.
    pub limits: BTreeMap<u8, Limit>,
    /// Where ports go after a restart of the plug; others are left as they are.
    pub restore: BTreeMap<u8, Restore>,
}

/// How much may be drawn, and what happens when it is more.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// Watts; the rating of the family when `None`.
    pub watts: Option<f64>,
    /// How long more than that is put up with.
    pub after: Duration,
    /// What happens then.
    pub action: OverloadAction,
}

impl Default for Limit {
    fn default() -> Self {
        Self { watts: None, after: Duration::from_secs(10), action: OverloadAction::Tell }
    }
}
