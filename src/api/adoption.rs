//! Which plugs there are: search, adopt, remove, replace.

use super::{Asked, Verb, plug, read};
use crate::model::{Request, SwitchAction};
use serde::Deserialize;
use serde_json::Value as Json;
use std::time::Duration;

/// Search now, and answer with what was found.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scan {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// After how long to answer: 1 to 60 s, 5 if not given.
    #[serde(default, deserialize_with = "read::seconds")]
    pub seconds: Option<u64>,
}

impl Verb for Scan {
    const NAME: &'static str = "scan";
    const WORD: Option<&'static str> = Some("seconds");
    const CHANGES: bool = false;

    fn ask(self) -> Result<Asked, String> {
        match self.seconds.unwrap_or(5) {
            seconds @ 1..=60 => Ok(Asked::Hub(Request::Scan(Duration::from_secs(seconds)))),
            _ => Err("seconds must be 1 to 60".into()),
        }
    }
}

/// Whether new plugs are adopted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adopt {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// `ON` or `OFF`, or `true` or `false`.
    pub value: Option<Json>,
    /// For how long, 1 to 86400 s; until told otherwise if not given.
    #[serde(default, deserialize_with = "read::seconds")]
    pub time: Option<u64>,
}

impl Verb for Adopt {
    const NAME: &'static str = "adopt";
    const WORD: Option<&'static str> = Some("value");

    fn ask(self) -> Result<Asked, String> {
        let value = self.value.ok_or("give ON, OFF or {\"value\":true}")?;
        let time = match self.time {
            Some(0) | Some(86_401..) => return Err("time must be 1 to 86400 seconds".into()),
            time => time.map(Duration::from_secs),
        };
        match read::wish_json(&value) {
            Some(SwitchAction::On) => Ok(Asked::Hub(Request::Adopt(true, time))),
            Some(SwitchAction::Off) => Ok(Asked::Hub(Request::Adopt(false, None))),
            Some(SwitchAction::Toggle) | None => Err("value must be ON or OFF".into()),
        }
    }
}

/// Forget a plug.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRemove {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// Which plug, as in `bridge/devices`.
    pub id: Option<String>,
    /// Do not adopt it again.
    #[serde(default)]
    pub block: bool,
}

impl Verb for DeviceRemove {
    const NAME: &'static str = "device_remove";

    fn ask(self) -> Result<Asked, String> {
        let id = plug("id", self.id.as_deref())?;
        Ok(Asked::Hub(Request::DeviceRemove { id, block: self.block }))
    }
}

/// New hardware takes the place of old.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceReplace {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// The plug that is replaced and whose id stays, as in `bridge/devices`.
    pub id: Option<String>,
    /// The hardware that takes its place, by the id it has been known under.
    pub by: Option<String>,
}

impl Verb for DeviceReplace {
    const NAME: &'static str = "device_replace";

    fn ask(self) -> Result<Asked, String> {
        let (id, by) = (plug("id", self.id.as_deref())?, plug("by", self.by.as_deref())?);
        Ok(Asked::Hub(Request::DeviceReplace { id, by }))
    }
}
