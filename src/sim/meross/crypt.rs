//! What a Meross plug computes over its secrets: signatures, the key of encrypted LAN messages, its login at a broker.
//!
//! Knows no messages and no state.

use aes::Aes256;
use base64::prelude::{BASE64_STANDARD, Engine as _};
use cbc::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use md5::{Digest as _, Md5};

const VECTOR: [u8; 16] = *b"0000000000000000";

/// 32 lower-case hexadecimal digits.
pub(super) fn md5_hex(text: &str) -> String {
    Md5::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The signature of a message.
pub(super) fn sign(message_id: &str, key: &str, timestamp: u64) -> String {
    md5_hex(&format!("{message_id}{key}{timestamp}"))
}

/// The key of what is said over the LAN by plugs that list `Encrypt.ECDHE`.
pub(super) fn lan_key(uuid: &str, key: &str, mac: &str) -> [u8; 32] {
    ascii_key(&[part(uuid, 3, 22), part(key, 1, 9), mac, part(key, 10, 28)].concat())
}

/// The key under which `Config.WifiX` brings the password of a network.
pub(super) fn wifi_key(kind: &str, uuid: &str, mac: &str) -> [u8; 32] {
    ascii_key(&[kind, uuid, mac].concat())
}

/// The plug's half of an exchange of keys over P-256: its point, and the key of what is said from then on.
#[cfg(feature = "tls")]
pub(super) fn exchange(point: &str) -> Option<(String, [u8; 32])> {
    let point = BASE64_STANDARD.decode(point).ok()?;
    let done = rustls::crypto::ring::kx_group::SECP256R1.start_and_complete(&point).ok()?;
    let digest = Md5::digest(done.secret.secret_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Some((BASE64_STANDARD.encode(&done.pub_key), hex.as_bytes().try_into().ok()?))
}

/// Without TLS there is nobody who can multiply points.
#[cfg(not(feature = "tls"))]
pub(super) fn exchange(_point: &str) -> Option<(String, [u8; 32])> {
    None
}

/// The password with which a plug logs in at its broker.
pub(super) fn mqtt_password(user: &str, mac: &str, key: &str) -> String {
    format!("{user}_{}", md5_hex(&format!("{mac}{key}")))
}

/// Encrypts: zeros up to the next block and at least one, base64 around it.
pub(super) fn seal(key: &[u8; 32], plain: &[u8]) -> String {
    let mut bytes = plain.to_vec();
    bytes.resize((plain.len() + 1).next_multiple_of(16), 0);
    let mut mode = cbc::Encryptor::<Aes256>::new(key.into(), &VECTOR.into());
    for block in bytes.chunks_exact_mut(16) {
        mode.encrypt_block(block.try_into().expect("16 bytes"));
    }
    BASE64_STANDARD.encode(bytes)
}

/// Decrypts; `None` for what is no base64 of whole blocks.
pub(super) fn open(key: &[u8; 32], text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = BASE64_STANDARD.decode(text.trim_ascii()).ok()?;
    let mut mode = cbc::Decryptor::<Aes256>::new(key.into(), &VECTOR.into());
    for block in bytes.chunks_mut(16) {
        mode.decrypt_block(block.try_into().ok()?);
    }
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);
    Some(bytes)
}

/// Text that a message carries as base64.
pub(super) fn decoded(text: &str) -> Option<String> {
    String::from_utf8(BASE64_STANDARD.decode(text).ok()?).ok()
}

fn ascii_key(seed: &str) -> [u8; 32] {
    let mut key = [0; 32];
    key.iter_mut().zip(md5_hex(seed).bytes()).for_each(|(to, from)| *to = from);
    key
}

/// The part between two places, as far as there is one.
fn part(text: &str, from: usize, to: usize) -> &str {
    let to = to.min(text.len());
    text.get(from.min(to)..to).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = *b"4b2e8c91154c4643d654442236e32b68";

    #[test]
    fn signatures_are_as_in_the_protocol_notes() {
        let id = "0123456789abcdef0123456789abcdef";
        assert_eq!(sign("", "", 0), "cfcd208495d565ef66e7dff9f98764da");
        assert_eq!(sign(id, "", 1_700_000_000), "224dd730e3a37f3a004dbf08aaaef729");
        assert_eq!(sign(id, "pippo", 1_700_000_000), "6e5df93a7dfdaaf561ad132464426e45");
    }

    #[test]
    fn keys_are_as_in_the_protocol_notes() {
        assert_eq!(lan_key("01234567890123456789012345678920", "pippo", "01:23:45:67:89:20"), KEY);
        let uuid = "11223344556677889900aabbccddeeff";
        let key = lan_key(uuid, "0123456789abcdef0123456789abcdef", "48:e1:e9:aa:bb:cc");
        assert_eq!(&key, b"6516ccda9d4804fc5ee64bf19c09aab2");
        let wifi = wifi_key("mss310", uuid, "48:e1:e9:aa:bb:cc");
        assert_eq!(&wifi, b"6b9338fc77801e78df95aad3d7a56462");
        assert_eq!(seal(&wifi, b"secret123"), "4nYI7FR8qDTKaIqTeBLMpg==");
        assert_eq!(mqtt_password("0", "48:e1:e9:aa:bb:cc", "pippo"), "0_8492650bfa7f13e6afa11399a19dfe93");
        assert_eq!(
            mqtt_password("1234", "34:29:8f:ff:ff:ff", "testkey"),
            "1234_5ac868a81f2f21b4a87f7d2bb3467cb5"
        );
    }

    #[test]
    fn sealed_text_comes_back_without_its_zeros() {
        for (plain, sealed) in [
            (r#"{"a":1}"#, "jSD866t+RK3FJzkqQ/oy9w=="),
            ("0123456789abcdef", "eHLF6OOhFZhkGNOKEeq6ROL6nlJ3iGceX2rXuZgjuY4="),
        ] {
            assert_eq!(seal(&KEY, plain.as_bytes()), sealed);
            assert_eq!(open(&KEY, sealed.as_bytes()).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(open(&KEY, b"AAAA"), None);
        assert_eq!(open(&KEY, b"no base64!"), None);
    }
}
