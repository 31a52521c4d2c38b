//! The whole path between plugs and topics.

mod admin;
mod announcing;
mod errands;
mod finding;
mod guarding;
mod inplug;
mod switching;
