//! Locks against what others do: rules in the plug that go against one are told, and where the settings
//! say so (`lock_enforce`) a locked port that somebody else has moved is put back, ever more rarely if
//! that goes on.

use crate::capability::against;
use crate::model::{Backoff, Lock, Now, PlugId, RawRule};
use std::collections::BTreeMap;
use std::time::Duration;
use tracing::warn;

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
    fn may(&self, now: &Now) -> bool {
        self.last.is_none_or(|(at, before)| at + AGAIN.pause(before) <= now.up)
    }

    fn tried(&mut self, now: &Now) {
        let before = match self.last {
            Some((at, before)) if now.up.saturating_sub(at) < CALM => before.saturating_add(1),
            _ => 0,
        };
        self.last = Some((now.up, before));
    }
}

/// How a port stands that was put back, or is to be.
#[derive(Debug)]
pub(super) struct Standing {
    pub(super) relay: Option<bool>,
    pub(super) lock: Lock,
    /// Protection has switched it off, that of the plug or ours, and is stronger than a lock.
    pub(super) spared: bool,
    /// It may not be switched now.
    pub(super) busy: bool,
}

impl Locks {
    /// The plug has told its rules.
    pub(super) fn rules_told(&mut self, rules: &[RawRule], ports: u8) {
        self.rules = rules.iter().filter(|rule| rule.enabled).take(MOST).cloned().collect();
        self.rules.iter_mut().for_each(|rule| rule.ports.truncate(ports.into()));
    }

    /// Says once which rules go against a lock; which, when they are others than before.
    pub(super) fn weigh_rules(&mut self, id: &PlugId, locks: &[Lock], now: &Now) -> Option<Vec<String>> {
        let all = against(&self.rules, locks, now);
        if all == self.told {
            return None;
        }
        for (rule, what) in all.iter().filter(|new| !self.told.contains(new)) {
            warn!(plug = %id, "{what}; delete it with `plug2mqtt schedule {id} delete {rule}`, or unlock the port");
        }
        self.told = all;
        Some(self.told.iter().map(|(_, what)| what.clone()).collect())
    }

    /// Somebody has moved a port against its lock.
    pub(super) fn moved_to(&mut self, port: u8, on: bool) {
        let new = Strayed { belongs: None, last: None };
        self.strayed.entry(port).or_insert(new).belongs = Some(!on);
    }

    /// Some port was put back lately, or is to be.
    pub(super) fn mind(&self) -> bool {
        !self.strayed.is_empty()
    }

    /// The ports to be put back now.
    pub(super) fn put_back(&mut self, now: &Now, standing: impl Fn(u8) -> Standing) -> BTreeMap<u8, bool> {
        let mut wishes = BTreeMap::new();
        for (&port, strayed) in &mut self.strayed {
            let Some(on) = strayed.belongs else { continue };
            let Standing { relay, lock, spared, busy } = standing(port);
            if relay == Some(on) || !lock.refuses(!on) {
                strayed.belongs = None;
                continue;
            }
            if !(busy || on && spared) && relay.is_some() && strayed.may(now) {
                strayed.tried(now);
                wishes.insert(port, on);
            }
        }
        let over = |strayed: &Strayed| {
            let calm = strayed.last.is_none_or(|(at, _)| now.up.saturating_sub(at) >= CALM);
            strayed.belongs.is_none() && calm
        };
        self.strayed.retain(|_, strayed| !over(strayed));
        wishes
    }
}
