//! Simulated plugs on real sockets.
//!
//! Owns every socket, task and counter of the simulation; knows nothing of what the bytes mean. One plug has one
//! IPv4 address of its own, so several share their port numbers as real ones do. Runs on the caller's runtime, also
//! a current-thread one; nothing listens any more once the handle is stopped or its last clone is dropped.

mod connection;
mod shelf;
mod state;

pub use shelf::{Shelf, free_ports};

use super::{Faults, Model, Strip};
use state::State;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpSocket, UdpSocket};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

const BACKLOG: u32 = 64;

/// Where a plug listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its own address.
    pub ip: Ipv4Addr,
    /// The port for datagrams; 0 takes any.
    pub udp_port: u16,
    /// The port for HTTP; 0 takes any.
    pub http_port: u16,
    /// Broadcast addresses on which it listens for datagrams, too. Only one socket of a machine or network
    /// namespace can have each; several plugs on one machine belong on a [`Shelf`].
    pub broadcasts: Vec<Ipv4Addr>,
}

/// A plug in service. Clones are handles to the same plug.
#[derive(Debug)]
pub struct Served<M = Strip> {
    state: Arc<State<M>>,
    running: Arc<Mutex<Running>>,
}

impl<M> Clone for Served<M> {
    fn clone(&self) -> Self {
        Self { state: Arc::clone(&self.state), running: Arc::clone(&self.running) }
    }
}

#[derive(Debug, Default)]
struct Running {
    place: Option<Endpoint>,
    datagrams: JoinSet<()>,
    connections: JoinSet<()>,
    /// A closed port: bound so that nobody else gets it, not listening so that connections are refused.
    closed: Option<TcpSocket>,
    listening: bool,
}

/// Puts a plug into service at a place.
pub async fn serve<M: Model>(plug: M, place: Endpoint) -> io::Result<Served<M>> {
    let served = Served::new(plug);
    served.open(place).await?;
    Ok(served)
}

impl Served {
    /// Looks at or changes the simulated strip.
    pub fn strip<R>(&self, look: impl FnOnce(&mut Strip) -> R) -> R {
        self.plug(look)
    }
}

impl<M: Model> Served<M> {
    /// A plug that is not in service yet.
    fn new(plug: M) -> Self {
        Self { state: Arc::new(State::new(plug)), running: Arc::default() }
    }

    async fn open(&self, place: Endpoint) -> io::Result<()> {
        self.running.lock().await.open(&self.state, place).await
    }

    /// Looks at or changes the simulated plug.
    pub fn plug<R>(&self, look: impl FnOnce(&mut M) -> R) -> R {
        look(&mut self.state.desk().plug)
    }

    /// Presses the button of a port.
    pub fn press(&self, port: usize) {
        let now_s = self.now_s();
        self.plug(|plug| plug.press(now_s, port));
    }

    /// Cuts the power for a moment, see [`Model::reboot`].
    pub fn reboot(&self) {
        let now_s = self.now_s();
        self.plug(|plug| plug.reboot(now_s));
    }

    /// The power of each port at this moment, in watts.
    pub fn watts(&self) -> Vec<f64> {
        let now_s = self.now_s();
        self.plug(|plug| plug.watts(now_s))
    }

    /// The faults that are switched on.
    pub fn faults(&self) -> Faults {
        self.state.desk().faults.clone()
    }

    /// Switches faults on and off; in force when it returns.
    pub async fn set_faults(&self, faults: Faults) -> io::Result<()> {
        let mut running = self.running.lock().await;
        self.state.desk().faults = faults;
        running.adjust(&self.state).await
    }

    /// Gives the plug another address, as a DHCP server does; the old one is dead when it returns.
    pub async fn move_to(&self, ip: Ipv4Addr) -> io::Result<()> {
        let mut running = self.running.lock().await;
        let Some(place) = running.close(&self.state).await else {
            return Err(io::Error::other("the plug is stopped"));
        };
        running.open(&self.state, Endpoint { ip, ..place }).await
    }

    /// Takes the plug out of service; every socket is closed when it returns.
    pub async fn stop(&self) {
        self.running.lock().await.close(&self.state).await;
    }

    /// The address of the plug.
    pub fn ip(&self) -> Ipv4Addr {
        *self.state.desk().udp.ip()
    }

    /// Where it hears datagrams.
    pub fn udp_addr(&self) -> SocketAddr {
        self.state.desk().udp.into()
    }

    /// Where it takes connections, or refuses them if its firmware or a fault keeps the port closed.
    pub fn http_addr(&self) -> SocketAddr {
        self.state.desk().http.into()
    }

    /// Seconds since it was put into service.
    pub fn now_s(&self) -> f64 {
        self.state.now_s()
    }

    /// Connections that are open now.
    pub fn open_connections(&self) -> usize {
        self.state.desk().open
    }

    /// The most connections that were ever open at once.
    pub fn max_connections(&self) -> usize {
        self.state.desk().most_open
    }

    /// Datagrams and HTTP requests that arrived, including those a fault kept from the plug.
    pub fn requests(&self) -> u64 {
        self.state.desk().arrived
    }
}

impl Running {
    async fn open<M: Model>(&mut self, state: &Arc<State<M>>, place: Endpoint) -> io::Result<()> {
        let socket = Arc::new(UdpSocket::bind((place.ip, place.udp_port)).await?);
        let udp = SocketAddrV4::new(place.ip, socket.local_addr()?.port());
        let mut broadcasts = Vec::new();
        for address in &place.broadcasts {
            broadcasts.push(UdpSocket::bind((*address, udp.port())).await?);
        }
        let closed = bind_tcp(SocketAddrV4::new(place.ip, place.http_port))?;
        let http = SocketAddrV4::new(place.ip, closed.local_addr()?.port());
        self.closed = Some(closed);
        state.settle(&socket, udp, http);
        self.datagrams.spawn(state::listen(Arc::clone(state), socket));
        for socket in broadcasts {
            self.datagrams.spawn(state::listen_broadcast(vec![Arc::clone(state)], socket));
        }
        self.place = Some(Endpoint { udp_port: udp.port(), http_port: http.port(), ..place });
        self.adjust(state).await
    }

    async fn close<M: Model>(&mut self, state: &State<M>) -> Option<Endpoint> {
        self.datagrams.shutdown().await;
        self.connections.shutdown().await;
        self.closed = None;
        self.listening = false;
        state.leave();
        self.place.take()
    }

    /// Opens or closes the HTTP port as firmware and faults demand.
    async fn adjust<M: Model>(&mut self, state: &Arc<State<M>>) -> io::Result<()> {
        let (http, wanted) = {
            let desk = state.desk();
            (desk.http, desk.plug.speaks_http() && !desk.faults.closed())
        };
        if self.place.is_none() || wanted == self.listening {
            return Ok(());
        }
        self.connections.shutdown().await;
        let socket = match self.closed.take() {
            Some(socket) => socket,
            None => bind_again(http).await?,
        };
        if wanted {
            self.connections.spawn(connection::accept(Arc::clone(state), socket.listen(BACKLOG)?));
        } else {
            self.closed = Some(socket);
        }
        self.listening = wanted;
        Ok(())
    }
}

/// The port was just ours; the system may need a moment to let go of it.
async fn bind_again(address: SocketAddrV4) -> io::Result<TcpSocket> {
    for _ in 0..100 {
        match bind_tcp(address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            bound => return bound,
        }
    }
    bind_tcp(address)
}

fn bind_tcp(address: SocketAddrV4) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests;
