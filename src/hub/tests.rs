//! The hub against plugs that are a line of code each, on a clock that is a number.

mod asker;
mod commands;
mod energy;
mod freshness;
mod hosts;
mod ledger;
mod locks;
mod plug_requests;
mod protection;
mod pushed;
mod reboot;
mod registry;
mod settings;

use super::*;
use crate::model::{
    Asker, Cause, CommandError, CommandResult, DeviceInfo, DeviceRequest, DeviceResponse, Endpoint, Energy,
    Failure, Lock, LogLevel, Mac, Name, OptionsChange, Origin, PlugView, PortOptions, PortReading, Query,
    QueryReply, RawHistory, Reading, Request, Response, Switch, SwitchAction, SwitchOrder,
};
use ledger::Disk;
pub(crate) use settings::rules;
use std::collections::BTreeSet;

const A: &str = "maxsmart-swp6000000000001";

fn id(text: &str) -> PlugId {
    PlugId::new(text).expect("an id")
}

fn place(last: u8) -> Endpoint {
    Endpoint { ip: std::net::Ipv4Addr::new(127, 0, 0, last).into(), http: 80, udp: 8888 }
}

fn found(serial: u8, mac: u8, at: u8) -> Discovered {
    let serial = format!("SWP600000000000{serial}");
    Discovered {
        driver: "maxsmart",
        id: PlugId::of("maxsmart", &serial),
        place: place(at),
        facts: DeviceInfo {
            serial: Some(serial),
            mac: Mac::parse(&format!("0200000000{mac:02x}")),
            ..DeviceInfo::default()
        },
    }
}

#[derive(Debug, Clone)]
struct Fake {
    relays: Vec<bool>,
    watts: f64, // Not told when it is no number.
    fails: Option<Failure>,
    /// Switches are acknowledged and not carried out.
    stubborn: bool,
    slow: Duration,
    switches: Vec<Switch>,
    /// Its own record, if it keeps one.
    record: Option<RawHistory>,
    /// What else it can do, if anything.
    able: Option<plug_requests::Able>,
}

struct World {
    hub: Hub,
    up: Duration,
    fakes: BTreeMap<Endpoint, Fake>,
    notes: Vec<Notification>,
    coming: Vec<(Duration, Outcome)>,
    reads: Vec<(Duration, PlugId)>,
    /// Questions about capabilities.
    queries: Vec<(Duration, Query)>,
    probes: Vec<Duration>,
    again: Vec<(Duration, Vec<(&'static str, Endpoint)>)>,
    saves: usize,
    disk: Disk,
    writing: Option<PersistedState>,
    /// What would be left after a crash.
    written: PersistedState,
    summer: bool,
    /// By how much the clock was set on.
    set_on: Duration,
}

impl World {
    fn new(rules: Rules) -> Self {
        Self::with(rules, PersistedState::default())
    }

    fn with(rules: Rules, memory: PersistedState) -> Self {
        Self::with_up(rules, memory, Duration::from_secs(1))
    }

    fn with_up(rules: Rules, memory: PersistedState, up: Duration) -> Self {
        let hub = Hub::new(rules, memory, &moment(up));
        let (fakes, notes, coming) = (BTreeMap::new(), Vec::new(), Vec::new());
        let (reads, queries, probes) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            hub,
            up,
            fakes,
            notes,
            coming,
            reads,
            queries,
            probes,
            again: Vec::new(),
            saves: 0,
            disk: Disk::Works,
            writing: None,
            written: PersistedState::default(),
            summer: false,
            set_on: Duration::ZERO,
        }
    }

    /// A strip of six at an address.
    fn fake(&mut self, at: u8) -> &mut Fake {
        self.fakes.entry(place(at)).or_insert_with(|| Fake {
            relays: vec![true; 6],
            watts: 10.0,
            fails: None,
            stubborn: false,
            slow: Duration::from_millis(20),
            switches: Vec::new(),
            record: None,
            able: None,
        })
    }

    fn feed(&mut self, input: Input) {
        let offset_s = if self.summer { 7200 } else { 3600 };
        let now = Now { up: self.up, utc_offset_s: offset_s, ..moment(self.up + self.set_on) };
        self.hub.handle(&now, input);
        while let Some(effect) = self.hub.effect() {
            match effect {
                Effect::Talk { who, place, ask, limit } => self.talk(who, place, &ask, limit),
                Effect::Probe(_) => self.probes.push(self.up),
                Effect::DeviceRequest(hosts) => self.again.push((self.up, hosts)),
                Effect::Tell(note) => self.notes.push(note),
                Effect::Save => {
                    self.saves += 1;
                    self.writing = Some(self.hub.memory());
                }
                Effect::Reattach(_) | Effect::Log(_) => {}
            }
        }
        match self.disk {
            Disk::Works => self.saved(Ok(())),
            Disk::Full => self.saved(Err("disk full".into())),
            Disk::Waits => {}
        }
        let busy: Vec<&Who> = self.coming.iter().map(|(_, outcome)| &outcome.who).collect();
        let distinct: BTreeSet<&&Who> = busy.iter().collect();
        assert_eq!(busy.len(), distinct.len(), "two conversations with one plug");
    }

    fn talk(&mut self, who: Who, place: Endpoint, ask: &DeviceRequest, limit: Duration) {
        if let (Who::Plug(id), DeviceRequest::Read) = (&who, ask) {
            self.reads.push((self.up, id.clone()));
        }
        if let DeviceRequest::Capability(query) = ask
            && !matches!(query, Query::History(_))
        {
            self.queries.push((self.up, query.clone()));
        }
        // Whoever keeps silent leaves the first question without an answer.
        let silence = limit.min(rules().families["maxsmart"].timeout);
        let (result, took) = match self.fakes.get_mut(&place) {
            None => (Err(Failure::Timeout), silence),
            Some(fake) => match &fake.fails {
                Some(Failure::Timeout) => (Err(Failure::Timeout), silence),
                Some(failure) => (Err(failure.clone()), fake.slow),
                None if fake.slow > limit => {
                    // It obeys, but its answer comes too late.
                    if let DeviceRequest::Switch(_) = ask {
                        fake.answer(ask);
                    }
                    (Err(Failure::Timeout), limit)
                }
                None => (Ok(fake.answer(ask)), fake.slow),
            },
        };
        self.coming.push((self.up + took, Outcome { who, result, requests: 2, took }));
    }

    /// Lets time pass.
    fn run(&mut self, time: Duration) {
        let end = self.up + time;
        loop {
            self.coming.sort_by_key(|(at, outcome)| (*at, outcome.who.clone()));
            let answer = self.coming.first().map(|(at, _)| *at);
            let wake = self.hub.wake_at().max(self.up);
            let next = answer.map_or(wake, |at| at.min(wake));
            if next > end {
                break;
            }
            assert!(next >= self.up);
            self.up = next;
            match answer {
                Some(at) if at <= next => {
                    let (_, outcome) = self.coming.remove(0);
                    self.feed(Input::Answered(outcome));
                }
                _ => self.feed(Input::Tick),
            }
        }
        self.up = end;
    }

    fn secs(&mut self, seconds: u64) {
        self.run(Duration::from_secs(seconds));
    }

    fn view(&self, plug: &str) -> Arc<PlugView> {
        Arc::clone(self.hub.view().plugs.get(&id(plug)).unwrap_or_else(|| panic!("{plug} is not known")))
    }

    fn order(&mut self, ports: &[(u8, SwitchAction)]) -> SwitchOrder {
        SwitchOrder {
            plug: id(A),
            ports: ports.iter().copied().collect(),
            asker: Asker::default(),
            ttl: None,
            hold: None,
            stagger: Duration::ZERO,
            said: 0,
        }
    }

    fn switch(&mut self, ports: &[(u8, SwitchAction)]) {
        let order = self.order(ports);
        self.feed(Input::Commanded(HubRequest::Switch(order)));
    }

    fn results(&mut self) -> Vec<CommandResult> {
        let notes = std::mem::take(&mut self.notes);
        let results = notes.into_iter().filter_map(|note| match note {
            Notification::Result(result) => Some(result),
            Notification::Plug(..) | Notification::Bridge(_) | Notification::Response(_) => None,
        });
        results.collect()
    }

    fn result(&mut self) -> CommandResult {
        let mut results = self.results();
        assert_eq!(results.len(), 1, "{results:?}");
        results.remove(0)
    }

    fn request(&mut self, request: Request) -> Response {
        self.feed(Input::Commanded(HubRequest::Request(request, Asker::default())));
        let note = self.notes.iter().rev().find_map(|note| match note {
            Notification::Response(response) => Some(response.clone()),
            Notification::Result(_) | Notification::Plug(..) | Notification::Bridge(_) => None,
        });
        note.expect("a response")
    }
}

impl Fake {
    fn answer(&mut self, ask: &DeviceRequest) -> DeviceResponse {
        if let DeviceRequest::Capability(Query::History(_)) = ask {
            let record = self.record.clone().map(QueryReply::History);
            return record.map_or(DeviceResponse::Unsupported, Into::into);
        }
        if let DeviceRequest::Capability(query) = ask {
            return self.able.as_mut().map_or(DeviceResponse::Unsupported, |able| able.answer(query));
        }
        if let DeviceRequest::Switch(switch) = ask {
            self.switches.push(switch.clone());
            if !self.stubborn {
                match switch {
                    Switch::All(on) => self.relays.fill(*on),
                    Switch::Ports(ports) => {
                        for (&port, &on) in ports {
                            self.relays[usize::from(port) - 1] = on;
                        }
                    }
                }
            }
        }
        let port = |&relay: &bool| PortReading {
            relay: Some(relay),
            watts: Some(if relay { self.watts } else { 0.0 }).filter(|_| !self.watts.is_nan()),
            amps: None,
            ..PortReading::default()
        };
        DeviceResponse::Reading(Reading {
            ports: self.relays.iter().map(port).collect(),
            ..Reading::default()
        })
    }
}

fn moment(up: Duration) -> Now {
    let unix_ms = 1_795_000_000_000 + u64::try_from(up.as_millis()).unwrap();
    Now { up, unix_ms, utc_offset_s: 3600, dst_s: 0, nonce: 0 }
}

/// A world with one strip, found and read.
fn strip() -> World {
    strip_under(rules())
}

fn strip_under(rules: Rules) -> World {
    let mut world = World::new(rules);
    world.fake(1);
    world.feed(Input::Tick);
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(1);
    world.notes.clear();
    world.reads.clear();
    world
}

#[test]
fn a_plug_found_is_read_at_once_and_then_every_interval() {
    let mut world = World::new(rules());
    world.fake(1);
    world.feed(Input::Heard(found(1, 1, 1)));
    assert_eq!(world.reads.len(), 1, "at once");
    world.secs(60);
    assert!(world.view(A).online);
    let gaps: Vec<Duration> = world.reads.windows(2).skip(1).map(|pair| pair[1].0 - pair[0].0).collect();
    assert!(gaps.iter().all(|gap| *gap == Duration::from_secs(5)), "{gaps:?}");
    assert!(world.notes.contains(&Notification::Bridge(Event::DeviceAdopted(id(A)))));
    assert!(world.saves > 0);
}

#[test]
fn polls_of_a_fleet_share_few_wake_ups() {
    // There is room for a hundred in a second.
    let mut rules = rules();
    rules.families.get_mut("maxsmart").expect("a family").poll = Duration::from_secs(1);
    let mut world = World::new(rules);
    let mut moments_of = |plugs: std::ops::RangeInclusive<u8>| {
        for n in plugs {
            world.fake(n);
            world.feed(Input::Heard(found(n, n, n)));
        }
        world.secs(3);
        world.reads.clear();
        world.secs(10);
        let moments: BTreeSet<Duration> = world.reads.iter().map(|(at, _)| *at).collect();
        (world.reads.len(), moments.len())
    };
    // A question that took its turn moves a poll now and then.
    let (reads, moments) = moments_of(1..=100);
    assert!(
        reads == 1000 && moments > 980,
        "while there is room none waits for another: {moments} of {reads}"
    );
    let (reads, moments) = moments_of(101..=120);
    assert!(reads == 1200 && moments < 60, "in a larger fleet half are asked together: {moments} of {reads}");
}

#[test]
fn no_more_than_sixteen_young_polls_are_in_the_air_and_slow_ones_hold_up_nobody() {
    let mut world = World::new(rules());
    for n in 1..=200 {
        world.fake(n).slow = Duration::from_millis(1);
        if n % 10 == 0 {
            world.fake(n).fails = Some(Failure::Timeout);
        }
        let mut found = found(1, n, n);
        found.id = PlugId::of("maxsmart", &format!("swp6{n:012}"));
        found.facts.serial = None;
        world.feed(Input::Heard(found));
        let young = world.coming.iter().filter(|(at, _)| *at < world.up + Duration::from_secs(1)).count();
        assert!(young <= in_flight::AT_START, "{young}");
    }
    world.secs(2);
    let online = world.hub.view().plugs.values().filter(|plug| plug.online).count();
    assert_eq!(online, 180, "everybody who answers was read within two seconds");
}

#[test]
fn a_hand_at_the_plug_is_told_as_such() {
    let mut world = strip();
    world.fake(1).relays[4] = false;
    world.secs(6);
    let port = world.view(A).ports[4].clone();
    assert_eq!((port.relay, port.cause), (Some(false), Some(Cause::Local)));
    let event = Notification::Plug(id(A), Event::SwitchedLocally { port: 5, on: false });
    assert_eq!(world.notes.iter().filter(|note| **note == event).count(), 1);
}

#[test]
fn power_is_told_when_it_moved_by_more_than_a_watt_from_what_was_told_last() {
    let mut world = strip();
    let mut check = |watts: f64, told: f64| {
        world.fake(1).watts = watts;
        world.secs(5);
        assert_eq!(world.view(A).ports[0].watts, Some(told), "{watts}");
    };
    check(10.9, 10.0);
    check(11.0, 10.0);
    check(10.1, 10.0);
    check(11.01, 11.01);
    check(10.3, 11.01);
    check(10.0, 10.0);
    let before = world.view(A);
    world.secs(20);
    assert!(Arc::ptr_eq(&before, &world.view(A)), "nothing moved, nothing is told");
    world.fake(1).watts = 10.4;
    world.secs(310);
    assert_eq!(world.view(A).ports[0].watts, Some(10.4), "the heartbeat tells everything");
    assert_eq!(world.view(A).watts, Some(62.4), "the sum too");
    assert_eq!(world.view(A).beat, before.beat + 1);
}

#[test]
fn the_sum_of_six_ports_may_tremble_by_the_root_of_six_before_it_is_told_alone() {
    let mut world = strip();
    let mut check = |watts: f64, told: f64| {
        world.fake(1).watts = watts;
        world.secs(5);
        let view = world.view(A);
        assert_eq!((view.ports[0].watts, view.watts), (Some(10.0), Some(told)), "{watts}");
    };
    check(10.0, 60.0);
    check(10.4, 60.0);
    check(9.6, 60.0);
    check(10.5, 63.0);
    check(10.1, 63.0);
    world.fake(1).watts = 11.1;
    world.secs(5);
    let view = world.view(A);
    assert_eq!(view.ports[0].watts, Some(11.1));
    assert!((view.watts.unwrap() - 66.6).abs() < 1e-9, "with a port it is told at once: {:?}", view.watts);
}

#[test]
fn values_that_cannot_be_are_counted_and_the_old_ones_stay() {
    let mut world = strip();
    world.secs(1);
    let old = world.view(A).ports[0].watts;
    assert!(old.is_some());
    let reading = Reading {
        ports: vec![PortReading { relay: Some(true), ..PortReading::default() }; 6],
        refused: vec!["port 1: watt nan".into(), "port 2: watt -7".into()],
        ..Reading::default()
    };
    let result = Ok(DeviceResponse::Reading(reading));
    let outcome = Outcome { who: Who::Plug(id(A)), result, requests: 1, took: Duration::ZERO };
    world.feed(Input::Answered(outcome));
    assert_eq!(world.hub.figures().plugs[&id(A)].refused, 2);
    assert_eq!(world.view(A).ports[0].watts, old);
    assert_eq!(world.view(A).problem.as_deref(), Some("refused port 1: watt nan"));
}

#[test]
fn a_plug_is_offline_after_three_misses_and_then_asked_ever_more_rarely() {
    let mut world = strip();
    world.fake(1).fails = Some(Failure::Timeout);
    world.secs(14);
    assert!(world.view(A).online, "hysteresis");
    world.secs(10);
    let view = world.view(A);
    assert!(!view.online);
    assert_eq!(view.problem.as_deref(), Some("does not answer"));
    assert_eq!(view.ports[0].relay, Some(true), "the last truth stands");
    let port = &world.hub.figures().plugs[&id(A)].ports[0];
    assert_eq!((port.relay, port.watts), (None, None), "figures are of now");
    world.secs(120);
    world.reads.clear();
    world.secs(350);
    assert!((11..=12).contains(&world.reads.len()), "every 30 s: {}", world.reads.len());
    world.fake(1).fails = None;
    world.secs(36);
    assert!(world.view(A).online);
    assert!(world.notes.contains(&Notification::Bridge(Event::DeviceOnline(id(A)))));
}

#[test]
fn a_plug_that_only_refuses_is_told_offline_within_three_intervals() {
    let mut world = strip();
    world.fake(1).fails = Some(Failure::Unreachable("refused".into()));
    world.secs(16);
    assert!(!world.view(A).online);
}
