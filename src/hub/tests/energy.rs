//! Energy as the hub shows and remembers it.

use super::*;
use crate::model::{Metered, ResponseData, Span};

const B: &str = "maxsmart-swp6000000000002";

fn kwh(kwh: f64) -> Energy {
    Energy::from_kwh(kwh).expect("an amount")
}

fn told(plug: &str, port: Option<u8>, kwh: f64) -> Metered {
    Metered { plug: id(plug), port, kwh }
}

/// A strip of six with 360 W on each port, polled for a while.
fn strip(told: Option<Vec<Metered>>) -> World {
    let mut world = World::new(rules());
    world.fake(1).watts = 360.0;
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(1);
    if let Some(told) = told {
        world.feed(Input::Commanded(HubRequest::Metered(told)));
    }
    world
}

fn shown(world: &World, plug: &str) -> Vec<Option<Energy>> {
    let view = world.view(plug);
    view.ports.iter().map(|port| port.energy).chain([view.energy]).collect()
}

#[test]
fn no_energy_is_shown_before_it_is_known_what_was_told_before() {
    let mut world = strip(None);
    world.secs(100);
    assert_eq!(shown(&world, A), [None; 7]);
    world.feed(Input::Commanded(HubRequest::Metered(vec![told(A, Some(2), 5.0), told(B, Some(1), 7.0)])));
    let energy = shown(&world, A);
    // A hundred seconds at 360 W are ten watt-hours.
    assert!(energy[0] >= Some(kwh(0.0099)) && energy[0] <= Some(kwh(0.0102)), "{energy:?}");
    assert!(energy[1] >= Some(kwh(5.0099)) && energy[1] <= Some(kwh(5.0102)), "{energy:?}");
    // Another plug is found later, answers a little later still and goes on where it was.
    world.fake(2).fails = Some(Failure::Closed);
    world.feed(Input::Heard(found(2, 2, 2)));
    world.secs(1);
    world.fake(2).fails = None;
    world.secs(10);
    assert!(shown(&world, B)[0].is_some_and(|energy| energy >= kwh(7.0)), "{:?}", shown(&world, B));
}

#[test]
fn energy_is_told_by_the_watt_hour_every_ten_seconds_at_most_and_adds_up() {
    let mut world = strip(Some(Vec::new()));
    let mut changes = Vec::new();
    let mut last = shown(&world, A);
    for _ in 0..120 {
        world.secs(1);
        let now = shown(&world, A);
        if now != last {
            changes.push(world.up);
            let ports: Energy = now[..6].iter().flatten().copied().sum();
            assert_eq!(Some(ports), now[6]);
            assert!(now.iter().zip(&last).all(|(now, last)| now >= last));
            last = now;
        }
    }
    assert!((10..=12).contains(&changes.len()), "{changes:?}");
    // Below a watt-hour nothing is told but at the heartbeat.
    world.fake(1).watts = 0.1;
    world.secs(10);
    let still = shown(&world, A);
    world.secs(30);
    assert_eq!(shown(&world, A), still);
}

#[test]
fn meters_are_written_each_watt_hour_and_more_rarely_when_they_hardly_move() {
    let mut world = strip(Some(Vec::new()));
    // 2160 W, 6 W, nothing.
    for (watts, seconds, saves) in [(360.0, 600, 40..=60), (1.0, 600, 1..=4), (0.0, 3600, 5..=7)] {
        world.fake(1).watts = watts;
        world.secs(120);
        world.saves = 0;
        world.secs(seconds);
        assert!(saves.contains(&world.saves), "{watts} W: {}", world.saves);
    }
}

#[test]
fn what_is_lost_when_the_bridge_is_killed_is_little_and_declared() {
    // Killed so often, after so many milliseconds; it hears from the broker 300 ms after the start.
    for (kills, after_ms) in [(200, 350), (100, 700), (40, 1900), (40, 8000), (10, 40_000), (4, 70_000)] {
        let mut world = strip(Some(Vec::new()));
        world.fake(1).watts = 2000.0 / 6.0;
        world.secs(60);
        let (begin, began) = (world.up, world.view(A).energy.expect("known").wh());
        let mut retained = shown(&world, A);
        for _ in 0..kills {
            let memory = world.written.clone();
            world = World::with_up(rules(), memory.clone(), world.up);
            world.written = memory;
            world.fake(1).watts = 2000.0 / 6.0;
            world.run(Duration::from_millis(300));
            let kwh = |energy: &Option<Energy>| energy.expect("known").kwh();
            let told = (1u8..=6).zip(&retained).map(|(port, energy)| told(A, Some(port), kwh(energy)));
            world.feed(Input::Commanded(HubRequest::Metered(told.collect())));
            world.run(Duration::from_millis(after_ms - 300));
            if world.view(A).energy.is_some() {
                retained = shown(&world, A);
            }
        }
        world.secs(20);
        let counted = world.view(A).energy.expect("known").wh() - began;
        let drawn = (world.up - begin).as_secs_f64() * 2000.0 / 3600.0;
        let declared = f64::from(u32::try_from(world.view(A).unmetered_s).unwrap()) * 2000.0 / 3600.0;
        let slack = 1.0 + 15.0 * 2000.0 / 3600.0;
        let lost = drawn - counted;
        assert!(
            lost > -0.1 && lost < declared + slack,
            "{after_ms}: {lost} of {drawn} Wh, {declared} declared"
        );
        if after_ms > 1000 {
            assert!(lost <= f64::from(kills) * (1.0 + 2000.0 / 360.0), "{after_ms}: {lost} of {drawn} Wh");
        }
    }
}

#[test]
fn what_was_metered_comes_back_after_a_restart_and_the_pause_is_declared() {
    let mut world = strip(Some(Vec::new()));
    world.secs(1000);
    let memory = world.hub.memory();
    let before = shown(&world, A);
    let mut again = World::with(rules(), memory);
    again.fake(1).watts = 360.0;
    again.up += Duration::from_secs(4000);
    again.feed(Input::Tick);
    again.secs(1);
    again.feed(Input::Commanded(HubRequest::Metered(Vec::new())));
    let after = shown(&again, A);
    assert!(after.iter().zip(&before).all(|(after, before)| after >= before));
    assert!((2990..3010).contains(&again.view(A).unmetered_s), "{}", again.view(A).unmetered_s);
}

#[test]
fn a_meter_can_be_set_and_shows_it_at_once() {
    let mut world = strip(Some(Vec::new()));
    let set = |port, energy| Request::EnergySet { id: id(A), port, energy: kwh(energy) };
    let response = world.request(set(2, 12.3));
    assert_eq!(response.result, Ok(ResponseData::Energy(id(A), 2, kwh(12.3))));
    assert_eq!(world.view(A).ports[1].energy, Some(kwh(12.3)));
    assert!(world.view(A).energy >= Some(kwh(12.3)));
    let wrong = world.request(set(7, 1.0)).result.expect_err("there is no port 7");
    assert!(wrong.contains("has no port 7; it has 1 to 6"), "{wrong}");
    // Also while nothing is known about earlier runs: what was said then holds.
    let mut early = strip(None);
    early.request(set(1, 3.0));
    assert_eq!(shown(&early, A)[0], None);
    early.feed(Input::Commanded(HubRequest::Metered(vec![told(A, Some(1), 90.0)])));
    assert_eq!(shown(&early, A)[0], Some(kwh(3.0)));
}

/// A strip that has died with a name and a meter, and a new one beside it.
fn heirs() -> World {
    let mut world = World::new(rules());
    world.fake(1);
    let mut old = found(1, 1, 1);
    old.facts.name = Name::clean("Office strip");
    old.facts.port_names = vec![Name::clean("Desk lamp"), None];
    world.feed(Input::Heard(old));
    world.secs(1);
    world.feed(Input::Commanded(HubRequest::Metered(vec![told(A, Some(1), 40.0)])));
    world.request(Request::PortRename { id: id(A), port: 2, name: Name::clean("Monitor") });
    world.fake(2);
    world.feed(Input::Heard(found(2, 2, 2)));
    world.secs(10);
    world
}

fn replace(world: &mut World) -> Result<ResponseData, String> {
    world.request(Request::DeviceReplace { id: id(A), by: id(B) }).result
}

#[test]
fn what_was_wrong_with_the_old_hardware_is_not_wrong_with_the_new() {
    let mut world = heirs();
    let old = world.fake(1);
    old.watts = 3400.0;
    world.secs(6);
    (world.fake(1).relays, world.fake(1).watts) = (vec![false; 6], 0.0);
    world.secs(6);
    assert!(world.view(A).problem.as_ref().is_some_and(|problem| problem.contains("went off by itself")));
    world.fakes.remove(&place(1));
    world.secs(60);
    world.fake(2).relays = vec![false, true, false, false, false, false];
    assert_eq!(replace(&mut world), Ok(ResponseData::Plug(id(A))));
    world.notes.clear();
    world.secs(10);
    let view = world.view(A);
    assert!(view.online && view.ports[1].relay == Some(true), "{view:?}");
    assert_eq!(view.problem, None);
    let by_hand = |note: &Notification| matches!(note, Notification::Plug(_, Event::SwitchedLocally { .. }));
    assert!(!world.notes.iter().any(by_hand), "{:?}", world.notes);
}

#[test]
fn new_hardware_takes_over_the_name_the_id_and_the_energy_of_the_old() {
    let mut world = heirs();
    let alive = replace(&mut world).expect_err("the old one is there");
    assert!(alive.contains("still answers; unplug it first"), "{alive}");
    world.fakes.remove(&place(1));
    world.secs(60);
    // In the middle of a conversation with the dead one.
    assert_eq!(replace(&mut world), Ok(ResponseData::Plug(id(A))));
    world.secs(10);
    assert!(!world.hub.view().plugs.contains_key(&id(B)));
    let view = world.view(A);
    assert!(view.online, "{view:?}");
    assert_eq!(
        (&*view.name, &*view.ports[0].name, &*view.ports[1].name),
        ("Office strip", "Desk lamp", "Monitor")
    );
    assert_eq!(view.facts.serial.as_deref(), Some("SWP6000000000002"));
    assert!(view.ports[0].energy >= Some(kwh(40.0)));
    // The dialect is told whom to expect, and searches follow the new hardware.
    let (whom, _) = world.hub.attachment(&Who::Plug(id(A))).expect("known");
    assert_eq!(whom.id, Some(id(B)));
    let fake = world.fakes.remove(&place(2)).expect("there");
    world.fakes.insert(place(3), fake);
    world.secs(20);
    let mut moved = found(2, 2, 3);
    moved.facts.mac = None;
    world.feed(Input::Heard(moved));
    world.secs(5);
    assert_eq!(world.view(A).ip.as_deref(), Some("127.0.0.3"));
    // The old hardware, repaired, is somebody else.
    world.fake(1);
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(5);
    assert_eq!(world.view(A).ip.as_deref(), Some("127.0.0.3"));
    assert!(world.view("maxsmart-swp6000000000001-000001").online);
    // All of it outlives the process.
    let again = World::with(rules(), world.hub.memory());
    assert_eq!(again.hub.attachment(&Who::Plug(id(A))).expect("known").0.id, Some(id(B)));
}

#[test]
fn what_cannot_replace_is_refused_with_the_remedy() {
    let mut world = heirs();
    let ask = |id: PlugId, by: PlugId| Request::DeviceReplace { id, by };
    let same = world.request(ask(id(A), id(A))).result.expect_err("itself");
    assert!(same.contains("cannot replace itself"), "{same}");
    let nobody = world.request(ask(id("maxsmart-x"), id(B))).result.expect_err("unknown");
    assert!(nobody.contains("no plug maxsmart-x is known"), "{nobody}");
    world.fakes.remove(&place(1));
    world.fake(2).relays.truncate(1);
    world.secs(60);
    world.request(Request::DeviceRemove { id: id(B), block: false });
    world.feed(Input::Heard(found(2, 2, 2)));
    world.secs(5);
    let fewer = replace(&mut world).expect_err("five ports have no heir");
    assert!(fewer.contains("has 1 ports and maxsmart-swp6000000000001 has 6"), "{fewer}");
    world.fake(2).fails = Some(Failure::Timeout);
    world.secs(60);
    let silent = replace(&mut world).expect_err("nobody there");
    assert!(silent.contains("does not answer; it must be adopted and online"), "{silent}");
}

/// A strip whose first port draws more in each hour, away for 70 minutes; and its record when it
/// is back, newest last.
fn outage(record: Option<RawHistory>) -> World {
    let mut world = strip(Some(Vec::new()));
    // To the full hour.
    world.secs(3200 - 2);
    for hour in 0..5u8 {
        world.fake(1).watts = 100.0 + 50.0 * f64::from(hour);
        world.secs(3600);
    }
    world.fake(1).fails = Some(Failure::Timeout);
    world.secs(70 * 60);
    world.fake(1).fails = None;
    world.fake(1).record = record;
    world.notes.clear();
    world.secs(60 * 60);
    world
}

fn its_own(scale: f64) -> RawHistory {
    let row: Vec<Option<f64>> = (0..24)
        .map(|hour| Some(scale * if hour < 17 { 0.0 } else { 100.0 + 50.0 * f64::from(hour - 17).min(4.0) }))
        .collect();
    // Metering began at 12:06 local time; the strip is back at 19:10.
    let date = Some("2026-11-18-19".into());
    RawHistory { span: Span::Hours, date, rows: vec![row; 6], cost: None, currency: None }
}

fn events(world: &World) -> Vec<Event> {
    let event = |note: &Notification| match note {
        Notification::Plug(_, event @ (Event::EnergyFilled { .. } | Event::EnergyNotFilled { .. })) => {
            Some(event.clone())
        }
        Notification::Plug(..)
        | Notification::Bridge(_)
        | Notification::Response(_)
        | Notification::Result(_) => None,
    };
    world.notes.iter().filter_map(event).collect()
}

#[test]
fn hours_missed_are_filled_from_the_plugs_own_record() {
    let without = shown(&outage(None), A);
    let world = outage(Some(its_own(1.0)));
    // The hour missed as a whole is filled at once, the rest when the running hour has ended.
    // It is tried each 30 s: up to 2.5 Wh more than ten minutes at 300 W.
    let mut filled = Vec::new();
    for event in events(&world) {
        let Event::EnergyFilled { hours, ports } = event else { panic!("{event:?}") };
        assert_eq!(hours.len(), 1);
        filled.push(ports[0].wh());
    }
    assert!(
        matches!(filled[..], [first, second] if first == 300.0 && (49.0..53.0).contains(&second)),
        "{filled:?}"
    );
    let with = shown(&world, A);
    let gained = with[0].unwrap().beyond(without[0].unwrap()).wh();
    assert!((gained - filled.iter().sum::<f64>()).abs() < 2.0, "{gained} and {filled:?}");
    assert_eq!(with[..6].iter().flatten().copied().sum::<Energy>(), with[6].unwrap());
    assert!(world.view(A).unmetered_s >= 4190);
}

#[test]
fn a_record_that_is_not_believed_is_told_once_with_the_reason() {
    let mut world = outage(Some(its_own(1.3)));
    world.secs(3 * 3600);
    let [Event::EnergyNotFilled { reason }] = &events(&world)[..] else { panic!("{:?}", events(&world)) };
    assert_eq!(*reason, "its record does not agree with what was metered");
}

#[test]
fn a_plug_without_a_record_is_asked_once_and_settings_can_forbid_it() {
    let mut world = outage(None);
    world.fake(1).record = Some(its_own(1.0));
    world.secs(3 * 3600);
    assert_eq!(events(&world), []);
    let mut quiet = World::new(Rules { history: false, ..rules() });
    quiet.fake(1).watts = 360.0;
    quiet.feed(Input::Heard(found(1, 1, 1)));
    quiet.secs(3600);
    assert!(quiet.hub.memory().plugs[&id(A)].tally.hours.is_none());
}

fn lately(world: &World) -> [f64; 2] {
    world.view(A).ports[0].lately.expect("it is known").map(Energy::kwh)
}

#[test]
fn today_begins_anew_at_midnight_and_survives_a_restart() {
    // Six minutes past noon; what earlier runs have told is not of today.
    let mut world = strip(Some(vec![told(A, Some(1), 500.0)]));
    world.secs(10 * 3600);
    let [today, month] = lately(&world);
    assert!((3.59..=3.6).contains(&today) && today == month, "{today} {month}");
    world.secs(2 * 3600);
    let [today, month] = lately(&world);
    // Less than seven minutes of the new day.
    assert!((0.0..0.05).contains(&today) && (4.29..=4.32).contains(&month), "{today} {month}");
    // A restart in the night, with what was remembered and what the broker knows.
    let (up, memory, energy) = (world.up, world.hub.memory(), shown(&world, A)[0]);
    let mut world = World::with_up(rules(), memory, up);
    world.fake(1).watts = 360.0;
    world.feed(Input::Commanded(HubRequest::Metered(vec![told(A, Some(1), energy.expect("known").kwh())])));
    world.secs(3600);
    let [today, month] = lately(&world);
    assert!((0.35..0.42).contains(&today) && (4.64..=4.68).contains(&month), "{today} {month}");
    // Somebody corrects the meter: what was drawn today stays.
    let set = Request::EnergySet { id: id(A), port: 1, energy: kwh(1000.0) };
    world.request(set).result.expect("set");
    world.secs(120);
    assert!((lately(&world)[0] - today - 0.012).abs() < 0.002, "{:?}", lately(&world));
}

/// What was told of today, each figure once, while so much time passes.
fn told_today(world: &mut World, time: u64) -> Vec<f64> {
    let mut told = vec![lately(world)[0]];
    for _ in 0..time * 2 {
        world.run(Duration::from_millis(500));
        let today = lately(world)[0];
        if told.last() != Some(&today) {
            told.push(today);
        }
    }
    told
}

#[test]
fn a_day_ends_with_all_that_it_had_and_the_next_begins_there() {
    // 2026-11-18 12:06:40 local time; midnight is 42 800 s later, when the plug is there or away.
    for away in [None, Some(Failure::Timeout), Some(Failure::Closed)] {
        let mut world = strip(Some(Vec::new()));
        world.secs(42_800 - 300);
        world.fake(1).fails = away.clone();
        world.secs(297 - 2);
        // Whatever else is told in the last minute.
        world.feed(Input::Commanded(HubRequest::Refresh(id(A))));
        let told = told_today(&mut world, 30);
        let last = told.iter().copied().fold(0.0, f64::max);
        let midnight = 1 + told.iter().position(|today| *today == last).expect("it was told");
        let metered = if away.is_some() { 42_500.0 } else { 42_797.0 };
        assert!((last - metered / 10_000.0).abs() < 0.0012, "{away:?}: {told:?}");
        assert!(told[midnight] < 0.001 && told[midnight..].iter().all(|today| *today < 0.01), "{told:?}");
        // Nothing is in no day, or in two.
        world.fake(1).fails = None;
        world.secs(120);
        let [today, month] = lately(&world);
        let total = world.view(A).ports[0].energy.expect("known").kwh();
        assert!((last + today - month).abs() < 0.0002, "{last} {today} {month}");
        assert!(total - month < 0.007, "{total} {month}");
    }
}

#[test]
fn a_day_begins_for_a_plug_that_is_away_when_the_bridge_comes_back() {
    let mut world = strip(Some(Vec::new()));
    world.secs(10 * 3600);
    let (up, memory, energy) =
        (world.up + Duration::from_secs(6 * 3600), world.hub.memory(), shown(&world, A));
    let mut world = World::with_up(rules(), memory, up);
    let retained = energy[0].expect("known").kwh() + 0.01;
    world.feed(Input::Commanded(HubRequest::Metered(vec![told(A, Some(1), retained)])));
    world.secs(120);
    let view = world.view(A);
    assert!(!view.online && view.ports[0].energy == Some(kwh(retained)), "{view:?}");
    let [today, month] = lately(&world);
    assert!(today == 0.0 && (3.6..3.612).contains(&month), "{today} {month}");
    // It is back: nothing is counted twice.
    world.fake(1).watts = 0.0;
    world.secs(300);
    assert_eq!(shown(&world, A)[0], Some(kwh(retained)));
}

#[test]
fn a_clock_that_is_behind_turns_no_day() {
    let mut world = strip(Some(Vec::new()));
    world.secs(600);
    let (up, memory) = (world.up, world.hub.memory());
    // Set on later by what it is behind now: 23 days, and half a century.
    for behind in [2_000_000u64, 1_700_000_000] {
        let mut now = moment(up);
        now.unix_ms -= behind * 1000;
        let mut hub = Hub::new(rules(), memory.clone(), &now);
        let day = |hub: &Hub| hub.memory().plugs[&id(A)].tally.since.clone();
        let began = day(&hub);
        hub.handle(&now, Input::Tick);
        let reading =
            Fake { fails: None, ..World::new(rules()).fake(1).clone() }.answer(&DeviceRequest::Read);
        let outcome =
            Outcome { who: Who::Plug(id(A)), result: Ok(reading), requests: 1, took: Duration::ZERO };
        hub.handle(&now, Input::Answered(outcome));
        assert_eq!(day(&hub), began, "{behind}");
    }
}
