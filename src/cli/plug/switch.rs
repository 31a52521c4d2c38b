//! `status`, `on`, `off` and `toggle`.

use super::{Ports, Who};
use crate::cli::discover::on_off;
use crate::cli::find::{Plug, find};
use crate::cli::progress::patiently;
use crate::cli::table::{row, write};
use crate::config::Settings;
use crate::model::{PerPort, Reading, Switch};
use anyhow::{Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::Write;

#[derive(Debug, Clone, Copy)]
pub(super) enum SwitchAction {
    On,
    Off,
    Toggle,
}

pub(super) async fn status(settings: &Settings, who: &Who, out: &mut dyn Write) -> Result<()> {
    let mut plug = find(settings, &who.plug).await?;
    let reading = read(&mut plug).await?;
    print(&plug, &reading, who.json, out)
}

async fn read(plug: &mut Plug) -> Result<Reading> {
    let what = format!("asking {}", plug.name());
    let reading = patiently(&what, plug.line.read()).await;
    reading.map_err(|failure| plug.failed("how it is", &failure))
}

pub(super) async fn switch(
    settings: &Settings,
    ports: &Ports,
    wish: SwitchAction,
    out: &mut dyn Write,
) -> Result<()> {
    let mut plug = find(settings, &ports.who.plug).await?;
    let before = read(&mut plug).await?;
    let count = before.ports.len();
    let all: Vec<u8> = (1..).take(count).collect();
    let mut words: Vec<&String> = ports.ports.iter().filter(|word| !word.is_empty()).collect();
    // As over MQTT.
    if words.as_slice() == ["0"] {
        words.clear();
    }
    let named: Vec<u8> = words.into_iter().map(|word| plug.port(word, count)).collect::<Result<_>>()?;
    let whole = named.is_empty();
    let any_on = before.ports.iter().any(|port| port.relay == Some(true));
    let mut wishes = BTreeMap::new();
    for port in if whole { &all } else { &named } {
        let relay = before.ports.port(*port).and_then(|port| port.relay);
        let on = match (wish, relay) {
            (SwitchAction::On, _) => true,
            (SwitchAction::Off, _) => false,
            // As over MQTT: off when any is on, else on.
            (SwitchAction::Toggle, _) if whole && any_on => false,
            (SwitchAction::Toggle, Some(on)) => !on,
            (SwitchAction::Toggle, None) => {
                bail!("{} does not tell how port {port} is; say on or off", plug.name())
            }
        };
        if let Some(why) = plug.locked(*port, on) {
            bail!("{why}; nothing was switched");
        }
        wishes.insert(*port, on);
    }
    let one_way = wishes.values().all(|on| *on) || wishes.values().all(|on| !*on);
    let whole = wishes.len() == count && count > 1 && one_way;
    let request = match wishes.values().next() {
        Some(on) if whole => Switch::All(*on),
        _ => Switch::Ports(wishes.clone()),
    };
    let what = format!("switching {}", plug.name());
    let reading = patiently(&what, plug.line.switch(request)).await;
    let reading = reading.map_err(|failure| plug.failed("to switch", &failure))?;
    print(&plug, &reading, ports.who.json, out)?;
    let relay = |port: u8| reading.ports.port(port).and_then(|port| port.relay);
    let deaf: Vec<String> = wishes
        .iter()
        .filter(|(port, on)| relay(**port) != Some(**on))
        .map(|(port, _)| port.to_string())
        .collect();
    if !deaf.is_empty() {
        bail!("{} did not obey at port {}", plug.name(), deaf.join(", "));
    }
    Ok(())
}

/// For scripts: in the words and the form in which the bridge publishes `<base>/<plug>/state`.
pub(super) fn value(plug: &Plug, reading: &Reading) -> Value {
    let port = |(number, port): (u8, &crate::model::PortReading)| {
        let one = json!({
            "name": plug.port_name(number), "state": port.relay.map(on_off), "power": port.watts,
            "current": port.amps,
        });
        (number.to_string(), one)
    };
    let ports: serde_json::Map<_, _> = (1..).zip(&reading.ports).map(port).collect();
    let power = reading.ports.iter().filter_map(|port| port.watts).reduce(|a, b| a + b);
    json!({"id": plug.id(), "name": plug.name(), "power": power, "ports": ports})
}

fn print(plug: &Plug, reading: &Reading, as_json: bool, out: &mut dyn Write) -> Result<()> {
    if as_json {
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&value(plug, reading))?)?);
    }
    writeln!(out, "{} ({})", plug.name(), plug.id())?;
    let mut rows = vec![row(["PORT", "NAME", "RELAY", "POWER"])];
    for (number, port) in (1..).zip(&reading.ports) {
        let relay = match port.relay {
            Some(true) => "on",
            Some(false) => "off",
            None => "not told",
        };
        let watts = port.watts.map(|watts| format!("{watts:.1} W")).unwrap_or_default();
        rows.push(row([&number.to_string(), &plug.port_name(number), relay, &watts]));
    }
    Ok(write(&rows, out)?)
}
