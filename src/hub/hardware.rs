//! Where a plug is and what it says about itself: it moves, is driven out, is replaced.

use super::plug::Plug;
use crate::model::{DeviceInfo, Endpoint, Moment};
use std::sync::Arc;

impl Plug {
    /// It has a new address.
    pub(super) fn move_to(&mut self, place: Endpoint, now: &Moment) {
        self.kept.place = place;
        self.figures.moves += 1;
        self.schedule.start_over(now);
        let ip = self.ip_text();
        self.show(now, |view| view.ip = ip);
    }

    /// Other hardware takes its place. What it was called, what it was told and what it has metered
    /// stay.
    pub(super) fn become_hardware(&mut self, other: &Self, now: &Moment) {
        let facts = std::mem::replace(&mut self.kept.facts, Arc::clone(&other.kept.facts));
        self.kept.name = self.kept.name.take().or_else(|| facts.name.clone());
        for (port, name) in (1..).zip(facts.port_names.iter().cloned()) {
            if let (Some(name), false) = (name, self.kept.port_names.contains_key(&port)) {
                self.kept.port_names.insert(port, name);
            }
        }
        let hardware = other.kept.hardware.as_ref().unwrap_or(&other.id);
        self.kept.hardware = Some(hardware.clone()).filter(|hardware| *hardware != self.id);
        self.driver = other.driver;
        self.kept.driver = other.driver.into();
        self.kept.offer = other.kept.offer;
        self.errands.round = super::slow_poll::Round::default();
        // What was wrong with the old one, what its record was like, and how its relays stood.
        self.guard = super::protection::Guard::default();
        *self.locks = Default::default();
        self.record = super::record::Record::default();
        self.meter.keep_hours(now, false);
        self.live.clear();
        (self.live_volts, self.live_signal) = (None, None);
        self.ages = Default::default();
        self.stale = self.talking.is_some();
        self.read = false;
        self.restart = Default::default();
        self.schedule.answered();
        self.schedule.calm();
        self.everything = true;
        self.show(now, |view| {
            view.driver = other.driver;
            view.online = false;
            view.problem = None;
            view.capabilities = None;
            for port in &mut view.ports {
                port.relay = None;
            }
        });
        self.move_to(other.kept.place, now);
    }

    /// Its address belongs to another plug now.
    pub(super) fn evict(&mut self, now: &Moment) {
        self.kept.place = Endpoint::UNKNOWN;
        self.everything = true;
        self.schedule.calm();
        self.show(now, |view| {
            view.ip = None;
            view.online = false;
            view.problem = Some("another plug has its address now".into());
        });
    }

    /// Takes over what it says about itself; true when that is new. What it does not say any more
    /// is kept: not every firmware says everything every time.
    pub(super) fn renew(&mut self, facts: DeviceInfo) -> bool {
        let old = &self.kept.facts;
        let port_names = if facts.port_names.is_empty() { old.port_names.clone() } else { facts.port_names };
        let facts = DeviceInfo {
            name: facts.name.or(old.name.clone()),
            port_names,
            model_id: facts.model_id.or(old.model_id.clone()),
            serial: facts.serial.or(old.serial.clone()),
            mac: facts.mac.or(old.mac),
            firmware: facts.firmware.or(old.firmware.clone()),
            hardware: facts.hardware.or(old.hardware.clone()),
            cpuid: facts.cpuid.or(old.cpuid.clone()),
            server: facts.server.or(old.server.clone()),
            manufacturer: facts.manufacturer,
            model: facts.model,
        };
        let new = facts != **old;
        if new {
            self.kept.facts = Arc::new(facts);
        }
        new
    }
}
