//! What is wrong with the settings, said so that the reader can repair it: where, which setting,
//! what, and what to do.

use std::fmt;

use super::schema::{ID, Known, NUMBER};
use super::sources::Origin;
use crate::model::MAX_PORTS;

/// Most errors shown. Who reaches that many reads no further either.
pub(super) const MAX_SHOWN: usize = 100;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was said; `None` when nothing was said.
    pub origin: Option<Origin>,
    /// The setting with dots; empty when no single setting is meant.
    pub key: String,
    /// What is wrong and what to do about it.
    pub text: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.text)
    }
}

/// Everything that is wrong, sorted by where it was said. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Errors(Vec<Problem>);

impl Errors {
    pub(super) fn new(mut problems: Vec<Problem>) -> Option<Self> {
        problems.sort_by(|a, b| (&a.origin, &a.key).cmp(&(&b.origin, &b.key)));
        problems.dedup();
        (!problems.is_empty()).then_some(Self(problems))
    }

    /// The problems one by one.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the settings have an error:")?,
            n if n > MAX_SHOWN => write!(f, "the settings have more than {MAX_SHOWN} errors; some of them:")?,
            n => write!(f, "the settings have {n} errors:")?,
        }
        for problem in self.0.iter().take(MAX_SHOWN) {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

/// What is wrong with a name that is not a setting.
pub(super) struct Stranger {
    /// The part of the name up to where it stops making sense.
    pub(super) key: Vec<String>,
    pub(super) text: String,
}

/// Finds a setting by name.
pub(super) fn find<'a>(settings: &'a [Known], path: &[String]) -> Result<&'a Known, Stranger> {
    let fits = |known: &str, given: &str| match known {
        ID => true,
        NUMBER => given.parse().is_ok_and(|n| (1..=MAX_PORTS).contains(&n) && given == n.to_string()),
        _ => known == given,
    };
    let mut left: Vec<&Known> = settings.iter().collect();
    for (depth, part) in path.iter().enumerate() {
        let key = path.get(..=depth).unwrap_or(path).to_vec();
        let mut next: Vec<&str> = left.iter().filter_map(|k| k.path.get(depth)).map(String::as_str).collect();
        next.dedup();
        if next.is_empty() {
            let text = format!("is not a section, so it cannot have {part:?}");
            return Err(Stranger { key: path.get(..depth).unwrap_or(path).to_vec(), text });
        }
        if next == [NUMBER] && !fits(NUMBER, part) {
            return Err(Stranger { key, text: format!("is not a port; they are numbered 1 to {MAX_PORTS}") });
        }
        left.retain(|known| known.path.get(depth).is_some_and(|name| fits(name, part)));
        if left.is_empty() {
            return Err(Stranger { key, text: unknown(settings, path, depth, &next) });
        }
    }
    match left.as_slice() {
        [known] if known.path.len() == path.len() => Ok(known),
        _ => Err(Stranger { key: path.to_vec(), text: "is a section, not a setting".into() }),
    }
}

/// Settings of earlier versions, and what to do about them.
const GONE: &[(&[&str], &str)] = &[(
    &["energy", "gaps"],
    "is no setting any more: energy is never counted for time in which a plug was not read, and that time is told in unmetered_s; delete it",
)];

fn unknown(settings: &[Known], path: &[String], depth: usize, next: &[&str]) -> String {
    if let Some((_, text)) = GONE.iter().find(|(gone, _)| path == *gone) {
        return (*text).into();
    }
    let part = path.get(depth).map_or("", String::as_str);
    let kind = if depth + 1 < path.len() { "section" } else { "setting" };
    if let Some(near) = nearest(part, next.iter().copied()) {
        return format!("unknown {kind}; did you mean {near:?}?");
    }
    let elsewhere = settings.iter().find(|known| depth + 1 == path.len() && known.key() == part);
    if let Some(known) = elsewhere {
        return format!("unknown {kind}; did you mean {}?", known.name());
    }
    format!("unknown {kind}; here can be {}", next.join(", "))
}

/// The word that was probably meant.
pub fn nearest<'a>(given: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    if given.len() > 64 {
        return None;
    }
    let near = words.map(|word| (distance(&given, word), word)).min()?;
    (near.0 <= 1.max(near.1.chars().count() / 3)).then_some(near.1)
}

/// Edits between two words: insert, remove, replace, swap neighbours.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let width = b.len() + 1;
    let mut before: Vec<usize> = vec![usize::MAX / 2; width];
    let mut last: Vec<usize> = (0..width).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let mut best =
                (at(&last, j) + usize::from(x != y)).min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or_default()
}
