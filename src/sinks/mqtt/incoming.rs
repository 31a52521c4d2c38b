//! What comes in, understood: a topic and a payload become an order, or a refusal that says the
//! remedy. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::errands::{self, ErrandJson};
use crate::model::{
    CommandError, Energy, Errand, LogLevel, MAX_KWH, Name, OptionsChange, Order, PlugId, PortOptions,
    PowerUnit, Request, SwitchOrder, Wish, amount,
};
use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Longer commands and requests are refused unread.
const MAX_PAYLOAD: usize = 4096;

/// The longest a timed command may hold.
const MAX_HOLD_S: u64 = 7 * 86_400;

/// The longest mark of a sender that is given back.
const MAX_MARK: usize = 128;

/// What came in on one of the topics subscribed to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Incoming {
    /// For the hub.
    Order(Order),
    /// For the link itself.
    Own(Own),
    /// A command that is refused: its result, and a sentence.
    Bad(PlugId, Option<String>, CommandError, String),
    /// A request that is refused: verb, transaction, remedy.
    BadRequest(String, Option<String>, String),
    /// A command to something that cannot be the id of a plug, as in the topic, with the sender's mark.
    Nobody(String, Option<String>),
    /// The same for what has no result.
    NobodyToGet(String),
}

/// Requests the link answers itself; each with the transaction mark.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Own {
    Republish(Option<String>),
    Cleanup { dry_run: bool, transaction: Option<String> },
    HealthCheck(Option<String>),
    Restart(Option<String>),
}

/// Which requests are obeyed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allow {
    /// Those that change things.
    pub(super) admin: bool,
    /// Raw commands.
    pub(super) raw: bool,
}

/// Which of our topics this is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Topic<'a> {
    Request(&'a str),
    Set(&'a str, Option<&'a str>),
    Get(&'a str),
}

/// Takes a topic apart; `None` when it is not one the bridge obeys.
pub(super) fn topic<'a>(base: &str, topic: &'a str) -> Option<Topic<'a>> {
    let rest = topic.strip_prefix(base)?.strip_prefix('/')?;
    let mut levels = rest.split('/');
    match (levels.next()?, levels.next(), levels.next(), levels.next()) {
        ("bridge", Some("request"), Some(verb), None) => Some(Topic::Request(verb)),
        // Nobody can be called so.
        ("bridge" | "", ..) => None,
        (device, Some("set"), None, None) => Some(Topic::Set(device, None)),
        (device, Some("get"), None, None) => Some(Topic::Get(device)),
        (device, Some(port), Some("set"), None) => Some(Topic::Set(device, Some(port))),
        _ => None,
    }
}

/// Understands a message on one of our topics.
pub(super) fn incoming(topic: &Topic<'_>, payload: &[u8], allow: Allow) -> Incoming {
    match *topic {
        Topic::Request(verb) => request(verb, payload, allow),
        Topic::Get(device) => match PlugId::new(device) {
            Some(id) => Incoming::Order(Order::Refresh(id)),
            None => Incoming::NobodyToGet(device.into()),
        },
        Topic::Set(device, port) => {
            let Some(plug) = PlugId::new(device) else {
                return Incoming::Nobody(device.into(), mark_in(payload));
            };
            match command(&plug, port, payload) {
                Ok(order) => Incoming::Order(Order::Switch(order)),
                Err((mark, error, why)) => Incoming::Bad(plug, mark, error, why),
            }
        }
    }
}

/// JSON form of a command.
#[derive(Debug, Deserialize)]
struct CommandJson {
    state: Option<Json>,
    ports: Option<BTreeMap<String, Json>>,
    id: Option<Json>,
    ttl_ms: Option<u64>,
    #[serde(default, deserialize_with = "seconds")]
    for_s: Option<u64>,
    stagger_ms: Option<u64>,
}

/// The keys of a command.
const COMMAND: [&str; 6] = ["state", "ports", "ttl_ms", "for_s", "stagger_ms", "id"];

type Refusal = (Option<String>, CommandError, String);

fn command(plug: &PlugId, port: Option<&str>, payload: &[u8]) -> Result<SwitchOrder, Refusal> {
    let bad = |why: &str| (None, CommandError::BadPayload, why.to_owned());
    if payload.len() > MAX_PAYLOAD {
        return Err(bad("a command has at most 4096 bytes"));
    }
    let port = match port.map(str::parse::<u8>) {
        None => SwitchOrder::WHOLE,
        Some(Ok(port)) if port != SwitchOrder::WHOLE => port,
        Some(_) => return Err((None, CommandError::UnknownPort, "a port is a number".into())),
    };
    let text = std::str::from_utf8(payload).map_err(|_| bad("a command is UTF-8 text"))?.trim();
    let plain = |wish| SwitchOrder {
        plug: plug.clone(),
        ports: BTreeMap::from([(port, wish)]),
        id: None,
        ttl: None,
        hold: None,
        stagger: Duration::ZERO,
    };
    let quoted = serde_json::from_str::<String>(text).ok();
    if let Some(wish) = wish(quoted.as_deref().map_or(text, str::trim)) {
        return Ok(plain(wish));
    }
    if !text.starts_with('{') {
        return Err(bad("a command is ON, OFF, TOGGLE or a JSON object with \"state\""));
    }
    let json: CommandJson = own_keys("a command", &COMMAND, "id", text)
        .and_then(|()| read(text, "command", "id"))
        .map_err(|(id, why)| (id.as_ref().map(mark), CommandError::BadPayload, why))?;
    let long =
        |id: &Json| id.as_str().map_or_else(|| id.to_string(), Into::into).chars().nth(MAX_MARK).is_some();
    if json.id.as_ref().is_some_and(long) {
        let why = format!("an id has at most {MAX_MARK} characters");
        return Err((json.id.as_ref().map(mark), CommandError::BadPayload, why));
    }
    let mark = json.id.as_ref().map(mark);
    from_json(plain(Wish::Off), port, json).map_err(|why| (mark, CommandError::BadPayload, why))
}

/// Reads JSON. An error names the key; beside it stands what is under `mark`, as far as that can be
/// read, so that the sender finds its own in the answer.
fn read<T: DeserializeOwned>(text: &str, what: &str, mark: &str) -> Result<T, (Option<Json>, String)> {
    let mut json = serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| error.to_string());
    let read = read.and_then(|read| json.end().map(|()| read).map_err(|error| error.to_string()));
    read.map_err(|why| {
        let json = serde_json::from_str::<Json>(text).ok();
        (json.and_then(|json| json.get(mark).cloned()), format!("not a {what}: {why}"))
    })
}

fn from_json(mut order: SwitchOrder, port: u8, json: CommandJson) -> Result<SwitchOrder, String> {
    order.id = json.id.as_ref().map(mark);
    order.ports = match (json.state, json.ports) {
        (Some(state), None) => BTreeMap::from([(port, wish_json(&state)?)]),
        (None, Some(ports)) if port == SwitchOrder::WHOLE => {
            let one = |(port, state): (String, Json)| {
                let number = port.parse::<u8>().ok().filter(|number| *number != SwitchOrder::WHOLE);
                let port = number.ok_or_else(|| format!("{port:?} is not a port"))?;
                Ok((port, wish_json(&state)?))
            };
            ports.into_iter().map(one).collect::<Result<_, String>>()?
        }
        _ => return Err("give either \"state\", or \"ports\" on the topic of the whole plug".into()),
    };
    if order.ports.is_empty() || order.ports.len() > 17 {
        return Err("give 1 to 16 ports".into());
    }
    order.ttl = json.ttl_ms.map(Duration::from_millis);
    order.hold = match json.for_s {
        Some(s) if !(1..=MAX_HOLD_S).contains(&s) => return Err("for_s must be 1 to 604800".into()),
        seconds => seconds.map(Duration::from_secs),
    };
    order.stagger = match json.stagger_ms {
        Some(ms) if ms > 60_000 => return Err("stagger_ms must be 0 to 60000".into()),
        ms => Duration::from_millis(ms.unwrap_or_default()),
    };
    Ok(order)
}

fn wish(text: &str) -> Option<Wish> {
    let any = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text));
    match () {
        () if any(&["on", "true", "1"]) => Some(Wish::On),
        () if any(&["off", "false", "0"]) => Some(Wish::Off),
        () if any(&["toggle"]) => Some(Wish::Toggle),
        () => None,
    }
}

fn wish_json(state: &Json) -> Result<Wish, String> {
    let text = match state {
        Json::String(text) => text.trim().to_owned(),
        Json::Bool(_) | Json::Number(_) => state.to_string(),
        Json::Null | Json::Array(_) | Json::Object(_) => String::new(),
    };
    wish(&text).ok_or_else(|| "a state is ON, OFF or TOGGLE".into())
}

/// A sender's mark, as JSON text; of one that is too long only the beginning, for the refusal.
fn mark(json: &Json) -> String {
    let begin = |text: &str| text.chars().take(MAX_MARK).collect::<String>();
    json.as_str().map_or_else(|| begin(&json.to_string()), |text| Json::from(begin(text)).to_string())
}

/// The mark in a command that is not looked at any further.
fn mark_in(payload: &[u8]) -> Option<String> {
    let json: Json = serde_json::from_str(text_of(payload).ok()?).ok()?;
    json.get("id").map(mark)
}

/// JSON forms of all requests; a plain word is `value`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestJson {
    transaction: Option<Json>,
    value: Option<Json>,
    level: Option<String>,
    #[serde(default, deserialize_with = "seconds")]
    time: Option<u64>,
    #[serde(default, deserialize_with = "seconds")]
    seconds: Option<u64>,
    id: Option<String>,
    by: Option<String>,
    port: Option<u8>,
    #[serde(default, deserialize_with = "amount_of")]
    kwh: Option<f64>,
    name: Option<String>,
    #[serde(default)]
    block: bool,
    #[serde(default)]
    device_too: bool,
    #[serde(default)]
    dry_run: bool,
    options: Option<OptionsJson>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct OptionsJson {
    #[serde(default, deserialize_with = "given")]
    poll_interval: Option<Option<String>>,
    #[serde(default, deserialize_with = "given")]
    power_change: Option<Option<f64>>,
    #[serde(default, deserialize_with = "given")]
    current_change: Option<Option<f64>>,
    #[serde(default, deserialize_with = "given")]
    power_unit: Option<Option<PowerUnit>>,
    #[serde(default, deserialize_with = "given")]
    read_only: Option<Option<bool>>,
    #[serde(default)]
    port: BTreeMap<u8, PortOptions>,
}

/// The verbs of requests to the bridge itself, each with its keys.
const VERBS: [(&str, &[&str]); 14] = [
    ("scan", &["seconds"]),
    ("adopt", &["value", "time"]),
    ("device_remove", &["id", "block"]),
    ("device_rename", &["id", "name", "device_too"]),
    ("port_rename", &["id", "port", "name", "device_too"]),
    ("device_options", &["id", "options"]),
    ("device_replace", &["id", "by"]),
    ("energy_set", &["id", "port", "kwh"]),
    ("overload_reset", &["id", "port"]),
    ("republish", &[]),
    ("cleanup", &["dry_run"]),
    ("log_level", &["level", "value"]),
    ("health_check", &[]),
    ("restart", &[]),
];

/// A command and each verb takes its own keys and the sender's `mark`; another key is misspelt, or meant
/// for another verb, and what was meant by it would not be done.
fn own_keys(what: &str, keys: &[&str], mark: &str, text: &str) -> Result<(), (Option<Json>, String)> {
    // What is no object, or none that can be read, is refused by who reads it in earnest.
    let Ok(json) = serde_json::from_str::<serde_json::Map<String, Json>>(text) else { return Ok(()) };
    let Some(foreign) = json.keys().find(|key| *key != mark && !keys.contains(&key.as_str())) else {
        return Ok(());
    };
    let foreign: String = foreign.chars().take(MAX_MARK).collect();
    let own: Vec<&str> = keys.iter().copied().filter(|key| *key != mark).collect();
    let own = match own.as_slice() {
        [] => format!("none but {mark:?}"),
        own => format!("{} and {mark}", own.join(", ")),
    };
    Err((json.get(mark).cloned(), format!("{what} has no key {foreign:?}; its keys are {own}")))
}

fn request(verb: &str, payload: &[u8], allow: Allow) -> Incoming {
    // Only verbs that exist are echoed into a topic.
    let mut all = VERBS.iter().chain(&errands::VERBS);
    let Some((verb, keys)) = all.find(|(known, _)| *known == verb).copied() else {
        let all: Vec<&str> = VERBS.iter().chain(&errands::VERBS).map(|(verb, _)| *verb).collect();
        let why = format!("unknown request; there are {}", all.join(", "));
        return Incoming::BadRequest("unknown".into(), None, why);
    };
    let text = text_of(payload).unwrap_or_default();
    if let Err((sender, why)) = own_keys(verb, keys, "transaction", text) {
        return Incoming::BadRequest(verb.into(), sender.as_ref().map(mark), why);
    }
    if errands::VERBS.iter().any(|(errand, _)| *errand == verb) {
        return errand(verb, payload, allow);
    }
    let json = match parse_request(payload) {
        Ok(json) => json,
        Err((sender, why)) => return Incoming::BadRequest(verb.into(), sender.as_ref().map(mark), why),
    };
    let transaction = json.transaction.as_ref().map(mark);
    if !allow.admin && !["scan", "republish", "health_check"].contains(&verb) {
        return Incoming::BadRequest(verb.into(), transaction, no_admin(verb));
    }
    let built = match verb {
        "republish" => return Incoming::Own(Own::Republish(transaction)),
        "cleanup" => return Incoming::Own(Own::Cleanup { dry_run: json.dry_run, transaction }),
        "health_check" => return Incoming::Own(Own::HealthCheck(transaction)),
        "restart" => return Incoming::Own(Own::Restart(transaction)),
        _ => build_request(verb, json),
    };
    match built {
        Ok(request) => Incoming::Order(Order::Request(request, transaction)),
        Err(why) => Incoming::BadRequest(verb.into(), transaction, why),
    }
}

fn no_admin(verb: &str) -> String {
    format!("{verb} is switched off by mqtt.allow_admin = false")
}

/// A request for one plug.
fn errand(verb: &str, payload: &[u8], allow: Allow) -> Incoming {
    let parsed = text_of(payload).map_err(|why| (None, why));
    let json: ErrandJson = match parsed.and_then(|text| read(text, "request", "transaction")) {
        Ok(json) => json,
        Err((sender, why)) => return Incoming::BadRequest(verb.into(), sender.as_ref().map(mark), why),
    };
    let transaction = json.transaction.as_ref().map(mark);
    let built = json.build(verb).and_then(|(id, errand)| {
        if matches!(errand, Errand::Call { .. }) && !allow.raw {
            return Err(
                "call sends any command of a plug's protocol; a wrong one can reset a plug or take it off \
                        the network. mqtt.allow_raw = true switches it on"
                    .into(),
            );
        }
        if errand.changes() && !allow.admin { Err(no_admin(verb)) } else { Ok((id, errand)) }
    });
    match built {
        Ok((id, errand)) => Incoming::Order(Order::Request(Request::Errand(id, errand), transaction)),
        Err(why) => Incoming::BadRequest(verb.into(), transaction, why),
    }
}

fn text_of(payload: &[u8]) -> Result<&str, String> {
    if payload.len() > MAX_PAYLOAD {
        return Err("a request has at most 4096 bytes".into());
    }
    Ok(std::str::from_utf8(payload).map_err(|_| "a request is UTF-8 text")?.trim())
}

fn parse_request(payload: &[u8]) -> Result<RequestJson, (Option<Json>, String)> {
    let text = text_of(payload).map_err(|why| (None, why))?;
    if text.starts_with('{') {
        return read(text, "request", "transaction");
    }
    let word = serde_json::from_str(text).unwrap_or_else(|_| text.to_owned());
    let value = Some(word).filter(|word| !word.is_empty()).map(Json::String);
    Ok(RequestJson { value, ..RequestJson::default() })
}

fn build_request(verb: &str, json: RequestJson) -> Result<Request, String> {
    let plug = |key: &str, text: Option<&str>| {
        let text = text.ok_or_else(|| format!("give \"{key}\""))?;
        PlugId::new(text)
            .ok_or_else(|| format!("{text:?} is not the id of a plug; bridge/devices lists them"))
    };
    let id = || plug("id", json.id.as_deref());
    let name = || match json.name.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => Name::clean(text).map(Some).ok_or("a name needs at least one visible character"),
    };
    if json.device_too && ["device_rename", "port_rename"].contains(&verb) {
        let name = name()?.ok_or("device_too needs a \"name\": a plug's own name cannot be taken away")?;
        let port = if verb == "device_rename" { 0 } else { json.port.ok_or("give \"port\"")? };
        return Ok(Request::Errand(id()?, Errand::Rename { port, name }));
    }
    match verb {
        "scan" => match json.seconds.unwrap_or(5) {
            seconds @ 1..=60 => Ok(Request::Scan(Duration::from_secs(seconds))),
            _ => Err("seconds must be 1 to 60".into()),
        },
        "adopt" => {
            let value = json.value.as_ref().ok_or("give ON, OFF or {\"value\":true}")?;
            let time = match json.time {
                Some(0) | Some(86_401..) => return Err("time must be 1 to 86400 seconds".into()),
                time => time.map(Duration::from_secs),
            };
            match wish_json(value).map_err(|_| "value must be ON or OFF")? {
                Wish::On => Ok(Request::Adopt(true, time)),
                Wish::Off => Ok(Request::Adopt(false, None)),
                Wish::Toggle => Err("value must be ON or OFF".into()),
            }
        }
        "device_remove" => Ok(Request::DeviceRemove { id: id()?, block: json.block }),
        "device_rename" => Ok(Request::DeviceRename { id: id()?, name: name()? }),
        "port_rename" => {
            Ok(Request::PortRename { id: id()?, port: json.port.ok_or("give \"port\"")?, name: name()? })
        }
        "device_replace" => Ok(Request::DeviceReplace { id: id()?, by: plug("by", json.by.as_deref())? }),
        "overload_reset" => Ok(Request::OverloadReset { id: id()?, port: json.port }),
        "energy_set" => {
            let energy = Energy::from_kwh(json.kwh.ok_or("give \"kwh\"")?);
            let energy = energy.ok_or_else(|| format!("kwh must be 0 to {MAX_KWH}"))?;
            Ok(Request::EnergySet { id: id()?, port: json.port.ok_or("give \"port\"")?, energy })
        }
        "device_options" => {
            let options = json.options.as_ref().ok_or("give \"options\"")?;
            Ok(Request::DeviceOptions { id: id()?, options: Box::new(build_options(options)?) })
        }
        _ => {
            let word =
                json.level.as_deref().or(json.value.as_ref().and_then(Json::as_str)).unwrap_or_default();
            let level = LogLevel::parse(word).ok_or("level must be error, warn, info, debug or trace")?;
            Ok(Request::LogLevel(level))
        }
    }
}

/// Seconds: a number, also as text, or a time as `20m`.
fn seconds<'de, D: Deserializer<'de>>(json: D) -> Result<Option<u64>, D::Error> {
    let json = Json::deserialize(json)?;
    let word = |word: &str| {
        let time = || humantime::parse_duration(word).ok().filter(|time| time.subsec_nanos() == 0);
        word.parse().ok().or_else(|| time().map(|time| time.as_secs()))
    };
    match json.as_u64().or_else(|| json.as_str().map(str::trim).and_then(word)) {
        None if json.is_null() => Ok(None),
        None => Err(de::Error::custom(format!("{json} is no time; write seconds, or a time as \"20m\""))),
        seconds => Ok(seconds),
    }
}

/// A number, also as text as people write it.
fn amount_of<'de, D: Deserializer<'de>>(json: D) -> Result<Option<f64>, D::Error> {
    let json = Json::deserialize(json)?;
    match (&json, json.as_str()) {
        (Json::Null, _) => Ok(None),
        (_, Some(text)) => amount(text).map(Some).map_err(de::Error::custom),
        _ => json.as_f64().map(Some).ok_or_else(|| de::Error::custom(format!("{json} is no number"))),
    }
}

/// A key that is there, be it with `null`, is something else than none.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(json: D) -> Result<Option<T>, D::Error> {
    T::deserialize(json).map(Some)
}

fn build_options(json: &OptionsJson) -> Result<OptionsChange, String> {
    let poll = |text: &String| {
        let time = humantime::parse_duration(text).map_err(|error| format!("poll_interval: {error}"))?;
        u64::try_from(time.as_millis()).map_err(|_| "poll_interval must be 200ms to 1h".to_owned())
    };
    let poll_interval_ms = json.poll_interval.as_ref().map(|text| text.as_ref().map(poll).transpose());
    Ok(OptionsChange {
        poll_interval_ms: poll_interval_ms.transpose()?,
        power_change: json.power_change,
        current_change: json.current_change,
        power_unit: json.power_unit,
        read_only: json.read_only,
        port: json.port.clone(),
    })
}

#[cfg(test)]
mod tests;
