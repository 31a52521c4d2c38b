//! Who answers a search and is no plug: something else that speaks the same language, or something that
//! is not understood. Each is told once.

use crate::model::Stray;
use std::collections::BTreeSet;
use std::net::IpAddr;
use tracing::{debug, info};

/// So many are remembered; what comes after them is not told.
const MAX: usize = 256;

/// Who was told already.
#[derive(Debug, Default)]
pub(super) struct Strays {
    others: BTreeSet<(&'static str, IpAddr)>,
}

impl Strays {
    /// Somebody else has answered a search.
    pub(super) fn heard(&mut self, stray: &Stray) {
        let Stray { driver, from, what } = stray;
        if self.others.len() < MAX && self.others.insert((driver, from.ip())) {
            info!(driver, at = %from.ip(), "not a supported plug: {what}");
        } else {
            debug!(driver, %from, "not a supported plug: {what}");
        }
    }

    /// Whoever is there was said to be no plug.
    pub(super) fn told(&self, driver: &'static str, ip: IpAddr) -> bool {
        self.others.contains(&(driver, ip))
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX, Strays};
    use crate::model::Stray;
    use std::net::{Ipv4Addr, SocketAddr};

    #[test]
    fn others_are_told_once_and_a_flood_of_them_is_not_kept() {
        let mut strays = Strays::default();
        let stray = |ip: u32, port| Stray {
            driver: "inplug",
            from: SocketAddr::from((Ipv4Addr::from(ip), port)),
            what: "a lamp".into(),
        };
        for port in 1..5 {
            strays.heard(&stray(0x7f00_0001, port));
        }
        assert_eq!(strays.others.len(), 1);
        assert!(strays.told("inplug", Ipv4Addr::LOCALHOST.into()));
        assert!(!strays.told("maxsmart", Ipv4Addr::LOCALHOST.into()), "another family asked");
        (0..10_000).for_each(|ip| strays.heard(&stray(ip, 80)));
        assert_eq!(strays.others.len(), MAX);
    }
}
