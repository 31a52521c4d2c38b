//! What is said about plugs: what may be asked of one and of the bridge, what comes of it, what
//! everybody may see and what outlives the process. Passes on the words it is made of.

mod family;
mod figures;
mod memory;
mod order;
mod sink_memory;
mod view;

pub use crate::capability::*;
pub use crate::core::*;

pub use family::{Family, FamilyInfo, OwnSettings, OwnValue, Recorded, Setting, SettingKind};
pub use figures::{Histogram, Metrics, OutcomeCounters, PlugFigures, PortFigures, RANGES_S};
pub use memory::{
    Capabilities, CounterState, Hours, MeterState, Options, OptionsChange, PersistedPlug, PersistedState,
    PortMeterState, PortOptions, Revert, Since,
};
pub use order::{
    Asker, CommandError, CommandResult, Event, HubRequest, Metered, Notification, Origin, Outcome, Request,
    Response, ResponseData, SwitchAction, SwitchOrder, Who,
};
pub use sink_memory::{Keep, Section, SinkMemory};
pub use view::{BridgeView, Cause, PlugView, PortView, Stats, View};

use std::time::Duration;

/// So many times the timeout is what a conversation may take with a plug that was never read, or did not answer
/// last: who it is, how it is spoken to and how it is are asked one after another, each with the whole timeout.
pub const FIRST_CONTACT: u32 = 4;

/// And with one that did: who it is and how it is, or two values.
pub const LATER_CONTACT: u32 = 2;

/// What a dialect is told about the one plug it will speak to, beside what was found.
#[derive(Debug, Clone, PartialEq)]
pub struct DialectOptions {
    /// The longest a conversation may take; a dialect that tries two ways shares it out.
    pub timeout: Duration,
    /// How numbers for power are to be read.
    pub power_unit: PowerUnit,
    /// Whether the plug's clock is set to local time now and then.
    pub set_clock: bool,
}
