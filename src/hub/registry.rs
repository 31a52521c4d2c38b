//! Who is who: plugs that are found, move, claim the same serial, or have no identity at all until
//! they are asked. And when to search.

use super::plug::{News, Plug};
use super::{Effect, Hub, MAX_PLUGS};
use crate::model::{
    Backoff, DeviceResponse, DialectOptions, Endpoint, Event, Failure, Found, Moment, Notification,
    PersistedPlug, PersistedState, PlugId, PowerUnit, Who,
};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use tracing::{debug, info, warn};

/// Pause between a reason to search and the search, and between two such searches.
const SOON: Duration = Duration::from_secs(1);
const SOON_AGAIN: Backoff = Backoff::doubling(Duration::from_secs(5), Duration::from_secs(86_400));

/// A plug heard at its own address this lately is not believed to have moved.
const SAME_ROUND: Duration = Duration::from_secs(10);

/// New plugs taken from one address within an hour: no address has had so many, and whoever invents them has no end.
const CROWD: u8 = 32;
const AN_HOUR: Duration = Duration::from_secs(3600);

/// A search and first talks with those it found are over by then.
const OVER: Duration = Duration::from_secs(5);

/// What is said when a search finds nobody, here and by commands that search.
pub const NOBODY: &str = "no plugs answered. Broadcasts do not cross routers: name plugs on other networks with \
     maxsmart.hosts or inplug.hosts, their networks with maxsmart.scan or inplug.scan, or try `plug2mqtt probe ADDRESS`.";

/// When to search next.
#[derive(Debug)]
pub(super) struct Search {
    pub(super) at: Duration,
    /// Searches in a row that left somebody missing, who is searched for ever more rarely.
    vain: u32,
    last: Option<Duration>,
    /// When it is seen whether the first search has found anybody.
    verdict: Option<Duration>,
    /// New plugs by address, since when.
    crowds: BTreeMap<IpAddr, (Duration, u8)>,
    /// Scans that wait for their time to be up.
    pub(super) scans: Vec<Scan>,
}

/// A scan somebody asked for.
#[derive(Debug)]
pub(super) struct Scan {
    pub(super) until: Duration,
    pub(super) transaction: Option<String>,
    pub(super) found: BTreeMap<PlugId, bool>,
}

impl Search {
    pub(super) fn new(up: Duration) -> Self {
        let (crowds, scans) = (BTreeMap::new(), Vec::new());
        Self { at: up, vain: 0, last: None, verdict: Some(up + OVER), crowds, scans }
    }

    pub(super) fn wake_at(&self) -> Duration {
        self.scans.iter().map(|scan| scan.until).chain(self.verdict).fold(self.at, Duration::min)
    }

    /// Search at once, and again soon for what is missing then.
    pub(super) fn anew(&mut self, now: &Moment) {
        self.at = now.up;
        self.vain = 0;
    }

    /// Something known is missing: search soon, but not ever faster.
    pub(super) fn soon(&mut self, now: &Moment) {
        let free = self.last.map_or(Duration::ZERO, |last| last + SOON_AGAIN.pause(self.vain));
        self.at = self.at.min((now.up + SOON).max(free));
    }
}

impl Hub {
    /// Everything a driver needs to attach a dialect to this plug.
    pub fn attachment(&self, who: &Who) -> Option<(Found, DialectOptions)> {
        let (name, tuning_unit, found) = match who {
            Who::Plug(id) => {
                let plug = self.plugs.get(id)?;
                (plug.driver, plug.power_unit(), plug.found())
            }
            Who::Endpoint(driver, place) => {
                let found = Found { driver, id: None, place: *place, facts: Default::default() };
                (*driver, PowerUnit::Auto, found)
            }
        };
        let pace = self.rules.families.get(name)?;
        let tuning = DialectOptions {
            timeout: pace.timeout,
            power_unit: tuning_unit,
            set_clock: pace.set_clock && pace.zone_known,
        };
        Some((found, tuning))
    }

    /// Takes in what was remembered.
    pub(super) fn recall(&mut self, memory: PersistedState, now: &Moment) {
        for (id, mut kept) in memory.plugs {
            kept.reverts.values_mut().for_each(|revert| *revert = revert.written(memory.written_ms));
            let Some(driver) = self.rules.families.keys().find(|name| **name == kept.driver).copied() else {
                warn!(plug = %id, driver = kept.driver, "device not polled: its driver is disabled");
                self.memory.plugs.insert(id, kept);
                continue;
            };
            if !self.permitted(&id) {
                info!(plug = %id, "device not polled: not allowed by the settings");
                self.memory.plugs.insert(id, kept);
                continue;
            }
            self.add(now, id.clone(), driver, kept, true);
            if memory.older
                && let Some(plug) = self.plugs.get_mut(&id)
            {
                plug.desk.distrust();
                self.attend(now, &id);
            }
        }
    }

    fn permitted(&self, id: &PlugId) -> bool {
        let allowed = self.rules.allow.is_empty() || self.rules.allow.contains(id);
        allowed && !self.rules.deny.contains(id) && !self.memory.blocked.contains(id)
    }

    pub(super) fn add(
        &mut self,
        now: &Moment,
        id: PlugId,
        driver: &'static str,
        kept: PersistedPlug,
        adopted: bool,
    ) {
        let ordinal = u32::try_from(self.plugs.len()).unwrap_or(u32::MAX);
        if let Some(plug) = Plug::new(id.clone(), driver, kept, adopted, ordinal, &self.rules, now) {
            self.plugs.insert(id.clone(), Box::new(plug));
            self.attend(now, &id);
        }
    }

    pub(super) fn drop_plug(&mut self, id: &PlugId) {
        drop(self.take_plug(id));
    }

    pub(super) fn take_plug(&mut self, id: &PlugId) -> Option<Box<Plug>> {
        let mut plug = self.plugs.remove(id)?;
        // Who is left alone with the name drops the end of its serial when it is shown anew.
        drop(self.unlist(id, plug.listed.own.take().as_ref()));
        if let Some(entry) = plug.agenda {
            self.agenda.remove(&(entry, id.clone()));
        }
        self.waiting.retain(|other| other != id);
        std::sync::Arc::make_mut(&mut self.view).plugs.remove(id);
        self.effects.push_back(Effect::Reattach(id.clone()));
        Some(plug)
    }

    /// Says once that nobody is there, when the first search has found nobody and nobody is known. Whoever is
    /// known and silent is told by name.
    fn judge_first_search(&mut self, now: &Moment) {
        if self.search.verdict.is_none_or(|at| at > now.up) {
            return;
        }
        let asking = self.hosts.asking() && self.plugs.is_empty();
        self.search.verdict = asking.then_some(now.up + OVER);
        if !asking && self.plugs.is_empty() && !self.rules.families.is_empty() {
            warn!("{NOBODY} It is searched again every {} s", self.rules.discovery.as_secs());
        }
    }

    /// Searches when it is time, and ends scans whose time is up.
    pub(super) fn search_tick(&mut self, now: &Moment) {
        self.judge_first_search(now);
        if self.search.at <= now.up && !self.stopping {
            let missing = self.plugs.values().filter(|plug| plug.kept() && plug.missing());
            let missing: Vec<(&'static str, Endpoint)> =
                missing.map(|plug| (plug.driver, plug.kept.place)).collect();
            self.search.vain = if missing.is_empty() { 0 } else { self.search.vain.saturating_add(1) };
            self.search.last = Some(now.up);
            self.search.at = now.up + self.rules.discovery;
            let missing =
                missing.into_iter().filter(|(_, place)| *place != Endpoint::UNKNOWN).take(64).collect();
            self.effects.push_back(Effect::Probe(missing));
        }
        let (over, running) =
            std::mem::take(&mut self.search.scans).into_iter().partition(|s| s.until <= now.up);
        self.search.scans = running;
        for scan in over {
            self.scanned(scan);
        }
    }

    /// Forgets plugs that were only listed, or never read, and have not been heard for long.
    pub(super) fn prune(&mut self, now: &Moment) {
        let old = self.rules.discovery * 3 + Duration::from_secs(60);
        let gone = |plug: &&Plug| !plug.kept() && now.up.saturating_sub(plug.heard_at) > old;
        let gone: Vec<PlugId> =
            self.plugs.values().map(Box::as_ref).filter(gone).map(|plug| plug.id.clone()).collect();
        for id in gone {
            if let Some(plug) = self.take_plug(&id)
                && plug.adopted
            {
                let why = plug.view.problem.as_deref().unwrap_or("its address belongs to another plug");
                info!(plug = %id, "device dropped: never readable and no longer seen: {why}");
            }
        }
        self.search.crowds.retain(|_, (since, _)| now.up.saturating_sub(*since) < AN_HOUR);
    }

    /// Whether there is room for one more plug that is not known, heard from this address.
    fn has_room(&mut self, now: &Moment, id: &PlugId, ip: IpAddr) -> bool {
        // What settings keep out at present has its place, too.
        let known = self.plugs.len() + self.memory.plugs.len();
        if known >= MAX_PLUGS && !self.memory.plugs.contains_key(id) {
            debug!(plug = %id, "ignored: {MAX_PLUGS} plugs are known already");
            return false;
        }
        let wanted = self.rules.allow.contains(id) || self.rules.plugs.contains_key(id);
        if wanted || self.memory.plugs.contains_key(id) {
            return true;
        }
        let crowds = &mut self.search.crowds;
        if crowds.len() >= MAX_PLUGS && !crowds.contains_key(&ip) {
            debug!(plug = %id, "ignored: plugs came from {MAX_PLUGS} addresses within an hour");
            return false;
        }
        let (since, count) = crowds.entry(ip).or_insert((now.up, 0));
        if now.up.saturating_sub(*since) >= AN_HOUR {
            (*since, *count) = (now.up, 0);
        }
        *count = count.saturating_add(1);
        if *count == CROWD + 1 {
            warn!(at = %ip, "more than {CROWD} new devices from one address within an hour; ignoring further ones");
        }
        *count <= CROWD
    }

    /// A plug answered a probe.
    pub(super) fn heard(&mut self, now: &Moment, found: Found) {
        if self.stopping || !self.rules.families.contains_key(found.driver) {
            return;
        }
        self.hosts.heard(found.driver, found.place);
        let known = self.known_as(&found);
        let id = match known {
            Some(id) => id,
            None => match found.id.clone() {
                Some(base) => match self.name_newcomer(base, &found) {
                    Some(id) => id,
                    None => return,
                },
                None => return self.ask_who(now, found.driver, found.place),
            },
        };
        for scan in &mut self.search.scans {
            let new = !self.plugs.contains_key(&id);
            scan.found.entry(id.clone()).or_insert(new);
        }
        if self.plugs.contains_key(&id) {
            self.seen(now, &id, found);
        } else {
            self.newcomer(now, id, found);
        }
    }

    /// Which known plug this is, if any.
    fn known_as(&self, found: &Found) -> Option<PlugId> {
        // Its hardware address settles it, also when the serial could not be read this time.
        if let Some(mac) = found.facts.mac {
            let same = |plug: &Plug| {
                plug.driver == found.driver
                    && plug.kept.facts.mac == Some(mac)
                    && Self::serials_agree(plug, found)
            };
            // Nearly always it is where its id says; a search of all plugs for each would be slow.
            let own = found.id.as_ref().and_then(|id| self.plugs.get(id));
            let own = own.filter(|plug| plug.kept.hardware.is_none()).filter(|plug| same(plug));
            if let Some(plug) = own.or_else(|| self.plugs.values().find(|plug| same(plug))) {
                return Some(plug.id.clone());
            }
        }
        let id = found.id.as_ref()?;
        if let Some(plug) = self.plugs.values().find(|plug| plug.kept.hardware.as_ref() == Some(id)) {
            return Some(plug.id.clone());
        }
        let plug = self.plugs.get(id).filter(|plug| plug.kept.hardware.is_none())?;
        // The same serial behind another MAC is another plug.
        let other = matches!((plug.kept.facts.mac, found.facts.mac), (Some(a), Some(b)) if a != b);
        (!other).then(|| plug.id.clone())
    }

    fn serials_agree(plug: &Plug, found: &Found) -> bool {
        match (&plug.kept.facts.serial, &found.facts.serial) {
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
            _ => true,
        }
    }

    /// The id of a plug not known yet: its own, or one qualified by its MAC where its serial is
    /// taken.
    fn name_newcomer(&self, base: PlugId, found: &Found) -> Option<PlugId> {
        let id = match self.plugs.get(&base) {
            None => base,
            Some(first) => {
                let id = base.qualified(found.facts.mac?)?;
                if !self.plugs.contains_key(&id) {
                    warn!(plug = %id, at = %found.place, other = %first.id, "two devices report the same serial number; using the MAC for the second");
                }
                id
            }
        };
        self.permitted(&id).then_some(id)
    }

    fn newcomer(&mut self, now: &Moment, id: PlugId, found: Found) {
        if !self.has_room(now, &id, found.place.ip) {
            return;
        }
        self.evict_from(now, &id, found.place);
        // Whoever is named in the settings is wanted.
        let adopted =
            self.bridge.adopt || self.rules.allow.contains(&id) || self.rules.plugs.contains_key(&id);
        let note = if adopted { "found" } else { "found, not adopted" };
        info!(plug = %id, at = %found.place, name = found.facts.name.as_ref().map(tracing::field::display), model = found.facts.model, firmware = found.facts.firmware, "{note}");
        let kept = self.memory.plugs.remove(&id).unwrap_or_else(|| PersistedPlug::new(&found));
        self.tell(Notification::Bridge(Event::DeviceFound(id.clone())));
        self.add(now, id, found.driver, kept, adopted);
    }

    /// A known plug was heard: refresh what it says about itself, follow it to a new address.
    fn seen(&mut self, now: &Moment, id: &PlugId, found: Found) {
        let Some(plug) = self.plugs.get_mut(id) else { return };
        let here = found.place == plug.kept.place;
        let proven = found.facts.mac.is_some() && found.facts.mac == plug.kept.facts.mac;
        let same_round = now.up.saturating_sub(plug.heard_at) < SAME_ROUND && plug.heard_at > Duration::ZERO;
        let healthy = plug.read && !plug.missing();
        let credible = !healthy || (proven && !same_round);
        let moves = !here && credible;
        if !here && !moves {
            debug!(plug = %id, at = %found.place, "also heard at another address; stays at {}", plug.kept.place);
            return;
        }
        plug.heard_at = now.up;
        let renewed = plug.renew(found.facts);
        if renewed {
            plug.refit(&self.rules, now);
            self.effects.push_back(Effect::Reattach(id.clone()));
        }
        let adopt = !plug.adopted && self.bridge.adopt;
        if adopt {
            plug.adopted = true;
            plug.refit(&self.rules, now);
        }
        if moves {
            let from = plug.kept.place;
            plug.move_to(found.place, now);
            if from.ip == found.place.ip {
                debug!(plug = %id, ?from, to = ?found.place, "ports of the device changed");
            } else {
                info!(plug = %id, %from, to = %found.place, "device address changed");
                let event = Event::AddressChanged { from: from.to_string(), to: found.place.to_string() };
                self.tell(Notification::Plug(id.clone(), event));
            }
            self.evict_from(now, id, found.place);
            self.effects.push_back(Effect::Reattach(id.clone()));
        } else if let Some(plug) = self.plugs.get_mut(id)
            && plug.missing()
        {
            plug.look_now(now);
        }
        if moves || renewed || adopt {
            self.save_soon(now);
        }
        self.attend(now, id);
    }

    /// Whoever was believed to live at `place` does not any more.
    fn evict_from(&mut self, now: &Moment, but: &PlugId, place: Endpoint) {
        let others = self.plugs.values().filter(|plug| plug.kept.place == place && plug.id != *but);
        let others: Vec<PlugId> = others.map(|plug| plug.id.clone()).collect();
        for id in others {
            if let Some(plug) = self.plugs.get_mut(&id) {
                let was_online = plug.online();
                let known = plug.kept();
                plug.evict(now);
                if known {
                    warn!(plug = %id, at = %place, now = %but, "device address now used by another device; searching");
                    self.search.soon(now);
                } else {
                    debug!(plug = %id, at = %place, now = %but, "device never readable, and its address is now used by another device");
                }
                let offline = was_online.then(|| "another plug has its address now".into());
                self.react(now, &id, News { offline, remember: true, ..News::default() });
            }
        }
    }

    /// Somebody said who they are, or did not.
    pub(super) fn identified(
        &mut self,
        now: &Moment,
        driver: &'static str,
        place: Endpoint,
        result: Result<DeviceResponse, Failure>,
    ) {
        self.hosts.asked();
        match result {
            Ok(DeviceResponse::Identity(found)) if found.id.is_some() => self.heard(now, found),
            Ok(_) => self.hosts.failed(driver, place, "does not say who it is"),
            Err(failure) => {
                debug!(driver, at = %place, "asked who it is: {failure}");
                self.hosts.failed(driver, place, &failure.to_string());
            }
        }
        self.ask_waiting(now);
    }

    pub(super) fn adopt_all(&mut self, now: &Moment) {
        let listed: Vec<PlugId> = self.plugs.values().filter(|p| !p.adopted).map(|p| p.id.clone()).collect();
        for id in listed {
            if let Some(plug) = self.plugs.get_mut(&id) {
                plug.adopted = true;
                plug.refresh(now);
                plug.refit(&self.rules, now);
            }
            self.attend(now, &id);
        }
    }
}
