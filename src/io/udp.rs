//! Datagrams to one plug: sent again while nothing comes back, and only its own answers heard.

use crate::model::{Failure, Place};
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

/// The longest datagram read; longer ones are cut and then make no sense.
pub(super) const MAX_DATAGRAM: usize = 16 * 1024;

/// Pause before the first repetition; doubles.
const AGAIN: Duration = Duration::from_millis(250);

/// One question to one plug. Its socket lives as long as the question, so that no late answer to
/// an earlier one can be taken for an answer to this.
pub(super) struct Question<'a> {
    socket: UdpSocket,
    bytes: &'a [u8],
    again_at: Instant,
    pause: Duration,
    give_up_at: Instant,
}

impl<'a> Question<'a> {
    pub(super) async fn ask(place: Place, bytes: &'a [u8], patience: Duration) -> Result<Self, Failure> {
        let unreachable = |error: std::io::Error| Failure::Unreachable(error.to_string());
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await.map_err(unreachable)?;
        // Connected: the kernel drops what others send, and says when nobody listens.
        socket.connect(place.datagram()).await.map_err(unreachable)?;
        let now = Instant::now();
        let question =
            Self { socket, bytes, again_at: now + AGAIN, pause: AGAIN, give_up_at: now + patience };
        question.send().await?;
        Ok(question)
    }

    async fn send(&self) -> Result<(), Failure> {
        match self.socket.send(self.bytes).await {
            Ok(_) => Ok(()),
            // The answer to an earlier datagram: nobody listens there.
            Err(error) => Err(Failure::Unreachable(error.to_string())),
        }
    }

    /// The next datagram from the plug.
    pub(super) async fn answer(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        loop {
            let until = self.again_at.min(self.give_up_at);
            match timeout_at(until, self.socket.recv(buffer)).await {
                Ok(Ok(length)) => return Ok(length),
                Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {
                    return Err(Failure::Unreachable(error.to_string()));
                }
                Ok(Err(error)) => return Err(Failure::Unreachable(error.to_string())),
                Err(_) if Instant::now() >= self.give_up_at => return Err(Failure::Silent),
                Err(_) => {
                    self.send().await?;
                    self.pause *= 2;
                    self.again_at = Instant::now() + self.pause;
                }
            }
        }
    }
}
