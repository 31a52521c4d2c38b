//! The hub against plugs that are a line of code each, on a clock that is a number.

mod energy;
mod errands;
mod guard;
mod locks;
mod restart;

use super::*;
use crate::model::{
    Answer, Cause, CommandError, CommandResult, Facts, Failure, History, Lock, LogLevel, Mac, Name, Options,
    PlugView, PortOptions, PortReading, Reading, Request, Response, Switch, SwitchOrder, Wish,
};

const A: &str = "maxsmart-swp6000000000001";

fn id(text: &str) -> PlugId {
    PlugId::new(text).expect("an id")
}

fn place(last: u8) -> Place {
    Place { ip: std::net::Ipv4Addr::new(127, 0, 0, last).into(), http: 80, udp: 8888 }
}

fn rules() -> Rules {
    let pace = Pace {
        poll: Duration::from_secs(5),
        burst: Duration::from_secs(2),
        burst_polls: 4,
        timeout: Duration::from_secs(5),
        ask: Duration::from_secs(10),
        set_clock: true,
        rating_w: Some(3680),
    };
    Rules {
        families: BTreeMap::from([("maxsmart", pace)]),
        power_change: 1.0,
        current_change: 0.02,
        voltage_change: 1.0,
        energy_change: Energy::from_kwh(0.001).expect("an amount"),
        gaps: Gaps::Skip,
        history: true,
        heartbeat: Duration::from_secs(300),
        discovery: Duration::from_secs(300),
        adopt: true,
        allow: BTreeSet::new(),
        deny: BTreeSet::new(),
        command_timeout: Duration::from_secs(10),
        misses: 3,
        read_only: false,
        plugs: BTreeMap::new(),
        log_level: LogLevel::Info,
    }
}

fn found(serial: u8, mac: u8, at: u8) -> Found {
    let serial = format!("SWP600000000000{serial}");
    Found {
        driver: "maxsmart",
        id: PlugId::of("maxsmart", &serial),
        place: place(at),
        facts: Facts {
            serial: Some(serial),
            mac: Mac::parse(&format!("0200000000{mac:02x}")),
            ..Facts::default()
        },
    }
}

/// What stands at an address.
#[derive(Debug, Clone)]
struct Fake {
    relays: Vec<bool>,
    watts: f64,
    fails: Option<Failure>,
    /// Switches are acknowledged and not carried out.
    stubborn: bool,
    slow: Duration,
    switches: Vec<Switch>,
    /// Its own record, if it keeps one.
    record: Option<History>,
    /// What else it can do, if anything.
    able: Option<errands::Able>,
}

struct World {
    hub: Hub,
    up: Duration,
    fakes: BTreeMap<Place, Fake>,
    notes: Vec<Note>,
    /// Answers on their way.
    coming: Vec<(Duration, Outcome)>,
    reads: Vec<(Duration, PlugId)>,
    /// Questions about skills.
    skills: Vec<(Duration, crate::model::Skill)>,
    probes: Vec<Duration>,
    saves: usize,
    summer: bool,
}

impl World {
    fn new(rules: Rules) -> Self {
        Self::with(rules, Memory::default())
    }

    fn with(rules: Rules, memory: Memory) -> Self {
        Self::with_up(rules, memory, Duration::from_secs(1))
    }

    fn with_up(rules: Rules, memory: Memory, up: Duration) -> Self {
        let hub = Hub::new(rules, memory, &moment(up));
        let (fakes, notes, coming) = (BTreeMap::new(), Vec::new(), Vec::new());
        let (reads, skills, probes) = (Vec::new(), Vec::new(), Vec::new());
        Self { hub, up, fakes, notes, coming, reads, skills, probes, saves: 0, summer: false }
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
        self.hub.handle(&Moment { utc_offset_s: offset_s, ..moment(self.up) }, input);
        while let Some(effect) = self.hub.effect() {
            match effect {
                Effect::Talk { who, place, ask, limit } => self.talk(who, place, &ask, limit),
                Effect::Probe(_) => self.probes.push(self.up),
                Effect::Tell(note) => self.notes.push(note),
                Effect::Save => self.saves += 1,
                Effect::Reattach(_) | Effect::Log(_) => {}
            }
        }
        let busy: Vec<&Who> = self.coming.iter().map(|(_, outcome)| &outcome.who).collect();
        let distinct: BTreeSet<&&Who> = busy.iter().collect();
        assert_eq!(busy.len(), distinct.len(), "two conversations with one plug");
    }

    fn talk(&mut self, who: Who, place: Place, ask: &Ask, limit: Duration) {
        if let (Who::Plug(id), Ask::Read) = (&who, ask) {
            self.reads.push((self.up, id.clone()));
        }
        if let Ask::Skill(skill) = ask {
            self.skills.push((self.up, skill.clone()));
        }
        let (result, took) = match self.fakes.get_mut(&place) {
            None => (Err(Failure::Silent), limit),
            Some(fake) => match &fake.fails {
                Some(Failure::Silent) => (Err(Failure::Silent), limit),
                Some(failure) => (Err(failure.clone()), fake.slow),
                None if fake.slow > limit => (Err(Failure::Silent), limit),
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

    fn order(&mut self, ports: &[(u8, Wish)]) -> SwitchOrder {
        SwitchOrder {
            plug: id(A),
            ports: ports.iter().copied().collect(),
            id: None,
            ttl: None,
            hold: None,
            stagger: Duration::ZERO,
        }
    }

    fn switch(&mut self, ports: &[(u8, Wish)]) {
        let order = self.order(ports);
        self.feed(Input::Commanded(Order::Switch(order)));
    }

    fn results(&mut self) -> Vec<CommandResult> {
        let notes = std::mem::take(&mut self.notes);
        let results = notes.into_iter().filter_map(|note| match note {
            Note::Result(result) => Some(result),
            Note::Plug(..) | Note::Bridge(_) | Note::Response(_) => None,
        });
        results.collect()
    }

    fn result(&mut self) -> CommandResult {
        let mut results = self.results();
        assert_eq!(results.len(), 1, "{results:?}");
        results.remove(0)
    }

    fn request(&mut self, request: Request) -> Response {
        self.feed(Input::Commanded(Order::Request(request, None)));
        let note = self.notes.iter().rev().find_map(|note| match note {
            Note::Response(response) => Some(response.clone()),
            Note::Result(_) | Note::Plug(..) | Note::Bridge(_) => None,
        });
        note.expect("a response")
    }
}

impl Fake {
    fn answer(&mut self, ask: &Ask) -> Answer {
        if let Ask::History(_) = ask {
            return self.record.clone().map_or(Answer::Unsupported, Answer::History);
        }
        if let Ask::Skill(skill) = ask {
            return self.able.as_mut().map_or(Answer::Unsupported, |able| able.answer(skill));
        }
        if let Ask::Switch(switch) = ask {
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
            watts: Some(if relay { self.watts } else { 0.0 }),
            amps: None,
        };
        Answer::Reading(Reading { ports: self.relays.iter().map(port).collect(), ..Reading::default() })
    }
}

fn moment(up: Duration) -> Moment {
    let unix_ms = 1_795_000_000_000 + u64::try_from(up.as_millis()).unwrap();
    Moment { up, unix_ms, utc_offset_s: 3600, dst_s: 0, nonce: 0 }
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
    assert!(world.notes.contains(&Note::Bridge(Event::DeviceAdopted(id(A)))));
    assert!(world.saves > 0);
}

#[test]
fn polls_of_a_fleet_share_few_wake_ups() {
    let mut world = World::new(rules());
    let mut moments_of = |plugs: std::ops::RangeInclusive<u8>| {
        for n in plugs {
            world.fake(n);
            world.feed(Input::Heard(found(n, n, n)));
        }
        world.secs(10);
        world.reads.clear();
        world.secs(50);
        let moments: BTreeSet<Duration> = world.reads.iter().map(|(at, _)| *at).collect();
        (world.reads.len(), moments.len())
    };
    assert_eq!(moments_of(1..=9), (90, 90), "in a small fleet none waits for another");
    assert_eq!(moments_of(10..=60), (600, 20), "in a larger one half are asked together");
}

#[test]
fn no_more_than_sixteen_young_polls_are_in_the_air_and_slow_ones_hold_up_nobody() {
    let mut world = World::new(rules());
    for n in 1..=200 {
        world.fake(n).slow = Duration::from_millis(1);
        if n % 10 == 0 {
            world.fake(n).fails = Some(Failure::Silent);
        }
        let mut found = found(1, n, n);
        found.id = PlugId::of("maxsmart", &format!("swp6{n:012}"));
        found.facts.serial = None;
        world.feed(Input::Heard(found));
        let young = world.coming.iter().filter(|(at, _)| *at < world.up + Duration::from_secs(1)).count();
        assert!(young <= air::AT_START, "{young}");
    }
    world.secs(2);
    let online = world.hub.view().plugs.values().filter(|plug| plug.online).count();
    assert_eq!(online, 180, "everybody who answers was read within two seconds");
}

#[test]
fn a_command_goes_at_once_and_is_confirmed_by_what_was_read() {
    let mut world = strip();
    world.switch(&[(2, Wish::Off)]);
    world.run(Duration::from_millis(30));
    let result = world.result();
    assert_eq!((result.error, result.attempts, result.requests), (None, 1, 2));
    assert_eq!(result.ports, BTreeMap::from([(2, Some(false))]));
    let port = world.view(A).ports[1].clone();
    assert_eq!((port.relay, port.watts, port.cause), (Some(false), Some(0.0), Some(Cause::Mqtt)));
    assert_eq!(port.lock, None);
}

#[test]
fn after_a_command_the_plug_is_asked_again_soon_and_then_every_two_seconds() {
    let mut world = strip();
    world.switch(&[(1, Wish::Off)]);
    let began = world.up;
    world.run(Duration::from_millis(8500));
    let after: Vec<u128> = world.reads.iter().map(|(at, _)| (*at - began).as_millis()).collect();
    for want in [1020, 2020, 4020, 6020] {
        assert!(after.contains(&want), "{want} in {after:?}");
    }
    assert!(after.contains(&8000), "the regular beat serves as well: {after:?}");
}

#[test]
fn six_commands_in_a_row_leave_as_two_requests_and_one_for_all_ports_as_one() {
    let mut world = strip();
    for port in 1..=6 {
        world.switch(&[(port, Wish::Off)]);
        world.run(Duration::from_millis(5));
    }
    world.secs(1);
    let switches = world.fake(1).switches.clone();
    assert_eq!(switches, [Switch::Ports(BTreeMap::from([(1, false)])), Switch::All(false)]);
    assert_eq!(world.results().len(), 6);
    world.switch(&[(0, Wish::On)]);
    world.secs(1);
    assert_eq!(world.fake(1).switches.last(), Some(&Switch::All(true)));
    assert_eq!(world.result().ports.len(), 6);
}

#[test]
fn the_whole_plug_is_all_ports_be_it_one_or_six() {
    let mut world = strip();
    world.switch(&[(SwitchOrder::WHOLE, Wish::Off)]);
    world.secs(1);
    assert_eq!(world.fake(1).relays, [false; 6]);
    let mut world = World::new(rules());
    world.fake(1).relays = vec![true];
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(1);
    world.switch(&[(SwitchOrder::WHOLE, Wish::Off)]);
    world.switch(&[(0, Wish::Off)]);
    world.secs(1);
    assert_eq!(world.fake(1).relays, [false]);
    let errors: Vec<_> = world.results().into_iter().map(|result| result.error).collect();
    assert_eq!(errors, [Some((CommandError::UnknownPort, Some(0))), None]);
}

#[test]
fn the_newest_command_for_a_port_wins_and_each_gets_its_result() {
    let mut world = strip();
    world.fake(1).slow = Duration::from_millis(300);
    world.switch(&[(1, Wish::Off)]);
    world.switch(&[(1, Wish::On)]);
    world.switch(&[(1, Wish::Off)]);
    world.secs(2);
    let errors: Vec<_> =
        world.results().into_iter().map(|result| result.error.map(|(error, _)| error)).collect();
    assert_eq!(errors, [Some(CommandError::Superseded), Some(CommandError::Superseded), None]);
    assert_eq!(world.view(A).ports[0].relay, Some(false));
}

#[test]
fn a_command_that_waits_behind_an_older_one_on_the_wire_ends_in_time() {
    let mut world = strip();
    world.fake(1).slow = Duration::from_millis(1500);
    world.switch(&[(1, Wish::Off)]);
    let mut order = world.order(&[(1, Wish::On)]);
    order.ttl = Some(Duration::from_millis(500));
    world.feed(Input::Commanded(Order::Switch(order)));
    world.run(Duration::from_millis(600));
    let errors: Vec<_> =
        world.results().into_iter().map(|result| result.error.map(|(error, _)| error)).collect();
    assert_eq!(errors, [Some(CommandError::Superseded), Some(CommandError::Expired)]);
}

#[test]
fn toggles_count_on_commands_in_hand() {
    let mut world = strip();
    world.switch(&[(1, Wish::Toggle)]);
    world.switch(&[(1, Wish::Toggle)]);
    world.secs(2);
    assert!(world.fake(1).relays[0], "twice is back again");
    world.switch(&[(0, Wish::Toggle)]);
    world.secs(2);
    assert_eq!(world.fake(1).relays, [false; 6], "any on counts as on");
}

#[test]
fn a_plug_that_does_not_obey_is_asked_until_the_deadline_and_no_longer() {
    let mut world = strip();
    world.fake(1).stubborn = true;
    world.switch(&[(1, Wish::Off)]);
    world.secs(20);
    let result = world.result();
    assert_eq!(result.error, Some((CommandError::NotConfirmed, Some(1))));
    assert!(result.latency <= Duration::from_secs(11), "{:?}", result.latency);
    assert_eq!(world.view(A).ports[0].relay, Some(true), "the truth is shown");
    assert_eq!(world.view(A).echo, 1, "and told again");
    let sent = world.fake(1).switches.len();
    assert!(sent >= 5 && result.attempts as usize == sent, "{sent}");
    world.secs(60);
    assert_eq!(world.fake(1).switches.len(), sent, "nothing after the deadline");
}

#[test]
fn a_short_life_is_a_short_life() {
    let mut world = strip();
    world.fake(1).fails = Some(Failure::Closed);
    let mut order = world.order(&[(1, Wish::Off)]);
    order.ttl = Some(Duration::from_millis(600));
    world.feed(Input::Commanded(Order::Switch(order)));
    world.run(Duration::from_millis(700));
    let result = world.result();
    assert_eq!(result.error, Some((CommandError::Timeout, Some(1))));
    assert!(result.latency <= Duration::from_millis(620), "{:?}", result.latency);
}

#[test]
fn commands_are_refused_as_a_whole_before_anything_moves() {
    let mut strict = rules();
    let locks = BTreeMap::from([(3, Lock::On), (4, Lock::Both)]);
    strict.plugs.insert(id(A), PlugRules { locks, ..PlugRules::default() });
    let mut world = strip_under(strict);
    let mut refused = |ports: &[(u8, Wish)], want: (CommandError, Option<u8>)| {
        world.switch(ports);
        world.secs(1);
        assert_eq!(world.result().error, Some(want), "{ports:?}");
        assert!(world.fake(1).switches.is_empty(), "{ports:?}");
    };
    refused(&[(1, Wish::Off), (7, Wish::On)], (CommandError::UnknownPort, Some(7)));
    refused(&[(1, Wish::Off), (3, Wish::Off)], (CommandError::Locked, Some(3)));
    refused(&[(4, Wish::On)], (CommandError::Locked, Some(4)));
    refused(&[(0, Wish::Off)], (CommandError::Locked, Some(3)));
    world.switch(&[(3, Wish::On)]);
    world.secs(1);
    assert_eq!(world.result().error, None, "on stays allowed for a port locked on");
}

#[test]
fn read_only_and_offline_and_unknown_plugs_are_refused() {
    let mut frozen = rules();
    frozen.read_only = true;
    let mut world = strip_under(frozen);
    world.switch(&[(1, Wish::Off)]);
    assert_eq!(world.result().error, Some((CommandError::ReadOnly, None)));

    let mut world = strip();
    world.fake(1).fails = Some(Failure::Unreachable("refused".into()));
    world.secs(30);
    world.notes.clear();
    assert!(!world.view(A).online);
    world.switch(&[(1, Wish::Off)]);
    assert_eq!(world.result().error, Some((CommandError::Offline, None)));

    let mut order = world.order(&[(1, Wish::Off)]);
    order.plug = id("maxsmart-nobody");
    world.feed(Input::Commanded(Order::Switch(order)));
    assert_eq!(world.result().error, Some((CommandError::UnknownDevice, None)));
}

#[test]
fn a_timed_command_goes_back_by_itself_unless_somebody_else_decides() {
    let mut world = strip();
    let mut order = world.order(&[(1, Wish::Off)]);
    order.hold = Some(Duration::from_secs(60));
    world.feed(Input::Commanded(Order::Switch(order.clone())));
    world.secs(59);
    assert!(!world.fake(1).relays[0]);
    assert_eq!(world.hub.memory().plugs[&id(A)].reverts.len(), 1, "outlives a restart");
    world.secs(3);
    assert!(world.fake(1).relays[0]);
    assert_eq!(world.view(A).ports[0].cause, Some(Cause::Timer));
    assert!(world.hub.memory().plugs[&id(A)].reverts.is_empty());
    assert_eq!(world.results().len(), 1, "the way back is nobody's command");

    world.feed(Input::Commanded(Order::Switch(order)));
    world.secs(5);
    world.switch(&[(1, Wish::Off)]);
    world.secs(120);
    assert!(!world.fake(1).relays[0], "a newer command took its place");
}

#[test]
fn a_timed_port_goes_back_after_a_restart() {
    let mut world = strip();
    let mut order = world.order(&[(1, Wish::Off)]);
    order.hold = Some(Duration::from_secs(60));
    world.feed(Input::Commanded(Order::Switch(order)));
    world.secs(2);
    let memory = world.hub.memory();
    let fakes = world.fakes.clone();
    let mut again = World::with(rules(), memory);
    again.fakes = fakes;
    again.secs(70);
    assert!(again.fake(1).relays[0]);
}

#[test]
fn staggered_ports_follow_one_another() {
    let mut world = strip();
    let mut order = world.order(&[(1, Wish::Off), (2, Wish::Off), (3, Wish::Off)]);
    order.stagger = Duration::from_millis(500);
    world.feed(Input::Commanded(Order::Switch(order)));
    world.run(Duration::from_millis(700));
    assert_eq!(world.fake(1).relays[..3], [false, false, true]);
    world.secs(1);
    assert_eq!(world.fake(1).relays[..3], [false; 3]);
    assert_eq!(world.result().attempts, 1);
}

#[test]
fn a_hand_at_the_plug_is_told_as_such() {
    let mut world = strip();
    world.fake(1).relays[4] = false;
    world.secs(6);
    let port = world.view(A).ports[4].clone();
    assert_eq!((port.relay, port.cause), (Some(false), Some(Cause::Local)));
    let event = Note::Plug(id(A), Event::SwitchedLocally { port: 5, on: false });
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
fn a_plug_is_offline_after_three_misses_and_then_asked_ever_more_rarely() {
    let mut world = strip();
    world.fake(1).fails = Some(Failure::Silent);
    world.secs(14);
    assert!(world.view(A).online, "hysteresis");
    world.secs(10);
    let view = world.view(A);
    assert!(!view.online);
    assert_eq!(view.problem.as_deref(), Some("does not answer"));
    assert_eq!(view.ports[0].relay, Some(true), "the last truth stands");
    world.secs(120);
    world.reads.clear();
    world.secs(350);
    assert!((9..=11).contains(&world.reads.len()), "every 30 s and the time-out: {}", world.reads.len());
    world.fake(1).fails = None;
    world.secs(36);
    assert!(world.view(A).online);
    assert!(world.notes.contains(&Note::Bridge(Event::DeviceOnline(id(A)))));
}

#[test]
fn a_plug_that_only_refuses_is_told_offline_within_three_intervals() {
    let mut world = strip();
    world.fake(1).fails = Some(Failure::Unreachable("refused".into()));
    world.secs(16);
    assert!(!world.view(A).online);
}

#[test]
fn when_something_is_missing_it_is_searched_for() {
    let mut world = strip();
    world.probes.clear();
    world.fake(1).fails = Some(Failure::Unreachable("gone".into()));
    world.secs(8);
    assert_eq!(world.probes.len(), 1, "soon after the first miss");
    world.secs(600);
    assert!(world.probes.len() < 20, "but not ever faster: {}", world.probes.len());
}

#[test]
fn a_plug_is_followed_to_its_new_address() {
    let mut world = strip();
    let fake = world.fakes.remove(&place(1)).expect("the strip");
    world.fakes.insert(place(9), fake);
    world.secs(30);
    assert!(!world.view(A).online);
    world.feed(Input::Heard(found(1, 1, 9)));
    // A conversation with the old address may have to end first.
    world.secs(6);
    let view = world.view(A);
    assert!(view.online);
    assert_eq!(view.ip.as_deref(), Some("127.0.0.9"));
    let event = Event::AddressChanged { from: "127.0.0.1".into(), to: "127.0.0.9".into() };
    assert!(world.notes.contains(&Note::Plug(id(A), event)));
}

#[test]
fn two_plugs_that_swap_addresses_are_told_apart() {
    let mut world = strip();
    world.fake(2).relays = vec![false; 6];
    world.feed(Input::Heard(found(2, 2, 2)));
    world.secs(60);
    let (a, b) = (world.fakes[&place(1)].clone(), world.fakes[&place(2)].clone());
    world.fakes.insert(place(1), b);
    world.fakes.insert(place(2), a);
    world.feed(Input::Heard(found(2, 2, 1)));
    assert!(!world.view(A).online, "nobody is asked at another's address");
    world.feed(Input::Heard(found(1, 1, 2)));
    world.secs(5);
    assert_eq!(world.view(A).ip.as_deref(), Some("127.0.0.2"));
    assert_eq!(world.view(A).ports[0].relay, Some(true));
    assert_eq!(world.view("maxsmart-swp6000000000002").ports[0].relay, Some(false));
}

#[test]
fn two_plugs_with_one_serial_are_two_plugs() {
    let mut world = strip();
    world.fake(2).relays = vec![false];
    world.feed(Input::Heard(found(1, 2, 2)));
    world.secs(1);
    let second = world.view("maxsmart-swp6000000000001-000002");
    assert_eq!((second.ports.len(), second.ports[0].relay), (1, Some(false)));
    assert_eq!(world.view(A).ports.len(), 6);
    // And stay so, whoever answers first next time.
    world.feed(Input::Heard(found(1, 2, 2)));
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(1);
    assert_eq!(world.hub.view().plugs.len(), 2);
    let mut again = World::with(rules(), world.hub.memory());
    again.feed(Input::Heard(found(1, 2, 2)));
    assert_eq!(again.hub.view().plugs.len(), 2);
}

#[test]
fn a_clone_without_a_mac_cannot_pull_a_healthy_plug_away() {
    let mut world = World::new(rules());
    world.fake(1);
    let mut nameless = found(1, 1, 1);
    nameless.facts.mac = None;
    world.feed(Input::Heard(nameless.clone()));
    world.secs(30);
    nameless.place = place(7);
    world.feed(Input::Heard(nameless));
    assert_eq!(world.view(A).ip.as_deref(), Some("127.0.0.1"));
}

#[test]
fn who_tells_a_plugs_serial_and_mac_is_believed_unless_it_was_heard_a_moment_ago() {
    let mut world = World::new(rules());
    world.fake(1);
    let own = found(1, 1, 1);
    world.feed(Input::Heard(own.clone()));
    world.secs(30);
    let liar = Found { place: place(7), ..own.clone() };
    world.feed(Input::Heard(own));
    world.feed(Input::Heard(liar.clone()));
    assert_eq!(world.view(A).ip.as_deref(), Some("127.0.0.1"));
    world.secs(30);
    world.feed(Input::Heard(liar));
    assert_eq!(world.view(A).ip.as_deref(), Some("127.0.0.7"));
}

#[test]
fn known_plugs_are_polled_at_once_before_any_search_is_answered() {
    let memory = strip().hub.memory();
    let mut world = World::with(rules(), memory);
    world.fake(1);
    assert!(!world.view(A).online, "not before it answered");
    assert_eq!(world.view(A).ports.len(), 6, "but its ports are known");
    world.feed(Input::Tick);
    assert_eq!(world.reads.len(), 1);
    world.run(Duration::from_millis(50));
    assert!(world.view(A).online);
}

#[test]
fn a_command_for_a_known_plug_not_reached_yet_waits_for_it() {
    let memory = strip().hub.memory();
    let mut world = World::with(rules(), memory);
    world.fake(1);
    world.feed(Input::Tick);
    world.switch(&[(1, Wish::Off)]);
    world.secs(1);
    assert_eq!(world.result().error, None);
}

#[test]
fn plugs_are_not_taken_when_adopting_is_off_and_taken_when_it_is_on_again() {
    let mut closed = rules();
    closed.adopt = false;
    let mut world = World::new(closed);
    world.fake(1);
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(20);
    assert!(world.reads.is_empty());
    assert!(!world.view(A).adopted);
    assert!(world.hub.memory().plugs.is_empty());
    world.switch(&[(1, Wish::Off)]);
    assert_eq!(world.result().error, Some((CommandError::UnknownDevice, None)));
    world.request(Request::Adopt(true, Some(Duration::from_secs(30))));
    world.secs(1);
    assert!(world.view(A).online);
    world.secs(31);
    assert!(!world.hub.view().bridge.adopt, "its time is up");
}

#[test]
fn plugs_named_in_the_settings_are_taken_though_adopting_is_off() {
    let named: [fn(&mut Rules); 2] =
        [|rules| rules.allow.extend([id(A)]), |rules| rules.plugs.extend([(id(A), PlugRules::default())])];
    for name in named {
        let mut closed = rules();
        closed.adopt = false;
        name(&mut closed);
        let mut world = World::new(closed);
        world.fake(1);
        world.feed(Input::Heard(found(1, 1, 1)));
        world.feed(Input::Heard(found(2, 2, 2)));
        world.secs(1);
        assert!(world.view(A).online);
        assert!(world.hub.view().plugs.values().all(|plug| plug.adopted == (plug.id == id(A))));
    }
}

#[test]
fn removed_plugs_are_forgotten_and_blocked_ones_stay_away() {
    let mut world = strip();
    assert!(world.request(Request::DeviceRemove { id: id(A), block: true }).result.is_ok());
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(10);
    assert!(world.hub.view().plugs.is_empty());
    assert!(world.hub.memory().blocked.contains(&id(A)));
    assert!(world.request(Request::DeviceRemove { id: id(A), block: false }).result.is_err());
}

#[test]
fn names_and_options_are_kept_but_settings_have_the_last_word() {
    let mut strict = rules();
    let own = PlugRules {
        name: Name::clean("Fixed"),
        locks: BTreeMap::from([(1, Lock::On)]),
        ..PlugRules::default()
    };
    strict.plugs.insert(id(A), own);
    let mut world = strip_under(strict);
    let name = Name::clean("Other");
    assert!(world.request(Request::DeviceRename { id: id(A), name: name.clone() }).result.is_err());
    assert!(world.request(Request::PortRename { id: id(A), port: 2, name: name.clone() }).result.is_ok());
    assert!(world.request(Request::PortRename { id: id(A), port: 9, name }).result.is_err());
    assert_eq!(&*world.view(A).ports[1].name, "Other");
    let lock = |lock| {
        let port = BTreeMap::from([(1, PortOptions { lock: Some(lock) })]);
        Request::DeviceOptions { id: id(A), options: Box::new(Options { port, ..Options::default() }) }
    };
    assert!(world.request(lock(Lock::None)).result.is_err(), "cannot be loosened");
    assert!(world.request(lock(Lock::Both)).result.is_ok(), "can be tightened");
    assert_eq!(world.view(A).ports[0].lock, Some(Lock::Both));
    let slow = Options { poll_interval_ms: Some(60_000), ..Options::default() };
    assert!(world.request(Request::DeviceOptions { id: id(A), options: Box::new(slow) }).result.is_ok());
    world.secs(60);
    world.reads.clear();
    world.secs(300);
    assert_eq!(world.reads.len(), 5);
    let bad = Options { poll_interval_ms: Some(0), ..Options::default() };
    assert!(world.request(Request::DeviceOptions { id: id(A), options: Box::new(bad) }).result.is_err());
}

#[test]
fn stopping_gives_every_command_its_result_and_begins_nothing() {
    let mut world = strip();
    world.fake(1).slow = Duration::from_secs(1);
    world.switch(&[(1, Wish::Off)]);
    world.run(Duration::from_millis(50));
    world.switch(&[(2, Wish::Off)]);
    world.feed(Input::Stop);
    world.switch(&[(3, Wish::Off)]);
    let began = world.reads.len();
    world.secs(10);
    let results = world.results();
    assert_eq!(results.len(), 3);
    assert_eq!(
        results.iter().filter(|result| result.error.is_none()).count(),
        1,
        "the one on the wire ended well"
    );
    assert_eq!(world.reads.len(), began);
    assert_eq!(world.fake(1).relays[..3], [false, true, true]);
}

#[test]
fn somebody_without_an_identity_is_asked_for_it() {
    let mut world = World::new(rules());
    let mut nobody = found(1, 1, 5);
    nobody.id = None;
    nobody.facts.mac = None;
    world.feed(Input::Heard(nobody));
    assert!(matches!(world.coming.as_slice(), [(_, Outcome { who: Who::Place("maxsmart", _), .. })]));
    world.coming.clear();
    world.fake(5);
    let answer = Answer::Identity(Found { id: Some(id("maxsmart-aabbccdd")), ..found(1, 1, 5) });
    let who = Who::Place("maxsmart", place(5));
    world.feed(Input::Answered(Outcome { who, result: Ok(answer), requests: 2, took: Duration::ZERO }));
    world.secs(1);
    assert!(world.view("maxsmart-aabbccdd").online);
}

#[test]
fn a_firehose_of_invented_plugs_is_bounded() {
    let mut world = World::new(rules());
    for n in 0..MAX_PLUGS + 50 {
        let mut fake = found(1, 1, 200);
        fake.id = PlugId::of("maxsmart", &format!("swp6{n:012}"));
        fake.facts = Facts::default();
        fake.place.udp = u16::try_from(n).unwrap();
        world.feed(Input::Heard(fake));
    }
    assert!(world.hub.view().plugs.len() <= MAX_PLUGS);
}

#[test]
fn no_more_than_eight_scans_run_at_one_time() {
    let mut world = World::new(rules());
    let scan = |world: &mut World| {
        world.feed(Input::Commanded(Order::Request(Request::Scan(Duration::from_secs(5)), None)))
    };
    for _ in 0..20 {
        scan(&mut world);
    }
    let refused = |world: &World| {
        let said =
            world.notes.iter().filter(|note| matches!(note, Note::Response(Response { result: Err(_), .. })));
        said.count()
    };
    assert_eq!(refused(&world), 12);
    world.secs(6);
    scan(&mut world);
    assert_eq!(refused(&world), 12);
}
