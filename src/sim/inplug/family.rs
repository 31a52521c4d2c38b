//! The kinds of this family that can be served by name, and its part of the demo.

use super::Inplug;
use crate::sim::family::Family;
use crate::sim::load::Load;
use crate::sim::model::AnyModel;

/// The family.
pub(in crate::sim) static FAMILY: Family = Family {
    name: "inplug",
    kinds: &[
        ("inplug", |number| made(Inplug::new(number))),
        ("inplug-brief", |number| made(Inplug::new(number).brief())),
        ("inplug-no-meter", |number| made(Inplug::without_meter(number))),
        ("inplug-sp3s", |number| made(Inplug::sp3s(number))),
    ],
    demo: |hurry| {
        let heater = Load::Fridge { milliwatts: 400_000 };
        vec![Box::new(Inplug::new(4).named("Heater").with_relay(true).load(heater).living_faster(hurry))]
    },
    recording: None,
};

fn made(plug: Inplug) -> AnyModel {
    Box::new(plug.load(Load::Constant { milliwatts: 18_330 }).with_relay(true))
}
