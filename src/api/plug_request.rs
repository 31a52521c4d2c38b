//! Requests to one plug: the keys of the capability, and beside them those that every such request has.

use super::read::{self, TRANSACTION, its_keys};
use super::{Asked, to_plug};
use crate::capability::Request;
use crate::model::PlugRequest;
use serde::de::{DeserializeOwned, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Which plug, as in `bridge/devices`.
const ID: &str = "id";

/// Understands a request of a capability.
pub(super) fn request<R: Request + DeserializeOwned + Into<PlugRequest>>(
    text: &str,
) -> Result<Asked, String> {
    let not = |why: &str| format!("not a request: {why}");
    let wrong = |error: serde_json::Error| not(&read::sentence(&error));
    if !text.starts_with('{') {
        return Err(not(&format!("{} is a JSON object; {}", R::VERB, its_keys(&keys::<R>(), TRANSACTION))));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let pairs = json.deserialize_map(Pairs).map_err(wrong)?;
    json.end().map_err(wrong)?;
    let (every, own): (Vec<_>, Vec<_>) =
        pairs.iter().partition(|(key, _)| [ID, TRANSACTION].contains(&key.as_str()));
    let mut every = every.into_iter();
    let id = every.clone().find(|(key, _)| key == ID).map(|(_, value)| value.get());
    if let Some((key, _)) = every.find(|(key, _)| pairs.iter().filter(|(other, _)| key == other).count() > 1)
    {
        return Err(not(&format!("there is twice the key `{key}`")));
    }
    let id: Option<String> = id
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error| not(&format!("{ID}: {}", read::sentence(&error))))?
        .flatten();
    let own: Vec<String> =
        own.iter().map(|(key, value)| format!("{}:{}", serde_json::json!(key), value.get())).collect();
    let own = format!("{{{}}}", own.join(","));
    let request: R = read::object_beside(R::VERB, "request", &[ID, TRANSACTION], TRANSACTION, &own)?;
    request.check()?;
    to_plug(id.as_deref(), request.into())
}

/// All keys.
pub(super) fn keys<R: DeserializeOwned>() -> Vec<&'static str> {
    std::iter::once(ID).chain(read::keys::<R>().iter().copied()).chain([TRANSACTION]).collect()
}

/// The keys of an object and their values as they stand there.
struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Vec<(String, &'de RawValue)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(pair) = map.next_entry()? {
            all.push(pair);
        }
        Ok(all)
    }
}
