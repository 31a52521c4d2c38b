//! What a session publishes, and when: the bridge's own topics, then for each plug what differs
//! between what the broker has and what is. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::diff::changes;
use super::homeassistant::Message;
use super::memory::Announcement;
use super::migration;
use super::session::{Health, Later, Outgoing, Session, Snapshot};
use super::snapshot::snapshot;
use super::topics::{self, Nature};
use crate::model::{DiscoveryMode, Notification, PlugId, PlugView, View};
use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;
use tracing::error;

/// A snapshot of a plug is published at most this often.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(1);

/// Pause between the two messages of a change that Home Assistant must digest in between.
const DIGEST: Duration = Duration::from_secs(2);

/// Announcing a fleet is spread out so that brokers do not drop what a slow subscriber has not
/// fetched: this many topics at once, then so many a second. A discovery message counts as ten.
pub(super) const BURST: f64 = 8000.0;
const RATE: f64 = 2000.0;

/// Pause before more is said when the pace has been reached.
const PACE: Duration = Duration::from_millis(20);

/// No more plugs are brought up to date before this much has been sent.
const FULL: usize = 256;

/// Own discovery topics are watched in houses up to this size.
const MAX_WATCHED: usize = 200;

impl Session {
    /// Everything again, in order.
    pub(super) fn announce_all(&mut self) {
        let view = Arc::clone(&self.view);
        self.told.bridge = None;
        self.told.bridge_info.clear();
        self.told.problem = None;
        self.told.devices = None;
        self.told.health_of = None;
        self.say_bridge(&view);
        if let Some(message) = self.announcer().bridge() {
            self.say_message(&message);
        }
        let told = self.told.sent.keys().chain(self.told.gone.keys());
        let gone: Vec<PlugId> = told.filter(|id| !view.plugs.contains_key(*id)).cloned().collect();
        for id in gone {
            self.drop_plug(&id);
        }
        self.forget_strangers(&view);
        self.told.sent.clear();
        self.told.snapshots.clear();
        self.told.snapshots_due.clear();
        self.told.todo = view.plugs.keys().cloned().collect();
        self.told.online_said = false;
    }

    /// Announcements of earlier runs for plugs that are not ours any more are taken back.
    fn forget_strangers(&mut self, view: &View) {
        let gone = |id: &&PlugId| !view.plugs.get(*id).is_some_and(|plug| topics::shown(plug));
        let gone: Vec<PlugId> = self.memory.plugs().filter(gone).cloned().collect();
        for id in gone {
            for tail in self.memory.announced(&id).map(migration::state_tails).unwrap_or_default() {
                self.publish(format!("{}/{id}/{tail}", self.base()), "", true);
            }
            self.announce(&id, None);
            if !view.plugs.contains_key(&id) {
                self.forget_deletion(&id);
            }
        }
    }

    /// Finds out which plugs differ from what the broker has.
    fn look(&mut self) {
        let view = Arc::clone(&self.view);
        let looked = std::mem::replace(&mut self.told.looked, Arc::clone(&view));
        if Arc::ptr_eq(&looked, &view) {
            return;
        }
        let waiting: BTreeSet<&PlugId> = self.told.todo.iter().collect();
        let mut list = Vec::new();
        for id in view.changed_since(&looked) {
            if let (None, Some(plug)) = (view.plugs.get(id), looked.plugs.get(id)) {
                self.told.gone.insert(id.clone(), Arc::clone(plug));
            }
            if !waiting.contains(id) {
                list.push(id.clone());
            }
        }
        self.told.todo.extend(list);
    }

    /// Brings topics up to date as far as the pace allows.
    pub(super) fn work(&mut self) {
        self.refill();
        let view = Arc::clone(&self.view);
        self.look();
        while self.told.tokens > 0.0
            && self.waiting() < FULL
            && let Some(id) = self.told.todo.pop_front()
        {
            self.bring_up_to_date(&id, &view);
        }
        self.mind_peers();
        self.say_bridge(&view);
        let now = self.now.up;
        while !self.holds_energy()
            && self.told.snapshots_due.first().is_some_and(|(at, _)| *at <= now)
            && let Some((_, id)) = self.told.snapshots_due.pop_first()
        {
            self.say_snapshot(&id);
        }
        while self.told.later.front().is_some_and(|later| later.at <= now)
            && let Some(later) = self.told.later.pop_front()
        {
            for message in later.messages {
                self.say_message(&message);
            }
            self.empty(later.emptied);
            self.record(&later.id, later.how);
        }
        if self.told.look_at.is_some_and(|at| at <= now) {
            self.told.look_at = None;
            // Subscribing again to the same filters makes the broker show what it has retained.
            let base = self.base();
            let filters =
                vec![format!("{base}/+/set"), format!("{base}/+/+/set"), format!("{base}/bridge/request/+")];
            self.subscribe(filters);
        }
        if self.told.birth_at.is_some_and(|at| at <= now) {
            self.told.birth_at = None;
            self.announce_all();
            self.refill();
        }
        if self.told.todo.is_empty() && !self.told.online_said {
            self.told.online_said = true;
            self.publish(format!("{}/bridge/state", self.base()), "online", true);
            self.names_told();
        }
        self.end_read_back();
        self.release_energy();
        self.weigh();
    }

    /// Brings the plug that a note speaks of up to date, whatever the pace says.
    pub(super) fn catch_up(&mut self, note: &Notification) {
        self.work();
        let id = match note {
            Notification::Result(result) => &result.plug,
            Notification::Plug(id, _) => id,
            Notification::Bridge(_) | Notification::Response(_) => return,
        };
        if let Some(place) = self.told.todo.iter().position(|waiting| waiting == id) {
            self.told.todo.remove(place);
            let view = Arc::clone(&self.view);
            self.bring_up_to_date(id, &view);
        }
    }

    fn bring_up_to_date(&mut self, id: &PlugId, view: &View) {
        match view.plugs.get(id) {
            Some(plug) => self.renew(id, plug),
            None => self.drop_plug(id),
        }
    }

    fn refill(&mut self) {
        let now = self.now.up;
        let filled = now.saturating_sub(self.told.filled_at).as_secs_f64() * RATE;
        self.told.tokens = (self.told.tokens + filled).min(BURST);
        self.told.filled_at = now;
    }

    /// When to come back with [`Input::Tick`](super::session::Input::Tick), in [`Moment::up`](crate::model::Moment::up).
    pub fn wake_at(&self) -> Duration {
        let far = self.now.up + Duration::from_secs(3600);
        let pause = if self.told.tokens > 0.0 { Duration::ZERO } else { PACE };
        let paced = (!self.told.todo.is_empty()).then(|| self.now.up + pause);
        let snapshot = self.told.snapshots_due.first().map(|(at, _)| *at).filter(|_| !self.holds_energy());
        let later = self.told.later.front().map(|later| later.at);
        let told = &self.told;
        let own =
            [told.look_at, told.birth_at, told.devices_at, self.read_back.ends_at(), self.peers.wake_at()];
        [paced, snapshot, later].into_iter().chain(own).flatten().fold(far, Duration::min)
    }

    /// Publishes what differs between what the broker has of a plug and what is.
    fn renew(&mut self, id: &PlugId, plug: &Arc<PlugView>) {
        if topics::shown(plug) {
            self.told.gone.remove(id);
        }
        let held = self.holding(id, plug);
        let plug = held.as_ref().unwrap_or(plug);
        let old = self.told.sent.insert(id.clone(), Arc::clone(plug));
        let fresh = old.is_none();
        if old.as_ref().is_none_or(|old| announced_differs(old, plug)) {
            self.announce(id, Some(plug));
        }
        let settings = Arc::clone(&self.settings);
        let base = settings.announcer.base.as_str();
        let beat = old.as_ref().is_some_and(|old| old.beat != plug.beat);
        let echo = old.as_ref().is_some_and(|old| old.echo != plug.echo);
        // Both at once is somebody who wants to see all of it.
        let again = |nature| match nature {
            Nature::Number => beat,
            Nature::State => echo,
            Nature::Fact => beat && echo,
        };
        for message in changes(base, old.as_deref(), plug, again) {
            self.told.tokens -= 1.0;
            self.publish(message.topic, message.payload, true);
        }
        if topics::shown(plug) && (topics::read(plug) || plug.problem.is_some()) {
            let snapshot = self.told.snapshots.entry(id.clone()).or_default();
            let earliest = snapshot.at.filter(|_| !fresh).map_or(self.now.up, |at| at + SNAPSHOT_EVERY);
            if !std::mem::replace(&mut snapshot.due, true) {
                self.told.snapshots_due.insert((earliest, id.clone()));
            }
        }
        if old.as_ref().is_none_or(|old| listed_differs(old, plug)) {
            self.told.devices_at.get_or_insert(self.now.up);
        }
    }

    fn say_snapshot(&mut self, id: &PlugId) {
        let Some(plug) = self.told.sent.get(id) else {
            self.told.snapshots.remove(id);
            return;
        };
        let payload = snapshot(plug);
        let says = Some(gist(plug.beat, &payload));
        let new = Snapshot { at: Some(self.now.up), due: false, says };
        let old = self.told.snapshots.insert(id.clone(), new);
        if old.and_then(|old| old.says) != says {
            self.publish(topics::snapshot_topic(self.base(), id), payload, true);
        }
    }

    /// A plug is gone: nothing of it stays on the broker.
    fn drop_plug(&mut self, id: &PlugId) {
        let sent = self.told.sent.remove(id);
        let Some(old) = self.told.gone.remove(id).or(sent) else { return };
        // Also what only an earlier run has told.
        let tails = if topics::shown(&old) { migration::offer_tails(old.offer) } else { Vec::new() };
        for tail in tails {
            self.publish(format!("{}/{id}/{tail}", self.base()), "", true);
        }
        self.announce(id, None);
        self.forget_deletion(id);
        self.told.snapshots.remove(id);
        self.told.devices_at.get_or_insert(self.now.up);
    }

    /// Announces a plug, or takes its announcement back.
    pub(super) fn announce(&mut self, id: &PlugId, plug: Option<&PlugView>) {
        let plug = plug.filter(|_| !self.memory.deleted(id));
        let messages = plug.map(|plug| self.announcer().messages(plug)).unwrap_or_default();
        let how = plug.and_then(|plug| self.announcer().announcement(plug));
        let steps = migration::transition(id, self.memory.announced(id), how.as_ref(), messages);
        // A change under way begins again from where it began.
        self.told.later.retain(|later| later.id != *id);
        for message in &steps.first {
            self.say_message(message);
        }
        if steps.pause {
            let (at, id) = (self.now.up + DIGEST, id.clone());
            let (messages, emptied) = (steps.second, steps.emptied);
            self.told.later.push_back(Later { at, id, messages, emptied, how });
        } else {
            self.empty(steps.emptied);
            self.record(id, how);
        }
    }

    /// A plug is announced like this from now on.
    fn record(&mut self, id: &PlugId, how: Option<Announcement>) {
        let kept = self.memory.announce(id, how);
        self.keep(kept);
    }

    /// A plug is known no more.
    fn forget_deletion(&mut self, id: &PlugId) {
        let kept = self.memory.forget_deletion(id);
        self.keep(kept);
    }

    fn say_message(&mut self, message: &Message) {
        self.told.tokens -= 10.0;
        self.told.emptied.remove(&message.topic);
        self.publish(&message.topic, message.payload.to_string(), true);
        self.watch(&message.topic);
    }

    pub(super) fn empty(&mut self, topics: Vec<String>) {
        for topic in topics {
            self.told.emptied.insert(topic.clone());
            self.publish(&topic, "", true);
        }
        while self.told.emptied.len() > MAX_WATCHED * 64 {
            self.told.emptied.pop_first();
        }
    }

    /// Watches an own discovery topic: Home Assistant empties it when a user deletes the device.
    fn watch(&mut self, topic: &str) {
        let whole = self.announcer().mode == DiscoveryMode::Device;
        if whole && self.told.watched.len() < MAX_WATCHED && self.told.watched.insert(topic.to_owned()) {
            self.subscribe(vec![topic.to_owned()]);
        }
    }

    pub(super) fn subscribe(&mut self, filters: Vec<String>) {
        self.send(Outgoing::Subscribe(filters.clone()));
        self.told.asked.push_back(filters);
    }

    pub(super) fn look_at(&mut self, filters: Vec<String>) {
        self.send(Outgoing::LookAt(filters.clone()));
        self.told.asked.push_back(filters);
    }

    pub(super) fn subscribed(&mut self, refused: &[usize]) {
        let asked = self.told.asked.pop_front().unwrap_or_default();
        for filter in refused.iter().filter_map(|position| asked.get(*position)) {
            error!(
                filter,
                "subscription rejected by the broker; allow it in the broker's access rules, or commands on it are not received"
            );
        }
    }

    fn say_bridge(&mut self, view: &View) {
        let settings = Arc::clone(&self.settings);
        let base = &settings.announcer.base;
        if self.told.bridge.as_ref().is_none_or(|told| !Arc::ptr_eq(told, &view.bridge)) {
            self.told.bridge = Some(Arc::clone(&view.bridge));
            let problem = self.problem();
            let info = topics::bridge_info(base, &settings.facts, &view.bridge, problem.as_deref());
            let info = info.to_string();
            if info != self.told.bridge_info {
                self.publish(format!("{base}/bridge/info"), info.as_str(), true);
                self.told.bridge_info = info;
            }
            if self.told.problem.as_ref() != Some(&problem) {
                let word = topics::on_off(problem.is_some());
                self.publish(format!("{base}/bridge/problem"), word, true);
                // Figures of a minute ago do not say it.
                self.told.health_of = None;
                self.told.problem = Some(problem);
            }
        }
        if self.told.devices.is_none() || self.told.devices_at.is_some_and(|at| at <= self.now.up) {
            let again = self.told.devices.is_some();
            self.told.devices_at = None;
            let devices = topics::devices(view);
            let says = Some(hashed(&devices));
            if std::mem::replace(&mut self.told.devices, says) != says {
                self.publish(format!("{base}/bridge/devices"), devices, true);
                // How many are online is told with who they are.
                self.told.health_of = None;
            }
            if again && !self.told.todo.is_empty() {
                self.told.devices_at = Some(self.now.up + Duration::from_secs(1));
            }
        }
        if self.told.health_of != Some(view.bridge.stats.unix_ms) {
            self.told.health_of = Some(view.bridge.stats.unix_ms);
            self.send(Outgoing::Health(Health::Topic));
        }
    }
}

/// The announcement of a plug depends on this part of its picture.
fn announced_differs(a: &PlugView, b: &PlugView) -> bool {
    let same_names = || a.ports.iter().map(|port| &port.name).eq(b.ports.iter().map(|port| &port.name));
    a.name != b.name || a.facts != b.facts || a.offer != b.offer || a.adopted != b.adopted || !same_names()
}

/// What a snapshot says, whatever its time; at a heartbeat it counts as something new.
fn gist(beat: u32, payload: &str) -> u64 {
    hashed((beat, payload.split_once(',').map_or(payload, |(_ts, rest)| rest)))
}

fn hashed(what: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// `bridge/devices` depends on this part.
fn listed_differs(a: &PlugView, b: &PlugView) -> bool {
    a.online != b.online || a.ip != b.ip || announced_differs(a, b)
}
