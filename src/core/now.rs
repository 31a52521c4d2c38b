//! A point in time, and how times are written.

use jiff::{SignedDuration, Timestamp, civil::DateTime, tz::Offset};
use std::time::Duration;

/// A bridge that was away for longer cannot be told from one whose clock was wrong.
const YEAR_MS: u64 = 366 * 86_400_000;

/// A point in time as the pure parts see it: handed in, never read from a clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Time since the program started; never goes back.
    pub up: Duration,
    /// Wall clock, milliseconds since 1970 UTC; may jump.
    pub unix_ms: u64,
    /// Offset of local time from UTC in seconds, summer time included.
    pub utc_offset_s: i32,
    /// The part of [`utc_offset_s`](Self::utc_offset_s) that is summer time, in seconds.
    pub dst_s: i32,
    /// A fresh random number, for protocols that need one for message ids or counts.
    pub nonce: u64,
}

impl Now {
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

    /// Offset of local time from UTC.
    pub fn offset(&self) -> Offset {
        Offset::from_seconds(self.utc_offset_s).unwrap_or(Offset::UTC)
    }

    /// How long ago that was by the wall clock, in milliseconds, where it can be believed: both times after the
    /// release of this version, and no more than a year apart.
    pub fn ms_since(&self, unix_ms: u64) -> Option<u64> {
        let passed = self.unix_ms.checked_sub(unix_ms)?;
        (unix_ms >= Self::RELEASED_MS && passed <= YEAR_MS).then_some(passed)
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
