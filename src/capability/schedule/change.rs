//! What is wanted of a schedule, laid over the rules there are.

use super::{RawRule, ScheduleEdit, minute_of_day};
use crate::capability::{Guard, read};
use crate::core::{Days, Now, PerPort};
use jiff::civil::Date;
use serde::Deserialize;
use std::collections::BTreeSet;

const INCOMPLETE: &str =
    "a rule needs ports (on, off), a time (at 22:10), and days (Mon-Fri) or a date (2026-12-24)";

/// Reads the rules of a plug, or changes them: one of `add`, `change` and `delete`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ScheduleRequest {
    /// A new rule.
    pub add: Option<Box<RuleChange>>,
    /// Another content for a rule; what is not given stays.
    pub change: Option<Box<RuleChange>>,
    /// The number of a rule that is to go.
    pub delete: Option<i64>,
}

/// What a rule of a schedule is to be; what is not given stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RuleChange {
    /// Its number, where one is changed; a new one gets it from the plug.
    pub id: Option<i64>,
    /// Ports that go on.
    pub on: Vec<u8>,
    /// Ports that go off.
    pub off: Vec<u8>,
    /// Minutes after midnight, by the plug's clock; in JSON the time of day, as `"22:10"`.
    #[serde(deserialize_with = "read::time_of_day")]
    pub at: Option<u16>,
    /// Days on which it comes again, as `"Mon-Fri"`.
    pub days: Option<Days>,
    /// The one day on which it comes, as `"2026-12-24"` or `"24.12.2026"`.
    #[serde(deserialize_with = "read::some_date")]
    pub date: Option<Date>,
    /// Whether it is in force.
    pub enabled: Option<bool>,
}

impl RuleChange {
    /// It says all that a new rule needs.
    fn is_whole(&self) -> bool {
        let ports = !self.on.is_empty() || !self.off.is_empty();
        ports && self.at.is_some() && (self.days.is_some() || self.date.is_some())
    }

    fn names_no_port_twice(&self) -> Result<(), String> {
        let mut named = BTreeSet::new();
        match self.on.iter().chain(&self.off).find(|port| !named.insert(**port)) {
            Some(port) => Err(format!("port {port} is named twice in one rule")),
            None => Ok(()),
        }
    }
}

impl ScheduleRequest {
    /// Adds a rule.
    pub fn add(rule: RuleChange) -> Self {
        Self { add: Some(Box::new(rule)), ..Self::default() }
    }

    /// Changes the rule with the number in it.
    pub fn change(rule: RuleChange) -> Self {
        Self { change: Some(Box::new(rule)), ..Self::default() }
    }

    /// Deletes the rule with this number.
    pub fn delete(id: i64) -> Self {
        Self { delete: Some(id), ..Self::default() }
    }

    /// It asks for one change at the most, and says all that this takes.
    pub(super) fn is_one_change(&self) -> Result<(), String> {
        let both = |rule: &RuleChange| rule.days.is_some() && rule.date.is_some();
        match (self.add.as_deref(), self.change.as_deref(), self.delete) {
            (Some(_), Some(_), _) | (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                Err("give one of \"add\", \"change\" and \"delete\"".into())
            }
            (Some(rule), ..) | (_, Some(rule), _) if both(rule) => {
                Err("a rule comes on days or on one date, not both".into())
            }
            (Some(RuleChange { id: Some(_), .. }), ..) => {
                Err("a new rule gets its \"id\" from the plug; \"change\" changes one".into())
            }
            (Some(rule), ..) if !rule.is_whole() => Err(INCOMPLETE.into()),
            (_, Some(RuleChange { id: None, .. }), _) => Err("give the \"id\" of the rule to change".into()),
            (Some(rule), ..) | (_, Some(rule), _) => rule.names_no_port_twice(),
            (None, None, _) => Ok(()),
        }
    }

    /// What changes these rules as it is wanted; `None` when nothing is.
    pub(super) fn edit(
        &self,
        rules: &[RawRule],
        guard: &Guard,
        now: &Now,
    ) -> Result<Option<ScheduleEdit>, String> {
        let known = |id: i64| {
            let numbers: Vec<String> = rules.iter().map(|rule| rule.id.to_string()).collect();
            let there = if numbers.is_empty() { "none".into() } else { numbers.join(", ") };
            let rule = rules.iter().find(|rule| rule.id == id);
            rule.cloned().ok_or_else(|| format!("it has no rule {id}; there is {there}"))
        };
        let (rule, edit): (RawRule, fn(RawRule) -> ScheduleEdit) =
            match (&self.add, &self.change, self.delete) {
                (Some(content), ..) => {
                    let ports = vec![None; guard.ports.into()];
                    let empty =
                        RawRule { id: 0, enabled: true, ports, days: Days::default(), minute: 0, once: None };
                    (filled(empty, content, now)?, ScheduleEdit::Add)
                }
                (_, Some(content), _) => {
                    (filled(known(content.id.unwrap_or_default())?, content, now)?, ScheduleEdit::Change)
                }
                (_, _, Some(id)) => return Ok(Some(ScheduleEdit::Delete(known(id)?.id))),
                (None, None, None) => return Ok(None),
            };
        let wanted = (1..).zip(&rule.ports).filter_map(|(port, on)| on.map(|on| (port, on)));
        let locked = wanted.filter(|(port, on)| rule.enabled && guard.lock(*port).refuses(*on));
        let locked: Vec<String> =
            locked.map(|(port, on)| format!("port {port} {}", if on { "on" } else { "off" })).collect();
        if !locked.is_empty() {
            let locked = locked.join(", ");
            return Err(format!(
                "the rule would switch {locked} at {}, which is locked; unlock or leave out each of them",
                guard.who
            ));
        }
        Ok(Some(edit(rule)))
    }
}

/// The rule that results; one that comes once must still come.
fn filled(rule: RawRule, content: &RuleChange, now: &Now) -> Result<RawRule, String> {
    let rule = laid_over(rule, content, now)?;
    let timed = content.at.is_some() || content.enabled == Some(true);
    let comes = rule.comes(now).filter(|_| content.date.is_some() || rule.enabled && timed);
    match comes.filter(|comes| *comes <= now.local()) {
        Some(past) => Err(format!(
            "{} is past, it is {} here; give a date and time to come, or days",
            past.strftime("%Y-%m-%d %H:%M"),
            now.local().strftime("%Y-%m-%d %H:%M")
        )),
        None => Ok(rule),
    }
}

fn laid_over(mut rule: RawRule, content: &RuleChange, now: &Now) -> Result<RawRule, String> {
    if !content.on.is_empty() || !content.off.is_empty() {
        rule.ports.fill(None);
    }
    for (ports, on) in [(&content.on, true), (&content.off, false)] {
        for port in ports {
            *rule.ports.port_mut(*port).ok_or("the rule has fewer ports than the plug")? = Some(on);
        }
    }
    let before = rule.comes(now).filter(|_| content.days.is_none());
    rule.minute = content.at.unwrap_or(rule.minute);
    rule.enabled = content.enabled.unwrap_or(rule.enabled);
    if let Some(days) = content.days {
        (rule.days, rule.once) = (days, None);
    }
    // Another time on the same day, or another day at the same time; else it is left as it is.
    let date = content.date.or_else(|| content.at.and(before).map(|before| before.date()));
    let Some(date) = date else { return Ok(rule) };
    let minute = content.at.or(before.map(minute_of_day)).unwrap_or(rule.minute);
    let clock = |number: u16| i8::try_from(number).unwrap_or_default();
    let time = date.at(clock(minute / 60), clock(minute % 60), 0, 0);
    rule.at(time, now).ok_or_else(|| "that day cannot be written".into())
}
