//! The types of the family by number: which are plugs known to speak like an SP2, how they meter,
//! and which are something else. A number in neither list is asked: whoever answers as an SP2 does
//! is one, because tables of types are never complete.

/// How a plug measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gauge {
    /// Question `04`, milliwatts.
    Milliwatts,
    /// The long question, packed decimal digits, hundredths of a watt.
    Decimal,
    /// Not known: `04` is tried.
    Untried,
}

/// What a type number tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kind {
    pub(super) maker: &'static str,
    pub(super) model: &'static str,
    pub(super) gauge: Gauge,
    /// Bit 1 of the relay byte is a night light, to be left as it is.
    pub(super) night_light: bool,
    /// Known to speak like an SP2.
    pub(super) proven: bool,
}

/// What is known of a type; `None` for what is surely no plug of this kind.
pub(super) fn kind(number: u16) -> Option<Kind> {
    let plug = |maker, model, gauge| Kind { maker, model, gauge, night_light: false, proven: true };
    let kind = match number {
        0x2711 => plug("Broadlink", "SP2", Gauge::Milliwatts),
        0x2716 => plug("Watts Clever, Ankuoo", "INPLUG, NEO PRO", Gauge::Milliwatts),
        0x2717 => plug("Ankuoo", "NEO", Gauge::Untried),
        0x271d => plug("Efergy", "Ego", Gauge::Milliwatts),
        0x2736 => plug("Broadlink", "SP mini+", Gauge::Milliwatts),
        0x9479 | 0x947a => plug("Broadlink", "SP3S", Gauge::Decimal),
        0x2733 | 0x7d00 => Kind { night_light: true, ..plug("Broadlink", "SP3", Gauge::Untried) },
        0x2719 | 0x271a | 0x7919 | 0x791a => plug("Honeywell", "SP2-compatible plug", Gauge::Untried),
        0x2720 | 0x273e => plug("Broadlink", "SP mini", Gauge::Untried),
        0x753e | 0x7549 | 0x7d0d => plug("Broadlink", "SP mini 3", Gauge::Untried),
        0x2728 | 0x7530 | 0x7539 | 0x7540 | 0x7544 | 0x7546 | 0x7547 | 0x7918 => {
            plug("Broadlink", "SP2-compatible plug", Gauge::Untried)
        }
        other if is_no_plug(other) => return None,
        _ => Kind { proven: false, ..plug("Broadlink", "plug of an unknown type", Gauge::Untried) },
    };
    Some(kind)
}

/// Known to be something else, or a plug that speaks otherwise.
fn is_no_plug(number: u16) -> bool {
    OTHERS.binary_search(&number).is_ok()
}

/// Sorted. SP1 (tells no state), power strips MP1, plugs SP4 (another payload), and what is no plug
/// at all: remote controls, lamps, sensors, alarm centres, thermostats, curtains.
const OTHERS: &[u16] = &[
    0x0000, 0x2712, 0x2714, 0x2722, 0x272a, 0x2737, 0x273d, 0x277c, 0x2783, 0x2787, 0x278b, 0x278f, 0x2797,
    0x279d, 0x27a1, 0x27a6, 0x27a9, 0x27b7, 0x27c2, 0x27c3, 0x27c7, 0x27cc, 0x27cd, 0x27d0, 0x27d1, 0x27d3,
    0x27dc, 0x27de, 0x4e2a, 0x4e4d, 0x4ead, 0x4eb5, 0x4ef7, 0x4f1b, 0x4f60, 0x4f65, 0x4f6c, 0x4f6e, 0x5043,
    0x504e, 0x5115, 0x51da, 0x51e2, 0x51e3, 0x5209, 0x520b, 0x520c, 0x520d, 0x5211, 0x5212, 0x5213, 0x5216,
    0x5218, 0x521c, 0x5f36, 0x6026, 0x606d, 0x606e, 0x6070, 0x60c7, 0x60c8, 0x610e, 0x610f, 0x6111, 0x6112,
    0x6113, 0x6184, 0x618b, 0x61a2, 0x62bc, 0x62be, 0x6364, 0x644b, 0x644c, 0x644e, 0x6480, 0x6488, 0x6489,
    0x648b, 0x648c, 0x648d, 0x6494, 0x649b, 0x6507, 0x6508, 0x6539, 0x653a, 0x653c, 0x7568, 0x756b, 0x756c,
    0x756f, 0x7579, 0x757b, 0x7583, 0x7587, 0x7d11, 0xa4f4, 0xa4f9, 0xa569, 0xa56a, 0xa56b, 0xa56c, 0xa576,
    0xa589, 0xa59c, 0xa5d3, 0xa5f7, 0xa64d, 0xa6ef, 0xa6f4,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_sorted_and_no_plug_is_among_them() {
        assert!(OTHERS.is_sorted());
        for plug in [0x2711, 0x2716, 0x2717, 0x271d, 0x2736, 0x9479, 0x947a, 0x753e] {
            assert!(kind(plug).is_some_and(|kind| kind.proven), "{plug:#06x}");
        }
        for other in [0x0000, 0x2737, 0x4eb5, 0x7568, 0xa6f4] {
            assert_eq!(kind(other), None, "{other:#06x}");
        }
    }

    #[test]
    fn a_type_nobody_has_listed_is_tried() {
        let new = kind(0x1234).expect("tried");
        assert!(!new.proven && new.gauge == Gauge::Untried);
    }
}
