//! `meross setup`: a plug is told Wi-Fi, broker and key over its own access point, and then waited for.

use super::line::{Line, Owner};
use super::{HTTP_PORT, Setup, key::Key, time, wait::wait};
use crate::cli::family::{Progress, prompt};
use crate::cli::progress::patiently;
use crate::cli::{Fault, table};
use crate::client::{address, resolve};
use crate::config::Settings;
use crate::drivers::meross::provision::{self, Broker, Deed, Network};
use crate::drivers::meross::search;
use crate::file;
use crate::model::{Endpoint, Failure, Mac};
use anyhow::{Context as _, Result, bail};
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use std::io::Write;
use std::path::Path;

/// Holds the password of the network when no file does.
const PASSWORD: &str = "WIFI_PASSWORD";

/// The largest file with a password.
const LARGEST_FILE: u64 = 1024;

pub(super) async fn setup(
    settings: &Settings,
    flags: &Setup,
    out: &mut dyn Write,
    progress: &Progress,
) -> Result<()> {
    // What can be wrong without a plug is found without one.
    let place = place(&flags.host).await?;
    let same_machine = place.ip.is_loopback();
    let to = flags.to.as_deref().map(|text| broker(text, same_machine)).transpose()?;
    let bssid = flags.bssid.as_deref().map(mac).transpose()?;
    let given = given_password(flags.wifi_password_file.as_deref())?;
    let key = Key::found_or_made(settings, flags.key_file.as_deref())?;

    let mut line = Line::open(place, key.expose(), Owner::Nobody).await?;
    writeln!(out, "{} at {}", line.title(), place.ip)?;
    if !flags.dry_run {
        key.keep()?;
    }
    writeln!(out, "key: {}", key.whence())?;
    let network = network(&mut line, flags, bssid, out).await?;
    let password = password(&network, given, flags.dry_run).await?;
    let broker = match to {
        Some(to) => to,
        None => {
            let text = prompt::line(
                "Broker or gateway that the plug is to use, with TLS, as HOST:PORT",
                "--to HOST:PORT",
            );
            broker(&text.await?, same_machine)?
        }
    };
    if broker.is_name() {
        writeln!(out, "note: the plug must be able to look up {}; an address is safer", broker.host)?;
    }
    tell(settings, &mut line, (&key, &broker), (&network, &password), flags.dry_run, (out, progress)).await?;
    if flags.dry_run {
        return Ok(());
    }
    progress.is("broken off while waiting; the plug was told everything and joins the network by itself");
    explain(&network, &broker, out)?;
    if let Some(setting) = key.setting() {
        writeln!(out, "for the bridge: {setting}")?;
    }
    Box::pin(wait(settings, &line, &key, flags.wait, out)).await
}

async fn place(host: &str) -> Result<Endpoint> {
    let known = match address(host) {
        Some(known) => known,
        None => resolve(host).await.map_err(|why| Fault::Usage(format!("--host {host}: {why}")))?,
    };
    Ok(Endpoint { ip: known.0, http: known.1.unwrap_or(HTTP_PORT), udp: search::PORT })
}

fn broker(text: &str, same_machine: bool) -> Result<Broker> {
    Ok(Broker::parse(text, same_machine).map_err(Fault::Usage)?)
}

fn mac(text: &str) -> Result<Mac> {
    let wrong = || Fault::Usage(format!("--bssid {text:?} is no MAC address like 02:00:00:00:00:01"));
    Ok(Mac::parse(text).ok_or_else(wrong)?)
}

/// The password that was given in a file or the environment.
fn given_password(path: Option<&Path>) -> Result<Option<SecretString>> {
    let Some(path) = path else {
        return Ok(std::env::var(PASSWORD).ok().filter(|text| !text.is_empty()).map(SecretString::from));
    };
    let shown = path.display();
    let text = file::read(path, LARGEST_FILE).map(String::from_utf8);
    match text {
        Err(error) => bail!(Fault::Usage(format!("--wifi-password-file {shown} cannot be read: {error}"))),
        Ok(Err(_)) => bail!(Fault::Usage(format!("--wifi-password-file {shown} is not UTF-8 text"))),
        Ok(Ok(text)) => Ok(Some(text.trim_end_matches(['\n', '\r']).into())),
    }
}

/// The network that the plug is to join.
async fn network(line: &mut Line, flags: &Setup, bssid: Option<Mac>, out: &mut dyn Write) -> Result<Network> {
    if let (true, Some(name), Some(channel)) = (flags.hidden, &flags.wifi, flags.channel) {
        let [encryption, cipher] = [flags.encryption, if flags.encryption == 0 { 0 } else { flags.cipher }];
        return Ok(Network::unlisted(name, bssid, [channel, encryption, cipher]).map_err(Fault::Usage)?);
    }
    let listed =
        patiently("the plug looks for Wi-Fi networks, about 10 s", line.get("Config.WifiList")).await;
    let listed = listed.map_err(|failure| line.trouble("for Wi-Fi networks", &failure))?;
    let all = provision::networks(&listed);
    if all.is_empty() {
        bail!(
            "the plug hears no Wi-Fi network: it knows 2.4 GHz alone. Bring it nearer to the access point; for one that hides its name give --wifi, --hidden and --channel"
        );
    }
    show(&all, out)?;
    let name = match &flags.wifi {
        Some(name) => name.clone(),
        None => prompt::line("Network to join, by number or name", "--wifi NAME").await?,
    };
    Ok(choose(&all, &name, flags.wifi.is_none(), bssid).map_err(Fault::Usage)?)
}

fn show(all: &[Network], out: &mut dyn Write) -> Result<()> {
    let mut rows = vec![table::row(["", "NETWORK", "SIGNAL", "CHANNEL", "PROTECTION", "ACCESS POINT"])];
    for (number, network) in (1..).zip(all) {
        let name = if network.name.is_empty() { "(hidden)" } else { &network.name };
        let signal = network.signal.map(|signal| format!("{signal} %")).unwrap_or_default();
        let (number, channel) = (i32::to_string(&number), network.channel.to_string());
        let bssid = network.bssid.as_deref().unwrap_or_default();
        rows.push(table::row([&number, name, &signal, &channel, network.protection(), bssid]));
    }
    Ok(table::write(&rows, out)?)
}

/// The network of this name, the strongest of several; one that was asked for may be given by its number.
fn choose(all: &[Network], name: &str, by_number: bool, bssid: Option<Mac>) -> Result<Network, String> {
    let there = |network: &&Network| bssid.is_none_or(|bssid| network.is_at(bssid));
    if let Some(network) = all.iter().find(|network| network.is_named(name) && there(network)) {
        return Ok(network.clone());
    }
    let hides = |network: &&Network| network.name.is_empty() && bssid.is_some();
    if let Some(network) = all.iter().find(|network| hides(network) && there(network)) {
        return Ok(network.called(name));
    }
    let number = name.trim().parse::<usize>().ok().filter(|_| by_number);
    let chosen = number.and_then(|number| all.get(number.checked_sub(1)?)).filter(|one| !one.name.is_empty());
    if let Some(network) = chosen {
        return Ok(network.clone());
    }
    let mut names: Vec<&str> = all.iter().map(|network| network.name.as_str()).collect();
    names.retain(|name| !name.is_empty());
    names.dedup();
    let at = bssid.map(|bssid| format!(" at {bssid}")).unwrap_or_default();
    Err(format!(
        "the plug does not hear {name:?}{at}; it hears {}. It knows 2.4 GHz alone; for a network that hides its name give --hidden and --channel",
        names.join(", ")
    ))
}

/// The password of a network: as given, else asked for.
async fn password(network: &Network, given: Option<SecretString>, dry_run: bool) -> Result<SecretString> {
    let password = match given {
        Some(given) => given,
        None if network.is_open() || dry_run => return Ok(String::new().into()),
        None => {
            let question = format!("Password of {:?}, which is not shown", network.name);
            prompt::secret(&question, &format!("--wifi-password-file FILE or {PASSWORD}")).await?
        }
    };
    network.check(password.expose_secret()).map_err(Fault::Usage)?;
    Ok(password)
}

/// Tells the plug everything, or shows what it would be told.
async fn tell(
    settings: &Settings,
    line: &mut Line,
    (key, broker): (&Key, &Broker),
    (network, password): (&Network, &SecretString),
    dry_run: bool,
    (out, progress): (&mut dyn Write, &Progress),
) -> Result<()> {
    let (time, user) = (wrong_time(settings, line), "0");
    let own = Deed::Key(broker, key.expose(), user);
    let join = Deed::Wifi(network, password.expose_secret());
    if dry_run {
        if let Some(time) = &time {
            writeln!(out, "would send: {}", line.rehearse_time(time))?;
        }
        for deed in [own, join] {
            writeln!(out, "would send: {}", line.rehearse(deed)?)?;
        }
        return Ok(());
    }
    // A plug that cannot be told the last thing is not told the first.
    line.rehearse(own)?;
    line.rehearse(join)?;
    if let Some(time) = &time
        && let Err(failure) = line.set_time(time).await
    {
        writeln!(out, "note: its clock was not set, it {failure}; the bridge will do that")?;
    }
    progress.is(
        "broken off; the plug may have its key and broker already, but no Wi-Fi network. Run this again: the same key is used",
    );
    match line.tell(own).await {
        Ok(_) => {}
        Err(Failure::Closed | Failure::Timeout) => {
            // Whether it has heard is not known; to be told twice does no harm.
            let again = line.tell(own).await;
            again.map_err(|failure| line.trouble("twice to take its key and broker", &failure)).context(
                "whether the plug has its key is not known. Run this again, the same key is used; if that fails, hold its button for about 5 s until the LED alternates",
            )?;
        }
        Err(failure) => bail!(line.trouble("to take its key and broker", &failure)),
    }
    match line.tell(join).await {
        Ok(_) => writeln!(out, "the plug has its key and broker, and joins {:?}", network.name)?,
        Err(Failure::Closed | Failure::Timeout | Failure::Unreachable(_)) => {
            writeln!(
                out,
                "the plug has its key and broker, and gave no answer about {:?}; it may have restarted already",
                network.name
            )?;
        }
        Err(failure) => bail!(line.trouble("to join the network", &failure)),
    }
    Ok(())
}

/// What to set its clock and zone to, where they are not right.
fn wrong_time(settings: &Settings, line: &mut Line) -> Option<Value> {
    let now = line.now();
    let unix_s = now.unix_ms / 1000;
    let zone = time::zone(settings, Timestamp::now());
    let differs = line.all().is_some_and(|all| zone.differs(&all.time, unix_s));
    (now.plausible() && line.has("System.Time") && differs).then(|| zone.set(unix_s))
}

fn explain(network: &Network, broker: &Broker, out: &mut dyn Write) -> Result<()> {
    writeln!(
        out,
        "it restarts now. Its LED: flashing green, it looks for {:?} or {broker}; red or amber, it does not reach {broker}; alternating, it waits to be set up again, because something it was told is wrong",
        network.name
    )?;
    writeln!(
        out,
        "if this computer has joined the plug's access point, take it back to your own network now"
    )?;
    Ok(())
}
