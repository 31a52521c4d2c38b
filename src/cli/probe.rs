//! `probe`: asks one address everything it will tell and explains what it finds.

use super::discover::{self, Seen, look_at};
use super::progress::patiently;
use crate::bridge::{driver_configs, enable_one};
use crate::config::Settings;
use crate::io::http::Http;
use crate::io::line::Line;
use crate::io::probe::{DriverConfig, search};
use crate::model::{Discovered, Endpoint, Failure, Heard, Query, QueryReply};
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use tokio::sync::mpsc;

/// Probes `host` (`192.168.1.30`, `strip.lan` or `192.168.1.30:8080`) and tells the story, or prints
/// what `discover --json` does. True when a plug answered.
///
/// # Errors
///
/// When `out` cannot be written.
pub async fn probe(settings: &Settings, host: &str, json: bool, out: &mut dyn Write) -> io::Result<bool> {
    if !json {
        return Ok(explain(settings, host, out).await?.0);
    }
    let mut story = Vec::new();
    let (well, seen) = explain(settings, host, &mut story).await?;
    match seen {
        Some(seen) => discover::json(&[seen], out)?,
        None => io::stderr().write_all(&story)?,
    }
    Ok(well)
}

/// Tells the story; whether a plug answered, and which.
async fn explain(settings: &Settings, host: &str, out: &mut dyn Write) -> io::Result<(bool, Option<Seen>)> {
    let configs = driver_configs(settings);
    if configs.is_empty() {
        writeln!(out, "every family is switched off in the settings; {}", enable_one(settings))?;
        return Ok((false, None));
    }
    let (name, port) = match host.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?))) {
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let addresses: Vec<SocketAddr> = match (name, 0).to_socket_addrs() {
        Ok(addresses) => addresses.filter(SocketAddr::is_ipv4).collect(),
        Err(error) => {
            writeln!(out, "{name}: the name cannot be resolved ({error}); try the address itself")?;
            return Ok((false, None));
        }
    };
    let Some(address) = addresses.first() else {
        writeln!(out, "{name}: has no IPv4 address")?;
        return Ok((false, None));
    };
    // Whoever answered a search is asked first: the other families would only wait for it in vain.
    let mut asked = Vec::new();
    for config in configs {
        let http = port.unwrap_or(config.family.http_port);
        let place = Endpoint { ip: address.ip(), http, udp: config.family.udp_port };
        let told = patiently(&format!("greeting {name}"), greeted(&config, place)).await;
        asked.push((config, place, told));
    }
    asked.sort_by_key(|(_, _, told)| match told {
        Some(Heard::Plug(_)) => 0,
        Some(Heard::Stray(_)) => 1,
        None => 2,
    });
    for (config, place, told) in asked {
        let driver = config.driver.name();
        writeln!(out, "{name}: asking {} for {driver} (UDP {}, HTTP {})", place.ip, place.udp, place.http)?;
        introduce(driver, place, told.as_ref(), out)?;
        match patiently(&format!("asking {name}"), look_at(settings, place, driver)).await {
            Some(seen) => {
                let well = report(&seen, told.is_some(), out)?;
                hardware(&config, &seen.found, out).await?;
                return Ok((well, Some(seen)));
            }
            None if matches!(told, Some(Heard::Plug(_))) => {
                writeln!(out, "  identity    not told when it was asked again")?;
                return Ok((true, None));
            }
            None if told.is_some() => {
                writeln!(out, "  identity    not told; if it is a plug, report the answer above, please")?;
            }
            None => writeln!(out, "  identity    not told either: no {driver} plug, or it is off")?,
        }
    }
    Ok((false, None))
}

/// The numbers its hardware carries, if it tells them.
async fn hardware(config: &DriverConfig, found: &Discovered, out: &mut dyn Write) -> io::Result<()> {
    let Ok(http) = Http::new() else { return Ok(()) };
    let hardware = Line::open(&http, config, found).capability(Query::Hardware).await;
    let Ok(QueryReply::Hardware(told)) = hardware else { return Ok(()) };
    let rows =
        [("mac", told.mac.map(|mac| mac.to_string())), ("cpuid", told.cpuid), ("made for", told.server)];
    for (label, value) in rows {
        if let Some(value) = value {
            writeln!(out, "  {label:<11} {value} (hardware)")?;
        }
    }
    Ok(())
}

/// Who answers the search of a family at one place.
async fn greeted(config: &DriverConfig, place: Endpoint) -> Option<Heard> {
    let mut config = config.clone();
    config.reach.everywhere = false;
    config.reach.broadcast.clear();
    config.reach.hosts = vec![(place.ip.to_string(), Some(place.http))];
    let (heard, mut answers) = mpsc::channel(16);
    search(&config, &[], &heard).await;
    let mut first = None;
    while let Ok(heard) = answers.try_recv() {
        match heard {
            Heard::Plug(_) => return Some(heard),
            Heard::Stray(_) => drop(first.get_or_insert(heard)),
        }
    }
    first
}

fn introduce(driver: &str, place: Endpoint, told: Option<&Heard>, out: &mut dyn Write) -> io::Result<()> {
    let found = match told {
        Some(Heard::Plug(found)) => found,
        Some(Heard::Stray(stray)) => return writeln!(out, "  discovery   {}", stray.what),
        None => {
            return writeln!(
                out,
                "  discovery   no response on UDP {}: no plug there, or a router or firewall drops datagrams; \
             with {driver}.hosts it is asked directly",
                place.udp
            );
        }
    };
    let facts = &found.facts;
    writeln!(out, "  discovery   answers on UDP {}", place.udp)?;
    let rows = [
        ("name", facts.name.as_ref().map(ToString::to_string)),
        ("serial", facts.serial.clone()),
        ("mac", facts.mac.map(|mac| mac.to_string())),
        ("model", Some(format!("{} {}", facts.manufacturer, facts.model))),
        ("type", facts.model_id.clone()),
    ];
    for (label, value) in rows {
        writeln!(out, "  {label:<11} {}", value.as_deref().unwrap_or("not told"))?;
    }
    // Not every family tells it here; then the reading does.
    if let Some(firmware) = &facts.firmware {
        writeln!(out, "  firmware    {firmware}")?;
    }
    if facts.serial.is_none() {
        writeln!(
            out,
            "  note        it tells no usable serial number; it is known by its MAC, else by its cpuid"
        )?;
    }
    Ok(())
}

fn report(seen: &Seen, greeted: bool, out: &mut dyn Write) -> io::Result<bool> {
    if let Some(id) = &seen.found.id {
        writeln!(out, "  id          {id}")?;
    }
    match &seen.reading {
        Ok(reading) => {
            if let Some(firmware) = reading.facts.as_ref().and_then(|facts| facts.firmware.as_ref()) {
                writeln!(out, "  firmware    {firmware}")?;
            }
            for (number, port) in (1..).zip(&reading.ports) {
                let relay = match port.relay {
                    Some(true) => "on",
                    Some(false) => "off",
                    None => "relay not told",
                };
                let watts = port.watts.map(|watts| format!("  {watts:.2} W")).unwrap_or_default();
                let amps = port.amps.map(|amps| format!("  {amps:.2} A")).unwrap_or_default();
                writeln!(out, "  port {number:<6} {relay}{watts}{amps}")?;
            }
            if reading.relays_remembered {
                writeln!(
                    out,
                    "  note        it does not tell its relay; the bridge shows what was last set, and watts prove on"
                )?;
            }
            for refused in &reading.refused {
                writeln!(out, "  refused     {refused}")?;
            }
            Ok(true)
        }
        Err(failure) => {
            writeln!(out, "  status      {failure}")?;
            let barred = greeted.then(|| failure.blocked(seen.found.place)).flatten();
            writeln!(out, "  remedy      {}", barred.as_deref().unwrap_or_else(|| remedy(failure)))?;
            Ok(false)
        }
    }
}

pub(super) fn remedy(failure: &Failure) -> &'static str {
    match failure {
        Failure::Unreachable(_) => "check that the address is right and that the plug has power and Wi-Fi",
        Failure::Timeout => {
            "it hangs or is overloaded: close the vendor's app and other programs that poll it, or unplug it for ten seconds"
        }
        Failure::Closed => {
            "it does not know this command: firmware of a kind not seen before; please report it"
        }
        Failure::InvalidResponse(_) => "please report it with the output of this command",
        Failure::WrongDevice(_) => "two devices share this address; check the DHCP server",
        Failure::Rejected(_) => {
            "if that does not say what to do, please report it with the output of this command"
        }
    }
}
