//! What a session publishes, and when: the bridge's own topics, then for each plug what differs
//! between what the broker has and what is.

use super::homeassistant::{self, Message};
use super::migration;
use super::session::{Session, Snapshot};
use super::topics::{self, LinkStats, Nature};
use crate::model::{Order, PlugId, PlugView, View};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;
use tracing::error;

/// A snapshot of a plug is published at most this often.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(1);

/// Pause between the two messages of a change that Home Assistant must digest in between.
const DIGEST: Duration = Duration::from_secs(2);

/// Announcing a fleet is spread out so that brokers do not drop what a slow subscriber has not
/// fetched: this many topics at once, then so many a second. A discovery message counts as ten.
pub(super) const BURST: f64 = 8000.0;
const RATE: f64 = 2000.0;

/// Own discovery topics are watched in houses up to this size.
const MAX_WATCHED: usize = 200;

impl Session<'_> {
    /// Everything again, in order.
    pub(super) async fn announce_all(&mut self) {
        let view = self.view();
        self.bridge = None;
        self.bridge_info.clear();
        self.devices.clear();
        self.health_of = u64::MAX;
        self.say_bridge(&view).await;
        if let Some(message) = self.announcer().bridge() {
            self.say_message(&message).await;
        }
        self.forget_strangers(&view).await;
        self.sent.clear();
        self.snapshots.clear();
        self.todo = view.plugs.keys().cloned().collect();
        self.online_said = false;
    }

    /// Announcements of earlier runs for plugs that are not ours any more are taken back.
    async fn forget_strangers(&mut self, view: &View) {
        let gone = |id: &&PlugId| !view.plugs.get(*id).is_some_and(|plug| topics::shown(plug));
        let gone: Vec<PlugId> = self.kept.announced.keys().filter(gone).cloned().collect();
        for id in gone {
            if let Some(shape) = self.kept.announced.get(&id).cloned() {
                let base = self.base().to_owned();
                for tail in migration::state_tails(&shape) {
                    self.link.publish(&format!("{base}/{id}/{tail}"), "", true).await;
                }
            }
            self.announce(&id, None).await;
        }
    }

    /// Finds out which plugs differ from what the broker has.
    pub(super) fn look(&mut self) {
        let view = self.view();
        let waiting: BTreeSet<PlugId> = self.todo.iter().cloned().collect();
        let differs = |id: &PlugId, plug: &Arc<PlugView>| {
            !waiting.contains(id) && !self.sent.get(id).is_some_and(|sent| Arc::ptr_eq(sent, plug))
        };
        let changed = view.plugs.iter().filter(|(id, plug)| differs(id, plug)).map(|(id, _)| id.clone());
        let gone = self.sent.keys().filter(|id| !view.plugs.contains_key(*id)).cloned();
        let list: Vec<PlugId> = changed.chain(gone).collect();
        self.todo.extend(list);
    }

    /// Brings topics up to date as far as the pace allows.
    pub(super) async fn work(&mut self) {
        self.refill();
        let view = self.view();
        self.look();
        while self.tokens > 0.0
            && let Some(id) = self.todo.pop_front()
        {
            match view.plugs.get(&id) {
                Some(plug) => self.renew(&id, plug).await,
                None => self.drop_plug(&id).await,
            }
        }
        self.say_bridge(&view).await;
        let now = Instant::now();
        let due: Vec<PlugId> = self
            .snapshots
            .iter()
            .filter(|(_, s)| s.due.is_some_and(|at| at <= now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in due {
            self.say_snapshot(&id).await;
        }
        while self.later.front().is_some_and(|(at, ..)| *at <= now)
            && let Some((_, messages, emptied)) = self.later.pop_front()
        {
            for message in messages {
                self.say_message(&message).await;
            }
            self.empty(emptied).await;
        }
        if self.look_at.is_some_and(|at| at <= now) {
            self.look_at = None;
            // Subscribing again to the same filters makes the broker show what it has retained.
            let base = self.base();
            self.subscribe(vec![
                format!("{base}/+/set"),
                format!("{base}/+/+/set"),
                format!("{base}/bridge/request/+"),
            ])
            .await;
        }
        if self.birth_at.is_some_and(|at| at <= now) {
            self.birth_at = None;
            self.announce_all().await;
            self.refill();
        }
        if self.todo.is_empty() && !self.online_said {
            self.online_said = true;
            let topic = format!("{}/bridge/state", self.base());
            self.link.publish(&topic, "online", true).await;
        }
    }

    fn refill(&mut self) {
        let now = Instant::now();
        self.tokens = (self.tokens + now.duration_since(self.filled_at).as_secs_f64() * RATE).min(BURST);
        self.filled_at = now;
    }

    pub(super) fn wake_at(&self) -> Instant {
        let far = Instant::now() + Duration::from_secs(3600);
        let paced = (!self.todo.is_empty()).then(|| Instant::now() + Duration::from_millis(20));
        let snapshot = self.snapshots.values().filter_map(|snapshot| snapshot.due).min();
        let later = self.later.front().map(|(at, ..)| *at);
        [paced, snapshot, later, self.look_at, self.birth_at, self.devices_at]
            .into_iter()
            .flatten()
            .fold(far, Instant::min)
    }

    /// Publishes what differs between what the broker has of a plug and what is.
    async fn renew(&mut self, id: &PlugId, plug: &Arc<PlugView>) {
        let old = self.sent.insert(id.clone(), Arc::clone(plug));
        let fresh = old.is_none();
        if old.as_ref().is_none_or(|old| announced_differs(old, plug)) {
            self.announce(id, Some(plug)).await;
        }
        let base = self.base();
        let before = old.as_deref().map(|old| topics::retained(base, old)).unwrap_or_default();
        let before: BTreeMap<&str, &str> =
            before.iter().map(|r| (r.topic.as_str(), r.payload.as_str())).collect();
        let beat = old.as_ref().is_some_and(|old| old.beat != plug.beat);
        let echo = old.as_ref().is_some_and(|old| old.echo != plug.echo);
        let now = topics::retained(base, plug);
        for message in &now {
            let again = matches!(message.nature, Nature::Number if beat)
                || matches!(message.nature, Nature::State if echo);
            if again || before.get(message.topic.as_str()) != Some(&message.payload.as_str()) {
                self.tokens -= 1.0;
                self.link.publish(&message.topic, message.payload.as_str(), true).await;
            }
        }
        for topic in before.keys().filter(|topic| !now.iter().any(|message| message.topic == **topic)) {
            self.link.publish(topic, "", true).await;
        }
        if topics::shown(plug) && (topics::read(plug) || plug.problem.is_some()) {
            let snapshot = self.snapshots.entry(id.clone()).or_default();
            let earliest = snapshot.at.filter(|_| !fresh).map_or_else(Instant::now, |at| at + SNAPSHOT_EVERY);
            snapshot.due.get_or_insert(earliest);
        }
        if old.as_ref().is_none_or(|old| listed_differs(old, plug)) {
            self.devices_at.get_or_insert_with(Instant::now);
        }
    }

    async fn say_snapshot(&mut self, id: &PlugId) {
        let Some(plug) = self.sent.get(id) else {
            self.snapshots.remove(id);
            return;
        };
        let payload = topics::snapshot(plug).to_string();
        self.snapshots.insert(id.clone(), Snapshot { at: Some(Instant::now()), due: None });
        self.link.publish(&topics::snapshot_topic(self.base(), id), payload, true).await;
    }

    /// A plug is gone: nothing of it stays on the broker.
    async fn drop_plug(&mut self, id: &PlugId) {
        let Some(old) = self.sent.remove(id) else { return };
        let mut list: Vec<String> =
            topics::retained(self.base(), &old).into_iter().map(|r| r.topic).collect();
        if !list.is_empty() {
            list.push(topics::snapshot_topic(self.base(), id));
        }
        for topic in list {
            self.link.publish(&topic, "", true).await;
        }
        self.announce(id, None).await;
        self.snapshots.remove(id);
        self.devices_at.get_or_insert_with(Instant::now);
    }

    /// Announces a plug, or takes its announcement back.
    async fn announce(&mut self, id: &PlugId, plug: Option<&PlugView>) {
        let messages = plug.map(|plug| self.announcer().messages(plug)).unwrap_or_default();
        let shape = plug.and_then(|plug| self.announcer().shape(plug));
        let old = self.kept.announced.get(id).cloned();
        let steps = migration::transition(id, old.as_ref(), shape.as_ref(), messages);
        for message in &steps.first {
            self.say_message(message).await;
        }
        if steps.pause {
            self.later.push_back((Instant::now() + DIGEST, steps.second, steps.emptied));
        } else {
            self.empty(steps.emptied).await;
        }
        if old != shape {
            match &shape {
                Some(shape) => self.kept.announced.insert(id.clone(), shape.clone()),
                None => self.kept.announced.remove(id),
            };
            drop(self.wires.orders.send(Order::Announced(id.clone(), shape)).await);
        }
    }

    async fn say_message(&mut self, message: &Message) {
        self.tokens -= 10.0;
        self.emptied.remove(&message.topic);
        self.link.publish(&message.topic, message.payload.to_string(), true).await;
        self.watch(&message.topic).await;
    }

    pub(super) async fn empty(&mut self, topics: Vec<String>) {
        for topic in topics {
            self.emptied.insert(topic.clone());
            self.link.publish(&topic, "", true).await;
        }
        while self.emptied.len() > MAX_WATCHED * 64 {
            self.emptied.pop_first();
        }
    }

    /// Watches an own discovery topic: Home Assistant empties it when a user deletes the device.
    async fn watch(&mut self, topic: &str) {
        let whole = self.announcer().mode == homeassistant::Mode::Device;
        if whole && self.watched.len() < MAX_WATCHED && self.watched.insert(topic.to_owned()) {
            self.subscribe(vec![topic.to_owned()]).await;
        }
    }

    pub(super) async fn subscribe(&mut self, filters: Vec<String>) {
        self.link.subscribe(&filters).await;
        self.asked.push_back(filters);
    }

    pub(super) fn subscribed(&mut self, refused: &[usize]) {
        let asked = self.asked.pop_front().unwrap_or_default();
        for filter in refused.iter().filter_map(|position| asked.get(*position)) {
            error!(
                filter,
                "the broker refuses this subscription; allow it in the broker's access rules, or commands on it stay unheard"
            );
        }
    }

    async fn say_bridge(&mut self, view: &View) {
        let base = self.base();
        if self.bridge.as_ref().is_none_or(|told| !Arc::ptr_eq(told, &view.bridge)) {
            self.bridge = Some(Arc::clone(&view.bridge));
            let info = topics::bridge_info(base, &self.settings.facts, &view.bridge).to_string();
            if info != self.bridge_info {
                self.link.publish(&format!("{base}/bridge/info"), info.as_str(), true).await;
                self.bridge_info = info;
            }
        }
        if self.devices.is_empty() || self.devices_at.is_some_and(|at| at <= Instant::now()) {
            let again = !self.devices.is_empty();
            self.devices_at = None;
            let devices = topics::devices(view).to_string();
            if devices != self.devices {
                self.link.publish(&format!("{base}/bridge/devices"), devices.as_str(), true).await;
                self.devices = devices;
            }
            if again && !self.todo.is_empty() {
                self.devices_at = Some(Instant::now() + Duration::from_secs(1));
            }
        }
        if self.health_of != view.bridge.stats.unix_ms {
            self.health_of = view.bridge.stats.unix_ms;
            let health = self.health(view).to_string();
            self.link.publish(&format!("{base}/bridge/health"), health, true).await;
        }
    }

    pub(super) fn health(&self, view: &View) -> Value {
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.kept.counters;
        let stats = LinkStats {
            reconnects: self.kept.sessions.saturating_sub(1),
            published: count(&counters.published),
            received: count(&counters.received),
            queued: self.link.queued(),
            dropped: count(&counters.dropped),
        };
        topics::health(view, stats, self.settings.facts.version, memory_mb())
    }
}

/// The announcement of a plug depends on this part of its picture.
fn announced_differs(a: &PlugView, b: &PlugView) -> bool {
    let names = |plug: &PlugView| plug.ports.iter().map(|port| port.name.clone()).collect::<Vec<_>>();
    a.name != b.name
        || a.facts != b.facts
        || a.offer != b.offer
        || a.adopted != b.adopted
        || a.deleted != b.deleted
        || names(a) != names(b)
}

/// `bridge/devices` depends on this part.
fn listed_differs(a: &PlugView, b: &PlugView) -> bool {
    a.online != b.online || a.ip != b.ip || announced_differs(a, b)
}

/// Resident memory in MB, where the system tells it.
fn memory_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some((kib / 1024.0 * 10.0).round() / 10.0)
}
