//! `probe`: asks one address everything it will tell and explains what it finds.

use super::discover::look_at;
use crate::bridge::quarries;
use crate::config::Settings;
use crate::io::probe::search;
use crate::model::{Failure, Place};
use std::io::{self, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use tokio::sync::mpsc;

/// Probes `host` (`192.168.1.30`, `strip.lan` or `192.168.1.30:8080`). True when a plug answered.
///
/// # Errors
///
/// When `out` cannot be written.
pub async fn probe(settings: &Settings, host: &str, out: &mut dyn Write) -> io::Result<bool> {
    let Some(mut quarry) = quarries(settings).into_iter().next() else {
        writeln!(out, "every driver is switched off in the settings (maxsmart.enabled = false)")?;
        return Ok(false);
    };
    let (name, port) = match host.rsplit_once(':').and_then(|(name, port)| Some((name, port.parse().ok()?))) {
        Some((name, port)) => (name, port),
        None => (host, quarry.family.http_port),
    };
    let addresses: Vec<SocketAddr> = match (name, port).to_socket_addrs() {
        Ok(addresses) => addresses.filter(SocketAddr::is_ipv4).collect(),
        Err(error) => {
            writeln!(out, "{name}: the name cannot be resolved ({error}); try the address itself")?;
            return Ok(false);
        }
    };
    let Some(address) = addresses.first() else {
        writeln!(out, "{name}: has no IPv4 address")?;
        return Ok(false);
    };
    let place = Place { ip: address.ip(), http: port, udp: quarry.family.udp_port };
    writeln!(out, "{name}: asking {} (UDP {}, HTTP {})", place.ip, place.udp, place.http)?;
    quarry.reach.everywhere = false;
    quarry.reach.broadcast.clear();
    quarry.reach.hosts = vec![(place.ip.to_string(), Some(port))];
    let (heard, mut answers) = mpsc::channel(16);
    search(&quarry, &[], &heard).await;
    let told = answers.try_recv().ok();
    match &told {
        Some(found) => {
            let facts = &found.facts;
            writeln!(out, "  discovery   answers on UDP {}", place.udp)?;
            let rows = [
                ("name", facts.name.as_ref().map(ToString::to_string)),
                ("serial", facts.serial.clone()),
                ("mac", facts.mac.map(|mac| mac.to_string())),
                ("firmware", facts.firmware.clone()),
                ("model", Some(format!("{} {}", facts.manufacturer, facts.model))),
            ];
            for (label, value) in rows {
                writeln!(out, "  {label:<11} {}", value.as_deref().unwrap_or("not told"))?;
            }
            if facts.serial.is_none() {
                writeln!(
                    out,
                    "  note        its serial number cannot be used; it is known by its MAC, else by its cpuid"
                )?;
            }
        }
        None => writeln!(
            out,
            "  discovery   silent on UDP {}: no plug there, or a router or firewall drops datagrams; \
             with maxsmart.hosts it is asked directly",
            place.udp
        )?,
    }
    let Some(seen) = look_at(settings, place, quarry.driver.name()).await else {
        writeln!(
            out,
            "  identity    not told over HTTP {} either: this is no plug of a family known here, or it is off",
            place.http
        )?;
        return Ok(told.is_some());
    };
    if let Some(id) = &seen.found.id {
        writeln!(out, "  id          {id}")?;
    }
    match &seen.reading {
        Ok(reading) => {
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
            writeln!(out, "  remedy      {}", remedy(failure))?;
            Ok(false)
        }
    }
}

fn remedy(failure: &Failure) -> &'static str {
    match failure {
        Failure::Unreachable(_) => "check that the address is right and that the plug has power and Wi-Fi",
        Failure::Silent => {
            "it hangs or is overloaded: close the vendor's app and other programs that poll it, or unplug it for ten seconds"
        }
        Failure::Closed => {
            "it does not know this command: firmware of a kind not seen before; please report it"
        }
        Failure::Nonsense(_) => "please report it with the output of this command",
        Failure::Stranger(_) => "two devices share this address; check the DHCP server",
        Failure::Denied(_) => "its firmware refuses; please report it with the output of this command",
    }
}
