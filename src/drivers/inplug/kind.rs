//! The types of the family by number: which are plugs known to speak like an SP2, how they meter,
//! and which are something else. A number in neither list is asked: whoever answers as an SP2 does
//! is one, because tables of types are never complete.

use super::others;

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
        0x2728 | 0x7530 | 0x7539 | 0x7540 | 0x7544 | 0x7546 | 0x7547 | 0x7918 | 0x791b | 0x791c => {
            plug("Broadlink", "SP2-compatible plug", Gauge::Untried)
        }
        other if others::other(other).is_some() => return None,
        _ => Kind { proven: false, ..plug("Broadlink", "plug of an unknown type", Gauge::Untried) },
    };
    Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_sorted_and_no_plug_is_among_them() {
        assert!(others::OTHERS.is_sorted_by_key(|(number, ..)| *number));
        for plug in [0x791b, 0x791c, 0x2711, 0x2716, 0x2717, 0x271d, 0x2736, 0x9479, 0x947a, 0x753e] {
            assert!(kind(plug).is_some_and(|kind| kind.proven), "{plug:#06x}");
        }
        for other in [
            0x0000, 0x2737, 0x4eb5, 0x7568, 0xa6f4, 0x7d15, 0xa57a, 0x4eda, 0x27c8, 0xa544, 0xaf8b, 0x5224,
            0x6498, 0xa517, 0x647a,
        ] {
            assert_eq!(kind(other), None, "{other:#06x}");
        }
        assert_eq!(others::other(0x647a), Some(("Luceco Castra", "a lamp")));
    }

    #[test]
    fn a_type_nobody_has_listed_is_tried() {
        let new = kind(0x1234).expect("tried");
        assert!(!new.proven && new.gauge == Gauge::Untried);
    }
}
