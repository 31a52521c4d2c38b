//! A family of plugs: what its driver brings to the settings, and what the settings then say.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What a driver says about its family: its section of the settings, with defaults.
#[derive(Debug)]
pub struct FamilyInfo {
    /// Its name in ids, topics and settings: `a-z` and digits.
    pub name: &'static str,
    /// Which plugs belong to it, a sentence. Opens its section of the settings.
    pub about: &'static str,
    /// UDP port of its plugs: where discovery asks and UDP dialects speak.
    pub udp_port: u16,
    /// TCP port of their web servers; `None` for plugs that have none, and no such setting.
    pub http_port: Option<u16>,
    /// Time in which a plug must answer.
    pub timeout: Duration,
    /// Time between two polls.
    pub poll_interval: Duration,
    /// Time between two requests for what only some of its plugs can do; `None` for a family that can do nothing
    /// beyond readings and relays, and has no such setting.
    pub slow_poll_interval: Option<Duration>,
    /// Whether clocks are kept at local time; `None` for plugs without clocks, and no such setting.
    pub set_clock: Option<bool>,
    /// What a plug and each of its ports is built for, in watts, where that holds for the whole family.
    pub rating_w: Option<u16>,
    /// How a conversation is written down by `record`; `None` when it is not text that others may read.
    pub recorded: Option<Recorded>,
    /// Settings that no other family has; they stand last in its section.
    pub settings: &'static [Setting],
}

impl FamilyInfo {
    /// Keys of credentials in what its plugs say.
    pub fn secrets(&self) -> impl Iterator<Item = &'static str> {
        let personal = self.recorded.as_ref().map_or(&[][..], |recorded| recorded.personal);
        personal.iter().filter(|(_, instead)| instead.is_empty()).map(|(key, _)| *key)
    }

    /// Its ports, timeout and own settings where nobody says otherwise.
    pub fn usual(&self) -> Family {
        Family {
            udp_port: self.udp_port,
            http_port: self.http_port.unwrap_or(self.udp_port),
            timeout: self.timeout,
            own: OwnSettings::defaults(self.settings),
        }
    }
}

/// What becomes of a conversation that is written down for strangers.
#[derive(Debug)]
pub struct Recorded {
    /// Keys in its JSON whose values tell whose plug it is, and what stands in the place of a value of the same
    /// length; a `.` keeps the character. Others have their letters and digits replaced by `0`, as have those of an
    /// empty text: credentials, which are shown nowhere else either.
    pub personal: &'static [(&'static str, &'static str)],
    /// Further commands that a plug answers and that change nothing.
    pub calls: &'static [u16],
}

/// A setting that only one family has.
#[derive(Debug)]
pub struct Setting {
    /// Its key in the section of the family; with a dot, in a section inside it.
    pub key: &'static str,
    /// What it does, a sentence or two.
    pub doc: &'static str,
    /// What is allowed, and what holds when nothing is said.
    pub kind: SettingKind,
}

/// What a setting takes.
#[derive(Debug, Clone, Copy)]
pub enum SettingKind {
    /// `true` or `false`; this one when nothing is said.
    Switch(bool),
    /// Text, with a check that says what is wrong; not set when nothing is said.
    Text {
        /// What is allowed, in words.
        allowed: &'static str,
        /// What is wrong with a text, and what to do about it.
        check: fn(&str) -> Result<(), String>,
    },
    /// The same, never shown. With `_file` behind its key it names a file that contains it.
    Secret {
        /// What is allowed, in words.
        allowed: &'static str,
        /// What is wrong with a secret, without repeating it.
        check: fn(&str) -> Result<(), String>,
    },
}

/// What the settings say about one family: how to reach its plugs and how patient to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Family {
    /// Where discovery asks and UDP dialects speak.
    pub udp_port: u16,
    /// Where HTTP dialects speak.
    pub http_port: u16,
    /// The longest a conversation with one plug may take.
    pub timeout: Duration,
    /// The settings that only this family has.
    pub own: OwnSettings,
}

/// The values of the settings that only one family has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnSettings(BTreeMap<&'static str, OwnValue>);

/// A value of such a setting.
#[derive(Clone, PartialEq, Eq)]
pub enum OwnValue {
    /// Of [`SettingKind::Switch`].
    Switch(bool),
    /// Of [`SettingKind::Text`].
    Text(String),
    /// Of [`SettingKind::Secret`].
    Secret(String),
}

impl fmt::Debug for OwnValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switch(on) => on.fmt(f),
            Self::Text(text) => text.fmt(f),
            Self::Secret(_) => f.write_str("***"),
        }
    }
}

impl OwnSettings {
    /// What holds when nothing is said.
    pub fn defaults(settings: &'static [Setting]) -> Self {
        let switch = |setting: &Setting| match setting.kind {
            SettingKind::Switch(on) => Some((setting.key, OwnValue::Switch(on))),
            SettingKind::Text { .. } | SettingKind::Secret { .. } => None,
        };
        Self(settings.iter().filter_map(switch).collect())
    }

    /// Gives a setting a value.
    pub fn set(&mut self, key: &'static str, value: OwnValue) {
        self.0.insert(key, value);
    }

    /// Whether a switch is on; false for one that the family does not have.
    pub fn switch(&self, key: &str) -> bool {
        self.0.get(key) == Some(&OwnValue::Switch(true))
    }

    /// A text or secret that is set.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key)? {
            OwnValue::Text(text) | OwnValue::Secret(text) => Some(text),
            OwnValue::Switch(_) => None,
        }
    }

    /// All values by key.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &OwnValue)> {
        self.0.iter().map(|(key, value)| (*key, value))
    }
}
