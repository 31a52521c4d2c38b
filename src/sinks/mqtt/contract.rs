//! What a session is told, and what it wants sent or done.

use super::peers::Peer;
use super::router::Received;
use crate::model::{HubRequest, Notification, View};
use serde_json::Value;
use std::sync::Arc;

/// What a session is told.
#[derive(Debug)]
pub enum Input {
    /// The broker accepted us; this is the picture. Whatever was before is over: everything is said
    /// anew.
    Connected(Arc<View>),
    /// Answer to the oldest subscription without one: the positions that were refused.
    Subscribed(Vec<usize>),
    /// Something received that is not for the hub.
    Received(Received),
    /// The picture has changed.
    Shown(Arc<View>),
    /// The hub tells something once.
    Notification(Arc<Notification>),
    /// A line for `bridge/log`.
    Line(Value),
    /// What [`Outgoing::LookAround`] brought: all retained topics that may be ours, or why there
    /// are none.
    Looked(Result<Vec<String>, String>),
    /// What [`Outgoing::Measure`] brought: of a message of `wanted` bytes the broker takes `passes`.
    Measured {
        /// What was asked for.
        wanted: usize,
        /// The largest size that passes; less when `wanted` does not.
        passes: usize,
    },
    /// The broker does not retain messages of ours, and why; or it does again.
    Refused(Option<String>),
    /// One connection after the other has soon ended, and why that may be.
    Unsteady(String),
    /// The time named by [`Session::wake_at`](super::session::Session::wake_at) has come.
    Tick,
    /// The program stops: one last word.
    Stop,
}

/// What a session wants sent or done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Outgoing {
    /// A message, QoS 1.
    Publish {
        /// Its topic.
        topic: String,
        /// Its payload.
        payload: String,
        /// Whether the broker keeps it.
        retain: bool,
    },
    /// A subscription, QoS 1; [`Input::Subscribed`] answers.
    Subscribe(Vec<String>),
    /// A subscription to see what is retained, QoS 0; [`Input::Subscribed`] answers.
    LookAt(Vec<String>),
    /// The end of subscriptions.
    Unsubscribe(Vec<String>),
    /// Something for the hub. Must not be lost.
    HubRequest(HubRequest),
    /// Publish what [`Session::health`](super::session::Session::health) says.
    Health(Health),
    /// Look for retained topics that may be ours, on a connection of its own.
    LookAround,
    /// Find out whether the broker takes a message of so many bytes, with its topic.
    Measure(usize),
    /// Start the program anew.
    Restart,
    /// Say nothing more on this base topic: this one has been there longer.
    Yield(Peer),
}

/// What the bridge's health is wanted for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// The retained topic.
    Topic,
    /// A request, with its transaction mark.
    Check(Option<String>),
}
