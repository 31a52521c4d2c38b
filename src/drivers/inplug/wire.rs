//! The bytes of the Broadlink family: hello, key exchange, status, switch, meter. Strict about what
//! is an answer (both checksums, type, count, id), lenient about what is around it. All numbers
//! are little-endian, hardware addresses stand in reverse.

use super::crypt::{BLOCK, Key};
use crate::model::{Failure, Mac, Name, Now};
use std::ops::Range;

/// "Who is there?", sent to this place in the packet: 0x26.
const HELLO: u16 = 0x0006;
const HELLO_REPLY: u16 = 0x0007;
const KEEP_ALIVE: u16 = 0x0001;

/// What encrypted packets begin with.
const MAGIC: [u8; 8] = [0x5a, 0xa5, 0xaa, 0x55, 0x5a, 0xa5, 0xaa, 0x55];

/// A reply's type is that of its request and this.
const REPLY: u16 = 0x0384;

/// Length of the head of an encrypted packet.
const HEAD: usize = 0x38;

const CHECKSUM: usize = 0x20;
const TYPE: usize = 0x26;

/// What an encrypted packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Key exchange.
    Keys,
    /// Anything else.
    Command,
}

impl Purpose {
    fn number(self) -> u16 {
        match self {
            Self::Keys => 0x65,
            Self::Command => 0x6a,
        }
    }
}

/// What a request and its reply share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Envelope {
    pub(super) purpose: Purpose,
    pub(super) device: u16,
    pub(super) count: u16,
    pub(super) mac: [u8; 6],
    /// The session, 0 while there is none.
    pub(super) id: u32,
    pub(super) key: Key,
}

/// A plug says no, by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal(pub(super) i16);

impl Refusal {
    /// Key exchange refused.
    pub(super) const LOCKED: Self = Self(-1);

    /// The session is gone: a key exchange heals it.
    pub(super) fn is_session_lost(self) -> bool {
        matches!(self.0, -2 | -7)
    }

    /// This plug does not know the command and never will.
    pub(super) fn is_unknown_command(self) -> bool {
        matches!(self.0, -4 | -5)
    }

    /// For a moment only: asked again it may answer.
    pub(super) fn passes(self) -> bool {
        matches!(self.0, -3 | -10..=-8)
    }

    /// The number, and what it is known to mean.
    pub(super) fn words(self) -> String {
        let meaning = match self.0 {
            -1 => "the key exchange is refused",
            -2 => "logged out",
            -3 => "offline",
            -4 => "not supported",
            -5 => "storage full or unknown command",
            -6 => "structure abnormal",
            -7 => "the key has expired",
            -8 => "cannot send",
            -9 => "cannot write",
            -10 => "cannot read",
            _ => "unknown",
        };
        format!("error {}: {meaning}", self.0)
    }
}

/// The sum that guards every packet and every payload.
pub(super) fn checksum(bytes: impl IntoIterator<Item = u8>) -> u16 {
    bytes.into_iter().fold(0xbeaf, |sum: u16, byte| sum.wrapping_add(byte.into()))
}

/// Writes the sum of a whole packet into it.
fn sign(packet: &mut [u8]) {
    put(packet, CHECKSUM, &[0, 0]);
    let sum = checksum(packet.iter().copied());
    put(packet, CHECKSUM, &sum.to_le_bytes());
}

fn is_signed(packet: &[u8]) -> bool {
    let around = Range { start: CHECKSUM, end: CHECKSUM + 2 };
    let rest = packet.iter().enumerate().filter(|(at, _)| !around.contains(at)).map(|(_, byte)| *byte);
    word(packet, CHECKSUM) == Some(checksum(rest))
}

fn put(packet: &mut [u8], at: usize, bytes: &[u8]) {
    let room = packet.get_mut(at..at + bytes.len()).expect("packets are built long enough");
    room.copy_from_slice(bytes);
}

fn bytes<const N: usize>(packet: &[u8], at: usize) -> Option<[u8; N]> {
    packet.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn word(packet: &[u8], at: usize) -> Option<u16> {
    bytes(packet, at).map(u16::from_le_bytes)
}

/// The question "who is there?", 48 bytes, with the time in UTC. Address and port in it may be
/// zero: plugs answer to where it came from.
pub(super) fn hello(now: &Now) -> Vec<u8> {
    let time = Now { utc_offset_s: 0, dst_s: 0, ..*now }.local();
    let small = |number: i8| u8::try_from(number).unwrap_or_default();
    let [low, high] = time.year().to_le_bytes();
    let mut packet = vec![0; 0x30];
    let clock = [
        low,
        high,
        small(time.second()),
        small(time.minute()),
        small(time.hour()),
        small(time.weekday().to_monday_one_offset()),
        small(time.day()),
        small(time.month()),
    ];
    put(&mut packet, 0x0c, &clock);
    put(&mut packet, TYPE, &HELLO.to_le_bytes());
    sign(&mut packet);
    packet
}

/// The packet that tells some firmware that somebody is there, so that it does not restart for want
/// of its cloud. Other clients send it without a checksum, so it is sent without.
pub(super) fn keep_alive() -> Vec<u8> {
    let mut packet = vec![0; 0x30];
    put(&mut packet, TYPE, &KEEP_ALIVE.to_le_bytes());
    packet
}

/// What a plug answers to hello.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) device: u16,
    pub(super) mac: Mac,
    pub(super) name: Option<Name>,
    /// The vendor's app has locked it: it answers hello and refuses all else.
    pub(super) locked: bool,
}

/// Whether this is an answer to hello, whoever it may be from.
pub(super) fn is_hello_reply(packet: &[u8]) -> bool {
    packet.len() >= 0x80 && word(packet, TYPE) == Some(HELLO_REPLY) && is_signed(packet)
}

/// Reads an answer to hello; `None` for anything that is not surely one. Firmware differs in what
/// it echoes, in the head and in the length: 128 bytes, 132 with the magic, 158 with a second part.
pub(super) fn hello_reply(packet: &[u8]) -> Option<Hello> {
    if !is_hello_reply(packet) {
        return None;
    }
    // The 132 bytes end as the 128 do, four bytes later.
    let lock = if packet.len() == 0x84 { 0x83 } else { 0x7f };
    let name = packet.get(0x40..0x7e)?.split(|byte| *byte == 0).next()?;
    Some(Hello {
        device: word(packet, 0x34)?,
        mac: mac(bytes(packet, 0x3a)?)?,
        name: Name::clean(&String::from_utf8_lossy(name)),
        locked: packet.get(lock) == Some(&1),
    })
}

fn mac(reversed: [u8; 6]) -> Option<Mac> {
    Mac::parse(&reversed.iter().rev().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// A hardware address as packets carry it.
pub(super) fn reversed(mac: Mac) -> [u8; 6] {
    let bare = mac.bare();
    let digits = |at: usize| bare.get(2 * at..2 * at + 2).and_then(|d| u8::from_str_radix(d, 16).ok());
    std::array::from_fn(|at| digits(5 - at).expect("twelve hexadecimal digits"))
}

/// An encrypted packet.
pub(super) fn seal(to: &Envelope, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; HEAD];
    put(&mut packet, 0, &MAGIC);
    put(&mut packet, 0x24, &to.device.to_le_bytes());
    put(&mut packet, TYPE, &to.purpose.number().to_le_bytes());
    put(&mut packet, 0x28, &to.count.to_le_bytes());
    put(&mut packet, 0x2a, &to.mac);
    put(&mut packet, 0x30, &to.id.to_le_bytes());
    put(&mut packet, 0x34, &checksum(payload.iter().copied()).to_le_bytes());
    packet.extend(to.key.encrypt(payload));
    sign(&mut packet);
    packet
}

/// Opens the reply to a packet sealed with this envelope: its payload, or what the plug refuses with.
pub(super) fn open(packet: &[u8], of: &Envelope) -> Result<Result<Vec<u8>, Refusal>, Failure> {
    let invalid = |what: &str| Failure::InvalidResponse(what.into());
    let short = || invalid("shorter than a head");
    let payload = packet.get(HEAD..).ok_or_else(short)?;
    if !packet.starts_with(&MAGIC) || !is_signed(packet) {
        return Err(invalid("no packet of this family, or a damaged one"));
    }
    if word(packet, TYPE) != Some(of.purpose.number() + REPLY) || word(packet, 0x28) != Some(of.count) {
        return Err(invalid("the answer to another question"));
    }
    // Before anything behind it: refusals come with no payload, or with one that means nothing.
    let error = bytes(packet, 0x22).map(i16::from_le_bytes).ok_or_else(short)?;
    if error != 0 {
        return Ok(Err(Refusal(error)));
    }
    if of.purpose == Purpose::Command && bytes(packet, 0x30).map(u32::from_le_bytes) != Some(of.id) {
        return Err(invalid("the answer to another session"));
    }
    if payload.len() < BLOCK {
        return Err(invalid("no payload"));
    }
    let plain = of.key.decrypt(payload).ok_or_else(|| invalid("not whole blocks"))?;
    if word(packet, 0x34) != Some(checksum(plain.iter().copied())) {
        return Err(invalid("it cannot be decrypted"));
    }
    Ok(Ok(plain))
}

/// Payload of the key exchange. The identifier and the name are those that clients of the family
/// send and plugs have been seen to accept; always the same, so that a plug keeps one entry.
pub(super) fn introduction() -> Vec<u8> {
    let mut payload = vec![0; 0x50];
    put(&mut payload, 0x04, &[b'1'; 16]);
    put(&mut payload, 0x1e, &[1]);
    put(&mut payload, 0x2d, &[1]);
    put(&mut payload, 0x30, b"Test 1");
    payload
}

/// What the key exchange brings: the session's id and key.
pub(super) fn session(plain: &[u8]) -> Option<(u32, Key)> {
    Some((u32::from_le_bytes(bytes(plain, 0)?), Key::new(plain.get(4..20)?)?))
}

/// Payload: how are you?
pub(super) const STATUS: [u8; 1] = [0x01];

/// Payload: which firmware?
pub(super) const FIRMWARE: [u8; 1] = [0x68];

/// Payload: how much power? In milliwatts.
pub(super) const METER: [u8; 1] = [0x04];

/// Payload: how much power? In hundredths of a watt.
pub(super) const DECIMAL_METER: [u8; 10] = [0x08, 0x00, 0xfe, 0x01, 0x05, 0x01, 0x00, 0x00, 0x00, 0x2d];

/// Payload: switch.
pub(super) fn relay(on: bool, others: u8) -> [u8; 5] {
    [0x02, 0, 0, 0, u8::from(on) | others]
}

/// The relay byte of a status; `None` when it is none. `proven` plugs are believed whatever the
/// first byte is.
pub(super) fn status(plain: &[u8], proven: bool) -> Option<u8> {
    let state = *plain.get(4)?;
    let like_sp2 = plain.first() == STATUS.first() && state <= 3;
    (proven || like_sp2).then_some(state)
}

/// The number of the firmware.
pub(super) fn firmware(plain: &[u8]) -> Option<u16> {
    word(plain, 4).filter(|number| *number != 0)
}

/// Watts out of milliwatts.
pub(super) fn milliwatts(plain: &[u8]) -> Option<f64> {
    let [a, b, c] = bytes(plain, 4)?;
    Some(f64::from(u32::from_le_bytes([a, b, c, 0])) / 1000.0)
}

/// Watts out of packed decimal digits; `None` when they are no digits.
pub(super) fn decimal(plain: &[u8]) -> Option<f64> {
    let packed: [u8; 3] = bytes(plain, 5)?;
    let digits = packed.iter().rev().flat_map(|byte| [byte >> 4, byte & 0x0f]);
    let number =
        digits.into_iter().try_fold(0u32, |sum, digit| (digit < 10).then(|| sum * 10 + u32::from(digit)))?;
    Some(f64::from(number) / 100.0)
}

/// Whether an answer only says the question again, as plugs do that do not know it.
pub(super) fn is_echo(plain: &[u8], question: &[u8]) -> bool {
    plain.strip_prefix(question).is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
}

#[cfg(test)]
mod tests;
