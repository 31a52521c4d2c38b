//! What a user may say: settings from defaults, file, environment and flags, with their bounds and
//! secrets. Everything that is wrong is found at once, before anything starts. Refuses to know what
//! the settings are used for.
//!
//! `settings` names them, `family` those of each family of plugs, `value`, `interval` and `choice`
//! say what a value may be, `sources` reads the places they come from, `lookup` finds each by name,
//! `schema` checks each value by itself, `merge` lays them over each other, and `check` looks at all
//! of them together.

mod check;
mod choice;
mod default;
mod diagnostics;
mod family;
mod interval;
mod lookup;
mod merge;
mod origin;
mod schema;
mod settings;
mod sources;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use crate::drivers::{Driver, Drivers};
use crate::model::{OwnValue, SettingKind};
use origin::dotted;

pub use choice::{Format, TopicLevel};
pub use diagnostics::{Errors, Problem, nearest};
pub use family::{FamilySection, FamilySettings};
pub use interval::{Interval, KeepAlive, LongInterval, OverloadTime, PlugTimeout, PollInterval, WaitTime};
pub use origin::Origin;
pub use schema::{Known, all, schema};
pub use settings::{
    Availability, Broker, Commands, Device, Finding, HomeAssistant, Log, Mqtt, Port, Publish, Settings,
    State, Tls,
};
pub use value::{Broadcast, BrokerUrl, Host, Network};

/// Reads the settings: defaults, under the file, under the environment, under flags given as
/// `section.key` and value. The family of each driver has a section. Returns them with the file that
/// was read, or everything that is wrong.
///
/// Without `path` the file is `plug2mqtt.toml` in the working directory, else
/// `/etc/plug2mqtt/plug2mqtt.toml`, else none.
pub fn load(
    path: Option<&Path>,
    env: impl Iterator<Item = (String, String)>,
    flags: &[(String, String)],
    drivers: Drivers,
) -> Result<(Settings, Option<PathBuf>), Errors> {
    let known = schema::all(drivers);
    let mut problems = Vec::new();
    let file = sources::locate(path);
    let mut entries = match file.as_deref().map(|file| (file, sources::text(file))) {
        Some((file, Ok(text))) => sources::file(file, &text, &known, &mut problems),
        Some((_, Err(problem))) => {
            problems.push(problem);
            Vec::new()
        }
        None => Vec::new(),
    };
    entries.extend(sources::environment(env, &known, &mut problems));
    entries.extend(sources::flags(flags, &known, &mut problems));
    one_secret_each(&mut entries, &known, &mut problems);

    let (tree, origins) = merge::merge(&entries).unwrap_or_else(|error| {
        problems.push(Problem::new(None, "", error.to_string()));
        Default::default()
    });
    let settings = build(tree, origins, drivers, &mut problems);
    match Errors::new(problems) {
        None => Ok((settings, file)),
        Some(errors) => Err(errors),
    }
}

/// The part of the environment that concerns the settings, for [`load`]. What is not UTF-8 is
/// replaced, so that it is refused or visible instead of ending the program.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    let ours = |(name, _): &(String, String)| name.starts_with(sources::PREFIX);
    std::env::vars_os().map(move |(name, value)| (text(name), text(value))).filter(ours)
}

/// A secret and a file for it: the higher layer wins, two in one layer are an error.
fn one_secret_each(entries: &mut Vec<sources::Entry>, known: &[Known], problems: &mut Vec<Problem>) {
    for secret in known.iter().filter(|known| known.secret) {
        let plain = secret.path.clone();
        let mut file = plain.clone();
        if let Some(key) = file.last_mut() {
            key.push_str("_file");
        }
        let highest = |path: &[String]| {
            let given = entries.iter().filter(|entry| entry.path == path && !entry.value.is_null());
            given.max_by_key(|entry| entry.origin.layer()).map(|entry| entry.origin.clone())
        };
        let (Some(a), Some(b)) = (highest(&plain), highest(&file)) else { continue };
        let loser = if a.layer() < b.layer() { plain } else { file.clone() };
        if a.layer() == b.layer() {
            let (key, other) = (secret.name(), dotted(&file));
            problems.push(Problem::new(Some(a), key, format!("give this or {other}, not both")));
        }
        entries.retain(|entry| entry.path != loser);
    }
}

/// Builds the settings from values that fit one by one.
fn build(
    mut tree: Json,
    origins: BTreeMap<String, Origin>,
    drivers: Drivers,
    problems: &mut Vec<Problem>,
) -> Settings {
    let mut section = |name: &str| match tree.as_object_mut().and_then(|tree| tree.remove(name)) {
        Some(Json::Object(section)) => section,
        _ => Map::new(),
    };
    let given: Vec<_> = drivers.iter().map(|&driver| (driver, section(driver.name()))).collect();
    let mut settings: Settings = settle(tree, &Map::new(), &[], &origins, problems).unwrap_or_default();
    let mut check = check::Check { origins: &origins, problems };
    if let Some(secret) = check.secret("mqtt.password", settings.mqtt.password_file.as_deref()) {
        settings.mqtt.password = Some(secret);
    }
    if let Some(secret) = check.secret("broker.password", settings.broker.password_file.as_deref()) {
        settings.broker.password = Some(secret);
    }
    for (driver, section) in given {
        settings.families.push(family(driver, section, &mut check));
    }
    check.all(&settings);
    settings.origins = origins;
    settings
}

/// Builds the section of a family.
fn family(
    driver: &'static dyn Driver,
    mut given: Map<String, Json>,
    check: &mut check::Check<'_>,
) -> FamilySettings {
    let (info, mut family) = (driver.info(), FamilySettings::new(driver));
    let mut own = family::take_own(info, &mut given);
    let defaults = match serde_json::to_value(&family.common) {
        Ok(Json::Object(defaults)) => defaults,
        _ => Map::new(),
    };
    let path = [info.name.to_owned()];
    if let Some(common) = settle(Json::Object(given), &defaults, &path, check.origins, check.problems) {
        family.common = common;
    }
    for setting in info.settings {
        let value = match (setting.kind, own.remove(setting.key)) {
            (SettingKind::Switch(_), Some(Json::Bool(on))) => Some(OwnValue::Switch(on)),
            (SettingKind::Text { .. }, Some(Json::String(text))) => Some(OwnValue::Text(text)),
            (SettingKind::Secret { .. }, Some(Json::String(secret))) => Some(OwnValue::Secret(secret)),
            (SettingKind::Secret { .. }, _) => {
                let file = own.remove(&format!("{}_file", setting.key));
                let file = file.as_ref().and_then(Json::as_str).map(Path::new);
                let secret = check.secret(&format!("{}.{}", info.name, setting.key), file);
                secret.map(|secret| OwnValue::Secret(secret.expose_secret().into()))
            }
            (SettingKind::Switch(_) | SettingKind::Text { .. }, _) => None,
        };
        if let Some(value) = value {
            family.own.set(setting.key, value);
        }
    }
    family
}

/// Builds a section, with `defaults` under it. What does not fit is reported and left out, and the rest is tried
/// again, so that one error hides no other.
fn settle<T: DeserializeOwned>(
    mut tree: Json,
    defaults: &Map<String, Json>,
    path: &[String],
    origins: &BTreeMap<String, Origin>,
    problems: &mut Vec<Problem>,
) -> Option<T> {
    loop {
        let mut whole = defaults.clone();
        whole.extend(tree.as_object().cloned().unwrap_or_default());
        let error = match serde_path_to_error::deserialize(Json::Object(whole)) {
            Ok(section) => return Some(section),
            Err(error) => error,
        };
        let mut keys = Vec::new();
        let mut index = None;
        for segment in error.path() {
            match segment {
                serde_path_to_error::Segment::Map { key } => keys.push(key.clone()),
                serde_path_to_error::Segment::Seq { index: at } => index = Some(*at),
                serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => {}
            }
        }
        let key = dotted(&[path, &keys].concat());
        let origin = origins.get(&key).cloned();
        let mut text = error.inner().to_string();
        if text.contains("socket address") {
            text.push_str("; write it like 127.0.0.1:1883, an IPv6 address in [ ]: [::1]:1883");
        }
        problems.push(Problem::new(origin, key, text));
        if problems.len() > diagnostics::MAX_SHOWN || !remove(&mut tree, &keys, index) {
            return None;
        }
    }
}

/// Takes one value out of the tree; false when there is none to take.
fn remove(tree: &mut Json, keys: &[String], index: Option<usize>) -> bool {
    let Some((last, sections)) = keys.split_last() else { return false };
    let section = sections.iter().try_fold(tree, |tree, key| tree.get_mut(key));
    let Some(section) = section.and_then(Json::as_object_mut) else { return false };
    match (section.get_mut(last), index) {
        (Some(Json::Array(items)), Some(index)) if index < items.len() => {
            items.remove(index);
            true
        }
        _ => section.remove(last).is_some(),
    }
}

#[cfg(test)]
mod tests;
