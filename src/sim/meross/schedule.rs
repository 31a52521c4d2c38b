//! Timers and auto-off rules that a plug carries out by itself: `TimerX`, `TriggerX` and their digests.
//!
//! Keeps what was sent as it was sent, and reads of it what it needs.

use super::wire::number;
use serde_json::Value;

/// Timers, or rules, that fit into a plug.
const MOST: usize = 32;

/// A timer: at a minute of some days its channel goes on or off.
#[derive(Clone, Debug)]
struct Timer {
    sent: Value,
    count: u64,
}

impl Timer {
    fn id(&self) -> &str {
        self.sent.get("id").and_then(Value::as_str).unwrap_or_default()
    }

    fn channel(&self) -> u64 {
        number(&self.sent, "channel").unwrap_or(0)
    }

    fn is_enabled(&self) -> bool {
        number(&self.sent, "enable") == Some(1)
    }

    fn is_weekly(&self) -> bool {
        number(&self.sent, "type") == Some(1)
    }

    /// Whether it is due at this minute of a day of the week, Sunday first.
    fn is_due(&self, minute: u64, weekday: u64) -> bool {
        let days = number(&self.sent, "week").unwrap_or(0) & 0x7f;
        let today = days >> weekday & 1 == 1 || (!self.is_weekly() && days == 0);
        self.is_enabled() && today && number(&self.sent, "time") == Some(minute)
    }

    fn goes_on(&self) -> bool {
        let toggle = self.sent.pointer("/extend/toggle");
        toggle.and_then(|toggle| number(toggle, "onoff")) == Some(1)
    }

    fn disable(&mut self) {
        if let Some(enable) = self.sent.get_mut("enable") {
            *enable = 0.into();
        }
        self.count += 1;
    }
}

/// All of them, and when channels go off because of a rule.
#[derive(Clone, Debug, Default)]
pub(super) struct Schedule {
    timers: Vec<Timer>,
    triggers: Vec<Timer>,
    /// Channel, and the second at which it goes off.
    ends: Vec<(u64, u64)>,
    /// What the old dialect keeps as a whole.
    old_timers: Vec<Value>,
    old_triggers: Vec<Value>,
}

/// Which of the two lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Timers,
    Triggers,
}

impl List {
    /// The key in payloads.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Timers => "timerx",
            Self::Triggers => "triggerx",
        }
    }
}

impl Schedule {
    fn list(&self, list: List) -> &Vec<Timer> {
        match list {
            List::Timers => &self.timers,
            List::Triggers => &self.triggers,
        }
    }

    fn list_mut(&mut self, list: List) -> &mut Vec<Timer> {
        match list {
            List::Timers => &mut self.timers,
            List::Triggers => &mut self.triggers,
        }
    }

    /// Adds or replaces one. `None` for one without an id, or one too many.
    pub(super) fn set(&mut self, list: List, sent: &Value) -> Option<()> {
        let id = sent.get("id")?.as_str().filter(|id| (1..=64).contains(&id.len()))?;
        let all = self.list_mut(list);
        let count = all.len();
        match all.iter_mut().find(|one| one.id() == id) {
            Some(one) => {
                one.count += 1;
                one.sent = sent.clone();
            }
            None if count < MOST => all.push(Timer { sent: sent.clone(), count: 1 }),
            None => return None,
        }
        Some(())
    }

    /// Removes one.
    pub(super) fn delete(&mut self, list: List, id: &str) {
        self.list_mut(list).retain(|one| one.id() != id);
    }

    /// One, as it stands in answers.
    pub(super) fn tell(&self, list: List, id: &str) -> String {
        match self.list(list).iter().find(|one| one.id() == id) {
            Some(one) => format!(r#"{{"digest":{},"{}":{}}}"#, digest(one), list.key(), one.sent),
            None => format!(r#"{{"digest":{{}},"{}":{{}}}}"#, list.key()),
        }
    }

    /// The list of ids and revisions.
    pub(super) fn digest(&self, list: List) -> String {
        format!("[{}]", self.list(list).iter().map(digest).collect::<Vec<_>>().join(","))
    }

    /// Replaces what the old dialect keeps.
    pub(super) fn set_old(&mut self, list: List, all: &[Value]) -> Option<()> {
        let kept = match list {
            List::Timers => &mut self.old_timers,
            List::Triggers => &mut self.old_triggers,
        };
        *kept = (all.len() <= MOST).then(|| all.to_vec())?;
        Some(())
    }

    /// What the old dialect keeps.
    pub(super) fn tell_old(&self, list: List) -> String {
        let kept = match list {
            List::Timers => &self.old_timers,
            List::Triggers => &self.old_triggers,
        };
        Value::Array(kept.clone()).to_string()
    }

    /// A channel was switched at this second: its auto-off begins or is off.
    pub(super) fn switched(&mut self, channel: u64, on: bool, second: u64, weekday: u64) {
        self.ends.retain(|(other, _)| *other != channel);
        let rule = self.triggers.iter().find(|one| {
            let days = one.sent.pointer("/rule/week").and_then(Value::as_u64).unwrap_or(0);
            one.is_enabled() && one.channel() == channel && days >> weekday & 1 == 1
        });
        let duration = rule.and_then(|one| number(one.sent.get("rule")?, "duration"));
        if let Some(duration) = duration.filter(|_| on) {
            self.ends.push((channel, second.saturating_add(duration)));
        }
    }

    /// What switches at this second; the minute and day of the week are known once the clock is set.
    pub(super) fn due(&mut self, second: u64, calendar: Option<(u64, u64)>) -> Vec<(u64, bool)> {
        let mut due = Vec::new();
        if let Some((minute, weekday)) = calendar {
            for timer in self.timers.iter_mut().filter(|timer| timer.is_due(minute, weekday)) {
                due.push((timer.channel(), timer.goes_on()));
                if !timer.is_weekly() {
                    timer.disable();
                }
            }
            for timer in &mut self.old_timers {
                let mut one = Timer { sent: timer.clone(), count: 0 };
                if one.is_due(minute, weekday) {
                    due.push((0, one.goes_on()));
                    if !one.is_weekly() {
                        one.disable();
                        *timer = one.sent;
                    }
                }
            }
        }
        due.extend(self.ends.iter().filter(|(_, end)| *end <= second).map(|(channel, _)| (*channel, false)));
        self.ends.retain(|(_, end)| *end > second);
        due
    }
}

fn digest(one: &Timer) -> String {
    let id = super::wire::quoted(one.id());
    format!(r#"{{"channel":{},"id":{id},"count":{}}}"#, one.channel(), one.count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn timer(kind: u64, week: u64) -> Value {
        json!({"id": "abcdefghijklm123", "type": kind, "enable": 1, "channel": 1, "alias": "x", "time": 1252, "week": week,
            "duration": 0, "createTime": 1, "sunOffset": 0, "extend": {"toggle": {"onoff": 1, "lmTime": 0}}})
    }

    #[test]
    fn weekly_timers_come_again_and_others_once() {
        let mut schedule = Schedule::default();
        // Sunday.
        schedule.set(List::Timers, &timer(1, 129)).expect("fits");
        assert_eq!(schedule.due(0, Some((1252, 0))), [(1, true)]);
        assert_eq!(schedule.due(0, Some((1252, 1))), []);
        assert_eq!(schedule.due(0, Some((1252, 0))), [(1, true)]);
        schedule.set(List::Timers, &timer(2, 128)).expect("fits");
        assert_eq!(schedule.digest(List::Timers), r#"[{"channel":1,"id":"abcdefghijklm123","count":2}]"#);
        assert_eq!(schedule.due(0, Some((1252, 3))), [(1, true)]);
        assert_eq!(schedule.due(0, Some((1252, 4))), []);
        assert_eq!(schedule.tell(List::Timers, "other"), r#"{"digest":{},"timerx":{}}"#);
        assert!(schedule.tell(List::Timers, "abcdefghijklm123").contains(r#""enable":0"#));
        schedule.delete(List::Timers, "abcdefghijklm123");
        assert_eq!(schedule.digest(List::Timers), "[]");
        for nth in 0..MOST {
            assert!(schedule.set(List::Timers, &json!({"id": format!("timer {nth}")})).is_some());
        }
        assert!(schedule.set(List::Timers, &json!({"id": "one too many"})).is_none());
        assert!(schedule.set(List::Timers, &json!({"id": ""})).is_none());
    }

    #[test]
    fn a_rule_switches_off_after_each_on() {
        let mut schedule = Schedule::default();
        let rule =
            json!({"id": "r", "type": 0, "enable": 1, "channel": 0, "rule": {"week": 255, "duration": 900}});
        schedule.set(List::Triggers, &rule).expect("fits");
        schedule.switched(0, true, 100, 2);
        assert_eq!(schedule.due(999, None), []);
        assert_eq!(schedule.due(1000, None), [(0, false)]);
        assert_eq!(schedule.due(1001, None), []);
        schedule.switched(0, true, 2000, 2);
        schedule.switched(0, false, 2001, 2);
        assert_eq!(schedule.due(9999, None), []);
    }
}
