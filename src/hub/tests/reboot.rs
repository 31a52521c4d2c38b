//! Restarts of a plug, and what is put back then.

use super::plug_requests::Able;
use super::*;
use crate::hub::Limit;
use crate::model::{OverloadAction, Query, Restore};

/// A clock that is so many seconds ahead.
fn clock(drift_s: i64) -> Option<Able> {
    let mut able = Able::new();
    able.drift_s = drift_s;
    Some(able)
}

/// One that was lost.
fn lost() -> Option<Able> {
    clock(-400_000_000)
}

/// A strip with ports 1 and 2 on, whose clock is right.
fn strip_with(own: PlugRules) -> World {
    strip_under(rules(), own)
}

fn strip_under(mut rules: Rules, own: PlugRules) -> World {
    rules.plugs.insert(id(A), own);
    let mut world = World::new(rules);
    let fake = world.fake(1);
    fake.relays = vec![true, true, false, false, false, false];
    fake.able = clock(2);
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(30);
    world.notes.clear();
    world
}

fn restoring(restore: Restore) -> PlugRules {
    PlugRules { restore: (1..=6).map(|port| (port, restore)).collect(), ..PlugRules::default() }
}

/// It is gone for a while and answers again.
fn away(world: &mut World, change: impl FnOnce(&mut Fake)) {
    world.fake(1).fails = Some(Failure::Timeout);
    world.secs(40);
    let fake = world.fake(1);
    fake.fails = None;
    fake.switches.clear();
    change(fake);
    world.secs(90);
    assert!(world.view(A).online);
}

fn restarts(world: &World) -> usize {
    world.notes.iter().filter(|note| **note == Notification::Plug(id(A), Event::DeviceRestarted)).count()
}

fn all_off(fake: &mut Fake) {
    (fake.relays, fake.able) = (vec![false; 6], lost());
}

fn some_on(fake: &mut Fake) {
    (fake.relays, fake.able) = (vec![true, false, true, false, false, false], lost());
}

#[test]
fn ports_go_where_the_settings_say_once_a_restart_is_known() {
    let (was, off) = ([true, true, false, false, false, false], [false; 6]);
    let one = |change: fn(&mut PlugRules)| {
        let mut own = restoring(Restore::Previous);
        change(&mut own);
        own
    };
    type Change = fn(&mut Fake);
    let restarted: Change = all_off;
    let kept: Change = |fake| fake.relays = vec![false; 6];
    let table: &[(PlugRules, Change, usize, [bool; 6])] = &[
        (PlugRules::default(), restarted, 1, off),
        (restoring(Restore::Previous), restarted, 1, was),
        (restoring(Restore::Previous), some_on, 1, was),
        (restoring(Restore::On), restarted, 1, [true; 6]),
        (restoring(Restore::Off), some_on, 1, off),
        // A hand while it was away, a plug that does not tell its clock: nothing is known.
        (restoring(Restore::On), kept, 0, off),
        (restoring(Restore::On), |fake| (fake.relays, fake.able) = (vec![false; 6], None), 0, off),
        // Locks and read-only are stronger.
        (
            one(|own| own.locks = [(1, Lock::Off)].into()),
            restarted,
            1,
            [false, true, false, false, false, false],
        ),
        (one(|own| own.locks = [(1, Lock::On)].into()), restarted, 1, was),
        (one(|own| own.read_only = true), restarted, 1, off),
        (
            one(|own| own.restore.retain(|port, _| *port != 2)),
            restarted,
            1,
            [true, false, false, false, false, false],
        ),
    ];
    for (own, change, known, relays) in table {
        let mut world = strip_with(own.clone());
        away(&mut world, change);
        assert_eq!(restarts(&world), *known, "{own:?}");
        assert_eq!(world.fake(1).relays, relays, "{own:?}");
        assert!(world.results().is_empty(), "nobody's command, nobody's result");
        let causes: Vec<_> = world.view(A).ports.iter().map(|port| port.cause).collect();
        let moved = world.fake(1).switches.len();
        assert_eq!(causes.contains(&Some(Cause::Restore)), moved > 0, "{causes:?} {own:?}");
    }
}

#[test]
fn a_restart_is_told_once() {
    let mut world = strip_with(restoring(Restore::On));
    away(&mut world, all_off);
    away(&mut world, |_| ());
    world.secs(1000);
    assert_eq!(restarts(&world), 1);
    // Its clock comes right, and is lost again.
    world.fake(1).able = clock(0);
    world.secs(400);
    away(&mut world, all_off);
    assert_eq!(restarts(&world), 2);
}

#[test]
fn a_plug_that_is_slow_to_tell_its_clock_is_asked_again_at_once() {
    let mut world = strip_with(restoring(Restore::Previous));
    world.fake(1).fails = Some(Failure::Timeout);
    world.secs(40);
    let fake = world.fake(1);
    (fake.fails, fake.relays, fake.able) = (None, vec![false; 6], None);
    while !world.view(A).online {
        world.secs(1);
    }
    world.fake(1).able = lost();
    world.secs(5);
    assert_eq!(restarts(&world), 1);
    assert_eq!(world.fake(1).relays[..3], [true, true, false]);
}

#[test]
fn each_of_two_restarts_in_a_thunderstorm_is_known() {
    let mut world = strip_with(restoring(Restore::Previous));
    away(&mut world, all_off);
    assert_eq!(world.fake(1).able.as_ref().map(|able| able.drift_s), Some(0), "the round has set it");
    away(&mut world, all_off);
    assert_eq!(restarts(&world), 2);
    assert_eq!(world.fake(1).relays[..3], [true, true, false]);
}

#[test]
fn a_clock_that_cannot_be_set_is_asked_for_ever_more_rarely() {
    let mut world = strip_with(PlugRules::default());
    let mut able = Able::new();
    (able.drift_s, able.keeps_time) = (-400_000_000, true);
    world.fake(1).able = Some(able);
    away(&mut world, |_| ());
    world.secs(3600);
    world.queries.clear();
    world.secs(86_400);
    let asked = world.queries.iter().filter(|(_, query)| matches!(query, Query::Clock(_)));
    assert!((2..60).contains(&asked.count()), "{:?}", world.queries);
}

#[test]
fn what_was_on_for_a_while_is_not_put_back() {
    let mut world = strip_with(restoring(Restore::Previous));
    let mut order = world.order(&[(3, SwitchAction::On)]);
    order.hold = Some(Duration::from_secs(600));
    world.feed(Input::Commanded(HubRequest::Switch(order)));
    world.secs(10);
    away(&mut world, all_off);
    assert_eq!(world.fake(1).relays, [true, true, false, false, false, false]);
}

#[test]
fn a_latched_port_is_not_put_back() {
    let limit = Limit { watts: Some(5.0), after: Duration::ZERO, action: OverloadAction::Latch };
    let mut world = strip_with(PlugRules { limits: [(1, limit)].into(), ..restoring(Restore::On) });
    assert_eq!(world.fake(1).relays[..2], [false, true]);
    away(&mut world, all_off);
    assert_eq!(world.fake(1).relays, [false, true, true, true, true, true]);
}

#[test]
fn a_hand_or_a_command_that_was_quicker_is_not_overruled() {
    // The clock takes a while to be told; meanwhile somebody presses a button.
    let mut world = strip_with(restoring(Restore::On));
    world.fake(1).fails = Some(Failure::Timeout);
    world.secs(40);
    all_off(world.fake(1));
    world.fake(1).fails = None;
    let online = |world: &World| world.view(A).online;
    while !online(&world) {
        world.run(Duration::from_millis(10));
    }
    // A command that changes nothing is a word all the same.
    world.switch(&[(1, SwitchAction::Off)]);
    world.secs(30);
    assert_eq!(restarts(&world), 1);
    assert_eq!(world.fake(1).relays[..2], [false, true]);

    // What is known later than a command may live is told, and nothing is moved.
    let rules = Rules { command_timeout: Duration::from_secs(1), ..rules() };
    let mut world = strip_under(rules, restoring(Restore::On));
    away(&mut world, |fake| {
        all_off(fake);
        fake.slow = Duration::from_millis(1500);
    });
    assert_eq!((restarts(&world), world.fake(1).switches.len()), (1, 0));
}

#[test]
fn other_hardware_in_its_place_has_not_restarted() {
    let mut world = strip_with(restoring(Restore::On));
    let fake = world.fake(2);
    (fake.relays, fake.able) = (vec![false; 6], lost());
    world.feed(Input::Heard(found(2, 2, 2)));
    world.secs(30);
    world.fake(1).fails = Some(Failure::Timeout);
    world.secs(60);
    let by = id("maxsmart-swp6000000000002");
    assert!(world.request(Request::DeviceReplace { id: id(A), by }).result.is_ok());
    world.secs(60);
    assert!(world.view(A).online);
    assert_eq!((restarts(&world), world.fake(2).relays.clone()), (0, vec![false; 6]));
}
