//! What a kilowatt-hour costs.

use super::{Asked, Verb, errand};
use crate::model::{self, Currency, PlugRequest, amount};
use serde::Deserialize;
use serde_json::Value as Json;

/// Read the price that a plug was told, or tell it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// Which plug, as in `bridge/devices`.
    pub id: Option<String>,
    /// Of a kilowatt-hour: a number, or text as `"0,31"`.
    pub price: Option<Json>,
    /// `EUR`, `USD`, `JPY` or `CHF`.
    pub currency: Option<String>,
}

impl Verb for Price {
    const NAME: &'static str = "price";
    const CHANGES: bool = false;

    fn ask(self) -> Result<Asked, String> {
        let price = match (&self.price, self.currency.as_deref()) {
            (None, None) => None,
            (Some(cost), Some(code)) => {
                let currency = Currency::of_code(code).ok_or("plugs know EUR, USD, JPY and CHF")?;
                Some(model::Price { cost: cost_of(cost)?, currency })
            }
            _ => return Err("give \"price\" and \"currency\"".into()),
        };
        errand(self.id.as_deref(), PlugRequest::Price(price))
    }
}

fn cost_of(json: &Json) -> Result<f64, String> {
    match json {
        Json::Number(number) => number.as_f64().ok_or_else(|| format!("{number} is no price")),
        Json::String(text) => amount(text),
        Json::Null | Json::Bool(_) | Json::Array(_) | Json::Object(_) => {
            Err(format!("{json} is no price; write 0.31"))
        }
    }
}
