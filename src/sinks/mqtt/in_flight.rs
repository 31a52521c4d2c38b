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

/// Messages smaller than this are never too large: a state, with its topic.
const SMALL: usize = 128;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_larger_than_all_that_was_taken_is_suspected_unless_it_is_a_mere_state() {
        let mut way = InFlight::default();
        let mut send = |number: u16, size: usize| {
            way.handed.push_back(Sent { topic: "home/x".into(), size });
            way.sent(number);
            way.suspect().map(|sent| sent.size)
        };
        assert_eq!(send(1, 45), None, "a state");
        assert_eq!(send(2, 587), Some(587), "a broker may be told to take 400 bytes");
        assert_eq!(send(3, 90), Some(587));
        way.acked(2);
        assert_eq!(way.suspect(), None);
    }
}
