//! The kinds of this family that can be served by name, and its part of the demo.

use super::Strip;
use crate::sim::family::Family;
use crate::sim::load::Load;
use crate::sim::model::AnyModel;

/// The family.
pub(in crate::sim) static FAMILY: Family = Family {
    name: "maxsmart",
    kinds: &[
        ("strip-1.30", |number| {
            made(Strip::strip_1_30(&strip(number)).naming_ports(&["Lamp", "Büro"]), number)
        }),
        ("plug-1.30", |number| made(Strip::plug_1_30(&plug(number)), number)),
        ("strip-2.11", |number| made(Strip::strip_2_11(&strip(number)), number)),
        ("plug-2.11", |number| made(Strip::plug_2_11(&plug(number)), number)),
        ("strip-3.36", |number| made(Strip::strip_3_36(&strip(number)), number)),
        ("strip-5.11", |number| made(Strip::strip_5_11(&strip(number)), number)),
        ("strip-5.11-bare", |number| made(Strip::strip_5_11(&strip(number)).bare_replies(), number)),
        ("plug-2.0", |number| made(Strip::plug_2_0(&format!("SWW1{number:012}")), number)),
    ],
    demo,
    recording: Some(|text| Ok(Box::new(super::Recording::read(text)?))),
};

fn strip(number: u8) -> String {
    format!("SWP6{number:012}")
}

fn plug(number: u8) -> String {
    format!("SWP1{number:012}")
}

fn made(strip: Strip, number: u8) -> AnyModel {
    let load = Load::Constant { milliwatts: 18_330 };
    Box::new(strip.mac(&format!("02:00:00:00:00:{number:02x}")).load(1, load))
}

/// Three firmwares, with loads that move.
fn demo(hurry: u32) -> Vec<AnyModel> {
    let plugs = [
        Strip::strip_1_30("SWP6000000000001")
            .mac("02:00:00:00:00:01")
            .named("Kitchen strip")
            .naming_ports(&["Fridge", "Kettle", "Radio", "Toaster", "Lamp", "Spare"])
            .with_relays(&[true, true, true, false, true, false])
            .load(1, Load::Fridge { milliwatts: 85_000 })
            .load(2, Load::Kettle { milliwatts: 2_050_000 })
            .load(3, Load::Standby { milliwatts: 2_400 })
            .load(4, Load::Constant { milliwatts: 850_000 })
            .load(5, Load::Constant { milliwatts: 9_200 }),
        Strip::plug_2_11("SWP1000000000002")
            .mac("02:00:00:00:00:02")
            .named("Coffee machine")
            .with_relays(&[true])
            .load(1, Load::Standby { milliwatts: 4_100 }),
        Strip::strip_5_11("SWW6000000000003")
            .mac("02:00:00:00:00:03")
            .named("Desk strip")
            .with_relays(&[true, true, false, false, true, false])
            .load(1, Load::Constant { milliwatts: 41_000 })
            .load(2, Load::Standby { milliwatts: 28_000 })
            .load(5, Load::Fridge { milliwatts: 12_000 }),
    ];
    plugs.into_iter().map(|plug| Box::new(plug.living_faster(hurry)) as AnyModel).collect()
}
