//! Setting a plug up over its own access point, pointing it to another broker, and resetting it: the messages, and how
//! they are signed and encrypted. Who holds the conversation brings bytes and time.

use super::ability::Ability;
use super::crypt::{self, LanKey};
use super::lenient::{count, each, text};
use super::wire::{self, Message, Sent};
use crate::model::{Failure, Mac, Name, Now};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use std::fmt;
use std::net::Ipv4Addr;

/// Where a plug is that is reached over its own access point.
pub const ACCESS_POINT: &str = "10.10.10.1";

/// Where plugs expect a broker with TLS.
pub const BROKER_PORT: u16 = 8883;

/// The namespace that throws a plug back to its factory state. Nothing but [`Deed::Reset`] has it.
const RESET: &str = "Control.Unbind";

/// The longest name of a broker, in characters; how much a plug can keep is not known.
const LONGEST_HOST: usize = 63;

/// The longest name of a Wi-Fi network, in bytes.
const LONGEST_SSID: usize = 32;

/// Stands where a secret was.
const MASK: &str = "***";

/// A broker, as a plug is told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broker {
    /// Address or name.
    pub host: String,
    /// Port; the plug speaks TLS at every port.
    pub port: u16,
}

impl fmt::Display for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl Broker {
    /// Reads `HOST` or `HOST:PORT`. This machine itself will do only for a plug that is on it, too.
    ///
    /// # Errors
    ///
    /// What is wrong, and what to write instead.
    pub fn parse(text: &str, same_machine: bool) -> Result<Self, String> {
        let text = text.trim();
        if text.contains("://") {
            return Err(format!("{text:?}: leave out what stands before the host; write HOST:PORT"));
        }
        let (host, port) = match text.split_once(':') {
            None => (text, Some(BROKER_PORT)),
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)),
        };
        let Some(port) = port else {
            return Err(format!(
                "{text:?}: write HOST:PORT with an IPv4 address or a name and a port from 1 to 65535"
            ));
        };
        let named = !host.is_empty() && host.len() <= LONGEST_HOST;
        if !named || !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) {
            return Err(format!(
                "{host:?} is no IPv4 address or name of at most {LONGEST_HOST} letters, digits, dots and hyphens"
            ));
        }
        let address = host.parse::<Ipv4Addr>().ok();
        let numbers = host.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        if numbers && address.is_none() {
            return Err(format!("{host} is no IPv4 address"));
        }
        let own = host.eq_ignore_ascii_case("localhost") || address.is_some_and(|ip| ip.is_loopback());
        if own && !same_machine {
            return Err(format!(
                "{host} is the plug itself; give the address that this machine has in your network"
            ));
        }
        let nobody = |ip: Ipv4Addr| ip.is_unspecified() || ip.is_broadcast() || ip.is_multicast();
        if address.is_some_and(nobody) {
            return Err(format!("{host} is the address of no machine"));
        }
        if address.is_some_and(|ip| ip.octets().starts_with(&[10, 10, 10])) {
            return Err(format!(
                "{host} belongs to the access point of the plug; give an address in your network"
            ));
        }
        Ok(Self { host: host.to_owned(), port })
    }

    /// Whether the plug needs a name server to find it.
    pub fn is_name(&self) -> bool {
        self.host.parse::<Ipv4Addr>().is_err()
    }
}

/// A Wi-Fi network, as the plug sees it and wants it told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name, base64.
    ssid: String,
    /// Its name, for people; empty for one that hides it.
    pub name: String,
    /// The address of its access point, as the plug wrote it.
    pub bssid: Option<String>,
    /// How well it is heard, in percent.
    pub signal: Option<u64>,
    /// Its channel.
    pub channel: u64,
    /// How it is protected: 0 open, 1 and 2 WEP, 3 to 8 WPA.
    pub encryption: u64,
    /// Its cipher: 0 none, 1 WEP, 2 TKIP, 3 AES, 4 both.
    pub cipher: u64,
}

impl Network {
    /// One that the plug does not list.
    ///
    /// # Errors
    ///
    /// What is wrong with its name.
    pub fn unlisted(
        name: &str,
        bssid: Option<Mac>,
        [channel, encryption, cipher]: [u64; 3],
    ) -> Result<Self, String> {
        if name.is_empty() || name.len() > LONGEST_SSID {
            return Err(format!("the name of a Wi-Fi network has 1 to {LONGEST_SSID} bytes"));
        }
        let bssid = bssid.map(|mac| mac.to_string());
        let ssid = BASE64_STANDARD.encode(name);
        Ok(Self { ssid, name: name.to_owned(), bssid, signal: None, channel, encryption, cipher })
    }

    fn read(one: &Value) -> Option<Self> {
        let small = |key: &str| one.get(key).and_then(count).filter(|number| *number < 256);
        let ssid = text(one, "ssid").unwrap_or_default();
        let bytes = BASE64_STANDARD.decode(ssid).ok().filter(|bytes| bytes.len() <= LONGEST_SSID)?;
        let bssid = text(one, "bssid").filter(|bssid| Mac::parse(bssid).is_some());
        Some(Self {
            name: Name::clean(&String::from_utf8_lossy(&bytes)).map(String::from).unwrap_or_default(),
            ssid: ssid.to_owned(),
            bssid: bssid.map(str::to_owned),
            signal: small("signal").filter(|signal| *signal <= 100),
            channel: small("channel").filter(|channel| *channel > 0)?,
            encryption: small("encryption")?,
            cipher: small("cipher")?,
        })
    }

    /// Whether it has this name, byte for byte.
    pub fn is_named(&self, name: &str) -> bool {
        !name.is_empty() && self.ssid == BASE64_STANDARD.encode(name)
    }

    /// Whether this is its access point.
    pub fn is_at(&self, bssid: Mac) -> bool {
        self.bssid.as_deref().and_then(Mac::parse) == Some(bssid)
    }

    /// The same network under the name that it hides.
    pub fn called(&self, name: &str) -> Self {
        Self { ssid: BASE64_STANDARD.encode(name), name: name.to_owned(), ..self.clone() }
    }

    /// Whether everybody may join it.
    pub fn is_open(&self) -> bool {
        self.encryption == 0 && self.cipher != 1
    }

    /// How it is protected, for people.
    pub fn protection(&self) -> &'static str {
        match self.encryption {
            _ if self.is_open() => "open",
            0..=2 => "WEP",
            3 | 4 => "WPA",
            5 | 6 => "WPA2",
            7 | 8 => "WPA/WPA2",
            _ => "protected",
        }
    }

    /// Whether it can have this password.
    ///
    /// # Errors
    ///
    /// Why it cannot, without the password.
    pub fn check(&self, password: &str) -> Result<(), String> {
        let (length, name) = (password.len(), &self.name);
        let digits = password.bytes().all(|byte| byte.is_ascii_hexdigit());
        if password.bytes().any(|byte| byte == 0 || byte == b'\n' || byte == b'\r') {
            return Err(format!("the password of {name:?} has a line break or a zero in it"));
        }
        match self.encryption {
            _ if self.is_open() && length > 0 => {
                Err(format!("{name:?} is an open network and takes no password; was another one meant?"))
            }
            _ if self.is_open() => Ok(()),
            0..=2 if matches!(length, 5 | 13) || (digits && matches!(length, 10 | 26)) => Ok(()),
            0..=2 => Err(format!(
                "the WEP key of {name:?} has 5 or 13 characters, or 10 or 26 hexadecimal digits, not {length}"
            )),
            _ if (8..=63).contains(&length) || (digits && length == 64) => Ok(()),
            _ => Err(format!("the password of {name:?} has 8 to 63 characters, not {length}")),
        }
    }
}

/// Reads the answer to `Config.WifiList`: networks that can be told to the plug again, the strongest first.
pub fn networks(payload: &Value) -> Vec<Network> {
    let mut all: Vec<Network> = each(payload.get("wifiList")).filter_map(Network::read).collect();
    all.sort_by_key(|network| std::cmp::Reverse(network.signal));
    all
}

/// Which broker a plug calls.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Called {
    /// The first.
    pub first: Option<Broker>,
    /// The one it calls when the first is away, where it tells that.
    pub second: Option<Broker>,
    /// The account under which it logs in, `0` where it tells none.
    pub user: String,
}

impl Called {
    /// Reads the payload of `System.All`.
    pub fn read(payload: &Value) -> Self {
        let firmware = payload.pointer("/all/system/firmware").cloned().unwrap_or_default();
        let broker = |host: &str, port: &str| {
            let host = text(&firmware, host).and_then(Name::clean).map(String::from)?;
            let port = firmware.get(port).and_then(count).and_then(|port| u16::try_from(port).ok())?;
            Some(Broker { host, port })
        };
        let user = firmware.get("userId").and_then(|user| match user.as_str() {
            Some(user) => Some(user.to_owned()),
            None => count(user).map(|user| user.to_string()),
        });
        let plain = |user: &String| {
            (1..=32).contains(&user.len()) && user.bytes().all(|byte| byte.is_ascii_alphanumeric())
        };
        Self {
            first: broker("server", "port"),
            second: broker("secondServer", "secondPort"),
            user: user.filter(plain).unwrap_or_else(|| "0".into()),
        }
    }
}

/// Something that is told to a plug.
#[derive(Clone, Copy)]
pub enum Deed<'a> {
    /// Its broker, for both places, the key that holds from then on, and the account.
    Key(&'a Broker, &'a str, &'a str),
    /// The network it is to join, and the password. It restarts then.
    Wifi(&'a Network, &'a str),
    /// It forgets all of that, and everything else.
    Reset,
}

/// A conversation with one plug: signed, and encrypted where it wants that.
pub struct Talk {
    key: String,
    uuid: Option<String>,
    ability: Option<Ability>,
    sealed: Option<LanKey>,
    sent: Option<(Sent, bool)>,
}

impl Talk {
    /// With a plug that has this key, or none yet: then it looks at no signature.
    pub fn new(key: &str) -> Self {
        Self { key: key.to_owned(), uuid: None, ability: None, sealed: None, sent: None }
    }

    /// Who is there, once it has answered.
    pub fn uuid(&self) -> Option<&str> {
        self.uuid.as_deref()
    }

    /// Whether it may be asked about this.
    pub fn has(&self, namespace: &str) -> bool {
        self.ability.as_ref().is_some_and(|ability| ability.has(namespace))
    }

    /// Whether all but its ability must be encrypted.
    pub fn encrypts(&self) -> bool {
        self.ability.as_ref().is_some_and(Ability::encrypts)
    }

    /// Whether the next request will be encrypted.
    pub fn is_sealed(&self) -> bool {
        self.sealed.is_some()
    }

    /// It has said what it can do.
    ///
    /// # Errors
    ///
    /// [`Failure::InvalidResponse`] where there is no list.
    pub fn learn(&mut self, payload: &Value) -> Result<(), Failure> {
        let ability = Ability::read(payload);
        self.ability =
            Some(ability.ok_or_else(|| Failure::InvalidResponse("no list of what it can do".into()))?);
        Ok(())
    }

    /// Encrypts from now on under what was exchanged with it: the x of the shared point.
    pub fn seal_by_exchange(&mut self, secret: &[u8]) {
        self.sealed = Some(LanKey::exchanged(secret));
    }

    /// Encrypts from now on under its key, as it is done with a plug that was paired.
    ///
    /// # Errors
    ///
    /// [`Failure::InvalidResponse`] where it is not known who is there.
    pub fn seal_by_key(&mut self) -> Result<(), Failure> {
        let key = self.uuid.as_deref().and_then(|uuid| Some(LanKey::new(uuid, &self.key, crypt::mac(uuid)?)));
        let nobody = || Failure::InvalidResponse("an identity without a MAC address".into());
        self.sealed = Some(key.ok_or_else(nobody)?);
        Ok(())
    }

    /// Writes a request that changes nothing beyond the conversation, or its clock.
    pub fn write(&mut self, method: &str, namespace: &str, payload: &Value, now: &Now) -> Vec<u8> {
        let sent = wire::write(&self.key, method, namespace, payload, now);
        let sealed = self.sealed.as_ref();
        let bytes = sealed.map_or_else(|| sent.bytes.clone(), |key| key.seal(&sent.bytes));
        self.sent = Some((sent, sealed.is_some()));
        bytes
    }

    /// Writes a request that changes what the plug belongs to.
    ///
    /// # Errors
    ///
    /// [`Failure::Rejected`] for what the plug does not list or must be known first.
    pub fn tell(&mut self, deed: Deed<'_>, all: &Value, now: &Now) -> Result<Vec<u8>, Failure> {
        let (method, namespace, payload) = match deed {
            Deed::Key(broker, key, user) => ("SET", "Config.Key", key_payload(broker, key, user)),
            Deed::Wifi(network, password) if self.has("Config.WifiX") => {
                let hardware = all.pointer("/all/system/hardware").unwrap_or(&Value::Null);
                let word = |key: &str| text(hardware, key).unwrap_or_default();
                let key = LanKey::of_wifi(word("type"), word("uuid"), word("macAddress"));
                let sealed = String::from_utf8(key.seal(password.as_bytes())).unwrap_or_default();
                ("SET", "Config.WifiX", wifi_payload(network, &sealed))
            }
            Deed::Wifi(network, password) => {
                ("SET", "Config.Wifi", wifi_payload(network, &BASE64_STANDARD.encode(password)))
            }
            Deed::Reset => ("PUSH", RESET, json!({})),
        };
        if !self.has(namespace) {
            return Err(Failure::Rejected(format!("it does not list {namespace}")));
        }
        Ok(self.write(method, namespace, &payload, now))
    }

    /// The request that was written last, for people: as it is under the encryption, without its secrets.
    pub fn shown(&self) -> String {
        let Some((sent, sealed)) = &self.sent else { return String::new() };
        let shown = masked(&sent.bytes);
        if *sealed { format!("{shown} (encrypted)") } else { shown }
    }

    /// What the answer to the last request says. Who answers is remembered.
    ///
    /// # Errors
    ///
    /// See [`Message::answer`].
    pub fn hear(&mut self, bytes: &[u8]) -> Result<Value, Failure> {
        let (sent, sealed) =
            self.sent.take().ok_or_else(|| Failure::InvalidResponse("an answer to nothing".into()))?;
        let is_plain = bytes.trim_ascii_start().starts_with(b"{");
        let message = match self.sealed.filter(|_| sealed && !is_plain) {
            Some(key) => {
                let garbled = || Failure::InvalidResponse("an encrypted answer that cannot be read".into());
                Message::read(&key.open(bytes).ok_or_else(garbled)?).map_err(|_| garbled())?
            }
            None => Message::read(bytes)?,
        };
        let payload = message.answer(&sent, self.uuid.as_deref())?.clone();
        if self.uuid.is_none() {
            self.uuid.clone_from(&message.uuid);
        }
        Ok(payload)
    }
}

impl fmt::Debug for Talk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Talk").field("uuid", &self.uuid).finish_non_exhaustive()
    }
}

fn key_payload(broker: &Broker, key: &str, user: &str) -> Value {
    let (host, port) = (&broker.host, broker.port);
    let gateway = json!({"host": host, "port": port, "secondHost": host, "secondPort": port, "redirect": 1});
    json!({"key": {"gateway": gateway, "key": key, "userId": user}})
}

fn wifi_payload(network: &Network, password: &str) -> Value {
    let mut wifi = json!({
        "ssid": network.ssid,
        "password": password,
        "channel": network.channel,
        "encryption": network.encryption,
        "cipher": network.cipher,
    });
    if let (Some(bssid), Some(wifi)) = (&network.bssid, wifi.as_object_mut()) {
        wifi.insert("bssid".into(), bssid.clone().into());
    }
    json!({"wifi": wifi})
}

/// The payload of `Encrypt.ECDHE`: our point, uncompressed.
pub fn exchange_payload(point: &[u8]) -> Value {
    json!({"ecdhe": {"step": 1, "pubkey": BASE64_STANDARD.encode(point)}})
}

/// The plug's point in the answer to that; `None` where there is none of the right size.
pub fn point(payload: &Value) -> Option<Vec<u8>> {
    let point = BASE64_STANDARD.decode(text(payload.get("ecdhe")?, "pubkey")?).ok()?;
    (point.len() == 65 && point.first() == Some(&4)).then_some(point)
}

/// A message without signature, keys and passwords.
pub fn masked(message: &[u8]) -> String {
    let mut message: Value = serde_json::from_slice(message).unwrap_or_default();
    for secret in ["/header/sign", "/payload/key/key", "/payload/wifi/password"] {
        if let Some(secret) = message.pointer_mut(secret) {
            *secret = MASK.into();
        }
    }
    message.to_string()
}

#[cfg(test)]
mod tests;
