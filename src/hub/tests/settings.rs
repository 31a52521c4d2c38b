//! The settings of the house that is tested.

use super::*;

/// Rules as a house has them.
pub(crate) fn rules() -> Rules {
    let pace = Pace {
        poll: Duration::from_secs(5),
        burst: Duration::from_secs(2),
        burst_polls: 4,
        timeout: Duration::from_secs(5),
        ask: Duration::from_secs(10),
        set_clock: true,
        zone_known: true,
        clock_from_ms: Now::RELEASED_MS,
        rating_w: Some(3680),
    };
    Rules {
        families: BTreeMap::from([("maxsmart", pace)]),
        power_change: 1.0,
        current_change: 0.02,
        voltage_change: 1.0,
        energy_change: Energy::from_kwh(0.001).expect("an amount"),
        history: true,
        heartbeat: Duration::from_secs(300),
        discovery: Duration::from_secs(300),
        adopt: true,
        allow: BTreeSet::new(),
        deny: BTreeSet::new(),
        command_timeout: Duration::from_secs(10),
        misses: 3,
        read_only: false,
        lock_enforce: false,
        plugs: BTreeMap::new(),
        log_level: LogLevel::Info,
    }
}
