//! `docs/settings.md`: a table for each section of settings, written from what the settings know about themselves.
//! `plug2mqtt config init` writes the same words into a file.

use super::{between, read, root};
use plug2mqtt::config::{self, Known};
use plug2mqtt::drivers;
use serde_json::Value;
use std::fmt::Write as _;

const HEAD: &str = "| setting | default | allowed | description |\n| --- | --- | --- | --- |\n";

/// The reference of all settings.
fn reference() -> String {
    let (schema, mut text, mut section) = (config::schema(drivers::ALL), String::from("\n"), None);
    for known in config::all(drivers::ALL) {
        if section.as_deref() != Some(known.section()) {
            section = Some(known.section().to_vec());
            let gap = if text.len() > 1 { "\n" } else { "" };
            write!(text, "{gap}{}{HEAD}", heading(known.section(), &schema)).unwrap();
        }
        writeln!(text, "{}", row(&known)).unwrap();
    }
    text + "\n"
}

/// The heading of a section and what it is about.
fn heading(section: &[String], schema: &Value) -> String {
    if section.is_empty() {
        return "### General\n\n".into();
    }
    let about = section.iter().fold(schema, |tree, part| {
        let one = if part.starts_with('<') { &Value::Null } else { &tree["properties"][part] };
        let any = tree["patternProperties"].as_object().and_then(|all| all.values().next());
        any.unwrap_or(if one.is_null() { &tree["additionalProperties"] } else { one })
    });
    let about = about["description"].as_str().unwrap_or_else(|| panic!("{section:?} says nothing"));
    format!("### `[{}]`\n\n{}\n\n", section.join("."), about.replace('\n', " "))
}

fn row(known: &Known) -> String {
    let unit = unit(known);
    let default = match &known.default {
        Value::Null => String::new(),
        value @ (Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_)) => {
            format!("`{value}`{unit}")
        }
    };
    let cell = |text: &str| text.replace('|', "\\|");
    let (default, allowed, doc) = (cell(&default), cell(&known.allowed), cell(&known.doc));
    format!("| `{}` | {default} | {allowed}{unit} | {doc} |", known.name())
}

/// The unit of a number, as its documentation tells it, with a space before it. Durations carry theirs.
fn unit(known: &Known) -> &'static str {
    let units = [(", in W.", " W"), (", in A.", " A"), (", in V.", " V"), (", in kWh.", " kWh")];
    let unit = units.into_iter().find(|(told, _)| known.doc.contains(told)).map(|(_, unit)| unit);
    assert!(unit.is_some() || !known.default.is_f64(), "{} does not tell its unit", known.name());
    unit.unwrap_or_default()
}

#[test]
fn the_tables_of_settings_are_what_the_program_knows() {
    let (page, wanted) = (read("docs/settings.md"), reference());
    let (tables, range) = between(&page, "settings");
    if tables == wanted {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let mut page = page.clone();
        page.replace_range(range, &wanted);
        return std::fs::write(root().join("docs/settings.md"), page).unwrap();
    }
    panic!(
        "the settings have changed; UPDATE_DOCS=1 cargo test --test docs renews the tables in docs/settings.md"
    );
}

#[test]
fn settings_have_a_default_and_a_unit() {
    let text = reference();
    for row in [
        "\n| `mqtt.url` |  | `mqtt://host:port` or `mqtts://host:port` | Address of the broker;",
        "\n| `maxsmart.poll_interval` | `\"5s\"` | 200ms to 1h | Time between two polls of a plug. |\n",
        "\n| `publish.power_change` | `1.0` W | 0 to 5000 W |",
        "\n| `publish.energy_change` | `0.001` kWh | 0 to 1000 kWh |",
        "\n| `maxsmart.broadcast` | `[\"auto\"]` | list of `auto` and IPv4 addresses |",
        "### `[device.<id>.port.<n>]`\n\nSettings of ",
    ] {
        assert!(text.contains(row), "{row}\n{text}");
    }
}
