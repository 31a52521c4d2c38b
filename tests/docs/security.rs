//! `docs/security.md`: each claim names tests that are there, each limit is the one in the code.

use super::{read, root, table};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Every file below a folder that ends like this.
fn files(folder: &str, end: &str) -> Vec<PathBuf> {
    let mut todo = vec![root().join(folder)];
    let mut list = Vec::new();
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.to_string_lossy().ends_with(end) {
            list.push(path);
        }
    }
    list
}

/// The names of all tests, and the titles of all steps of the scripts, as the page writes them.
fn shown() -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for path in files("src", ".rs").into_iter().chain(files("tests", ".rs")) {
        let text = std::fs::read_to_string(path).unwrap();
        let mut attributed = false;
        for line in text.lines().map(str::trim) {
            let name = line.trim_start_matches("async ").strip_prefix("fn ");
            if let Some((name, _)) = name.and_then(|rest| rest.split_once('(')).filter(|_| attributed) {
                all.insert(name.to_owned());
            }
            attributed =
                line == "#[test]" || line == "#[tokio::test]" || (attributed && line.starts_with("//"));
        }
    }
    for line in read("tests/netns/run").lines() {
        let title = line.trim().strip_prefix("check \"").and_then(|rest| rest.split_once('"'));
        all.extend(title.map(|(title, _)| format!("\"{title}\"")));
    }
    all
}

/// The names in a cell: they are separated by commas, and titles may hold some.
fn names(cell: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut rest = cell;
    while !rest.is_empty() {
        let (name, tail) = match rest.strip_prefix('"').and_then(|inner| inner.split_once('"')) {
            Some((title, tail)) => (format!("\"{title}\""), tail),
            None => {
                rest.split_once(',').map_or((rest.to_owned(), ""), |(name, tail)| (name.to_owned(), tail))
            }
        };
        names.push(name.trim().to_owned());
        rest = tail.trim_start_matches([',', ' ']);
    }
    names
}

#[test]
fn every_claim_is_shown_by_tests_that_are_there() {
    let (page, shown) = (read("docs/security.md"), shown());
    assert!(shown.len() > 300, "the tests are not where they are expected");
    let tables = page.split("<!-- claims -->").skip(1).map(|rest| format!("<!-- claims -->{rest}"));
    let claims: Vec<Vec<String>> = tables.flat_map(|text| table(&text, "claims")).collect();
    let limits = table(&page, "limits");
    assert!(claims.len() > 40 && limits.len() > 30, "{} claims, {} limits", claims.len(), limits.len());
    let lines = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let heads = page.matches("| shown by |").count();
    assert_eq!(lines.count(), claims.len() + limits.len() + heads, "a table without a mark");
    let mut wrong = Vec::new();
    for row in claims.iter().chain(&limits) {
        let tests = names(row.last().unwrap());
        if tests.is_empty() {
            wrong.push(format!("nothing shows: {}", row[0]));
        }
        wrong.extend(
            tests
                .into_iter()
                .filter(|test| !shown.contains(test))
                .map(|test| format!("no test {test}: {}", row[0])),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The value of a number, product, shift or duration as it stands in the code, in bytes, seconds or pieces.
fn value(code: &str) -> Option<f64> {
    let code = code.trim();
    if let Some((call, argument)) = code.strip_suffix(')').and_then(|code| code.split_once('(')) {
        let unit = match call {
            "Duration::from_secs" => 1.0,
            "Duration::from_millis" => 0.001,
            _ => return None,
        };
        return Some(value(argument)? * unit);
    }
    if let Some((left, right)) = code.split_once("<<") {
        return Some(value(left)? * 2_f64.powf(value(right)?));
    }
    if let Some((left, right)) = code.split_once('*') {
        return Some(value(left)? * value(right)?);
    }
    code.replace('_', "").parse().ok()
}

/// The value of `64 KiB`, `30 s` and the like, in the same.
fn written(cell: &str) -> Option<f64> {
    let (number, unit) = cell.split_once(' ').unwrap_or((cell, ""));
    let factor = match unit {
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        "ms" => 0.001,
        _ => 1.0,
    };
    Some(number.parse::<f64>().ok()? * factor)
}

#[test]
fn every_limit_is_the_one_in_the_code() {
    for row in table(&read("docs/security.md"), "limits") {
        let (file, name) = row[2].split_once(' ').unwrap_or_else(|| panic!("{row:?}"));
        let text = read(file);
        let lines =
            text.lines().map(|line| line.trim().trim_start_matches("pub ").trim_start_matches("pub(super) "));
        // A constant, or a field of the broker's settings.
        let found: Vec<&str> = lines
            .filter_map(|line| match line.strip_prefix("const ").and_then(|rest| rest.strip_prefix(name)) {
                Some(rest) => rest.split_once(" = ")?.1.strip_suffix(';'),
                None => line.strip_prefix(name)?.strip_prefix(": ")?.strip_suffix(','),
            })
            .collect();
        let [code] = found[..] else { panic!("{name} is there {} times in {file}", found.len()) };
        let (code, page) =
            (value(code).unwrap_or_else(|| panic!("{file}: {name} = {code}")), written(&row[1]));
        assert_eq!(Some(code), page, "{}: {file} {name}", row[0]);
    }
}

#[test]
fn values_are_read_in_every_spelling() {
    for (code, want) in [
        ("64 * 1024", 65536.0),
        ("4 << 20", 4_194_304.0),
        ("7 * 86_400", 604_800.0),
        ("Duration::from_millis(250)", 0.25),
        ("16 * 1024 * 1024", 16_777_216.0),
        ("5000.0", 5000.0),
    ] {
        assert_eq!(value(code), Some(want), "{code}");
    }
    assert_eq!((written("64 KiB"), written("30 s"), written("22")), (Some(65536.0), Some(30.0), Some(22.0)));
    assert_eq!(value("other()"), None);
}
