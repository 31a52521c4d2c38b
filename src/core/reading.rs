//! What a plug says when it is asked how it is, and the ways a conversation can end badly.

use super::{DeviceInfo, Endpoint, Energy, PlugId};
use std::fmt;
use std::net::IpAddr;

/// More ports than any strip has; what lies beyond is refused.
pub const MAX_PORTS: usize = 16;

/// No wall socket gives more; a larger figure is nonsense.
pub const MAX_WATTS: f64 = 5000.0;

/// What one port says. `None` is "nothing that can be believed": the value known before stands for some
/// polls.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct PortReading {
    /// Whether the port is on.
    pub relay: Option<bool>,
    /// Power in watts, 0 to [`MAX_WATTS`].
    pub watts: Option<f64>,
    /// Current in amperes.
    pub amps: Option<f64>,
    /// Voltage in volts, for plugs that measure it at each port.
    pub volts: Option<f64>,
    /// What its own counter of energy shows, for plugs that have one.
    pub energy: Option<Energy>,
}

/// What a plug says of all its ports.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Reading {
    /// Port 1 first; only the ports the plug spoke of.
    pub ports: Vec<PortReading>,
    /// Voltage in volts, for plugs that measure it.
    pub volts: Option<f64>,
    /// Wi-Fi signal in percent, for plugs that tell it.
    pub signal: Option<f64>,
    /// The relays are what was last set, not what the plug told: it has no way to tell.
    pub relays_remembered: bool,
    /// A session that there had been was made anew, because it had expired or was given up.
    pub renewed: bool,
    /// What was refused in this reading, in words; bounded.
    pub refused: Vec<String>,
    /// What the reading tells about the plug itself, for families that say it in every reply.
    pub facts: Option<DeviceInfo>,
}

/// What a plug has said unasked.
#[derive(Debug, Clone, PartialEq)]
pub struct Pushed {
    /// Who.
    pub plug: PlugId,
    /// The address it came from, where that must be the plug's own: anybody could have sent it.
    pub from: Option<IpAddr>,
    /// How it is; of ports it did not speak of nothing.
    pub reading: Reading,
}

/// Why a conversation ended without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// Nobody listens at the address, or there is no way to it.
    Unreachable(String),
    /// No response within the time allowed.
    Timeout,
    /// The connection was closed without a response.
    Closed,
    /// A response that makes no sense; says what.
    InvalidResponse(String),
    /// Another device responds at this address; says which.
    WrongDevice(String),
    /// The plug understood the request and rejected it; says why.
    Rejected(String),
}

impl Failure {
    /// The word for it in figures.
    #[doc(hidden)]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Timeout => "timeout",
            Self::Closed => "closed",
            Self::InvalidResponse(_) => "invalid_response",
            Self::WrongDevice(_) => "wrong_device",
            Self::Rejected(_) => "rejected",
        }
    }
}

impl Failure {
    /// What to do about a plug that answers the search and then fails so, where its web server is another door
    /// than the one the search goes through.
    #[doc(hidden)]
    pub fn blocked(&self, place: Endpoint) -> Option<String> {
        let Endpoint { http, udp, .. } = place;
        match self {
            _ if http == udp => None,
            Self::Unreachable(_) => Some(format!(
                "it answers the search on UDP {udp}, so let TCP {http} through to it (firewall, router, VLAN)"
            )),
            // Whether the door is open, and whether firmware that needs none is behind it, nobody knows.
            Self::Timeout => Some(format!(
                "it answers the search on UDP {udp} and no question: close the vendor's app or unplug the plug \
                 for ten seconds; if that does not help, and if it has a web server, let TCP {http} through to it \
                 (firewall, router, VLAN)"
            )),
            Self::Closed | Self::InvalidResponse(_) | Self::WrongDevice(_) | Self::Rejected(_) => None,
        }
    }
}

impl std::error::Error for Failure {}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "cannot be reached ({why})"),
            Self::Timeout => f.write_str("does not answer"),
            Self::Closed => f.write_str("closed the connection without responding"),
            Self::InvalidResponse(what) => write!(f, "sent an invalid response ({what})"),
            Self::WrongDevice(who) => write!(f, "another device responds at its address ({who})"),
            Self::Rejected(why) => write!(f, "rejected the request ({why})"),
        }
    }
}
