//! What every simulated plug can do, whatever its family: hear bytes, answer, be touched by a hand.

use std::fmt::Debug;

/// An HTTP request as it reaches a plug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// `GET`, `POST`.
    pub method: &'a str,
    /// What stands behind it, as `/?cmd=511`.
    pub target: &'a str,
    /// The body; empty when there is none.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    /// A request without a body.
    pub fn get(target: &'a str) -> Self {
        Self { method: "GET", target, body: &[] }
    }
}

/// A simulated plug as whoever serves it sees it. Times are seconds since it was put into service.
pub trait Model: Clone + Debug + Send + 'static {
    /// What it calls itself in its answers, as far as a fault can replace it there.
    fn serial(&self) -> &str;

    /// Whether it has a web server.
    fn speaks_http(&self) -> bool;

    /// Whether it is on the network, which it is not while it boots.
    fn is_up(&self, now_s: f64) -> bool;

    /// Hears a datagram sent to it and gives the datagrams that it sends back.
    fn datagram(&mut self, now_s: f64, bytes: &[u8]) -> Vec<Vec<u8>>;

    /// Hears a datagram sent to everybody.
    fn broadcast(&mut self, now_s: f64, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.datagram(now_s, bytes)
    }

    /// Hears an HTTP request and gives the whole reply; `None` closes the connection without a word.
    fn http(&mut self, now_s: f64, request: &Request<'_>) -> Option<Vec<u8>>;

    /// Presses the button of a port. No such port, no effect.
    fn press(&mut self, now_s: f64, port: usize);

    /// Cuts the power for a moment.
    fn reboot(&mut self, now_s: f64);

    /// The power of each port, port 1 first, in watts.
    fn watts(&self, now_s: f64) -> Vec<f64>;
}
