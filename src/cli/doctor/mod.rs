//! `doctor`: looks at everything that can be wrong between plugs, network, broker and settings, and
//! says what to do about it. It changes nothing.

mod broker;
mod plugs;

use super::progress::patiently;
use crate::bridge::{driver_configs, enable_one, misfits, state_directory, zone};
use crate::config::Settings;
use crate::io::clock::Clock;
use crate::io::probe::interfaces;
use crate::io::store::Store;
use serde_json::json;
use std::io::{self, Write};
use std::path::Path;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As it should be.
    Fine,
    /// Worth knowing.
    Notification,
    /// Does not work.
    Bad,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Self::Fine => "ok",
            Self::Notification => "note",
            Self::Bad => "bad",
        }
    }
}

/// Something found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    level: Level,
    subject: String,
    text: String,
    remedy: Option<String>,
}

impl Finding {
    fn new(level: Level, subject: &str, text: impl Into<String>) -> Self {
        Self { level, subject: subject.into(), text: text.into(), remedy: None }
    }

    fn fine(subject: &str, text: impl Into<String>) -> Self {
        Self::new(Level::Fine, subject, text)
    }

    fn note(subject: &str, text: impl Into<String>, remedy: &str) -> Self {
        Self { remedy: Some(remedy.into()), ..Self::new(Level::Notification, subject, text) }
    }

    fn bad(subject: &str, text: impl Into<String>, remedy: &str) -> Self {
        Self { remedy: Some(remedy.into()), ..Self::new(Level::Bad, subject, text) }
    }
}

/// Examines everything.
pub async fn examine(settings: &Settings, file: Option<&Path>) -> Vec<Finding> {
    let mut findings = own(settings, file);
    findings.extend(network(settings));
    findings.extend(patiently("asking the broker", broker::examine(settings)).await);
    findings.extend(patiently("asking the plugs", plugs::examine(settings)).await);
    findings
}

/// Settings and state file.
fn own(settings: &Settings, file: Option<&Path>) -> Vec<Finding> {
    let mut findings = vec![match file {
        Some(file) => Finding::fine("settings", format!("{} is valid", file.display())),
        None => Finding::note(
            "settings",
            "no settings file; everything is as by default",
            "write one with `plug2mqtt config init -o plug2mqtt.toml`",
        ),
    }];
    let directory = state_directory(settings);
    findings.push(match Store::peek(&directory) {
        Ok(memory) => {
            Finding::fine("state", format!("{} remembers {} plugs", directory.display(), memory.plugs.len()))
        }
        Err(error) => Finding::bad("state", error.to_string(), error.remedy()),
    });
    let known = misfits::remembered(&Store::peek(&directory).unwrap_or_default());
    let misfits = if known.is_empty() { Vec::new() } else { misfits::misfits(settings, &known) };
    findings.extend(
        misfits.into_iter().map(|text| {
            Finding::note("settings", text, "correct it, or delete it; until then it does nothing")
        }),
    );
    findings.push(match zone(settings).name() {
        Some(name) => Finding::fine("time zone", name),
        None => Finding::bad(
            "time zone",
            "none is known (no TZ, no /etc/localtime): days begin at midnight UTC, and no clock of a plug is set by half hours",
            "set timezone, as in timezone = \"Europe/Berlin\"",
        ),
    });
    if !Clock::start().now().plausible() {
        let remedy = "let it be set over the network (NTP); until then no clock of a plug is set";
        findings.push(Finding::bad(
            "clock",
            "this machine's clock is before the date of this version",
            remedy,
        ));
    }
    findings
}

/// Where broadcasts go.
fn network(settings: &Settings) -> Vec<Finding> {
    let configs = driver_configs(settings);
    if configs.is_empty() {
        return vec![Finding::bad("network", "every family is switched off", &enable_one(settings))];
    }
    let all = interfaces();
    let words: Vec<String> = all.iter().map(|(own, to)| format!("{own} (broadcast {to})")).collect();
    let mut findings = Vec::new();
    for config in configs {
        let subject = format!("{} search", config.driver.name());
        let mut to: Vec<String> = config.reach.broadcast.iter().map(ToString::to_string).collect();
        let (hosts, scan) = (config.reach.hosts.len(), config.reach.scan.len());
        to.extend((hosts > 0).then(|| format!("{hosts} hosts of their own")));
        to.extend((scan > 0).then(|| format!("{scan} addresses of networks")));
        let also = to.join(", ");
        let more = if also.is_empty() { String::new() } else { format!(", and to {also}") };
        findings.push(match (config.reach.everywhere, words.is_empty()) {
            (true, false) => Finding::fine(&subject, format!("goes out from {}{more}", words.join(", "))),
            (true, true) => Finding::bad(
                &subject,
                format!("this machine has no network with a broadcast address{more}"),
                "connect it; in a container use the host's network, or name plugs with `hosts`, networks with `scan`",
            ),
            (false, _) if also.is_empty() => {
                Finding::bad(&subject, "goes nowhere", "give broadcast = [\"auto\"], hosts or scan in the settings")
            }
            (false, _) => Finding::fine(&subject, format!("goes to {also}")),
        });
    }
    findings
}

/// Prints findings for people. True when nothing is bad.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn print(findings: &[Finding], out: &mut dyn Write) -> io::Result<bool> {
    for finding in findings {
        writeln!(out, "{:<5} {}: {}", finding.level.as_str(), finding.subject, finding.text)?;
        if let Some(remedy) = &finding.remedy {
            writeln!(out, "      -> {remedy}")?;
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (bad, notes) = (count(Level::Bad), count(Level::Notification));
    writeln!(out, "{bad} bad, {notes} worth knowing, {} ok", findings.len() - bad - notes)?;
    Ok(bad == 0)
}

/// Prints findings as JSON. True when nothing is bad.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn json(findings: &[Finding], out: &mut dyn Write) -> io::Result<bool> {
    let one = |finding: &Finding| {
        json!({
            "level": finding.level.as_str(), "subject": finding.subject, "text": finding.text, "remedy": finding.remedy,
        })
    };
    let all: Vec<_> = findings.iter().map(one).collect();
    writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
    Ok(!findings.iter().any(|finding| finding.level == Level::Bad))
}
