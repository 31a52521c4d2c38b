//! Topics and payloads, pure: a picture in, texts out; a topic and a payload in, an order out.

use crate::entity::{Entity, Kind, Value, entities, value};
use crate::model::{
    BridgeView, CommandError, CommandResult, Event, LogLevel, Name, Note, Options, Order, PlugId, PlugView,
    PortOptions, Request, Response, ResponseData, SwitchOrder, View, Wish, iso,
};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Longer commands and requests are refused unread.
const MAX_PAYLOAD: usize = 4096;

/// The longest a timed command may hold.
const MAX_HOLD_S: u64 = 7 * 86_400;

/// The longest mark of a sender that is given back.
const MAX_MARK: usize = 128;

/// How a topic behaves when nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    /// Published when it changes.
    Fact,
    /// A relay's state: again when a command failed, so that switches spring back.
    State,
    /// A number: again at each heartbeat.
    Number,
}

/// A message that should be retained.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Retained {
    pub(super) topic: String,
    pub(super) payload: String,
    pub(super) nature: Nature,
}

/// Every retained topic of a plug but its snapshot; availability first, then relays, then the rest.
/// A plug that was never read, or was not taken in, has none.
pub(super) fn retained(base: &str, plug: &PlugView) -> Vec<Retained> {
    let mut list = Vec::new();
    if !shown(plug) {
        return list;
    }
    let mut add = |tail: &str, payload: String, nature: Nature| {
        list.push(Retained { topic: format!("{base}/{}/{tail}", plug.id), payload, nature });
    };
    add("availability", if plug.online { "online" } else { "offline" }.into(), Nature::Fact);
    let mut all = entities(plug.offer);
    all.sort_by_key(|entity| entity.kind != Kind::Switch);
    for entity in all {
        let Some(now) = value(plug, entity) else { continue };
        let nature = match now {
            Value::OnOff(_) if entity.kind == Kind::Switch => Nature::State,
            Value::OnOff(_) => Nature::Fact,
            Value::Number(_) | Value::Milliseconds(_) | Value::Time(_) => Nature::Number,
        };
        add(&tail(entity), text(now), nature);
    }
    add("info", info(plug).to_string(), Nature::Fact);
    list
}

/// A plug that has topics of its own.
pub(super) fn shown(plug: &PlugView) -> bool {
    plug.adopted && plug.offer.ports > 0
}

/// The end of an entity's state topic, below the plug's.
pub(super) fn tail(entity: Entity) -> String {
    let word = if entity.kind == Kind::Switch { "state" } else { entity.word() };
    match entity.port {
        Some(port) => format!("{port}/{word}"),
        None => word.into(),
    }
}

fn text(value: Value) -> String {
    match value {
        Value::OnOff(on) => on_off(on).into(),
        Value::Number(number) => plain(number),
        Value::Milliseconds(ms) => ms.to_string(),
        Value::Time(ms) => iso(ms),
    }
}

/// `ON` or `OFF`.
pub(super) fn on_off(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

/// At most three decimals, no exponent, no trailing zeros.
fn plain(number: f64) -> String {
    let text = format!("{number:.3}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

fn number(value: Option<f64>) -> Json {
    value.and_then(|v| serde_json::from_str(&plain(v)).ok()).unwrap_or(Json::Null)
}

/// Topic of a plug's snapshot.
pub(super) fn snapshot_topic(base: &str, id: &PlugId) -> String {
    format!("{base}/{id}/state")
}

/// Everything about a plug in one JSON object, for scripts and Node-RED.
pub(super) fn snapshot(plug: &PlugView) -> Json {
    let ports = (1..).zip(&plug.ports).map(|(n, port): (u8, _)| {
        let port = json!({
            "name": port.name,
            "state": port.relay.map(on_off),
            "power": number(port.watts),
            "current": number(port.amps),
            "since": port.since_ms.map(iso),
            "cause": port.cause.map(|cause| cause.as_str()),
            "locked": port.lock.and_then(|lock| lock.as_str()),
        });
        (n.to_string(), port)
    });
    let mut all = json!({
        "ts": iso(plug.unix_ms),
        "availability": if plug.online { "online" } else { "offline" },
        "power": number(plug.watts),
        "ports": ports.collect::<Map<String, Json>>(),
        "problem": plug.problem,
        "latency_ms": plug.latency_ms,
    });
    if let Some(object) = all.as_object_mut() {
        for (there, key, figure) in
            [(plug.offer.voltage, "voltage", plug.volts), (plug.offer.signal, "signal", plug.signal)]
        {
            if there {
                object.insert(key.into(), number(figure));
            }
        }
    }
    all
}

/// What does not change from poll to poll.
fn info(plug: &PlugView) -> Json {
    let facts = &plug.facts;
    let metering =
        [("power", plug.offer.power), ("current", plug.offer.current), ("voltage", plug.offer.voltage)];
    let metering: Vec<&str> = metering.iter().filter(|(_, there)| *there).map(|(word, _)| *word).collect();
    json!({
        "id": plug.id.as_str(),
        "driver": plug.driver,
        "name": plug.name,
        "manufacturer": facts.manufacturer,
        "model": facts.model,
        "model_id": facts.model_id,
        "serial": facts.serial,
        "mac": facts.mac.map(|mac| mac.to_string()),
        "firmware": facts.firmware,
        "hardware": facts.hardware,
        "ip": plug.ip,
        "ports": plug.offer.ports,
        "metering": metering,
        "control": plug.control,
        "state_source": if plug.relays_remembered { "remembered" } else { "device" },
    })
}

/// `bridge/devices`: one line for each plug, taken in or not.
pub(super) fn devices(view: &View) -> Json {
    let line = |plug: &PlugView| {
        json!({
            "id": plug.id.as_str(),
            "driver": plug.driver,
            "name": plug.name,
            "model": plug.facts.model,
            "serial": plug.facts.serial,
            "firmware": plug.facts.firmware,
            "ip": plug.ip,
            "ports": plug.offer.ports,
            "availability": if plug.online { "online" } else { "offline" },
            "adopted": plug.adopted,
        })
    };
    view.plugs.values().map(|plug| line(plug)).collect()
}

/// What the link knows about itself, for `bridge/health`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LinkStats {
    pub(super) reconnects: u64,
    pub(super) published: u64,
    pub(super) received: u64,
    pub(super) queued: u64,
    pub(super) dropped: u64,
}

/// `bridge/health`.
pub(super) fn health(view: &View, link: LinkStats, version: &str, memory_mb: Option<f64>) -> Json {
    let stats = &view.bridge.stats;
    json!({
        "ts": iso(stats.unix_ms),
        "uptime_s": stats.uptime_s,
        "version": version,
        "mqtt": {
            "connected": true, "protocol": 4, "reconnects": link.reconnects, "published": link.published,
            "received": link.received, "queued": link.queued, "dropped": link.dropped,
        },
        "devices": {
            "online": view.plugs.values().filter(|plug| plug.online).count(),
            "known": view.plugs.len(),
        },
        "polls": {
            "ok": stats.polls_ok, "failed": stats.polls_failed, "p50_ms": stats.p50_ms, "p95_ms": stats.p95_ms,
        },
        "samples": stats.samples,
        "memory_mb": memory_mb,
    })
}

/// What of the settings is told on `bridge/info`.
#[derive(Debug, Clone)]
pub struct BridgeFacts {
    /// Version of the program.
    pub version: &'static str,
    /// When this run began, milliseconds since 1970.
    pub started_ms: u64,
    /// Discovery mode, as in the settings.
    pub discovery: &'static str,
    /// Drivers in use.
    pub drivers: Vec<&'static str>,
    /// A checksum of the settings, to see whether two runs had the same.
    pub config_checksum: String,
}

/// `bridge/info`.
pub(super) fn bridge_info(base: &str, facts: &BridgeFacts, bridge: &BridgeView) -> Json {
    json!({
        "version": facts.version,
        "instance": base,
        "started": iso(facts.started_ms),
        "adopt": bridge.adopt,
        "log_level": bridge.log_level.as_str(),
        "read_only": bridge.read_only,
        "discovery": facts.discovery,
        "drivers": facts.drivers,
        "config_checksum": facts.config_checksum,
    })
}

/// Topic and payload of something told once.
pub(super) fn note(base: &str, note: &Note, unix_ms: u64) -> (String, Json) {
    match note {
        Note::Result(result) => (format!("{base}/{}/response", result.plug), command_result(result)),
        Note::Plug(id, what) => (format!("{base}/{id}/event"), event(what, unix_ms)),
        Note::Bridge(what) => (format!("{base}/bridge/event"), event(what, unix_ms)),
        Note::Response(answer) => (format!("{base}/bridge/response/{}", answer.verb), response(answer)),
    }
}

fn command_result(result: &CommandResult) -> Json {
    let ports = result.ports.iter().map(|(port, on)| (port.to_string(), on.map(on_off).into()));
    let mut all = json!({
        "id": result.id,
        "status": if result.error.is_none() { "ok" } else { "failed" },
        "ports": ports.collect::<Map<String, Json>>(),
        "confirmed": result.error.is_none(),
        "latency_ms": u64::try_from(result.latency.as_millis()).unwrap_or(u64::MAX),
        "requests": result.requests,
        "attempts": result.attempts,
        "ts": iso(result.unix_ms),
    });
    if let (Some((error, port)), Some(object)) = (result.error, all.as_object_mut()) {
        object.insert("error".into(), error.as_str().into());
        object.extend(port.map(|port| ("port".to_owned(), port.into())));
        object.extend(result.detail.clone().map(|detail| ("detail".to_owned(), detail.into())));
    }
    all
}

fn event(event: &Event, unix_ms: u64) -> Json {
    let ts = iso(unix_ms);
    match event {
        Event::SwitchedLocally { port, on } => {
            json!({"event_type": "switched_locally", "port": port, "state": on_off(*on), "ts": ts})
        }
        Event::CommandFailed { port, error } => {
            json!({"event_type": "command_failed", "port": port, "error": error.as_str(), "ts": ts})
        }
        Event::AddressChanged { from, to } => {
            json!({"event_type": "address_changed", "from": from, "to": to, "ts": ts})
        }
        Event::DeviceFound(id) => json!({"event_type": "device_found", "device": id.as_str(), "ts": ts}),
        Event::DeviceAdopted(id) => json!({"event_type": "device_adopted", "device": id.as_str(), "ts": ts}),
        Event::DeviceRemoved(id) => json!({"event_type": "device_removed", "device": id.as_str(), "ts": ts}),
        Event::DeviceOffline(id, why) => {
            json!({"event_type": "device_offline", "device": id.as_str(), "reason": why, "ts": ts})
        }
        Event::DeviceOnline(id) => json!({"event_type": "device_online", "device": id.as_str(), "ts": ts}),
        Event::RetainedCommand(id, port) => {
            json!({"event_type": "retained_command", "device": id.as_str(), "port": port, "ts": ts})
        }
        Event::DiscoveryCleared(id) => {
            json!({"event_type": "discovery_cleared_by_ha", "device": id.as_str(), "ts": ts})
        }
    }
}

fn response(response: &Response) -> Json {
    let mut all = match &response.result {
        Ok(data) => json!({"status": "ok", "data": response_data(data)}),
        Err(error) => json!({"status": "error", "data": {}, "error": error}),
    };
    let mark = response.transaction.as_deref().and_then(|mark| serde_json::from_str::<Json>(mark).ok());
    if let (Some(mark), Some(object)) = (mark, all.as_object_mut()) {
        object.insert("transaction".into(), mark);
    }
    all
}

fn response_data(data: &ResponseData) -> Json {
    let ids = |list: &[PlugId]| list.iter().map(|id| id.as_str().into()).collect::<Vec<Json>>();
    match data {
        ResponseData::Scan { found, new } => json!({"found": ids(found), "new": ids(new)}),
        ResponseData::Adopt(value, time) => json!({"value": value, "time": time}),
        ResponseData::Plug(id) => json!({"id": id.as_str()}),
        ResponseData::Port(id, port) => json!({"id": id.as_str(), "port": port}),
        ResponseData::Options(id, options) => {
            json!({"id": id.as_str(), "options": options_json(options), "restart_required": false})
        }
        ResponseData::LogLevel(level) => json!({"level": level.as_str()}),
    }
}

fn options_json(options: &Options) -> Json {
    let mut all = serde_json::to_value(options).unwrap_or_default();
    if let Some(object) = all.as_object_mut()
        && let Some(ms) = object.remove("poll_interval_ms").and_then(|ms| ms.as_u64())
    {
        let text = humantime::format_duration(Duration::from_millis(ms)).to_string();
        object.insert("poll_interval".into(), text.into());
    }
    all
}

/// What came in on one of the topics subscribed to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Incoming {
    /// For the hub.
    Order(Order),
    /// For the link itself.
    Own(Own),
    /// A command that could not be understood: its result, and a sentence.
    Bad(PlugId, Option<String>, CommandError, String),
    /// A request that could not be understood: verb, transaction, remedy.
    BadRequest(String, Option<String>, String),
    /// Not for us.
    Nothing,
}

/// Requests the link answers itself; each with the transaction mark.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Own {
    Republish(Option<String>),
    Cleanup { dry_run: bool, transaction: Option<String> },
    HealthCheck(Option<String>),
    Restart(Option<String>),
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
        ("bridge", ..) => None,
        (device, Some("set"), None, None) => Some(Topic::Set(device, None)),
        (device, Some("get"), None, None) => Some(Topic::Get(device)),
        (device, Some(port), Some("set"), None) => Some(Topic::Set(device, Some(port))),
        _ => None,
    }
}

/// Understands a message on one of our topics.
pub(super) fn incoming(topic: &Topic<'_>, payload: &[u8], allow_admin: bool) -> Incoming {
    match *topic {
        Topic::Request(verb) => request(verb, payload, allow_admin),
        Topic::Get(device) => match PlugId::new(device) {
            Some(id) => Incoming::Order(Order::Refresh(id)),
            None => Incoming::Nothing,
        },
        Topic::Set(device, port) => {
            let Some(plug) = PlugId::new(device) else { return Incoming::Nothing };
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
    for_s: Option<u64>,
    stagger_ms: Option<u64>,
}

type Refusal = (Option<String>, CommandError, String);

fn command(plug: &PlugId, port: Option<&str>, payload: &[u8]) -> Result<SwitchOrder, Refusal> {
    let bad = |why: &str| (None, CommandError::BadPayload, why.to_owned());
    if payload.len() > MAX_PAYLOAD {
        return Err(bad("a command has at most 4096 bytes"));
    }
    let port = match port.map(str::parse::<u8>) {
        None => 0,
        Some(Ok(port)) => port,
        Some(Err(_)) => return Err((None, CommandError::UnknownPort, "a port is a number".into())),
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
    if let Some(wish) = wish(text) {
        return Ok(plain(wish));
    }
    if !text.starts_with('{') {
        return Err(bad("a command is ON, OFF, TOGGLE or a JSON object with \"state\""));
    }
    let json: CommandJson =
        serde_json::from_str(text).map_err(|error| bad(&format!("not a command: {error}")))?;
    let mark = json.id.as_ref().map(mark);
    from_json(plain(Wish::Off), port, json).map_err(|why| (mark, CommandError::BadPayload, why))
}

fn from_json(mut order: SwitchOrder, port: u8, json: CommandJson) -> Result<SwitchOrder, String> {
    order.id = json.id.as_ref().map(mark);
    order.ports = match (json.state, json.ports) {
        (Some(state), None) => BTreeMap::from([(port, wish_json(&state)?)]),
        (None, Some(ports)) if port == 0 => {
            let one = |(port, state): (String, Json)| {
                let port = port.parse::<u8>().map_err(|_| format!("{port:?} is not a port"))?;
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

/// A sender's mark, as text and not longer than needed.
fn mark(json: &Json) -> String {
    let text = json.as_str().map_or_else(|| json.to_string(), Into::into);
    text.chars().filter(|c| !c.is_control()).take(MAX_MARK).collect()
}

/// JSON forms of all requests; a plain word is `value`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RequestJson {
    transaction: Option<Json>,
    value: Option<Json>,
    level: Option<String>,
    time: Option<u64>,
    seconds: Option<u64>,
    id: Option<String>,
    port: Option<u8>,
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
    poll_interval: Option<String>,
    power_change: Option<f64>,
    current_change: Option<f64>,
    power_unit: Option<crate::model::PowerUnit>,
    read_only: Option<bool>,
    #[serde(default)]
    port: BTreeMap<u8, PortOptions>,
}

fn request(verb: &str, payload: &[u8], allow_admin: bool) -> Incoming {
    // Only verbs that exist are echoed into a topic.
    let known = [
        "scan",
        "adopt",
        "device_remove",
        "device_rename",
        "port_rename",
        "device_options",
        "republish",
        "cleanup",
        "log_level",
        "health_check",
        "restart",
    ];
    let Some(verb) = known.into_iter().find(|known| *known == verb) else {
        return Incoming::BadRequest(
            "unknown".into(),
            None,
            format!("unknown request; there are {}", known.join(", ")),
        );
    };
    let parsed = parse_request(payload);
    let json = match parsed {
        Ok(json) => json,
        Err(why) => return Incoming::BadRequest(verb.into(), None, why),
    };
    let transaction =
        json.transaction.as_ref().map(|json| json.to_string().chars().take(MAX_MARK).collect::<String>());
    if !allow_admin && !["scan", "republish", "health_check"].contains(&verb) {
        let why = format!("{verb} is switched off by mqtt.allow_admin = false");
        return Incoming::BadRequest(verb.into(), transaction, why);
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

fn parse_request(payload: &[u8]) -> Result<RequestJson, String> {
    if payload.len() > MAX_PAYLOAD {
        return Err("a request has at most 4096 bytes".into());
    }
    let text = std::str::from_utf8(payload).map_err(|_| "a request is UTF-8 text")?.trim();
    if text.starts_with('{') {
        return serde_json::from_str(text).map_err(|error| format!("not a request: {error}"));
    }
    let value = (!text.is_empty()).then(|| Json::String(text.into()));
    Ok(RequestJson { value, ..RequestJson::default() })
}

fn build_request(verb: &str, json: RequestJson) -> Result<Request, String> {
    let id = || {
        let text = json.id.as_deref().ok_or("give \"id\"")?;
        PlugId::new(text).ok_or_else(|| format!("{text:?} is not the id of a plug"))
    };
    let name = || match json.name.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => Name::clean(text).map(Some).ok_or("a name needs at least one visible character"),
    };
    if json.device_too {
        return Err("device_too: names are kept by the bridge only; leave it out".into());
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

fn build_options(json: &OptionsJson) -> Result<Options, String> {
    let poll = json.poll_interval.as_deref().map(|text| {
        let time = humantime::parse_duration(text).map_err(|error| format!("poll_interval: {error}"))?;
        u64::try_from(time.as_millis()).map_err(|_| "poll_interval must be 200ms to 1h".to_owned())
    });
    Ok(Options {
        poll_interval_ms: poll.transpose()?,
        power_change: json.power_change,
        current_change: json.current_change,
        power_unit: json.power_unit,
        read_only: json.read_only,
        port: json.port.clone(),
    })
}

#[cfg(test)]
mod tests;
