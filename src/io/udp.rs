//! Datagrams to one plug, and only its own answers heard.

use crate::model::{Endpoint, Failure};
use std::net::Ipv4Addr;
use tokio::net::UdpSocket;

/// The longest datagram read; longer ones are cut and then make no sense.
pub(super) const MAX_DATAGRAM: usize = 16 * 1024;

/// A socket for one question to one plug.
pub(super) struct Wire(UdpSocket);

impl Wire {
    pub(super) async fn to(place: Endpoint) -> Result<Self, Failure> {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.map_err(unreachable)?;
        // Connected: the kernel drops what others send, and says when nobody listens.
        socket.connect(place.datagram()).await.map_err(unreachable)?;
        Ok(Self(socket))
    }

    pub(super) async fn send(&self, bytes: &[u8]) -> Result<(), Failure> {
        // An error is the answer to an earlier datagram: nobody listens there.
        self.0.send(bytes).await.map(drop).map_err(unreachable)
    }

    /// The next datagram from the plug.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> Result<usize, Failure> {
        self.0.recv(buffer).await.map_err(unreachable)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err")]
fn unreachable(error: std::io::Error) -> Failure {
    Failure::Unreachable(error.to_string())
}
