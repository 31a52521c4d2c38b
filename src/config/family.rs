//! The section of one family of plugs: what every family has, with the defaults that its driver names, and the
//! settings that the driver adds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json, json};

use super::interval::{Interval, PlugTimeout, PollInterval};
use super::value::{Broadcast, HIDDEN, Host, Network};
use crate::drivers::Driver;
use crate::model::{Family, FamilyInfo, OwnSettings, OwnValue, Setting, SettingKind};

/// What every family has. A driver leaves out what its plugs do not know, see [`FamilyInfo`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FamilySection {
    /// Search for these plugs and use them.
    pub enabled: bool,
    /// Addresses that searches are sent to; `auto` means every IPv4 network of this machine.
    #[schemars(extend("x-allowed" = "list of `auto` and IPv4 addresses"))]
    pub broadcast: Vec<Broadcast>,
    /// Plugs to ask directly, because a broadcast does not reach them. One that does not respond is reported.
    #[schemars(extend("x-allowed" = "list of addresses or names, each with or without `:port`"))]
    pub hosts: Vec<Host>,
    /// Networks in which every address is asked at each search, slowly; missing answers are not reported.
    #[schemars(extend("x-allowed" = "list of IPv4 networks, `/20` to `/32`, 8192 addresses in all"))]
    pub scan: Vec<Network>,
    /// UDP port of the plugs, also for searches.
    #[schemars(range(min = 1, max = 65535))]
    pub udp_port: u16,
    /// TCP port of the plugs.
    #[schemars(range(min = 1, max = 65535))]
    pub http_port: u16,
    /// Time between two polls of a plug.
    pub poll_interval: PollInterval,
    /// Time between two polls right after a command.
    pub burst_interval: PollInterval,
    /// Number of polls at the burst interval.
    #[schemars(range(min = 0, max = 20))]
    pub burst_polls: u8,
    /// Slow polling: time between two requests for clock, countdowns and other things that only some plugs have.
    pub slow_poll_interval: PollInterval,
    /// Time in which a plug must answer.
    pub timeout: PlugTimeout,
    /// Keep the clocks of the plugs at local time.
    pub set_clock: bool,
}

/// What holds for one family.
#[derive(Debug, Clone)]
pub struct FamilySettings {
    /// Its driver.
    pub driver: &'static dyn Driver,
    /// What every family has.
    pub common: FamilySection,
    /// What only this one has.
    pub own: OwnSettings,
}

impl FamilySettings {
    /// What holds when nothing is said.
    pub fn new(driver: &'static dyn Driver) -> Self {
        let info = driver.info();
        let common = FamilySection {
            enabled: true,
            broadcast: vec![Broadcast::Auto],
            hosts: Vec::new(),
            scan: Vec::new(),
            udp_port: info.udp_port,
            // An endpoint needs a number.
            http_port: info.http_port.unwrap_or(info.udp_port),
            poll_interval: Interval::of(info.poll_interval),
            burst_interval: Interval::seconds(2),
            burst_polls: 4,
            // A family without capabilities says so by itself; nothing is sent.
            slow_poll_interval: info.slow_poll_interval.map_or_else(|| Interval::seconds(10), Interval::of),
            timeout: Interval::of(info.timeout),
            set_clock: info.set_clock.unwrap_or(false),
        };
        Self { driver, common, own: OwnSettings::defaults(info.settings) }
    }

    /// How its plugs are reached.
    pub fn reached(&self) -> Family {
        let has_web = self.driver.info().http_port.is_some();
        Family {
            udp_port: self.common.udp_port,
            http_port: if has_web { self.common.http_port } else { self.common.udp_port },
            timeout: self.common.timeout.get(),
            own: self.own.clone(),
        }
    }

    /// The section as it is written in a file; secrets are hidden.
    pub(super) fn values(&self) -> Json {
        let Ok(Json::Object(mut section)) = serde_json::to_value(&self.common) else { return Json::Null };
        section.retain(|key, _| has(self.driver.info(), key));
        for (key, value) in self.own.iter() {
            let shown = match value {
                OwnValue::Switch(on) => Json::Bool(*on),
                OwnValue::Text(text) => text.clone().into(),
                OwnValue::Secret(_) => HIDDEN.into(),
            };
            put(&mut section, key, shown);
        }
        Json::Object(section)
    }
}

/// Whether the plugs of a family know what this setting is about.
fn has(info: &FamilyInfo, key: &str) -> bool {
    match key {
        "http_port" => info.http_port.is_some(),
        "slow_poll_interval" => info.slow_poll_interval.is_some(),
        "set_clock" => info.set_clock.is_some(),
        _ => true,
    }
}

/// The names of the settings of a family, in the order in which they are shown.
pub(super) fn order(info: &FamilyInfo, common: &[&str]) -> Vec<String> {
    let common = common.iter().filter(|key| has(info, key)).map(ToString::to_string);
    let (direct, inside): (Vec<_>, Vec<_>) = own_keys(info).partition(|key| section_of(key).is_none());
    let mut sections: Vec<String> = Vec::new();
    for (section, _) in inside.iter().filter_map(|key| section_of(key)) {
        if !sections.iter().any(|known| known == section) {
            sections.push(section.into());
        }
    }
    // Sections stand behind everything else, as TOML wants it.
    common.chain(direct).chain(sections).collect()
}

/// The same for a section inside that of the family.
pub(super) fn inner_order(info: &FamilyInfo, section: &str) -> Vec<String> {
    let inner = own_keys(info).filter_map(|key| {
        let (own, inner) = section_of(&key)?;
        (own == section).then(|| inner.to_owned())
    });
    inner.collect()
}

/// The keys of the settings that only this family has.
fn own_keys(info: &FamilyInfo) -> impl Iterator<Item = String> {
    info.settings.iter().flat_map(|setting| own_schemas(setting).into_iter().map(|(key, _)| key))
}

/// The section in which a setting stands, and its key there, where it stands in one.
fn section_of(key: &str) -> Option<(&str, &str)> {
    key.split_once('.')
}

/// Puts a value in its place.
fn put(tree: &mut Map<String, Json>, key: &str, value: Json) {
    let Some((section, inner)) = section_of(key) else {
        tree.insert(key.into(), value);
        return;
    };
    if let Json::Object(section) = tree.entry(section).or_insert_with(|| json!({})) {
        section.insert(inner.into(), value);
    }
}

/// Puts a schema in its place.
fn put_schema(properties: &mut Map<String, Json>, key: &str, schema: Json) {
    let Some((name, inner)) = section_of(key) else {
        properties.insert(key.into(), schema);
        return;
    };
    let section = properties.entry(name).or_insert_with(|| {
        json!({
            "type": "object",
            "description": format!("Settings of {name}."),
            "properties": {},
            "additionalProperties": false,
        })
    });
    if let Some(properties) = section.get_mut("properties").and_then(Json::as_object_mut) {
        properties.insert(inner.into(), schema);
    }
}

/// The JSON schema of the section of a family; `common` is that of [`FamilySection`].
pub(super) fn schema(driver: &'static dyn Driver, common: &Json) -> Json {
    let (info, defaults) = (driver.info(), FamilySettings::new(driver).values());
    let mut properties = Map::new();
    for (key, inner) in common.get("properties").and_then(Json::as_object).into_iter().flatten() {
        if !has(info, key) {
            continue;
        }
        let mut inner = inner.clone();
        if let (Some(inner), Some(default)) = (inner.as_object_mut(), defaults.get(key)) {
            inner.insert("default".into(), default.clone());
            if key == "hosts" && info.http_port.is_none() {
                inner.insert("x-allowed".into(), "list of addresses or names".into());
            }
        }
        properties.insert(key.clone(), inner);
    }
    for (key, schema) in info.settings.iter().flat_map(own_schemas) {
        put_schema(&mut properties, &key, schema);
    }
    let about = match info.rating_w {
        Some(rating) => format!("{} Rated power: {rating} W.", info.about),
        None => info.about.to_owned(),
    };
    json!({
        "type": "object",
        "description": about,
        "properties": properties,
        "additionalProperties": false,
        "default": defaults,
    })
}

/// The schema of a setting that only one family has; a secret may stand in a file instead.
fn own_schemas(setting: &Setting) -> Vec<(String, Json)> {
    let text = |allowed: &str| json!({ "type": ["string", "null"], "default": null, "description": setting.doc, "x-allowed": allowed });
    let key = setting.key.to_owned();
    match setting.kind {
        SettingKind::Switch(on) => {
            vec![(key, json!({ "type": "boolean", "default": on, "description": setting.doc }))]
        }
        SettingKind::Text { allowed, .. } => vec![(key, text(allowed))],
        SettingKind::Secret { allowed, .. } => {
            let mut secret = text(allowed);
            if let Some(secret) = secret.as_object_mut() {
                secret.insert("x-secret".into(), true.into());
            }
            let file = json!({
                "type": ["string", "null"],
                "default": null,
                "description": format!("File that contains `{}`.", section_of(&key).map_or(&*key, |(_, inner)| inner)),
                "x-allowed": "path",
            });
            vec![(key.clone(), secret), (format!("{key}_file"), file)]
        }
    }
}

/// The settings of a family out of its section: what every family has stays behind.
pub(super) fn take_own(info: &FamilyInfo, section: &mut Map<String, Json>) -> Map<String, Json> {
    let mut own = Map::new();
    for key in own_keys(info) {
        let value = match section_of(&key) {
            None => section.remove(&key),
            Some((name, inner)) => section.get_mut(name).and_then(|tree| tree.as_object_mut()?.remove(inner)),
        };
        own.extend(value.map(|value| (key, value)));
    }
    section.retain(|name, _| !own_keys(info).any(|key| section_of(&key).is_some_and(|(own, _)| own == name)));
    own
}
