//! What protection does about an overload, and what a latch or a lock means for commands.

use super::*;
use crate::hub::Limit;
use crate::model::{Hazard, OverloadAction, Remedy, ResponseData};

fn limited(port: u8, action: OverloadAction) -> PlugRules {
    let limit = Limit { watts: Some(100.0), after: Duration::from_secs(8), action };
    PlugRules { limits: [(port, limit)].into(), ..PlugRules::default() }
}

fn strip_with(own: PlugRules) -> World {
    let mut rules = rules();
    rules.plugs.insert(id(A), own);
    let mut world = strip_under(rules);
    world.fake(1).relays = vec![true, true, false, false, false, false];
    world.secs(6);
    world.notes.clear();
    world
}

fn overloads(world: &World) -> Vec<(u8, Hazard, Remedy)> {
    let one = |note: &Notification| match note {
        Notification::Plug(_, Event::Overload { port, hazard, remedy, .. }) => {
            Some((*port, *hazard, *remedy))
        }
        Notification::Plug(..)
        | Notification::Bridge(_)
        | Notification::Result(_)
        | Notification::Response(_) => None,
    };
    world.notes.iter().filter_map(one).collect()
}

fn refused(world: &mut World, ports: &[(u8, SwitchAction)]) -> Option<(CommandError, Option<u8>)> {
    world.results();
    world.switch(ports);
    world.secs(1);
    world.result().error
}

#[test]
fn an_overload_is_told_shown_and_only_then_switched_off_if_settings_say_so() {
    let lock = |own: PlugRules, lock| PlugRules { locks: [(1, lock)].into(), ..own };
    for (own, remedy, relays) in [
        (limited(1, OverloadAction::Tell), Remedy::None, [true, true]),
        (limited(1, OverloadAction::Off), Remedy::Off, [false, true]),
        (limited(1, OverloadAction::Latch), Remedy::Latch, [false, true]),
        (lock(limited(1, OverloadAction::Latch), Lock::On), Remedy::None, [true, true]),
        (lock(limited(1, OverloadAction::Off), Lock::Off), Remedy::Off, [false, true]),
        (PlugRules { read_only: true, ..limited(1, OverloadAction::Off) }, Remedy::None, [true, true]),
    ] {
        let mut world = strip_with(own.clone());
        world.fake(1).watts = 120.0;
        world.secs(6);
        assert_eq!(overloads(&world), [], "not yet: {own:?}");
        world.secs(14);
        assert_eq!(overloads(&world), [(1, Hazard::Overload, remedy)], "{own:?}");
        assert_eq!(world.fake(1).relays[..2], relays, "{own:?}");
        let problem = world.view(A).problem.clone();
        match remedy {
            Remedy::None => assert_eq!(problem.unwrap(), "port 1 is overloaded: 120 W, allowed are 100 W"),
            Remedy::Off => assert_eq!(problem, None, "over"),
            Remedy::Latch => assert!(problem.unwrap().contains("port 1 was overloaded and is latched")),
        }
        assert!(world.results().is_empty(), "nobody's command, nobody's result");
        if !relays[0] {
            assert_eq!(world.view(A).ports[0].cause, Some(Cause::Overload));
        }
    }
}

#[test]
fn all_ports_that_are_on_go_off_when_the_strip_is_overloaded() {
    let own = PlugRules { locks: [(2, Lock::On)].into(), ..limited(0, OverloadAction::Latch) };
    let mut world = strip_with(own);
    world.fake(1).watts = 60.0;
    world.secs(20);
    assert_eq!(overloads(&world), [(0, Hazard::Overload, Remedy::Latch)]);
    assert_eq!(world.fake(1).relays[..2], [false, true]);
    assert_eq!(world.hub.memory().plugs[&id(A)].latched, [1].into());
}

#[test]
fn a_latched_port_stays_off_until_it_is_released() {
    let mut world = strip_with(limited(1, OverloadAction::Latch));
    world.fake(1).watts = 120.0;
    world.secs(20);
    world.fake(1).watts = 10.0;
    let latched = Some((CommandError::Latched, Some(1)));
    assert_eq!(refused(&mut world, &[(1, SwitchAction::On)]), latched);
    assert_eq!(refused(&mut world, &[(1, SwitchAction::Toggle)]), latched);
    assert_eq!(refused(&mut world, &[(2, SwitchAction::Off), (0, SwitchAction::On)]), latched, "as a whole");
    assert_eq!(refused(&mut world, &[(1, SwitchAction::Off)]), None, "off is off, and no release");
    let mut order = world.order(&[(1, SwitchAction::Off)]);
    order.hold = Some(Duration::from_secs(5));
    world.feed(Input::Commanded(HubRequest::Switch(order)));
    assert_eq!(world.result().error, latched, "its way back is closed");

    // The latch outlives the bridge.
    let (memory, fakes, mut rules) = (world.hub.memory(), world.fakes.clone(), rules());
    rules.plugs.insert(id(A), limited(1, OverloadAction::Latch));
    let mut world = World::with(rules, memory.clone());
    world.fakes = fakes;
    world.secs(5);
    assert_eq!(refused(&mut world, &[(1, SwitchAction::On)]), latched);
    assert!(world.view(A).problem.as_ref().unwrap().contains("latched"));
    assert!(world.request(Request::OverloadReset { id: id(A), port: Some(7) }).result.is_err());
    let none = world.request(Request::OverloadReset { id: id(A), port: Some(2) }).result;
    assert_eq!(none, Ok(ResponseData::OverloadReset(id(A), [].into())));
    let freed = world.request(Request::OverloadReset { id: id(A), port: None }).result;
    assert_eq!(freed, Ok(ResponseData::OverloadReset(id(A), [1].into())));
    assert_eq!(world.view(A).problem, None);
    assert_eq!(refused(&mut world, &[(1, SwitchAction::On)]), None);
    assert!(world.fake(1).relays[0]);

    // Nobody wants latches any more.
    let again = World::with(super::rules(), memory);
    assert!(again.hub.memory().plugs[&id(A)].latched.is_empty());
}

#[test]
fn a_hand_at_the_plug_releases_but_a_plug_that_was_away_does_not() {
    let mut world = strip_with(limited(1, OverloadAction::Latch));
    world.fake(1).watts = 120.0;
    world.secs(20);
    world.fake(1).watts = 10.0;
    world.fake(1).fails = Some(Failure::Timeout);
    world.secs(60);
    let fake = world.fake(1);
    (fake.fails, fake.relays[0]) = (None, true);
    world.secs(60);
    assert!(world.view(A).online);
    assert_eq!(refused(&mut world, &[(1, SwitchAction::On)]), Some((CommandError::Latched, Some(1))));
    world.fake(1).relays[0] = false;
    world.secs(6);
    world.fake(1).relays[0] = true;
    world.secs(6);
    assert!(world.hub.memory().plugs[&id(A)].latched.is_empty());
    assert_eq!(world.view(A).problem, None);
}

#[test]
fn a_timed_port_does_not_come_back_from_a_latch() {
    let mut world = strip_with(limited(0, OverloadAction::Latch));
    let mut order = world.order(&[(1, SwitchAction::On)]);
    order.hold = Some(Duration::from_secs(60));
    world.feed(Input::Commanded(HubRequest::Switch(order)));
    world.fake(1).watts = 120.0;
    world.secs(30);
    assert!(world.hub.memory().plugs[&id(A)].reverts.is_empty());
    world.secs(120);
    assert_eq!(world.fake(1).relays, [false; 6]);
    let off = world.fake(1).switches.len();
    assert_eq!(off, 2, "on by the command, off by protection, nothing more");
}

/// The MaxSmart 2.0 plug does not report its relay, and a load may stop drawing by itself.
#[test]
fn a_port_that_only_its_power_proved_on_neither_cut_out_nor_was_switched_when_it_draws_nothing() {
    for (remembered, told) in [(true, false), (false, true)] {
        let mut rules = rules();
        rules.families.get_mut("maxsmart").unwrap().rating_w = Some(1_000);
        let mut world = strip_under(rules);
        world.fake(1).relays = vec![false; 6];
        world.secs(6);
        let hears = |world: &mut World, on: bool| {
            let port = PortReading {
                relay: Some(on),
                watts: Some(if on { 950.0 } else { 0.0 }),
                ..PortReading::default()
            };
            let reading =
                Reading { ports: vec![port; 6], relays_remembered: remembered, ..Reading::default() };
            let result = Ok(DeviceResponse::Reading(reading));
            let outcome = Outcome { who: Who::Plug(id(A)), result, requests: 1, took: Duration::ZERO };
            world.feed(Input::Answered(outcome));
        };
        hears(&mut world, true);
        assert_eq!(world.view(A).ports[0].cause, Some(Cause::Local), "power proves that somebody was there");
        world.notes.clear();
        hears(&mut world, false);
        assert_eq!(world.view(A).ports[0].relay, Some(false));
        assert_eq!(world.view(A).ports[0].cause, told.then_some(Cause::Local));
        let cut_out = overloads(&world).contains(&(1, Hazard::CutOut, Remedy::None));
        assert_eq!(cut_out, told, "remembered: {remembered}");
        let locally = |note: &Notification| {
            matches!(note, Notification::Plug(_, Event::SwitchedLocally { port: 1, on: false }))
        };
        assert_eq!(world.notes.iter().any(locally), told, "remembered: {remembered}");
    }
}

#[test]
fn nothing_is_done_anew_while_all_is_well() {
    let mut world = strip_with(limited(1, OverloadAction::Latch));
    let before = world.view(A);
    world.secs(100);
    assert!(Arc::ptr_eq(&before, &world.view(A)));
}
