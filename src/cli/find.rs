//! Finds the plug a user means: by address, by what the bridge remembers, by asking around. The clock
//! of nobody is touched on the way.

use super::Fault;
use super::discover::names;
use super::progress::patiently;
use crate::bridge::{driver_configs, enable_one, rules, state_directory, zone};
use crate::capability::Guard;
use crate::client::{Client, address, resolve};
use crate::config::Settings;
use crate::hub::{Effective, Rules};
use crate::io::line::Line;
use crate::io::store::Store;
use crate::model::{
    Capabilities, DeviceInfo, Discovered, Endpoint, Failure, Lock, MAX_PORTS, Mac, PerPort, PersistedPlug,
    PersistedState, PlugId, PowerUnit,
};
use anyhow::{Context, Result, bail};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

/// A plug with a line to it.
pub struct Plug {
    /// The line.
    pub line: Line,
    /// What it said about itself.
    pub found: Discovered,
    /// What holds for it by the settings and what the bridge knows of it, when that is something.
    known: Option<Arc<Effective>>,
}

impl Plug {
    /// Its name, for people.
    pub fn name(&self) -> String {
        let own = self.found.facts.name.as_ref().map(ToString::to_string);
        let known = self.known.as_ref().map(|known| known.name.to_string());
        known.or(own).filter(|name| !name.is_empty()).unwrap_or_else(|| self.found.place.to_string())
    }

    /// Its id, or its address while it has none.
    pub fn id(&self) -> String {
        self.found.id.as_ref().map_or_else(|| self.found.place.to_string(), ToString::to_string)
    }

    /// What failed, with the plug and its firmware named; `what` is what it was to do.
    pub fn failed(&self, what: &str, failure: &Failure) -> anyhow::Error {
        let firmware = self.found.facts.firmware.as_deref();
        let firmware = firmware.map(|version| format!(", firmware {version}")).unwrap_or_default();
        let who = format!("{} ({}{firmware})", self.name(), self.id());
        match failure {
            Failure::Rejected(why) => anyhow::anyhow!("{who} was asked {what}: no, {why}"),
            Failure::Unreachable(_)
            | Failure::Timeout
            | Failure::Closed
            | Failure::InvalidResponse(_)
            | Failure::WrongDevice(_) => anyhow::anyhow!("{who} was asked {what} and {failure}"),
        }
    }

    /// The name of a port, when it has one.
    pub fn port_name(&self, port: u8) -> String {
        let known = self.known.as_ref().and_then(|known| known.port_names.port(port));
        let own = self.found.facts.port_names.port(port).cloned().flatten();
        known.map(ToString::to_string).or_else(|| own.map(String::from)).unwrap_or_default()
    }

    /// The port a user means, by number or name.
    ///
    /// # Errors
    ///
    /// When there is none, in a sentence that names those there are.
    pub fn port(&self, word: &str, ports: usize) -> Result<u8> {
        let count = u8::try_from(ports).unwrap_or(u8::MAX);
        let by_number = word.parse().ok().filter(|port| (1..=count).contains(port));
        let same = |port: &u8| self.port_name(*port).to_lowercase() == word.to_lowercase();
        let mut by_name = (1..=count).filter(same);
        match (by_number, by_name.next(), by_name.next()) {
            (Some(port), ..) | (None, Some(port), None) => Ok(port),
            (None, Some(_), Some(_)) => {
                bail!(Fault::Usage(format!("{} has several ports named {word}; give a number", self.name())))
            }
            (None, None, _) => {
                let there = self.ports_in_words(count);
                bail!(Fault::Usage(format!("{} has no port {word}; it has {there}", self.name())))
            }
        }
    }

    fn ports_in_words(&self, count: u8) -> String {
        let port = |port: u8| match self.port_name(port).as_str() {
            "" => port.to_string(),
            name => format!("{port} ({name})"),
        };
        (1..=count).map(port).collect::<Vec<_>>().join(", ")
    }

    /// What settings and the bridge say about changing it.
    pub fn guard(&self, ports: usize) -> Guard {
        let known = self.known.as_ref();
        let locks = known.map(|known| known.locks().to_vec());
        Guard {
            who: self.name(),
            ports: u8::try_from(ports).unwrap_or(u8::MAX),
            control: known.is_none_or(|known| known.control),
            locks: locks.unwrap_or_default(),
            latched: false,
            followed: Vec::new(),
        }
    }

    /// Refuses to change a plug that is read-only.
    ///
    /// # Errors
    ///
    /// That it is, in a sentence.
    pub fn may_change(&self) -> Result<()> {
        self.read_only().map_or(Ok(()), |why| Err(anyhow::Error::msg(why)))
    }

    fn read_only(&self) -> Option<String> {
        let refuses = self.known.as_ref().is_some_and(|known| !known.control);
        refuses.then(|| format!("{} is read-only in the settings", self.name()))
    }

    /// Why a port must not be switched, when settings or the bridge say so.
    pub fn locked(&self, port: u8, on: bool) -> Option<String> {
        if let Some(why) = self.read_only() {
            return Some(why);
        }
        let known = self.known.as_ref()?;
        known
            .lock(port)
            .refuses(on)
            .then(|| format!("port {port} of {} is locked in the settings", self.name()))
    }
}

/// Finds the plug that `word` means: an address, or an id, a serial, a MAC or a name.
///
/// # Errors
///
/// When nobody or more than one answers to it, in a sentence that names who does.
pub async fn find(settings: &Settings, word: &str) -> Result<Plug> {
    let configs = driver_configs(settings);
    if configs.is_empty() {
        bail!("every family is switched off in the settings; {}", enable_one(settings));
    }
    let client = Client::of(configs, zone(settings)).map_err(anyhow::Error::msg)?;
    let desk = Desk { client, book: Book::open(settings) };
    if let Some((ip, port)) = word.rsplit_once(':')
        && ip.parse::<Ipv4Addr>().is_ok()
        && !port.parse().is_ok_and(|port: u16| port > 0)
    {
        bail!(Fault::Usage(format!("{word}: {port:?} is not a TCP port, which is a number from 1 to 65535")));
    }
    if let Some((ip, port)) = address(word) {
        return patiently(&format!("asking {ip}"), desk.at(ip, port)).await;
    }
    let known = desk.book.like(word);
    if let [place] = known.as_slice()
        && let Ok(plug) =
            patiently(&format!("asking {}", place.ip), desk.at(place.ip, Some(place.http))).await
        && desk.book.matches(&plug.found, word)
    {
        return Ok(plug);
    }
    let all = patiently(&format!("looking for {word}"), desk.client.search_all(&known)).await;
    let mut meant: Vec<&Discovered> = all.iter().filter(|found| desk.book.matches(found, word)).collect();
    match (meant.pop(), meant.is_empty()) {
        (Some(found), true) if found.id.is_some() => desk.open(found.clone()),
        (Some(found), true) => desk.at(found.place.ip, Some(found.place.http)).await,
        (Some(last), false) => {
            meant.push(last);
            bail!("{word} is several plugs: {}; give an id or an address", desk.in_words(&meant))
        }
        (None, _) => {
            if let Ok((ip, port)) = resolve(word).await {
                return patiently(&format!("asking {ip}"), desk.at(ip, port)).await;
            }
            let all: Vec<&Discovered> = all.iter().collect();
            let there = if all.is_empty() { "nobody".into() } else { desk.in_words(&all) };
            let last = desk.book.last(word);
            if !last.is_empty() {
                bail!("{}; check that it has power and Wi-Fi. Found was {there}", last.join("; "));
            }
            if let Some(why) = desk.book.unread {
                bail!(
                    "no plug answers to {word}; found was {there}. What the bridge remembers cannot be read: {why}"
                );
            }
            bail!("no plug answers to {word}; found was {there}. One behind a router is found by its address")
        }
    }
}

struct Desk {
    client: Client,
    book: Book,
}

impl Desk {
    /// Whoever is at an address.
    async fn at(&self, ip: IpAddr, port: Option<u16>) -> Result<Plug> {
        match self.client.identify(ip, port).await {
            Ok(found) => self.open(found),
            Err(why) => bail!("{ip} {}", why.unwrap_or(Failure::Timeout)),
        }
    }

    fn open(&self, found: Discovered) -> Result<Plug> {
        let known = self.book.what_holds(&found);
        let unit = known.as_ref().map_or(PowerUnit::Auto, |known| known.power_unit);
        let line = self.client.line(&found, unit).context("its family is switched off")?;
        Ok(Plug { line, known, found })
    }

    fn in_words(&self, all: &[&Discovered]) -> String {
        let one = |(found, own): (&&Discovered, String)| {
            let id = found.id.as_ref().map_or_else(String::new, |id| format!("{id} "));
            let name = self.book.given(found).unwrap_or(own);
            let name = if name.is_empty() { name } else { format!("\"{name}\" ") };
            format!("{name}{id}at {}", found.place)
        };
        all.iter().zip(names(all)).map(one).collect::<Vec<_>>().join(", ")
    }
}

/// What the bridge remembers: where plugs are and what they are called.
pub(super) struct Book {
    all: Vec<Known>,
    rules: Rules,
    /// Why nothing is known, when it cannot be read, and what to do about it.
    unread: Option<String>,
}

struct Known {
    id: PlugId,
    holds: Arc<Effective>,
    facts: Arc<DeviceInfo>,
    /// The id that its hardware tells.
    hardware: PlugId,
    place: Endpoint,
}

impl Book {
    /// Nothing remembered is no reason not to ask around.
    pub(super) fn open(settings: &Settings) -> Self {
        let (memory, unread) = match Store::peek(&state_directory(settings)) {
            Ok(memory) => (memory, None),
            Err(error) => (PersistedState::default(), Some(format!("{error}; {}", error.remedy()))),
        };
        let rules = rules(settings);
        let known = |(id, holds): (PlugId, Effective)| {
            let kept = memory.plugs.get(&id)?;
            let hardware = kept.hardware.clone().unwrap_or_else(|| id.clone());
            let (holds, facts) = (Arc::new(holds), Arc::clone(&kept.facts));
            Some(Known { id, holds, facts, hardware, place: kept.place })
        };
        let all = Effective::remembered(&rules, &memory).into_iter().filter_map(known).collect();
        Self { all, rules, unread }
    }

    /// Those that may be meant.
    fn meant<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a Known> {
        self.all.iter().filter(move |known| {
            same(known.id.as_str(), word) || same(&known.holds.name, word) || facts_match(&known.facts, word)
        })
    }

    /// Where those were last that may be meant.
    fn like(&self, word: &str) -> Vec<Endpoint> {
        self.meant(word).map(|known| known.place).filter(|place| *place != Endpoint::UNKNOWN).collect()
    }

    /// The same in words, of those that are silent.
    fn last(&self, word: &str) -> Vec<String> {
        let one = |known: &Known| {
            let who = format!("{} ({})", known.holds.name, known.id);
            match known.place {
                Endpoint::UNKNOWN => format!("{who} does not answer, and where it was last is not known"),
                place => format!("{who} was last at {place} and does not answer there or to a search"),
            }
        };
        self.meant(word).map(one).collect()
    }

    /// What is known of a plug that told who it is. Of those with one serial the MAC tells which it is, and
    /// the second has it in its id.
    fn known(&self, found: &Discovered) -> Option<&Known> {
        let id = found.id.as_ref()?;
        let second = found.facts.mac.and_then(|mac| id.qualified(mac));
        let by = |id: &PlugId| self.all.iter().find(|known| known.hardware == *id);
        second.as_ref().and_then(by).or_else(|| by(id))
    }

    /// Its id: what the bridge knows it by, else what it tells itself.
    pub(super) fn id<'a>(&'a self, found: &'a Discovered) -> Option<&'a PlugId> {
        self.known(found).map(|known| &known.id).or(found.id.as_ref())
    }

    /// Its names, locks and more as settings and options have them. The settings hold for a plug that nothing is
    /// remembered of, too.
    fn what_holds(&self, found: &Discovered) -> Option<Arc<Effective>> {
        if let Some(known) = self.known(found) {
            return Some(Arc::clone(&known.holds));
        }
        let spoken_of = |id: &PlugId| self.rules.plugs.contains_key(id) || self.rules.read_only;
        let id = self.in_settings(found).filter(spoken_of)?;
        let ports = u8::try_from(MAX_PORTS).unwrap_or(u8::MAX);
        let kept = PersistedPlug {
            offer: Capabilities { ports, ..Capabilities::default() },
            ..PersistedPlug::new(found)
        };
        Effective::of(&self.rules, &id, &kept).map(Arc::new)
    }

    /// The id by which the settings speak of a plug, else its own.
    fn in_settings(&self, found: &Discovered) -> Option<PlugId> {
        let id = found.id.as_ref()?;
        let second = found.facts.mac.and_then(|mac| id.qualified(mac));
        second.filter(|id| self.rules.plugs.contains_key(id)).or_else(|| Some(id.clone()))
    }

    /// How its ports are locked, port 1 first, by settings and options.
    pub(super) fn locks(&self, found: &Discovered) -> Vec<Lock> {
        let by_id = || self.all.iter().find(|known| Some(&known.id) == found.id.as_ref());
        let known = self.known(found).or_else(by_id).map(|known| Arc::clone(&known.holds));
        known.or_else(|| self.what_holds(found)).map(|holds| holds.locks().to_vec()).unwrap_or_default()
    }

    /// The name it has from the bridge or the settings.
    fn given(&self, found: &Discovered) -> Option<String> {
        let known = self.known(found).map(|known| known.holds.name.to_string());
        let rules =
            || self.rules.plugs.get(&self.in_settings(found)?)?.name.as_ref().map(ToString::to_string);
        known.or_else(rules)
    }

    fn name(&self, found: &Discovered) -> Option<String> {
        self.given(found).or_else(|| found.facts.name.as_ref().map(ToString::to_string))
    }

    fn matches(&self, found: &Discovered, word: &str) -> bool {
        self.known(found).is_some_and(|known| same(known.id.as_str(), word))
            || found.id.as_ref().is_some_and(|id| same(id.as_str(), word))
            || self.name(found).is_some_and(|name| same(&name, word))
            || facts_match(&found.facts, word)
    }
}

fn facts_match(facts: &crate::model::DeviceInfo, word: &str) -> bool {
    let mac = Mac::parse(word);
    facts.serial.as_deref().is_some_and(|serial| same(serial, word))
        || facts.name.as_ref().is_some_and(|name| same(name.as_str(), word))
        || (mac.is_some() && mac == facts.mac)
}

fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}
