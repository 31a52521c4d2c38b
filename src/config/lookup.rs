//! Finds a setting by name, and says what was probably meant when there is none of that name.

use super::diagnostics::nearest;
use super::schema::{ID, Known, NUMBER};
use crate::model::MAX_PORTS;

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
