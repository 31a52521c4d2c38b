//! Random switching, as if somebody were at home.

use super::schedule::time_of_day;
use super::{Asked, Verb, errand, some};
use crate::model::{PlugRequest, PresenceSimulationWish};
use serde::Deserialize;
use serde_json::Value as Json;

/// Read when a plug switches at random, or set it; what is not given stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PresenceSimulation {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// Which plug, as in `bridge/devices`.
    pub id: Option<String>,
    /// Whether it is on.
    pub enabled: Option<bool>,
    /// On which days it begins, as `"Fri-Sun"`.
    pub days: Option<String>,
    /// The time of day at which it begins, as `"18:30"`.
    pub from: Option<String>,
    /// The time of day at which it ends, as `"1:00"`.
    pub to: Option<String>,
    /// The ports that take part, 1 to N.
    pub ports: Option<Vec<u8>>,
}

impl Verb for PresenceSimulation {
    const NAME: &'static str = "presence_simulation";
    const CHANGES: bool = false;

    fn ask(self) -> Result<Asked, String> {
        let wish = PresenceSimulationWish {
            enabled: self.enabled,
            days: self.days.as_deref().map(str::parse).transpose()?,
            from: self.from.as_deref().map(time_of_day).transpose()?,
            to: self.to.as_deref().map(time_of_day).transpose()?,
            ports: some(self.ports, "ports")?,
        };
        let wish = Some(wish).filter(|wish| *wish != PresenceSimulationWish::default());
        errand(self.id.as_deref(), PlugRequest::PresenceSimulation(wish))
    }
}
