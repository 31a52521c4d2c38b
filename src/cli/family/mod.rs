//! Commands that only one family of plugs has. Each family that has some has a folder here and a line in this list.

pub mod meross;
mod prompt;

use crate::config::{Errors, Settings};
use anyhow::Result;
use clap::Subcommand;
use std::cell::Cell;
use std::io::Write;

/// Commands of one family.
#[derive(Debug, Subcommand)]
pub enum FamilyCommand {
    /// Sets up Meross plugs without their vendor, moves them to another broker, resets them.
    #[command(subcommand)]
    Meross(meross::MerossCommand),
}

impl FamilyCommand {
    /// A secret that it makes may be missing: brings back the setting to leave out, if that is all that is wrong.
    pub fn makes(&mut self, errors: &Errors) -> Option<&'static str> {
        match self {
            Self::Meross(command) => command.makes(errors),
        }
    }

    /// Whether it only shows what it would send.
    pub fn is_dry(&self) -> bool {
        match self {
            Self::Meross(command) => command.is_dry(),
        }
    }
}

/// How far a command has come, for whoever breaks it off.
#[derive(Debug)]
pub struct Progress(Cell<&'static str>);

impl Default for Progress {
    fn default() -> Self {
        Self(Cell::new("broken off; the plug was told nothing"))
    }
}

impl Progress {
    /// From now on this is what there is to say.
    fn is(&self, state: &'static str) {
        self.0.set(state);
    }

    /// What there is to say.
    pub fn said(&self) -> &'static str {
        self.0.get()
    }
}

/// Carries a command out.
///
/// # Errors
///
/// What went wrong and what to do about it, in a sentence; when `out` cannot be written.
pub async fn obey(
    settings: &Settings,
    command: &FamilyCommand,
    out: &mut dyn Write,
    progress: &Progress,
) -> Result<()> {
    match command {
        FamilyCommand::Meross(command) => meross::obey(settings, command, out, progress).await,
    }
}
