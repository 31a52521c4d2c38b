//! The course of one search: whom to ask when, which answers are new, and when it is over. Pure, so that the
//! simulation goes the same way as [`probe`](super::probe).
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::drivers::{Driver, Probe};
use crate::model::{Family, Heard, Now, Stray};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// How long answers are waited for after the question was sent for the last time.
const TIMEOUT: Duration = Duration::from_millis(1000);

/// Answers remembered in one search so that doubled ones are dropped: more than there may be plugs.
const MAX_SEEN: usize = 16_384;

/// So many addresses are asked in one go; their answers must find room.
const IN_ONE_GO: usize = 64;

/// How fast is asked.
#[derive(Debug)]
pub struct Pace {
    /// Pauses before everybody is asked, and asked again: loss is normal.
    rounds: &'static [Duration],
    /// The pause after each go.
    breath: Duration,
}

/// An ordinary search: three times within 1.5 s.
pub const QUICK: Pace = Pace {
    rounds: &[Duration::ZERO, Duration::from_millis(700), Duration::from_millis(800)],
    breath: Duration::from_millis(10),
};

/// For addresses of networks, at which mostly nobody lives: twice, 128 addresses a second.
pub const GENTLE: Pace =
    Pace { rounds: &[Duration::ZERO, Duration::from_millis(1500)], breath: Duration::from_millis(500) };

/// A search for the plugs of one family from one socket. Times are counted from its begin.
pub struct Search {
    driver: &'static dyn Driver,
    family: Family,
    probes: Vec<Probe>,
    pace: &'static Pace,
    targets: BTreeSet<Ipv4Addr>,
    /// The web servers' ports of hosts, where the settings name them.
    ports: BTreeMap<IpAddr, u16>,
    /// Addresses still to be asked in this round.
    queue: VecDeque<Ipv4Addr>,
    /// Rounds begun.
    round: usize,
    next: Duration,
    seen: Seen,
    answered: BTreeSet<IpAddr>,
}

impl Search {
    /// Begins a search that asks each of the `targets`.
    pub fn begin(
        driver: &'static dyn Driver,
        family: &Family,
        now: &Now,
        pace: &'static Pace,
        targets: BTreeSet<Ipv4Addr>,
        ports: BTreeMap<IpAddr, u16>,
    ) -> Self {
        Self {
            driver,
            family: family.clone(),
            probes: driver.probes(family, now),
            pace,
            targets,
            ports,
            queue: VecDeque::new(),
            round: 0,
            next: Duration::ZERO,
            seen: Seen::default(),
            answered: BTreeSet::new(),
        }
    }

    /// When to call [`ask`](Self::ask).
    pub fn wake_at(&self) -> Duration {
        self.next
    }

    /// The time has come: which addresses to send each of the [`probes`](Self::probes) now. `None` when the
    /// search is over.
    pub fn ask(&mut self, now: Duration) -> Option<Vec<Ipv4Addr>> {
        if self.queue.is_empty() {
            if self.round == self.pace.rounds.len() {
                return None;
            }
            self.round += 1;
            self.queue.extend(self.targets.iter().copied());
        }
        let go = self.queue.drain(..IN_ONE_GO.min(self.queue.len()));
        let go = go.filter(|ip| !self.answered.contains(&IpAddr::V4(*ip))).collect();
        self.next = now
            + match self.pace.rounds.get(self.round) {
                _ if !self.queue.is_empty() => self.pace.breath,
                Some(pause) => *pause,
                None => TIMEOUT,
            };
        Some(go)
    }

    /// The datagrams of the question.
    pub fn probes(&self) -> &[Probe] {
        &self.probes
    }

    /// It is the first time that anything is sent: what cannot be sent is worth a line.
    pub fn is_first_round(&self) -> bool {
        self.round == 1
    }

    /// Takes a datagram that came back; `None` for one that was heard before.
    pub fn hear(&mut self, from: SocketAddr, datagram: &[u8]) -> Option<Heard> {
        if !self.seen.first(from, datagram) {
            return None;
        }
        let Some(mut found) = self.driver.recognise(&self.family, from, datagram) else {
            let (driver, what) = (self.driver.name(), self.driver.stray(datagram));
            return Some(Heard::Stray(Stray { driver, from, what }));
        };
        if let Some(&port) = self.ports.get(&from.ip()) {
            found.place.http = port;
        }
        self.answered.insert(from.ip());
        Some(Heard::Plug(found))
    }

    /// From where plugs of this family have answered.
    pub fn answered(&self) -> &BTreeSet<IpAddr> {
        &self.answered
    }
}

/// What was heard in one search, by its hash: a flood of long answers must not pile up.
#[derive(Debug, Default)]
struct Seen(BTreeSet<u64>);

impl Seen {
    /// Whether this is heard for the first time and there is room to remember it.
    fn first(&mut self, from: SocketAddr, datagram: &[u8]) -> bool {
        let mut hasher = DefaultHasher::new();
        (from, datagram).hash(&mut hasher);
        self.0.len() < MAX_SEEN && self.0.insert(hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::ALL;

    fn search(pace: &'static Pace, targets: u16) -> Search {
        let driver = *ALL.first().expect("a family");
        let targets = (0..targets).map(|n| Ipv4Addr::from(0xC000_0200 + u32::from(n))).collect();
        let now = Now { up: Duration::ZERO, unix_ms: 1_795_000_000_000, utc_offset_s: 0, dst_s: 0, nonce: 0 };
        Search::begin(driver, &driver.info().usual(), &now, pace, targets, BTreeMap::new())
    }

    #[test]
    fn everybody_is_asked_in_each_round_a_few_at_a_time_until_it_is_over() {
        for (pace, rounds, ends_ms) in [(&QUICK, 3, 2_500), (&GENTLE, 2, 2_500)] {
            let mut search = search(pace, 1);
            let mut asked = 0;
            while let Some(go) = search.ask(search.wake_at()) {
                asked += go.len();
            }
            assert_eq!((asked, search.wake_at()), (rounds, Duration::from_millis(ends_ms)));
        }
        let mut many = search(&GENTLE, 130);
        let mut goes = Vec::new();
        while let Some(go) = many.ask(many.wake_at()) {
            goes.push((many.wake_at().as_millis(), go.len()));
        }
        assert_eq!(
            goes,
            [(500, 64), (1000, 64), (2500, 2), (3000, 64), (3500, 64), (4500, 2)],
            "each with the time of the next"
        );
    }

    #[test]
    fn who_has_answered_is_not_asked_again_and_named_ports_hold() {
        let mut search = search(&QUICK, 2);
        let ip = Ipv4Addr::new(192, 0, 2, 1);
        search.ports.insert(IpAddr::V4(ip), 8080);
        assert_eq!(search.ask(Duration::ZERO).map(|go| go.len()), Some(2));
        let answer = br#"{"response":90,"data":{"sn":"SWP6000000000001","regid":"0000","ver":"1.30","sak":"","name":"Strip"}}"#;
        let from = SocketAddr::from((ip, 8888));
        let Some(Heard::Plug(found)) = search.hear(from, answer) else { panic!("not recognised") };
        assert_eq!(found.place.http, 8080);
        assert!(search.hear(from, answer).is_none(), "doubled");
        assert!(matches!(search.hear(from, b"hello"), Some(Heard::Stray(_))));
        assert_eq!(search.ask(search.wake_at()), Some(vec![Ipv4Addr::new(192, 0, 2, 0)]));
        assert_eq!(*search.answered(), BTreeSet::from([IpAddr::V4(ip)]));
    }

    #[test]
    fn doubled_answers_are_dropped_and_a_flood_ends() {
        let mut seen = Seen::default();
        let from = |n: u16| SocketAddr::from(([127, 0, 0, 1], n));
        assert!(seen.first(from(1), b"a") && seen.first(from(2), b"a") && seen.first(from(1), b"b"));
        assert!(!seen.first(from(1), b"a"));
        let taken = (0..20_000_u32).filter(|n| seen.first(from(3), &n.to_be_bytes())).count();
        assert_eq!((taken + 3, seen.0.len()), (MAX_SEEN, MAX_SEEN));
    }
}
