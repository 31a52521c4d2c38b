//! Sinks show what the hub sees, and take orders. They get a picture
//! ([`View`](crate::model::View)), a stream of [`Note`](crate::model::Note)s and a bounded channel
//! for [`Order`](crate::model::Order)s; they never see hub, drivers or io.

pub mod mqtt;
#[cfg(feature = "metrics")]
pub mod prometheus;
#[cfg(feature = "metrics")]
pub mod web;
