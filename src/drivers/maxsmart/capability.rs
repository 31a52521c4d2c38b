//! The bytes of what these plugs can do beyond reading and switching, all of it HTTP: which
//! request, and what its answer tells. Lenient in what is read, careful in what is written.

use super::wire;
use crate::model::{
    Access, Call, Clock, Countdown, CountdownQuery, Currency, Days, Failure, Hardware, LeaderGroup,
    MAX_PORTS, Mac, Name, Now, PresenceSimulation, Price, Query, QueryReply, RawRule, Rename, Role,
    ScheduleEdit, local,
};
use serde_json::{Map, Value, json};

/// What the vendor's app takes for a name; the plug keeps 32 bytes.
const MAX_NAME_CHARS: usize = 21;
const MAX_NAME_BYTES: usize = 32;

/// Rules that are read; the plug keeps twelve.
const MAX_RULES: usize = 32;

/// Commands that are never sent, and why.
const HARMFUL: [(u16, &str); 6] = [
    (1, "it moves the plug to another Wi-Fi"),
    (2, "it belongs to the set-up of a new plug"),
    (5, "it binds the plug to a cloud account"),
    (30, "it resets the plug"),
    (73, "it binds the plug to another server"),
    (
        120,
        "on some firmware it is a factory reset: the plug forgets its Wi-Fi, and with the vendor's cloud gone it may \
         never come back",
    ),
];

/// Why a plug is not asked this at all.
pub(super) fn refused(query: &Query) -> Option<String> {
    match query {
        Query::Names(Rename { name, .. }) => {
            let name = name.as_str();
            if name.chars().count() > MAX_NAME_CHARS || name.len() > MAX_NAME_BYTES {
                return Some(format!(
                    "a plug keeps names of at most {MAX_NAME_CHARS} characters and {MAX_NAME_BYTES} bytes"
                ));
            }
            // Nobody knows whether it escapes them when it tells its name.
            name.contains(['"', '\\'])
                .then(|| "a plug may not survive quotes and backslashes in a name".into())
        }
        Query::Call(Call { command, arguments }) => {
            if let Some((_, why)) = HARMFUL.iter().find(|(harmful, _)| harmful == command) {
                return Some(format!("command {command} is not sent: {why}"));
            }
            let arguments = arguments.as_deref().map(serde_json::from_str::<Map<String, Value>>);
            arguments.and_then(Result::err).map(|error| format!("the arguments are no JSON object: {error}"))
        }
        Query::Leader(Access::Write(group)) => {
            let leaders = group.roles.iter().filter(|role| **role == Role::Leader).count();
            let limit = group.limit_w.is_some_and(|watts| LeaderGroup::LIMITS.contains(&watts));
            if leaders > 1 {
                Some("only one port can be the leader".into())
            } else {
                (!limit).then(|| "the limit is 2, 5, 10 or 35 W".into())
            }
        }
        Query::Price(Access::Write(price)) => {
            (!(0.0..=99.99).contains(&price.cost)).then(|| "a price is 0 to 99.99".into())
        }
        Query::Schedule(Access::Write(ScheduleEdit::Add(rule) | ScheduleEdit::Change(rule))) => {
            let empty = rule.ports.iter().all(Option::is_none);
            let never = rule.days.is_empty() && rule.once.is_none();
            (empty || never || rule.minute >= 1440).then(|| "a rule needs a port, a day and a time".into())
        }
        Query::PresenceSimulation(Access::Write(presence)) => {
            let late = presence.from >= 1440 || presence.to >= 1440;
            late.then(|| "times are within a day".into())
        }
        Query::Clock(_)
        | Query::Countdown(_)
        | Query::Schedule(Access::Read | Access::Write(ScheduleEdit::Delete(_)))
        | Query::History(_)
        | Query::Price(Access::Read)
        | Query::Leader(Access::Read)
        | Query::PresenceSimulation(Access::Read)
        | Query::Hardware => None,
    }
}

/// HTTP 502: the clock.
pub(super) fn clock(serial: Option<&str>) -> String {
    target(502, serial, Map::new())
}

/// Reads the answer to 502.
pub(super) fn heard_clock(bytes: &[u8], now: &Now) -> Result<Clock, Failure> {
    let data = wire::data(bytes, 502)?;
    let clock = data.get("time").and_then(Value::as_str).and_then(|text| Clock::read(text, now));
    clock.ok_or_else(|| Failure::InvalidResponse("no time".into()))
}

/// The request that changes something, and the number of its answer; `None` when the question
/// changes nothing. `clock` is the plug's, as it was told a moment ago.
pub(super) fn act(
    query: &Query,
    serial: Option<&str>,
    clock: Option<&Clock>,
    now: &Now,
) -> Option<(u16, String)> {
    let (command, arguments) = match query {
        Query::Names(Rename { port, name }) => (201, json!({"port": port, "name": name.as_str()})),
        Query::Countdown(CountdownQuery { port, minutes: Some(minutes) }) => {
            // By the clock of the plug, which need not be right.
            let start = clock.map_or_else(|| now.local(), |clock| clock.local);
            let start = start.strftime("%Y-%m-%d,%H:%M:%S").to_string();
            (204, json!({"port": port, "start": start, "delay": minutes}))
        }
        Query::Schedule(Access::Write(edit)) => (206, edit_schedule(edit, now)),
        Query::Price(Access::Write(price)) => {
            (205, json!({"cost": format!("{:.2}", price.cost), "money": price.currency.number()}))
        }
        Query::Leader(Access::Write(group)) => {
            let roles: Vec<u8> = group.roles.iter().map(|role| role_number(*role)).collect();
            let limit =
                LeaderGroup::LIMITS.iter().position(|watts| Some(*watts) == group.limit_w).unwrap_or(0);
            (202, json!({"master": roles, "limit": limit}))
        }
        Query::PresenceSimulation(Access::Write(presence)) => {
            let ports: Vec<u8> = presence.ports.iter().copied().map(u8::from).collect();
            let (week, time) = (week(presence.days), [presence.from, presence.to]);
            (207, json!({"en": u8::from(presence.enabled), "week": week, "time": time, "port": ports}))
        }
        Query::Clock(_)
        | Query::Countdown(CountdownQuery { minutes: None, .. })
        | Query::Schedule(Access::Read)
        | Query::History(_)
        | Query::Price(Access::Read)
        | Query::Leader(Access::Read)
        | Query::PresenceSimulation(Access::Read)
        | Query::Hardware
        | Query::Call(_) => return None,
    };
    let Value::Object(arguments) = arguments else { return None };
    Some((command, target(command, serial, arguments)))
}

fn edit_schedule(edit: &ScheduleEdit, now: &Now) -> Value {
    let (mode, rule) = match edit {
        ScheduleEdit::Add(rule) => (0, rule),
        ScheduleEdit::Change(rule) => (1, rule),
        ScheduleEdit::Delete(id) => {
            return json!({"mode": 2, "id": id, "en": 0, "port": [], "time": 0, "day": 0, "week": week(Days::default())});
        }
    };
    // The vendor's app makes up numbers of eight digits.
    let id =
        if mode == 0 { i64::try_from(10_000_000 + now.nonce % 80_000_000).unwrap_or(0) } else { rule.id };
    let port = |port: &Option<bool>| port.map_or(2, u8::from);
    let ports: Vec<u8> = rule.ports.iter().map(port).collect();
    json!({
        "mode": mode, "id": id, "en": u8::from(rule.enabled), "port": ports, "time": rule.minute,
        "day": rule.once.unwrap_or(0), "week": week(rule.days),
    })
}

fn week(days: Days) -> [u8; 7] {
    days.sunday_first().map(u8::from)
}

/// The request whose answer tells, after a change too. `None` for what is not asked by HTTP.
pub(super) fn look(query: &Query, serial: Option<&str>) -> Option<(u16, String)> {
    let (command, arguments) = match query {
        Query::Names(_) | Query::History(_) => return None,
        Query::Clock(_) => (502, json!({})),
        Query::Countdown(CountdownQuery { port, .. }) => (515, json!({"port": port})),
        Query::Schedule(_) => (516, json!({"page": 0})),
        Query::Price(_) => (510, json!({"type": 0})),
        Query::Leader(_) => (512, json!({})),
        Query::PresenceSimulation(_) => (517, json!({})),
        Query::Hardware => (124, json!({})),
        Query::Call(Call { command, arguments }) => {
            let arguments = arguments.as_deref().and_then(|text| serde_json::from_str(text).ok());
            (*command, arguments.unwrap_or_else(|| json!({})))
        }
    };
    let Value::Object(arguments) = arguments else { return None };
    // The serial is never needed here, and 124 and 510 are asked without arguments by everybody.
    let bare = matches!(query, Query::Hardware | Query::Price(_));
    Some((command, target(command, serial.filter(|_| !bare), arguments)))
}

/// A raw command as a V3 datagram.
pub(super) fn v3_call(query: &Query, serial: Option<&str>) -> Option<Vec<u8>> {
    let Query::Call(Call { command, arguments }) = query else { return None };
    let mut object: Map<String, Value> =
        arguments.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    object.insert("cmd".into(), (*command).into());
    if let Some(serial) = serial {
        object.entry("sn").or_insert_with(|| serial.into());
    }
    Some(format!("V3{}", Value::Object(object)).into_bytes())
}

/// What the answer to [`look`] tells.
pub(super) fn heard(
    query: &Query,
    bytes: &[u8],
    clock: Option<&Clock>,
    now: &Now,
) -> Result<QueryReply, Failure> {
    Ok(match query {
        Query::Names(_) | Query::History(_) => {
            return Err(Failure::InvalidResponse("an answer to something else".into()));
        }
        Query::Clock(_) => QueryReply::Clock(Some(heard_clock(bytes, now)?)),
        Query::Countdown(_) => {
            let data = wire::data(bytes, 515)?;
            // Without a timer there may be anything in the place of its start.
            let start =
                data.get("start").or_else(|| data.get("Start")).and_then(Value::as_str).and_then(local);
            let minutes = data.get("delay").and_then(number).and_then(|minutes| u32::try_from(minutes).ok());
            let clock = clock.map_or_else(|| now.local(), |clock| clock.local);
            QueryReply::Countdown(
                start.zip(minutes).and_then(|(start, minutes)| Countdown::running(start, minutes, clock)),
            )
        }
        Query::Schedule(_) => {
            let data = wire::data(bytes, 516)?;
            let rules = data.get("rule").and_then(Value::as_array);
            QueryReply::Schedule(rules.into_iter().flatten().take(MAX_RULES).filter_map(rule).collect())
        }
        Query::Price(_) => {
            let data = wire::data(bytes, 510)?;
            let cost = data.get("cost").and_then(float).filter(|cost| cost.is_finite() && *cost >= 0.0);
            let currency = data.get("money").and_then(number).and_then(|number| u64::try_from(number).ok());
            let price = |(cost, number)| Price { cost, currency: Currency::of_number(number) };
            QueryReply::Price(cost.zip(currency).map(price))
        }
        Query::Leader(_) => {
            let data = wire::data(bytes, 512)?;
            let roles = list(data.get("master"), |value| match number(value) {
                Some(0) => Role::Follower,
                Some(1) => Role::Leader,
                _ => Role::Neutral,
            });
            let limit = data.get("limit").and_then(number).and_then(|number| usize::try_from(number).ok());
            QueryReply::Leader(LeaderGroup {
                roles,
                limit_w: limit.and_then(|place| LeaderGroup::LIMITS.get(place)).copied(),
            })
        }
        Query::PresenceSimulation(_) => {
            let data = wire::data(bytes, 517)?;
            let time = |place: usize| {
                let minute = data.get("time").and_then(|time| time.get(place)).and_then(number);
                minute
                    .and_then(|minute| u16::try_from(minute).ok())
                    .filter(|minute| *minute < 1440)
                    .unwrap_or(0)
            };
            QueryReply::PresenceSimulation(PresenceSimulation {
                enabled: data.get("en").is_some_and(flag),
                days: Days::from_sunday(list(data.get("week"), flag)),
                from: time(0),
                to: time(1),
                ports: list(data.get("port"), flag),
            })
        }
        Query::Hardware => {
            let data = wire::data(bytes, 124)?;
            let text = |key: &str| data.get(key).and_then(Value::as_str);
            let word = |key: &str| text(key).and_then(Name::clean).map(String::from);
            QueryReply::Hardware(Hardware {
                mac: text("plcmac").or_else(|| text("pclmac")).and_then(Mac::parse),
                cpuid: word("cpuid"),
                server: word("server"),
            })
        }
        Query::Call(_) => QueryReply::Call(wire::masked(bytes)?),
    })
}

fn rule(value: &Value) -> Option<RawRule> {
    let port = |value: &Value| match number(value) {
        Some(0) => Some(false),
        Some(1) => Some(true),
        _ => None,
    };
    let once =
        value.get("day").and_then(number).and_then(|day| u64::try_from(day).ok()).filter(|day| *day > 0);
    let minute = value.get("time").and_then(number).and_then(|minute| u16::try_from(minute).ok());
    Some(RawRule {
        id: value.get("id").and_then(number)?,
        enabled: value.get("en").is_some_and(flag),
        ports: list(value.get("port"), port),
        days: Days::from_sunday(list(value.get("week"), flag)),
        minute: minute.filter(|minute| *minute < 1440).unwrap_or(0),
        once,
    })
}

fn role_number(role: Role) -> u8 {
    match role {
        Role::Follower => 0,
        Role::Leader => 1,
        Role::Neutral => 2,
    }
}

fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn float(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn flag(value: &Value) -> bool {
    number(value).is_some_and(|number| number != 0) || value.as_bool() == Some(true)
}

/// A list of at most [`MAX_PORTS`]; anything else is an empty one.
fn list<T>(value: Option<&Value>, read: impl Fn(&Value) -> T) -> Vec<T> {
    value.and_then(Value::as_array).into_iter().flatten().take(MAX_PORTS).map(read).collect()
}

/// Writes a request as the vendor's app does: everything encoded, no blanks.
fn target(command: u16, serial: Option<&str>, mut arguments: Map<String, Value>) -> String {
    if let Some(serial) = serial {
        arguments.entry("sn").or_insert_with(|| serial.into());
    }
    if arguments.is_empty() {
        return format!("/?cmd={command:03}");
    }
    let mut target = format!("/?cmd={command:03}&json=");
    for byte in Value::Object(arguments).to_string().bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            target.push(char::from(byte));
        } else {
            target.push_str(&format!("%{byte:02X}"));
        }
    }
    target
}

#[cfg(test)]
mod tests;
