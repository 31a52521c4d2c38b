//! The one place where clocks are read.

use crate::model::Moment;
use jiff::{Timestamp, tz::TimeZone};
use std::time::{Duration, Instant, SystemTime};

/// How long an offset from UTC is believed before the time zone is asked again.
const OFFSET_FRESH: Duration = Duration::from_secs(60);

/// Makes [`Moment`]s.
#[derive(Debug, Clone)]
pub struct Clock {
    start: Instant,
    offset: Option<(Duration, i32, i32)>,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { start: Instant::now(), offset: None }
    }

    /// The present.
    pub fn now(&mut self) -> Moment {
        let up = self.start.elapsed();
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (utc_offset_s, dst_s) = match self.offset {
            Some((at, offset, dst)) if up - at < OFFSET_FRESH => (offset, dst),
            _ => {
                let (offset, dst) = offsets(Timestamp::now());
                self.offset = Some((up, offset, dst));
                (offset, dst)
            }
        };
        let unix_ms = u64::try_from(unix.as_millis()).unwrap_or(u64::MAX);
        Moment { up, unix_ms, utc_offset_s, dst_s, nonce: fastrand::u64(..) }
    }

    /// The instant at which [`Moment::up`] will be `up`.
    pub fn instant(&self, up: Duration) -> Instant {
        self.start.checked_add(up).unwrap_or_else(|| self.start + Duration::from_secs(86_400 * 365))
    }
}

/// Offset from UTC and the part of it that is summer time, in seconds.
fn offsets(at: Timestamp) -> (i32, i32) {
    let zone = TimeZone::system();
    let info = zone.to_offset_info(at);
    let offset = info.offset().seconds();
    if !info.dst().is_dst() {
        return (offset, 0);
    }
    let winter = zone.preceding(at).find(|transition| !transition.dst().is_dst());
    (offset, winter.map_or(3600, |winter| offset - winter.offset().seconds()))
}
