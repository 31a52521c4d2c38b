//! Lays the places settings come from over each other, and remembers which of them won. Knows no
//! setting by name.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::layer::{Entry, Origin, dotted};

/// Lays the entries over each other, later ones over earlier ones. Gives the values as one tree
/// and the origin of each by dotted name.
pub(super) fn merge(entries: Vec<Entry>) -> (Json, BTreeMap<String, Origin>) {
    let (mut tree, mut origins) = (Map::new(), BTreeMap::new());
    for Entry { path, value, origin } in entries {
        put(&mut tree, &path, value);
        origins.insert(dotted(&path), origin);
    }
    (Json::Object(tree), origins)
}

fn put(tree: &mut Map<String, Json>, path: &[String], value: Json) {
    match path {
        [] => {}
        [key] => drop(tree.insert(key.clone(), value)),
        [section, inner @ ..] => {
            let section = tree.entry(section.clone()).or_insert_with(|| Json::Object(Map::new()));
            // No section is a setting, too.
            if let Some(tree) = section.as_object_mut() {
                put(tree, inner, value);
            }
        }
    }
}
