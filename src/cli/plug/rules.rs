//! `rules`: what the plug switches by itself.

use super::{RuleArgs, RuleCommand, Who, count, run, shown};
use crate::capability::warning;
use crate::cli::find::{Plug, find};
use crate::cli::table::{row, write};
use crate::config::Settings;
use crate::model::{CapabilityState, PlugRequest, RuleContent, RuleWish, time};
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
    let report = run(&mut plug, PlugRequest::Schedule(wish), ports, about).await?;
    let Some(CapabilityState::Schedule(rules, clock)) = shown(&plug, who, report, out)? else {
        return Ok(());
    };
    if rules.is_empty() {
        return Ok(writeln!(out, "{} has no rules", plug.name())?);
    }
    let mut rows = vec![row(["ID", "TIME", "DAYS", "ON", "OFF", ""])];
    let locks = plug.guard(0).locks;
    for (rule, date) in &rules {
        let ports = |on: bool| {
            let going = (1..).zip(&rule.ports).filter(|(_, wish)| **wish == Some(on));
            going.map(|(port, _): (u8, _)| port.to_string()).collect::<Vec<_>>().join(",")
        };
        let days = date.clone().unwrap_or_else(|| rule.days.to_string());
        let refused = (1u8..).zip(rule.ports.iter().zip(&locks));
        let refused = refused.filter(|(_, (wish, lock))| wish.is_some_and(|on| lock.refuses(on)));
        let refused: Vec<String> = refused.map(|(port, _)| port.to_string()).collect();
        let state = match (rule.enabled, refused.is_empty()) {
            (false, _) => "disabled".into(),
            (true, true) => String::new(),
            (true, false) => format!("moves the locked port {}", refused.join(", ")),
        };
        rows.push(row([
            &rule.id.to_string(),
            &time(rule.minute),
            &days,
            &ports(true),
            &ports(false),
            &state,
        ]));
    }
    write(&rows, out)?;
    match clock.as_ref().and_then(warning) {
        Some(warning) => Ok(writeln!(out, "mind: {warning}")?),
        None => Ok(()),
    }
}

fn content(plug: &Plug, args: &RuleArgs, count: usize) -> Result<RuleContent> {
    let ports = |words: &[String]| words.iter().map(|word| plug.port(word, count)).collect::<Result<_>>();
    let enabled = args.enabled.then_some(true).or(args.disabled.then_some(false));
    let (on, off) = (ports(&args.on)?, ports(&args.off)?);
    Ok(RuleContent { on, off, at: args.at, days: args.days, date: args.date, enabled })
}
