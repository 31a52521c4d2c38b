//! One connection to the broker as the bridge sees it, pure: what comes in goes to
//! [`handle`](Session::handle), what is to be sent or done is drained from
//! [`outgoing`](Session::outgoing), and [`wake_at`](Session::wake_at) says when to come back with
//! [`Input::Tick`]. First of all it subscribes; then come the bridge's own topics, for each plug its
//! announcement, its availability and its states, and last of all the word that the bridge is
//! online. After that, differences.
//!
//! It conducts: its parts decide, each about what it alone knows. Only here is that put into an order and sent.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::announcements::{Announcements, Said};
use super::bridge_topics::{ANOTHER_BRIDGE, BridgeTopics, DISCOVERY, READ_BACK, REFUSED, TOO_LARGE};
use super::cleanup_requests::CleanupRequests;
use super::cleared::Cleared;
use super::contract::{Health, Input, Outgoing};
use super::counters::Metrics;
use super::energy_recovery::{self, EnergyRecovery};
use super::homeassistant::{Announcer, Message};
use super::incoming::{self, Incoming, Topic};
use super::memory::Memory;
use super::message_size::MessageSizes;
use super::migration;
use super::own_event::OwnEvent;
use super::pace::Pace;
use super::peers::{self, Peer, Peers};
use super::previous_names::{self, PreviousNames};
use super::publisher::Publisher;
use super::rejection::{Rejections, explained, failed, nobody};
use super::router::{Received, Rest};
use super::settings::Settings;
use super::topics::{self, Nature};
use crate::api::{OwnRequest, answer};
use crate::model::{CommandError, HubRequest, Keep, Notification, Now, Origin, PlugId, PlugView, View};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, error, info, warn};

/// No more plugs are brought up to date before this much has been sent.
const FULL: usize = 256;

/// After another bridge has spoken, all is told again.
const AGAIN: Duration = Duration::from_secs(5);

/// The speaking half of the MQTT sink. Lives as long as the program; what belongs to one
/// connection begins anew with each [`Input::Connected`].
#[derive(Debug)]
pub struct Session {
    settings: Arc<Settings>,
    view: Arc<View>,
    now: Now,
    out: VecDeque<Outgoing>,
    connections: u64,
    /// Filters of subscriptions not acknowledged yet.
    asked: VecDeque<Vec<String>>,
    /// All has been published, and that the bridge is online.
    online: bool,
    /// When everything is to be published again.
    again_at: Option<Duration>,
    bridge: BridgeTopics,
    publisher: Publisher,
    announcements: Announcements,
    pace: Pace,
    sizes: MessageSizes,
    cleared: Cleared,
    previous: PreviousNames,
    recovery: EnergyRecovery,
    peers: Peers,
    rejections: Rejections,
    cleanups: CleanupRequests,
}

impl Session {
    /// A session that has not connected yet. `memory` is what earlier runs have kept.
    pub fn new(settings: Arc<Settings>, memory: Memory, view: Arc<View>, now: &Now) -> Self {
        Self {
            view,
            now: *now,
            out: VecDeque::new(),
            connections: 0,
            asked: VecDeque::new(),
            online: false,
            again_at: None,
            bridge: BridgeTopics::default(),
            publisher: Publisher::default(),
            pace: Pace::full(now.up),
            sizes: MessageSizes::default(),
            cleared: Cleared::new(settings.address.keep_alive),
            previous: PreviousNames::new(&settings.announcer, &memory),
            announcements: Announcements::new(memory),
            recovery: EnergyRecovery::default(),
            peers: Peers::default(),
            rejections: Rejections::default(),
            cleanups: CleanupRequests::default(),
            settings,
        }
    }

    /// Takes one input. Drain [`outgoing`](Self::outgoing) afterwards.
    pub fn handle(&mut self, now: &Now, input: Input) {
        let before = std::mem::replace(&mut self.now, *now);
        match input {
            Input::Connected(view) => self.begin(view, now.up.saturating_sub(before.up)),
            Input::Subscribed(refused) => self.subscribed(&refused),
            Input::Received(received) => self.received(received),
            Input::Shown(view) => self.view = view,
            Input::Notification(note) if !note.is_for(Origin::Mqtt) => {}
            Input::Notification(note) => {
                let note = explained(note, &self.view);
                // What a result speaks of must be on its topics first.
                self.catch_up(&note);
                self.say_note(&note);
            }
            Input::Line(line) => self.publish(format!("{}/bridge/log", self.base()), line.to_string(), false),
            Input::Looked(topics) => self.looked(topics),
            Input::Measured { wanted, passes } => {
                if self.sizes.measured(wanted, passes) {
                    self.bridge.steady();
                    self.again_at.get_or_insert(self.now.up);
                }
                self.say_sizes();
            }
            Input::Refused(why) => {
                self.again_at = self.again_at.or(why.is_none().then_some(self.now.up));
                self.bridge.set_problem(REFUSED, why);
            }
            Input::Unsteady(why) => self.bridge.unsteady(why),
            Input::Tick => {}
            Input::Stop => return self.end(),
        }
        self.work();
    }

    /// The next thing to send or do, until there is none.
    pub fn outgoing(&mut self) -> Option<Outgoing> {
        self.out.pop_front()
    }

    /// When to come back with [`Input::Tick`], in [`Now::up`].
    pub fn wake_at(&self) -> Duration {
        let far = self.now.up + Duration::from_secs(3600);
        let paced = (!self.publisher.is_done()).then(|| self.now.up + self.pace.pause());
        let all = [
            paced,
            self.again_at,
            self.publisher.wake_at().filter(|_| !self.recovery.holds_energy()),
            self.announcements.wake_at(),
            self.bridge.wake_at(),
            self.rejections.wake_at(),
            self.recovery.ends_at(),
            self.peers.wake_at(),
        ];
        all.into_iter().flatten().fold(far, Duration::min)
    }

    /// The base topic of the run before, as long as something may stand there. That is taken back at the
    /// next connection, once [`former_is_free`](Self::former_is_free) has been said.
    pub fn former_base(&self) -> Option<&str> {
        self.previous.base()
    }

    /// Nobody else acts under the names of the run before (`true`), or somebody does and all there is
    /// theirs.
    pub fn former_is_free(&mut self, free: bool) {
        self.previous.is_free(free);
        if !free {
            let settings = Arc::clone(&self.settings);
            self.announcements.only_under(&settings.announcer.prefix);
        }
    }

    /// Begins a connection, so long after the session was last heard of.
    fn begin(&mut self, view: Arc<View>, away: Duration) {
        self.view = view;
        self.connections += 1;
        self.out.clear();
        self.asked.clear();
        self.again_at = None;
        self.bridge.connected(self.now.up);
        self.publisher = Publisher::default();
        self.announcements.connected();
        self.pace = Pace::full(self.now.up);
        self.sizes.connected();
        self.peers.connected();
        self.rejections = Rejections::default();
        self.cleanups.clear();
        self.subscribe_to_all();
        // Once more what the connection before may not have carried to the broker. The rest of what it may have
        // swallowed is said anew anyhow.
        let owned = migration::owned(self.announcer(), &self.view, self.announcements.memory());
        let again = self.cleared.take(self.now.up);
        self.clear(again.difference(&owned).cloned().collect());
        let memory = self.announcements.memory();
        let leftovers = self.previous.leftovers(&self.settings.announcer, &self.view, memory);
        self.clear(leftovers);
        let unnoticed = self.settings.address.keep_alive * 2;
        let mark = self.recovery.begin(self.now.up, away + unnoticed).then(|| self.look_at_meters());
        self.announce_all();
        if let Some(mark) = mark {
            self.subscribe(vec![mark]);
        }
    }

    /// Looks at the meters on the broker. Returns the topic whose message comes after theirs.
    fn look_at_meters(&mut self) -> String {
        let [port, plug, mark] = energy_recovery::filters(self.base());
        self.look_at(vec![port, plug]);
        mark
    }

    /// Another bridge was heard, or is gone, and may have metered.
    fn look_at_meters_again(&mut self) {
        if self.recovery.begin_again(self.now.up) {
            let mark = self.look_at_meters();
            self.subscribe(vec![mark]);
        }
    }

    fn subscribe_to_all(&mut self) {
        let base = self.base();
        let mut filters = incoming::filters(base).to_vec();
        filters.extend([format!("{base}/bridge/state"), peers::answers(base), peers::availabilities(base)]);
        filters.extend(self.recovery.in_vain().then(|| energy_recovery::mark(base)));
        filters.extend(self.announcer().is_on().then(|| self.settings.birth_topic.clone()));
        self.subscribe(filters);
    }

    /// The program stops: one last word. The plugs' topics keep their last truth.
    fn end(&mut self) {
        self.publish(format!("{}/bridge/state", self.base()), "offline", true);
    }

    fn announcer(&self) -> &Announcer {
        &self.settings.announcer
    }

    fn base(&self) -> &str {
        &self.settings.announcer.base
    }

    fn send(&mut self, out: Outgoing) {
        self.out.push_back(out);
    }

    fn publish(&mut self, topic: impl Into<String>, payload: impl Into<String>, retain: bool) {
        let (topic, payload) = (topic.into(), payload.into());
        if retain && payload.is_empty() {
            self.cleared.add(self.now.up, &topic);
        }
        if self.fits(&topic, topic.len() + payload.len(), retain) {
            self.send(Outgoing::Publish { topic, payload, retain });
        }
    }

    /// Whether a message may be published; else it is left out and told.
    fn fits(&mut self, topic: &str, size: usize, retain: bool) -> bool {
        let fits = self.sizes.fits(topic, size, retain);
        self.say_sizes();
        fits
    }

    fn say_sizes(&mut self) {
        if let Some(problem) = self.sizes.problem() {
            self.bridge.set_problem(TOO_LARGE, problem);
        }
    }

    fn clear(&mut self, topics: Vec<String>) {
        for topic in topics {
            self.announcements.clears(&topic);
            self.publish(topic, "", true);
        }
    }

    fn subscribe(&mut self, filters: Vec<String>) {
        self.send(Outgoing::Subscribe(filters.clone()));
        self.asked.push_back(filters);
    }

    fn look_at(&mut self, filters: Vec<String>) {
        self.send(Outgoing::LookAt(filters.clone()));
        self.asked.push_back(filters);
    }

    fn subscribed(&mut self, refused: &[usize]) {
        let asked = self.asked.pop_front().unwrap_or_default();
        self.announcements.echo.subscribed(self.now.up, &asked, !refused.is_empty());
        for filter in refused.iter().filter_map(|position| asked.get(*position)) {
            error!(
                filter,
                "subscription rejected by the broker; allow it in the broker's access rules, or commands on it are not received"
            );
        }
    }

    fn say_note(&mut self, note: &Notification) {
        let (topic, payload) = topics::note(self.base(), note, self.now.unix_ms);
        self.publish(topic, payload.to_string(), false);
    }

    fn say_event(&mut self, event: &OwnEvent<'_>) {
        let payload = event.json(self.now.unix_ms);
        self.publish(format!("{}/bridge/event", self.base()), payload.to_string(), false);
    }

    fn say_message(&mut self, message: &Message) {
        self.pace.spend(10.0);
        let settings = Arc::clone(&self.settings);
        let watch = self.announcements.published(&settings.announcer, &message.topic);
        self.publish(&message.topic, message.payload.to_string(), true);
        if watch {
            self.subscribe(vec![message.topic.clone()]);
        }
    }

    fn say(&mut self, said: Said) {
        said.messages.iter().for_each(|message| self.say_message(message));
        self.clear(said.emptied);
        self.keep(said.keep);
    }

    /// Has a change of what is kept written down.
    fn keep(&mut self, change: Option<Keep>) {
        change.into_iter().for_each(|change| self.send(Outgoing::HubRequest(HubRequest::Keep(change))));
    }

    fn respond(&mut self, verb: &str, mark: Option<&str>, result: Result<Value, String>) {
        let payload = answer::answer(result, mark);
        self.publish(format!("{}/bridge/response/{verb}", self.base()), payload.to_string(), false);
    }

    /// Everything again, in order.
    fn announce_all(&mut self) {
        let view = Arc::clone(&self.view);
        self.bridge.restart();
        self.say_bridge(&view);
        if let Some(message) = self.announcer().bridge() {
            self.say_message(&message);
        }
        for id in self.publisher.gone(&view) {
            self.drop_plug(&id);
        }
        self.forget_strangers(&view);
        self.publisher.restart(&view);
        self.online = false;
    }

    /// Announcements of earlier runs for plugs that are not ours any more are taken back.
    fn forget_strangers(&mut self, view: &View) {
        let gone = |id: &&PlugId| !view.plugs.get(*id).is_some_and(|plug| topics::shown(plug));
        let gone: Vec<PlugId> = self.announcements.memory().plugs().filter(gone).cloned().collect();
        for id in gone {
            let announced = self.announcements.memory().announced(&id);
            for tail in announced.map(migration::state_tails).unwrap_or_default() {
                self.publish(format!("{}/{id}/{tail}", self.base()), "", true);
            }
            self.announce(&id, None);
            if !view.plugs.contains_key(&id) {
                let keep = self.announcements.forget_deletion(&id);
                self.keep(keep);
            }
        }
    }

    /// Brings topics up to date as far as the pace allows.
    fn work(&mut self) {
        let now = self.now.up;
        self.pace.refill(now);
        let view = Arc::clone(&self.view);
        self.publisher.look(&view);
        while self.pace.allows()
            && self.out.len() < FULL
            && let Some(id) = self.publisher.next()
        {
            self.bring_up_to_date(&id, &view);
        }
        self.mind_peers();
        if let Some(problem) = self.announcements.echo.problem(now, self.sizes.leaves_out()) {
            self.bridge.set_problem(DISCOVERY, problem);
        }
        self.say_bridge(&view);
        if !self.recovery.holds_energy() {
            for (topic, payload) in self.publisher.snapshots(now, &self.settings.announcer.base) {
                self.publish(topic, payload, true);
            }
        }
        while let Some(said) = self.announcements.due(now) {
            self.say(said);
        }
        if self.rejections.looks(now) {
            // Subscribing again to the same filters makes the broker show what it has retained.
            let [requests, set, set_port, _] = incoming::filters(self.base());
            self.subscribe(vec![set, set_port, requests]);
        }
        if self.again_at.take_if(|at| *at <= now).is_some() {
            self.announce_all();
        }
        if self.publisher.is_done() && !self.online {
            self.online = true;
            self.publish(format!("{}/bridge/state", self.base()), "online", true);
            if self.previous.all_told() {
                let keep = self.announcements.name(&previous_names::names(&self.settings.announcer));
                self.keep(Some(keep));
            }
        }
        self.end_recovery();
        if self.recovery.releases_energy(view.bridge.meters_read) {
            self.publisher.catch_up(&view);
        }
        if self.online
            && let Some(size) = self.sizes.probe()
        {
            self.send(Outgoing::Measure(size));
        }
    }

    /// Brings the plug that a note speaks of up to date, whatever the pace says.
    fn catch_up(&mut self, note: &Notification) {
        self.work();
        if let Some(id) = note.plug()
            && self.publisher.take(id)
        {
            let view = Arc::clone(&self.view);
            self.bring_up_to_date(id, &view);
        }
    }

    fn bring_up_to_date(&mut self, id: &PlugId, view: &View) {
        let Some(plug) = view.plugs.get(id) else { return self.drop_plug(id) };
        let held = self.recovery.holding(plug, self.publisher.sent(id));
        let plug = held.as_ref().unwrap_or(plug);
        let renewed = self.publisher.renew(self.now.up, &self.settings.announcer.base, id, plug);
        if renewed.announce {
            self.announce(id, Some(plug));
        }
        for message in renewed.messages {
            self.pace.spend(1.0);
            self.publish(message.topic, message.payload, true);
        }
        if renewed.listed {
            self.bridge.list_changed(self.now.up);
        }
    }

    /// A plug is gone: nothing of it stays on the broker.
    fn drop_plug(&mut self, id: &PlugId) {
        let settings = Arc::clone(&self.settings);
        let Some(topics) = self.publisher.remove(&settings.announcer.base, id) else { return };
        for topic in topics {
            self.publish(topic, "", true);
        }
        self.announce(id, None);
        let keep = self.announcements.forget_deletion(id);
        self.keep(keep);
        self.bridge.list_changed(self.now.up);
    }

    /// Announces a plug, or takes its announcement back.
    fn announce(&mut self, id: &PlugId, plug: Option<&PlugView>) {
        let said = self.announcements.announce(self.now.up, &self.settings.announcer, id, plug);
        self.say(said);
    }

    fn say_bridge(&mut self, view: &View) {
        let renewed = self.bridge.renew(self.now.up, &self.settings, view, self.publisher.is_done());
        for (topic, payload) in renewed.messages {
            self.publish(topic, payload, true);
        }
        if renewed.health {
            self.send(Outgoing::Health(Health::Topic));
        }
    }

    /// Topic, payload and retain flag of what [`Outgoing::Health`] asked for; `None` when the broker takes no
    /// message of that size.
    pub fn health(&mut self, wanted: &Health, figures: Metrics) -> Option<(String, String, bool)> {
        let reconnects = self.connections.saturating_sub(1);
        let health = self.bridge.health(&self.view, self.settings.facts.version, reconnects, figures);
        let base = self.base();
        let (topic, payload, retain) = match wanted {
            Health::Topic => (format!("{base}/bridge/health"), health.to_string(), true),
            Health::Check(mark) => {
                let payload =
                    answer::answer(Ok(Peer::own(&self.settings.facts).healthy(health)), mark.as_deref());
                (peers::answers(base), payload.to_string(), false)
            }
        };
        self.fits(&topic, topic.len() + payload.len(), retain).then_some((topic, payload, retain))
    }

    fn received(&mut self, received: Received) {
        let now = self.now.up;
        match received.0 {
            Rest::Retained(topic) => self.refuse_retained(&topic),
            Rest::Full(order) => self.refuse_full(order),
            Rest::Obeyed(topic) => self.rejections.obeyed(now, topic),
            Rest::Other(Incoming::Own(own, mark), _) => self.own(&own, mark),
            Rest::Other(refused, said) if self.rejections.again(now, &refused, said) => {}
            Rest::Other(refused, _) => self.refuse(refused),
            Rest::Birth => {
                let wait = Duration::from_millis(1000 + self.now.nonce % 3000);
                debug!("Home Assistant has started; everything is announced again in {wait:?}");
                self.again_at.get_or_insert(now + wait);
            }
            Rest::Emptied(topic) => self.discovery_cleared(&topic),
            Rest::Announced => self.announcements.echo.came_back(),
            Rest::Metered(metered) => self.recovery.take(now, metered),
            Rest::Mark => self.recovery.marked(now),
            Rest::NotOnline if self.online => self.peers.not_online_heard(now),
            Rest::NotOnline => {}
            Rest::Availability(id, word) => {
                if let Some(plug) = self.publisher.sent(&id).filter(|plug| topics::shown(plug)) {
                    let right = word == topics::availability(plug);
                    self.peers.availability_heard(now, id, right);
                }
            }
            Rest::Info(peer) => {
                self.peers.info_heard(now);
                peer.into_iter().for_each(|peer| self.peer_heard(peer));
            }
            Rest::DeviceResponse(peer)
                if peer.outranks(&Peer::own(&self.settings.facts)) && !peer.run.is_empty() =>
            {
                if self.peers.yields() {
                    self.send(Outgoing::Yield(peer));
                }
            }
            Rest::DeviceResponse(peer) => self.peer_heard(peer),
        }
    }

    fn own(&mut self, own: &OwnRequest, mark: Option<String>) {
        match own {
            OwnRequest::Republish => {
                self.announce_all();
                self.respond("republish", mark.as_deref(), Ok(json!({})));
            }
            OwnRequest::HealthCheck => self.send(Outgoing::Health(Health::Check(mark))),
            OwnRequest::Restart => {
                self.respond("restart", mark.as_deref(), Ok(json!({})));
                info!("restarting as requested");
                self.send(Outgoing::Restart);
            }
            OwnRequest::Cleanup { dry_run } => match self.cleanups.ask(*dry_run, mark) {
                Ok(true) => self.send(Outgoing::LookAround),
                Ok(false) => {}
                Err((mark, full)) => self.respond("cleanup", mark.as_deref(), full),
            },
        }
    }

    /// Answers all who have asked for a cleanup.
    fn looked(&mut self, topics: Result<Vec<String>, String>) {
        let orphans = topics.map(|topics| {
            let owned = migration::owned(self.announcer(), &self.view, self.announcements.memory());
            topics.into_iter().filter(|topic| !owned.contains(topic)).collect::<Vec<String>>()
        });
        let clears = self.cleanups.clears();
        let answers = self.cleanups.answers(&orphans);
        if let Ok(orphans) = orphans
            && clears
        {
            info!(topics = orphans.len(), "cleared orphaned retained topics");
            self.clear(orphans);
        }
        for (mark, result) in answers {
            self.respond("cleanup", mark.as_deref(), result);
        }
    }

    /// One of our discovery topics was cleared: by us, or by Home Assistant for its user.
    fn discovery_cleared(&mut self, topic: &str) {
        let Some(id) = self.announcements.cleared(topic) else { return };
        let deleted = self.settings.respect_deletion;
        let again = "it comes back when Home Assistant or this bridge starts again";
        let comes_back = if deleted { "and stays so" } else { again };
        warn!(plug = %id, "device deleted in Home Assistant; {comes_back}");
        self.say_event(&OwnEvent::DiscoveryCleared(&id));
        if deleted {
            let keep = self.announcements.delete(&id);
            self.keep(keep);
            self.announce(&id, None);
        }
    }

    fn end_recovery(&mut self) {
        let (base, read) = (&self.settings.announcer.base, self.view.bridge.meters_read);
        let Some(recovered) = self.recovery.end(self.now.up, base, read) else { return };
        if recovered.problem.is_some() {
            self.bridge.set_problem(READ_BACK, recovered.problem);
        }
        let [port, plug, _] = energy_recovery::filters(self.base());
        self.send(Outgoing::Unsubscribe(vec![port, plug]));
        self.send(Outgoing::HubRequest(recovered.told));
    }

    fn peer_heard(&mut self, peer: Peer) {
        let (sentence, run) = (peer.sentence(self.base()), peer.run.clone());
        if self.peers.heard(self.now.up, peer) {
            warn!("{sentence}");
            self.bridge.set_problem(ANOTHER_BRIDGE, Some(sentence));
            self.say_event(&OwnEvent::AnotherBridge(&run));
            self.again_at.get_or_insert(self.now.up + AGAIN);
            self.look_at_meters_again();
        }
    }

    /// Puts our own words right, and looks whether the other one is still there.
    fn mind_peers(&mut self) {
        let due = self.peers.due(self.now.up);
        if due.state && self.online {
            let topic = format!("{}/bridge/state", self.base());
            warn!("another client published on {topic} that this bridge is offline; corrected");
            self.publish(topic, "online", true);
        }
        for id in due.availability {
            let Some(plug) = self.publisher.sent(&id) else { continue };
            let (topic, word) = (format!("{}/{id}/availability", self.base()), topics::availability(plug));
            warn!(topic, "another client published a wrong availability; corrected to {word}");
            self.publish(topic, word, true);
        }
        if due.info && !self.bridge.info().is_empty() {
            let info = self.bridge.info().to_owned();
            self.publish(format!("{}/bridge/info", self.base()), info, true);
        }
        if due.gone {
            info!("the other bridge on {} is gone", self.base());
            self.bridge.set_problem(ANOTHER_BRIDGE, None);
            self.again_at.get_or_insert(self.now.up);
            self.look_at_meters_again();
        }
        if due.ask {
            let ask = json!({"transaction": self.settings.facts.run}).to_string();
            self.publish(format!("{}/bridge/request/health_check", self.base()), ask, false);
        }
    }

    /// Tells who sent something that is not obeyed, and why.
    fn refuse(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Bad(plug, mark, error, why) => {
                warn!(%plug, "command rejected: {why}");
                self.fail(plug, mark, error, &why);
            }
            Incoming::BadRequest(verb, transaction, why) => {
                warn!(verb, "request rejected: {why}");
                self.respond(&verb, transaction.as_deref(), Err(why));
            }
            Incoming::Nobody(device, mark) => {
                let why = nobody(&device, &self.view);
                let payload = topics::refusal(mark, CommandError::UnknownDevice, &why, self.now.unix_ms);
                self.publish(format!("{}/{device}/response", self.base()), payload.to_string(), false);
            }
            Incoming::NobodyToGet(device) => drop(nobody(&device, &self.view)),
            Incoming::Own(..) | Incoming::HubRequest(_) => {}
        }
    }

    /// A command that lay on the broker must not fire, now or ever.
    fn refuse_retained(&mut self, topic: &str) {
        self.clear(vec![topic.to_owned()]);
        let copy = self.rejections.is_copy(self.now.up, topic);
        warn!(topic, "retained command: {}", if copy { "copy cleared" } else { "rejected and cleared" });
        if let Some(Topic::Set(device, port)) = incoming::topic(self.base(), topic)
            && let Some(plug) = PlugId::new(device)
        {
            let number = port.and_then(|port| port.parse().ok()).unwrap_or(0);
            self.say_event(&OwnEvent::RetainedCommand(&plug, number));
            if !copy {
                self.fail(plug, None, CommandError::Retained, "a retained command is never obeyed");
            }
        }
    }

    /// The hub has no room for this.
    fn refuse_full(&mut self, order: HubRequest) {
        if let HubRequest::Switch(order) = order {
            self.fail(order.plug, order.asker.mark, CommandError::Busy, "too many commands at once");
        } else if let HubRequest::Request(_, asker) = order {
            self.respond("unknown", asker.mark.as_deref(), Err("too many requests at once".into()));
        }
    }

    /// Says that a command failed, and what the relays really are.
    fn fail(&mut self, plug: PlugId, id: Option<String>, error: CommandError, detail: &str) {
        self.say_note(&Notification::Result(failed(plug.clone(), id, error, detail, self.now.unix_ms)));
        let Some(sent) = self.publisher.sent(&plug) else { return };
        if self.rejections.springs_back(self.now.up, &plug) {
            let states = topics::retained(&self.settings.announcer.base, sent);
            for state in states.into_iter().filter(|message| message.nature == Nature::State) {
                self.publish(state.topic, state.payload, true);
            }
        }
    }
}

#[cfg(test)]
mod tests;
