//! Leader and followers: ports that are on while another draws more power than a limit.

use super::conversation::{Change, Update};
use super::entity::{Form, Setting, Shown, Value};
use super::{Access, Capability, Guard, Learnt, Query, QueryReply, Request, SlowPoll, States, read};
use crate::core::port_number;
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value as Json, json};

pub(super) static CAPABILITY: Capability = Capability {
    name: "leader",
    requests: &[LeaderChange::VERB],
    command: Some("leader"),
    personal: Some("leader and followers"),
    shown: &[
        Shown {
            key: "leader",
            name: "leader port",
            per_port: false,
            form: Form::ChoiceOrNone(
                |ports| (1..=ports).map(|port| port.to_string()).collect(),
                Setting { verb: LeaderChange::VERB, key: "leader" },
            ),
            in_snapshot: true,
            value: |states, _| {
                let leader = states.leader.as_ref()?.leader();
                Some(leader.map_or(Value::Word("none"), |port| Value::Number(port.into())))
            },
        },
        Shown {
            key: "leader_limit",
            name: "leader limit",
            per_port: false,
            form: Form::Choice(
                |_| LeaderGroup::LIMITS.iter().map(u16::to_string).collect(),
                Setting { verb: LeaderChange::VERB, key: "limit_w" },
            ),
            in_snapshot: true,
            value: |states, _| Some(Value::Number(states.leader.as_ref()?.limit_w?.into())),
        },
    ],
    reads: |_| vec![Query::Leader(Access::Read)],
    slow_poll: Some(SlowPoll::RARELY),
};

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

/// Which port is to lead; what is not given stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LeaderChange {
    /// The port that leads; `Some(None)`, in JSON `"none"` or `null` as in the answer, for none.
    #[serde(deserialize_with = "port_or_none")]
    pub leader: Option<Option<u8>>,
    /// The ports that follow; those that do already when none are named.
    #[serde(deserialize_with = "read::some_ports")]
    pub followers: Vec<u8>,
    /// Watts drawn by the leader above which the followers are on: 2, 5, 10 or 35.
    pub limit_w: Option<u16>,
}

/// The number of a port, also as text, or `none`.
fn port_or_none<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Option<u8>>, D::Error> {
    let json = Json::deserialize(json)?;
    let word = json.as_str().map(str::trim);
    let number = json.as_u64().and_then(|port| u8::try_from(port).ok());
    match number.or(word.and_then(port_number)) {
        Some(port) => Ok(Some(Some(port))),
        None if word == Some("none") || json.is_null() => Ok(Some(None)),
        None => Err(de::Error::custom("it is the number of a port, or none")),
    }
}

impl Request for LeaderChange {
    const VERB: &'static str = "leader";
    type Answer = LeaderGroup;
    type Conversation = Update<Self>;

    fn changes(&self) -> bool {
        *self != Self::default()
    }

    fn ports(&self) -> Vec<u8> {
        self.leader.flatten().into_iter().chain(self.followers.iter().copied()).collect()
    }

    fn check(&self) -> Result<(), String> {
        match self.limit_w.is_none_or(|watts| LeaderGroup::LIMITS.contains(&watts)) {
            true => Ok(()),
            false => Err("the limit is 2, 5, 10 or 35 W".into()),
        }
    }

    fn open(self, guard: Guard) -> Result<Update<Self>, String> {
        Ok(Update::new(Some(self).filter(Request::changes), guard))
    }

    fn report(is: &LeaderGroup) -> Json {
        json!({"leader": is.leader(), "followers": is.followers(), "limit_w": is.limit_w})
    }
}

impl Change for LeaderChange {
    type Value = LeaderGroup;

    fn query(access: Access<LeaderGroup>) -> Query {
        Query::Leader(access)
    }

    fn value(reply: QueryReply) -> Option<LeaderGroup> {
        if let QueryReply::Leader(told) = reply { Some(told) } else { None }
    }

    fn over(&self, mut is: LeaderGroup, guard: &Guard) -> Result<LeaderGroup, String> {
        let mut before = is.followers();
        if before.is_empty() {
            before.clone_from(&guard.followed);
        }
        match self.leader {
            None if self.followers.is_empty() => {}
            None => return Err("name the leader along with the followers".into()),
            Some(None) if !self.followers.is_empty() => {
                return Err("where no port leads none follows: leave the followers out".into());
            }
            Some(None) => is.roles.fill(Role::Neutral),
            Some(Some(leader)) => {
                let followers = if self.followers.is_empty() { before } else { self.followers.clone() };
                let followers: Vec<u8> = followers.into_iter().filter(|port| *port != leader).collect();
                if followers.is_empty() {
                    return Err("a leader needs ports that follow: name the followers".into());
                }
                for port in &followers {
                    guard.may(*port, true).and(guard.may(*port, false))?;
                }
                for (port, role) in (1u8..).zip(&mut is.roles) {
                    *role = match port {
                        port if port == leader => Role::Leader,
                        port if followers.contains(&port) => Role::Follower,
                        _ => Role::Neutral,
                    };
                }
            }
        }
        is.limit_w = self.limit_w.or(is.limit_w).or(Some(LeaderGroup::LIMITS[0]));
        Ok(is)
    }
}

/// What is shown since the plug has told it. A group of another number of ports is that of another plug, or
/// none.
pub(super) fn learn(told: &LeaderGroup, states: &mut States, ports: u8) -> Learnt {
    if told.roles.len() != usize::from(ports) {
        return Learnt::able(false);
    }
    states.leader = Some(told.clone());
    Learnt::able(ports > 1)
}

/// The command line.
#[cfg(feature = "bridge")]
mod cli {
    use super::*;
    use crate::capability::cli::{Face, Labels, Target, Text, list};

    /// Shows which port leads others by the power it draws, or sets it.
    #[derive(Debug, clap::Args)]
    pub struct Command {
        #[command(flatten)]
        target: Target,
        /// The port that leads.
        #[arg(long, requires = "followers")]
        leader: Option<String>,
        /// The ports that follow.
        #[arg(long, value_delimiter = ',', requires = "leader")]
        followers: Vec<String>,
        /// Watts above which they are on: 2, 5, 10 or 35.
        #[arg(long)]
        limit: Option<u16>,
        /// No port leads any more.
        #[arg(long, conflicts_with_all = ["leader", "followers"])]
        none: bool,
    }

    impl Face for Command {
        type Request = LeaderChange;
        const ABOUT: &'static str = "which port leads";

        fn target(&self) -> &Target {
            &self.target
        }

        fn counts_ports(&self) -> bool {
            self.leader.is_some()
        }

        fn request<E>(&self, port: impl Fn(&str) -> Result<u8, E>) -> Result<LeaderChange, E> {
            let leader = self.leader.as_deref().map(&port).transpose()?;
            Ok(LeaderChange {
                leader: leader.map(Some).or(self.none.then_some(None)),
                followers: self.followers.iter().map(|word| port(word)).collect::<Result<_, E>>()?,
                limit_w: self.limit,
            })
        }

        fn text(&self, is: &LeaderGroup, plug: &dyn Labels) -> Text {
            let name = plug.name();
            let Some(leader) = is.leader() else { return Text::line(format!("{name}: no port leads")) };
            let limit = is.limit_w.map_or("an unknown limit".into(), |watts| format!("{watts} W"));
            let followers = list(&is.followers());
            Text::line(format!("{name}: port {leader} leads port {followers} above {limit}"))
        }
    }
}
#[cfg(feature = "bridge")]
pub(super) use cli::Command;

#[cfg(test)]
mod tests {
    use super::super::tests::{guard, play};
    use super::super::{Conversation, open};
    use super::*;

    fn group(leader: u8, followers: &[u8]) -> LeaderGroup {
        let role = |port: u8| match port {
            port if port == leader => Role::Leader,
            port if followers.contains(&port) => Role::Follower,
            _ => Role::Neutral,
        };
        LeaderGroup { roles: (1..=6).map(role).collect(), limit_w: Some(5) }
    }

    #[test]
    fn no_leader_is_a_word_or_what_the_answer_says_and_a_missing_key_changes_nothing() {
        let leader = |text: &str| serde_json::from_str::<LeaderChange>(text).map(|change| change.leader).ok();
        for (text, wanted) in [
            (r#"{"leader":null}"#, Some(Some(None))),
            (r#"{"leader":"none"}"#, Some(Some(None))),
            (r#"{"leader":"2"}"#, Some(Some(Some(2)))),
            (r#"{"limit_w":5}"#, Some(None)),
            (r#"{"leader":"02"}"#, None),
        ] {
            assert_eq!(leader(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_leader_keeps_the_followers_there_are_and_locked_ports_follow_nobody() {
        let told = |group: &LeaderGroup| QueryReply::Leader(group.clone()).into();
        let lead = |leader, followers: &[u8]| LeaderChange {
            leader: Some(leader),
            followers: followers.into(),
            limit_w: None,
        };
        let play = |change, answers| play(change, guard(), answers);
        let (before, after) = (group(1, &[2, 3]), group(2, &[3]));
        let (asked, end) = play(lead(Some(2), &[]), vec![told(&before), told(&after)]);
        assert_eq!(asked[1], Query::Leader(Access::Write(after.clone())));
        assert_eq!(end, Ok(after));
        let none = group(0, &[]);
        assert_eq!(play(lead(None, &[]), vec![told(&before), told(&none)]).1, Ok(none.clone()));
        let refused = |change, told| play(change, told).1.expect_err("refused");
        assert!(refused(lead(None, &[2]), vec![told(&before)]).contains("leave the followers out"));
        assert!(refused(lead(Some(1), &[]), vec![told(&none)]).contains("followers"));
        assert!(refused(lead(Some(1), &[6]), vec![told(&none)]).contains("port 6"));
        assert!(refused(lead(Some(1), &[2]), vec![told(&none), told(&none)]).contains("no such change"));
        // Those that followed before it was ended.
        let guard = Guard { followed: vec![2, 3], ..guard() };
        let mut conversation = open(lead(Some(1), &[]), guard).expect("a conversation");
        let now = super::super::tests::now();
        assert_eq!(conversation.take(QueryReply::Leader(none), &now), Ok(None));
        assert_eq!(conversation.query(), Query::Leader(Access::Write(before)));
    }
}
