//! A timer in the plug, `TimerX`: on some days, or once, at a minute of the day its channel goes on or off.

use super::lenient::{count, switch, text};
use crate::model::Days;
use serde_json::{Value, json};

/// Always set in the days of a timer.
const WEEK: u64 = 1 << 7;

/// A timer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timer {
    /// Its id, sixteen characters.
    pub id: String,
    /// Its channel.
    pub channel: u64,
    /// Whether it is in force.
    pub enabled: bool,
    /// Its days; none for one that comes once, at the next such minute.
    pub days: Days,
    /// Minutes after midnight by the plug's local time.
    pub minute: u16,
    /// Where the channel goes.
    pub on: bool,
}

/// The bits of some days: Sunday is bit 0, and bit 7 is always set.
pub fn week(days: Days) -> u64 {
    let flags = days.sunday_first();
    (0..).zip(flags).filter(|(_, flag)| *flag).fold(WEEK, |week, (bit, _)| week | 1 << bit)
}

/// The days of some bits.
pub fn days(week: u64) -> Days {
    Days::from_sunday((0..7).map(|bit| week >> bit & 1 == 1))
}

impl Timer {
    /// Reads one, from `timerx` of an answer.
    pub fn read(one: &Value) -> Option<Self> {
        let minute = one.get("time").and_then(count).and_then(|minute| u16::try_from(minute).ok());
        let weekly = one.get("type").and_then(count) == Some(1);
        let bits = one.get("week").and_then(count).unwrap_or(0);
        Some(Self {
            id: text(one, "id").filter(|id| !id.is_empty())?.to_owned(),
            channel: one.get("channel").map_or(Some(0), count)?,
            enabled: one.get("enable").and_then(switch)?,
            days: if weekly { days(bits) } else { Days::default() },
            minute: minute.filter(|minute| *minute < 1440)?,
            on: one.pointer("/extend/toggle/onoff").and_then(switch)?,
        })
    }

    /// Writes it, as `timerx` of a request.
    pub fn write(&self, created: u64) -> Value {
        let once = self.days.is_empty();
        // Which day a timer that comes once names is not known; the app names every one.
        let week = week(if once { Days::ALL } else { self.days });
        json!({
            "id": self.id,
            "type": if once { 2 } else { 1 },
            "enable": u8::from(self.enabled),
            "channel": self.channel,
            "alias": "plug2mqtt",
            "time": self.minute,
            "week": week,
            "duration": 0,
            "sunOffset": 0,
            "createTime": created,
            "extend": {"toggle": {"onoff": u8::from(self.on), "lmTime": 0}},
        })
    }
}
