//! How much is logged.

use super::{Asked, Verb};
use crate::model::{self, Request};
use serde::Deserialize;
use serde_json::Value as Json;

/// Log this much until the next start.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogLevel {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: Option<String>,
}

impl Verb for LogLevel {
    const NAME: &'static str = "log_level";
    const WORD: Option<&'static str> = Some("level");

    fn ask(self) -> Result<Asked, String> {
        let level = self.level.as_deref().and_then(model::LogLevel::parse);
        let level = level.ok_or("level must be error, warn, info, debug or trace")?;
        Ok(Asked::Hub(Request::LogLevel(level)))
    }
}
