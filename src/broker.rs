//! The built-in MQTT broker: starts it, keeps what it retains across restarts, stops it.
//!
//! Owns every choice about the broker inside; refuses to know what is published on it.

mod room;
mod store;

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use mqtt5::broker::auth::{AuthProvider, AuthResult};
use mqtt5::broker::config::{AuthConfig, RateLimitConfig, StorageBackend, StorageConfig};
use mqtt5::broker::events::BrokerEventHandler;
use mqtt5::broker::{BrokerConfig, BrokerShutdownHandle, MqttBroker};
use mqtt5::packet::connect::ConnectPacket;
use mqtt5::protocol::v5::reason_codes::ReasonCode;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::runtime::RuntimeFlavor;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use room::Refused;
use room::Room;
use store::Keeper;

const STOP_WITHIN: Duration = Duration::from_secs(2);
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(500);

/// Messages that wait for one client: all that may be retained, which a subscription is sent at once, and some.
const QUEUE: usize = 280_000;
const _: () = assert!(QUEUE >= room::MOST_RETAINED + 10_000);

/// Why the built-in broker does not run.
#[derive(Debug, thiserror::Error)]
pub enum BrokerError {
    /// Something else already listens on this address.
    #[error(
        "a broker already listens on {0}: set mqtt.url = \"mqtt://{near}\" to use it, or choose another broker.listen",
        near = reachable(*.0)
    )]
    Taken(SocketAddr),
    /// The address cannot be listened on: not of this machine, or not allowed.
    #[error("cannot listen on {addr}: {source}; choose another broker.listen")]
    Listen {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The folder for retained messages cannot be used.
    #[error("cannot keep retained messages in {path}: {source}; check state.directory", path = .path.display())]
    Store {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The broker itself refused to start.
    #[error("the built-in broker does not start: {0}")]
    Broken(String),
}

/// The client that the broker is run for.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// Its client id: what it retains has room of its own.
    pub client_id: &'a str,
    /// Topic and payload of its last will. Where it was killed together with the broker nobody was left to
    /// publish it; it takes the place of what was kept on this topic.
    pub will: (&'a str, &'a str),
}

/// The running broker. Dropping it without [`Builtin::stop`] ends it too, but waits for nothing.
#[derive(Debug)]
pub struct Builtin {
    addr: SocketAddr,
    handle: Handle,
    running: JoinHandle<()>,
    keeper: Option<(oneshot::Sender<()>, JoinHandle<Keeper>)>,
    refused: watch::Receiver<Refused>,
}

/// Ends the broker when dropped.
struct Handle(BrokerShutdownHandle);

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.shutdown();
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

/// Starts the broker and returns when it accepts connections. It needs a runtime of one thread.
///
/// Without `credentials` everybody who reaches `listen` may publish and subscribe; the caller
/// allows that on loopback only. With `store`, retained messages survive a restart. [`Builtin::refused`]
/// tells what does not fit of what `owner` retains.
pub async fn start(
    listen: SocketAddr,
    credentials: Option<(&str, &SecretString)>,
    store: Option<&Path>,
    owner: Option<Owner<'_>>,
) -> Result<Builtin, BrokerError> {
    if tokio::runtime::Handle::current().runtime_flavor() != RuntimeFlavor::CurrentThread {
        return Err(BrokerError::Broken("it needs a runtime of one thread".into()));
    }
    let room = Arc::new(Room::of(owner.map(|owner| owner.client_id)));
    let config = limits(listen).with_event_handler(Arc::clone(&room) as Arc<dyn BrokerEventHandler>);
    let mut broker =
        MqttBroker::with_config(config).await.map_err(|error| why(listen, &error.to_string()))?;
    let login = credentials.map(|(username, password)| (username.to_owned(), password.clone()));
    broker = broker.with_auth_provider(Arc::new(Door { login, room: Arc::clone(&room) }));
    let addr =
        broker.local_addr().ok_or_else(|| BrokerError::Broken("it does not tell its address".into()))?;
    let router = broker.router();
    let keeper = match store {
        Some(folder) => {
            let will = owner.map(|owner| owner.will);
            Some(Keeper::open(folder, &router, Arc::clone(&room), will).await?)
        }
        None => None,
    };
    // What was kept is there by now, whatever room it takes.
    room.bound(Arc::downgrade(&router));

    let handle = Handle(broker.shutdown_handle());
    let mut ready = broker.ready_receiver();
    let (failed, failure) = oneshot::channel();
    let running = tokio::spawn(async move {
        if let Err(error) = broker.run().await {
            tracing::error!(%error, "built-in broker stopped unexpectedly");
            // Nobody waits for it once the broker is ready.
            let _ = failed.send(error.to_string());
        }
    });
    // The sender lives in the task, so this ends when the broker is ready or gone.
    while !*ready.borrow_and_update() {
        if ready.changed().await.is_err() {
            let reason = failure.await.unwrap_or_else(|_| "it ended at once".into());
            return Err(BrokerError::Broken(reason));
        }
    }
    let keeper = keeper.map(|keeper| {
        let (stop, stopped) = oneshot::channel();
        (stop, tokio::spawn(keeper.keep(router, stopped)))
    });
    Ok(Builtin { addr, handle, running, keeper, refused: room.refused() })
}

impl Builtin {
    /// Where it listens; the real port when port 0 was asked for.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What is refused of its owner's messages.
    pub fn refused(&self) -> watch::Receiver<Refused> {
        self.refused.clone()
    }

    /// Disconnects everybody and saves what is retained. Takes two seconds at most, plus the disk.
    pub async fn stop(mut self) {
        self.handle.0.shutdown();
        if timeout(STOP_WITHIN, &mut self.running).await.is_err() {
            tracing::warn!("the built-in broker still had clients after {STOP_WITHIN:?}; cut off");
            self.running.abort();
        }
        // After the broker, so that the wills it published on its way down are saved too.
        if let Some((stop, keeping)) = self.keeper {
            drop(stop);
            match keeping.await {
                Ok(keeper) => tracing::debug!(topics = keeper.topics(), "retained messages saved"),
                Err(error) => tracing::warn!(%error, "retained messages were not saved"),
            }
        }
    }
}

/// Where a client on this machine reaches what listens on `addr`.
fn reachable(addr: SocketAddr) -> SocketAddr {
    let loopback = if addr.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    let ip: IpAddr = if addr.ip().is_unspecified() { loopback } else { addr.ip() };
    SocketAddr::new(ip, addr.port())
}

/// The crate reports a failed bind as text; asking the system again gives a kind.
fn why(listen: SocketAddr, text: &str) -> BrokerError {
    match TcpListener::bind(listen) {
        Err(source) if source.kind() == io::ErrorKind::AddrInUse => BrokerError::Taken(listen),
        Err(source) => BrokerError::Listen { addr: listen, source },
        Ok(_) => BrokerError::Broken(text.into()),
    }
}

/// Sized for a house: its defaults allow 10 000 clients and packets of 256 MiB.
fn limits(listen: SocketAddr) -> BrokerConfig {
    let auth = AuthConfig {
        // Five wrong passwords would lock out their address for five minutes. All of a house's
        // programs share 127.0.0.1, so one wrong client would cut off the bridge.
        rate_limit: RateLimitConfig { enabled: false, ..RateLimitConfig::default() },
        ..AuthConfig::default()
    };
    let storage = StorageConfig {
        backend: StorageBackend::Memory,
        max_queued_messages_per_client: QUEUE,
        max_queued_bytes_per_client: room::MOST_BYTES,
        ..StorageConfig::default()
    };
    BrokerConfig {
        bind_addresses: vec![listen],
        max_clients: 200,
        max_packet_size: 2 << 20,
        client_channel_capacity: QUEUE,
        max_subscriptions_per_client: 1_000,
        // What waits for who is away may be as much as all that is retained.
        session_expiry_interval: Duration::from_secs(60 * 60),
        sys_topics_enabled: false,
        storage_config: storage,
        auth_config: auth,
        ..BrokerConfig::default()
    }
}

/// Who may come in: everybody, or who knows one name and one password, compared in memory. The crate's
/// own provider hashes with Argon2 at every connect: 19 MiB and a good part of a second on a small board,
/// on the thread of the polls.
struct Door {
    login: Option<(String, SecretString)>,
    room: Arc<Room>,
}

impl Door {
    /// Lets in, by this name if there are names.
    fn lets_in(&self, connect: &ConnectPacket) -> Option<AuthResult> {
        let Some((username, wanted)) = &self.login else { return Some(AuthResult::success()) };
        let name = connect.username.as_deref().unwrap_or_default();
        let password = connect.password.as_deref().unwrap_or_default();
        let secret = wanted.expose_secret().as_bytes();
        // Not `&&` and not `==`: how long the answer takes says nothing about the password.
        let knows = same(name.as_bytes(), username.as_bytes()) & same(password, secret);
        knows.then(|| AuthResult::success_with_user(username.clone()))
    }
}

fn same(given: &[u8], wanted: &[u8]) -> bool {
    let differing = given.iter().zip(wanted).fold(0, |differing, (a, b)| differing | (a ^ b));
    given.len() == wanted.len() && differing == 0
}

impl AuthProvider for Door {
    fn authenticate<'a>(
        &'a self,
        connect: &'a ConnectPacket,
        from: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = mqtt5::Result<AuthResult>> + Send + 'a>> {
        Box::pin(async move {
            if let Some(accepted) = self.lets_in(connect) {
                return Ok(accepted);
            }
            tracing::warn!(%from, client = ?connect.client_id, "refused: wrong broker.username or broker.password");
            tokio::time::sleep(PAUSE_AFTER_REFUSAL).await;
            Ok(AuthResult::fail(ReasonCode::BadUsernameOrPassword))
        })
    }

    fn authorize_publish<'a>(
        &'a self,
        client_id: &str,
        _user_id: Option<&'a str>,
        topic: &'a str,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        self.room.comes(client_id, topic);
        Box::pin(std::future::ready(true))
    }

    fn authorize_subscribe<'a>(
        &'a self,
        _client_id: &str,
        _user_id: Option<&'a str>,
        _filter: &'a str,
    ) -> Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(std::future::ready(true))
    }
}

#[cfg(test)]
mod tests;
