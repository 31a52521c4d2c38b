//! One plug: who it is, reading, switching.

use super::{Client, Error, Port, perform, title};
use crate::capability::{Guard, Request, open};
use crate::io::line::Line;
use crate::model::{DeviceInfo, Discovered, Failure, PerPort, PlugId, Reading, Switch};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use tokio::sync::Mutex;

/// A plug that has answered. It takes one conversation at a time, as plugs need it: calls wait for each other. Open one
/// `Plug` for a plug, not several, and none for a plug that a bridge serves.
///
/// Nothing is kept open between calls, so there is nothing to close. A call that is dropped halfway is broken off; the
/// plug may have done what it was asked.
///
/// ```no_run
/// # async fn short() -> Result<(), plug2mqtt::Error> {
/// let plug = plug2mqtt::Plug::connect("192.168.1.30").await?;
/// println!("{plug}: {}, {} ports", plug.model(), plug.port_count());
/// plug.port(2)?.turn_on().await?;
/// for port in &plug.read().await?.ports {
///     println!("{:?} W", port.watts);
/// }
/// # Ok(()) }
/// ```
pub struct Plug {
    line: Mutex<Line>,
    found: Discovered,
    title: String,
    ports: u8,
}

impl Plug {
    /// Connects to the plug at an address or with a DNS name: [`Client::connect`] with a new [`Client`].
    ///
    /// # Errors
    ///
    /// As [`Client::connect`].
    pub async fn connect(host: &str) -> Result<Self, Error> {
        Client::new()?.connect(host).await
    }

    /// Connects to the plug with this id, serial number, MAC address or name: [`Client::find`] with a new [`Client`].
    ///
    /// # Errors
    ///
    /// As [`Client::find`].
    pub async fn find(wanted: &str) -> Result<Self, Error> {
        Client::new()?.find(wanted).await
    }

    /// Asks a plug that was found how it is: only then its ports are known.
    pub(super) async fn open(client: &Client, mut found: Discovered) -> Result<Self, Error> {
        let title = title(&found);
        let failed = |failure| Error::failed(title.clone(), HOW_IT_IS, failure);
        let mut line = client.line(&found, client.unit).ok_or_else(|| failed(Failure::Timeout))?;
        let reading = line.read().await.map_err(failed)?;
        // Some tell their firmware only when they are read.
        if let Some(firmware) = reading.facts.and_then(|facts| facts.firmware) {
            found.facts.firmware.get_or_insert(firmware);
        }
        let ports = u8::try_from(reading.ports.len()).unwrap_or(u8::MAX);
        Ok(Self { line: Mutex::new(line), found, title, ports })
    }

    /// Who it is, for ever: its family, `-`, and its serial number or MAC address. `None` for firmware that does not tell.
    pub fn id(&self) -> Option<&PlugId> {
        self.found.id.as_ref()
    }

    /// The name it had when it was connected to; empty when it had none.
    pub fn name(&self) -> &str {
        self.found.facts.name.as_ref().map_or("", crate::model::Name::as_str)
    }

    /// Its model in words, for display.
    pub fn model(&self) -> &str {
        &self.found.facts.model
    }

    /// The family it belongs to, by its name in ids and settings.
    pub fn family(&self) -> &'static str {
        self.found.driver
    }

    /// Where it is.
    pub fn address(&self) -> IpAddr {
        self.found.place.ip
    }

    /// What it said about itself when it was connected to: names, model, serial number, MAC address, firmware.
    pub fn info(&self) -> &DeviceInfo {
        &self.found.facts
    }

    /// How many ports it has.
    pub fn port_count(&self) -> u8 {
        self.ports
    }

    /// One of its ports, 1 to [`port_count`](Self::port_count).
    ///
    /// # Errors
    ///
    /// [`Error::UnknownPort`].
    pub fn port(&self, number: u8) -> Result<Port<'_>, Error> {
        match (1..=self.ports).contains(&number) {
            true => Ok(Port::of(self, number)),
            false => Err(Error::UnknownPort { plug: self.title.clone(), port: number, ports: self.ports }),
        }
    }

    /// All its ports, port 1 first.
    pub fn ports(&self) -> impl Iterator<Item = Port<'_>> {
        (1..=self.ports).map(|number| Port::of(self, number))
    }

    /// Asks how it is: relays, power in watts, current in amperes, voltage in volts, as far as it measures them.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`].
    pub async fn read(&self) -> Result<Reading, Error> {
        self.line.lock().await.read().await.map_err(|failure| self.failed(HOW_IT_IS, failure))
    }

    /// Switches all its ports on; brings back what it said afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`], or [`Error::NotConfirmed`] when it says afterwards that a port is off.
    pub async fn turn_on(&self) -> Result<Reading, Error> {
        let mut line = self.line.lock().await;
        self.switch_all(&mut line, true).await
    }

    /// Switches all its ports off; brings back what it said afterwards.
    ///
    /// # Errors
    ///
    /// As [`turn_on`](Self::turn_on).
    pub async fn turn_off(&self) -> Result<Reading, Error> {
        let mut line = self.line.lock().await;
        self.switch_all(&mut line, false).await
    }

    /// Switches all its ports off when any is on, else all on; brings back what it said afterwards.
    ///
    /// # Errors
    ///
    /// As [`turn_on`](Self::turn_on).
    pub async fn toggle(&self) -> Result<Reading, Error> {
        let mut line = self.line.lock().await;
        let before = line.read().await.map_err(|failure| self.failed(HOW_IT_IS, failure))?;
        let any_on = before.ports.iter().any(|port| port.relay == Some(true));
        self.switch_all(&mut line, !any_on).await
    }

    async fn switch_all(&self, line: &mut Line, on: bool) -> Result<Reading, Error> {
        let all = (1..=self.ports).map(|port| (port, on)).collect();
        let switch = if self.ports > 1 { Switch::All(on) } else { Switch::Ports(all) };
        self.switch(line, switch, 1..=self.ports, on).await
    }

    pub(super) async fn switch_one(&self, port: u8, on: Option<bool>) -> Result<Reading, Error> {
        let mut line = self.line.lock().await;
        let on = match on {
            Some(on) => on,
            None => {
                let before = line.read().await.map_err(|failure| self.failed(HOW_IT_IS, failure))?;
                let unknown = || Error::UnknownState { plug: self.title.clone(), port };
                !relay(&before, port).ok_or_else(unknown)?
            }
        };
        self.switch(&mut line, Switch::Ports(BTreeMap::from([(port, on)])), port..=port, on).await
    }

    async fn switch(
        &self,
        line: &mut Line,
        switch: Switch,
        mut ports: impl Iterator<Item = u8> + Clone,
        on: bool,
    ) -> Result<Reading, Error> {
        let request = if on { "to switch on" } else { "to switch off" };
        let reading = line.switch(switch).await.map_err(|failure| self.failed(request, failure))?;
        let wrong = |port: &u8| relay(&reading, *port) != Some(on);
        match ports.clone().any(|port| wrong(&port)) {
            true => {
                let ports = ports.by_ref().filter(wrong).collect();
                Err(Error::NotConfirmed { plug: self.title.clone(), ports, on })
            }
            false => Ok(reading),
        }
    }

    /// Carries out a request that takes one question or more.
    pub(super) async fn perform<R: Request>(
        &self,
        request: &'static str,
        what: R,
    ) -> Result<R::Answer, Error> {
        let guard = Guard {
            who: self.title.clone(),
            ports: self.ports,
            control: true,
            locks: Vec::new(),
            latched: false,
            followed: Vec::new(),
        };
        let plug = || self.title.clone();
        let talk = open(what, guard).map_err(|why| Error::InvalidRequest { plug: plug(), request, why })?;
        let mut line = self.line.lock().await;
        perform(&mut line, talk).await.map_err(|refused| match (refused.unsupported, refused.failure) {
            (true, Failure::Rejected(why)) => Error::Unsupported { plug: plug(), request, why },
            (_, failure) => self.failed(request, failure),
        })
    }

    /// The plug talks to its driver directly, for questions that are no request.
    pub(super) fn line(&self) -> &Mutex<Line> {
        &self.line
    }

    pub(super) fn failed(&self, request: &'static str, failure: Failure) -> Error {
        Error::failed(self.title.clone(), request, failure)
    }
}

pub(super) const HOW_IT_IS: &str = "how it is";

/// Whether a port is on, if the plug told.
fn relay(reading: &Reading, port: u8) -> Option<bool> {
    reading.ports.port(port)?.relay
}

impl fmt::Debug for Plug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plug").field("found", &self.found).field("ports", &self.ports).finish_non_exhaustive()
    }
}

impl fmt::Display for Plug {
    /// Name, id and address: `Office strip (ID) at 192.168.1.30`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.title)
    }
}
