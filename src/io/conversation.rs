//! The course of one conversation, pure: the dialect says what to send, this says when to send it
//! again, when to stop listening and when it is over. `exchange.rs` carries it out on sockets, the
//! simulation in `tests/simulation` without.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::drivers::{Dialect, MAX_STEPS, Message, Reply, Step};
use crate::model::{Backoff, DeviceRequest, DeviceResponse, Failure, Now};
use std::time::Duration;

/// Pause before a datagram is sent again; no conversation takes longer than the longest.
const AGAIN: Backoff = Backoff::doubling(Duration::from_millis(250), Duration::from_secs(3600));

/// What is to be done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Turn {
    /// Send this, and hand in what comes back. A datagram gets a socket of its own, so that no late
    /// answer to an earlier one can be taken for an answer to this.
    Send(Message),
    /// Send the datagram of this step once more.
    Again,
    /// Go on listening.
    Listen,
    /// It is over.
    Over(Box<Result<DeviceResponse, Failure>>),
}

/// One conversation under way.
#[derive(Debug)]
pub struct Conversation {
    /// When it ends at the latest, in [`Now::up`].
    deadline: Duration,
    requests: u32,
    /// When the step it is at ends.
    until: Duration,
    /// The step is a datagram: when it is sent again, and how often it was.
    again: Option<(Duration, u32)>,
    /// What was heard instead of the answer to the datagram.
    stray: Option<Failure>,
    /// Why the transport could not get there, the last time it could not.
    unreachable: Option<Failure>,
}

impl Conversation {
    /// Begins; it will take no longer than `limit`.
    pub fn begin(dialect: &mut dyn Dialect, ask: &DeviceRequest, limit: Duration, now: &Now) -> (Self, Turn) {
        let deadline = now.up + limit;
        let mut conversation =
            Self { deadline, requests: 0, until: deadline, again: None, stray: None, unreachable: None };
        let step = dialect.start(ask, now);
        let turn = conversation.step(Ok(step), now);
        (conversation, turn)
    }

    /// Requests sent so far; repetitions do not count.
    pub fn requests(&self) -> u32 {
        self.requests
    }

    /// When to come back with [`time`](Self::time), in [`Now::up`].
    pub fn wake_at(&self) -> Duration {
        self.again.map_or(self.until, |(at, _)| at.min(self.until))
    }

    /// Takes what came back, or why nothing did.
    pub fn hear(&mut self, dialect: &mut dyn Dialect, reply: Result<&[u8], Failure>, now: &Now) -> Turn {
        let failure = match reply {
            Ok(bytes) => {
                return match dialect.handle_response(Reply::Bytes(bytes), now) {
                    // Strays and answers that make no sense are passed over until the time is up.
                    Err(failure @ (Failure::InvalidResponse(_) | Failure::WrongDevice(_)))
                        if self.again.is_some() =>
                    {
                        self.stray = Some(failure);
                        Turn::Listen
                    }
                    heard => self.step(heard, now),
                };
            }
            Err(failure) => self.stray.take().unwrap_or(failure),
        };
        let reply = match failure {
            Failure::Closed => Reply::Closed,
            Failure::Timeout => Reply::Timeout,
            Failure::Unreachable(_) => {
                self.unreachable = Some(failure);
                Reply::Unreachable
            }
            // The transport itself could make nothing of it.
            Failure::InvalidResponse(_) | Failure::WrongDevice(_) | Failure::Rejected(_) => {
                return Turn::Over(Box::new(Err(failure)));
            }
        };
        self.step(dialect.handle_response(reply, now), now)
    }

    /// The time named by [`wake_at`](Self::wake_at) has come.
    pub fn time(&mut self, dialect: &mut dyn Dialect, now: &Now) -> Turn {
        if now.up >= self.until {
            return self.hear(dialect, Err(Failure::Timeout), now);
        }
        match &mut self.again {
            Some((at, sent)) if *at <= now.up => {
                *sent += 1;
                *at = now.up + AGAIN.pause(*sent);
                Turn::Again
            }
            _ => Turn::Listen,
        }
    }

    fn step(&mut self, heard: Result<Step, Failure>, now: &Now) -> Turn {
        let request = match heard {
            Ok(Step::Send(request)) => request,
            Ok(Step::Done(answer)) => return Turn::Over(Box::new(Ok(*answer))),
            // The transport knows better why it could not get there.
            Err(Failure::Unreachable(theirs)) => {
                let failure = self.unreachable.take().unwrap_or(Failure::Unreachable(theirs));
                return Turn::Over(Box::new(Err(failure)));
            }
            Err(failure) => return Turn::Over(Box::new(Err(failure))),
        };
        let timeout = request.timeout.min(self.deadline.saturating_sub(now.up));
        if self.requests >= MAX_STEPS || timeout.is_zero() {
            return Turn::Over(Box::new(Err(Failure::Timeout)));
        }
        self.requests += 1;
        self.until = now.up + timeout;
        self.again = matches!(request.what, Message::Datagram(_)).then_some((now.up + AGAIN.first, 0));
        self.stray = None;
        Turn::Send(request.what)
    }
}

#[cfg(test)]
mod tests;
