//! Which readings are worth telling. The picture others see moves only when a value leaves its
//! deadband, a relay moves, or the heartbeat is due.

use super::Rules;
use super::meter::Sample;
use super::plug::Plug;
use crate::model::{Cause, Energy, Moment, PlugView, PortReading, PortView, Reading};
use std::time::Duration;

/// How far a value must move from the one last told.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Thresholds {
    pub(super) watts: f64,
    pub(super) amps: f64,
    pub(super) volts: f64,
    pub(super) energy: Energy,
}

/// Percent of Wi-Fi signal that count as a change.
const SIGNAL: f64 = 5.0;

/// Time that was not metered is told when so much more of it has come together.
const GAP_S: u64 = 60;

/// Keeps sums of decimal fractions from counting as "more than".
const HAIR: f64 = 1e-6;

impl Plug {
    /// Takes a reading in and renews the picture as far as it is worth it. Says which relays moved
    /// and why.
    pub(super) fn absorb(
        &mut self,
        now: &Moment,
        reading: &Reading,
        took: Duration,
        rules: &Rules,
        everything: bool,
    ) -> Vec<(u8, bool, Option<Cause>)> {
        let hour_ended = self.measure(now, reading);
        self.consider_record(now, rules, hour_ended);
        let news = self.take_in(now, reading);
        let everything = everything || self.beat_at <= now.up;
        let gap = self.meter.unmetered_s() >= self.view.unmetered_s + GAP_S || news;
        let metered = self.kept.offer.power
            && (everything || gap || self.meter.worth(now, self.view.energy, self.thresholds.energy));
        if !everything && !metered && self.is_quiet(reading) {
            return Vec::new();
        }
        let mut moved = Vec::new();
        let mut view = PlugView::clone(&self.view);
        let mut any_watts = everything;
        for ((port, told), live) in (1u8..).zip(&mut view.ports).zip(&self.live) {
            let relay_moved = live.relay.is_some() && live.relay != told.relay;
            if let (true, Some(on)) = (relay_moved, live.relay) {
                let was_known = told.relay.is_some();
                let commanded = self.desk.cause(now, port, on);
                // Power proves that a port is on; none proves nothing, a load may have stopped drawing.
                let proven = on || !reading.relays_remembered;
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
            any_watts |= tell(&mut told.watts, live.watts, self.thresholds.watts, all) || relay_moved;
            tell(&mut told.amps, live.amps, self.thresholds.amps, all);
        }
        tell(&mut view.watts, self.sum(), self.threshold_of_sum(), any_watts);
        if metered {
            self.tell_energy(now, &mut view);
        }
        tell(&mut view.volts, self.live_volts, self.thresholds.volts, everything);
        tell(&mut view.signal, self.live_signal, SIGNAL, everything);
        let refused = reading.refused.first().map(|what| format!("refused {what}"));
        view.problem = refused.or_else(|| self.guard.problem().map(str::to_owned));
        view.relays_remembered = reading.relays_remembered;
        view.online = true;
        if everything {
            self.beat_at = now.up + rules.heartbeat;
            view.beat = view.beat.wrapping_add(1);
            view.latency_ms = u64::try_from(took.as_millis()).ok();
            view.last_seen_ms = Some(now.unix_ms);
        }
        self.show_instead(now, view);
        moved
    }

    /// Feeds the meters; before the live values are renewed, to see which relays have moved.
    fn measure(&mut self, now: &Moment, reading: &Reading) -> bool {
        let samples = (1..=self.kept.offer.ports).enumerate().map(|(index, port)| {
            let heard = reading.ports.get(index).copied().unwrap_or_default();
            let before = self.live.get(index).and_then(|live| live.relay);
            let moved = heard.relay.filter(|on| before == Some(!on));
            let commanded = moved.and_then(|on| self.desk.cause(now, port, on)).is_some();
            // Some do not tell their power when they are switched: until then it was what it was.
            let until_now = self.live.get(index).filter(|_| commanded).and_then(|live| live.watts);
            Sample { watts: heard.watts.or(until_now), switched: commanded }
        });
        self.meter.take(now, samples, self.pace.poll)
    }

    /// All meters at once, so that what the ports show adds up to what the plug shows.
    pub(super) fn tell_energy(&mut self, now: &Moment, view: &mut PlugView) {
        if !self.meter.certain() {
            return;
        }
        let lately = self.meter.take_lately(now);
        for (port, told) in (1u8..).zip(&mut view.ports) {
            told.energy = Some(self.meter.port(port));
            told.lately = if lately { self.meter.lately(port) } else { told.lately };
        }
        view.energy = Some(self.meter.total());
        view.unmetered_s = self.meter.unmetered_s();
        self.meter.told(now);
    }

    /// Watts over all ports, as far as they are told; `None` while one is not told that was.
    fn sum(&self) -> Option<f64> {
        if self.ages.power_lost() {
            return None;
        }
        self.live.iter().filter_map(|port| port.watts).reduce(|a, b| a + b)
    }

    /// How far the sum of the ports must move on its own. It moves with each of them, and the
    /// tremble of n loads that know nothing of each other is that of one times the root of n.
    fn threshold_of_sum(&self) -> f64 {
        self.thresholds.watts * f64::from(self.kept.offer.ports).sqrt()
    }

    /// Nothing in the live values is worth telling: most polls end here, without a copy.
    fn is_quiet(&self, reading: &Reading) -> bool {
        let (view, limits) = (&self.view, &self.thresholds);
        let still = |(told, live): (&PortView, &PortReading)| {
            live.relay == told.relay
                && !worth(told.watts, live.watts, limits.watts, false)
                && !worth(told.amps, live.amps, limits.amps, false)
        };
        view.online
            && view.problem.as_deref() == self.guard.problem()
            && reading.refused.is_empty()
            && view.relays_remembered == reading.relays_remembered
            && view.ports.iter().zip(&self.live).all(still)
            && !worth(view.watts, self.sum(), self.threshold_of_sum(), false)
            && !worth(view.volts, self.live_volts, limits.volts, false)
            && !worth(view.signal, self.live_signal, SIGNAL, false)
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
