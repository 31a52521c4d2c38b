//! Figures about the hub's work.

use super::Hub;
use super::plug::Plug;
use crate::model::{DeviceResponse, Metrics, Moment, Outcome, PlugFigures, PortFigures};
use std::sync::Arc;

impl Hub {
    /// Figures about all plugs that were taken in, as they are now.
    pub fn figures(&self) -> Metrics {
        let taken = self.plugs.iter().filter(|(_, plug)| plug.adopted && plug.kept.offer.ports > 0);
        let plugs = taken.map(|(id, plug)| (id.clone(), plug.figures())).collect();
        Metrics { view: Arc::clone(&self.view), plugs }
    }

    pub(super) fn count(&mut self, outcome: &Outcome) {
        let stats = &mut self.bridge.stats;
        if let Ok(DeviceResponse::Reading(reading)) = &outcome.result {
            stats.polls_ok += 1;
            stats.samples += reading.ports.len() as u64;
            if self.took_ms.len() == 1024 {
                self.took_ms.pop_front();
            }
            self.took_ms.push_back(u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX));
        } else if outcome.result.is_err() {
            stats.polls_failed += 1;
        }
    }

    pub(super) fn renew_stats(&mut self, now: &Moment) {
        let mut sorted: Vec<u64> = self.took_ms.iter().copied().collect();
        sorted.sort_unstable();
        let at =
            |percent: usize| sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)));
        self.bridge.stats.p50_ms = at(50).copied().unwrap_or_default();
        self.bridge.stats.p95_ms = at(95).copied().unwrap_or_default();
        self.bridge.stats.unix_ms = now.unix_ms;
        self.bridge.stats.uptime_s = now.up.as_secs();
        self.show_bridge();
    }
}

impl Plug {
    pub(super) fn count_poll(&mut self, outcome: &Outcome) {
        match &outcome.result {
            Ok(_) => {
                self.figures.polls.count("ok");
                self.figures.poll_times.note(outcome.took);
            }
            Err(failure) => self.figures.polls.count(failure.word()),
        }
    }

    fn figures(&self) -> PlugFigures {
        // What it was when it was last heard is not what it is.
        let heard = self.online();
        let port = |(n, live): (u8, &crate::model::PortReading)| PortFigures {
            relay: live.relay.filter(|_| heard),
            watts: live.watts.filter(|_| heard),
            amps: live.amps.filter(|_| heard),
            joules: (self.meter.certain() && self.kept.offer.power).then(|| self.meter.exact(n).joules()),
        };
        PlugFigures {
            ports: (1..).zip(&self.live).map(port).collect(),
            unmetered_s: self.meter.unmetered_s(),
            ..PlugFigures::clone(&self.figures)
        }
    }
}
