//! The channels between this sink and the rest.

use super::counters::Counters;
use super::log;
use super::peers::Peer;
use crate::fair;
use crate::model::{HubRequest, Notification, Now, PlugId, View};
use crate::pulse::Pulse;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// Why a run should end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leave {
    /// Somebody wants the program started anew.
    Restart,
    /// Another bridge acts on this base topic and has been there longer.
    Yield(Peer),
}

/// Tells the time, and a fresh random number with it.
pub type Clock = Box<dyn FnMut() -> Now + Send>;

/// The channels between this sink and the rest.
pub struct Channels {
    /// The present.
    pub clock: Clock,
    /// The picture.
    pub view: watch::Receiver<Arc<View>>,
    /// What is told once.
    pub notes: fair::Receiver<Option<PlugId>, Arc<Notification>>,
    /// Log lines to be published, for those who opted in.
    pub log: Option<log::Lines>,
    /// What the world wants.
    pub orders: fair::Sender<Option<PlugId>, HubRequest>,
    /// Why this run should end.
    pub leave: mpsc::Sender<Leave>,
    /// Where the connection's figures are kept.
    pub counters: Arc<Counters>,
    /// Set when the program stops: say goodbye.
    pub stop: watch::Receiver<bool>,
    /// After a standstill not another word is said.
    pub pulse: Pulse,
    /// Why the built-in broker does not retain messages of ours; `None` while it does.
    pub refused: watch::Receiver<Option<String>>,
    /// It was just looked for another bridge, and there is none.
    pub alone: bool,
}
