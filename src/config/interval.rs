//! Durations within bounds.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::value::shown;
use crate::model::POLL_MS;

/// A duration with bounds in milliseconds, that keeps the text it was written as.
#[derive(Clone, PartialEq, Eq)]
pub struct Interval<const MIN: u64, const MAX: u64> {
    text: String,
    duration: Duration,
}

/// Between two polls: 200 ms to 1 h.
pub type PollInterval = Interval<{ *POLL_MS.start() }, { *POLL_MS.end() }>;
/// Between two searches or heartbeats: 1 s to 24 h.
pub type LongInterval = Interval<1_000, 86_400_000>;
/// How long a plug may take: 100 ms to 60 s.
pub type PlugTimeout = Interval<100, 60_000>;
/// How long a command may take: 1 s to 60 s; 10 s unless said otherwise.
pub type WaitTime = Interval<1_000, 60_000>;
/// How long an overload is put up with: 0 s to 1 h; 10 s unless said otherwise.
pub type OverloadTime = Interval<0, 3_600_000>;
/// MQTT keep-alive: 5 s to 1 h.
pub type KeepAlive = Interval<5_000, 3_600_000>;

impl<const MIN: u64, const MAX: u64> Interval<MIN, MAX> {
    /// The duration.
    pub fn get(&self) -> Duration {
        self.duration
    }

    /// The text it was written as.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What is allowed, in words.
    pub fn allowed() -> String {
        let text = |millis| humantime::format_duration(Duration::from_millis(millis)).to_string();
        format!("{} to {}", text(MIN), text(MAX).replace("1day", "24h"))
    }

    /// For defaults, which are within bounds.
    pub(super) fn of(duration: Duration) -> Self {
        debug_assert!((u128::from(MIN)..=u128::from(MAX)).contains(&duration.as_millis()));
        Self { text: humantime::format_duration(duration).to_string(), duration }
    }

    pub(super) fn seconds(seconds: u64) -> Self {
        Self::of(Duration::from_secs(seconds))
    }
}

impl<const MIN: u64, const MAX: u64> FromStr for Interval<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = Self::allowed();
        let duration = match humantime::parse_duration(text) {
            Ok(duration) => duration,
            Err(humantime::DurationError::NumberOverflow) => {
                return Err(format!("{} is too long; {allowed} is allowed", shown(text)));
            }
            Err(error) => {
                return Err(format!("{} is not a duration: {error}; {allowed} is allowed", shown(text)));
            }
        };
        if duration < Duration::from_millis(MIN) {
            return Err(format!("{} is too short; {allowed} is allowed", shown(text)));
        }
        if duration > Duration::from_millis(MAX) {
            return Err(format!("{} is too long; {allowed} is allowed", shown(text)));
        }
        Ok(Self { text: text.trim().into(), duration })
    }
}

impl Default for WaitTime {
    fn default() -> Self {
        Self::seconds(10)
    }
}

impl Default for OverloadTime {
    fn default() -> Self {
        Self::seconds(10)
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Display for Interval<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<const MIN: u64, const MAX: u64> fmt::Debug for Interval<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<const MIN: u64, const MAX: u64> Serialize for Interval<MIN, MAX> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Interval<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for Interval<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Interval_{MIN}_{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "x-duration": true, "x-allowed": Self::allowed() })
    }
}
