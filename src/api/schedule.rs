//! The rules by which a plug switches on its own.

use super::{Asked, Verb, errand};
use crate::model::{PlugRequest, RuleContent, RuleWish, date, minute};
use serde::Deserialize;
use serde_json::Value as Json;

/// Read the rules of a plug, or change them: one of `add`, `change` and `delete`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// Which plug, as in `bridge/devices`.
    pub id: Option<String>,
    /// A new rule.
    pub add: Option<Rule>,
    /// Another content for a rule; what is not given stays.
    pub change: Option<Rule>,
    /// The number of a rule that is to go.
    pub delete: Option<i64>,
}

/// What a rule is to be.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its number, to change it.
    pub id: Option<i64>,
    /// Ports that go on, 1 to N.
    #[serde(default)]
    pub on: Vec<u8>,
    /// Ports that go off, 1 to N.
    #[serde(default)]
    pub off: Vec<u8>,
    /// The time of day by the plug's clock, as `"22:10"`.
    pub at: Option<String>,
    /// Days on which it comes again, as `"Mon-Fri"`.
    pub days: Option<String>,
    /// The one day on which it comes, as `"2026-12-24"` or `"24.12.2026"`.
    pub date: Option<String>,
    /// Whether it is in force.
    pub enabled: Option<bool>,
}

impl Verb for Schedule {
    const NAME: &'static str = "schedule";
    const CHANGES: bool = false;

    fn ask(self) -> Result<Asked, String> {
        let wish = match (&self.add, &self.change, self.delete) {
            (None, None, None) => None,
            (Some(Rule { id: Some(_), .. }), None, None) => {
                return Err("a new rule gets its \"id\" from the plug; \"change\" changes one".into());
            }
            (Some(rule), None, None) => Some(RuleWish::Add(rule.content()?)),
            (None, Some(rule), None) => {
                let id = rule.id.ok_or("give the \"id\" of the rule to change")?;
                Some(RuleWish::Change(id, rule.content()?))
            }
            (None, None, Some(id)) => Some(RuleWish::Delete(id)),
            _ => return Err("give one of \"add\", \"change\" and \"delete\"".into()),
        };
        errand(self.id.as_deref(), PlugRequest::Schedule(wish))
    }
}

impl Rule {
    fn content(&self) -> Result<RuleContent, String> {
        if self.days.is_some() && self.date.is_some() {
            return Err("a rule comes on days or on one date, not both".into());
        }
        Ok(RuleContent {
            on: self.on.clone(),
            off: self.off.clone(),
            at: self.at.as_deref().map(time_of_day).transpose()?,
            days: self.days.as_deref().map(str::parse).transpose()?,
            date: self.date.as_deref().map(date).transpose()?,
            enabled: self.enabled,
        })
    }
}

/// Minutes after midnight.
pub(super) fn time_of_day(text: &str) -> Result<u16, String> {
    minute(text).ok_or_else(|| "a time of day looks like 22:10".into())
}
