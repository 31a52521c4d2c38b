//! What a plug says of itself and its relays: `System.All`, and the same relays in answers and pushes.

use super::crypt;
use super::lenient::{count, each, switch, text, whole};
use crate::model::{DeviceInfo, Mac, Name};
use serde_json::Value;

/// A relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relay {
    /// Its channel. On strips 0 stands for all.
    pub channel: u64,
    /// Whether it is on.
    pub on: bool,
    /// When it last changed by the plug's clock.
    pub changed: Option<u64>,
}

/// The plug's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Time {
    /// Seconds since 1970 UTC; since its start where nobody has told it the time.
    pub timestamp: u64,
    /// Its zone; empty when it has none.
    pub zone: String,
    /// From when which offset from UTC holds, both in seconds, and whether it is summer time.
    pub rules: Vec<(i64, i64, bool)>,
}

/// Everything `System.All` tells.
#[derive(Debug, Clone, PartialEq)]
pub struct All {
    /// Who it is.
    pub uuid: Option<String>,
    /// What it is.
    pub info: DeviceInfo,
    /// Its clock.
    pub time: Time,
    /// Its relays, by channel.
    pub relays: Vec<Relay>,
    /// Whether it says `Toggle`, the dialect of hardware 1.
    pub is_old: bool,
    /// The ids of its timers with their revisions.
    pub timers: Vec<(String, u64)>,
}

/// Relays as answers and pushes of `Toggle` and `ToggleX` tell them, in `digest` and `control` too.
pub fn relays(payload: &Value) -> Vec<Relay> {
    let mut relays: Vec<Relay> = each(payload.get("togglex").or_else(|| payload.get("toggle")))
        .filter_map(|one| {
            let channel = one.get("channel").map_or(Some(0), count)?;
            let changed = one.get("lmTime").and_then(count);
            Some(Relay { channel, on: switch(one.get("onoff")?)?, changed })
        })
        .collect();
    // Of two that speak of one channel the last counts.
    relays.reverse();
    relays.sort_by_key(|relay| relay.channel);
    relays.dedup_by_key(|relay| relay.channel);
    relays
}

/// Reads the clock of `System.Time` and `System.All`.
pub fn time(value: Option<&Value>) -> Time {
    let Some(value) = value else { return Time::default() };
    let rule = |rule: &Value| {
        let summer = rule.get(2).and_then(switch).unwrap_or(false);
        Some((whole(rule.get(0)?)?, whole(rule.get(1)?)?, summer))
    };
    let rules = value.get("timeRule").and_then(Value::as_array).into_iter().flatten();
    Time {
        timestamp: value.get("timestamp").and_then(count).unwrap_or(0),
        zone: text(value, "timezone").unwrap_or_default().to_owned(),
        rules: rules.take(super::lenient::MOST).filter_map(rule).collect(),
    }
}

impl All {
    /// Reads the payload of `System.All`; `None` where there is no such thing.
    pub fn read(payload: &Value) -> Option<Self> {
        let all = payload.get("all")?;
        let system = all.get("system").filter(|system| system.is_object())?;
        let (hardware, firmware) = (system.get("hardware")?, system.get("firmware"));
        let word = |object: &Value, key: &str| text(object, key).and_then(Name::clean).map(String::from);
        let uuid = text(hardware, "uuid").map(str::to_ascii_lowercase);
        let mac = text(hardware, "macAddress").and_then(Mac::parse);
        let name = word(hardware, "type").unwrap_or_default();
        let info = DeviceInfo {
            manufacturer: if name.starts_with("em") { "Refoss" } else { "Meross" }.into(),
            model: name.to_ascii_uppercase(),
            model_id: Some(name).filter(|name| !name.is_empty()),
            mac: mac.or_else(|| crypt::mac(uuid.as_deref()?)),
            firmware: firmware.and_then(|firmware| word(firmware, "version")),
            hardware: word(hardware, "version"),
            server: firmware.and_then(|firmware| word(firmware, "server")),
            ..DeviceInfo::default()
        };
        let old = all.get("control").filter(|control| control.get("toggle").is_some());
        let state = old.or_else(|| all.get("digest"));
        let timer = |one: &Value| Some((text(one, "id")?.to_owned(), one.get("count").and_then(count)?));
        let timers = each(state.and_then(|state| state.get("timerx"))).filter_map(timer).collect();
        let relays = state.map(relays).unwrap_or_default();
        Some(Self { uuid, info, time: time(system.get("time")), relays, is_old: old.is_some(), timers })
    }

    /// Whether channel 0 stands for all others. Its own state is that of the last command to it, so it is not believed.
    pub fn has_master(&self) -> bool {
        self.relays.len() > 1 && self.relays.first().is_some_and(|relay| relay.channel == 0)
    }
}
