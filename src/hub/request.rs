//! Requests to the bridge: each is answered exactly once, with what came of it or with the remedy.

use super::ledger::Change;
use super::plug::Plug;
use super::registry::Scan;
use super::{Effect, Hub, MAX_PLUGS};
use crate::model::{
    Energy, Lock, MAX_AMPS_CHANGE, MAX_WATTS, Moment, Name, Notification, Options, OptionsChange, POLL_MS,
    PlugId, Request, Response, ResponseData,
};
use std::collections::BTreeMap;
use std::time::Duration;
use tracing::info;

/// Scans that may run at one time.
const MAX_SCANS: usize = 8;

/// What is answered once this is written, or why it is refused.
type Outcome = Result<(ResponseData, Change), String>;

impl Hub {
    pub(super) fn request(&mut self, now: &Moment, request: Request, transaction: Option<String>) {
        let (verb, result) = match request {
            Request::Scan(time) => match self.scan(now, time, transaction.clone()) {
                Ok(()) => return,
                Err(why) => ("scan", Err(why)),
            },
            Request::Adopt(true, Some(time)) => {
                self.adopt_for_a_while(now, time);
                let data = ResponseData::Adopt(true, Some(time.as_secs()));
                return self.tell(Notification::Response(Response {
                    verb: "adopt",
                    transaction,
                    result: Ok(data),
                }));
            }
            Request::Adopt(adopt, _) => ("adopt", Ok(self.adopt(adopt))),
            Request::DeviceRemove { id, block } => ("device_remove", self.remove(&id, block)),
            Request::DeviceRename { id, name } => ("device_rename", self.rename(&id, name)),
            Request::PortRename { id, port, name } => ("port_rename", self.rename_port(&id, port, name)),
            Request::PlugRequest(id, errand) => {
                let verb = errand.verb();
                match self.errand(now, &id, errand, transaction.clone()) {
                    Ok(()) => return,
                    Err(why) => (verb, Err(why)),
                }
            }
            Request::DeviceOptions { id, options } => ("device_options", self.set_options(&id, *options)),
            Request::EnergySet { id, port, energy } => {
                ("energy_set", self.set_energy(now, &id, port, energy))
            }
            Request::OverloadReset { id, port } => ("overload_reset", self.reset_overload(now, &id, port)),
            Request::DeviceReplace { id, by } => ("device_replace", self.replace(now, &id, &by)),
            Request::LogLevel(level) => {
                self.bridge.log_level = level;
                self.show_bridge();
                self.effects.push_back(Effect::Log(level));
                let result = Ok(ResponseData::LogLevel(level));
                return self.tell(Notification::Response(Response {
                    verb: "log_level",
                    transaction,
                    result,
                }));
            }
        };
        let note = |result| Notification::Response(Response { verb, transaction, result });
        match result {
            Ok((data, change)) => self.tell_when_written(now, change, note(Ok(data))),
            Err(why) => self.tell(note(Err(why))),
        }
    }

    fn scan(&mut self, now: &Moment, time: Duration, transaction: Option<String>) -> Result<(), String> {
        if self.search.scans.len() >= MAX_SCANS {
            return Err(format!("{MAX_SCANS} scans are running already; wait for one of them to end"));
        }
        self.search.scans.push(Scan { until: now.up + time, transaction, found: BTreeMap::new() });
        self.search.at = now.up;
        self.search_tick(now);
        Ok(())
    }

    pub(super) fn scanned(&mut self, scan: Scan) {
        let new = scan.found.iter().filter(|(_, new)| **new).map(|(id, _)| id.clone()).collect();
        let data = ResponseData::Scan { found: scan.found.into_keys().collect(), new };
        self.tell(Notification::Response(Response {
            verb: "scan",
            transaction: scan.transaction,
            result: Ok(data),
        }));
    }

    fn adopt(&mut self, adopt: bool) -> (ResponseData, Change) {
        // What the settings say anyway need not be remembered against them.
        let remembered = (adopt != self.rules.adopt).then_some(adopt);
        let was = std::mem::replace(&mut self.memory.adopt, remembered);
        (ResponseData::Adopt(adopt, None), Change::Adopt(adopt, was))
    }

    /// Whether new plugs are taken, as it is remembered.
    pub(super) fn adopt_from_now_on(&mut self, now: &Moment, adopt: bool) {
        self.adopt_until = None;
        self.set_adopt(now, adopt);
    }

    /// For a while only: afterwards it is as it was before, also when this is asked again meanwhile.
    fn adopt_for_a_while(&mut self, now: &Moment, time: Duration) {
        let was_off = !self.bridge.adopt || self.adopt_until.is_some();
        self.adopt_until = was_off.then_some(now.up + time);
        self.set_adopt(now, true);
    }

    fn set_adopt(&mut self, now: &Moment, adopt: bool) {
        self.bridge.adopt = adopt;
        if adopt {
            self.adopt_all(now);
        }
        self.show_bridge();
        info!(adopt, "adoption of new devices changed");
    }

    /// It goes once that is written.
    fn remove(&mut self, id: &PlugId, block: bool) -> Outcome {
        let blocked = &self.memory.blocked;
        if block && blocked.len() >= MAX_PLUGS && !blocked.contains(id) {
            return Err(format!(
                "{MAX_PLUGS} plugs are blocked already; remove blocked ones without `block` to unblock them"
            ));
        }
        let kept = self.memory.plugs.remove(id).map(Box::new);
        let known = (self.plugs.contains_key(id) && !self.ledger.is_leaving(id)) || kept.is_some();
        if !known && !block {
            // The way back: from now on a search takes it again.
            return if self.memory.blocked.remove(id) {
                info!(plug = %id, "device unblocked");
                Ok((ResponseData::Plug(id.clone()), Change::Unblock(id.clone())))
            } else {
                Err(unknown(id))
            };
        }
        self.ledger.leaves(id);
        let blocked = block && self.memory.blocked.insert(id.clone());
        Ok((ResponseData::Plug(id.clone()), Change::Remove(id.clone(), kept, blocked)))
    }

    /// It is called so once that is written.
    fn rename(&mut self, id: &PlugId, name: Option<Name>) -> Outcome {
        let plug = self.plugs.get_mut(id).ok_or_else(|| unknown(id))?;
        plug.may_rename(0)?;
        let was = std::mem::replace(&mut plug.kept.name, name);
        Ok((ResponseData::Plug(id.clone()), Change::Name(id.clone(), 0, was)))
    }

    fn rename_port(&mut self, id: &PlugId, port: u8, name: Option<Name>) -> Outcome {
        let plug = self.plugs.get_mut(id).ok_or_else(|| unknown(id))?;
        check_port(id, port, plug.kept.offer.ports)?;
        plug.may_rename(port)?;
        let was = match name {
            Some(name) => plug.kept.port_names.insert(port, name),
            None => plug.kept.port_names.remove(&port),
        };
        Ok((ResponseData::Port(id.clone(), port), Change::Name(id.clone(), port, was)))
    }

    /// They hold once they are written.
    fn set_options(&mut self, id: &PlugId, change: OptionsChange) -> Outcome {
        let plug = self.plugs.get_mut(id).ok_or_else(|| unknown(id))?;
        for (&port, wanted) in &change.port {
            check_port(id, port, plug.kept.offer.ports)?;
            let fixed = plug.rules.locks.get(&port).copied().unwrap_or(Lock::None);
            if wanted.lock.is_some_and(|lock| lock.and(fixed) != lock) {
                return Err(format!(
                    "the settings lock port {port} of {id}; only device.\"{id}\".port.{port}.lock there can loosen that"
                ));
            }
        }
        if change.read_only == Some(Some(false)) && (plug.rules.read_only || self.rules.read_only) {
            return Err(format!("the settings make {id} read-only; only they can change that"));
        }
        let options = merge(plug.kept.options.clone(), change);
        check_options(&options)?;
        let before = std::mem::replace(&mut plug.kept.options, options.clone());
        let change = Change::Options(id.clone(), Box::new(before));
        Ok((ResponseData::Options(id.clone(), Box::new(options)), change))
    }

    fn set_energy(&mut self, now: &Moment, id: &PlugId, port: u8, energy: Energy) -> Outcome {
        let plug = self.plugs.get_mut(id).ok_or_else(|| unknown(id))?;
        check_port(id, port, plug.kept.offer.ports)?;
        if !plug.kept.offer.power {
            return Err(format!("{id} does not measure power, so it has no energy to set"));
        }
        let was = plug.meter.exact(port);
        plug.meter.set(now, port, energy);
        let shown = plug.meter.port(port);
        Ok((ResponseData::Energy(id.clone(), port, shown), Change::Energy(id.clone(), port, [was, energy])))
    }

    fn reset_overload(&mut self, now: &Moment, id: &PlugId, port: Option<u8>) -> Outcome {
        let plug = self.plugs.get_mut(id).ok_or_else(|| unknown(id))?;
        if let Some(port) = port {
            check_port(id, port, plug.kept.offer.ports)?;
        }
        let freed = plug.release(now, port);
        info!(plug = %id, ?freed, "overload reset");
        self.settle(now, id);
        Ok((ResponseData::OverloadReset(id.clone(), freed.clone()), Change::OverloadReset(id.clone(), freed)))
    }

    fn replace(&mut self, now: &Moment, id: &PlugId, by: &PlugId) -> Outcome {
        let old = self.plugs.get(id).ok_or_else(|| unknown(id))?;
        let new = self.plugs.get(by).ok_or_else(|| unknown(by))?;
        let (had, has) = (old.kept.offer.ports, new.kept.offer.ports);
        if id == by {
            return Err("a plug cannot replace itself; \"by\" is the id of the new one".into());
        }
        if old.online() {
            return Err(format!("{id} still answers; unplug it first, two cannot bear one name"));
        }
        if !new.online() {
            return Err(format!("{by} does not answer; it must be adopted and online"));
        }
        if has < had {
            return Err(format!("{by} has {has} ports and {id} has {had}; some would have no heir"));
        }
        let were = [old, new].map(|plug| (plug.id.clone(), plug.driver, plug.kept_as()));
        let Some(mut new) = self.take_plug(by) else { return Err(unknown(by)) };
        new.leave(now, &mut self.effects);
        if let Some(old) = self.plugs.get_mut(id) {
            old.leave(now, &mut self.effects);
            old.become_hardware(&new, now);
            old.refit(&self.rules, now);
        }
        info!(plug = %id, hardware = %by, "device hardware replaced");
        self.effects.push_back(Effect::Reattach(id.clone()));
        self.attend(now, id);
        Ok((ResponseData::Plug(id.clone()), Change::Replace(Box::new(were))))
    }

    pub(super) fn refitted(&mut self, now: &Moment, id: &PlugId) {
        if let Some(plug) = self.plugs.get_mut(id) {
            plug.refit(&self.rules, now);
            plug.refresh(now);
        }
        self.attend(now, id);
    }
}

impl Plug {
    /// The settings leave its name, or that of a port, to others.
    pub(super) fn may_rename(&self, port: u8) -> Result<(), String> {
        let id = &self.id;
        if port == 0 && self.rules.name.is_some() {
            return Err(format!("the settings give {id} its name; change device.\"{id}\".name there"));
        }
        if self.rules.port_names.contains_key(&port) {
            return Err(format!(
                "the settings give this port its name; change device.\"{id}\".port.{port} there"
            ));
        }
        Ok(())
    }
}

fn merge(old: Options, change: OptionsChange) -> Options {
    let mut port = old.port;
    port.extend(change.port);
    port.retain(|_, port| port.lock.is_some_and(|lock| lock != Lock::None));
    Options {
        poll_interval_ms: change.poll_interval_ms.unwrap_or(old.poll_interval_ms),
        power_change: change.power_change.unwrap_or(old.power_change),
        current_change: change.current_change.unwrap_or(old.current_change),
        power_unit: change.power_unit.unwrap_or(old.power_unit),
        read_only: change.read_only.unwrap_or(old.read_only),
        port,
    }
}

pub(super) fn unknown(id: &PlugId) -> String {
    format!("no plug {id} is known; bridge/devices lists those that are")
}

fn check_port(id: &PlugId, port: u8, count: u8) -> Result<(), String> {
    match (1..=count).contains(&port) {
        true => Ok(()),
        false => Err(format!("{id} has no port {port}; it has 1 to {count}")),
    }
}

fn check_options(options: &Options) -> Result<(), String> {
    if options.poll_interval_ms.is_some_and(|ms| !POLL_MS.contains(&ms)) {
        return Err("poll_interval must be 200ms to 1h".into());
    }
    let bad =
        |value: Option<f64>, max: f64| value.is_some_and(|v| !v.is_finite() || !(0.0..=max).contains(&v));
    if bad(options.power_change, MAX_WATTS) {
        return Err("power_change must be 0 to 5000 W".into());
    }
    if bad(options.current_change, MAX_AMPS_CHANGE) {
        return Err("current_change must be 0 to 100 A".into());
    }
    Ok(())
}
