//! The numbers a plug's hardware carries, asked once.

use super::{Capability, Query, SlowPoll};
use crate::core::Mac;

pub(super) static CAPABILITY: Capability = Capability {
    name: "hardware",
    requests: &[],
    command: None,
    personal: Some("its server"),
    shown: &[],
    reads: |_| vec![Query::Hardware],
    slow_poll: Some(SlowPoll { once: true, ..SlowPoll::RARELY }),
};

/// The numbers a plug's hardware carries; credentials are not among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hardware {
    /// Hardware address of its network.
    pub mac: Option<Mac>,
    /// Number of its processor.
    pub cpuid: Option<String>,
    /// The server it was made to call.
    pub server: Option<String>,
}
