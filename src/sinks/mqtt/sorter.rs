//! Sorts what the broker sends, in the task that polls the connection: orders go straight to the
//! hub, the rest to the session. Never waits.

use super::incoming::{self, Incoming, Topic};
use crate::model::Order;
use tokio::sync::mpsc;

/// What the polling task hands on instead of dealing with it itself.
#[derive(Debug)]
pub(super) enum Received {
    /// A command or request found retained on this topic.
    Retained(String),
    /// An order that found the hub's desk full.
    Full(Order),
    /// An order went through; its topic may hold a retained copy.
    Obeyed(String),
    /// Anything else that is not for the hub.
    Other(Incoming),
    /// Home Assistant started.
    Birth,
    /// A discovery topic was emptied.
    Emptied(String),
}

/// Sorts what comes in, in the polling task: orders go straight to the hub.
pub(super) struct Sorter {
    pub(super) base: String,
    pub(super) prefix: String,
    pub(super) birth_topic: String,
    pub(super) allow_admin: bool,
    pub(super) orders: mpsc::Sender<Order>,
}

impl Sorter {
    pub(super) fn sort(&self, topic: &str, payload: &[u8], retain: bool) -> Option<Received> {
        if topic == self.birth_topic {
            return (!retain && payload == b"online").then_some(Received::Birth);
        }
        let Some(parts) = incoming::topic(&self.base, topic) else {
            let ours = topic.strip_prefix(&self.prefix).is_some_and(|rest| rest.ends_with("/config"));
            return (ours && !retain && payload.is_empty()).then(|| Received::Emptied(topic.into()));
        };
        if payload.is_empty() && !matches!(parts, Topic::Get(_)) {
            // Somebody, most likely we, cleared a retained command or request.
            return None;
        }
        if retain {
            return Some(Received::Retained(topic.into()));
        }
        match incoming::incoming(&parts, payload, self.allow_admin) {
            Incoming::Order(order) => Some(match self.orders.try_send(order) {
                Ok(()) => Received::Obeyed(topic.into()),
                Err(mpsc::error::TrySendError::Full(order) | mpsc::error::TrySendError::Closed(order)) => {
                    Received::Full(order)
                }
            }),
            Incoming::Nothing => None,
            other @ (Incoming::Own(_) | Incoming::Bad(..) | Incoming::BadRequest(..)) => {
                Some(Received::Other(other))
            }
        }
    }
}
