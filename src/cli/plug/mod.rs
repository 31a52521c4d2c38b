//! One plug from the command line, without broker and bridge: it is found, asked, and what it says is
//! printed. What a plug cannot do is said in a sentence.

mod history;
mod rules;
mod skills;
mod switch;
mod watch;

use super::find::Plug;
use super::progress::patiently;
use crate::api;
use crate::capability::Task;
use crate::client::perform;
use crate::config::Settings;
use crate::model::{CapabilityState, Days, PlugRequest, amount, date, minute};
use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use std::io::Write;
use std::time::Duration;

/// Commands for one plug, which is given by name, id, serial, MAC or address.
#[derive(Debug, Subcommand)]
pub enum PlugCommand {
    /// Shows the relays and the power of a plug.
    Status(Who),
    /// Switches ports on, all when none is named.
    On(Ports),
    /// Switches ports off, all when none is named.
    Off(Ports),
    /// Switches ports the other way; without any the whole plug: off when a port is on, else on.
    Toggle(Ports),
    /// Shows the power of each port, again and again.
    Watch {
        /// Which plug.
        #[command(flatten)]
        who: Who,
        /// Pause between two looks; plugs want to be left alone in between.
        #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
        every: Duration,
        /// End after so many looks.
        #[arg(long)]
        times: Option<u32>,
    },
    /// Gives a plug or one of its ports a name, which it keeps itself.
    Rename {
        /// Which plug.
        #[command(flatten)]
        who: Who,
        /// The new name.
        name: String,
        /// A port, by number or name.
        #[arg(long)]
        port: Option<String>,
    },
    /// Shows the plug's clock, or sets it.
    Clock {
        /// Which plug.
        #[command(flatten)]
        who: Who,
        /// Set it to the time of this machine.
        #[arg(value_enum)]
        action: Option<ClockAction>,
    },
    /// Shows the countdowns that switch ports off, or starts one.
    Countdown {
        /// Which plug.
        #[command(flatten)]
        who: Who,
        /// A port, by number or name.
        port: Option<String>,
        /// Time until it goes off, as 20m, or `cancel`.
        #[arg(value_parser = minutes)]
        minutes: Option<u32>,
    },
    /// Shows the schedule by which the plug switches on its own, or changes it.
    Schedule {
        /// Which plug.
        #[command(flatten)]
        who: Who,
        /// What is to change.
        #[command(subcommand)]
        change: Option<RuleCommand>,
    },
    /// Shows what the plug has recorded.
    History {
        /// Which plug.
        #[command(flatten)]
        who: Who,
        /// The last hours, days or months.
        #[arg(long, value_enum, default_value = "hours")]
        span: Spans,
        /// One port, by number or name; else their sum.
        #[arg(long)]
        port: Option<String>,
        /// For spreadsheets.
        #[arg(long, conflicts_with = "json")]
        csv: bool,
        /// What the plug's figures are. Sources disagree; watt-hours fit best.
        #[arg(long, value_enum, default_value = "wh")]
        unit: Unit,
        /// The plug's date is that of the oldest figure, not of the newest.
        #[arg(long)]
        dated_first: bool,
    },
    /// Shows what the plug was told a kilowatt-hour costs, or tells it.
    Price {
        /// Which plug.
        #[command(flatten)]
        who: Who,
        /// Price of a kilowatt-hour, as 0.31 or 0,31.
        #[arg(requires = "currency", value_parser = amount)]
        cost: Option<f64>,
        /// EUR, USD, JPY or CHF.
        #[arg(value_parser = currency)]
        currency: Option<crate::model::Currency>,
    },
    /// Shows which port leads others by the power it draws, or sets it.
    Leader {
        /// Which plug.
        #[command(flatten)]
        who: Who,
        /// The port that leads.
        #[arg(long, requires = "followers")]
        leader: Option<String>,
        /// The ports that follow.
        #[arg(long, value_delimiter = ',', requires = "leader")]
        followers: Vec<String>,
        /// Watts above which they are on: 2, 5, 10 or 35.
        #[arg(long)]
        limit: Option<u16>,
        /// No port leads any more.
        #[arg(long, conflicts_with_all = ["leader", "followers"])]
        none: bool,
    },
    /// Shows the presence simulation (random switching), or sets it.
    PresenceSimulation {
        /// Which plug.
        #[command(flatten)]
        who: Who,
        /// On or off.
        #[arg(value_enum)]
        state: Option<OnOff>,
        /// Days on which it begins, as Mon-Fri.
        #[arg(long)]
        days: Option<Days>,
        /// Begin, as 18:30.
        #[arg(long, value_parser = time_of_day)]
        from: Option<u16>,
        /// End, as 23:00; earlier than the begin means the next day.
        #[arg(long, value_parser = time_of_day)]
        to: Option<u16>,
        /// The ports that take part.
        #[arg(long, value_delimiter = ',')]
        ports: Vec<String>,
    },
    /// Sends any command of the protocol and prints the answer.
    Call {
        /// Name, id, serial, MAC or address.
        plug: String,
        /// Its number. Those that reset a plug or take it off the network are refused, 120 first of all.
        command: u16,
        /// Its arguments, as '{"port":1}'.
        arguments: Option<String>,
    },
}

/// A plug, and for whom the answer is.
#[derive(Debug, Args)]
pub struct Who {
    /// Name, id, serial, MAC or address.
    plug: String,
    /// For scripts.
    #[arg(long, global = true)]
    json: bool,
}

/// Ports of a plug.
#[derive(Debug, Args)]
pub struct Ports {
    #[command(flatten)]
    who: Who,
    /// Ports, by number or name, as 1,2 or 1 2.
    #[arg(value_delimiter = ',')]
    ports: Vec<String>,
}

/// A change of the rules.
#[derive(Debug, Subcommand)]
pub enum RuleCommand {
    /// Adds one.
    Add(RuleArgs),
    /// Changes one; what is not given stays.
    Change {
        /// Its number in the list.
        id: i64,
        /// Its new content.
        #[command(flatten)]
        rule: RuleArgs,
    },
    /// Deletes one.
    Delete {
        /// Its number in the list.
        id: i64,
    },
}

/// The content of a rule.
#[derive(Debug, Args)]
pub struct RuleArgs {
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
    date: Option<jiff::civil::Date>,
    /// Keep it out of force.
    #[arg(long, conflicts_with = "enabled")]
    disabled: bool,
    /// Put it in force again.
    #[arg(long)]
    enabled: bool,
}

/// What is done to a clock.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ClockAction {
    /// Set it.
    Set,
}

/// How far back.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Spans {
    /// 24 hours.
    Hours,
    /// A month by days.
    Days,
    /// A year by months.
    Months,
}

/// What figures in a record are.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Unit {
    /// Watt-hours.
    Wh,
    /// Kilowatt-hours.
    Kwh,
    /// Thousandths of watt-hours.
    Mwh,
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OnOff {
    /// On.
    On,
    /// Off.
    Off,
}

fn minutes(word: &str) -> Result<u32, String> {
    match word {
        "cancel" | "off" => Ok(0),
        word => {
            let whole = |time: Duration| time.as_secs().is_multiple_of(60).then_some(time.as_secs() / 60);
            let time = || humantime::parse_duration(word).ok().and_then(whole);
            let minutes =
                word.parse().ok().or_else(time).and_then(|minutes: u64| u32::try_from(minutes).ok());
            minutes
                .filter(|minutes| (1..=1440).contains(minutes))
                .ok_or_else(|| "give whole minutes, as 20m or 1h 30m, at most 24h, or cancel".into())
        }
    }
}

fn time_of_day(word: &str) -> Result<u16, String> {
    minute(word).ok_or_else(|| "a time of day looks like 22:10".into())
}

fn currency(word: &str) -> Result<crate::model::Currency, String> {
    crate::model::Currency::of_code(word).ok_or_else(|| "plugs know EUR, USD, JPY and CHF".into())
}

/// Carries a command out and prints what came of it.
///
/// # Errors
///
/// When the plug is not found, does not answer, cannot or will not, in a sentence that says so; when
/// `out` cannot be written.
pub async fn obey(settings: &Settings, command: &PlugCommand, out: &mut dyn Write) -> Result<()> {
    match command {
        PlugCommand::Status(who) => switch::status(settings, who, out).await,
        PlugCommand::On(ports) => switch::switch(settings, ports, switch::SwitchAction::On, out).await,
        PlugCommand::Off(ports) => switch::switch(settings, ports, switch::SwitchAction::Off, out).await,
        PlugCommand::Toggle(ports) => {
            switch::switch(settings, ports, switch::SwitchAction::Toggle, out).await
        }
        PlugCommand::Watch { who, every, times } => watch::watch(settings, who, *every, *times, out).await,
        PlugCommand::Rename { who, name, port } => {
            skills::rename(settings, who, name, port.as_deref(), out).await
        }
        PlugCommand::Clock { who, action } => skills::clock(settings, who, action.is_some(), out).await,
        PlugCommand::Countdown { who, port, minutes } => {
            skills::countdown(settings, who, port.as_deref(), *minutes, out).await
        }
        PlugCommand::Schedule { who, change } => rules::rules(settings, who, change.as_ref(), out).await,
        PlugCommand::History { who, span, port, csv, unit, dated_first } => {
            let wish = history::Wish { span: *span, unit: *unit, dated_first: *dated_first, csv: *csv };
            history::history(settings, who, port.as_deref(), wish, out).await
        }
        PlugCommand::Price { who, cost, currency } => {
            skills::price(settings, who, (*cost).zip(*currency), out).await
        }
        PlugCommand::Leader { who, leader, followers, limit, none } => {
            let change = skills::Lead { leader: leader.as_deref(), followers, limit: *limit, none: *none };
            skills::leader(settings, who, &change, out).await
        }
        PlugCommand::PresenceSimulation { who, state, days, from, to, ports } => {
            let change = skills::Lived { state: *state, days: *days, from: *from, to: *to, ports };
            skills::presence_simulation(settings, who, &change, out).await
        }
        PlugCommand::Call { plug, command, arguments } => {
            skills::call(settings, plug, *command, arguments.clone(), out).await
        }
    }
}

/// Runs an errand at a plug; `about` is what it is asked.
async fn run(plug: &mut Plug, errand: PlugRequest, ports: usize, about: &str) -> Result<CapabilityState> {
    let task = Task::new(errand, plug.guard(ports)).map_err(anyhow::Error::msg)?;
    let what = format!("asking {}", plug.name());
    let done = patiently(&what, perform(&mut plug.line, task)).await;
    done.map_err(|refused| plug.failed(about, &refused.failure))
}

/// Prints a report for scripts, or hands it back for people.
fn shown(
    plug: &Plug,
    who: &Who,
    report: CapabilityState,
    out: &mut dyn Write,
) -> Result<Option<CapabilityState>> {
    if !who.json {
        return Ok(Some(report));
    }
    writeln!(out, "{}", serde_json::to_string_pretty(&api::report(&plug.id(), &report))?)?;
    Ok(None)
}

/// The number of ports of a plug, by asking it.
async fn count(plug: &mut Plug) -> Result<usize> {
    let name = plug.name();
    let reading = patiently(&format!("asking {name}"), plug.line.read()).await;
    reading.map(|reading| reading.ports.len()).map_err(|failure| plug.failed("for its ports", &failure))
}

#[cfg(test)]
mod tests {
    use super::minutes;

    #[test]
    fn times_of_a_timer_are_written_as_everywhere() {
        for (word, wanted) in [("20m", 20), ("20", 20), ("1h 30m", 90), ("24h", 1440), ("cancel", 0)] {
            assert_eq!(minutes(word), Ok(wanted), "{word}");
        }
        for word in ["90s", "0m", "25h", "soon", "-1", "1441", "9999999999999m"] {
            assert!(minutes(word).is_err(), "{word}");
        }
    }
}
