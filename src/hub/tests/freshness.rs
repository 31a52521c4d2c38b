//! Values that are not told any more, and plugs that say they have other ports than they have.

use super::*;

/// A strip with 500 W on each port, metered for a minute, whose power is then not told any more.
fn without_power() -> World {
    let mut world = strip();
    world.fake(1).watts = 500.0;
    world.feed(Input::Commanded(HubRequest::Metered(Vec::new())));
    world.secs(60);
    assert_eq!(world.view(A).watts, Some(3000.0));
    assert_eq!((world.view(A).problem.clone(), world.view(A).unmetered_s), (None, 0));
    world.fake(1).watts = f64::NAN;
    world
}

#[test]
fn power_that_is_not_told_for_some_polls_is_unknown_a_problem_and_not_metered() {
    let mut world = without_power();
    let before = world.view(A).energy;
    world.secs(9);
    assert_eq!(world.view(A).ports[0].watts, Some(500.0), "it may come again");
    assert_eq!(world.view(A).problem, None);
    world.secs(21);
    let view = world.view(A);
    assert!(view.online);
    assert_eq!((view.ports[0].watts, view.watts, view.ports[0].relay), (None, None, Some(true)));
    assert_eq!(view.problem.as_deref(), Some("not told any more: power of 6 ports"));
    assert!(world.hub.figures().plugs[&id(A)].ports[0].watts.is_none());
    world.secs(600);
    let view = world.view(A);
    assert!(view.unmetered_s >= 540, "{}", view.unmetered_s);
    assert!(
        view.energy
            .zip(before)
            .is_some_and(|(now, before)| now.beyond(before) < Energy::from_kwh(0.02).unwrap())
    );
    // It tells it again.
    world.fake(1).watts = 500.0;
    world.secs(5);
    let back = world.view(A);
    assert_eq!((back.watts, back.problem.clone()), (Some(3000.0), None));
    let unmetered = back.unmetered_s;
    world.secs(600);
    assert!(world.view(A).unmetered_s <= unmetered + 10);
    // As at 3 kW for ten minutes.
    let drawn = world.view(A).energy.zip(back.energy).map(|(now, before)| now.beyond(before).kwh());
    assert!(drawn.is_some_and(|drawn| (0.49..0.51).contains(&drawn)), "{drawn:?}");
}

#[test]
fn a_relay_that_is_off_has_no_power_from_when_it_was_on() {
    let mut world = without_power();
    world.fake(1).relays[2] = false;
    world.secs(12);
    let view = world.view(A);
    assert_eq!((view.ports[2].relay, view.ports[2].watts, view.watts), (Some(false), None, None));
    assert_eq!(view.ports[0].watts, Some(500.0), "the others are not too old yet");
    assert_eq!(view.problem.as_deref(), Some("not told any more: power of port 3"));
}

#[test]
fn the_first_reading_with_the_relay_off_has_no_power_from_when_it_was_on() {
    let mut world = without_power();
    world.fake(1).relays[2] = false;
    world.secs(5);
    let view = world.view(A);
    assert_eq!((view.ports[2].relay, view.ports[2].watts), (Some(false), None));
}

#[test]
fn the_first_reading_with_the_relay_on_has_no_power_from_when_it_was_off() {
    let mut world = without_power();
    world.fake(1).watts = 500.0;
    world.fake(1).relays[2] = false;
    world.secs(5);
    assert_eq!(world.view(A).ports[2].watts, Some(0.0));
    // As an INPLUG, which is asked for its power less often than for its relay.
    world.fake(1).watts = f64::NAN;
    world.fake(1).relays[2] = true;
    world.secs(5);
    let view = world.view(A);
    assert_eq!((view.ports[2].relay, view.ports[2].watts), (Some(true), None));
    assert_eq!(view.problem, None, "it is soon asked");
}

#[test]
fn what_was_metered_in_an_earlier_run_and_is_not_told_in_this_one_is_lost_and_not_metered() {
    let mut world = without_power();
    world.fake(1).watts = 500.0;
    world.secs(6);
    let (memory, up) = (world.hub.memory(), world.up);
    let mut again = World::with_up(rules(), memory, up + Duration::from_secs(60));
    again.fakes = world.fakes.clone();
    again.fake(1).watts = f64::NAN;
    again.feed(Input::Commanded(HubRequest::Metered(Vec::new())));
    again.secs(40);
    let view = again.view(A);
    assert_eq!((view.watts, view.problem.as_deref()), (None, Some("not told any more: power of 6 ports")));
    assert!((80..=120).contains(&view.unmetered_s), "{}", view.unmetered_s);
}

#[test]
fn one_reply_with_more_ports_changes_nothing_and_several_do() {
    let mut world = strip();
    world.fake(1).relays = vec![true; 16];
    world.secs(5);
    world.fake(1).relays = vec![true; 6];
    world.secs(60);
    assert_eq!(world.view(A).ports.len(), 6);
    assert_eq!(world.view(A).watts, Some(60.0), "what is too much does not count");
    world.fake(1).relays = vec![true; 8];
    world.secs(20);
    assert_eq!((world.view(A).ports.len(), world.view(A).offer.ports), (8, 8));
    assert_eq!(world.view(A).ports[7].relay, Some(true));
}

#[test]
fn ports_that_are_not_told_are_unknown_at_once_and_gone_after_a_while() {
    let mut world = strip();
    world.fake(1).relays = vec![true; 2];
    world.secs(6);
    let view = world.view(A);
    assert_eq!(view.ports.len(), 6);
    assert_eq!((view.ports[1].relay, view.ports[1].watts), (Some(true), Some(10.0)));
    assert_eq!((view.ports[2].relay, view.ports[2].watts, view.watts), (None, None, None));
    assert!(view.problem.as_deref().is_some_and(|problem| problem.contains("state of 4 ports")), "{view:?}");
    // They come back and are what they were.
    world.fake(1).relays = vec![true; 6];
    world.secs(6);
    assert_eq!((world.view(A).ports[5].relay, world.view(A).problem.clone()), (Some(true), None));
    let local = |note: &Notification| matches!(note, Notification::Plug(_, Event::SwitchedLocally { .. }));
    assert!(!world.notes.iter().any(local), "nobody has touched it");
    world.fake(1).relays = vec![true; 2];
    world.secs(120);
    let view = world.view(A);
    assert_eq!((view.ports.len(), view.watts, view.problem.clone()), (2, Some(20.0), None));
}
