//! A conversation with a plug, and what it is about.

use crate::model::{Endpoint, Query};
use std::time::Duration;

/// A conversation with a plug.
#[derive(Debug)]
pub(super) struct Talk {
    pub(super) began: Duration,
    /// Where the plug was then.
    pub(super) place: Endpoint,
    pub(super) about: About,
}

/// What a conversation is about.
#[derive(Debug, PartialEq)]
pub(super) enum About {
    Poll,
    Command,
    /// The plug's own record.
    History,
    /// Its clock, which shows restarts.
    Clock,
    /// A request that somebody waits for.
    Request,
    /// What is asked rarely.
    SlowPoll(Query),
}
