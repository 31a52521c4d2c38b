//! What was sent to the ports of one plug lately: for what cause a relay moves.

use crate::model::{Cause, Now};
use std::collections::BTreeMap;
use std::time::Duration;

/// A relay that moves this long after it was told to is put down to the command; and however long, while the plug
/// has not been heard since.
const LATELY: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
pub(super) struct Blame(BTreeMap<u8, Sent>);

#[derive(Debug)]
struct Sent {
    on: bool,
    at: Duration,
    cause: Cause,
    unheard: bool,
}

impl Blame {
    /// A port is told to go there.
    pub(super) fn sent(&mut self, now: &Now, port: u8, on: bool, cause: Cause) {
        self.0.insert(port, Sent { on, at: now.up, cause, unheard: true });
    }

    /// The plug has told how it is.
    pub(super) fn heard(&mut self) {
        for sent in self.0.values_mut() {
            sent.unheard = false;
        }
    }

    /// What moved a relay to `on`, if it was one of these commands.
    pub(super) fn cause(&self, now: &Now, port: u8, on: bool) -> Option<Cause> {
        let sent = self.0.get(&port).filter(|sent| sent.on == on)?;
        (sent.unheard || now.up.saturating_sub(sent.at) < LATELY).then_some(sent.cause)
    }

    /// Something was sent to this port since then.
    pub(super) fn touched(&self, port: u8, since: Duration) -> bool {
        self.0.get(&port).is_some_and(|sent| sent.at >= since)
    }
}
