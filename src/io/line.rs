//! A line to one plug, for programs that talk to it themselves instead of running the bridge: the
//! command line and the examples.

use super::clock::{Clock, Zone};
use super::exchange::talk;
use super::http::Http;
use super::probe::DriverConfig;
use crate::drivers::Dialect;
use crate::model::{
    DeviceRequest, DeviceResponse, DialectOptions, Discovered, Endpoint, FIRST_CONTACT, Failure,
    LATER_CONTACT, Now, PowerUnit, Query, QueryReply, Reading, Switch, UNKNOWN,
};
use std::time::Duration;
use tracing::debug;

/// One plug and what is needed to talk to it. It holds one conversation at a time, as plugs need it;
/// open one line to a plug, not several. Power is read as the plug writes it, and its clock is left
/// alone.
pub struct Line {
    http: Http,
    clock: Clock,
    dialect: Box<dyn Dialect>,
    place: Endpoint,
    /// How long one answer may take.
    timeout: Duration,
    /// It has answered what it was asked last.
    met: bool,
    /// A conversation has begun and not ended: whoever waited for it has given up.
    broken_off: bool,
}

impl Line {
    /// A line to a plug that was found; nothing is sent yet.
    pub fn open(http: &Http, config: &DriverConfig, plug: &Discovered) -> Self {
        Self::tuned(http, config, plug, PowerUnit::Auto)
    }

    /// The same for a plug whose figures for power are to be read in a certain way.
    pub fn tuned(http: &Http, config: &DriverConfig, plug: &Discovered, power_unit: PowerUnit) -> Self {
        let timeout = config.family.timeout;
        let options = DialectOptions { timeout, power_unit, set_clock: false };
        let dialect = config.driver.attach(&config.family, plug, &options);
        Self {
            http: http.clone(),
            clock: Clock::start(),
            dialect,
            place: plug.place,
            timeout,
            met: false,
            broken_off: false,
        }
    }

    /// The same line with the times of day of another zone.
    pub fn in_zone(self, zone: Zone) -> Self {
        Self { clock: Clock::start_in(zone), ..self }
    }

    /// The present, by the clock of this line.
    pub fn now(&mut self) -> Now {
        self.clock.now()
    }

    /// The time zone is known in which this clock shows times of day.
    pub fn knows_zone(&self) -> bool {
        self.clock.knows_zone()
    }

    /// The same line with something around its dialect.
    #[cfg(feature = "bridge")]
    pub(super) fn around(mut self, wrap: impl FnOnce(Box<dyn Dialect>) -> Box<dyn Dialect>) -> Self {
        self.dialect = wrap(self.dialect);
        self
    }

    /// Holds one conversation, in which each answer may take as long as the family allows. The first one, and one
    /// after a failure, may take longer in all: it may have to be found out how the plug is spoken to.
    ///
    /// # Errors
    ///
    /// See [`Failure`].
    pub async fn ask(&mut self, ask: &DeviceRequest) -> Result<DeviceResponse, Failure> {
        let dialect = self.dialect.as_mut();
        if std::mem::replace(&mut self.broken_off, true) {
            dialect.reset_session();
        }
        let limit = self.timeout * if self.met { LATER_CONTACT } else { FIRST_CONTACT };
        let (answer, requests) = talk(&self.http, &mut self.clock, dialect, self.place, ask, limit).await;
        let what = match ask {
            DeviceRequest::Identify => "who it is",
            DeviceRequest::Read => "how it is",
            DeviceRequest::Switch(_) => "to switch",
            DeviceRequest::Capability(_) => "about a capability",
        };
        match &answer {
            Ok(_) => debug!(at = %self.place, requests, "asked {what}: answered"),
            Err(failure) => debug!(at = %self.place, requests, "asked {what}: it {failure}"),
        }
        self.broken_off = false;
        self.met = answer.is_ok();
        if !self.met {
            self.dialect.reset_session();
        }
        answer
    }

    /// Asks the plug how it is.
    ///
    /// # Errors
    ///
    /// See [`Failure`].
    pub async fn read(&mut self) -> Result<Reading, Failure> {
        reading(self.ask(&DeviceRequest::Read).await?)
    }

    /// Asks the plug who it is.
    ///
    /// # Errors
    ///
    /// See [`Failure`].
    pub async fn identify(&mut self) -> Result<Discovered, Failure> {
        let DeviceResponse::Identity(found) = self.ask(&DeviceRequest::Identify).await? else {
            return Err(Failure::InvalidResponse("no identity".into()));
        };
        Ok(found)
    }

    /// Asks about a capability.
    ///
    /// # Errors
    ///
    /// See [`Failure`]; [`Failure::Rejected`] with the reason when the plug cannot or will not.
    pub async fn capability(&mut self, query: Query) -> Result<QueryReply, Failure> {
        match self.ask(&DeviceRequest::Capability(query)).await? {
            DeviceResponse::Capability(reply) => Ok(reply),
            DeviceResponse::Refused(why) => Err(Failure::Rejected(why)),
            DeviceResponse::Unsupported => Err(Failure::Rejected(UNKNOWN.into())),
            DeviceResponse::Reading(_) | DeviceResponse::Identity(_) => {
                Err(Failure::InvalidResponse("an answer to something else".into()))
            }
        }
    }

    /// Switches, and brings back what the plug says afterwards: whether it obeyed is in there.
    ///
    /// # Errors
    ///
    /// See [`Failure`].
    pub async fn switch(&mut self, switch: Switch) -> Result<Reading, Failure> {
        reading(self.ask(&DeviceRequest::Switch(switch)).await?)
    }
}

fn reading(answer: DeviceResponse) -> Result<Reading, Failure> {
    let DeviceResponse::Reading(reading) = answer else {
        return Err(Failure::InvalidResponse("no reading".into()));
    };
    Ok(reading)
}
