//! The end of a setup: the plug leaves its access point and is waited for in the network, then at its broker.

use super::line::{self, Owner};
use super::{NAME, key::Key};
use crate::bridge::driver_configs;
use crate::cli::discover::answering;
use crate::cli::progress::patiently;
use crate::config::Settings;
use crate::io::http::Http;
use crate::io::line::Line;
use crate::io::probe::DriverConfig;
use crate::model::{Discovered, Endpoint};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// Between two searches for a plug that is to appear, and two questions to one that has.
const PAUSE: Duration = Duration::from_secs(3);

/// How long a plug in the network has for its broker.
const FOR_THE_BROKER: Duration = Duration::from_secs(30);

/// How long each of these addresses has for one answer: who is just starting is asked again soon.
const ANSWERS: Duration = Duration::from_secs(1);

/// Addresses of the settings that are asked at one time.
const AT_ONCE: usize = 16;

/// Waits for the plug that was told everything.
///
/// # Errors
///
/// When it does not appear in time, or refuses the key, with what to do.
pub(super) async fn wait(
    settings: &Settings,
    told: &line::Line,
    key: &Key,
    limit: Duration,
    out: &mut dyn Write,
) -> Result<()> {
    if limit.is_zero() {
        return Ok(());
    }
    let Some(config) = driver_configs(settings).into_iter().find(|config| config.driver.name() == NAME)
    else {
        return Ok(writeln!(out, "it is not waited for: {NAME}.enabled is false in the settings")?);
    };
    let until = Instant::now() + limit;
    let Some(found) = patiently("waiting for the plug", Box::pin(appear(&config, told.uuid(), until))).await
    else {
        bail!(
            "the plug did not appear within {}. Many do not answer a search: look for its MAC address {} in your router and try `plug2mqtt probe ADDRESS`, with {NAME}.hosts or {NAME}.scan it is found directly. If its LED alternates, the password or the network was wrong: run this again. If it flashes, is the broker running, with TLS and an RSA certificate, and can the plug reach it?",
            humantime::format_duration(limit),
            told.all().and_then(|all| all.info.mac).map(|mac| mac.to_string()).unwrap_or_default(),
        )
    };
    writeln!(out, "the plug is in your network at {}", found.place.ip)?;
    let until = until.min(Instant::now() + FOR_THE_BROKER);
    match patiently("waiting for its broker", Box::pin(connect(found.place, key, until))).await? {
        true => writeln!(out, "it has reached its broker")?,
        false => writeln!(
            out,
            "it has not reached its broker: does that run, with TLS and an RSA certificate, and can the plug reach it? Polled over the LAN the plug works without, but it may restart again and again"
        )?,
    }
    Ok(())
}

/// Whether the plug says in time that it has reached its broker.
async fn connect(place: Endpoint, key: &Key, until: Instant) -> Result<bool> {
    loop {
        // It may still be starting.
        let line = line::Line::open(place, key.expose(), Owner::Us).await;
        let online = |line: &line::Line| {
            line.payload().pointer("/all/system/online/status").and_then(Value::as_u64) == Some(1)
        };
        if line.as_ref().is_ok_and(online) {
            return Ok(true);
        }
        if Instant::now() + PAUSE >= until {
            return line.map(|_| false).context("the plug has appeared and cannot be used");
        }
        sleep(PAUSE).await;
    }
}

/// The plug with this uuid, as soon as it answers a search or, at an address in the settings, a question.
async fn appear(config: &DriverConfig, uuid: &str, until: Instant) -> Option<Discovered> {
    let http = Http::new().ok()?;
    loop {
        let (all, ..) = timeout_at(until, answering(config)).await.ok()?;
        let (told, silent): (Vec<Discovered>, Vec<Discovered>) =
            all.into_iter().partition(|found| found.id.is_some());
        let (room, mut config) = (Arc::new(Semaphore::new(AT_ONCE)), config.clone());
        config.family.timeout = config.family.timeout.min(ANSWERS);
        let mut asked = JoinSet::new();
        for found in silent {
            let (http, config, room) = (http.clone(), config.clone(), Arc::clone(&room));
            asked.spawn(async move {
                let _place = room.acquire().await;
                Line::open(&http, &config, &found)
                    .identify()
                    .await
                    .ok()
                    .map(|told| Discovered { place: found.place, ..told })
            });
        }
        let asked = timeout_at(until, asked.join_all()).await.unwrap_or_default();
        let is_it = |found: &Discovered| {
            found.facts.serial.as_deref().is_some_and(|serial| serial.eq_ignore_ascii_case(uuid))
        };
        let found = told.into_iter().chain(asked.into_iter().flatten()).find(is_it);
        if found.is_some() || Instant::now() + PAUSE >= until {
            return found;
        }
        sleep(PAUSE).await;
    }
}
