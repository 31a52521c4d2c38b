//! One command from when it is handed in until its result is told, which may have to wait for the
//! disk: a return that a result promises, or ends, is written down first.

use super::returns::{Timed, UNNUMBERED};
use crate::model::{Asker, Cause, CommandError, CommandResult, Now, PlugId, SwitchOrder};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A result waits no longer than this for the disk, once the command's own time is up.
const TIMEOUT: Duration = Duration::from_secs(2);

/// One command as it was handed in.
#[derive(Debug)]
pub(super) struct Command {
    asker: Asker,
    arrived: Duration,
    pub(super) hold: Option<Duration>,
    /// All ports it is about.
    ports: BTreeSet<u8>,
    open: BTreeSet<u8>,
    error: Option<(CommandError, Option<u8>)>,
    detail: Option<String>,
    requests: u32,
    attempts: u32,
    pub(super) cause: Cause,
    /// Its own time is up.
    pub(super) deadline: Duration,
    /// Nothing is sent before this change is written; 0 when it is, or needs not be.
    pub(super) held: u64,
    /// Its result is not told before this change is written.
    pub(super) gate: u64,
    /// The returns it has taken the place of.
    pub(super) replaced: BTreeMap<u8, Option<Timed>>,
}

impl Command {
    pub(super) fn new(now: &Now, cause: Cause, ports: BTreeSet<u8>) -> Self {
        Self {
            asker: Asker::default(),
            arrived: now.up,
            hold: None,
            open: ports.clone(),
            ports,
            error: None,
            detail: None,
            requests: 0,
            attempts: 0,
            cause,
            deadline: now.up,
            held: 0,
            gate: 0,
            replaced: BTreeMap::new(),
        }
    }

    /// One that was ordered, or refused.
    pub(super) fn ordered(
        now: &Now,
        order: &SwitchOrder,
        ports: BTreeSet<u8>,
        refused: Option<(CommandError, Option<u8>)>,
    ) -> Self {
        let asker = order.asker.clone();
        let cause = Cause::Command(asker.origin);
        Self { asker, hold: order.hold, error: refused, ..Self::new(now, cause, ports) }
    }

    /// No port of it waits any more.
    pub(super) fn is_over(&self) -> bool {
        self.open.is_empty()
    }

    /// This port is done, or will not be.
    pub(super) fn close(&mut self, port: u8) {
        self.open.remove(&port);
    }

    pub(super) fn has_failed(&self) -> bool {
        self.error.is_some()
    }

    /// It has failed at this port; what it failed at first counts.
    pub(super) fn fail(&mut self, port: u8, error: CommandError) {
        self.error.get_or_insert((error, Some(port)));
    }

    /// Why it fails, in words.
    pub(super) fn explain(&mut self, why: &str) {
        self.detail = Some(why.into());
    }

    /// One of its ports was sent for the so-manieth time.
    pub(super) fn sent(&mut self, attempts: u32) {
        self.attempts = self.attempts.max(attempts);
    }

    /// So many more requests went out for it.
    pub(super) fn count(&mut self, requests: u32) {
        self.requests += requests;
    }

    pub(super) fn unnumbered(&self) -> bool {
        self.gate == UNNUMBERED
    }

    pub(super) fn number(&mut self, number: u64) {
        self.held = self.held.min(number);
        self.gate = self.gate.min(number);
    }

    /// Changes up to this number are written.
    pub(super) fn written(&mut self, number: u64) {
        for waits in [&mut self.held, &mut self.gate] {
            *waits = if *waits <= number { 0 } else { *waits };
        }
    }

    /// When its result is told at the latest.
    pub(super) fn timeout(&self) -> Duration {
        self.deadline + TIMEOUT
    }

    /// Its result, and whether to keep quiet about it (what the bridge does by itself).
    pub(super) fn result(
        self,
        plug: &PlugId,
        now: &Now,
        state: impl Fn(u8) -> Option<bool>,
    ) -> (CommandResult, bool) {
        let result = CommandResult {
            plug: plug.clone(),
            asker: self.asker,
            ports: self.ports.iter().map(|&port| (port, state(port))).collect(),
            error: self.error,
            detail: self.detail,
            latency: now.up.saturating_sub(self.arrived),
            requests: self.requests,
            attempts: self.attempts,
            unix_ms: now.unix_ms,
        };
        (result, !matches!(self.cause, Cause::Command(_)))
    }
}
