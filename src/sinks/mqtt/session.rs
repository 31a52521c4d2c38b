//! What is said in which order while a connection lasts: subscribe, the bridge's own topics, then
//! for each plug its announcement, its availability and its states, and last of all that the
//! bridge is online. After that, differences.

use super::homeassistant::{self, Announcer, Message};
use super::link::{Counters, Link, Lost, Said};
use super::topics::{self, Incoming, LinkStats, Nature, Own, Topic};
use super::{Settings, Wires, cleanup};
use crate::model::{CommandError, CommandResult, Event, Note, Order, PlugId, PlugView, Shape, View};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, info, warn};

/// A snapshot of a plug is published at most this often.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(1);

/// Pause between the two messages of a change that Home Assistant must digest in between.
const DIGEST: Duration = Duration::from_secs(2);

/// Announcing a fleet is spread out so that brokers do not drop what a slow subscriber has not
/// fetched: this many topics at once, then so many a second. A discovery message counts as ten.
const BURST: f64 = 8000.0;
const RATE: f64 = 2000.0;

/// Own discovery topics are watched in houses up to this size.
const MAX_WATCHED: usize = 200;

/// Commands lately obeyed, remembered to recognise their retained copies.
const MAX_OBEYED: usize = 64;

/// How long after a command its topic is looked at for a retained copy.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// What outlives a session.
#[derive(Debug)]
pub(super) struct Kept {
    announced: BTreeMap<PlugId, Shape>,
    pub(super) counters: Arc<Counters>,
    pub(super) connected_at: Option<Instant>,
    sessions: u64,
}

impl Kept {
    pub(super) fn new(announced: BTreeMap<PlugId, Shape>) -> Self {
        Self { announced, counters: super::counters(), connected_at: None, sessions: 0 }
    }
}

/// What the polling task hands on instead of dealing with it itself.
#[derive(Debug)]
pub(super) enum Received {
    /// A command or request found retained on this topic.
    Retained(String),
    /// An order that found the hub's desk full.
    Full(Order),
    /// An order went through; its topic may hold a retained copy.
    Obeyed(String),
    /// Anything else that is not for the hub.
    Other(Incoming),
    /// Home Assistant started.
    Birth,
    /// A discovery topic was emptied.
    Emptied(String),
}

pub(super) struct Session<'a> {
    settings: &'a Settings,
    wires: &'a mut Wires,
    kept: &'a mut Kept,
    link: Link<Received>,
    /// The picture as far as the broker has it.
    sent: BTreeMap<PlugId, Arc<PlugView>>,
    /// Plugs whose topics must be brought up to date.
    todo: VecDeque<PlugId>,
    snapshots: BTreeMap<PlugId, Snapshot>,
    /// Second messages of changes in two steps.
    later: VecDeque<(Instant, Vec<Message>, Vec<String>)>,
    tokens: f64,
    filled_at: Instant,
    online_said: bool,
    birth_at: Option<Instant>,
    look_at: Option<Instant>,
    obeyed: VecDeque<(Instant, String)>,
    /// Topics we emptied ourselves.
    emptied: BTreeSet<String>,
    watched: BTreeSet<String>,
    /// Filters of subscriptions not acknowledged yet.
    asked: VecDeque<Vec<String>>,
    bridge_info: String,
    devices: String,
    devices_at: Option<Instant>,
    health_of: u64,
    cleaned: (mpsc::Sender<cleanup::Found>, mpsc::Receiver<cleanup::Found>),
}

/// Why the loop woke up.
enum Woken {
    Said(Said<Received>),
    Changed,
    Note(Result<Note, RecvError>),
    Cleaned(cleanup::Found),
    Stop,
    Time,
}

/// The word to stop, or the end of whoever could say it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

#[derive(Debug, Default)]
struct Snapshot {
    at: Option<Instant>,
    due: Option<Instant>,
}

impl<'a> Session<'a> {
    pub(super) fn open(
        settings: &'a Settings,
        wires: &'a mut Wires,
        kept: &'a mut Kept,
    ) -> Result<Self, String> {
        let base = settings.announcer.base.clone();
        let will = Some((format!("{base}/bridge/state"), "offline"));
        let sorter = Sorter {
            base,
            prefix: settings.announcer.prefix.clone(),
            birth_topic: settings.birth_topic.clone(),
            allow_admin: settings.allow_admin,
            orders: wires.orders.clone(),
        };
        let receive = move |topic: &str, payload: &[u8], retain: bool| sorter.sort(topic, payload, retain);
        let link = Link::open(&settings.address, will, &kept.counters, receive)?;
        Ok(Self {
            settings,
            wires,
            kept,
            link,
            sent: BTreeMap::new(),
            todo: VecDeque::new(),
            snapshots: BTreeMap::new(),
            later: VecDeque::new(),
            tokens: BURST,
            filled_at: Instant::now(),
            online_said: false,
            birth_at: None,
            look_at: None,
            obeyed: VecDeque::new(),
            emptied: BTreeSet::new(),
            watched: BTreeSet::new(),
            asked: VecDeque::new(),
            bridge_info: String::new(),
            devices: String::new(),
            devices_at: None,
            health_of: u64::MAX,
            cleaned: mpsc::channel(4),
        })
    }

    /// Runs until the connection is lost (`Err`) or the program stops (`Ok`).
    pub(super) async fn run(mut self) -> Result<(), Lost> {
        if !self.connect().await? {
            return Ok(());
        }
        self.begin().await;
        loop {
            self.work().await;
            let wake = self.wake_at();
            let woken = tokio::select! {
                said = self.link.next() => Woken::Said(said),
                changed = self.wires.view.changed() => if changed.is_ok() { Woken::Changed } else { Woken::Time },
                note = self.wires.notes.recv() => Woken::Note(note),
                Some(found) = self.cleaned.1.recv() => Woken::Cleaned(found),
                () = stopped(&mut self.wires.stop) => Woken::Stop,
                () = sleep_until(wake) => Woken::Time,
            };
            match woken {
                Woken::Said(Said::Connected) | Woken::Changed | Woken::Time => {}
                Woken::Said(Said::Subscribed(refused)) => self.subscribed(&refused),
                Woken::Said(Said::Received(received)) => self.received(received).await,
                Woken::Said(Said::Down(why)) => return Err(why),
                Woken::Note(note) => self.noted(note).await,
                Woken::Cleaned(found) => self.cleaned(found).await,
                Woken::Stop => return self.end().await,
            }
        }
    }

    /// Waits for the broker's word; false when the program stops meanwhile.
    async fn connect(&mut self) -> Result<bool, Lost> {
        loop {
            tokio::select! {
                said = self.link.next() => match said {
                    Said::Connected => return Ok(true),
                    Said::Down(why) => return Err(why),
                    Said::Subscribed(_) | Said::Received(_) => {}
                },
                () = stopped(&mut self.wires.stop) => return Ok(false),
            }
        }
    }

    async fn begin(&mut self) {
        let address = &self.settings.address;
        info!(broker = format!("{}:{}", address.host, address.port), "connected");
        self.kept.connected_at = Some(Instant::now());
        self.kept.sessions += 1;
        let base = self.base().to_owned();
        let mut filters = vec![
            format!("{base}/bridge/request/+"),
            format!("{base}/+/set"),
            format!("{base}/+/get"),
            format!("{base}/+/+/set"),
        ];
        if self.announcer().mode != homeassistant::Mode::Off {
            filters.push(self.settings.birth_topic.clone());
        }
        self.subscribe(filters).await;
        // What was told while nobody listened is gone; it was never meant to wait.
        let mut missed = 0;
        while self.wires.notes.try_recv().is_ok() {
            missed += 1;
        }
        self.kept.counters.dropped.fetch_add(missed, Ordering::Relaxed);
        self.announce_all().await;
    }

    /// Everything again, in order.
    async fn announce_all(&mut self) {
        let view = self.view();
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
                for tail in homeassistant::state_tails(&shape) {
                    self.link.publish(&format!("{base}/{id}/{tail}"), "", true).await;
                }
            }
            self.announce(&id, None).await;
        }
    }

    fn announcer(&self) -> &'a Announcer {
        &self.settings.announcer
    }

    fn base(&self) -> &'a str {
        &self.settings.announcer.base
    }

    fn view(&mut self) -> Arc<View> {
        Arc::clone(&self.wires.view.borrow_and_update())
    }

    /// Finds out which plugs differ from what the broker has.
    fn look(&mut self) {
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
    async fn work(&mut self) {
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

    fn wake_at(&self) -> Instant {
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
        if topics::shown(plug) {
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
        let steps = homeassistant::transition(id, old.as_ref(), shape.as_ref(), messages);
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

    async fn empty(&mut self, topics: Vec<String>) {
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

    async fn subscribe(&mut self, filters: Vec<String>) {
        self.link.subscribe(&filters).await;
        self.asked.push_back(filters);
    }

    fn subscribed(&mut self, refused: &[usize]) {
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
        let info = topics::bridge_info(base, &self.settings.facts, &view.bridge).to_string();
        if info != self.bridge_info {
            self.link.publish(&format!("{base}/bridge/info"), info.as_str(), true).await;
            self.bridge_info = info;
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

    fn health(&self, view: &View) -> Value {
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

    async fn received(&mut self, received: Received) {
        match received {
            Received::Retained(topic) => self.refuse_retained(&topic).await,
            Received::Full(order) => self.refuse_full(order).await,
            Received::Obeyed(topic) => {
                self.obeyed.push_back((Instant::now(), topic));
                if self.obeyed.len() > MAX_OBEYED {
                    self.obeyed.pop_front();
                }
                self.look_at.get_or_insert(Instant::now() + LOOK_AFTER);
            }
            Received::Other(incoming) => self.other(incoming).await,
            Received::Birth => {
                let wait = Duration::from_secs(1) + Duration::from_secs(3).mul_f64(fastrand::f64());
                debug!("Home Assistant has started; everything is announced again in {wait:?}");
                self.birth_at.get_or_insert(Instant::now() + wait);
            }
            Received::Emptied(topic) => self.discovery_emptied(&topic).await,
        }
    }

    /// A command that lay on the broker must not fire, now or ever.
    async fn refuse_retained(&mut self, topic: &str) {
        self.emptied.insert(topic.to_owned());
        self.link.publish(topic, "", true).await;
        let recently =
            |(at, obeyed): &(Instant, String)| obeyed == topic && at.elapsed() < Duration::from_secs(60);
        let copy = self.obeyed.iter().any(recently);
        warn!(
            topic,
            "a command was retained on the broker; {}",
            if copy { "its copy is cleared" } else { "it is refused and cleared" }
        );
        if let Some(Topic::Set(device, port)) = topics::topic(self.base(), topic)
            && let Some(plug) = PlugId::new(device)
        {
            let number = port.and_then(|port| port.parse().ok()).unwrap_or(0);
            self.say_note(&Note::Bridge(Event::RetainedCommand(plug.clone(), number))).await;
            if !copy {
                self.fail(plug, None, CommandError::Retained, "a retained command is never obeyed").await;
            }
        }
    }

    async fn refuse_full(&mut self, order: Order) {
        self.kept.counters.dropped.fetch_add(1, Ordering::Relaxed);
        match order {
            Order::Switch(order) => {
                self.fail(order.plug, order.id, CommandError::Busy, "too many commands at once").await
            }
            Order::Request(_, transaction) => {
                let response = json!({"status": "error", "data": {}, "error": "too many requests at once", "transaction": transaction});
                self.link
                    .publish(&format!("{}/bridge/response/unknown", self.base()), response.to_string(), false)
                    .await;
            }
            Order::Refresh(_) | Order::Announced(..) | Order::Deleted(_) => {}
        }
    }

    /// Says that a command failed, and what the relays really are.
    async fn fail(&mut self, plug: PlugId, id: Option<String>, error: CommandError, detail: &str) {
        let result = CommandResult {
            plug: plug.clone(),
            id,
            ports: BTreeMap::new(),
            error: Some((error, None)),
            detail: Some(detail.into()),
            latency: Duration::ZERO,
            requests: 0,
            attempts: 0,
            unix_ms: unix_ms(),
        };
        self.say_note(&Note::Result(result)).await;
        if let Some(sent) = self.sent.get(&plug) {
            let states =
                topics::retained(self.base(), sent).into_iter().filter(|r| r.nature == Nature::State);
            for state in states.collect::<Vec<_>>() {
                self.link.publish(&state.topic, state.payload, true).await;
            }
        }
    }

    async fn other(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Own(own) => self.own(own).await,
            Incoming::Bad(plug, mark, error, why) => {
                warn!(%plug, "a command cannot be understood: {why}");
                self.fail(plug, mark, error, &why).await;
            }
            Incoming::BadRequest(verb, transaction, why) => {
                warn!(verb, "a request cannot be understood: {why}");
                self.respond(&verb, transaction.as_deref(), Err(why)).await;
            }
            Incoming::Order(_) | Incoming::Nothing => {}
        }
    }

    async fn own(&mut self, own: Own) {
        match own {
            Own::Republish(mark) => {
                self.announce_all().await;
                self.respond("republish", mark.as_deref(), Ok(json!({}))).await;
            }
            Own::HealthCheck(mark) => {
                let view = self.view();
                let healthy = json!({"healthy": true, "health": self.health(&view)});
                self.respond("health_check", mark.as_deref(), Ok(healthy)).await;
            }
            Own::Restart(mark) => {
                self.respond("restart", mark.as_deref(), Ok(json!({}))).await;
                info!("restarting, as requested");
                let _ = self.wires.restart.try_send(());
            }
            Own::Cleanup { dry_run, transaction } => {
                let found = self.cleaned.0.clone();
                let (address, announcer) = (self.settings.address.clone(), self.announcer().clone());
                tokio::spawn(async move {
                    let topics = cleanup::look(&address, &announcer).await;
                    drop(found.send(cleanup::Found { topics, dry_run, transaction }).await);
                });
            }
        }
    }

    async fn cleaned(&mut self, found: cleanup::Found) {
        let topics = match found.topics {
            Ok(topics) => topics,
            Err(why) => return self.respond("cleanup", found.transaction.as_deref(), Err(why)).await,
        };
        let view = self.view();
        let owned = cleanup::owned(self.announcer(), &view);
        let orphans: Vec<String> = topics.into_iter().filter(|topic| !owned.contains(topic)).collect();
        if !found.dry_run {
            self.empty(orphans.clone()).await;
            info!(topics = orphans.len(), "cleaned up retained topics nobody owns");
        }
        let data = json!({"dry_run": found.dry_run, "topics": orphans});
        self.respond("cleanup", found.transaction.as_deref(), Ok(data)).await;
    }

    async fn respond(&mut self, verb: &str, mark: Option<&str>, result: Result<Value, String>) {
        let mut payload = match result {
            Ok(data) => json!({"status": "ok", "data": data}),
            Err(error) => json!({"status": "error", "data": {}, "error": error}),
        };
        if let Some(mark) = mark.and_then(|mark| serde_json::from_str::<Value>(mark).ok()) {
            payload["transaction"] = mark;
        }
        self.link
            .publish(&format!("{}/bridge/response/{verb}", self.base()), payload.to_string(), false)
            .await;
    }

    /// One of our discovery topics was emptied: by us, or by Home Assistant for its user.
    async fn discovery_emptied(&mut self, topic: &str) {
        if self.emptied.remove(topic) {
            return;
        }
        let announced = self.kept.announced.iter();
        let whose = announced.filter(|(id, shape)| homeassistant::topics_of(shape, id).contains_key(topic));
        let Some(id) = whose.map(|(id, _)| id.clone()).next() else { return };
        let deleted = self.settings.respect_deletion;
        let comes_back = if deleted {
            "and stays so"
        } else {
            "it comes back when Home Assistant or this bridge starts again"
        };
        warn!(plug = %id, "was deleted in Home Assistant; {comes_back}");
        self.say_note(&Note::Bridge(Event::DiscoveryCleared(id.clone()))).await;
        if deleted {
            drop(self.wires.orders.send(Order::Deleted(id)).await);
        }
    }

    async fn noted(&mut self, note: Result<Note, RecvError>) {
        match note {
            Ok(note) => {
                // What a result speaks of must be on its topics first.
                self.work().await;
                self.say_note(&note).await;
            }
            Err(RecvError::Lagged(missed)) => {
                self.kept.counters.dropped.fetch_add(missed, Ordering::Relaxed);
            }
            // The engine has stopped; the word to stop follows.
            Err(RecvError::Closed) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }

    async fn say_note(&mut self, note: &Note) {
        let (topic, payload) = topics::note(self.base(), note, unix_ms());
        self.link.publish(&topic, payload.to_string(), false).await;
    }

    /// The program stops: the last results, then one word. The plugs' topics keep their last truth.
    async fn end(mut self) -> Result<(), Lost> {
        while let Ok(note) = self.wires.notes.try_recv() {
            self.say_note(&note).await;
        }
        let topic = format!("{}/bridge/state", self.base());
        self.link.publish(&topic, "offline", true).await;
        self.link.close().await;
        Ok(())
    }
}

/// Sorts what comes in, in the polling task: orders go straight to the hub.
struct Sorter {
    base: String,
    prefix: String,
    birth_topic: String,
    allow_admin: bool,
    orders: mpsc::Sender<Order>,
}

impl Sorter {
    fn sort(&self, topic: &str, payload: &[u8], retain: bool) -> Option<Received> {
        if topic == self.birth_topic {
            return (!retain && payload == b"online").then_some(Received::Birth);
        }
        let Some(parts) = topics::topic(&self.base, topic) else {
            let ours = topic.strip_prefix(&self.prefix).is_some_and(|rest| rest.ends_with("/config"));
            return (ours && !retain && payload.is_empty()).then(|| Received::Emptied(topic.into()));
        };
        if payload.is_empty() && !matches!(parts, Topic::Request(_) | Topic::Get(_)) {
            // Somebody, most likely we, cleared a retained command.
            return None;
        }
        if retain {
            return Some(Received::Retained(topic.into()));
        }
        match topics::incoming(&parts, payload, self.allow_admin) {
            Incoming::Order(order) => Some(match self.orders.try_send(order) {
                Ok(()) => Received::Obeyed(topic.into()),
                Err(mpsc::error::TrySendError::Full(order) | mpsc::error::TrySendError::Closed(order)) => {
                    Received::Full(order)
                }
            }),
            Incoming::Nothing => None,
            other => Some(Received::Other(other)),
        }
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

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}

/// Resident memory in MB, where the system tells it.
fn memory_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some((kib / 1024.0 * 10.0).round() / 10.0)
}
