//! Meross plugs and strips: the words of their protocol as far as they need no conversation. Signed messages and
//! their encryption, what a plug can do, what it says of relays, power, days, timers and its clock, and the search.
//!
//! Everything takes what comes from the network as hostile: a value that cannot be believed is left out, a list has a
//! bound, and nothing panics.

pub mod ability;
pub mod crypt;
pub mod electricity;
pub mod ledger;
pub mod lenient;
pub mod provision;
pub mod search;
pub mod status;
pub mod timer;
pub mod wire;
pub mod zone;

#[cfg(test)]
mod tests;
