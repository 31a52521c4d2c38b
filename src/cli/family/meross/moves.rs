//! `meross repoint` and `meross reset`: a plug that is in the network and whose key is known goes elsewhere.

use super::line::{Line, Owner};
use super::{HTTP_PORT, NAME, Repoint, Reset, key::Key, section};
use crate::cli::Fault;
use crate::cli::family::{Progress, prompt};
use crate::cli::find::find;
use crate::client::address;
use crate::config::Settings;
use crate::drivers::meross::provision::{Broker, Called, Deed};
use crate::drivers::meross::search;
use crate::model::{Endpoint, Failure};
use anyhow::{Result, bail};
use std::io::Write;

/// Where the plug is that is meant.
async fn place(settings: &Settings, word: &str) -> Result<Endpoint> {
    if let Some((ip, port)) = address(word) {
        let set = section(settings).map(|family| family.common.http_port);
        return Ok(Endpoint { ip, http: port.or(set).unwrap_or(HTTP_PORT), udp: search::PORT });
    }
    let found = find(settings, word).await?.found;
    if found.driver != NAME {
        bail!(Fault::Usage(format!("{word} is at {} and no Meross plug", found.place)));
    }
    Ok(found.place)
}

pub(super) async fn repoint(
    settings: &Settings,
    flags: &Repoint,
    out: &mut dyn Write,
    progress: &Progress,
) -> Result<()> {
    let key = Key::known(settings, flags.key_file.as_deref())?;
    let place = place(settings, &flags.plug).await?;
    let broker = Broker::parse(&flags.to, place.ip.is_loopback()).map_err(Fault::Usage)?;
    let mut line = Line::open(place, key.expose(), Owner::Us).await?;
    let called = Called::read(line.payload());
    let old = called.first.as_ref().map_or_else(|| "a broker it does not tell".into(), ToString::to_string);
    writeln!(out, "{} at {} calls {old}", line.title(), place.ip)?;
    writeln!(out, "it is to call {broker} for both its brokers, with the same key ({})", key.whence())?;
    let deed = Deed::Key(&broker, key.expose(), &called.user);
    if flags.dry_run {
        return Ok(writeln!(out, "would send to {}: {}", place.ip, line.rehearse(deed)?)?);
    }
    if !flags.yes && !prompt::confirmed("Do that?", "--yes").await? {
        bail!("nothing was changed");
    }
    progress.is("broken off while the plug was told; look at it with this command and --dry-run");
    match line.tell(deed).await {
        Ok(_) => {}
        Err(failure @ (Failure::Closed | Failure::Timeout)) => {
            writeln!(out, "it {failure}; it may have restarted already")?;
        }
        Err(failure) => bail!(line.trouble("to call another broker", &failure)),
    }
    match line.look().await.map(|()| Called::read(line.payload()).first) {
        Ok(Some(now)) if now == broker => writeln!(out, "done: it calls {broker} now")?,
        Ok(_) => writeln!(out, "it was told, and will call {broker} after it has restarted")?,
        Err(why) => writeln!(out, "it was told; whether it obeyed is not known: {why:#}")?,
    }
    if let Some(first) = &called.first {
        let key_file =
            flags.key_file.as_ref().map(|file| format!(" --key-file {}", file.display())).unwrap_or_default();
        writeln!(out, "to go back: plug2mqtt meross repoint {} --to {first}{key_file}", place.tcp())?;
    }
    if let Some(second) = called.second.filter(|second| called.first.as_ref() != Some(second)) {
        writeln!(out, "its second broker was {second}; going back sets both to the first")?;
    }
    Ok(())
}

pub(super) async fn reset(
    settings: &Settings,
    flags: &Reset,
    out: &mut dyn Write,
    progress: &Progress,
) -> Result<()> {
    if !flags.yes_factory_reset && !flags.dry_run {
        bail!(Fault::Usage(
            "nothing was sent. The plug would forget Wi-Fi, key, broker, timers and records, and leave the network until it is set up again; if that is meant, add --yes-factory-reset".into()
        ));
    }
    let key = Key::known(settings, flags.key_file.as_deref())?;
    let place = place(settings, &flags.plug).await?;
    let mut line = Line::open(place, key.expose(), Owner::Us).await?;
    if flags.dry_run {
        return Ok(writeln!(out, "would send to {}: {}", place.ip, line.rehearse(Deed::Reset)?)?);
    }
    progress.is("broken off while the plug was told; look at its LED");
    match line.tell(Deed::Reset).await {
        // Who forgets everything does not answer.
        Ok(_) | Err(Failure::Closed | Failure::Timeout) => {}
        Err(failure) => bail!(line.trouble("to reset itself", &failure)),
    }
    writeln!(out, "{} at {} was told to reset itself", line.title(), place.ip)?;
    writeln!(
        out,
        "its LED alternates when it can be set up again, with `plug2mqtt meross setup` or its app"
    )?;
    Ok(())
}
