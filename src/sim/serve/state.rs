//! What the tasks of one plug share, and its ear for datagrams.

use super::super::{Answer, Faults, Model, Request};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const LARGEST_REQUEST: usize = 2048;

#[derive(Debug)]
pub(super) struct State<M> {
    started: Instant,
    desk: Mutex<Desk<M>>,
}

/// Everything behind the lock, which is never held over an await.
#[derive(Debug)]
pub(super) struct Desk<M> {
    pub(super) plug: M,
    pub(super) faults: Faults,
    pub(super) udp: SocketAddrV4,
    pub(super) http: SocketAddrV4,
    pub(super) open: usize,
    pub(super) most_open: usize,
    pub(super) arrived: u64,
    socket: Option<Arc<UdpSocket>>,
    datagrams_in: u64,
    datagrams_out: u64,
}

impl<M: Model> State<M> {
    pub(super) fn new(plug: M) -> Self {
        let nowhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        let desk = Desk {
            plug,
            faults: Faults::default(),
            udp: nowhere,
            http: nowhere,
            open: 0,
            most_open: 0,
            arrived: 0,
            socket: None,
            datagrams_in: 0,
            datagrams_out: 0,
        };
        Self { started: Instant::now(), desk: Mutex::new(desk) }
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk<M>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now_s(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }

    pub(super) fn settle(&self, socket: &Arc<UdpSocket>, udp: SocketAddrV4, http: SocketAddrV4) {
        let mut desk = self.desk();
        desk.socket = Some(Arc::clone(socket));
        (desk.udp, desk.http) = (udp, http);
    }

    pub(super) fn leave(&self) {
        self.desk().socket = None;
    }

    /// Whether a connection gets anywhere: not while the plug is unreachable or boots.
    pub(super) fn reachable(&self) -> bool {
        let now_s = self.now_s();
        let desk = self.desk();
        desk.faults.reachable() && desk.plug.is_up(now_s)
    }

    pub(super) fn http(&self, request: &Request<'_>) -> (Answer, Duration) {
        let now_s = self.now_s();
        let desk = &mut *self.desk();
        let reply = if desk.faults.reachable() { desk.plug.http(now_s, request) } else { None };
        (desk.faults.http(desk.plug.serial(), reply), desk.faults.delay)
    }

    fn datagram(&self, bytes: &[u8], to_all: bool) -> (Vec<Vec<u8>>, Duration) {
        let now_s = self.now_s();
        let desk = &mut *self.desk();
        desk.arrived += 1;
        desk.datagrams_in += 1;
        let mut out = Vec::new();
        if desk.faults.hears(desk.datagrams_in) {
            let replies = match to_all {
                true => desk.plug.broadcast(now_s, bytes),
                false => desk.plug.datagram(now_s, bytes),
            };
            for reply in replies {
                desk.datagrams_out += 1;
                out.extend(desk.faults.datagram(desk.datagrams_out, desk.plug.serial(), reply));
            }
        }
        (out, desk.faults.delay)
    }

    fn socket(&self) -> Option<Arc<UdpSocket>> {
        self.desk().socket.clone()
    }
}

/// Hears datagrams to the plug's own address.
pub(super) async fn listen<M: Model>(state: Arc<State<M>>, socket: Arc<UdpSocket>) {
    let mut late = JoinSet::new();
    let mut buffer = vec![0; LARGEST_REQUEST];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                hear(&state, buffer.get(..length).unwrap_or_default(), from, false, &mut late).await
            }
            Err(error) => return tracing::error!(%error, "simulated plug went deaf"),
        }
    }
}

/// Hears broadcasts for several plugs; each answers from its own address.
pub(super) async fn listen_broadcast<M: Model>(plugs: Vec<Arc<State<M>>>, socket: UdpSocket) {
    let mut late = JoinSet::new();
    let mut buffer = vec![0; LARGEST_REQUEST];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                for state in &plugs {
                    hear(state, buffer.get(..length).unwrap_or_default(), from, true, &mut late).await;
                }
            }
            Err(error) => return tracing::error!(%error, "simulated plugs hear no broadcasts any more"),
        }
    }
}

async fn hear<M: Model>(
    state: &State<M>,
    bytes: &[u8],
    from: SocketAddr,
    to_all: bool,
    late: &mut JoinSet<()>,
) {
    let Some(socket) = state.socket() else { return };
    tracing::trace!(%from, bytes = %bytes.escape_ascii(), "datagram to simulated plug");
    let (replies, delay) = state.datagram(bytes, to_all);
    while late.try_join_next().is_some() {}
    if delay.is_zero() {
        send(&socket, replies, from).await;
    } else if !replies.is_empty() {
        late.spawn(async move {
            sleep(delay).await;
            send(&socket, replies, from).await;
        });
    }
}

async fn send(socket: &UdpSocket, replies: Vec<Vec<u8>>, to: SocketAddr) {
    for reply in replies {
        if let Err(error) = socket.send_to(&reply, to).await {
            tracing::debug!(%error, %to, "simulated plug could not answer");
        }
    }
}
