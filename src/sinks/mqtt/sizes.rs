//! How large messages may be. What is larger than the broker takes is left out and told, so that
//! everything else flows. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::session::{Outgoing, Session};
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

/// The reason under which messages that are too large are a problem.
const REASON: &str = "too_large";

/// What is known of sizes.
#[derive(Debug, Default)]
pub(super) struct Sizes {
    /// The broker takes no more.
    limit: Option<usize>,
    /// The largest message that was to be said.
    largest: usize,
    /// Messages of this size are known to pass.
    proven: usize,
    /// Whether it was asked on this connection.
    asked: bool,
    left_out: BTreeMap<String, usize>,
}

impl Sizes {
    /// What belongs to one connection begins anew.
    pub(super) fn connected(&mut self) {
        self.asked = false;
    }
}

impl Session {
    /// Whether a message may be said; else it is left out and told.
    pub(super) fn fits(&mut self, topic: &str, size: usize, retain: bool) -> bool {
        let sizes = &mut self.sizes;
        sizes.largest = sizes.largest.max(size.min(MAX_MESSAGE));
        let limit = sizes.limit.unwrap_or(MAX_MESSAGE);
        if size <= limit {
            if sizes.left_out.remove(topic).is_some() {
                self.tell_sizes();
            }
            return true;
        }
        if !sizes.left_out.contains_key(topic) {
            warn!(topic, size, limit, "message not published: larger than the broker accepts");
        }
        if !retain {
            return false;
        }
        if sizes.left_out.len() < MAX_LEFT_OUT || sizes.left_out.contains_key(topic) {
            sizes.left_out.insert(topic.to_owned(), size);
        }
        self.tell_sizes();
        false
    }

    /// Says what is left out, and what to do about it.
    fn tell_sizes(&mut self) {
        let left_out = &self.sizes.left_out;
        let named: Vec<String> =
            left_out.iter().take(NAMED).map(|(topic, size)| format!("{topic} ({size} bytes)")).collect();
        let more = if left_out.len() > NAMED { ", ..." } else { "" };
        let limit = self.sizes.limit.unwrap_or(MAX_MESSAGE);
        let sentence = (!left_out.is_empty()).then(|| {
            format!(
                "{} messages are left out because the broker takes none of more than {limit} bytes: {}{more}; raise \
                 its limit (mosquitto: max_packet_size, message_size_limit), or make them smaller with \
                 home_assistant.discovery = \"component\"",
                left_out.len(),
                named.join(", "),
            )
        });
        self.set_problem(REASON, sentence);
    }

    /// Everything has been told: has it arrived? Asked once in a connection, for sizes not seen before.
    pub(super) fn weigh(&mut self) {
        let sizes = &mut self.sizes;
        let grown = sizes.largest > SURE.max(sizes.proven + sizes.proven / 4);
        if self.told.online_said && !sizes.asked && (grown || sizes.limit.is_some()) {
            sizes.asked = true;
            let wanted = sizes.largest;
            self.send(Outgoing::Measure(wanted));
        }
    }

    /// A message of `wanted` bytes, or only one of `passes` bytes, is taken by the broker.
    pub(super) fn measured(&mut self, wanted: usize, passes: usize) {
        let before = self.sizes.limit;
        self.sizes.proven = passes;
        self.sizes.limit = (passes < wanted).then_some(passes);
        if self.sizes.limit == before {
            return;
        }
        match self.sizes.limit {
            Some(limit) => warn!(
                "the broker accepts no message of more than {limit} bytes; larger ones are not published (mosquitto: \
                 max_packet_size, message_size_limit)"
            ),
            None => {
                info!("the broker accepts messages of {wanted} bytes now; publishing what was left out");
                self.sizes.left_out.clear();
                self.tell_sizes();
            }
        }
        // What was said may have been dropped, and what was left out may go now.
        self.told.birth_at.get_or_insert(self.now.up);
    }
}
