//! What some plugs can do beyond being read and switched: names, a clock, timers, rules, a price,
//! group and follower, random switching. Asked and told here in words of the trade; numbers and
//! spellings of the wire stay in the drivers.

use super::{Days, Mac, Moment, Name};
use jiff::{SignedDuration, Timestamp, civil::DateTime};
use std::fmt;

/// Said of a plug that does not know what it was asked.
pub const UNKNOWN_SKILL: &str = "its firmware does not know this";

/// Something a plug may be able to do. What changes something is read back in the same
/// conversation, so that the answer is what the plug says afterwards.
#[derive(Debug, Clone, PartialEq)]
pub enum CapabilityRequest {
    /// A name, kept by the plug itself; port 0 is the plug.
    Rename {
        /// Which port, 0 for the whole plug.
        port: u8,
        /// Its new name.
        name: Name,
    },
    /// What time is it?
    Clock,
    /// Set the clock to local time.
    SetClock,
    /// When does this port switch off?
    Timer(u8),
    /// Switch a port off after some minutes; 0 cancels.
    SetTimer {
        /// Which port, 1 to N.
        port: u8,
        /// Minutes from now.
        minutes: u32,
    },
    /// Which rules are there?
    Rules,
    /// Change the rules.
    ChangeRules(RuleChange),
    /// What does a kilowatt-hour cost?
    Price,
    /// Set what it costs; the plug only keeps it.
    SetPrice(Price),
    /// Which port leads which?
    Leader,
    /// Set which port leads which.
    SetLeader(LeaderGroup),
    /// When is there random switching?
    Presence,
    /// Set random switching.
    SetPresence(Presence),
    /// Which numbers does the hardware carry?
    Hardware,
    /// Any command of the protocol, for those who know it.
    Call {
        /// Its number.
        command: u16,
        /// Its arguments, a JSON object.
        arguments: Option<String>,
    },
}

/// A change of the rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleChange {
    /// A new one; its id is chosen by the dialect.
    Add(Rule),
    /// Another content for the rule with this id.
    Change(Rule),
    /// No such rule any more.
    Delete(i64),
}

/// What a plug answers about a skill.
#[derive(Debug, Clone, PartialEq)]
pub enum CapabilityReply {
    /// The name it now tells; `None` when it tells none, as for ports on most firmware.
    Name(Option<Name>),
    /// Its clock; `None` when it was set and cannot be read.
    Clock(Option<Clock>),
    /// The timer that is running.
    Timer(Option<Timer>),
    /// All its rules.
    Rules(Vec<Rule>),
    /// The price somebody told it.
    Price(Option<Price>),
    /// Which port leads which.
    Leader(LeaderGroup),
    /// Random switching.
    Presence(Presence),
    /// The numbers of its hardware.
    Hardware(Hardware),
    /// The answer to a raw command, JSON with secrets masked.
    Raw(String),
}

/// A plug's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Clock {
    /// Local date and time on the plug.
    pub local: DateTime,
    /// Seconds by which it is ahead of ours; negative when it is behind.
    pub drift_s: i64,
}

impl Clock {
    /// Reads `2018-10-13,00:23:35`, with a blank or `T` for the comma, too.
    #[doc(hidden)]
    pub fn read(text: &str, now: &Moment) -> Option<Self> {
        let local = local(text)?;
        let ours =
            DateTime::from_parts(now.local().date(), now.local().time().with().nanosecond(0).build().ok()?);
        Some(Self { local, drift_s: local.duration_since(ours).as_secs() })
    }
}

/// Reads local date and time in the spelling of the plugs.
pub fn local(text: &str) -> Option<DateTime> {
    text.trim().replacen([',', ' '], "T", 1).parse().ok()
}

/// A countdown that runs in a plug and switches one of its ports off when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timer {
    /// Minutes for which it was set.
    pub minutes: u32,
    /// Seconds until it ends.
    pub left_s: u32,
}

impl Timer {
    /// The timer that was started then, if it still runs.
    #[doc(hidden)]
    pub fn running(start: DateTime, minutes: u32, now: DateTime) -> Option<Self> {
        let gone_s = now.duration_since(start).as_secs();
        let left_s = i64::from(minutes) * 60 - gone_s;
        // What ends beyond all days is a timer, too.
        (left_s > 0).then(|| Self { minutes, left_s: u32::try_from(left_s).unwrap_or(u32::MAX) })
    }
}

/// What the plug switches by itself at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its number, by which it is changed and deleted.
    pub id: i64,
    /// Whether it is in force.
    pub enabled: bool,
    /// Where each port goes, port 1 first; `None` leaves it as it is.
    pub ports: Vec<Option<bool>>,
    /// On which days it comes again; none for a rule that comes once.
    pub days: Days,
    /// Minutes after midnight, by the plug's clock.
    pub minute: u16,
    /// For a rule that comes once: when, in seconds since 1970 UTC.
    pub once: Option<u64>,
}

/// Minutes of a day.
const DAY_MIN: i32 = 24 * 60;

/// Minutes since midnight.
fn minute_of_day(time: DateTime) -> i32 {
    i32::from(time.hour()) * 60 + i32::from(time.minute())
}

impl Rule {
    /// When a rule comes that comes once, in local time. Where its minute is an hour beside, summer
    /// time has begun or ended since it was written, and the minute is right; where it is anything
    /// else, it means nothing: the vendor's app leaves there what was in its form.
    pub fn comes(&self, now: &Moment) -> Option<DateTime> {
        let once = Timestamp::from_second(i64::try_from(self.once?).ok()?).ok()?;
        let local = now.offset().to_datetime(once);
        let hours = match (i32::from(self.minute) - minute_of_day(local)).rem_euclid(DAY_MIN) {
            60 => 1,
            beside if beside == DAY_MIN - 60 => -1,
            _ => 0,
        };
        local.checked_add(SignedDuration::from_hours(hours)).ok()
    }

    /// Makes it come once, at this local date and time: today's offset from UTC is taken, as the
    /// plug takes it.
    pub fn at(mut self, when: DateTime, now: &Moment) -> Option<Self> {
        self.once = Some(u64::try_from(now.offset().to_timestamp(when).ok()?.as_second()).ok()?);
        self.minute = u16::try_from(minute_of_day(when)).ok()?;
        self.days = Days::default();
        Some(self)
    }
}

/// What a kilowatt-hour costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Price of one kilowatt-hour in the currency.
    pub cost: f64,
    /// The currency.
    pub currency: Currency,
}

/// A currency that plugs know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Currency {
    /// Euro.
    Eur,
    /// Dollar.
    Usd,
    /// Yen.
    Jpy,
    /// Swiss franc.
    Chf,
    /// One that we do not know, by its number.
    Other(u64),
}

impl Currency {
    /// By the number in the plug.
    #[doc(hidden)]
    pub fn of_number(number: u64) -> Self {
        match number {
            0 => Self::Eur,
            1 => Self::Usd,
            2 => Self::Jpy,
            3 => Self::Chf,
            other => Self::Other(other),
        }
    }

    /// The number in the plug.
    #[doc(hidden)]
    pub fn number(self) -> u64 {
        match self {
            Self::Eur => 0,
            Self::Usd => 1,
            Self::Jpy => 2,
            Self::Chf => 3,
            Self::Other(number) => number,
        }
    }

    /// By its code, in any case: `CHF`.
    pub fn of_code(code: &str) -> Option<Self> {
        [Self::Eur, Self::Usd, Self::Jpy, Self::Chf]
            .into_iter()
            .find(|currency| currency.to_string().eq_ignore_ascii_case(code))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eur => f.write_str("EUR"),
            Self::Usd => f.write_str("USD"),
            Self::Jpy => f.write_str("JPY"),
            Self::Chf => f.write_str("CHF"),
            Self::Other(number) => write!(f, "currency {number}"),
        }
    }
}

/// What a port does in a group of leader and followers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Goes on and off with the power that the leader draws.
    Follower,
    /// Leads the followers.
    Leader,
    /// Has no part in it.
    Neutral,
}

/// One port leads others: they are on while it draws more power than a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaderGroup {
    /// The role of each port, port 1 first.
    pub roles: Vec<Role>,
    /// Watts above which the followers are on: one of [`LIMITS`](Self::LIMITS), `None` when the plug
    /// tells something else.
    pub limit_w: Option<u16>,
}

impl LeaderGroup {
    /// The limits a plug takes, in watts.
    pub const LIMITS: [u16; 4] = [2, 5, 10, 35];

    /// The port that leads, 1 to N.
    pub fn leader(&self) -> Option<u8> {
        (1..).zip(&self.roles).find(|(_, role)| **role == Role::Leader).map(|(port, _)| port)
    }

    /// The ports that follow.
    pub fn followers(&self) -> Vec<u8> {
        (1..).zip(&self.roles).filter(|(_, role)| **role == Role::Follower).map(|(port, _)| port).collect()
    }
}

/// Presence simulation: a plug switches at random, so that a house looks lived in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Presence {
    /// Whether it is on.
    pub enabled: bool,
    /// On which days it begins.
    pub days: Days,
    /// Minutes after midnight at which it begins.
    pub from: u16,
    /// Minutes after midnight at which it ends; less than `from` means the next day.
    pub to: u16,
    /// Which ports take part, port 1 first.
    pub ports: Vec<bool>,
}

/// The numbers a plug's hardware carries; credentials are not among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hardware {
    /// Hardware address of its network.
    pub mac: Option<Mac>,
    /// Number of its processor.
    pub cpuid: Option<String>,
    /// The server it was made to call.
    pub server: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn noon() -> Moment {
        // 2026-11-21 12:00:00 in a zone an hour ahead.
        Moment { up: Duration::ZERO, unix_ms: 1_795_258_800_000, utc_offset_s: 3600, dst_s: 0, nonce: 0 }
    }

    #[test]
    fn a_clock_is_read_with_its_drift() {
        let drift = |text| Clock::read(text, &noon()).map(|clock| clock.drift_s);
        assert_eq!(drift("2026-11-21,12:00:05"), Some(5));
        assert_eq!(drift("2026-11-21 11:59:00"), Some(-60));
        assert_eq!(drift("2013-12-26,00:00:00"), Some(-407_246_400));
        assert_eq!(drift("2026-13-21,12:00:05"), None);
        assert_eq!(drift(""), None);
    }

    #[test]
    fn a_timer_runs_until_its_end() {
        let start = local("2026-11-21,11:58:00").expect("a time");
        let at = |text| Timer::running(start, 5, local(text).expect("a time")).map(|timer| timer.left_s);
        assert_eq!(at("2026-11-21,11:58:00"), Some(300));
        assert_eq!(at("2026-11-21,12:02:59"), Some(1));
        assert_eq!(at("2026-11-21,12:03:00"), None);
        assert_eq!(at("2027-11-21,12:03:00"), None);
        let endless = Timer::running(start, u32::MAX, start);
        assert_eq!(endless, Some(Timer { minutes: u32::MAX, left_s: u32::MAX }));
    }

    #[test]
    fn a_rule_that_comes_once_keeps_its_local_date() {
        let rule = Rule { id: 1, enabled: true, ports: vec![], days: Days::default(), minute: 0, once: None };
        assert_eq!(rule.comes(&noon()), None);
        let rule = rule.at(local("2026-11-22,00:30:00").expect("a time"), &noon()).expect("a rule");
        assert_eq!((rule.minute, rule.once), (30, Some(1_795_303_800)));
        for offset_s in [0, 3600, 7200] {
            let now = Moment { utc_offset_s: offset_s, ..noon() };
            assert_eq!(rule.comes(&now), local("2026-11-22,00:30:00"), "read with {offset_s} s");
        }
        let late = rule.at(local("2026-11-22,23:59:00").expect("a time"), &noon()).expect("a rule");
        let summer = Moment { utc_offset_s: 7200, ..noon() };
        assert_eq!(late.comes(&summer), local("2026-11-22,23:59:00"));
        // As captured on a 1.30 station (cmd-516.md of mh-maxsmart-powerstation): the minute is stale.
        let app = Rule { minute: 1384, once: Some(1_539_387_857), ..late };
        let summer = Moment { dst_s: 3600, ..summer };
        assert_eq!(app.comes(&summer), local("2018-10-13,01:44:17"));
    }

    #[test]
    fn currencies_have_codes_and_numbers() {
        for number in 0..5 {
            let currency = Currency::of_number(number);
            assert_eq!(currency.number(), number);
            let known = Currency::of_code(&currency.to_string().to_lowercase());
            assert_eq!(known, (number < 4).then_some(currency));
        }
    }
}
