//! What the hub is to do about a plug.

use crate::hub::change::Change;
use crate::model::{Event, Notification};

/// What the hub is to do about a plug.
#[derive(Debug)]
pub(crate) enum News {
    /// Tell the sinks.
    Tell(Notification),
    /// Tell them once this is written.
    TellWhenWritten(Change, Notification),
    /// Tell them once they listen.
    TellWhenHeard(Event),
    /// Write it down soon.
    Remember,
    /// It did not answer where it should be: search soon.
    Missed,
}
