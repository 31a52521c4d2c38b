//! Locks, where the bridge moves ports by itself.

use super::*;
use crate::model::{Access, Days, Query, RawRule};

#[test]
fn a_timed_command_brings_no_port_where_it_is_locked_out() {
    let mut strict = rules();
    strict.plugs.insert(id(A), PlugRules { locks: [(3, Lock::Off)].into(), ..PlugRules::default() });
    let mut world = strip_under(strict);
    let mut order = world.order(&[(3, SwitchAction::Off)]);
    order.hold = Some(Duration::from_secs(60));
    world.feed(Input::Commanded(HubRequest::Switch(order.clone())));
    assert_eq!(world.result().error, Some((CommandError::Locked, Some(3))));

    // Locked while it is under way.
    order.ports = [(1, SwitchAction::Off)].into();
    world.feed(Input::Commanded(HubRequest::Switch(order)));
    world.secs(5);
    let port = [(1, PortOptions { lock: Some(Lock::Off) })].into();
    let options = Box::new(OptionsChange { port, ..OptionsChange::default() });
    assert!(world.request(Request::DeviceOptions { id: id(A), options }).result.is_ok());
    world.secs(120);
    assert!(!world.fake(1).relays[0]);
    assert!(world.hub.memory().plugs[&id(A)].reverts.is_empty(), "the way back is forgotten");
}

#[test]
fn a_plug_that_is_asked_for_again_and_again_is_asked_once_a_second() {
    let mut world = strip();
    world.secs(10);
    let before = world.reads.len();
    for _ in 0..4000 {
        world.feed(Input::Commanded(HubRequest::Refresh(id(A))));
        world.run(Duration::from_millis(5));
    }
    let asked = world.reads.len() - before;
    assert!((18..=30).contains(&asked), "{asked} times in 20 s");
}

/// Port 2 goes off every day.
fn rule(id: i64) -> RawRule {
    let ports = vec![None, Some(false), None, None, None, None];
    RawRule { id, enabled: true, ports, days: Days::ALL, minute: 22 * 60 + 10, once: None }
}

#[test]
fn a_rule_that_goes_against_a_lock_is_a_problem_until_one_of_them_is_gone() {
    let mut world = World::new(rules());
    let mut able = plug_requests::Able::new();
    able.rules.push(rule(3));
    world.fake(1).able = Some(able);
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(300);
    let asked = |world: &World| {
        world.queries.iter().filter(|(_, query)| *query == Query::Schedule(Access::Read)).count()
    };
    assert_eq!((asked(&world), world.view(A).problem.clone()), (0, None), "nothing is locked");

    let lock = |world: &mut World, lock| {
        let port = [(2, PortOptions { lock: Some(lock) })].into();
        let options = Box::new(OptionsChange { port, ..OptionsChange::default() });
        assert!(world.request(Request::DeviceOptions { id: id(A), options }).result.is_ok());
    };
    let told = Some("rule 3 would switch port 2 off at 22:10, which is locked".to_owned());
    lock(&mut world, Lock::On);
    world.secs(20);
    assert_eq!((asked(&world), world.view(A).problem.clone()), (1, told.clone()));
    world.secs(600);
    assert_eq!(
        (asked(&world), world.view(A).problem.clone()),
        (1, told.clone()),
        "it stays, and is not asked for"
    );
    lock(&mut world, Lock::Off);
    world.secs(10);
    assert_eq!(world.view(A).problem, None, "it may go off");
    lock(&mut world, Lock::Both);
    world.secs(10);
    assert_eq!(world.view(A).problem, told);

    // The vendor's app has deleted it.
    world.fake(1).able.as_mut().expect("able").rules.clear();
    world.secs(1900);
    assert_eq!(world.view(A).problem, None);
}

fn enforcing(lock: Lock, enforce: bool) -> World {
    let mut strict = Rules { lock_enforce: enforce, ..rules() };
    strict.plugs.insert(id(A), PlugRules { locks: [(2, lock)].into(), ..PlugRules::default() });
    strip_under(strict)
}

fn put_back(world: &World) -> usize {
    let event = Notification::Plug(id(A), Event::LockEnforced { port: 2, on: true });
    world.notes.iter().filter(|note| **note == event).count()
}

#[test]
fn a_locked_port_that_somebody_moved_is_put_back_if_the_settings_say_so() {
    for (lock, enforce, back) in
        [(Lock::On, true, true), (Lock::Both, true, true), (Lock::Off, true, false), (Lock::On, false, false)]
    {
        let mut world = enforcing(lock, enforce);
        world.secs(6);
        world.fake(1).relays[1] = false;
        world.secs(7);
        let port = world.view(A).ports[1].clone();
        let cause = if back { Cause::Lock } else { Cause::Local };
        assert_eq!((port.relay, port.cause), (Some(back), Some(cause)), "{lock:?} {enforce}");
        assert_eq!(put_back(&world), usize::from(back));
        let by_hand = Notification::Plug(id(A), Event::SwitchedLocally { port: 2, on: false });
        assert_eq!(world.notes.iter().filter(|note| **note == by_hand).count(), 1, "that is told, too");
        assert!(world.results().is_empty(), "nobody's command, nobody's result");
    }
}

#[test]
fn what_was_never_seen_where_it_belongs_and_what_has_cut_out_is_left_alone() {
    let mut strict = Rules { lock_enforce: true, ..rules() };
    strict.plugs.insert(id(A), PlugRules { locks: [(2, Lock::On)].into(), ..PlugRules::default() });
    let mut world = World::new(strict.clone());
    world.fake(1).relays[1] = false;
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(60);
    assert!(world.fake(1).switches.is_empty());

    let mut world = strip_under(strict);
    world.fake(1).watts = 3500.0;
    world.secs(8);
    world.fake(1).relays[1] = false;
    world.secs(60);
    assert!(world.fake(1).switches.is_empty(), "it may have cut out");
}

#[test]
fn nobody_fights_for_a_locked_port_for_ever() {
    let mut world = enforcing(Lock::On, true);
    world.secs(6);
    // Something switches it off again and again.
    for _ in 0..3600 {
        world.fake(1).relays[1] = false;
        world.secs(1);
    }
    let fought = world.fake(1).switches.len();
    assert!((8..=20).contains(&fought), "{fought} times in an hour");
    world.secs(700);
    assert!(world.fake(1).relays[1], "in the end it is where it belongs");
    // After an hour of calm it is as at first.
    world.secs(3700);
    world.fake(1).relays[1] = false;
    world.secs(7);
    assert!(world.fake(1).relays[1]);
}
