//! Countdowns that run in a plug and switch a port off when they end.

use super::conversation::{Conversation, disobeyed};
use super::device::mixed_up;
use super::entity::{Form, Setting, Shown, Value};
use super::{Capability, Guard, Learnt, Query, QueryReply, Request, SlowPoll, States, read};
use crate::core::{Failure, Now};
use jiff::civil::DateTime;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use std::collections::VecDeque;
use std::time::Duration;

/// The longest one, in minutes.
const MOST_MIN: u32 = 1440;

/// One that has just been set has gone for no longer.
const JUST_S: u32 = 60;

/// Differences that are told.
const TOLD_MS: u64 = 3_000;

pub(super) static CAPABILITY: Capability = Capability {
    name: "countdown",
    requests: &[CountdownRequest::VERB],
    command: Some("countdown"),
    personal: Some("countdowns"),
    shown: &[
        Shown {
            key: "countdown",
            name: "turn off in",
            per_port: true,
            form: Form::Minutes(Setting { verb: CountdownRequest::VERB, key: "minutes" }),
            in_snapshot: false,
            value: |states, port| Some(Value::Number(states.countdowns.get(&port)?.minutes.into())),
        },
        Shown {
            key: "countdown_end",
            name: "turns off at",
            per_port: true,
            form: Form::Timestamp,
            in_snapshot: true,
            value: |states, port| {
                let shown = states.countdowns.get(&port)?;
                Some(if shown.minutes > 0 { Value::Time(shown.ends_ms) } else { Value::Nothing })
            },
        },
    ],
    reads: |ports| (1..=ports).map(|port| Query::Countdown(CountdownQuery { port, minutes: None })).collect(),
    slow_poll: Some(SlowPoll::OFTEN),
};

/// What a plug is asked about the countdown of a port: which runs, or one to be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CountdownQuery {
    /// Which port, 1 to N.
    pub port: u8,
    /// Minutes from now to set; 0 cancels.
    pub minutes: Option<u32>,
}

/// A countdown that runs in a plug and switches one of its ports off when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Countdown {
    /// Minutes for which it was set.
    pub minutes: u32,
    /// Seconds until it ends.
    pub left_s: u32,
}

impl Countdown {
    /// The countdown that was started then, if it still runs.
    #[doc(hidden)]
    pub fn running(start: DateTime, minutes: u32, now: DateTime) -> Option<Self> {
        let gone_s = now.duration_since(start).as_secs();
        let left_s = i64::from(minutes) * 60 - gone_s;
        // What ends beyond all days is a countdown, too.
        (left_s > 0).then(|| Self { minutes, left_s: u32::try_from(left_s).unwrap_or(u32::MAX) })
    }
}

/// The countdown of a port as it is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ShownCountdown {
    /// For how long it was set; 0 when there is none.
    pub minutes: u32,
    /// When the port goes off, milliseconds since 1970.
    pub ends_ms: u64,
}

/// Reads the countdowns of a plug, or sets one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CountdownRequest {
    /// Which port, 1 to N; all if not given.
    pub port: Option<u8>,
    /// Minutes from now, 1 to 1440, in JSON also a time as `"20m"`; 0 or `"cancel"` cancels. Needs a port.
    #[serde(deserialize_with = "read::minutes")]
    pub minutes: Option<u32>,
}

/// Asks port after port.
#[derive(Debug)]
pub struct Conversing {
    minutes: Option<u32>,
    /// Ports still to be asked about, the present one first.
    todo: VecDeque<u8>,
    told: Vec<(u8, Option<Countdown>)>,
}

impl Request for CountdownRequest {
    const VERB: &'static str = "countdown";
    /// Of the ports that were asked about.
    type Answer = Vec<(u8, Option<Countdown>)>;
    type Conversation = Conversing;

    fn changes(&self) -> bool {
        self.minutes.is_some()
    }

    fn ports(&self) -> Vec<u8> {
        self.port.into_iter().collect()
    }

    fn open(self, guard: Guard) -> Result<Conversing, String> {
        if let Some(minutes) = self.minutes {
            let port = self.port.ok_or("a countdown is set for one port: name it")?;
            match minutes {
                0 => {}
                1..=MOST_MIN => guard.may(port, false)?,
                _ => return Err(format!("minutes must be 1 to {MOST_MIN}, 0 to cancel")),
            }
        }
        let todo = self.port.map_or(1..=guard.ports, |port| port..=port).collect();
        Ok(Conversing { minutes: self.minutes, todo, told: Vec::new() })
    }

    fn report(all: &Vec<(u8, Option<Countdown>)>) -> Json {
        let one = |(port, countdown): &(u8, Option<Countdown>)| {
            let (minutes, left) = countdown.map(|running| (running.minutes, running.left_s)).unzip();
            json!({"port": port, "minutes": minutes, "left_s": left})
        };
        json!({"countdowns": all.iter().map(one).collect::<Vec<_>>()})
    }
}

/// A countdown that was set to this a moment ago.
fn shows(told: Option<Countdown>, minutes: u32) -> bool {
    let Some(Countdown { minutes: of, left_s }) = told else { return minutes == 0 };
    of == minutes && left_s.saturating_add(JUST_S) >= minutes.saturating_mul(60)
}

impl Conversation for Conversing {
    type Answer = Vec<(u8, Option<Countdown>)>;

    fn query(&self) -> Query {
        let port = self.todo.front().copied().unwrap_or_default();
        Query::Countdown(CountdownQuery { port, minutes: self.minutes })
    }

    fn take(&mut self, reply: QueryReply, _: &Now) -> Result<Option<Self::Answer>, Failure> {
        let (QueryReply::Countdown(countdown), Some(port)) = (reply, self.todo.pop_front()) else {
            return Err(mixed_up());
        };
        if self.minutes.is_some_and(|minutes| !shows(countdown, minutes)) {
            return Err(disobeyed());
        }
        self.told.push((port, countdown));
        Ok(self.todo.is_empty().then(|| std::mem::take(&mut self.told)))
    }
}

/// What is shown since the plug has told the countdown of a port; an end that has hardly moved stands.
pub(super) fn learn(port: u8, told: Option<Countdown>, states: &mut States, now: &Now) -> Learnt {
    let shown = states.countdowns.entry(port).or_default();
    let Some(running) = told else {
        *shown = ShownCountdown::default();
        return Learnt::able(true);
    };
    let ends_ms = now.unix_ms + u64::from(running.left_s) * 1000;
    if shown.minutes != running.minutes || shown.ends_ms.abs_diff(ends_ms) > TOLD_MS {
        *shown = ShownCountdown { minutes: running.minutes, ends_ms };
    }
    Learnt { again: Some(Duration::from_secs(running.left_s.into())), ..Learnt::able(true) }
}

/// The command line.
#[cfg(feature = "bridge")]
mod cli {
    use super::*;
    use crate::capability::cli::{Face, Labels, Target, Text};

    /// Shows the countdowns that switch ports off, or starts one.
    #[derive(Debug, clap::Args)]
    pub struct Command {
        #[command(flatten)]
        target: Target,
        /// A port, by number or name.
        port: Option<String>,
        /// Time until it goes off, as 20m, or `cancel`.
        #[arg(value_parser = minutes)]
        minutes: Option<u32>,
    }

    pub(super) fn minutes(word: &str) -> Result<u32, String> {
        match read::minutes_of(word) {
            Some(0) if matches!(word, "cancel" | "off" | "0") => Ok(0),
            Some(minutes @ 1..=MOST_MIN) => Ok(minutes),
            _ => Err("give whole minutes, as 20m or 1h 30m, at most 24h, or cancel".into()),
        }
    }

    impl Face for Command {
        type Request = CountdownRequest;
        const ABOUT: &'static str = "for a countdown";

        fn target(&self) -> &Target {
            &self.target
        }

        fn counts_ports(&self) -> bool {
            true
        }

        fn request<E>(&self, port: impl Fn(&str) -> Result<u8, E>) -> Result<CountdownRequest, E> {
            Ok(CountdownRequest { port: self.port.as_deref().map(port).transpose()?, minutes: self.minutes })
        }

        fn text(&self, all: &Vec<(u8, Option<Countdown>)>, plug: &dyn Labels) -> Text {
            let mut text = Text::table(["PORT", "NAME", "OFF IN", "OF"]);
            for (port, countdown) in all {
                let left =
                    countdown.map_or("-".into(), |c| format!("{}:{:02}", c.left_s / 60, c.left_s % 60));
                let of = countdown.map(|c| format!("{} min", c.minutes)).unwrap_or_default();
                text.row([port.to_string(), plug.port_name(*port), left, of]);
            }
            text
        }
    }
}
#[cfg(feature = "bridge")]
pub(super) use cli::Command;

#[cfg(test)]
mod tests {
    use super::super::tests::{guard, play, refused};
    use super::super::{local, open};
    use super::*;

    #[test]
    fn every_port_is_asked_for_its_countdown_and_one_is_set() {
        let running = Countdown { minutes: 20, left_s: 1200 };
        let told = |countdown| QueryReply::Countdown(countdown).into();
        let ask = |port, minutes| CountdownRequest { port, minutes };
        let answers = vec![told(None), told(Some(running)), told(None), told(None), told(None), told(None)];
        let (asked, end) = play(ask(None, None), guard(), answers);
        let want: Vec<Query> =
            (1..=6).map(|port| Query::Countdown(CountdownQuery { port, minutes: None })).collect();
        assert_eq!(asked, want);
        let all = end.expect("an answer");
        assert_eq!((all.len(), all[1]), (6, (2, Some(running))));
        let set = |minutes| ask(Some(2), Some(minutes));
        assert_eq!(play(set(20), guard(), vec![told(Some(running))]).1, Ok(vec![(2, Some(running))]));
        let late = Countdown { left_s: 1130, ..running };
        for (minutes, shown) in [(20, None), (0, Some(running)), (30, Some(running)), (20, Some(late))] {
            let end = play(set(minutes), guard(), vec![told(shown)]).1;
            assert!(end.is_err(), "{minutes} {shown:?}: it did not obey");
        }
        refused(ask(Some(6), Some(5)), "port 6 of Strip is locked");
        refused(ask(Some(7), None), "it has 1 to 6");
        refused(ask(None, Some(5)), "name it");
        refused(set(1441), "1 to 1440");
        assert!(open(ask(Some(6), Some(0)), guard()).is_ok(), "only cancelled");
    }

    #[test]
    fn a_countdown_runs_until_its_end() {
        let start = local("2026-11-21,11:58:00").expect("a time");
        let at = |text| Countdown::running(start, 5, local(text).expect("a time")).map(|c| c.left_s);
        assert_eq!(at("2026-11-21,11:58:00"), Some(300));
        assert_eq!(at("2026-11-21,12:02:59"), Some(1));
        assert_eq!(at("2026-11-21,12:03:00"), None);
        assert_eq!(at("2027-11-21,12:03:00"), None);
        let endless = Countdown::running(start, u32::MAX, start);
        assert_eq!(endless, Some(Countdown { minutes: u32::MAX, left_s: u32::MAX }));
    }

    #[cfg(feature = "bridge")]
    #[test]
    fn times_of_a_countdown_are_written_as_everywhere() {
        use super::cli::minutes;
        for (word, wanted) in
            [("20m", 20), ("20", 20), ("1h 30m", 90), ("24h", 1440), ("cancel", 0), ("0", 0)]
        {
            assert_eq!(minutes(word), Ok(wanted), "{word}");
        }
        for word in ["90s", "0m", "25h", "soon", "-1", "1441", "9999999999999m"] {
            assert!(minutes(word).is_err(), "{word}");
        }
    }
}
