//! The gateway: a TLS listener for plugs that log in to their vendor's MQTT broker by habit and are pointed here
//! instead. It is no general broker: a plug may hear its commands and speak for itself, and everything it says goes to
//! the bridge and nowhere else.
//!
//! `codec`, `login` and `session` are pure; `places` counts, `connection` holds the sockets, `certificate` keeps what
//! plugs are shown. Refuses to know what plugs say.
//!
//! Untested on hardware.

pub mod certificate;
pub mod codec;
mod connection;
mod der;
mod limits;
pub mod login;
mod places;
mod rsa;
pub mod session;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::NoServerSessionStorage;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsAcceptor;

use certificate::{Certificate, CertificateError};
use connection::Door;
pub use connection::Message;
use limits::LARGEST_PACKET;
pub use limits::Limits;
pub use login::{Keys, Uuid};
use places::Places;
pub use places::{Figures, Plug, Undelivered};

/// Bytes that the system keeps for a plug that does not read.
const SEND_BUFFER: u32 = 32 * 1024;

/// Connections that the system keeps until they are accepted: all plugs come at once after a power cut.
const BACKLOG: u32 = 1024;

/// Messages of all plugs that wait for the bridge.
pub const INBOX: usize = 256;

/// How long a port may take to be given back by the run before, which has new settings now.
const GIVEN_BACK: Duration = Duration::from_secs(2);

/// When the system cannot accept: it has no files left.
const PAUSE: Duration = Duration::from_millis(100);

/// Why the gateway does not run.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The address cannot be listened on.
    #[error("the gateway cannot listen on {address}: {source}; choose another gateway.listen")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The key or the certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// TLS does not take them.
    #[error("the gateway's certificate cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// Where it listens and who may come in.
#[derive(Debug)]
pub struct Settings<'a> {
    /// The address.
    pub listen: SocketAddr,
    /// The host as plugs are told it: an address, or a name of up to 64 characters.
    pub host: &'a str,
    /// The keys of plugs.
    pub keys: Keys,
    /// The folder of the certificate.
    pub folder: &'a Path,
    /// How much there may be of what.
    pub limits: Limits,
}

/// The running gateway. Dropping it closes all connections.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    places: Arc<Places>,
    running: JoinHandle<()>,
}

/// Starts the gateway at this time of the day, in seconds since 1970. What plugs say goes into `inbox`; it should have
/// room for [`INBOX`] messages. While it is full, plugs wait.
///
/// # Errors
///
/// When the address is taken, or the certificate cannot be kept.
pub async fn start(
    settings: Settings<'_>,
    unix_s: u64,
    inbox: mpsc::Sender<Message>,
) -> Result<Gateway, GatewayError> {
    let Settings { listen, host, keys, folder, limits } = settings;
    let fail = |source| GatewayError::Listen { address: listen, source };
    let listener = bind(listen).await.map_err(fail)?;
    let address = listener.local_addr().map_err(fail)?;
    let (folder, host) = (folder.to_owned(), host.to_owned());
    let made = tokio::task::spawn_blocking(move || {
        certificate::keep(&folder, &host, unix_s, &ring::default_provider()).map(|made| (made, host))
    });
    let (Certificate { key, certificate, fresh }, host) = made.await.expect("making a key does not panic")?;
    if fresh {
        tracing::info!(host, "a certificate was made for the gateway");
    }
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions()?.with_no_client_auth();
    let mut tls = builder.with_single_cert(vec![certificate], key)?;
    // Plugs stay connected; what is kept for those that come again is not worth its room.
    tls.session_storage = Arc::new(NoServerSessionStorage {});
    tls.send_tls13_tickets = 0;
    let places = Places::new(limits);
    let tls = TlsAcceptor::from(Arc::new(tls));
    let door = Arc::new(Door { tls, keys, limits, places: Arc::clone(&places), inbox });
    let running = tokio::spawn(accept(listener, door));
    Ok(Gateway { address, places, running })
}

/// Opens the port; one that the run before is only giving back is waited for.
async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let until = Instant::now() + GIVEN_BACK;
    loop {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        // Connections inherit it.
        socket.set_send_buffer_size(SEND_BUFFER)?;
        match socket.bind(address).and_then(|()| socket.listen(BACKLOG)) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                sleep(Duration::from_millis(50)).await;
            }
            bound => return bound,
        }
    }
}

/// Lets in as many as there are places for; all connections end with it.
async fn accept(listener: TcpListener, door: Arc<Door>) {
    let strangers = Arc::new(Semaphore::new(door.limits.strangers));
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&strangers).acquire_owned().await.expect("nobody closes it");
        let (stream, from) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "the gateway cannot accept a connection");
                sleep(PAUSE).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        if let Some(stranger) = door.places.stranger(from.ip().to_canonical()) {
            connections.spawn(connection::serve(Arc::clone(&door), stream, stranger, place));
        }
    }
}

impl Gateway {
    /// Where it listens; the real port when port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a plug a command, to the topic `/appliance/<uuid>/subscribe`. It is on its way then, and nobody tells
    /// whether it arrives.
    ///
    /// # Errors
    ///
    /// When it is not connected or takes no commands.
    pub fn publish(&self, topic: &str, payload: Vec<u8>) -> Result<(), Undelivered> {
        let uuid = session::commanded(topic).ok_or(Undelivered::Topic)?;
        if payload.len() > LARGEST_PACKET {
            return Err(Undelivered::TooLarge);
        }
        self.places.command(&uuid, payload)
    }

    /// Who is connected.
    pub fn plugs(&self) -> Vec<Plug> {
        self.places.plugs()
    }

    /// What has happened since the start.
    pub fn figures(&self) -> Figures {
        self.places.figures()
    }

    /// Closes all connections, and gives the port back.
    pub async fn stop(mut self) {
        self.running.abort();
        let _ = (&mut self.running).await;
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.running.abort();
    }
}
