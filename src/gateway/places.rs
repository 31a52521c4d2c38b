//! Who is connected: counts connections before and after the login, in all and by address, and keeps the way to each
//! plug. A plug that comes again takes the place of its earlier connection.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::codec::Level;
use super::limits::Limits;
use super::login::{Identity, Uuid};

/// Commands that wait for one plug.
const OUTBOX: usize = 16;

/// A plug that is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plug {
    /// Its uuid.
    pub uuid: Uuid,
    /// Its MAC, lower case with colons.
    pub mac: String,
    /// Where it calls from.
    pub from: IpAddr,
    /// Its version of the protocol.
    pub level: Level,
    /// How long it has been connected.
    pub connected_for: Duration,
    /// Whether it takes commands.
    pub subscribed: bool,
}

/// What has happened since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Connections that were accepted.
    pub connections: u64,
    /// Those that were closed at once, because there were too many.
    pub turned_away: u64,
    /// Those that ended before a login, TLS that failed among them.
    pub strangers_lost: u64,
    /// Logins that were refused.
    pub refused: u64,
    /// Logins.
    pub logins: u64,
    /// Messages from plugs, for the bridge.
    pub received: u64,
    /// Messages from plugs to topics that are not theirs.
    pub ignored: u64,
    /// Messages to plugs.
    pub sent: u64,
}

/// Why a command does not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Undelivered {
    /// The topic is not that of a plug's commands.
    #[error("is no topic of a plug's commands")]
    Topic,
    /// The plug is not connected.
    #[error("the plug is not connected to the gateway")]
    Away,
    /// It is connected and has not subscribed to its commands yet.
    #[error("the plug takes no commands yet")]
    Deaf,
    /// It has not read those before; its connection was closed.
    #[error("the plug does not read its commands")]
    Slow,
    /// Longer than a plug could ever take.
    #[error("the command is too large")]
    TooLarge,
}

/// All places.
#[derive(Debug)]
pub(super) struct Places {
    limits: Limits,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    strangers: BTreeMap<IpAddr, usize>,
    plugs: BTreeMap<Uuid, Entry>,
    plugs_by_address: BTreeMap<IpAddr, usize>,
    last: u64,
    figures: Figures,
}

#[derive(Debug)]
struct Entry {
    /// Which of its connections it is.
    number: u64,
    identity: Identity,
    from: IpAddr,
    since: Instant,
    subscribed: bool,
    outbox: mpsc::Sender<Vec<u8>>,
}

impl Held {
    fn remove(&mut self, uuid: &Uuid) {
        if let Some(entry) = self.plugs.remove(uuid) {
            count_down(&mut self.plugs_by_address, entry.from);
        }
    }
}

fn count_down(counts: &mut BTreeMap<IpAddr, usize>, from: IpAddr) {
    if let Some(count) = counts.get_mut(&from) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&from);
        }
    }
}

impl Places {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, held: Mutex::default() })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection of somebody unknown, unless there are too many from its address.
    pub(super) fn stranger(self: &Arc<Self>, from: IpAddr) -> Option<Stranger> {
        let mut held = self.held();
        held.figures.connections += 1;
        let count = held.strangers.entry(from).or_default();
        if *count >= self.limits.strangers_each {
            held.figures.turned_away += 1;
            return None;
        }
        *count += 1;
        Some(Stranger { places: Arc::clone(self), from })
    }

    /// A plug that has logged in, with the commands that come for it; they end when its place is taken. `None` when
    /// there are too many plugs.
    pub(super) fn enter(
        self: &Arc<Self>,
        identity: &Identity,
        from: IpAddr,
    ) -> Option<(Presence, mpsc::Receiver<Vec<u8>>)> {
        let mut held = self.held();
        held.remove(&identity.uuid);
        let here = held.plugs_by_address.get(&from).copied().unwrap_or_default();
        if held.plugs.len() >= self.limits.plugs || here >= self.limits.plugs_each {
            held.figures.turned_away += 1;
            return None;
        }
        held.figures.logins += 1;
        held.last += 1;
        let (outbox, commands) = mpsc::channel(OUTBOX);
        let number = held.last;
        let (identity, since) = (identity.clone(), Instant::now());
        let presence = Presence { places: Arc::clone(self), uuid: identity.uuid.clone(), number };
        *held.plugs_by_address.entry(from).or_default() += 1;
        let entry = Entry { number, identity, from, since, subscribed: false, outbox };
        held.plugs.insert(presence.uuid.clone(), entry);
        Some((presence, commands))
    }

    /// Sends a command on its way.
    pub(super) fn command(&self, uuid: &Uuid, payload: Vec<u8>) -> Result<(), Undelivered> {
        let mut held = self.held();
        let entry = held.plugs.get(uuid).ok_or(Undelivered::Away)?;
        if !entry.subscribed {
            return Err(Undelivered::Deaf);
        }
        match entry.outbox.try_send(payload) {
            Ok(()) => {
                held.figures.sent += 1;
                Ok(())
            }
            Err(mpsc::error::TrySendError::Full(_)) => {
                held.remove(uuid);
                Err(Undelivered::Slow)
            }
            Err(mpsc::error::TrySendError::Closed(_)) => Err(Undelivered::Away),
        }
    }

    /// All plugs, in the order of their uuids.
    pub(super) fn plugs(&self) -> Vec<Plug> {
        let plug = |entry: &Entry| Plug {
            uuid: entry.identity.uuid.clone(),
            mac: entry.identity.mac.clone(),
            from: entry.from,
            level: entry.identity.level,
            connected_for: entry.since.elapsed(),
            subscribed: entry.subscribed,
        };
        self.held().plugs.values().map(plug).collect()
    }

    pub(super) fn figures(&self) -> Figures {
        self.held().figures
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Figures)) {
        count(&mut self.held().figures);
    }
}

/// A place of somebody unknown, given back when dropped.
#[derive(Debug)]
pub(super) struct Stranger {
    places: Arc<Places>,
    pub(super) from: IpAddr,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        count_down(&mut self.places.held().strangers, self.from);
    }
}

/// The place of a plug, given back when dropped, unless it was taken by a later connection.
#[derive(Debug)]
pub(super) struct Presence {
    places: Arc<Places>,
    uuid: Uuid,
    number: u64,
}

impl Presence {
    /// Whether it takes commands.
    pub(super) fn subscribed(&self, subscribed: bool) {
        let mut held = self.places.held();
        let own = held.plugs.get_mut(&self.uuid).filter(|entry| entry.number == self.number);
        if let Some(entry) = own {
            entry.subscribed = subscribed;
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        let mut held = self.places.held();
        if held.plugs.get(&self.uuid).is_some_and(|entry| entry.number == self.number) {
            held.remove(&self.uuid);
        }
    }
}
