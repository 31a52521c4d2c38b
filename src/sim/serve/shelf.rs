//! Several plugs side by side, which hear broadcasts together.

use super::{Endpoint, Served, state};
use crate::sim::{Model, Strip};
use std::io;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

const TRIES: usize = 64;

/// Several plugs on the same port numbers, each at its own address.
#[derive(Debug)]
pub struct Shelf<M = Strip> {
    plugs: Vec<Served<M>>,
    broadcasts: Mutex<JoinSet<()>>,
}

impl Shelf {
    /// Where broadcasts go on the loopback interface.
    pub const LOOPBACK_BROADCAST: Ipv4Addr = Ipv4Addr::new(127, 255, 255, 255);

    /// The plug with this serial number.
    pub fn plug(&self, serial: &str) -> Option<&Served> {
        self.plugs.iter().find(|plug| plug.strip(|strip| strip.serial() == serial))
    }
}

impl<M: Model> Shelf<M> {
    /// Puts plugs into service on loopback addresses, with one socket on [`Shelf::LOOPBACK_BROADCAST`] for all.
    /// A port given as 0 is one that is free on all these addresses.
    pub async fn serve(plugs: Vec<(Ipv4Addr, M)>, udp_port: u16, http_port: u16) -> io::Result<Self> {
        let ips: Vec<_> = plugs.iter().map(|&(ip, _)| ip).collect();
        let shelf = Self {
            plugs: plugs.into_iter().map(|(_, plug)| Served::new(plug)).collect(),
            broadcasts: Mutex::default(),
        };
        let chosen = udp_port == 0 || http_port == 0;
        for _ in 0..TRIES {
            let (free_udp, free_http) = if chosen { free_ports(&ips)? } else { (udp_port, http_port) };
            let udp_port = if udp_port == 0 { free_udp } else { udp_port };
            let http_port = if http_port == 0 { free_http } else { http_port };
            match shelf.open(&ips, udp_port, http_port).await {
                // Somebody took a free port between looking and binding.
                Err(error) if chosen && error.kind() == io::ErrorKind::AddrInUse => shelf.stop().await,
                done => return done.map(|()| shelf),
            }
        }
        Err(io::ErrorKind::AddrInUse.into())
    }

    /// The plugs in the order in which they were given.
    pub fn plugs(&self) -> &[Served<M>] {
        &self.plugs
    }

    /// The UDP and the HTTP port that all plugs use.
    pub fn ports(&self) -> (u16, u16) {
        self.plugs.first().map_or((0, 0), |plug| (plug.udp_addr().port(), plug.http_addr().port()))
    }

    /// Takes all plugs out of service.
    pub async fn stop(&self) {
        self.broadcasts.lock().await.shutdown().await;
        for plug in &self.plugs {
            plug.stop().await;
        }
    }

    async fn open(&self, ips: &[Ipv4Addr], udp_port: u16, http_port: u16) -> io::Result<()> {
        let socket = tokio::net::UdpSocket::bind((Shelf::LOOPBACK_BROADCAST, udp_port)).await?;
        for (&ip, plug) in ips.iter().zip(&self.plugs) {
            plug.open(Endpoint { ip, udp_port, http_port, broadcasts: Vec::new() }).await?;
        }
        let ears = self.plugs.iter().map(|plug| plug.state.clone()).collect();
        self.broadcasts.lock().await.spawn(state::listen_broadcast(ears, socket));
        Ok(())
    }
}

/// A UDP and a TCP port that are free on all these addresses, the UDP port on the loopback broadcast address, too.
pub fn free_ports(ips: &[Ipv4Addr]) -> io::Result<(u16, u16)> {
    let udp = free_port(|port| {
        let first = UdpSocket::bind((Shelf::LOOPBACK_BROADCAST, port))?;
        let port = first.local_addr()?.port();
        let others: io::Result<Vec<_>> = ips.iter().map(|&ip| UdpSocket::bind((ip, port))).collect();
        others.map(|_| port)
    })?;
    let http = free_port(|port| {
        let mut port = port;
        let mut held = Vec::new();
        for &ip in ips {
            let listener = TcpListener::bind((ip, port))?;
            port = listener.local_addr()?.port();
            held.push(listener);
        }
        Ok(port)
    })?;
    Ok((udp, http))
}

fn free_port(bind_all: impl Fn(u16) -> io::Result<u16>) -> io::Result<u16> {
    for _ in 0..TRIES {
        match bind_all(0) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            done => return done,
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}
