//! The kinds of values a setting may have, each checked once, when it is read. Refuses to know
//! which settings there are.

use std::borrow::Cow;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What stands in for a secret wherever settings are written.
pub(super) const HIDDEN: &str = "********";

/// A value from outside as it may appear in a message: quoted, escaped, cut.
pub(super) fn shown(text: &str) -> String {
    let cut: String = text.chars().take(60).collect();
    let dots = if cut.len() < text.len() { "..." } else { "" };
    format!("{:?}{dots}", cut)
}

/// Address of an MQTT broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerUrl {
    /// Whether the connection is encrypted: `mqtts` instead of `mqtt`.
    pub tls: bool,
    /// Name or address, an IPv6 address without brackets.
    pub host: String,
    /// TCP port, never 0.
    pub port: u16,
}

impl FromStr for BrokerUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const LIKE: &str = "write it like \"mqtt://localhost:1883\"";
        // Before anything is repeated: what stands here may be a password.
        if text.contains('@') {
            return Err("must not hold a user or password; give them as mqtt.username and mqtt.password or mqtt.password_file".into());
        }
        let (tls, rest) = match text.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("mqtt") => (false, rest),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("mqtts") => (true, rest),
            Some((scheme, _)) => {
                return Err(format!("{} is not a scheme for MQTT; use mqtt:// or mqtts://", shown(scheme)));
            }
            None => return Err(format!("{} has no scheme; {LIKE}", shown(text))),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#']) {
            return Err(format!("{} has something after the port; {LIKE}", shown(text)));
        }
        if rest.contains("::") && !rest.starts_with('[') {
            return Err(format!(
                "{} has an IPv6 address without [ ]; write it like \"mqtt://[fe80::1%eth0]:1883\"",
                shown(text)
            ));
        }
        let Host { name: host, port } = rest.parse().map_err(|error| format!("{error}; {LIKE}"))?;
        let port = port.unwrap_or(if tls { 8883 } else { 1883 });
        Ok(Self { tls, host, port })
    }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "mqtts" } else { "mqtt" };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

/// A machine in the network: name or address, with or without a port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Host {
    /// Name, IPv4 address or IPv6 address without brackets.
    pub name: String,
    /// Port, when one was given; never 0.
    pub port: Option<u16>,
}

impl FromStr for Host {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (inside, after) = rest.split_once(']').ok_or(format!("{} lacks a ]", shown(text)))?;
                if !is_ipv6(inside) {
                    return Err(format!("{} is not an IPv6 address", shown(inside)));
                }
                match after.strip_prefix(':') {
                    Some(port) => (inside, Some(port)),
                    None if after.is_empty() => (inside, None),
                    None => return Err(format!("{} has something after the ]", shown(text))),
                }
            }
            None if is_ipv6(text) => (text, None),
            None if text.matches(':').count() > 1 => {
                return Err(format!(
                    "{} looks like an IPv6 address with a port; put the address in [ ], like [fe80::1]:1883",
                    shown(text)
                ));
            }
            None => match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            },
        };
        if !is_host(name) {
            return Err(format!("{} is not a host name or address", shown(text)));
        }
        let port = match port {
            Some(port) => match port.parse::<u16>() {
                Ok(port @ 1..) => Some(port),
                _ => {
                    return Err(format!(
                        "{} is not a port in {}; 1 to 65535 is allowed",
                        shown(port),
                        shown(text)
                    ));
                }
            },
            None => None,
        };
        Ok(Self { name: name.into(), port })
    }
}

/// Whether it is an IPv6 address, with or without the interface it is to be reached by: `fe80::1%eth0`.
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').unwrap_or((text, "0"));
    let named = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@');
    address.parse::<Ipv6Addr>().is_ok() && (1..=15).contains(&zone.len()) && zone.bytes().all(named)
}

fn is_host(name: &str) -> bool {
    let label = |part: &str| {
        (1..=63).contains(&part.len())
            && !part.starts_with('-')
            && !part.ends_with('-')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    let bare = name.strip_suffix('.').unwrap_or(name);
    let like_ipv4 = bare.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    is_ipv6(name)
        || name.parse::<Ipv4Addr>().is_ok()
        || (!like_ipv4 && bare.len() <= 253 && bare.split('.').all(label))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) if self.name.contains(':') => write!(f, "[{}]:{port}", self.name),
            Some(port) => write!(f, "{}:{port}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Where a search is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broadcast {
    /// To the broadcast address of every IPv4 network of this machine.
    Auto,
    /// To this address.
    To(Ipv4Addr),
}

impl FromStr for Broadcast {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            _ => text.parse().map(Self::To).map_err(|_| {
                format!(
                    "{} is not an IPv4 address; write \"auto\" or one like \"192.168.1.255\"",
                    shown(text)
                )
            }),
        }
    }
}

impl fmt::Display for Broadcast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::To(address) => address.fmt(f),
        }
    }
}

/// An IPv4 network whose addresses are all asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: Ipv4Addr,
    /// Leading bits that all its addresses share.
    prefix: u32,
}

impl Network {
    /// The largest one has 4096 addresses.
    const SHORTEST: u32 = 20;

    /// The addresses machines may have in it.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> + use<> {
        let first = u32::from(self.address);
        let last = first | !Self::mask(self.prefix);
        // The first and the last are the network itself and everybody.
        let edge = u32::from(self.prefix <= 30);
        (first + edge..=last - edge).map(Ipv4Addr::from)
    }

    fn mask(prefix: u32) -> u32 {
        u32::MAX.checked_shl(32 - prefix).unwrap_or(0)
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const LIKE: &str = "write it like \"192.168.30.0/24\"";
        let parts =
            text.split_once('/').and_then(|(a, n)| Some((a.parse::<Ipv4Addr>().ok()?, n.parse().ok()?)));
        let Some((address, prefix)) = parts else {
            return Err(format!("{} is not an IPv4 network; {LIKE}", shown(text)));
        };
        if !(Self::SHORTEST..=32).contains(&prefix) {
            return Err(format!("{} is not /{} to /32, which is allowed", shown(text), Self::SHORTEST));
        }
        let first = Ipv4Addr::from(u32::from(address) & Self::mask(prefix));
        if first != address {
            return Err(format!("{} begins at {first}; write it as \"{first}/{prefix}\"", shown(text)));
        }
        Ok(Self { address, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Reads and writes a type as the text it parses from and displays as.
macro_rules! as_text {
    ($type:ident, $allowed:expr) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(de::Error::custom)
            }
        }

        impl JsonSchema for $type {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "x-allowed": $allowed })
            }
        }
    };
}

as_text!(BrokerUrl, "`mqtt://host:port` or `mqtts://host:port`");
as_text!(Host, "name or address, with or without `:port`");
as_text!(Broadcast, "`auto` or an IPv4 address");
as_text!(Network, "IPv4 network with `/20` to `/32`");
