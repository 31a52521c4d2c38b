//! `rename`, `clock`, `timer`, `price`, `master`, `presence` and `call`.

use super::{OnOff, Who, count};
use crate::cli::find::find;
use crate::cli::progress::patiently;
use crate::cli::table::{row, write};
use crate::config::Settings;
use crate::model::{Currency, Days, Failure, Master, Name, Presence, Price, Role, Timer, time};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::io::Write;

fn print_json(value: &Value, out: &mut dyn Write) -> Result<()> {
    Ok(writeln!(out, "{}", serde_json::to_string_pretty(value)?)?)
}

pub(super) async fn rename(
    settings: &Settings,
    word: &str,
    name: &str,
    port: Option<&str>,
    out: &mut dyn Write,
) -> Result<()> {
    let wanted = Name::clean(name).context("a name needs at least one visible character")?;
    let mut plug = find(settings, word).await?;
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
    let mut plug = find(settings, &who.plug).await?;
    let what = format!("asking {}", plug.name());
    let clock = if set {
        patiently(&what, plug.line.set_clock()).await
    } else {
        patiently(&what, plug.line.clock()).await.map(Some)
    };
    let clock = clock.map_err(|failure| plug.failed("for its clock", &failure))?;
    let Some(clock) = clock else {
        if who.json {
            return print_json(&json!({"id": plug.id(), "time": null, "drift_s": null}), out);
        }
        return Ok(writeln!(out, "{}: set; it cannot be read", plug.name())?);
    };
    if who.json {
        let clock = json!({"id": plug.id(), "time": clock.local.to_string(), "drift_s": clock.drift_s});
        return print_json(&clock, out);
    }
    let local = clock.local.strftime("%Y-%m-%d %H:%M:%S");
    let drift = match clock.drift_s {
        0 => "as here".into(),
        ahead @ 1.. => format!("{ahead} s ahead"),
        behind => format!("{} s behind", behind.unsigned_abs()),
    };
    Ok(writeln!(out, "{}: {local}, {drift}", plug.name())?)
}

pub(super) async fn timer(
    settings: &Settings,
    who: &Who,
    port: Option<&str>,
    minutes: Option<u32>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut plug = find(settings, &who.plug).await?;
    let ports = count(&mut plug).await?;
    let asked: Vec<u8> = match port {
        Some(word) => vec![plug.port(word, ports)?],
        None => (1..).take(ports).collect(),
    };
    let mut timers: Vec<(u8, Option<Timer>)> = Vec::new();
    for port in asked {
        if let Some(minutes) = minutes
            && minutes > 0
            && let Some(why) = plug.locked(port, false)
        {
            bail!("{why}; no timer was set");
        }
        let what = format!("asking {} for port {port}", plug.name());
        let timer = match minutes {
            Some(minutes) => patiently(&what, plug.line.set_timer(port, minutes)).await,
            None => patiently(&what, plug.line.timer(port)).await,
        };
        timers.push((port, timer.map_err(|failure| plug.failed("for a timer", &failure))?));
    }
    if who.json {
        let one = |(port, timer): &(u8, Option<Timer>)| {
            let (minutes, left) = (timer.map(|timer| timer.minutes), timer.map(|timer| timer.left_s));
            json!({"port": port, "minutes": minutes, "left_s": left})
        };
        print_json(&timers.iter().map(one).collect(), out)?;
    } else {
        let mut rows = vec![row(["PORT", "NAME", "OFF IN", "OF"])];
        for (port, timer) in &timers {
            let left = timer.map_or("-".into(), |t| format!("{}:{:02}", t.left_s / 60, t.left_s % 60));
            let of = timer.map(|timer| format!("{} min", timer.minutes)).unwrap_or_default();
            rows.push(row([&port.to_string(), &plug.port_name(*port), &left, &of]));
        }
        write(&rows, out)?;
    }
    match (minutes, timers.as_slice()) {
        (Some(1..), [(port, None)]) => bail!("{} shows no timer at port {port}", plug.name()),
        (Some(0), [(port, Some(_))]) => bail!("the timer at port {port} of {} still runs", plug.name()),
        _ => Ok(()),
    }
}

pub(super) async fn price(
    settings: &Settings,
    who: &Who,
    wish: Option<(f64, Currency)>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut plug = find(settings, &who.plug).await?;
    let what = format!("asking {}", plug.name());
    let price = match wish {
        Some((cost, currency)) => patiently(&what, plug.line.set_price(Price { cost, currency })).await,
        None => patiently(&what, plug.line.price()).await,
    };
    let price = price.map_err(|failure| plug.failed("for its price", &failure))?;
    if who.json {
        let price = price.map(|price| (price.cost, price.currency.to_string())).unzip();
        return print_json(&json!({"id": plug.id(), "price": price.0, "currency": price.1}), out);
    }
    match price {
        Some(price) => writeln!(out, "{}: {} {} per kWh", plug.name(), price.cost, price.currency)?,
        None => writeln!(out, "{}: no price", plug.name())?,
    }
    Ok(())
}

/// What is to lead.
pub(super) struct Lead<'a> {
    pub(super) leader: Option<&'a str>,
    pub(super) slaves: &'a [String],
    pub(super) limit: Option<u16>,
    pub(super) none: bool,
}

pub(super) async fn master(
    settings: &Settings,
    who: &Who,
    change: &Lead<'_>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut plug = find(settings, &who.plug).await?;
    let what = format!("asking {}", plug.name());
    let told = patiently(&what, plug.line.master()).await;
    let mut master = told.map_err(|failure| plug.failed("which port leads", &failure))?;
    let before = master.clone();
    let ports = master.roles.len();
    if change.none {
        master.roles = vec![Role::Neutral; ports];
    }
    if let Some(leader) = change.leader {
        master.roles = vec![Role::Neutral; ports];
        let slaves = change.slaves.iter().map(|word| Ok((plug.port(word, ports)?, Role::Slave)));
        let leader = std::iter::once(plug.port(leader, ports).map(|port| (port, Role::Master)));
        for role in slaves.chain(leader) {
            let (port, role) = role?;
            if let Some(place) = master.roles.get_mut(usize::from(port) - 1) {
                *place = role;
            }
        }
    }
    master.limit_w = change.limit.or(master.limit_w).or(Some(Master::LIMITS[0]));
    if change.none || change.leader.is_some() || change.limit.is_some() {
        let told = patiently(&what, plug.line.set_master(master.clone())).await;
        let told = told.map_err(|failure| plug.failed("to let a port lead", &failure))?;
        if told != master {
            bail!("{} said yes and shows no such change", plug.name());
        }
    } else {
        master = before;
    }
    if who.json {
        let master = json!({
            "id": plug.id(), "leader": master.leader(), "slaves": master.slaves(), "limit_w": master.limit_w,
        });
        return print_json(&master, out);
    }
    let Some(leader) = master.leader() else {
        return Ok(writeln!(out, "{}: no port leads", plug.name())?);
    };
    let slaves: Vec<String> = master.slaves().iter().map(ToString::to_string).collect();
    let limit = master.limit_w.map_or("an unknown limit".into(), |watts| format!("{watts} W"));
    Ok(writeln!(out, "{}: port {leader} leads port {} above {limit}", plug.name(), slaves.join(", "))?)
}

/// What random switching is to be.
pub(super) struct Lived<'a> {
    pub(super) state: Option<OnOff>,
    pub(super) days: Option<Days>,
    pub(super) from: Option<u16>,
    pub(super) to: Option<u16>,
    pub(super) ports: &'a [String],
}

pub(super) async fn presence(
    settings: &Settings,
    who: &Who,
    change: &Lived<'_>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut plug = find(settings, &who.plug).await?;
    let what = format!("asking {}", plug.name());
    let failed =
        |plug: &crate::cli::find::Plug, failure: &Failure| plug.failed("about random switching", failure);
    let told = patiently(&what, plug.line.presence()).await;
    let mut presence = told.map_err(|failure| failed(&plug, &failure))?;
    let before = presence.clone();
    if !change.ports.is_empty() {
        let ports = count(&mut plug).await?;
        presence.ports = vec![false; ports];
        for word in change.ports {
            let place = usize::from(plug.port(word, ports)?) - 1;
            presence.ports.iter_mut().skip(place).take(1).for_each(|port| *port = true);
        }
    }
    presence.enabled = change.state.map_or(presence.enabled, |state| state == OnOff::On);
    presence.days = change.days.unwrap_or(presence.days);
    presence.from = change.from.unwrap_or(presence.from);
    presence.to = change.to.unwrap_or(presence.to);
    if presence.enabled && (presence.days.is_empty() || !presence.ports.contains(&true)) {
        bail!("random switching needs days and ports: --days daily --from 18:30 --to 23:00 --ports 1,2");
    }
    let changed = change.state.is_some() || presence != before;
    if changed {
        let told = patiently(&what, plug.line.set_presence(presence.clone())).await;
        if told.map_err(|failure| failed(&plug, &failure))? != presence {
            bail!("{} said yes and shows no such change", plug.name());
        }
    }
    print_presence(&plug.id(), &plug.name(), &presence, who.json, out)
}

fn print_presence(
    id: &str,
    name: &str,
    presence: &Presence,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<()> {
    let ports: Vec<u8> = (1..).zip(&presence.ports).filter(|(_, on)| **on).map(|(port, _)| port).collect();
    let (days, from, to) = (presence.days.to_string(), time(presence.from), time(presence.to));
    if as_json {
        let enabled = presence.enabled;
        let presence =
            json!({"id": id, "enabled": enabled, "days": days, "from": from, "to": to, "ports": ports});
        return print_json(&presence, out);
    }
    let state = if presence.enabled { "on" } else { "off" };
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    if ports.is_empty() {
        return Ok(writeln!(out, "{name}: random switching is {state}")?);
    }
    Ok(writeln!(out, "{name}: random switching is {state}, {days} {from}-{to}, port {}", ports.join(", "))?)
}

pub(super) async fn call(
    settings: &Settings,
    word: &str,
    command: u16,
    arguments: Option<String>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut plug = find(settings, word).await?;
    let what = format!("asking {}", plug.name());
    let reply = patiently(&what, plug.line.call(command, arguments)).await;
    let reply = reply.map_err(|failure| plug.failed(&format!("for command {command}"), &failure))?;
    Ok(writeln!(out, "{reply}")?)
}
