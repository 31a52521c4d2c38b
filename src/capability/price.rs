//! What a kilowatt-hour costs: a plug only keeps it.

use super::conversation::{Conversation, disobeyed};
use super::device::mixed_up;
use super::{Access, Capability, Guard, Query, QueryReply, Request};
use crate::core::{Failure, Now, amount};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Value as Json, json};
use std::fmt;

pub(super) static CAPABILITY: Capability = Capability {
    name: "price",
    requests: &[PriceRequest::VERB],
    command: Some("price"),
    personal: Some("the price"),
    shown: &[],
    reads: |_| vec![Query::Price(Access::Read)],
    slow_poll: None,
};

/// What a kilowatt-hour costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Price {
    /// Price of one kilowatt-hour in the currency.
    pub cost: f64,
    /// The currency.
    pub currency: Currency,
}

/// A currency that plugs know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Currency {
    /// Euro.
    Eur,
    /// Dollar.
    Usd,
    /// Yen.
    Jpy,
    /// Swiss franc.
    Chf,
    /// One that we do not know, by its number.
    Other(u64),
}

impl Currency {
    /// By the number in the plug.
    #[doc(hidden)]
    pub fn of_number(number: u64) -> Self {
        match number {
            0 => Self::Eur,
            1 => Self::Usd,
            2 => Self::Jpy,
            3 => Self::Chf,
            other => Self::Other(other),
        }
    }

    /// The number in the plug.
    #[doc(hidden)]
    pub fn number(self) -> u64 {
        match self {
            Self::Eur => 0,
            Self::Usd => 1,
            Self::Jpy => 2,
            Self::Chf => 3,
            Self::Other(number) => number,
        }
    }

    /// By its code, in any case: `CHF`.
    pub fn of_code(code: &str) -> Option<Self> {
        [Self::Eur, Self::Usd, Self::Jpy, Self::Chf]
            .into_iter()
            .find(|currency| currency.to_string().eq_ignore_ascii_case(code))
    }

    fn read(code: &str) -> Result<Self, String> {
        Self::of_code(code).ok_or_else(|| "plugs know EUR, USD, JPY and CHF".into())
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eur => f.write_str("EUR"),
            Self::Usd => f.write_str("USD"),
            Self::Jpy => f.write_str("JPY"),
            Self::Chf => f.write_str("CHF"),
            Self::Other(number) => write!(f, "currency {number}"),
        }
    }
}

impl<'de> Deserialize<'de> for Currency {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        Self::read(&String::deserialize(json)?).map_err(de::Error::custom)
    }
}

/// Reads the price that a plug was told, or tells it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PriceRequest {
    /// Of a kilowatt-hour: a number, or text as `"0,31"`.
    #[serde(deserialize_with = "cost")]
    pub price: Option<f64>,
    /// `EUR`, `USD`, `JPY` or `CHF`.
    pub currency: Option<Currency>,
}

fn cost<'de, D: Deserializer<'de>>(json: D) -> Result<Option<f64>, D::Error> {
    let json = Json::deserialize(json)?;
    match (json.as_str(), json.as_f64()) {
        (Some(text), _) => amount(text).map(Some).map_err(de::Error::custom),
        (None, None) if !json.is_null() => Err(de::Error::custom(format!("{json} is no price; write 0.31"))),
        (None, cost) => Ok(cost),
    }
}

impl Request for PriceRequest {
    const VERB: &'static str = "price";
    type Answer = Option<Price>;
    type Conversation = Conversing;

    fn changes(&self) -> bool {
        *self != Self::default()
    }

    fn check(&self) -> Result<(), String> {
        match self.price.is_some() == self.currency.is_some() {
            true => Ok(()),
            false => Err("give \"price\" and \"currency\"".into()),
        }
    }

    fn open(self, _: Guard) -> Result<Conversing, String> {
        Ok(Conversing(self.price.zip(self.currency).map(|(cost, currency)| Price { cost, currency })))
    }

    fn report(price: &Option<Price>) -> Json {
        let (price, currency) = price.map(|price| (price.cost, price.currency.to_string())).unzip();
        json!({"price": price, "currency": currency})
    }
}

/// Asks once; a price that was set is told, in cents.
#[derive(Debug)]
pub struct Conversing(Option<Price>);

impl Conversation for Conversing {
    type Answer = Option<Price>;

    fn query(&self) -> Query {
        Query::Price(self.0.map_or(Access::Read, Access::Write))
    }

    fn take(&mut self, reply: QueryReply, _: &Now) -> Result<Option<Option<Price>>, Failure> {
        let QueryReply::Price(told) = reply else { return Err(mixed_up()) };
        let is = |price: Price| {
            told.is_some_and(|told| told.currency == price.currency && (told.cost - price.cost).abs() < 0.01)
        };
        if self.0.is_none_or(is) { Ok(Some(told)) } else { Err(disobeyed()) }
    }
}

impl From<Price> for PriceRequest {
    fn from(price: Price) -> Self {
        Self { price: Some(price.cost), currency: Some(price.currency) }
    }
}

/// The command line.
#[cfg(feature = "bridge")]
mod cli {
    use super::*;
    use crate::capability::cli::{Face, Labels, Target, Text};

    /// Shows what the plug was told a kilowatt-hour costs, or tells it.
    #[derive(Debug, clap::Args)]
    pub struct Command {
        #[command(flatten)]
        target: Target,
        /// Price of a kilowatt-hour, as 0.31 or 0,31.
        #[arg(requires = "currency", value_parser = amount)]
        cost: Option<f64>,
        /// EUR, USD, JPY or CHF.
        #[arg(value_parser = Currency::read)]
        currency: Option<Currency>,
    }

    impl Face for Command {
        type Request = PriceRequest;
        const ABOUT: &'static str = "for its price";

        fn target(&self) -> &Target {
            &self.target
        }

        fn request<E>(&self, _: impl Fn(&str) -> Result<u8, E>) -> Result<PriceRequest, E> {
            Ok(PriceRequest { price: self.cost, currency: self.currency })
        }

        fn text(&self, price: &Option<Price>, plug: &dyn Labels) -> Text {
            Text::line(match price {
                Some(price) => format!("{}: {} {} per kWh", plug.name(), price.cost, price.currency),
                None => format!("{}: no price", plug.name()),
            })
        }
    }
}
#[cfg(feature = "bridge")]
pub(super) use cli::Command;

#[cfg(test)]
mod tests {
    use super::super::tests::{guard, play};
    use super::*;

    #[test]
    fn a_price_that_was_set_is_told() {
        let price = |cost, currency| Price { cost, currency };
        let set = price(0.312, Currency::Chf);
        let end = |told| play(PriceRequest::from(set), guard(), vec![QueryReply::Price(told).into()]).1;
        let told = Some(price(0.31, Currency::Chf));
        assert_eq!(end(told), Ok(told), "in cents");
        for other in [None, Some(price(0.21, Currency::Chf)), Some(price(0.31, Currency::Eur))] {
            let why = end(other).expect_err("it was not set");
            assert!(why.contains("shows no such change"), "{why}");
        }
        let read = play(PriceRequest::default(), guard(), vec![QueryReply::Price(told).into()]).1;
        assert_eq!(read, Ok(told));
    }

    #[test]
    fn currencies_have_codes_and_numbers() {
        for number in 0..5 {
            let currency = Currency::of_number(number);
            assert_eq!(currency.number(), number);
            let known = Currency::of_code(&currency.to_string().to_lowercase());
            assert_eq!(known, (number < 4).then_some(currency));
        }
    }
}
