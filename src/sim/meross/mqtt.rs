//! A plug as the client of a broker: how it logs in and what it says first, step by step, as state without sockets.
//!
//! Knows the order of the conversation; the plug writes and signs the messages.

use super::kind::Kind;

/// Seconds between two tries to learn the time, or to be bound.
const AGAIN_S: u64 = 3;
/// Tries to learn the time before it starts anew.
const CLOCK_TRIES: u32 = 10;
/// How long a plug that wants its `ConsumptionConfig` back waits for it, in seconds.
const ECHO_S: u64 = 10;

/// How a plug logs in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// Its client id, longer than MQTT 3.1 allows.
    pub client_id: String,
    /// Its hardware address.
    pub username: String,
    /// User and hash.
    pub password: String,
    /// Seconds between two signs of life.
    pub keep_alive_s: u16,
    /// The topic it subscribes to, with QoS 1.
    pub subscribes: String,
}

/// What a plug does at its broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It publishes these bytes to this topic, with QoS 1.
    Publish(String, Vec<u8>),
    /// It closes the connection and calls again.
    Close,
    /// It gives up, starts anew and calls again.
    Reboot,
}

/// What it says next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Say {
    Clock,
    Bind,
    /// Its calibration.
    Config,
    Report,
    Time,
    Leave,
    Reboot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Not connected.
    Away,
    /// Wants to know the time.
    Clock { tries: u32, at: u64 },
    /// Wants to be bound.
    Bind { at: u64 },
    /// Talks.
    Up,
}

/// One connection.
#[derive(Clone, Debug)]
pub(super) struct Session {
    stage: Stage,
    asked: Option<String>,
    echo_until: Option<u64>,
    config_said: bool,
    deaf: bool,
}

impl Session {
    pub(super) fn new() -> Self {
        Self { stage: Stage::Away, asked: None, echo_until: None, config_said: false, deaf: false }
    }

    /// Is connected and subscribed.
    pub(super) fn connected(&mut self, kind: &Kind, second: u64) {
        let deaf = self.deaf;
        *self = Self::new();
        self.deaf = deaf;
        self.stage = match kind.ability.contains(&"System.Clock") {
            true => Stage::Clock { tries: 0, at: second },
            false => Stage::Bind { at: second },
        };
    }

    pub(super) fn lost(&mut self) {
        self.stage = Stage::Away;
    }

    pub(super) fn is_connected(&self) -> bool {
        self.stage != Stage::Away
    }

    /// Whether it hears and says nothing more though it is connected.
    pub(super) fn is_deaf(&self) -> bool {
        self.deaf
    }

    pub(super) fn set_deaf(&mut self, deaf: bool) {
        self.deaf = deaf;
    }

    /// What is to be said now.
    pub(super) fn say(&mut self, kind: &Kind, second: u64) -> Vec<Say> {
        if self.deaf {
            return Vec::new();
        }
        if self.echo_until.is_some_and(|until| second >= until) {
            self.lost();
            return vec![Say::Leave];
        }
        match self.stage {
            Stage::Clock { tries, .. } if tries >= CLOCK_TRIES => {
                self.lost();
                vec![Say::Reboot]
            }
            Stage::Clock { tries, at } if second >= at => {
                self.stage = Stage::Clock { tries: tries + 1, at: second + AGAIN_S };
                vec![Say::Clock]
            }
            Stage::Bind { at } if second >= at => {
                let mut said = vec![Say::Bind];
                if !self.config_said && kind.ability.contains(&"Control.ConsumptionConfig") {
                    self.config_said = true;
                    self.echo_until = kind.wants_echo.then_some(second + ECHO_S);
                    said.push(Say::Config);
                }
                // Old firmware says it and waits for nothing.
                match kind.modern {
                    true => self.stage = Stage::Bind { at: second + AGAIN_S },
                    false => {
                        self.stage = Stage::Up;
                        said.extend([Say::Report, Say::Time]);
                    }
                }
                said
            }
            Stage::Away | Stage::Clock { .. } | Stage::Bind { .. } | Stage::Up => Vec::new(),
        }
    }

    /// The id of what was said last and wants an answer.
    pub(super) fn asked(&mut self, message_id: &str) {
        self.asked = Some(message_id.into());
    }

    /// Whether this is the answer to its question about the time; it then goes on.
    pub(super) fn hears_clock(&mut self, second: u64, message_id: &str) -> bool {
        let waits = matches!(self.stage, Stage::Clock { .. }) && self.asked.as_deref() == Some(message_id);
        if waits {
            self.stage = Stage::Bind { at: second };
        }
        waits
    }

    /// Whether this is the answer to its wish to be bound; it then goes on.
    pub(super) fn hears_bound(&mut self, message_id: &str) -> bool {
        let waits = matches!(self.stage, Stage::Bind { .. }) && self.asked.as_deref() == Some(message_id);
        if waits {
            self.stage = Stage::Up;
        }
        waits
    }

    /// Its calibration came back.
    pub(super) fn hears_echo(&mut self) {
        self.echo_until = None;
    }
}
