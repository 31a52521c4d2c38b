//! The plug's clock as we set it: `System.Time` with a zone and the changes of its offset for the years to come.
//!
//! Who reads zones from the system brings them; here they are only written and compared.

use super::status::Time;
use serde_json::{Value, json};

/// Changes a plug is told: ten years of them.
pub const CHANGES: usize = 20;

/// Seconds by which its clock may be wrong.
const WRONG_S: u64 = 5;

/// From when on which offset holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Seconds since 1970 UTC.
    pub from: i64,
    /// Seconds ahead of UTC, summer time included.
    pub offset_s: i64,
    /// Whether it is summer time.
    pub summer: bool,
}

/// A zone as a plug wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone {
    /// Its name, as `Europe/Zurich`.
    pub name: String,
    /// The change that holds now and those that come, in order.
    pub changes: Vec<Change>,
}

impl Zone {
    /// The payload of a SET of `System.Time`.
    pub fn set(&self, unix_s: u64) -> Value {
        let rules: Vec<Value> =
            self.rules().map(|(from, offset, summer)| json!([from, offset, summer])).collect();
        json!({"time": {"timestamp": unix_s, "timezone": self.name, "timeRule": rules}})
    }

    /// Whether a plug that tells this must be told the time, the zone or its rules anew.
    pub fn differs(&self, time: &Time, unix_s: u64) -> bool {
        let wrong = time.timestamp.abs_diff(unix_s) > WRONG_S;
        wrong || time.zone != self.name || self.lacks(time, unix_s)
    }

    fn rules(&self) -> impl Iterator<Item = (i64, i64, u8)> + '_ {
        self.changes.iter().take(CHANGES).map(|one| (one.from, one.offset_s, u8::from(one.summer)))
    }

    /// Whether it knows another offset, or none, for now or after the next change.
    fn lacks(&self, time: &Time, unix_s: u64) -> bool {
        let now = i64::try_from(unix_s).unwrap_or(i64::MAX);
        let next = self.changes.iter().map(|one| one.from).find(|from| *from > now);
        [Some(now), next].into_iter().flatten().any(|at| self.offset_s(at) != offset_s(time, at))
    }

    fn offset_s(&self, at: i64) -> Option<i64> {
        self.changes.iter().rev().find(|one| one.from <= at).map(|one| one.offset_s)
    }
}

fn offset_s(time: &Time, at: i64) -> Option<i64> {
    let rules = time.rules.iter().filter(|(from, ..)| *from <= at);
    rules.max_by_key(|(from, ..)| *from).map(|(_, offset_s, _)| *offset_s)
}
