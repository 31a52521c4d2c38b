//! What hangs on a port: its power as a function of port and virtual time.
//!
//! Deterministic integers, so that a failing run can be repeated; no state, no relay.

/// All patterns repeat after this many seconds.
pub(super) const PERIOD_S: u64 = 10_800;
const FRIDGE_CYCLE_S: u64 = 2_700;
const FRIDGE_RUN_S: u64 = 900;
const KETTLE_RUN_S: u64 = 180;

/// Something plugged into a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// An empty socket.
    Nothing,
    /// The same power at any time.
    Constant {
        /// The power.
        milliwatts: u32,
    },
    /// A device on standby: trembles by a tenth from second to second.
    Standby {
        /// The power around which it trembles.
        milliwatts: u32,
    },
    /// A fridge: its compressor runs a third of the time, with a high start.
    Fridge {
        /// The power of the running compressor.
        milliwatts: u32,
    },
    /// A kettle: three minutes in three hours.
    Kettle {
        /// The power while it heats.
        milliwatts: u32,
    },
}

impl Load {
    /// The power drawn at this second by this load on this port.
    pub fn milliwatts(self, port: usize, second: u64) -> u32 {
        let phase = second % PERIOD_S + mix(port as u64, 0) % PERIOD_S;
        match self {
            Load::Nothing => 0,
            Load::Constant { milliwatts } => milliwatts,
            Load::Standby { milliwatts } => tremble(milliwatts, port, second, 100),
            Load::Fridge { milliwatts } => match phase % FRIDGE_CYCLE_S {
                0..=1 => milliwatts.saturating_mul(6),
                2..FRIDGE_RUN_S => tremble(milliwatts, port, second, 20),
                _ => 1_200,
            },
            Load::Kettle { milliwatts } => match phase % PERIOD_S {
                0..KETTLE_RUN_S => tremble(milliwatts, port, second, 5),
                _ => 0,
            },
        }
    }
}

fn tremble(milliwatts: u32, port: usize, second: u64, permille: u64) -> u32 {
    let factor = 1000 - permille + mix(port as u64, second) % (2 * permille + 1);
    u32::try_from(u64::from(milliwatts) * factor / 1000).unwrap_or(u32::MAX)
}

/// The finaliser of splitmix64: spreads neighbouring inputs over all bits.
fn mix(port: u64, second: u64) -> u64 {
    let mut bits = port.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(second);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(load: Load, port: usize) -> Vec<u32> {
        (0..86_400).map(|second| load.milliwatts(port, second)).collect()
    }

    #[test]
    fn constant_loads_stay() {
        assert!(day(Load::Nothing, 1).iter().all(|&milliwatts| milliwatts == 0));
        assert!(day(Load::Constant { milliwatts: 5_200 }, 2).iter().all(|&milliwatts| milliwatts == 5_200));
    }

    #[test]
    fn standby_trembles_within_a_tenth() {
        let seen = day(Load::Standby { milliwatts: 5_000 }, 3);
        assert!(seen.iter().all(|milliwatts| (4_500..=5_500).contains(milliwatts)));
        assert!(seen.windows(2).any(|pair| pair.first() != pair.last()));
    }

    #[test]
    fn fridge_runs_a_third_and_kettle_rarely() {
        let share = |load, port| {
            day(load, port).iter().filter(|&&milliwatts| milliwatts > 10_000).count() * 1000 / 86_400
        };
        for port in 1..=6 {
            assert!((330..=336).contains(&share(Load::Fridge { milliwatts: 85_000 }, port)));
            assert!((16..=17).contains(&share(Load::Kettle { milliwatts: 2_000_000 }, port)));
        }
    }

    #[test]
    fn the_same_second_gives_the_same_power() {
        let load = Load::Standby { milliwatts: 3_000 };
        assert_eq!(day(load, 1), day(load, 1));
        assert_ne!(day(load, 1), day(load, 2));
    }
}
