//! The whole path between plugs and topics.

mod admin;
mod announcing;
mod finding;
mod inplug;
mod switching;
