//! Power, current and voltage: `Electricity` of plugs in milliamperes, tenths of a volt and milliwatts, `ElectricityX`
//! of meters with several circuits in millivolts.

use super::lenient::{count, each, number};
use crate::model::MAX_WATTS;
use serde_json::Value;

/// No mains has more.
const MAX_VOLTS: f64 = 300.0;

/// No plug survives more; a clamp around a main line does.
const MAX_AMPS: f64 = 200.0;

/// What one channel draws. `None` is what cannot be believed.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Electricity {
    /// The channel; circuits begin with 1.
    pub channel: u64,
    /// In volts; a plug that tells 0 V does not measure, and nothing of what it tells is believed.
    pub volts: Option<f64>,
    /// In amperes.
    pub amps: Option<f64>,
    /// In watts.
    pub watts: Option<f64>,
}

/// Reads the payload of `Control.Electricity`, or of `Control.ElectricityX` with `circuits`.
pub fn read(payload: &Value, circuits: bool) -> Vec<Electricity> {
    each(payload.get("electricity")).map(|one| channel(one, if circuits { 1000.0 } else { 10.0 })).collect()
}

fn channel(one: &Value, volt: f64) -> Electricity {
    let value = |key: &str, unit: f64, max: f64| {
        let value = number(one.get(key)?)? / unit;
        (0.0..=max).contains(&value).then_some(value.abs())
    };
    let channel = one.get("channel").and_then(count).unwrap_or(0);
    let Some(volts) = value("voltage", volt, MAX_VOLTS).filter(|volts| *volts > 0.0) else {
        return Electricity { channel, ..Electricity::default() };
    };
    // A circuit that feeds back, or noise around zero.
    let watts = one.get("power").and_then(number).map(|milliwatts| milliwatts.max(0.0) / 1000.0);
    Electricity {
        channel,
        volts: Some(volts),
        amps: value("current", 1000.0, MAX_AMPS),
        watts: watts.filter(|watts| *watts <= MAX_WATTS),
    }
}
