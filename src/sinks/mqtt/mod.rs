//! MQTT: what the hub sees as retained topics, what the world wants as orders. State is published,
//! not events: each session starts from nothing and ends up with the topics equal to the picture,
//! so nothing can be lost while the broker is away and nothing needs to be queued.
//!
//! | file | what it does |
//! | --- | --- |
//! | `settings.rs`, `bridge_facts.rs` | what the sink must be told |
//! | `channels.rs` | the channels between it and the rest |
//! | `link.rs` | one connection; knows rumqttc |
//! | `tls.rs` | the files that TLS takes, and what to do about a handshake that failed |
//! | `in_flight.rs` | messages on their way to the broker |
//! | `duplicates.rs` | knows what a broker delivers twice; pure |
//! | `counters.rs` | figures about the connection |
//! | `connection.rs` | a connection from its beginning to its end, carried between link, channels and session |
//! | `reconnect.rs` | connections that end: when to try again, and what is said about it |
//! | `router.rs` | what comes in goes to the hub or to the session; pure |
//! | `incoming.rs` | what comes in, understood; pure |
//! | `session.rs` | what is said on a connection, and in which order; conducts the next twelve; pure |
//! | `contract.rs` | what a session is told, and what it wants sent or done |
//! | `publisher.rs` | which topics of plugs are published; pure |
//! | `bridge_topics.rs` | what the bridge publishes about itself; pure |
//! | `announcements.rs` | discovery messages, and the second steps of changes; pure |
//! | `pace.rs` | how much is published at once; pure |
//! | `message_size.rs` | how large messages may be, and what is left out; pure |
//! | `energy_recovery.rs` | what earlier runs have told about energy; pure |
//! | `peers.rs` | other bridges on the same base topic; pure |
//! | `previous_names.rs` | what was told under other names is taken back; pure |
//! | `own_event.rs` | what happens to the sink itself, for `bridge/event`; pure |
//! | `cleared.rs` | topics cleared lately; pure |
//! | `rejection.rs` | what is refused; pure |
//! | `cleanup_requests.rs` | who waits for a cleanup; pure |
//! | `memory.rs` | what is kept over restarts: how plugs were announced, and under which names; pure |
//! | `topics.rs` | topics and payloads, pure |
//! | `diff.rs` | from one picture of a plug to the next, pure |
//! | `snapshot.rs` | everything about a plug in one JSON object, pure |
//! | `discovery_mode.rs` | how plugs may be announced, as the settings say |
//! | `homeassistant.rs`, `controls.rs`, `fields.rs` | discovery messages, pure |
//! | `migration.rs` | from one announcement to the next, pure |
//! | `log.rs` | the program's own log lines as a topic, for those who opt in |
//! | `peer_probe.rs` | looks for another bridge before this one acts |
//! | `size_probe.rs` | finds out how large a message the broker takes |
//! | `cleanup.rs` | finds retained topics nobody owns |
//! | `broker_check.rs` | examines the broker for a person on call |

mod announcements;
mod bridge_facts;
mod bridge_topics;
mod broker_check;
mod channels;
mod cleanup;
mod cleanup_requests;
mod cleared;
mod connection;
pub mod contract;
mod controls;
mod counters;
mod diff;
mod discovery_mode;
mod duplicates;
mod echo;
mod energy_recovery;
mod fields;
pub mod homeassistant;
mod in_flight;
mod incoming;
pub mod link;
pub mod log;
mod memory;
mod message_size;
mod migration;
mod own_event;
mod pace;
mod peer_probe;
mod peers;
mod previous_names;
mod publisher;
mod reconnect;
mod rejection;
pub mod router;
pub mod session;
mod settings;
mod size_probe;
mod snapshot;
mod tls;
mod topics;

pub use bridge_facts::BridgeFacts;
pub use broker_check::{BrokerReport, check_broker};
pub use channels::{Channels, Clock, Leave};
pub use counters::{Counters, Counts, Metrics, resident};
pub use discovery_mode::{DiscoveryMode, PortDevices};
pub use memory::{Memory, SECTION};
pub use peer_probe::{Looked, OtherBridge, find_other_bridge};
pub use peers::Peer;
pub use settings::Settings;
pub use topics::last_will;

use crate::pulse::STANDSTILL;
use connection::Connection;
use contract::Input;
use link::Lost;
use reconnect::Reconnect;
use session::Session;
use size_probe::largest_message;
use std::sync::Arc;
use tokio::time::Instant;
use tracing::{debug, info, warn};

/// Keeps a connection to the broker for as long as the program runs and does not stand still. `memory` is
/// what earlier runs have kept.
pub async fn run(settings: Settings, channels: Channels, memory: Memory) {
    let pulse = channels.pulse.clone();
    let _ = pulse.guard(connect_and_serve(settings, channels, memory)).await;
}

async fn connect_and_serve(settings: Settings, mut channels: Channels, memory: Memory) {
    let settings = Arc::new(settings);
    let counters = Arc::clone(&channels.counters);
    let view = Arc::clone(&channels.view.borrow_and_update());
    let mut session = Session::new(Arc::clone(&settings), memory, view, &(channels.clock)());
    let mut reconnect = Reconnect::default();
    let broker = format!("{}:{}", settings.address.host, settings.address.port);
    // When it was known last that no other bridge acts.
    let mut alone_at = channels.alone.then(Instant::now);
    while !*channels.stop.borrow() {
        // What is told while nobody listens is gone; it was never meant to wait.
        channels.notes.close();
        let began = Instant::now();
        if let Some(base) = session.former_base().map(str::to_owned) {
            who_lives(&settings, &base, &mut session).await;
        }
        // After so long another one may have taken over; who comes back does not act beside it.
        if !settings.facts.take_over && alone_at.is_none_or(|at| at.elapsed() >= STANDSTILL) {
            match find_other_bridge(&settings, false).await {
                Ok(Looked::Living(peer)) => return drop(channels.leave.try_send(Leave::Yield(peer))),
                Ok(Looked::Nobody | Looked::Silent) => alone_at = Some(Instant::now()),
                Err(why) => debug!(broker, "whether another bridge acts is not known: {why}"),
            }
        }
        let mut connected_at = None;
        let ended = match Connection::open(&settings, &mut channels, &counters, &mut session) {
            Ok(connection) => connection.run(&mut connected_at).await,
            Err(why) => Err(Lost::before(why)),
        };
        counters.connected(false);
        let Err(why) = ended else { return };
        alone_at = connected_at.map(|_| Instant::now()).or(alone_at);
        let (wait, news) = reconnect.ended(&why, connected_at.map(|at| at.elapsed()));
        match news {
            true => warn!(broker, "MQTT connection failed: {why}; reconnecting"),
            false => debug!(broker, after = ?began.elapsed(), "MQTT still not connected: {why}"),
        }
        if let Some(sentence) = reconnect.explained(&why, &settings.address.client_id) {
            warn!(broker, "{sentence}");
            session.handle(&(channels.clock)(), Input::Unsteady(sentence));
        }
        if let Some(wanted) = reconnect.suspect(&why) {
            let passes = largest_message(&settings.address, &settings.announcer.base, wanted).await;
            if let Some(passes) = passes {
                session.handle(&(channels.clock)(), Input::Measured { wanted, passes });
            }
        }
        let stopped = channels.stop.wait_for(|stop| *stop);
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
    match find_other_bridge(&there, false).await {
        Ok(Looked::Nobody | Looked::Silent) => session.former_is_free(true),
        Ok(Looked::Living(_)) => {
            warn!(base, "another bridge uses the previous base topic; leaving its topics alone");
            session.former_is_free(false);
        }
        Err(why) => debug!(base, "who lives on the base topic of before is not known: {why}"),
    }
}
