//! `demo` and `simulate`: simulated plugs, on loopback or wherever this machine has an address.

use super::Fault;
use crate::config::{Broadcast, Settings};
use crate::drivers;
use crate::sim::{self, AnyModel, Endpoint, FAMILIES, Family, Faults, Load, Model, Served, Shelf};
use anyhow::{Context, Result};
use std::future::Future;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

/// Where the first of the demo's plugs lives; the others follow.
const HOME: Ipv4Addr = Ipv4Addr::new(127, 0, 18, 11);

/// Loads in the demo live this much faster, so that a fridge cycles while one watches.
const HURRY: u32 = 30;

/// A simulated plug in service.
pub type Plug = Served<AnyModel>;

/// The demo's plugs, with their addresses, family by family.
fn cast() -> Vec<(&'static Family, Vec<(Ipv4Addr, AnyModel)>)> {
    let mut homes = (u32::from(HOME)..).map(Ipv4Addr::from);
    let at_home = |family: &&'static Family| (*family, homes.by_ref().zip((family.demo)(HURRY)).collect());
    FAMILIES.iter().map(at_home).collect()
}

/// The ids of the demo's plugs.
pub fn ids() -> impl Iterator<Item = String> {
    cast().into_iter().flat_map(|(_, plugs)| plugs).map(|(_, plug)| plug.label().id)
}

/// The demo's plugs in service. Each family has ports of its own.
#[derive(Debug)]
pub struct Plugs(Vec<(&'static Family, Shelf<AnyModel>)>);

impl Plugs {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Plug> {
        self.0.iter().flat_map(|(_, shelf)| shelf.plugs())
    }

    /// The one with this id.
    pub fn plug(&self, id: &str) -> Option<&Plug> {
        self.all().find(|plug| plug.plug(|plug| plug.label().id == id))
    }

    /// Takes all of them out of service.
    pub async fn stop(&self) {
        for (_, shelf) in &self.0 {
            shelf.stop().await;
        }
    }
}

/// Serves the demo's plugs on loopback, on free ports.
///
/// # Errors
///
/// When the addresses cannot be bound.
pub async fn shelf() -> io::Result<Plugs> {
    let mut shelves = Vec::new();
    for (family, plugs) in cast() {
        shelves.push((family, Shelf::serve(plugs, 0, 0).await?));
    }
    Ok(Plugs(shelves))
}

/// Points settings at these plugs and at nothing else.
pub fn aim(settings: &mut Settings, plugs: &Plugs) {
    for (family, shelf) in &plugs.0 {
        let Some(family) = settings.family_mut(family.name) else { continue };
        let common = &mut family.common;
        common.enabled = true;
        (common.udp_port, common.http_port) = shelf.ports();
        common.broadcast = vec![Broadcast::To(Shelf::LOOPBACK_BROADCAST)];
        (common.hosts, common.scan) = (Vec::new(), Vec::new());
    }
}

/// Writes settings for other commands, so that they find these plugs and what the bridge knows.
///
/// # Errors
///
/// When the file cannot be written.
pub fn note_settings(settings: &Settings, broker: &str, state: &Path) -> io::Result<PathBuf> {
    let file = state.join("demo.toml");
    let mut text = format!("[mqtt]\nurl = \"mqtt://{broker}\"\n[state]\ndirectory = {state:?}\n");
    for family in &settings.families {
        let (name, udp_port, to) = (family.driver.name(), family.common.udp_port, Shelf::LOOPBACK_BROADCAST);
        text += &format!("[{name}]\nbroadcast = [\"{to}\"]\nudp_port = {udp_port}\n");
        if family.driver.info().http_port.is_some() {
            text += &format!("http_port = {}\n", family.common.http_port);
        }
    }
    std::fs::write(&file, text)?;
    Ok(file)
}

/// How this program was called, for lines to be tried.
fn called() -> String {
    std::env::args().next().filter(|name| !name.is_empty()).unwrap_or_else(|| "plug2mqtt".into())
}

/// Lists plugs: name, id, ports, and where they are.
fn list<'a>(plugs: impl Iterator<Item = &'a Plug>, out: &mut dyn Write) -> io::Result<()> {
    for plug in plugs {
        let (label, ports) = (plug.plug(|plug| plug.label()), plug.watts().len());
        let (name, id, kind, ip) = (label.name, label.id, label.kind, plug.ip());
        writeln!(out, "  {name:<16} {id:<26} {ports} port(s), {kind}, at {ip}")?;
    }
    Ok(())
}

/// Says what there is and what to try; `file` has the settings for other commands.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn greet(plugs: &Plugs, base: &str, broker: &str, file: &Path, out: &mut dyn Write) -> io::Result<()> {
    let (host, port) = broker.rsplit_once(':').unwrap_or((broker, "1883"));
    writeln!(out, "\nA set of simulated devices, a broker and the bridge between them, all on loopback:\n")?;
    list(plugs.all(), out)?;
    let ids: Vec<String> = plugs.all().map(|plug| plug.plug(|plug| plug.label().id)).collect();
    let (first, last) = (ids.first().map_or("", String::as_str), ids.last().map_or("", String::as_str));
    let (to, own) = (format!("-h {host} -p {port}"), format!("{} -c {}", called(), file.display()));
    writeln!(
        out,
        "
Try, in another terminal:

  {own} status \"Kitchen strip\"
  {own} toggle \"Kitchen strip\" Lamp
  {own} discover

Or with the clients of mosquitto (Debian: apt install mosquitto-clients):

  mosquitto_sub {to} -v -t '{base}/#'
  mosquitto_pub {to} -t {base}/{first}/5/set -m OFF
  mosquitto_pub {to} -t {base}/{first}/5/set -m '{{\"state\":\"ON\",\"id\":\"me\",\"for_s\":20}}'
  mosquitto_pub {to} -t {base}/{first}/0/set -m OFF
  mosquitto_pub {to} -t {base}/{last}/1/set -m TOGGLE

Home Assistant's MQTT integration, pointed at {broker}, shows all of it at once. Ctrl-C ends it.
"
    )
}

/// What `simulate` serves, and where.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Number of the first plug, which goes into serials and MACs.
    pub number: u8,
    /// Whether ports are taken that are free, instead of those in the settings of each family.
    pub free_ports: bool,
    /// Broadcast addresses to answer on, for a plug alone on its machine.
    pub broadcast: Vec<Ipv4Addr>,
}

/// Serves simulated plugs until `stop`, prints `READY` and the ports as settings (`FAMILY.udp_port=8888`) when they
/// answer. Lines of input are commands: `press IP PORT` presses a button, `load IP PORT WATTS`
/// plugs something in, `reboot IP` cuts the power for a moment, `fault IP NAME` switches a fault on
/// (`none` switches it off), `WORD IP` does what only its family knows. All are answered `OK`, or `WHAT` when they
/// are not understood. `people` read what is served, and how to find it.
///
/// # Errors
///
/// When a plug is not understood or its address cannot be bound.
pub async fn simulate(
    settings: &Settings,
    words: &[String],
    stage: &Stage,
    (out, people): (&mut dyn Write, &mut dyn Write),
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let mut cast = if words.is_empty() { cast() } else { Vec::new() };
    for (number, word) in (usize::from(stage.number)..).zip(words) {
        let (family, ip, plug) = plug(word, number).map_err(|why| Fault::Usage(format!("{why:#}")))?;
        match cast.iter_mut().find(|(known, _)| known.name == family.name) {
            Some((_, plugs)) => plugs.push((ip, plug)),
            None => cast.push((family, vec![(ip, plug)])),
        }
    }
    let mut served = Vec::new();
    for (family, plugs) in cast {
        let ports = ports(settings, family, stage.free_ports);
        served.push(Troupe::serve(family, plugs, words.len() == 1, &stage.broadcast, ports).await?);
    }
    let ready: String =
        served.iter().flat_map(Troupe::settings).map(|setting| format!(" {setting}")).collect();
    writeln!(out, "READY{ready}")?;
    out.flush()?;
    explain(&served, people)?;
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
        let done = obey(served.iter().flat_map(|troupe| &troupe.plugs), &line).await.is_some();
        writeln!(out, "{}", if done { "OK" } else { "WHAT" })?;
        out.flush()?;
    }
}

/// The UDP and HTTP port of a family, as the settings say; 0 for one that is free.
pub(super) fn ports(settings: &Settings, family: &Family, free: bool) -> (u16, u16) {
    match settings.family(family.name).filter(|_| !free) {
        Some(known) if known.driver.info().http_port.is_none() => (known.common.udp_port, 0),
        Some(known) => (known.common.udp_port, known.common.http_port),
        None => (0, 0),
    }
}

/// Says what is served and where, and how the command line finds it.
fn explain(served: &[Troupe], out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Simulated plugs, until Ctrl-C:\n")?;
    list(served.iter().flat_map(|troupe| &troupe.plugs), out)?;
    let mut to = String::new();
    for troupe in served {
        let on_loopback = troupe.plugs.first().is_some_and(|plug| plug.ip().is_loopback());
        let broadcast =
            on_loopback.then(|| format!("{}.broadcast={}", troupe.family.name, Shelf::LOOPBACK_BROADCAST));
        to.extend(troupe.settings().chain(broadcast).map(|setting| format!(" -s {setting}")));
    }
    writeln!(out, "\nTry, in another terminal:\n\n  {}{to} discover\n", called())
}

/// What to do where plugs cannot be served.
fn remedy(error: io::Error, place: &str) -> anyhow::Error {
    let remedies = [
        (
            io::ErrorKind::PermissionDenied,
            "; ports below 1024 are for root: give --free-ports, or others in the settings of the family",
        ),
        (
            io::ErrorKind::AddrInUse,
            "; another program has the port: end it, or give --free-ports, or others in the settings of the family",
        ),
        (
            io::ErrorKind::AddrNotAvailable,
            "; this machine has no such address: give one of its own, or one that begins with 127",
        ),
    ];
    let remedy = remedies.iter().find(|(kind, _)| *kind == error.kind()).map_or("", |(_, remedy)| *remedy);
    let text = format!("cannot serve on {place} ({error}){remedy}");
    if error.kind() == io::ErrorKind::AddrInUse {
        return Fault::Settings(text).into();
    }
    anyhow::Error::msg(text)
}

const ALONE: &str = "on 0.0.0.0 or with --broadcast give one plug; more need addresses of their own";

/// The plugs of one family in service.
struct Troupe {
    family: &'static Family,
    plugs: Vec<Plug>,
    /// Hears broadcasts for all of them.
    _shelf: Option<Shelf<AnyModel>>,
}

impl Troupe {
    async fn serve(
        family: &'static Family,
        plugs: Vec<(Ipv4Addr, AnyModel)>,
        alone: bool,
        broadcasts: &[Ipv4Addr],
        (udp_port, http_port): (u16, u16),
    ) -> Result<Self> {
        if broadcasts.is_empty() && !plugs.iter().any(|(ip, _)| ip.is_unspecified()) {
            let shelf = Shelf::serve(plugs, udp_port, http_port)
                .await
                .map_err(|error| remedy(error, "these addresses"))?;
            return Ok(Self { family, plugs: shelf.plugs().to_vec(), _shelf: Some(shelf) });
        }
        let [(ip, plug)] =
            plugs.try_into().ok().filter(|_| alone).ok_or_else(|| Fault::Usage(ALONE.into()))?;
        let place = Endpoint { ip, udp_port, http_port, broadcasts: broadcasts.into() };
        let plug = sim::serve(plug, place).await.map_err(|error| remedy(error, &ip.to_string()))?;
        Ok(Self { family, plugs: vec![plug], _shelf: None })
    }

    /// Its ports, as settings.
    fn settings(&self) -> impl Iterator<Item = String> {
        let (name, plug) = (self.family.name, self.plugs.first());
        let udp = plug.map(|plug| format!("{name}.udp_port={}", plug.udp_addr().port()));
        let has_web = drivers::named(name).is_some_and(|driver| driver.info().http_port.is_some());
        let http =
            plug.filter(|_| has_web).map(|plug| format!("{name}.http_port={}", plug.http_addr().port()));
        udp.into_iter().chain(http)
    }
}

fn plug(word: &str, number: usize) -> Result<(&'static Family, Ipv4Addr, AnyModel)> {
    let kinds = || FAMILIES.iter().flat_map(|family| family.kinds.iter().map(move |kind| (*family, kind)));
    let words: Vec<&str> = kinds().map(|(_, (kind, _))| *kind).collect();
    let (ip, kind) = word
        .split_once('=')
        .with_context(|| format!("{word} is not IP=KIND, as 127.0.9.1={}", words.first().unwrap_or(&"")))?;
    let ip = ip.parse().with_context(|| format!("{ip} is not an IPv4 address"))?;
    let made = kinds().find(|(_, (known, _))| *known == kind);
    let (family, (_, make)) =
        made.with_context(|| format!("no plug {kind}; there are {}", words.join(", ")))?;
    Ok((family, ip, make(u8::try_from(number).unwrap_or(u8::MAX))))
}

/// The fault of that name.
fn fault(name: &str) -> Option<Faults> {
    let mut faults = Faults::default();
    match name {
        "none" => {}
        "off" => faults.off = true,
        "hang" => faults.hang = true,
        "refuse" => faults.refuse = true,
        "delay" => faults.delay = Duration::from_secs(1),
        "empty" => faults.empty = true,
        "truncate" => faults.truncate = Some(40),
        "garbage" => faults.garbage = true,
        "oversized" => faults.oversized = true,
        _ => return None,
    }
    Some(faults)
}

/// Carries out a line of input; `None` when it is not understood.
async fn obey<'a>(mut plugs: impl Iterator<Item = &'a Plug>, line: &str) -> Option<()> {
    let mut words = line.split_whitespace();
    let (verb, ip) = (words.next()?, words.next()?.parse::<Ipv4Addr>().ok()?);
    let plug = plugs.find(|plug| plug.ip() == ip)?;
    match verb {
        "press" => plug.press(words.next()?.parse().ok()?),
        "reboot" => plug.reboot(),
        "load" => {
            let (port, watts) = (words.next()?.parse().ok()?, words.next()?.parse::<u32>().ok()?);
            plug.plug(|plug| plug.plug_in(port, Load::Constant { milliwatts: watts.saturating_mul(1000) }));
        }
        "fault" => plug.set_faults(fault(words.next()?)?).await.ok()?,
        word => plug.plug(|plug| plug.obey(word)).then_some(())?,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_port_is_refused_the_remedy_is_told() {
        for (kind, wanted) in [
            (io::ErrorKind::PermissionDenied, "for root"),
            (io::ErrorKind::AddrInUse, "another program"),
            (io::ErrorKind::AddrNotAvailable, "begins with 127"),
        ] {
            let text = remedy(kind.into(), "127.0.9.1").to_string();
            assert!(text.contains(wanted) && text.contains("127.0.9.1"), "{text}");
            let code = crate::cli::exit_code(&remedy(kind.into(), "127.0.9.1"));
            assert_eq!(code == 78, kind == io::ErrorKind::AddrInUse, "{code} {text}");
        }
    }
}
