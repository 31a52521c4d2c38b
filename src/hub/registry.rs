//! Who is who: plugs that are found, claim the same serial, or are too many.

use super::fleet::{Fleet, MAX_PLUGS};
use super::plug::Plug;
use crate::model::{Discovered, Now, PlugId};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;
use tracing::{debug, warn};

/// A plug heard at its own address this lately is not believed to have moved.
const SAME_ROUND: Duration = Duration::from_secs(10);

/// New plugs taken from one address within an hour: no address has had so many, and whoever invents them has no end.
const CROWD: u8 = 32;
const AN_HOUR: Duration = Duration::from_secs(3600);

/// What is said when a search for plugs of these families finds nobody, here and by commands that search.
pub fn nobody(families: impl Iterator<Item = &'static str>) -> String {
    let families: Vec<&str> = families.collect();
    let settings =
        |key: &str| families.iter().map(|name| format!("{name}.{key}")).collect::<Vec<_>>().join(" or ");
    let (hosts, scan) = (settings("hosts"), settings("scan"));
    format!(
        "no plugs answered. Broadcasts do not cross routers: name plugs on other networks with {hosts}, their \
         networks with {scan}, or try `plug2mqtt probe ADDRESS`."
    )
}

/// New plugs by address, since when.
#[derive(Debug, Default)]
pub(super) struct Crowds {
    seen: BTreeMap<IpAddr, (Duration, u8)>,
}

impl Crowds {
    /// Whether one more plug that is not known may come from this address.
    pub(super) fn has_room(&mut self, now: &Now, id: &PlugId, ip: IpAddr) -> bool {
        if self.seen.len() >= MAX_PLUGS && !self.seen.contains_key(&ip) {
            debug!(plug = %id, "ignored: plugs came from {MAX_PLUGS} addresses within an hour");
            return false;
        }
        let (since, count) = self.seen.entry(ip).or_insert((now.up, 0));
        if now.up.saturating_sub(*since) >= AN_HOUR {
            (*since, *count) = (now.up, 0);
        }
        *count = count.saturating_add(1);
        if *count == CROWD + 1 {
            warn!(at = %ip, "more than {CROWD} new devices from one address within an hour; ignoring further ones");
        }
        *count <= CROWD
    }

    /// Forgets what is long ago.
    pub(super) fn prune(&mut self, now: &Now) {
        self.seen.retain(|_, (since, _)| now.up.saturating_sub(*since) < AN_HOUR);
    }
}

/// Which known plug this is, if any.
pub(super) fn known_as(fleet: &Fleet, found: &Discovered) -> Option<PlugId> {
    // Its hardware address settles it, also when the serial could not be read this time.
    if let Some(mac) = found.facts.mac {
        let same = |plug: &Plug| {
            let device = plug.device();
            device.driver() == found.driver
                && device.kept().facts.mac == Some(mac)
                && serials_agree(plug, found)
        };
        // Nearly always it is where its id says; a search of all plugs for each would be slow.
        let own = found.id.as_ref().and_then(|id| fleet.get(id));
        let own = own.filter(|plug| plug.device().kept().hardware.is_none()).filter(|plug| same(plug));
        if let Some(plug) = own.or_else(|| fleet.plugs().find(|plug| same(plug))) {
            return Some(plug.device().id().clone());
        }
    }
    let plug = fleet.get(&bearer(fleet, found.id.as_ref()?)?)?;
    if plug.device().kept().hardware.is_some() {
        return Some(plug.device().id().clone());
    }
    // The same serial behind another MAC is another plug.
    let other = matches!((plug.device().kept().facts.mac, found.facts.mac), (Some(a), Some(b)) if a != b);
    (!other).then(|| plug.device().id().clone())
}

/// The plug that this hardware is, if it is known.
pub(super) fn bearer(fleet: &Fleet, hardware: &PlugId) -> Option<PlugId> {
    let own = fleet.get(hardware).filter(|plug| plug.device().kept().hardware.is_none());
    let other = || fleet.plugs().find(|plug| plug.device().kept().hardware.as_ref() == Some(hardware));
    own.or_else(other).map(|plug| plug.device().id().clone())
}

fn serials_agree(plug: &Plug, found: &Discovered) -> bool {
    match (&plug.device().kept().facts.serial, &found.facts.serial) {
        (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
        _ => true,
    }
}

/// The id of a plug not known yet: its own, or one qualified by its MAC where its serial is
/// taken.
pub(super) fn name_newcomer(fleet: &Fleet, base: PlugId, found: &Discovered) -> Option<PlugId> {
    let Some(first) = fleet.get(&base) else { return Some(base) };
    let id = base.qualified(found.facts.mac?)?;
    if fleet.get(&id).is_none() {
        warn!(plug = %id, at = %found.place, other = %first.device().id(), "two devices report the same serial number; using the MAC for the second");
    }
    Some(id)
}

/// Whether a known plug that was heard at another address is believed to have moved there.
pub(super) fn has_moved(now: &Now, plug: &Plug, found: &Discovered) -> bool {
    let proven = found.facts.mac.is_some() && found.facts.mac == plug.device().kept().facts.mac;
    let heard_at = plug.heard_at();
    let same_round = now.up.saturating_sub(heard_at) < SAME_ROUND && heard_at > Duration::ZERO;
    let healthy = plug.is_read() && !plug.missing();
    !healthy || (proven && !same_round)
}
