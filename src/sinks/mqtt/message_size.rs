//! How large messages may be. What is larger than the broker takes is left out and told, so that
//! everything else flows. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use tracing::{info, warn};

/// No message is larger than this, with its topic, which is 2 MiB less a page: brokers take no more, the
/// built-in one among them.
pub(super) const MAX_MESSAGE: usize = 2_093_056;

/// Every broker takes this much.
const SURE: usize = 2048;

/// Messages left out that are remembered.
const MAX_LEFT_OUT: usize = 256;

/// Of those, so many are named.
const NAMED: usize = 3;

/// What is known of sizes.
#[derive(Debug, Default)]
pub(super) struct MessageSizes {
    /// The broker takes no more.
    limit: Option<usize>,
    /// The largest message that was to be said.
    largest: usize,
    /// Messages of this size are known to pass.
    proven: usize,
    /// Whether it was asked on this connection.
    asked: bool,
    left_out: BTreeMap<String, usize>,
    /// What is left out has changed since that was asked last.
    changed: bool,
}

impl MessageSizes {
    /// What belongs to one connection begins anew.
    pub(super) fn connected(&mut self) {
        self.asked = false;
    }

    /// Whether a message may be published; else it is left out, which is a [`problem`](Self::problem).
    pub(super) fn fits(&mut self, topic: &str, size: usize, retain: bool) -> bool {
        self.largest = self.largest.max(size.min(MAX_MESSAGE));
        let limit = self.limit.unwrap_or(MAX_MESSAGE);
        if size <= limit {
            self.changed |= self.left_out.remove(topic).is_some();
            return true;
        }
        if !self.left_out.contains_key(topic) {
            warn!(topic, size, limit, "message not published: larger than the broker accepts");
        }
        if retain && (self.left_out.len() < MAX_LEFT_OUT || self.left_out.contains_key(topic)) {
            self.left_out.insert(topic.to_owned(), size);
            self.changed = true;
        }
        false
    }

    /// The broker does not take all that is to be published.
    pub(super) fn leaves_out(&self) -> bool {
        !self.left_out.is_empty()
    }

    /// What is left out and what to do about it, if that has changed; `None` in it when nothing is any more.
    pub(super) fn problem(&mut self) -> Option<Option<String>> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        let left_out = self.left_out.iter().take(NAMED);
        let named: Vec<String> = left_out.map(|(topic, size)| format!("{topic} ({size} bytes)")).collect();
        let more = if self.left_out.len() > NAMED { ", ..." } else { "" };
        let limit = self.limit.unwrap_or(MAX_MESSAGE);
        Some((!self.left_out.is_empty()).then(|| {
            format!(
                "{} messages are left out because the broker takes none of more than {limit} bytes: {}{more}; raise \
                 its limit (mosquitto: max_packet_size, message_size_limit), or make them smaller with \
                 home_assistant.discovery = \"component\"",
                self.left_out.len(),
                named.join(", "),
            )
        }))
    }

    /// Everything has been published: the size of a message to find out whether it has arrived. Asked once in a
    /// connection, for sizes not seen before.
    pub(super) fn probe(&mut self) -> Option<usize> {
        let grown = self.largest > SURE.max(self.proven + self.proven / 4);
        let asks = !self.asked && (grown || self.limit.is_some());
        self.asked |= asks;
        asks.then_some(self.largest)
    }

    /// A message of `wanted` bytes, or only one of `passes` bytes, is taken by the broker. Whether that changes
    /// anything: what was published may have been dropped, and what was left out may go now.
    pub(super) fn measured(&mut self, wanted: usize, passes: usize) -> bool {
        let before = self.limit;
        self.proven = passes;
        self.limit = (passes < wanted).then_some(passes);
        if self.limit == before {
            return false;
        }
        match self.limit {
            Some(limit) => warn!(
                "the broker accepts no message of more than {limit} bytes; larger ones are not published (mosquitto: \
                 max_packet_size, message_size_limit)"
            ),
            None => {
                info!("the broker accepts messages of {wanted} bytes now; publishing what was left out");
                self.left_out.clear();
                self.changed = true;
            }
        }
        true
    }
}
