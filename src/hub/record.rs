//! A plug's own record: when it is asked for, and what comes of it.

use super::plug::Plug;
use super::{Effect, Rules};
use crate::model::{
    DeviceResponse, Energy, Event, Failure, Meaning, Moment, Notification, QueryReply, RawHistory,
};
use std::collections::VecDeque;
use std::time::Duration;
use tracing::{debug, info};

/// How far into an hour the plug's clock has surely ended the one before.
const CLOCKS_DIFFER: Duration = Duration::from_secs(120);

/// Pause between the end of an outage and the question.
const SOON: Duration = Duration::from_secs(5);

const HOUR_MS: u64 = 3_600_000;

/// What is known of a plug's own record.
#[derive(Debug, Default)]
pub(super) struct Record {
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

impl Record {
    /// When to ask.
    pub(super) fn at(&self) -> Option<Duration> {
        self.at
    }

    pub(super) fn meaning(&self) -> Option<Meaning> {
        self.meaning
    }

    /// How its figures are to be read; what is not known now may have been before.
    pub(super) fn learn(&mut self, meaning: Option<Meaning>) {
        self.meaning = meaning.or(self.meaning);
    }

    /// Whether it is to be asked for now; says so once.
    pub(super) fn take_due(&mut self, now: &Moment) -> bool {
        self.at.take_if(|at| *at <= now.up).is_some()
    }
}

impl Plug {
    /// After a reading: an hour may have ended that was not metered as a whole.
    pub(super) fn consider_record(&mut self, now: &Moment, rules: &Rules, hour_ended: bool) {
        self.meter.keep_hours(now, rules.history && self.kept.offer.power && !self.record.none);
        if hour_ended && self.meter.wants_record(now) {
            let into = Duration::from_millis(now.local_ms() % HOUR_MS);
            self.record.at = Some(now.up + CLOCKS_DIFFER.saturating_sub(into).max(SOON));
        }
    }

    /// The plug has answered the question for its record. True when its meters have moved.
    pub(super) fn recorded(
        &mut self,
        now: &Moment,
        answer: Result<DeviceResponse, Failure>,
        effects: &mut VecDeque<Effect>,
    ) -> bool {
        match answer {
            Ok(DeviceResponse::Capability(QueryReply::History(record))) => {
                self.record.told = true;
                self.compare(now, &record, effects)
            }
            Ok(DeviceResponse::Unsupported | DeviceResponse::Refused(_)) if !self.record.told => {
                debug!(plug = %self.id, "keeps no record of its own, or does not tell it");
                self.record.none = true;
                self.meter.keep_hours(now, false);
                false
            }
            Ok(_) => {
                debug!(plug = %self.id, "answered something that was not asked");
                false
            }
            // Asked again when the next hour ends.
            Err(failure) => {
                debug!(plug = %self.id, "asked for its record: {failure}");
                false
            }
        }
    }

    fn compare(&mut self, now: &Moment, record: &RawHistory, effects: &mut VecDeque<Effect>) -> bool {
        self.record.learn(self.meter.meaning(now, record));
        let tell = |event: Event| Effect::Tell(Notification::Plug(self.id.clone(), event));
        match self.meter.fill(now, record) {
            Ok(filled) if filled.is_empty() => false,
            Ok(filled) => {
                self.record.doubt = None;
                let mut ports = vec![Energy::default(); usize::from(self.kept.offer.ports)];
                for hour in &filled {
                    ports.iter_mut().zip(&hour.ports).for_each(|(sum, missed)| sum.add(*missed));
                }
                let kwh: Energy = ports.iter().copied().sum();
                info!(plug = %self.id, %kwh, hours = filled.len(), "energy backfilled from the device's own record");
                let hours = filled.iter().map(|hour| hour.unix_ms).collect();
                effects.push_back(tell(Event::EnergyFilled { hours, ports }));
                self.show_energy(now);
                true
            }
            Err(reason) => {
                if self.record.doubt.replace(reason) != Some(reason) {
                    info!(plug = %self.id, "energy not backfilled: {reason}");
                    effects.push_back(tell(Event::EnergyNotFilled { reason }));
                }
                false
            }
        }
    }
}
