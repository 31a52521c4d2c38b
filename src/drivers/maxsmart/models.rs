//! Maker and model, for display only: what a plug can do is asked of the plug. One electronics was
//! sold under many names, and only some of them can be told apart.

/// One kind of plug. What is `None` is not looked at.
struct Kind {
    /// The beginning of the serial; its fourth character is the number of ports.
    serial: Option<&'static str>,
    /// A word of the name, as its maker sets it.
    name: Option<&'static str>,
    /// The beginning of the firmware's number; empty for firmware that tells none.
    firmware: Option<&'static str>,
    maker: &'static str,
    model: &'static str,
    number: Option<&'static str>,
}

const ANY: Kind = Kind {
    serial: None,
    name: None,
    firmware: None,
    maker: "Revogi",
    model: "Smart Power Strip or Plug",
    number: None,
};

/// The first that fits counts.
const KINDS: &[Kind] = &[
    Kind { name: Some("cocoso"), maker: "CoCoSo", model: "Smart Power Strip", ..ANY },
    Kind { name: Some("extel"), maker: "Extel", model: "Soky", ..ANY },
    Kind { name: Some("soky"), maker: "Extel", model: "Soky", ..ANY },
    Kind { name: Some("mcl"), maker: "MCL", model: "Smart Power Strip", number: Some("DOM-PPS06I"), ..ANY },
    Kind {
        serial: Some("SWP1"),
        name: Some("elv"),
        maker: "ELV",
        model: "Powerline Switch Socket",
        number: Some("SOP112"),
        ..ANY
    },
    Kind {
        serial: Some("SWP6"),
        maker: "Max Hauri",
        model: "MaxSmart Power Station",
        number: Some("SOP111"),
        ..ANY
    },
    Kind {
        serial: Some("SWP1"),
        maker: "Max Hauri",
        model: "MaxSmart Power Plug",
        number: Some("SOP112"),
        ..ANY
    },
    Kind {
        serial: Some("SWW6"),
        firmware: Some("1."),
        model: "Smart Power Strip",
        number: Some("SOW321"),
        ..ANY
    },
    Kind {
        serial: Some("SWW6"),
        firmware: Some("3."),
        model: "Smart Power Strip",
        number: Some("SOW323"),
        ..ANY
    },
    Kind {
        serial: Some("SWW6"),
        firmware: Some("5."),
        model: "Smart Power Strip",
        number: Some("SOW019"),
        ..ANY
    },
    Kind { serial: Some("SWW6"), model: "Smart Power Strip", ..ANY },
    Kind {
        serial: Some("SWW1"),
        firmware: Some(""),
        maker: "Max Hauri",
        model: "MaxSmart 2.0 Power Plug",
        ..ANY
    },
    Kind { serial: Some("SWW1"), model: "Smart Plug", ..ANY },
];

/// Maker, model and model number.
pub fn model_of(
    serial: Option<&str>,
    name: Option<&str>,
    firmware: Option<&str>,
) -> (&'static str, &'static str, Option<&'static str>) {
    let name = name.unwrap_or_default().to_lowercase();
    let fits = |kind: &&Kind| {
        let begins = |wanted: Option<&str>, told: Option<&str>| match wanted {
            None => true,
            Some("") => told.is_none_or(str::is_empty),
            Some(wanted) => told.is_some_and(|told| told.starts_with(wanted)),
        };
        // Whole words: shelves are not made by ELV.
        let mut words = name.split(|c: char| !c.is_alphanumeric());
        begins(kind.serial, serial)
            && begins(kind.firmware, firmware)
            && kind.name.is_none_or(|wanted| words.any(|word| word == wanted))
    };
    let kind = KINDS.iter().find(fits).unwrap_or(&ANY);
    (kind.maker, kind.model, kind.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makers_and_models_are_told_by_what_a_plug_says() {
        for (serial, name, firmware, maker, number) in [
            ("SWP6000000000001", "STRIP", "1.30", "Max Hauri", Some("SOP111")),
            ("SWP6000000000001", "Shelves", "2.11", "Max Hauri", Some("SOP111")),
            ("SWP1000000000001", "SWITCH", "1.30", "Max Hauri", Some("SOP112")),
            ("SWP1000000000001", "ELV SWITCH", "1.30", "ELV", Some("SOP112")),
            ("SWW0000000000001", "COCOSO-ECE1", "1.06", "CoCoSo", None),
            ("SWW6000000000001", "Extel-1", "1.10", "Extel", None),
            ("SWW6000000000001", "MCL", "1.10", "MCL", Some("DOM-PPS06I")),
            ("SWW6000000000001", "STRIP", "1.10", "Revogi", Some("SOW321")),
            ("SWW6000000000001", "STRIP", "3.49", "Revogi", Some("SOW323")),
            ("SWW6000000000001", "STRIP", "5.11", "Revogi", Some("SOW019")),
            ("SWW6000000000001", "STRIP", "4.00", "Revogi", None),
            ("SWW1000000000001", "SWITCH", "", "Max Hauri", None),
            ("SWW1000000000001", "SWITCH", "5.11", "Revogi", None),
            ("", "", "", "Revogi", None),
        ] {
            let told = model_of(Some(serial), Some(name), Some(firmware));
            assert_eq!((told.0, told.2), (maker, number), "{serial} {name} {firmware}: {told:?}");
        }
        assert_eq!(model_of(None, None, None).1, "Smart Power Strip or Plug");
    }
}
