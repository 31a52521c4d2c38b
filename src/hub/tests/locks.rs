//! Locks, where the bridge moves ports by itself.

use super::*;

#[test]
fn a_timed_command_brings_no_port_where_it_is_locked_out() {
    let mut strict = rules();
    strict.plugs.insert(id(A), PlugRules { locks: [(3, Lock::Off)].into(), ..PlugRules::default() });
    let mut world = strip_under(strict);
    let mut order = world.order(&[(3, Wish::Off)]);
    order.hold = Some(Duration::from_secs(60));
    world.feed(Input::Commanded(Order::Switch(order.clone())));
    assert_eq!(world.result().error, Some((CommandError::Locked, Some(3))));

    // Locked while it is under way.
    order.ports = [(1, Wish::Off)].into();
    world.feed(Input::Commanded(Order::Switch(order)));
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
        world.feed(Input::Commanded(Order::Refresh(id(A))));
        world.run(Duration::from_millis(5));
    }
    let asked = world.reads.len() - before;
    assert!((18..=30).contains(&asked), "{asked} times in 20 s");
}
