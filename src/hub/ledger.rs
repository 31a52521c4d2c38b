//! What is acknowledged is written down first. Each change somebody waits for gets a number; whoever
//! waits is answered when a state of the memory that holds it is written, and many are by one. What
//! cannot be written is taken back, and answered so.

use super::change::Change;
use super::command_queue::CommandQueue;
use crate::model::{Notification, Now, PlugId, Response};
use std::collections::BTreeSet;
use std::time::Duration;

/// What could not be written is tried again after this long, or when somebody waits.
const AGAIN: Duration = Duration::from_secs(10);

/// Nobody waits for the disk longer than this.
const TIMEOUT: Duration = Duration::from_secs(20);

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
pub(super) struct Waiting {
    number: u64,
    until: Duration,
    pub(super) change: Change,
    /// What is told then.
    pub(super) note: Notification,
}

impl Waiting {
    /// What is told when it cannot be written.
    pub(super) fn refusal(note: Notification, why: &str) -> Notification {
        match note {
            Notification::Response(Response { verb, asker, result: Ok(_) }) => {
                Notification::Response(Response { verb, asker, result: Err(format!("not saved: {why}")) })
            }
            other @ (Notification::Response(_)
            | Notification::Result(_)
            | Notification::Plug(..)
            | Notification::Bridge(_)) => other,
        }
    }
}

impl Ledger {
    /// When the hub is to look again.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        let timeout = self.waiting.iter().map(|waiting| waiting.until);
        let at = self.at.filter(|_| self.writing.is_none());
        timeout.chain(at).min()
    }

    fn change(&mut self) -> u64 {
        self.newest += 1;
        self.newest
    }

    /// What nobody waits for is to be written within this time.
    pub(super) fn within(&mut self, now: &Now, time: Duration) {
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

    /// A plug has gone, or stays.
    pub(super) fn has_left(&mut self, id: &PlugId) {
        self.leaving.remove(id);
    }

    /// Tells this once the change that was made for it is written. Brings it back when too many wait.
    pub(super) fn wait(&mut self, now: &Now, change: Change, note: Notification) -> Option<Waiting> {
        let (number, until) = (self.change(), now.up + TIMEOUT);
        let of_it = self.waiting.iter().filter(|waiting| waiting.change.plug() == change.plug());
        let full = self.waiting.len() >= MAX_WAITING || of_it.count() >= MAX_OF_ONE;
        // What protects is not given up.
        let full = full && !matches!(change, Change::Latch);
        let waiting = Waiting { number, until, change, note };
        self.wanted = true;
        if full {
            return Some(waiting);
        }
        self.waiting.push(waiting);
        None
    }

    /// Numbers what has changed about a plug's returns.
    pub(super) fn number(&mut self, now: &Now, id: &PlugId, commands: &mut CommandQueue) {
        if commands.unnumbered() {
            let number = self.change();
            commands.number(number);
            self.plugs.insert(id.clone());
            self.within(now, Duration::ZERO);
        }
        let awaited = commands.awaited();
        self.wanted |= awaited > self.writing.filter(|_| awaited.is_some());
    }

    /// Whether to begin to write now: it is time and nothing is being written.
    pub(super) fn begin(&mut self, now: &Now) -> bool {
        let begins = self.writing.is_none() && (self.wanted || self.at.is_some_and(|at| at <= now.up));
        if begins {
            self.writing = Some(self.newest);
            (self.wanted, self.at) = (false, None);
        }
        begins
    }

    /// The program stops: whatever there is is written once more.
    pub(super) fn write_all(&mut self) {
        self.wanted = true;
    }

    /// What was being written, up to this number, has come to an end.
    pub(super) fn ended(&mut self) -> Option<u64> {
        self.writing.take()
    }

    /// Changes up to this number are written: who has waited for them, and plugs whose commands may have.
    pub(super) fn written(&mut self, number: u64) -> (Vec<Waiting>, BTreeSet<PlugId>) {
        self.not_before = Duration::ZERO;
        let all = std::mem::take(&mut self.waiting);
        let (written, waiting) = all.into_iter().partition(|waiting| waiting.number <= number);
        self.waiting = waiting;
        (written, std::mem::take(&mut self.plugs))
    }

    /// The commands of this plug have more to be written.
    pub(super) fn mind(&mut self, id: PlugId) {
        self.plugs.insert(id);
    }

    /// Nothing can be written; it is tried again later.
    pub(super) fn failed(&mut self, now: &Now) {
        self.not_before = now.up + AGAIN;
        self.within(now, AGAIN);
    }

    /// Somebody has waited too long for the disk.
    pub(super) fn is_late(&self, now: &Now) -> bool {
        self.waiting.iter().any(|waiting| waiting.until <= now.up)
    }

    /// What waits is taken back: who waits, the newest first, and plugs whose commands do.
    pub(super) fn give_back(&mut self) -> (Vec<Waiting>, BTreeSet<PlugId>) {
        self.wanted = false;
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.reverse();
        (waiting, std::mem::take(&mut self.plugs))
    }
}
