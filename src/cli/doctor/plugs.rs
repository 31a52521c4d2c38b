//! The plugs: those that are remembered and those that answer a search, each by every way there is.

use super::Finding;
use crate::bridge::{driver_configs, state_directory, zone};
use crate::capability::{against, drift};
use crate::cli::discover::answering;
use crate::cli::find::Book;
use crate::cli::probe::remedy;
use crate::config::Settings;
use crate::io::clock::Zone;
use crate::io::http::Http;
use crate::io::line::Line;
use crate::io::probe::{DriverConfig, exchange, greet};
use crate::io::store::Store;
use crate::model::{
    Access, Clock, ClockQuery, DeviceInfo, Discovered, Endpoint, Failure, Lock, PlugId, Query, QueryReply,
};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long each way may take.
const TIMEOUT: Duration = Duration::from_millis(1500);

/// Plugs examined at one time.
const AT_ONCE: usize = 128;

/// What to do about a plug of which nothing is heard at all.
const OFF: &str = "check that it has power and Wi-Fi, and that its address is still this one";

/// A clock that is off by more switches rules and timers noticeably late.
const DRIFT_S: u64 = 30;

/// No zone is further from UTC, by which a clock is read while the zone is not known.
const ANY_ZONE_S: u64 = 14 * 3600 + DRIFT_S;

pub(super) async fn examine(settings: &Settings) -> Vec<Finding> {
    let http = match Http::new() {
        Ok(http) => http,
        Err(why) => return vec![Finding::bad("plugs", why, "report this, please")],
    };
    let memory = Store::peek(&state_directory(settings)).unwrap_or_default();
    let mut findings = Vec::new();
    let mut patients: BTreeMap<Endpoint, (DriverConfig, Discovered, bool)> = BTreeMap::new();
    for config in driver_configs(settings) {
        for (id, plug) in memory.plugs.iter().filter(|(_, plug)| plug.driver == config.driver.name()) {
            let found = Discovered {
                driver: config.driver.name(),
                id: plug.hardware.clone().or(Some(id.clone())),
                place: plug.place,
                facts: DeviceInfo::clone(&plug.facts),
            };
            patients.insert(plug.place, (config.clone(), found, false));
        }
        let (all, strays, unresolved) = answering(&config).await;
        for found in all {
            patients.insert(found.place, (config.clone(), found, true));
        }
        findings.extend(strays.into_iter().map(|stray| {
            let remedy = "nothing to do, unless it should be a plug: then report it, please";
            Finding::note(&stray.from.ip().to_string(), stray.what, remedy)
        }));
        findings.extend(unresolved.into_iter().map(|(host, why)| {
            let name = config.driver.name();
            Finding::bad(
                &host,
                format!("is named in {name}.hosts, and {why}"),
                "give its address, or mend the name server",
            )
        }));
    }
    findings.extend(doubles(patients.values().map(|(_, found, _)| found)));
    if patients.is_empty() {
        findings.push(Finding::bad(
            "plugs",
            "none is remembered and none answers",
            "check power and Wi-Fi of the plugs; for other networks name them in `hosts` of the section of their family; try `plug2mqtt probe ADDRESS`",
        ));
    }
    let book = Arc::new(Book::open(settings));
    let mut examined = JoinSet::new();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    for (config, found, searched) in patients.into_values() {
        let (http, zone, room) = (http.clone(), zone(settings), Arc::clone(&room));
        let book = Arc::clone(&book);
        examined.spawn(async move {
            let _place = room.acquire().await;
            one(&http, zone, &config, &found, searched, &book).await
        });
    }
    let mut all: Vec<Vec<Finding>> = examined.join_all().await;
    all.sort_by(|a, b| a.first().map(|f| &f.subject).cmp(&b.first().map(|f| &f.subject)));
    findings.extend(all.into_iter().flatten());
    findings
}

/// Plugs that claim to be the same one.
fn doubles<'a>(all: impl Iterator<Item = &'a Discovered>) -> Vec<Finding> {
    let mut owners: BTreeMap<&str, Vec<&Discovered>> = BTreeMap::new();
    for found in all {
        if let Some(serial) = found.facts.serial.as_deref() {
            owners.entry(serial).or_default().push(found);
        }
    }
    let several = |owners: &Vec<&Discovered>| {
        // The same plug at an older address is no second one.
        owners.iter().enumerate().any(|(nth, a)| {
            owners
                .iter()
                .skip(nth + 1)
                .any(|b| a.facts.mac.is_some() && b.facts.mac.is_some() && a.facts.mac != b.facts.mac)
        })
    };
    let doubled = owners.into_iter().filter(|(_, owners)| several(owners));
    let finding = |(serial, owners): (&str, Vec<&Discovered>)| {
        let places: Vec<String> = owners.iter().map(|found| found.place.to_string()).collect();
        Finding::note(
            "plugs",
            format!("the serial {serial} is claimed at {}", places.join(" and ")),
            "the bridge tells them apart by MAC; nothing to do",
        )
    };
    doubled.map(finding).collect()
}

/// One plug, by every way.
async fn one(
    http: &Http,
    zone: Zone,
    config: &DriverConfig,
    found: &Discovered,
    searched: bool,
    book: &Book,
) -> Vec<Finding> {
    let (place, zone_known) = (found.place, zone.name().is_some());
    let (mut ways, mut found) = (Vec::new(), found.clone());
    if place == Endpoint::UNKNOWN {
        return vec![Finding::bad(
            &subject(book, &found),
            "its address is not known",
            "wait for a search, or name it in hosts",
        )];
    }
    let greeted = greet(config, place, TIMEOUT).await;
    ways.push(match &greeted {
        Ok((_, took)) => format!("discovery {} ms", took.as_millis()),
        Err(_) => "discovery: no response".into(),
    });
    let stranger = match (&greeted, &found.id) {
        (Ok((now, _)), Some(id)) => now.id.as_ref().is_some_and(|now| !same_plug(now, id)),
        _ => false,
    };
    if let Ok((now, _)) = greeted.clone()
        && found.id.is_none()
    {
        found = now;
    }
    let (name, locks) = (subject(book, &found), book.locks(&found));
    if stranger {
        let text = format!("another plug is at its last address {}", place.ip);
        return vec![Finding::note(
            &name,
            text,
            "the bridge finds it again by a search if it is on this network",
        )];
    }
    let answers = greeted.is_ok();
    let (mut barred, mut awake) = (false, answers);
    if config.has_web() {
        let web = knock(place).await;
        barred = answers && web.is_err();
        awake |= web.is_ok();
        ways.push(match &web {
            Ok(took) => format!("HTTP port open in {} ms", took.as_millis()),
            Err(why) => format!("HTTP port {} {why}", place.http),
        });
    }
    for (way, question) in config.driver.ways(&found.facts) {
        let answer = exchange(place, &question, TIMEOUT, |reply| (!reply.is_empty()).then_some(())).await;
        awake |= answer.is_ok();
        let took = answer.map(|((), took)| took.as_millis());
        ways.push(took.map_or_else(|_| format!("{way}: no response"), |took| format!("{way} {took} ms")));
    }
    let mut line = Line::open(http, config, &found).in_zone(zone);
    let began = Instant::now();
    let mut findings = vec![match line.read().await {
        Ok(reading) => {
            let read = format!("read {} ports in {} ms", reading.ports.len(), began.elapsed().as_millis());
            let text = format!("at {}: {read}; {}", place.ip, ways.join(", "));
            if found.id.is_none() && line.identify().await.is_err() {
                let text = format!("{text}; it tells neither serial number nor MAC address");
                Finding::bad(
                    &name,
                    text,
                    "the bridge cannot tell it from others and does not adopt it; please report it",
                )
            } else {
                Finding::fine(&name, text)
            }
        }
        Err(failure) => {
            let text = format!("at {}: {failure}; {}", place.ip, ways.join(", "));
            let barred = barred.then(|| failure.blocked(place)).flatten();
            // One that hangs takes connections or answers searches; one without power does nothing.
            let off = !awake && failure == Failure::Timeout;
            let remedy = barred.unwrap_or_else(|| if off { OFF.into() } else { remedy(&failure).into() });
            let mut finding = Finding::bad(&name, text, &remedy);
            if !searched {
                finding.text = format!("{}, and no search finds it", finding.text);
            }
            return vec![finding];
        }
    }];
    if !searched {
        let family = config.driver.name();
        findings.push(Finding::note(
            &name,
            "answers when it is asked itself, and no search finds it",
            &format!("broadcasts do not reach it: it is lost when its address changes; name it in {family}.hosts, or its network's broadcast address in {family}.broadcast"),
        ));
    }
    if config.driver.info().set_clock.is_some() {
        findings.extend(clock(&mut line, zone_known, &name).await);
    }
    findings.extend(defied(&mut line, &locks, &name).await);
    findings
}

async fn clock(line: &mut Line, zone_known: bool, name: &str) -> Option<Finding> {
    match line.capability(Query::Clock(ClockQuery::Read)).await {
        Ok(QueryReply::Clock(Some(clock))) => is_off(&clock, zone_known, name),
        Ok(_) | Err(Failure::Rejected(_)) => None,
        Err(failure) => {
            Some(Finding::note(name, format!("asked for its clock it {failure}"), remedy(&failure)))
        }
    }
}

/// What is said of a clock that does not show the time here.
fn is_off(clock: &Clock, zone_known: bool, name: &str) -> Option<Finding> {
    let (off, shown) = (clock.drift_s.unsigned_abs(), clock.local.strftime("%Y-%m-%d %H:%M:%S"));
    let set = "set it with `plug2mqtt clock PLUG set`; schedule, countdowns and the record depend on it";
    match (off, zone_known) {
        (..=DRIFT_S, _) => None,
        (..=ANY_ZONE_S, false) => Some(Finding::note(
            name,
            format!("its clock shows {shown}"),
            "whether that is right cannot be told while no time zone is known; set timezone",
        )),
        _ => {
            let text = format!("its clock shows {shown}, {}", drift(clock.drift_s));
            let first = if zone_known { "" } else { "set timezone, then " };
            Some(Finding::note(name, text, &format!("{first}{set}")))
        }
    }
}

/// Rules in the plug that go against a lock.
async fn defied(line: &mut Line, locks: &[Lock], name: &str) -> Vec<Finding> {
    if locks.iter().all(|lock| *lock == Lock::None) {
        return Vec::new();
    }
    match line.capability(Query::Schedule(Access::Read)).await {
        Ok(QueryReply::Schedule(rules)) => {
            let finding = |(rule, what): (i64, String)| {
                let remedy =
                    format!("delete it with `plug2mqtt schedule PLUG delete {rule}`, or unlock the port");
                Finding::note(name, what, &remedy)
            };
            against(&rules, locks, &line.now()).into_iter().map(finding).collect()
        }
        // Some have no rules.
        Ok(_) | Err(Failure::Rejected(_)) => Vec::new(),
        Err(failure) => {
            vec![Finding::note(name, format!("asked for its rules it {failure}"), remedy(&failure))]
        }
    }
}

async fn knock(place: Endpoint) -> Result<Duration, &'static str> {
    let began = Instant::now();
    match timeout(TIMEOUT, TcpStream::connect(place.tcp())).await {
        Ok(Ok(_)) => Ok(began.elapsed()),
        Ok(Err(_)) => Err("closed"),
        Err(_) => Err("timeout"),
    }
}

/// A second plug with one serial has its MAC behind the id.
fn same_plug(now: &PlugId, known: &PlugId) -> bool {
    now == known || known.as_str().strip_prefix(now.as_str()).is_some_and(|rest| rest.starts_with('-'))
}

/// As the bridge calls it: of several with one serial each has an id of its own.
fn subject(book: &Book, found: &Discovered) -> String {
    let name = found.facts.name.as_ref().map(ToString::to_string);
    let id = book.id(found).map_or_else(|| found.place.to_string(), ToString::to_string);
    name.map_or_else(|| id.clone(), |name| format!("{name} ({id})"))
}

#[cfg(test)]
mod tests {
    use super::{Clock, is_off};
    use crate::model::Now;
    use std::time::Duration;

    #[test]
    fn a_clock_that_is_wrong_in_every_zone_is_wrong_while_none_is_known() {
        let now = Now { up: Duration::ZERO, unix_ms: 0, utc_offset_s: 0, dst_s: 0, nonce: 0 };
        let said = |shown: &str, zone_known: bool| {
            let clock = Clock::read(shown, &now).expect("a clock");
            is_off(&clock, zone_known, "Desk")
                .map(|finding| format!("{} -> {}", finding.text, finding.remedy.unwrap_or_default()))
        };
        let told = |shown: &str, zone_known: bool, parts: &[&str]| {
            let said = said(shown, zone_known).expect("a finding");
            assert!(parts.iter().all(|part| said.contains(part)), "{said}");
        };
        assert_eq!(said("1970-01-01,00:00:30", true), None);
        assert_eq!(said("1970-01-01,00:00:30", false), None);
        told("1970-01-01,00:04:05", true, &["shows 1970-01-01 00:04:05, 4 min 5 s ahead -> set it"]);
        told(
            "1970-01-01,14:00:30",
            false,
            &["shows 1970-01-01 14:00:30 -> ", "cannot be told", "set timezone"],
        );
        told("1971-02-05,00:00:00", false, &["400 days ahead -> set timezone, then set it"]);
        told("2013-12-26,00:00:18", true, &["16065 days ahead -> set it"]);
    }
}
