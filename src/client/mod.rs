//! The library: finds plugs and talks to them, without bridge and broker. It owns what a program needs
//! beyond one conversation: where to look, which family answers, who is meant, and sentences about what went
//! wrong. What a plug is asked, and what its answers mean, is left to `io::line`, the capabilities and the drivers.

mod capability;
mod error;
mod plug;
mod port;

pub use error::Error;
pub use plug::Plug;
pub use port::Port;

use crate::capability::{Conversation, hear};
use crate::drivers;
use crate::io::clock::Zone;
use crate::io::http::Http;
use crate::io::line::Line;
use crate::io::probe::{DiscoveryScope, DriverConfig, search, search_all};
use crate::model::{
    DeviceInfo, DeviceRequest, DeviceResponse, Discovered, Endpoint, Failure, Mac, PlugId, PowerUnit,
};
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

/// Between two searches of one discovery.
const BETWEEN_SEARCHES: Duration = Duration::from_millis(500);

/// Answers that may wait to be looked at.
const MAX_WAITING: usize = 1024;

/// How plugs are found and talked to. Clones share their connections.
///
/// [`discover`], [`Plug::connect`] and [`Plug::find`] use one as it is from the start: every family at its usual
/// ports, searched for by the broadcast address of every interface.
///
/// ```no_run
/// # async fn short() -> Result<(), plug2mqtt::Error> {
/// use std::time::Duration;
///
/// let client = plug2mqtt::Client::new()?
///     .broadcast(["192.168.7.255".parse().unwrap()])
///     .timeout(Duration::from_secs(2));
/// for plug in client.discover(Duration::from_secs(3)).await {
///     println!("{plug}");
/// }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client {
    http: Http,
    configs: Arc<[DriverConfig]>,
    zone: Zone,
    unit: PowerUnit,
}

/// Finds the plugs of this network: [`Client::discover`] with a new [`Client`].
///
/// # Errors
///
/// [`Error::System`] when no client can be made.
pub async fn discover(within: Duration) -> Result<Vec<DiscoveredPlug>, Error> {
    Ok(Client::new()?.discover(within).await)
}

impl Client {
    /// Every family, at its usual ports.
    ///
    /// # Errors
    ///
    /// [`Error::System`] when the system lets no HTTP client be made.
    pub fn new() -> Result<Self, Error> {
        let usual = |driver: &&'static dyn drivers::Driver| DriverConfig {
            driver: *driver,
            family: driver.info().usual(),
            reach: DiscoveryScope { everywhere: true, ..DiscoveryScope::default() },
        };
        Self::of(drivers::ALL.iter().map(usual).collect(), Zone::default()).map_err(Error::System)
    }

    /// These families, with the times of day of a zone.
    pub(crate) fn of(configs: Vec<DriverConfig>, zone: Zone) -> Result<Self, String> {
        Ok(Self { http: Http::new()?, configs: configs.into(), zone, unit: PowerUnit::Auto })
    }

    /// The longest one answer of a plug may take, 5 s from the start. A conversation takes twice as long at most;
    /// the first one and one after a failure four times, because how a plug is spoken to is found out in it.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        self.change(|config| config.family.timeout = timeout)
    }

    /// Searches by these addresses, be they broadcast addresses or those of plugs, and no more by those of the
    /// interfaces: for other networks, and for machines with interfaces that should be left alone.
    #[must_use]
    pub fn broadcast(self, addresses: impl IntoIterator<Item = Ipv4Addr>) -> Self {
        let addresses: Vec<_> = addresses.into_iter().collect();
        self.change(|config| {
            config.reach = DiscoveryScope { broadcast: addresses.clone(), ..DiscoveryScope::default() };
        })
    }

    /// The UDP port of the plugs of one family, by its name in the settings: for forwarded ports and simulated plugs.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownFamily`].
    pub fn udp_port(self, family: &str, port: u16) -> Result<Self, Error> {
        self.change_one(family, |config| {
            // One without a web server goes by its one port.
            if !config.has_web() {
                config.family.http_port = port;
            }
            config.family.udp_port = port;
        })
    }

    /// The port of the web server of the plugs of one family. Families without one ignore it.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownFamily`].
    pub fn http_port(self, family: &str, port: u16) -> Result<Self, Error> {
        self.change_one(family, |config| {
            if config.has_web() {
                config.family.http_port = port;
            }
        })
    }

    /// How figures for power are read, where the type of each figure does not tell.
    #[must_use]
    pub fn power_unit(self, unit: PowerUnit) -> Self {
        Self { unit, ..self }
    }

    /// The time zone (`Europe/Berlin`) to which the clocks of plugs are set and by which dates are read; that of
    /// this machine from the start.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownTimeZone`].
    pub fn time_zone(self, name: &str) -> Result<Self, Error> {
        let zone = Zone::named(name).ok_or_else(|| Error::UnknownTimeZone { name: name.into() })?;
        Ok(Self { zone, ..self })
    }

    fn change(mut self, change: impl Fn(&mut DriverConfig)) -> Self {
        let mut all = self.configs.to_vec();
        all.iter_mut().for_each(change);
        self.configs = all.into();
        self
    }

    fn change_one(self, family: &str, change: impl Fn(&mut DriverConfig)) -> Result<Self, Error> {
        if !self.configs.iter().any(|config| config.driver.name() == family) {
            return Err(Error::UnknownFamily { family: family.into(), known: self.families() });
        }
        Ok(self.change(|config| {
            if config.driver.name() == family {
                change(config);
            }
        }))
    }

    fn families(&self) -> Vec<&'static str> {
        self.configs.iter().map(|config| config.driver.name()).collect()
    }

    /// Searches for plugs of every family, again and again until the time is over, and brings back all that
    /// answered, in the order of their addresses. Three seconds are enough on most networks; plugs behind a router
    /// hear no broadcast and are found by [`connect`](Self::connect).
    pub async fn discover(&self, within: Duration) -> Vec<DiscoveredPlug> {
        let until = Instant::now() + within;
        let (heard, mut answers) = mpsc::channel(MAX_WAITING);
        let mut searches = JoinSet::new();
        for config in self.configs.iter() {
            let (config, heard) = (config.clone(), heard.clone());
            searches.spawn(async move {
                loop {
                    search(&config, &[], &heard).await;
                    // Where there is no network, a search is over at once.
                    sleep(BETWEEN_SEARCHES).await;
                }
            });
        }
        let mut all = BTreeMap::new();
        // They do not end by themselves.
        while let Ok(Some(heard)) = timeout_at(until, answers.recv()).await {
            let Some(found) = heard.plug() else { continue };
            all.entry(found.place).or_insert(DiscoveredPlug { client: self.clone(), found });
        }
        all.into_values().collect()
    }

    /// Connects to the plug at an address (`192.168.1.30`) or with a DNS name, whatever its family: all ask at once.
    /// A port behind it (`192.168.1.30:8080`) is that of its web server, or its UDP port if it has no web server.
    ///
    /// Where nobody is, this takes four times the [`timeout`](Self::timeout).
    ///
    /// # Errors
    ///
    /// [`Error::UnknownHost`], [`Error::NoPlug`], or [`Error::Failed`] when it says who it is and not how it is.
    pub async fn connect(&self, host: &str) -> Result<Plug, Error> {
        let (ip, port) = lookup(host).await?;
        let found = self.identify(ip, port).await;
        let found = found.map_err(|failure| {
            let failure = failure.unwrap_or(Failure::Timeout);
            Error::NoPlug { host: host.into(), families: self.families(), failure }
        })?;
        Plug::open(self, found).await
    }

    /// Connects to the plug with this id, serial number, MAC address or name, wherever on this network it is: it is
    /// searched for, about 2.5 s.
    ///
    /// # Errors
    ///
    /// [`Error::NotFound`], [`Error::Ambiguous`], or [`Error::Failed`] when it answers the search and nothing else.
    pub async fn find(&self, wanted: &str) -> Result<Plug, Error> {
        let all = self.search_all(&[]).await;
        let (mut meant, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|found| is_meant(found, wanted));
        match (meant.pop(), meant.is_empty()) {
            (Some(found), true) => self.open(found).await,
            (Some(last), false) => {
                let candidates = meant.iter().chain([&last]).map(title).collect();
                Err(Error::Ambiguous { wanted: wanted.into(), candidates })
            }
            (None, _) => {
                Err(Error::NotFound { wanted: wanted.into(), found: others.iter().map(title).collect() })
            }
        }
    }

    /// Connects to a plug that was found; one that has not told who it is, is asked.
    async fn open(&self, found: Discovered) -> Result<Plug, Error> {
        if found.id.is_some() {
            return Plug::open(self, found).await;
        }
        let told = match self.line(&found, self.unit) {
            Some(mut line) => line.identify().await,
            None => Err(Failure::Timeout),
        };
        let told = told.map_err(|failure| Error::failed(title(&found), "who it is", failure))?;
        Plug::open(self, Discovered { place: found.place, ..told }).await
    }

    /// Asks whoever is at an address who it is: all families at once, the first answer counts. `None` when there is
    /// no family to ask.
    pub(crate) async fn identify(
        &self,
        ip: IpAddr,
        port: Option<u16>,
    ) -> Result<Discovered, Option<Failure>> {
        let mut asked = JoinSet::new();
        for config in self.configs.iter().cloned() {
            let http = self.http.clone();
            asked.spawn(async move {
                let place = config.place(ip, port);
                let facts = DeviceInfo::default();
                let stranger = Discovered { driver: config.driver.name(), id: None, place, facts };
                let identity = Line::open(&http, &config, &stranger).identify().await;
                identity.map(|found| Discovered { place, ..found })
            });
        }
        let mut why = None;
        while let Some(identity) = asked.join_next().await {
            match identity {
                Ok(Ok(found)) => return Ok(found),
                // Who was refused says so first; the others have only waited in vain.
                Ok(Err(failure)) => why = why.or(Some(failure)),
                Err(error) => return Err(Some(Failure::Unreachable(error.to_string()))),
            }
        }
        Err(why)
    }

    /// One search by all families at once, also where plugs were last that are missing.
    pub(crate) async fn search_all(&self, missing: &[Endpoint]) -> Vec<Discovered> {
        let (heard, mut answers) = mpsc::channel(MAX_WAITING);
        let mut searches = JoinSet::new();
        for config in self.configs.iter() {
            let (config, missing, heard) = (config.clone(), missing.to_vec(), heard.clone());
            searches.spawn(async move { search_all(&config, &missing, &heard).await });
        }
        drop(heard);
        let mut all = BTreeMap::new();
        while let Some(heard) = answers.recv().await {
            let Some(found) = heard.plug() else { continue };
            all.insert(found.place, found);
        }
        all.into_values().collect()
    }

    /// A line to a plug that was found; `None` when its family is none of these.
    pub(crate) fn line(&self, found: &Discovered, unit: PowerUnit) -> Option<Line> {
        let config = self.configs.iter().find(|config| config.driver.name() == found.driver)?;
        Some(Line::tuned(&self.http, config, found, unit).in_zone(self.zone.clone()))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("families", &self.families()).finish_non_exhaustive()
    }
}

/// A plug that answered a search.
#[derive(Clone)]
pub struct DiscoveredPlug {
    client: Client,
    found: Discovered,
}

impl DiscoveredPlug {
    /// Who it is; `None` for the few that answer a search without their serial number and are asked by
    /// [`connect`](Self::connect).
    pub fn id(&self) -> Option<&PlugId> {
        self.found.id.as_ref()
    }

    /// The family it belongs to, by its name in ids and settings.
    pub fn family(&self) -> &'static str {
        self.found.driver
    }

    /// Where it is.
    pub fn address(&self) -> IpAddr {
        self.found.place.ip
    }

    /// What it says about itself: names, model, serial number, MAC address, firmware.
    pub fn info(&self) -> &DeviceInfo {
        &self.found.facts
    }

    /// Connects to it.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`] when it does not answer as it should.
    pub async fn connect(&self) -> Result<Plug, Error> {
        self.client.open(self.found.clone()).await
    }
}

impl fmt::Debug for DiscoveredPlug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DiscoveredPlug").field(&self.found).finish()
    }
}

impl fmt::Display for DiscoveredPlug {
    /// Name, id and address: `Office strip (ID) at 192.168.1.30`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&title(&self.found))
    }
}

/// A request that came to nothing.
pub(crate) struct Refused {
    /// Why.
    pub failure: Failure,
    /// The plug does not know what it was asked.
    pub unsupported: bool,
}

/// Holds the conversation that a request to one plug takes.
pub(crate) async fn perform<C: Conversation>(line: &mut Line, mut talk: C) -> Result<C::Answer, Refused> {
    loop {
        let response = line.ask(&DeviceRequest::Capability(talk.query())).await;
        let unsupported = matches!(response, Ok(DeviceResponse::Unsupported));
        let now = line.now();
        let heard = response.and_then(|response| hear(&mut talk, response, &now));
        if let Some(answer) = heard.map_err(|failure| Refused { failure, unsupported })? {
            return Ok(answer);
        }
    }
}

/// An address, with a port if it is not the usual one.
pub(crate) fn address(host: &str) -> Option<(IpAddr, Option<u16>)> {
    let bare = host.parse::<IpAddr>().ok().map(|ip| (ip, None));
    bare.or_else(|| host.parse::<SocketAddr>().ok().map(|at| (at.ip(), Some(at.port()))))
}

/// The IPv4 address that a DNS name leads to, with the port behind it.
pub(crate) async fn resolve(host: &str) -> Result<(IpAddr, Option<u16>), String> {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) => (name, Some(port.parse().map_err(|_| format!("{port:?} is no port"))?)),
        None => (host, None),
    };
    let mut all = tokio::net::lookup_host((name, 0)).await.map_err(|error| error.to_string())?;
    all.find(SocketAddr::is_ipv4).map(|at| (at.ip(), port)).ok_or_else(|| "it has no IPv4 address".into())
}

async fn lookup(host: &str) -> Result<(IpAddr, Option<u16>), Error> {
    match address(host) {
        Some(known) => Ok(known),
        None => resolve(host).await.map_err(|why| Error::UnknownHost { host: host.into(), why }),
    }
}

/// What a plug is called in sentences.
fn title(found: &Discovered) -> String {
    let name = found.facts.name.as_ref().map(ToString::to_string);
    let id = found.id.as_ref().map(ToString::to_string);
    let who = match (name, id) {
        (Some(name), Some(id)) => format!("{name} ({id})"),
        (Some(who), None) | (None, Some(who)) => who,
        (None, None) => format!("a {} plug", found.driver),
    };
    format!("{who} at {}", found.place)
}

/// Whether a plug has this id, serial number, MAC address or name, in any case.
fn is_meant(found: &Discovered, wanted: &str) -> bool {
    let same = |own: Option<&str>| own.is_some_and(|own| own.to_lowercase() == wanted.to_lowercase());
    let mac = Mac::parse(wanted);
    same(found.id.as_ref().map(PlugId::as_str))
        || same(found.facts.serial.as_deref())
        || same(found.facts.name.as_ref().map(crate::model::Name::as_str))
        || (mac.is_some() && mac == found.facts.mac)
}
