//! What the tasks of one plug share, and its ear for datagrams.

use super::super::{Answer, Faults, Strip};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const LARGEST_REQUEST: usize = 2048;

#[derive(Debug)]
pub(super) struct State {
    started: Instant,
    desk: Mutex<Desk>,
}

/// Everything behind the lock, which is never held over an await.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) strip: Strip,
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

impl State {
    pub(super) fn new(strip: Strip) -> Self {
        let nowhere = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, 0);
        let desk = Desk {
            strip,
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

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
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
        desk.faults.reachable() && desk.strip.is_up(now_s)
    }

    pub(super) fn http(&self, target: &str) -> (Answer, Duration) {
        let now_s = self.now_s();
        let desk = &mut *self.desk();
        let reply = if desk.faults.reachable() { desk.strip.http(now_s, target) } else { None };
        (desk.faults.http(desk.strip.serial(), reply), desk.faults.delay)
    }

    fn datagram(&self, bytes: &[u8]) -> (Vec<Vec<u8>>, Duration) {
        let now_s = self.now_s();
        let desk = &mut *self.desk();
        desk.arrived += 1;
        desk.datagrams_in += 1;
        let mut out = Vec::new();
        if desk.faults.hears(desk.datagrams_in) {
            for reply in desk.strip.datagram(now_s, bytes) {
                desk.datagrams_out += 1;
                out.extend(desk.faults.datagram(desk.datagrams_out, desk.strip.serial(), reply));
            }
        }
        (out, desk.faults.delay)
    }

    fn socket(&self) -> Option<Arc<UdpSocket>> {
        self.desk().socket.clone()
    }
}

/// Hears datagrams to the plug's own address.
pub(super) async fn listen(state: Arc<State>, socket: Arc<UdpSocket>) {
    let mut late = JoinSet::new();
    let mut buffer = vec![0; LARGEST_REQUEST];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                hear(&state, buffer.get(..length).unwrap_or_default(), from, &mut late).await
            }
            Err(error) => return tracing::error!(%error, "simulated plug went deaf"),
        }
    }
}

/// Hears broadcasts for several plugs; each answers from its own address.
pub(super) async fn listen_broadcast(plugs: Vec<Arc<State>>, socket: UdpSocket) {
    let mut late = JoinSet::new();
    let mut buffer = vec![0; LARGEST_REQUEST];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                for state in &plugs {
                    hear(state, buffer.get(..length).unwrap_or_default(), from, &mut late).await;
                }
            }
            Err(error) => return tracing::error!(%error, "simulated plugs hear no broadcasts any more"),
        }
    }
}

async fn hear(state: &State, bytes: &[u8], from: SocketAddr, late: &mut JoinSet<()>) {
    let Some(socket) = state.socket() else { return };
    tracing::trace!(%from, bytes = %bytes.escape_ascii(), "datagram to simulated plug");
    let (replies, delay) = state.datagram(bytes);
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
