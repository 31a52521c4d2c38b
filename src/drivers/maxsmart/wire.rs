//! The bytes of the MaxSmart and Revogi protocol: requests out, readings in. Lenient in what it
//! reads (old firmware puts raw control characters into JSON, strings where others put numbers),
//! strict about what it believes.

use super::family::FAMILY;
use super::models::model_of;
use crate::model::{DeviceInfo, Failure, MAX_PORTS, Mac, Name, Now, PlugId, RawHistory, Span};
use serde_json::{Map, Value};

/// HTTP 511: watts, amps and relays.
pub(super) const STATUS: &str = "/?cmd=511";

/// HTTP 510: what was recorded.
pub(super) fn statistics(span: Span) -> String {
    format!("/?cmd=510&json=%7B%22type%22%3A{}%7D", span_number(span))
}

fn span_number(span: Span) -> u64 {
    match span {
        Span::Hours => 0,
        Span::Days => 1,
        Span::Months => 2,
    }
}

/// The most buckets of a record that are looked at: 31 days.
const MAX_BUCKETS: usize = 32;

/// Reads the answer to 510. Figures come as text or numbers.
pub(super) fn history(bytes: &[u8], span: Span) -> Result<RawHistory, Failure> {
    let data = data(bytes, 510)?;
    let number = |value: &Value| {
        let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
        number.filter(|number| number.is_finite() && *number >= 0.0)
    };
    if let Some(theirs) = data.get("type").and_then(number)
        && theirs != span_number(span) as f64
    {
        return Err(Failure::InvalidResponse(format!("a record of type {theirs}")));
    }
    let rows = data.get("watt").and_then(Value::as_array);
    let rows = rows.ok_or_else(|| Failure::InvalidResponse("a record without figures".into()))?;
    // A one-port plug may give its only row bare.
    let bare = rows.iter().any(|row| !row.is_array());
    let row = |row: &[Value]| row.iter().take(MAX_BUCKETS).map(number).collect();
    let rows = match bare {
        true => vec![row(rows)],
        false => rows.iter().take(MAX_PORTS).filter_map(Value::as_array).map(|cells| row(cells)).collect(),
    };
    let date = data.get("date").and_then(Value::as_str).and_then(Name::clean).map(String::from);
    Ok(RawHistory {
        span,
        date,
        rows,
        cost: data.get("cost").and_then(number),
        currency: data.get("money").and_then(Value::as_u64),
    })
}

/// HTTP 124: hardware ids.
pub(super) const HARDWARE: &str = "/?cmd=124";

/// Said of a V3 status reply that has no data: firmware 2.11 does that, and is read over HTTP.
pub(super) const NO_DATA: &str = "a status without data";

/// The question "who is there?". With the clock it also sets the plug's: the zone is the offset
/// from UTC in hours, summer time left out, plus 12, as the vendor's app sends it.
pub(super) fn discovery(set_clock: bool, now: &Now) -> Vec<u8> {
    if !set_clock {
        return b"00dv=all;".to_vec();
    }
    let local = now.local();
    let zone = (now.utc_offset_s - now.dst_s) / 3600 + 12;
    format!("00dv=all,{},{},{zone};", local.strftime("%Y-%m-%d"), local.strftime("%H:%M:%S")).into_bytes()
}

/// What a plug answers to discovery.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Hello {
    pub(super) facts: DeviceInfo,
}

impl Hello {
    /// Serial, else MAC, else nobody: then it must be asked for its cpuid.
    pub(super) fn id(&self) -> Option<PlugId> {
        let serial = self.facts.serial.as_deref().and_then(|serial| PlugId::of("maxsmart", serial));
        serial.or_else(|| PlugId::of("maxsmart", &self.facts.mac?.bare()))
    }

    /// It is the plug that is meant.
    pub(super) fn is_of(&self, mine: &PlugId, serial: Option<&str>, mac: Option<Mac>) -> Result<(), Failure> {
        let Some(theirs) = self.id() else { return Ok(()) };
        // The MAC settles it, for those found while their serial could not be read, too; unless that
        // is now another one.
        let same_serial = match (serial, &self.facts.serial) {
            (Some(mine), Some(theirs)) => mine.eq_ignore_ascii_case(theirs),
            _ => true,
        };
        let ours = match (mac, self.facts.mac) {
            (Some(mine), Some(theirs)) => mine == theirs && same_serial,
            // The second of two plugs with one serial carries its MAC behind its id.
            (None, Some(mac)) => *mine == theirs || theirs.qualified(mac).as_ref() == Some(mine),
            (_, None) => *mine == theirs,
        };
        if !ours {
            return Err(Failure::WrongDevice(theirs.to_string()));
        }
        Ok(())
    }
}

/// Reads a discovery reply; `None` for anything that is not surely one. Serial and name together are
/// enough, whatever is around them.
pub(super) fn hello(bytes: &[u8]) -> Option<Hello> {
    let reply = json(bytes).ok()?;
    let data = reply.get("data").unwrap_or(&reply).as_object()?;
    let text = |key: &str| data.get(key).and_then(Value::as_str);
    let serial = text("sn").and_then(usable_serial);
    let mac = text("mac").and_then(Mac::parse);
    let named = serial.is_some() && text("name").is_some();
    let answers = reply.get("response").and_then(Value::as_u64) == Some(0);
    // Something else may share the port: a plug says at least two of these.
    let tells = serial.is_some() || mac.is_some() || (data.contains_key("sn") && data.contains_key("name"));
    let whole = answers && tells && reply.get("data").is_some();
    if !named && !whole {
        return None;
    }
    let names = data.get("pname").and_then(Value::as_array);
    let port_names =
        names.map(|names| names.iter().take(MAX_PORTS).map(|n| Name::clean(n.as_str()?)).collect());
    let firmware = text("ver").and_then(Name::clean).map(String::from);
    let (manufacturer, model, model_id) = model_of(serial.as_deref(), text("name"), firmware.as_deref());
    Some(Hello {
        facts: DeviceInfo {
            name: text("name").and_then(Name::clean),
            port_names: port_names.unwrap_or_default(),
            manufacturer: manufacturer.into(),
            model: model.into(),
            model_id: model_id.map(Into::into),
            serial,
            mac,
            firmware,
            ..DeviceInfo::default()
        },
    })
}

/// A serial worth trusting: 4 to 32 ASCII letters and digits, not one character throughout.
pub(super) fn usable_serial(text: &str) -> Option<String> {
    let text = text.trim();
    let sane = (4..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let varied = text.bytes().any(|b| Some(b) != text.bytes().next());
    (sane && varied).then(|| text.into())
}

/// What is known of a plug that answers no discovery.
pub(super) fn facts_unknown() -> DeviceInfo {
    let (manufacturer, model, _) = model_of(None, None, None);
    DeviceInfo { manufacturer: manufacturer.into(), model: model.into(), ..DeviceInfo::default() }
}

/// HTTP 200: one relay, or all with port 0. Everything encoded, integers, no blanks, with the
/// serial: the form of the vendor's app.
pub(super) fn relay(serial: Option<&str>, port: u8, on: bool) -> String {
    let sn = serial.map(|sn| format!("%22sn%22%3A%22{sn}%22%2C")).unwrap_or_default();
    format!("/?cmd=200&json=%7B{sn}%22port%22%3A{port}%2C%22state%22%3A{}%7D", u8::from(on))
}

/// V3 90: watts, amps and relays.
pub(super) fn v3_status(serial: Option<&str>) -> Vec<u8> {
    let sn = serial.map(|sn| format!("\"sn\":\"{sn}\",")).unwrap_or_default();
    format!("V3{{{sn}\"cmd\":90}}").into_bytes()
}

/// V3 20: one relay, or all with port 0.
pub(super) fn v3_relay(serial: Option<&str>, port: u8, on: bool) -> Vec<u8> {
    let sn = serial.map(|sn| format!("\"sn\":\"{sn}\",")).unwrap_or_default();
    format!("V3{{{sn}\"cmd\":20,\"port\":{port},\"state\":{}}}", u8::from(on)).into_bytes()
}

/// A reply is ours unless it names another serial.
pub(super) fn mine<'a>(bytes: &'a [u8], serial: Option<&str>) -> Result<&'a [u8], Failure> {
    let reply = json(bytes)?;
    let named = [reply.get("sn"), reply.get("data").and_then(|data| data.get("sn"))];
    for theirs in named.into_iter().flatten() {
        same_serial(theirs.as_str().and_then(usable_serial), serial)?;
    }
    Ok(bytes)
}

/// A serial named in a reply must be the one expected; either may be unknown.
pub(super) fn same_serial(theirs: Option<String>, mine: Option<&str>) -> Result<(), Failure> {
    match (theirs, mine) {
        (Some(theirs), Some(mine)) if !theirs.eq_ignore_ascii_case(mine) => Err(Failure::WrongDevice(theirs)),
        _ => Ok(()),
    }
}

/// The head of a reply: the right number and code 200.
fn checked(bytes: &[u8], response: u64) -> Result<Map<String, Value>, Failure> {
    let Value::Object(reply) = json(bytes)? else {
        return Err(Failure::InvalidResponse("not a JSON object".into()));
    };
    let number =
        |key: &str| reply.get(key).and_then(|v| v.as_u64().or_else(|| v.as_str()?.trim().parse().ok()));
    match number("response") {
        Some(theirs) if theirs == response => {}
        Some(theirs) => {
            return Err(Failure::InvalidResponse(format!("answer to {theirs} instead of {response}")));
        }
        None => return Err(Failure::InvalidResponse("no response number".into())),
    }
    match number("code") {
        Some(200) => Ok(reply),
        Some(code) => Err(Failure::Rejected(format!("code {code} to command {response}"))),
        None => Err(Failure::InvalidResponse("no code".into())),
    }
}

/// A command was accepted.
pub(super) fn accepted(bytes: &[u8], response: u64) -> Result<(), Failure> {
    checked(bytes, response).map(drop)
}

/// The data of a reply.
pub(super) fn data(bytes: &[u8], response: u64) -> Result<Map<String, Value>, Failure> {
    match checked(bytes, response)?.remove("data") {
        Some(Value::Object(data)) => Ok(data),
        _ => Err(Failure::InvalidResponse(NO_DATA.into())),
    }
}

/// A whole reply, credentials masked; nothing in it moves a cursor or turns text around.
pub(super) fn masked(bytes: &[u8]) -> Result<String, Failure> {
    fn mask(value: &mut Value) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    if FAMILY.secrets().any(|secret| secret == key) && value.is_string() {
                        *value = "***".into();
                    }
                    mask(value);
                }
            }
            Value::Array(list) => list.iter_mut().for_each(mask),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut reply = json(bytes)?;
    mask(&mut reply);
    let mut text = String::new();
    for c in reply.to_string().chars() {
        // They can only stand in a text, where JSON has another way to write them.
        match c.is_control() || Name::turns(c) {
            true => text.push_str(&format!("\\u{:04x}", u32::from(c))),
            false => text.push(c),
        }
    }
    Ok(text)
}

/// HTTP 124: MAC, else cpuid. Firmware spells the keys `plcmac` and `pclmac`.
pub(super) fn hardware_id(data: &Map<String, Value>, facts: &mut DeviceInfo) -> Option<PlugId> {
    let text = |key: &str| data.get(key).and_then(Value::as_str);
    let mac = facts.mac.or_else(|| text("plcmac").or(text("pclmac")).and_then(Mac::parse));
    facts.mac = mac;
    if let Some(mac) = mac {
        return PlugId::of("maxsmart", &mac.bare());
    }
    let cpuid = text("cpuid").filter(|id| id.len() >= 8 && id.bytes().all(|b| b.is_ascii_hexdigit()))?;
    PlugId::of("maxsmart", cpuid)
}

/// Parses from the first brace to its partner.
fn json(bytes: &[u8]) -> Result<Value, Failure> {
    first_object(bytes, |object| serde_json::Deserializer::from_str(object).into_iter().next())
}

/// Lets `parse` have what begins with the first brace; once more with control characters and
/// broken UTF-8 removed, which old firmware puts into its JSON, if it can make nothing of it.
pub(super) fn first_object<T>(
    bytes: &[u8],
    parse: impl Fn(&str) -> Option<serde_json::Result<T>>,
) -> Result<T, Failure> {
    let start =
        bytes.iter().position(|&b| b == b'{').ok_or_else(|| Failure::InvalidResponse("no JSON".into()))?;
    let bytes = bytes.get(start..).unwrap_or_default();
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Some(Ok(value)) = parse(text)
    {
        return Ok(value);
    }
    let text: String = String::from_utf8_lossy(bytes).chars().filter(|&c| c >= ' ').collect();
    match parse(&text) {
        Some(Ok(value)) => Ok(value),
        Some(Err(error)) => Err(Failure::InvalidResponse(format!("broken JSON: {error}"))),
        None => Err(Failure::InvalidResponse("no JSON".into())),
    }
}

#[cfg(test)]
mod tests;
