//! What is acknowledged is written down first. Each change somebody waits for gets a number; whoever
//! waits is answered when a state of the memory that holds it is written, and many are by one. What
//! cannot be written is taken back, and answered so.

use super::{Effect, Hub};
use crate::model::{
    Energy, Event, Moment, Name, Notification, Options, PersistedPlug, PersistedState, PlugId, Response,
};
use std::collections::BTreeSet;
use std::time::Duration;
use tracing::info;

/// How long a change that nobody waits for may wait to be written.
const SAVE_AFTER: Duration = Duration::from_millis(500);

/// What could not be written is tried again after this long, or when somebody waits.
const AGAIN: Duration = Duration::from_secs(10);

/// Nobody waits for the disk longer than this.
const PATIENCE: Duration = Duration::from_secs(20);

/// Changes that may wait for the disk.
const MAX_WAITING: usize = 256;

/// And changes of one plug: others have their places.
const MAX_OF_ONE: usize = 32;

/// What is to be written, and who waits for it.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// The number of the newest change.
    newest: u64,
    /// Changes up to this number are being written.
    writing: Option<u64>,
    /// Somebody waits for the newest.
    wanted: bool,
    /// When what nobody waits for is written.
    at: Option<Duration>,
    /// It is not tried before this.
    not_before: Duration,
    waiting: Vec<Waiting>,
    /// Plugs whose commands have something to be written.
    plugs: BTreeSet<PlugId>,
    /// Plugs that are gone as soon as that is written.
    leaving: BTreeSet<PlugId>,
}

/// Somebody waits for a change to be written.
#[derive(Debug)]
struct Waiting {
    number: u64,
    until: Duration,
    change: Change,
    /// What is told then.
    note: Notification,
}

/// A change somebody waits for, and what is needed to take it back.
#[derive(Debug)]
pub(super) enum Change {
    /// Nothing that could be taken back: a latch protects, be it written or not.
    Latch,
    /// The name of a plug (port 0) or port.
    Name(PlugId, u8, Option<Name>),
    /// The options of a plug.
    Options(PlugId, Box<Options>),
    /// A meter: what it showed before and what it was set to.
    Energy(PlugId, u8, [Energy; 2]),
    /// Ports that were released.
    OverloadReset(PlugId, BTreeSet<u8>),
    /// Whether new plugs are taken, and what was remembered about that before.
    Adopt(bool, Option<bool>),
    /// A plug goes; with what is remembered of one that is not asked, and whether it is blocked from
    /// now on.
    Remove(PlugId, Option<Box<PersistedPlug>>, bool),
    /// A plug may be taken again.
    Unblock(PlugId),
    /// Hardware has taken the place of other hardware: both as they were.
    Replace(Box<[(PlugId, &'static str, PersistedPlug); 2]>),
}

impl Change {
    /// The plug that it is about.
    fn plug(&self) -> Option<&PlugId> {
        match self {
            Self::Latch | Self::Adopt(..) => None,
            Self::Name(id, ..)
            | Self::Options(id, _)
            | Self::Energy(id, ..)
            | Self::OverloadReset(id, _)
            | Self::Remove(id, ..)
            | Self::Unblock(id) => Some(id),
            Self::Replace(plugs) => plugs.first().map(|(id, ..)| id),
        }
    }
}

impl Ledger {
    /// When the hub is to look again.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        let patience = self.waiting.iter().map(|waiting| waiting.until);
        let at = self.at.filter(|_| self.writing.is_none());
        patience.chain(at).min()
    }

    fn change(&mut self) -> u64 {
        self.newest += 1;
        self.newest
    }

    fn within(&mut self, now: &Moment, time: Duration) {
        let by = (now.up + time).max(self.not_before);
        self.at = Some(self.at.map_or(by, |at| at.min(by)));
    }

    /// A plug is gone as soon as that is written.
    pub(super) fn leaves(&mut self, id: &PlugId) {
        self.leaving.insert(id.clone());
    }

    /// Whether somebody wants a plug to be gone.
    pub(super) fn is_leaving(&self, id: &PlugId) -> bool {
        self.leaving.contains(id)
    }
}

impl Hub {
    /// What must outlive the process.
    pub fn memory(&self) -> PersistedState {
        let kept = self.plugs.values().filter(|plug| plug.kept() && !self.ledger.is_leaving(&plug.id));
        let mut memory = PersistedState { version: PersistedState::VERSION, ..self.memory.clone() };
        // Beside those that settings keep out at present.
        memory.plugs.extend(kept.map(|plug| (plug.id.clone(), plug.kept_as())));
        memory
    }

    pub(super) fn save_soon(&mut self, now: &Moment) {
        self.save_within(now, SAVE_AFTER);
    }

    pub(super) fn save_within(&mut self, now: &Moment, time: Duration) {
        self.ledger.within(now, time);
    }

    /// Tells this once the change that was made for it is written.
    pub(super) fn tell_when_written(&mut self, now: &Moment, change: Change, note: Notification) {
        let until = now.up + PATIENCE;
        let number = self.ledger.change();
        let of_it = self.ledger.waiting.iter().filter(|waiting| waiting.change.plug() == change.plug());
        let full = self.ledger.waiting.len() >= MAX_WAITING || of_it.count() >= MAX_OF_ONE;
        // What protects is not given up.
        let full = full && !matches!(change, Change::Latch);
        self.ledger.waiting.push(Waiting { number, until, change, note });
        self.ledger.wanted = true;
        if full && let Some(waiting) = self.ledger.waiting.pop() {
            self.take_back(now, waiting, "too many changes wait for the disk");
        }
    }

    /// Numbers what has changed about a plug's returns, and takes over what else it wants written.
    pub(super) fn number(&mut self, now: &Moment, id: &PlugId) {
        let Some(plug) = self.plugs.get_mut(id) else { return };
        let pledges = std::mem::take(&mut plug.pledges);
        if plug.desk.unnumbered() {
            let number = self.ledger.change();
            plug.desk.number(number);
            self.ledger.plugs.insert(id.clone());
            self.ledger.within(now, Duration::ZERO);
        }
        let awaited = self.plugs.get(id).and_then(|plug| plug.desk.awaited());
        self.ledger.wanted |= awaited > self.ledger.writing.filter(|_| awaited.is_some());
        for (change, note) in pledges {
            self.tell_when_written(now, change, note);
        }
    }

    /// Begins to write, if it is time and nothing is being written.
    pub(super) fn write(&mut self, now: &Moment) {
        let ledger = &mut self.ledger;
        if ledger.writing.is_none() && (ledger.wanted || ledger.at.is_some_and(|at| at <= now.up)) {
            ledger.writing = Some(ledger.newest);
            (ledger.wanted, ledger.at) = (false, None);
            self.memory.generation = self.memory.generation.saturating_add(1);
            self.memory.written_ms = now.unix_ms;
            self.effects.push_back(Effect::Save);
        }
    }

    /// The program stops: whatever there is is written once more.
    pub(super) fn write_all(&mut self) {
        self.ledger.wanted = true;
    }

    /// What was to be written is, or is not.
    pub(super) fn saved(&mut self, now: &Moment, result: Result<(), String>) {
        let Some(number) = self.ledger.writing.take() else { return };
        match result {
            Ok(()) => {
                self.ledger.not_before = Duration::ZERO;
                let all = std::mem::take(&mut self.ledger.waiting);
                let (written, waiting) = all.into_iter().partition(|waiting| waiting.number <= number);
                self.ledger.waiting = waiting;
                for Waiting { change, note, .. } in written {
                    self.carry_through(now, change);
                    self.tell(note);
                }
                for id in std::mem::take(&mut self.ledger.plugs) {
                    let Some(plug) = self.plugs.get_mut(&id) else { continue };
                    if !plug.desk.written(number) {
                        self.ledger.plugs.insert(id.clone());
                    }
                    self.attend(now, &id);
                }
            }
            Err(why) => {
                self.ledger.not_before = now.up + AGAIN;
                self.give_back(now, &why, false);
                self.save_within(now, AGAIN);
            }
        }
    }

    /// Nobody waits for a disk that does not answer.
    pub(super) fn mind_the_disk(&mut self, now: &Moment) {
        if self.ledger.waiting.iter().any(|waiting| waiting.until <= now.up) {
            self.give_back(now, "the disk does not answer", true);
            self.save_soon(now);
        }
    }

    /// What waits to be written, and `perhaps` will be, is taken back, the newest first.
    fn give_back(&mut self, now: &Moment, why: &str, perhaps: bool) {
        self.ledger.wanted = false;
        while let Some(waiting) = self.ledger.waiting.pop() {
            self.take_back(now, waiting, why);
        }
        for id in std::mem::take(&mut self.ledger.plugs) {
            if let Some(plug) = self.plugs.get_mut(&id) {
                plug.desk.lost(why, perhaps);
            }
            self.attend(now, &id);
        }
    }

    fn take_back(&mut self, now: &Moment, waiting: Waiting, why: &str) {
        let Waiting { change, note, .. } = waiting;
        self.undo(now, change);
        self.tell(match note {
            Notification::Response(Response { verb, transaction, result: Ok(_) }) => {
                Notification::Response(Response {
                    verb,
                    transaction,
                    result: Err(format!("not saved: {why}")),
                })
            }
            other @ (Notification::Response(_)
            | Notification::Result(_)
            | Notification::Plug(..)
            | Notification::Bridge(_)) => other,
        });
    }

    /// A change is written: what had to wait for that.
    fn carry_through(&mut self, now: &Moment, change: Change) {
        match change {
            Change::Latch | Change::OverloadReset(..) | Change::Unblock(_) => {}
            Change::Name(id, ..) => self.refitted(now, &id),
            Change::Options(id, before) => {
                let power_unit = self.plugs.get(&id).map(|plug| plug.kept.options.power_unit);
                if power_unit.is_some_and(|power_unit| power_unit != before.power_unit) {
                    self.effects.push_back(Effect::Reattach(id.clone()));
                }
                self.refitted(now, &id);
            }
            Change::Energy(id, port, [_, set]) => {
                info!(plug = %id, port, kwh = %set, "energy meter set");
                if let Some(plug) = self.plugs.get_mut(&id) {
                    plug.show_energy(now);
                    self.settle(now, &id);
                }
            }
            Change::Adopt(adopt, _) => self.adopt_from_now_on(now, adopt),
            Change::Remove(id, ..) => {
                self.ledger.leaving.remove(&id);
                if let Some(plug) = self.plugs.get_mut(&id) {
                    plug.leave(now, &mut self.effects);
                }
                self.drop_plug(&id);
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
    fn undo(&mut self, now: &Moment, change: Change) {
        match change {
            Change::Latch => {}
            Change::Name(id, port, was) => {
                let Some(plug) = self.plugs.get_mut(&id) else { return };
                match (port, was) {
                    (0, was) => plug.kept.name = was,
                    (_, Some(name)) => drop(plug.kept.port_names.insert(port, name)),
                    (_, None) => drop(plug.kept.port_names.remove(&port)),
                }
                self.refitted(now, &id);
            }
            Change::Options(id, was) => {
                let Some(plug) = self.plugs.get_mut(&id) else { return };
                plug.kept.options = *was;
                self.refitted(now, &id);
            }
            Change::Energy(id, port, [was, set]) => {
                let Some(plug) = self.plugs.get_mut(&id) else { return };
                let mut energy = was;
                // What was drawn meanwhile was drawn.
                energy.add(plug.meter.exact(port).beyond(set));
                plug.meter.set(now, port, energy);
            }
            Change::OverloadReset(id, ports) => {
                let Some(plug) = self.plugs.get_mut(&id) else { return };
                plug.latch(now, &ports);
                self.settle(now, &id);
            }
            Change::Adopt(_, was) => self.memory.adopt = was,
            Change::Remove(id, kept, blocked) => {
                self.ledger.leaving.remove(&id);
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
                    self.drop_plug(&id);
                    self.add(now, id, driver, kept, true);
                }
            }
        }
    }
}
