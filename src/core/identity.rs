//! Who a plug is and where it lives: checked once here, trusted everywhere else.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

/// A plug for ever: `<driver>-<hardware id>`, only `a-z0-9-`, at most 64 characters. Usable as
/// it stands in topics, unique ids, Homie ids and file names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlugId(Arc<str>);

impl PlugId {
    /// Name of the driver it is from.
    pub fn family(&self) -> &str {
        self.0.split_once('-').map_or("", |(family, _)| family)
    }

    /// The name of one of several plugs that call themselves the same: it ends like the id, which ends like
    /// the serial, or like the MAC when two claim one serial.
    pub fn told_apart(&self, name: &str) -> String {
        const TAIL: usize = 4;
        let name: String = name.chars().take(Name::MAX_CHARS - TAIL - 1).collect();
        let tail = self.0.get(self.0.len().saturating_sub(TAIL)..).unwrap_or_default();
        format!("{name} {}", tail.to_uppercase())
    }

    /// Takes a whole id; `None` unless it is non-empty, `a-z0-9-` and at most 64 characters.
    pub fn new(text: &str) -> Option<Self> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && text != "bridge";
        fits.then(|| Self(text.into()))
    }

    /// Joins driver and hardware id, lower-casing; `None` when the hardware id has anything but
    /// ASCII letters, digits and `-` in it.
    #[doc(hidden)]
    pub fn of(driver: &str, hardware: &str) -> Option<Self> {
        Self::new(&format!("{driver}-{}", hardware.to_ascii_lowercase()))
    }

    /// The id of a second plug that claims the same serial: qualified by the end of its MAC.
    #[doc(hidden)]
    pub fn qualified(&self, mac: Mac) -> Option<Self> {
        let bare = mac.bare();
        Self::new(&format!("{self}-{}", bare.get(6..)?))
    }

    /// The text, as it stands in topics.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PlugId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for PlugId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::new(&text).ok_or_else(|| format!("{text:?} is not a plug id (a-z, 0-9 and - only)"))
    }
}

impl From<PlugId> for String {
    fn from(id: PlugId) -> Self {
        id.0.as_ref().into()
    }
}

/// A name for people, safe to show: no control characters, no blanks around, 1 to 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(Arc<str>);

impl Name {
    /// The longest name kept, in characters.
    pub const MAX_CHARS: usize = 64;

    /// Whether this mark turns the text around it.
    pub(crate) fn turns(c: char) -> bool {
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    }

    /// Removes control characters, marks that turn text around and surrounding blanks, and cuts
    /// at 64 characters; `None` when nothing is left.
    pub fn clean(text: &str) -> Option<Self> {
        // Bounded before it is collected: a plug may send a name of any length.
        let kept: String = text
            .trim_start_matches(|c: char| c.is_control() || c.is_whitespace())
            .chars()
            .filter(|&c| !c.is_control() && !Self::turns(c))
            .take(Self::MAX_CHARS)
            .collect();
        let kept = kept.trim();
        (!kept.is_empty()).then(|| Self(kept.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Name {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::clean(&text).ok_or("a name needs at least one visible character")
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().into()
    }
}

/// A hardware address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac([u8; 6]);

impl Mac {
    /// Reads `AA:BB:CC:DD:EE:FF`, with `:`, `-` or nothing between; `None` for anything else and
    /// for all zeros or all ones, which firmware writes when it has none.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: String = text.chars().filter(|c| !matches!(c, ':' | '-')).collect();
        if digits.len() != 12 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let number = u64::from_str_radix(&digits, 16).ok()?;
        let [_, _, bytes @ ..] = number.to_be_bytes();
        (bytes != [0; 6] && bytes != [0xff; 6]).then_some(Self(bytes))
    }

    /// Twelve lower-case hex digits.
    pub fn bare(&self) -> String {
        self.0.iter().map(|b| format!("{b:02x}")).collect()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl TryFrom<String> for Mac {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| format!("{text:?} is not a MAC address"))
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

/// Where a plug listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Endpoint {
    /// Address on the LAN.
    pub ip: IpAddr,
    /// Port of its web server, for families that have one.
    pub http: u16,
    /// Port for datagrams, for families that use them.
    pub udp: u16,
}

impl Endpoint {
    /// Where a TCP connection goes.
    pub fn tcp(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.http)
    }

    /// Where a datagram goes.
    pub fn datagram(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.udp)
    }

    /// A place nothing listens at, for plugs whose address is unknown.
    pub const UNKNOWN: Self = Self { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), http: 0, udp: 0 };
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::UNKNOWN { f.write_str("unknown") } else { self.ip.fmt(f) }
    }
}

/// What a plug says about itself that does not change from poll to poll.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DeviceInfo {
    /// The plug's own name.
    pub name: Option<Name>,
    /// The plug's own names of its ports, port 1 first; empty when it has none.
    pub port_names: Vec<Option<Name>>,
    /// Maker, for display.
    pub manufacturer: String,
    /// Model in words, for display.
    pub model: String,
    /// Model number, when known.
    pub model_id: Option<String>,
    /// Serial number, when usable.
    pub serial: Option<String>,
    /// Hardware address, when it told one.
    pub mac: Option<Mac>,
    /// Firmware version as the plug writes it.
    pub firmware: Option<String>,
    /// Hardware version, when known.
    pub hardware: Option<String>,
    /// Number of its processor, when it told one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpuid: Option<String>,
    /// The server it was made to call, when it told one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
}

/// A plug that made itself known.
#[derive(Debug, Clone, PartialEq)]
pub struct Discovered {
    /// Name of the driver that recognised it.
    pub driver: &'static str,
    /// Who it is; `None` while it must still be asked (`DeviceRequest::Identify`).
    pub id: Option<PlugId>,
    /// Where its answer came from.
    pub place: Endpoint,
    /// What it said about itself.
    pub facts: DeviceInfo,
}

/// Somebody who answered a search and is no plug of the family that asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Name of the driver that asked.
    pub driver: &'static str,
    /// Where the answer came from.
    pub from: SocketAddr,
    /// What it is, or what it said; safe to show.
    pub what: String,
}

/// What a search has heard.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "it is taken apart where it arrives")]
pub enum Heard {
    /// A plug.
    Plug(Discovered),
    /// Somebody else.
    Stray(Stray),
}

impl Heard {
    /// The plug, if it is one.
    pub fn plug(self) -> Option<Discovered> {
        match self {
            Self::Plug(found) => Some(found),
            Self::Stray(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_take_only_what_topics_can_carry() {
        assert_eq!(
            PlugId::of("maxsmart", "SWP6000000000001").map(String::from).as_deref(),
            Some("maxsmart-swp6000000000001")
        );
        for bad in ["", "a+b", "a/b", "a#", "Ä", "a b", "bridge", &"x".repeat(65)] {
            assert!(PlugId::new(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn names_lose_what_could_hurt() {
        let check = |raw: &str, want: Option<&str>| {
            assert_eq!(Name::clean(raw).as_ref().map(Name::as_str), want, "{raw:?}")
        };
        check("  Desk\u{7}\n lamp ", Some("Desk lamp"));
        check("\u{202e}evil", Some("evil"));
        check("\0\r\n\t ", None);
        check("Büro 💡 \"+#/\"", Some("Büro 💡 \"+#/\""));
        let long = "é".repeat(10_000);
        assert_eq!(Name::clean(&long).map(|n| n.as_str().chars().count()), Some(64));
    }

    #[test]
    fn macs_in_every_spelling() {
        for text in ["02:00:00:00:00:01", "02-00-00-00-00-01", "020000000001"] {
            assert_eq!(Mac::parse(text).map(|m| m.to_string()).as_deref(), Some("02:00:00:00:00:01"));
        }
        for bad in ["", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "02:00", "zz:00:00:00:00:01", "0é000000001"]
        {
            assert!(Mac::parse(bad).is_none(), "{bad:?}");
        }
    }
}
