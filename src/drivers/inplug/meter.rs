//! The meter of a plug, if it has one: how it is asked, and what its answers and its silence tell about it.

use super::kind::Gauge;
use super::{Heard, InplugDialect, wire};
use crate::model::{Failure, MAX_WATTS};

/// Unanswered questions in a row after which a plug that never gave a figure seems to have no meter.
pub(super) const MUTE: u8 = 3;

/// Readings after which such a plug, or one that has given figures and says that it has no meter, is asked
/// once more: the network may have been bad, or the plug.
pub(super) const SPARED: u8 = 5;

/// Readings after which a plug that says it has no meter is asked once more: it may have been in a bad state.
pub(super) const SELDOM: u8 = 60;

/// What is known of a plug's meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meter {
    /// It is asked; it gave no figure so often in a row, and has given one or not.
    Asked { missed: u8, proven: bool },
    /// It seems to have none: not asked for so many readings.
    Resting { left: u8, proven: bool },
}

impl InplugDialect {
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
            Meter::Resting { left: 0, proven } => {
                self.meter = Meter::Asked { missed: MUTE - 1, proven };
                true
            }
            Meter::Resting { left, proven } => {
                self.meter = Meter::Resting { left: left - 1, proven };
                false
            }
        }
    }

    pub(super) fn hear_meter(&mut self, heard: Heard) -> Result<(), Failure> {
        let Meter::Asked { missed, proven } = self.meter else { return Ok(()) };
        let again = Meter::Asked { missed: missed.saturating_add(1), proven };
        self.meter = match heard {
            Ok(Ok(plain)) => self.figure(&plain, missed, proven),
            Ok(Err(refusal)) => {
                let never = refusal.is_unknown_command();
                if !never || proven {
                    self.reading.refused.push(format!("the meter says {}", refusal.words()));
                }
                if never { absent(missed, proven) } else { self.meter }
            }
            Err(Failure::Timeout) if !proven && missed + 1 >= MUTE => Meter::Resting { left: SPARED, proven },
            Err(Failure::Timeout) => again,
            Err(failure) => return Err(failure),
        };
        Ok(())
    }

    /// Takes a figure, if it is one, and says what that tells about the meter.
    fn figure(&mut self, plain: &[u8], missed: u8, proven: bool) -> Meter {
        let still = Meter::Asked { missed: 0, proven };
        let echo = wire::is_echo(plain, self.question());
        let watts = match self.gauge() {
            Gauge::Milliwatts => wire::milliwatts(plain),
            // The question again, instead of an answer.
            Gauge::Decimal if echo => return absent(missed, proven),
            Gauge::Decimal => wire::decimal(plain),
            // It may be a meter that shows nothing, or a plug that knows no better than to echo:
            // the first figure will tell.
            Gauge::Untried if echo && !proven => return still,
            Gauge::Untried if plain.first() != wire::METER.first() => return absent(missed, proven),
            Gauge::Untried => wire::milliwatts(plain),
        };
        match watts {
            Some(watts) if watts <= MAX_WATTS => {
                if let Some(port) = self.reading.ports.first_mut() {
                    port.watts = Some(watts);
                }
                Meter::Asked { missed: 0, proven: true }
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

/// It says that it has no meter: believed at once of a plug that never gave a figure, of another only
/// when it says so again and again, and never for good.
fn absent(missed: u8, proven: bool) -> Meter {
    match proven && missed + 1 < MUTE {
        true => Meter::Asked { missed: missed + 1, proven },
        false => Meter::Resting { left: if proven { SPARED } else { SELDOM }, proven },
    }
}
