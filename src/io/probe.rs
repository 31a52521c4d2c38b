//! One search: the question goes out by every interface's broadcast address, to the addresses
//! and hosts the settings name and to where missing plugs were last; three times, because loss is
//! normal. Answers are recognised and handed on as they come.

use super::clock::Clock;
use super::udp::{MAX_DATAGRAM, Wire};
use crate::drivers::{Driver, Probe};
use crate::model::{Endpoint, Failure, Family, Found, Heard, Stray};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, trace, warn};

/// How long answers are waited for after the question was sent for the last time.
pub const PATIENCE: Duration = Duration::from_millis(1000);

/// Answers remembered in one search so that doubled ones are dropped: more than there may be plugs.
const MAX_SEEN: usize = 16_384;

/// So many addresses are asked in one go; their answers must find room.
const IN_ONE_GO: usize = 64;

/// Names looked up at one time.
const MAX_LOOKUPS: usize = 32;

/// Where one family is looked for.
#[derive(Debug, Clone, Default)]
pub struct DiscoveryScope {
    /// By every IPv4 interface's broadcast address.
    pub everywhere: bool,
    /// And by these.
    pub broadcast: Vec<Ipv4Addr>,
    /// And directly: host, and its web server's port if it is not the usual one.
    pub hosts: Vec<(String, Option<u16>)>,
    /// And, by [`sweep`] alone, every one of these.
    pub scan: Vec<Ipv4Addr>,
}

/// One family to be searched for.
#[derive(Clone)]
pub struct DriverConfig {
    /// Its driver.
    pub driver: &'static dyn Driver,
    /// Its ports and patience.
    pub family: Family,
    /// Where to look.
    pub reach: DiscoveryScope,
}

impl DriverConfig {
    /// Its plugs have a web server beside the port for datagrams.
    pub fn has_web(&self) -> bool {
        self.driver.usual().http_port != self.driver.usual().udp_port
    }

    /// Where a plug of this family listens at an address; `port` is that of its web server or, without one, its
    /// only one, if it is not the usual one.
    pub fn place(&self, ip: IpAddr, port: Option<u16>) -> Endpoint {
        let http = port.unwrap_or(self.family.http_port);
        let udp = if self.has_web() { self.family.udp_port } else { port.unwrap_or(self.family.udp_port) };
        Endpoint { ip, http, udp }
    }
}

/// Hosts from the settings that did not answer a search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unanswered {
    /// Where they should be.
    pub silent: Vec<Endpoint>,
    /// Those whose names lead nowhere, and why.
    pub unresolved: Vec<(String, String)>,
}

/// Searches once, for about 2.5 s. Everybody who answers goes to `heard`; brings back the hosts
/// from the settings that did not answer.
pub async fn search(quarry: &DriverConfig, missing: &[Endpoint], heard: &mpsc::Sender<Heard>) -> Unanswered {
    let probes = quarry.driver.probes(&quarry.family, &Clock::start().now());
    let mut targets: Vec<(Ipv4Addr, BTreeSet<Ipv4Addr>)> = Vec::new();
    if quarry.reach.everywhere {
        targets.extend(interfaces().into_iter().map(|(own, all)| (own, BTreeSet::from([all]))));
    }
    let (hosts, unresolved) = resolve(&quarry.reach.hosts, &quarry.family).await;
    let mut direct: BTreeSet<Ipv4Addr> = quarry.reach.broadcast.iter().copied().collect();
    direct.extend(hosts.iter().chain(missing).filter_map(v4));
    if !direct.is_empty() {
        targets.push((Ipv4Addr::UNSPECIFIED, direct));
    }
    let ports: BTreeMap<IpAddr, u16> = hosts.iter().map(|place| (place.ip, place.http)).collect();
    let mut asked = tokio::task::JoinSet::new();
    for (own, to) in targets {
        let question =
            Question { driver: quarry.driver, family: quarry.family.clone(), probes: probes.clone() };
        let (ports, heard) = (ports.clone(), heard.clone());
        asked.spawn(async move { ask(own, &to, &question, &QUICK, &ports, &heard).await });
    }
    let mut answered = BTreeSet::new();
    while let Some(result) = asked.join_next().await {
        answered.extend(result.unwrap_or_default());
    }
    let silent = hosts.into_iter().filter(|place| !answered.contains(&place.ip)).collect();
    Unanswered { silent, unresolved }
}

/// Asks every address of the networks that the settings want scanned, twice and gently: 128 a second. Whoever
/// answers goes to `heard`; that others do not is no news.
pub async fn sweep(quarry: &DriverConfig, heard: &mpsc::Sender<Heard>) {
    let all: BTreeSet<Ipv4Addr> = quarry.reach.scan.iter().copied().collect();
    if all.is_empty() {
        return;
    }
    let probes = quarry.driver.probes(&quarry.family, &Clock::start().now());
    let question = Question { driver: quarry.driver, family: quarry.family.clone(), probes };
    ask(Ipv4Addr::UNSPECIFIED, &all, &question, &GENTLE, &BTreeMap::new(), heard).await;
}

/// [`search`] and [`sweep`] at one time, for those who search once.
pub async fn search_all(
    quarry: &DriverConfig,
    missing: &[Endpoint],
    heard: &mpsc::Sender<Heard>,
) -> Unanswered {
    tokio::join!(search(quarry, missing, heard), sweep(quarry, heard)).0
}

fn v4(place: &Endpoint) -> Option<Ipv4Addr> {
    match place.ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

/// What is asked, and who understands the answer.
struct Question {
    driver: &'static dyn Driver,
    family: Family,
    probes: Vec<Probe>,
}

/// How fast is asked.
struct Rhythm {
    /// Pauses before everybody is asked, and asked again.
    pauses: &'static [Duration],
    /// The pause after each go.
    breath: Duration,
}

/// Pauses before everybody is asked in an ordinary search.
pub const PAUSES: [Duration; 3] = [Duration::ZERO, Duration::from_millis(700), Duration::from_millis(800)];
const QUICK: Rhythm = Rhythm { pauses: &PAUSES, breath: Duration::from_millis(10) };

/// For addresses of networks, at which mostly nobody lives.
const GENTLE: Rhythm =
    Rhythm { pauses: &[Duration::ZERO, Duration::from_millis(1500)], breath: Duration::from_millis(500) };

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

/// Asks from one local address; brings back who answered.
async fn ask(
    own: Ipv4Addr,
    to: &BTreeSet<Ipv4Addr>,
    question: &Question,
    rhythm: &Rhythm,
    ports: &BTreeMap<IpAddr, u16>,
    heard: &mpsc::Sender<Heard>,
) -> BTreeSet<IpAddr> {
    let mut answered = BTreeSet::new();
    let socket = match UdpSocket::bind((own, 0)).await.and_then(|s| s.set_broadcast(true).map(|()| s)) {
        Ok(socket) => socket,
        Err(error) => {
            warn!(%own, "discovery from this address failed: {error}");
            return answered;
        }
    };
    let (mut next, mut round, mut queue) = (Instant::now(), 0, VecDeque::new());
    let mut seen = Seen::default();
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        match timeout_at(next, socket.recv_from(&mut buffer)).await {
            Ok(Ok((length, from))) => {
                let datagram = buffer.get(..length).unwrap_or_default();
                // Not the bytes: an answer to discovery carries cloud credentials (sak, regid).
                trace!(%from, length, "heard");
                if !seen.first(from, datagram) {
                    continue;
                }
                let who = match question.driver.recognise(&question.family, from, datagram) {
                    Some(mut found) => {
                        if let Some(&port) = ports.get(&from.ip()) {
                            found.place.http = port;
                        }
                        answered.insert(from.ip());
                        Heard::Plug(found)
                    }
                    None => {
                        let (driver, what) = (question.driver.name(), question.driver.stray(datagram));
                        Heard::Stray(Stray { driver, from, what })
                    }
                };
                if heard.send(who).await.is_err() {
                    return answered;
                }
            }
            // Errors on an open socket are answers from the network about earlier datagrams.
            Ok(Err(error)) => debug!(%own, "while searching: {error}"),
            Err(_) => {
                if queue.is_empty() {
                    if round == rhythm.pauses.len() {
                        return answered;
                    }
                    round += 1;
                    queue.extend(to.iter().copied());
                }
                for _ in 0..IN_ONE_GO {
                    let Some(ip) = queue.pop_front() else { break };
                    if answered.contains(&IpAddr::V4(ip)) {
                        continue;
                    }
                    for probe in &question.probes {
                        send(&socket, probe, ip, round == 1).await;
                    }
                }
                next = Instant::now()
                    + match rhythm.pauses.get(round) {
                        _ if !queue.is_empty() => rhythm.breath,
                        Some(pause) => *pause,
                        None => PATIENCE,
                    };
            }
        }
    }
}

async fn send(socket: &UdpSocket, probe: &Probe, to: Ipv4Addr, first: bool) {
    let to = SocketAddr::from((to, probe.port));
    if let Err(error) = socket.send_to(&probe.bytes, to).await
        && first
    {
        debug!(%to, "cannot send the search: {error}");
    }
}

/// Asks one place the search's question, until it answers; brings back who it is and how long the
/// answer took after it was asked last.
///
/// # Errors
///
/// [`Failure::Timeout`] after `patience`, or what the network says.
pub async fn greet(
    quarry: &DriverConfig,
    place: Endpoint,
    patience: Duration,
) -> Result<(Found, Duration), Failure> {
    let probes = quarry.driver.probes(&quarry.family, &Clock::start().now());
    let bytes = probes.into_iter().next().map(|probe| probe.bytes).unwrap_or_default();
    exchange(place, &bytes, patience, |reply| {
        quarry.driver.recognise(&quarry.family, place.datagram(), reply)
    })
    .await
    .map(|(found, took)| (Found { place, ..found }, took))
}

/// Sends a datagram to one place, three times at most, until something comes back that can be
/// `read`; brings that back and how long it took after the last time it was sent.
///
/// # Errors
///
/// [`Failure::Timeout`] after `patience`, or what the network says.
pub async fn exchange<T>(
    place: Endpoint,
    bytes: &[u8],
    patience: Duration,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<(T, Duration), Failure> {
    let wire = Wire::to(place).await?;
    let mut buffer = vec![0; MAX_DATAGRAM];
    for _ in 0..3 {
        wire.send(bytes).await?;
        let sent = Instant::now();
        while let Ok(length) = timeout_at(sent + patience / 3, wire.receive(&mut buffer)).await {
            if let Some(told) = read(buffer.get(..length?).unwrap_or_default()) {
                return Ok((told, sent.elapsed()));
            }
        }
    }
    Err(Failure::Timeout)
}

/// Own address and broadcast address of every IPv4 interface but loopback.
pub fn interfaces() -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let list = if_addrs::get_if_addrs().unwrap_or_else(|error| {
        warn!(
            "cannot list the network interfaces: {error}; name broadcast addresses or hosts in the settings"
        );
        Vec::new()
    });
    let pairs =
        list.into_iter().filter(|interface| !interface.is_loopback()).filter_map(|interface| match interface
            .addr
        {
            if_addrs::IfAddr::V4(v4) => Some((v4.ip, v4.broadcast?)),
            if_addrs::IfAddr::V6(_) => None,
        });
    pairs.collect()
}

/// Where the hosts are, and the names that lead nowhere.
async fn resolve(hosts: &[(String, Option<u16>)], family: &Family) -> (Vec<Endpoint>, Vec<(String, String)>) {
    let (mut places, mut unresolved) = (Vec::new(), Vec::new());
    let mut lookups = tokio::task::JoinSet::new();
    let mut take = |looked: (String, u16, io::Result<Option<IpAddr>>)| match looked {
        (_, http, Ok(Some(ip))) => places.push(Endpoint { ip, http, udp: family.udp_port }),
        (host, _, Ok(None)) => unresolved.push((host, "has no IPv4 address".into())),
        (host, _, Err(error)) => unresolved.push((host, format!("its name cannot be resolved: {error}"))),
    };
    for (host, port) in hosts {
        let http = port.unwrap_or(family.http_port);
        if let Ok(ip) = host.parse::<IpAddr>() {
            take((host.clone(), http, Ok(ip.is_ipv4().then_some(ip))));
            continue;
        }
        if lookups.len() >= MAX_LOOKUPS
            && let Some(Ok(looked)) = lookups.join_next().await
        {
            take(looked);
        }
        let host = host.clone();
        lookups.spawn(async move {
            let all = tokio::net::lookup_host((host.as_str(), http)).await;
            let ip = all.map(|mut all| all.find(SocketAddr::is_ipv4).map(|addr| addr.ip()));
            (host, http, ip)
        });
    }
    while let Some(looked) = lookups.join_next().await {
        looked.into_iter().for_each(&mut take);
    }
    (places, unresolved)
}

#[cfg(test)]
mod tests {
    use super::*;

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
