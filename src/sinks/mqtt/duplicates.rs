//! Messages that a broker delivers a second time on one connection. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Deliveries remembered; brokers have far fewer on their way at one time.
const MAX_REMEMBERED: usize = 1024;

/// What came in lately on one connection.
#[derive(Debug, Default)]
pub(super) struct Duplicates {
    /// Packet identifiers and what came under them.
    seen: VecDeque<(u16, u64)>,
}

impl Duplicates {
    /// Whether this is a delivery of before once more: marked so by the broker, with the packet
    /// identifier and the content it had then. Everything else is remembered.
    pub(super) fn again(&mut self, marked: bool, packet: u16, topic: &str, payload: &[u8]) -> bool {
        let mut hasher = DefaultHasher::new();
        (topic, payload).hash(&mut hasher);
        let delivery = (packet, hasher.finish());
        // Numbers come round: only what came last under this one counts.
        let last = self.seen.iter().rev().find(|(number, _)| *number == packet);
        if marked && last == Some(&delivery) {
            return true;
        }
        if self.seen.len() >= MAX_REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(delivery);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_marked_and_was_delivered_under_the_same_number_is_a_repetition() {
        let mut duplicates = Duplicates::default();
        let mut again = |marked, packet, payload: &[u8]| duplicates.again(marked, packet, "a/1/set", payload);
        assert!(!again(true, 7, b"TOGGLE"), "the first that is seen of it");
        assert!(again(true, 7, b"TOGGLE"));
        assert!(again(true, 7, b"TOGGLE"), "as often as it comes");
        assert!(!again(true, 8, b"TOGGLE"), "another one");
        assert!(!again(false, 7, b"TOGGLE"), "numbers come round");
        assert!(!again(true, 7, b"ON"), "no delivery changes what it delivers");
        assert!(!again(true, 7, b"TOGGLE"), "something else came under this number since");
    }

    #[test]
    fn it_remembers_a_bounded_number() {
        let mut duplicates = Duplicates::default();
        for packet in 0..=u16::MAX {
            duplicates.again(false, packet, "a/1/set", b"ON");
        }
        assert_eq!(duplicates.seen.len(), MAX_REMEMBERED);
        assert!(duplicates.again(true, u16::MAX, "a/1/set", b"ON"));
    }
}
