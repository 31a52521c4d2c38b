//! The subcommands that are more than a few lines. They write to any writer, so that tests read
//! what a user reads.

pub mod config;
pub mod demo;
pub mod discover;
pub mod doctor;
pub mod find;
pub mod plug;
pub mod probe;
pub mod progress;
pub mod record;
pub mod screen;
pub mod table;
