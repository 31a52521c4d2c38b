//! Locks against what others do: rules in the plug that go against one are told, and where the settings
//! say so (`lock_enforce`) a locked port that somebody else has moved is put back, ever more rarely if
//! that goes on.

use super::plug::Plug;
use super::protection::Moved;
use super::{Effect, Rules};
use crate::capability::against;
use crate::model::{Backoff, Cause, Event, Lock, Moment, Notification, PerPort, RawRule};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use tracing::{info, warn};

/// Rules of a plug that are kept.
const MOST: usize = 64;

/// A port is not put back twice within this, until it has been left alone for [`CALM`].
const AGAIN: Backoff = Backoff::doubling(Duration::from_secs(5), LONGEST);
const LONGEST: Duration = Duration::from_secs(600);
const CALM: Duration = Duration::from_secs(3600);

/// What is known about locks of one plug and those who do not heed them.
#[derive(Debug, Default)]
pub(super) struct Locks {
    /// The rules it told last.
    rules: Vec<RawRule>,
    /// What of them was told to go against a lock.
    told: Vec<(i64, String)>,
    /// Ports that were put back, or are to be.
    strayed: BTreeMap<u8, Strayed>,
}

/// A port that somebody else has moved against its lock.
#[derive(Debug)]
struct Strayed {
    /// Where it belongs, while it is not there.
    belongs: Option<bool>,
    /// When it was put back last, and how often before.
    last: Option<(Duration, u32)>,
}

impl Strayed {
    fn may(&self, now: &Moment) -> bool {
        self.last.is_none_or(|(at, before)| at + AGAIN.pause(before) <= now.up)
    }

    fn tried(&mut self, now: &Moment) {
        let before = match self.last {
            Some((at, before)) if now.up.saturating_sub(at) < CALM => before.saturating_add(1),
            _ => 0,
        };
        self.last = Some((now.up, before));
    }
}

impl Plug {
    /// Port 1 first.
    pub(super) fn locks(&self) -> Vec<Lock> {
        (1..=self.kept.offer.ports).map(|port| self.lock(port)).collect()
    }

    /// Some port is locked.
    pub(super) fn locked(&self) -> bool {
        (1..=self.kept.offer.ports).any(|port| self.lock(port) != Lock::None)
    }

    /// It has told its rules.
    pub(super) fn rules_told(&mut self, now: &Moment, rules: &[RawRule]) {
        let ports = usize::from(self.kept.offer.ports);
        self.locks.rules = rules.iter().filter(|rule| rule.enabled).take(MOST).cloned().collect();
        self.locks.rules.iter_mut().for_each(|rule| rule.ports.truncate(ports));
        if self.weigh_rules(now) {
            self.word_problem(now);
        }
    }

    /// Says once which rules go against a lock; true when they are others than before.
    pub(super) fn weigh_rules(&mut self, now: &Moment) -> bool {
        let all = against(&self.locks.rules, &self.locks(), now);
        if all == self.locks.told {
            return false;
        }
        for (rule, what) in all.iter().filter(|new| !self.locks.told.contains(new)) {
            let id = &self.id;
            warn!(plug = %id, "{what}; delete it with `plug2mqtt schedule {id} delete {rule}`, or unlock the port");
        }
        self.guard.defied(all.iter().map(|(_, what)| what.clone()).collect());
        self.locks.told = all;
        true
    }

    /// After a reading: puts locked ports back that somebody else has moved, if the settings say so.
    pub(super) fn enforce(
        &mut self,
        now: &Moment,
        rules: &Rules,
        moved: &[Moved],
        effects: &mut VecDeque<Effect>,
    ) {
        for &(port, on, cause) in moved {
            if cause == Some(Cause::Lock) {
                let event = Event::LockEnforced { port, on };
                effects.push_back(Effect::Tell(Notification::Plug(self.id.clone(), event)));
            }
            if rules.lock_enforce && cause == Some(Cause::Local) && self.lock(port).refuses(on) {
                let new = Strayed { belongs: None, last: None };
                self.locks.strayed.entry(port).or_insert(new).belongs = Some(!on);
            }
        }
        if self.locks.strayed.is_empty() {
            return;
        }
        let mut strayed = std::mem::take(&mut self.locks.strayed);
        let mut wishes = BTreeMap::new();
        for (&port, strayed) in &mut strayed {
            let Some(on) = strayed.belongs else { continue };
            let relay = self.live.port(port).and_then(|live| live.relay);
            if relay == Some(on) || !self.lock(port).refuses(!on) {
                strayed.belongs = None;
                continue;
            }
            // Protection is stronger than a lock, that of the plug as well as ours.
            let spared = on && (self.kept.latched.contains(&port) || self.guard.has_cut_out(port));
            let busy = relay.is_none() || self.desk.touched(port, Duration::MAX);
            if !spared && !busy && self.view.control && strayed.may(now) {
                strayed.tried(now);
                wishes.insert(port, on);
            }
        }
        let over = |strayed: &Strayed| {
            let calm = strayed.last.is_none_or(|(at, _)| now.up.saturating_sub(at) >= CALM);
            strayed.belongs.is_none() && calm
        };
        strayed.retain(|_, strayed| !over(strayed));
        self.locks.strayed = strayed;
        if !wishes.is_empty() {
            info!(plug = %self.id, ?wishes, "lock enforced: switching ports back");
            self.desk.own(now, &wishes, Cause::Lock, rules.command_timeout);
        }
    }
}
