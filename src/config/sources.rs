//! The places settings come from: file, environment, flags. Turns each into single values with
//! their origin.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use serde_json::{Map as JsonMap, Number, Value as Json};
use toml::de::{DeTable, DeValue};

use super::diagnostics::{MAX_SHOWN, Problem, nearest};
use super::lookup::find;
use super::origin::{Origin, dotted};
use super::schema::Known;
use crate::file;

/// Largest settings file.
const MAX_BYTES: u64 = 1 << 20;
/// Most syntax errors shown; one mistake often brings more.
const MAX_SYNTAX: usize = 5;
pub(super) const PREFIX: &str = "PLUG2MQTT_";

/// One value from one place.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) path: Vec<String>,
    pub(super) value: Json,
    pub(super) origin: Origin,
}

/// The file to read: the one asked for, or the first that is there.
pub(super) fn locate(asked: Option<&Path>) -> Option<PathBuf> {
    let usual = || ["plug2mqtt.toml", "/etc/plug2mqtt/plug2mqtt.toml"].map(PathBuf::from).into_iter();
    asked.map(Into::into).or_else(|| usual().find(|path| path.symlink_metadata().is_ok()))
}

/// The text of the file, or the one thing that is wrong with the file as a whole.
pub(super) fn text(path: &Path) -> Result<String, Problem> {
    let wrong = |place, text: String| {
        let origin = Some(Origin::File { path: path.into(), place });
        Problem::new(origin, "", text)
    };
    let bytes = file::read(path, MAX_BYTES).map_err(|error| {
        let known = [
            (io::ErrorKind::NotFound, "there is no such file; check --config"),
            (io::ErrorKind::IsADirectory, "is a directory; name the settings file in it"),
            (io::ErrorKind::FileTooLarge, "is larger than 1 MiB, so it is not a settings file"),
            (io::ErrorKind::PermissionDenied, "may not be read by this user; a service with a user of its own needs chmod 644, and passwords in files of their own (mqtt.password_file)"),
            (io::ErrorKind::InvalidInput, "is a pipe or a device; name a file"),
        ];
        let known = known.iter().find(|(kind, _)| *kind == error.kind());
        wrong(None, known.map_or_else(|| format!("cannot be read: {error}"), |(_, text)| (*text).into()))
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let good = error.utf8_error().valid_up_to();
        let before = String::from_utf8_lossy(error.as_bytes().get(..good).unwrap_or_default()).into_owned();
        wrong(Some(Lines::of(&before).place(good)), "is not UTF-8 here; save it as UTF-8".into())
    })
}

/// Where lines begin.
struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str) -> Self {
        let starts = text.match_indices('\n').map(|(newline, _)| newline + 1);
        Self { text, starts: std::iter::once(0).chain(starts).collect() }
    }

    /// Line and column of a byte, from 1. In a line that is no line of text the column is in bytes.
    fn place(&self, byte: usize) -> (usize, usize) {
        let line = self.starts.partition_point(|start| *start <= byte);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or_default();
        let before = self.text.get(start..byte).unwrap_or_default();
        let column = if before.len() > 4096 { before.len() } else { before.chars().count() };
        (line, column + 1)
    }
}

/// Takes a TOML file apart.
pub(super) fn file(path: &Path, text: &str, known: &[Known], problems: &mut Vec<Problem>) -> Vec<Entry> {
    let lines = Lines::of(text);
    let at = |span: Range<usize>| Origin::File { path: path.into(), place: Some(lines.place(span.start)) };
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(MAX_SYNTAX) {
        // The message alone: the line it stands in may hold a password.
        let text = format!("is not TOML: {}", error.message().replace('\n', ", "));
        problems.push(Problem::new(Some(at(error.span().unwrap_or(0..0))), "", text));
    }
    // What stands before the first syntax error was read as it was meant.
    let reliable = errors.iter().filter_map(|error| error.span()).map(|span| span.start).min();
    let mut leaves = Vec::new();
    flatten(table.get_ref(), &mut Vec::new(), &mut leaves);
    let before_it = |span: &Range<usize>| reliable.is_none_or(|end| span.end < end);
    let mut entries = Vec::new();
    for (parts, value) in leaves {
        if problems.len() > MAX_SHOWN {
            break;
        }
        let (path, spans): (Vec<String>, Vec<Range<usize>>) = parts.into_iter().unzip();
        if !spans.last().is_some_and(before_it) {
            continue;
        }
        let empty_section = value.as_object().is_some_and(JsonMap::is_empty);
        if empty_section && known.iter().any(|k| starts(k, &path)) {
            continue;
        }
        let origin = |depth: usize| at(spans.get(depth.saturating_sub(1)).cloned().unwrap_or_default());
        take(known, path, origin, problems, |setting| setting.fit(value), &mut entries);
    }
    entries
}

/// Whether the path names a section that this setting is in.
fn starts(known: &Known, path: &[String]) -> bool {
    let fits = |(known, given): (&String, &String)| known.starts_with('<') || known == given;
    known.path.len() > path.len() && known.path.iter().zip(path).all(fits)
}

/// The parts of a name with the place of each, and the value.
type Leaf = (Vec<(String, Range<usize>)>, Json);

fn flatten(table: &DeTable<'_>, path: &mut Vec<(String, Range<usize>)>, out: &mut Vec<Leaf>) {
    for (key, value) in table {
        path.push((key.get_ref().to_string(), key.span()));
        if let DeValue::Table(inner) = value.get_ref()
            && !inner.is_empty()
        {
            flatten(inner, path, out);
        } else {
            out.push((path.clone(), json(value.get_ref())));
        }
        path.pop();
    }
}

/// What JSON cannot say becomes `null`, which no setting accepts, or text, which no number accepts.
fn json(value: &DeValue<'_>) -> Json {
    match value {
        DeValue::String(text) => Json::String(text.to_string()),
        DeValue::Integer(number) => {
            let parsed = i64::from_str_radix(number.as_str(), number.radix());
            parsed.map_or_else(|_| Json::String(number.to_string()), Json::from)
        }
        DeValue::Float(number) => {
            let parsed = number.as_str().parse().ok().and_then(Number::from_f64);
            parsed.map_or_else(|| Json::String(number.as_str().into()), Json::Number)
        }
        DeValue::Boolean(value) => Json::Bool(*value),
        DeValue::Datetime(_) => Json::Null,
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(_) => Json::Object(JsonMap::new()),
    }
}

/// Takes one value; `origin` tells where the name up to that many parts stands.
fn take(
    known: &[Known],
    path: Vec<String>,
    origin: impl Fn(usize) -> Origin,
    problems: &mut Vec<Problem>,
    fit: impl FnOnce(&Known) -> Result<Json, String>,
    entries: &mut Vec<Entry>,
) {
    match find(known, &path) {
        Err(stranger) => {
            let (key, origin) = (dotted(&stranger.key), origin(stranger.key.len()));
            // A wrong section is one mistake, however much stands in it.
            let said =
                |p: &Problem| p.key == key && p.origin.as_ref().map(Origin::layer) == Some(origin.layer());
            if !problems.iter().any(said) {
                problems.push(Problem::new(Some(origin), key, stranger.text));
            }
        }
        Ok(setting) => {
            let origin = origin(path.len());
            match fit(setting) {
                Ok(value) => entries.push(Entry { path, value, origin }),
                Err(text) => problems.push(Problem::new(Some(origin), dotted(&path), text)),
            }
        }
    }
}

/// Takes `PLUG2MQTT_<SECTION>__<KEY>` from the environment. An empty value means not set.
pub(super) fn environment(
    variables: impl Iterator<Item = (String, String)>,
    known: &[Known],
    problems: &mut Vec<Problem>,
) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (name, value) in variables {
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        if value.is_empty() {
            continue;
        }
        let origin = Origin::Environment(name.clone());
        let path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
        if path.len() > 1 || known.iter().any(|k| k.path == path) {
            take(known, path, |_| origin.clone(), problems, |setting| setting.fit_text(&value), &mut entries);
            continue;
        }
        // A service of this name makes Kubernetes set PLUG2MQTT_PORT and the like, so a name
        // without the double underscore is an error only where it is a setting written wrongly.
        if let Some(meant) = near_variable(rest, &value, known) {
            let text = format!("unknown variable; did you mean {PREFIX}{meant}?");
            problems.push(Problem::new(Some(origin), "", text));
        }
    }
    entries
}

/// The setting whose name without its double underscores is this one or, unless Kubernetes gives such
/// names, near to it.
fn near_variable(rest: &str, value: &str, known: &[Known]) -> Option<String> {
    let fixed = known.iter().filter(|k| !k.path.iter().any(|part| part.starts_with('<')));
    let names: Vec<(String, String)> = fixed.map(|k| (k.path.join("_"), k.path.join("__"))).collect();
    // Its PORT has a URL as its value.
    let of_kubernetes = ["PORT_", "SERVICE_"].iter().any(|word| rest.contains(word))
        || (rest.ends_with("PORT") && value.contains("://"));
    let near = nearest(rest, names.iter().map(|(flat, _)| flat.as_str()))?;
    let (flat, name) = names.iter().find(|(flat, _)| flat == near)?;
    (flat.eq_ignore_ascii_case(rest) || !of_kubernetes).then(|| name.to_ascii_uppercase())
}

/// Takes `section.key` and value pairs from the command line; a text may be quoted, as in a file.
pub(super) fn flags(given: &[(String, String)], known: &[Known], problems: &mut Vec<Problem>) -> Vec<Entry> {
    let mut entries = Vec::new();
    for (name, value) in given {
        let path = name.split('.').map(|part| part.trim_matches('"').to_owned()).collect();
        let origin = Origin::Flag(name.clone());
        let text: String = serde_json::from_str(value).unwrap_or_else(|_| value.clone());
        take(known, path, |_| origin.clone(), problems, |setting| setting.fit_text(&text), &mut entries);
    }
    entries
}
