//! How much there may be of what.

use std::time::Duration;

/// The largest packet of a plug: what it says has 3 kB at most.
pub(super) const LARGEST_PACKET: usize = 16 * 1024;

/// Connections without a login, of one address and of all; further ones of all wait to be accepted.
const MOST_STRANGERS: usize = 64;
const STRANGERS_EACH: usize = 16;

/// Plugs, of all addresses and of one: behind a router that translates addresses all have the same.
const MOST_PLUGS: usize = 1200;
const PLUGS_EACH: usize = 300;

/// How long handshake and login may take together.
const LOGIN_WITHIN: Duration = Duration::from_secs(10);

/// How long a plug may take to read what is sent.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// How much there may be of what. A house has [`Limits::default`].
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections without a login.
    pub strangers: usize,
    /// The same from one address.
    pub strangers_each: usize,
    /// Plugs.
    pub plugs: usize,
    /// The same from one address.
    pub plugs_each: usize,
    /// How long handshake and login may take together.
    pub login_within: Duration,
    /// How long a plug may take to read what is sent.
    pub write_within: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            strangers: MOST_STRANGERS,
            strangers_each: STRANGERS_EACH,
            plugs: MOST_PLUGS,
            plugs_each: PLUGS_EACH,
            login_within: LOGIN_WITHIN,
            write_within: WRITE_WITHIN,
        }
    }
}
