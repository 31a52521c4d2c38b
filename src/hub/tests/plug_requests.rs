//! Requests to one plug, and the slow round.

use super::*;
use crate::model::{
    Access, Clock, ClockQuery, ClockRequest, Countdown, CountdownQuery, CountdownRequest, Days, Hardware,
    HistoryRequest, LeaderGroup, PlugAnswer, PlugRequest, PresenceSimulation, PresenceSimulationChange,
    PriceRequest, Query, QueryReply, RawHistory, RawRule, Rename, Renamed, ResponseData, Role,
    ScheduleRequest, Span,
};

const NOON: &str = "2026-11-21T12:00:00";

/// What a fake can do beyond relays.
#[derive(Debug, Clone)]
pub(super) struct Able {
    pub(super) drift_s: i64,
    /// It says yes to a new time and keeps its own.
    pub(super) keeps_time: bool,
    timers: BTreeMap<u8, u32>,
    group: LeaderGroup,
    presence: PresenceSimulation,
    pub(super) rules: Vec<RawRule>,
    name: Option<Name>,
    refuses: Option<&'static str>,
}

impl Able {
    pub(super) fn new() -> Self {
        let ports = vec![false; 6];
        Self {
            drift_s: 0,
            keeps_time: false,
            timers: BTreeMap::new(),
            group: LeaderGroup { roles: vec![Role::Neutral; 6], limit_w: Some(2) },
            presence: PresenceSimulation { enabled: false, days: Days::default(), from: 0, to: 0, ports },
            rules: Vec::new(),
            name: None,
            refuses: None,
        }
    }

    pub(super) fn answer(&mut self, query: &Query) -> DeviceResponse {
        if let Some(why) = self.refuses {
            return DeviceResponse::Refused(why.into());
        }
        let clock =
            |drift_s| QueryReply::Clock(Some(Clock { local: NOON.parse().expect("a time"), drift_s }));
        DeviceResponse::Capability(match query {
            Query::Clock(ClockQuery::Read) => clock(self.drift_s),
            Query::Clock(ClockQuery::Set) => {
                self.drift_s = if self.keeps_time { self.drift_s } else { 0 };
                clock(self.drift_s)
            }
            Query::Countdown(CountdownQuery { port, minutes }) => {
                if let Some(minutes) = minutes {
                    self.timers.insert(*port, *minutes);
                }
                let minutes = self.timers.get(port).copied().filter(|minutes| *minutes > 0);
                QueryReply::Countdown(minutes.map(|minutes| Countdown { minutes, left_s: minutes * 60 }))
            }
            Query::Leader(Access::Read) => QueryReply::Leader(self.group.clone()),
            Query::Leader(Access::Write(group)) => {
                self.group = group.clone();
                QueryReply::Leader(self.group.clone())
            }
            Query::PresenceSimulation(Access::Read) => QueryReply::PresenceSimulation(self.presence.clone()),
            Query::PresenceSimulation(Access::Write(presence)) => {
                self.presence = presence.clone();
                QueryReply::PresenceSimulation(self.presence.clone())
            }
            Query::Hardware => {
                let cpuid = Some("AABBCCDDEEFF554433221100".into());
                QueryReply::Hardware(Hardware { mac: None, cpuid, server: None })
            }
            Query::Names(Rename { name, .. }) => QueryReply::Names(self.name.clone().or(Some(name.clone()))),
            Query::Schedule(_) => QueryReply::Schedule(self.rules.clone()),
            Query::Price(_) => QueryReply::Price(None),
            Query::History(_) => return DeviceResponse::Unsupported,
            Query::Call(_) => QueryReply::Call("{}".into()),
        })
    }
}

fn able(rules: Rules) -> World {
    let mut world = World::new(rules);
    world.fake(1).able = Some(Able::new());
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(1);
    world
}

/// Through with its first round.
fn settled() -> World {
    let mut world = able(rules());
    world.secs(150);
    world.notes.clear();
    world.queries.clear();
    world
}

fn hand_in(world: &mut World, request: impl Into<PlugRequest>, mark: &str) {
    let request = Request::PlugRequest(id(A), request.into());
    world.feed(Input::Commanded(HubRequest::Request(request, Asker::mqtt(Some(mark.into())))));
}

fn responses(world: &mut World) -> Vec<Response> {
    let notes = std::mem::take(&mut world.notes).into_iter();
    notes
        .filter_map(|note| if let Notification::Response(response) = note { Some(response) } else { None })
        .collect()
}

fn report(world: &mut World, request: impl Into<PlugRequest>) -> Result<PlugAnswer, String> {
    hand_in(world, request, "\"x\"");
    world.secs(40);
    let all = responses(world);
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!(all[0].asker.mark.as_deref(), Some("\"x\""));
    all[0].result.clone().map(|data| {
        let ResponseData::PlugAnswer(plug, report) = data else { panic!("{data:?}") };
        assert_eq!(plug, id(A));
        report
    })
}

fn sets(world: &World) -> usize {
    world.queries.iter().filter(|(_, query)| *query == Query::Clock(ClockQuery::Set)).count()
}

#[test]
fn a_request_is_answered_once_and_what_the_plug_said_is_shown() {
    let mut world = settled();
    let Ok(PlugAnswer::Countdown(timers)) =
        report(&mut world, CountdownRequest { port: Some(2), minutes: Some(20) })
    else {
        panic!("a report")
    };
    assert_eq!(timers, [(2, Some(Countdown { minutes: 20, left_s: 1200 }))]);
    let extras = world.view(A).capabilities.clone().expect("extras");
    assert_eq!(extras.countdowns[&2].minutes, 20);
    let left_ms = extras.countdowns[&2].ends_ms - moment(world.up).unix_ms;
    assert!((1_155_000..=1_200_000).contains(&left_ms), "{left_ms}");
    // All at once: six conversations, and one answer.
    let all = report(&mut world, CountdownRequest { port: None, minutes: None });
    assert!(matches!(all, Ok(PlugAnswer::Countdown(all)) if all.len() == 6));
    let on = PresenceSimulationChange { enabled: Some(true), ..PresenceSimulationChange::default() };
    let why = report(&mut world, on).expect_err("no days");
    assert!(why.starts_with(A) && why.contains("days"), "{why}");
    world.fake(1).able = None;
    let why = report(&mut world, ScheduleRequest::default()).expect_err("it cannot");
    assert!(why.contains("firmware does not know"), "{why}");
    assert!(world.view(A).online && world.view(A).problem.is_none());
    let nobody = Request::PlugRequest(id("maxsmart-nobody"), ClockRequest { set: false }.into());
    assert!(world.request(nobody).result.is_err());
}

#[test]
fn requests_wait_in_a_bounded_line_and_each_ends_in_time() {
    let mut world = settled();
    world.fake(1).slow = Duration::from_secs(4);
    for n in 0..10 {
        hand_in(&mut world, PriceRequest::default(), &n.to_string());
    }
    let full = responses(&mut world);
    assert!(full.iter().all(|response| response.result.is_err()), "{full:?}");
    assert_eq!(full.len(), 2, "two found the line full");
    world.secs(31);
    let mut rest = responses(&mut world);
    let late = rest.iter().filter(|response| response.result.is_err()).count();
    assert!((1..8).contains(&late), "{rest:?}");
    rest.extend(full);
    let marks: BTreeSet<_> = rest.iter().map(|response| response.asker.mark.clone()).collect();
    assert_eq!((rest.len(), marks.len()), (10, 10));
}

#[test]
fn silence_ends_a_request_and_makes_no_plug_offline() {
    let mut world = settled();
    world.fake(1).fails = Some(Failure::Closed);
    hand_in(&mut world, ClockRequest { set: false }, "1");
    world.run(Duration::from_millis(100));
    let [response] = &responses(&mut world)[..] else { panic!("one response") };
    assert!(response.result.as_ref().is_err_and(|why| why.contains("closed the connection")), "{response:?}");
    assert!(world.view(A).online && world.view(A).problem.is_none());
    world.secs(60);
    assert!(!world.view(A).online, "its polls fail, too");
    world.notes.clear();
    hand_in(&mut world, ClockRequest { set: false }, "2");
    let [response] = &responses(&mut world)[..] else { panic!("at once") };
    assert!(response.result.as_ref().is_err_and(|why| why.contains("does not answer")), "{response:?}");
}

#[test]
fn commands_go_before_requests_and_polls_go_on() {
    let mut world = settled();
    world.fake(1).slow = Duration::from_millis(300);
    world.reads.clear();
    for n in 0..8 {
        hand_in(&mut world, CountdownRequest { port: None, minutes: None }, &n.to_string());
    }
    world.run(Duration::from_millis(50));
    world.switch(&[(1, SwitchAction::Off)]);
    world.run(Duration::from_millis(560));
    assert_eq!(world.results().len(), 1, "after the conversation on the wire, before those that wait");
    world.secs(14);
    // Two seconds of burst, then every five.
    assert!(world.reads.len() >= 6, "{:?}", world.reads);
    world.secs(20);
    assert_eq!(responses(&mut world).len(), 8);
}

#[test]
fn removal_and_stop_end_what_waits_exactly_once() {
    let mut world = settled();
    world.fake(1).slow = Duration::from_secs(1);
    for n in 0..3 {
        hand_in(&mut world, PriceRequest::default(), &n.to_string());
    }
    world.feed(Input::Commanded(HubRequest::Request(
        Request::DeviceRemove { id: id(A), block: true },
        Asker::default(),
    )));
    let ended: Vec<_> = responses(&mut world).into_iter().filter(|r| r.verb == "price").collect();
    assert_eq!(ended.len(), 3, "{ended:?}");
    world.secs(60);
    assert!(responses(&mut world).is_empty());

    let mut world = settled();
    world.fake(1).slow = Duration::from_secs(1);
    for n in 0..3 {
        hand_in(&mut world, PriceRequest::default(), &n.to_string());
    }
    world.feed(Input::Stop);
    assert_eq!(responses(&mut world).len(), 2, "one is on the wire");
    world.secs(2);
    assert_eq!(responses(&mut world).len(), 1);
    hand_in(&mut world, PriceRequest::default(), "late");
    assert!(responses(&mut world)[0].result.is_err());
}

#[test]
fn a_name_goes_to_the_plug_or_is_kept_here() {
    let mut world = settled();
    let lamp = Name::clean("Lamp").expect("a name");
    let rename = |port| Rename { port, name: lamp.clone() };
    let Ok(PlugAnswer::Names(Renamed { kept_here: None, .. })) = report(&mut world, rename(2)) else {
        panic!("verified")
    };
    assert_eq!(&*world.view(A).ports[1].name, "Lamp");
    assert!(world.hub.memory().plugs[&id(A)].port_names.is_empty(), "the plug has it");
    world.fake(1).able.as_mut().expect("able").refuses = Some("no names here");
    let Ok(PlugAnswer::Names(Renamed { kept_here: Some(why), .. })) = report(&mut world, rename(0)) else {
        panic!("kept")
    };
    assert!(why.contains("no names here"), "{why}");
    assert_eq!(&*world.view(A).name, "Lamp");
    assert_eq!(world.hub.memory().plugs[&id(A)].name, Some(lamp.clone()));
    world.fake(1).fails = Some(Failure::Timeout);
    world.secs(60);
    world.notes.clear();
    let Ok(PlugAnswer::Names(Renamed { kept_here: Some(_), .. })) = report(&mut world, rename(3)) else {
        panic!("kept")
    };
    assert_eq!(&*world.view(A).ports[2].name, "Lamp");
    // The settings are stronger.
    let own = PlugRules { name: Name::clean("Mine"), ..PlugRules::default() };
    let mut world = able(Rules { plugs: BTreeMap::from([(id(A), own)]), ..rules() });
    world.notes.clear();
    assert!(report(&mut world, rename(0)).is_err_and(|why| why.contains("settings")));
}

#[test]
fn locks_and_read_only_hold_for_what_a_plug_does_by_itself() {
    let locked = PlugRules { locks: BTreeMap::from([(6, Lock::On)]), ..PlugRules::default() };
    let mut world = able(Rules { plugs: BTreeMap::from([(id(A), locked)]), ..rules() });
    world.notes.clear();
    let timer = |port| CountdownRequest { port: Some(port), minutes: Some(5) };
    assert!(report(&mut world, timer(6)).is_err_and(|why| why.contains("locked")));
    assert!(report(&mut world, timer(5)).is_ok());
    let mut world = able(Rules { read_only: true, ..rules() });
    world.notes.clear();
    assert!(report(&mut world, timer(5)).is_err_and(|why| why.contains("read-only")));
    assert!(report(&mut world, CountdownRequest { port: None, minutes: None }).is_ok());
    assert!(
        !world
            .queries
            .iter()
            .any(|(_, query)| matches!(query, Query::Countdown(CountdownQuery { minutes: Some(_), .. })))
    );
}

#[test]
fn the_round_asks_everything_once_well_apart_and_then_rarely() {
    let mut world = able(rules());
    world.secs(150);
    assert_eq!(world.queries.len(), 10, "{:?}", world.queries);
    let apart = |pair: &[(Duration, Query)]| pair[1].0 - pair[0].0 >= Duration::from_secs(10);
    assert!(world.queries.windows(2).all(apart), "{:?}", world.queries);
    let offer = world.view(A).offer;
    let shown = ["clock", "countdown", "leader", "presence_simulation"];
    assert!(shown.iter().all(|name| offer.able.has(name)), "{offer:?}");
    assert_eq!(world.hub.memory().plugs[&id(A)].offer, offer, "remembered");
    assert_eq!(world.view(A).facts.cpuid.as_deref(), Some("AABBCCDDEEFF554433221100"));
    let extras = world.view(A).capabilities.clone().expect("extras");
    assert_eq!(
        (extras.drift_s, extras.presence_simulation, extras.countdowns.len()),
        (Some(0), Some(false), 6)
    );
    world.queries.clear();
    world.secs(3600);
    // Clock and six timers, twice.
    assert_eq!(world.queries.len(), 14, "{:?}", world.queries);
    // One bad answer takes nothing away.
    world.fake(1).able = None;
    world.secs(4 * 3600);
    assert_eq!(world.view(A).offer, offer);
}

#[test]
fn a_plug_that_knows_none_of_it_is_left_alone() {
    let mut world = World::new(rules());
    world.fake(1);
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(24 * 3600);
    assert_eq!(world.view(A).capabilities, None);
    let offer = world.view(A).offer;
    assert!(offer.able.is_empty(), "{offer:?}");
    assert!(world.queries.len() < 40, "{} questions in a day", world.queries.len());
    assert!(world.view(A).online);
}

#[test]
fn the_end_of_a_timer_is_looked_at() {
    let mut world = settled();
    report(&mut world, CountdownRequest { port: Some(2), minutes: Some(3) }).expect("set");
    world.fake(1).able.as_mut().expect("able").timers.clear();
    world.secs(130);
    let shown = |world: &World| world.view(A).capabilities.as_ref().expect("extras").countdowns[&2].minutes;
    assert_eq!(shown(&world), 3);
    world.secs(30);
    assert_eq!(shown(&world), 0);
}

#[test]
fn a_clock_that_is_off_is_set_also_when_summer_time_ends() {
    let mut world = World::new(rules());
    world.fake(1).able = Some(Able { drift_s: -120, ..Able::new() });
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(60);
    assert_eq!(sets(&world), 1);
    let shown = |world: &World| world.view(A).capabilities.as_ref().expect("extras").drift_s;
    assert_eq!(shown(&world), Some(0));
    // Thirty seconds are good enough; a second is not worth telling.
    world.fake(1).able.as_mut().expect("able").drift_s = 30;
    world.secs(3600);
    assert_eq!((sets(&world), shown(&world)), (1, Some(30)));
    world.fake(1).able.as_mut().expect("able").drift_s = 29;
    world.secs(3600);
    assert_eq!(shown(&world), Some(30));
    // The hour jumps: it is looked at within a few polls.
    world.fake(1).able.as_mut().expect("able").drift_s = 3600;
    world.summer = true;
    world.secs(40);
    assert_eq!((sets(&world), shown(&world)), (2, Some(0)));
    // After a power cut, too.
    world.fake(1).fails = Some(Failure::Timeout);
    world.secs(120);
    let fake = world.fake(1);
    fake.fails = None;
    fake.able.as_mut().expect("able").drift_s = -407_246_400;
    world.secs(120);
    assert_eq!((sets(&world), shown(&world)), (3, Some(0)));
}

#[test]
fn no_clock_is_set_by_half_hours_while_no_zone_is_known() {
    for (drift_s, known, unknown) in [
        (3600, 1, 0),
        (-3600, 1, 0),
        (-3640, 1, 0),
        (20_700, 1, 0),
        (-1800, 1, 0),
        (50_400, 1, 0),
        (-120, 1, 1),
        (600, 1, 1),
        (20, 0, 0),
        // Lost, or never set.
        (-407_246_400, 1, 1),
    ] {
        for (zone_known, wanted) in [(true, known), (false, unknown)] {
            let mut rules = rules();
            rules.families.values_mut().for_each(|pace| pace.zone_known = zone_known);
            let mut world = World::new(rules);
            world.fake(1).able = Some(Able { drift_s, ..Able::new() });
            world.feed(Input::Heard(found(1, 1, 1)));
            world.secs(3700);
            assert_eq!(sets(&world), wanted, "{drift_s} {zone_known}");
            let asked = report(&mut world, ClockRequest { set: true });
            assert_eq!(asked.is_ok(), zone_known, "{asked:?}");
        }
    }
}

#[test]
fn no_clock_is_set_by_one_that_is_behind() {
    let mut world = World::new(rules());
    world.fake(1).watts = 360.0;
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(600);
    // The bridge starts anew with its clock an hour behind what is remembered.
    let mut world = World::with(rules(), world.hub.memory());
    world.fake(1).able = Some(Able { drift_s: 599, ..Able::new() });
    world.secs(300);
    assert_eq!(sets(&world), 0);
    let why = report(&mut world, ClockRequest { set: true }).expect_err("the past");
    assert!(why.contains("shows 2026-11-18 12:") && why.contains("set that first"), "{why}");
    world.secs(2400);
    assert_eq!(sets(&world), 1);
    // Long before the program was there.
    let pace = rules().families["maxsmart"];
    let early = Now { unix_ms: Now::RELEASED_MS - 1, ..moment(world.up) };
    assert!(!pace.knows_better(&early, 120) && pace.knows_better(&moment(world.up), 120));
}

#[test]
fn a_clock_that_cannot_be_set_is_not_hammered_and_one_that_must_not_be_is_left() {
    let stubborn = Able { drift_s: 500, keeps_time: true, ..Able::new() };
    let mut world = World::new(rules());
    world.fake(1).able = Some(stubborn.clone());
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(24 * 3600);
    assert!((2..10).contains(&sets(&world)), "{}", sets(&world));
    let mut rules = rules();
    rules.families.values_mut().for_each(|pace| pace.set_clock = false);
    let mut world = World::new(rules);
    world.fake(1).able = Some(stubborn);
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(24 * 3600);
    assert_eq!(sets(&world), 0);
    assert_eq!(world.view(A).capabilities.as_ref().expect("extras").drift_s, Some(500));
}

#[test]
fn a_record_is_read_as_the_hours_have_taught() {
    let mut world = settled();
    world.feed(Input::Commanded(HubRequest::Metered(Vec::new())));
    world.fake(1).watts = 360.0;
    let history = |world: &World| {
        let hour = (moment(world.up).unix_ms / 1000 + 3600) / 3600;
        let row: Vec<Option<f64>> = (0..24).map(|nth| Some(if nth == 23 { 0.0 } else { 0.36 })).collect();
        // Kilowatt-hours, dated by the first.
        let first = jiff::Timestamp::from_second(i64::try_from((hour - 23) * 3600).unwrap()).expect("a time");
        let date = Some(first.strftime("%Y-%m-%d-%H").to_string());
        RawHistory { span: Span::Hours, date, rows: vec![row; 6], cost: Some(0.2), currency: Some(3) }
    };
    let ask = || HistoryRequest::default();
    world.fake(1).record = Some(history(&world));
    let Ok(PlugAnswer::History(record)) = report(&mut world, ask()) else { panic!("a record") };
    assert!(!record.learnt);
    world.secs(5 * 3600);
    world.fake(1).record = Some(history(&world));
    let Ok(PlugAnswer::History(record)) = report(&mut world, ask()) else { panic!("a record") };
    assert!(record.learnt);
    let row = &record.rows[22];
    assert!(row.wh.is_some_and(|wh| (wh - 2160.0).abs() < 1e-6), "{row:?}");
    let hour = moment(world.up).local().strftime("%Y-%m-%d %H:00").to_string();
    assert_eq!(record.rows[23].time, hour);
}
