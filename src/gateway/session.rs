//! One connection of a plug as state without sockets: what follows from a packet. Owns which topics a plug may use.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;

use super::codec::{Connect, Delivery, Level, Packet, QoS, REFUSED};
use super::login::{Identity, Keys, Refusal, Uuid};

/// The longest a plug may be silent that promises no sign of life, or one in many hours.
const LONGEST_SILENCE: Duration = Duration::from_secs(30 * 60);

/// Packets that a plug may send at once, and how many a second after that; more are read later.
const BURST: u32 = 60;
const PER_SECOND: u32 = 10;

/// Return codes of a CONNACK.
const ACCEPTED: u8 = 0;
const WRONG_VERSION: u8 = 1;
const NAME_REFUSED: u8 = 2;
const BUSY: u8 = 3;
const NOT_AUTHORISED: u8 = 5;

/// What follows from a packet: first the message is handed on, then the answer is sent, then it ends.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Step<'a> {
    /// What the plug says to the bridge: topic and payload.
    pub message: Option<(&'a str, &'a [u8])>,
    /// What is sent back.
    pub answer: Option<Packet<'static>>,
    /// It said something to a topic that is not its own.
    pub ignored: bool,
    /// The connection ends.
    pub end: Option<End>,
}

/// Why a connection ends, besides those of sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// It has said goodbye.
    #[error("it has left")]
    Left,
    /// It is not let in.
    #[error("{0}")]
    Refused(Refusal),
    /// It speaks MQTT 5, or something else.
    #[error("it speaks MQTT level {0}; plugs speak 3 or 4")]
    Version(u8),
    /// Something else than CONNECT came first, or a second one.
    #[error("it does not keep to the order of MQTT")]
    Order,
    /// A message with QoS 2.
    #[error("it wants QoS 2, which no plug does")]
    ExactlyOnce,
}

/// One connection.
#[derive(Debug, Default)]
pub struct Session {
    plug: Option<Identity>,
    subscribed: bool,
    keep_alive_s: u16,
}

impl Session {
    /// Who it is, once it is let in.
    pub fn plug(&self) -> Option<&Identity> {
        self.plug.as_ref()
    }

    /// The topic of its commands, once it wants them.
    pub fn commands(&self) -> Option<String> {
        let plug = self.plug.as_ref().filter(|_| self.subscribed)?;
        Some(command_topic(&plug.spelling))
    }

    /// How long it may be silent: one and a half times what it promised.
    pub fn silence(&self) -> Duration {
        match self.keep_alive_s {
            0 => LONGEST_SILENCE,
            seconds => LONGEST_SILENCE.min(Duration::from_millis(1500) * seconds.into()),
        }
    }

    /// Hears a packet.
    pub fn hear<'a>(&mut self, packet: &Packet<'a>, keys: &Keys) -> Step<'a> {
        match (&self.plug, packet) {
            (None, Packet::Connect(connect)) => self.connect(connect, keys),
            (None, Packet::Foreign(level)) => turned_away(WRONG_VERSION, End::Version(*level)),
            (Some(plug), Packet::Publish(publish)) => {
                let answer = match publish.delivery {
                    Delivery::AtMostOnce => None,
                    Delivery::AtLeastOnce(id) => Some(Packet::PubAck(id)),
                    Delivery::ExactlyOnce(_) => return ends(End::ExactlyOnce),
                };
                let own = may_publish(plug, publish.topic);
                let message = own.then_some((publish.topic, publish.payload));
                Step { message, answer, ignored: !own, end: None }
            }
            (Some(plug), Packet::Subscribe(id, topics)) => {
                let commands = command_topic(&plug.spelling);
                let (mut subscribed, level) = (false, plug.level);
                let mut grant = |(topic, qos): &(&str, QoS)| {
                    let own = topic.eq_ignore_ascii_case(&commands);
                    subscribed |= own;
                    match (own, level) {
                        // Commands go out once, over one connection.
                        (true, _) => 0,
                        (false, Level::V311) => REFUSED,
                        // MQTT 3.1 cannot refuse; nothing is ever said there.
                        (false, Level::V31) => u8::from(*qos > QoS::AtMostOnce),
                    }
                };
                let codes = topics.iter().map(&mut grant).collect();
                self.subscribed |= subscribed;
                answers(Packet::SubAck(*id, codes))
            }
            (Some(plug), Packet::Unsubscribe(id, topics)) => {
                let commands = command_topic(&plug.spelling);
                self.subscribed &= !topics.iter().any(|topic| topic.eq_ignore_ascii_case(&commands));
                answers(Packet::UnsubAck(*id))
            }
            (Some(_), Packet::PingReq) => answers(Packet::PingResp),
            (Some(_), Packet::Disconnect) => ends(End::Left),
            // To what was never asked.
            (Some(_), Packet::PubAck(_)) => Step::default(),
            (Some(_), Packet::ExactlyOnce(..)) => ends(End::ExactlyOnce),
            (None, _)
            | (
                Some(_),
                Packet::Connect(_)
                | Packet::Foreign(_)
                | Packet::ConnAck(_)
                | Packet::SubAck(..)
                | Packet::UnsubAck(_)
                | Packet::PingResp,
            ) => ends(End::Order),
        }
    }

    fn connect(&mut self, connect: &Connect<'_>, keys: &Keys) -> Step<'static> {
        match keys.admit(connect) {
            Ok(plug) => {
                (self.plug, self.keep_alive_s) = (Some(plug), connect.keep_alive_s);
                answers(Packet::ConnAck(ACCEPTED))
            }
            Err(refusal) => {
                let code = if refusal == Refusal::Name { NAME_REFUSED } else { NOT_AUTHORISED };
                turned_away(code, End::Refused(refusal))
            }
        }
    }
}

/// What a plug is told for which there is no place.
pub fn busy() -> Packet<'static> {
    Packet::ConnAck(BUSY)
}

fn answers(packet: Packet<'static>) -> Step<'static> {
    Step { answer: Some(packet), ..Step::default() }
}

fn ends(end: End) -> Step<'static> {
    Step { end: Some(end), ..Step::default() }
}

fn turned_away(code: u8, end: End) -> Step<'static> {
    Step { answer: Some(Packet::ConnAck(code)), end: Some(end), ..Step::default() }
}

fn command_topic(uuid: &str) -> String {
    format!("/appliance/{uuid}/subscribe")
}

/// The plug whose commands go to this topic.
pub fn commanded(topic: &str) -> Option<Uuid> {
    Uuid::new(topic.strip_prefix("/appliance/")?.strip_suffix("/subscribe")?)
}

/// Its own topic, and those to which it was asked to answer.
fn may_publish(plug: &Identity, topic: &str) -> bool {
    let own = topic.strip_prefix("/appliance/").and_then(|rest| rest.strip_suffix("/publish"));
    own.is_some_and(|uuid| uuid.eq_ignore_ascii_case(plug.uuid.as_str()))
        || topic.strip_prefix("/app/").is_some_and(|rest| !rest.is_empty())
}

/// How many packets may still be read; all of them at first.
#[derive(Debug, Default)]
pub struct Allowance {
    /// When what was read will have been allowed for, in time since the connection began.
    paid: Duration,
}

impl Allowance {
    const EACH: Duration = Duration::from_millis(1000 / PER_SECOND as u64);

    /// A packet was read; how long the next one has to wait.
    pub fn take(&mut self, now: Duration) -> Duration {
        self.paid = self.paid.max(now) + Self::EACH;
        self.paid.saturating_sub(now + Self::EACH * (BURST - 1))
    }
}

#[cfg(test)]
mod tests;
