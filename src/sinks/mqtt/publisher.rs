//! The topics of plugs: which of them differ between what the broker has and what is. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::diff::changes;
use super::migration;
use super::snapshot::snapshot;
use super::topics::{self, Nature, Retained};
use crate::model::{PlugId, PlugView, View};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// A snapshot of a plug is published at most this often.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(1);

/// What the broker has of plugs, on one connection.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    /// The picture as far as the broker has it.
    sent: BTreeMap<PlugId, Arc<PlugView>>,
    /// The last picture of plugs that went before they were told: an earlier connection may have.
    gone: BTreeMap<PlugId, Arc<PlugView>>,
    /// The picture that was last held against it.
    looked: Arc<View>,
    /// Plugs whose topics must be brought up to date.
    todo: VecDeque<PlugId>,
    snapshots: BTreeMap<PlugId, Snapshot>,
    /// When each snapshot that is due is to be published.
    snapshots_due: BTreeSet<(Duration, PlugId)>,
}

#[derive(Debug, Default)]
struct Snapshot {
    at: Option<Duration>,
    /// It waits among those that are due.
    due: bool,
    /// What it last said, hashed.
    says: Option<u64>,
}

/// What must be published of a plug.
#[derive(Debug, Default)]
pub(super) struct Renewed {
    /// Its discovery messages, first of all.
    pub(super) announce: bool,
    /// Its own topics.
    pub(super) messages: Vec<Retained>,
    /// Its line in the list of all plugs.
    pub(super) listed: bool,
}

impl Publisher {
    /// Everything is to be published again. Those are the plugs that the broker has and that are gone.
    pub(super) fn gone(&self, view: &View) -> Vec<PlugId> {
        let told = self.sent.keys().chain(self.gone.keys());
        told.filter(|id| !view.plugs.contains_key(*id)).cloned().collect()
    }

    /// Everything of these plugs is to be published again.
    pub(super) fn restart(&mut self, view: &View) {
        self.sent.clear();
        self.snapshots.clear();
        self.snapshots_due.clear();
        self.todo = view.plugs.keys().cloned().collect();
    }

    /// Finds out which plugs differ from what the broker has.
    pub(super) fn look(&mut self, view: &Arc<View>) {
        let looked = std::mem::replace(&mut self.looked, Arc::clone(view));
        if Arc::ptr_eq(&looked, view) {
            return;
        }
        let waiting: BTreeSet<&PlugId> = self.todo.iter().collect();
        let mut list = Vec::new();
        for id in view.changed_since(&looked) {
            if let (None, Some(plug)) = (view.plugs.get(id), looked.plugs.get(id)) {
                self.gone.insert(id.clone(), Arc::clone(plug));
            }
            if !waiting.contains(id) {
                list.push(id.clone());
            }
        }
        self.todo.extend(list);
    }

    /// Everything of plugs that was held back is to be published.
    pub(super) fn catch_up(&mut self, view: &View) {
        let waiting: BTreeSet<&PlugId> = self.todo.iter().collect();
        let differs = |(id, plug): &(&PlugId, &Arc<PlugView>)| {
            self.sent.get(*id).is_some_and(|sent| !Arc::ptr_eq(sent, plug)) && !waiting.contains(*id)
        };
        let held: Vec<PlugId> = view.plugs.iter().filter(differs).map(|(id, _)| id.clone()).collect();
        self.todo.extend(held);
    }

    /// The next plug to be brought up to date.
    pub(super) fn next(&mut self) -> Option<PlugId> {
        self.todo.pop_front()
    }

    /// Whether this plug waits to be brought up to date; it does not any more.
    pub(super) fn take(&mut self, id: &PlugId) -> bool {
        let place = self.todo.iter().position(|waiting| waiting == id);
        place.and_then(|place| self.todo.remove(place)).is_some()
    }

    /// Whether all plugs are up to date.
    pub(super) fn is_done(&self) -> bool {
        self.todo.is_empty()
    }

    /// A plug as the broker has it.
    pub(super) fn sent(&self, id: &PlugId) -> Option<&PlugView> {
        self.sent.get(id).map(Arc::as_ref)
    }

    /// When there is a snapshot to publish.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        self.snapshots_due.first().map(|(at, _)| *at)
    }

    /// What differs between what the broker has of a plug and what is.
    pub(super) fn renew(&mut self, now: Duration, base: &str, id: &PlugId, plug: &Arc<PlugView>) -> Renewed {
        let shown = topics::shown(plug);
        if shown {
            self.gone.remove(id);
        }
        let old = self.sent.insert(id.clone(), Arc::clone(plug));
        let beat = old.as_ref().is_some_and(|old| old.beat != plug.beat);
        let echo = old.as_ref().is_some_and(|old| old.echo != plug.echo);
        // Both at once is somebody who wants to see all of it.
        let again = |nature| match nature {
            Nature::Number => beat,
            Nature::State => echo,
            Nature::Fact => beat && echo,
        };
        let messages = changes(base, old.as_deref(), plug, again);
        if shown && (topics::read(plug) || plug.problem.is_some()) {
            let snapshot = self.snapshots.entry(id.clone()).or_default();
            let earliest = snapshot.at.filter(|_| old.is_some()).map_or(now, |at| at + SNAPSHOT_EVERY);
            if !std::mem::replace(&mut snapshot.due, true) {
                self.snapshots_due.insert((earliest, id.clone()));
            }
        }
        Renewed {
            announce: old.as_ref().is_none_or(|old| announced_differs(old, plug)),
            messages,
            listed: old.as_ref().is_none_or(|old| listed_differs(old, plug)),
        }
    }

    /// A plug is gone: these topics of it must not stay. `None` when it was never published.
    pub(super) fn remove(&mut self, base: &str, id: &PlugId) -> Option<Vec<String>> {
        let sent = self.sent.remove(id);
        let old = self.gone.remove(id).or(sent)?;
        self.snapshots.remove(id);
        // Also what only an earlier run has told.
        let tails = if topics::shown(&old) { migration::offer_tails(old.offer) } else { Vec::new() };
        Some(tails.into_iter().map(|tail| format!("{base}/{id}/{tail}")).collect())
    }

    /// The topic and payload of each snapshot that is due and says something new.
    pub(super) fn snapshots(&mut self, now: Duration, base: &str) -> Vec<(String, String)> {
        let mut list = Vec::new();
        while self.snapshots_due.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, id)) = self.snapshots_due.pop_first()
        {
            let Some(plug) = self.sent.get(&id) else {
                self.snapshots.remove(&id);
                continue;
            };
            let payload = snapshot(plug);
            let says = Some(gist(plug.beat, &payload));
            let old = self.snapshots.insert(id.clone(), Snapshot { at: Some(now), due: false, says });
            if old.and_then(|old| old.says) != says {
                list.push((topics::snapshot_topic(base, &id), payload));
            }
        }
        list
    }
}

/// The announcement of a plug depends on this part of its picture.
fn announced_differs(a: &PlugView, b: &PlugView) -> bool {
    let same_names = || a.ports.iter().map(|port| &port.name).eq(b.ports.iter().map(|port| &port.name));
    a.name != b.name || a.facts != b.facts || a.offer != b.offer || a.adopted != b.adopted || !same_names()
}

/// `bridge/devices` depends on this part.
fn listed_differs(a: &PlugView, b: &PlugView) -> bool {
    a.online != b.online || a.ip != b.ip || announced_differs(a, b)
}

/// What a snapshot says, whatever its time; at a heartbeat it counts as something new.
fn gist(beat: u32, payload: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (beat, payload.split_once(',').map_or(payload, |(_ts, rest)| rest)).hash(&mut hasher);
    hasher.finish()
}
