//! From a reading to what is told of it: what the plug is like now, what it has drawn, and what of both is worth
//! showing.

use super::backfill::Backfill;
use super::deadband::Heartbeat;
use super::live::Live;
use super::picture::Picture;
use super::switching::Switching;
use crate::hub::effective::Effective;
use crate::hub::floors::Floors;
use crate::hub::meter::{Meter, Sample};
use crate::hub::protection::Moved;
use crate::hub::rules::Rules;
use crate::model::{
    Capabilities, DeviceResponse, Event, Failure, Meaning, MeterState, Now, PerPort, PlugId, PlugView,
    PortFigures, PortReading, QueryReply, Reading,
};
use std::time::Duration;

/// Time that was not metered is told when so much more of it has come together.
const GAP_S: u64 = 60;

/// What one plug has told of itself, and what was told of that.
#[derive(Debug)]
pub(super) struct Readings {
    pub(super) live: Live,
    pub(super) meter: Meter,
    pub(super) backfill: Backfill,
    pub(super) heartbeat: Heartbeat,
}

/// What a reading is held against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) rules: &'a Rules,
    pub(super) settings: &'a Effective,
    pub(super) offer: Capabilities,
    /// How long it took, if it was asked for.
    pub(super) took: Option<Duration>,
}

impl Readings {
    pub(super) fn new(tally: &MeterState, now: &Now) -> Self {
        Self {
            live: Live::default(),
            meter: Meter::new(tally),
            backfill: Backfill::default(),
            heartbeat: Heartbeat::new(now),
        }
    }

    /// Other hardware has taken the place of the plug: how its relays stood and what its record was like says
    /// nothing any more.
    pub(super) fn renew(&mut self, now: &Now) {
        self.live = Live::default();
        self.backfill = Backfill::default();
        self.meter.keep_hours(now, false);
        self.meter.forget_counters();
        self.heartbeat.next();
    }

    /// Counts energy and renews the picture as far as it is worth it. Says which relays moved and why.
    pub(super) fn absorb(
        &mut self,
        now: &Now,
        given: Given<'_>,
        reading: &Reading,
        switching: &mut Switching,
        view: &mut Picture,
    ) -> Vec<Moved> {
        let Given { rules, settings, offer, took } = given;
        let hour_ended = self.measure(now, settings, offer.ports, reading, switching);
        // What a plug counts by itself misses no hour.
        let may_miss = rules.history && offer.power && !offer.energy_counted;
        self.backfill.consider(now, &mut self.meter, may_miss, hour_ended);
        let metered_before = |port| self.meter.has_metered(port);
        self.live.take_in(now, reading, offer.ports, settings.pace.poll, metered_before);
        let untold = switching.protection.not_told(self.live.missing()) && switching.word();
        let everything = self.heartbeat.beats(now, rules.heartbeat);
        let limits = &settings.thresholds;
        let gap = self.meter.unmetered_s() >= view.unmetered_s + GAP_S || untold;
        let metered =
            offer.metered() && (everything || gap || self.meter.worth(now, view.energy, limits.energy));
        let (remembered, problem) = (reading.relays_remembered, switching.protection.problem());
        if !everything
            && !metered
            && view.online
            && view.problem.as_deref() == problem
            && reading.refused.is_empty()
            && view.relays_remembered == remembered
            && limits.is_quiet(view, &self.live)
        {
            return Vec::new();
        }
        let mut new = PlugView::clone(view);
        let commanded = |port, on| switching.commands.cause(now, port, on);
        let moved = limits.renew(now, &mut new, &self.live, everything, remembered, commanded);
        if metered {
            self.meter.show(now, &mut new);
        }
        let refused = reading.refused.first().map(|what| format!("refused {what}"));
        new.problem = refused.or_else(|| problem.map(str::to_owned));
        new.relays_remembered = remembered;
        new.online = true;
        if everything {
            new.beat = new.beat.wrapping_add(1);
            let latency_ms = took.and_then(|took| u64::try_from(took.as_millis()).ok());
            new.latency_ms = latency_ms.or(new.latency_ms);
            new.last_seen_ms = Some(now.unix_ms);
        }
        if self.heartbeat.take_asked() {
            new.echo = new.echo.wrapping_add(1);
        }
        view.show_instead(now, new);
        moved
    }

    /// Feeds the meters; before the live values are renewed, to see which relays have moved. True when an hour
    /// has ended.
    fn measure(
        &mut self,
        now: &Now,
        settings: &Effective,
        ports: u8,
        reading: &Reading,
        switching: &Switching,
    ) -> bool {
        let samples = (1..=ports).map(|port| {
            let heard = reading.ports.port(port).copied().unwrap_or_default();
            let live = self.live.ports().port(port);
            let before = live.and_then(|live| live.relay);
            let moved = heard.relay.filter(|on| before == Some(!on));
            let commanded = moved.and_then(|on| switching.commands.cause(now, port, on)).is_some();
            // Some do not tell their power when they are switched: until then it was what it was.
            let until_now = live.filter(|_| commanded).and_then(|live| live.watts);
            Sample { watts: heard.watts.or(until_now), counter: heard.energy, switched: commanded }
        });
        self.meter.take(now, samples, settings.pace.poll)
    }

    /// What the plug has to offer, by what it has told now and before. What it says unasked, not `polled`, says
    /// nothing about the number of its ports.
    pub(super) fn offer(&mut self, old: Capabilities, reading: &Reading, polled: bool) -> Capabilities {
        let told = u8::try_from(reading.ports.len()).unwrap_or(u8::MAX);
        Capabilities {
            ports: if polled { self.live.shape(old.ports, told) } else { old.ports },
            power: old.power | reading.ports.iter().any(|port| port.watts.is_some()),
            current: old.current | reading.ports.iter().any(|port| port.amps.is_some()),
            voltage: old.voltage | reading.volts.is_some(),
            port_voltage: old.port_voltage | reading.ports.iter().any(|port| port.volts.is_some()),
            energy_counted: old.energy_counted | reading.ports.iter().any(|port| port.energy.is_some()),
            signal: old.signal | reading.signal.is_some(),
            ..old
        }
    }

    /// Figures about the ports. What they were when the plug was last heard is not what they are.
    pub(super) fn figures(&self, heard: bool, metered: bool) -> Vec<PortFigures> {
        let port = |(n, live): (u8, &PortReading)| PortFigures {
            relay: live.relay.filter(|_| heard),
            watts: live.watts.filter(|_| heard),
            amps: live.amps.filter(|_| heard),
            volts: live.volts.filter(|_| heard),
            joules: (self.meter.certain() && metered).then(|| self.meter.exact(n).joules()),
        };
        (1..).zip(self.live.ports()).map(port).collect()
    }

    /// Lifts the meters to what others have told, as far as it can be believed; true when one has moved.
    pub(super) fn lift(&mut self, now: &Now, id: &PlugId, floors: &Floors, apart: Duration) -> bool {
        let before = self.meter.total();
        self.meter.lift(id, floors, apart, now);
        self.meter.total() != before
    }

    /// Shows what the meters show.
    pub(super) fn show_energy(&mut self, now: &Now, view: &mut Picture) {
        let meter = &mut self.meter;
        view.show(now, |view| meter.show(now, view));
    }

    /// The plug has answered the question for its record: what is to be told about that.
    pub(super) fn record_told(
        &mut self,
        now: &Now,
        id: &PlugId,
        ports: u8,
        answer: Result<DeviceResponse, Failure>,
    ) -> Option<Event> {
        self.backfill.answered(now, id, ports, &mut self.meter, answer)
    }

    /// How the plug's record is to be read, if that is known, perhaps by what it has just told.
    pub(super) fn meaning(&mut self, now: &Now, answer: &Result<DeviceResponse, Failure>) -> Option<Meaning> {
        if let Ok(DeviceResponse::Capability(QueryReply::History(record))) = answer {
            self.backfill.learn(now, &self.meter, record);
        }
        self.backfill.meaning()
    }
}
