//! The meter of a plug, if it has one: how it is asked, and what its answers and its silence tell about it.

use super::kind::Gauge;
use super::{Heard, Tongue, wire};
use crate::model::{Failure, MAX_WATTS};

/// Unanswered questions in a row after which a plug that never gave a figure seems to have no meter.
pub(super) const MUTE: u8 = 3;

/// Readings after which such a plug is asked for its power once more: the network may have been bad.
pub(super) const SPARED: u8 = 5;

/// What is known of a plug's meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meter {
    /// It is asked; it was silent so often in a row, and has given a figure or not.
    Asked { silent: u8, proven: bool },
    /// It never answered; not asked for so many readings.
    Mute { spared: u8 },
    /// It said that it has none: not asked any more.
    Absent,
}

impl Tongue {
    fn gauge(&self) -> Gauge {
        self.kind().map_or(Gauge::Untried, |kind| kind.gauge)
    }

    pub(super) fn question(&self) -> &'static [u8] {
        match self.gauge() {
            Gauge::Decimal => &wire::DECIMAL_METER,
            Gauge::Milliwatts | Gauge::Untried => &wire::METER,
        }
    }

    /// Whether there may be a meter to be asked in this conversation.
    pub(super) fn asks_meter(&mut self) -> bool {
        match self.meter {
            Meter::Asked { .. } => true,
            Meter::Absent => false,
            Meter::Mute { spared: 0 } => {
                self.meter = Meter::Asked { silent: MUTE - 1, proven: false };
                true
            }
            Meter::Mute { spared } => {
                self.meter = Meter::Mute { spared: spared - 1 };
                false
            }
        }
    }

    pub(super) fn hear_meter(&mut self, heard: Heard) -> Result<(), Failure> {
        let Meter::Asked { silent, proven } = self.meter else { return Ok(()) };
        match heard {
            Ok(Ok(plain)) => {
                self.meter = self.figure(&plain, proven);
                Ok(())
            }
            Ok(Err(refusal)) if refusal.is_unknown_command() => {
                self.meter = Meter::Absent;
                Ok(())
            }
            Ok(Err(refusal)) => {
                self.reading.refused.push(format!("the meter says {}", refusal.words()));
                Ok(())
            }
            Err(Failure::Silent) => {
                let mute = !proven && silent + 1 >= MUTE;
                self.meter = if mute {
                    Meter::Mute { spared: SPARED }
                } else {
                    Meter::Asked { silent: silent.saturating_add(1), proven }
                };
                Ok(())
            }
            Err(failure) => Err(failure),
        }
    }

    /// Takes a figure, if it is one, and says what that tells about the meter.
    fn figure(&mut self, plain: &[u8], proven: bool) -> Meter {
        let still = Meter::Asked { silent: 0, proven };
        let echo = wire::is_echo(plain, self.question());
        let watts = match self.gauge() {
            Gauge::Milliwatts => wire::milliwatts(plain),
            // The question again, instead of an answer.
            Gauge::Decimal if echo => return Meter::Absent,
            Gauge::Decimal => wire::decimal(plain),
            // It may be a meter that shows nothing, or a plug that knows no better than to echo:
            // the first figure will tell.
            Gauge::Untried if echo && !proven => return still,
            Gauge::Untried if plain.first() != wire::METER.first() => return Meter::Absent,
            Gauge::Untried => wire::milliwatts(plain),
        };
        match watts {
            Some(watts) if watts <= MAX_WATTS => {
                if let Some(port) = self.reading.ports.first_mut() {
                    port.watts = Some(watts);
                }
                Meter::Asked { silent: 0, proven: true }
            }
            Some(watts) => {
                self.reading.refused.push(format!("{watts} W"));
                still
            }
            None => {
                self.reading.refused.push("power that is no number".into());
                still
            }
        }
    }
}
