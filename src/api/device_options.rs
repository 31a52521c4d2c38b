//! Options of one plug.

use super::{Asked, Verb, plug, read};
use crate::model::{OptionsChange, PortOptions, PowerUnit, Request};
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;

/// Change options of a plug.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceOptions {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// Which plug, as in `bridge/devices`.
    pub id: Option<String>,
    /// Those to change.
    pub options: Option<Options>,
}

/// Options: those not given stay, `null` gives back what the settings say.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Pause between polls, as `"10s"`.
    #[serde(default, deserialize_with = "read::given")]
    pub poll_interval: Option<Option<String>>,
    /// Power counts as changed when it moved by more than this, in watts.
    #[serde(default, deserialize_with = "read::given")]
    pub power_change: Option<Option<f64>>,
    /// Current counts as changed when it moved by more than this, in amperes.
    #[serde(default, deserialize_with = "read::given")]
    pub current_change: Option<Option<f64>>,
    /// How the plug's figures for power are to be read: `"auto"`, `"W"` or `"mW"`.
    #[serde(default, deserialize_with = "read::given")]
    pub power_unit: Option<Option<PowerUnit>>,
    /// The plug is shown but never switched.
    #[serde(default, deserialize_with = "read::given")]
    pub read_only: Option<Option<bool>>,
    /// By port, 1 to N, as `{"1": {"lock": "on"}}`.
    #[serde(default, deserialize_with = "read::by_port")]
    pub port: BTreeMap<u8, PortOptions>,
}

impl Verb for DeviceOptions {
    const NAME: &'static str = "device_options";

    fn ask(self) -> Result<Asked, String> {
        let options = self.options.ok_or("give \"options\"")?;
        let poll_interval_ms = options.poll_interval.map(|text| text.as_deref().map(poll).transpose());
        let change = OptionsChange {
            poll_interval_ms: poll_interval_ms.transpose()?,
            power_change: options.power_change,
            current_change: options.current_change,
            power_unit: options.power_unit,
            read_only: options.read_only,
            port: options.port,
        };
        let id = plug("id", self.id.as_deref())?;
        Ok(Asked::Hub(Request::DeviceOptions { id, options: Box::new(change) }))
    }
}

fn poll(text: &str) -> Result<u64, String> {
    let time = humantime::parse_duration(text).map_err(|error| format!("poll_interval: {error}"))?;
    u64::try_from(time.as_millis()).map_err(|_| "poll_interval must be 200ms to 1h".to_owned())
}
