//! What every simulated plug can do, whatever its family: hear bytes, answer, be touched by a hand.

use super::load::Load;
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

/// Who a simulated plug is, for those who read what is served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// What it is called.
    pub name: String,
    /// Its id at the bridge: the family, `-`, what tells it from others.
    pub id: String,
    /// Its kind, in a word or two.
    pub kind: String,
}

/// A simulated plug as whoever serves it sees it. Times are seconds since it was put into service.
pub trait Model: Debug + Send + 'static {
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

    /// Who it is.
    fn label(&self) -> Label {
        Label { name: self.serial().into(), ..Label::default() }
    }

    /// Plugs something else into a port. No such port, no effect.
    fn plug_in(&mut self, _port: usize, _load: Load) {}

    /// Does to it what only its family knows, as its vendor's app would; false when it does not know the word.
    fn obey(&mut self, _word: &str) -> bool {
        false
    }
}

/// Any simulated plug.
pub type AnyModel = Box<dyn Model>;

impl Model for AnyModel {
    fn serial(&self) -> &str {
        (**self).serial()
    }

    fn speaks_http(&self) -> bool {
        (**self).speaks_http()
    }

    fn is_up(&self, now_s: f64) -> bool {
        (**self).is_up(now_s)
    }

    fn datagram(&mut self, now_s: f64, bytes: &[u8]) -> Vec<Vec<u8>> {
        (**self).datagram(now_s, bytes)
    }

    fn broadcast(&mut self, now_s: f64, bytes: &[u8]) -> Vec<Vec<u8>> {
        (**self).broadcast(now_s, bytes)
    }

    fn http(&mut self, now_s: f64, request: &Request<'_>) -> Option<Vec<u8>> {
        (**self).http(now_s, request)
    }

    fn press(&mut self, now_s: f64, port: usize) {
        (**self).press(now_s, port);
    }

    fn reboot(&mut self, now_s: f64) {
        (**self).reboot(now_s);
    }

    fn watts(&self, now_s: f64) -> Vec<f64> {
        (**self).watts(now_s)
    }

    fn label(&self) -> Label {
        (**self).label()
    }

    fn plug_in(&mut self, port: usize, load: Load) {
        (**self).plug_in(port, load);
    }

    fn obey(&mut self, word: &str) -> bool {
        (**self).obey(word)
    }
}
