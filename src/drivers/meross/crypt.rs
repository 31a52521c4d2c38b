//! Signatures, and the encryption of what is said over the LAN. Knows no messages.

use crate::model::Mac;
use aes::Aes256;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use cbc::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use md5::{Digest as _, Md5};
use std::fmt;

const BLOCK: usize = 16;

/// The same for every message.
const VECTOR: [u8; BLOCK] = *b"0000000000000000";

/// 32 lower-case hexadecimal digits.
pub fn md5_hex(text: &str) -> String {
    hex_of(text.as_bytes())
}

fn hex_of(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The signature of a message.
pub fn sign(message_id: &str, key: &str, timestamp: u64) -> String {
    md5_hex(&format!("{message_id}{key}{timestamp}"))
}

/// The hardware address of a plug: its uuid ends with it.
pub fn mac(uuid: &str) -> Option<Mac> {
    Mac::parse(uuid.get(uuid.len().checked_sub(12)?..)?)
}

/// The key of what is said to one plug over the LAN; not shown.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct LanKey([u8; 32]);

impl LanKey {
    /// Of the plug with this uuid and address that was paired under this key.
    pub fn new(uuid: &str, key: &str, mac: Mac) -> Self {
        Self::of(format!("{}{}{mac}{}", part(uuid, 3, 22), part(key, 1, 9), part(key, 10, 28)).as_bytes())
    }

    /// Of a plug that belongs to nobody yet, after an exchange of keys with it: the secret is the x of the shared point.
    pub fn exchanged(secret: &[u8]) -> Self {
        Self::of(secret)
    }

    /// Of the password in `Config.WifiX`, from type, uuid and MAC address as the plug writes them.
    pub fn of_wifi(kind: &str, uuid: &str, mac: &str) -> Self {
        Self::of(format!("{kind}{uuid}{mac}").as_bytes())
    }

    fn of(seed: &[u8]) -> Self {
        let mut bytes = [0; 32];
        bytes.iter_mut().zip(hex_of(seed).bytes()).for_each(|(to, from)| *to = from);
        Self(bytes)
    }

    /// Encrypts and writes as base64: zeros up to the next block, and at least one.
    pub fn seal(&self, plain: &[u8]) -> Vec<u8> {
        let mut bytes = plain.to_vec();
        bytes.resize((plain.len() + 1).next_multiple_of(BLOCK), 0);
        let mut mode = cbc::Encryptor::<Aes256>::new(&self.0.into(), &VECTOR.into());
        for block in bytes.chunks_exact_mut(BLOCK) {
            mode.encrypt_block(block.try_into().expect("chunks are blocks"));
        }
        BASE64_STANDARD.encode(bytes).into_bytes()
    }

    /// Reads base64 and decrypts, without the zeros at the end; `None` unless it is whole blocks.
    pub fn open(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = BASE64_STANDARD.decode(sealed.trim_ascii()).ok()?;
        let mut mode = cbc::Decryptor::<Aes256>::new(&self.0.into(), &VECTOR.into());
        for block in bytes.chunks_mut(BLOCK) {
            mode.decrypt_block(block.try_into().ok()?);
        }
        let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        bytes.truncate(end);
        Some(bytes)
    }
}

impl fmt::Debug for LanKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LanKey(..)")
    }
}

/// The characters between two places, as far as there are any.
fn part(text: &str, from: usize, to: usize) -> String {
    text.chars().take(to).skip(from).collect()
}
