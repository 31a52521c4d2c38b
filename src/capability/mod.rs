//! Capabilities: what some plugs can do beyond being read and switched. Each has one file with all that is
//! said about it: its value, the request and its keys, the conversation that takes, what locks forbid, the
//! answer as JSON and for people, what of it is shown all the time and how often it is asked for. What it
//! looks like on the wire stays in the drivers. Pure; [`CAPABILITIES`] is the list of them.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

#[cfg(feature = "bridge")]
pub mod cli;
mod conversation;
mod device;
mod entity;
mod guard;
mod read;
mod requests;

mod call;
mod clock;
mod countdown;
mod hardware;
mod history;
mod leader;
mod names;
mod presence_simulation;
mod price;
mod schedule;

pub use call::Call;
pub use clock::{Clock, ClockQuery, ClockRequest, drift, local, may_set, warning};
pub use conversation::{Conversation, Request, open};
pub use countdown::{Countdown, CountdownQuery, CountdownRequest, ShownCountdown};
pub use device::{DeviceRequest, DeviceResponse, Switch, UNKNOWN, hear};
pub use entity::{Form, Setting, Shown, Value};
pub use guard::Guard;
pub use hardware::Hardware;
pub use history::{History, HistoryRequest, HistoryRow, Meaning, RawHistory, Span};
pub use leader::{LeaderChange, LeaderGroup, Role};
pub use names::{Rename, Renamed};
pub use presence_simulation::{PresenceSimulation, PresenceSimulationChange};
pub use price::{Currency, Price, PriceRequest};
pub use requests::{RequestVisitor, Task};
pub use schedule::{RawRule, RuleChange, Schedule, ScheduleEdit, ScheduleRequest, ScheduleRule, against};

use crate::core::{Failure, Name, Now};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// A capability, as far as it is more than its types.
#[derive(Debug)]
pub struct Capability {
    /// What it is called.
    pub name: &'static str,
    /// The requests over MQTT that are about it.
    pub requests: &'static [&'static str],
    /// Its command on the command line.
    pub command: Option<&'static str>,
    /// What a recording of it shows of the plug's owner.
    pub personal: Option<&'static str>,
    /// What of it is shown all the time.
    pub shown: &'static [Shown],
    /// All questions that change nothing, for a plug with so many ports.
    pub reads: fn(ports: u8) -> Vec<Query>,
    /// How they are asked without a request; `None` for one that is not.
    pub slow_poll: Option<SlowPoll>,
}

/// All capabilities.
pub static CAPABILITIES: [&Capability; 10] = [
    &names::CAPABILITY,
    &clock::CAPABILITY,
    &countdown::CAPABILITY,
    &schedule::CAPABILITY,
    &history::CAPABILITY,
    &price::CAPABILITY,
    &leader::CAPABILITY,
    &presence_simulation::CAPABILITY,
    &hardware::CAPABILITY,
    &call::CAPABILITY,
];

requests::requests! {
    /// A name that the plug keeps itself.
    Names(Rename),
    /// Its clock.
    Clock(ClockRequest),
    /// The countdowns that switch ports off.
    Countdown(CountdownRequest),
    /// Its rules.
    Schedule(ScheduleRequest),
    /// What it has recorded.
    History(HistoryRequest),
    /// What a kilowatt-hour costs.
    Price(PriceRequest),
    /// Which port leads which.
    Leader(LeaderChange),
    /// When it switches at random.
    PresenceSimulation(PresenceSimulationChange),
    /// Any command of its protocol.
    Call(Call),
}

/// Shows a visitor all requests, except the names of plugs and ports: those are kept by the bridge, too,
/// and their requests are its own.
pub fn each_request(visitor: &mut impl RequestVisitor) {
    visitor.visit::<ClockRequest>();
    visitor.visit::<CountdownRequest>();
    visitor.visit::<ScheduleRequest>();
    visitor.visit::<HistoryRequest>();
    visitor.visit::<PriceRequest>();
    visitor.visit::<LeaderChange>();
    visitor.visit::<PresenceSimulationChange>();
    visitor.visit::<Call>();
}

/// The commands for capabilities, in the order in which help lists them.
#[cfg(feature = "bridge")]
#[derive(Debug, clap::Subcommand)]
pub enum CapabilityCommand {
    /// Shows the plug's clock, or sets it.
    Clock(clock::Command),
    /// Shows the countdowns that switch ports off, or starts one.
    Countdown(countdown::Command),
    /// Shows the schedule by which the plug switches on its own, or changes it.
    Schedule(schedule::Command),
    /// Shows what the plug has recorded.
    History(history::Command),
    /// Shows what the plug was told a kilowatt-hour costs, or tells it.
    Price(price::Command),
    /// Shows which port leads others by the power it draws, or sets it.
    Leader(leader::Command),
    /// Shows the presence simulation (random switching), or sets it.
    PresenceSimulation(presence_simulation::Command),
}

#[cfg(feature = "bridge")]
impl CapabilityCommand {
    /// Has the command carried out.
    pub async fn run<R: cli::Runner>(&self, runner: R) -> R::Output {
        match self {
            Self::Clock(face) => runner.run(face).await,
            Self::Countdown(face) => runner.run(face).await,
            Self::Schedule(face) => runner.run(face).await,
            Self::History(face) => runner.run(face).await,
            Self::Price(face) => runner.run(face).await,
            Self::Leader(face) => runner.run(face).await,
            Self::PresenceSimulation(face) => runner.run(face).await,
        }
    }
}

/// How a capability is asked for now and then.
#[derive(Debug, Clone, Copy)]
pub struct SlowPoll {
    /// How long an answer lasts.
    pub every: Duration,
    /// One answer is enough.
    pub once: bool,
    /// Only while a port is locked.
    pub while_locked: bool,
}

impl SlowPoll {
    /// For what changes by itself.
    const OFTEN: Self = Self { every: Duration::from_secs(30 * 60), once: false, while_locked: false };

    /// For what hardly ever changes.
    const RARELY: Self = Self { every: Duration::from_secs(3 * 3600), ..Self::OFTEN };
}

/// Reads what is, or writes what shall be and reads that back.
#[derive(Debug, Clone, PartialEq)]
pub enum Access<T> {
    /// What is it?
    Read,
    /// Be this.
    Write(T),
}

/// What a plug is asked about a capability.
#[derive(Debug, Clone, PartialEq)]
pub enum Query {
    /// Take a name.
    Names(Rename),
    /// Its clock.
    Clock(ClockQuery),
    /// The countdown of a port.
    Countdown(CountdownQuery),
    /// Its rules.
    Schedule(Access<ScheduleEdit>),
    /// What it has recorded.
    History(Span),
    /// What a kilowatt-hour costs; the plug only keeps it.
    Price(Access<Price>),
    /// Which port leads which.
    Leader(Access<LeaderGroup>),
    /// When it switches at random.
    PresenceSimulation(Access<PresenceSimulation>),
    /// The numbers of its hardware.
    Hardware,
    /// Any command of the protocol.
    Call(Call),
}

/// What a plug says about a capability.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryReply {
    /// The name it now tells; `None` when it tells none, as for ports on most firmware.
    Names(Option<Name>),
    /// Its clock; `None` when it was set and cannot be read.
    Clock(Option<Clock>),
    /// The countdown that is running.
    Countdown(Option<Countdown>),
    /// All its rules.
    Schedule(Vec<RawRule>),
    /// What it has recorded.
    History(RawHistory),
    /// The price somebody told it.
    Price(Option<Price>),
    /// Which port leads which.
    Leader(LeaderGroup),
    /// When it switches at random.
    PresenceSimulation(PresenceSimulation),
    /// The numbers of its hardware.
    Hardware(Hardware),
    /// The answer to a command, JSON with secrets masked.
    Call(String),
}

impl From<QueryReply> for DeviceResponse {
    fn from(reply: QueryReply) -> Self {
        Self::Capability(reply)
    }
}

impl Query {
    /// The capability it is about.
    pub fn capability(&self) -> &'static Capability {
        match self {
            Self::Names(_) => &names::CAPABILITY,
            Self::Clock(_) => &clock::CAPABILITY,
            Self::Countdown(_) => &countdown::CAPABILITY,
            Self::Schedule(_) => &schedule::CAPABILITY,
            Self::History(_) => &history::CAPABILITY,
            Self::Price(_) => &price::CAPABILITY,
            Self::Leader(_) => &leader::CAPABILITY,
            Self::PresenceSimulation(_) => &presence_simulation::CAPABILITY,
            Self::Hardware => &hardware::CAPABILITY,
            Self::Call(_) => &call::CAPABILITY,
        }
    }

    /// The question of the slow poll that its reply answers, too; itself where it changes nothing.
    pub fn reading(&self) -> Self {
        match self {
            Self::Clock(_) => Self::Clock(ClockQuery::Read),
            Self::Countdown(query) => Self::Countdown(CountdownQuery { minutes: None, ..*query }),
            Self::Schedule(_) => Self::Schedule(Access::Read),
            Self::Price(_) => Self::Price(Access::Read),
            Self::Leader(_) => Self::Leader(Access::Read),
            Self::PresenceSimulation(_) => Self::PresenceSimulation(Access::Read),
            Self::Names(_) | Self::History(_) | Self::Hardware | Self::Call(_) => self.clone(),
        }
    }
}

/// What is shown of the capabilities of a plug, as it told last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct States {
    /// Seconds by which its clock is ahead of ours.
    pub drift_s: Option<i64>,
    /// Countdowns by port; those of missing ports are not known.
    pub countdowns: BTreeMap<u8, ShownCountdown>,
    /// Which port leads which.
    pub leader: Option<LeaderGroup>,
    /// Whether it switches at random.
    pub presence_simulation: Option<bool>,
}

/// What follows from a reply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Learnt {
    /// The plug has shown that it can.
    pub able: bool,
    /// It will be otherwise after this time.
    pub again: Option<Duration>,
}

impl Learnt {
    fn able(able: bool) -> Self {
        Self { able, again: None }
    }
}

impl States {
    /// Takes in what a plug with so many ports has told, whoever asked.
    pub fn learn(&mut self, query: &Query, reply: &QueryReply, ports: u8, now: &Now) -> Learnt {
        match (query, reply) {
            (_, QueryReply::Clock(told)) => clock::learn(*told, self),
            (Query::Countdown(query), QueryReply::Countdown(told)) => {
                countdown::learn(query.port, *told, self, now)
            }
            (_, QueryReply::Leader(told)) => leader::learn(told, self, ports),
            (_, QueryReply::PresenceSimulation(told)) => presence_simulation::learn(told, self, ports),
            (
                _,
                QueryReply::Names(_)
                | QueryReply::Countdown(_)
                | QueryReply::Schedule(_)
                | QueryReply::History(_)
                | QueryReply::Price(_)
                | QueryReply::Hardware(_)
                | QueryReply::Call(_),
            ) => Learnt::default(),
        }
    }
}

/// The capabilities that a plug has shown, by their places in [`CAPABILITIES`]; as text their names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Able(u16);

impl Able {
    /// Whether it has shown this one.
    pub fn has(self, name: &str) -> bool {
        self.0 & Self::bit(name) != 0
    }

    /// It has shown this one.
    pub fn insert(&mut self, name: &str) {
        self.0 |= Self::bit(name);
    }

    /// What either has.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// It has shown none.
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// All it has shown.
    pub fn all(self) -> impl Iterator<Item = &'static Capability> {
        CAPABILITIES
            .iter()
            .copied()
            .enumerate()
            .filter(move |(place, _)| self.0 >> place & 1 == 1)
            .map(|(_, one)| one)
    }

    fn bit(name: &str) -> u16 {
        CAPABILITIES.iter().position(|one| one.name == name).map_or(0, |place| 1 << place)
    }
}

impl<'a> FromIterator<&'a str> for Able {
    fn from_iter<I: IntoIterator<Item = &'a str>>(names: I) -> Self {
        let mut able = Self::default();
        names.into_iter().for_each(|name| able.insert(name));
        able
    }
}

impl Serialize for Able {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.all().map(|one| one.name))
    }
}

impl<'de> Deserialize<'de> for Able {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Able;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names of capabilities")
            }

            // One that a newer version knows is left out.
            fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Able, A::Error> {
                let mut able = Able::default();
                while let Some(name) = names.next_element::<String>()? {
                    able.insert(&name);
                }
                Ok(able)
            }
        }

        from.deserialize_seq(Names)
    }
}

#[cfg(test)]
mod tests;
