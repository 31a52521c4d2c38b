//! Io acts. It owns sockets, files and the clock, carries out what the hub wants and reports what
//! came of it. It decides nothing.
//!
//! | file | what it does |
//! | --- | --- |
//! | `engine.rs` | the loop |
//! | `conversation.rs` | the course of one conversation: steps, repetitions, time limits; pure |
//! | `exchange.rs` | one conversation carried out over the transports |
//! | `dialects.rs` | where the dialect of each plug is; pure |
//! | `line.rs` | a line to one plug, for the command line and the examples |
//! | `capability.rs` | names, clock, timers, rules and so on over a line |
//! | `recorder.rs` | listens in on a line, for recordings |
//! | `http.rs`, `udp.rs` | the two transports and their leniency |
//! | `search.rs` | the course of one search: whom to ask when, which answers are new; pure |
//! | `probe.rs` | searches carried out: broadcasts, hosts, names |
//! | `push.rs` | what plugs say unasked |
//! | `store.rs` | the state file |
//! | `clock.rs` | time |

pub mod clock;
pub mod conversation;
#[cfg(feature = "bridge")]
pub mod dialects;
#[cfg(feature = "bridge")]
pub mod engine;
pub mod exchange;
pub mod http;
pub mod line;
pub mod probe;
#[cfg(feature = "bridge")]
pub mod push;
#[cfg(feature = "bridge")]
pub mod recorder;
pub mod search;
#[cfg(feature = "bridge")]
pub mod store;
mod udp;
