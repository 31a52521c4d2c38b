//! Drivers translate. A driver knows one family of plugs: how to find it on the network and how to
//! speak to one member. Everything here is pure: bytes, time and randomness come in as arguments,
//! the next step goes out. No IO, no clock, no async; knows [`model`](crate::model) and nothing
//! else of this program.
//!
//! # How a conversation goes
//!
//! The engine takes the plug's [`Dialect`], calls [`start`](Dialect::start), carries out the
//! [`Request`] it gets and hands the reply to [`handle_response`](Dialect::handle_response), until that says
//! [`Step::Done`] or fails, at most [`MAX_STEPS`] times and within one deadline. While it lasts,
//! the dialect is away from home, so a plug cannot be in two conversations at once.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod inplug;
pub mod maxsmart;
#[doc(hidden)]
pub mod meross;

use crate::model::{
    DeviceInfo, DeviceRequest, DeviceResponse, DialectOptions, Discovered, Failure, Family, FamilyInfo, Name,
    Now, Pushed,
};
use std::fmt::Debug;
use std::net::SocketAddr;
use std::time::Duration;

/// Requests in one conversation, at the most: identity, status by two ways, identity again where
/// that was not told, status again, one switch for each of sixteen ports and a read-back.
pub const MAX_STEPS: u32 = 22;

/// A family of plugs: how to find it, how to speak to one member.
pub trait Driver: Debug + Sync {
    /// Its name, its section of the settings, and defaults.
    fn info(&self) -> &'static FamilyInfo;

    /// Its name in ids, topics and settings.
    fn name(&self) -> &'static str {
        self.info().name
    }

    /// The datagrams that make its members answer, to be sent to broadcast addresses and hosts.
    fn probes(&self, family: &Family, now: &Now) -> Vec<Probe>;

    /// Reads a datagram that came back. `None` for anything that is not surely one of ours.
    fn recognise(&self, family: &Family, from: SocketAddr, datagram: &[u8]) -> Option<Discovered>;

    /// What to say of a datagram that came back and is not from a plug of this family.
    fn stray(&self, datagram: &[u8]) -> String {
        not_understood(datagram)
    }

    /// The UDP port of this machine at which plugs are listened to that say unasked how they are; `None` when none do.
    fn listens(&self, _family: &Family) -> Option<u16> {
        None
    }

    /// Reads what came in there. `None` for anything that is not surely one of ours.
    fn pushed(&self, _family: &Family, _from: SocketAddr, _datagram: &[u8]) -> Option<Pushed> {
        None
    }

    /// Further datagrams that a plug answers and that change nothing, each with the way it shows; for `doctor` and
    /// recordings.
    fn ways(&self, _plug: &DeviceInfo) -> Vec<(&'static str, Vec<u8>)> {
        Vec::new()
    }

    /// The language of one plug, with nothing learnt yet.
    fn attach(&self, family: &Family, plug: &Discovered, options: &DialectOptions) -> Box<dyn Dialect>;
}

/// A datagram that asks "who is there?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// The port it goes to.
    pub port: u16,
}

/// The language of one plug, with its session key, its counters and what it learnt.
pub trait Dialect: Send {
    /// Begins a conversation.
    fn start(&mut self, ask: &DeviceRequest, now: &Now) -> Step;

    /// Takes what came back and says how to go on.
    ///
    /// # Errors
    ///
    /// Any [`Failure`] ends the conversation, except that after [`Failure::InvalidResponse`] or
    /// [`Failure::WrongDevice`] a datagram transport keeps listening for the right answer and calls
    /// again: an error must leave the dialect where it was.
    fn handle_response(&mut self, reply: Reply<'_>, now: &Now) -> Result<Step, Failure>;

    /// A conversation failed: drop session keys, ask again what was taken for granted.
    fn reset_session(&mut self) {}
}

/// The most of an answer that is shown when nobody understands it, in characters.
const SHOWN: usize = 200;

/// The beginning of an answer that nobody understands: escaped, and without credentials.
fn not_understood(datagram: &[u8]) -> String {
    if datagram.is_empty() {
        return "answered with an empty datagram".into();
    }
    let mut text = String::new();
    for chunk in datagram.get(..8 * SHOWN).unwrap_or(datagram).utf8_chunks() {
        for c in chunk.valid().chars() {
            match c.is_control() || Name::turns(c) {
                true => text.extend(c.escape_unicode()),
                false => text.push(c),
            }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    // Whoever sent it: a plug of one family may answer the question of another.
    for secret in ALL.iter().flat_map(|driver| driver.info().secrets()) {
        mask(&mut text, &format!("\"{secret}\""));
    }
    let more = if text.chars().nth(SHOWN).is_some() { " ..." } else { "" };
    let shown: String = text.chars().take(SHOWN).collect();
    format!("answered, and is not understood: {shown}{more}")
}

/// Puts stars in the place of what follows each `key`, whether that has an end or not.
fn mask(text: &mut String, key: &str) {
    let mut from = 0;
    while let Some(at) = text.get(from..).and_then(|rest| rest.find(key)) {
        from += at + key.len();
        let rest = text.get(from..).unwrap_or_default();
        let blank = rest.len() - rest.trim_start_matches([' ', ':', '"']).len();
        let value = rest.get(blank..).unwrap_or_default();
        let end = value.find(['"', ',', '}']).unwrap_or(value.len());
        text.replace_range(from + blank..from + blank + end, "***");
    }
}

/// The next step of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Send this and hand back the reply.
    Send(Request),
    /// The conversation is over.
    Done(Box<DeviceResponse>),
}

/// Something to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What, and by which transport.
    pub what: Message,
    /// How long to wait for the reply to this one step.
    pub timeout: Duration,
}

/// What goes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// An HTTP GET of this target, as `/?cmd=511`.
    Get(String),
    /// An HTTP POST of a JSON text to this target.
    Post(String, Vec<u8>),
    /// One datagram; sent again while nothing comes back, so it must be safe to repeat.
    Datagram(Vec<u8>),
}

/// What came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reply<'a> {
    /// The body of a reply, or a datagram.
    Bytes(&'a [u8]),
    /// The connection was closed without a word.
    Closed,
    /// Nobody listens there.
    Unreachable,
    /// Nothing within the request's timeout.
    Timeout,
}

impl Reply<'_> {
    /// The failure this reply is, when it is one.
    pub fn failure(&self) -> Option<Failure> {
        match self {
            Self::Bytes(_) => None,
            Self::Closed => Some(Failure::Closed),
            Self::Unreachable => Some(Failure::Unreachable("nobody listens there".into())),
            Self::Timeout => Some(Failure::Timeout),
        }
    }
}

/// A set of families.
pub type Drivers = &'static [&'static dyn Driver];

/// All families there are. Settings are loaded with them and hand them on; a test adds its own.
pub static ALL: Drivers = &[&maxsmart::Maxsmart, &inplug::Inplug];

/// The driver of that name.
pub fn named(name: &str) -> Option<&'static dyn Driver> {
    ALL.iter().copied().find(|driver| driver.name() == name)
}

#[cfg(test)]
mod tests {
    use super::not_understood;

    #[test]
    fn what_is_not_understood_is_shown_cut_escaped_and_without_credentials() {
        let check = |datagram: &[u8], want: &str| {
            assert_eq!(not_understood(datagram), format!("answered, and is not understood: {want}"));
        };
        check(b"\x1b[2Jhi\xff", "\\u{1b}[2Jhi\\xff");
        check(br#"{"sak":"abc","regid" : "d e","a":"b"}"#, r#"{"sak":"***","regid" : "***","a":"b"}"#);
        check(br#"{"plcdak":42,"sak":"never ends"#, r#"{"plcdak":***,"sak":"***"#);
        check("é".repeat(300).as_bytes(), &format!("{} ...", "é".repeat(200)));
    }
}
