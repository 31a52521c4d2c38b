//! What settings, locks and protection forbid: held against a request before anything is asked.

use crate::core::{Lock, PerPort};

/// What a request to one plug is held against.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// What the plug is called in sentences.
    pub who: String,
    /// How many ports it has.
    pub ports: u8,
    /// It may be changed.
    pub control: bool,
    /// By port, port 1 first; those missing are not locked.
    pub locks: Vec<Lock>,
    /// Protection has latched a port off.
    pub latched: bool,
    /// Ports that followed another when it was last heard that any did.
    pub followed: Vec<u8>,
}

impl Guard {
    /// What holds for every request.
    pub(super) fn check(&self, changes: bool, ports: &[u8]) -> Result<(), String> {
        if changes && !self.control {
            return Err(format!(
                "{} is read-only; read_only in the settings or its options says so",
                self.who
            ));
        }
        match ports.iter().find(|port| !(1..=self.ports).contains(*port)) {
            Some(port) => Err(format!("{} has no port {port}; it has 1 to {}", self.who, self.ports)),
            None => Ok(()),
        }
    }

    /// A port may be switched this way by what the plug is told to do by itself.
    pub(super) fn may(&self, port: u8, on: bool) -> Result<(), String> {
        match self.lock(port).refuses(on) {
            true => Err(format!("port {port} of {} is locked; unlock it first", self.who)),
            false => Ok(()),
        }
    }

    pub(super) fn lock(&self, port: u8) -> Lock {
        self.locks.port(port).copied().unwrap_or(Lock::None)
    }
}
