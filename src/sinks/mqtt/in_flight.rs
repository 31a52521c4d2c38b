//! Messages on their way to the broker: which was sent last, and which may have been too large. Pure.

use std::collections::{BTreeMap, VecDeque};

/// A message as it went out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) topic: String,
    /// Bytes of topic and payload.
    pub(super) size: usize,
}

/// Messages on their way to the broker.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    /// Handed over, oldest first.
    pub(super) handed: VecDeque<Sent>,
    /// Sent and not acknowledged, by their numbers.
    open: BTreeMap<u16, Sent>,
    pub(super) last: Sent,
    /// The size of the largest acknowledged.
    acked: usize,
}

/// Messages smaller than this are never too large.
const SMALL: usize = 1024;

impl InFlight {
    pub(super) fn sent(&mut self, number: u16) {
        if let Some(sent) = self.handed.pop_front() {
            self.last = sent.clone();
            self.open.insert(number, sent);
        }
    }

    pub(super) fn acked(&mut self, number: u16) {
        let size = self.open.remove(&number).map_or(0, |sent| sent.size);
        self.acked = self.acked.max(size);
    }

    pub(super) fn suspect(&self) -> Option<Sent> {
        let largest = self.open.values().max_by_key(|sent| sent.size)?;
        (largest.size > self.acked.max(SMALL)).then(|| largest.clone())
    }
}
