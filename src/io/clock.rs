//! The one place where clocks are read.

use crate::model::Now;
use jiff::{Timestamp, tz::TimeZone};
use std::time::{Duration, Instant, SystemTime};

/// How long an offset from UTC is believed before the time zone is asked again.
const OFFSET_FRESH: Duration = Duration::from_secs(60);

/// The time zone whose times of day people mean.
#[derive(Debug, Clone, Default)]
pub struct Zone(Option<TimeZone>);

impl Zone {
    /// The one of this name, else that of this machine.
    pub fn of(name: Option<&str>) -> Self {
        Self(name.and_then(|name| TimeZone::get(name).ok()))
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        TimeZone::get(name).ok().map(|zone| Self(Some(zone)))
    }

    /// What it is called; `None` while no zone is known, and times of day are UTC.
    pub fn name(&self) -> Option<String> {
        // An empty TZ is what a container is given where nobody has said anything.
        let said = std::env::var("TZ").ok();
        let zone = match &self.0 {
            Some(zone) => zone.clone(),
            None if said.as_deref() == Some("") => return None,
            None => TimeZone::try_system().ok().filter(|zone| !zone.is_unknown())?,
        };
        let own = zone.iana_name().map(str::to_owned);
        Some(own.or(said).unwrap_or_else(|| "that of /etc/localtime".into()))
    }

    fn get(&self) -> TimeZone {
        self.0.clone().unwrap_or_else(TimeZone::system)
    }
}

/// Makes [`Now`]s.
#[derive(Debug, Clone)]
pub struct Clock {
    start: Instant,
    zone: Zone,
    offset: Option<(Duration, i32, i32)>,
}

impl Clock {
    /// A clock that starts now, in the time zone of this machine.
    pub fn start() -> Self {
        Self::start_in(Zone::default())
    }

    /// A clock that starts now.
    pub fn start_in(zone: Zone) -> Self {
        Self { start: Instant::now(), zone, offset: None }
    }

    /// Local time is known.
    pub fn knows_zone(&self) -> bool {
        self.zone.name().is_some()
    }

    /// The present.
    pub fn now(&mut self) -> Now {
        let up = self.start.elapsed();
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (utc_offset_s, dst_s) = match self.offset {
            Some((at, offset, dst)) if up - at < OFFSET_FRESH => (offset, dst),
            _ => {
                let (offset, dst) = offsets(&self.zone.get(), Timestamp::now());
                self.offset = Some((up, offset, dst));
                (offset, dst)
            }
        };
        let unix_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        Now { up, unix_ms, utc_offset_s, dst_s, nonce: fastrand::u64(..) }
    }

    /// The instant at which [`Now::up`] will be `up`.
    pub fn instant(&self, up: Duration) -> Instant {
        self.start.checked_add(up).unwrap_or_else(|| self.start + Duration::from_secs(86_400 * 365))
    }
}

/// Offset from UTC and the part of it that is summer time, in seconds.
fn offsets(zone: &TimeZone, at: Timestamp) -> (i32, i32) {
    let info = zone.to_offset_info(at);
    let offset = info.offset().seconds();
    if !info.dst().is_dst() {
        return (offset, 0);
    }
    let winter = zone.preceding(at).find(|transition| !transition.dst().is_dst());
    (offset, winter.map_or(3600, |winter| offset - winter.offset().seconds()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_that_is_named_holds_and_has_its_summer() {
        let zone = Zone::of(Some("Europe/Berlin"));
        assert_eq!(zone.name().as_deref(), Some("Europe/Berlin"));
        let at = |text: &str| offsets(&zone.get(), text.parse().expect("a time"));
        assert_eq!(at("2026-11-29T12:00:00Z"), (3600, 0));
        assert_eq!(at("2026-07-29T12:00:00Z"), (7200, 3600));
    }
}
