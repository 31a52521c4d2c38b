//! What somebody may want of one plug beyond reading and switching, and what comes of it. An errand
//! is one or more asks: whoever changes rules must know them first.

use super::{Clock, Currency, Days, LeaderGroup, Name, Presence, Price, Rule, Span, Timer};
use jiff::civil::Date;

/// Something to find out or to change at one plug.
#[derive(Debug, Clone, PartialEq)]
pub enum PlugRequest {
    /// Its clock; or set it to local time.
    Clock {
        /// Set it.
        set: bool,
    },
    /// The timers that switch ports off; or set one.
    Countdown {
        /// One port, 1 to N; all when none is named.
        port: Option<u8>,
        /// Minutes from now, 0 cancels. Needs a port.
        minutes: Option<u32>,
    },
    /// Its rules; or a change of them.
    Schedule(Option<RuleWish>),
    /// What it has recorded.
    History {
        /// How long the buckets are.
        span: Span,
        /// One port, 1 to N; the sum of all when none is named.
        port: Option<u8>,
        /// How its figures are to be read, when that is known.
        meaning: Option<Meaning>,
    },
    /// What a kilowatt-hour costs; or tell it.
    Price(Option<Price>),
    /// Which port leads which; or set it.
    Leader(Option<LeaderWish>),
    /// When it switches at random; or set it.
    PresenceSimulation(Option<PresenceSimulationWish>),
    /// Any command of its protocol.
    Call {
        /// Its number.
        command: u16,
        /// Its arguments, a JSON object.
        arguments: Option<String>,
    },
    /// A name that the plug keeps itself.
    Rename {
        /// Which port, 0 for the whole plug.
        port: u8,
        /// The new name.
        name: Name,
    },
}

/// A change of rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleWish {
    /// A new one.
    Add(RuleContent),
    /// Another content for the one with this number; what is not given stays.
    Change(i64, RuleContent),
    /// No such rule any more.
    Delete(i64),
}

/// What a rule of a schedule is to be; what is not given stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleContent {
    /// Ports that go on.
    pub on: Vec<u8>,
    /// Ports that go off.
    pub off: Vec<u8>,
    /// Minutes after midnight, by the plug's clock.
    pub at: Option<u16>,
    /// Days on which it comes again.
    pub days: Option<Days>,
    /// The one day on which it comes.
    pub date: Option<Date>,
    /// Whether it is in force.
    pub enabled: Option<bool>,
}

/// Which port is to lead; what is not given stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaderWish {
    /// The port that leads; `Some(None)` for none.
    pub leader: Option<Option<u8>>,
    /// The ports that follow; those that do already when none are named.
    pub followers: Vec<u8>,
    /// Watts drawn by the leader above which the followers are on: 2, 5, 10 or 35.
    pub limit_w: Option<u16>,
}

/// When a plug is to switch at random; what is not given stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PresenceSimulationWish {
    /// Whether it is on.
    pub enabled: Option<bool>,
    /// On which days it begins.
    pub days: Option<Days>,
    /// Minutes after midnight at which it begins.
    pub from: Option<u16>,
    /// Minutes after midnight at which it ends.
    pub to: Option<u16>,
    /// The ports that take part; those that do already when none are named.
    pub ports: Vec<u8>,
}

/// What came of an errand: what the plug says now.
#[derive(Debug, Clone, PartialEq)]
pub enum CapabilityState {
    /// Its clock; `None` when it was set and cannot be read.
    Clock(Option<Clock>),
    /// The timers of the ports that were asked about.
    Countdowns(Vec<(u8, Option<Timer>)>),
    /// All its rules, each with its date when it comes once; after a change with the clock by which
    /// they come, where the plug tells it.
    Schedule(Vec<(Rule, Option<String>)>, Option<Clock>),
    /// What it has recorded.
    Record(Record),
    /// The price somebody told it.
    Price(Option<Price>),
    /// Which port leads which.
    Leader(LeaderGroup),
    /// Random switching.
    PresenceSimulation(Presence),
    /// The answer to a raw command, JSON with secrets masked.
    Raw(String),
    /// A new name.
    Renamed {
        /// Which port, 0 for the whole plug.
        port: u8,
        /// The name.
        name: Name,
        /// Why the bridge has to keep it; `None` when the plug does, and tells it.
        kept_here: Option<String>,
    },
}

/// The energy that a plug has recorded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Record {
    /// Of one port only.
    pub port: Option<u8>,
    /// What a kilowatt-hour costs, as somebody told the plug.
    pub price: Option<f64>,
    /// In which currency.
    pub currency: Option<Currency>,
    /// Unit and date were not assumed: they agree with what was metered.
    pub learnt: bool,
    /// What is wrong with its dates, in a sentence.
    pub warning: Option<String>,
    /// Oldest first.
    pub rows: Vec<RecordRow>,
}

/// One hour, day or month of a record.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RecordRow {
    /// When it began, as `2026-11-21 22:00`, `2026-11-21` or `2026-11`.
    pub time: String,
    /// Watt-hours of the port asked for, or of all together.
    pub wh: Option<f64>,
    /// Watt-hours of each port, port 1 first.
    pub ports: Vec<Option<f64>>,
}

/// How the figures of a record are to be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Meaning {
    /// Watt-hours that a figure of 1 stands for.
    pub wh: f64,
    /// The date is that of the oldest figure, not of the newest.
    pub dated_first: bool,
}

impl Meaning {
    /// What fits best what people have seen: watt-hours, dated by the newest.
    pub const USUAL: Self = Self { wh: 1.0, dated_first: false };
}
