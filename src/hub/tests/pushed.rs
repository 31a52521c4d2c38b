//! What plugs say unasked.

use super::*;
use crate::model::{Origin, Pushed};

fn port(on: bool, watts: f64) -> PortReading {
    PortReading { relay: Some(on), watts: Some(watts), ..PortReading::default() }
}

fn say(world: &mut World, from: u8, ports: Vec<PortReading>) {
    let reading = Reading { ports, ..Reading::default() };
    world.feed(Input::Pushed(Pushed { plug: id(A), from: Some(place(from).ip), reading }));
}

#[test]
fn what_a_plug_says_unasked_is_shown_at_once_and_puts_no_poll_off() {
    let mut world = strip();
    let polls = |world: &mut World| {
        world.reads.clear();
        world.secs(30);
        world.reads.len()
    };
    let before = polls(&mut world);
    let latency_ms = world.view(A).latency_ms;
    say(&mut world, 1, vec![PortReading::default(), port(false, 0.0)]);
    let view = world.view(A);
    assert_eq!((view.ports[1].relay, view.ports[1].cause), (Some(false), Some(Cause::Local)));
    assert_eq!(
        (view.ports[0].relay, view.ports[0].watts),
        (Some(true), Some(10.0)),
        "it spoke of port 2 alone"
    );
    assert_eq!((view.ports.len(), view.latency_ms), (6, latency_ms));
    world.fake(1).relays[1] = false;
    for _ in 0..30 {
        world.secs(1);
        say(&mut world, 1, vec![PortReading::default(), port(false, 0.0)]);
    }
    assert_eq!(polls(&mut world), before);
    // Nor does it hide that there are more ports.
    world.fake(1).relays = vec![true; 8];
    for _ in 0..30 {
        world.secs(1);
        say(&mut world, 1, vec![PortReading::default(), port(false, 0.0)]);
    }
    assert_eq!(world.view(A).ports.len(), 8);
}

#[test]
fn nobody_else_speaks_for_a_plug_and_one_that_was_never_read_is_asked_first() {
    let mut world = strip();
    say(&mut world, 2, vec![port(false, 0.0)]);
    assert_eq!(world.view(A).ports[0].relay, Some(true));
    let mut world = World::new(rules());
    world.fake(1).fails = Some(Failure::Timeout);
    world.feed(Input::Tick);
    world.feed(Input::Heard(found(1, 1, 1)));
    say(&mut world, 1, vec![port(true, 1.0)]);
    assert!(world.hub.view().plugs[&id(A)].ports.is_empty());
}

#[test]
fn what_is_said_while_a_plug_is_switched_confirms_nothing() {
    let mut world = strip();
    world.fake(1).slow = Duration::from_millis(800);
    world.switch(&[(1, SwitchAction::Off)]);
    say(&mut world, 1, vec![port(false, 0.0)]);
    assert_eq!((world.view(A).ports[0].relay, world.results().len()), (Some(true), 0));
    world.secs(2);
    assert_eq!(
        (world.view(A).ports[0].relay, world.view(A).ports[0].cause),
        (Some(false), Some(Cause::Command(Origin::Mqtt)))
    );
}

#[test]
fn a_plug_that_is_given_up_is_there_again_when_it_speaks() {
    let mut world = strip();
    world.fake(1).fails = Some(Failure::Timeout);
    world.secs(60);
    assert!(!world.view(A).online);
    say(&mut world, 1, vec![port(false, 0.0)]);
    assert!(world.view(A).online);
    assert_eq!(world.view(A).ports[0].relay, Some(false));
}

#[test]
fn what_a_hand_did_while_a_plug_was_switched_is_seen_at_once_and_not_at_the_next_poll() {
    let mut world = strip();
    world.secs(60);
    world.fake(1).slow = Duration::from_millis(800);
    world.switch(&[(1, SwitchAction::Off)]);
    // What it answers was so before somebody pressed the button of port 2.
    say(&mut world, 1, vec![PortReading::default(), port(false, 0.0)]);
    world.fake(1).relays[1] = false;
    let ends = world.up + Duration::from_millis(800);
    world.secs(1);
    assert_eq!(world.view(A).ports[1].relay, Some(true));
    assert_eq!(world.reads.last(), Some(&(ends, id(A))));
    world.secs(1);
    assert_eq!(world.view(A).ports[1].relay, Some(false));
    // What it says is how it is: no reason to look at once.
    let switched = world.up;
    world.switch(&[(1, SwitchAction::On)]);
    say(&mut world, 1, vec![port(true, 10.0), port(false, 0.0)]);
    world.secs(1);
    assert!(!world.reads.contains(&(switched + Duration::from_millis(800), id(A))));
}
