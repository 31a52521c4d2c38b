//! MQTT 3.1 and 3.1.1 packets to bytes and back, without IO. Owns what is malformed; refuses to know who may send what.
//!
//! What is read is borrowed from the bytes. Flags without meaning are passed over, because MQTT 3.1 leaves them open.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// MQTT 3.1, which calls itself `MQIsdp`, level 3.
    V31,
    /// MQTT 3.1.1, level 4.
    V311,
}

impl Level {
    /// How it is written in a log.
    pub fn name(self) -> &'static str {
        match self {
            Self::V31 => "3.1",
            Self::V311 => "3.1.1",
        }
    }
}

/// How often a message may arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum QoS {
    /// At most once.
    AtMostOnce,
    /// At least once: each is acknowledged.
    AtLeastOnce,
    /// Exactly once, in four packets.
    ExactlyOnce,
}

impl QoS {
    fn of(bits: u8) -> Result<Self, Malformed> {
        match bits {
            0 => Ok(Self::AtMostOnce),
            1 => Ok(Self::AtLeastOnce),
            2 => Ok(Self::ExactlyOnce),
            _ => Err(Malformed("a QoS above 2")),
        }
    }

    fn bits(self) -> u8 {
        match self {
            Self::AtMostOnce => 0,
            Self::AtLeastOnce => 1,
            Self::ExactlyOnce => 2,
        }
    }
}

/// The first packet of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect<'a> {
    /// Its version.
    pub level: Level,
    /// Whether nothing is to be kept of an earlier connection.
    pub clean: bool,
    /// Seconds between two signs of life; 0 for no such promise.
    pub keep_alive_s: u16,
    /// Its name.
    pub client_id: &'a str,
    /// What is to be published when it is lost.
    pub will: Option<Will<'a>>,
    /// User name.
    pub username: Option<&'a str>,
    /// Password; only with a user name.
    pub password: Option<&'a [u8]>,
}

/// A last will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
    /// How often.
    pub qos: QoS,
    /// Whether it is kept there.
    pub retain: bool,
}

/// A message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Sent before, and not acknowledged.
    pub dup: bool,
    /// How often, and the packet id for more than once.
    pub delivery: Delivery,
    /// Whether it is to be kept.
    pub retain: bool,
    /// Where.
    pub topic: &'a str,
    /// What.
    pub payload: &'a [u8],
}

/// A QoS with the packet id that it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// QoS 0.
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce(u16),
    /// QoS 2.
    ExactlyOnce(u16),
}

/// A packet, from either side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// A client comes.
    Connect(Connect<'a>),
    /// A client of a version that is not spoken here, with its level.
    Foreign(u8),
    /// It is let in, with 0, or not. No session is ever present.
    ConnAck(u8),
    /// A message.
    Publish(Publish<'a>),
    /// A message has arrived.
    PubAck(u16),
    /// A step of QoS 2: PUBREC, PUBREL or PUBCOMP, by its number.
    ExactlyOnce(u8, u16),
    /// A client wants the messages of these topics.
    Subscribe(u16, Vec<(&'a str, QoS)>),
    /// For each topic the QoS, or [`REFUSED`].
    SubAck(u16, Vec<u8>),
    /// A client wants them no more.
    Unsubscribe(u16, Vec<&'a str>),
    /// It gets them no more.
    UnsubAck(u16),
    /// Are you there?
    PingReq,
    /// Yes.
    PingResp,
    /// A client goes.
    Disconnect,
}

/// In a SUBACK of MQTT 3.1.1: not this topic.
pub const REFUSED: u8 = 0x80;

/// Bytes that are no packet, or one that is too large.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(&'static str);

/// Reads the packet at the beginning of `bytes`, and tells how many of them it is. `None` while some are missing.
///
/// # Errors
///
/// What no client may send, and packets of more than `largest` bytes, as soon as that can be seen.
pub fn decode(bytes: &[u8], largest: usize) -> Result<Option<(Packet<'_>, usize)>, Malformed> {
    let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
    if matches!(first >> 4, 0 | 15) {
        return Err(Malformed("no packet of MQTT 3"));
    }
    let Some((length, size)) = remaining_length(rest)? else { return Ok(None) };
    let whole = 1 + size + length;
    if whole > largest {
        return Err(Malformed("a packet that is too large"));
    }
    let Some(body) = bytes.get(1 + size..whole) else { return Ok(None) };
    Ok(Some((packet(first, Body(body))?, whole)))
}

/// The number after the first byte, and how many bytes it takes.
fn remaining_length(bytes: &[u8]) -> Result<Option<(usize, usize)>, Malformed> {
    let mut length = 0;
    for (at, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((length, at + 1)));
        }
    }
    if bytes.len() < 4 { Ok(None) } else { Err(Malformed("a length of more than four bytes")) }
}

fn packet(first: u8, mut body: Body<'_>) -> Result<Packet<'_>, Malformed> {
    let packet = match first >> 4 {
        1 => return connect(body),
        2 => {
            let _session_present = body.byte()?;
            Packet::ConnAck(body.byte()?)
        }
        3 => return publish(first, body),
        4 => Packet::PubAck(body.id()?),
        step @ 5..=7 => Packet::ExactlyOnce(step, body.id()?),
        8 => {
            acknowledged(first)?;
            let id = body.id()?;
            let mut topics = Vec::new();
            while !body.0.is_empty() {
                let topic = body.text()?;
                // Its upper bits mean nothing in MQTT 3.1.
                topics.push((topic, QoS::of(body.byte()? & 0x03)?));
            }
            Packet::Subscribe(id, some(topics)?)
        }
        9 => {
            let id = body.id()?;
            Packet::SubAck(id, some(std::mem::take(&mut body.0).to_vec())?)
        }
        10 => {
            acknowledged(first)?;
            let id = body.id()?;
            let mut topics = Vec::new();
            while !body.0.is_empty() {
                topics.push(body.text()?);
            }
            Packet::Unsubscribe(id, some(topics)?)
        }
        11 => Packet::UnsubAck(body.id()?),
        12 => Packet::PingReq,
        13 => Packet::PingResp,
        _ => Packet::Disconnect,
    };
    body.end(packet)
}

/// SUBSCRIBE and UNSUBSCRIBE say that they are acknowledged; in MQTT 3.1 they may also be repeated.
fn acknowledged(first: u8) -> Result<(), Malformed> {
    if first & 0x06 == 0x02 { Ok(()) } else { Err(Malformed("a subscription without acknowledgement")) }
}

fn some<T>(list: Vec<T>) -> Result<Vec<T>, Malformed> {
    if list.is_empty() { Err(Malformed("a subscription to nothing")) } else { Ok(list) }
}

fn connect(mut body: Body<'_>) -> Result<Packet<'_>, Malformed> {
    let (name, number) = (body.text()?, body.byte()?);
    let level = match (name, number) {
        ("MQIsdp", 3) => Level::V31,
        ("MQTT", 4) => Level::V311,
        ("MQIsdp" | "MQTT", _) => return Ok(Packet::Foreign(number)),
        _ => return Err(Malformed("another protocol than MQTT")),
    };
    let flags = body.byte()?;
    if flags & 0x01 != 0 && level == Level::V311 {
        return Err(Malformed("a reserved flag"));
    }
    let keep_alive_s = body.number()?;
    let client_id = body.text()?;
    let will = match flags & 0x04 != 0 {
        true => Some(Will {
            topic: body.text()?,
            payload: body.bytes()?,
            qos: QoS::of((flags >> 3) & 0x03)?,
            retain: flags & 0x20 != 0,
        }),
        false => None,
    };
    let username = if flags & 0x80 != 0 { Some(body.text()?) } else { None };
    let password = if flags & 0x40 != 0 { Some(body.bytes()?) } else { None };
    if password.is_some() && username.is_none() {
        return Err(Malformed("a password without a user"));
    }
    let clean = flags & 0x02 != 0;
    body.end(Packet::Connect(Connect { level, clean, keep_alive_s, client_id, will, username, password }))
}

fn publish(first: u8, mut body: Body<'_>) -> Result<Packet<'_>, Malformed> {
    let topic = body.text()?;
    if topic.is_empty() || topic.contains(['+', '#']) {
        return Err(Malformed("a message to no topic"));
    }
    let delivery = match QoS::of((first >> 1) & 0x03)? {
        QoS::AtMostOnce => Delivery::AtMostOnce,
        QoS::AtLeastOnce => Delivery::AtLeastOnce(body.id()?),
        QoS::ExactlyOnce => Delivery::ExactlyOnce(body.id()?),
    };
    let (dup, retain) = (first & 0x08 != 0, first & 0x01 != 0);
    Ok(Packet::Publish(Publish { dup, delivery, retain, topic, payload: body.0 }))
}

/// What is left of a packet.
struct Body<'a>(&'a [u8]);

impl<'a> Body<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed("a packet that is too short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?.iter().fold(0, |_, byte| *byte))
    }

    fn number(&mut self) -> Result<u16, Malformed> {
        Ok(self.take(2)?.iter().fold(0, |number, byte| number << 8 | u16::from(*byte)))
    }

    fn id(&mut self) -> Result<u16, Malformed> {
        self.number().and_then(|id| if id == 0 { Err(Malformed("a packet id of 0")) } else { Ok(id) })
    }

    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.number()?;
        self.take(length.into())
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| Malformed("text that is not UTF-8"))?;
        if text.contains('\0') { Err(Malformed("text with a NUL")) } else { Ok(text) }
    }

    fn end(&self, packet: Packet<'a>) -> Result<Packet<'a>, Malformed> {
        if self.0.is_empty() { Ok(packet) } else { Err(Malformed("a packet that is too long")) }
    }
}

/// Writes a packet. `None` for one that MQTT cannot carry: text of more than 65535 bytes, or 256 MiB in all.
pub fn encode(packet: &Packet<'_>) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    let first = match packet {
        Packet::Connect(connect) => {
            let (name, number) = match connect.level {
                Level::V31 => ("MQIsdp", 3),
                Level::V311 => ("MQTT", 4),
            };
            text(&mut body, name.as_bytes())?;
            let mut flags = u8::from(connect.clean) << 1;
            if let Some(will) = &connect.will {
                flags |= 0x04 | will.qos.bits() << 3 | u8::from(will.retain) << 5;
            }
            flags |= u8::from(connect.username.is_some()) << 7 | u8::from(connect.password.is_some()) << 6;
            body.extend([number, flags]);
            body.extend(connect.keep_alive_s.to_be_bytes());
            text(&mut body, connect.client_id.as_bytes())?;
            if let Some(will) = &connect.will {
                text(&mut body, will.topic.as_bytes())?;
                text(&mut body, will.payload)?;
            }
            for part in [connect.username.map(str::as_bytes), connect.password].into_iter().flatten() {
                text(&mut body, part)?;
            }
            0x10
        }
        Packet::Foreign(number) => {
            text(&mut body, b"MQTT")?;
            body.push(*number);
            0x10
        }
        Packet::ConnAck(code) => {
            body.extend([0, *code]);
            0x20
        }
        Packet::Publish(publish) => {
            text(&mut body, publish.topic.as_bytes())?;
            let qos = match publish.delivery {
                Delivery::AtMostOnce => 0,
                Delivery::AtLeastOnce(id) => {
                    body.extend(id.to_be_bytes());
                    1
                }
                Delivery::ExactlyOnce(id) => {
                    body.extend(id.to_be_bytes());
                    2
                }
            };
            body.extend(publish.payload);
            0x30 | u8::from(publish.dup) << 3 | qos << 1 | u8::from(publish.retain)
        }
        Packet::PubAck(id) => {
            body.extend(id.to_be_bytes());
            0x40
        }
        Packet::ExactlyOnce(step, id) => {
            body.extend(id.to_be_bytes());
            // PUBREL alone says that it is acknowledged.
            step << 4 | u8::from(*step == 6) << 1
        }
        Packet::Subscribe(id, topics) => {
            body.extend(id.to_be_bytes());
            for (topic, qos) in topics {
                text(&mut body, topic.as_bytes())?;
                body.push(qos.bits());
            }
            0x82
        }
        Packet::SubAck(id, codes) => {
            body.extend(id.to_be_bytes());
            body.extend(codes);
            0x90
        }
        Packet::Unsubscribe(id, topics) => {
            body.extend(id.to_be_bytes());
            for topic in topics {
                text(&mut body, topic.as_bytes())?;
            }
            0xa2
        }
        Packet::UnsubAck(id) => {
            body.extend(id.to_be_bytes());
            0xb0
        }
        Packet::PingReq => 0xc0,
        Packet::PingResp => 0xd0,
        Packet::Disconnect => 0xe0,
    };
    let mut bytes = vec![first];
    let mut length = u32::try_from(body.len()).ok().filter(|length| *length < 1 << 28)?;
    loop {
        let seven = u8::try_from(length & 0x7f).ok()?;
        length >>= 7;
        bytes.push(seven | u8::from(length > 0) << 7);
        if length == 0 {
            break;
        }
    }
    bytes.extend(body);
    Some(bytes)
}

fn text(body: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    body.extend(u16::try_from(text.len()).ok()?.to_be_bytes());
    body.extend(text);
    Some(())
}

#[cfg(test)]
mod tests;
