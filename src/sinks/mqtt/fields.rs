//! Fields of discovery messages. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use serde_json::{Map, Value};

pub(super) type Object = Map<String, Value>;

pub(super) fn fields<const N: usize>(list: [(&str, Value); N]) -> Object {
    list.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

pub(super) fn measured(class: &str, unit: &str, digits: u8) -> Object {
    figure(class, unit, digits, "measurement")
}

pub(super) fn total(class: &str, unit: &str, digits: u8) -> Object {
    figure(class, unit, digits, "total_increasing")
}

fn figure(class: &str, unit: &str, digits: u8, statistics: &str) -> Object {
    fields([
        ("dev_cla", class.into()),
        ("unit_of_meas", unit.into()),
        ("stat_cla", statistics.into()),
        ("sug_dsp_prc", digits.into()),
    ])
}
