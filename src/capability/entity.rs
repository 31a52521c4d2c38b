//! What a capability shows all the time, in neutral words: the sinks make of it what their side has.

use super::States;
use crate::core::Energy;
use std::cmp::Ordering;

/// Something that a capability shows, of a plug or of each of its ports.
#[derive(Debug)]
pub struct Shown {
    /// The word for it: the end of its topic, and its key. Never changes.
    pub key: &'static str,
    /// Its name below that of the plug or port.
    pub name: &'static str,
    /// There is one for each port.
    pub per_port: bool,
    /// What it looks like, and how it is set.
    pub form: Form,
    /// It also stands in the plug's snapshot.
    pub in_snapshot: bool,
    /// What it shows, of a port, or of the plug with port 0; `None` while that is not known.
    pub value: fn(&States, u8) -> Option<Value>,
}

/// What something looks like, and how it is set.
#[derive(Debug)]
pub enum Form {
    /// Minutes that are set, of any number.
    Minutes(Setting),
    /// One of some words, for a plug with so many ports, or none of them.
    ChoiceOrNone(fn(ports: u8) -> Vec<String>, Setting),
    /// One of some numbers.
    Choice(fn(ports: u8) -> Vec<String>, Setting),
    /// On or off.
    Toggle(Setting),
    /// A time.
    Timestamp,
    /// A difference in seconds, for those who look for faults.
    Drift,
}

/// How it is set: a request to the plug with this key.
#[derive(Debug)]
pub struct Setting {
    /// The request.
    pub verb: &'static str,
    /// The key that takes the value.
    pub key: &'static str,
}

impl Form {
    /// It is read for diagnosis, not set.
    pub fn is_diagnostic(&self) -> bool {
        matches!(self, Self::Drift)
    }
}

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Shown {}

impl Ord for Shown {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(other.key)
    }
}

impl PartialOrd for Shown {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A value to show.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// On or off.
    OnOff(bool),
    /// A number in the unit of its kind.
    Number(f64),
    /// An amount of energy, shown in kWh.
    Energy(Energy),
    /// Whole milliseconds.
    Milliseconds(u64),
    /// A time, milliseconds since 1970.
    Time(u64),
    /// A word.
    Word(&'static str),
    /// It is known that there is none.
    Nothing,
}
