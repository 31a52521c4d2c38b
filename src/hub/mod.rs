//! The hub decides. It owns what is known of every plug, when each is asked next, which commands
//! are in hand and what is worth telling. It refuses to know sockets, clocks, drivers and MQTT:
//! time comes in with each call, work goes out as [`Effect`]s.
//!
//! The contract: every [`handle`](Hub::handle) is followed by draining [`effect`](Hub::effect)
//! until it is empty; then [`wake_at`](Hub::wake_at) says when to come back with
//! [`Input::Tick`] and [`view`](Hub::view) what everybody may see.
//!
//! | file | what it decides |
//! | --- | --- |
//! | `mod.rs` | what an input means for all: requests to the bridge, what is written |
//! | `contract.rs` | what comes in and goes out |
//! | `fleet.rs`, `agenda.rs`, `in_flight.rs` | all plugs: who is looked at when, how many may be spoken to at one time |
//! | `plug/` | one plug, see `plug/mod.rs` |
//! | ,  | one plug's commands: admitted, waiting, sent, confirmed, failed, expired |
//! | `command.rs`, `returns.rs` | one command until its result is told; ports that go back by themselves |
//! | `protection.rs` | one plug's protection: overload, power behind an open relay, what is done about it |
//! | `meter.rs`, `counters.rs`, `floors.rs`, `day.rs`, `period.rs`, `hours.rs` | one plug's energy: counted, never lower, gaps declared; by day, month and hour |
//! | `discovery.rs` | who is there: what follows from whom a search has found |
//! | `search.rs`, `hosts.rs` | when to search, and who is named in the settings and keeps silent |
//! | `registry.rs`, `namesakes.rs` | who is who: found, moved, doubled, too many; who is called the same |
//! | `unsupported.rs` | who answers and is no plug, told once |
//! | `request.rs`, `change.rs`, `ledger.rs` | what is written before it is acknowledged, and taken back when it cannot be |
//! | `stats.rs` | figures about the work |
//! | `rules.rs`, `effective.rs` | the settings, in the hub's words; what holds for one plug |
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod admission;
mod agenda;
mod blame;
mod change;

mod command;
mod command_queue;
mod contract;
mod counters;
mod day;
mod discovery;
mod effective;
mod fleet;
mod floors;
mod gaps;
mod hosts;
mod hours;
mod in_flight;
mod ledger;
mod meter;
mod namesakes;
mod period;
mod plug;
mod protection;
mod registry;
mod request;
mod returns;
mod rules;
mod search;
mod stats;
#[cfg(test)]
pub(crate) mod tests;
mod unsupported;

pub use contract::{Effect, Input};
pub use effective::Effective;
pub use fleet::MAX_PLUGS;
pub use registry::nobody;
pub use rules::{Limit, Pace, PlugRules, Rules};

use crate::model::{
    Asker, BridgeView, CommandError, DialectOptions, Discovered, Event, HubRequest, Metrics, Notification,
    Now, Outcome, PersistedPlug, PersistedState, PlugId, PowerUnit, Pushed, Request, Response, ResponseData,
    Stats, SwitchOrder, View, Who,
};
use change::Change;
use discovery::{Discovery, Known};
use fleet::{Due, Fleet, SAVE_AFTER};
use ledger::{Ledger, Waiting};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// How often the figures in the view are renewed.
const STATS_EVERY: Duration = Duration::from_secs(60);

/// Everything known, and what to do next.
#[derive(Debug)]
pub struct Hub {
    fleet: Fleet,
    /// What is remembered beside the plugs, and of plugs that settings keep out at present.
    memory: PersistedState,
    ledger: Ledger,
    discovery: Discovery,
    adopt_until: Option<Duration>,
    /// Commands to plugs that are not there.
    marked: admission::Marked,
    bridge: BridgeView,
    counters: stats::Counters,
    stats_at: Duration,
}

impl Hub {
    /// Wakes up with what is remembered. Known plugs are due at once, before any search.
    pub fn new(mut rules: Rules, mut memory: PersistedState, now: &Now) -> Self {
        rules.learn_time(&memory);
        let bridge = BridgeView {
            adopt: memory.adopt.unwrap_or(rules.adopt),
            log_level: rules.log_level,
            read_only: rules.read_only,
            problems: BTreeMap::new(),
            stats: Stats { unix_ms: now.unix_ms, ..Stats::default() },
            meters_read: 0,
        };
        let plugs = std::mem::take(&mut memory.plugs);
        let mut hub = Self {
            fleet: Fleet::new(rules, bridge.clone(), now),
            memory,
            ledger: Ledger::default(),
            discovery: Discovery::new(now),
            adopt_until: None,
            marked: admission::Marked::default(),
            bridge,
            counters: stats::Counters::default(),
            stats_at: now.up + STATS_EVERY,
        };
        hub.recall(plugs, now);
        hub
    }

    /// Takes one input. Drain [`effect`](Self::effect) afterwards.
    pub fn handle(&mut self, now: &Now, input: Input) {
        match input {
            Input::Heard(found) => {
                let (discovery, mut known) = self.discovery();
                discovery.heard(now, &mut known, found);
            }
            Input::Stray(stray) => self.discovery.stray(&stray),
            Input::Unheard(hosts) => {
                let (discovery, mut known) = self.discovery();
                discovery.unheard(now, &mut known, hosts);
            }
            Input::Network => {
                let (discovery, mut known) = self.discovery();
                discovery.network_changed(now, &mut known);
            }
            Input::Pushed(Pushed { plug, from, reading }) => {
                if let Some(id) = registry::bearer(&self.fleet, &plug) {
                    self.fleet.pushed(now, &id, from, reading);
                }
            }
            Input::Answered(outcome) => self.answered(now, outcome),
            Input::Commanded(order) => self.commanded(now, order),
            Input::Saved(result) => self.saved(now, result),
            Input::Problem(reason, sentence) => self.set_problem(reason, sentence),
            Input::Tick => self.tick(now),
            Input::Stop => {
                // Said again, it means that conversations have been broken off.
                self.fleet.stop(now, self.fleet.is_stopping());
                self.ledger.write_all();
            }
        }
        self.fleet.pump(now);
        self.follow(now);
        if self.ledger.begin(now) {
            self.memory.generation = self.memory.generation.saturating_add(1);
            self.memory.written_ms = now.unix_ms;
            self.fleet.push(Effect::Save);
        }
    }

    /// The next thing to do, until there is none.
    pub fn effect(&mut self) -> Option<Effect> {
        self.fleet.effect()
    }

    /// When to come back with [`Input::Tick`], in [`Now::up`].
    pub fn wake_at(&self) -> Duration {
        if self.fleet.is_stopping() {
            return Duration::MAX;
        }
        let at = self.stats_at.min(self.discovery.wake_at());
        let others = [self.fleet.wake_at(), self.ledger.wake_at(), self.adopt_until];
        others.into_iter().flatten().fold(at, Duration::min)
    }

    /// What everybody may see now.
    pub fn view(&self) -> Arc<View> {
        self.fleet.view()
    }

    /// Figures about all plugs that were adopted, as they are now.
    pub fn figures(&self) -> Metrics {
        self.fleet.figures()
    }

    /// What must outlive the process.
    pub fn memory(&self) -> PersistedState {
        let mut memory = PersistedState { version: PersistedState::VERSION, ..self.memory.clone() };
        let kept = self.fleet.plugs().filter(|plug| plug.device().is_known());
        let kept = kept.map(|plug| (plug.device().id(), plug)).filter(|(id, _)| !self.ledger.is_leaving(id));
        // Beside those that settings keep out at present.
        memory.plugs.extend(kept.map(|(id, plug)| (id.clone(), plug.memory())));
        memory
    }

    /// Everything a driver needs to attach a dialect to this plug.
    pub fn attachment(&self, who: &Who) -> Option<(Discovered, DialectOptions)> {
        let (name, power_unit, found) = match who {
            Who::Plug(id) => {
                let device = self.fleet.get(id)?.device();
                (device.driver(), device.settings().power_unit, device.found())
            }
            Who::Endpoint(driver, place) => {
                let found = Discovered { driver, id: None, place: *place, facts: Default::default() };
                (*driver, PowerUnit::Auto, found)
            }
        };
        let pace = self.fleet.rules.families.get(name)?;
        let set_clock = pace.set_clock && pace.zone_known;
        Some((found, DialectOptions { timeout: pace.timeout, power_unit, set_clock }))
    }

    /// Who is there, and what is known so far.
    fn discovery(&mut self) -> (&mut Discovery, Known<'_>) {
        let known = Known { fleet: &mut self.fleet, memory: &mut self.memory, adopts: self.bridge.adopt };
        (&mut self.discovery, known)
    }

    fn tell(&mut self, note: Notification) {
        self.fleet.tell(note);
    }

    fn respond(&mut self, verb: &'static str, asker: Asker, result: Result<ResponseData, String>) {
        self.tell(Notification::Response(Response { verb, asker, result }));
    }

    /// Says what is wrong with the bridge itself for this reason, a sentence with its remedy for each, so that one
    /// can go while another stays; `None` when nothing is any more.
    fn set_problem(&mut self, reason: &'static str, sentence: Option<String>) {
        let problems = &mut self.bridge.problems;
        if problems.get(reason) == sentence.as_ref() {
            return;
        }
        match sentence {
            Some(sentence) => problems.insert(reason, sentence),
            None => problems.remove(reason),
        };
        self.fleet.show_bridge(&self.bridge);
    }

    fn tick(&mut self, now: &Now) {
        if self.ledger.is_late(now) {
            // Nobody waits for a disk that does not answer.
            self.give_back(now, "the disk does not answer", true);
            self.ledger.within(now, SAVE_AFTER);
        }
        if self.adopt_until.is_some_and(|at| at <= now.up) {
            self.adopt_until = None;
            self.bridge.adopt = false;
            self.fleet.show_bridge(&self.bridge);
        }
        if self.stats_at <= now.up {
            self.stats_at = now.up + STATS_EVERY;
            self.bridge.stats = self.counters.stats(now);
            self.fleet.show_bridge(&self.bridge);
            let (discovery, mut known) = self.discovery();
            discovery.prune(now, &mut known);
        }
        let (discovery, mut known) = self.discovery();
        discovery.tick(now, &mut known);
        self.fleet.tick(now);
    }

    fn answered(&mut self, now: &Now, outcome: Outcome) {
        self.fleet.ended(&outcome.who);
        match outcome.who.clone() {
            Who::Endpoint(driver, place) => {
                let (discovery, mut known) = self.discovery();
                discovery.identified(now, &mut known, driver, place, outcome.result);
            }
            Who::Plug(id) => {
                self.counters.count(&outcome);
                self.fleet.answered(now, &id, outcome);
            }
        }
    }

    /// Does what the plugs want of the hub, until there is nothing more.
    fn follow(&mut self, now: &Now) {
        while let Some(Due { pledges, commands, save_within, missed }) = self.fleet.take_due() {
            if missed {
                self.discovery.search_soon(now);
            }
            if let Some(time) = save_within {
                self.ledger.within(now, time);
            }
            for id in commands {
                if let Some(plug) = self.fleet.get_mut(&id) {
                    self.ledger.number(now, &id, plug.commands());
                }
            }
            for (change, note) in pledges {
                self.tell_when_written(now, change, note);
            }
        }
    }

    fn commanded(&mut self, now: &Now, order: HubRequest) {
        match order {
            HubRequest::Switch(order) => self.switch(now, order),
            HubRequest::Refresh(id) => {
                let Some(plug) = self.fleet.get_mut(&id) else {
                    warn!(plug = %id, "refresh requested for an unknown device");
                    return;
                };
                plug.tell_all(now);
                self.fleet.attend(now, &id);
            }
            HubRequest::Request(request, asker) => self.request(now, request, asker),
            HubRequest::Metered(told) => self.fleet.metered(now, told),
            HubRequest::MeteredMeanwhile(told, apart) => {
                self.fleet.metered_meanwhile(now, told, apart);
                self.bridge.meters_read = self.bridge.meters_read.wrapping_add(1);
                self.fleet.show_bridge(&self.bridge);
            }
            HubRequest::Keep(keep) => {
                let (section, key) = (keep.section, keep.key.clone());
                match self.memory.sinks.keep(keep) {
                    Ok(true) => self.ledger.within(now, SAVE_AFTER),
                    Ok(false) => {}
                    Err(why) => warn!(section, key, "not kept over restarts: {why}"),
                }
            }
        }
    }

    fn switch(&mut self, now: &Now, order: SwitchOrder) {
        let (id, stopping) = (order.plug.clone(), self.fleet.is_stopping());
        let deadline = now.up + self.fleet.rules.command_timeout;
        match self.fleet.with_rules(&id).filter(|(plug, _)| plug.device().is_known()) {
            Some((plug, rules)) => {
                plug.command(now, rules, order, stopping);
                self.fleet.attend(now, &id);
            }
            None if self.marked.again(now, &order, deadline) => {}
            None => {
                let refusal = admission::refusal(now, &order, CommandError::UnknownDevice, None);
                self.tell(Notification::Result(refusal));
            }
        }
    }

    /// Takes in what was remembered.
    fn recall(&mut self, plugs: BTreeMap<PlugId, PersistedPlug>, now: &Now) {
        for (id, mut kept) in plugs {
            kept.reverts.values_mut().for_each(|revert| *revert = revert.written(self.memory.written_ms));
            let families = &self.fleet.rules.families;
            let Some(driver) = families.keys().find(|name| **name == kept.driver).copied() else {
                warn!(plug = %id, driver = kept.driver, "device not polled: its driver is disabled");
                self.memory.plugs.insert(id, kept);
                continue;
            };
            if !self.fleet.rules.permit(&self.memory, &id) {
                info!(plug = %id, "device not polled: not allowed by the settings");
                self.memory.plugs.insert(id, kept);
                continue;
            }
            self.fleet.add(now, &id, driver, kept, true);
            if self.memory.older
                && let Some(plug) = self.fleet.get_mut(&id)
            {
                plug.commands().distrust();
                self.fleet.attend(now, &id);
            }
        }
        self.follow(now);
    }

    fn request(&mut self, now: &Now, request: Request, asker: Asker) {
        let (verb, result) = match request {
            Request::Scan(time) => {
                let (discovery, mut known) = self.discovery();
                match discovery.scan(now, &mut known, time, asker.clone()) {
                    Ok(()) => return,
                    Err(why) => ("scan", Err(why)),
                }
            }
            Request::Adopt(true, Some(time)) => {
                // For a while only: afterwards it is as it was before, also when this is asked again meanwhile.
                let was_off = !self.bridge.adopt || self.adopt_until.is_some();
                self.adopt_until = was_off.then_some(now.up + time);
                self.set_adopt(now, true);
                return self.respond("adopt", asker, Ok(ResponseData::Adopt(true, Some(time.as_secs()))));
            }
            Request::Adopt(adopt, _) => {
                // What the settings say anyway need not be remembered against them.
                let remembered = (adopt != self.fleet.rules.adopt).then_some(adopt);
                let was = std::mem::replace(&mut self.memory.adopt, remembered);
                ("adopt", Ok((ResponseData::Adopt(adopt, None), Change::Adopt(adopt, was))))
            }
            Request::DeviceRemove { id, block } => ("device_remove", self.remove(&id, block)),
            Request::DeviceRename { id, name } => {
                ("device_rename", self.change(now, &id, |plug| request::rename(plug, None, name)))
            }
            Request::PortRename { id, port, name } => {
                ("port_rename", self.change(now, &id, |plug| request::rename(plug, Some(port), name)))
            }
            Request::PlugRequest(id, request) => {
                let verb = request.verb();
                match self.plug_request(now, &id, request, asker.clone()) {
                    Ok(()) => return,
                    Err(why) => (verb, Err(why)),
                }
            }
            Request::DeviceOptions { id, options } => {
                let read_only = self.fleet.rules.read_only;
                let set = |plug: &mut plug::Plug| request::set_options(plug, *options, read_only);
                ("device_options", self.change(now, &id, set))
            }
            Request::EnergySet { id, port, energy } => {
                ("energy_set", self.change(now, &id, |plug| request::set_energy(plug, now, port, energy)))
            }
            Request::OverloadReset { id, port } => {
                ("overload_reset", self.change(now, &id, |plug| request::reset_overload(plug, now, port)))
            }
            Request::DeviceReplace { id, by } => ("device_replace", self.replace(now, &id, &by)),
            Request::LogLevel(level) => {
                self.bridge.log_level = level;
                self.fleet.show_bridge(&self.bridge);
                self.fleet.push(Effect::Log(level));
                return self.respond("log_level", asker, Ok(ResponseData::LogLevel(level)));
            }
        };
        match result {
            Ok((data, change)) => {
                let note = Notification::Response(Response { verb, asker, result: Ok(data) });
                self.tell_when_written(now, change, note);
            }
            Err(why) => self.respond(verb, asker, Err(why)),
        }
    }

    /// Changes something about one plug.
    fn change(
        &mut self,
        now: &Now,
        id: &PlugId,
        change: impl FnOnce(&mut plug::Plug) -> request::Outcome,
    ) -> request::Outcome {
        let plug = self.fleet.get_mut(id).ok_or_else(|| request::unknown(id))?;
        let outcome = change(plug);
        self.fleet.settle(now, id);
        outcome
    }

    /// Hands a request to the plug it is for; the response comes when the plug has answered.
    fn plug_request(
        &mut self,
        now: &Now,
        id: &PlugId,
        request: crate::model::PlugRequest,
        asker: Asker,
    ) -> Result<(), String> {
        if self.fleet.is_stopping() {
            return Err("the bridge stops; ask again when it runs".into());
        }
        let known = self.fleet.with_rules(id).filter(|(plug, _)| plug.device().is_known());
        let (plug, rules) = known.ok_or_else(|| request::unknown(id))?;
        plug.request(now, rules, request, asker);
        self.fleet.attend(now, id);
        Ok(())
    }

    fn set_adopt(&mut self, now: &Now, adopt: bool) {
        self.bridge.adopt = adopt;
        let listed = self.fleet.ids(|plug| adopt && !plug.device().is_adopted());
        for id in listed {
            if let Some((plug, rules)) = self.fleet.with_rules(&id) {
                plug.refresh(now);
                plug.adopt(now, rules);
            }
            self.fleet.attend(now, &id);
        }
        self.fleet.show_bridge(&self.bridge);
        info!(adopt, "adoption of new devices changed");
    }

    /// It goes once that is written.
    fn remove(&mut self, id: &PlugId, block: bool) -> request::Outcome {
        let blocked = &self.memory.blocked;
        if block && blocked.len() >= MAX_PLUGS && !blocked.contains(id) {
            return Err(format!(
                "{MAX_PLUGS} plugs are blocked already; remove blocked ones without `block` to unblock them"
            ));
        }
        let kept = self.memory.plugs.remove(id).map(Box::new);
        let known = (self.fleet.get(id).is_some() && !self.ledger.is_leaving(id)) || kept.is_some();
        if !known && !block {
            // The way back: from now on a search takes it again.
            return if self.memory.blocked.remove(id) {
                info!(plug = %id, "device unblocked");
                Ok((ResponseData::Plug(id.clone()), Change::Unblock(id.clone())))
            } else {
                Err(request::unknown(id))
            };
        }
        self.ledger.leaves(id);
        let blocked = block && self.memory.blocked.insert(id.clone());
        Ok((ResponseData::Plug(id.clone()), Change::Remove(id.clone(), kept, blocked)))
    }

    fn replace(&mut self, now: &Now, id: &PlugId, by: &PlugId) -> request::Outcome {
        let old = self.fleet.get(id).ok_or_else(|| request::unknown(id))?;
        let new = self.fleet.get(by).ok_or_else(|| request::unknown(by))?;
        request::check_replace(old, new)?;
        let were = [old, new].map(|plug| (plug.device().id().clone(), plug.device().driver(), plug.memory()));
        for leaves in [by, id] {
            if let Some(plug) = self.fleet.get_mut(leaves) {
                plug.leave(now);
            }
        }
        let new = self.fleet.take(by).ok_or_else(|| request::unknown(by))?;
        if let Some((old, rules)) = self.fleet.with_rules(id) {
            old.become_hardware(&new, now, rules);
        }
        info!(plug = %id, hardware = %by, "device hardware replaced");
        self.fleet.push(Effect::Reattach(id.clone()));
        self.fleet.attend(now, id);
        Ok((ResponseData::Plug(id.clone()), Change::Replace(Box::new(were))))
    }

    /// Tells this once the change that was made for it is written.
    fn tell_when_written(&mut self, now: &Now, change: Change, note: Notification) {
        if let Some(waiting) = self.ledger.wait(now, change, note) {
            self.take_back(now, waiting, "too many changes wait for the disk");
        }
    }

    /// What was to be written is, or is not.
    fn saved(&mut self, now: &Now, result: Result<(), String>) {
        let Some(number) = self.ledger.ended() else { return };
        if let Err(why) = result {
            self.ledger.failed(now);
            return self.give_back(now, &why, false);
        }
        let (written, plugs) = self.ledger.written(number);
        for waiting in written {
            self.carry_through(now, waiting.change);
            self.tell(waiting.note);
        }
        for id in plugs {
            let Some(plug) = self.fleet.get_mut(&id) else { continue };
            if !plug.commands().written(number) {
                self.ledger.mind(id.clone());
            }
            self.fleet.attend(now, &id);
        }
    }

    /// What waits to be written, and `perhaps` will be, is taken back, the newest first.
    fn give_back(&mut self, now: &Now, why: &str, perhaps: bool) {
        let (waiting, plugs) = self.ledger.give_back();
        for waiting in waiting {
            self.take_back(now, waiting, why);
        }
        for id in plugs {
            if let Some(plug) = self.fleet.get_mut(&id) {
                plug.commands().lost(why, perhaps);
            }
            self.fleet.attend(now, &id);
        }
    }

    fn take_back(&mut self, now: &Now, waiting: Waiting, why: &str) {
        self.undo(now, waiting.change);
        self.tell(Waiting::refusal(waiting.note, why));
    }

    /// A change is written: what had to wait for that.
    fn carry_through(&mut self, now: &Now, change: Change) {
        match change {
            Change::Latch | Change::OverloadReset(..) | Change::Unblock(_) => {}
            Change::Name(id, ..) => self.fleet.refitted(now, &id),
            Change::Options(id, before) => {
                let options = self.fleet.get(&id).map(|plug| &plug.device().kept().options);
                if options.is_some_and(|options| options.power_unit != before.power_unit) {
                    self.fleet.push(Effect::Reattach(id.clone()));
                }
                self.fleet.refitted(now, &id);
            }
            Change::Energy(id, port, [_, set]) => {
                info!(plug = %id, port, kwh = %set, "energy meter set");
                if let Some(plug) = self.fleet.get_mut(&id) {
                    plug.show_energy(now);
                    self.fleet.settle(now, &id);
                }
            }
            Change::Adopt(adopt, _) => {
                self.adopt_until = None;
                self.set_adopt(now, adopt);
            }
            Change::Remove(id, ..) => {
                self.ledger.has_left(&id);
                if let Some(plug) = self.fleet.get_mut(&id) {
                    plug.leave(now);
                }
                drop(self.fleet.take(&id));
                info!(plug = %id, "device removed");
                self.tell(Notification::Bridge(Event::DeviceRemoved(id)));
            }
            Change::Replace(plugs) => {
                let [_, (by, ..)] = *plugs;
                self.tell(Notification::Bridge(Event::DeviceRemoved(by)));
            }
        }
    }

    /// A change cannot be written: everything is as it was.
    fn undo(&mut self, now: &Now, change: Change) {
        match change {
            Change::Latch => {}
            Change::Name(id, port, was) => {
                let Some(plug) = self.fleet.get_mut(&id) else { return };
                drop(plug.device_mut().set_name(port, was));
                self.fleet.refitted(now, &id);
            }
            Change::Options(id, was) => {
                let Some(plug) = self.fleet.get_mut(&id) else { return };
                drop(plug.device_mut().set_options(*was));
                self.fleet.refitted(now, &id);
            }
            Change::Energy(id, port, [was, set]) => {
                let Some(plug) = self.fleet.get_mut(&id) else { return };
                let mut energy = was;
                // What was drawn meanwhile was drawn.
                energy.add(plug.meter().exact(port).beyond(set));
                plug.meter_mut().set(now, port, energy);
            }
            Change::OverloadReset(id, ports) => {
                let Some(plug) = self.fleet.get_mut(&id) else { return };
                plug.latch(now, &ports);
                self.fleet.settle(now, &id);
            }
            Change::Adopt(_, was) => self.memory.adopt = was,
            Change::Remove(id, kept, blocked) => {
                self.ledger.has_left(&id);
                if blocked {
                    self.memory.blocked.remove(&id);
                }
                if let Some(kept) = kept {
                    self.memory.plugs.insert(id, *kept);
                }
            }
            Change::Unblock(id) => drop(self.memory.blocked.insert(id)),
            Change::Replace(plugs) => {
                for (id, driver, kept) in *plugs {
                    drop(self.fleet.take(&id));
                    self.fleet.add(now, &id, driver, kept, true);
                }
            }
        }
    }
}
