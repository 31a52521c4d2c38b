//! `rules`: what the plug switches by itself.

use super::{RuleArgs, RuleCommand, Who, count, run, shown};
use crate::cli::find::{Plug, find};
use crate::cli::table::{row, write};
use crate::config::Settings;
use crate::model::{Errand, Report, RuleContent, RuleWish, time};
use anyhow::Result;
use std::io::Write;

pub(super) async fn rules(
    settings: &Settings,
    who: &Who,
    change: Option<&RuleCommand>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut plug = find(settings, &who.plug).await?;
    let ports = match change {
        Some(RuleCommand::Add(_) | RuleCommand::Change { .. }) => count(&mut plug).await?,
        Some(RuleCommand::Delete { .. }) | None => 0,
    };
    let wish = match change {
        None => None,
        Some(RuleCommand::Add(args)) => Some(RuleWish::Add(content(&plug, args, ports)?)),
        Some(RuleCommand::Change { id, rule }) => Some(RuleWish::Change(*id, content(&plug, rule, ports)?)),
        Some(RuleCommand::Delete { id }) => Some(RuleWish::Delete(*id)),
    };
    let about = if wish.is_some() { "to change its rules" } else { "for its rules" };
    let report = run(&mut plug, Errand::Rules(wish), ports, about).await?;
    let Some(Report::Rules(rules)) = shown(&plug, who, report, out)? else { return Ok(()) };
    if rules.is_empty() {
        return Ok(writeln!(out, "{} has no rules", plug.name())?);
    }
    let mut rows = vec![row(["ID", "TIME", "DAYS", "ON", "OFF", ""])];
    for (rule, date) in &rules {
        let ports = |on: bool| {
            let going = (1..).zip(&rule.ports).filter(|(_, wish)| **wish == Some(on));
            going.map(|(port, _): (u8, _)| port.to_string()).collect::<Vec<_>>().join(",")
        };
        let days = date.clone().unwrap_or_else(|| rule.days.to_string());
        let state = if rule.enabled { "" } else { "disabled" };
        rows.push(row([&rule.id.to_string(), &time(rule.minute), &days, &ports(true), &ports(false), state]));
    }
    Ok(write(&rows, out)?)
}

fn content(plug: &Plug, args: &RuleArgs, count: usize) -> Result<RuleContent> {
    let ports = |words: &[String]| words.iter().map(|word| plug.port(word, count)).collect::<Result<_>>();
    let enabled = args.enabled.then_some(true).or(args.disabled.then_some(false));
    let (on, off) = (ports(&args.on)?, ports(&args.off)?);
    Ok(RuleContent { on, off, at: args.at, days: args.days, date: args.date, enabled })
}
