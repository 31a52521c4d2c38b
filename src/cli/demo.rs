//! `demo` and `simulate`: simulated plugs, on loopback or wherever this machine has an address.

use crate::config::{Broadcast, Settings};
use crate::sim::{self, Load, Place, Served, Shelf, Strip};
use anyhow::{Context, Result, bail};
use std::future::Future;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use tokio::io::{AsyncBufReadExt, BufReader};

/// Where the demo's plugs live.
const HOMES: [Ipv4Addr; 3] =
    [Ipv4Addr::new(127, 0, 18, 11), Ipv4Addr::new(127, 0, 18, 12), Ipv4Addr::new(127, 0, 18, 13)];

/// Loads in the demo live this much faster, so that a fridge cycles while one watches.
const HURRY: u32 = 30;

/// The demo's plugs: three firmwares, with loads that move.
pub fn plugs() -> Vec<Strip> {
    let shelf = vec![
        Strip::strip_1_30("SWP6000000000001")
            .mac("02:00:00:00:00:01")
            .named("Kitchen strip")
            .naming_ports(&["Fridge", "Kettle", "Radio", "Toaster", "Lamp", "Spare"])
            .with_relays(&[true, true, true, false, true, false])
            .load(1, Load::Fridge { milliwatts: 85_000 })
            .load(2, Load::Kettle { milliwatts: 2_050_000 })
            .load(3, Load::Standby { milliwatts: 2_400 })
            .load(4, Load::Constant { milliwatts: 850_000 })
            .load(5, Load::Constant { milliwatts: 9_200 }),
        Strip::plug_2_11("SWP1000000000002")
            .mac("02:00:00:00:00:02")
            .named("Coffee machine")
            .with_relays(&[true])
            .load(1, Load::Standby { milliwatts: 4_100 }),
        Strip::strip_5_11("SWW6000000000003")
            .mac("02:00:00:00:00:03")
            .named("Desk strip")
            .with_relays(&[true, true, false, false, true, false])
            .load(1, Load::Constant { milliwatts: 41_000 })
            .load(2, Load::Standby { milliwatts: 28_000 })
            .load(5, Load::Fridge { milliwatts: 12_000 }),
    ];
    shelf.into_iter().map(|strip| strip.living_faster(HURRY)).collect()
}

/// Serves the demo's plugs on loopback, on free ports.
///
/// # Errors
///
/// When the addresses cannot be bound.
pub async fn shelf() -> io::Result<Shelf> {
    Shelf::serve(HOMES.into_iter().zip(plugs()).collect(), 0, 0).await
}

/// Points settings at the shelf and at nothing else.
pub fn aim(settings: &mut Settings, shelf: &Shelf) {
    let (udp_port, http_port) = shelf.ports();
    settings.maxsmart.enabled = true;
    settings.maxsmart.udp_port = udp_port;
    settings.maxsmart.http_port = http_port;
    settings.maxsmart.broadcast = vec![Broadcast::To(Shelf::LOOPBACK_BROADCAST)];
    settings.maxsmart.hosts = Vec::new();
}

/// Says what there is and what to try.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn greet(shelf: &Shelf, base: &str, broker: &str, out: &mut dyn Write) -> io::Result<()> {
    let (host, port) = broker.rsplit_once(':').unwrap_or((broker, "1883"));
    writeln!(out, "\nA shelf of simulated plugs, a broker and the bridge between them, all on loopback:\n")?;
    for plug in shelf.plugs() {
        let (name, serial, ports, firmware) =
            plug.strip(|s| (s.name().to_owned(), s.serial().to_owned(), s.ports(), s.firmware()));
        writeln!(
            out,
            "  {name:<16} maxsmart-{}  {} port(s), {firmware:?}, at {}",
            serial.to_lowercase(),
            ports,
            plug.ip()
        )?;
    }
    let to = format!("-h {host} -p {port}");
    writeln!(
        out,
        "
Try, in another terminal (Debian: apt install mosquitto-clients):

  mosquitto_sub {to} -v -t '{base}/#'
  mosquitto_pub {to} -t {base}/maxsmart-swp6000000000001/5/set -m OFF
  mosquitto_pub {to} -t {base}/maxsmart-swp6000000000001/5/set -m '{{\"state\":\"ON\",\"id\":\"me\",\"for_s\":20}}'
  mosquitto_pub {to} -t {base}/maxsmart-sww6000000000003/0/set -m OFF

Home Assistant's MQTT integration, pointed at {broker}, shows all of it at once. Ctrl-C ends it.
"
    )
}

/// Serves simulated plugs until `stop`, prints `READY udp=N http=N` when they answer. Lines of
/// input are commands: `press IP PORT` presses a button and is answered `OK`.
///
/// # Errors
///
/// When a plug is not understood or its address cannot be bound.
pub async fn simulate(
    words: &[String],
    number: u8,
    udp_port: u16,
    http_port: u16,
    broadcast: &[Ipv4Addr],
    out: &mut dyn Write,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let mut strips = Vec::new();
    for (number, word) in (usize::from(number)..).zip(words) {
        strips.push(strip(word, number)?);
    }
    if strips.is_empty() {
        strips = HOMES.into_iter().zip(plugs()).collect();
    }
    let together = broadcast.is_empty() && !strips.iter().any(|(ip, _)| ip.is_unspecified());
    let (_shelf, served, ports) = if together {
        let shelf = Shelf::serve(strips, udp_port, http_port).await.context("cannot serve on loopback")?;
        let (served, ports) = (shelf.plugs().to_vec(), shelf.ports());
        (Some(shelf), served, ports)
    } else {
        let [(ip, strip)] = strips
            .try_into()
            .ok()
            .context("on 0.0.0.0 or with --broadcast give one plug; more need addresses of their own")?;
        let place = Place { ip, udp_port, http_port, broadcasts: broadcast.to_vec() };
        let plug = sim::serve(strip, place).await.with_context(|| format!("cannot serve on {ip}"))?;
        let ports = (plug.udp_addr().port(), plug.http_addr().port());
        (None, vec![plug], ports)
    };
    writeln!(out, "READY udp={} http={}", ports.0, ports.1)?;
    out.flush()?;
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut stop = std::pin::pin!(stop);
    loop {
        let line = tokio::select! {
            () = &mut stop => return Ok(()),
            line = lines.next_line() => line?,
        };
        // The end of the input is not the end of the plugs.
        let Some(line) = line else {
            stop.await;
            return Ok(());
        };
        writeln!(out, "{}", if pressed(&served, &line).is_some() { "OK" } else { "WHAT" })?;
        out.flush()?;
    }
}

fn strip(word: &str, number: usize) -> Result<(Ipv4Addr, Strip)> {
    let (ip, kind) =
        word.split_once('=').with_context(|| format!("{word} is not IP=KIND, as 127.0.9.1=strip-1.30"))?;
    let six = format!("SWP6{number:012}");
    let one = format!("SWP1{number:012}");
    let strip = match kind {
        "strip-1.30" => Strip::strip_1_30(&six).naming_ports(&["Lamp", "Büro"]),
        "plug-1.30" => Strip::plug_1_30(&one),
        "strip-2.11" => Strip::strip_2_11(&six),
        "plug-2.11" => Strip::plug_2_11(&one),
        "strip-3.36" => Strip::strip_3_36(&six),
        "strip-5.11" => Strip::strip_5_11(&six),
        "strip-5.11-bare" => Strip::strip_5_11(&six).bare_replies(),
        "plug-2.0" => Strip::plug_2_0(&format!("SWW1{number:012}")),
        _ => bail!(
            "no plug {kind}; there are strip-1.30, plug-1.30, strip-2.11, plug-2.11, strip-3.36, strip-5.11, strip-5.11-bare and plug-2.0"
        ),
    };
    let strip =
        strip.mac(&format!("02:00:00:00:00:{number:02x}")).load(1, Load::Constant { milliwatts: 18_330 });
    Ok((ip.parse().with_context(|| format!("{ip} is not an IPv4 address"))?, strip))
}

fn pressed(plugs: &[Served], line: &str) -> Option<()> {
    let mut words = line.split_whitespace();
    let (verb, ip, port) =
        (words.next()?, words.next()?.parse::<Ipv4Addr>().ok()?, words.next()?.parse().ok()?);
    plugs.iter().find(|plug| plug.ip() == ip).filter(|_| verb == "press")?.press(port);
    Some(())
}
