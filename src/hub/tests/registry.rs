//! Who is who: plugs found, followed, confused, taken in, named and removed.

use super::*;
use std::io;
use std::sync::{Arc, Mutex};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("the log").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How often the log says within an hour that no plug answers.
fn told_of_nobody(world: World, at_once: impl FnOnce(&mut World)) -> usize {
    logged(world, at_once).matches("no plugs answered").count()
}

/// The log of an hour.
fn logged(mut world: World, at_once: impl FnOnce(&mut World)) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    tracing::subscriber::with_default(subscriber, || {
        world.secs(1);
        at_once(&mut world);
        world.secs(3600);
    });
    String::from_utf8(log.0.lock().expect("the log").clone()).expect("text")
}

#[test]
fn a_plug_that_nobody_can_identify_is_told_once() {
    let nameless = |world: &mut World| {
        for _ in 0..5 {
            let mut nobody = found(1, 1, 5);
            nobody.id = None;
            (nobody.facts.mac, nobody.facts.serial) = (None, None);
            world.feed(Input::Heard(nobody));
            world.coming.clear();
            let (who, result) = (Who::Endpoint("maxsmart", place(5)), Err(Failure::Closed));
            world.feed(Input::Answered(Outcome { who, result, requests: 1, took: Duration::ZERO }));
        }
    };
    let log = logged(World::new(rules()), nameless);
    assert_eq!(log.matches("tells neither serial number nor MAC address").count(), 1, "{log}");
    assert!(!log.contains("no plugs answered"), "{log}");
}

#[test]
fn a_first_search_that_finds_nobody_is_told_once() {
    assert_eq!(told_of_nobody(World::new(rules()), |_| {}), 1);
    let heard = |world: &mut World| {
        world.fake(1).relays = vec![true];
        world.feed(Input::Heard(found(1, 1, 1)));
    };
    assert_eq!(told_of_nobody(World::new(rules()), heard), 0, "somebody was found");
    // Whoever is known is told by name when it is silent.
    let silent = |world: &mut World| world.fake(1).fails = Some(Failure::Timeout);
    assert_eq!(told_of_nobody(strip(), silent), 0);
    let families = BTreeMap::new();
    assert_eq!(told_of_nobody(World::new(Rules { families, ..rules() }), |_| {}), 0, "nobody is looked for");
}

#[test]
fn when_something_is_missing_it_is_searched_for() {
    let mut world = strip();
    world.probes.clear();
    world.fake(1).fails = Some(Failure::Unreachable("gone".into()));
    world.secs(8);
    assert_eq!(world.probes.len(), 1, "soon after the first miss");
    world.secs(600);
    assert!(world.probes.len() < 20, "but not ever faster: {}", world.probes.len());
}

#[test]
fn a_plug_is_followed_to_its_new_address() {
    let mut world = strip();
    let fake = world.fakes.remove(&place(1)).expect("the strip");
    world.fakes.insert(place(9), fake);
    world.secs(30);
    assert!(!world.view(A).online);
    world.feed(Input::Heard(found(1, 1, 9)));
    // A conversation with the old address may have to end first.
    world.secs(6);
    let view = world.view(A);
    assert!(view.online);
    assert_eq!(view.ip.as_deref(), Some("127.0.0.9"));
    let event = Event::AddressChanged { from: "127.0.0.1".into(), to: "127.0.0.9".into() };
    assert!(world.notes.contains(&Notification::Plug(id(A), event)));
}

#[test]
fn two_plugs_that_swap_addresses_are_told_apart() {
    let mut world = strip();
    world.fake(2).relays = vec![false; 6];
    world.feed(Input::Heard(found(2, 2, 2)));
    world.secs(60);
    let (a, b) = (world.fakes[&place(1)].clone(), world.fakes[&place(2)].clone());
    world.fakes.insert(place(1), b);
    world.fakes.insert(place(2), a);
    world.feed(Input::Heard(found(2, 2, 1)));
    assert!(!world.view(A).online, "nobody is asked at another's address");
    world.feed(Input::Heard(found(1, 1, 2)));
    world.secs(5);
    assert_eq!(world.view(A).ip.as_deref(), Some("127.0.0.2"));
    assert_eq!(world.view(A).ports[0].relay, Some(true));
    assert_eq!(world.view("maxsmart-swp6000000000002").ports[0].relay, Some(false));
}

#[test]
fn two_plugs_with_one_serial_are_two_plugs() {
    let mut world = strip();
    world.fake(2).relays = vec![false];
    world.feed(Input::Heard(found(1, 2, 2)));
    world.secs(1);
    let second = world.view("maxsmart-swp6000000000001-000002");
    assert_eq!((second.ports.len(), second.ports[0].relay), (1, Some(false)));
    assert_eq!(world.view(A).ports.len(), 6);
    // And stay so, whoever answers first next time.
    world.feed(Input::Heard(found(1, 2, 2)));
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(1);
    assert_eq!(world.hub.view().plugs.len(), 2);
    let mut again = World::with(rules(), world.hub.memory());
    again.feed(Input::Heard(found(1, 2, 2)));
    assert_eq!(again.hub.view().plugs.len(), 2);
}

#[test]
fn a_clone_without_a_mac_cannot_pull_a_healthy_plug_away() {
    let mut world = World::new(rules());
    world.fake(1);
    let mut nameless = found(1, 1, 1);
    nameless.facts.mac = None;
    world.feed(Input::Heard(nameless.clone()));
    world.secs(30);
    nameless.place = place(7);
    world.feed(Input::Heard(nameless));
    assert_eq!(world.view(A).ip.as_deref(), Some("127.0.0.1"));
}

#[test]
fn who_tells_a_plugs_serial_and_mac_is_believed_unless_it_was_heard_a_moment_ago() {
    let mut world = World::new(rules());
    world.fake(1);
    let own = found(1, 1, 1);
    world.feed(Input::Heard(own.clone()));
    world.secs(30);
    let liar = Discovered { place: place(7), ..own.clone() };
    world.feed(Input::Heard(own));
    world.feed(Input::Heard(liar.clone()));
    assert_eq!(world.view(A).ip.as_deref(), Some("127.0.0.1"));
    world.secs(30);
    world.feed(Input::Heard(liar));
    assert_eq!(world.view(A).ip.as_deref(), Some("127.0.0.7"));
}

#[test]
fn known_plugs_are_polled_at_once_before_any_search_is_answered() {
    let memory = strip().hub.memory();
    let mut world = World::with(rules(), memory);
    world.fake(1);
    assert!(!world.view(A).online, "not before it answered");
    assert_eq!(world.view(A).ports.len(), 6, "but its ports are known");
    world.feed(Input::Tick);
    assert_eq!(world.reads.len(), 1);
    world.run(Duration::from_millis(50));
    assert!(world.view(A).online);
}

#[test]
fn plugs_are_not_taken_when_adopting_is_off_and_taken_when_it_is_on_again() {
    let mut closed = rules();
    closed.adopt = false;
    let mut world = World::new(closed);
    world.fake(1);
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(20);
    assert!(world.reads.is_empty());
    assert!(!world.view(A).adopted);
    assert!(world.hub.memory().plugs.is_empty());
    world.switch(&[(1, SwitchAction::Off)]);
    assert_eq!(world.result().error, Some((CommandError::UnknownDevice, None)));
    world.request(Request::Adopt(true, Some(Duration::from_secs(30))));
    world.secs(1);
    assert!(world.view(A).online);
    world.secs(31);
    assert!(!world.hub.view().bridge.adopt, "its time is up");
    // Asked twice, it ends all the same.
    for _ in 0..2 {
        world.request(Request::Adopt(true, Some(Duration::from_secs(30))));
        world.secs(20);
        assert!(world.hub.view().bridge.adopt);
    }
    world.secs(11);
    assert!(!world.hub.view().bridge.adopt, "its time is up again");
}

#[test]
fn plugs_named_in_the_settings_are_taken_though_adopting_is_off() {
    let named: [fn(&mut Rules); 2] =
        [|rules| rules.allow.extend([id(A)]), |rules| rules.plugs.extend([(id(A), PlugRules::default())])];
    for name in named {
        let mut closed = rules();
        closed.adopt = false;
        name(&mut closed);
        let mut world = World::new(closed);
        world.fake(1);
        world.feed(Input::Heard(found(1, 1, 1)));
        world.feed(Input::Heard(found(2, 2, 2)));
        world.secs(1);
        assert!(world.view(A).online);
        assert!(world.hub.view().plugs.values().all(|plug| plug.adopted == (plug.id == id(A))));
    }
}

#[test]
fn removed_plugs_are_forgotten_and_blocked_ones_stay_away() {
    let mut world = strip();
    assert!(world.request(Request::DeviceRemove { id: id(A), block: true }).result.is_ok());
    world.feed(Input::Heard(found(1, 1, 1)));
    world.secs(10);
    assert!(world.hub.view().plugs.is_empty());
    assert!(world.hub.memory().blocked.contains(&id(A)));
    assert!(world.request(Request::DeviceRemove { id: id(A), block: false }).result.is_ok(), "unblocked");
    assert!(!world.hub.memory().blocked.contains(&id(A)));
    assert!(world.request(Request::DeviceRemove { id: id(A), block: false }).result.is_err());
}

#[test]
fn what_is_blocked_has_an_end() {
    let mut world = strip();
    let block = |world: &mut World, n: usize| {
        let id = id(&format!("maxsmart-swp7{n:012}"));
        world.request(Request::DeviceRemove { id, block: true }).result
    };
    world.hub.memory.blocked = (0..MAX_PLUGS).map(|n| id(&format!("maxsmart-swp7{n:012}"))).collect();
    assert!(block(&mut world, 0).is_ok(), "it is blocked");
    assert!(
        block(&mut world, MAX_PLUGS).is_err_and(|why| format!("{why:?}").contains("8192 plugs are blocked"))
    );
    assert_eq!(world.hub.memory().blocked.len(), MAX_PLUGS);
}

#[test]
fn what_settings_keep_out_is_remembered_all_the_same() {
    let mut world = strip();
    world.request(Request::DeviceRename { id: id(A), name: Name::clean("CommandQueue") });
    let memory = world.hub.memory();
    let denied = Rules { deny: [id(A)].into(), ..rules() };
    let switched_off = Rules { families: BTreeMap::new(), ..rules() };
    for out in [denied, switched_off] {
        let mut world = World::with(out, memory.clone());
        world.fake(1);
        world.secs(60);
        assert!(world.reads.is_empty() && world.hub.view().plugs.is_empty());
        assert_eq!(world.hub.memory().plugs, memory.plugs);
        let mut again = World::with(rules(), world.hub.memory());
        again.fake(1);
        again.secs(6);
        assert_eq!(&*again.view(A).name, "CommandQueue");
    }
}

#[test]
fn names_and_options_are_kept_but_settings_have_the_last_word() {
    let mut strict = rules();
    let own = PlugRules {
        name: Name::clean("Fixed"),
        locks: BTreeMap::from([(1, Lock::On)]),
        ..PlugRules::default()
    };
    strict.plugs.insert(id(A), own);
    let mut world = strip_under(strict);
    let name = Name::clean("Other");
    assert!(world.request(Request::DeviceRename { id: id(A), name: name.clone() }).result.is_err());
    assert!(world.request(Request::PortRename { id: id(A), port: 2, name: name.clone() }).result.is_ok());
    assert!(world.request(Request::PortRename { id: id(A), port: 9, name }).result.is_err());
    assert_eq!(&*world.view(A).ports[1].name, "Other");
    let lock = |lock| {
        let port = BTreeMap::from([(1, PortOptions { lock: Some(lock) })]);
        Request::DeviceOptions {
            id: id(A),
            options: Box::new(OptionsChange { port, ..OptionsChange::default() }),
        }
    };
    assert!(world.request(lock(Lock::None)).result.is_err(), "cannot be loosened");
    assert!(world.request(lock(Lock::Both)).result.is_ok(), "can be tightened");
    assert_eq!(world.view(A).ports[0].lock, Some(Lock::Both));
    let slow = OptionsChange { poll_interval_ms: Some(Some(60_000)), ..OptionsChange::default() };
    assert!(world.request(Request::DeviceOptions { id: id(A), options: Box::new(slow) }).result.is_ok());
    world.secs(60);
    world.reads.clear();
    world.secs(300);
    assert_eq!(world.reads.len(), 5);
    let back = OptionsChange { poll_interval_ms: Some(None), ..OptionsChange::default() };
    assert!(world.request(Request::DeviceOptions { id: id(A), options: Box::new(back) }).result.is_ok());
    world.secs(60);
    world.reads.clear();
    world.secs(300);
    assert_eq!(world.reads.len(), 60, "as the settings say, again");
    let bad = OptionsChange { poll_interval_ms: Some(Some(0)), ..OptionsChange::default() };
    assert!(world.request(Request::DeviceOptions { id: id(A), options: Box::new(bad) }).result.is_err());
}

#[test]
fn somebody_without_an_identity_is_asked_for_it() {
    let mut world = World::new(rules());
    let mut nobody = found(1, 1, 5);
    nobody.id = None;
    nobody.facts.mac = None;
    world.feed(Input::Heard(nobody));
    assert!(matches!(world.coming.as_slice(), [(_, Outcome { who: Who::Endpoint("maxsmart", _), .. })]));
    world.coming.clear();
    world.fake(5);
    let answer = DeviceResponse::Identity(Discovered { id: Some(id("maxsmart-aabbccdd")), ..found(1, 1, 5) });
    let who = Who::Endpoint("maxsmart", place(5));
    world.feed(Input::Answered(Outcome { who, result: Ok(answer), requests: 2, took: Duration::ZERO }));
    world.secs(1);
    assert!(world.view("maxsmart-aabbccdd").online);
}

/// A plug that somebody has invented.
fn invented(n: usize, ip: std::net::Ipv4Addr) -> Discovered {
    let place = Endpoint { ip: ip.into(), http: 80, udp: 8888 };
    let id = PlugId::of("maxsmart", &format!("swp6{n:012}"));
    Discovered { driver: "maxsmart", id, place, facts: DeviceInfo::default() }
}

#[test]
fn a_firehose_of_invented_plugs_is_bounded() {
    let mut world = strip();
    for n in 0..MAX_PLUGS + 50 {
        let [_, b, c, d] = u32::try_from(n + 500).unwrap().to_be_bytes();
        world.feed(Input::Heard(invented(n + 100, [127, b, c, d].into())));
    }
    assert_eq!(world.hub.view().plugs.len(), MAX_PLUGS);
    assert!(world.view(A).online, "whoever was there first stays");
    assert_eq!(world.hub.memory().plugs.len(), 1, "what was never read is not remembered");
}

#[test]
fn one_address_brings_few_new_plugs_an_hour_and_ghosts_are_forgotten() {
    let mut world = strip();
    for n in 100..200 {
        world.feed(Input::Heard(invented(n, [127, 0, 0, 9].into())));
    }
    assert_eq!(world.hub.view().plugs.len(), 1 + 32);
    // Of those that are in nobody's way any more the last only is spoken to.
    world.secs(60);
    let spoken: BTreeSet<PlugId> = world.reads.iter().map(|(_, id)| id.clone()).collect();
    assert!(spoken.len() <= 3, "{spoken:?}");
    world.probes.clear();
    world.secs(17 * 60);
    assert_eq!(world.hub.view().plugs.len(), 1, "never read, not heard any more");
    assert!(world.view(A).online);
    assert!(world.probes.len() <= 4, "nobody is looked for: {:?}", world.probes);
    world.feed(Input::Heard(invented(300, [127, 0, 0, 9].into())));
    assert_eq!(world.hub.view().plugs.len(), 1, "the hour is not over");
    world.secs(3600);
    world.feed(Input::Heard(invented(300, [127, 0, 0, 9].into())));
    assert_eq!(world.hub.view().plugs.len(), 2);
}

#[test]
fn a_plug_that_answers_the_search_and_nothing_else_is_found_once_and_told_once() {
    for failure in
        [Failure::Timeout, Failure::Unreachable("refused".into()), Failure::InvalidResponse("[]".into())]
    {
        let mut world = World::new(rules());
        world.fake(1).fails = Some(failure.clone());
        for _ in 0..40 {
            world.feed(Input::Heard(found(1, 1, 1)));
            world.secs(30);
        }
        let events = |world: &World, event: fn(PlugId) -> Event| {
            world.notes.iter().filter(|note| **note == Notification::Bridge(event(id(A)))).count()
        };
        assert_eq!(events(&world, Event::DeviceFound), 1, "{:?}", world.notes);
        let why = failure.to_string();
        let told = Notification::Bridge(Event::DeviceOffline(id(A), why.clone()));
        assert_eq!(world.notes.iter().filter(|note| **note == told).count(), 1, "{:?}", world.notes);
        let view = world.view(A);
        assert_eq!((view.online, view.problem.as_deref()), (false, Some(&*why)));
        assert!(world.hub.memory().plugs.is_empty(), "nothing is known of it");
        // The door is opened.
        world.fake(1).fails = None;
        world.secs(31);
        assert!(world.view(A).online);
        assert_eq!(events(&world, Event::DeviceAdopted), 1);
        assert_eq!(events(&world, Event::DeviceFound), 1);
    }
}

#[test]
fn what_is_wrong_with_a_plug_is_short() {
    let mut world = strip();
    world.fake(1).fails = Some(Failure::InvalidResponse("ä".repeat(5000)));
    world.secs(60);
    let problem = world.view(A).problem.clone().expect("something is wrong");
    assert!(problem.starts_with("sent an invalid response (ä") && problem.ends_with("ä..."), "{problem}");
    assert_eq!(problem.chars().count(), 203);
}

#[test]
fn who_asks_for_everything_is_told_so_by_the_next_reading() {
    let mut world = strip();
    let before = world.view(A);
    world.feed(Input::Commanded(HubRequest::Refresh(id(A))));
    world.secs(1);
    let after = world.view(A);
    assert_eq!((after.beat, after.echo), (before.beat + 1, before.echo + 1));
}

#[test]
fn what_to_do_about_a_closed_door_names_the_door() {
    let said = |failure: Failure, place: Endpoint| failure.blocked(place);
    let closed = said(Failure::Unreachable("refused".into()), place(1)).expect("a remedy");
    assert!(closed.starts_with("it answers the search on UDP 8888, so let TCP 80 through"), "{closed}");
    let silent = said(Failure::Timeout, place(1)).expect("a remedy");
    let parts = ["UDP 8888", "unplug", "if it has a web server, let TCP 80 through"];
    assert!(parts.map(|part| silent.find(part)).is_sorted(), "{silent}");
    assert!(said(Failure::Closed, place(1)).is_none(), "it was let through");
    assert!(said(Failure::InvalidResponse("[]".into()), place(1)).is_none(), "it was let through");
    assert!(said(Failure::Timeout, Endpoint { http: 80, udp: 80, ..place(1) }).is_none(), "one door only");
}

#[test]
fn no_more_than_eight_scans_run_at_one_time() {
    let mut world = World::new(rules());
    let scan = |world: &mut World| {
        world.feed(Input::Commanded(HubRequest::Request(
            Request::Scan(Duration::from_secs(5)),
            Asker::default(),
        )))
    };
    for _ in 0..20 {
        scan(&mut world);
    }
    let refused = |world: &World| {
        let said = world
            .notes
            .iter()
            .filter(|note| matches!(note, Notification::Response(Response { result: Err(_), .. })));
        said.count()
    };
    assert_eq!(refused(&world), 12);
    world.secs(6);
    scan(&mut world);
    assert_eq!(refused(&world), 12);
}

#[test]
fn problems_of_the_bridge_come_and_go_by_their_reason() {
    let now = Now { up: Duration::ZERO, unix_ms: 0, utc_offset_s: 0, dst_s: 0, nonce: 0 };
    let mut hub = Hub::new(rules(), PersistedState::default(), &now);
    let mut say = |reason, sentence: Option<&str>| {
        hub.handle(&now, Input::Problem(reason, sentence.map(Into::into)));
        hub.view().bridge.problems.values().cloned().collect::<Vec<_>>()
    };
    assert_eq!(say("zone", Some("no time zone")), ["no time zone"]);
    assert_eq!(say("disk", Some("the disk is full")), ["the disk is full", "no time zone"]);
    assert_eq!(say("zone", None), ["the disk is full"]);
    assert_eq!(say("zone", None), ["the disk is full"]);
    assert_eq!(say("disk", None), Vec::<String>::new());
}

#[test]
fn two_plugs_of_one_name_are_told_apart_until_they_are_named() {
    let mut world = World::new(rules());
    let b = "maxsmart-swp6000000000002";
    for at in [1, 2] {
        world.fake(at);
        let mut strip = found(at, at, at);
        strip.facts.name = Name::clean("STRIP");
        world.feed(Input::Heard(strip));
        world.secs(1);
        if at == 1 {
            assert_eq!(&*world.view(A).name, "STRIP", "alone it is what it calls itself");
        }
    }
    assert_eq!((&*world.view(A).name, &*world.view(b).name), ("STRIP 0001", "STRIP 0002"));
    let rename = |plug: &str, name| Request::DeviceRename { id: id(plug), name };
    assert!(world.request(rename(A, Name::clean("CommandQueue"))).result.is_ok());
    world.secs(10);
    assert_eq!((&*world.view(A).name, &*world.view(b).name), ("CommandQueue", "STRIP"));
    assert!(world.request(rename(A, None)).result.is_ok());
    world.secs(1);
    assert_eq!((&*world.view(A).name, &*world.view(b).name), ("STRIP 0001", "STRIP 0002"));
}
