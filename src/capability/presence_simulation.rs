//! Presence simulation: a plug switches ports at random, so that a house looks lived in.

use super::conversation::{Change, Update};
use super::entity::{Form, Setting, Shown, Value};
use super::{Access, Capability, Guard, Learnt, Query, QueryReply, Request, SlowPoll, States, read};
use crate::core::{Days, Lock, time};
use serde::Deserialize;
use serde_json::{Value as Json, json};

pub(super) static CAPABILITY: Capability = Capability {
    name: "presence_simulation",
    requests: &[PresenceSimulationChange::VERB],
    command: Some("presence-simulation"),
    personal: Some("its presence simulation"),
    shown: &[Shown {
        key: "presence_simulation",
        name: "presence simulation",
        per_port: false,
        form: Form::Toggle(Setting { verb: PresenceSimulationChange::VERB, key: "enabled" }),
        in_snapshot: true,
        value: |states, _| states.presence_simulation.map(Value::OnOff),
    }],
    reads: |_| vec![Query::PresenceSimulation(Access::Read)],
    slow_poll: Some(SlowPoll::RARELY),
};

/// Presence simulation: a plug switches at random, so that a house looks lived in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PresenceSimulation {
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

/// When a plug is to switch at random; what is not given stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PresenceSimulationChange {
    /// Whether it is on.
    pub enabled: Option<bool>,
    /// On which days it begins, as `"Fri-Sun"`.
    pub days: Option<Days>,
    /// Minutes after midnight at which it begins; in JSON the time of day, as `"18:30"`.
    #[serde(deserialize_with = "read::time_of_day")]
    pub from: Option<u16>,
    /// Minutes after midnight at which it ends; in JSON the time of day, as `"1:00"`.
    #[serde(deserialize_with = "read::time_of_day")]
    pub to: Option<u16>,
    /// The ports that take part, 1 to N; those that do already when none are named.
    #[serde(deserialize_with = "read::some_ports")]
    pub ports: Vec<u8>,
}

impl Request for PresenceSimulationChange {
    const VERB: &'static str = "presence_simulation";
    type Answer = PresenceSimulation;
    type Conversation = Update<Self>;

    fn changes(&self) -> bool {
        *self != Self::default()
    }

    fn ports(&self) -> Vec<u8> {
        self.ports.clone()
    }

    fn open(self, guard: Guard) -> Result<Update<Self>, String> {
        Ok(Update::new(Some(self).filter(Request::changes), guard))
    }

    fn report(is: &PresenceSimulation) -> Json {
        json!({
            "enabled": is.enabled, "days": is.days.to_string(), "from": time(is.from), "to": time(is.to),
            "ports": is.taking_part(),
        })
    }
}

impl Change for PresenceSimulationChange {
    type Value = PresenceSimulation;

    fn query(access: Access<PresenceSimulation>) -> Query {
        Query::PresenceSimulation(access)
    }

    fn value(reply: QueryReply) -> Option<PresenceSimulation> {
        if let QueryReply::PresenceSimulation(told) = reply { Some(told) } else { None }
    }

    fn over(&self, mut is: PresenceSimulation, guard: &Guard) -> Result<PresenceSimulation, String> {
        if !self.ports.is_empty() {
            is.ports = (1..=guard.ports).map(|port| self.ports.contains(&port)).collect();
        }
        is.enabled = self.enabled.unwrap_or(is.enabled);
        is.days = self.days.unwrap_or(is.days);
        is.from = self.from.unwrap_or(is.from);
        is.to = self.to.unwrap_or(is.to);
        if !is.enabled {
            return Ok(is);
        }
        if is.days.is_empty() || !is.ports.contains(&true) {
            return Err(
                "presence simulation needs days (daily), from (18:30), to (23:00) and ports (1, 2)".into()
            );
        }
        match is.taking_part().into_iter().find(|port| guard.lock(*port) != Lock::None) {
            Some(port) => Err(format!("port {port} of {} is locked; unlock it first", guard.who)),
            None => Ok(is),
        }
    }
}

impl PresenceSimulation {
    /// The ports that take part, 1 to N.
    fn taking_part(&self) -> Vec<u8> {
        (1..).zip(&self.ports).filter(|(_, takes_part)| **takes_part).map(|(port, _)| port).collect()
    }
}

/// What is shown since the plug has told it.
pub(super) fn learn(told: &PresenceSimulation, states: &mut States, ports: u8) -> Learnt {
    states.presence_simulation = Some(told.enabled);
    Learnt::able(told.ports.len() == usize::from(ports))
}

/// The command line.
#[cfg(feature = "bridge")]
mod cli {
    use super::*;
    use crate::capability::cli::{Face, Labels, Target, Text, list, time_of_day};

    /// Shows the presence simulation (random switching), or sets it.
    #[derive(Debug, clap::Args)]
    pub struct Command {
        #[command(flatten)]
        target: Target,
        /// On or off.
        #[arg(value_enum)]
        state: Option<OnOff>,
        /// Days on which it begins, as Mon-Fri.
        #[arg(long)]
        days: Option<Days>,
        /// Begin, as 18:30.
        #[arg(long, value_parser = time_of_day)]
        from: Option<u16>,
        /// End, as 23:00; earlier than the begin means the next day.
        #[arg(long, value_parser = time_of_day)]
        to: Option<u16>,
        /// The ports that take part.
        #[arg(long, value_delimiter = ',')]
        ports: Vec<String>,
    }

    #[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
    enum OnOff {
        /// On.
        On,
        /// Off.
        Off,
    }

    impl Face for Command {
        type Request = PresenceSimulationChange;
        const ABOUT: &'static str = "about presence simulation";

        fn target(&self) -> &Target {
            &self.target
        }

        fn counts_ports(&self) -> bool {
            !self.ports.is_empty()
        }

        fn request<E>(&self, port: impl Fn(&str) -> Result<u8, E>) -> Result<PresenceSimulationChange, E> {
            Ok(PresenceSimulationChange {
                enabled: self.state.map(|state| state == OnOff::On),
                days: self.days,
                from: self.from,
                to: self.to,
                ports: self.ports.iter().map(|word| port(word)).collect::<Result<_, E>>()?,
            })
        }

        fn text(&self, is: &PresenceSimulation, plug: &dyn Labels) -> Text {
            let state = if is.enabled { "on" } else { "off" };
            let ports = is.taking_part();
            let when = match ports.is_empty() {
                true => String::new(),
                false => format!(", {} {}-{}, port {}", is.days, time(is.from), time(is.to), list(&ports)),
            };
            Text::line(format!("{}: presence simulation is {state}{when}", plug.name()))
        }
    }
}
#[cfg(feature = "bridge")]
pub(super) use cli::Command;

#[cfg(test)]
mod tests {
    use super::super::tests::{guard, play};
    use super::*;

    #[test]
    fn it_keeps_what_is_not_said_and_spares_locked_ports() {
        let off = PresenceSimulation {
            enabled: false,
            days: Days::default(),
            from: 0,
            to: 0,
            ports: vec![false; 6],
        };
        let told = |is: &PresenceSimulation| QueryReply::PresenceSimulation(is.clone()).into();
        let on = PresenceSimulationChange { enabled: Some(true), ..PresenceSimulationChange::default() };
        let change = |change: &PresenceSimulationChange| change.clone();
        assert!(play(change(&on), guard(), vec![told(&off)]).1.expect_err("when?").contains("days"));
        let whole = PresenceSimulationChange {
            days: Some(Days::ALL),
            from: Some(1080),
            to: Some(1380),
            ports: vec![2],
            ..on
        };
        let ports = vec![false, true, false, false, false, false];
        let lived = PresenceSimulation { enabled: true, days: Days::ALL, from: 1080, to: 1380, ports };
        let (asked, end) = play(change(&whole), guard(), vec![told(&off), told(&lived)]);
        assert_eq!(asked[1], Query::PresenceSimulation(Access::Write(lived.clone())));
        assert_eq!(end, Ok(lived));
        let locked = PresenceSimulationChange { ports: vec![6], ..whole };
        assert!(play(locked, guard(), vec![told(&off)]).1.expect_err("locked").contains("port 6"));
    }
}
