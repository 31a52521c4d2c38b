//! A small broker that does what a test tells it, also what no broker should: it refuses, hangs
//! up, talks nonsense, keeps acknowledgements to itself, forgets. What clients do is written down
//! in order; `$connect`, `$subscribe`, `$disconnect` and `$will` stand for what is not published.

use super::Message;
use rumqttc::mqttbytes::v4::{
    ConnAck, ConnectReturnCode, Packet, PubAck, Publish, SubAck, SubscribeReasonCode,
};
use rumqttc::mqttbytes::{Error, QoS, matches};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

const MAX_PACKET: usize = 16 << 20;

/// Messages of QoS 1 kept for one subscriber, as mosquitto does unless told otherwise: 20 on their way and
/// 1000 that wait. What is more is dropped.
const MAX_QUEUED: usize = 1020;

/// What it does wrong; the default is a good broker.
#[derive(Debug, Clone, Default)]
pub(crate) struct BrokerFaults {
    pub(crate) refuse_login: bool,
    /// Subscriptions to filters that end like this are refused.
    pub(crate) refuse_filter: Option<&'static str>,
    /// Closes as soon as it has read CONNECT.
    pub(crate) hang_up: bool,
    /// Answers CONNECT with noise.
    pub(crate) garbage: bool,
    /// Never acknowledges a publish.
    pub(crate) keep_acks: bool,
    /// Acknowledges what was never sent.
    pub(crate) odd_acks: bool,
    /// Answers CONNECT this much later.
    pub(crate) slow_welcome: Option<Duration>,
    /// Reads everything and answers nothing, from CONNECT on.
    pub(crate) mute: bool,
    /// Ends a connection after so many messages on it.
    pub(crate) cut_after: Option<usize>,
    /// Takes so long over each message.
    pub(crate) slow: Option<Duration>,
    /// Ends a connection on which a message of more bytes comes.
    pub(crate) cut_larger: Option<usize>,
    /// Acknowledges messages of more bytes, and drops them.
    pub(crate) drop_larger: Option<usize>,
    /// Claims to have kept a session.
    pub(crate) remembers: bool,
}

#[derive(Clone)]
pub(crate) struct Script(Arc<Shared>);

struct Shared {
    addr: SocketAddr,
    desk: Mutex<CliHarness>,
    log: watch::Sender<Vec<Message>>,
    /// To clients: what is published, and the end of their connections.
    out: broadcast::Sender<Out>,
    door: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct CliHarness {
    whims: BrokerFaults,
    retained: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone)]
enum Out {
    Publish(Message),
    Bytes(Vec<u8>),
    Cut,
}

impl Script {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("bound");
        let (log, out) = (watch::channel(Vec::new()).0, broadcast::channel(1024).0);
        let script =
            Self(Arc::new(Shared { addr, desk: Mutex::default(), log, out, door: Mutex::default() }));
        script.listen(listener);
        script
    }

    fn listen(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.0);
        let door = tokio::spawn(async move {
            let mut clients = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&shared);
                clients.spawn(async move { serve(&shared, stream).await });
            }
        });
        *self.0.door.lock().unwrap() = Some(door);
    }

    /// Nobody listens any more.
    pub(crate) async fn close(&self) {
        let door = self.0.door.lock().unwrap().take();
        if let Some(door) = door {
            door.abort();
            let _ = door.await;
        }
    }

    /// Listens again where it did before.
    pub(crate) async fn open(&self) {
        self.listen(TcpListener::bind(self.0.addr).await.expect("its port again"));
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.addr.port()
    }

    pub(super) fn log(&self) -> watch::Receiver<Vec<Message>> {
        self.0.log.subscribe()
    }

    pub(crate) fn set(&self, whims: BrokerFaults) {
        self.0.desk.lock().unwrap().whims = whims;
    }

    /// Ends every connection without a word.
    pub(crate) fn cut(&self) {
        let _ = self.0.out.send(Out::Cut);
    }

    /// Sends these bytes to everybody, whatever they mean.
    pub(crate) fn send(&self, bytes: &[u8]) {
        let _ = self.0.out.send(Out::Bytes(bytes.to_vec()));
    }

    /// As after a restart without persistence.
    pub(crate) fn forget(&self) {
        self.0.desk.lock().unwrap().retained.clear();
        self.cut();
    }

    pub(crate) fn publish(&self, topic: &str, payload: Vec<u8>, retain: bool) {
        self.0.take(Message { topic: topic.into(), payload, retain }, false);
    }

    pub(crate) fn retained(&self) -> BTreeMap<String, String> {
        let desk = self.0.desk.lock().unwrap();
        let text = |payload: &Vec<u8>| String::from_utf8_lossy(payload).into_owned();
        desk.retained.iter().map(|(topic, payload)| (topic.clone(), text(payload))).collect()
    }
}

impl Shared {
    fn note(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        let message = Message { topic: topic.into(), payload: payload.into(), retain: false };
        self.log.send_modify(|log| log.push(message));
    }

    fn whims(&self) -> BrokerFaults {
        self.desk.lock().unwrap().whims.clone()
    }

    /// Something is published: kept if it says so, written down, passed on.
    fn take(&self, message: Message, written: bool) {
        if message.retain {
            let retained = &mut self.desk.lock().unwrap().retained;
            match message.payload.is_empty() {
                true => retained.remove(&message.topic),
                false => retained.insert(message.topic.clone(), message.payload.clone()),
            };
        }
        if written {
            self.log.send_modify(|log| log.push(message.clone()));
        }
        let _ = self.out.send(Out::Publish(Message { retain: false, ..message }));
    }
}

async fn serve(shared: &Shared, mut stream: TcpStream) {
    let mut out = shared.out.subscribe();
    let mut will = None;
    let mut filters: Vec<String> = Vec::new();
    let mut buffer = Default::default();
    let mut messages = 0;
    // A look around before a bridge acts is nobody's business.
    let mut looks = false;
    'talk: loop {
        loop {
            let packet = match Packet::read(&mut buffer, MAX_PACKET) {
                Ok(packet) => packet,
                Err(Error::InsufficientBytes(_)) => break,
                Err(_) => break 'talk,
            };
            let whims = shared.whims();
            let mut answers = Vec::new();
            match packet {
                Packet::Connect(connect) => {
                    let session = if connect.clean_session { "clean" } else { "kept" };
                    looks = ["-look", "-size"].iter().any(|end| connect.client_id.contains(end));
                    if !looks {
                        shared.note("$connect", format!("{} {session}", connect.client_id));
                    }
                    if let Some(pause) = whims.slow_welcome {
                        sleep(pause).await;
                    }
                    if whims.hang_up {
                        break 'talk;
                    }
                    if whims.garbage {
                        let _ = stream.write_all(&[0xf0; 64]).await;
                        break 'talk;
                    }
                    let code = match whims.refuse_login {
                        true => ConnectReturnCode::BadUserNamePassword,
                        false => ConnectReturnCode::Success,
                    };
                    will = connect.last_will.filter(|_| !whims.refuse_login);
                    answers.push(Packet::ConnAck(ConnAck::new(code, whims.remembers)));
                }
                Packet::Subscribe(subscribe) => {
                    let queued = subscribe.filters.iter().any(|filter| filter.qos != QoS::AtMostOnce);
                    let mut room = if queued { MAX_QUEUED } else { usize::MAX };
                    let asked: Vec<String> = subscribe.filters.into_iter().map(|f| f.path).collect();
                    if !looks {
                        shared.note("$subscribe", asked.join(" "));
                    }
                    let refused =
                        |filter: &String| whims.refuse_filter.is_some_and(|end| filter.ends_with(end));
                    let codes = asked.iter().map(|filter| match refused(filter) {
                        true => SubscribeReasonCode::Failure,
                        false => SubscribeReasonCode::Success(QoS::AtMostOnce),
                    });
                    answers.push(Packet::SubAck(SubAck::new(subscribe.pkid, codes.collect())));
                    let granted: Vec<String> = asked.into_iter().filter(|f| !refused(f)).collect();
                    for (topic, payload) in shared.desk.lock().unwrap().retained.clone() {
                        if granted.iter().any(|filter| matches(&topic, filter)) && room > 0 {
                            room -= 1;
                            let mut publish = Publish::new(topic, QoS::AtMostOnce, payload);
                            publish.retain = true;
                            answers.push(Packet::Publish(publish));
                        }
                    }
                    filters.extend(granted);
                }
                Packet::Publish(publish) => {
                    let message = Message {
                        topic: publish.topic,
                        payload: publish.payload.to_vec(),
                        retain: publish.retain,
                    };
                    if let Some(pause) = whims.slow {
                        sleep(pause).await;
                    }
                    let larger = |most: Option<usize>| most.is_some_and(|most| message.payload.len() > most);
                    if larger(whims.cut_larger) {
                        break 'talk;
                    }
                    if !larger(whims.drop_larger) {
                        shared.take(message, true);
                    }
                    messages += 1;
                    if whims.cut_after.is_some_and(|most| messages >= most) {
                        break 'talk;
                    }
                    if whims.odd_acks {
                        answers.push(Packet::PubAck(PubAck::new(publish.pkid.wrapping_add(77))));
                    } else if publish.pkid != 0 && !whims.keep_acks {
                        answers.push(Packet::PubAck(PubAck::new(publish.pkid)));
                    }
                }
                Packet::PingReq => answers.push(Packet::PingResp),
                Packet::Disconnect => {
                    if !looks {
                        shared.note("$disconnect", "");
                    }
                    return;
                }
                Packet::ConnAck(_)
                | Packet::PubAck(_)
                | Packet::PubRec(_)
                | Packet::PubRel(_)
                | Packet::PubComp(_)
                | Packet::SubAck(_)
                | Packet::Unsubscribe(_)
                | Packet::UnsubAck(_)
                | Packet::PingResp => {}
            }
            if !whims.mute && say(&mut stream, answers).await.is_none() {
                break 'talk;
            }
        }
        tokio::select! {
            read = stream.read_buf(&mut buffer) => if !matches!(read, Ok(1..)) { break },
            sent = out.recv() => match sent {
                Ok(Out::Publish(message)) => {
                    let heard = filters.iter().any(|filter| matches(&message.topic, filter));
                    let publish = Publish::new(message.topic, QoS::AtMostOnce, message.payload);
                    if heard && say(&mut stream, vec![Packet::Publish(publish)]).await.is_none() {
                        break;
                    }
                }
                Ok(Out::Bytes(bytes)) => drop(stream.write_all(&bytes).await),
                Ok(Out::Cut) | Err(_) => break,
            },
        }
    }
    if let Some(will) = will {
        shared.note("$will", will.topic.clone());
        shared.take(Message { topic: will.topic, payload: will.message.to_vec(), retain: will.retain }, true);
    }
}

async fn say(stream: &mut TcpStream, packets: Vec<Packet>) -> Option<()> {
    let mut bytes = Default::default();
    for packet in packets {
        packet.write(&mut bytes, MAX_PACKET).ok()?;
    }
    stream.write_all(&bytes).await.ok()
}
