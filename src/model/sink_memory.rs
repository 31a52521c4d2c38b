//! What sinks keep over restarts: for each a section of its own, in which only that sink knows its way.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What one sink keeps: texts by key.
pub type Section = BTreeMap<String, String>;

/// The sections of all sinks, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SinkMemory(BTreeMap<String, Section>);

/// A change in what a sink keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keep {
    /// The name of the sink's section.
    pub section: &'static str,
    /// Whose text.
    pub key: String,
    /// The text; `None` forgets it.
    pub value: Option<String>,
}

impl SinkMemory {
    /// Keys in a section, at most: two for each plug that may be known, since what a sink has to take back
    /// outlives the plug, and some of its own.
    pub const MAX_KEYS: usize = 16_400;

    /// Bytes of a key, at most; the id of a plug is one.
    pub const MAX_KEY: usize = 64;

    /// Bytes of a text, at most.
    pub const MAX_VALUE: usize = 1536;

    /// What this sink keeps.
    pub fn section(&self, name: &str) -> Section {
        self.0.get(name).cloned().unwrap_or_default()
    }

    /// Whether that has changed anything.
    ///
    /// # Errors
    ///
    /// When there is no room for it; says why.
    pub fn keep(&mut self, Keep { section, key, value }: Keep) -> Result<bool, &'static str> {
        let Some(value) = value else {
            return Ok(self.0.get_mut(section).is_some_and(|section| section.remove(&key).is_some()));
        };
        if key.len() > Self::MAX_KEY || value.len() > Self::MAX_VALUE {
            return Err("it is too long");
        }
        if value.chars().any(char::is_control) {
            return Err("it has control characters");
        }
        let section = self.0.entry(section.into()).or_default();
        if section.len() >= Self::MAX_KEYS && !section.contains_key(&key) {
            return Err("too much is kept already");
        }
        let same = section.get(&key) == Some(&value);
        if !same {
            section.insert(key, value);
        }
        Ok(!same)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(memory: &mut SinkMemory, key: &str, value: Option<&str>) -> Result<bool, &'static str> {
        memory.keep(Keep { section: "mqtt", key: key.into(), value: value.map(Into::into) })
    }

    #[test]
    fn a_change_is_one_and_everything_else_is_none() {
        let mut memory = SinkMemory::default();
        assert_eq!(keep(&mut memory, "a", None), Ok(false));
        assert_eq!(keep(&mut memory, "a", Some("1")), Ok(true));
        assert_eq!(keep(&mut memory, "a", Some("1")), Ok(false));
        assert_eq!(keep(&mut memory, "a", Some("2")), Ok(true));
        assert_eq!(memory.section("mqtt"), Section::from([("a".into(), "2".into())]));
        assert_eq!(memory.section("web"), Section::new(), "another sink has its own");
        assert_eq!(keep(&mut memory, "a", None), Ok(true));
        assert_eq!(memory.section("mqtt"), Section::new());
    }

    #[test]
    fn what_is_kept_is_bounded_in_size_and_number() {
        let mut memory = SinkMemory::default();
        let (key, value) = ("k".repeat(SinkMemory::MAX_KEY), "v".repeat(SinkMemory::MAX_VALUE));
        assert_eq!(keep(&mut memory, &key, Some(&value)), Ok(true));
        assert!(keep(&mut memory, &format!("{key}k"), Some("")).is_err());
        assert!(keep(&mut memory, &key, Some(&format!("{value}v"))).is_err());
        assert!(keep(&mut memory, &key, Some("\u{7}")).is_err(), "it would grow sixfold in the file");
        for n in 1..SinkMemory::MAX_KEYS {
            assert_eq!(keep(&mut memory, &n.to_string(), Some("x")), Ok(true));
        }
        assert!(keep(&mut memory, "one more", Some("x")).is_err());
        assert_eq!(keep(&mut memory, &key, Some("known")), Ok(true), "what is there may change");
        assert_eq!(keep(&mut memory, &key, None), Ok(true));
        assert_eq!(keep(&mut memory, "one more", Some("x")), Ok(true), "and makes room when it goes");
    }
}
