//! Commands, from the desk they land on to their one result.

use super::*;

#[test]
fn a_command_goes_at_once_and_is_confirmed_by_what_was_read() {
    let mut world = strip();
    world.switch(&[(2, SwitchAction::Off)]);
    world.run(Duration::from_millis(30));
    let result = world.result();
    assert_eq!((result.error, result.attempts, result.requests), (None, 1, 2));
    assert_eq!(result.ports, BTreeMap::from([(2, Some(false))]));
    let port = world.view(A).ports[1].clone();
    assert_eq!(
        (port.relay, port.watts, port.cause),
        (Some(false), Some(0.0), Some(Cause::Command(Origin::Mqtt)))
    );
    assert_eq!(port.lock, None);
}

#[test]
fn after_a_command_the_plug_is_asked_again_soon_and_then_every_two_seconds() {
    let mut world = strip();
    world.switch(&[(1, SwitchAction::Off)]);
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
        world.switch(&[(port, SwitchAction::Off)]);
        world.run(Duration::from_millis(5));
    }
    world.secs(1);
    let switches = world.fake(1).switches.clone();
    assert_eq!(switches, [Switch::Ports(BTreeMap::from([(1, false)])), Switch::All(false)]);
    assert_eq!(world.results().len(), 6);
    world.switch(&[(0, SwitchAction::On)]);
    world.secs(1);
    assert_eq!(world.fake(1).switches.last(), Some(&Switch::All(true)));
    assert_eq!(world.result().ports.len(), 6);
}

#[test]
fn the_whole_plug_is_all_ports_be_it_one_or_six() {
    let mut world = strip();
    world.switch(&[(SwitchOrder::WHOLE, SwitchAction::Off)]);
    world.secs(1);
    assert_eq!(world.fake(1).relays, [false; 6]);
    let mut world = World::new(rules());
    world.fake(1).relays = vec![true];
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(1);
    world.switch(&[(SwitchOrder::WHOLE, SwitchAction::Off)]);
    world.switch(&[(0, SwitchAction::Off)]);
    world.secs(1);
    assert_eq!(world.fake(1).relays, [false]);
    let errors: Vec<_> = world.results().into_iter().map(|result| result.error).collect();
    assert_eq!(errors, [Some((CommandError::UnknownPort, Some(0))), None]);
}

#[test]
fn the_newest_command_for_a_port_wins_and_each_gets_its_result() {
    let mut world = strip();
    world.fake(1).slow = Duration::from_millis(300);
    world.switch(&[(1, SwitchAction::Off)]);
    world.switch(&[(1, SwitchAction::On)]);
    world.switch(&[(1, SwitchAction::Off)]);
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
    world.switch(&[(1, SwitchAction::Off)]);
    let mut order = world.order(&[(1, SwitchAction::On)]);
    order.ttl = Some(Duration::from_millis(500));
    world.feed(Input::Commanded(HubRequest::Switch(order)));
    world.run(Duration::from_millis(600));
    let errors: Vec<_> =
        world.results().into_iter().map(|result| result.error.map(|(error, _)| error)).collect();
    assert_eq!(errors, [Some(CommandError::Superseded), Some(CommandError::Expired)]);
}

#[test]
fn toggles_count_on_commands_in_hand() {
    let mut world = strip();
    world.switch(&[(1, SwitchAction::Toggle)]);
    world.switch(&[(1, SwitchAction::Toggle)]);
    world.secs(2);
    assert!(world.fake(1).relays[0], "twice is back again");
    world.switch(&[(0, SwitchAction::Toggle)]);
    world.secs(2);
    assert_eq!(world.fake(1).relays, [false; 6], "any on counts as on");
}

#[test]
fn a_plug_that_does_not_obey_is_asked_until_the_deadline_and_no_longer() {
    let mut world = strip();
    world.fake(1).stubborn = true;
    world.switch(&[(1, SwitchAction::Off)]);
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
    let mut order = world.order(&[(1, SwitchAction::Off)]);
    order.ttl = Some(Duration::from_millis(600));
    world.feed(Input::Commanded(HubRequest::Switch(order)));
    world.run(Duration::from_millis(700));
    let result = world.result();
    assert_eq!(result.error, Some((CommandError::Timeout, Some(1))));
    assert!(result.latency <= Duration::from_millis(620), "{:?}", result.latency);
}

#[test]
fn who_is_busy_for_a_moment_obeys_afterwards_and_was_never_offline() {
    let mut world = strip();
    world.fake(1).fails = Some(Failure::Closed);
    world.switch(&[(1, SwitchAction::Off)]);
    world.run(Duration::from_millis(1500));
    assert!(world.view(A).online, "no poll was missed");
    world.fake(1).fails = None;
    world.secs(3);
    let result = world.result();
    assert_eq!(result.error, None);
    assert!(result.attempts > 3, "{}", result.attempts);
    assert!(!world.view(A).ports[0].relay.unwrap());
    // Somebody without patience asks again and again.
    world.fake(1).slow = Duration::from_millis(84);
    for _ in 0..6 {
        let mut order = world.order(&[(1, SwitchAction::Toggle)]);
        order.ttl = Some(Duration::from_millis(50));
        world.feed(Input::Commanded(HubRequest::Switch(order)));
        world.run(Duration::from_millis(300));
        assert!(world.view(A).online);
    }
    assert!(!world.notes.iter().any(|note| matches!(note, Notification::Bridge(Event::DeviceOffline(..)))));
}

#[test]
fn polls_go_on_while_a_command_is_tried_again_and_a_dead_plug_is_told() {
    let mut world = strip();
    world.secs(60);
    world.fake(1).fails = Some(Failure::Closed);
    world.switch(&[(1, SwitchAction::Off)]);
    world.secs(16);
    assert!(!world.view(A).online);
    assert_eq!(world.result().error, Some((CommandError::Timeout, Some(1))), "ended by its own time");
}

#[test]
fn many_requests_have_more_time_than_one() {
    let mut world = strip();
    world.fake(1).slow = Duration::from_millis(6300);
    let [on, off] = [SwitchAction::On, SwitchAction::Off];
    world.switch(&[(1, on), (2, off), (3, on), (4, off), (5, on), (6, off)]);
    world.secs(9);
    assert_eq!(world.result().error, None);
}

#[test]
fn after_a_command_that_failed_its_plug_is_looked_at() {
    let mut world = strip();
    world.secs(60);
    // It obeys, and is not waited for.
    world.fake(1).slow = Duration::from_millis(84);
    let mut order = world.order(&[(1, SwitchAction::Off)]);
    order.ttl = Some(Duration::from_millis(50));
    world.feed(Input::Commanded(HubRequest::Switch(order)));
    world.run(Duration::from_millis(1300));
    assert_eq!(world.result().error, Some((CommandError::Timeout, Some(1))));
    assert_eq!(world.view(A).ports[0].relay, Some(world.fake(1).relays[0]), "what is told is what is");
}

#[test]
fn a_plug_asked_once_an_hour_is_looked_at_until_it_answers() {
    let mut lazy = rules();
    lazy.families.get_mut("maxsmart").unwrap().poll = Duration::from_secs(3600);
    let mut world = strip_under(lazy);
    world.secs(60);
    world.fake(1).slow = Duration::from_millis(84);
    let mut order = world.order(&[(1, SwitchAction::Off)]);
    order.ttl = Some(Duration::from_millis(50));
    world.feed(Input::Commanded(HubRequest::Switch(order)));
    world.run(Duration::from_millis(100));
    assert_eq!(world.result().error, Some((CommandError::Timeout, Some(1))));
    world.fake(1).fails = Some(Failure::Closed);
    world.secs(3);
    world.fake(1).fails = None;
    world.secs(6);
    assert_eq!(world.view(A).ports[0].relay, Some(false));
}

#[test]
fn a_steady_sender_does_not_hide_that_a_plug_is_dead() {
    let mut world = strip();
    world.secs(60);
    world.fake(1).fails = Some(Failure::Timeout);
    for _ in 0..60 {
        let mut order = world.order(&[(1, SwitchAction::Toggle)]);
        order.ttl = Some(Duration::from_millis(300));
        world.feed(Input::Commanded(HubRequest::Switch(order)));
        world.run(Duration::from_millis(500));
    }
    assert!(!world.view(A).online);
}

#[test]
fn commands_are_refused_as_a_whole_before_anything_moves() {
    let mut strict = rules();
    let locks = BTreeMap::from([(3, Lock::On), (4, Lock::Both)]);
    strict.plugs.insert(id(A), PlugRules { locks, ..PlugRules::default() });
    let mut world = strip_under(strict);
    let mut refused = |ports: &[(u8, SwitchAction)], want: (CommandError, Option<u8>)| {
        world.switch(ports);
        world.secs(1);
        assert_eq!(world.result().error, Some(want), "{ports:?}");
        assert!(world.fake(1).switches.is_empty(), "{ports:?}");
    };
    refused(&[(1, SwitchAction::Off), (7, SwitchAction::On)], (CommandError::UnknownPort, Some(7)));
    refused(&[(1, SwitchAction::Off), (3, SwitchAction::Off)], (CommandError::Locked, Some(3)));
    refused(&[(4, SwitchAction::On)], (CommandError::Locked, Some(4)));
    refused(&[(0, SwitchAction::Off)], (CommandError::Locked, Some(3)));
    world.switch(&[(3, SwitchAction::On)]);
    world.secs(1);
    assert_eq!(world.result().error, None, "on stays allowed for a port locked on");
}

#[test]
fn read_only_and_offline_and_unknown_plugs_are_refused() {
    let mut frozen = rules();
    frozen.read_only = true;
    let mut world = strip_under(frozen);
    world.switch(&[(1, SwitchAction::Off)]);
    assert_eq!(world.result().error, Some((CommandError::ReadOnly, None)));

    let mut world = strip();
    world.fake(1).fails = Some(Failure::Unreachable("refused".into()));
    world.secs(30);
    world.notes.clear();
    assert!(!world.view(A).online);
    world.switch(&[(1, SwitchAction::Off)]);
    assert_eq!(world.result().error, Some((CommandError::Offline, None)));

    let mut order = world.order(&[(1, SwitchAction::Off)]);
    order.plug = id("maxsmart-nobody");
    world.feed(Input::Commanded(HubRequest::Switch(order)));
    assert_eq!(world.result().error, Some((CommandError::UnknownDevice, None)));
}

#[test]
fn a_timed_command_goes_back_by_itself_unless_somebody_else_decides() {
    let mut world = strip();
    let mut order = world.order(&[(1, SwitchAction::Off)]);
    order.hold = Some(Duration::from_secs(60));
    world.feed(Input::Commanded(HubRequest::Switch(order.clone())));
    world.secs(59);
    assert!(!world.fake(1).relays[0]);
    assert_eq!(world.hub.memory().plugs[&id(A)].reverts.len(), 1, "outlives a restart");
    world.secs(3);
    assert!(world.fake(1).relays[0]);
    assert_eq!(world.view(A).ports[0].cause, Some(Cause::Countdown));
    assert!(world.hub.memory().plugs[&id(A)].reverts.is_empty());
    assert_eq!(world.results().len(), 1, "the way back is nobody's command");

    world.feed(Input::Commanded(HubRequest::Switch(order)));
    world.secs(5);
    world.switch(&[(1, SwitchAction::Off)]);
    world.secs(120);
    assert!(!world.fake(1).relays[0], "a newer command took its place");
}

#[test]
fn timed_ports_go_back_in_time_though_the_clock_is_set_meanwhile() {
    let hour = Duration::from_secs(3600);
    let mut world = strip();
    let timed = |port, hold_s, world: &mut World| SwitchOrder {
        hold: Some(Duration::from_secs(hold_s)),
        ..world.order(&[(port, SwitchAction::Off)])
    };
    let order = timed(1, 60, &mut world);
    world.feed(Input::Commanded(HubRequest::Switch(order)));
    world.secs(2);
    world.set_on = hour;
    world.secs(2);
    let ends = |world: &World, port: u8| world.hub.memory().plugs[&id(A)].reverts[&port].unix_ms;
    let due = moment(world.up + hour).unix_ms + 56_000;
    assert!(ends(&world, 1).abs_diff(due) < 2000, "it is remembered by the new clock");
    world.secs(54);
    assert!(!world.fake(1).relays[0], "and goes back after its minute, not at once");
    world.secs(5);
    assert!(world.fake(1).relays[0]);

    // The machine starts again, with a clock that is behind until it has asked a time server.
    let order = timed(2, 2 * 3600, &mut world);
    world.feed(Input::Commanded(HubRequest::Switch(order)));
    world.secs(2);
    let mut again = World::with(rules(), world.hub.memory());
    again.fake(1).relays[1] = false;
    again.secs(10);
    again.set_on = 2 * hour;
    again.secs(5);
    assert!(!again.fake(1).relays[1]);
    again.set_on = 3 * hour + Duration::from_secs(600);
    again.secs(5);
    assert!(again.fake(1).relays[1], "its time has passed");
}

#[test]
fn a_timed_port_goes_back_after_a_restart() {
    let mut world = strip();
    let mut order = world.order(&[(1, SwitchAction::Off)]);
    order.hold = Some(Duration::from_secs(60));
    world.feed(Input::Commanded(HubRequest::Switch(order)));
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
    let mut order = world.order(&[(1, SwitchAction::Off), (2, SwitchAction::Off), (3, SwitchAction::Off)]);
    order.stagger = Duration::from_millis(500);
    world.feed(Input::Commanded(HubRequest::Switch(order)));
    world.run(Duration::from_millis(700));
    assert_eq!(world.fake(1).relays[..3], [false, false, true]);
    world.secs(1);
    assert_eq!(world.fake(1).relays[..3], [false; 3]);
    assert_eq!(world.result().attempts, 1);
}

#[test]
fn what_is_locked_meanwhile_does_not_move() {
    let lock = OptionsChange {
        port: BTreeMap::from([(3, PortOptions { lock: Some(Lock::On) })]),
        ..OptionsChange::default()
    };
    let closed = OptionsChange { read_only: Some(Some(true)), ..OptionsChange::default() };
    for (options, error) in [(lock, CommandError::Locked), (closed, CommandError::ReadOnly)] {
        let mut world = strip();
        let mut order = world.order(&[(1, SwitchAction::Off), (3, SwitchAction::Off)]);
        order.stagger = Duration::from_secs(5);
        world.feed(Input::Commanded(HubRequest::Switch(order)));
        world.secs(1);
        world.request(Request::DeviceOptions { id: id(A), options: Box::new(options) });
        world.secs(20);
        assert_eq!(world.fake(1).relays[..3], [false, true, true]);
        assert_eq!(world.result().error, Some((error, Some(3))));
    }
}

#[test]
fn a_command_for_a_known_plug_not_reached_yet_waits_for_it() {
    let memory = strip().hub.memory();
    let mut world = World::with(rules(), memory);
    world.fake(1);
    world.feed(Input::Tick);
    world.switch(&[(1, SwitchAction::Off)]);
    world.secs(1);
    assert_eq!(world.result().error, None);
}

#[test]
fn stopping_gives_every_command_its_result_and_begins_nothing() {
    let mut world = strip();
    world.fake(1).slow = Duration::from_secs(1);
    world.switch(&[(1, SwitchAction::Off)]);
    world.run(Duration::from_millis(50));
    world.switch(&[(2, SwitchAction::Off)]);
    world.feed(Input::Stop);
    world.switch(&[(3, SwitchAction::Off)]);
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
fn a_marked_command_that_comes_twice_within_its_deadline_is_one() {
    let mut world = strip();
    let say = |world: &mut World, mark: &str, port: u8, wish: SwitchAction| {
        let mut order = world.order(&[(port, wish)]);
        order.asker.mark = Some(mark.into());
        world.feed(Input::Commanded(HubRequest::Switch(order)));
        world.secs(1);
        world.results().len()
    };
    // Every port is on at first.
    assert_eq!(
        (say(&mut world, "a", 1, SwitchAction::Toggle), say(&mut world, "a", 1, SwitchAction::Toggle)),
        (1, 0)
    );
    assert!(!world.fake(1).relays[0], "toggled once");
    assert_eq!(
        (say(&mut world, "b", 1, SwitchAction::Toggle), say(&mut world, "a", 1, SwitchAction::Toggle)),
        (1, 0)
    );
    assert!(world.fake(1).relays[0], "also when another one came between");
    assert_eq!(say(&mut world, "b", 2, SwitchAction::Toggle), 1, "another port is another command");
    world.secs(10);
    assert_eq!(say(&mut world, "a", 1, SwitchAction::Toggle), 1, "a new one after the deadline");
    let mut other = |said: u64| {
        let order = SwitchOrder {
            asker: Asker::mqtt(Some("d".into())),
            said,
            ..world.order(&[(3, SwitchAction::On)])
        };
        world.feed(Input::Commanded(HubRequest::Switch(order)));
        world.secs(1);
        world.results().len()
    };
    assert_eq!((other(1), other(2), other(2)), (1, 1, 0), "in other words it is another one");
    let mut nobody = || {
        let plug = PlugId::new("maxsmart-nobody").unwrap();
        let order = SwitchOrder {
            asker: Asker::mqtt(Some("e".into())),
            plug,
            ..world.order(&[(1, SwitchAction::On)])
        };
        world.feed(Input::Commanded(HubRequest::Switch(order)));
        world.results().len()
    };
    assert_eq!((nobody(), nobody()), (1, 0), "one result also of a plug that is not there");
    let both = (say(&mut world, "c", 9, SwitchAction::On), say(&mut world, "c", 9, SwitchAction::On));
    assert_eq!(both, (1, 0), "one result also for what is refused");
}

#[test]
fn senders_that_always_use_the_same_mark_are_obeyed() {
    let mut world = strip();
    for wish in [SwitchAction::Off, SwitchAction::On, SwitchAction::Off, SwitchAction::On, SwitchAction::Off]
    {
        let mut order = world.order(&[(1, wish)]);
        order.asker.mark = Some("constant".into());
        world.feed(Input::Commanded(HubRequest::Switch(order)));
        world.secs(1);
        assert_eq!(world.result().error, None);
        assert_eq!(world.fake(1).relays[0], wish == SwitchAction::On);
    }
}

#[test]
fn commands_without_a_mark_are_as_many_as_they_are() {
    let mut world = strip();
    for on in [false, true, false] {
        world.switch(&[(1, SwitchAction::Toggle)]);
        world.secs(1);
        assert_eq!((world.results().len(), world.fake(1).relays[0]), (1, on));
    }
}
