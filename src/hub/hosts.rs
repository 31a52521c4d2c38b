//! Hosts from the settings that keep silent: they are asked who they are, a few at a time, told once, and asked
//! again soon at first and then ever more rarely.

use super::{Effect, Hub, MAX_PLUGS};
use crate::model::{Backoff, DeviceRequest, Endpoint, FIRST_CONTACT, Moment, PlugId, Who};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;
use tracing::{info, warn};

/// Pause before hosts that keep silent are asked again.
const AGAIN: Backoff = Backoff::doubling(Duration::from_secs(5), Duration::from_secs(60));

/// Places asked at one time who they are.
const AT_ONCE: usize = 64;

/// Places that keep silent or wait to be asked, at the most.
const MAX_HOSTS: usize = 2 * MAX_PLUGS;

/// A place, and by which driver it is spoken to.
type At = (&'static str, Endpoint);

/// What is known of those that nobody has heard yet.
#[derive(Debug)]
pub(super) struct Hosts {
    /// They keep silent; whether that was told.
    silent: BTreeMap<At, bool>,
    /// When they are asked again.
    pub(super) again: Option<Duration>,
    /// How often they were.
    asked_again: u32,
    /// Places that wait to be asked who they are, each once.
    waiting: VecDeque<At>,
    queued: BTreeSet<At>,
    asking: usize,
}

impl Hosts {
    pub(super) fn new() -> Self {
        Self {
            silent: BTreeMap::new(),
            again: None,
            asked_again: 0,
            waiting: VecDeque::new(),
            queued: BTreeSet::new(),
            asking: 0,
        }
    }

    /// Whether somebody is being asked who they are.
    pub(super) fn asking(&self) -> bool {
        self.asking > 0 || !self.waiting.is_empty()
    }

    /// Somebody was heard there.
    pub(super) fn heard(&mut self, driver: &'static str, place: Endpoint) {
        self.silent.remove(&(driver, place));
    }

    /// The answer of one that was asked, or why there is none, has come.
    pub(super) fn asked(&mut self) {
        self.asking = self.asking.saturating_sub(1);
    }

    /// It does not say who it is: told once.
    pub(super) fn failed(&mut self, driver: &'static str, place: Endpoint, why: &str) {
        if let Some(told @ false) = self.silent.get_mut(&(driver, place)) {
            *told = true;
            warn!(at = %place, "host listed in {driver}.hosts {why}; retrying, at least once a minute");
        }
    }

    /// The network is another one: whoever was silent may be there now.
    pub(super) fn hurry(&mut self, now: &Moment) {
        self.asked_again = 0;
        self.again = self.again.map(|_| now.up);
    }
}

impl Hub {
    /// Hosts from the settings that did not answer a search: they may still be there behind a router that
    /// drops datagrams, or speak a family that has no discovery, or come later. [`Endpoint::UNKNOWN`] is one whose
    /// name nobody resolves.
    pub(super) fn unheard(&mut self, now: &Moment, hosts: Vec<At>) {
        let home = |place: Endpoint| (place.ip, place.http);
        let homes: BTreeSet<(IpAddr, u16)> = self.plugs.values().map(|plug| home(plug.kept.place)).collect();
        for (driver, place) in hosts {
            if homes.contains(&home(place)) && place != Endpoint::UNKNOWN {
                self.hosts.heard(driver, place);
                continue;
            }
            if self.hosts.silent.len() < MAX_HOSTS {
                self.hosts.silent.entry((driver, place)).or_insert(false);
            }
            if place != Endpoint::UNKNOWN {
                self.ask_who(now, driver, place);
            }
        }
        if !self.hosts.silent.is_empty() {
            self.hosts.again.get_or_insert(now.up + AGAIN.pause(self.hosts.asked_again));
        }
    }

    /// Asks a place who is there, as soon as not too many are asked.
    pub(super) fn ask_who(&mut self, now: &Moment, driver: &'static str, place: Endpoint) {
        if self.hosts.waiting.len() < MAX_HOSTS && self.hosts.queued.insert((driver, place)) {
            self.hosts.waiting.push_back((driver, place));
        }
        self.ask_waiting(now);
    }

    pub(super) fn ask_waiting(&mut self, now: &Moment) {
        while self.hosts.asking < AT_ONCE
            && let Some((driver, place)) = self.hosts.waiting.pop_front()
        {
            self.hosts.queued.remove(&(driver, place));
            let home = |theirs: Endpoint| theirs.ip == place.ip && theirs.http == place.http;
            let taken = self.plugs.values().any(|plug| home(plug.kept.place));
            if taken || self.air.engaged(&place) || self.stopping {
                continue;
            }
            let Some(pace) = self.rules.families.get(driver) else { continue };
            let limit = pace.timeout * FIRST_CONTACT;
            self.hosts.asking += 1;
            self.talk(now, Who::Endpoint(driver, place), place, DeviceRequest::Identify, limit);
        }
    }

    /// Asks those that keep silent again when it is time.
    pub(super) fn hosts_tick(&mut self, now: &Moment) {
        if self.stopping || self.hosts.again.is_none_or(|at| at > now.up) {
            return;
        }
        let hosts = &mut self.hosts;
        if hosts.silent.is_empty() {
            (hosts.again, hosts.asked_again) = (None, 0);
            return;
        }
        hosts.asked_again = hosts.asked_again.saturating_add(1);
        hosts.again = Some(now.up + AGAIN.pause(hosts.asked_again));
        // Those that are still to be asked need not be asked more often.
        if hosts.waiting.is_empty() {
            let silent: Vec<At> = hosts.silent.keys().copied().collect();
            // A name that is resolved now gets a place of its own.
            hosts.silent.retain(|(_, place), _| *place != Endpoint::UNKNOWN);
            self.effects.push_back(Effect::DeviceRequest(silent));
        }
    }

    /// The networks of this machine have changed: whoever is missing may be in reach now.
    pub(super) fn network_changed(&mut self, now: &Moment) {
        info!("network interfaces changed: searching");
        self.search.anew(now);
        self.hosts.hurry(now);
        let missing = self.plugs.values_mut().filter(|plug| plug.adopted && plug.missing());
        let missing: Vec<PlugId> = missing
            .map(|plug| {
                plug.look_now(now);
                plug.id.clone()
            })
            .collect();
        for id in missing {
            self.attend(now, &id);
        }
    }
}
