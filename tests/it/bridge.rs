//! The whole path between plugs and topics.

mod admin;
mod announcing;
mod finding;
mod guarding;
mod inplug;
mod plug_requests;
mod switching;
