//! A rule of a plug's schedule as it is read.

use crate::model::{Days, Rule};
use jiff::civil::Date;

/// What a plug switches by itself at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScheduleRule {
    /// Its number, by which it is changed and deleted.
    pub id: i64,
    /// Whether it is in force.
    pub enabled: bool,
    /// The ports it switches on.
    pub on: Vec<u8>,
    /// The ports it switches off.
    pub off: Vec<u8>,
    /// Minutes after midnight, by the plug's clock.
    pub at: u16,
    /// Days on which it comes again; none for a rule that comes once.
    pub days: Days,
    /// The one day on which it comes.
    pub date: Option<Date>,
}

impl ScheduleRule {
    pub(super) fn of((rule, date): (Rule, Option<String>)) -> Self {
        let ports = |wanted: bool| {
            let all = (1..).zip(&rule.ports);
            all.filter(|(_, on)| **on == Some(wanted)).map(|(port, _)| port).collect()
        };
        Self {
            id: rule.id,
            enabled: rule.enabled,
            on: ports(true),
            off: ports(false),
            at: rule.minute,
            days: rule.days,
            date: date.and_then(|date| date.parse().ok()),
        }
    }
}
