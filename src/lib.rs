//! plug2mqtt finds the LAN smart plugs in a house, keeps asking them how they are, and makes each
//! plug and each of its ports a switch and a set of sensors for Home Assistant, openHAB and
//! Node-RED, over MQTT. Other programs find and switch the same plugs with what this crate exports;
//! how the bridge itself is built is told below, for those who work on it.
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
//! # How the bridge is built
//!
//! The modules named here are inner parts without a promise to stay as they are.
//!
//! **Drivers translate, the hub decides, io acts, sinks show.**
//!
//! ```text
//!                    ┌────────────── io/engine ──────────────┐
//!   plugs ◄─────────►│ talk, probe ──► Input ──► hub         │
//!     bytes          │      ▲                     │  Effect   │
//!                    │   drivers                  ▼           │      ┌─────────────┐
//!                    │  (Dialect)              View, Note ────┼─────►│ sinks/mqtt  │◄──► broker
//!                    │                            ▲   Order   │◄─────┤             │
//!                    └────────────────────────────┼───────────┘      └─────────────┘
//!                                               store
//! ```
//!
//! | module | what it owns | what it refuses to know |
//! | --- | --- | --- |
//! | `model` | the vocabulary: `PlugId`, `Found`, `Reading`, `Ask`, `View` | everybody |
//! | `drivers` | one folder a family: bytes to readings and back | IO, clocks, the hub |
//! | `hub` | schedule, health, commands, what is worth telling, who is who | IO, clocks, drivers, MQTT |
//! | `io` | sockets, files, time | what should be done |
//! | `entity` | which switches and sensors a plug offers | any sink |
//! | `errand` | the asks that make up a request to one plug, and what comes of them | who wants it |
//! | `fair` | the channels between the two, in which nobody holds up another | what goes through them |
//! | `sinks` | MQTT topics and Home Assistant's discovery | hub, drivers, io |
//! | `config` | what a user may say | what it is used for |
//! | `file` | how files are opened | what is in them |
//! | `sim` | simulated plugs, for the demo and the tests | the rest of the program |
//! | `client` | the library: who is meant, which family answers, sentences about errors | the bridge |
//! | `bridge` | the wiring | - |
//!
//! The pure parts (`model`, `entity`, `drivers`, `hub`, the MQTT session with its topics and
//! discovery, the models in `sim`) take time and randomness as arguments, so that a test can play any
//! hour in a moment. Two walls keep it so: clippy's `disallowed-methods` in `hub`, `drivers` and the
//! pure files of the sink, and `tests/it/tidy.rs`, which holds each folder to the modules and crates
//! it may mention.
//!
//! # One poll
//!
//! 1. `io::engine` sleeps until `Hub::wake_at` and hands the hub a
//!    `Tick`.
//! 2. The hub finds plugs due (those of one group share a wake-up) and emits
//!    `Effect::Talk`, and only so many young ones in the air.
//! 3. The engine takes the plug's `Dialect` from home and spawns
//!    `talk`: ask, send, hear, one deadline. A plug cannot be in two
//!    conversations, because its dialect is out.
//! 4. The answer comes home as `Input::Answered`. The plug's health and
//!    schedule are renewed; values that left their deadband change its
//!    `PlugView`.
//! 5. If the `View` changed, the engine replaces it in a watch channel. The MQTT
//!    session publishes the difference between what it has sent and what is.
//!
//! # One command
//!
//! 1. A message on `<base>/<plug>/<port>/set` becomes an `Order` in the polling task
//!    of the MQTT connection and goes straight to the hub.
//! 2. It is checked as a whole (ports, locks, read-only, reachable) and gets a deadline. A newer one
//!    for the same port takes its place.
//! 3. As soon as the plug is free, and before any poll, it leaves as
//!    `Ask::Switch`; the dialect switches and reads back in the same
//!    conversation.
//! 4. What was read is what is shown. Equal to the wish: confirmed. If not: again until the
//!    deadline, then failed. Either way exactly one
//!    `CommandResult` goes out, after the state it speaks of.
//!
//! # Adding a family
//!
//! `drivers/mod.rs` walks through how Meross and INPLUG plugs sit in the seams. A new family is a folder
//! in `drivers/`, one entry in `drivers::ALL`, one section in `config` and one line in
//! `bridge`; `tests/it/drivers.rs` then holds it to the rules of the house without further code.
//!
//! # Deliberately absent
//!
//! No actor framework, no shared mutable state, no global, no retry library, no template engine,
//! no trait with a single implementation except where a test is the second. Panics abort: everything
//! published is state, so a restart by systemd or the container engine repairs it.

// Public for the program, its tests, benchmarks and fuzz targets only; nothing of it is promised to stay as it is.
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod bridge;
#[cfg(feature = "broker")]
#[doc(hidden)]
pub mod broker;
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "client")]
mod client;
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod drivers;
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod entity;
#[doc(hidden)]
pub mod errand;
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod fair;
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod file;
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
pub mod sim;
#[cfg(feature = "bridge")]
#[doc(hidden)]
pub mod sinks;

#[cfg(feature = "client")]
pub use client::{Client, DiscoveredPlug, Error, Plug, Port, ScheduleRule, discover};
pub use jiff;
#[doc(inline)]
pub use model::{
    Clock, Currency, Days, Facts as DeviceInfo, Failure, Hardware, LeaderGroup, LeaderWish as LeaderChange,
    Mac, Name, PlugId, PortReading, PowerUnit, Presence as PresenceSimulation,
    PresenceSimulationWish as PresenceSimulationChange, Price, Reading, Record as History,
    RecordRow as HistoryRow, Role, RuleContent as RuleChange, Span, Timer as Countdown,
};
