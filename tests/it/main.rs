//! The program from the outside: simulated plugs on loopback, a broker, the bridge between them,
//! and the built binary.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on fails")]

mod bridge;
mod cli;
mod doctor;
mod drivers;
mod gateway;
mod hostile;
mod house;
mod http_faults;
mod library;
mod log;
mod meross;
mod meross_setup;
mod mqtt_faults;
mod one_plug;
mod plug_faults;
mod properties;
mod recording;
mod service;
mod strays;
mod support;
mod tidy;
mod toy;
mod two_bridges;
mod udp_faults;
mod web;
