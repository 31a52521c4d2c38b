//! Which readings are worth telling. The picture others see moves only when a value leaves its
//! deadband, a relay moves, or the heartbeat is due.

use super::live::Live;
use crate::hub::effective::Thresholds;
use crate::hub::protection::Moved;
use crate::model::{Cause, Now, PlugView, PortReading, PortView};
use std::time::Duration;

/// Percent of Wi-Fi signal that count as a change.
const SIGNAL: f64 = 5.0;

/// Keeps sums of decimal fractions from counting as "more than".
const HAIR: f64 = 1e-6;

/// When everything is told, whether it has moved or not.
#[derive(Debug)]
pub(super) struct Heartbeat {
    at: Duration,
    /// At the next reading.
    next: bool,
    /// Somebody has asked to see all of it.
    asked: bool,
}

impl Heartbeat {
    pub(super) fn new(now: &Now) -> Self {
        Self { at: now.up, next: true, asked: false }
    }

    /// Everything is told at the next reading.
    pub(super) fn next(&mut self) {
        self.next = true;
    }

    /// And also what has not changed.
    pub(super) fn ask(&mut self) {
        (self.next, self.asked) = (true, true);
    }

    /// Whether somebody has asked for all of it; says so once.
    pub(super) fn take_asked(&mut self) -> bool {
        std::mem::take(&mut self.asked)
    }

    /// Whether everything is to be told with the reading that has come; then the next time is in `every`.
    pub(super) fn beats(&mut self, now: &Now, every: Duration) -> bool {
        let beats = std::mem::take(&mut self.next) || self.at <= now.up;
        if beats {
            self.at = now.up + every;
        }
        beats
    }
}

impl Thresholds {
    /// Nothing in the live values is worth telling: most polls end here, without a copy.
    pub(super) fn is_quiet(&self, view: &PlugView, live: &Live) -> bool {
        let still = |(told, live): (&PortView, &PortReading)| {
            live.relay == told.relay
                && !worth(told.watts, live.watts, self.watts, false)
                && !worth(told.amps, live.amps, self.amps, false)
                && !worth(told.volts, live.volts, self.volts, false)
        };
        view.ports.iter().zip(live.ports()).all(still)
            && !worth(view.watts, live.watts(), self.of_sum(live), false)
            && !worth(view.volts, live.volts(), self.volts, false)
            && !worth(view.signal, live.signal(), SIGNAL, false)
    }

    /// Moves the values in a picture that have left their deadband, or `everything`. Says which relays have
    /// moved and why: because of a command, or by somebody else, unless only a lack of power says so
    /// (`remembered`).
    pub(super) fn renew(
        &self,
        now: &Now,
        view: &mut PlugView,
        live: &Live,
        everything: bool,
        remembered: bool,
        commanded: impl Fn(u8, bool) -> Option<Cause>,
    ) -> Vec<Moved> {
        let mut moved = Vec::new();
        let mut any_watts = everything;
        for ((port, told), live) in (1u8..).zip(&mut view.ports).zip(live.ports()) {
            let relay_moved = live.relay.is_some() && live.relay != told.relay;
            if let (true, Some(on)) = (relay_moved, live.relay) {
                let was_known = told.relay.is_some();
                let commanded = commanded(port, on);
                // Power proves that a port is on; none proves nothing, a load may have stopped drawing.
                let proven = on || !remembered;
                let cause = commanded.or((was_known && proven).then_some(Cause::Local));
                told.relay = Some(on);
                told.since_ms = (was_known || commanded.is_some()).then_some(now.unix_ms);
                told.cause = cause;
                if told.since_ms.is_some() {
                    moved.push((port, on, cause));
                }
            }
            if live.relay.is_none() && told.relay.is_some() {
                (told.relay, told.since_ms, told.cause) = (None, None, None);
            }
            let all = everything || relay_moved;
            any_watts |= tell(&mut told.watts, live.watts, self.watts, all) || relay_moved;
            tell(&mut told.amps, live.amps, self.amps, all);
            tell(&mut told.volts, live.volts, self.volts, all);
        }
        tell(&mut view.watts, live.watts(), self.of_sum(live), any_watts);
        tell(&mut view.volts, live.volts(), self.volts, everything);
        tell(&mut view.signal, live.signal(), SIGNAL, everything);
        moved
    }

    /// How far the sum of the ports must move on its own. It moves with each of them, and the
    /// tremble of n loads that know nothing of each other is that of one times the root of n.
    fn of_sum(&self, live: &Live) -> f64 {
        self.watts * f64::from(u8::try_from(live.ports().len()).unwrap_or(u8::MAX)).sqrt()
    }
}

/// Whether a value is worth telling.
fn worth(told: Option<f64>, live: Option<f64>, threshold: f64, all: bool) -> bool {
    match (told, live) {
        (None, None) => false,
        (None, Some(_)) | (Some(_), None) => true,
        (Some(told), Some(live)) => all && told != live || (told - live).abs() > threshold + HAIR,
    }
}

/// Moves a told value to the live one when that is worth it; true when it moved.
fn tell(told: &mut Option<f64>, live: Option<f64>, threshold: f64, all: bool) -> bool {
    let worth = worth(*told, live, threshold, all);
    if worth {
        *told = live;
    }
    worth
}
