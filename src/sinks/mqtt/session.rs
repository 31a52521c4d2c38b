//! What is said in which order while a connection lasts: subscribe, the bridge's own topics, then
//! for each plug its announcement, its availability and its states, and last of all that the
//! bridge is online. After that, differences.

use super::homeassistant::{self, Announcer, Message};
use super::incoming::{self, Incoming, Own, Topic};
use super::link::{Counters, Link, Lost, Said};
use super::log::Lines;
use super::sorter::{Received, Sorter};
use super::tell::BURST;
use super::topics::{self, Nature};
use super::{Settings, Wires, cleanup, migration};
use crate::model::{
    BridgeView, CommandError, CommandResult, Event, Note, Order, PlugId, PlugView, Shape, View,
};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

/// Commands lately obeyed, remembered to recognise their retained copies.
const MAX_OBEYED: usize = 64;

/// How long after a command its topic is looked at for a retained copy.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// What outlives a session.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) announced: BTreeMap<PlugId, Shape>,
    pub(super) counters: Arc<Counters>,
    pub(super) connected_at: Option<Instant>,
    pub(super) sessions: u64,
}

impl Kept {
    pub(super) fn new(announced: BTreeMap<PlugId, Shape>) -> Self {
        Self { announced, counters: Arc::default(), connected_at: None, sessions: 0 }
    }
}

pub(super) struct Session<'a> {
    pub(super) settings: &'a Settings,
    pub(super) wires: &'a mut Wires,
    pub(super) kept: &'a mut Kept,
    pub(super) link: Link<Received>,
    /// The picture as far as the broker has it.
    pub(super) sent: BTreeMap<PlugId, Arc<PlugView>>,
    /// Plugs whose topics must be brought up to date.
    pub(super) todo: VecDeque<PlugId>,
    pub(super) snapshots: BTreeMap<PlugId, Snapshot>,
    /// Second messages of changes in two steps.
    pub(super) later: VecDeque<(Instant, Vec<Message>, Vec<String>)>,
    pub(super) tokens: f64,
    pub(super) filled_at: Instant,
    pub(super) online_said: bool,
    pub(super) birth_at: Option<Instant>,
    pub(super) look_at: Option<Instant>,
    pub(super) obeyed: VecDeque<(Instant, String)>,
    /// Topics we emptied ourselves.
    pub(super) emptied: BTreeSet<String>,
    pub(super) watched: BTreeSet<String>,
    /// Filters of subscriptions not acknowledged yet.
    pub(super) asked: VecDeque<Vec<String>>,
    /// The bridge as it was last told.
    pub(super) bridge: Option<Arc<BridgeView>>,
    pub(super) bridge_info: String,
    pub(super) devices: String,
    pub(super) devices_at: Option<Instant>,
    pub(super) health_of: u64,
    pub(super) cleaned: (mpsc::Sender<cleanup::Found>, mpsc::Receiver<cleanup::Found>),
}

/// Why the loop woke up.
enum Woken {
    Said(Said<Received>),
    Changed,
    Note(Result<Note, RecvError>),
    Cleaned(cleanup::Found),
    Line(Value),
    Stop,
    Time,
}

/// The next log line; never, when nobody opted in.
async fn next_line(lines: &mut Option<Lines>) -> Option<Value> {
    match lines {
        Some(lines) => lines.recv().await,
        None => std::future::pending().await,
    }
}

/// The word to stop, or the end of whoever could say it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) at: Option<Instant>,
    pub(super) due: Option<Instant>,
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
            bridge: None,
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
                Some(line) = next_line(&mut self.wires.log) => Woken::Line(line),
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
                Woken::Line(line) => {
                    let topic = format!("{}/bridge/log", self.base());
                    self.link.publish(&topic, line.to_string(), false).await;
                }
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
        drop(self.wires.orders.send(Order::Metered(Vec::new())).await);
        self.announce_all().await;
    }

    pub(super) fn announcer(&self) -> &'a Announcer {
        &self.settings.announcer
    }

    pub(super) fn base(&self) -> &'a str {
        &self.settings.announcer.base
    }

    pub(super) fn view(&mut self) -> Arc<View> {
        Arc::clone(&self.wires.view.borrow_and_update())
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
        if let Some(Topic::Set(device, port)) = incoming::topic(self.base(), topic)
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
            Order::Refresh(_) | Order::Announced(..) | Order::Deleted(_) | Order::Metered(_) => {}
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
        let payload = topics::answer(result, mark);
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
        let whose = announced.filter(|(id, shape)| migration::topics_of(shape, id).contains_key(topic));
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

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or_default()
}
