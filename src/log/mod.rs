//! The program's own log: how much of it, how it looks, and how it gets out without ever holding up
//! the program.

mod pace;
mod writer;

use pace::Pace;
use plug2mqtt::bridge::Logging;
use plug2mqtt::config::{Format, Settings, TopicLevel};
use plug2mqtt::model::LogLevel;
use plug2mqtt::sinks::mqtt::log::LogTopic;
use std::fs::File;
use std::io::{IsTerminal, Write, stderr};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;
use tracing::error;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{Registry, prelude::*, reload};
use writer::Way;

/// What the log says about itself.
const OWN: &str = "plug2mqtt::log";

/// How long the last lines may take.
const LAST_LINES: Duration = Duration::from_millis(400);

/// The log while the program runs.
#[derive(Clone)]
pub(crate) struct Log {
    filter: reload::Handle<Targets, Registry>,
    topic: LogTopic,
    pace: Pace,
    way: Way,
}

impl Log {
    /// Starts logging to standard error; `serving` is a program that stays.
    pub(crate) fn start(settings: &Settings, serving: bool) -> Self {
        let (filter, handle) = reload::Layer::new(filter(level(settings, serving)));
        let (pace, way) = (Pace::default(), Way::default());
        // Its own copy: whoever else writes there must not wait for a lock.
        let errors = stderr().as_fd().try_clone_to_owned().map(File::from);
        if let Err(error) = errors.and_then(|errors| way.start(errors, pace.clone())) {
            drop(writeln!(stderr(), "plug2mqtt: there will be no log: {error}"));
        }
        let lines = tracing_subscriber::fmt::layer().with_writer(way.clone()).with_target(false);
        let topic = LogTopic::new(topic_level(settings));
        let registry = tracing_subscriber::registry().with(filter).with(pace.clone()).with(topic.clone());
        match settings.log.format {
            Format::Json => registry.with(lines.json()).init(),
            // The journal stamps lines itself.
            Format::Text if to_journal() => registry.with(lines.without_time().with_ansi(false)).init(),
            Format::Text => registry.with(lines.with_ansi(colours())).init(),
        }
        let log = Self { filter: handle, topic, pace, way };
        let last = log.way.clone();
        // The usual hook writes to standard error, where it may wait for ever.
        std::panic::set_hook(Box::new(move |panic| {
            error!(target: OWN, "this is a fault of plug2mqtt; please report it: {panic}");
            last.finish(LAST_LINES);
        }));
        log
    }

    /// What the bridge may do to the log.
    pub(crate) fn logging(&self) -> Logging {
        let handle = self.filter.clone();
        let set_level = Box::new(move |level: LogLevel| drop(handle.reload(filter(level))));
        Logging { set_level, lines: Some(self.topic.lines()) }
    }

    /// Goes on as these settings say. The form of lines stays as it is.
    pub(crate) fn adopt(&self, settings: &Settings) {
        drop(self.filter.reload(filter(level(settings, true))));
        self.topic.set_level(topic_level(settings));
    }

    /// Says why the program ends, whatever the level.
    pub(crate) fn complain(&self, text: &str) {
        drop(self.way.make_writer().write_all(format!("plug2mqtt: {text}\n").as_bytes()));
    }

    /// Gets the last lines out, if somebody reads them.
    pub(crate) fn finish(&self) {
        self.pace.sum_up();
        self.way.finish(LAST_LINES);
    }
}

fn topic_level(settings: &Settings) -> Option<LogLevel> {
    match settings.log.topic {
        TopicLevel::Off => None,
        TopicLevel::Error => Some(LogLevel::Error),
        TopicLevel::Warn => Some(LogLevel::Warn),
        TopicLevel::Info => Some(LogLevel::Info),
    }
}

/// The level that is set; without one, commands that print an answer keep their decisions to themselves.
fn level(settings: &Settings, serving: bool) -> LogLevel {
    match serving || settings.origins.contains_key("log.level") {
        true => settings.log.level,
        false => LogLevel::Warn,
    }
}

/// The broker's and the libraries' chatter is of no use to a user.
fn filter(level: LogLevel) -> Targets {
    let others = if level == LogLevel::Trace { LevelFilter::DEBUG } else { LevelFilter::WARN };
    let own = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    // What ends a connection is told by whoever holds it.
    let client = if level == LogLevel::Trace { LevelFilter::DEBUG } else { LevelFilter::OFF };
    let quiet = [("mqtt5", LevelFilter::ERROR), ("rumqttc", client), ("plug2mqtt", own)];
    Targets::new().with_default(others).with_targets(quiet)
}

/// Whether standard error goes to the journal itself: a child whose output goes elsewhere inherits
/// the variable all the same.
fn to_journal() -> bool {
    let place = stderr().as_fd().try_clone_to_owned().and_then(|file| File::from(file).metadata());
    let said = std::env::var("JOURNAL_STREAM");
    place.is_ok_and(|place| said.is_ok_and(|said| said == format!("{}:{}", place.dev(), place.ino())))
}

/// Colours are for terminals, and for people who want them (no-color.org).
fn colours() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty()) && stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn our_own_lines_obey_the_level_and_those_of_libraries_are_hardly_seen() {
        let most = |level: LogLevel, target: &str| {
            let all = [Level::TRACE, Level::DEBUG, Level::INFO, Level::WARN, Level::ERROR];
            all.into_iter().find(|one| filter(level).would_enable(target, one))
        };
        for (level, own) in [
            (LogLevel::Error, Level::ERROR),
            (LogLevel::Warn, Level::WARN),
            (LogLevel::Info, Level::INFO),
            (LogLevel::Debug, Level::DEBUG),
            (LogLevel::Trace, Level::TRACE),
        ] {
            assert_eq!(most(level, "plug2mqtt::hub"), Some(own), "{level:?}");
            let trace = level == LogLevel::Trace;
            assert_eq!(most(level, "rumqttc"), trace.then_some(Level::DEBUG), "{level:?}");
            assert_eq!(most(level, "mqtt5"), Some(Level::ERROR), "{level:?}");
            let others = if trace { Level::DEBUG } else { Level::WARN };
            assert_eq!(most(level, "hyper_util::client"), Some(others), "{level:?}");
        }
    }
}
