//! What a plug has recorded.

use super::{Asked, Verb, errand};
use crate::model::{PlugRequest, Span};
use serde::Deserialize;
use serde_json::Value as Json;

/// Read the energy that a plug has recorded.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// Which plug, as in `bridge/devices`.
    pub id: Option<String>,
    /// By `hours` (a day, if not given), `days` (a month) or `months` (a year).
    pub span: Option<String>,
    /// Which port, 1 to N; the sum if not given.
    pub port: Option<u8>,
}

impl Verb for History {
    const NAME: &'static str = "history";
    const CHANGES: bool = false;

    fn ask(self) -> Result<Asked, String> {
        let span = match self.span.as_deref().unwrap_or("hours") {
            "hours" => Span::Hours,
            "days" => Span::Days,
            "months" => Span::Months,
            _ => return Err("span is hours, days or months".into()),
        };
        errand(self.id.as_deref(), PlugRequest::History { span, port: self.port, meaning: None })
    }
}
