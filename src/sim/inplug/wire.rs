//! The packets of the family as a plug takes them apart and puts them together, written anew here so that a
//! misreading of the protocol cannot hide on both sides.

use aes::Aes128;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};

const FIRST_KEY: [u8; 16] = *b"\x09\x76\x28\x34\x3f\xe9\x9e\x23\x76\x5c\x15\x13\xac\xcf\x8b\x02";
const VECTOR: [u8; 16] = *b"\x56\x2e\x17\x99\x6d\x09\x3d\x28\xdd\xb3\xba\x69\x5a\x2e\x6f\x58";
const MAGIC: &[u8] = b"\x5a\xa5\xaa\x55\x5a\xa5\xaa\x55";
const BARE: usize = 56;

/// Something a plug hears.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// Who is there?
    Hello,
    /// Somebody is there; no answer.
    KeepAlive,
    /// An encrypted packet.
    Packet(Packet<'a>),
}

/// An encrypted request, not decrypted yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Packet<'a> {
    pub(super) number: u16,
    pub(super) id: u32,
    /// Type, then count: both come back in the reply as they were.
    device: [u8; 2],
    count: [u8; 2],
    sum: [u8; 2],
    cipher: &'a [u8],
}

/// Takes a datagram apart; `None` for what a plug ignores.
pub(super) fn hear(bytes: &[u8]) -> Option<Heard<'_>> {
    let number = u16::from_le_bytes(pair(bytes, 38)?);
    if number == 1 && bytes.len() == 48 {
        return Some(Heard::KeepAlive);
    }
    let mut clean = bytes.to_vec();
    clean.get_mut(32..34)?.fill(0);
    if sum(&clean).to_le_bytes() != pair(bytes, 32)? {
        return None;
    }
    if number == 6 && bytes.len() >= 48 {
        return Some(Heard::Hello);
    }
    let cipher = bytes.get(BARE..).filter(|_| bytes.starts_with(MAGIC))?;
    let id = u32::from_le_bytes(bytes.get(48..52)?.try_into().ok()?);
    let (device, count, sum) = (pair(bytes, 36)?, pair(bytes, 40)?, pair(bytes, 52)?);
    Some(Heard::Packet(Packet { number, id, device, count, sum, cipher }))
}

impl Packet<'_> {
    /// What it says under this key, the first one for `None`; `None` if that is not its key.
    pub(super) fn plain(&self, key: Option<&[u8; 16]>) -> Option<Vec<u8>> {
        let mut mode = cbc::Decryptor::<Aes128>::new(key.unwrap_or(&FIRST_KEY).into(), &VECTOR.into());
        let mut plain = self.cipher.to_vec();
        for block in plain.chunks_exact_mut(16) {
            mode.decrypt_block(block.try_into().ok()?);
        }
        (plain.len().is_multiple_of(16) && sum(&plain).to_le_bytes() == self.sum).then_some(plain)
    }

    /// The reply, under this key.
    pub(super) fn reply(&self, mac: [u8; 6], key: Option<&[u8; 16]>, plain: &[u8]) -> Vec<u8> {
        let mut cipher = plain.to_vec();
        cipher.resize(plain.len().next_multiple_of(16), 0);
        let mut mode = cbc::Encryptor::<Aes128>::new(key.unwrap_or(&FIRST_KEY).into(), &VECTOR.into());
        for block in cipher.chunks_exact_mut(16) {
            mode.encrypt_block(block.try_into().expect("16 bytes"));
        }
        self.packet(mac, 0, sum(plain).to_le_bytes(), &cipher)
    }

    /// A refusal: the bare head, with the request's sum unless it says that the plug is locked.
    pub(super) fn refusal(&self, mac: [u8; 6], error: i16) -> Vec<u8> {
        let of = if error == -1 { sum(&[]).to_le_bytes() } else { self.sum };
        self.packet(mac, error, of, &[])
    }

    /// A refusal with a block behind it that means nothing.
    pub(super) fn long_refusal(&self, mac: [u8; 6], error: i16) -> Vec<u8> {
        self.packet(mac, error, self.sum, &[0x5a; 16])
    }

    fn packet(&self, mac: [u8; 6], error: i16, of: [u8; 2], cipher: &[u8]) -> Vec<u8> {
        let mut packet = MAGIC.to_vec();
        packet.extend([0; 26]);
        packet.extend(error.to_le_bytes());
        packet.extend(self.device);
        packet.extend((self.number + 0x384).to_le_bytes());
        packet.extend(self.count);
        packet.extend(mac.iter().rev());
        packet.extend(self.id.to_le_bytes());
        packet.extend(of);
        packet.extend([0; 2]);
        packet.extend(cipher);
        signed(packet)
    }
}

/// The answer to hello: its first 32 bytes come back, then who the plug is. The address in it may be zero.
pub(super) fn introduction(question: &[u8], device: u16, mac: [u8; 6], name: &str, locked: bool) -> Vec<u8> {
    let mut packet: Vec<u8> = question.iter().copied().take(32).collect();
    packet.extend([0; 6]);
    packet.extend(7_u16.to_le_bytes());
    packet.extend([0; 12]);
    packet.extend(device.to_le_bytes());
    packet.extend([0; 4]);
    packet.extend(mac.iter().rev());
    packet.extend(name.bytes().take(62));
    packet.resize(127, 0);
    packet.push(u8::from(locked));
    signed(packet)
}

fn signed(mut packet: Vec<u8>) -> Vec<u8> {
    let of = sum(&packet);
    for (byte, part) in packet.iter_mut().skip(32).zip(of.to_le_bytes()) {
        *byte = part;
    }
    packet
}

fn sum(bytes: &[u8]) -> u16 {
    let all: usize = bytes.iter().map(|byte| usize::from(*byte)).sum();
    u16::try_from((0xbeaf + all) & 0xffff).unwrap_or_default()
}

fn pair(bytes: &[u8], at: usize) -> Option<[u8; 2]> {
    bytes.get(at..at + 2)?.try_into().ok()
}
