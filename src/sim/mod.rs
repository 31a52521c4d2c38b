//! Simulated plugs: the plug's side of each dialect, as pure models with faults that can be switched on.
//!
//! The models own what a plug says on the wire, byte for byte as far as captures exist, and what its relays and
//! loads do over virtual time. They refuse to know the bridge: nothing here is shared with the code that talks to
//! real plugs, so a misunderstanding of the protocol cannot hide on both sides. A client nobody here wrote checks
//! them (`tests/clients`). Only `serve` touches sockets; everything else runs without clock, IO or randomness.

mod clock;
mod family;
mod fault;
mod inplug;
mod load;
mod maxsmart;
mod meross;
mod model;
mod serve;

pub use family::{Family, Make, Replay};
pub use fault::{Answer, Faults};
pub use inplug::Inplug;
pub use load::Load;
pub use maxsmart::{BOOT_S, Drawn, Firmware, Metrics, Recording, Strip, Switched};
pub use meross::{Deed, Gateway, Head, Kind, Login, Measures, Meross, Relays, Toggled, TooLong};
pub use model::{AnyModel, Label, Model, Request};
pub use serve::{Endpoint, Served, Shelf, free_ports, serve};

/// The families that `simulate`, `demo` and `replay` serve.
pub static FAMILIES: &[&Family] = &[&maxsmart::FAMILY, &inplug::FAMILY];
