//! What the hub is told, and what it wants done.

use crate::model::{
    DeviceRequest, Discovered, Endpoint, Heard, HubRequest, LogLevel, Notification, Outcome, PlugId, Pushed,
    Stray, Who,
};
use std::time::Duration;

/// What the hub is told.
#[derive(Debug)]
pub enum Input {
    /// A plug made itself known: an answer to a probe.
    Heard(Discovered),
    /// Somebody answered a probe who is no plug.
    Stray(Stray),
    /// Hosts from the settings that did not answer the probe that has just ended.
    Unheard(Vec<(&'static str, Endpoint)>),
    /// The networks of this machine are others than before.
    Network,
    /// A plug has said how it is, unasked.
    Pushed(Pushed),
    /// A conversation ended.
    Answered(Outcome),
    /// A sink wants something.
    Commanded(HubRequest),
    /// What [`Effect::Save`] asked for is written, or why it is not.
    Saved(Result<(), String>),
    /// Something is wrong with the bridge itself, in a sentence with the remedy; or not any more.
    Problem(&'static str, Option<String>),
    /// The time named by `Hub::wake_at` has come.
    Tick,
    /// The program is about to stop: begin nothing new, give every waiting command its result; said
    /// again, those on the wire, too.
    Stop,
}

/// What the hub wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Look for plugs: everywhere, and by unicast where missing ones were last.
    Probe(Vec<(&'static str, Endpoint)>),
    /// Ask these hosts again whether they are there, and nobody else.
    DeviceRequest(Vec<(&'static str, Endpoint)>),
    /// Hold one conversation and report its [`Outcome`].
    Talk {
        /// With whom.
        who: Who,
        /// Where.
        place: Endpoint,
        /// What to ask.
        ask: DeviceRequest,
        /// The longest it may take.
        limit: Duration,
    },
    /// What a dialect took for granted about this plug has changed: attach it anew.
    Reattach(PlugId),
    /// Tell the sinks.
    Tell(Notification),
    /// Log this much from now on.
    Log(LogLevel),
    /// Write `Hub::memory` down, as it is now, and report [`Input::Saved`]. Nothing more is to be
    /// written until then.
    Save,
}

impl From<Heard> for Input {
    fn from(heard: Heard) -> Self {
        match heard {
            Heard::Plug(found) => Self::Heard(found),
            Heard::Stray(stray) => Self::Stray(stray),
        }
    }
}
