//! The time zone of this machine, or of the settings, as a plug wants it.

use crate::config::Settings;
use crate::drivers::meross::zone::{CHANGES, Change, Zone};
use jiff::{Timestamp, tz::TimeZone};

/// The zone with its changes from now on; UTC where none is known.
pub(super) fn zone(settings: &Settings, now: Timestamp) -> Zone {
    let set = settings.timezone.as_deref().and_then(|name| TimeZone::get(name).ok());
    let zone = set.unwrap_or_else(TimeZone::system);
    let Some(name) = zone.iana_name().filter(|name| *name != "UTC") else {
        let change = Change { from: 0, offset_s: 0, summer: false };
        return Zone { name: "Etc/UTC".into(), changes: vec![change] };
    };
    let current = zone.to_offset_info(now);
    let first = Change {
        from: zone.preceding(now).next().map_or(0, |last| last.timestamp().as_second().max(0)),
        offset_s: current.offset().seconds().into(),
        summer: current.dst().is_dst(),
    };
    let coming = zone.following(now).take(CHANGES - 1).map(|next| Change {
        from: next.timestamp().as_second(),
        offset_s: next.offset().seconds().into(),
        summer: next.dst().is_dst(),
    });
    Zone { name: name.to_owned(), changes: std::iter::once(first).chain(coming).collect() }
}
