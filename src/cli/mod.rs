//! The subcommands that are more than a few lines. They write to any writer, so that tests read
//! what a user reads.

pub mod config;
pub mod demo;
pub mod discover;
pub mod doctor;
pub mod family;
pub mod find;
pub mod plug;
pub mod probe;
pub mod progress;
pub mod record;
pub mod screen;
pub mod table;

use std::fmt;
use std::io;

/// What fails before any plug or broker is to blame; the program ends with a code that tells which.
#[derive(Debug)]
pub enum Fault {
    /// What was typed cannot be meant, as a port that the plug does not have.
    Usage(String),
    /// What the settings want is not to be had, as a port that is taken.
    Settings(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Usage(text) | Self::Settings(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for Fault {}

/// The code with which a command ends that failed: 2 for usage, 78 (EX_CONFIG of sysexits.h) for settings
/// and for a port that is taken, else 1.
#[must_use]
pub fn exit_code(why: &anyhow::Error) -> u8 {
    let taken = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::AddrInUse)
    };
    match why.downcast_ref::<Fault>() {
        Some(Fault::Usage(_)) => 2,
        Some(Fault::Settings(_)) => 78,
        None if why.chain().any(taken) => 78,
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, exit_code};
    use anyhow::{Context, anyhow};
    use std::io::{Error, ErrorKind};

    #[test]
    fn who_is_to_blame_is_in_the_exit_code() {
        let after = |error: anyhow::Error| Err::<(), _>(error).context("it failed").unwrap_err();
        assert_eq!(exit_code(&anyhow!("nobody answers")), 1);
        assert_eq!(exit_code(&after(Error::from(ErrorKind::NotFound).into())), 1);
        assert_eq!(exit_code(&after(Fault::Usage("no port 7".into()).into())), 2);
        assert_eq!(exit_code(&Fault::Settings("it is taken".into()).into()), 78);
        assert_eq!(exit_code(&after(Error::from(ErrorKind::AddrInUse).into())), 78);
    }
}
