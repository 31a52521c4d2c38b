//! What is acknowledged is written, and what cannot be written is not done.

use super::*;
use crate::model::Revert;

/// What becomes of what is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disk {
    Works,
    Full,
    /// It takes its time, until it is told to have written.
    Waits,
}

impl World {
    /// The end of what is being written.
    pub(super) fn saved(&mut self, result: Result<(), String>) {
        if let Some(memory) = self.writing.take() {
            if result.is_ok() {
                self.written = memory;
            }
            self.feed(Input::Saved(result));
        }
    }

    fn timed(&mut self, port: u8, wish: SwitchAction, seconds: u64) {
        let mut order = self.order(&[(port, wish)]);
        order.hold = Some(Duration::from_secs(seconds));
        self.feed(Input::Commanded(HubRequest::Switch(order)));
    }

    /// What is written has a way back for this port.
    fn has_way_back(&self, port: u8) -> Option<bool> {
        self.written.plugs.get(&id(A))?.reverts.get(&port).map(|back| back.on)
    }

    pub(super) fn responses(&self) -> Vec<&Response> {
        let responses = self.notes.iter().filter_map(|note| match note {
            Notification::Response(response) => Some(response),
            Notification::Result(_) | Notification::Plug(..) | Notification::Bridge(_) => None,
        });
        responses.collect()
    }

    /// After a crash: a hub that remembers what was written, and the same plugs.
    fn crash(&self) -> World {
        let up = self.up + Duration::from_secs(1);
        let mut again = World::with_up(rules(), self.written.clone(), up);
        again.fakes = self.fakes.clone();
        again
    }
}

/// A strip with all ports off.
fn dark() -> World {
    let mut world = strip();
    world.fake(1).relays = vec![false; 6];
    world.secs(6);
    world.notes.clear();
    world
}

#[test]
fn the_way_back_is_written_before_the_relay_moves_and_before_the_result() {
    let mut world = dark();
    world.disk = Disk::Waits;
    world.timed(1, SwitchAction::On, 60);
    world.secs(1);
    assert!(world.fake(1).switches.is_empty() && world.results().is_empty(), "nothing before it is written");
    world.saved(Ok(()));
    assert_eq!(world.has_way_back(1), Some(false));
    world.run(Duration::from_millis(100));
    assert!(world.fake(1).relays[0]);
    assert!(world.results().is_empty(), "the time that counts from now is not written yet");
    world.saved(Ok(()));
    assert_eq!(world.result().error, None);
}

#[test]
fn killed_at_any_moment_a_timed_port_goes_back() {
    for ms in (0..500).step_by(5) {
        let mut world = dark();
        world.fake(1).slow = Duration::from_millis(30);
        world.timed(1, SwitchAction::On, 4);
        world.run(Duration::from_millis(ms));
        let moved = world.fake(1).relays[0];
        let mut again = world.crash();
        again.secs(10);
        assert!(!again.fake(1).relays[0], "killed after {ms} ms it stays on");
        assert!(moved, "the fake obeys at once");
    }
}

#[test]
fn on_a_full_disk_a_timed_command_moves_nothing_and_a_plain_one_waits_for_nothing() {
    let mut world = dark();
    world.disk = Disk::Full;
    world.timed(1, SwitchAction::On, 60);
    world.secs(1);
    let result = world.result();
    assert_eq!(result.error, Some((CommandError::NotSaved, Some(1))));
    assert_eq!(result.detail.as_deref(), Some("disk full"));
    assert!(world.fake(1).switches.is_empty());
    assert!(world.hub.memory().plugs[&id(A)].reverts.is_empty(), "it is taken back");
    world.switch(&[(1, SwitchAction::On)]);
    world.secs(1);
    assert_eq!(world.result().error, None);
    let saves = world.saves;
    world.secs(60);
    assert!(world.saves - saves < 10, "it is not hammered: {}", world.saves - saves);
    assert!(world.fake(1).relays[0]);
}

#[test]
fn a_command_for_several_ports_moves_none_when_one_of_them_cannot_be_written() {
    let mut world = dark();
    world.timed(1, SwitchAction::On, 60);
    world.secs(1);
    world.notes.clear();
    world.disk = Disk::Full;
    world.switch(&[(1, SwitchAction::On), (2, SwitchAction::On)]);
    world.secs(1);
    assert_eq!(world.result().error.map(|(error, _)| error), Some(CommandError::NotSaved));
    assert!(!world.fake(1).relays[1], "neither has moved");
    world.secs(70);
    assert!(!world.fake(1).relays[0], "and the way back is as it was");
}

#[test]
fn a_return_that_was_cancelled_is_gone_from_the_disk_before_that_is_told() {
    let mut world = dark();
    world.timed(1, SwitchAction::On, 60);
    world.secs(1);
    assert_eq!(world.result().error, None);
    world.disk = Disk::Waits;
    world.switch(&[(1, SwitchAction::On)]);
    world.secs(1);
    assert_eq!((world.results().len(), world.has_way_back(1)), (0, Some(false)));
    world.saved(Ok(()));
    world.secs(1);
    assert_eq!((world.result().error, world.has_way_back(1)), (None, None));
    let mut again = world.crash();
    again.secs(120);
    assert!(again.fake(1).relays[0], "it never comes back");
}

#[test]
fn off_before_its_time_is_switched_at_once_and_told_when_it_is_written() {
    let mut world = dark();
    world.timed(1, SwitchAction::On, 60);
    world.secs(1);
    world.notes.clear();
    world.disk = Disk::Waits;
    world.switch(&[(1, SwitchAction::Off)]);
    world.secs(1);
    assert!(!world.fake(1).relays[0], "a heater must not wait for a disk");
    assert!(world.results().is_empty());
    world.saved(Err("disk full".into()));
    assert_eq!(world.result().error, Some((CommandError::NotSaved, Some(1))));
    assert!(world.hub.memory().plugs[&id(A)].reverts.contains_key(&1), "as it is on the disk");
}

#[test]
fn a_plain_command_right_after_a_return_is_told_when_the_end_of_the_return_is_written() {
    let mut world = dark();
    world.timed(1, SwitchAction::On, 2);
    world.secs(1);
    world.notes.clear();
    world.disk = Disk::Waits;
    world.run(Duration::from_millis(1500));
    assert!(!world.fake(1).relays[0]);
    world.switch(&[(1, SwitchAction::On)]);
    world.run(Duration::from_millis(100));
    assert!(world.fake(1).relays[0]);
    assert!(world.results().is_empty(), "until then a crash would switch it off once more");
    world.saved(Ok(()));
    world.saved(Ok(()));
    assert_eq!((world.result().error, world.has_way_back(1)), (None, None));
}

#[test]
fn a_disk_that_does_not_answer_holds_up_nobody_for_ever() {
    let mut world = dark();
    world.timed(2, SwitchAction::On, 600);
    world.secs(1);
    world.notes.clear();
    world.disk = Disk::Waits;
    world.timed(1, SwitchAction::On, 60);
    world.switch(&[(2, SwitchAction::Off)]);
    world.feed(Input::Commanded(HubRequest::Request(
        Request::DeviceRename { id: id(A), name: None },
        Asker::default(),
    )));
    world.secs(13);
    let mut errors = world.notes.iter().filter_map(|note| match note {
        Notification::Result(result) => result.error,
        Notification::Response(_) | Notification::Plug(..) | Notification::Bridge(_) => None,
    });
    assert!(errors.all(|(error, _)| error == CommandError::NotSaved));
    world.secs(10);
    assert_eq!(world.responses().len(), 1);
    assert_eq!(world.responses()[0].result, Err("not saved: the disk does not answer".into()));
    assert_eq!(world.results().len(), 2);
    assert_eq!(world.fake(1).relays[..2], [false, false]);
}

#[test]
fn a_command_that_never_left_cancels_nothing() {
    let mut world = dark();
    world.timed(1, SwitchAction::On, 60);
    world.secs(1);
    world.disk = Disk::Waits;
    world.timed(1, SwitchAction::Off, 600);
    world.feed(Input::Stop);
    world.feed(Input::Stop);
    world.saved(Err("disk full".into()));
    assert_eq!(world.results().len(), 2);
    assert_eq!(world.has_way_back(1), Some(false));
    assert!(!world.hub.memory().plugs[&id(A)].reverts[&1].on);
}

#[test]
fn results_that_wait_for_the_disk_are_told_at_the_end() {
    let mut world = dark();
    world.disk = Disk::Waits;
    world.timed(1, SwitchAction::On, 60);
    world.saved(Ok(()));
    world.run(Duration::from_millis(50));
    world.feed(Input::Stop);
    world.feed(Input::Stop);
    assert!(world.results().is_empty());
    world.saved(Ok(()));
    world.saved(Ok(()));
    assert_eq!(world.result().error, None);
    assert_eq!(world.has_way_back(1), Some(false));
}

#[test]
fn what_may_have_moved_without_an_answer_keeps_its_way_back_to_off() {
    let mut world = dark();
    world.timed(1, SwitchAction::On, 60);
    world.fake(1).relays[0] = true;
    world.fake(1).fails = Some(Failure::Timeout);
    world.coming.clear();
    let who = Who::Plug(id(A));
    let outcome = Outcome { who, result: Err(Failure::Timeout), requests: 1, took: Duration::from_secs(5) };
    world.feed(Input::Answered(outcome));
    world.secs(40);
    assert!(world.result().error.is_some());
    world.fake(1).fails = None;
    world.secs(90);
    let local = |n: &Notification| matches!(n, Notification::Plug(_, Event::SwitchedLocally { .. }));
    assert!(!world.notes.iter().any(local) && !world.fake(1).relays[0], "nobody was there");
}

/// Every request that changes what is remembered.
fn requests(world: &World) -> Vec<Request> {
    let port = [(2, PortOptions { lock: Some(Lock::On) })].into();
    let options = Box::new(OptionsChange { port, ..OptionsChange::default() });
    let plug = id(A);
    assert!(world.hub.view().plugs.contains_key(&plug));
    vec![
        Request::DeviceRename { id: plug.clone(), name: Name::clean("Lamp") },
        Request::PortRename { id: plug.clone(), port: 3, name: Name::clean("Lamp") },
        Request::DeviceOptions { id: plug.clone(), options },
        Request::EnergySet { id: plug.clone(), port: 1, energy: Energy::from_kwh(7.0).expect("an amount") },
        Request::Adopt(false, None),
        Request::DeviceRemove { id: id("maxsmart-nobody"), block: true },
        Request::DeviceRemove { id: plug, block: true },
    ]
}

/// What is remembered, but for figures that always move.
fn remembered(world: &World) -> PersistedState {
    let mut memory = PersistedState { generation: 0, written_ms: 0, ..world.hub.memory() };
    for plug in memory.plugs.values_mut() {
        plug.tally.unix_ms = 0;
        plug.tally.certain_ms = None;
        plug.tally.hours = None;
    }
    memory
}

#[test]
fn what_is_answered_ok_is_on_the_disk() {
    let many = requests(&strip()).len();
    for number in 0..many {
        let mut world = strip();
        world.feed(Input::Commanded(HubRequest::Metered(Vec::new())));
        world.secs(10);
        world.disk = Disk::Waits;
        world.saved(Ok(()));
        world.notes.clear();
        let request = requests(&world).remove(number);
        let before = world.written.clone();
        world.feed(Input::Commanded(HubRequest::Request(request.clone(), Asker::default())));
        assert!(world.responses().is_empty(), "{request:?}");
        assert!(world.hub.view().plugs.contains_key(&id(A)), "nothing is gone before that is written");
        world.saved(Ok(()));
        assert!(world.responses()[0].result.is_ok(), "{request:?}");
        assert_ne!(world.written, before, "{request:?}");
    }
}

#[test]
fn what_cannot_be_written_is_taken_back_and_answered_so() {
    let mut world = strip();
    world.fake(1).watts = 0.0;
    world.feed(Input::Commanded(HubRequest::Metered(Vec::new())));
    world.secs(70);
    world.disk = Disk::Full;
    for request in requests(&world) {
        let (before, view) = (remembered(&world), world.view(A));
        world.notes.clear();
        let response = world.request(request.clone());
        assert_eq!(response.result, Err("not saved: disk full".into()), "{request:?}");
        assert_eq!(remembered(&world), before, "{request:?}");
        world.secs(6);
        let after = world.view(A);
        assert_eq!((&after.name, &after.ports), (&view.name, &view.ports), "{request:?}");
    }
    assert!(world.hub.view().bridge.adopt);
    world.disk = Disk::Works;
    assert!(world.request(requests(&world).remove(0)).result.is_ok(), "a disk with room again");
}

#[test]
fn many_changes_are_written_by_one() {
    let mut world = strip();
    world.disk = Disk::Waits;
    let saves = world.saves;
    for port in 1..=6 {
        let name = Name::clean("Lamp");
        let request = Request::PortRename { id: id(A), port, name };
        world.feed(Input::Commanded(HubRequest::Request(request, Asker::default())));
    }
    assert_eq!(world.saves - saves, 1, "one at a time");
    world.saved(Ok(()));
    assert_eq!((world.responses().len(), world.saves - saves), (1, 2));
    world.saved(Ok(()));
    assert_eq!((world.responses().len(), world.saves - saves), (6, 2));
}

#[test]
fn changes_that_wait_for_the_disk_are_bounded() {
    let mut world = strip();
    world.disk = Disk::Waits;
    for _ in 0..2000 {
        let request = Request::DeviceRename { id: id(A), name: Name::clean("Lamp") };
        world.feed(Input::Commanded(HubRequest::Request(request, Asker::default())));
    }
    let refused = world.responses().len();
    assert!((1000..2000).contains(&refused), "{refused}");
    world.saved(Ok(()));
    world.saved(Ok(()));
    assert_eq!(world.responses().len(), 2000, "each is answered");
}

/// A strip that was remembered with a return of port 1.
fn overdue(on: bool, late: Duration, older: bool) -> World {
    let mut world = strip();
    world.fake(1).relays = vec![!on; 6];
    world.secs(6);
    let mut memory = world.hub.memory();
    let back = Revert::at(moment(world.up).unix_ms, on);
    memory.plugs.get_mut(&id(A)).expect("it is remembered").reverts.insert(1, back);
    memory.older = older;
    let mut again = World::with_up(rules(), memory, world.up + late);
    again.fakes = world.fakes.clone();
    again.feed(Input::Commanded(HubRequest::Metered(Vec::new())));
    again.secs(3);
    again
}

#[test]
fn an_overdue_return_goes_off_however_late_and_on_within_ten_minutes() {
    let week = Duration::from_secs(7 * 86_400);
    let went = |on, late, older| overdue(on, late, older).fake(1).relays[0] == on;
    assert!(went(false, Duration::ZERO, false) && went(false, week, false), "a heater must not stay on");
    assert!(went(true, Duration::from_secs(540), false));
    assert!(!went(true, Duration::from_secs(660), false) && !went(true, week, false));
    assert!(!went(true, Duration::ZERO, true) && !went(false, Duration::ZERO, true), "of an older state");
}

#[test]
fn a_return_that_is_dropped_is_told_and_shown_until_somebody_switches() {
    for (on, late, older, problem) in [
        (true, 660, false, "port 1 was not switched back on: more than ten minutes late"),
        (false, 0, true, "port 1 was not switched back off: the state file is not the newest one"),
    ] {
        let mut world = overdue(on, Duration::from_secs(late), older);
        assert_eq!(world.view(A).problem.as_deref(), Some(problem));
        let dropped = world.notes.iter().filter(|note| {
            matches!(note, Notification::Plug(_, Event::ReturnDropped { port: 1, on: told, .. }) if *told == on)
        });
        assert_eq!(dropped.count(), 1);
        assert!(world.hub.memory().plugs[&id(A)].reverts.is_empty());
        world.switch(&[(1, if on { SwitchAction::Off } else { SwitchAction::On })]);
        world.secs(6);
        assert_eq!(world.view(A).problem, None);
    }
}

#[test]
fn returns_that_are_late_in_this_run_are_held_to_the_same() {
    let mut world = strip();
    world.timed(1, SwitchAction::Off, 60);
    world.timed(2, SwitchAction::On, 60);
    world.secs(5);
    world.fake(1).fails = Some(Failure::Timeout);
    world.secs(1000);
    world.fake(1).fails = None;
    world.secs(100);
    assert_eq!(world.fake(1).relays[..2], [false, false]);
}

#[test]
fn a_latch_is_told_when_it_is_written_and_holds_all_the_same_when_it_cannot_be() {
    for disk in [Disk::Waits, Disk::Full] {
        let limit =
            Limit { watts: Some(50.0), action: crate::model::OverloadAction::Latch, ..Limit::default() };
        let mut strict = rules();
        strict.plugs.insert(id(A), PlugRules { limits: [(1, limit)].into(), ..PlugRules::default() });
        let mut world = strip_under(strict);
        world.secs(10);
        world.disk = disk;
        world.notes.clear();
        world.fake(1).watts = 120.0;
        world.secs(30);
        let told = |world: &World| {
            let latch = |note: &&Notification| matches!(note, Notification::Plug(_, Event::Overload { .. }));
            world.notes.iter().filter(latch).count()
        };
        assert!(!world.fake(1).relays[0], "protection waits for no disk");
        assert!(world.hub.memory().plugs[&id(A)].latched.contains(&1));
        if disk == Disk::Waits {
            world.saved(Ok(()));
            world.saved(Ok(()));
            assert!(world.written.plugs[&id(A)].latched.contains(&1));
        }
        assert_eq!(told(&world), 1);
    }
}

#[test]
fn a_return_to_off_comes_no_later_because_the_clock_was_set_back() {
    let mut world = dark();
    world.timed(1, SwitchAction::On, 60);
    world.secs(2);
    assert!(world.fake(1).relays[0]);
    world.secs(50);
    let mut memory = world.hub.memory();
    // As if it had been written by a clock that was two hours ahead.
    let hours = 2 * 3_600_000;
    memory.written_ms = moment(world.up).unix_ms + hours;
    for back in memory.plugs.get_mut(&id(A)).unwrap().reverts.values_mut() {
        back.unix_ms += hours;
    }
    let mut again = World::with_up(rules(), memory, world.up);
    again.fakes = world.fakes.clone();
    again.feed(Input::Commanded(HubRequest::Metered(Vec::new())));
    again.secs(20);
    assert!(!again.fake(1).relays[0]);
}

#[test]
fn a_flood_of_changes_of_one_plug_leaves_room_for_those_of_others() {
    let mut world = strip();
    world.disk = Disk::Waits;
    for n in 0..500 {
        let name = Name::clean(&format!("Lamp {n}"));
        let request = Request::PortRename { id: id(A), port: 1, name };
        world.feed(Input::Commanded(HubRequest::Request(request, Asker::mqtt(Some(n.to_string())))));
    }
    assert!(world.responses().len() >= 400, "most are refused at once");
    let refused = world.responses().len();
    world.feed(Input::Commanded(HubRequest::Request(
        Request::Adopt(false, None),
        Asker::mqtt(Some("other".into())),
    )));
    assert_eq!(world.responses().len(), refused);
    world.saved(Ok(()));
    world.saved(Ok(()));
    let other = world.responses().into_iter().find(|one| one.asker.mark.as_deref() == Some("other"));
    assert!(other.is_some_and(|one| one.result.is_ok()));
}

#[test]
fn a_timed_command_that_is_broken_off_at_the_stop_gets_its_result() {
    for action in [SwitchAction::On, SwitchAction::Toggle, SwitchAction::Off] {
        let mut world = dark();
        world.fake(1).slow = Duration::from_secs(5);
        world.timed(1, action, 60);
        world.run(Duration::from_millis(100));
        world.feed(Input::Stop);
        assert_eq!(world.results().len(), 0, "it is on the wire");
        world.feed(Input::Stop);
        assert_eq!(world.results().len(), 1, "{action:?}");
    }
}
