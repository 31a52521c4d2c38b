//! One connection, from the handshake to its end. Owns the socket and its time limits; what packets mean is in
//! `session`.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::codec::{Delivery, Malformed, Packet, Publish, decode, encode};
use super::limits::{LARGEST_PACKET, Limits};
use super::login::{Keys, Uuid};
use super::places::{Places, Presence, Stranger};
use super::session::{Allowance, End, Session, Step, busy};

/// Something that a plug has said. Who has said it is certain; what is said in it about another plug is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The plug.
    pub uuid: Uuid,
    /// `/appliance/<uuid>/publish`, or where it was asked to answer: `/app/...`.
    pub topic: String,
    /// What it says.
    pub payload: Vec<u8>,
}

/// How long a refused login waits for its answer.
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(500);

/// Bytes read at one time.
const CHUNK: usize = 512;

/// What all connections share.
pub(super) struct Door {
    pub(super) tls: TlsAcceptor,
    pub(super) keys: Keys,
    pub(super) limits: Limits,
    pub(super) places: Arc<Places>,
    pub(super) inbox: mpsc::Sender<Message>,
}

/// Why a connection ends.
#[derive(Debug, thiserror::Error)]
enum Over {
    #[error("it was not logged in within {0:?}")]
    Late(Duration),
    #[error("TLS failed: {0}")]
    Tls(io::Error),
    #[error("{0}")]
    Lost(#[from] io::Error),
    #[error("it has closed the connection")]
    Closed,
    #[error("it sent {0}")]
    Malformed(#[from] Malformed),
    #[error("{0}")]
    End(End),
    #[error("too many plugs are connected")]
    Full,
    #[error("it was silent for {0:?}")]
    Silent(Duration),
    #[error("it does not read")]
    Slow,
    #[error("it has connected again, or did not read its commands")]
    Replaced,
    #[error("the bridge stops")]
    Stops,
}

/// A connection with what was read of the next packet.
struct Line {
    stream: TlsStream<TcpStream>,
    buffer: Vec<u8>,
    write_within: Duration,
}

impl Line {
    async fn read(&mut self) -> Result<(), Over> {
        let mut chunk = [0; CHUNK];
        let read = self.stream.read(&mut chunk).await?;
        self.buffer.extend(chunk.get(..read).unwrap_or_default());
        if read == 0 { Err(Over::Closed) } else { Ok(()) }
    }

    /// Takes a packet that was dealt with out of the buffer; an empty one takes no room.
    fn done(&mut self, size: usize) {
        self.buffer.drain(..size);
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
    }

    async fn write(&mut self, packet: &Packet<'_>) -> Result<(), Over> {
        let bytes = encode(packet).unwrap_or_default();
        let written = async {
            self.stream.write_all(&bytes).await?;
            self.stream.flush().await
        };
        Ok(timeout(self.write_within, written).await.map_err(|_| Over::Slow)??)
    }

    async fn close(&mut self) {
        let _ = timeout(self.write_within, self.stream.shutdown()).await;
    }
}

/// A plug that has logged in.
struct Client {
    line: Line,
    session: Session,
    presence: Presence,
    commands: mpsc::Receiver<Vec<u8>>,
}

/// Serves a connection to its end. `place` is that of a connection without login.
pub(super) async fn serve(
    door: Arc<Door>,
    stream: TcpStream,
    stranger: Stranger,
    place: OwnedSemaphorePermit,
) {
    let (from, limit) = (stranger.from, door.limits.login_within);
    let until = Instant::now() + limit;
    let login = timeout_at(until, Box::pin(log_in(&door, stream, &stranger))).await;
    drop((stranger, place));
    let mut client = match login.unwrap_or(Err(Over::Late(limit))) {
        Ok(client) => client,
        Err(over) => {
            door.places.count(|figures| figures.strangers_lost += 1);
            if matches!(&over, Over::Tls(error) if is_old(error)) {
                tracing::warn!(
                    %from,
                    "{over}; firmware without TLS 1.2 and ECDHE needs another broker in front, see \
                     docs/gateway.md"
                );
            } else if matches!(over, Over::End(End::Refused(_) | End::Version(_)) | Over::Full) {
                tracing::warn!(%from, "a plug was refused at the gateway: {over}");
            } else {
                tracing::debug!(%from, "a connection to the gateway came to nothing: {over}");
            }
            return;
        }
    };
    let mac = client.session.plug().map(|plug| plug.mac.clone()).unwrap_or_default();
    let level = client.session.plug().map(|plug| plug.level.name());
    tracing::info!(%from, %mac, mqtt = level, "plug connected to the gateway");
    let Err(over) = live(&door, &mut client).await;
    tracing::info!(%from, %mac, "plug disconnected from the gateway: {over}");
    let Client { mut line, presence, .. } = client;
    drop(presence);
    line.close().await;
}

/// Whether the client offered nothing that is spoken here.
fn is_old(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(error, Some(rustls::Error::PeerIncompatible(_)))
}

/// The handshake and the CONNECT.
async fn log_in(door: &Door, stream: TcpStream, stranger: &Stranger) -> Result<Client, Over> {
    stream.set_nodelay(true)?;
    let stream = door.tls.accept(stream).await.map_err(Over::Tls)?;
    let mut line = Line { stream, buffer: Vec::new(), write_within: door.limits.write_within };
    let mut session = Session::default();
    loop {
        if let Some((packet, size)) = decode(&line.buffer, LARGEST_PACKET)? {
            let Step { answer, end, .. } = session.hear(&packet, &door.keys);
            line.done(size);
            if let Some(end) = end {
                if matches!(end, End::Refused(_)) {
                    door.places.count(|figures| figures.refused += 1);
                    sleep(PAUSE_AFTER_REFUSAL).await;
                }
                if let Some(answer) = answer {
                    line.write(&answer).await?;
                    line.close().await;
                }
                return Err(Over::End(end));
            }
            let Some(plug) = session.plug() else { continue };
            let Some((presence, commands)) = door.places.enter(plug, stranger.from) else {
                line.write(&busy()).await?;
                line.close().await;
                return Err(Over::Full);
            };
            if let Some(answer) = answer {
                line.write(&answer).await?;
            }
            return Ok(Client { line, session, presence, commands });
        }
        line.read().await?;
    }
}

/// What comes from a plug and what goes to it, until something ends it.
async fn live(door: &Door, client: &mut Client) -> Result<std::convert::Infallible, Over> {
    let Client { line, session, presence, commands } = client;
    let (start, mut allowance) = (Instant::now(), Allowance::default());
    let (mut heard, mut ready) = (start, start);
    loop {
        let now = Instant::now();
        if now >= ready
            && let Some((packet, size)) = decode(&line.buffer, LARGEST_PACKET)?
        {
            let Step { message, answer, ignored, end } = session.hear(&packet, &door.keys);
            let message = message.and_then(|(topic, payload)| {
                let uuid = session.plug()?.uuid.clone();
                Some(Message { uuid, topic: topic.to_owned(), payload: payload.to_vec() })
            });
            line.done(size);
            ready = now + allowance.take(now - start);
            if ignored {
                door.places.count(|figures| figures.ignored += 1);
            }
            if let Some(message) = message {
                door.places.count(|figures| figures.received += 1);
                door.inbox.send(message).await.map_err(|_| Over::Stops)?;
            }
            presence.subscribed(session.commands().is_some());
            if let Some(answer) = answer {
                line.write(&answer).await?;
            }
            match end {
                Some(end) => return Err(Over::End(end)),
                None => continue,
            }
        }
        // While it has said too much, nothing more of it is read.
        let held_up = now < ready;
        let silent = heard + session.silence();
        tokio::select! {
            read = line.read(), if !held_up => {
                read?;
                heard = Instant::now();
            }
            command = commands.recv() => {
                let payload = command.ok_or(Over::Replaced)?;
                // A subscription may have ended meanwhile.
                if let Some(topic) = session.commands() {
                    let (topic, payload) = (topic.as_str(), payload.as_slice());
                    let (dup, delivery, retain) = (false, Delivery::AtMostOnce, false);
                    line.write(&Packet::Publish(Publish { dup, delivery, retain, topic, payload })).await?;
                }
            }
            () = sleep_until(if held_up { ready } else { silent }) => {
                if !held_up {
                    return Err(Over::Silent(session.silence()));
                }
            }
        }
    }
}
