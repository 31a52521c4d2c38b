//! plug2mqtt finds the LAN smart plugs in a house, keeps asking them how they are, and makes each
//! plug and each of its ports a switch and a set of sensors for Home Assistant, openHAB and
//! Node-RED, over MQTT. Other programs find and switch the same plugs with what this crate exports.
//!
//! # As a library
//!
//! Plugs are found and talked to without bridge and broker, whatever their family: [`discover`], [`Plug::connect`] with
//! an address or DNS name, [`Plug::find`] with an id, serial number, MAC address or name; a [`Client`] when ports, time
//! limits or addresses are not the usual ones. [`Error`] names the plug and what to do. `examples/` has whole programs.
//!
//! ```no_run
//! # async fn short() -> Result<(), plug2mqtt::Error> {
//! use plug2mqtt::{Plug, Span};
//! use std::time::Duration;
//!
//! for found in plug2mqtt::discover(Duration::from_secs(3)).await? {
//!     println!("{found}: {}", found.info().model);
//! }
//! let plug = Plug::connect("192.168.1.30").await?;
//! let port = plug.port(2)?;
//! println!("{:?} W", port.turn_on().await?.watts);
//! port.set_countdown(Duration::from_secs(20 * 60)).await?;
//! let hours = plug.history(Span::Hours).await?;
//! # Ok(()) }
//! ```
//!
//! Power is in watts, current in amperes, voltage in volts, energy in watt-hours; times of the day are minutes after
//! midnight, dates and times of the clock are those of [`jiff`]. It needs a tokio runtime with time and IO enabled, and
//! of the features only `client`.
//!
//! | feature | content |
//! | --- | --- |
//! | `client` | this library |
//! | `bridge` | the program; brings `client` |
//! | `tls`, `broker`, `gateway`, `metrics` | parts of the program: MQTT over TLS, the built-in broker, the listener for plugs, the web listener |
//!
//! All of them are on unless `default-features = false`. How the program is built is told in `docs/architecture.md`.

// Public for the program, its tests, benchmarks and fuzz targets only; nothing of it is promised to stay as it is.
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod api;
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod bridge;
#[cfg(feature = "broker")]
#[doc(hidden)]
pub mod broker;
#[doc(hidden)]
pub mod capability;
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod core;
#[doc(hidden)]
pub mod drivers;
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod entity;
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod fair;
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod file;
#[cfg(feature = "gateway")]
#[doc(hidden)]
pub mod gateway;
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod hub;
#[cfg(feature = "client")]
#[doc(hidden)]
pub mod io;
#[doc(hidden)]
pub mod model;
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod pulse;
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod sim;
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod sinks;

#[cfg(feature = "client")]
pub use client::{Client, DiscoveredPlug, Error, Plug, Port, discover};
pub use jiff;
#[doc(inline)]
pub use model::{
    Clock, Countdown, Currency, Days, DeviceInfo, Failure, Hardware, History, HistoryRow, LeaderChange,
    LeaderGroup, Mac, Name, PlugId, PortReading, PowerUnit, PresenceSimulation, PresenceSimulationChange,
    Price, Reading, Role, RuleChange, ScheduleRule, Span,
};
