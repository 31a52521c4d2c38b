//! Lays the places settings come from over each other, and remembers which of them won. Knows no
//! setting by name.

use std::collections::BTreeMap;

use ::config::{Config, ConfigError, Map, Source, Value, ValueKind};
use serde_json::Value as Json;

use super::layer::{Entry, Origin, dotted};

/// One layer as the layering crate wants it; each value carries the number of its entry.
#[derive(Debug, Clone)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// Lays the entries over each other, later ones over earlier ones. Gives the values as one tree
/// and the origin of each by dotted name.
pub(super) fn merge(entries: &[Entry]) -> Result<(Json, BTreeMap<String, Origin>), ConfigError> {
    let mut builder = Config::builder();
    for (number, entry) in entries.iter().enumerate() {
        let kind = kind(&entry.value, number);
        let mut value = Value::new(Some(&number.to_string()), kind);
        for part in entry.path.iter().skip(1).rev() {
            value = Value::new(None, ValueKind::Table(Map::from_iter([(part.clone(), value)])));
        }
        let Some(section) = entry.path.first() else { continue };
        builder = builder.add_source(Layer(Map::from_iter([(section.clone(), value)])));
    }
    let mut origins = BTreeMap::new();
    let tree = unwrap(&builder.build()?.cache, &mut Vec::new(), entries, &mut origins);
    Ok((tree, origins))
}

fn kind(value: &Json, number: usize) -> ValueKind {
    match value {
        Json::Null | Json::Object(_) => ValueKind::Nil,
        Json::Bool(value) => ValueKind::Boolean(*value),
        Json::Number(value) => match value.as_i64() {
            Some(whole) => ValueKind::I64(whole),
            None => ValueKind::Float(value.as_f64().unwrap_or_default()),
        },
        Json::String(text) => ValueKind::String(text.clone()),
        Json::Array(items) => {
            let item = |item| Value::new(Some(&number.to_string()), kind(item, number));
            ValueKind::Array(items.iter().map(item).collect())
        }
    }
}

fn unwrap(
    value: &Value,
    path: &mut Vec<String>,
    from: &[Entry],
    origins: &mut BTreeMap<String, Origin>,
) -> Json {
    if let ValueKind::Table(table) = &value.kind {
        let inner = table.iter().map(|(key, value)| {
            path.push(key.clone());
            let json = unwrap(value, path, from, origins);
            path.pop();
            (key.clone(), json)
        });
        return inner.collect();
    }
    // The entry itself, not what the layering made of it: nothing is converted on the way.
    let number = value.origin().and_then(|origin| origin.parse::<usize>().ok());
    let Some(entry) = number.and_then(|number| from.get(number)) else { return Json::Null };
    origins.insert(dotted(path), entry.origin.clone());
    entry.value.clone()
}
