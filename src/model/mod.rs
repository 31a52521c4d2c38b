//! The vocabulary of the house: what a plug is, what it says, what may be asked of it and what
//! everybody may see. No behaviour beyond checking a value once, in its constructor. Knows nobody.

mod backoff;
mod capability;
mod choice;
mod days;
mod energy;
mod figures;
mod hazard;
mod history;
mod identity;
mod memory;
mod order;
mod plug_request;
mod port;
mod reading;
mod view;

pub use backoff::Backoff;
pub use capability::{
    CapabilityReply, CapabilityRequest, Clock, Currency, Hardware, LeaderGroup, Presence, Price, Role, Rule,
    RuleChange, Timer, UNKNOWN_SKILL, local,
};
pub use choice::{
    DiscoveryMode, Lock, LogLevel, MAX_AMPS_CHANGE, OverloadAction, POLL_MS, PortDevices, PowerUnit, Restore,
};
pub use days::{Days, amount, date, minute, time};
pub use energy::{Energy, MAX_KWH};
pub use figures::{Metrics, OutcomeCounters, PlugFigures, PortFigures, RANGES_S, Times};
pub use hazard::{Hazard, Remedy};
pub use history::{History, Span};
pub use identity::{DeviceInfo, Endpoint, FAMILIES, Found, Heard, Mac, Name, PlugId, Stray};
pub use memory::{
    Announced, Capabilities, Hours, MeterState, Names, Options, OptionsChange, PersistedPlug, PersistedState,
    PortMeterState, PortOptions, Revert, Shape, Since,
};
pub use order::{
    CommandError, CommandResult, DeviceRequest, DeviceResponse, Event, HubRequest, Metered, Notification,
    Outcome, Request, Response, ResponseData, Switch, SwitchAction, SwitchOrder, Who,
};
pub use plug_request::{
    CapabilityState, LeaderWish, Meaning, PlugRequest, PresenceSimulationWish, Record, RecordRow,
    RuleContent, RuleWish,
};
pub use port::PerPort;
pub use reading::{Failure, MAX_PORTS, MAX_WATTS, PortReading, Reading};
pub use view::{BridgeView, CapabilityStates, Cause, Countdown, PlugView, PortView, Stats, View};

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::Offset};
use std::time::Duration;

/// A point in time as the pure parts see it: handed in, never read from a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Time since the program started; never goes back.
    pub up: Duration,
    /// Wall clock, milliseconds since 1970 UTC; may jump.
    pub unix_ms: u64,
    /// Offset of local time from UTC in seconds, summer time included.
    pub utc_offset_s: i32,
    /// The part of [`utc_offset_s`](Self::utc_offset_s) that is summer time, in seconds.
    pub dst_s: i32,
    /// A fresh random number, for protocols that need one (Meross message ids, INPLUG counts).
    pub nonce: u64,
}

impl Moment {
    /// No clock that is right shows less: this version was not there before, milliseconds since 1970 UTC.
    pub const RELEASED_MS: u64 = 1_793_491_200_000;

    /// The wall clock may be right: it has been set since the machine was built.
    pub fn plausible(&self) -> bool {
        self.unix_ms >= Self::RELEASED_MS
    }

    /// Local date and time, as plugs that carry a clock want it.
    pub fn local(&self) -> DateTime {
        self.offset().to_datetime(timestamp(self.unix_ms))
    }

    /// The same by a clock that is ahead by so many seconds.
    pub fn local_off_by(&self, seconds: i64) -> DateTime {
        let local = self.local();
        local.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(local)
    }

    /// Milliseconds of local time since 1970, by which its hours and days are counted.
    pub fn local_ms(&self) -> u64 {
        self.unix_ms.saturating_add_signed(i64::from(self.utc_offset_s) * 1000)
    }

    /// When local time shows this by the present offset, in milliseconds since 1970 UTC.
    pub fn unix_ms_of(&self, local_ms: u64) -> u64 {
        local_ms.saturating_add_signed(-i64::from(self.utc_offset_s) * 1000)
    }

    fn offset(&self) -> Offset {
        Offset::from_seconds(self.utc_offset_s).unwrap_or(Offset::UTC)
    }

    /// What the wall clock shows at the start of the program, by its present setting, in milliseconds
    /// since 1970 UTC. It moves when somebody sets the clock.
    pub fn zero_ms(&self) -> u64 {
        self.unix_ms.saturating_sub(u64::try_from(self.up.as_millis()).unwrap_or(u64::MAX))
    }
}

fn timestamp(unix_ms: u64) -> Timestamp {
    i64::try_from(unix_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// ISO 8601 in UTC with milliseconds, as every topic and log line writes time:
/// `2026-11-20T18:22:05.120Z`.
pub fn iso(unix_ms: u64) -> String {
    format!("{:.3}", timestamp(unix_ms))
}

/// So many times the timeout is what a conversation may take with a plug that was never read: who it is, how it
/// is spoken to and how it is are asked one after another, each with the whole patience.
pub const FIRST_CONTACT: u32 = 4;

/// What the settings say about one family of plugs: how to reach it and how patient to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Where discovery asks and UDP dialects speak.
    pub udp_port: u16,
    /// Where HTTP dialects speak.
    pub http_port: u16,
    /// The longest a conversation with one plug may take.
    pub timeout: Duration,
    /// Whether plugs are told every two minutes that somebody is there, for families that know it.
    pub keep_alive: bool,
}

/// What a dialect is told about the one plug it will speak to, beside what was found.
#[derive(Debug, Clone, PartialEq)]
pub struct DialectOptions {
    /// The longest a conversation may take; a dialect that tries two ways shares it out.
    pub timeout: Duration,
    /// How numbers for power are to be read.
    pub power_unit: PowerUnit,
    /// Whether the plug's clock is set to local time now and then.
    pub set_clock: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_has_milliseconds_and_zulu() {
        assert_eq!(iso(1_795_198_925_120), "2026-11-20T18:22:05.120Z");
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(u64::MAX), "1970-01-01T00:00:00.000Z");
    }
}
