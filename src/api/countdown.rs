//! Countdowns that switch ports off.

use super::{Asked, Verb, errand};
use crate::model::PlugRequest;
use serde::Deserialize;
use serde_json::Value as Json;

/// Read the countdowns of a plug, or set one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Countdown {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// Which plug, as in `bridge/devices`.
    pub id: Option<String>,
    /// Which port, 1 to N; all if not given.
    pub port: Option<u8>,
    /// Minutes from now, 1 to 1440, or a time as `"20m"`; 0 or `"cancel"` cancels. Needs a port.
    pub minutes: Option<Json>,
}

impl Verb for Countdown {
    const NAME: &'static str = "countdown";
    const CHANGES: bool = false;

    fn ask(self) -> Result<Asked, String> {
        let minutes = self.minutes.as_ref().map(minutes).transpose()?;
        errand(self.id.as_deref(), PlugRequest::Countdown { port: self.port, minutes })
    }
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
