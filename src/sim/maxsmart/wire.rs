//! Bytes that both transports share: objects in the plug's own key order, envelopes, arguments, the numbers of a status.

use super::{Firmware, Strip};
use serde_json::Value;

pub(super) const DONE: u16 = 200;
pub(super) const REFUSED: u16 = 400;
/// Amps that the meter of a 1.30 station shows on every idle and switched-off socket, in milliamperes.
const STATION_OFFSET_MILLIAMPS: u32 = 200;

/// A JSON object whose keys stay in the order in which they were put.
pub(super) struct Object(String);

impl Object {
    pub(super) fn new() -> Self {
        Self(String::new())
    }

    pub(super) fn put(self, key: &str, value: impl Into<Value>) -> Self {
        let value: Value = value.into();
        self.put_raw(key, &value.to_string())
    }

    pub(super) fn put_raw(mut self, key: &str, json: &str) -> Self {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        self.0.push_str(&Value::from(key).to_string());
        self.0.push(':');
        self.0.push_str(json);
        self
    }

    pub(super) fn end(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// `{"response":..,"code":..,"data":..}`, the last only if there is any.
pub(super) fn envelope(response: u64, code: u16, data: Option<&str>) -> Object {
    let object = Object::new().put("response", response).put("code", code);
    match data {
        Some(data) => object.put_raw("data", data),
        None => object,
    }
}

/// An integer argument; some clients send it as text.
pub(super) fn number(args: &Value, key: &str) -> Option<u64> {
    let value = args.get(key)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

impl Strip {
    /// The data of a status reply.
    pub(super) fn status(&self, second: u64) -> String {
        let milliwatts = self.milliwatts(second);
        let (watt, amp): (Vec<Value>, Vec<Value>) = match self.firmware {
            Firmware::V1 => {
                let offset = if self.ports() == 1 { 0 } else { STATION_OFFSET_MILLIAMPS };
                let show = |&milliwatts: &u32| -> (Value, Value) {
                    let amps = f64::from(milliwatts / 230 + offset) / 1000.0;
                    (format!("{:.2}", f64::from(milliwatts) / 1000.0).into(), format!("{amps:.1}").into())
                };
                milliwatts.iter().map(show).unzip()
            }
            Firmware::V2 | Firmware::V3 | Firmware::V5 | Firmware::Plug2 => milliwatts
                .iter()
                .map(|&milliwatts| (Value::from(milliwatts), Value::from(milliwatts / 230)))
                .unzip(),
        };
        let object = Object::new().put("watt", watt).put("amp", amp);
        match self.firmware {
            Firmware::Plug2 => object.end(),
            Firmware::V1 | Firmware::V2 | Firmware::V3 | Firmware::V5 => {
                object.put("switch", self.switch_array()).end()
            }
        }
    }

    pub(super) fn switch_array(&self) -> Vec<u8> {
        self.relays.iter().copied().map(u8::from).collect()
    }
}
