//! MQTT: what the hub sees as retained topics, what the world wants as orders. State is published,
//! not events: each session starts from nothing and ends up with the topics equal to the picture,
//! so nothing can be lost while the broker is away and nothing needs to be queued.
//!
//! | file | what it does |
//! | --- | --- |
//! | `link.rs` | one connection; knows rumqttc |
//! | `way.rs` | messages on their way to the broker |
//! | `connection.rs` | a connection from its beginning to its end, carried between link, channels and session |
//! | `session.rs` | what is said on a connection, and what must wait; pure |
//! | `peers.rs` | other bridges on the same base topic; pure |
//! | `look.rs` | looks for one before this one acts |
//! | `sizes.rs` | how large messages may be, and what is left out; pure |
//! | `measure.rs` | finds out how large a message the broker takes |
//! | `own.rs` | what the bridge says about itself; requests the link answers; pure |
//! | `publisher.rs` | what is published, in which order; pure |
//! | `energy_recovery.rs` | what earlier runs have told about energy; pure |
//! | `refuse.rs` | what is refused, and how that is told; pure |
//! | `repeats.rs` | knows what a broker delivers twice; pure |
//! | `router.rs` | what comes in goes to the hub or to the session; pure |
//! | `counters.rs` | figures about the connection |
//! | `trouble.rs` | connections that end: when to try again, and what is said about it |
//! | `topics.rs` | topics and payloads, pure |
//! | `incoming.rs` | what comes in, understood; pure |
//! | `controls.rs` | discovery of capabilities; pure |
//! | `homeassistant.rs` | discovery messages, pure |
//! | `former.rs` | what was told under other names is taken back; pure |
//! | `memory.rs` | what is kept over restarts: how plugs were announced, and under which names; pure |
//! | `migration.rs` | from one announcement to the next, pure |
//! | `log.rs` | the program's own log lines as a topic, for those who opt in |
//! | `snapshot.rs` | everything about a plug in one JSON object |
//! | `cleanup.rs` | finds retained topics nobody owns |
//! | `examine.rs` | examines the broker for a person on call |

mod cleanup;
mod connection;
mod controls;
mod counters;
mod diff;
mod energy_recovery;
mod examine;
mod former;
pub mod homeassistant;
mod incoming;
pub mod link;
pub mod log;
mod look;
mod measure;
mod memory;
mod migration;
mod own;
mod peers;
mod publisher;
mod refuse;
mod repeats;
pub mod router;
pub mod session;
mod sizes;
mod snapshot;
mod topics;
mod trouble;
mod way;

pub use counters::{Counters, Counts, resident};
pub use examine::{Examined, examine};
pub use look::{Living, Looked, look};
pub use memory::{Memory, SECTION};
pub use peers::Peer;
pub use topics::BridgeFacts;

use crate::fair;
use crate::model::{HubRequest, Moment, Notification, PlugId, View};
use crate::pulse::{Pulse, STANDSTILL};
use connection::Carrier;
use homeassistant::Announcer;
use link::{Address, Lost};
use session::Session;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{debug, info, warn};
use trouble::Trouble;

/// Everything the MQTT sink must be told.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The broker.
    pub address: Address,
    /// Base topic, prefix and form of announcements.
    pub announcer: Announcer,
    /// Topic on which Home Assistant says `online`.
    pub birth_topic: String,
    /// A plug deleted in Home Assistant stays deleted.
    pub respect_deletion: bool,
    /// Requests that change things are obeyed.
    pub allow_admin: bool,
    /// Raw commands are sent to plugs.
    pub allow_raw: bool,
    /// What stands before the `-` in ids: the names of all families, in use or not.
    pub families: Vec<&'static str>,
    /// For `bridge/info`.
    pub facts: BridgeFacts,
}

/// Why a run should end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leave {
    /// Somebody wants the program started anew.
    Restart,
    /// Another bridge acts on this base topic and has been there longer.
    Yield(Peer),
}

/// Tells the time, and a fresh random number with it.
pub type Clock = Box<dyn FnMut() -> Moment + Send>;

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
    /// It was just looked for another bridge, and there is none.
    pub alone: bool,
}

/// Keeps a connection to the broker for as long as the program runs and does not stand still. `memory` is
/// what earlier runs have kept.
pub async fn run(settings: Settings, wires: Channels, memory: Memory) {
    let pulse = wires.pulse.clone();
    let _ = pulse.guard(connect_and_serve(settings, wires, memory)).await;
}

async fn connect_and_serve(settings: Settings, mut wires: Channels, memory: Memory) {
    let settings = Arc::new(settings);
    let counters = Arc::clone(&wires.counters);
    let view = Arc::clone(&wires.view.borrow_and_update());
    let mut session = Session::new(Arc::clone(&settings), memory, view, &(wires.clock)());
    let mut trouble = Trouble::default();
    let broker = format!("{}:{}", settings.address.host, settings.address.port);
    // When it was known last that no other bridge acts.
    let mut alone_at = wires.alone.then(Instant::now);
    while !*wires.stop.borrow() {
        // What is told while nobody listens is gone; it was never meant to wait.
        wires.notes.close();
        let began = Instant::now();
        if let Some(base) = session.former_base().map(str::to_owned) {
            who_lives(&settings, &base, &mut session).await;
        }
        // After so long another one may have taken over; who comes back does not act beside it.
        if !settings.facts.take_over && alone_at.is_none_or(|at| at.elapsed() >= STANDSTILL) {
            match look(&settings, false).await {
                Ok(Looked::Living(peer)) => return drop(wires.leave.try_send(Leave::Yield(peer))),
                Ok(Looked::Nobody | Looked::Silent) => alone_at = Some(Instant::now()),
                Err(why) => debug!(broker, "whether another bridge acts is not known: {why}"),
            }
        }
        let mut connected_at = None;
        let ended = match Carrier::open(&settings, &mut wires, &counters, &mut session) {
            Ok(carrier) => carrier.run(&mut connected_at).await,
            Err(why) => Err(Lost::before(why)),
        };
        counters.connected(false);
        let Err(why) = ended else { return };
        alone_at = connected_at.map(|_| Instant::now()).or(alone_at);
        let (wait, news) = trouble.ended(&why, connected_at.map(|at| at.elapsed()));
        match news {
            true => warn!(broker, "MQTT connection failed: {why}; reconnecting"),
            false => debug!(broker, after = ?began.elapsed(), "MQTT still not connected: {why}"),
        }
        if let Some(wanted) = trouble.suspect(&why) {
            let passes = measure::measure(&settings.address, &settings.announcer.base, wanted).await;
            if let Some(passes) = passes {
                session.handle(&(wires.clock)(), session::Input::Measured { wanted, passes });
            }
        }
        if let Some(sentence) = trouble.explained(&why, &settings.address.client_id) {
            warn!(broker, "{sentence}");
        }
        let stopped = wires.stop.wait_for(|stop| *stop);
        if tokio::time::timeout(wait, stopped).await.is_ok() {
            break;
        }
    }
    info!(broker, "stopped without an MQTT connection; \"offline\" could not be published");
}

/// Looks whether somebody else acts on the base topic of the run before. While that cannot be found out,
/// what stands there is left alone.
async fn who_lives(settings: &Settings, base: &str, session: &mut Session) {
    let mut there = settings.clone();
    base.clone_into(&mut there.announcer.base);
    match look(&there, false).await {
        Ok(Looked::Nobody | Looked::Silent) => session.former_is_free(true),
        Ok(Looked::Living(_)) => {
            warn!(base, "another bridge uses the previous base topic; leaving its topics alone");
            session.former_is_free(false);
        }
        Err(why) => debug!(base, "who lives on the base topic of before is not known: {why}"),
    }
}
