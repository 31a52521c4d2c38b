//! Values of requests as people and programs write them, in JSON and on the command line.

use crate::core::{date, minute};
use jiff::civil::Date;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value as Json};

/// Ports, where some are named: an empty list would mean nothing.
pub(super) fn some_ports<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<u8>, D::Error> {
    match Option::<Vec<u8>>::deserialize(json)? {
        Some(ports) if ports.is_empty() => {
            Err(de::Error::custom("the list is empty; leave it out to keep those there are"))
        }
        ports => Ok(ports.unwrap_or_default()),
    }
}

/// A time of day, in minutes after midnight.
pub(super) fn time_of_day<'de, D: Deserializer<'de>>(json: D) -> Result<Option<u16>, D::Error> {
    let text = Option::<String>::deserialize(json)?;
    text.map(|text| minute_of(&text).map_err(de::Error::custom)).transpose()
}

/// The same on the command line.
pub(super) fn minute_of(text: &str) -> Result<u16, String> {
    minute(text).ok_or_else(|| "a time of day looks like 22:10".into())
}

/// A date, as `2026-12-24` or `24.12.2026`.
pub(super) fn some_date<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Date>, D::Error> {
    let text = Option::<String>::deserialize(json)?;
    text.map(|text| date(&text).map_err(de::Error::custom)).transpose()
}

/// Whole minutes: a number, also as text, a time as `20m`, or `cancel`.
pub(super) fn minutes<'de, D: Deserializer<'de>>(json: D) -> Result<Option<u32>, D::Error> {
    let json = Json::deserialize(json)?;
    let number = || json.as_u64().and_then(|minutes| u32::try_from(minutes).ok());
    match json.as_str().map_or_else(number, |word| minutes_of(word.trim())) {
        None if json.is_null() => Ok(None),
        None => Err(de::Error::custom("give whole minutes, as 20 or \"20m\", at most 1440, or cancel")),
        minutes => Ok(minutes),
    }
}

/// The same in a word.
pub(super) fn minutes_of(word: &str) -> Option<u32> {
    let time = || {
        let seconds = duration_s(word)?;
        seconds.is_multiple_of(60).then_some(seconds / 60)
    };
    match word {
        "cancel" | "off" => Some(0),
        word => word.parse().ok().or_else(time).and_then(|minutes: u64| u32::try_from(minutes).ok()),
    }
}

#[cfg(feature = "bridge")]
fn duration_s(word: &str) -> Option<u64> {
    humantime::parse_duration(word).ok().map(|time| time.as_secs())
}

/// The library takes numbers.
#[cfg(not(feature = "bridge"))]
fn duration_s(_: &str) -> Option<u64> {
    None
}

/// A JSON object, kept as text.
pub(super) fn object_as_text<'de, D: Deserializer<'de>>(json: D) -> Result<Option<String>, D::Error> {
    let object = Option::<Map<String, Json>>::deserialize(json)?;
    Ok(object.map(|object| Json::Object(object).to_string()))
}
