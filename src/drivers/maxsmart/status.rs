//! The reply every poll brings: watts, amps and relays (HTTP 511, V3 90). Read without building a
//! tree first, because nothing else is read as often. Decides watts or milliwatts value by value,
//! by its JSON type; what cannot be believed is left out and named.

use super::wire::{NO_DATA, first_object, same_serial, usable_serial};
use crate::model::{Failure, MAX_PORTS, MAX_WATTS, PortReading, PowerUnit, Reading};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;

/// More amperes than any of these plugs survives.
const MAX_AMPS: f64 = 100.0;

/// Refusals named in one reading; more are only counted by their absence.
const MAX_REFUSED: usize = 4;

/// Reads a status reply to command `response` of the plug with this serial.
pub(super) fn status(
    bytes: &[u8],
    response: u64,
    serial: Option<&str>,
    unit: PowerUnit,
) -> Result<Reading, Failure> {
    first_object(bytes, |object| {
        let mut values = serde_json::Deserializer::from_str(object).into_iter::<Reply<'_>>();
        values.next().map(|reply| reply.map(|reply| reply.reading(response, serial, unit)))
    })?
}

#[derive(serde::Deserialize)]
struct Reply<'a> {
    #[serde(borrow, default)]
    response: Item<'a>,
    #[serde(borrow, default)]
    code: Item<'a>,
    #[serde(borrow, default)]
    sn: Item<'a>,
    #[serde(borrow)]
    data: Option<Data<'a>>,
}

#[derive(serde::Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    sn: Item<'a>,
    #[serde(borrow, default)]
    watt: List<'a>,
    #[serde(borrow, default)]
    amp: List<'a>,
    #[serde(borrow, default)]
    switch: List<'a>,
}

impl Reply<'_> {
    fn reading(&self, response: u64, serial: Option<&str>, unit: PowerUnit) -> Result<Reading, Failure> {
        let theirs = self.sn.serial().or_else(|| self.data.as_ref()?.sn.serial());
        same_serial(theirs, serial)?;
        match self.response.whole() {
            Some(theirs) if theirs == response => {}
            Some(theirs) => {
                return Err(Failure::InvalidResponse(format!("answer to {theirs} instead of {response}")));
            }
            None => return Err(Failure::InvalidResponse("no response number".into())),
        }
        match self.code.whole() {
            Some(200) => {}
            Some(code) => return Err(Failure::Rejected(format!("code {code} to command {response}"))),
            None => return Err(Failure::InvalidResponse("no code".into())),
        }
        let data = self.data.as_ref().ok_or_else(|| Failure::InvalidResponse(NO_DATA.into()))?;
        data.reading(unit)
    }
}

impl Data<'_> {
    fn reading(&self, unit: PowerUnit) -> Result<Reading, Failure> {
        let (switch, watt, amp) = (self.switch.0.as_deref(), self.watt.0.as_deref(), self.amp.0.as_deref());
        let count = switch.or(watt).map_or(0, <[Item<'_>]>::len);
        if count == 0 {
            return Err(Failure::InvalidResponse(NO_DATA.into()));
        }
        let mut refused = Vec::new();
        if count > MAX_PORTS {
            refused.push(format!("more than {MAX_PORTS} ports"));
        }
        let mut ports = vec![PortReading::default(); count.min(MAX_PORTS)];
        for (index, port) in ports.iter_mut().enumerate() {
            let mut value =
                |list: Option<&[Item<'_>]>, what: &str, read: &dyn Fn(&Item<'_>) -> Option<f64>| {
                    let item = list?.get(index)?;
                    let number = read(item);
                    if number.is_none() && refused.len() < MAX_REFUSED {
                        refused.push(format!("port {}: {what} {item}", index + 1));
                    }
                    number
                };
            port.relay = value(switch, "switch", &|item| item.relay()).map(|state| state > 0.0);
            port.watts = value(watt, "watt", &|item| item.amount(unit, MAX_WATTS));
            port.amps = value(amp, "amp", &|item| item.amount(PowerUnit::Auto, MAX_AMPS));
        }
        Ok(Reading { ports, relays_remembered: switch.is_none(), refused, ..Reading::default() })
    }
}

/// A value of any type.
#[derive(Debug, Default)]
enum Item<'a> {
    Text(Cow<'a, str>),
    Whole(f64),
    Fraction(f64),
    Bool(bool),
    #[default]
    Other,
}

impl Item<'_> {
    fn serial(&self) -> Option<String> {
        match self {
            Self::Text(text) => usable_serial(text),
            Self::Whole(_) | Self::Fraction(_) | Self::Bool(_) | Self::Other => None,
        }
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
    fn whole(&self) -> Option<u64> {
        match self {
            Self::Text(text) => text.trim().parse().ok(),
            Self::Whole(number) => (0.0..1e15).contains(number).then_some(*number as u64),
            Self::Fraction(_) | Self::Bool(_) | Self::Other => None,
        }
    }

    fn relay(&self) -> Option<f64> {
        match self {
            Self::Bool(on) => Some(f64::from(u8::from(*on))),
            Self::Whole(number) | Self::Fraction(number) => Some(*number).filter(|&n| n == 0.0 || n == 1.0),
            Self::Text(text) => match text.trim_ascii() {
                "0" => Some(0.0),
                "1" => Some(1.0),
                _ => None,
            },
            Self::Other => None,
        }
    }

    /// A number in base units: whole JSON numbers are thousandths unless a unit is given.
    fn amount(&self, unit: PowerUnit, max: f64) -> Option<f64> {
        let (number, whole): (f64, bool) = match self {
            Self::Whole(number) => (*number, true),
            Self::Fraction(number) => (*number, false),
            Self::Text(text) => (text.trim_ascii().parse().ok()?, false),
            Self::Bool(_) | Self::Other => return None,
        };
        let thousandths = match unit {
            PowerUnit::Auto => whole,
            PowerUnit::Watts => false,
            PowerUnit::Milliwatts => true,
        };
        let number = if thousandths { number / 1000.0 } else { number };
        // -0.0 passes the range and would be written as "-0".
        (number.is_finite() && (0.0..=max).contains(&number)).then_some(number.abs())
    }
}

impl fmt::Display for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => {
                let cut: String = text.chars().take(40).collect();
                write!(f, "{cut:?}")
            }
            Self::Whole(number) | Self::Fraction(number) => write!(f, "{number}"),
            Self::Bool(on) => write!(f, "{on}"),
            Self::Other => f.write_str("that is no number"),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Item<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Item<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Item<'de>, E> {
                Ok(Item::Text(text.into()))
            }
            fn visit_str<E>(self, text: &str) -> Result<Item<'de>, E> {
                Ok(Item::Text(text.to_owned().into()))
            }
            fn visit_bool<E>(self, on: bool) -> Result<Item<'de>, E> {
                Ok(Item::Bool(on))
            }
            #[expect(clippy::cast_precision_loss, reason = "far beyond what is believed")]
            fn visit_i64<E>(self, number: i64) -> Result<Item<'de>, E> {
                Ok(Item::Whole(number as f64))
            }
            #[expect(clippy::cast_precision_loss, reason = "far beyond what is believed")]
            fn visit_u64<E>(self, number: u64) -> Result<Item<'de>, E> {
                Ok(Item::Whole(number as f64))
            }
            fn visit_f64<E>(self, number: f64) -> Result<Item<'de>, E> {
                Ok(Item::Fraction(number))
            }
            fn visit_unit<E>(self) -> Result<Item<'de>, E> {
                Ok(Item::Other)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Item<'de>, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Item::Other)
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item<'de>, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Item::Other)
            }
        }
        from.deserialize_any(Any)
    }
}

/// A list, as far as it is one; bounded.
#[derive(Debug, Default)]
struct List<'a>(Option<Vec<Item<'a>>>);

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Items;
        impl<'de> Visitor<'de> for Items {
            type Value = List<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of values")
            }
            fn visit_unit<E>(self) -> Result<List<'de>, E> {
                Ok(List(None))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<List<'de>, A::Error> {
                let mut items = Vec::with_capacity(6);
                while let Some(item) = list.next_element()? {
                    if items.len() <= MAX_PORTS {
                        items.push(item);
                    }
                }
                Ok(List(Some(items)))
            }
        }
        from.deserialize_any(Items)
    }
}
