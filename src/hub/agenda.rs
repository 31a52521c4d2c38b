//! When each plug is looked at, and who waits for room among the conversations under way.

use crate::model::{Now, PlugId};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// When each plug is looked at; one entry a plug.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    due: BTreeSet<(Duration, PlugId)>,
    /// Plugs that are due while too many polls are in flight.
    waiting: VecDeque<PlugId>,
}

/// What the agenda has noted about one plug.
#[derive(Debug, Default)]
pub(crate) struct Appointment {
    at: Option<Duration>,
    queued: bool,
}

impl Appointment {
    /// The plug waits for room.
    pub(crate) fn is_queued(&self) -> bool {
        self.queued
    }

    /// Its time has come.
    pub(super) fn has_come(&mut self) {
        self.at = None;
    }

    /// There is room for it.
    pub(super) fn has_room(&mut self) {
        self.queued = false;
    }
}

impl Agenda {
    /// When the first plug is due.
    pub(super) fn first(&self) -> Option<Duration> {
        self.due.first().map(|(at, _)| *at)
    }

    /// A plug that is due now; each once.
    pub(super) fn take_due(&mut self, now: &Now) -> Option<PlugId> {
        self.first().filter(|at| *at <= now.up)?;
        self.due.pop_first().map(|(_, id)| id)
    }

    /// This plug is looked at then, or not at all.
    pub(super) fn note(&mut self, id: &PlugId, appointment: &mut Appointment, at: Option<Duration>) {
        if appointment.at == at {
            return;
        }
        if let Some(before) = std::mem::replace(&mut appointment.at, at) {
            self.due.remove(&(before, id.clone()));
        }
        self.due.extend(at.map(|at| (at, id.clone())));
    }

    /// This plug waits for room.
    pub(super) fn queue(&mut self, id: &PlugId, appointment: &mut Appointment) {
        if !std::mem::replace(&mut appointment.queued, true) {
            self.waiting.push_back(id.clone());
        }
    }

    /// Somebody waits for room.
    pub(super) fn wait(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Who has waited longest.
    pub(super) fn take_waiting(&mut self) -> Option<PlugId> {
        self.waiting.pop_front()
    }

    /// Nobody waits any more.
    pub(super) fn clear_waiting(&mut self) {
        self.waiting.clear();
    }

    /// This plug is gone.
    pub(super) fn remove(&mut self, id: &PlugId, appointment: &mut Appointment) {
        self.note(id, appointment, None);
        self.waiting.retain(|other| other != id);
    }
}
