//! Hosts from the settings that keep silent: they are asked who they are, a few at a time, told once, and asked
//! again soon at first and then ever more rarely.

use super::fleet::MAX_PLUGS;
use crate::model::{Backoff, Endpoint, Now};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;
use tracing::warn;

/// Pause before hosts that keep silent are asked again.
const AGAIN: Backoff = Backoff::doubling(Duration::from_secs(5), Duration::from_secs(60));

/// Places asked at one time who they are.
const AT_ONCE: usize = 64;

/// Places that keep silent or wait to be asked, at the most.
const MAX_HOSTS: usize = 2 * MAX_PLUGS;

/// Plugs without an identity that are told, at the most.
const MAX_NAMELESS: usize = 64;

/// A place, and by which driver it is spoken to.
pub(super) type At = (&'static str, Endpoint);

/// What is known of those that nobody has heard yet.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    /// They keep silent; whether that was told.
    silent: BTreeMap<At, bool>,
    /// Somebody answers searches there without saying who they are; whether it was told that this cannot be
    /// found out.
    nameless: BTreeMap<At, bool>,
    /// When they are asked again.
    again: Option<Duration>,
    /// How often they were.
    asked_again: u32,
    /// Places that wait to be asked who they are, each once.
    waiting: VecDeque<At>,
    queued: BTreeSet<At>,
    asking: usize,
}

impl Hosts {
    /// When they are asked again.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        self.again
    }

    /// Whether somebody is being asked who they are.
    pub(super) fn asking(&self) -> bool {
        self.asking > 0 || !self.waiting.is_empty()
    }

    /// Somebody was heard there, who says who they are.
    pub(super) fn heard(&mut self, driver: &'static str, place: Endpoint) {
        self.silent.remove(&(driver, place));
        self.nameless.remove(&(driver, place));
    }

    /// Somebody was heard there, and is to be asked who they are.
    pub(super) fn heard_nameless(&mut self, driver: &'static str, place: Endpoint) {
        self.silent.remove(&(driver, place));
        if self.nameless.len() < MAX_NAMELESS {
            self.nameless.entry((driver, place)).or_insert(false);
        }
        self.ask(driver, place);
    }

    /// Somebody has answered whose identity cannot be found out.
    pub(super) fn any_nameless(&self) -> bool {
        self.nameless.values().any(|told| *told)
    }

    /// The answer of one that was asked, or why there is none, has come.
    pub(super) fn asked(&mut self) {
        self.asking = self.asking.saturating_sub(1);
    }

    /// It does not say who it is: told once.
    pub(super) fn failed(&mut self, driver: &'static str, place: Endpoint, why: &str) {
        if let Some(told @ false) = self.nameless.get_mut(&(driver, place)) {
            *told = true;
            warn!(at = %place, "a plug of the family {driver} answers searches and tells neither serial number nor MAC address; asked for its hardware, it {why}. It cannot be told from others, so it is not adopted; please report it");
        }
        if let Some(told @ false) = self.silent.get_mut(&(driver, place)) {
            *told = true;
            warn!(at = %place, "host listed in {driver}.hosts {why}; retrying, at least once a minute");
        }
    }

    /// The network is another one: whoever was silent may be there now.
    pub(super) fn hurry(&mut self, now: &Now) {
        self.asked_again = 0;
        self.again = self.again.map(|_| now.up);
    }

    /// Hosts from the settings that did not answer a search: they may still be there behind a router that
    /// drops datagrams, or speak a family that has no discovery, or come later. [`Endpoint::UNKNOWN`] is one whose
    /// name nobody resolves. `homes` is where plugs live that are known.
    pub(super) fn unheard(&mut self, now: &Now, hosts: Vec<At>, homes: &BTreeSet<(IpAddr, u16)>) {
        for (driver, place) in hosts {
            if homes.contains(&(place.ip, place.http)) && place != Endpoint::UNKNOWN {
                self.heard(driver, place);
                continue;
            }
            if self.silent.len() < MAX_HOSTS {
                self.silent.entry((driver, place)).or_insert(false);
            }
            if place != Endpoint::UNKNOWN {
                self.ask(driver, place);
            }
        }
        if !self.silent.is_empty() {
            self.again.get_or_insert(now.up + AGAIN.pause(self.asked_again));
        }
    }

    /// A place is to be asked who is there, as soon as not too many are asked.
    pub(super) fn ask(&mut self, driver: &'static str, place: Endpoint) {
        if self.waiting.len() < MAX_HOSTS && self.queued.insert((driver, place)) {
            self.waiting.push_back((driver, place));
        }
    }

    /// The next place to be asked, unless too many are asked already; those that `need not` are passed over.
    pub(super) fn next(&mut self, need_not: impl Fn(&At) -> bool) -> Option<At> {
        while self.asking < AT_ONCE
            && let Some(at) = self.waiting.pop_front()
        {
            self.queued.remove(&at);
            if !need_not(&at) {
                self.asking += 1;
                return Some(at);
            }
        }
        None
    }

    /// Those that keep silent, when it is time to ask them again.
    pub(super) fn tick(&mut self, now: &Now) -> Option<Vec<At>> {
        self.again.filter(|at| *at <= now.up)?;
        if self.silent.is_empty() {
            (self.again, self.asked_again) = (None, 0);
            return None;
        }
        self.asked_again = self.asked_again.saturating_add(1);
        self.again = Some(now.up + AGAIN.pause(self.asked_again));
        // Those that are still to be asked need not be asked more often.
        if !self.waiting.is_empty() {
            return None;
        }
        let silent: Vec<At> = self.silent.keys().copied().collect();
        // A name that is resolved now gets a place of its own.
        self.silent.retain(|(_, place), _| *place != Endpoint::UNKNOWN);
        Some(silent)
    }
}
