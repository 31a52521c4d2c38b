//! What a plug shows of itself: names, locks and options from plug, settings and requests together,
//! and the picture that carries them.

use super::change::Thresholds;
use super::meter::Floors;
use super::plug::Plug;
use super::{PlugRules, Rules};
use crate::model::{Lock, Moment, Place, PlugView, PortView, Remembered};
use std::sync::Arc;
use std::time::Duration;

/// What is wrong with a plug is a sentence; the rest of a longer one is cut off.
const MAX_PROBLEM: usize = 200;

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
        let (adopted, deleted) = (self.adopted, self.kept.deleted);
        self.show(now, |view| {
            view.facts = facts;
            view.ip = ip;
            view.offer = offer;
            view.adopted = adopted;
            view.deleted = deleted;
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
        let facts = &self.kept.facts;
        let chosen = self.rules.name.as_ref().or(self.kept.name.as_ref()).or(facts.name.as_ref());
        match chosen {
            Some(name) => name.as_str().into(),
            None if facts.model.is_empty() => self.id.as_str().into(),
            None => facts.model.as_str().into(),
        }
    }

    fn port_views(&self) -> Vec<PortView> {
        let named = |port: u8| {
            let own =
                usize::from(port).checked_sub(1).and_then(|i| self.kept.facts.port_names.get(i)?.as_ref());
            let name = self.rules.port_names.get(&port).or(self.kept.port_names.get(&port)).or(own);
            name.map_or_else(|| format!("Port {port}").into(), |name| Arc::from(name.as_str()))
        };
        let old = |port: u8| usize::from(port).checked_sub(1).and_then(|i| self.view.ports.get(i)).cloned();
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
        (self.kept.place != Place::NOWHERE).then(|| self.kept.place.to_string().into())
    }

    /// What earlier runs have told about its energy is known now: from here on it may be shown.
    pub(super) fn metered(&mut self, now: &Moment, floors: &Floors) {
        self.meter.raise(&self.id, self.kept.offer.ports, floors, now);
        if self.kept.offer.power {
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
pub(super) fn lock(rules: &PlugRules, kept: &Remembered, port: u8) -> Lock {
    let settings = rules.locks.get(&port).copied().unwrap_or(Lock::None);
    let options = kept.options.port.get(&port).and_then(|port| port.lock).unwrap_or(Lock::None);
    settings.and(options)
}
