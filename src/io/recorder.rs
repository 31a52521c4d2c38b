//! Listens in on conversations, for recordings: a dialect around a dialect.

use super::line::Line;
use crate::drivers::{Dialect, Message, Reply, Step};
use crate::model::{DeviceRequest, Failure, Now};
use std::sync::{Arc, Mutex, PoisonError};

/// What was heard of a plug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// These bytes: the body of a reply, or a datagram.
    Bytes(Vec<u8>),
    /// It closed the connection without a word.
    Closed,
    /// Nobody listens there.
    Unreachable,
    /// Nothing.
    Silent,
}

/// A question and what came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// What was sent.
    pub sent: Message,
    /// What was heard.
    pub heard: Heard,
}

/// Exchanges in the order in which they took place. Clones are the same log.
#[derive(Debug, Clone, Default)]
pub struct Log(Arc<Mutex<Vec<Exchange>>>);

impl Log {
    /// Adds an exchange.
    pub fn add(&self, sent: Message, heard: Heard) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Exchange { sent, heard });
    }

    /// All of them so far.
    pub fn all(&self) -> Vec<Exchange> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Tap {
    inner: Box<dyn Dialect>,
    log: Log,
    sent: Option<Message>,
}

impl Tap {
    fn note(&mut self, step: &Step) {
        self.sent = match step {
            Step::Send(request) => Some(request.what.clone()),
            Step::Done(_) => None,
        };
    }
}

impl Dialect for Tap {
    fn start(&mut self, ask: &DeviceRequest, now: &Now) -> Step {
        let step = self.inner.start(ask, now);
        self.note(&step);
        step
    }

    fn handle_response(&mut self, reply: Reply<'_>, now: &Now) -> Result<Step, Failure> {
        let heard = match reply {
            Reply::Bytes(bytes) => Heard::Bytes(bytes.to_vec()),
            Reply::Closed => Heard::Closed,
            Reply::Unreachable => Heard::Unreachable,
            Reply::Timeout => Heard::Silent,
        };
        if let Some(sent) = self.sent.clone() {
            self.log.add(sent, heard);
        }
        // After an error the question stands: another answer to it may come.
        let step = self.inner.handle_response(reply, now)?;
        self.note(&step);
        Ok(step)
    }

    fn reset_session(&mut self) {
        self.inner.reset_session();
    }
}

impl Line {
    /// The same line with somebody listening in.
    pub fn tapped(self, log: &Log) -> Self {
        let log = log.clone();
        self.around(|inner| Box::new(Tap { inner, log, sent: None }))
    }
}
