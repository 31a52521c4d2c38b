//! The clock of a plug.

use super::{Asked, Verb, errand};
use crate::model::PlugRequest;
use serde::Deserialize;
use serde_json::Value as Json;

/// Read a plug's clock, or set it to local time.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// Which plug, as in `bridge/devices`.
    pub id: Option<String>,
    /// Set it.
    #[serde(default)]
    pub set: bool,
}

impl Verb for Clock {
    const NAME: &'static str = "clock";
    const CHANGES: bool = false;

    fn ask(self) -> Result<Asked, String> {
        errand(self.id.as_deref(), PlugRequest::Clock { set: self.set })
    }
}
