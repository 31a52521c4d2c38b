//! Sinks show what the hub sees, and take orders. They get a picture
//! ([`View`](crate::model::View)), a stream of [`Notification`](crate::model::Notification)s and a bounded channel
//! for [`HubRequest`](crate::model::HubRequest)s; they never see hub, drivers or io.

pub mod mqtt;
#[cfg(feature = "metrics")]
pub mod prometheus;
#[cfg(feature = "metrics")]
pub mod web;
