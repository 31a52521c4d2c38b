//! `rename`, `clock`, `timer`, `price`, `group`, `presence` and `call`.

use super::{OnOff, Who, count, run, shown};
use crate::bridge::zone;
use crate::capability::drift;
use crate::cli::Fault;
use crate::cli::find::find;
use crate::cli::progress::patiently;
use crate::cli::table::{row, write};
use crate::config::Settings;
use crate::model::{
    CapabilityState, Currency, Days, LeaderWish, Name, PlugRequest, PresenceSimulationWish, Price, time,
};
use anyhow::{Context, Result, bail};
use serde_json::json;
use std::io::Write;

pub(super) async fn rename(
    settings: &Settings,
    who: &Who,
    name: &str,
    port: Option<&str>,
    out: &mut dyn Write,
) -> Result<()> {
    let nameless = || Fault::Usage("a name needs at least one visible character".into());
    let wanted = Name::clean(name).ok_or_else(nameless)?;
    let mut plug = find(settings, &who.plug).await?;
    plug.may_change()?;
    let port = match port {
        None => 0,
        Some(word) => {
            let ports = count(&mut plug).await?;
            plug.port(word, ports)?
        }
    };
    let what = format!("renaming {}", plug.name());
    let told = patiently(&what, plug.line.rename(port, wanted.clone())).await;
    let told = told.map_err(|failure| plug.failed("to take a name", &failure)).with_context(|| {
        format!("{wanted} is not kept by the plug; the bridge can keep it, see docs/mqtt.md")
    })?;
    let took = told.as_ref().is_none_or(|told| *told == wanted);
    if who.json && took {
        let mut shown = json!({
            "id": plug.id(), "name": wanted.as_str(), "kept_by": "plug", "verified": told.is_some(),
        });
        if let (Some(object), true) = (shown.as_object_mut(), port > 0) {
            object.insert("port".into(), port.into());
        }
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&shown)?)?);
    }
    let subject = if port == 0 { plug.id() } else { format!("port {port} of {}", plug.name()) };
    match told {
        Some(told) if told == wanted => writeln!(out, "{subject} is now {told}")?,
        Some(told) => bail!("{subject} took the name and still calls itself {told}"),
        None => writeln!(
            out,
            "{subject} took the name {wanted}; it does not tell it, so this cannot be verified"
        )?,
    }
    Ok(())
}

pub(super) async fn clock(settings: &Settings, who: &Who, set: bool, out: &mut dyn Write) -> Result<()> {
    if set && zone(settings).name().is_none() {
        bail!(
            "no time zone is known, so the plug would be set to UTC; set timezone, as in --set timezone=Europe/Berlin"
        );
    }
    let mut plug = find(settings, &who.plug).await?;
    let report = run(&mut plug, PlugRequest::Clock { set }, 0, "for its clock").await?;
    let Some(CapabilityState::Clock(clock)) = shown(&plug, who, report, out)? else { return Ok(()) };
    let Some(clock) = clock else { return Ok(writeln!(out, "{}: set; it cannot be read", plug.name())?) };
    let local = clock.local.strftime("%Y-%m-%d %H:%M:%S");
    Ok(writeln!(out, "{}: {local}, {}", plug.name(), drift(clock.drift_s))?)
}

pub(super) async fn countdown(
    settings: &Settings,
    who: &Who,
    port: Option<&str>,
    minutes: Option<u32>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut plug = find(settings, &who.plug).await?;
    let ports = count(&mut plug).await?;
    let port = port.map(|word| plug.port(word, ports)).transpose()?;
    let report = run(&mut plug, PlugRequest::Countdown { port, minutes }, ports, "for a countdown").await?;
    let Some(CapabilityState::Countdowns(timers)) = shown(&plug, who, report, out)? else { return Ok(()) };
    let mut rows = vec![row(["PORT", "NAME", "OFF IN", "OF"])];
    for (port, timer) in &timers {
        let left = timer.map_or("-".into(), |t| format!("{}:{:02}", t.left_s / 60, t.left_s % 60));
        let of = timer.map(|timer| format!("{} min", timer.minutes)).unwrap_or_default();
        rows.push(row([&port.to_string(), &plug.port_name(*port), &left, &of]));
    }
    Ok(write(&rows, out)?)
}

pub(super) async fn price(
    settings: &Settings,
    who: &Who,
    wish: Option<(f64, Currency)>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut plug = find(settings, &who.plug).await?;
    let wish = wish.map(|(cost, currency)| Price { cost, currency });
    let report = run(&mut plug, PlugRequest::Price(wish), 0, "for its price").await?;
    let Some(CapabilityState::Price(price)) = shown(&plug, who, report, out)? else { return Ok(()) };
    match price {
        Some(price) => writeln!(out, "{}: {} {} per kWh", plug.name(), price.cost, price.currency)?,
        None => writeln!(out, "{}: no price", plug.name())?,
    }
    Ok(())
}

/// What is to lead.
pub(super) struct Lead<'a> {
    pub(super) leader: Option<&'a str>,
    pub(super) followers: &'a [String],
    pub(super) limit: Option<u16>,
    pub(super) none: bool,
}

pub(super) async fn leader(
    settings: &Settings,
    who: &Who,
    change: &Lead<'_>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut plug = find(settings, &who.plug).await?;
    let ports = if change.leader.is_some() { count(&mut plug).await? } else { 0 };
    let leader = change.leader.map(|word| plug.port(word, ports)).transpose()?;
    let followers = change.followers.iter().map(|word| plug.port(word, ports)).collect::<Result<_>>()?;
    let leader = leader.map(Some).or(change.none.then_some(None));
    let wish = LeaderWish { leader, followers, limit_w: change.limit };
    let wish = Some(wish).filter(|wish| *wish != LeaderWish::default());
    let report = run(&mut plug, PlugRequest::Leader(wish), ports, "which port leads").await?;
    let Some(CapabilityState::Leader(group)) = shown(&plug, who, report, out)? else { return Ok(()) };
    let Some(leader) = group.leader() else {
        return Ok(writeln!(out, "{}: no port leads", plug.name())?);
    };
    let followers: Vec<String> = group.followers().iter().map(ToString::to_string).collect();
    let limit = group.limit_w.map_or("an unknown limit".into(), |watts| format!("{watts} W"));
    Ok(writeln!(out, "{}: port {leader} leads port {} above {limit}", plug.name(), followers.join(", "))?)
}

/// What random switching is to be.
pub(super) struct Lived<'a> {
    pub(super) state: Option<OnOff>,
    pub(super) days: Option<Days>,
    pub(super) from: Option<u16>,
    pub(super) to: Option<u16>,
    pub(super) ports: &'a [String],
}

pub(super) async fn presence_simulation(
    settings: &Settings,
    who: &Who,
    change: &Lived<'_>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut plug = find(settings, &who.plug).await?;
    let count = if change.ports.is_empty() { 0 } else { count(&mut plug).await? };
    let ports = change.ports.iter().map(|word| plug.port(word, count)).collect::<Result<_>>()?;
    let enabled = change.state.map(|state| state == OnOff::On);
    let wish = PresenceSimulationWish { enabled, days: change.days, from: change.from, to: change.to, ports };
    let wish = Some(wish).filter(|wish| *wish != PresenceSimulationWish::default());
    let report =
        run(&mut plug, PlugRequest::PresenceSimulation(wish), count, "about random switching").await?;
    let Some(CapabilityState::PresenceSimulation(presence)) = shown(&plug, who, report, out)? else {
        return Ok(());
    };
    let state = if presence.enabled { "on" } else { "off" };
    let ports = (1..).zip(&presence.ports).filter(|(_, on)| **on);
    let ports: Vec<String> = ports.map(|(port, _): (u8, _)| port.to_string()).collect();
    if ports.is_empty() {
        return Ok(writeln!(out, "{}: random switching is {state}", plug.name())?);
    }
    let (days, from, to) = (presence.days, time(presence.from), time(presence.to));
    let ports = ports.join(", ");
    Ok(writeln!(out, "{}: random switching is {state}, {days} {from}-{to}, port {ports}", plug.name())?)
}

pub(super) async fn call(
    settings: &Settings,
    word: &str,
    command: u16,
    arguments: Option<String>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut plug = find(settings, word).await?;
    plug.may_change()?;
    let what = format!("asking {}", plug.name());
    let reply = patiently(&what, plug.line.call(command, arguments)).await;
    let reply = reply.map_err(|failure| plug.failed(&format!("for command {command}"), &failure))?;
    Ok(writeln!(out, "{reply}")?)
}
