//! A plug's own record: when it is asked for, and what comes of it.

use crate::hub::meter::Meter;
use crate::model::{
    DeviceResponse, Energy, Event, Failure, Meaning, Now, PlugId, QueryReply, RawHistory, Span,
};
use std::time::Duration;
use tracing::{debug, info};

/// How far into an hour the plug's clock has surely ended the one before.
const CLOCKS_DIFFER: Duration = Duration::from_secs(120);

/// Pause between the end of an outage and the question.
const SOON: Duration = Duration::from_secs(5);

const HOUR_MS: u64 = 3_600_000;

/// What is known of a plug's own record.
#[derive(Debug, Default)]
pub(super) struct Backfill {
    /// When to ask for it.
    at: Option<Duration>,
    /// It has none, or does not tell.
    none: bool,
    /// It has told one: a refusal later proves nothing.
    told: bool,
    /// Why it was not believed last.
    doubt: Option<&'static str>,
    /// How its figures are to be read, once that agreed with what was metered.
    meaning: Option<Meaning>,
}

impl Backfill {
    /// When to ask.
    pub(super) fn at(&self) -> Option<Duration> {
        self.at
    }

    pub(super) fn meaning(&self) -> Option<Meaning> {
        self.meaning
    }

    /// Learns how its figures are to be read, if that is not known; what is not known now may have been before.
    pub(super) fn learn(&mut self, now: &Now, meter: &Meter, record: &RawHistory) {
        if record.span == Span::Hours {
            self.meaning = meter.meaning(now, record).or(self.meaning);
        }
    }

    /// Whether it is to be asked for now; says so once.
    pub(super) fn take_due(&mut self, now: &Now) -> bool {
        self.at.take_if(|at| *at <= now.up).is_some()
    }

    /// After a reading: an hour may have ended that was not metered as a whole. Hours are kept while settings
    /// and plug allow to fill them (`wanted`).
    pub(super) fn consider(&mut self, now: &Now, meter: &mut Meter, wanted: bool, hour_ended: bool) {
        meter.keep_hours(now, wanted && !self.none);
        if hour_ended && meter.wants_record(now) {
            let into = Duration::from_millis(now.local_ms() % HOUR_MS);
            self.at = Some(now.up + CLOCKS_DIFFER.saturating_sub(into).max(SOON));
        }
    }

    /// The plug has answered the question for its record: what is to be told about that.
    pub(super) fn answered(
        &mut self,
        now: &Now,
        id: &PlugId,
        ports: u8,
        meter: &mut Meter,
        answer: Result<DeviceResponse, Failure>,
    ) -> Option<Event> {
        match answer {
            Ok(DeviceResponse::Capability(QueryReply::History(record))) => {
                self.told = true;
                return self.fill(now, id, ports, meter, &record);
            }
            Ok(DeviceResponse::Unsupported | DeviceResponse::Refused(_)) if !self.told => {
                debug!(plug = %id, "keeps no record of its own, or does not tell it");
                self.none = true;
                meter.keep_hours(now, false);
            }
            Ok(_) => debug!(plug = %id, "answered something that was not asked"),
            // Asked again when the next hour ends.
            Err(failure) => debug!(plug = %id, "asked for its record: {failure}"),
        }
        None
    }

    fn fill(
        &mut self,
        now: &Now,
        id: &PlugId,
        ports: u8,
        meter: &mut Meter,
        record: &RawHistory,
    ) -> Option<Event> {
        self.learn(now, meter, record);
        match meter.fill(now, record) {
            Ok(filled) if filled.is_empty() => None,
            Ok(filled) => {
                self.doubt = None;
                let mut ports = vec![Energy::default(); usize::from(ports)];
                for hour in &filled {
                    ports.iter_mut().zip(&hour.ports).for_each(|(sum, missed)| sum.add(*missed));
                }
                let kwh: Energy = ports.iter().copied().sum();
                info!(plug = %id, %kwh, hours = filled.len(), "energy backfilled from the device's own record");
                Some(Event::EnergyFilled { hours: filled.iter().map(|hour| hour.unix_ms).collect(), ports })
            }
            Err(reason) if self.doubt.replace(reason) != Some(reason) => {
                info!(plug = %id, "energy not backfilled: {reason}");
                Some(Event::EnergyNotFilled { reason })
            }
            Err(_) => None,
        }
    }
}
