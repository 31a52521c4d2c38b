//! The web listener, if one is wanted and built in.

use super::StartError;
use crate::config::Settings;
#[cfg(feature = "metrics")]
use crate::io::clock::Clock;
use crate::sinks::mqtt;
#[cfg(feature = "metrics")]
use crate::sinks::web;
use std::sync::Arc;
use tokio::sync::watch;

/// Opens the web listener, if one is wanted.
#[cfg(feature = "metrics")]
pub(super) async fn serve(
    settings: &Settings,
    figures: web::Asks,
    mqtt: Arc<mqtt::Counters>,
    stop: watch::Receiver<bool>,
) -> Result<(), StartError> {
    let Some(listen) = settings.web.listen else { return Ok(()) };
    let started_ms = Clock::start().now().unix_ms;
    let hosts = settings.web.hosts.iter().map(ToString::to_string).collect();
    let sources = web::Sources { figures, mqtt, version: env!("CARGO_PKG_VERSION"), started_ms, hosts };
    web::start(listen, sources, stop).await?;
    Ok(())
}

#[cfg(not(feature = "metrics"))]
#[expect(clippy::unused_async, reason = "the same signature as with the listener")]
pub(super) async fn serve<T>(
    settings: &Settings,
    _figures: T,
    _mqtt: Arc<mqtt::Counters>,
    _stop: watch::Receiver<bool>,
) -> Result<(), StartError> {
    match settings.web.listen {
        Some(_) => Err(StartError::Settings("this build has no web listener; leave web.listen out".into())),
        None => Ok(()),
    }
}
