//! What some plugs can do beyond reading and switching. One that cannot is an [`Error::Unsupported`]; each change is
//! read back, and one that did not happen is an [`Error::Rejected`].

use super::{Error, Plug};
use crate::capability::may_set;
use crate::model::{
    Call, Clock, ClockRequest, Failure, Hardware, History, HistoryRequest, LeaderChange, LeaderGroup, Name,
    Now, PresenceSimulation, PresenceSimulationChange, Price, PriceRequest, Query, QueryReply, Rename,
    RuleChange, ScheduleRequest, ScheduleRule, Span,
};

impl Plug {
    /// Its clock, and how far that is off.
    ///
    /// # Errors
    ///
    /// Here and below: [`Error::Unsupported`], [`Error::Rejected`], [`Error::Failed`].
    pub async fn clock(&self) -> Result<Clock, Error> {
        const REQUEST: &str = "for its clock";
        let clock = self.perform(REQUEST, ClockRequest { set: false }).await?;
        clock.ok_or_else(|| self.mixed_up(REQUEST))
    }

    /// Sets its clock to local time; brings it back, `None` where it cannot be read.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] while the clock of this machine shows a time before this version was made, or no
    /// time zone is known, neither of this machine nor by [`Client::time_zone`](crate::Client::time_zone), which may
    /// well be `UTC`; and as [`clock`](Self::clock).
    pub async fn set_clock(&self) -> Result<Option<Clock>, Error> {
        const REQUEST: &str = "to set its clock";
        let (now, zone_known) = {
            let mut line = self.line().lock().await;
            (line.now(), line.knows_zone())
        };
        may_set(&now, Now::RELEASED_MS, zone_known).map_err(|why| Error::InvalidRequest {
            plug: self.to_string(),
            request: REQUEST,
            why,
        })?;
        self.perform(REQUEST, ClockRequest { set: true }).await
    }

    /// The rules by which it switches by itself, at times of its own clock.
    ///
    /// # Errors
    ///
    /// As [`clock`](Self::clock).
    pub async fn schedule(&self) -> Result<Vec<ScheduleRule>, Error> {
        self.ask_schedule("for its schedule", ScheduleRequest::default()).await
    }

    /// Adds a rule, which needs ports, a time, and days or a date; brings back all rules.
    ///
    /// ```no_run
    /// # async fn short(plug: plug2mqtt::Plug) -> Result<(), plug2mqtt::Error> {
    /// use plug2mqtt::{Days, RuleChange};
    ///
    /// let rule = RuleChange { off: vec![1], at: Some(22 * 60 + 30), days: Some(Days::ALL), ..RuleChange::default() };
    /// let all = plug.add_rule(rule).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] when something is missing, and as [`clock`](Self::clock).
    pub async fn add_rule(&self, rule: RuleChange) -> Result<Vec<ScheduleRule>, Error> {
        self.ask_schedule("to add a rule", ScheduleRequest::add(rule)).await
    }

    /// Changes the rule with this number; what is not given stays. Brings back all rules.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] when it has no such rule, and as [`clock`](Self::clock).
    pub async fn change_rule(&self, id: i64, change: RuleChange) -> Result<Vec<ScheduleRule>, Error> {
        let change = ScheduleRequest::change(RuleChange { id: Some(id), ..change });
        self.ask_schedule("to change a rule", change).await
    }

    /// Deletes the rule with this number; brings back those that are left.
    ///
    /// # Errors
    ///
    /// As [`change_rule`](Self::change_rule).
    pub async fn delete_rule(&self, id: i64) -> Result<Vec<ScheduleRule>, Error> {
        self.ask_schedule("to delete a rule", ScheduleRequest::delete(id)).await
    }

    async fn ask_schedule(
        &self,
        request: &'static str,
        schedule: ScheduleRequest,
    ) -> Result<Vec<ScheduleRule>, Error> {
        Ok(self.perform(request, schedule).await?.readable())
    }

    /// The energy it has recorded: the last 24 hours, 30 or 31 days, or 12 months. Figures are read as watt-hours and
    /// the newest as that of the plug's date, as on most firmware; plugs tell no unit.
    ///
    /// # Errors
    ///
    /// As [`clock`](Self::clock).
    pub async fn history(&self, span: Span) -> Result<History, Error> {
        self.record(span, None).await
    }

    pub(super) async fn record(&self, span: Span, port: Option<u8>) -> Result<History, Error> {
        let request = HistoryRequest { span: Some(span), port, meaning: None };
        self.perform("for its history", request).await
    }

    /// What a kilowatt-hour costs, as somebody told it.
    ///
    /// # Errors
    ///
    /// As [`clock`](Self::clock).
    pub async fn price(&self) -> Result<Option<Price>, Error> {
        self.perform("for its price", PriceRequest::default()).await
    }

    /// Tells it what a kilowatt-hour costs; it only keeps that. Brings back what it tells afterwards.
    ///
    /// # Errors
    ///
    /// As [`clock`](Self::clock).
    pub async fn set_price(&self, price: Price) -> Result<Option<Price>, Error> {
        self.perform("to keep a price", PriceRequest::from(price)).await
    }

    /// Which port leads which: followers go on and off with the power that the leader draws.
    ///
    /// # Errors
    ///
    /// As [`clock`](Self::clock).
    pub async fn leader(&self) -> Result<LeaderGroup, Error> {
        self.perform("for its leader", LeaderChange::default()).await
    }

    /// Sets which port leads which; what is not given stays. Brings back what it tells afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] for ports it does not have, and as [`clock`](Self::clock).
    pub async fn set_leader(&self, change: LeaderChange) -> Result<LeaderGroup, Error> {
        self.perform("to let a port lead", change).await
    }

    /// When it switches at random, so that a house looks lived in.
    ///
    /// # Errors
    ///
    /// As [`clock`](Self::clock).
    pub async fn presence_simulation(&self) -> Result<PresenceSimulation, Error> {
        self.perform("for its presence simulation", PresenceSimulationChange::default()).await
    }

    /// Sets when it switches at random; what is not given stays. Brings back what it tells afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] for ports it does not have, and as [`clock`](Self::clock).
    pub async fn set_presence_simulation(
        &self,
        change: PresenceSimulationChange,
    ) -> Result<PresenceSimulation, Error> {
        self.perform("for a presence simulation", change).await
    }

    /// Gives it a name, kept by the plug: 1 to 64 characters, without control characters. Brings back whether it tells
    /// the name since; some firmware takes a name and does not tell it. [`name`](Self::name) stays as it was.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] for an empty name, and as [`clock`](Self::clock).
    pub async fn rename(&self, name: &str) -> Result<bool, Error> {
        self.rename_port(0, name).await
    }

    pub(super) async fn rename_port(&self, port: u8, name: &str) -> Result<bool, Error> {
        const REQUEST: &str = "to take a name";
        let name = Name::clean(name).ok_or_else(|| Error::InvalidRequest {
            plug: self.to_string(),
            request: REQUEST,
            why: "a name needs at least one visible character".into(),
        })?;
        Ok(self.perform(REQUEST, Rename { port, name }).await?.kept_here.is_none())
    }

    /// The numbers its hardware carries.
    ///
    /// # Errors
    ///
    /// As [`clock`](Self::clock).
    pub async fn hardware(&self) -> Result<Hardware, Error> {
        const REQUEST: &str = "for the numbers of its hardware";
        match self.line().lock().await.capability(Query::Hardware).await {
            Ok(QueryReply::Hardware(hardware)) => Ok(hardware),
            Ok(_) => Err(self.mixed_up(REQUEST)),
            Err(failure) => Err(self.failed(REQUEST, failure)),
        }
    }

    /// Sends a command of its own protocol by number, with a JSON object of arguments: for those who know it. Those that
    /// reset or re-home a plug are not sent. Brings back JSON, credentials masked.
    ///
    /// # Errors
    ///
    /// As [`clock`](Self::clock).
    pub async fn call(&self, command: u16, arguments: Option<String>) -> Result<String, Error> {
        self.perform("a raw command", Call { command, arguments }).await
    }

    fn mixed_up(&self, request: &'static str) -> Error {
        self.failed(request, Failure::InvalidResponse("an answer to something else".into()))
    }
}
