//! Any command of a plug's protocol.

use super::{Asked, Verb, errand};
use crate::model::PlugRequest;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

/// Send a command of the plug's protocol.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// Which plug, as in `bridge/devices`.
    pub id: Option<String>,
    /// Its number.
    pub command: Option<u16>,
    /// Its arguments, as its protocol has them.
    pub arguments: Option<Map<String, Json>>,
}

impl Verb for Call {
    const NAME: &'static str = "call";
    const CHANGES: bool = false;

    fn ask(self) -> Result<Asked, String> {
        let command = self.command.ok_or("give \"command\", its number")?;
        let arguments = self.arguments.map(|arguments| Json::Object(arguments).to_string());
        errand(self.id.as_deref(), PlugRequest::Call { command, arguments })
    }
}
