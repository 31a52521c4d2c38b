//! Answers to requests.

use crate::model::{Options, PlugId, Response, ResponseData};
use serde_json::{Map, Value as Json, json};
use std::time::Duration;

/// The answer to a request that the hub has answered.
pub fn response(response: &Response) -> Json {
    answer(response.result.as_ref().map(data).map_err(Clone::clone), response.asker.mark.as_deref())
}

/// The answer to a request, with the sender's transaction mark (JSON text).
pub fn answer(result: Result<Json, String>, sender: Option<&str>) -> Json {
    let mut all = match result {
        Ok(data) => json!({"status": "ok", "data": data}),
        Err(error) => json!({"status": "error", "data": {}, "error": error}),
    };
    if let (Some(sender), Some(object)) = (sender, all.as_object_mut()) {
        object.insert("transaction".into(), mark(sender));
    }
    all
}

/// A sender's mark as it was; JSON text that is cut off is text.
pub fn mark(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

fn data(data: &ResponseData) -> Json {
    let ids = |list: &[PlugId]| list.iter().map(|id| id.as_str().into()).collect::<Vec<Json>>();
    match data {
        ResponseData::Scan { found, new } => json!({"found": ids(found), "new": ids(new)}),
        ResponseData::Adopt(value, time) => json!({"value": value, "time": time}),
        ResponseData::Plug(id) => json!({"id": id.as_str()}),
        ResponseData::Port(id, port) => json!({"id": id.as_str(), "port": port}),
        ResponseData::Options(id, options) => {
            json!({"id": id.as_str(), "options": options_json(options), "restart_required": false})
        }
        ResponseData::OverloadReset(id, ports) => json!({"id": id.as_str(), "ports": ports}),
        ResponseData::Energy(id, port, energy) => {
            json!({"id": id.as_str(), "port": port, "kwh": energy.kwh()})
        }
        ResponseData::PlugAnswer(id, what) => report(id.as_str(), what.report()),
        ResponseData::LogLevel(level) => json!({"level": level.as_str()}),
    }
}

/// An answer about the plug with this id.
pub fn report(id: &str, answer: Json) -> Json {
    let Json::Object(answer) = answer else { return answer };
    std::iter::once(("id".to_owned(), Json::from(id))).chain(answer).collect::<Map<_, _>>().into()
}

fn options_json(options: &Options) -> Json {
    let mut all = serde_json::to_value(options).unwrap_or_default();
    if let Some(object) = all.as_object_mut()
        && let Some(ms) = object.remove("poll_interval_ms").and_then(|ms| ms.as_u64())
    {
        let text = humantime::format_duration(Duration::from_millis(ms)).to_string();
        object.insert("poll_interval".into(), text.into());
    }
    all
}
