//! `demo` and `simulate`: simulated plugs, on loopback or wherever this machine has an address.

use super::Fault;
use crate::config::{Broadcast, Settings};
use crate::sim::{self, Endpoint, Faults, Inplug, Load, Model, Served, Shelf, Strip};
use anyhow::{Context, Result, bail};
use std::future::Future;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};

/// Where the demo's plugs live.
const HOMES: [Ipv4Addr; 3] =
    [Ipv4Addr::new(127, 0, 18, 11), Ipv4Addr::new(127, 0, 18, 12), Ipv4Addr::new(127, 0, 18, 13)];

/// And its INPLUG.
const INPLUG_HOME: Ipv4Addr = Ipv4Addr::new(127, 0, 18, 14);

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

/// The demo's INPLUG.
pub fn inplugs() -> Vec<Inplug> {
    let heater = Load::Fridge { milliwatts: 400_000 };
    vec![Inplug::new(4).named("Heater").with_relay(true).load(heater).living_faster(HURRY)]
}

/// The demo's plugs in service. Each family has a port of its own for datagrams.
#[derive(Debug)]
pub struct Plugs {
    /// MaxSmart strips and plugs.
    pub strips: Shelf,
    /// INPLUGs.
    pub inplugs: Shelf<Inplug>,
}

impl Plugs {
    /// The UDP and HTTP ports of each family.
    fn ports(&self) -> [(&'static str, (u16, u16)); 2] {
        [("maxsmart", self.strips.ports()), ("inplug", self.inplugs.ports())]
    }

    /// Takes all of them out of service.
    pub async fn stop(&self) {
        self.strips.stop().await;
        self.inplugs.stop().await;
    }
}

/// Serves the demo's plugs on loopback, on free ports.
///
/// # Errors
///
/// When the addresses cannot be bound.
pub async fn shelf() -> io::Result<Plugs> {
    let strips = Shelf::serve(HOMES.into_iter().zip(plugs()).collect(), 0, 0).await?;
    let homes = std::iter::once(INPLUG_HOME);
    Ok(Plugs { strips, inplugs: Shelf::serve(homes.zip(inplugs()).collect(), 0, 0).await? })
}

/// Points settings at these plugs and at nothing else.
pub fn aim(settings: &mut Settings, plugs: &Plugs) {
    for (name, (udp_port, http_port)) in plugs.ports() {
        let Some(family) = settings.family_mut(name) else { continue };
        let common = &mut family.common;
        (common.enabled, common.udp_port, common.http_port) = (true, udp_port, http_port);
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
fn list(strips: &[Served], inplugs: &[Served<Inplug>], out: &mut dyn Write) -> io::Result<()> {
    for plug in strips {
        let (name, serial, ports, firmware) =
            plug.strip(|s| (s.name().to_owned(), s.serial().to_lowercase(), s.ports(), s.firmware()));
        let (id, ip) = (format!("maxsmart-{serial}"), plug.ip());
        writeln!(out, "  {name:<16} {id:<26} {ports} port(s), {firmware:?}, at {ip}")?;
    }
    for plug in inplugs {
        let (name, mac) = plug.plug(|plug| (plug.name().to_owned(), plug.mac()));
        let id = format!("inplug-{mac}");
        writeln!(out, "  {name:<16} {id:<26} 1 port(s), INPLUG, at {}", plug.ip())?;
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
    list(plugs.strips.plugs(), plugs.inplugs.plugs(), out)?;
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
  mosquitto_pub {to} -t {base}/maxsmart-swp6000000000001/5/set -m OFF
  mosquitto_pub {to} -t {base}/maxsmart-swp6000000000001/5/set -m '{{\"state\":\"ON\",\"id\":\"me\",\"for_s\":20}}'
  mosquitto_pub {to} -t {base}/maxsmart-sww6000000000003/0/set -m OFF
  mosquitto_pub {to} -t {base}/inplug-020000002704/1/set -m TOGGLE

Home Assistant's MQTT integration, pointed at {broker}, shows all of it at once. Ctrl-C ends it.
"
    )
}

/// What `simulate` serves, and where.
#[derive(Debug, Clone)]
pub struct Stage {
    /// Number of the first plug, which goes into serials and MACs.
    pub number: u8,
    /// UDP port of MaxSmart plugs; 0 takes a free one.
    pub udp_port: u16,
    /// Their HTTP port.
    pub http_port: u16,
    /// UDP port of INPLUGs.
    pub inplug_port: u16,
    /// Broadcast addresses to answer on, for a plug alone on its machine.
    pub broadcast: Vec<Ipv4Addr>,
}

/// Serves simulated plugs until `stop`, prints `READY udp=N http=N inplug=N` when they answer, with the
/// ports there are. Lines of input are commands: `press IP PORT` presses a button, `load IP PORT WATTS`
/// plugs something in, `reboot IP` cuts the power for a moment, `fault IP NAME` switches a fault on
/// (`none` switches it off), `lock IP` and `unlock IP` lock an INPLUG as its app does, `expire IP` ends
/// its session. All are answered `OK`. `people` read what is served, and how to find it.
///
/// # Errors
///
/// When a plug is not understood or its address cannot be bound.
pub async fn simulate(
    words: &[String],
    stage: &Stage,
    (out, people): (&mut dyn Write, &mut dyn Write),
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let (mut strips, mut inplugs) = (Vec::new(), Vec::new());
    for (number, word) in (usize::from(stage.number)..).zip(words) {
        match plug(word, number).map_err(|why| Fault::Usage(format!("{why:#}")))? {
            (ip, Kind::Strip(strip)) => strips.push((ip, *strip)),
            (ip, Kind::Inplug(inplug)) => inplugs.push((ip, inplug)),
        }
    }
    if words.is_empty() {
        strips = HOMES.into_iter().zip(plugs()).collect();
        inplugs = std::iter::once(INPLUG_HOME).zip(self::inplugs()).collect();
    }
    let alone = words.len() == 1;
    let strips = Family::serve(strips, alone, stage, (stage.udp_port, stage.http_port)).await?;
    let inplugs = Family::serve(inplugs, alone, stage, (stage.inplug_port, 0)).await?;
    let mut ready = String::from("READY");
    if let Some((udp, http)) = strips.ports() {
        ready += &format!(" udp={udp} http={http}");
    }
    if let Some((udp, _)) = inplugs.ports() {
        ready += &format!(" inplug={udp}");
    }
    writeln!(out, "{ready}")?;
    out.flush()?;
    explain(&strips, &inplugs, people)?;
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
        let done = match fault(&strips.served, &line) {
            Some((plug, faults)) => plug.set_faults(faults).await.is_ok(),
            None => obey(&strips.served, &inplugs.served, &line).is_some(),
        };
        writeln!(out, "{}", if done { "OK" } else { "WHAT" })?;
        out.flush()?;
    }
}

/// Says what is served and where, and how the command line finds it.
fn explain(strips: &Family<Strip>, inplugs: &Family<Inplug>, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "Simulated plugs, until Ctrl-C:\n")?;
    list(&strips.served, &inplugs.served, out)?;
    let loopback = |ip: Option<Ipv4Addr>| ip.is_some_and(|ip| ip.is_loopback());
    let mut to = String::new();
    if let Some((udp, http)) = strips.ports() {
        to += &format!(" -s maxsmart.udp_port={udp} -s maxsmart.http_port={http}");
        if loopback(strips.served.first().map(Served::ip)) {
            to += &format!(" -s maxsmart.broadcast={}", Shelf::LOOPBACK_BROADCAST);
        }
    }
    if let Some((udp, _)) = inplugs.ports() {
        to += &format!(" -s inplug.udp_port={udp}");
        if loopback(inplugs.served.first().map(Served::ip)) {
            to += &format!(" -s inplug.broadcast={}", Shelf::LOOPBACK_BROADCAST);
        }
    }
    writeln!(out, "\nTry, in another terminal:\n\n  {}{to} discover\n", called())
}

/// What to do where plugs cannot be served.
fn remedy(error: io::Error, place: &str) -> anyhow::Error {
    let remedies = [
        (
            io::ErrorKind::PermissionDenied,
            "; ports below 1024 are for root: give --udp-port 0 --http-port 0 --inplug-port 0, which take free ones",
        ),
        (
            io::ErrorKind::AddrInUse,
            "; another program has the port: end it, or give --udp-port 0 --http-port 0 --inplug-port 0, which take free ones",
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
struct Family<M> {
    served: Vec<Served<M>>,
    /// Hears broadcasts for all of them.
    _shelf: Option<Shelf<M>>,
}

impl<M: Model> Family<M> {
    async fn serve(
        plugs: Vec<(Ipv4Addr, M)>,
        alone: bool,
        stage: &Stage,
        (udp_port, http_port): (u16, u16),
    ) -> Result<Self> {
        if plugs.is_empty() {
            return Ok(Self { served: Vec::new(), _shelf: None });
        }
        if stage.broadcast.is_empty() && !plugs.iter().any(|(ip, _)| ip.is_unspecified()) {
            let shelf = Shelf::serve(plugs, udp_port, http_port)
                .await
                .map_err(|error| remedy(error, "these addresses"))?;
            return Ok(Self { served: shelf.plugs().to_vec(), _shelf: Some(shelf) });
        }
        let [(ip, plug)] =
            plugs.try_into().ok().filter(|_| alone).ok_or_else(|| Fault::Usage(ALONE.into()))?;
        let place = Endpoint { ip, udp_port, http_port, broadcasts: stage.broadcast.clone() };
        let plug = sim::serve(plug, place).await.map_err(|error| remedy(error, &ip.to_string()))?;
        Ok(Self { served: vec![plug], _shelf: None })
    }

    fn ports(&self) -> Option<(u16, u16)> {
        self.served.first().map(|plug| (plug.udp_addr().port(), plug.http_addr().port()))
    }
}

enum Kind {
    Strip(Box<Strip>),
    Inplug(Inplug),
}

fn plug(word: &str, number: usize) -> Result<(Ipv4Addr, Kind)> {
    let (ip, kind) =
        word.split_once('=').with_context(|| format!("{word} is not IP=KIND, as 127.0.9.1=strip-1.30"))?;
    let ip = ip.parse().with_context(|| format!("{ip} is not an IPv4 address"))?;
    let six = format!("SWP6{number:012}");
    let one = format!("SWP1{number:012}");
    let short = u8::try_from(number).unwrap_or(u8::MAX);
    let load = Load::Constant { milliwatts: 18_330 };
    let inplug = |plug: Inplug| Ok((ip, Kind::Inplug(plug.load(load).with_relay(true))));
    let strip = match kind {
        "strip-1.30" => Strip::strip_1_30(&six).naming_ports(&["Lamp", "Büro"]),
        "plug-1.30" => Strip::plug_1_30(&one),
        "strip-2.11" => Strip::strip_2_11(&six),
        "plug-2.11" => Strip::plug_2_11(&one),
        "strip-3.36" => Strip::strip_3_36(&six),
        "strip-5.11" => Strip::strip_5_11(&six),
        "strip-5.11-bare" => Strip::strip_5_11(&six).bare_replies(),
        "plug-2.0" => Strip::plug_2_0(&format!("SWW1{number:012}")),
        "inplug" => return inplug(Inplug::new(short)),
        "inplug-brief" => return inplug(Inplug::new(short).brief()),
        "inplug-no-meter" => return inplug(Inplug::without_meter(short)),
        "inplug-sp3s" => return inplug(Inplug::sp3s(short)),
        _ => bail!(
            "no plug {kind}; there are strip-1.30, plug-1.30, strip-2.11, plug-2.11, strip-3.36, strip-5.11, strip-5.11-bare, plug-2.0, inplug, inplug-brief, inplug-no-meter and inplug-sp3s"
        ),
    };
    let strip = strip.mac(&format!("02:00:00:00:00:{number:02x}")).load(1, load);
    Ok((ip, Kind::Strip(Box::new(strip))))
}

/// The fault that a line of input wants of a strip.
fn fault<'a>(strips: &'a [Served], line: &str) -> Option<(&'a Served, Faults)> {
    let mut words = line.strip_prefix("fault ")?.split_whitespace();
    let ip = words.next()?.parse::<Ipv4Addr>().ok()?;
    let plug = strips.iter().find(|plug| plug.ip() == ip)?;
    let mut faults = Faults::default();
    match words.next()? {
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
    Some((plug, faults))
}

/// Carries out a line of input; `None` when it is not understood.
fn obey(strips: &[Served], inplugs: &[Served<Inplug>], line: &str) -> Option<()> {
    let mut words = line.split_whitespace();
    let (verb, ip) = (words.next()?, words.next()?.parse::<Ipv4Addr>().ok()?);
    let inplug = inplugs.iter().find(|plug| plug.ip() == ip);
    match verb {
        "press" => {
            let port = words.next()?.parse().ok()?;
            match inplug {
                Some(plug) => plug.press(port),
                None => strips.iter().find(|plug| plug.ip() == ip)?.press(port),
            }
        }
        "reboot" => match inplug {
            Some(plug) => plug.reboot(),
            None => strips.iter().find(|plug| plug.ip() == ip)?.reboot(),
        },
        "load" => {
            let (port, watts) = (words.next()?.parse().ok()?, words.next()?.parse::<u32>().ok()?);
            let load = Load::Constant { milliwatts: watts.saturating_mul(1000) };
            strips.iter().find(|plug| plug.ip() == ip)?.strip(|strip| strip.plug_in(port, load));
        }
        "lock" => inplug?.plug(|plug| plug.lock(true)),
        "unlock" => inplug?.plug(|plug| plug.lock(false)),
        "expire" => inplug?.plug(Inplug::expire),
        _ => return None,
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
