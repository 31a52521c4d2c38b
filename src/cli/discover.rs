//! `discover`: who is there? Touches no broker and switches nothing.

use super::progress::patiently;
use crate::bridge::{driver_configs, rules};
use crate::config::Settings;
use crate::hub::{Hub, nobody};
use crate::io::clock::Clock;
use crate::io::http::Http;
use crate::io::line::Line;
use crate::io::probe::{DriverConfig, Unanswered, search_all};
use crate::model::{Discovered, Endpoint, Failure, Heard, PersistedState, Reading, Stray};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tracing::warn;

/// Plugs asked at one time.
const AT_ONCE: usize = 128;

/// A plug with what it said when it was asked.
#[derive(Debug)]
pub struct Seen {
    /// Who it is.
    pub found: Discovered,
    /// How it is, or why that is not known.
    pub reading: Result<Reading, Failure>,
}

/// Searches once by all families and asks every plug that answered how it is; brings back who else
/// answered, too.
///
/// # Errors
///
/// When no HTTP client can be made.
pub async fn look(settings: &Settings) -> Result<(Vec<Seen>, Vec<Stray>), String> {
    let http = Http::new()?;
    let mut asked = JoinSet::new();
    let mut places = BTreeMap::new();
    let mut searches = JoinSet::new();
    for config in driver_configs(settings) {
        searches.spawn(async move {
            let (all, strays, unresolved) = answering(&config).await;
            for (host, why) in &unresolved {
                warn!(host, "host listed in {}.hosts {why}", config.driver.name());
            }
            (config, all, strays)
        });
    }
    let mut others = Vec::new();
    for (config, all, strays) in patiently("looking for plugs", searches.join_all()).await {
        others.extend(strays);
        places.extend(all.into_iter().map(|found| (found.place, (config.clone(), found))));
    }
    let room = Arc::new(Semaphore::new(AT_ONCE));
    for (config, found) in places.into_values() {
        let (http, room) = (http.clone(), Arc::clone(&room));
        asked.spawn(async move {
            let _place = room.acquire().await;
            // One that does not tell who it is has answered all the same.
            let nameless = Seen { found: found.clone(), reading: Err(nameless()) };
            ask(http, config, found).await.unwrap_or(nameless)
        });
    }
    let mut seen: Vec<Seen> = patiently("asking them", asked.join_all()).await;
    seen.sort_by_key(|seen| (seen.found.id.clone(), seen.found.place));
    others.sort_by_key(|stray| (stray.from, stray.driver));
    others.dedup_by_key(|stray| (stray.from.ip(), stray.driver));
    Ok((seen, others))
}

/// What is said of a plug that answers searches and cannot be told from others.
fn nameless() -> Failure {
    Failure::InvalidResponse("neither serial number nor MAC address: it cannot be identified".into())
}

/// Asks one plug: who it is, if that is not known yet, and how it is.
async fn ask(http: Http, config: DriverConfig, mut found: Discovered) -> Option<Seen> {
    if found.id.is_none() {
        found = Line::open(&http, &config, &found).identify().await.ok()?;
    }
    let reading = Line::open(&http, &config, &found).read().await;
    // Some tell their firmware only when they are read.
    let facts = reading.as_ref().ok().and_then(|reading| reading.facts.as_ref());
    if let Some(firmware) = facts.and_then(|facts| facts.firmware.clone()) {
        found.facts.firmware.get_or_insert(firmware);
    }
    Some(Seen { found, reading })
}

/// Asks one address, whatever it takes.
pub(super) async fn look_at(settings: &Settings, place: Endpoint, driver: &str) -> Option<Seen> {
    let config = driver_configs(settings).into_iter().find(|config| config.driver.name() == driver)?;
    let found = Discovered { driver: config.driver.name(), id: None, place, facts: Default::default() };
    ask(Http::new().ok()?, config, found).await
}

/// Prints who else answered, for people.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn others(strays: &[Stray], out: &mut dyn Write) -> io::Result<()> {
    strays.iter().try_for_each(|stray| {
        writeln!(out, "{} is no {} plug: {}", stray.from.ip(), stray.driver, stray.what)
    })
}

/// What each plug calls itself, in the same order; several that call themselves the same are told apart.
pub(super) fn names(all: &[&Discovered]) -> Vec<String> {
    let own = |found: &Discovered| found.facts.name.as_ref().map(ToString::to_string).unwrap_or_default();
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    all.iter().for_each(|found| *times.entry(own(found)).or_default() += 1);
    let shown = |found: &&Discovered| match (own(found), &found.id) {
        (name, Some(id)) if !name.is_empty() && times.get(&name) > Some(&1) => id.told_apart(&name),
        (name, _) => name,
    };
    all.iter().map(shown).collect()
}

fn named(seen: &[Seen]) -> impl Iterator<Item = (&Seen, String)> {
    seen.iter().zip(names(&seen.iter().map(|seen| &seen.found).collect::<Vec<_>>()))
}

/// Prints what was found as a table for people.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn table(settings: &Settings, seen: &[Seen], columns: usize, out: &mut dyn Write) -> io::Result<()> {
    if seen.is_empty() {
        let families = settings.families.iter().filter(|family| family.common.enabled);
        return writeln!(out, "{}", nobody(families.map(|family| family.driver.name())));
    }
    let mut rows = vec![super::table::row(["ID", "ADDRESS", "NAME", "MODEL", "FIRMWARE", "PORTS", "NOW"])];
    for (seen, name) in named(seen) {
        let facts = &seen.found.facts;
        let now = match &seen.reading {
            Ok(reading) => summary(reading),
            Err(failure) => failure.to_string(),
        };
        rows.push(vec![
            seen.found.id.as_ref().map(ToString::to_string).unwrap_or_default(),
            seen.found.place.to_string(),
            name,
            format!("{} {}", facts.manufacturer, facts.model),
            facts.firmware.clone().unwrap_or_default(),
            seen.reading.as_ref().map_or_else(|_| "?".into(), |reading| reading.ports.len().to_string()),
            now,
        ]);
    }
    // How many ports there are is in the last column, too.
    super::table::fit(&rows, columns, &[3, 4, 5], out)
}

/// `3 of 6 on, 61.4 W`.
fn summary(reading: &Reading) -> String {
    let on = reading.ports.iter().filter(|port| port.relay == Some(true)).count();
    let watts = reading.ports.iter().filter_map(|port| port.watts).reduce(|a, b| a + b);
    let watts = watts.map(|watts| format!(", {watts:.1} W")).unwrap_or_default();
    match reading.ports.iter().all(|port| port.relay.is_none()) {
        true => format!("relay not told{watts}"),
        false => format!("{on} of {} on{watts}", reading.ports.len()),
    }
}

/// A relay for scripts, as over MQTT.
pub(super) fn on_off(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

/// Prints what was found as a JSON array, in the words of `<base>/bridge/devices`.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn json(seen: &[Seen], out: &mut dyn Write) -> io::Result<()> {
    let one = |(seen, name): (&Seen, String)| {
        let facts = &seen.found.facts;
        json!({
            "id": seen.found.id.as_ref().map(ToString::to_string),
            "ip": seen.found.place.to_string(),
            "driver": seen.found.driver,
            "name": Some(name).filter(|name| !name.is_empty()),
            "manufacturer": facts.manufacturer,
            "model": facts.model,
            "serial": facts.serial,
            "mac": facts.mac.map(|mac| mac.to_string()),
            "firmware": facts.firmware,
            "ports": seen.reading.as_ref().ok().map(|reading| reading.ports.len()),
            "state": seen.reading.as_ref().ok().map(|reading| reading.ports.iter().map(|port| port.relay.map(on_off)).collect::<Vec<_>>()),
            "power": seen.reading.as_ref().ok().map(|reading| reading.ports.iter().map(|port| port.watts).collect::<Vec<_>>()),
            "error": seen.reading.as_ref().err().map(ToString::to_string),
        })
    };
    let all: Vec<_> = named(seen).map(one).collect();
    writeln!(out, "{}", serde_json::to_string_pretty(&all)?)
}

/// `show-discovery`: what Home Assistant is told about a remembered plug.
///
/// # Errors
///
/// When no such plug is remembered, in a sentence that names those that are; or when `out` cannot
/// be written.
pub fn show_discovery(
    settings: &Settings,
    memory: PersistedState,
    plug: &str,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let hub = Hub::new(rules(settings), memory, &Clock::start().now());
    let view = hub.view();
    let wanted =
        view.plugs.values().find(|known| known.id.as_str() == plug || known.name.eq_ignore_ascii_case(plug));
    let Some(wanted) = wanted else {
        let known: Vec<String> =
            view.plugs.values().map(|plug| format!("{} ({})", plug.id, plug.name)).collect();
        let known = if known.is_empty() {
            "none; let `plug2mqtt run` find some first".into()
        } else {
            known.join(", ")
        };
        anyhow::bail!("no plug {plug:?} is remembered; known: {known}");
    };
    let messages = crate::bridge::announcer(settings).messages(wanted);
    if messages.is_empty() {
        anyhow::bail!("home_assistant.discovery is off: nothing is announced");
    }
    for message in messages {
        writeln!(out, "{}\n{}", message.topic, serde_json::to_string_pretty(&message.payload)?)?;
    }
    Ok(())
}

/// Who answers a search, plug or not, or is named in the settings, and names that lead nowhere.
pub(super) async fn answering(config: &DriverConfig) -> (Vec<Discovered>, Vec<Stray>, Vec<(String, String)>) {
    let (heard, mut answers) = mpsc::channel(1024);
    let asking = async {
        let unanswered = search_all(config, &[], &heard).await;
        drop(heard);
        unanswered
    };
    let listening = async {
        let (mut all, mut strays) = (Vec::new(), Vec::new());
        while let Some(heard) = answers.recv().await {
            match heard {
                Heard::Plug(found) => all.push(found),
                Heard::Stray(stray) => strays.push(stray),
            }
        }
        (all, strays)
    };
    let (Unanswered { silent, unresolved }, (all, strays)) = tokio::join!(asking, listening);
    let stranger =
        |place| Discovered { driver: config.driver.name(), id: None, place, facts: Default::default() };
    (all.into_iter().chain(silent.into_iter().map(stranger)).collect(), strays, unresolved)
}
