//! One scene: a fleet, a broker, somebody who watches the broker, and a program under test between them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::{BufRead, BufReader as StdBufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, NetworkOptions, Packet, QoS};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Mutex, watch};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{sleep, timeout};

use crate::fleet::{Mode, Order, PORTS, Press, Relay, Reply, Report};
use crate::measure::now_us;
use crate::program::{BASE, Binaries, Program, Running, Task, free_port, own_binary, plug_id, tethered};

const TIMEOUT: Duration = Duration::from_secs(10);
const STRANGE: &str = "the fleet answered something else";

/// The fleet's process and the line to it.
pub(crate) struct FleetLink {
    process: Running,
    line: Mutex<(OwnedWriteHalf, Lines<BufReader<OwnedReadHalf>>)>,
}

impl FleetLink {
    async fn start(count: usize, http_port: u16, udp_port: u16, directory: &Path) -> anyhow::Result<Self> {
        let stderr = directory.join("fleet.stderr");
        let child = tethered(&own_binary()?)
            .args(["fleet", &count.to_string(), &http_port.to_string(), &udp_port.to_string()])
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(&stderr)?)
            .spawn()?;
        let mut process = Running::new(child, stderr);
        let stdout = process.child().stdout.take().context("the fleet's standard output")?;
        let mut port = String::new();
        StdBufReader::new(stdout).read_line(&mut port)?;
        let port: u16 = port
            .trim()
            .parse()
            .with_context(|| format!("the fleet did not start: {}", process.last_words()))?;
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
        stream.set_nodelay(true)?;
        let (reader, writer) = stream.into_split();
        Ok(Self { process, line: Mutex::new((writer, BufReader::new(reader).lines())) })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    pub(crate) async fn order(&self, order: &Order) -> anyhow::Result<Reply> {
        let mut request = serde_json::to_vec(order)?;
        request.push(b'\n');
        let mut line = self.line.lock().await;
        let (writer, lines) = &mut *line;
        writer.write_all(&request).await?;
        let reply = timeout(TIMEOUT, lines.next_line()).await??.context("the fleet is gone")?;
        Ok(serde_json::from_str(&reply)?)
    }

    pub(crate) async fn mode(&self, strips: &[usize], mode: Mode) -> anyhow::Result<()> {
        self.order(&Order::Mode { strips: strips.to_vec(), mode }).await.map(drop)
    }

    pub(crate) async fn report(&self) -> anyhow::Result<Report> {
        let Reply::Report(report) = self.order(&Order::Report).await? else { bail!(STRANGE) };
        Ok(report)
    }

    pub(crate) async fn relays(&self) -> anyhow::Result<Vec<Relay>> {
        let Reply::Relays(relays) = self.order(&Order::Relays).await? else { bail!(STRANGE) };
        Ok(relays)
    }

    pub(crate) async fn presses(&self) -> anyhow::Result<Vec<Press>> {
        let Reply::Presses(presses) = self.order(&Order::Presses).await? else { bail!(STRANGE) };
        Ok(presses)
    }

    pub(crate) async fn polls(&self, strip: usize) -> anyhow::Result<Vec<u64>> {
        let Reply::Polls(polls) = self.order(&Order::Polls(strip)).await? else { bail!(STRANGE) };
        Ok(polls)
    }

    /// Polls of the whole fleet since the last reset.
    pub(crate) async fn total_polls(&self) -> anyhow::Result<u64> {
        Ok(self.report().await?.strips.iter().map(|strip| strip.polls).sum())
    }
}

/// A mosquitto that remembers nothing.
pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    config: PathBuf,
    process: Option<Running>,
}

impl Broker {
    async fn start(directory: &Path) -> anyhow::Result<Self> {
        let port = free_port()?;
        let config = directory.join("mosquitto.conf");
        // A broker that changes its user would outlive a killed harness.
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous true\nuser root\npersistence false\n\
             set_tcp_nodelay true\nmax_queued_messages 0\nlog_type error\n"
        );
        std::fs::write(&config, text)?;
        let mut broker =
            Self { address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), config, process: None };
        broker.up().await?;
        Ok(broker)
    }

    pub(crate) fn down(&mut self) {
        self.process = None;
    }

    /// Starts it, empty. When it accepts connections.
    pub(crate) async fn up(&mut self) -> anyhow::Result<u64> {
        let stderr = self.config.with_extension("stderr");
        let child = tethered(Path::new(&mosquitto().context("mosquitto is missing")?))
            .arg("-c")
            .arg(&self.config)
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&stderr)?)
            .spawn()?;
        let mut process = Running::new(child, stderr);
        let deadline = Instant::now() + TIMEOUT;
        while TcpStream::connect(self.address).await.is_err() {
            process.check()?;
            if Instant::now() > deadline {
                bail!("mosquitto does not listen: {}", process.last_words());
            }
            sleep(Duration::from_millis(2)).await;
        }
        self.process = Some(process);
        Ok(now_us())
    }
}

/// Where mosquitto is installed; Debian keeps it outside the path of ordinary users.
pub(crate) fn mosquitto() -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
    path.split(':').map(|folder| Path::new(folder).join("mosquitto")).find(|file| file.is_file())
}

/// What a topic says, and since when.
#[derive(Clone, Debug)]
pub(crate) struct Last {
    pub(crate) payload: String,
    pub(crate) at_us: u64,
}

#[derive(Default)]
struct Log {
    latest: HashMap<String, Last>,
    /// Messages since the last clearing, by the last level of the topic.
    counts: HashMap<String, u64>,
}

impl Log {
    fn note(&mut self, topic: String, leaf: String, payload: String) {
        *self.counts.entry(leaf).or_default() += 1;
        if self.latest.get(&topic).is_none_or(|last| last.payload != payload) {
            self.latest.insert(topic, Last { payload, at_us: now_us() });
        }
    }
}

/// Somebody subscribed to everything below the base topic, who also sends the commands.
pub(crate) struct Watcher {
    client: AsyncClient,
    log: Rc<RefCell<Log>>,
    news: watch::Receiver<u64>,
    connected: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

impl Watcher {
    async fn start(broker: SocketAddr) -> anyhow::Result<Self> {
        let mut options = MqttOptions::new("watcher", broker.ip().to_string(), broker.port());
        // `bridge/devices` of 5000 strips is more than a megabyte.
        options.set_max_packet_size(8 << 20, 8 << 20);
        let (client, mut events) = AsyncClient::new(options, 1024);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        events.set_network_options(network);
        let log = Rc::new(RefCell::new(Log::default()));
        let (tell, news) = watch::channel(0);
        let (tell_connected, mut connected) = watch::channel(false);
        let task = spawn_local(observe(events, client.clone(), log.clone(), tell, tell_connected));
        timeout(TIMEOUT, connected.wait_for(|up| *up)).await.context("no subscription")??;
        Ok(Self { client, log, news, connected, task })
    }

    /// Sends a command; the time just before.
    pub(crate) async fn command(&self, strip: usize, port: usize, payload: &str) -> anyhow::Result<u64> {
        let at_us = now_us();
        self.client
            .publish(format!("{BASE}/{}/{port}/set", plug_id(strip)), QoS::AtLeastOnce, false, payload)
            .await?;
        Ok(at_us)
    }

    pub(crate) async fn wait_connected(&mut self) -> anyhow::Result<()> {
        timeout(TIMEOUT, self.connected.wait_for(|up| *up)).await??;
        Ok(())
    }

    pub(crate) fn last(&self, topic: &str) -> Option<Last> {
        self.log.borrow().latest.get(topic).cloned()
    }

    /// When the topic got this payload after `since_us`, if it does within `timeout`.
    pub(crate) async fn told(
        &mut self,
        topic: &str,
        payload: &str,
        since_us: u64,
        timeout: Duration,
    ) -> Option<u64> {
        let log = self.log.clone();
        let hit = || {
            log.borrow()
                .latest
                .get(topic)
                .filter(|last| last.payload == payload && last.at_us >= since_us)
                .map(|last| last.at_us)
        };
        let _ = tokio::time::timeout(timeout, self.news.wait_for(|_| hit().is_some())).await;
        hit()
    }

    /// Waits until `ready`, looking every few milliseconds (for conditions over many topics).
    pub(crate) async fn wait(
        &self,
        timeout: Duration,
        ready: impl Fn(&dyn Fn(&str) -> Option<Last>) -> bool,
    ) -> bool {
        let deadline = Instant::now() + timeout;
        loop {
            if ready(&|topic| self.last(topic)) {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) fn forget(&self) {
        *self.log.borrow_mut() = Log::default();
    }

    /// Messages since [`Self::forget`], without commands and those whose last level is in `without`.
    pub(crate) fn count(&self, without: &[&str]) -> u64 {
        let log = self.log.borrow();
        log.counts.iter().filter(|(leaf, _)| !without.contains(&leaf.as_str())).map(|(_, count)| count).sum()
    }

    /// The topics seen since [`Self::forget`], by last level.
    pub(crate) fn leaves(&self) -> String {
        let log = self.log.borrow();
        let mut leaves: Vec<_> = log.counts.iter().map(|(leaf, count)| format!("{leaf} {count}")).collect();
        leaves.sort();
        leaves.join(", ")
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn observe(
    mut events: EventLoop,
    client: AsyncClient,
    log: Rc<RefCell<Log>>,
    news: watch::Sender<u64>,
    connected: watch::Sender<bool>,
) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                let _ = client.try_subscribe(format!("{BASE}/#"), QoS::AtMostOnce);
            }
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                connected.send_replace(true);
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => {
                let leaf = publish.topic.rsplit('/').next().unwrap_or_default().to_owned();
                if leaf == "set" {
                    continue;
                }
                let payload = String::from_utf8_lossy(&publish.payload).into_owned();
                log.borrow_mut().note(publish.topic, leaf, payload);
                news.send_modify(|count| *count += 1);
            }
            Ok(_) => {}
            Err(_) => {
                connected.send_replace(false);
                sleep(Duration::from_millis(5)).await;
            }
        }
    }
}

/// How a scene is set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage {
    pub(crate) strips: usize,
    pub(crate) interval_ms: u64,
    pub(crate) timeout_ms: u64,
}

impl Stage {
    pub(crate) fn new(strips: usize, interval_ms: u64) -> Self {
        Self { strips, interval_ms, timeout_ms: 3000 }
    }
}

/// Everything that runs; all of it ends with the scene.
pub(crate) struct Scene {
    pub(crate) program: Option<Running>,
    pub(crate) watcher: Watcher,
    pub(crate) broker: Broker,
    pub(crate) fleet: FleetLink,
    pub(crate) task: Task,
    kind: Program,
    binaries: Binaries,
    _directory: TempDir,
}

impl Scene {
    /// Fleet, broker and watcher, but no program yet.
    pub(crate) async fn set(binaries: &Binaries, kind: Program, stage: Stage) -> anyhow::Result<Self> {
        let directory = tempfile::tempdir()?;
        let broker = Broker::start(directory.path()).await?;
        let (http_port, udp_port) = (free_port()?, free_port()?);
        let fleet = FleetLink::start(stage.strips, http_port, udp_port, directory.path()).await?;
        let watcher = Watcher::start(broker.address).await?;
        let task = Task {
            strips: stage.strips,
            interval_ms: stage.interval_ms,
            timeout_ms: stage.timeout_ms,
            http_port,
            udp_port,
            broker: broker.address,
            search_ms: None,
            directory: directory.path().to_owned(),
        };
        Ok(Self {
            program: None,
            watcher,
            broker,
            fleet,
            task,
            kind,
            binaries: binaries.clone(),
            _directory: directory,
        })
    }

    /// The whole scene, the program started and every port told.
    pub(crate) async fn play(binaries: &Binaries, kind: Program, stage: Stage) -> anyhow::Result<Self> {
        let mut scene = Self::set(binaries, kind, stage).await?;
        scene.start(&[])?;
        scene.settle().await?;
        Ok(scene)
    }

    /// Lets the program find a fleet that is too large for one search, then ends it: from here on it knows all strips.
    pub(crate) async fn introduce(&mut self) -> anyhow::Result<()> {
        self.task.search_ms = Some(4000);
        self.start(&[])?;
        self.settle().await?;
        self.stop().await;
        self.task.search_ms = None;
        self.watcher.forget();
        Ok(())
    }

    /// Starts the program; the time just before.
    pub(crate) fn start(&mut self, wrapper: &[String]) -> anyhow::Result<u64> {
        let at_us = now_us();
        self.program = Some(self.kind.start(&self.binaries, &self.task, wrapper)?);
        Ok(at_us)
    }

    /// Ends the program in order, so that it may save what it knows.
    pub(crate) async fn stop(&mut self) -> bool {
        match self.program.take() {
            Some(program) => program.stop(TIMEOUT).await,
            None => false,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.program.as_ref().map_or(0, Running::pid)
    }

    /// Waits until every port of every strip has been told.
    pub(crate) async fn settle(&mut self) -> anyhow::Result<()> {
        let topics: Vec<_> = (0..self.task.strips)
            .flat_map(|strip| (1..=PORTS).map(move |port| topic(strip, port, "state")))
            .collect();
        let timeout = if self.task.search_ms.is_some() { 120_000 } else { 30_000 };
        // A bridge that spares the broker spreads out what it tells of a large fleet.
        let pace = 50 * u64::try_from(self.task.strips)?;
        let timeout = Duration::from_millis(timeout + 3 * self.task.interval_ms + pace);
        if self.watcher.wait(timeout, |last| topics.iter().all(|topic| last(topic).is_some())).await {
            return Ok(());
        }
        if let Some(program) = &mut self.program {
            program.check()?;
        }
        let missing = topics.iter().filter(|topic| self.watcher.last(topic).is_none()).count();
        bail!("{}: {missing} of {} ports not told after {timeout:?}", self.kind.name(), topics.len())
    }
}

/// `<base>/<plug>/<port>/<leaf>`
pub(crate) fn topic(strip: usize, port: usize, leaf: &str) -> String {
    format!("{BASE}/{}/{port}/{leaf}", plug_id(strip))
}

/// `<base>/<plug>/<leaf>`
pub(crate) fn plug_topic(strip: usize, leaf: &str) -> String {
    format!("{BASE}/{}/{leaf}", plug_id(strip))
}
