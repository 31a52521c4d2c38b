//! Electric energy as a number that cannot run backwards.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::iter::Sum;

/// Microjoules in a kilowatt-hour.
const KWH: u64 = 3_600_000_000_000;

/// The last digit on the wire: a tenth of a watt-hour.
const DIGIT: u64 = KWH / 10_000;

/// The largest total a request or a file may claim, in kWh: five kilowatts for a century.
pub const MAX_KWH: f64 = 4_400_000.0;

/// An amount of electric energy, in whole microjoules (a milliwatt for a millisecond). It can be
/// added to and raised, never lowered; at the end of its range it stays there.
///
/// ```
/// use plug2mqtt::model::Energy;
///
/// let mut meter = Energy::default();
/// meter.add(Energy::drawn(60.0, 100.0, 3_600_000)); // 60 W that became 100 W within an hour
/// assert_eq!(meter.to_string(), "0.0800");
/// meter.raise(Energy::from_kwh(0.05).unwrap());
/// assert_eq!(meter.kwh(), 0.08);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Energy(u64);

impl Energy {
    /// More than there can be.
    pub const MAX: Self = Self(u64::MAX);

    /// What was drawn while power went in a straight line from one value in watts to the other
    /// within so many milliseconds. Values a socket cannot draw count as none.
    pub fn drawn(from_watts: f64, to_watts: f64, ms: u64) -> Self {
        let double = (milliwatts(from_watts) + milliwatts(to_watts)).saturating_mul(ms);
        Self(double / 2)
    }

    /// From kilowatt-hours; `None` for what cannot be a total: negative, no number, above
    /// [`MAX_KWH`].
    pub fn from_kwh(kwh: f64) -> Option<Self> {
        // In tenths of a milliwatt-hour, so that what was written with four decimals comes back.
        (0.0..=MAX_KWH).contains(&kwh).then(|| Self(whole(kwh * 1e7) * (KWH / 10_000_000)))
    }

    /// From watt-hours; what cannot be an amount is none.
    pub fn from_wh(wh: f64) -> Self {
        Self::from_kwh(wh / 1000.0).unwrap_or_default()
    }

    /// As much of it as `part` is of `whole`; all of it when the whole is nothing.
    pub fn share(self, part: u64, whole: u64) -> Self {
        let share = u128::from(self.0) * u128::from(part.min(whole));
        Self(share.checked_div(whole.into()).and_then(|share| u64::try_from(share).ok()).unwrap_or(self.0))
    }

    /// Kilowatt-hours, cut off after four decimals, as on the wire.
    pub fn kwh(self) -> f64 {
        // Below 2^53 for every total there can be.
        (self.0 / DIGIT) as f64 / 1e4
    }

    /// Joules, not cut off.
    pub fn joules(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Watt-hours, not cut off.
    pub fn wh(self) -> f64 {
        self.0 as f64 / (KWH / 1000) as f64
    }

    /// More of it.
    pub fn add(&mut self, more: Self) {
        self.0 = self.0.saturating_add(more.0);
    }

    /// Up to `floor`, if it is not there yet.
    pub fn raise(&mut self, floor: Self) {
        self.0 = self.0.max(floor.0);
    }

    /// By how much this is more than `other`; nothing when it is not.
    pub fn beyond(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Cut off after the digits that are shown: sums of what is shown are what is shown of sums.
    pub fn shown(self) -> Self {
        Self(self.0 / DIGIT * DIGIT)
    }
}

/// Kilowatt-hours with four decimals, cut off and never rounded up: `31.2207`.
impl fmt::Display for Energy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0 / DIGIT;
        write!(f, "{}.{:04}", digits / 10_000, digits % 10_000)
    }
}

impl Sum for Energy {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |mut sum, one| {
            sum.add(one);
            sum
        })
    }
}

fn milliwatts(watts: f64) -> u64 {
    if (0.0..=super::MAX_WATTS).contains(&watts) { whole(watts * 1000.0) } else { 0 }
}

/// To the next whole number; for numbers already known to be in range.
fn whole(number: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, never wraps")]
    let number = number.round() as u64;
    number
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_kilowatt_for_an_hour_is_a_kilowatt_hour() {
        let energy = Energy::drawn(1000.0, 1000.0, 3_600_000);
        assert_eq!((energy.to_string().as_str(), energy.kwh(), energy.wh()), ("1.0000", 1.0, 1000.0));
    }

    #[test]
    fn it_is_cut_off_and_never_rounded_up() {
        let energy = Energy::drawn(999.999, 999.999, 3_600_000);
        assert_eq!(energy.to_string(), "0.9999");
        assert_eq!(Energy::from_kwh(0.000_099_9).unwrap().to_string(), "0.0000");
    }

    #[test]
    fn what_no_socket_draws_counts_as_nothing() {
        for watts in [-1.0, f64::NAN, f64::INFINITY, 1e9] {
            assert_eq!(Energy::drawn(watts, watts, 1000), Energy::default());
        }
        for kwh in [-0.1, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(Energy::from_kwh(kwh), None);
        }
        assert_eq!(Energy::drawn(5000.0, 5000.0, u64::MAX).0, u64::MAX / 2);
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_back(digits in 0u64..44_000_000_000) {
            let energy = Energy(digits * DIGIT);
            let text = energy.to_string();
            prop_assert_eq!(Energy::from_kwh(text.parse().unwrap()).unwrap(), energy);
        }

        #[test]
        fn parts_add_up_as_shown(parts in proptest::collection::vec(0u64..KWH * 9999, 1..16)) {
            let shown: Energy = parts.iter().map(|part| Energy(*part).shown()).sum();
            let texts: f64 = parts.iter().map(|part| Energy(*part).to_string().parse::<f64>().unwrap()).sum();
            prop_assert!((texts - shown.kwh()).abs() < 1e-6);
        }
    }
}
