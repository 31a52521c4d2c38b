//! What some plugs can do beyond reading and switching. One that cannot is an [`Error::Unsupported`]; each change is
//! read back, and one that did not happen is an [`Error::Rejected`].

use super::{Error, Plug, ScheduleRule};
use crate::model::{
    CapabilityState, Clock, Failure, Hardware, LeaderGroup, LeaderWish, Name, PlugRequest, Presence,
    PresenceSimulationWish, Price, Record, RuleContent, RuleWish, Span, Timer,
};

impl Plug {
    /// Its clock, and how far that is off.
    ///
    /// # Errors
    ///
    /// Here and below: [`Error::Unsupported`], [`Error::Rejected`], [`Error::Failed`].
    pub async fn clock(&self) -> Result<Clock, Error> {
        let clock = self.ask_clock("for its clock", false).await?;
        clock.ok_or_else(|| self.mixed_up("for its clock"))
    }

    /// Sets its clock to local time; brings it back, `None` where it cannot be read.
    ///
    /// # Errors
    ///
    /// As [`clock`](Self::clock).
    pub async fn set_clock(&self) -> Result<Option<Clock>, Error> {
        self.ask_clock("to set its clock", true).await
    }

    async fn ask_clock(&self, request: &'static str, set: bool) -> Result<Option<Clock>, Error> {
        let CapabilityState::Clock(clock) = self.perform(request, PlugRequest::Clock { set }).await? else {
            return Err(self.mixed_up(request));
        };
        Ok(clock)
    }

    pub(super) async fn countdowns(
        &self,
        request: &'static str,
        errand: PlugRequest,
    ) -> Result<Vec<(u8, Option<Timer>)>, Error> {
        let CapabilityState::Countdowns(all) = self.perform(request, errand).await? else {
            return Err(self.mixed_up(request));
        };
        Ok(all)
    }

    /// The rules by which it switches by itself, at times of its own clock.
    ///
    /// # Errors
    ///
    /// As [`clock`](Self::clock).
    pub async fn schedule(&self) -> Result<Vec<ScheduleRule>, Error> {
        self.ask_schedule("for its schedule", None).await
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
    pub async fn add_rule(&self, rule: RuleContent) -> Result<Vec<ScheduleRule>, Error> {
        self.ask_schedule("to add a rule", Some(RuleWish::Add(rule))).await
    }

    /// Changes the rule with this number; what is not given stays. Brings back all rules.
    ///
    /// # Errors
    ///
    /// [`Error::Rejected`] when it has no such rule, and as [`clock`](Self::clock).
    pub async fn change_rule(&self, id: i64, change: RuleContent) -> Result<Vec<ScheduleRule>, Error> {
        self.ask_schedule("to change a rule", Some(RuleWish::Change(id, change))).await
    }

    /// Deletes the rule with this number; brings back those that are left.
    ///
    /// # Errors
    ///
    /// As [`change_rule`](Self::change_rule).
    pub async fn delete_rule(&self, id: i64) -> Result<Vec<ScheduleRule>, Error> {
        self.ask_schedule("to delete a rule", Some(RuleWish::Delete(id))).await
    }

    async fn ask_schedule(
        &self,
        request: &'static str,
        wish: Option<RuleWish>,
    ) -> Result<Vec<ScheduleRule>, Error> {
        let CapabilityState::Schedule(rules, _) = self.perform(request, PlugRequest::Schedule(wish)).await?
        else {
            return Err(self.mixed_up(request));
        };
        Ok(rules.into_iter().map(ScheduleRule::of).collect())
    }

    /// The energy it has recorded: the last 24 hours, 30 or 31 days, or 12 months. Figures are read as watt-hours and
    /// the newest as that of the plug's date, as on most firmware; plugs tell no unit.
    ///
    /// # Errors
    ///
    /// As [`clock`](Self::clock).
    pub async fn history(&self, span: Span) -> Result<Record, Error> {
        self.record(span, None).await
    }

    pub(super) async fn record(&self, span: Span, port: Option<u8>) -> Result<Record, Error> {
        const REQUEST: &str = "for its history";
        let CapabilityState::Record(record) =
            self.perform(REQUEST, PlugRequest::History { span, port, meaning: None }).await?
        else {
            return Err(self.mixed_up(REQUEST));
        };
        Ok(record)
    }

    /// What a kilowatt-hour costs, as somebody told it.
    ///
    /// # Errors
    ///
    /// As [`clock`](Self::clock).
    pub async fn price(&self) -> Result<Option<Price>, Error> {
        self.ask_price("for its price", None).await
    }

    /// Tells it what a kilowatt-hour costs; it only keeps that. Brings back what it tells afterwards.
    ///
    /// # Errors
    ///
    /// As [`clock`](Self::clock).
    pub async fn set_price(&self, price: Price) -> Result<Option<Price>, Error> {
        self.ask_price("to keep a price", Some(price)).await
    }

    async fn ask_price(&self, request: &'static str, price: Option<Price>) -> Result<Option<Price>, Error> {
        let CapabilityState::Price(price) = self.perform(request, PlugRequest::Price(price)).await? else {
            return Err(self.mixed_up(request));
        };
        Ok(price)
    }

    /// Which port leads which: followers go on and off with the power that the leader draws.
    ///
    /// # Errors
    ///
    /// As [`clock`](Self::clock).
    pub async fn leader(&self) -> Result<LeaderGroup, Error> {
        self.ask_leader("for its leader", None).await
    }

    /// Sets which port leads which; what is not given stays. Brings back what it tells afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] for ports it does not have, and as [`clock`](Self::clock).
    pub async fn set_leader(&self, change: LeaderWish) -> Result<LeaderGroup, Error> {
        self.ask_leader("to let a port lead", Some(change)).await
    }

    async fn ask_leader(
        &self,
        request: &'static str,
        wish: Option<LeaderWish>,
    ) -> Result<LeaderGroup, Error> {
        let CapabilityState::Leader(group) = self.perform(request, PlugRequest::Leader(wish)).await? else {
            return Err(self.mixed_up(request));
        };
        Ok(group)
    }

    /// When it switches at random, so that a house looks lived in.
    ///
    /// # Errors
    ///
    /// As [`clock`](Self::clock).
    pub async fn presence_simulation(&self) -> Result<Presence, Error> {
        self.ask_presence("for its presence simulation", None).await
    }

    /// Sets when it switches at random; what is not given stays. Brings back what it tells afterwards.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidRequest`] for ports it does not have, and as [`clock`](Self::clock).
    pub async fn set_presence_simulation(&self, change: PresenceSimulationWish) -> Result<Presence, Error> {
        self.ask_presence("for a presence simulation", Some(change)).await
    }

    async fn ask_presence(
        &self,
        request: &'static str,
        wish: Option<PresenceSimulationWish>,
    ) -> Result<Presence, Error> {
        let CapabilityState::PresenceSimulation(presence) =
            self.perform(request, PlugRequest::PresenceSimulation(wish)).await?
        else {
            return Err(self.mixed_up(request));
        };
        Ok(presence)
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
        let CapabilityState::Renamed { kept_here, .. } =
            self.perform(REQUEST, PlugRequest::Rename { port, name }).await?
        else {
            return Err(self.mixed_up(REQUEST));
        };
        Ok(kept_here.is_none())
    }

    /// The numbers its hardware carries.
    ///
    /// # Errors
    ///
    /// As [`clock`](Self::clock).
    pub async fn hardware(&self) -> Result<Hardware, Error> {
        let told = self.line().lock().await.hardware().await;
        told.map_err(|failure| self.failed("for the numbers of its hardware", failure))
    }

    /// Sends a command of its own protocol by number, with a JSON object of arguments: for those who know it. Those that
    /// reset or re-home a plug are not sent. Brings back JSON, credentials masked.
    ///
    /// # Errors
    ///
    /// As [`clock`](Self::clock).
    pub async fn call(&self, command: u16, arguments: Option<String>) -> Result<String, Error> {
        const REQUEST: &str = "a raw command";
        let CapabilityState::Raw(reply) =
            self.perform(REQUEST, PlugRequest::Call { command, arguments }).await?
        else {
            return Err(self.mixed_up(REQUEST));
        };
        Ok(reply)
    }

    fn mixed_up(&self, request: &'static str) -> Error {
        self.failed(request, Failure::InvalidResponse("an answer to something else".into()))
    }
}
