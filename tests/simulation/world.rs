//! The world of one seed: a virtual clock, a queue of what is under way, and everything that lives
//! between plugs, bridge and broker.

use crate::bridge::{Bridge, Disk};
use crate::broker::Broker;
use crate::check::{Broken, Check, Checked};
use crate::counter::Counter;
use crate::plan::Plan;
use crate::plugs::{Model, Said};
use crate::random::Random;
use crate::trouble::Trouble;
use plug2mqtt::model::{Failure, Now, PlugId};
use plug2mqtt::sim::Answer;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::Ipv4Addr;
use std::time::Duration;

/// The longest the network holds a datagram back.
pub(crate) const LATEST: Duration = Duration::from_millis(1500);

/// Steps that may happen without time passing.
const MAX_AT_ONCE: u32 = 5_000;

/// Lines of a story that are kept.
const MAX_STORY: usize = 200_000;

/// Who asked by datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Socket {
    /// A conversation, at one of its steps.
    Talk(u64, u32),
    Search(u64),
}

/// Something under way.
#[derive(Debug)]
pub(crate) enum Event {
    HttpAt { talk: u64, step: u32, ip: Ipv4Addr, target: String },
    HttpBack { talk: u64, step: u32, reply: Result<Vec<u8>, Failure>, said: Option<Said> },
    DatagramAt { from: Socket, ip: Ipv4Addr, bytes: Vec<u8>, everybody: bool },
    DatagramBack { to: Socket, ip: Ipv4Addr, bytes: Vec<u8>, said: Option<Said> },
    SearchAsks { search: u64 },
    Saved { run: u64, text: Vec<u8> },
    Connect { run: u64 },
    Down { run: u64, link: u64 },
    Subscribed { link: u64 },
    ToBridge { link: u64, topic: String, payload: String, retain: bool },
    LookedAround { run: u64, link: u64, topics: Vec<String> },
    Due { run: u64, command: u64 },
    Trouble(Trouble),
    Client,
    Start,
}

struct Timed(Duration, u64, Event);

impl PartialEq for Timed {
    fn eq(&self, other: &Self) -> bool {
        (self.0, self.1) == (other.0, other.1)
    }
}
impl Eq for Timed {}
impl PartialOrd for Timed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Timed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.0, self.1).cmp(&(other.0, other.1))
    }
}

/// What the network does to datagrams now.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Net {
    pub(crate) lose: u64,
    pub(crate) double: u64,
    pub(crate) late: u64,
}

pub(crate) struct World {
    pub(crate) random: Random,
    pub(crate) now: Duration,
    queue: BinaryHeap<Reverse<Timed>>,
    pushed: u64,
    /// Wall clock: milliseconds since 1970 at the beginning, jumps included; offset from UTC and
    /// the summer time in it, seconds.
    pub(crate) wall_ms: i64,
    pub(crate) zone: (i32, i32),
    pub(crate) plan: Plan,
    pub(crate) plugs: Vec<Model>,
    pub(crate) net: Net,
    pub(crate) broker: Broker,
    pub(crate) bridge: Option<Bridge>,
    pub(crate) disk: Disk,
    pub(crate) check: Check,
    pub(crate) numbers: u64,
    first_twin: Option<usize>,
    pub(crate) story: Option<Vec<String>>,
}

/// How a seed ended.
pub(crate) struct Ending {
    pub(crate) broken: Option<Broken>,
    pub(crate) story: Vec<String>,
    pub(crate) polls: u64,
    /// Alarms of protection, and restarts that were known.
    pub(crate) alarms: u64,
    pub(crate) restarts: u64,
}

/// Tells the story, when somebody listens.
macro_rules! tell {
    ($world:expr, $($word:tt)*) => {
        if $world.story.is_some() {
            let line = format!($($word)*);
            $world.note_down(line);
        }
    };
}
pub(crate) use tell;

impl World {
    pub(crate) fn play(seed: u64, story: bool) -> Ending {
        let mut random = Random::new(seed);
        let mut plan = Plan::new(&mut random);
        let mut plugs: Vec<Model> = Vec::new();
        let twins = plan.twins;
        for place in 0..plan.fleet {
            let twin = place == 1 && plan.twins;
            let serial = if twin { plugs[0].serial.clone() } else { format!("SWP6{:012}", place + 1) };
            let mut plug = Model::new(place, serial, twins, &mut random);
            let lot = Random::new(seed ^ 0xc0_c0a5 ^ (place as u64) << 32);
            plug.counter = Counter::any(lot).filter(|_| plug.ports() == 1);
            plugs.push(plug);
        }
        let ids: Vec<PlugId> = plugs.iter().map(Model::id).collect();
        plan.protect(&ids, &mut Random::new(seed ^ 0x5afe_5afe));
        let check = Check::new(twins, &plan.rules);
        let mut world = Self {
            random,
            now: Duration::ZERO,
            queue: BinaryHeap::new(),
            pushed: 0,
            wall_ms: 1_795_198_925_120,
            zone: (3600, 0),
            plan,
            plugs,
            net: Net::default(),
            broker: Broker { up: true, ..Broker::default() },
            bridge: None,
            disk: Disk::default(),
            check,
            numbers: 0,
            first_twin: None,
            story: story.then(Vec::new),
        };
        let end = world.live();
        let broken = end.err();
        let Check { polls, guard, .. } = world.check;
        let (alarms, restarts) = (guard.alarms, guard.restarts);
        Ending { broken, story: world.story.unwrap_or_default(), polls, alarms, restarts }
    }

    pub(crate) fn note_down(&mut self, line: String) {
        let at = self.now.as_secs_f64();
        if let Some(story) = &mut self.story {
            if story.len() >= MAX_STORY {
                story.drain(..MAX_STORY / 2);
            }
            story.push(format!("{at:10.3}  {line}"));
        }
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    pub(crate) fn later(&mut self, after: Duration, event: Event) {
        self.at(self.now + after, event);
    }

    pub(crate) fn at(&mut self, at: Duration, event: Event) {
        self.pushed += 1;
        self.queue.push(Reverse(Timed(at, self.pushed, event)));
    }

    pub(crate) fn now_s(&self) -> f64 {
        self.now.as_secs_f64()
    }

    pub(crate) fn unix_ms(&self) -> u64 {
        u64::try_from(self.wall_ms + i64::try_from(self.now.as_millis()).unwrap()).unwrap()
    }

    /// The present as the running bridge sees it.
    pub(crate) fn moment(&mut self) -> Now {
        let started = self.bridge.as_ref().map_or(self.now, |bridge| bridge.started);
        Now {
            up: self.now - started,
            unix_ms: self.unix_ms(),
            utc_offset_s: self.zone.0,
            dst_s: self.zone.1,
            nonce: self.random.next(),
        }
    }

    fn live(&mut self) -> Checked {
        self.lay_out_troubles();
        self.later(Duration::ZERO, Event::Start);
        let mut at_once = 0;
        loop {
            let event_at = self.queue.peek().map_or(Duration::MAX, |Reverse(timed)| timed.0);
            let bridge_at = self.bridge.as_ref().map_or(Duration::MAX, Bridge::wake_at);
            let next = event_at.min(bridge_at);
            if next > self.plan.end {
                self.now = self.plan.end;
                return self.finish();
            }
            at_once = if next > self.now { 0 } else { at_once + 1 };
            if at_once > MAX_AT_ONCE {
                return Err(Broken::of(1, "the bridge spins: time does not pass any more"));
            }
            self.now = self.now.max(next);
            if bridge_at <= event_at {
                self.wake_bridge()?;
            } else if let Some(Reverse(Timed(_, _, event))) = self.queue.pop() {
                self.happen(event)?;
            }
            self.end_stopping()?;
        }
    }

    fn happen(&mut self, event: Event) -> Checked {
        match event {
            Event::HttpAt { talk, step, ip, target } => self.http_at(talk, step, ip, &target),
            Event::HttpBack { talk, step, reply, said } => self.talk_hears(talk, step, reply, said),
            Event::DatagramAt { from, ip, bytes, everybody } => self.datagram_at(from, ip, &bytes, everybody),
            Event::DatagramBack { to: Socket::Talk(talk, step), bytes, said, .. } => {
                self.talk_hears(talk, step, Ok(bytes), said)
            }
            Event::DatagramBack { to: Socket::Search(search), ip, bytes, .. } => {
                self.search_hears(search, ip, &bytes)
            }
            Event::SearchAsks { search } => self.search_asks(search),
            Event::Saved { run, text } => self.saved(run, text),
            Event::Connect { run } => self.connect(run),
            Event::Down { run, link } => {
                self.down(run, link);
                Ok(())
            }
            Event::Subscribed { link } => self.acknowledged(link),
            Event::ToBridge { link, topic, payload, retain } => self.arrives(link, &topic, &payload, retain),
            Event::LookedAround { run, link, topics } => self.looked_around(run, link, topics),
            Event::Due { run, command } => {
                let same = self.bridge.as_ref().is_some_and(|bridge| bridge.run == run);
                self.check.due(command, same)
            }
            Event::Trouble(trouble) => self.trouble(trouble),
            Event::Client => self.client(),
            Event::Start => self.start(),
        }
    }

    /// Which of the plugs has this id.
    pub(crate) fn owner(&self, id: &PlugId) -> Option<usize> {
        let by_mac = |plug: &Model| plug.qualified_id() == *id || plug.mac_id() == *id;
        if let Some(twin) = self.plugs.iter().position(by_mac) {
            return Some(twin);
        }
        let mut same = (0..self.plugs.len()).filter(|&place| self.plugs[place].id() == *id);
        let first = same.next()?;
        if same.next().is_none() {
            return Some(first);
        }
        // Twins: whoever came first has the plain id.
        self.first_twin
    }

    /// Which of two plugs with one serial is shown by the plain id: its MAC says so.
    pub(crate) fn tell_twins_apart(&mut self) {
        let Some(bridge) = self.bridge.as_ref().filter(|_| self.plan.twins) else { return };
        let shown = bridge.view.plugs.get(&self.plugs[0].id()).and_then(|plug| plug.facts.mac);
        if let Some(mac) = shown.map(|mac| mac.to_string()) {
            self.first_twin = self.plugs.iter().position(|plug| plug.mac == mac);
        }
    }

    fn at_ip(&self, ip: Ipv4Addr) -> Option<usize> {
        self.plugs.iter().position(|plug| plug.here && plug.ip == ip)
    }

    pub(crate) fn latency(&mut self) -> Duration {
        self.random.ms(1, 12)
    }

    fn http_at(&mut self, talk: u64, step: u32, ip: Ipv4Addr, target: &str) -> Checked {
        let back = self.latency();
        let Some(plug) = self.at_ip(ip) else {
            // Nobody answers for the address; the system says so after a while.
            let reply = Err(Failure::Unreachable("no route".into()));
            self.later(Duration::from_secs(3), Event::HttpBack { talk, step, reply, said: None });
            return Ok(());
        };
        let now_s = self.now_s();
        let model = &mut self.plugs[plug];
        if model.faults.off || model.faults.hang || !model.is_up(now_s) {
            return Ok(());
        }
        if model.faults.closed() || !model.speaks_http() {
            let reply = Err(Failure::Unreachable("refused".into()));
            self.later(back, Event::HttpBack { talk, step, reply, said: None });
            return Ok(());
        }
        let before = model.relays().to_vec();
        let (answer, whole, delay) = model.http(now_s, target);
        self.relays_moved(plug, &before, Some(talk))?;
        let said = whole.then(|| self.plugs[plug].said(plug, now_s));
        let reply = match answer {
            Answer::Hang => return Ok(()),
            Answer::Close => Err(Failure::Closed),
            Answer::Whole(bytes) | Answer::Drip(bytes, _) => body(&bytes),
        };
        self.later(back + delay, Event::HttpBack { talk, step, reply, said });
        Ok(())
    }

    pub(crate) fn send_datagram(&mut self, from: Socket, ip: Ipv4Addr, bytes: &[u8], everybody: bool) {
        for delay in self.passage() {
            self.later(delay, Event::DatagramAt { from, ip, bytes: bytes.to_vec(), everybody });
        }
    }

    /// When the copies of a datagram arrive, if any does.
    fn passage(&mut self) -> Vec<Duration> {
        let net = self.net;
        if self.random.chance(net.lose) {
            return Vec::new();
        }
        let copies = if self.random.chance(net.double) { 2 } else { 1 };
        (0..copies)
            .map(|_| if self.random.chance(net.late) { self.random.ms(12, 1500) } else { self.latency() })
            .collect()
    }

    fn datagram_at(&mut self, from: Socket, ip: Ipv4Addr, bytes: &[u8], everybody: bool) -> Checked {
        let Some(plug) = self.at_ip(ip) else { return Ok(()) };
        let now_s = self.now_s();
        let before = self.plugs[plug].relays().to_vec();
        let (replies, delay) = self.plugs[plug].datagram(now_s, bytes, everybody);
        let talk = if let Socket::Talk(talk, _) = from { Some(talk) } else { None };
        self.relays_moved(plug, &before, talk)?;
        for (bytes, whole) in replies {
            let said = whole.then(|| self.plugs[plug].said(plug, now_s));
            for passage in self.passage() {
                let event = Event::DatagramBack { to: from, ip, bytes: bytes.clone(), said: said.clone() };
                self.later(passage + delay, event);
            }
        }
        Ok(())
    }

    /// Relays of a plug may have moved by a request.
    fn relays_moved(&mut self, plug: usize, before: &[bool], talk: Option<u64>) -> Checked {
        let after = self.plugs[plug].relays().to_vec();
        for (port, (was, is)) in (1u8..).zip(before.iter().zip(&after)) {
            if was != is {
                tell!(self, "plug {plug} port {port} goes {} by a request", word(*is));
                let now = self.now;
                let owner = self.check.switching(talk).and_then(|id| self.owner(id));
                self.check.moved(now, plug, owner, port, *is, talk)?;
            }
        }
        Ok(())
    }
}

pub(crate) fn word(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

/// What the HTTP transport makes of the bytes of a reply.
fn body(bytes: &[u8]) -> Result<Vec<u8>, Failure> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n");
    let Some(end) = end else { return Err(Failure::Closed) };
    if !bytes.starts_with(b"HTTP/1.1 200 ") {
        return Err(Failure::InvalidResponse("HTTP status".into()));
    }
    let body = &bytes[end + 4..];
    match body.len() {
        0 => Err(Failure::Closed),
        1..=65_536 => Ok(body.to_vec()),
        _ => Err(Failure::InvalidResponse("a reply of more than 64 KiB".into())),
    }
}
