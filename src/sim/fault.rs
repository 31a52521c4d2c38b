//! What can go wrong between a plug and its listener, as switches.
//!
//! Pure: says which requests are heard and what becomes of an answer, so that a simulation without sockets uses
//! the same faults as the served plugs. It knows no dialect beyond the place of the body in an HTTP reply.

use std::time::Duration;

const OVERSIZED_BODY: usize = 10 * 1024 * 1024;
/// The largest payload of an IPv4 datagram.
const OVERSIZED_DATAGRAM: usize = 65_507;

/// Faults that are switched on. The default is a healthy plug.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    /// Pulled out of the wall: datagrams vanish, connections hang.
    pub off: bool,
    /// Listens and never answers; nothing is carried out.
    pub hang: bool,
    /// Connections are refused, datagrams vanish.
    pub refuse: bool,
    /// The request is carried out at once, the answer comes this much later.
    pub delay: Duration,
    /// Carried out, then closed without a word; over UDP an empty datagram.
    pub empty: bool,
    /// Only so many bytes of the answer arrive.
    pub truncate: Option<usize>,
    /// The answer is noise; over HTTP behind a valid head.
    pub garbage: bool,
    /// The answer is far too long: 10 MiB over HTTP, the largest possible datagram over UDP.
    pub oversized: bool,
    /// An HTTP answer arrives byte by byte with this pause between two.
    pub drip: Option<Duration>,
    /// Of this many datagrams to the plug one is lost; 0 loses none, 1 all.
    pub lose_request_every: u64,
    /// Of this many datagrams from the plug one is lost; 0 loses none, 1 all.
    pub lose_reply_every: u64,
    /// Every datagram from the plug arrives twice.
    pub double: bool,
    /// The serial number in answers is replaced by these bytes, which may be no text at all.
    pub wrong_serial: Option<Vec<u8>>,
}

/// What becomes of one HTTP request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing, and the connection stays open.
    Hang,
    /// Closed without a word.
    Close,
    /// These bytes, then closed.
    Whole(Vec<u8>),
    /// These bytes one by one with a pause between two, then closed.
    Drip(Vec<u8>, Duration),
}

impl Faults {
    /// Whether anything reaches the plug at all.
    pub fn reachable(&self) -> bool {
        !(self.off || self.hang || self.refuse)
    }

    /// Whether the plug's HTTP port is closed by a fault.
    pub fn closed(&self) -> bool {
        self.refuse
    }

    /// Whether the datagram with this number, counted from 1, reaches the plug.
    pub fn hears(&self, nth: u64) -> bool {
        self.reachable() && !lost(nth, self.lose_request_every)
    }

    /// What arrives of a datagram that the plug sends. `nth` counts these datagrams from 1.
    pub fn datagram(&self, nth: u64, serial: &str, reply: Vec<u8>) -> Vec<Vec<u8>> {
        if lost(nth, self.lose_reply_every) {
            return Vec::new();
        }
        let mut reply = self.disguise(serial, reply);
        if self.oversized {
            reply.resize(OVERSIZED_DATAGRAM, b' ');
        }
        if self.garbage {
            reply = noise(reply.len());
        }
        reply.truncate(self.truncate.unwrap_or(usize::MAX));
        if self.empty {
            reply.clear();
        }
        if self.double { vec![reply.clone(), reply] } else { vec![reply] }
    }

    /// What becomes of the plug's HTTP reply; `None` means that the plug itself closed without a word.
    pub fn http(&self, serial: &str, reply: Option<Vec<u8>>) -> Answer {
        if !self.reachable() {
            return Answer::Hang;
        }
        let Some(reply) = reply.filter(|_| !self.empty) else {
            return Answer::Close;
        };
        let mut reply = self.disguise(serial, reply);
        if self.garbage || self.oversized {
            let length = if self.oversized { OVERSIZED_BODY } else { reply.len() };
            let body = if self.garbage { noise(length) } else { vec![b' '; length] };
            reply = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nContent-Type:text/plain\r\n\r\n")
                .into_bytes();
            reply.extend(body);
        }
        reply.truncate(self.truncate.unwrap_or(usize::MAX));
        match self.drip {
            Some(pause) => Answer::Drip(reply, pause),
            None => Answer::Whole(reply),
        }
    }

    fn disguise(&self, serial: &str, reply: Vec<u8>) -> Vec<u8> {
        match &self.wrong_serial {
            Some(other) => replace(&reply, serial.as_bytes(), other),
            None => reply,
        }
    }
}

fn lost(nth: u64, every: u64) -> bool {
    every != 0 && nth.is_multiple_of(every)
}

/// Bytes that are neither UTF-8 nor JSON, the same every time.
fn noise(length: usize) -> Vec<u8> {
    (0..=u8::MAX).cycle().map(|place| place.wrapping_mul(167) | 0x80).take(length).collect()
}

fn replace(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    if from.is_empty() {
        return bytes.to_vec();
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, tail)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(from) {
            out.extend_from_slice(to);
            rest = after;
        } else {
            out.push(first);
            rest = tail;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLY: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsn=SWP6";

    fn datagrams(faults: &Faults, nth: u64) -> Vec<Vec<u8>> {
        faults.datagram(nth, "SWP6", b"sn=SWP6".to_vec())
    }

    fn http(faults: &Faults) -> Answer {
        faults.http("SWP6", Some(REPLY.to_vec()))
    }

    #[test]
    fn a_healthy_plug_is_left_alone() {
        let faults = Faults::default();
        assert!(faults.hears(1) && !faults.closed());
        assert_eq!(datagrams(&faults, 1), [b"sn=SWP6".to_vec()]);
        assert_eq!(http(&faults), Answer::Whole(REPLY.to_vec()));
        assert_eq!(faults.http("SWP6", None), Answer::Close);
    }

    #[test]
    fn an_unreachable_plug_hears_nothing() {
        for faults in [
            Faults { off: true, ..Faults::default() },
            Faults { hang: true, ..Faults::default() },
            Faults { refuse: true, ..Faults::default() },
        ] {
            assert!(!faults.hears(1), "{faults:?}");
            assert_eq!(http(&faults), Answer::Hang);
            assert_eq!(faults.closed(), faults.refuse);
        }
    }

    #[test]
    fn every_nth_datagram_is_lost() {
        let faults = Faults { lose_request_every: 3, lose_reply_every: 2, ..Faults::default() };
        assert_eq!((1..=6).filter(|&nth| faults.hears(nth)).collect::<Vec<_>>(), [1, 2, 4, 5]);
        assert_eq!((1..=4).map(|nth| datagrams(&faults, nth).len()).collect::<Vec<_>>(), [1, 0, 1, 0]);
        assert!(!Faults { lose_request_every: 1, ..Faults::default() }.hears(1));
    }

    #[test]
    fn answers_are_cut_emptied_and_doubled() {
        let faults = Faults { truncate: Some(4), double: true, ..Faults::default() };
        assert_eq!(datagrams(&faults, 1), [b"sn=S".to_vec(), b"sn=S".to_vec()]);
        assert_eq!(http(&faults), Answer::Whole(b"HTTP".to_vec()));
        let faults = Faults { empty: true, ..Faults::default() };
        assert_eq!(datagrams(&faults, 1), [Vec::<u8>::new()]);
        assert_eq!(http(&faults), Answer::Close);
    }

    #[test]
    fn noise_is_no_text_and_too_much_is_ten_megabytes() {
        let faults = Faults { garbage: true, ..Faults::default() };
        assert!(datagrams(&faults, 1).iter().all(|bytes| std::str::from_utf8(bytes).is_err()));
        assert!(matches!(http(&faults), Answer::Whole(bytes) if bytes.starts_with(b"HTTP/1.1 200")));
        let faults = Faults { oversized: true, ..Faults::default() };
        assert!(datagrams(&faults, 1).iter().all(|bytes| bytes.len() == OVERSIZED_DATAGRAM));
        assert!(matches!(http(&faults), Answer::Whole(bytes) if bytes.len() > OVERSIZED_BODY));
    }

    #[test]
    fn drip_keeps_the_bytes() {
        let pause = Duration::from_millis(1);
        let faults = Faults { drip: Some(pause), ..Faults::default() };
        assert_eq!(http(&faults), Answer::Drip(REPLY.to_vec(), pause));
    }

    #[test]
    fn the_serial_can_be_anothers_or_no_text() {
        let faults = Faults { wrong_serial: Some(b"\xff".to_vec()), ..Faults::default() };
        assert_eq!(datagrams(&faults, 1), [b"sn=\xff".to_vec()]);
        assert_eq!(replace(b"aabaa", b"aa", b""), b"b");
        assert_eq!(replace(b"ab", b"", b"x"), b"ab");
    }
}
