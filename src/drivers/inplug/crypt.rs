//! AES-128-CBC as this family uses it: one vector for everything, zeros to fill the last block. No
//! secret in the strict sense: the key every conversation begins with is the same in all plugs.

use aes::Aes128;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use std::fmt;

/// Bytes in a block.
pub(super) const BLOCK: usize = 16;

const IV: [u8; BLOCK] =
    [0x56, 0x2e, 0x17, 0x99, 0x6d, 0x09, 0x3d, 0x28, 0xdd, 0xb3, 0xba, 0x69, 0x5a, 0x2e, 0x6f, 0x58];

/// A key; not shown, because with it everybody on the network can switch the plug.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key([u8; BLOCK]);

impl Key {
    /// The key under which a plug tells its own.
    pub(super) const FIRST: Self = Self([
        0x09, 0x76, 0x28, 0x34, 0x3f, 0xe9, 0x9e, 0x23, 0x76, 0x5c, 0x15, 0x13, 0xac, 0xcf, 0x8b, 0x02,
    ]);

    /// From 16 bytes; `None` for any other number.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Encrypts, after filling up to whole blocks with zeros.
    pub(super) fn encrypt(&self, plain: &[u8]) -> Vec<u8> {
        let mut bytes = plain.to_vec();
        bytes.resize(plain.len().next_multiple_of(BLOCK), 0);
        let mut mode = cbc::Encryptor::<Aes128>::new(&self.0.into(), &IV.into());
        for block in bytes.chunks_exact_mut(BLOCK) {
            mode.encrypt_block(block.try_into().expect("chunks are blocks"));
        }
        bytes
    }

    /// Decrypts; `None` unless it is whole blocks. The zeros at the end stay.
    pub(super) fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = cipher.to_vec();
        let mut mode = cbc::Decryptor::<Aes128>::new(&self.0.into(), &IV.into());
        let mut blocks = bytes.chunks_exact_mut(BLOCK);
        for block in blocks.by_ref() {
            mode.decrypt_block(block.try_into().expect("chunks are blocks"));
        }
        blocks.into_remainder().is_empty().then_some(bytes)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}
