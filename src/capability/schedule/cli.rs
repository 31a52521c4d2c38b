//! The schedule on the command line.

use super::change::{RuleChange, ScheduleRequest};
use super::{Schedule, ScheduleRule};
use crate::capability::cli::{Face, Labels, Target, Text, list, time_of_day};
use crate::capability::clock::warning;
use crate::core::{Days, PerPort, date, time};
use jiff::civil::Date;

/// Shows the schedule by which the plug switches on its own, or changes it.
#[derive(Debug, clap::Args)]
pub struct Command {
    #[command(flatten)]
    target: Target,
    /// What is to change.
    #[command(subcommand)]
    change: Option<Edit>,
}

/// A change of the rules.
#[derive(Debug, clap::Subcommand)]
enum Edit {
    /// Adds one.
    Add(Rule),
    /// Changes one; what is not given stays.
    Change {
        /// Its number in the list.
        id: i64,
        /// Its new content.
        #[command(flatten)]
        rule: Rule,
    },
    /// Deletes one.
    Delete {
        /// Its number in the list.
        id: i64,
    },
}

/// The content of a rule.
#[derive(Debug, clap::Args)]
struct Rule {
    /// Ports that go on.
    #[arg(long, value_delimiter = ',')]
    on: Vec<String>,
    /// Ports that go off.
    #[arg(long, value_delimiter = ',')]
    off: Vec<String>,
    /// Time of day by the plug's clock, as 22:10.
    #[arg(long, value_parser = time_of_day)]
    at: Option<u16>,
    /// Days on which it comes again, as Mon-Fri, Sat,Sun or daily.
    #[arg(long, conflicts_with = "date")]
    days: Option<Days>,
    /// The one day on which it comes, as 2026-12-24 or 24.12.2026.
    #[arg(long, value_parser = date)]
    date: Option<Date>,
    /// Keep it out of force.
    #[arg(long, conflicts_with = "enabled")]
    disabled: bool,
    /// Put it in force again.
    #[arg(long)]
    enabled: bool,
}

impl Rule {
    fn change<E>(&self, id: Option<i64>, port: impl Fn(&str) -> Result<u8, E>) -> Result<RuleChange, E> {
        let ports = |words: &[String]| words.iter().map(|word| port(word)).collect::<Result<_, E>>();
        let enabled = self.enabled.then_some(true).or(self.disabled.then_some(false));
        let (on, off) = (ports(&self.on)?, ports(&self.off)?);
        Ok(RuleChange { id, on, off, at: self.at, days: self.days, date: self.date, enabled })
    }
}

impl Face for Command {
    type Request = ScheduleRequest;
    const ABOUT: &'static str = "for its rules";

    fn target(&self) -> &Target {
        &self.target
    }

    fn about(&self) -> &'static str {
        if self.change.is_some() { "to change its rules" } else { Self::ABOUT }
    }

    fn counts_ports(&self) -> bool {
        matches!(self.change, Some(Edit::Add(_) | Edit::Change { .. }))
    }

    fn request<E>(&self, port: impl Fn(&str) -> Result<u8, E>) -> Result<ScheduleRequest, E> {
        Ok(match &self.change {
            None => ScheduleRequest::default(),
            Some(Edit::Add(rule)) => ScheduleRequest::add(rule.change(None, port)?),
            Some(Edit::Change { id, rule }) => ScheduleRequest::change(rule.change(Some(*id), port)?),
            Some(Edit::Delete { id }) => ScheduleRequest::delete(*id),
        })
    }

    fn text(&self, schedule: &Schedule, plug: &dyn Labels) -> Text {
        if schedule.rules.is_empty() {
            return Text::line(format!("{} has no rules", plug.name()));
        }
        let locks = plug.locks();
        let mut text = Text::table(["ID", "TIME", "DAYS", "ON", "OFF", ""]);
        for ScheduleRule { id, enabled, on, off, at, days, date } in schedule.readable() {
            let refused = |ports: &[u8], on: bool| -> Vec<u8> {
                let locked = |port: &u8| locks.port(*port).is_some_and(|lock| lock.refuses(on));
                ports.iter().copied().filter(locked).collect()
            };
            let mut refused = [refused(&on, true), refused(&off, false)].concat();
            refused.sort_unstable();
            let state = match (enabled, refused.is_empty()) {
                (false, _) => "disabled".into(),
                (true, true) => String::new(),
                (true, false) => format!("moves the locked port {}", list(&refused)),
            };
            let days = date.map_or_else(|| days.to_string(), |date| date.to_string());
            let ports = |ports: &[u8]| list(ports).replace(' ', "");
            text.row([id.to_string(), time(at), days, ports(&on), ports(&off), state]);
        }
        text.lines.extend(schedule.clock.as_ref().and_then(warning).map(|why| format!("mind: {why}")));
        text
    }
}
