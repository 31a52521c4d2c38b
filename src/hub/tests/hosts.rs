//! Hosts named in the settings that keep silent, and networks that change.

use super::*;

const AT: &str = "maxsmart";

/// A search for these has ended, and nobody has answered.
fn unheard(world: &mut World, hosts: &[u8]) {
    world.feed(Input::Unheard(hosts.iter().map(|n| (AT, place(*n))).collect()));
}

#[test]
fn a_host_that_keeps_silent_is_asked_again_soon_and_then_ever_more_rarely() {
    let mut world = World::new(rules());
    unheard(&mut world, &[7, 8]);
    let began = world.up;
    world.secs(300);
    let pauses: Vec<u64> = std::iter::once(&began)
        .chain(world.again.iter().map(|(at, _)| at))
        .zip(&world.again)
        .map(|(before, (at, _))| (*at - *before).as_secs())
        .collect();
    assert_eq!(pauses, [5, 10, 20, 40, 60, 60, 60]);
    assert!(world.again.iter().all(|(_, hosts)| *hosts == [(AT, place(7)), (AT, place(8))]));
    // One comes, and is asked like any other from then on.
    world.fake(7);
    world.feed(Input::Heard(found(1, 1, 7)));
    world.secs(120);
    assert!(world.view(A).online);
    assert_eq!(world.again.last().map(|(_, hosts)| hosts.as_slice()), Some([(AT, place(8))].as_slice()));
    world.fake(8).relays = vec![true];
    world.feed(Input::Heard(found(2, 2, 8)));
    world.secs(60);
    let asked = world.again.len();
    world.secs(600);
    assert_eq!(world.again.len(), asked, "nobody is silent");
}

#[test]
fn hosts_whose_plugs_are_known_are_not_asked_who_they_are() {
    let mut world = strip();
    unheard(&mut world, &[1]);
    world.secs(120);
    assert_eq!(world.again, []);
}

#[test]
fn names_that_lead_nowhere_are_looked_up_again() {
    let mut world = World::new(rules());
    world.feed(Input::Unheard(vec![(AT, Endpoint::UNKNOWN)]));
    assert_eq!(world.coming.len(), 0, "nobody can be asked");
    world.secs(6);
    assert_eq!(world.again.len(), 1);
    assert_eq!(world.again[0].1, [(AT, Endpoint::UNKNOWN)]);
    world.secs(600);
    assert_eq!(world.again.len(), 1, "it leads somewhere now");
}

#[test]
fn thousands_of_silent_hosts_are_asked_a_few_at_a_time_and_each_in_turn() {
    let mut world = World::new(rules());
    let host = |n: u16| Endpoint { ip: [127, 1, n.to_be_bytes()[0], n.to_be_bytes()[1]].into(), ..place(1) };
    let all: Vec<_> = (0..8192).map(|n| (AT, host(n))).collect();
    world.feed(Input::Unheard(all.clone()));
    assert_eq!(world.coming.len(), 64);
    // The searches go on meanwhile, and bring the same ones.
    world.secs(20);
    world.feed(Input::Unheard(all));
    let mut asked = BTreeSet::new();
    for _ in 0..600 {
        world.secs(5);
        assert!(world.coming.len() <= 64);
        asked.extend(world.coming.iter().map(|(_, outcome)| outcome.who.clone()));
    }
    assert_eq!(asked.len(), 8192, "each of them");
}

#[test]
fn a_network_that_comes_is_searched_at_once() {
    let mut world = World::new(rules());
    unheard(&mut world, &[7]);
    world.secs(100);
    world.probes.clear();
    world.again.clear();
    world.feed(Input::Network);
    world.run(Duration::from_millis(1));
    assert_eq!((world.probes.len(), world.again.len()), (1, 1));
    // Whoever was missing is asked at once, too.
    let mut world = strip();
    world.fake(1).fails = Some(Failure::Unreachable("no route".into()));
    world.secs(200);
    assert!(!world.view(A).online);
    world.fake(1).fails = None;
    world.feed(Input::Network);
    world.run(Duration::from_millis(100));
    assert!(world.view(A).online);
}
