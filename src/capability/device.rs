//! What a plug may be asked, and what it says: who it is, how it is, where its relays go, and what only
//! some plugs can do.

use super::{Conversation, Query, QueryReply};
use crate::core::{Discovered, Failure, Now, Reading};
use std::collections::BTreeMap;

/// Said of a plug that does not know what it was asked.
pub const UNKNOWN: &str = "its firmware does not know this";

/// Everything a dialect may be asked. What a dialect does not know it answers with
/// [`DeviceResponse::Unsupported`], and the sinks then do not offer it.
#[derive(Debug, Clone, PartialEq)]
pub enum DeviceRequest {
    /// Who are you? For plugs that answered without a usable identity, or did not answer a probe.
    Identify,
    /// How are you?
    Read,
    /// Switch, then read back in the same conversation.
    Switch(Switch),
    /// Something only some plugs can do. What changes something is read back in the same conversation.
    Capability(Query),
}

/// Which relays go where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Switch {
    /// All ports of a strip with one request.
    All(bool),
    /// These ports, one request each.
    Ports(BTreeMap<u8, bool>),
}

impl Switch {
    /// How many requests it takes.
    pub fn requests(&self) -> u32 {
        match self {
            Self::All(_) => 1,
            Self::Ports(ports) => u32::try_from(ports.len()).unwrap_or(u32::MAX),
        }
    }
}

/// What a dialect brings back.
#[derive(Debug, Clone, PartialEq)]
pub enum DeviceResponse {
    /// How the plug is.
    Reading(Reading),
    /// Who the plug is.
    Identity(Discovered),
    /// What the plug says about a capability.
    Capability(QueryReply),
    /// The plug knows what was asked and said no, or it was not sent because it would harm; says why.
    Refused(String),
    /// This plug or this firmware cannot do what was asked.
    Unsupported,
}

/// Hands a response to the conversation it belongs to; `None` when there is more to ask.
///
/// # Errors
///
/// [`Failure::Rejected`] when the plug cannot, will not or did not; says why.
pub fn hear<C: Conversation>(
    conversation: &mut C,
    response: DeviceResponse,
    now: &Now,
) -> Result<Option<C::Answer>, Failure> {
    match response {
        DeviceResponse::Capability(reply) => conversation.take(reply, now),
        DeviceResponse::Refused(why) => conversation.refused(Some(why)),
        DeviceResponse::Unsupported => conversation.refused(None),
        DeviceResponse::Reading(_) | DeviceResponse::Identity(_) => Err(mixed_up()),
    }
}

/// What came is not the answer to what was asked.
pub(super) fn mixed_up() -> Failure {
    Failure::InvalidResponse("an answer to something else".into())
}
