//! A meter, set.

use super::{Asked, Verb, plug, read};
use crate::model::{Energy, MAX_KWH, Request};
use serde::Deserialize;
use serde_json::Value as Json;

/// Set a meter, to correct it or to carry a figure over.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnergySet {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// Which plug, as in `bridge/devices`.
    pub id: Option<String>,
    /// Which port, 1 to N.
    pub port: Option<u8>,
    /// What it shall show, in kWh: a number, or text as `"0,5"`.
    #[serde(default, deserialize_with = "read::number")]
    pub kwh: Option<f64>,
}

impl Verb for EnergySet {
    const NAME: &'static str = "energy_set";

    fn ask(self) -> Result<Asked, String> {
        let energy = Energy::from_kwh(self.kwh.ok_or("give \"kwh\"")?);
        let energy = energy.ok_or_else(|| format!("kwh must be 0 to {MAX_KWH}"))?;
        let (id, port) = (plug("id", self.id.as_deref())?, self.port.ok_or("give \"port\"")?);
        Ok(Asked::Hub(Request::EnergySet { id, port, energy }))
    }
}
