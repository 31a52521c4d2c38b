//! `plug2mqtt config check|show|init|schema`. Writes
//! what the settings know about themselves; adds nothing.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;

use serde_json::Value as Json;

use super::discover::{Seen, names};
use crate::bridge::{misfits, state_directory};
use crate::config::{self, Known, Settings};
use crate::drivers::Driver;
use crate::io::store::Store;
use crate::model::PersistedState;

/// What the line for editors names; `config schema` writes it.
const SCHEMA: &str = "plug2mqtt.schema.json";

/// A plug for which `config init` writes a section.
#[derive(Debug, Clone)]
pub struct Discovered {
    /// Its id.
    pub id: String,
    /// The name it has.
    pub name: String,
    /// The names its ports have, as many as there are.
    pub ports: Vec<String>,
}

impl Discovered {
    /// The plugs that told how they are, with the names they were given over MQTT, else those they have
    /// themselves.
    #[must_use]
    pub fn all(seen: &[Seen], memory: &PersistedState) -> Vec<Self> {
        let names = names(&seen.iter().map(|seen| &seen.found).collect::<Vec<_>>());
        seen.iter().zip(names).filter_map(|(seen, name)| Self::of(seen, name, memory)).collect()
    }

    fn of(seen: &Seen, own: String, memory: &PersistedState) -> Option<Self> {
        let (facts, id) = (&seen.found.facts, seen.found.id.as_ref()?);
        let kept = memory.plugs.get(id);
        let given = kept.and_then(|kept| kept.name.as_ref());
        let port = |(number, own): (u8, usize)| {
            let given = kept.and_then(|kept| kept.port_names.get(&number));
            let name = given.or(facts.port_names.get(own).and_then(Option::as_ref));
            name.map_or_else(|| format!("Port {number}"), ToString::to_string)
        };
        Some(Self {
            id: id.to_string(),
            name: given.map_or(own, ToString::to_string),
            ports: (1..).zip(0..seen.reading.as_ref().ok()?.ports.len()).map(port).collect(),
        })
    }
}

/// Says that the settings are valid and where they were read. Invalid ones never get here.
pub fn check(settings: &Settings, file: Option<&Path>, out: &mut dyn Write) -> io::Result<()> {
    match file {
        Some(file) => writeln!(out, "settings are valid: {}", file.display())?,
        None => writeln!(out, "settings are valid: no file, defaults and environment only")?,
    }
    // Without a state file nobody knows which plugs there are.
    let memory = Store::peek(&state_directory(settings)).unwrap_or_default();
    let known = misfits::remembered(&memory);
    let found = if known.is_empty() { Vec::new() } else { misfits::misfits(settings, &known) };
    found.iter().try_for_each(|text| writeln!(out, "note: does nothing: {text}"))
}

/// Prints the settings in effect as TOML, each with where it came from unless it is the default.
/// Secrets are hidden.
pub fn show(settings: &Settings, file: Option<&Path>, out: &mut dyn Write) -> io::Result<()> {
    match file {
        Some(file) => writeln!(out, "# settings in effect, file {}", file.display())?,
        None => writeln!(out, "# settings in effect, no file")?,
    }
    let values = settings.values();
    let mut section = Vec::new();
    for known in config::all(&settings.drivers()) {
        // Map keys are filled in below, all settings of one plug together.
        if known.path.iter().any(|part| part.starts_with('<')) {
            continue;
        }
        let value = known.path.iter().try_fold(&values, |tree, key| tree.get(key));
        line(&mut section, &known.path, value, settings, out)?;
    }
    let devices = values.get("device").and_then(Json::as_object);
    for (id, device) in devices.into_iter().flatten() {
        leaves(&mut section, &mut vec!["device".into(), id.clone()], device, settings, out)?;
    }
    Ok(())
}

fn leaves(
    section: &mut Vec<String>,
    path: &mut Vec<String>,
    tree: &Json,
    settings: &Settings,
    out: &mut dyn Write,
) -> io::Result<()> {
    let inner = tree.as_object().into_iter().flatten();
    // Plain values first: in TOML what follows the header of a section is inside it.
    let (sections, plain): (Vec<_>, Vec<_>) = inner.partition(|(_, value)| value.is_object());
    for (key, value) in plain.into_iter().chain(sections) {
        path.push(key.clone());
        if value.is_object() {
            leaves(section, path, value, settings, out)?;
        } else {
            line(section, path, Some(value), settings, out)?;
        }
        path.pop();
    }
    Ok(())
}

fn line(
    section: &mut Vec<String>,
    path: &[String],
    value: Option<&Json>,
    settings: &Settings,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (Some((key, parents)), Some(value)) = (path.split_last(), value.filter(|value| !value.is_null()))
    else {
        return Ok(());
    };
    if section != parents {
        writeln!(out, "\n[{}]", header(parents))?;
        *section = parents.to_vec();
    }
    write!(out, "{key} = {}", toml(value))?;
    match settings.origins.get(&path.join(".")) {
        Some(origin) => writeln!(out, "  # from {origin}"),
        None => writeln!(out),
    }
}

/// Writes a commented file with every setting at its default, and a section for each plug given.
///
/// With `output` the file is created there; one that exists is left alone and reported.
pub fn init(
    drivers: &[&'static dyn Driver],
    plugs: &[Discovered],
    output: Option<&Path>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let text = template(drivers, plugs);
    let Some(path) = output else { return out.write_all(text.as_bytes()) };
    let mut file = crate::file::new(path).map_err(|error| {
        let why = if error.kind() == io::ErrorKind::AlreadyExists {
            "already exists and is not overwritten; name another file".into()
        } else {
            error.to_string()
        };
        io::Error::new(error.kind(), format!("{}: {why}", path.display()))
    })?;
    file.write_all(text.as_bytes())?;
    writeln!(out, "wrote {}", path.display())
}

fn template(drivers: &[&'static dyn Driver], plugs: &[Discovered]) -> String {
    let mut text = format!(
        "#:schema ./{SCHEMA}\n\
         # Editors complete and check the settings when that file is there: plug2mqtt config schema > {SCHEMA}\n\
         #\n\
         # Settings of plug2mqtt. Every line that is commented out shows the default; remove the\n\
         # leading # to change it. Check with: plug2mqtt config check\n",
    );
    let mut section = Vec::new();
    let settings = config::all(drivers);
    for known in settings.iter().filter(|known| !known.path.iter().any(|part| part.starts_with('<'))) {
        if section != known.section() {
            section = known.section().to_vec();
            add(&mut text, format_args!("\n[{}]\n", header(&section)));
        }
        add(&mut text, format_args!("# {} Allowed: {}\n", known.doc, known.allowed.replace('`', "")));
        add(&mut text, format_args!("#{} = {}\n", known.key(), toml(&known.default)));
    }
    let example = Discovered {
        id: format!("{}-swp6000000000001", drivers.first().map_or("", |driver| driver.name())),
        name: "Office strip".into(),
        ports: vec!["Desk lamp".into()],
    };
    let (plugs, mark) = if plugs.is_empty() { (std::slice::from_ref(&example), "#") } else { (plugs, "") };
    text.push_str("\n# What is special about single plugs, by id:\n");
    for Discovered { id, name, ports } in plugs {
        add(&mut text, format_args!("\n{mark}[device.{}]\n", quote(id)));
        add(&mut text, format_args!("#name = {}\n", quote(name)));
        for setting in settings.iter().filter(|known| known.section() == ["device", "<id>"]) {
            if setting.key() != "name" {
                let value =
                    if setting.default.is_null() { inherited(&settings, setting) } else { &setting.default };
                add(
                    &mut text,
                    format_args!("# {} Allowed: {}\n", setting.doc, setting.allowed.replace('`', "")),
                );
                add(&mut text, format_args!("#{} = {}\n", setting.key(), toml(value)));
            }
        }
        let of_ports =
            |known: &&Known| known.section().starts_with(&["device", "<id>", "port"].map(String::from));
        for setting in settings.iter().filter(of_ports).filter(|known| known.key() != "name") {
            let allowed = setting.allowed.replace('`', "");
            add(
                &mut text,
                format_args!("# {} of a port: {} Allowed: {allowed}\n", setting.key(), setting.doc),
            );
        }
        for (port, name) in (1..).zip(ports) {
            let (port, name): (u8, _) = (port, quote(name));
            let line = format_args!(
                "#port.{port} = {{ name = {name}, lock = \"none\", restore_after_restart = \"none\" }}\n"
            );
            add(&mut text, line);
        }
    }
    text
}

/// The default that holds for a plug which says nothing: that of the setting of the same name.
fn inherited<'a>(settings: &'a [Known], setting: &'a Known) -> &'a Json {
    let same = settings.iter().find(|known| known.key() == setting.key() && known.section().len() == 1);
    same.map_or(&setting.default, |known| &known.default)
}

/// Prints the JSON schema of the settings file.
pub fn schema(drivers: &[&'static dyn Driver], out: &mut dyn Write) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, &config::schema(drivers))?;
    writeln!(out)
}

fn add(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("writing to a String cannot fail");
}

fn header(section: &[String]) -> String {
    // The id of a plug may be any text before it is checked.
    let part = |(at, part): (usize, &String)| match section.first() {
        Some(first) if first == "device" && at == 1 => quote(part),
        _ => part.clone(),
    };
    section.iter().enumerate().map(part).collect::<Vec<_>>().join(".")
}

/// A value as TOML; one without a default as empty text, which means not set.
fn toml(value: &Json) -> String {
    match value {
        Json::Null => "\"\"".into(),
        Json::String(text) => quote(text),
        Json::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Json::Bool(_) | Json::Number(_) | Json::Object(_) => value.to_string(),
    }
}

/// Text in quotes on one line, whatever is in it: names of plugs come from the network.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => add(&mut quoted, format_args!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests;
