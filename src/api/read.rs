//! JSON as people and programs write it, read with errors that name the key.

use super::{Asked, Verb};
use crate::model::{MAX_PORTS, SwitchAction, amount, port_number};
use serde::de::value::MapDeserializer;
use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer};
use serde_json::{Value as Json, json};
use serde_path_to_error::Segment;
use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::marker::PhantomData;

/// The longest mark of a sender that is given back, in characters.
pub(super) const MAX_MARK: usize = 128;

/// The sender's mark in a request.
pub(super) const TRANSACTION: &str = "transaction";

/// Understands a request with this verb.
pub(super) fn request<T: Verb>(text: &str) -> Result<Asked, String> {
    let word = || serde_json::from_str(text).unwrap_or_else(|_| text.to_owned());
    let request: T = match T::WORD {
        _ if text.starts_with('{') => object(T::NAME, "request", TRANSACTION, text)?,
        Some(_) if text.is_empty() => object(T::NAME, "request", TRANSACTION, "{}")?,
        Some(key) => object(T::NAME, "request", TRANSACTION, &json!({key: word()}).to_string())?,
        None => {
            let keys = its_keys(keys::<T>(), TRANSACTION);
            return Err(format!("not a request: {} is a JSON object; {keys}", T::NAME));
        }
    };
    request.ask()
}

/// Reads the object `who` says, a `what`, with the sender's mark under the key `mark`. An error names the
/// key.
pub(super) fn object<T: DeserializeOwned>(
    who: &str,
    what: &str,
    mark: &str,
    text: &str,
) -> Result<T, String> {
    object_beside(who, what, &[], mark, text)
}

/// The same, where these other keys have been taken out of it.
pub(super) fn object_beside<T: DeserializeOwned>(
    who: &str,
    what: &str,
    beside: &[&str],
    mark: &str,
    text: &str,
) -> Result<T, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let read = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        foreign(who, beside, mark, &error).unwrap_or_else(|| {
            let path = Some(error.path().to_string()).filter(|path| path != ".");
            let path = path.map_or_else(String::new, |path| format!("{}: ", short(&path)));
            format!("not a {what}: {path}{}", sentence(error.inner()))
        })
    })?;
    json.end().map_err(|error| format!("not a {what}: {}", sentence(&error)))?;
    list_for_object(text).map_or(Ok(read), |path| Err(format!("not a {what}: {path} is a JSON object")))
}

/// The longest that is quoted of what somebody sent, in characters.
const MAX_QUOTED: usize = 120;

/// The beginning of a text.
fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.into(),
    }
}

/// What is wrong with JSON, in words for people.
pub(super) fn sentence(error: &serde_json::Error) -> String {
    let all = error.to_string();
    let said = all.rsplit_once(" at line ").map_or(all.as_str(), |(said, _)| said);
    if !error.is_data() {
        return format!("{said}, at character {}", error.column());
    }
    for wrong in ["invalid type: ", "invalid value: "] {
        if let Some((given, wanted)) =
            said.strip_prefix(wrong).and_then(|rest| rest.rsplit_once(", expected "))
        {
            return format!("it is {}, not {}", wanted_in_words(wanted), short(&given_in_words(given)));
        }
    }
    let known = [
        ("unknown variant ", "there is no word "),
        ("missing field ", "there is no key "),
        ("duplicate field ", "there is twice the key "),
    ];
    let known = known.iter().find_map(|(serde, ours)| Some(format!("{ours}{}", said.strip_prefix(serde)?)));
    short(&known.unwrap_or_else(|| said.into()))
}

fn wanted_in_words(wanted: &str) -> &str {
    match wanted {
        "a sequence" => "a list",
        "a map" | "a JSON object" => "a JSON object",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" => "text in quotes",
        "u8" | "u16" | "u32" | "u64" | "usize" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        wanted if wanted.contains("struct ") => "a JSON object",
        wanted => wanted,
    }
}

fn given_in_words(given: &str) -> String {
    match given {
        "map" => "an object".into(),
        "sequence" => "a list".into(),
        given => {
            let value = ["integer ", "floating point ", "boolean ", "string "];
            let value = value.iter().find_map(|kind| given.strip_prefix(kind));
            value.unwrap_or(given).trim_matches('`').into()
        }
    }
}

/// What stands under the numbers of ports, each once.
pub(super) fn by_port<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    json: D,
) -> Result<BTreeMap<u8, T>, D::Error> {
    struct ByPort<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> de::Visitor<'de> for ByPort<T> {
        type Value = BTreeMap<u8, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a JSON object")
        }

        fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = BTreeMap::new();
            while let Some(key) = map.next_key::<String>()? {
                let port = port_number(&key).filter(|port| usize::from(*port) <= MAX_PORTS);
                let port = port.ok_or_else(|| {
                    de::Error::custom(format!(
                        "{:?} is no port; they are numbered 1 to {MAX_PORTS}",
                        short(&key)
                    ))
                })?;
                if all.insert(port, map.next_value()?).is_some() {
                    return Err(de::Error::custom(format!("port {port} is there twice")));
                }
            }
            Ok(all)
        }
    }

    json.deserialize_map(ByPort(PhantomData))
}

/// The same where there may be none.
pub(super) fn some_by_port<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    json: D,
) -> Result<Option<BTreeMap<u8, T>>, D::Error> {
    struct Wrapped<T>(BTreeMap<u8, T>);

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for Wrapped<T> {
        fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
            by_port(json).map(Self)
        }
    }

    Ok(Option::<Wrapped<T>>::deserialize(json)?.map(|wrapped| wrapped.0))
}

/// Where a list stands in the place of an object: its items would be taken for values of the keys, in order.
fn list_for_object(text: &str) -> Option<String> {
    let json: Json = serde_json::from_str(text).ok()?;
    let of_ports = json.pointer("/options/port").and_then(Json::as_object).into_iter().flatten();
    let of_ports = of_ports.map(|(port, options)| (format!("options.port.{port}"), options));
    let named = ["options", "options/port", "add", "change"].into_iter();
    let named = named.filter_map(|path| Some((path.replace('/', "."), json.pointer(&format!("/{path}"))?)));
    named.chain(of_ports).find(|(_, one)| one.is_array()).map(|(path, _)| path)
}

/// Which key an object has that it does not know, and which it knows; `None` for another error.
fn foreign(
    who: &str,
    beside: &[&str],
    mark: &str,
    error: &serde_path_to_error::Error<serde_json::Error>,
) -> Option<String> {
    let Some(Segment::Map { key }) = error.path().iter().next_back() else { return None };
    let said = error.inner().to_string();
    let known = said.strip_prefix(&format!("unknown field `{key}`, "))?;
    let known: Vec<&str> = known.split('`').skip(1).step_by(2).collect();
    let path = error.path().to_string();
    let inside = path.strip_suffix(key.as_str())?.strip_suffix('.');
    let beside = if inside.is_some() { &[] } else { beside };
    let known: Vec<&str> = beside.iter().copied().chain(known).collect();
    let object = inside.unwrap_or(who);
    let key: String = key.chars().take(MAX_MARK).collect();
    Some(format!("{object} has no key {key:?}; {}", its_keys(&known, mark)))
}

/// The mark is everywhere, so that it comes last.
pub(super) fn its_keys(all: &[&str], mark: &str) -> String {
    let marks = all.contains(&mark);
    let own: Vec<&str> = all.iter().copied().filter(|key| *key != mark).collect();
    match own.split_last() {
        None if marks => format!("its keys are none but {mark:?}"),
        Some(_) if marks => format!("its keys are {} and {mark}", own.join(", ")),
        Some((last, before @ [_, ..])) => format!("its keys are {} and {last}", before.join(", ")),
        _ => format!("its only key is {}", own.join("")),
    }
}

/// The names of a struct's fields, as JSON has them.
pub(super) fn keys<T: DeserializeOwned>() -> &'static [&'static str] {
    // Asked for a key that no struct has, it says which ones there are.
    let foreign = MapDeserializer::<_, Known>::new(std::iter::once(("", ())));
    T::deserialize(foreign).err().map_or(&[], |Known(keys)| keys)
}

/// An error that only keeps which keys there are.
#[derive(Debug)]
struct Known(&'static [&'static str]);

impl de::Error for Known {
    fn custom<T: Display>(_: T) -> Self {
        Self(&[])
    }

    fn unknown_field(_: &str, keys: &'static [&'static str]) -> Self {
        Self(keys)
    }
}

impl Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(", "))
    }
}

impl std::error::Error for Known {}

/// The sender's mark in a command or request, as JSON text; of one that is too long only the beginning,
/// for the refusal.
pub fn mark(text: &str, key: &str) -> Option<String> {
    let json: Json = serde_json::from_str(text).ok()?;
    let mark = json.get(key).filter(|mark| !mark.is_null())?;
    let begin = |text: &str| text.chars().take(MAX_MARK).collect::<String>();
    Some(mark.as_str().map_or_else(|| begin(&mark.to_string()), |text| Json::from(begin(text)).to_string()))
}

/// The word for where a relay should go.
pub(super) fn wish(text: &str) -> Option<SwitchAction> {
    let any = |words: &[&str]| words.iter().any(|word| word.eq_ignore_ascii_case(text.trim()));
    match () {
        () if any(&["on", "true", "1"]) => Some(SwitchAction::On),
        () if any(&["off", "false", "0"]) => Some(SwitchAction::Off),
        () if any(&["toggle"]) => Some(SwitchAction::Toggle),
        () => None,
    }
}

/// The same in JSON: a word, `true`, `false`, `1` or `0`.
pub(super) fn wish_json(json: &Json) -> Option<SwitchAction> {
    match json {
        Json::String(text) => wish(text),
        Json::Bool(_) | Json::Number(_) => wish(&json.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// Seconds: a number, also as text, or a time as `20m`.
pub(super) fn seconds<'de, D: Deserializer<'de>>(json: D) -> Result<Option<u64>, D::Error> {
    let json = Json::deserialize(json)?;
    let word = |word: &str| {
        let time = || humantime::parse_duration(word).ok().filter(|time| time.subsec_nanos() == 0);
        word.parse().ok().or_else(|| time().map(|time| time.as_secs()))
    };
    match json.as_u64().or_else(|| json.as_str().map(str::trim).and_then(word)) {
        None if json.is_null() => Ok(None),
        None => Err(de::Error::custom(format!("{json} is no time; write seconds, or a time as \"20m\""))),
        seconds => Ok(seconds),
    }
}

/// A number, also as text as people write it.
pub(super) fn number<'de, D: Deserializer<'de>>(json: D) -> Result<Option<f64>, D::Error> {
    let json = Json::deserialize(json)?;
    match (&json, json.as_str()) {
        (Json::Null, _) => Ok(None),
        (_, Some(text)) => amount(text).map(Some).map_err(de::Error::custom),
        _ => json.as_f64().map(Some).ok_or_else(|| de::Error::custom(format!("{json} is no number"))),
    }
}

/// A key that is there, be it with `null`, is something else than none.
pub(super) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(json: D) -> Result<Option<T>, D::Error> {
    T::deserialize(json).map(Some)
}
