//! `rules`: what the plug switches by itself.

use super::{RuleArgs, RuleCommand, Who, count};
use crate::cli::find::{Plug, find};
use crate::cli::progress::patiently;
use crate::cli::table::{row, write};
use crate::config::Settings;
use crate::io::clock::Clock;
use crate::model::{Days, Moment, Rule, RuleChange, time};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::io::Write;

pub(super) async fn rules(
    settings: &Settings,
    who: &Who,
    change: Option<&RuleCommand>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut plug = find(settings, &who.plug).await?;
    let now = Clock::start().now();
    let what = format!("asking {} for its rules", plug.name());
    let before = patiently(&what, plug.line.rules()).await;
    let before = before.map_err(|failure| plug.failed("for its rules", &failure))?;
    let known = |id: i64| {
        let known = before.iter().find(|rule| rule.id == id);
        known.with_context(|| format!("{} has no rule {id}; see `plug2mqtt rules`", plug.name()))
    };
    let wanted = match change {
        None => {
            return print(&plug, &before, &now, who.json, out);
        }
        Some(RuleCommand::Delete { id }) => RuleChange::Delete(known(*id)?.id),
        Some(RuleCommand::Add(args)) => {
            let ports = count(&mut plug).await?;
            let empty = Rule {
                id: 0,
                enabled: true,
                ports: vec![None; ports],
                days: Days::default(),
                minute: 0,
                once: None,
            };
            if args.at.is_none() || (args.days.is_none() && args.date.is_none()) {
                bail!("a rule needs a time and days: --at 22:10 --days Mon-Fri, or --date 2026-12-24");
            }
            RuleChange::Add(filled(&plug, empty, args, &now)?)
        }
        Some(RuleCommand::Change { id, rule }) => {
            let old = known(*id)?.clone();
            RuleChange::Change(filled(&plug, old, rule, &now)?)
        }
    };
    let what = format!("changing the rules of {}", plug.name());
    let after = patiently(&what, plug.line.change_rules(wanted.clone())).await;
    let after = after.map_err(|failure| plug.failed("to change its rules", &failure))?;
    print(&plug, &after, &now, who.json, out)?;
    let obeyed = match &wanted {
        RuleChange::Add(_) => after.len() > before.len(),
        RuleChange::Change(rule) => after.contains(rule),
        RuleChange::Delete(id) => !after.iter().any(|rule| rule.id == *id),
    };
    if obeyed { Ok(()) } else { bail!("{} said yes and shows no such change", plug.name()) }
}

fn filled(plug: &Plug, mut rule: Rule, args: &RuleArgs, now: &Moment) -> Result<Rule> {
    let count = rule.ports.len();
    if !args.on.is_empty() || !args.off.is_empty() {
        rule.ports = vec![None; count];
    }
    for (words, on) in [(&args.on, true), (&args.off, false)] {
        for word in words {
            let place = usize::from(plug.port(word, count)?) - 1;
            match rule.ports.get_mut(place) {
                Some(wish @ None) => *wish = Some(on),
                _ => bail!("port {word} cannot go on and off in one rule"),
            }
        }
    }
    if rule.ports.iter().all(Option::is_none) {
        bail!("a rule needs ports: --on 1,2 or --off 3");
    }
    rule.minute = args.at.unwrap_or(rule.minute);
    rule.enabled = (rule.enabled || args.enabled) && !args.disabled;
    if let Some(days) = args.days {
        (rule.days, rule.once) = (days, None);
    }
    let date = match args.date {
        Some(date) => Some(date),
        // Another time on the same day.
        None => rule.date(now).and_then(|date| date.parse().ok()),
    };
    let Some(date) = date else { return Ok(rule) };
    let (hour, minute) = (i8::try_from(rule.minute / 60)?, i8::try_from(rule.minute % 60)?);
    rule.at(date.at(hour, minute, 0, 0), now).context("that day cannot be written")
}

fn print(plug: &Plug, rules: &[Rule], now: &Moment, as_json: bool, out: &mut dyn Write) -> Result<()> {
    if as_json {
        let one = |rule: &Rule| {
            json!({
                "id": rule.id, "enabled": rule.enabled, "time": time(rule.minute),
                "days": rule.once.is_none().then(|| rule.days.to_string()), "date": rule.date(now), "ports": rule.ports,
            })
        };
        let rules: Vec<_> = rules.iter().map(one).collect();
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&rules)?)?);
    }
    if rules.is_empty() {
        return Ok(writeln!(out, "{} has no rules", plug.name())?);
    }
    let mut rows = vec![row(["ID", "TIME", "DAYS", "ON", "OFF", ""])];
    for rule in rules {
        let ports = |on: bool| {
            let going = (1..).zip(&rule.ports).filter(|(_, wish)| **wish == Some(on));
            going.map(|(port, _): (u8, _)| port.to_string()).collect::<Vec<_>>().join(",")
        };
        let days = rule.date(now).unwrap_or_else(|| rule.days.to_string());
        let state = if rule.enabled { "" } else { "disabled" };
        rows.push(row([&rule.id.to_string(), &time(rule.minute), &days, &ports(true), &ports(false), state]));
    }
    Ok(write(&rows, out)?)
}
