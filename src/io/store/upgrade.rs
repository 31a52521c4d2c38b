//! State files of earlier versions.

use crate::model::PersistedState;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The section into which moves what stood outside any.
const MQTT: &str = "mqtt";

/// What a plug measures; everything else in an `offer` of version 1 that is true or false is a capability.
const MEASURED: [&str; 4] = ["power", "current", "voltage", "signal"];

/// What the state of a file of version 1 holds. There what was announced to Home Assistant, and which plugs were
/// deleted in it, stood among what belongs to the bridge; what of it no sink will understand goes on as it is.
pub(super) fn from_1(state: &str) -> serde_json::Result<PersistedState> {
    let mut state: Map<String, Value> = serde_json::from_str(state)?;
    let mut kept: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    if let Some(Value::Object(mut announced)) = state.remove("announced") {
        if let Some(Value::Object(mut plugs)) = announced.remove("plugs") {
            plugs.values_mut().for_each(gather_capabilities);
            kept.extend(plugs.into_iter().map(|(id, how)| (id, Map::from_iter([("announced".into(), how)]))));
        }
        if let Some(Value::Object(names)) = announced.remove("names") {
            kept.insert("bridge".into(), names);
        }
    }
    for (id, plug) in state.get_mut("plugs").and_then(Value::as_object_mut).into_iter().flatten() {
        gather_capabilities(plug);
        if plug.as_object_mut().and_then(|plug| plug.remove("deleted")) == Some(Value::Bool(true)) {
            kept.entry(id.clone()).or_default().insert("deleted".into(), true.into());
        }
    }
    let texts = kept.into_iter().map(|(key, value)| (key, Value::Object(value).to_string().into()));
    let sections = Map::from_iter([(MQTT.to_owned(), Value::Object(texts.collect()))]);
    state.insert("sinks".into(), Value::Object(sections));
    serde_json::from_value(Value::Object(state))
}

/// Each capability that was shown was a field of its own in the `offer`; now they are a list.
fn gather_capabilities(holder: &mut Value) {
    let Some(offer) = holder.get_mut("offer").and_then(Value::as_object_mut) else { return };
    let mut able = Vec::new();
    offer.retain(|name, shown| {
        let capability = shown.is_boolean() && !MEASURED.contains(&name.as_str());
        if capability && *shown == Value::Bool(true) {
            able.push(Value::from(name.as_str()));
        }
        !capability
    });
    if !able.is_empty() {
        offer.insert("able".into(), able.into());
    }
}
