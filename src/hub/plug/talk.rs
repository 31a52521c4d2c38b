//! A conversation with a plug, and what it is about.

use crate::model::{Endpoint, MAX_PORTS, Now, PerPort, PortReading, Query, Reading};
use std::time::Duration;

/// A conversation with a plug.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) began: Duration,
    /// Where the plug was then.
    pub(super) place: Endpoint,
    pub(super) about: About,
    /// How its relays stood by what it said unasked meanwhile, port 1 first.
    pushed: Vec<Option<bool>>,
}

impl Talk {
    pub(super) fn begin(now: &Now, place: Endpoint, about: About) -> Self {
        Self { began: now.up, place, about, pushed: Vec::new() }
    }

    /// It has said this unasked meanwhile.
    pub(super) fn note(&mut self, reading: &Reading) {
        let told = reading.ports.len().min(MAX_PORTS);
        self.pushed.resize(self.pushed.len().max(told), None);
        for (pushed, port) in self.pushed.iter_mut().zip(&reading.ports) {
            *pushed = port.relay.or(*pushed);
        }
    }

    /// What it has said unasked is not how its ports are by what it was asked: one of them is older.
    pub(super) fn is_overtaken(&self, ports: &[PortReading]) -> bool {
        let stands = |port| ports.port(port).and_then(|port| port.relay);
        (1u8..).zip(&self.pushed).any(|(port, pushed)| pushed.is_some() && *pushed != stands(port))
    }
}

/// What a conversation is about.
#[derive(Debug, PartialEq)]
pub(super) enum About {
    Poll,
    Command,
    /// The plug's own record.
    History,
    /// Its clock, which shows restarts.
    Clock,
    /// A request that somebody waits for.
    Request,
    /// What is asked rarely.
    SlowPoll(Query),
}
