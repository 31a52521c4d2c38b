//! Who is there: when to search, what follows from whom a search has found, and from those who have moved or keep
//! silent.

use super::contract::Effect;
use super::fleet::{Fleet, MAX_PLUGS};
use super::hosts::{self, Hosts};
use super::registry::{self, Crowds, nobody};
use super::rules::Rules;
use super::search::Search;
use super::unsupported::Strays;
use crate::model::{
    Asker, DeviceRequest, DeviceResponse, Discovered, Endpoint, Event, FIRST_CONTACT, Failure, Notification,
    Now, PersistedPlug, PersistedState, PlugId, Response, ResponseData, Stray, Who,
};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use tracing::{debug, info, warn};

/// Who is there.
#[derive(Debug)]
pub(super) struct Discovery {
    search: Search,
    crowds: Crowds,
    hosts: Hosts,
    strays: Strays,
}

/// What is known and remembered so far.
#[derive(Debug)]
pub(super) struct Known<'a> {
    pub(super) fleet: &'a mut Fleet,
    pub(super) memory: &'a mut PersistedState,
    /// New plugs are adopted.
    pub(super) adopts: bool,
}

impl Discovery {
    pub(super) fn new(now: &Now) -> Self {
        Self {
            search: Search::new(now.up),
            crowds: Crowds::default(),
            hosts: Hosts::default(),
            strays: Strays::default(),
        }
    }

    /// When it is to be looked at.
    pub(super) fn wake_at(&self) -> Duration {
        self.hosts.wake_at().into_iter().fold(self.search.wake_at(), Duration::min)
    }

    /// Something known is missing: search soon.
    pub(super) fn search_soon(&mut self, now: &Now) {
        self.search.soon(now);
    }

    /// Searches at once for somebody who wants to know whom that finds.
    ///
    /// # Errors
    ///
    /// Too many want to know already.
    pub(super) fn scan(
        &mut self,
        now: &Now,
        known: &mut Known<'_>,
        time: Duration,
        asker: Asker,
    ) -> Result<(), String> {
        self.search.scan(now, time, asker)?;
        self.tick(now, known);
        Ok(())
    }

    /// Somebody answered a search who is no plug.
    pub(super) fn stray(&mut self, stray: &Stray) {
        self.strays.heard(stray);
    }

    /// Hosts from the settings that did not answer a search.
    pub(super) fn unheard(&mut self, now: &Now, known: &mut Known<'_>, hosts: Vec<hosts::At>) {
        let home = |place: Endpoint| (place.ip, place.http);
        let homes: BTreeSet<(IpAddr, u16)> =
            known.fleet.plugs().map(|plug| home(plug.device().place())).collect();
        self.hosts.unheard(now, hosts, &homes);
        self.ask_hosts(now, known);
    }

    /// Whoever is named in the settings is wanted.
    fn wanted(rules: &Rules, id: &PlugId) -> bool {
        rules.allow.contains(id) || rules.plugs.contains_key(id)
    }

    /// Searches when it is time, and ends scans whose time is up.
    pub(super) fn tick(&mut self, now: &Now, known: &mut Known<'_>) {
        let alone = known.fleet.len() == 0 && !self.hosts.any_nameless();
        let (asking, pause) = (self.hosts.asking() && alone, known.fleet.rules.discovery);
        // Whoever is known and silent is told by name.
        if self.search.first_is_over(now, asking) && alone && !known.fleet.rules.families.is_empty() {
            let nobody = nobody(known.fleet.rules.families.keys().copied());
            warn!("{nobody} It is searched again every {} s", pause.as_secs());
        }
        if self.search.is_due(now) && !known.fleet.is_stopping() {
            let missing = known.fleet.plugs().filter(|plug| plug.device().is_known() && plug.missing());
            let missing = missing.map(|plug| (plug.device().driver(), plug.device().place())).collect();
            let places = self.search.begin(now, missing, pause);
            known.fleet.push(Effect::Probe(places));
        }
        if let Some(silent) = self.hosts.tick(now).filter(|_| !known.fleet.is_stopping()) {
            known.fleet.push(Effect::DeviceRequest(silent));
        }
        for scan in self.search.over(now) {
            let new = scan.found.iter().filter(|(_, new)| **new).map(|(id, _)| id.clone()).collect();
            let data = ResponseData::Scan { found: scan.found.into_keys().collect(), new };
            let (verb, asker, result) = ("scan", scan.asker, Ok(data));
            known.fleet.tell(Notification::Response(Response { verb, asker, result }));
        }
    }

    /// The networks of this machine have changed: whoever is missing may be in reach now.
    pub(super) fn network_changed(&mut self, now: &Now, known: &mut Known<'_>) {
        info!("network interfaces changed: searching");
        self.search.anew(now);
        self.hosts.hurry(now);
        for id in known.fleet.ids(|plug| plug.device().is_adopted() && plug.missing()) {
            if let Some(plug) = known.fleet.get_mut(&id) {
                plug.look_now(now);
            }
            known.fleet.attend(now, &id);
        }
    }

    /// Forgets plugs that were only listed, or never read, and have not been heard for long.
    pub(super) fn prune(&mut self, now: &Now, known: &mut Known<'_>) {
        let old = known.fleet.rules.discovery * 3 + Duration::from_secs(60);
        let gone =
            known.fleet.ids(|plug| !plug.device().is_known() && now.up.saturating_sub(plug.heard_at()) > old);
        for id in gone {
            if let Some(plug) = known.fleet.take(&id)
                && plug.device().is_adopted()
            {
                let why =
                    plug.device().view().problem.as_deref().unwrap_or("its address belongs to another plug");
                info!(plug = %id, "device dropped: never readable and no longer seen: {why}");
            }
        }
        self.crowds.prune(now);
    }

    /// Asks hosts who they are, as many as may be asked at one time.
    fn ask_hosts(&mut self, now: &Now, known: &mut Known<'_>) {
        let (fleet, stopping) = (&*known.fleet, known.fleet.is_stopping());
        let mut asked = Vec::new();
        let need_not = |(driver, place): &hosts::At| {
            let home = |theirs: Endpoint| theirs.ip == place.ip && theirs.http == place.http;
            let taken = || fleet.plugs().any(|plug| home(plug.device().place()));
            stopping || !fleet.rules.families.contains_key(driver) || fleet.engaged(place) || taken()
        };
        while let Some(at) = self.hosts.next(need_not) {
            asked.push(at);
        }
        for (driver, place) in asked {
            let timeout = known.fleet.rules.families.get(driver).map_or(Duration::ZERO, |pace| pace.timeout);
            let (who, ask) = (Who::Endpoint(driver, place), DeviceRequest::Identify);
            known.fleet.talk(now, who, place, ask, timeout * FIRST_CONTACT);
        }
    }

    /// Somebody said who they are, or did not.
    pub(super) fn identified(
        &mut self,
        now: &Now,
        known: &mut Known<'_>,
        driver: &'static str,
        place: Endpoint,
        result: Result<DeviceResponse, Failure>,
    ) {
        self.hosts.asked();
        match result {
            Ok(DeviceResponse::Identity(found)) if found.id.is_some() => self.heard(now, known, found),
            Ok(_) => self.hosts.failed(driver, place, "does not say who it is"),
            Err(failure) => {
                debug!(driver, at = %place, "asked who it is: {failure}");
                // What is no plug says so to the search and to the question.
                let told = matches!(failure, Failure::Rejected(_)) && self.strays.told(driver, place.ip);
                if !told {
                    self.hosts.failed(driver, place, &failure.to_string());
                }
            }
        }
        self.ask_hosts(now, known);
    }

    /// A plug answered a probe.
    pub(super) fn heard(&mut self, now: &Now, known: &mut Known<'_>, found: Discovered) {
        if known.fleet.is_stopping() || !known.fleet.rules.families.contains_key(found.driver) {
            return;
        }
        if let Some(id) = registry::known_as(known.fleet, &found) {
            self.hosts.heard(found.driver, found.place);
            self.search.heard(&id, false);
            return self.seen(now, known, &id, found);
        }
        let Some(base) = found.id.clone() else {
            self.hosts.heard_nameless(found.driver, found.place);
            return self.ask_hosts(now, known);
        };
        self.hosts.heard(found.driver, found.place);
        let named = registry::name_newcomer(known.fleet, base, &found);
        let Some(id) = named.filter(|id| known.fleet.rules.permit(known.memory, id)) else {
            return;
        };
        let is_known = known.fleet.get(&id).is_some();
        self.search.heard(&id, !is_known);
        if is_known {
            self.seen(now, known, &id, found);
        } else {
            self.newcomer(now, known, &id, found);
        }
    }

    fn newcomer(&mut self, now: &Now, known: &mut Known<'_>, id: &PlugId, found: Discovered) {
        let remembered = known.memory.plugs.contains_key(id);
        // What settings keep out at present has its place, too.
        if known.fleet.len() + known.memory.plugs.len() >= MAX_PLUGS && !remembered {
            debug!(plug = %id, "ignored: {MAX_PLUGS} plugs are known already");
            return;
        }
        let wanted = Self::wanted(&known.fleet.rules, id);
        if !wanted && !remembered && !self.crowds.has_room(now, id, found.place.ip) {
            return;
        }
        self.evict_from(now, known, id, found.place);
        let adopted = known.adopts || wanted;
        let note = if adopted { "found" } else { "found, not adopted" };
        info!(plug = %id, at = %found.place, name = found.facts.name.as_ref().map(tracing::field::display), model = found.facts.model, firmware = found.facts.firmware, "{note}");
        let kept = known.memory.plugs.remove(id).unwrap_or_else(|| PersistedPlug::new(&found));
        known.fleet.tell(Notification::Bridge(Event::DeviceFound(id.clone())));
        known.fleet.add(now, id, found.driver, kept, adopted);
    }

    /// A known plug was heard: refresh what it says about itself, follow it to a new address.
    fn seen(&mut self, now: &Now, known: &mut Known<'_>, id: &PlugId, found: Discovered) {
        let adopts = known.adopts;
        let Some((plug, rules)) = known.fleet.with_rules(id) else { return };
        let from = plug.device().place();
        let moves = found.place != from && registry::has_moved(now, plug, &found);
        if found.place != from && !moves {
            debug!(plug = %id, at = %found.place, "also heard at another address; stays at {from}");
            return;
        }
        let renewed = plug.heard(now, rules, found.facts);
        let adopt = !plug.device().is_adopted() && adopts;
        if adopt {
            plug.adopt(now, rules);
        }
        if moves {
            plug.move_to(found.place, now);
            if from.ip == found.place.ip {
                debug!(plug = %id, ?from, to = ?found.place, "ports of the device changed");
            } else {
                info!(plug = %id, %from, to = %found.place, "device address changed");
                let event = Event::AddressChanged { from: from.to_string(), to: found.place.to_string() };
                known.fleet.tell(Notification::Plug(id.clone(), event));
            }
            self.evict_from(now, known, id, found.place);
        } else if plug.missing() {
            plug.look_now(now);
        }
        if moves || renewed {
            known.fleet.push(Effect::Reattach(id.clone()));
        }
        if moves || renewed || adopt {
            known.fleet.save_soon();
        }
        known.fleet.attend(now, id);
    }

    /// Whoever was believed to live at `place` does not any more.
    fn evict_from(&mut self, now: &Now, known: &mut Known<'_>, but: &PlugId, place: Endpoint) {
        for id in known.fleet.ids(|plug| plug.device().place() == place && plug.device().id() != but) {
            let Some(plug) = known.fleet.get_mut(&id) else { continue };
            plug.evict(now);
            if plug.device().is_known() {
                warn!(plug = %id, at = %place, now = %but, "device address now used by another device; searching");
                self.search.soon(now);
            } else {
                debug!(plug = %id, at = %place, now = %but, "device never readable, and its address is now used by another device");
            }
            known.fleet.attend(now, &id);
        }
    }
}
