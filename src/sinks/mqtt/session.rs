//! One connection to the broker as the bridge sees it, pure: what comes in goes to
//! [`handle`](Session::handle), what is to be sent or done is drained from
//! [`outgoing`](Session::outgoing), and [`wake_at`](Session::wake_at) says when to come back with
//! [`Input::Tick`]. First of all it subscribes; then come the bridge's own topics, for each plug its
//! announcement, its availability and its states, and last of all the word that the bridge is
//! online. After that, differences.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::energy_recovery::{self, ReadBack};
use super::former::Former;
use super::homeassistant::{Announcer, Message};
use super::incoming::Incoming;
use super::memory::{Announcement, Memory};
use super::peers::{self, Peer, Peers};
use super::router::{Received, Rest};
use super::sizes::Sizes;
use super::{Settings, migration, topics};
use crate::model::{
    BridgeView, DiscoveryMode, Event, HubRequest, Keep, Moment, Notification, PlugId, PlugView, View,
};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, warn};

/// Commands lately obeyed, remembered to recognise their retained copies.
const MAX_OBEYED: usize = 64;

/// How long after a command its topic is looked at for a retained copy.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// Topics emptied lately that are remembered: a house of a thousand strips, announced in another
/// form.
const MAX_EMPTIED: usize = 1 << 16;

/// What a session is told.
#[derive(Debug)]
pub enum Input {
    /// The broker accepted us; this is the picture. Whatever was before is over: everything is said
    /// anew.
    Connected(Arc<View>),
    /// Answer to the oldest subscription without one: the positions that were refused.
    Subscribed(Vec<usize>),
    /// Something received that is not for the hub.
    Received(Received),
    /// The picture has changed.
    Shown(Arc<View>),
    /// The hub tells something once.
    Notification(Arc<Notification>),
    /// A line for `bridge/log`.
    Line(Value),
    /// What [`Outgoing::LookAround`] brought: all retained topics that may be ours, or why there
    /// are none.
    Looked(Result<Vec<String>, String>),
    /// What [`Outgoing::Measure`] brought: of a message of `wanted` bytes the broker takes `passes`.
    Measured {
        /// What was asked for.
        wanted: usize,
        /// The largest size that passes; less when `wanted` does not.
        passes: usize,
    },
    /// The time named by [`Session::wake_at`] has come.
    Tick,
    /// The program stops: one last word.
    Stop,
}

/// What a session wants sent or done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// A message, QoS 1.
    Publish {
        /// Its topic.
        topic: String,
        /// Its payload.
        payload: String,
        /// Whether the broker keeps it.
        retain: bool,
    },
    /// A subscription, QoS 1; [`Input::Subscribed`] answers.
    Subscribe(Vec<String>),
    /// A subscription to see what is retained, QoS 0; [`Input::Subscribed`] answers.
    LookAt(Vec<String>),
    /// The end of subscriptions.
    Unsubscribe(Vec<String>),
    /// Something for the hub. Must not be lost.
    HubRequest(HubRequest),
    /// Publish what [`Session::health`] says.
    Health(Health),
    /// Look for retained topics that may be ours, on a connection of its own.
    LookAround,
    /// Find out whether the broker takes a message of so many bytes, with its topic.
    Measure(usize),
    /// Start the program anew.
    Restart,
    /// Say nothing more on this base topic: this one has been there longer.
    Yield(Peer),
}

/// What the bridge's health is wanted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// The retained topic.
    Topic,
    /// A request, with its transaction mark.
    Check(Option<String>),
}

/// What only the owner of the connection knows of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Metrics {
    /// Messages published.
    pub published: u64,
    /// Messages received.
    pub received: u64,
    /// Messages handed over and not acknowledged.
    pub queued: u64,
    /// Messages lost because something was full.
    pub dropped: u64,
    /// Memory in use, megabytes.
    pub memory_mb: Option<f64>,
}

/// The speaking half of the MQTT sink. Lives as long as the program; what belongs to one
/// connection begins anew with each [`Input::Connected`].
#[derive(Debug)]
pub struct Session {
    pub(super) settings: Arc<Settings>,
    pub(super) memory: Memory,
    pub(super) connections: u64,
    /// What is wrong with the connection or on the broker, a sentence for each reason.
    pub(super) problems: BTreeMap<&'static str, String>,
    pub(super) read_back: ReadBack,
    pub(super) peers: Peers,
    pub(super) sizes: Sizes,
    /// Who waits for a look around: whether it is only to say what it would do, and the sender's mark.
    pub(super) cleanups: Vec<(bool, Option<String>)>,
    pub(super) view: Arc<View>,
    pub(super) now: Moment,
    out: VecDeque<Outgoing>,
    /// Topics emptied lately: a connection broken unnoticed may have swallowed that.
    emptied: VecDeque<(Duration, String)>,
    pub(super) told: Told,
    pub(super) former: Former,
}

/// What belongs to one connection.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The picture as far as the broker has it.
    pub(super) sent: BTreeMap<PlugId, Arc<PlugView>>,
    /// The last picture of plugs that went before they were told: an earlier connection may have.
    pub(super) gone: BTreeMap<PlugId, Arc<PlugView>>,
    /// The picture that was last held against it.
    pub(super) looked: Arc<View>,
    /// Plugs whose topics must be brought up to date.
    pub(super) todo: VecDeque<PlugId>,
    pub(super) snapshots: BTreeMap<PlugId, Snapshot>,
    /// When each snapshot that is due is to be published.
    pub(super) snapshots_due: BTreeSet<(Duration, PlugId)>,
    /// Second messages of changes in two steps.
    pub(super) later: VecDeque<Later>,
    pub(super) tokens: f64,
    pub(super) filled_at: Duration,
    pub(super) online_said: bool,
    pub(super) birth_at: Option<Duration>,
    pub(super) look_at: Option<Duration>,
    pub(super) obeyed: VecDeque<(Duration, String)>,
    /// Since when, and how often, the states of a plug were said again for refused commands.
    pub(super) sprung: BTreeMap<PlugId, (Duration, u32)>,
    /// Topics we emptied ourselves.
    pub(super) emptied: BTreeSet<String>,
    pub(super) watched: BTreeSet<String>,
    /// Filters of subscriptions not acknowledged yet.
    pub(super) asked: VecDeque<Vec<String>>,
    /// The bridge as it was last told.
    pub(super) bridge: Option<Arc<BridgeView>>,
    pub(super) bridge_info: String,
    /// What is wrong with it, as it was last told.
    pub(super) problem: Option<Option<String>>,
    /// What `bridge/devices` said last, hashed: of a fleet it is long.
    pub(super) devices: Option<u64>,
    pub(super) devices_at: Option<Duration>,
    pub(super) health_of: Option<u64>,
}

/// The second step of a change in two.
#[derive(Debug)]
pub(super) struct Later {
    pub(super) at: Duration,
    pub(super) id: PlugId,
    pub(super) messages: Vec<Message>,
    pub(super) emptied: Vec<String>,
    /// Only now the plug is announced like this.
    pub(super) how: Option<Announcement>,
}

#[derive(Debug, Default)]
pub(super) struct Snapshot {
    pub(super) at: Option<Duration>,
    /// It waits among those that are due.
    pub(super) due: bool,
    /// What it last said, hashed.
    pub(super) says: Option<u64>,
}

impl Session {
    /// A session that has not connected yet. `memory` is what earlier runs have kept.
    pub fn new(settings: Arc<Settings>, memory: Memory, view: Arc<View>, now: &Moment) -> Self {
        let former = Former::new(&settings.announcer, &memory);
        Self {
            settings,
            memory,
            connections: 0,
            problems: BTreeMap::new(),
            read_back: ReadBack::default(),
            peers: Peers::default(),
            sizes: Sizes::default(),
            cleanups: Vec::new(),
            view,
            now: *now,
            out: VecDeque::new(),
            emptied: VecDeque::new(),
            told: Told::default(),
            former,
        }
    }

    /// Takes one input. Drain [`outgoing`](Self::outgoing) afterwards.
    pub fn handle(&mut self, now: &Moment, input: Input) {
        let before = std::mem::replace(&mut self.now, *now);
        match input {
            Input::Connected(view) => self.begin(view, now.up.saturating_sub(before.up)),
            Input::Subscribed(refused) => self.subscribed(&refused),
            Input::Received(received) => self.received(received),
            Input::Shown(view) => self.view = view,
            Input::Notification(note) => {
                let note = self.explained(note);
                // What a result speaks of must be on its topics first.
                self.catch_up(&note);
                self.say_note(&note);
            }
            Input::Line(line) => self.publish(format!("{}/bridge/log", self.base()), line.to_string(), false),
            Input::Looked(topics) => self.looked(topics),
            Input::Measured { wanted, passes } => self.measured(wanted, passes),
            Input::Tick => {}
            Input::Stop => return self.end(),
        }
        self.work();
    }

    /// The next thing to send or do, until there is none.
    pub fn outgoing(&mut self) -> Option<Outgoing> {
        self.out.pop_front()
    }

    /// Things waiting to be sent or done.
    pub(super) fn waiting(&self) -> usize {
        self.out.len()
    }

    /// Begins a connection, so long after the session was last heard of.
    fn begin(&mut self, view: Arc<View>, away: Duration) {
        self.view = view;
        self.connections += 1;
        self.out.clear();
        self.peers.connected();
        self.sizes.connected();
        self.cleanups.clear();
        self.told = Told { tokens: super::publisher::BURST, filled_at: self.now.up, ..Told::default() };
        let base = self.base();
        let mut filters = vec![
            format!("{base}/bridge/request/+"),
            format!("{base}/+/set"),
            format!("{base}/+/get"),
            format!("{base}/+/+/set"),
        ];
        filters.extend([format!("{base}/bridge/state"), peers::answers(base), peers::availabilities(base)]);
        if self.read_back.in_vain() {
            filters.push(energy_recovery::mark(base));
        }
        if self.announcer().mode != DiscoveryMode::Off {
            filters.push(self.settings.birth_topic.clone());
        }
        self.subscribe(filters);
        self.empty_again();
        self.take_back_former();
        let unnoticed = self.settings.address.keep_alive * 2;
        self.begin_read_back(away + unnoticed);
        self.announce_all();
        self.read_mark();
    }

    /// Empties once more what the connection before may not have carried to the broker. The rest of
    /// what it may have swallowed is said anew anyhow.
    fn empty_again(&mut self) {
        self.age_emptied();
        let owned = migration::owned(self.announcer(), &self.view, &self.memory);
        let topics: BTreeSet<String> = self.emptied.drain(..).map(|(_, topic)| topic).collect();
        self.empty(topics.difference(&owned).cloned().collect());
    }

    /// A dead connection is noticed within two keep-alives.
    fn age_emptied(&mut self) {
        let unnoticed = self.settings.address.keep_alive * 2 + Duration::from_secs(5);
        while self.emptied.len() > MAX_EMPTIED
            || self.emptied.front().is_some_and(|(at, _)| *at + unnoticed < self.now.up)
        {
            self.emptied.pop_front();
        }
    }

    pub(super) fn announcer(&self) -> &Announcer {
        &self.settings.announcer
    }

    pub(super) fn base(&self) -> &str {
        &self.settings.announcer.base
    }

    pub(super) fn send(&mut self, out: Outgoing) {
        self.out.push_back(out);
    }

    /// Has a change of what is kept written down.
    pub(super) fn keep(&mut self, change: Option<Keep>) {
        if let Some(change) = change {
            self.send(Outgoing::HubRequest(HubRequest::Keep(change)));
        }
    }

    pub(super) fn publish(&mut self, topic: impl Into<String>, payload: impl Into<String>, retain: bool) {
        let (topic, payload) = (topic.into(), payload.into());
        if retain && payload.is_empty() {
            self.emptied.push_back((self.now.up, topic.clone()));
            self.age_emptied();
        }
        if self.fits(&topic, topic.len() + payload.len(), retain) {
            self.send(Outgoing::Publish { topic, payload, retain });
        }
    }

    fn received(&mut self, received: Received) {
        match received.0 {
            Rest::Retained(topic) => self.refuse_retained(&topic),
            Rest::Full(order) => self.refuse_full(order),
            Rest::Obeyed(topic) => {
                self.told.obeyed.push_back((self.now.up, topic));
                if self.told.obeyed.len() > MAX_OBEYED {
                    self.told.obeyed.pop_front();
                }
                self.told.look_at.get_or_insert(self.now.up + LOOK_AFTER);
            }
            Rest::Other(incoming) => self.other(incoming),
            Rest::Birth => {
                let wait = Duration::from_millis(1000 + self.now.nonce % 3000);
                debug!("Home Assistant has started; everything is announced again in {wait:?}");
                self.told.birth_at.get_or_insert(self.now.up + wait);
            }
            Rest::Emptied(topic) => self.discovery_emptied(&topic),
            Rest::Metered(metered) => self.read_back.take(&self.now, metered),
            Rest::Mark => self.read_back.marked(&self.now),
            Rest::NotOnline => self.not_online_heard(),
            Rest::Availability(id, word) => self.availability_heard(id, &word),
            Rest::Info(peer) => self.info_heard(peer),
            Rest::DeviceResponse(peer) => self.answer_heard(peer),
        }
    }

    fn other(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Own(own, mark) => self.own(&own, mark),
            refused @ (Incoming::HubRequest(_)
            | Incoming::Bad(..)
            | Incoming::BadRequest(..)
            | Incoming::Nobody(..)
            | Incoming::NobodyToGet(_)) => self.refuse(refused),
        }
    }

    /// One of our discovery topics was emptied: by us, or by Home Assistant for its user.
    fn discovery_emptied(&mut self, topic: &str) {
        if self.told.emptied.remove(topic) {
            return;
        }
        let is_its = |(id, how): &(&PlugId, &Announcement)| migration::topics_of(how, id).contains_key(topic);
        let Some(id) = self.memory.all_announced().find(is_its).map(|(id, _)| id.clone()) else { return };
        let deleted = self.settings.respect_deletion;
        let comes_back = if deleted {
            "and stays so"
        } else {
            "it comes back when Home Assistant or this bridge starts again"
        };
        warn!(plug = %id, "device deleted in Home Assistant; {comes_back}");
        self.say_note(&Notification::Bridge(Event::DiscoveryCleared(id.clone())));
        if deleted {
            let kept = self.memory.delete(&id);
            self.keep(kept);
            self.announce(&id, None);
        }
    }

    pub(super) fn say_note(&mut self, note: &Notification) {
        let (topic, payload) = topics::note(self.base(), note, self.now.unix_ms);
        self.publish(topic, payload.to_string(), false);
    }

    /// The program stops: one last word. The plugs' topics keep their last truth.
    fn end(&mut self) {
        self.publish(format!("{}/bridge/state", self.base()), "offline", true);
    }
}

#[cfg(test)]
mod tests;
