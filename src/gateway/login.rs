//! Who a plug is and whether it may come in, from its CONNECT alone.
//!
//! The client id is `fmware:<uuid>_<random>`, the user the MAC, the password `<userId>_` and the MD5 of MAC and key.
//! Whoever knows a key can compute the password of any MAC, so what keeps one plug from speaking for another is that
//! the uuid ends with the MAC, and that a plug with a key of its own gets in with no other.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use md5::{Digest as _, Md5};
use secrecy::{ExposeSecret as _, SecretString};

use super::codec::{Connect, Level};

/// Characters of a uuid.
const UUID: usize = 32;

/// Digits of an MD5.
const HASH: usize = 32;

/// The identity of a plug: 32 letters and digits, compared without regard to case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uuid(String);

impl Uuid {
    /// Takes what looks like one.
    pub fn new(text: &str) -> Option<Self> {
        let fits = text.len() == UUID && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
        fits.then(|| Self(text.to_ascii_lowercase()))
    }

    /// In lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A plug that has logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its uuid.
    pub uuid: Uuid,
    /// The same as it writes it, also in its topics.
    pub spelling: String,
    /// Its MAC, lower case with colons.
    pub mac: String,
    /// Its version of the protocol.
    pub level: Level,
}

/// Why a plug is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Its client id is not `fmware:<uuid>_<random>`.
    #[error("its client id is not that of a plug")]
    Name,
    /// Its user name is no MAC.
    #[error("its user name is not a MAC address")]
    User,
    /// Its uuid does not end with its MAC, and no key is kept for this uuid alone.
    #[error("its uuid does not end with its MAC address; give this plug a key of its own in the settings")]
    NotItsOwn,
    /// No key that it may have makes this password.
    #[error("wrong key; set the key that was written to the plug")]
    Key,
}

/// The keys with which plugs may come in.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    shared: Vec<SecretString>,
    own: BTreeMap<String, SecretString>,
}

impl Keys {
    /// `shared` are for every plug that has none of its own; `own` are by uuid or MAC. No key at all lets nobody in.
    pub fn new(
        shared: impl IntoIterator<Item = SecretString>,
        own: impl IntoIterator<Item = (String, SecretString)>,
    ) -> Self {
        let name = |name: String| name.replace(':', "").to_ascii_lowercase();
        let own = own.into_iter().map(|(plug, key)| (name(plug), key));
        Self { shared: shared.into_iter().collect(), own: own.collect() }
    }

    /// Who comes, if it may.
    ///
    /// # Errors
    ///
    /// Why it may not. How long that takes tells nothing about a key.
    pub fn admit(&self, connect: &Connect<'_>) -> Result<Identity, Refusal> {
        let spelling = spelling(connect.client_id).ok_or(Refusal::Name)?;
        let uuid = Uuid::new(spelling).ok_or(Refusal::Name)?;
        let user = connect.username.unwrap_or_default();
        let digits = digits(user).ok_or(Refusal::User)?;
        let bound = uuid.as_str().ends_with(&digits);
        let own = self.own.get(uuid.as_str());
        if !bound && own.is_none() {
            return Err(Refusal::NotItsOwn);
        }
        let own = own.or_else(|| self.own.get(&digits));
        let keys = own.map_or(self.shared.as_slice(), std::slice::from_ref);
        let password = connect.password.unwrap_or_default();
        // Each key is tried to the end, whichever fits.
        let fits = keys.iter().fold(false, |fits, key| fits | is_password(password, user, key));
        if !fits {
            return Err(Refusal::Key);
        }
        let mac = user.to_ascii_lowercase();
        Ok(Identity { uuid, spelling: spelling.to_owned(), mac, level: connect.level })
    }
}

/// The uuid in a client id, as it is written there.
fn spelling(client_id: &str) -> Option<&str> {
    let (uuid, rest) = client_id.strip_prefix("fmware:")?.split_at_checked(UUID)?;
    rest.starts_with('_').then_some(uuid)
}

/// The twelve digits of a MAC with colons, in lower case.
fn digits(mac: &str) -> Option<String> {
    let pairs: Vec<&str> = mac.split(':').collect();
    let is_pair = |pair: &&str| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit());
    (pairs.len() == 6 && pairs.iter().all(is_pair)).then(|| pairs.concat().to_ascii_lowercase())
}

/// Whether a password is a user id, which may be anything, and the hash of user and key.
fn is_password(password: &[u8], user: &str, key: &SecretString) -> bool {
    let hash = Md5::new().chain_update(user).chain_update(key.expose_secret()).finalize();
    let mut wanted = String::from("_");
    for byte in hash {
        // Writing to a text does not fail.
        let _ = write!(wanted, "{byte:02x}");
    }
    let given = password.len().checked_sub(HASH + 1).and_then(|start| password.get(start..));
    let differing = |given: &[u8]| given.iter().zip(wanted.bytes()).fold(0, |all, (a, b)| all | (a ^ b));
    given.is_some_and(|given| differing(given) == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID_A: &str = "01234567890123456789020000004d07";
    const MAC_A: &str = "02:00:00:00:4d:07";

    fn keys(shared: &[&str], own: &[(&str, &str)]) -> Keys {
        let own = own.iter().map(|(plug, key)| ((*plug).to_owned(), SecretString::from(*key)));
        Keys::new(shared.iter().map(|key| SecretString::from(*key)), own)
    }

    fn admit(keys: &Keys, uuid: &str, user: &str, password: &str) -> Result<Identity, Refusal> {
        let client_id = format!("fmware:{uuid}_0123456789abcdef");
        keys.admit(&Connect {
            level: Level::V31,
            clean: true,
            keep_alive_s: 120,
            client_id: &client_id,
            will: None,
            username: Some(user),
            password: Some(password.as_bytes()),
        })
    }

    fn password(user: &str, key: &str) -> String {
        let hash = Md5::new().chain_update(user).chain_update(key).finalize();
        hash.iter().fold(String::from("0_"), |text, byte| text + &format!("{byte:02x}"))
    }

    #[test]
    fn the_passwords_are_those_of_the_vectors() {
        for (mac, key, user, password) in [
            ("48:e1:e9:aa:bb:cc", "pippo", "0", "8492650bfa7f13e6afa11399a19dfe93"),
            ("34:29:8f:ff:ff:ff", "testkey", "1234", "5ac868a81f2f21b4a87f7d2bb3467cb5"),
        ] {
            let key = SecretString::from(key);
            for start in [user, "", "another_user"] {
                assert!(is_password(format!("{start}_{password}").as_bytes(), mac, &key));
            }
            let cut = &password[1..];
            for wrong in
                ["", "_", password, &format!("{user}-{password}"), &format!("0_{cut}"), &format!("0_{cut}f")]
            {
                assert!(!is_password(wrong.as_bytes(), mac, &key), "{wrong}");
            }
        }
    }

    #[test]
    fn a_plug_comes_in_with_a_key_that_is_its_own_or_that_of_all() {
        let shared = keys(&["other", "pippo"], &[]);
        let plug = admit(&shared, UUID_A, MAC_A, &password(MAC_A, "pippo")).unwrap();
        assert_eq!((plug.uuid.as_str(), plug.mac.as_str()), (UUID_A, MAC_A));
        assert_eq!(admit(&shared, UUID_A, MAC_A, &password(MAC_A, "wrong")), Err(Refusal::Key));
        assert_eq!(admit(&keys(&[], &[]), UUID_A, MAC_A, &password(MAC_A, "")), Err(Refusal::Key));
        admit(&keys(&[""], &[]), UUID_A, MAC_A, &password(MAC_A, "")).unwrap();
        for name in [MAC_A, "02:00:00:00:4D:07", UUID_A] {
            let own = keys(&["pippo"], &[(name, "secret")]);
            admit(&own, UUID_A, MAC_A, &password(MAC_A, "secret")).unwrap();
            assert_eq!(admit(&own, UUID_A, MAC_A, &password(MAC_A, "pippo")), Err(Refusal::Key), "{name}");
        }
    }

    #[test]
    fn a_plug_cannot_come_in_as_another() {
        let (uuid_b, mac_b) = ("01234567890123456789020000004d08", "02:00:00:00:4d:08");
        let shared = keys(&["pippo"], &[]);
        // With its own login and the uuid of another.
        assert_eq!(admit(&shared, uuid_b, MAC_A, &password(MAC_A, "pippo")), Err(Refusal::NotItsOwn));
        // With a key of its own, by which it is kept from the other's name too.
        let own = keys(&["pippo"], &[(MAC_A, "secret a"), (mac_b, "secret b")]);
        assert_eq!(admit(&own, uuid_b, MAC_A, &password(MAC_A, "secret a")), Err(Refusal::NotItsOwn));
        assert_eq!(admit(&own, uuid_b, mac_b, &password(mac_b, "secret a")), Err(Refusal::Key));
        assert_eq!(admit(&own, uuid_b, mac_b, &password(mac_b, "pippo")), Err(Refusal::Key));
        // A uuid of another form is let in with a key for it alone.
        let odd = "zz234567890123456789abcdefabcdef";
        assert_eq!(admit(&own, odd, MAC_A, &password(MAC_A, "secret a")), Err(Refusal::NotItsOwn));
        let own = keys(&["pippo"], &[(odd, "secret c")]);
        admit(&own, odd, MAC_A, &password(MAC_A, "secret c")).unwrap();
        assert_eq!(admit(&own, odd, MAC_A, &password(MAC_A, "pippo")), Err(Refusal::Key));
    }

    #[test]
    fn what_is_no_plug_is_told() {
        let shared = keys(&["pippo"], &[]);
        for uuid in ["", "0123", "0123456789/123456789020000004d07", "#1234567890123456789020000004d07"] {
            assert_eq!(admit(&shared, uuid, MAC_A, ""), Err(Refusal::Name), "{uuid}");
        }
        for user in ["", "admin", "02000004d07", "02:00:00:00:4d", "02:00:00:00:4d:0g", "2:00:00:00:4d:007"] {
            assert_eq!(admit(&shared, UUID_A, user, ""), Err(Refusal::User), "{user}");
        }
        let upper = admit(&shared, &UUID_A.to_uppercase(), MAC_A, &password(MAC_A, "pippo")).unwrap();
        assert_eq!((upper.uuid.as_str(), upper.spelling), (UUID_A, UUID_A.to_uppercase()));
    }
}
