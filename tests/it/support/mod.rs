//! A house: plugs on a shelf, a broker, somebody who listens to all of it, and a bridge that can be
//! started and stopped. Nothing here sleeps: everything waits for a condition with a deadline.

mod client;
mod desk;
mod script;

pub(crate) use client::{Message, on, with};
pub(crate) use desk::{CliHarness, LOCK};
pub(crate) use script::{BrokerFaults, Script};

use client::Client;
use plug2mqtt::bridge::{self, Ended, Instance, Logging};
use plug2mqtt::broker::{self, Builtin};
use plug2mqtt::config;
use plug2mqtt::drivers::{self, Drivers};
use plug2mqtt::sim::{Load, Served, Shelf, Strip};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// The longest wait for anything.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(12);

/// The usual strip and its id.
pub(crate) const STRIP: &str = "maxsmart-swp6000000000001";

/// A strip with firmware 1.30, all relays on, 10 W on port 1 and nothing elsewhere.
pub(crate) fn strip() -> Strip {
    quiet(Strip::strip_1_30("SWP6000000000001").named("Office strip"))
}

/// Nothing but 10 W on port 1, so that values stand still.
pub(crate) fn quiet(strip: Strip) -> Strip {
    let ports = 2..=strip.ports();
    ports.fold(strip, |strip, port| strip.load(port, Load::Nothing)).load(1, watts(10))
}

pub(crate) fn watts(watts: u32) -> Load {
    Load::Constant { milliwatts: watts * 1000 }
}

/// Runs a test on one thread.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        timeout(Duration::from_secs(50), test).await.expect("the test ends");
    });
}

/// Loopback addresses that no other test uses.
pub(crate) fn addresses(count: usize) -> Vec<Ipv4Addr> {
    let mut all = Vec::new();
    while all.len() < count {
        let ip = Ipv4Addr::new(127, fastrand::u8(1..250), fastrand::u8(..), fastrand::u8(1..250));
        if !all.contains(&ip) {
            all.push(ip);
        }
    }
    all
}

/// Waits for a condition that nothing announces.
pub(crate) async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let look = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(TIMEOUT, look).await.is_ok(), "waited in vain for {what}");
}

/// A child holds copies of all our files, locks among them, until its program has begun.
static BIRTHS: Mutex<()> = Mutex::new(());

/// Starts a program; it has begun when this returns.
pub(crate) fn spawned(command: &mut Command) -> Child {
    let _alone = BIRTHS.lock().unwrap_or_else(PoisonError::into_inner);
    command.spawn().expect("a program")
}

enum TestBroker {
    Client(Client),
    Script(Script),
}

pub(crate) struct TestBridge {
    pub(crate) shelf: Shelf,
    post: TestBroker,
    broker: Option<Builtin>,
    state: tempfile::TempDir,
    port: u16,
    /// The families the bridge knows.
    pub(crate) drivers: Drivers,
    bridge: Option<Bridge>,
}

struct Bridge {
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<Ended, String>>,
}

impl TestBridge {
    /// Plugs and the built-in broker; no bridge yet.
    pub(crate) async fn new(plugs: Vec<Strip>) -> Self {
        let broker = broker::start(([127, 0, 0, 1], 0).into(), None, None, None).await.expect("a broker");
        let port = broker.addr().port();
        let client = Client::new(port).await;
        Self::with(plugs, TestBroker::Client(client), Some(broker), port).await
    }

    /// Plugs and a broker with whims.
    pub(crate) async fn scripted(plugs: Vec<Strip>) -> (Self, Script) {
        let script = Script::start().await;
        let port = script.port();
        (Self::with(plugs, TestBroker::Script(script.clone()), None, port).await, script)
    }

    /// Other plugs and another bridge, on a broker that is there already.
    pub(crate) async fn guest(plugs: Vec<Strip>, script: &Script) -> Self {
        Self::with(plugs, TestBroker::Script(script.clone()), None, script.port()).await
    }

    /// One strip, the built-in broker, the bridge in service.
    pub(crate) async fn running() -> Self {
        let mut house = Self::new(vec![strip()]).await;
        house.start(&[], "").await;
        house
    }

    async fn with(plugs: Vec<Strip>, post: TestBroker, broker: Option<Builtin>, port: u16) -> Self {
        let plugs = addresses(plugs.len()).into_iter().zip(plugs).collect();
        let shelf = Shelf::serve(plugs, 0, 0).await.expect("a shelf");
        let state = tempfile::tempdir().expect("a directory");
        Self { shelf, post, broker, state, port, drivers: drivers::ALL, bridge: None }
    }

    pub(crate) fn plug(&self, place: usize) -> &Served {
        &self.shelf.plugs()[place]
    }

    pub(crate) fn state_directory(&self) -> PathBuf {
        self.state.path().join("state")
    }

    pub(crate) fn state_file(&self) -> PathBuf {
        self.state_directory().join("state.json")
    }

    /// The settings file of this house. `more` is TOML for further sections.
    pub(crate) fn settings_file(&self, more: &str) -> PathBuf {
        let (udp, http) = self.shelf.ports();
        let mut text = String::new();
        write!(
            text,
            "[mqtt]\nurl = \"mqtt://127.0.0.1:{}\"\n\
             [maxsmart]\nbroadcast = [\"127.255.255.255\"]\nudp_port = {udp}\nhttp_port = {http}\n\
             poll_interval = \"200ms\"\nburst_interval = \"200ms\"\nslow_poll_interval = \"200ms\"\ntimeout = \"300ms\"\n\
             [inplug]\nenabled = false\n\
             [commands]\ntimeout = \"1s\"\n\
             [state]\ndirectory = {:?}\n{more}\n",
            self.port,
            self.state_directory(),
        )
        .expect("text");
        let file = self.state.path().join("plug2mqtt.toml");
        std::fs::write(&file, text).expect("written");
        file
    }

    /// Starts the bridge and waits until it says that it is online and the first plug is there.
    pub(crate) async fn start(&mut self, set: &[(&str, &str)], more: &str) {
        let mark = self.mark();
        self.launch(set, more);
        self.wait_after(mark, "online", on("plug2mqtt/bridge/state", "online")).await;
        if let Some(plug) = self.shelf.plugs().first() {
            let id = format!("maxsmart-{}", plug.strip(|strip| strip.serial().to_lowercase()));
            let known = format!("plug2mqtt/{id}/availability");
            self.wait_after(mark, "the first plug", on(&known, "online")).await;
            self.wait_after(mark, "its snapshot", with(&format!("plug2mqtt/{id}/state"), |_| true)).await;
        }
    }

    /// Starts the bridge and waits for nothing.
    pub(crate) fn launch(&mut self, set: &[(&str, &str)], more: &str) {
        self.launch_as(Instance::new(), set, more);
    }

    /// Starts the bridge in the place of one that runs already.
    pub(crate) fn launch_over(&mut self, set: &[(&str, &str)]) {
        let mut instance = Instance::new();
        instance.take_over = true;
        self.launch_as(instance, set, "");
    }

    fn launch_as(&mut self, instance: Instance, set: &[(&str, &str)], more: &str) {
        let file = self.settings_file(more);
        let set: Vec<(String, String)> = set.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        let (settings, _) =
            config::load(Some(&file), std::iter::empty(), &set, self.drivers).expect("valid settings");
        // Nobody holds a copy of the last bridge's lock any more.
        drop(BIRTHS.lock().unwrap_or_else(PoisonError::into_inner));
        let (stop, stopped) = oneshot::channel();
        let running = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            let logging = Logging { set_level: Box::new(|_| {}), lines: None };
            let ended = bridge::run_as(&settings, &instance, logging, |_| {}, stopped).await;
            // Shown with the failed test that waits for this bridge.
            ended.inspect_err(|error| eprintln!("the bridge: {error}")).map_err(|error| error.to_string())
        });
        self.bridge = Some(Bridge { stop, running });
    }

    /// Stops the bridge and says why it ended.
    pub(crate) async fn stop(&mut self) -> Result<Ended, String> {
        let Bridge { stop, running } = self.bridge.take().expect("a running bridge");
        let _ = stop.send(());
        timeout(TIMEOUT, running).await.expect("it stops").expect("no panic")
    }

    /// Waits until the bridge ends by itself.
    pub(crate) async fn ended(&mut self) -> Result<Ended, String> {
        let running = &mut self.bridge.as_mut().expect("a running bridge").running;
        timeout(TIMEOUT, running).await.expect("it ends").expect("no panic")
    }

    /// The end of every test: the bridge is still alive and stops as it should.
    pub(crate) async fn close(mut self) {
        assert_eq!(self.stop().await, Ok(Ended::Stopped));
        self.shelf.stop().await;
        if let Some(broker) = self.broker.take() {
            broker.stop().await;
        }
    }

    fn log(&self) -> watch::Receiver<Vec<Message>> {
        match &self.post {
            TestBroker::Client(client) => client.log(),
            TestBroker::Script(script) => script.log(),
        }
    }

    /// Everything heard so far.
    pub(crate) fn heard(&self) -> Vec<Message> {
        self.log().borrow().clone()
    }

    pub(crate) fn since(&self, mark: usize) -> Vec<Message> {
        self.heard().split_off(mark)
    }

    pub(crate) fn mark(&self) -> usize {
        self.log().borrow().len()
    }

    /// Waits for a message that came or comes after the mark.
    pub(crate) async fn wait_after(
        &self,
        mark: usize,
        what: &str,
        wanted: impl Fn(&Message) -> bool,
    ) -> Message {
        let mut log = self.log();
        let found = log.wait_for(|log| log.iter().skip(mark).any(&wanted));
        let found = timeout(TIMEOUT, found).await.map(|log| {
            let log = log.expect("somebody listens");
            log.iter().skip(mark).find(|message| wanted(message)).cloned()
        });
        match found {
            Ok(message) => message.expect("it was there"),
            Err(_) => panic!("waited in vain for {what}; since then:\n{}", listing(&self.since(mark))),
        }
    }

    /// Waits until the newest message on a topic is this.
    pub(crate) async fn shows(&self, topic: &str, payload: &str) {
        let topic = full(topic);
        let mut log = self.log();
        let done = log.wait_for(|log| {
            log.iter().rev().find(|m| m.topic == topic).is_some_and(|m| m.payload == payload.as_bytes())
        });
        if timeout(TIMEOUT, done).await.is_err() {
            panic!("waited in vain for {topic} = {payload}; heard:\n{}", listing(&self.heard()));
        }
    }

    /// The newest message on a topic.
    pub(crate) fn value(&self, topic: &str) -> Option<String> {
        let topic = full(topic);
        self.heard().iter().rev().find(|message| message.topic == topic).map(Message::text)
    }

    /// Publishes; what is to be retained is on the broker when this returns.
    pub(crate) async fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>, retain: bool) {
        let (mark, topic, payload) = (self.mark(), full(topic), payload.into());
        match &self.post {
            TestBroker::Client(client) => {
                client.publish(&topic, payload.clone(), retain).await;
                if retain {
                    self.wait_after(mark, "its echo", |m| m.topic == topic && m.payload == payload).await;
                }
            }
            TestBroker::Script(script) => script.publish(&topic, payload, retain),
        }
    }

    /// Sends a command and waits for its one result. The topic is below the base.
    pub(crate) async fn command(&self, topic: &str, payload: impl Into<Vec<u8>>) -> Value {
        let mark = self.mark();
        self.publish(topic, payload, false).await;
        let plug = topic.split('/').next().unwrap_or_default();
        self.result(mark, plug, |_| true).await
    }

    pub(crate) async fn result(&self, mark: usize, plug: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let topic = format!("plug2mqtt/{plug}/response");
        self.wait_after(mark, "a result", |m| m.topic == topic && wanted(&m.json())).await.json()
    }

    /// Sends a request and waits for its response.
    pub(crate) async fn request(&self, verb: &str, payload: &str) -> Value {
        let mark = self.mark();
        self.publish(&format!("bridge/request/{verb}"), payload, false).await;
        let topic = format!("plug2mqtt/bridge/response/{verb}");
        self.wait_after(mark, verb, |message| message.topic == topic).await.json()
    }

    pub(crate) async fn bridge_event(&self, mark: usize, kind: &str) -> Value {
        let wanted = |m: &Message| m.topic == "plug2mqtt/bridge/event" && m.json()["event_type"] == kind;
        self.wait_after(mark, kind, wanted).await.json()
    }

    pub(crate) async fn plug_event(&self, mark: usize, plug: &str, kind: &str) -> Value {
        let topic = format!("plug2mqtt/{plug}/event");
        self.wait_after(mark, kind, |m| m.topic == topic && m.json()["event_type"] == kind).await.json()
    }

    /// What the broker has retained, as a newcomer sees it.
    pub(crate) async fn retained(&self) -> BTreeMap<String, String> {
        match &self.post {
            TestBroker::Client(_) => Client::retained(self.port).await,
            TestBroker::Script(script) => script.retained(),
        }
    }

    /// The relays of a plug.
    pub(crate) fn relays(&self, place: usize) -> Vec<bool> {
        self.plug(place).strip(|strip| strip.relays().to_vec())
    }

    /// Relay commands a plug carried out: port and direction.
    pub(crate) fn switched(&self, place: usize) -> Vec<(usize, bool)> {
        self.plug(place).strip(|strip| strip.switched().map(|done| (done.port, done.on)).collect())
    }

    /// A plug goes on being asked: waits for that many further requests.
    pub(crate) async fn polls(&self, place: usize, more: u64) {
        let goal = self.plug(place).requests() + more;
        until("further polls", || self.plug(place).requests() >= goal).await;
    }

    pub(crate) fn folder(&self) -> &Path {
        self.state.path()
    }
}

/// Topics in tests leave the base out unless they belong to somebody else.
fn full(topic: &str) -> String {
    match topic.starts_with("homeassistant/") || topic.starts_with("plug2mqtt/") {
        true => topic.to_owned(),
        false => format!("plug2mqtt/{topic}"),
    }
}

pub(crate) fn listing(messages: &[Message]) -> String {
    messages
        .iter()
        .map(|m| format!("{} {}\n", m.topic, m.text().chars().take(200).collect::<String>()))
        .collect()
}
