//! A fleet of simulated MaxSmart strips, in a process of its own so that its work is not booked on the program under test.
//!
//! Strip `i` has its own loopback address with one HTTP and one UDP socket; what it says is said by the project's own simulated strip with firmware
//! 1.30. A TCP connection carries the orders, one JSON value a line; the fleet ends when it closes. Time stamps are microseconds since 1970: the
//! harness runs on the same machine.

mod wire;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::{Duration, Instant};

use plug2mqtt::sim;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::timeout;

use crate::measure::now_us;

pub(crate) const PORTS: usize = 6;
const POLL_LOG: usize = 64;

/// How a strip behaves towards its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    /// Answers.
    Healthy,
    /// Accepts and never says a word.
    Hang,
    /// Refuses connections.
    Refuse,
    /// Off the network: connection attempts vanish.
    Vanish,
    /// Sends half an answer.
    Stall,
    /// Sends an answer at ten bytes a second.
    Crawl,
}

/// What the harness asks of the fleet. Strips are numbered from 0, ports from 1.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    Mode { strips: Vec<usize>, mode: Mode },
    Watts { strips: Vec<usize>, watts: f64 },
    Tremble(bool),
    Press { strip: usize, port: usize },
    DelayMs(u64),
    Reset,
    Report,
    Relays,
    Presses,
    Polls(usize),
}

/// What the fleet answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    Done,
    Report(Report),
    Relays(Vec<Relay>),
    Presses(Vec<Press>),
    Polls(Vec<u64>),
}

/// Counters since the last [`Order::Reset`].
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    pub(crate) now_us: u64,
    /// Most requests being served at one moment, over all strips.
    pub(crate) in_air_max: usize,
    pub(crate) strips: Vec<StripReport>,
}

/// One strip's part of a [`Report`].
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct StripReport {
    pub(crate) polls: u64,
    pub(crate) first_poll_us: u64,
    pub(crate) last_poll_us: u64,
    /// Longest time between two polls, the time since the last one included.
    pub(crate) gap_us: u64,
    pub(crate) max_open: usize,
    pub(crate) first_good_us: u64,
    pub(crate) switches: Vec<bool>,
}

/// A relay command that arrived.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Relay {
    pub(crate) strip: usize,
    pub(crate) port: usize,
    pub(crate) on: bool,
    pub(crate) at_us: u64,
}

/// A button pressed on a strip, and when the first poll after it was answered (0: not yet).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Press {
    pub(crate) strip: usize,
    pub(crate) port: usize,
    pub(crate) at_us: u64,
    pub(crate) polled_us: u64,
}

/// The address of strip `index`.
pub(crate) fn address(index: usize) -> Ipv4Addr {
    let low = u8::try_from(index % 250 + 1).unwrap_or(1);
    let mid = u8::try_from(index / 250).unwrap_or(u8::MAX);
    Ipv4Addr::new(127, 77, mid, low)
}

/// The serial number of strip `index`.
pub(crate) fn serial(index: usize) -> String {
    format!("SWP6{:012}", index + 1)
}

struct Strip {
    index: usize,
    mode: watch::Sender<Mode>,
    plug: RefCell<sim::Strip>,
    watts: Cell<f64>,
    open: Cell<usize>,
    report: RefCell<StripReport>,
    polls: RefCell<VecDeque<u64>>,
}

struct Fleet {
    began: Instant,
    http_port: u16,
    udp_port: u16,
    strips: Vec<Rc<Strip>>,
    tremble: Cell<bool>,
    delay: Cell<Duration>,
    in_air: Cell<usize>,
    in_air_max: Cell<usize>,
    relays: RefCell<Vec<Relay>>,
    presses: RefCell<Vec<Press>>,
}

/// Runs the fleet until the control connection closes. Prints the control port when every strip listens.
pub(crate) fn run(count: usize, http_port: u16, udp_port: u16) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve(count, http_port, udp_port))
}

async fn serve(count: usize, http_port: u16, udp_port: u16) -> anyhow::Result<()> {
    let strips = (0..count).map(Strip::new).map(Rc::new).collect();
    let fleet = Rc::new(Fleet {
        began: Instant::now(),
        http_port,
        udp_port,
        strips,
        tremble: Cell::new(false),
        delay: Cell::new(Duration::ZERO),
        in_air: Cell::new(0),
        in_air_max: Cell::new(0),
        relays: RefCell::default(),
        presses: RefCell::default(),
    });
    let mut voices = Vec::with_capacity(count);
    for strip in &fleet.strips {
        let listener = wire::bind(SocketAddrV4::new(address(strip.index), http_port), 64)?;
        spawn_local(wire::listen(fleet.clone(), strip.clone(), Some(listener)));
        let voice = Rc::new(UdpSocket::bind((address(strip.index), udp_port)).await?);
        spawn_local(wire::hear_unicast(fleet.clone(), strip.clone(), voice.clone()));
        voices.push(voice);
    }
    let shared = UdpSocket::bind((Ipv4Addr::new(127, 255, 255, 255), fleet.udp_port)).await?;
    spawn_local(wire::hear_broadcast(fleet.clone(), shared, voices));

    let control = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", control.local_addr()?.port());
    let (stream, _) = timeout(Duration::from_secs(10), control.accept()).await??;
    obey(&fleet, stream).await
}

async fn obey(fleet: &Fleet, stream: TcpStream) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut lines = BufReader::new(reader).lines();
    while let Some(line) = lines.next_line().await? {
        let mut reply = serde_json::to_vec(&fleet.carry_out(serde_json::from_str(&line)?))?;
        reply.push(b'\n');
        writer.write_all(&reply).await?;
    }
    Ok(())
}

impl Fleet {
    fn carry_out(&self, order: Order) -> Reply {
        match order {
            Order::Mode { strips, mode } => self.each(&strips, |strip| {
                strip.mode.send_replace(mode);
            }),
            Order::Watts { strips, watts } => self.each(&strips, |strip| {
                strip.watts.set(watts);
                strip.draw(watts);
            }),
            Order::Tremble(on) => self.tremble.set(on),
            Order::Press { strip, port } => self.press(strip, port),
            Order::DelayMs(ms) => self.delay.set(Duration::from_millis(ms)),
            Order::Reset => self.reset(),
            Order::Report => return Reply::Report(self.report()),
            Order::Relays => return Reply::Relays(self.relays.borrow().clone()),
            Order::Presses => return Reply::Presses(self.presses.borrow().clone()),
            Order::Polls(strip) => {
                return Reply::Polls(self.strips[strip].polls.borrow().iter().copied().collect());
            }
        }
        Reply::Done
    }

    fn each(&self, indices: &[usize], change: impl Fn(&Strip)) {
        for &index in indices {
            change(&self.strips[index]);
        }
    }

    fn press(&self, strip: usize, port: usize) {
        self.strips[strip].plug.borrow_mut().press(port);
        self.presses.borrow_mut().push(Press { strip, port, at_us: now_us(), polled_us: 0 });
    }

    fn reset(&self) {
        self.in_air_max.set(self.in_air.get());
        self.relays.borrow_mut().clear();
        self.presses.borrow_mut().clear();
        for strip in &self.strips {
            let mut report = strip.report.borrow_mut();
            *report = StripReport { last_poll_us: report.last_poll_us, ..StripReport::default() };
        }
    }

    fn report(&self) -> Report {
        let now_us = now_us();
        let strips = self.strips.iter().map(|strip| strip.report_at(now_us)).collect();
        Report { now_us, in_air_max: self.in_air_max.get(), strips }
    }

    /// Seconds since the strips were put into service.
    fn now_s(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn enter(&self) {
        self.in_air.set(self.in_air.get() + 1);
        self.in_air_max.set(self.in_air_max.get().max(self.in_air.get()));
    }

    fn leave(&self) {
        self.in_air.set(self.in_air.get() - 1);
    }

    fn polled(&self, strip: usize, at_us: u64) {
        for press in
            self.presses.borrow_mut().iter_mut().filter(|press| press.strip == strip && press.polled_us == 0)
        {
            press.polled_us = at_us;
        }
    }
}

impl Strip {
    fn new(index: usize) -> Self {
        let number = index + 1;
        let plug = sim::Strip::strip_1_30(&serial(index)).named(&format!("STRIP {number}")).mac(&format!(
            "02:00:00:00:{:02X}:{:02X}",
            number / 256,
            number % 256
        ));
        let strip = Self {
            index,
            mode: watch::channel(Mode::Healthy).0,
            plug: RefCell::new(plug),
            watts: Cell::new(10.0),
            open: Cell::new(0),
            report: RefCell::default(),
            polls: RefCell::default(),
        };
        strip.draw(strip.watts.get());
        strip
    }

    fn mode(&self) -> Mode {
        *self.mode.borrow()
    }

    fn report_at(&self, now_us: u64) -> StripReport {
        let mut report = self.report.borrow().clone();
        report.gap_us = report.gap_us.max(now_us.saturating_sub(report.last_poll_us));
        report.switches = self.plug.borrow().relays().to_vec();
        report
    }

    fn note_poll(&self) {
        let now_us = now_us();
        let mut report = self.report.borrow_mut();
        if report.last_poll_us > 0 {
            report.gap_us = report.gap_us.max(now_us - report.last_poll_us);
        }
        if report.polls == 0 {
            report.first_poll_us = now_us;
        }
        report.last_poll_us = now_us;
        report.polls += 1;
        let mut polls = self.polls.borrow_mut();
        if polls.len() == POLL_LOG {
            polls.pop_front();
        }
        polls.push_back(now_us);
    }

    /// From now on each port that is on draws this.
    fn draw(&self, watts: f64) {
        let mut plug = self.plug.borrow_mut();
        for port in 1..=PORTS {
            plug.plug_in(port, constant(watts));
        }
    }

    /// The next reading differs by up to half a watt from any other.
    fn tremble(&self) {
        let mut plug = self.plug.borrow_mut();
        for port in 1..=PORTS {
            plug.plug_in(port, constant(self.watts.get() + fastrand::f64() - 0.5));
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the power of a simulated load")]
fn constant(watts: f64) -> sim::Load {
    sim::Load::Constant { milliwatts: (watts * 1000.0).round() as u32 }
}
