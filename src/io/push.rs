//! What plugs say unasked, by datagram: a socket for each family whose plugs do so.

use super::probe::DriverConfig;
use super::udp::MAX_DATAGRAM;
use crate::model::{Backoff, Pushed};
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tracing::{debug, error, info};

/// What was said and is not taken in yet; while there is no room, datagrams wait in the system's buffer.
const MAX_WAITING: usize = 256;

/// A port that another program has is tried again.
const AGAIN: Backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(60));

/// What plugs say unasked.
#[derive(Debug)]
pub struct Pushes {
    heard: mpsc::Receiver<Pushed>,
    /// They end with it.
    _sockets: JoinSet<()>,
}

impl Pushes {
    /// Listens for all families whose plugs speak unasked.
    pub fn listen(configs: &[DriverConfig]) -> Self {
        let (tell, heard) = mpsc::channel(MAX_WAITING);
        let mut sockets = JoinSet::new();
        for config in configs {
            if let Some(port) = config.driver.listens(&config.family) {
                sockets.spawn(hear(config.clone(), port, tell.clone()));
            }
        }
        Self { heard, _sockets: sockets }
    }

    /// What is said next; `None` for ever when nobody is listened to.
    pub async fn next(&mut self) -> Option<Pushed> {
        self.heard.recv().await
    }
}

async fn hear(config: DriverConfig, port: u16, tell: mpsc::Sender<Pushed>) {
    let name = config.driver.name();
    let socket = bind(name, port).await;
    let mut buffer = vec![0; MAX_DATAGRAM];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                let datagram = buffer.get(..length).unwrap_or_default();
                let Some(pushed) = config.driver.pushed(&config.family, from, datagram) else {
                    debug!(%from, length, "not understood by the driver of {name} plugs");
                    continue;
                };
                if tell.send(pushed).await.is_err() {
                    return;
                }
            }
            Err(error) => debug!("while listening to {name} plugs: {error}"),
        }
    }
}

async fn bind(name: &str, port: u16) -> UdpSocket {
    let mut tries = 0;
    loop {
        match UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).await {
            Ok(socket) => {
                if tries > 0 {
                    info!("{name} plugs are listened to now, at UDP port {port}");
                }
                return socket;
            }
            Err(error) if tries == 0 => error!(
                "{name} plugs are not listened to but polled alone: UDP port {port} cannot be used ({error}); end \
                 the program that has it"
            ),
            Err(_) => {}
        }
        sleep(AGAIN.pause(tries)).await;
        tries = tries.saturating_add(1);
    }
}
