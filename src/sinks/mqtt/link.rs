//! One connection to the broker, from CONNECT to its end. The only file that knows rumqttc, and
//! the place where its traps are kept shut:
//!
//! - An event loop lives for one connection. After an error rumqttc 0.25 drops what was queued,
//!   forgets subscriptions, and after a packet id collision falls silent for good.
//! - `poll` lives alone in its task, outside any `select!` or `timeout`: dropping it half-way drops
//!   the handshake.
//! - That task never waits for anybody: what it receives is handed on without blocking. Its owner may
//!   just be waiting for room to publish.
//! - Nagle is off: two states within a round trip would wait 40 ms for each other.

use super::counters::Counters;
use super::duplicates::Duplicates;
use super::in_flight::{InFlight, Sent};
pub use super::tls::Tls;
use super::tls::remedy;
use crate::fair::{self, Room};
use crate::pulse::Pulse;
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions, NetworkOptions,
    Outgoing, Packet, QoS, StateError, SubscribeFilter, SubscribeReasonCode,
};
use secrecy::{ExposeSecret, SecretString};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::debug;

/// The largest message taken; a larger one ends the connection.
const MAX_INCOMING: usize = 4 << 20;

/// The largest message sent.
const MAX_OUTGOING: usize = 16 << 20;

/// Received messages that may wait for the owner, of one topic and of all; what may get lost is dropped
/// and counted beyond that.
const MAX_WAITING: usize = 16_384;
const MAX_ALL_WAITING: usize = 32_768;

/// The same for what must not get lost: the meters of more plugs than are ever known, and as much again.
const MAX_MUST: usize = 1 << 18;

/// How long the last words may take to be acknowledged.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where the broker is and who we are there.
#[derive(Debug, Clone)]
pub struct Address {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// TLS, when wanted.
    pub tls: Option<Tls>,
    /// User and password.
    pub login: Option<(String, SecretString)>,
    /// Client id.
    pub client_id: String,
    /// Keep-alive; a dead link is noticed after two.
    pub keep_alive: Duration,
}

/// What becomes of a received message.
#[derive(Debug)]
pub(super) enum Heard<T> {
    /// The owner must see it: it waits as long as it takes.
    Must(T),
    /// The owner sees it unless too much waits already.
    May(T),
    /// Nobody needs it, or it has been dealt with.
    Nothing,
}

/// What the connection tells its owner.
#[derive(Debug)]
pub(super) enum Said<T> {
    /// The broker accepted us.
    Connected,
    /// Answer to a subscription: the positions that were refused.
    Subscribed(Vec<usize>),
    /// Something received that `receive` did not deal with.
    Received(T),
    /// The connection is over, and why.
    Down(Lost),
}

/// Why a connection ended.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum Lost {
    #[error("{why}")]
    Unreachable { kind: String, why: String },
    /// It was accepted before.
    #[error("{why}")]
    Cut {
        kind: String,
        why: String,
        /// What was sent last.
        last: Sent,
        /// The largest message not acknowledged, when none as large ever was: it may be too large.
        suspect: Option<Sent>,
    },
    #[error("{0}; {1}")]
    Tls(String, &'static str),
    #[error("the broker refuses the login ({0}); check mqtt.username and mqtt.password")]
    Login(&'static str),
    #[error("the broker refuses the client id; change mqtt.client_id")]
    ClientId,
    #[error("the broker does not speak MQTT 3.1.1")]
    Version,
    #[error("a message of more than 4 MiB came in; clear it on the broker if it is retained")]
    TooBig,
}

impl Lost {
    fn unreachable(kind: impl std::fmt::Debug, why: impl Into<String>) -> Self {
        Self::Unreachable { kind: format!("{kind:?}"), why: why.into() }
    }

    /// The files that the settings name cannot be used.
    pub(super) fn before(why: String) -> Self {
        Self::unreachable("settings", why)
    }

    /// The broker said no, and will say so again.
    pub(super) fn is_refusal(&self) -> bool {
        !matches!(self, Self::Unreachable { .. } | Self::Cut { .. })
    }

    /// Two of one kind need not be told twice, whatever their texts are.
    pub(super) fn kind(&self) -> (std::mem::Discriminant<Self>, &str) {
        let kind = match self {
            Self::Unreachable { kind, .. } | Self::Cut { kind, .. } => kind.as_str(),
            Self::Tls(_, remedy) => remedy,
            Self::Login(_) | Self::ClientId | Self::Version | Self::TooBig => "",
        };
        (std::mem::discriminant(self), kind)
    }
}

/// An open connection.
pub(super) struct Link<T> {
    client: AsyncClient,
    said: fair::Receiver<String, Said<T>>,
    /// Why it is over.
    over: Option<Lost>,
    /// Messages handed over and messages acknowledged.
    acked: watch::Receiver<u64>,
    handed: u64,
    way: Arc<Mutex<InFlight>>,
    counters: Arc<Counters>,
    poll: JoinHandle<()>,
}

/// The last will of a connection: topic and payload, retained.
pub(super) type Will = Option<(String, &'static str)>;

impl<T: Send + 'static> Link<T> {
    /// Begins to connect; [`Said::Connected`] or [`Said::Down`] comes first. `receive` gets topic,
    /// payload and retain flag of every message, and returns what the owner is to see; it runs in the
    /// polling task and must not block. Nothing moves after a standstill.
    pub(super) fn open(
        address: &Address,
        will: Will,
        counters: &Arc<Counters>,
        pulse: &Pulse,
        receive: impl FnMut(&str, &[u8], bool) -> Heard<T> + Send + 'static,
    ) -> Result<Self, String> {
        let mut options = MqttOptions::new(&address.client_id, &address.host, address.port);
        options.set_keep_alive(address.keep_alive);
        options.set_clean_session(true);
        options.set_max_packet_size(MAX_INCOMING, MAX_OUTGOING);
        if let Some((user, password)) = &address.login {
            options.set_credentials(user, password.expose_secret());
        }
        if let Some((topic, payload)) = will {
            options.set_last_will(LastWill::new(topic, payload, QoS::AtLeastOnce, true));
        }
        let tls = address.tls.is_some();
        if let Some(tls) = &address.tls {
            options.set_transport(transport(tls)?);
        }
        let (client, mut events) = AsyncClient::new(options, 64);
        let mut network = NetworkOptions::new();
        network.set_tcp_nodelay(true);
        events.set_network_options(network);
        let (to, said) = fair::channel(Room { each: MAX_WAITING, all: MAX_ALL_WAITING });
        let (ack, acked) = watch::channel(0);
        let way = Arc::default();
        let poll = Poll { to, ack, way: Arc::clone(&way), counters: Arc::clone(counters), tls };
        let (poll, pulse) = (poll.run(events, receive), pulse.clone());
        let poll = tokio::spawn(async move { pulse.guard(poll).await.unwrap_or_default() });
        Ok(Self { client, said, over: None, acked, handed: 0, way, counters: Arc::clone(counters), poll })
    }

    /// What the connection says next; `Down` for ever once it is over. May be dropped and called
    /// again.
    pub(super) async fn next(&mut self) -> Said<T> {
        if let Some(why) = &self.over {
            return Said::Down(why.clone());
        }
        let said = self.said.recv().await;
        if let Said::Down(why) = &said {
            self.over = Some(why.clone());
        }
        said
    }

    /// Hands a message over, QoS 1; waits while the broker is slower than we are.
    pub(super) async fn publish(&mut self, topic: &str, payload: impl Into<Vec<u8>>, retain: bool) {
        let payload: Vec<u8> = payload.into();
        if let Ok(mut way) = self.way.lock() {
            way.handed.push_back(Sent { topic: topic.into(), size: topic.len() + payload.len() });
        }
        // An error means that the polling task has ended; it has said why.
        if self.client.publish(topic, QoS::AtLeastOnce, retain, payload).await.is_ok() {
            self.handed += 1;
            self.counters.published.fetch_add(1, Ordering::Relaxed);
            self.counters.queued.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Subscribes, QoS 1; [`Said::Subscribed`] answers.
    pub(super) async fn subscribe(&mut self, filters: &[String]) {
        self.subscribe_at(filters, QoS::AtLeastOnce).await;
    }

    /// Subscribes to see what is retained, QoS 0: brokers keep only so many messages of QoS 1 for a
    /// subscriber (mosquitto 1000) and drop the rest without a word.
    pub(super) async fn look_at(&mut self, filters: &[String]) {
        self.subscribe_at(filters, QoS::AtMostOnce).await;
    }

    async fn subscribe_at(&mut self, filters: &[String], qos: QoS) {
        let filters = filters.iter().map(|filter| SubscribeFilter::new(filter.clone(), qos));
        drop(self.client.subscribe_many(filters).await);
    }

    /// Takes subscriptions back.
    pub(super) async fn unsubscribe(&mut self, filters: &[String]) {
        for filter in filters {
            drop(self.client.unsubscribe(filter.clone()).await);
        }
    }

    /// Waits until everything handed over is acknowledged (2 s at most), then says goodbye, so that
    /// the last will stays unspoken.
    pub(super) async fn close(mut self) {
        let handed = self.handed;
        let all = self.acked.wait_for(|acked| *acked >= handed);
        drop(tokio::time::timeout(LAST_WORDS, all).await);
        drop(self.client.disconnect().await);
        drop(tokio::time::timeout(LAST_WORDS, &mut self.poll).await);
        self.poll.abort();
    }
}

impl<T> Drop for Link<T> {
    fn drop(&mut self) {
        self.poll.abort();
    }
}

struct Poll<T> {
    to: fair::Sender<String, Said<T>>,
    ack: watch::Sender<u64>,
    way: Arc<Mutex<InFlight>>,
    counters: Arc<Counters>,
    /// It is a connection by TLS.
    tls: bool,
}

impl<T> Poll<T> {
    async fn run(self, mut events: EventLoop, mut receive: impl FnMut(&str, &[u8], bool) -> Heard<T>) {
        let mut repeats = Duplicates::default();
        let mut accepted = false;
        loop {
            let (said, topic) = match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => {
                    accepted = true;
                    (Said::Connected, None)
                }
                Ok(Event::Incoming(Packet::SubAck(ack))) => {
                    let codes = ack.return_codes.iter().enumerate();
                    let refused = codes.filter(|(_, code)| matches!(code, SubscribeReasonCode::Failure));
                    (Said::Subscribed(refused.map(|(position, _)| position).collect()), None)
                }
                Ok(Event::Incoming(Packet::Publish(message))) => {
                    self.counters.received.fetch_add(1, Ordering::Relaxed);
                    // What is retained is no command, and may be a great deal.
                    let counts = message.qos != QoS::AtMostOnce && !message.retain;
                    if counts && repeats.again(message.dup, message.pkid, &message.topic, &message.payload) {
                        debug!(topic = message.topic, "delivered a second time; taken once");
                        continue;
                    }
                    match receive(&message.topic, &message.payload, message.retain) {
                        Heard::Must(received) => (Said::Received(received), None),
                        Heard::May(received) => (Said::Received(received), Some(message.topic)),
                        Heard::Nothing => continue,
                    }
                }
                Ok(Event::Outgoing(Outgoing::Publish(number))) => {
                    self.way(|way| way.sent(number));
                    continue;
                }
                Ok(Event::Incoming(Packet::PubAck(ack))) => {
                    self.way(|way| way.acked(ack.pkid));
                    self.ack.send_modify(|acked| *acked += 1);
                    self.counters.queued.fetch_sub(1, Ordering::Relaxed);
                    continue;
                }
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return,
                Ok(_) => continue,
                Err(error) => {
                    let why = lost(&error, self.tls, accepted);
                    let why = if accepted { self.cut(why) } else { why };
                    self.to.must_send(String::new(), Said::Down(why));
                    return;
                }
            };
            self.tell(said, topic);
        }
    }

    fn way(&self, change: impl FnOnce(&mut InFlight)) {
        if let Ok(mut way) = self.way.lock() {
            change(&mut way);
        }
    }

    /// The end of a connection that was accepted, with what was sent on it.
    fn cut(&self, why: Lost) -> Lost {
        match (why, self.way.lock()) {
            (Lost::Unreachable { kind, why }, Ok(way)) => {
                Lost::Cut { kind, why, last: way.last.clone(), suspect: way.suspect() }
            }
            (other, _) => other,
        }
    }

    /// Hands on what was received; what may get lost waits with its topic, so that a flood on one holds
    /// up no other, and what must not in its order.
    fn tell(&self, said: Said<T>, topic: Option<String>) {
        let told = match topic {
            Some(topic) => self.to.send(topic, said).is_ok(),
            None if self.to.waiting() < MAX_MUST => {
                self.to.must_send(String::new(), said);
                true
            }
            None => false,
        };
        if !told {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "their enum, and it differs by feature")]
fn lost(error: &ConnectionError, tls: bool, accepted: bool) -> Lost {
    match error {
        ConnectionError::ConnectionRefused(ConnectReturnCode::BadUserNamePassword) => {
            Lost::Login("bad user name or password")
        }
        ConnectionError::ConnectionRefused(ConnectReturnCode::NotAuthorized) => Lost::Login("not authorized"),
        ConnectionError::ConnectionRefused(ConnectReturnCode::BadClientId) => Lost::ClientId,
        ConnectionError::ConnectionRefused(ConnectReturnCode::RefusedProtocolVersion) => Lost::Version,
        ConnectionError::MqttState(StateError::Deserialization(
            rumqttc::mqttbytes::Error::PayloadSizeLimitExceeded(_),
        )) if accepted => Lost::TooBig,
        other => {
            let error = other.to_string();
            if remedy(&error).is_none()
                && let Some(why) = explained(other, tls, accepted)
            {
                return Lost::unreachable(std::mem::discriminant(other), why);
            }
            match (remedy(&error), other) {
                (Some(remedy), _) => Lost::Tls(error, remedy),
                (None, ConnectionError::Io(io) | ConnectionError::MqttState(StateError::Io(io))) => {
                    Lost::unreachable(io.kind(), error)
                }
                (None, other) => Lost::unreachable(std::mem::discriminant(other), error),
            }
        }
    }
}

/// In words that name the mix-up of ports, where it may be one; `accepted` is whether the broker had let us in.
fn explained(error: &ConnectionError, tls: bool, accepted: bool) -> Option<String> {
    match error {
        ConnectionError::MqttState(_) if !accepted && !tls => Some(format!(
            "the connection ended before the broker let us in ({}); if this is its TLS port, use mqtts://",
            innermost(error)
        )),
        #[cfg(feature = "tls")]
        ConnectionError::Tls(_) => Some(format!(
            "the connection ended in the TLS handshake ({}); if the broker does not speak TLS at this port, use \
             its TLS port, often 8883, or mqtt://",
            innermost(error)
        )),
        _ => None,
    }
}

/// The cause itself, without the layers that hand it on.
fn innermost(error: &ConnectionError) -> String {
    let text = error.to_string();
    let layers = ["Mqtt state: ", "deserialization error: ", "TLS: ", "I/O: ", "IO: "];
    let cause = layers
        .iter()
        .fold(text.as_str(), |text, layer| text.rsplit_once(layer).map_or(text, |(_, cause)| cause));
    cause.to_owned()
}

#[cfg(feature = "tls")]
fn transport(tls: &Tls) -> Result<rumqttc::Transport, String> {
    let config = super::tls::config(tls)?;
    Ok(rumqttc::Transport::tls_with_config(rumqttc::TlsConfiguration::Rustls(config)))
}

#[cfg(not(feature = "tls"))]
fn transport(_: &Tls) -> Result<rumqttc::Transport, String> {
    Err("this build has no TLS (cargo feature \"tls\"); use mqtt:// or another build".into())
}

/// Checks the TLS settings without connecting, so that a wrong file is found at start.
///
/// # Errors
///
/// Names the file and what is wrong with it.
pub fn check_tls(tls: &Tls) -> Result<(), String> {
    transport(tls).map(drop)
}

#[cfg(test)]
mod tests;
