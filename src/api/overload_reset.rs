//! The end of a latch.

use super::{Asked, Verb, plug};
use crate::model::Request;
use serde::Deserialize;
use serde_json::Value as Json;

/// Let ports be switched on again that protection has latched off.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverloadReset {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// Which plug, as in `bridge/devices`.
    pub id: Option<String>,
    /// Which port, 1 to N; all if not given.
    pub port: Option<u8>,
}

impl Verb for OverloadReset {
    const NAME: &'static str = "overload_reset";

    fn ask(self) -> Result<Asked, String> {
        let id = plug("id", self.id.as_deref())?;
        Ok(Asked::Hub(Request::OverloadReset { id, port: self.port }))
    }
}
