//! One port of a plug.

use super::plug::HOW_IT_IS;
use super::{Error, Plug};
use crate::model::{
    Countdown, CountdownRequest, Failure, History, Name, PerPort, PortReading, Reading, Span,
};
use std::fmt;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// One port of a [`Plug`]: a socket with a relay, and a meter where the model has one.
#[derive(Debug, Clone, Copy)]
pub struct Port<'a> {
    plug: &'a Plug,
    number: u8,
}

impl<'a> Port<'a> {
    pub(super) fn of(plug: &'a Plug, number: u8) -> Self {
        Self { plug, number }
    }

    /// Its number, 1 to [`Plug::port_count`].
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The plug it belongs to.
    pub fn plug(&self) -> &'a Plug {
        self.plug
    }

    /// The name the plug had for it when it was connected to; empty when it had none.
    pub fn name(&self) -> &'a str {
        self.plug.info().port_names.port(self.number).and_then(Option::as_ref).map_or("", Name::as_str)
    }

    /// Asks how it is. The plug tells all its ports at once: [`Plug::read`] is cheaper for several.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`].
    pub async fn read(&self) -> Result<PortReading, Error> {
        self.own(&self.plug.read().await?)
    }

    /// Switches it on; brings back how it was afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::Failed`], or [`Error::NotConfirmed`] when the plug says afterwards that it is off.
    pub async fn turn_on(&self) -> Result<PortReading, Error> {
        self.own(&self.plug.switch_one(self.number, Some(true)).await?)
    }

    /// Switches it off; brings back how it was afterwards.
    ///
    /// # Errors
    ///
    /// As [`turn_on`](Self::turn_on).
    pub async fn turn_off(&self) -> Result<PortReading, Error> {
        self.own(&self.plug.switch_one(self.number, Some(false)).await?)
    }

    /// Switches it the other way; brings back how it was afterwards.
    ///
    /// # Errors
    ///
    /// As [`turn_on`](Self::turn_on), and [`Error::UnknownState`].
    pub async fn toggle(&self) -> Result<PortReading, Error> {
        self.own(&self.plug.switch_one(self.number, None).await?)
    }

    fn own(&self, reading: &Reading) -> Result<PortReading, Error> {
        let mute = || Failure::InvalidResponse(format!("without port {}", self.number));
        reading.ports.port(self.number).copied().ok_or_else(|| self.plug.failed(HOW_IT_IS, mute()))
    }

    /// The countdown that runs in the plug and will switch this port off.
    ///
    /// # Errors
    ///
    /// [`Error::Unsupported`], [`Error::Failed`].
    pub async fn countdown(&self) -> Result<Option<Countdown>, Error> {
        self.ask_countdown("for its countdown", None).await
    }

    /// Lets the plug switch this port off after some time, in whole minutes, 1 minute to 24 hours. The port must be on
    /// for that to mean anything; it is not switched now. Brings back the countdown that runs.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] for another time, and as [`countdown`](Self::countdown).
    pub async fn set_countdown(&self, after: Duration) -> Result<Option<Countdown>, Error> {
        const REQUEST: &str = "for a countdown";
        let minutes = u32::try_from(after.as_secs() / 60).ok();
        let whole = |minutes: &u32| *minutes > 0 && MINUTE.checked_mul(*minutes) == Some(after);
        let minutes = minutes.filter(whole).ok_or_else(|| Error::InvalidRequest {
            plug: self.plug.to_string(),
            request: REQUEST,
            why: format!("{after:?} is no whole number of minutes"),
        })?;
        self.ask_countdown(REQUEST, Some(minutes)).await
    }

    /// Stops the countdown.
    ///
    /// # Errors
    ///
    /// As [`countdown`](Self::countdown).
    pub async fn cancel_countdown(&self) -> Result<(), Error> {
        self.ask_countdown("to cancel its countdown", Some(0)).await.map(drop)
    }

    async fn ask_countdown(
        &self,
        request: &'static str,
        minutes: Option<u32>,
    ) -> Result<Option<Countdown>, Error> {
        let countdown = CountdownRequest { port: Some(self.number), minutes };
        let all = self.plug.perform(request, countdown).await?;
        Ok(all.into_iter().find_map(|(_, countdown)| countdown))
    }

    /// The energy that the plug has recorded for this port; see [`Plug::history`].
    ///
    /// # Errors
    ///
    /// As [`Plug::history`].
    pub async fn history(&self, span: Span) -> Result<History, Error> {
        self.plug.record(span, Some(self.number)).await
    }

    /// Gives it a name, kept by the plug; see [`Plug::rename`].
    ///
    /// # Errors
    ///
    /// As [`Plug::rename`].
    pub async fn rename(&self, name: &str) -> Result<bool, Error> {
        self.plug.rename_port(self.number, name).await
    }
}

impl fmt::Display for Port<'_> {
    /// `port 2 (Fan)`, or `port 2` without a name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}", self.number)?;
        match self.name() {
            "" => Ok(()),
            name => write!(f, " ({name})"),
        }
    }
}
