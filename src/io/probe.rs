//! One search: the question goes out by every interface's broadcast address, to the addresses
//! and hosts the settings name and to where missing plugs were last; three times, because loss is
//! normal. Answers are recognised and handed on as they come.

use super::clock::Clock;
use super::search::{GENTLE, Pace, QUICK, Search};
use super::udp::{MAX_DATAGRAM, Wire};
use crate::drivers::{Driver, Probe};
use crate::model::{Discovered, Endpoint, Failure, Family, Heard};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tracing::{debug, trace, warn};

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
    /// Its ports and timeout.
    pub family: Family,
    /// Where to look.
    pub reach: DiscoveryScope,
}

impl DriverConfig {
    /// Its plugs have a web server beside the port for datagrams.
    pub fn has_web(&self) -> bool {
        self.driver.info().http_port.is_some()
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
pub async fn search(config: &DriverConfig, missing: &[Endpoint], heard: &mpsc::Sender<Heard>) -> Unanswered {
    let mut targets: Vec<(Ipv4Addr, BTreeSet<Ipv4Addr>)> = Vec::new();
    if config.reach.everywhere {
        targets.extend(interfaces().into_iter().map(|(own, all)| (own, BTreeSet::from([all]))));
    }
    let (hosts, unresolved) = resolve(&config.reach.hosts, &config.family).await;
    let mut direct: BTreeSet<Ipv4Addr> = config.reach.broadcast.iter().copied().collect();
    direct.extend(hosts.iter().chain(missing).filter_map(v4));
    if !direct.is_empty() {
        targets.push((Ipv4Addr::UNSPECIFIED, direct));
    }
    let ports: BTreeMap<IpAddr, u16> = hosts.iter().map(|place| (place.ip, place.http)).collect();
    let mut asked = tokio::task::JoinSet::new();
    for (own, to) in targets {
        let search = begin(config, &QUICK, to, ports.clone());
        let heard = heard.clone();
        asked.spawn(async move { carry_out(own, search, &heard).await });
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
pub async fn sweep(config: &DriverConfig, heard: &mpsc::Sender<Heard>) {
    let all: BTreeSet<Ipv4Addr> = config.reach.scan.iter().copied().collect();
    if all.is_empty() {
        return;
    }
    carry_out(Ipv4Addr::UNSPECIFIED, begin(config, &GENTLE, all, BTreeMap::new()), heard).await;
}

fn begin(
    config: &DriverConfig,
    pace: &'static Pace,
    to: BTreeSet<Ipv4Addr>,
    ports: BTreeMap<IpAddr, u16>,
) -> Search {
    Search::begin(config.driver, &config.family, &Clock::start().now(), pace, to, ports)
}

/// [`search`] and [`sweep`] at one time, for those who search once.
pub async fn search_all(
    config: &DriverConfig,
    missing: &[Endpoint],
    heard: &mpsc::Sender<Heard>,
) -> Unanswered {
    tokio::join!(search(config, missing, heard), sweep(config, heard)).0
}

fn v4(place: &Endpoint) -> Option<Ipv4Addr> {
    match place.ip {
        IpAddr::V4(ip) => Some(ip),
        IpAddr::V6(_) => None,
    }
}

/// Carries a search out from one local address; brings back who answered.
async fn carry_out(own: Ipv4Addr, mut search: Search, heard: &mpsc::Sender<Heard>) -> BTreeSet<IpAddr> {
    let socket = match UdpSocket::bind((own, 0)).await.and_then(|s| s.set_broadcast(true).map(|()| s)) {
        Ok(socket) => socket,
        Err(error) => {
            warn!(%own, "discovery from this address failed: {error}");
            return BTreeSet::new();
        }
    };
    let began = Instant::now();
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        match timeout_at(began + search.wake_at(), socket.recv_from(&mut buffer)).await {
            Ok(Ok((length, from))) => {
                // Not the bytes: an answer to discovery carries cloud credentials (sak, regid).
                trace!(%from, length, "heard");
                let who = search.hear(from, buffer.get(..length).unwrap_or_default());
                if let Some(who) = who
                    && heard.send(who).await.is_err()
                {
                    break;
                }
            }
            // Errors on an open socket are answers from the network about earlier datagrams.
            Ok(Err(error)) => debug!(%own, "while searching: {error}"),
            Err(_) => {
                let Some(go) = search.ask(began.elapsed()) else { break };
                for ip in go {
                    for probe in search.probes() {
                        send(&socket, probe, ip, search.is_first_round()).await;
                    }
                }
            }
        }
    }
    search.answered().clone()
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
/// [`Failure::Timeout`] after `timeout`, or what the network says.
pub async fn greet(
    config: &DriverConfig,
    place: Endpoint,
    timeout: Duration,
) -> Result<(Discovered, Duration), Failure> {
    let probes = config.driver.probes(&config.family, &Clock::start().now());
    let bytes = probes.into_iter().next().map(|probe| probe.bytes).unwrap_or_default();
    exchange(place, &bytes, timeout, |reply| config.driver.recognise(&config.family, place.datagram(), reply))
        .await
        .map(|(found, took)| (Discovered { place, ..found }, took))
}

/// Sends a datagram to one place, three times at most, until something comes back that can be
/// `read`; brings that back and how long it took after the last time it was sent.
///
/// # Errors
///
/// [`Failure::Timeout`] after `timeout`, or what the network says.
pub async fn exchange<T>(
    place: Endpoint,
    bytes: &[u8],
    timeout: Duration,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<(T, Duration), Failure> {
    let wire = Wire::to(place).await?;
    let mut buffer = vec![0; MAX_DATAGRAM];
    for _ in 0..3 {
        wire.send(bytes).await?;
        let sent = Instant::now();
        while let Ok(length) = timeout_at(sent + timeout / 3, wire.receive(&mut buffer)).await {
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
