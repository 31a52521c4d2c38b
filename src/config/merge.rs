//! Lays the places settings come from over each other, and remembers which of them won. Knows no
//! setting by name.

use std::collections::BTreeMap;

use ::config::{Config, ConfigError, Map, Source, Value, ValueKind};
use serde_json::Value as Json;

use super::origin::{Origin, dotted};
use super::sources::Entry;

/// One place as the layering crate wants it; each value carries the number of its entry.
#[derive(Debug, Clone, Default)]
struct Layer(Map<String, Value>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

impl Layer {
    fn put(&mut self, path: &[String], value: Value) {
        let Some((key, sections)) = path.split_last() else { return };
        let mut table = &mut self.0;
        for section in sections {
            let empty = || Value::new(None, ValueKind::Table(Map::new()));
            let section = table.entry(section.clone()).or_insert_with(empty);
            // No section is a setting, too.
            let ValueKind::Table(inner) = &mut section.kind else { return };
            table = inner;
        }
        table.insert(key.clone(), value);
    }
}

/// Lays the entries over each other, later ones over earlier ones; those of one place stand together.
/// Gives the values as one tree and the origin of each by dotted name.
///
/// # Errors
///
/// Those of the layering crate, which has none for entries that fit what is known.
pub(super) fn merge(entries: &[Entry]) -> Result<(Json, BTreeMap<String, Origin>), ConfigError> {
    let (mut builder, mut number) = (Config::builder(), 0_usize);
    for place in entries.chunk_by(|a, b| a.origin.layer() == b.origin.layer()) {
        let mut layer = Layer::default();
        for entry in place {
            layer.put(&entry.path, numbered(&entry.value, &number.to_string()));
            number += 1;
        }
        builder = builder.add_source(layer);
    }
    let mut origins = BTreeMap::new();
    let tree = tree(&builder.build()?.cache, &mut Vec::new(), entries, &mut origins);
    Ok((tree, origins))
}

fn numbered(value: &Json, number: &str) -> Value {
    let kind = match value {
        Json::Null | Json::Object(_) => ValueKind::Nil,
        Json::Bool(value) => ValueKind::Boolean(*value),
        Json::Number(value) => match value.as_i64() {
            Some(whole) => ValueKind::I64(whole),
            None => ValueKind::Float(value.as_f64().unwrap_or_default()),
        },
        Json::String(text) => ValueKind::String(text.clone()),
        Json::Array(items) => ValueKind::Array(items.iter().map(|item| numbered(item, number)).collect()),
    };
    Value::new(Some(&number.to_owned()), kind)
}

/// What has won, as it was given: nothing is converted on the way.
fn tree(
    value: &Value,
    path: &mut Vec<String>,
    from: &[Entry],
    origins: &mut BTreeMap<String, Origin>,
) -> Json {
    if let ValueKind::Table(table) = &value.kind {
        let inner = table.iter().map(|(key, value)| {
            path.push(key.clone());
            let json = tree(value, path, from, origins);
            path.pop();
            (key.clone(), json)
        });
        return inner.collect();
    }
    let number = value.origin().and_then(|origin| origin.parse::<usize>().ok());
    let Some(entry) = number.and_then(|number| from.get(number)) else { return Json::Null };
    origins.insert(dotted(path), entry.origin.clone());
    entry.value.clone()
}
