//! Holds the documentation to the program: the tables of settings and commands, and the MQTT contract in `docs/mqtt.md`
//! and `docs/home-assistant.md`, which is compared with everything a bridge publishes in one eventful run over simulated
//! plugs.
//!
//! `UPDATE_DOCS=1 cargo test --test docs` writes the generated parts anew.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

#[path = "docs/capabilities.rs"]
mod capabilities;
#[path = "docs/contract.rs"]
mod contract;
#[path = "docs/examples.rs"]
mod examples;
#[path = "docs/security.rs"]
mod security;
#[path = "docs/settings.rs"]
mod settings;

use plug2mqtt::model::CommandError;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What stands between `<!-- mark -->` and `<!-- /mark -->`, with the byte range it stands in.
fn between<'a>(text: &'a str, mark: &str) -> (&'a str, std::ops::Range<usize>) {
    let (open, close) = (format!("<!-- {mark} -->\n"), format!("<!-- /{mark} -->"));
    let start = text.find(&open).unwrap_or_else(|| panic!("no {open:?}")) + open.len();
    let end = start + text[start..].find(&close).unwrap_or_else(|| panic!("no {close:?}"));
    (&text[start..end], start..end)
}

/// The cells of the Markdown table between two marks, without its head; backquotes removed.
fn table(text: &str, mark: &str) -> Vec<Vec<String>> {
    let rows = between(text, mark).0.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let row = row.replace("\\|", "\u{1}");
        let cells = row.trim_matches('|').split('|');
        cells.map(|cell| cell.trim().replace('`', "").replace('\u{1}', "|")).collect()
    })
    .collect()
}

#[test]
fn the_readme_begins_with_the_two_commands_that_need_no_set_up() {
    let readme = read("README.md");
    let first = readme.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    assert_eq!(first, Some("cargo run --release -- demo\ncargo test\n"));
}

#[test]
fn the_commands_table_names_every_command() {
    let commands = |of: &[&str]| -> BTreeSet<String> {
        let run = Command::new(env!("CARGO_BIN_EXE_plug2mqtt")).args(of).arg("--help").output().unwrap();
        let help = String::from_utf8(run.stdout).unwrap();
        let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        assert!(help.lines().all(|line| line.chars().count() <= 80), "{help}");
        // What goes on in the next line is indented further.
        let begins = |line: &&str| !line.starts_with("   ");
        let lines = lines.take_while(|line| !line.is_empty()).filter(begins);
        let names = lines.filter_map(|line| line.split_whitespace().next());
        names.filter(|name| *name != "help").map(Into::into).collect()
    };
    let mut wanted = commands(&[]);
    for group in ["config", "meross"] {
        assert!(wanted.remove(group), "{wanted:?}");
        wanted.extend(commands(&[group]).iter().map(|action| format!("{group} {action}")));
    }
    let rows = table(&read("docs/cli.md"), "commands");
    let written = rows.iter().map(|row| {
        let words = row[0].strip_prefix("plug2mqtt ").unwrap().split_whitespace();
        let plain = words.take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase()));
        plain.collect::<Vec<_>>().join(" ")
    });
    assert_eq!(written.collect::<BTreeSet<_>>(), wanted, "commands in docs/cli.md and in --help");
}

#[test]
fn the_table_of_errors_names_every_error() {
    use CommandError::*;
    let all = [
        Offline,
        Timeout,
        NotConfirmed,
        Locked,
        Latched,
        ReadOnly,
        Expired,
        Retained,
        BadPayload,
        UnknownPort,
        UnknownDevice,
        Superseded,
        UnknownState,
        Busy,
        NotSaved,
    ];
    for error in all {
        // A new one must be added above and to the table.
        match error {
            Offline | Timeout | NotConfirmed | Locked | Latched | ReadOnly | Expired | Retained
            | BadPayload | UnknownPort | UnknownDevice | Superseded | UnknownState | Busy | NotSaved => {}
        }
    }
    let rows = table(&read("docs/mqtt.md"), "errors");
    let written: BTreeSet<&str> = rows.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(written, all.map(CommandError::as_str).into(), "errors in docs/mqtt.md");
}

/// All pages of the documentation.
fn pages() -> Vec<PathBuf> {
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let docs = docs.filter(|path| path.extension().is_some_and(|end| end == "md"));
    docs.chain(["README.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name))).collect()
}

/// The lines of a page that are not code.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut code = false;
    text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !fence && !code
    })
}

/// The anchors of a page, as its headings make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let titles = prose(text).filter(|line| line.starts_with('#'));
    let letter =
        |c: char| (c.is_alphanumeric() || "-_ ".contains(c)).then_some(if c == ' ' { '-' } else { c });
    titles
        .map(|line| line.trim_start_matches('#').trim().to_lowercase().chars().filter_map(letter).collect())
        .collect()
}

#[test]
fn links_lead_to_files_and_headings() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
            assert!(target.exists(), "{} links to {link}, which is not there", page.display());
            let known =
                anchor.is_empty() || anchors(&std::fs::read_to_string(&target).unwrap()).contains(anchor);
            assert!(known, "{} links to {link}, which has no such heading", page.display());
        }
    }
}

#[test]
fn paths_that_pages_name_are_there() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let lines = prose(&text).collect::<Vec<_>>().join("\n");
        let named = lines.split('`').skip(1).step_by(2).filter_map(|code| code.split_whitespace().next());
        let ours = ["src/", "tests/", "examples/", "docs/", "benches/", "fuzz/", ".ci/"];
        for path in named.filter(|name| ours.iter().any(|ours| name.starts_with(ours)) && !name.contains('<'))
        {
            assert!(root().join(path).exists(), "{} names {path}, which is not there", page.display());
        }
    }
}

#[test]
fn prose_is_wrapped_at_one_width() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for line in prose(&text).filter(|line| line.chars().count() > 100) {
            // Tables, pictures and what has no blank to break at.
            let whole = ["|", "![", "<!--"].iter().any(|start| line.trim_start().starts_with(start));
            assert!(whole || !line.trim().contains(' '), "{} is wider than 100: {line}", page.display());
        }
    }
}
