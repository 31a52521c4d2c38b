//! The program under test: hub, dialects, conversations and session, driven by the world instead of
//! by sockets and timers. What `io/engine.rs` and `sinks/mqtt/connection.rs` do with a runtime is done
//! here without.

use crate::broker::{Link, fits};
use crate::check::{Broken, Checked};
use crate::plan::{BASE, PREFIX};
use crate::plugs::Said;
use crate::trouble::Trouble;
use crate::world::{Event, Socket, World, tell};
use plug2mqtt::drivers::{self, Dialect, Message};
use plug2mqtt::hub::{Effect, Hub, Input};
use plug2mqtt::io::conversation::{Conversation, Turn};
use plug2mqtt::io::dialects::Dialects;
use plug2mqtt::io::engine::{LAST_WORDS, MAX_SEARCHES};
use plug2mqtt::io::search::{QUICK, Search};
use plug2mqtt::io::store;
use plug2mqtt::model::{
    Asker, CommandResult, DeviceRequest, DeviceResponse, Endpoint, FIRST_CONTACT, Failure, Family,
    HubRequest, Notification, Outcome, PersistedState, Request, Response, View, Who,
};
use plug2mqtt::sinks::mqtt::contract::{self, Outgoing};
use plug2mqtt::sinks::mqtt::router::{Received, Routed, Router};
use plug2mqtt::sinks::mqtt::session::Session;
use plug2mqtt::sinks::mqtt::{self, Metrics};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// What one input may make the session send.
const MAX_OUT: usize = 1500;

pub(crate) struct Bridge {
    pub(crate) run: u64,
    pub(crate) started: Duration,
    pub(crate) hub: Hub,
    pub(crate) session: Session,
    router: Router,
    dialects: Dialects,
    pub(crate) talks: BTreeMap<u64, Talk>,
    searches: BTreeMap<u64, Searching>,
    /// As the session last saw it.
    pub(crate) view: Arc<View>,
    pub(crate) orders: VecDeque<HubRequest>,
    /// The number of its connection to the broker.
    pub(crate) link: Option<u64>,
    /// When the last connection was lost.
    lost_at: Option<Duration>,
    /// It is told to stop, and may take so long.
    pub(crate) stopping: Option<Duration>,
    /// The hub knows that it has to stop.
    pub(crate) stop_begun: bool,
    /// State files being written, oldest first.
    pub(crate) saving: VecDeque<Vec<u8>>,
}

pub(crate) struct Talk {
    who: Who,
    place: Endpoint,
    dialect: Box<dyn Dialect>,
    conversation: Conversation,
    step: u32,
    began: Duration,
    limit: Duration,
    datagram: Vec<u8>,
    /// It is asked who it is.
    asks_who: bool,
    /// How often it was.
    nameless: u32,
    /// The last reply that came as the plug said it.
    said: Option<Said>,
    /// Relays have moved between two of its replies.
    moved: bool,
    inplug: bool,
    /// Where its relays were at the one before.
    relays: Option<Vec<bool>>,
}

struct Searching {
    driver: &'static str,
    family: Family,
    /// Asked one by one; the others hear it as part of everybody.
    named: BTreeSet<Ipv4Addr>,
    began: Duration,
    search: Search,
}

/// The state file and the one before it.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    pub(crate) state: Option<Vec<u8>>,
    pub(crate) before: Option<Vec<u8>>,
    /// Every text that was ever written whole.
    written: BTreeSet<Vec<u8>>,
}

impl Disk {
    pub(crate) fn save(&mut self, text: Vec<u8>) {
        self.written.insert(text.clone());
        self.replace(text);
    }

    /// Puts a text in the place of the file, whole or not.
    pub(crate) fn replace(&mut self, text: Vec<u8>) {
        self.before = self.state.take().or(self.before.take());
        self.state = Some(text);
    }

    /// As `Store::load`.
    fn load(&mut self) -> Result<PersistedState, Broken> {
        for (older, file) in [(false, &self.state), (true, &self.before)] {
            let Some(text) = file else { continue };
            let Ok(memory) = store::decode(text) else { continue };
            // The end of the last line may be missing.
            let whole = self.written.iter().any(|written| written.trim_ascii_end() == text.trim_ascii_end());
            if !whole {
                return Err(Broken::of(3, "a damaged state file is believed"));
            }
            self.written = [&self.state, &self.before].into_iter().flatten().cloned().collect();
            return Ok(PersistedState { older, ..memory });
        }
        Ok(PersistedState::default())
    }
}

impl Bridge {
    /// When anything in it wants to be woken, in the world's time.
    pub(crate) fn wake_at(&self) -> Duration {
        let talks = self.talks.values().map(|talk| talk.conversation.wake_at()).min();
        let session = self.link.map(|_| self.session.wake_at());
        let up = [talks, session].into_iter().flatten().fold(self.hub.wake_at(), Duration::min);
        self.started.saturating_add(up)
    }
}

impl World {
    pub(crate) fn start(&mut self) -> Checked {
        if self.bridge.is_some() {
            return Ok(());
        }
        let run = self.number();
        let memory = self.disk.load()?;
        tell!(self, "the bridge starts, remembering {} plugs", memory.plugs.len());
        let now = self.moment();
        if let Some(changed) = self.plan.changed.take() {
            self.plan.settings = changed;
            self.check.reshaped();
        }
        let settings = Arc::clone(&self.plan.settings);
        let kept = mqtt::Memory::read(&memory.sinks.section(mqtt::SECTION));
        let hub = Hub::new(self.plan.rules.clone(), memory, &now);
        let view = hub.view();
        let mut session = Session::new(Arc::clone(&settings), kept, Arc::clone(&view), &now);
        // Nobody else is here.
        session.former_is_free(true);
        self.bridge = Some(Bridge {
            run,
            started: self.now,
            session,
            router: Router::new(settings),
            hub,
            dialects: Dialects::default(),
            talks: BTreeMap::new(),
            searches: BTreeMap::new(),
            view,
            orders: VecDeque::new(),
            link: None,
            lost_at: None,
            stopping: None,
            stop_begun: false,
            saving: VecDeque::new(),
        });
        self.check.started();
        if self.check.crashed {
            self.check.meters.crashed(&self.broker.retained);
        }
        self.later(Duration::from_millis(5), Event::Connect { run });
        Ok(())
    }

    fn bridge(&mut self) -> &mut Bridge {
        self.bridge.as_mut().expect("only called while it runs")
    }

    /// Its time has come.
    pub(crate) fn wake_bridge(&mut self) -> Checked {
        let Some(bridge) = &self.bridge else { return Ok(()) };
        let up = self.now - bridge.started;
        let talk = bridge.talks.iter().find(|(_, talk)| talk.conversation.wake_at() <= up);
        if let Some((&number, _)) = talk {
            let now = self.moment();
            let Some(talk) = self.bridge().talks.get_mut(&number) else { return Ok(()) };
            let turn = talk.conversation.time(talk.dialect.as_mut(), &now);
            return self.turn(number, turn);
        }
        if bridge.hub.wake_at() <= up {
            return self.hub(Input::Tick);
        }
        self.session(contract::Input::Tick)
    }

    /// Hands something to the hub, does what it wants and shows what has changed.
    pub(crate) fn hub(&mut self, input: Input) -> Checked {
        let now = self.moment();
        let Some(bridge) = &mut self.bridge else { return Ok(()) };
        bridge.hub.handle(&now, input);
        let effects: Vec<Effect> = std::iter::from_fn(|| bridge.hub.effect()).collect();
        let view = bridge.hub.view();
        let changed = !Arc::ptr_eq(&view, &bridge.view);
        let mut notes = Vec::new();
        if changed {
            let old = std::mem::replace(&mut self.bridge().view, Arc::clone(&view));
            self.tell_twins_apart();
            self.check_view(&old, &view)?;
            self.session(contract::Input::Shown(view))?;
        }
        for effect in effects {
            if let Effect::Tell(note) = effect {
                if let Notification::Plug(id, event) = &note {
                    let now = self.now;
                    self.check.told(now, id, event, &self.plugs)?;
                }
                notes.push(note);
            } else {
                self.carry_out(effect)?;
            }
        }
        for note in notes {
            self.told(note)?;
        }
        self.take_orders()
    }

    fn take_orders(&mut self) -> Checked {
        while let Some(order) = self.bridge.as_mut().and_then(|bridge| bridge.orders.pop_front()) {
            self.hub(Input::Commanded(order))?;
        }
        Ok(())
    }

    fn carry_out(&mut self, effect: Effect) -> Checked {
        match effect {
            Effect::Talk { who, place, ask, limit } => self.start_talk(who, place, &ask, limit),
            Effect::Probe(missing) => {
                self.start_search(&missing, true);
                Ok(())
            }
            Effect::DeviceRequest(hosts) => {
                self.start_search(&hosts, false);
                Ok(())
            }
            Effect::Reattach(id) => {
                self.bridge().dialects.drop_dialect(&id);
                Ok(())
            }
            Effect::Save => {
                let run = self.bridge().run;
                let text = store::encode(&self.bridge().hub.memory()).expect("a memory can be written");
                self.bridge().saving.push_back(text.clone());
                let delay = self.random.ms(1, 30);
                self.later(delay, Event::Saved { run, text });
                Ok(())
            }
            Effect::Tell(_) | Effect::Log(_) => Ok(()),
        }
    }

    pub(crate) fn saved(&mut self, run: u64, text: Vec<u8>) -> Checked {
        if let Some(bridge) = self.bridge.as_mut().filter(|bridge| bridge.run == run) {
            bridge.saving.pop_front();
            self.disk.save(text);
            return self.hub(Input::Saved(Ok(())));
        }
        Ok(())
    }

    /// What is told of ports that go back, or do not any more, is on the disk by then.
    fn told_is_written(&self, result: &CommandResult) -> Checked {
        let Some(bridge) = self.bridge.as_ref().filter(|_| result.error.is_none()) else { return Ok(()) };
        let written =
            self.disk.state.as_deref().and_then(|text| store::decode(text).ok()).unwrap_or_default();
        let memory = bridge.hub.memory();
        let back =
            |memory: &PersistedState, port: u8| Some(memory.plugs.get(&result.plug)?.reverts.get(&port)?.on);
        let timed = self.check.is_timed(result);
        let differs = |port: &&u8| {
            let (known, kept) = (back(&memory, **port), back(&written, **port));
            // A hand at the plug may have ended it a moment ago.
            known != kept && !(timed && known.is_none())
        };
        match result.ports.keys().find(differs) {
            Some(port) if !self.check.has_newer(result) => {
                Err(Broken::of(1, format!("told before the return of port {port} is written: {result:?}")))
            }
            _ => Ok(()),
        }
    }

    /// A note from the hub, on its way to whoever is there.
    fn told(&mut self, note: Notification) -> Checked {
        let connected = self.bridge().link.is_some();
        tell!(self, "note: {note:?}");
        let now = self.now;
        if let Notification::Result(result) = &note {
            self.told_is_written(result)?;
            self.check.result(now, result)?;
        }
        if let Notification::Response(Response { verb, asker: Asker { mark: Some(mark), .. }, .. }) = &note {
            self.check.answered(now, verb, mark)?;
        }
        if connected { self.session(contract::Input::Notification(Arc::new(note))) } else { Ok(()) }
    }

    fn start_talk(&mut self, who: Who, place: Endpoint, ask: &DeviceRequest, limit: Duration) -> Checked {
        let number = self.number();
        let now = self.moment();
        let (started, global) = (self.bridge().started, self.now);
        if let Who::Plug(id) = &who
            && let DeviceRequest::Switch(switch) = ask
        {
            let ports = self.bridge().view.plugs.get(id).map_or(0, |plug| plug.offer.ports);
            self.check.begins_switching(global, number, id, switch, ports, global + limit)?;
        }
        let bridge = self.bridge();
        if bridge.talks.values().any(|talk| talk.who == who || talk.place == place) {
            return Err(Broken::of(1, format!("a second conversation with {who:?} at {place}")));
        }
        let paces = self.plan.rules.families.values();
        let first = paces.map(|pace| pace.timeout * FIRST_CONTACT).max().unwrap_or_default();
        if limit > first.max(Duration::from_secs(10)) {
            return Err(Broken::of(1, format!("a conversation may take {limit:?}")));
        }
        let families = self.plan.families.clone();
        let Bridge { dialects, hub, .. } = self.bridge();
        let attach = || {
            let (found, options) = hub.attachment(&who)?;
            let family = families.get(found.driver)?;
            Some(drivers::named(found.driver)?.attach(family, &found, &options))
        };
        let Some(mut dialect) = dialects.take(&who, attach) else {
            return Err(Broken::of(1, format!("nobody can speak with {who:?}; it is waited for for ever")));
        };
        let (conversation, turn) = Conversation::begin(dialect.as_mut(), ask, limit, &now);
        let talk = Talk {
            inplug: matches!(&who, Who::Plug(id) if id.as_str().starts_with("inplug-")),
            who,
            place,
            dialect,
            conversation,
            step: 0,
            began: now.up,
            limit,
            datagram: Vec::new(),
            asks_who: false,
            nameless: 0,
            said: None,
            moved: false,
            relays: None,
        };
        debug_assert!(started + now.up == global);
        self.bridge().talks.insert(number, talk);
        self.turn(number, turn)
    }

    fn turn(&mut self, number: u64, turn: Turn) -> Checked {
        let latency = self.latency();
        let Some(talk) = self.bridge().talks.get_mut(&number) else { return Ok(()) };
        let IpAddr::V4(ip) = talk.place.ip else { return Ok(()) };
        match turn {
            Turn::Listen => {}
            Turn::Send(message) => {
                talk.step += 1;
                // A reading of an INPLUG stands without its power, which is asked for last.
                if !talk.inplug {
                    talk.said = None;
                }
                talk.asks_who = false;
                let step = talk.step;
                match message {
                    Message::Get(target) => {
                        self.later(latency, Event::HttpAt { talk: number, step, ip, target })
                    }
                    Message::Post(..) => return Err(Broken::of(1, "no plug here understands POST")),
                    Message::Datagram(bytes) => {
                        talk.asks_who = bytes.starts_with(b"00");
                        talk.nameless += u32::from(talk.asks_who);
                        let nameless = talk.nameless > 1;
                        talk.datagram.clone_from(&bytes);
                        if nameless {
                            self.check.nameless.insert(number);
                        }
                        self.send_datagram(Socket::Talk(number, step), ip, &bytes, false);
                    }
                }
            }
            Turn::Again => {
                let (step, bytes) = (talk.step, talk.datagram.clone());
                self.send_datagram(Socket::Talk(number, step), ip, &bytes, false);
            }
            Turn::Over(result) => return self.come_home(number, *result),
        }
        Ok(())
    }

    pub(crate) fn talk_hears(
        &mut self,
        number: u64,
        step: u32,
        reply: Result<Vec<u8>, Failure>,
        said: Option<Said>,
    ) -> Checked {
        if self.bridge.is_none() {
            return Ok(());
        }
        let now = self.moment();
        let talk = self.bridge().talks.get_mut(&number);
        // The socket of an earlier step, or of a conversation that is over, is closed.
        let Some(talk) = talk.filter(|talk| talk.step == step) else { return Ok(()) };
        if let Some(mut said) = said {
            // Of several questions about one reading, a hand may have moved a relay between.
            let before = talk.relays.replace(said.relays.clone());
            talk.moved |= talk.inplug && before.is_some_and(|before| before != said.relays);
            said.tells_relays &= !talk.moved;
            talk.said = Some(said);
            if talk.asks_who {
                self.check.nameless.remove(&number);
            }
        }
        let Some(talk) = self.bridge().talks.get_mut(&number) else { return Ok(()) };
        let reply = reply.as_deref().map_err(Clone::clone);
        let turn = talk.conversation.hear(talk.dialect.as_mut(), reply, &now);
        self.turn(number, turn)
    }

    fn come_home(&mut self, number: u64, mut result: Result<DeviceResponse, Failure>) -> Checked {
        let up = self.now - self.bridge().started;
        let Some(mut talk) = self.bridge().talks.remove(&number) else { return Ok(()) };
        let took = up - talk.began;
        if took > talk.limit || talk.conversation.requests() > drivers::MAX_STEPS {
            let requests = talk.conversation.requests();
            return Err(Broken::of(1, format!("a conversation took {took:?} and {requests} requests")));
        }
        tell!(self, "{:?} at {}: {}", talk.who, talk.place, brief(&result));
        if let (Who::Plug(id), Ok(DeviceResponse::Reading(reading))) = (&talk.who, &mut result) {
            let owner = self.owner(id);
            let now = self.now;
            if let Some(said) = &mut talk.said {
                // After switching, an INPLUG is not asked for its power.
                if reading.ports.iter().all(|port| port.watts.is_none()) {
                    said.watts = self.check.said_watts(id);
                }
                let (plug, now_s) = (said.plug, self.now_s());
                let drawn = self.plugs[plug].drawn(now_s);
                if let ([port], Some(counter)) = (&mut reading.ports[..], &mut self.plugs[plug].counter) {
                    port.energy = counter.tell(now_s, drawn);
                }
                self.check.meters.fed(id, plug, drawn);
            }
            self.check.read(now, number, id, owner, talk.said)?;
        } else if let (Who::Plug(id), Ok(_), Some(said)) = (&talk.who, &result, &talk.said) {
            let owner = self.owner(id);
            self.check.believed(number, id, owner, said.plug);
        }
        let requests = talk.conversation.requests();
        self.bridge().dialects.come_home(&talk.who, talk.dialect, result.is_err());
        self.hub(Input::Answered(Outcome { who: talk.who, result, requests, took }))
    }

    fn start_search(&mut self, missing: &[(&'static str, Endpoint)], wide: bool) {
        let now = self.moment();
        for (name, family) in self.plan.families.clone() {
            if self.bridge().searches.len() >= MAX_SEARCHES {
                return;
            }
            let number = self.number();
            let theirs = missing.iter().filter(|(driver, _)| *driver == name);
            let theirs =
                theirs.filter_map(|(_, place)| if let IpAddr::V4(ip) = place.ip { Some(ip) } else { None });
            let mut named: BTreeSet<Ipv4Addr> = theirs.collect();
            // Where broadcasts do not get through, the addresses are named in the settings.
            if wide && !self.plan.broadcast {
                named.extend(self.hosts(name));
            }
            let everybody = self.plugs.iter().map(|plug| plug.ip);
            let targets = if wide && self.plan.broadcast { everybody.collect() } else { BTreeSet::new() };
            let targets = targets.union(&named).copied().collect();
            let driver = drivers::named(name).expect("a driver");
            let search = Search::begin(driver, &family, &now, &QUICK, targets, BTreeMap::new());
            let searching = Searching { driver: name, family, named, began: self.now, search };
            self.bridge().searches.insert(number, searching);
            self.later(Duration::ZERO, Event::SearchAsks { search: number });
        }
    }

    /// The addresses of a family's plugs.
    fn hosts(&self, driver: &str) -> BTreeSet<Ipv4Addr> {
        self.plugs.iter().filter(|plug| plug.driver() == driver).map(|plug| plug.ip).collect()
    }

    pub(crate) fn search_asks(&mut self, number: u64) -> Checked {
        let now = self.now;
        let Some(bridge) = &mut self.bridge else { return Ok(()) };
        let Some(Searching { search, began, named, .. }) = bridge.searches.get_mut(&number) else {
            return Ok(());
        };
        if let Some(go) = search.ask(now - *began) {
            let (next, probes, named) = (*began + search.wake_at(), search.probes().to_vec(), named.clone());
            self.later(next - now, Event::SearchAsks { search: number });
            for ip in go {
                for probe in &probes {
                    self.send_datagram(Socket::Search(number), ip, &probe.bytes, !named.contains(&ip));
                }
            }
            return Ok(());
        }
        let Some(Searching { driver, family, named, search, .. }) = bridge.searches.remove(&number) else {
            return Ok(());
        };
        let mut silent = if self.plan.broadcast { BTreeSet::new() } else { self.hosts(driver) };
        silent.retain(|ip| named.contains(ip) && !search.answered().contains(&IpAddr::V4(*ip)));
        let place = |ip| Endpoint { ip: IpAddr::V4(ip), http: family.http_port, udp: family.udp_port };
        self.hub(Input::Unheard(silent.into_iter().map(|ip| (driver, place(ip))).collect()))
    }

    pub(crate) fn search_hears(&mut self, number: u64, ip: Ipv4Addr, bytes: &[u8]) -> Checked {
        let searching = self.bridge.as_mut().and_then(|bridge| bridge.searches.get_mut(&number));
        let Some(Searching { search, family, .. }) = searching else { return Ok(()) };
        let from = SocketAddr::from((ip, family.udp_port));
        match search.hear(from, bytes) {
            Some(heard) => self.hub(heard.into()),
            None => Ok(()),
        }
    }

    /// Hands something to the session, if it is connected, and does what it wants.
    pub(crate) fn session(&mut self, input: contract::Input) -> Checked {
        let now = self.moment();
        let Some(bridge) = self.bridge.as_mut().filter(|bridge| bridge.link.is_some()) else {
            return Ok(());
        };
        let result = if let contract::Input::Notification(note) = &input
            && let Notification::Result(result) = &**note
        {
            Some(format!("{BASE}/{}/response", result.plug))
        } else {
            None
        };
        bridge.session.handle(&now, input);
        let out: Vec<Outgoing> = std::iter::from_fn(|| bridge.session.outgoing()).collect();
        if out.len() > MAX_OUT {
            return Err(Broken::of(1, format!("the session wants {} things sent at once", out.len())));
        }
        if let Some(wanted) = result {
            let said = out.iter().filter(
                |out| matches!(out, Outgoing::Publish { topic, retain: false, .. } if *topic == wanted),
            );
            if said.count() != 1 {
                return Err(Broken::of(1, format!("a result was not published once on {wanted}")));
            }
        }
        for outgoing in out {
            self.go_out(outgoing)?;
        }
        Ok(())
    }

    fn go_out(&mut self, outgoing: Outgoing) -> Checked {
        let link = self.bridge().link.unwrap_or_default();
        match outgoing {
            Outgoing::Publish { topic, payload, retain } => self.publish(link, topic, payload, retain),
            Outgoing::Subscribe(filters) | Outgoing::LookAt(filters) => {
                self.subscribe(link, &filters);
                Ok(())
            }
            Outgoing::Unsubscribe(filters) => {
                if let Some(link) = self.live_link(link) {
                    link.filters.retain(|filter| !filters.contains(filter));
                }
                Ok(())
            }
            Outgoing::HubRequest(order) => {
                self.bridge().orders.push_back(order);
                Ok(())
            }
            Outgoing::Health(wanted) => match self.bridge().session.health(&wanted, Metrics::default()) {
                Some((topic, payload, retain)) => self.publish(link, topic, payload, retain),
                None => Ok(()),
            },
            // This broker takes everything.
            Outgoing::Measure(_) => Ok(()),
            Outgoing::Yield(peer) => panic!("there is no other bridge: {peer:?}"),
            Outgoing::LookAround => {
                let run = self.bridge().run;
                let ours = format!("\"{BASE}/bridge/state\"");
                let mine = |topic: &str, payload: &str| {
                    fits(&format!("{BASE}/#"), topic)
                        || (fits(&format!("{PREFIX}/+/+/config"), topic)
                            || fits(&format!("{PREFIX}/+/+/+/config"), topic))
                            && payload.contains(&ours)
                };
                let topics = self.broker.retained.iter().filter(|(topic, payload)| mine(topic, payload));
                let topics = topics.map(|(topic, _)| topic.clone()).collect();
                let delay = self.random.ms(700, 2000);
                self.later(delay, Event::LookedAround { run, link, topics });
                Ok(())
            }
            Outgoing::Restart => {
                self.stop();
                Ok(())
            }
        }
    }

    pub(crate) fn looked_around(&mut self, run: u64, link: u64, topics: Vec<String>) -> Checked {
        let same = |bridge: &Bridge| bridge.run == run && bridge.link == Some(link);
        if !self.bridge.as_ref().is_some_and(same) {
            return Ok(());
        }
        self.session(contract::Input::Looked(Ok(topics)))
    }

    /// The broker's end of this connection, if messages still pass.
    fn live_link(&mut self, number: u64) -> Option<&mut Link> {
        self.broker.link.as_mut().filter(|link| link.number == number && !link.dead)
    }

    fn publish(&mut self, link: u64, topic: String, payload: String, retain: bool) -> Checked {
        tell!(self, "publishes {topic} {payload:.60}");
        let view = Arc::clone(&self.bridge().view);
        self.check.published(self.now, &view, &topic, &payload, retain)?;
        if self.live_link(link).is_none() {
            return Ok(());
        }
        self.spread(topic, payload, retain);
        Ok(())
    }

    /// A message has reached the broker.
    pub(crate) fn spread(&mut self, topic: String, payload: String, retain: bool) {
        if !self.broker.up {
            return;
        }
        if retain {
            self.broker.retain(&topic, &payload);
        }
        let listens = self
            .broker
            .link
            .as_ref()
            .is_some_and(|link| link.filters.iter().any(|filter| fits(filter, &topic)));
        if listens {
            self.bring(topic, payload, false);
        }
    }

    /// Sends a message to the bridge, after those already on their way.
    fn bring(&mut self, topic: String, payload: String, retain: bool) {
        let latency = self.latency();
        let now = self.now;
        let Some(link) = self.broker.link.as_mut().filter(|link| !link.dead) else { return };
        link.busy_until = link.busy_until.max(now + latency);
        let (at, link) = (link.busy_until, link.number);
        self.at(at, Event::ToBridge { link, topic, payload, retain });
    }

    fn subscribe(&mut self, number: u64, filters: &[String]) {
        let Some(link) = self.live_link(number) else { return };
        link.filters.retain(|filter| !filters.contains(filter));
        link.filters.extend(filters.iter().cloned());
        let latency = self.latency();
        self.later(latency, Event::Subscribed { link: number });
        for filter in filters {
            for (topic, payload) in self.broker.show(filter) {
                self.bring(topic, payload, true);
            }
        }
    }

    pub(crate) fn acknowledged(&mut self, link: u64) -> Checked {
        if self.bridge.as_ref().is_some_and(|bridge| bridge.link == Some(link)) {
            return self.session(contract::Input::Subscribed(Vec::new()));
        }
        Ok(())
    }

    pub(crate) fn arrives(&mut self, link: u64, topic: &str, payload: &str, retain: bool) -> Checked {
        let Some(bridge) = self.bridge.as_mut().filter(|bridge| bridge.link == Some(link)) else {
            return Ok(());
        };
        let (run, stopping) = (bridge.run, bridge.stopping.is_some());
        match bridge.router.route(topic, payload.as_bytes(), retain) {
            Routed::HubRequest(order) => {
                tell!(self, "is told {topic} {payload}");
                if let HubRequest::Switch(order) = &order
                    && !retain
                {
                    let life = self.plan.rules.command_timeout;
                    let (now, number) = (self.now, self.number());
                    let due = self.check.commanded(now, number, order, life);
                    if !stopping {
                        self.at(due, Event::Due { run, command: number });
                    }
                }
                if let HubRequest::Request(Request::PlugRequest(..), Asker { mark: Some(mark), .. }) = &order
                {
                    let now = self.now;
                    self.check.plug_request(now, mark.clone())?;
                }
                self.hub(Input::Commanded(order))?;
                self.session(contract::Input::Received(Received::obeyed(topic)))?;
            }
            Routed::Rest(received) => self.session(contract::Input::Received(received))?,
            Routed::Nothing => {}
        }
        self.take_orders()
    }

    pub(crate) fn connect(&mut self, run: u64) -> Checked {
        let number = self.number();
        let now = self.now;
        let Some(bridge) = self.bridge.as_mut().filter(|b| b.run == run && b.link.is_none()) else {
            return Ok(());
        };
        if !self.broker.up {
            // As in `sinks/mqtt/mod.rs`: quickly for a minute, then ever more rarely.
            let lost_at = *bridge.lost_at.get_or_insert(now);
            let quick = now - lost_at < Duration::from_secs(60);
            let pause = if quick { self.random.ms(525, 875) } else { self.random.ms(1_000, 60_000) };
            self.later(pause, Event::Connect { run });
            return Ok(());
        }
        bridge.link = Some(number);
        bridge.lost_at = None;
        let view = Arc::clone(&bridge.view);
        self.broker.link = Some(Link { number, filters: Vec::new(), busy_until: now, dead: false });
        tell!(self, "connected to the broker");
        self.session(contract::Input::Connected(view))?;
        self.take_orders()
    }

    /// The bridge notices that its connection is lost.
    pub(crate) fn down(&mut self, run: u64, link: u64) {
        let now = self.now;
        let same = |bridge: &&mut Bridge| bridge.run == run && bridge.link == Some(link);
        if let Some(bridge) = self.bridge.as_mut().filter(same) {
            bridge.link = None;
            bridge.lost_at = Some(now);
            tell!(self, "the connection to the broker is lost");
            let pause = self.random.ms(525, 875);
            self.later(pause, Event::Connect { run });
        }
    }

    /// Tells the bridge to stop.
    pub(crate) fn stop(&mut self) {
        let until = self.now + LAST_WORDS;
        if let Some(bridge) = self.bridge.as_mut().filter(|bridge| bridge.stopping.is_none()) {
            bridge.stopping = Some(until);
            tell!(self, "the bridge is told to stop");
            self.later(Duration::ZERO, Event::Trouble(Trouble::Stop));
            self.later(LAST_WORDS, Event::Trouble(Trouble::Stop));
        }
    }

    /// When its conversations have ended, or time is up, a stopping bridge says goodbye.
    pub(crate) fn end_stopping(&mut self) -> Checked {
        let now = self.now;
        let over = |bridge: &Bridge| {
            bridge.stop_begun && bridge.stopping.is_some_and(|at| bridge.talks.is_empty() || at <= now)
        };
        if !self.bridge.as_ref().is_some_and(over) {
            return Ok(());
        }
        self.bridge().talks.clear();
        self.hub(Input::Stop)?;
        while let Some(text) = self.bridge().saving.pop_front() {
            self.disk.save(text);
            self.hub(Input::Saved(Ok(())))?;
        }
        self.session(contract::Input::Stop)?;
        self.check.stopped(now)?;
        let link = self.bridge().link;
        if self.broker.link.as_ref().map(|link| link.number) == link {
            self.broker.link = None;
        }
        self.bridge = None;
        tell!(self, "the bridge has stopped");
        let pause = self.random.secs(1, 10);
        self.later(pause, Event::Start);
        Ok(())
    }
}

fn brief(result: &Result<DeviceResponse, Failure>) -> String {
    match result {
        Ok(DeviceResponse::Reading(reading)) => {
            let ports = reading.ports.iter().map(|port| match port.relay {
                Some(true) => '1',
                Some(false) => '0',
                None => '?',
            });
            ports.collect()
        }
        Ok(other) => format!("{other:?}"),
        Err(failure) => failure.to_string(),
    }
}
