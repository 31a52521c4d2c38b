//! A change somebody waits for until it is written, and what is needed to take it back.

use crate::model::{Energy, Name, Options, PersistedPlug, PlugId};
use std::collections::BTreeSet;

/// A change somebody waits for, and what is needed to take it back.
#[derive(Debug)]
pub(crate) enum Change {
    /// Nothing that could be taken back: a latch protects, be it written or not.
    Latch,
    /// The name of a plug (port 0) or port.
    Name(PlugId, u8, Option<Name>),
    /// The options of a plug.
    Options(PlugId, Box<Options>),
    /// A meter: what it showed before and what it was set to.
    Energy(PlugId, u8, [Energy; 2]),
    /// Ports that were released.
    OverloadReset(PlugId, BTreeSet<u8>),
    /// Whether new plugs are taken, and what was remembered about that before.
    Adopt(bool, Option<bool>),
    /// A plug goes; with what is remembered of one that is not asked, and whether it is blocked from
    /// now on.
    Remove(PlugId, Option<Box<PersistedPlug>>, bool),
    /// A plug may be taken again.
    Unblock(PlugId),
    /// Hardware has taken the place of other hardware: both as they were.
    Replace(Box<[(PlugId, &'static str, PersistedPlug); 2]>),
}

impl Change {
    /// The plug that it is about.
    pub(crate) fn plug(&self) -> Option<&PlugId> {
        match self {
            Self::Latch | Self::Adopt(..) => None,
            Self::Name(id, ..)
            | Self::Options(id, _)
            | Self::Energy(id, ..)
            | Self::OverloadReset(id, _)
            | Self::Remove(id, ..)
            | Self::Unblock(id) => Some(id),
            Self::Replace(plugs) => plugs.first().map(|(id, ..)| id),
        }
    }
}
