//! What a plug shows of itself: names, locks and options from plug, settings and requests together,
//! and the picture that carries them.

use super::deadband::Thresholds;
use super::meter::Floors;
use super::plug::Plug;
use super::{Hub, PlugRules, Rules};
use crate::model::{Endpoint, Lock, Moment, PerPort, PersistedPlug, PlugId, PlugView, PortView};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What is wrong with a plug is a sentence; the rest of a longer one is cut off.
const MAX_PROBLEM: usize = 200;

/// What a plug calls itself, as far as the hub has taken note, and whether another one does, too.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) own: Option<Arc<str>>,
    namesake: bool,
}

/// Who calls itself what, of those that were given no name.
pub(super) type Namesakes = BTreeMap<Arc<str>, BTreeSet<PlugId>>;

impl Hub {
    /// Plugs that call themselves the same are told apart until they are named.
    pub(super) fn tell_apart(&mut self, now: &Moment, id: &PlugId) {
        let Some(plug) = self.plugs.get_mut(id) else { return };
        if plug.own_name() != plug.listed.own.as_deref() {
            let own = plug.own_name().map(Arc::from);
            let before = std::mem::replace(&mut plug.listed.own, own.clone());
            let mut changed = self.unlist(id, before.as_ref());
            if let Some(own) = own {
                let alike = self.namesakes.entry(own).or_default();
                alike.insert(id.clone());
                // The first one learns of the second.
                let mut others = alike.iter().filter(|other| *other != id);
                if let (Some(other), None) = (others.next(), others.next()) {
                    changed.push(other.clone());
                }
            }
            for other in changed {
                self.fit_name(now, &other);
                self.settle(now, &other);
            }
        }
        self.fit_name(now, id);
    }

    /// It does not call itself so any more, or has gone. Brings back who is left alone with the name.
    pub(super) fn unlist(&mut self, id: &PlugId, name: Option<&Arc<str>>) -> Vec<PlugId> {
        let Some((name, alike)) = name.and_then(|name| Some((name, self.namesakes.get_mut(name)?))) else {
            return Vec::new();
        };
        alike.remove(id);
        match alike.len() {
            0 => drop(self.namesakes.remove(name)),
            1 => return alike.iter().cloned().collect(),
            _ => {}
        }
        Vec::new()
    }

    fn fit_name(&mut self, now: &Moment, id: &PlugId) {
        let Some(plug) = self.plugs.get_mut(id) else { return };
        let alike = plug.listed.own.as_ref().and_then(|name| self.namesakes.get(name));
        let namesake = alike.is_some_and(|alike| alike.len() > 1);
        if std::mem::replace(&mut plug.listed.namesake, namesake) != namesake {
            plug.refit(&self.rules, now);
        }
    }
}

impl Plug {
    /// Takes over names, locks, pace and thresholds from settings and options.
    pub(super) fn refit(&mut self, rules: &Rules, now: &Moment) {
        self.weigh_rules(now);
        let options = &self.kept.options;
        if let Some(family) = rules.families.get(self.driver) {
            self.pace = *family;
        }
        if let Some(poll) = self.rules.poll.or(options.poll_interval_ms.map(Duration::from_millis)) {
            self.pace.poll = poll;
        }
        self.thresholds = Thresholds {
            watts: self.rules.power_change.or(options.power_change).unwrap_or(rules.power_change),
            amps: options.current_change.unwrap_or(rules.current_change),
            volts: rules.voltage_change,
            energy: rules.energy_change,
        };
        self.guard.fit(&self.rules, self.pace.rating_w, self.kept.offer.ports);
        self.kept.latched.retain(|port| self.guard.latches(*port));
        // Shown with the next reading.
        self.guard.word(&self.kept.latched);
        let control = !(rules.read_only || self.rules.read_only || options.read_only == Some(true));
        let name = self.name();
        let ports = self.port_views();
        self.show(now, |view| {
            view.control = control;
            view.name = name;
            view.ports = ports;
        });
        let (facts, ip, offer) = (Arc::clone(&self.kept.facts), self.ip_text(), self.kept.offer);
        let adopted = self.adopted;
        self.show(now, |view| {
            view.facts = facts;
            view.ip = ip;
            view.offer = offer;
            view.adopted = adopted;
        });
    }

    /// Changes the picture; it counts as fresh only when something is different.
    pub(super) fn show(&mut self, now: &Moment, change: impl FnOnce(&mut PlugView)) {
        let mut view = PlugView::clone(&self.view);
        change(&mut view);
        self.show_instead(now, view);
    }

    /// Shows another picture, if it is another one.
    pub(super) fn show_instead(&mut self, now: &Moment, mut view: PlugView) {
        if let Some(problem) = &mut view.problem
            && let Some((cut, _)) = problem.char_indices().nth(MAX_PROBLEM)
        {
            // Some plugs have much to say about what is wrong.
            problem.truncate(cut);
            problem.push_str("...");
        }
        if view != *self.view {
            view.unix_ms = now.unix_ms;
            self.view = Arc::new(view);
            self.fresh_view = true;
        }
    }

    fn name(&self) -> Arc<str> {
        if let Some(given) = self.rules.name.as_ref().or(self.kept.name.as_ref()) {
            return given.as_str().into();
        }
        match self.own_name() {
            Some(name) if self.listed.namesake => self.id.told_apart(name).into(),
            Some(name) => name.into(),
            None => self.id.as_str().into(),
        }
    }

    /// What it calls itself, until it is given a name; strips come from the shop as `STRIP`.
    fn own_name(&self) -> Option<&str> {
        let facts = &self.kept.facts;
        let given = self.rules.name.is_some() || self.kept.name.is_some();
        let own = facts.name.as_ref().map_or(facts.model.as_str(), |name| name.as_str());
        Some(own).filter(|own| !given && !own.is_empty())
    }

    fn port_views(&self) -> Vec<PortView> {
        let named = |port: u8| {
            let own = self.kept.facts.port_names.port(port).and_then(Option::as_ref);
            let name = self.rules.port_names.get(&port).or(self.kept.port_names.get(&port)).or(own);
            name.map_or_else(|| format!("Port {port}").into(), |name| Arc::from(name.as_str()))
        };
        let old = |port: u8| self.view.ports.port(port).cloned();
        (1..=self.kept.offer.ports)
            .map(|port| {
                let lock = Some(self.lock(port)).filter(|lock| *lock != Lock::None);
                PortView { name: named(port), lock, ..old(port).unwrap_or_default() }
            })
            .collect()
    }

    pub(super) fn lock(&self, port: u8) -> Lock {
        lock(&self.rules, &self.kept, port)
    }

    pub(super) fn ip_text(&self) -> Option<Arc<str>> {
        (self.kept.place != Endpoint::UNKNOWN).then(|| self.kept.place.to_string().into())
    }

    /// What earlier runs have told about its energy is known now: from here on it may be shown.
    pub(super) fn metered(&mut self, now: &Moment, floors: &Floors) {
        self.meter.raise(&self.id, self.kept.offer.ports, floors, now);
        if self.kept.offer.power {
            self.show_energy(now);
        }
    }

    /// Others have told of its energy meanwhile.
    pub(super) fn metered_meanwhile(&mut self, now: &Moment, floors: &Floors, apart: Duration) {
        let before = self.meter.total();
        self.meter.lift(&self.id, floors, apart, now);
        if self.meter.total() != before && self.kept.offer.power {
            self.show_energy(now);
        }
    }

    /// Tells what the meters show.
    pub(super) fn show_energy(&mut self, now: &Moment) {
        let mut view = PlugView::clone(&self.view);
        self.tell_energy(now, &mut view);
        self.show_instead(now, view);
    }
}

/// What settings and options together refuse for this port.
pub(super) fn lock(rules: &PlugRules, kept: &PersistedPlug, port: u8) -> Lock {
    let settings = rules.locks.get(&port).copied().unwrap_or(Lock::None);
    let options = kept.options.port.get(&port).and_then(|port| port.lock).unwrap_or(Lock::None);
    settings.and(options)
}
