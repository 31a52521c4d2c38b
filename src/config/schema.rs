//! Every setting there is, read off the JSON schema of the settings types: name, default, what is
//! allowed, what it does. Checks one value against one setting; refuses to know where values come
//! from.

use schemars::generate::SchemaSettings;
use serde::de::{self, DeserializeOwned, Deserializer, Visitor};
use serde_json::{Number, Value as Json};

use super::family::{self, FamilySection};
use super::settings::{
    Availability, Broker, Commands, Device, Finding, HomeAssistant, Log, Metering, Mqtt, Port, Publish,
    Settings, State, Tls, Web,
};
use super::value::shown;
use crate::drivers::Driver;

/// Most elements of a list: as many plugs as the program takes.
const MAX_LIST: usize = 8192;

/// Stands for any key in the path of a setting: `<id>` of a plug, `<n>` of a port.
pub(super) const ID: &str = "<id>";
pub(super) const NUMBER: &str = "<n>";

/// One setting.
#[derive(Debug, Clone)]
pub struct Known {
    /// Its name, part by part; `<id>` and `<n>` stand for any plug id and port number.
    pub path: Vec<String>,
    /// The first sentence or two of its documentation.
    pub doc: String,
    /// Its default; `null` when it has none.
    pub default: Json,
    /// What is allowed, in words.
    pub allowed: String,
    /// Whether its value must never be shown.
    pub secret: bool,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    Text,
    Duration,
    Whole { min: i64, max: i64 },
    Number { min: f64, max: f64 },
    Switch,
    Choice(Vec<String>),
    List,
}

/// The JSON schema of the settings file, with a section for the family of each of these drivers.
pub fn schema(drivers: &[&'static dyn Driver]) -> Json {
    let generator = || SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true).into_generator();
    let mut schema = generator().into_root_schema_for::<Settings>().to_value();
    let common = generator().into_root_schema_for::<FamilySection>().to_value();
    if let Some(schema) = schema.as_object_mut() {
        schema.insert("title".into(), "plug2mqtt settings".into());
    }
    if let Some(sections) = schema.get_mut("properties").and_then(Json::as_object_mut) {
        sections
            .extend(drivers.iter().map(|&driver| (driver.name().into(), family::schema(driver, &common))));
    }
    schema
}

/// All settings in the order of their declaration.
pub fn all(drivers: &[&'static dyn Driver]) -> Vec<Known> {
    let mut out = Vec::new();
    walk(&schema(drivers), drivers, &mut Vec::new(), &mut out);
    out
}

fn walk(schema: &Json, drivers: &[&'static dyn Driver], path: &mut Vec<String>, out: &mut Vec<Known>) {
    if let Some(properties) = schema.get("properties").and_then(Json::as_object) {
        for name in order(path, drivers) {
            // Own lists of field names and the schema come from the same types.
            let inner = properties.get(&name).expect("the schema has every field");
            path.push(name);
            walk(inner, drivers, path, out);
            path.pop();
        }
        return;
    }
    let open = |key: &str| schema.get(key).filter(|inner| inner.is_object());
    if let Some(inner) = open("patternProperties").and_then(|p| p.as_object()?.values().next()) {
        path.push(NUMBER.into());
        walk(inner, drivers, path, out);
        path.pop();
    } else if let Some(inner) = open("additionalProperties") {
        path.push(ID.into());
        walk(inner, drivers, path, out);
        path.pop();
    } else {
        out.push(Known::read(schema, path));
    }
}

impl Known {
    fn read(schema: &Json, path: &[String]) -> Self {
        let text = |key: &str| schema.get(key).and_then(Json::as_str);
        let flag = |key: &str| schema.get(key).and_then(Json::as_bool).unwrap_or_default();
        let kind = kind(schema);
        let allowed = text("x-allowed").map_or_else(|| kind.allowed(), Into::into);
        Self {
            path: path.to_vec(),
            doc: text("description").unwrap_or_default().replace('\n', " "),
            default: schema.get("default").cloned().unwrap_or(Json::Null),
            allowed,
            secret: flag("x-secret"),
            kind: if flag("x-duration") { Kind::Duration } else { kind },
        }
    }

    /// Its name with dots.
    pub fn name(&self) -> String {
        self.path.join(".")
    }

    /// The section it stands in, without the last part of its name.
    pub fn section(&self) -> &[String] {
        self.path.split_last().map_or(&[], |(_, section)| section)
    }

    /// The last part of its name.
    pub fn key(&self) -> &str {
        self.path.last().map_or("", String::as_str)
    }

    /// Takes a value as TOML gives it, or says what is wrong with it.
    pub(super) fn fit(&self, value: Json) -> Result<Json, String> {
        let wrong = |wanted: &str| Err(format!("{} is not {wanted}", self.show(&value)));
        match (&self.kind, &value) {
            (Kind::Text | Kind::Duration | Kind::Choice(_) | Kind::Number { .. }, Json::String(text))
                if text.is_empty() && self.default.is_null() =>
            {
                Ok(Json::Null)
            }
            (Kind::Choice(words), Json::String(text)) if words.contains(text) => Ok(value),
            (Kind::Choice(_), _) => wrong(&format!("one of {}", self.allowed.replace('`', ""))),
            (Kind::Text | Kind::Duration, Json::String(_)) | (Kind::Switch, Json::Bool(_)) => Ok(value),
            (Kind::Text, _) => wrong("text; put it in quotes"),
            // As text, so that the answer is the one about the missing unit.
            (Kind::Duration, Json::Number(number)) => Ok(Json::String(number.to_string())),
            (Kind::Duration, _) => wrong("a duration; write it like \"5s\""),
            (Kind::Switch, _) => wrong("true or false"),
            (Kind::Whole { min, max }, Json::Number(number)) => match number.as_i64() {
                Some(whole) if (*min..=*max).contains(&whole) => Ok(value),
                Some(whole) => Err(format!("{whole} is out of range; {} is allowed", self.allowed)),
                None => wrong("a whole number"),
            },
            (Kind::Whole { .. }, _) => wrong(&format!("a whole number; {} is allowed", self.allowed)),
            (Kind::Number { min, max }, Json::Number(number)) => match number.as_f64() {
                Some(number) if (*min..=*max).contains(&number) => Ok(number.into()),
                _ => Err(format!("{number} is out of range; {} is allowed", self.allowed)),
            },
            (Kind::Number { .. }, _) => wrong(&format!("a number; {} is allowed", self.allowed)),
            (Kind::List, Json::Array(items)) if items.len() > MAX_LIST => {
                Err(format!("{} entries are too many; {MAX_LIST} are allowed", items.len()))
            }
            (Kind::List, Json::Array(items)) => match items.iter().find(|item| !item.is_string()) {
                Some(item) => Err(format!("{} is not text; put it in quotes", self.show(item))),
                None => Ok(value),
            },
            (Kind::List, _) => wrong("a list; write it like [\"...\"]"),
        }
    }

    /// Takes a value as the environment and flags give it: always text.
    pub(super) fn fit_text(&self, text: &str) -> Result<Json, String> {
        let plain = text.trim();
        let value = match self.kind {
            Kind::Text | Kind::Duration | Kind::Choice(_) => Json::String(text.into()),
            Kind::Whole { .. } => plain.parse::<i64>().map_or(text.into(), Json::from),
            Kind::Number { .. } => {
                plain.parse().ok().and_then(Number::from_f64).map_or(text.into(), Json::Number)
            }
            Kind::Switch => match plain.to_ascii_lowercase().as_str() {
                "true" | "1" | "yes" | "on" => true.into(),
                "false" | "0" | "no" | "off" => false.into(),
                _ => text.into(),
            },
            Kind::List => {
                let bare = plain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(plain);
                let items = bare.split(',').map(|item| item.trim().trim_matches(['"', '\'']));
                items.filter(|item| !item.is_empty()).map(Json::from).collect::<Vec<_>>().into()
            }
        };
        self.fit(value)
    }

    fn show(&self, value: &Json) -> String {
        match value {
            _ if self.secret => "what is given".into(),
            Json::String(text) => shown(text),
            Json::Bool(_) | Json::Number(_) => value.to_string(),
            Json::Null => "a date".into(),
            Json::Array(_) => "a list".into(),
            Json::Object(_) => "a section".into(),
        }
    }
}

fn kind(schema: &Json) -> Kind {
    let is = |wanted: &str| match schema.get("type") {
        Some(Json::String(kind)) => kind == wanted,
        Some(Json::Array(kinds)) => kinds.iter().any(|kind| kind == wanted),
        _ => false,
    };
    let bound = |key: &str| schema.get(key).and_then(Json::as_f64);
    let words: Vec<String> = match (schema.get("enum"), schema.get("oneOf")) {
        (Some(Json::Array(words)), _) => words.iter().filter_map(|w| w.as_str().map(Into::into)).collect(),
        (_, Some(Json::Array(variants))) => {
            variants.iter().filter_map(|v| v.get("const")?.as_str().map(Into::into)).collect()
        }
        _ => Vec::new(),
    };
    if !words.is_empty() {
        Kind::Choice(words)
    } else if is("boolean") {
        Kind::Switch
    } else if is("integer") {
        let whole = |key: &str| schema.get(key).and_then(Json::as_i64);
        Kind::Whole { min: whole("minimum").unwrap_or(0), max: whole("maximum").unwrap_or(i64::MAX) }
    } else if is("number") {
        Kind::Number { min: bound("minimum").unwrap_or(0.0), max: bound("maximum").unwrap_or(f64::MAX) }
    } else if is("array") {
        Kind::List
    } else {
        Kind::Text
    }
}

impl Kind {
    fn allowed(&self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Duration => "duration".into(),
            Self::Whole { min, max } => format!("{min} to {max}"),
            Self::Number { min, max } => format!("{min} to {max}"),
            Self::Switch => "`true`, `false`".into(),
            Self::Choice(words) => {
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
            }
            Self::List => "list".into(),
        }
    }
}

/// JSON objects here are sorted by name; this is the order in which the fields are declared.
fn order(path: &[String], drivers: &[&'static dyn Driver]) -> Vec<String> {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    if let [name] = parts.as_slice()
        && let Some(driver) = drivers.iter().find(|driver| driver.name() == *name)
    {
        return family::order(driver.info(), fields::<FamilySection>());
    }
    if let [name, section] = parts.as_slice()
        && let Some(driver) = drivers.iter().find(|driver| driver.name() == *name)
    {
        return family::inner_order(driver.info(), section);
    }
    let fields = match parts.as_slice() {
        [] => {
            // The families stand before their plugs.
            let names = fields::<Settings>().iter().flat_map(|&name| {
                let before = if name == "device" { drivers } else { &[] };
                before.iter().map(|driver| driver.name()).chain([name])
            });
            return names.map(Into::into).collect();
        }
        ["mqtt"] => fields::<Mqtt>(),
        ["mqtt", "tls"] => fields::<Tls>(),
        ["broker"] => fields::<Broker>(),
        ["home_assistant"] => fields::<HomeAssistant>(),
        ["publish"] => fields::<Publish>(),
        ["energy"] => fields::<Metering>(),
        ["discovery"] => fields::<Finding>(),
        ["commands"] => fields::<Commands>(),
        ["availability"] => fields::<Availability>(),
        ["device", ID] => fields::<Device>(),
        ["device", ID, "port", NUMBER] => fields::<Port>(),
        ["web"] => fields::<Web>(),
        ["state"] => fields::<State>(),
        ["log"] => fields::<Log>(),
        _ => unreachable!("every section is listed: {path:?}"),
    };
    fields.iter().map(ToString::to_string).collect()
}

fn fields<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &[&str] = &[];
    let asked = T::deserialize(Fields(&mut names));
    debug_assert!(asked.is_err());
    names
}

/// Learns the names of a struct's fields from the question for them, and answers nothing.
struct Fields<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(de::Error::custom("only the names were asked for"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Self::Error> {
        *self.0 = fields;
        Err(de::Error::custom("only the names were asked for"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
