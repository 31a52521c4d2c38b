//! Requests to one plug, understood: the words are those of the command line. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::model::{
    Currency, Days, Errand, LeaderWish, PlugId, PresenceSimulationWish, Price, RuleContent, RuleWish, Span,
    amount, date, minute,
};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// The verbs of these requests, each with its keys.
pub(super) const VERBS: [(&str, &[&str]); 8] = [
    ("clock", &["id", "set"]),
    ("countdown", &["id", "port", "minutes"]),
    ("schedule", &["id", "add", "change", "delete"]),
    ("history", &["id", "span", "port"]),
    ("price", &["id", "price", "currency"]),
    ("leader", &["id", "leader", "followers", "limit_w"]),
    ("presence_simulation", &["id", "enabled", "days", "from", "to", "ports"]),
    ("call", &["id", "command", "arguments"]),
];

/// JSON forms of all requests to one plug.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ErrandJson {
    pub(super) transaction: Option<Json>,
    id: Option<String>,
    port: Option<u8>,
    #[serde(default)]
    set: bool,
    minutes: Option<Json>,
    add: Option<RuleJson>,
    change: Option<RuleJson>,
    delete: Option<i64>,
    span: Option<String>,
    price: Option<Json>,
    currency: Option<String>,
    leader: Option<Json>,
    #[serde(default)]
    followers: Vec<u8>,
    limit_w: Option<u16>,
    enabled: Option<bool>,
    days: Option<String>,
    from: Option<String>,
    to: Option<String>,
    #[serde(default)]
    ports: Vec<u8>,
    command: Option<u16>,
    arguments: Option<Map<String, Json>>,
}

/// JSON form of a rule.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleJson {
    id: Option<i64>,
    #[serde(default)]
    on: Vec<u8>,
    #[serde(default)]
    off: Vec<u8>,
    at: Option<String>,
    days: Option<String>,
    date: Option<String>,
    enabled: Option<bool>,
}

impl ErrandJson {
    /// The plug and what is wanted of it.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with the remedy.
    pub(super) fn build(self, verb: &str) -> Result<(PlugId, Errand), String> {
        let id = self.id.as_deref().ok_or("give \"id\", as in bridge/devices")?;
        let id = PlugId::new(id)
            .ok_or_else(|| format!("{id:?} is not the id of a plug; bridge/devices lists them"))?;
        let errand = match verb {
            "clock" => Errand::Clock { set: self.set },
            "countdown" => Errand::Countdown {
                port: self.port,
                minutes: self.minutes.as_ref().map(minutes).transpose()?,
            },
            "schedule" => Errand::Schedule(self.rule_wish()?),
            "history" => Errand::History { span: self.span()?, port: self.port, meaning: None },
            "price" => Errand::Price(self.price()?),
            "leader" => {
                let leader = self.leader.as_ref().map(leader).transpose()?;
                let wish = LeaderWish { leader, followers: self.followers, limit_w: self.limit_w };
                Errand::Leader(Some(wish).filter(|wish| *wish != LeaderWish::default()))
            }
            "presence_simulation" => {
                let wish = PresenceSimulationWish {
                    enabled: self.enabled,
                    days: self.days.as_deref().map(days).transpose()?,
                    from: self.from.as_deref().map(time_of_day).transpose()?,
                    to: self.to.as_deref().map(time_of_day).transpose()?,
                    ports: self.ports,
                };
                Errand::PresenceSimulation(
                    Some(wish).filter(|wish| *wish != PresenceSimulationWish::default()),
                )
            }
            _ => {
                let arguments = self.arguments.map(|arguments| Json::Object(arguments).to_string());
                Errand::Call { command: self.command.ok_or("give \"command\", its number")?, arguments }
            }
        };
        Ok((id, errand))
    }

    fn rule_wish(&self) -> Result<Option<RuleWish>, String> {
        match (&self.add, &self.change, self.delete) {
            (None, None, None) => Ok(None),
            (Some(rule), None, None) => Ok(Some(RuleWish::Add(rule.content()?))),
            (None, Some(rule), None) => {
                let id = rule.id.ok_or("give the \"id\" of the rule to change")?;
                Ok(Some(RuleWish::Change(id, rule.content()?)))
            }
            (None, None, Some(id)) => Ok(Some(RuleWish::Delete(id))),
            _ => Err("give one of \"add\", \"change\" and \"delete\"".into()),
        }
    }

    fn span(&self) -> Result<Span, String> {
        match self.span.as_deref().unwrap_or("hours") {
            "hours" => Ok(Span::Hours),
            "days" => Ok(Span::Days),
            "months" => Ok(Span::Months),
            _ => Err("span is hours, days or months".into()),
        }
    }

    fn price(&self) -> Result<Option<Price>, String> {
        match (&self.price, self.currency.as_deref()) {
            (None, None) => Ok(None),
            (Some(cost), Some(code)) => {
                let currency = Currency::of_code(code).ok_or("plugs know EUR, USD, JPY and CHF")?;
                Ok(Some(Price { cost: cost_of(cost)?, currency }))
            }
            _ => Err("give \"price\" and \"currency\"".into()),
        }
    }
}

impl RuleJson {
    fn content(&self) -> Result<RuleContent, String> {
        if self.days.is_some() && self.date.is_some() {
            return Err("a rule comes on days or on one date, not both".into());
        }
        Ok(RuleContent {
            on: self.on.clone(),
            off: self.off.clone(),
            at: self.at.as_deref().map(time_of_day).transpose()?,
            days: self.days.as_deref().map(days).transpose()?,
            date: self.date.as_deref().map(date).transpose()?,
            enabled: self.enabled,
        })
    }
}

/// A number, also as text as people write it.
fn cost_of(json: &Json) -> Result<f64, String> {
    match json {
        Json::Number(number) => number.as_f64().ok_or_else(|| format!("{number} is no price")),
        Json::String(text) => amount(text),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => {
            Err(format!("{json} is no price; write 0.31"))
        }
    }
}

fn days(text: &str) -> Result<Days, String> {
    text.parse()
}

fn time_of_day(text: &str) -> Result<u16, String> {
    minute(text).ok_or_else(|| "a time of day looks like 22:10".into())
}

/// A number, also as text, a time as `20m`, or `cancel`.
fn minutes(json: &Json) -> Result<u32, String> {
    let word = json.as_str().map(str::trim);
    let time = |word: &str| humantime::parse_duration(word).ok().map(|time| time.as_secs());
    let minutes = match word {
        Some("cancel" | "off") => Some(0),
        Some(word) => word.parse().ok().or_else(|| time(word).filter(|s| s % 60 == 0).map(|s| s / 60)),
        None => json.as_u64(),
    };
    let minutes = minutes.and_then(|minutes| u32::try_from(minutes).ok());
    minutes.ok_or_else(|| "give whole minutes, as 20 or \"20m\", at most 1440, or cancel".into())
}

/// The number of a port, also as text, or `none`.
fn leader(json: &Json) -> Result<Option<u8>, String> {
    let word = json.as_str().map(str::trim);
    let number = json.as_u64().and_then(|port| u8::try_from(port).ok());
    match number.or(word.and_then(|word| word.parse().ok())) {
        Some(port) => Ok(Some(port)),
        None if word == Some("none") => Ok(None),
        None => Err("leader is the number of a port, or none".into()),
    }
}
