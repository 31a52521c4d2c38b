//! One plug from the command line, without broker and bridge: it is found, asked, and what it says is
//! printed. What a plug cannot do is said in a sentence.

mod call;
mod capability;
mod rename;
mod switch;
mod watch;

use super::find::Plug;
use super::progress::patiently;
use crate::capability::CapabilityCommand;
pub use crate::capability::cli::Target as Who;
use crate::config::Settings;
use anyhow::Result;
use clap::{Args, Subcommand};
use std::io::Write;
use std::time::Duration;

/// Commands for one plug, which is given by name, id, serial, MAC or address.
#[derive(Debug, Subcommand)]
pub enum PlugCommand {
    /// Shows the relays and the power of a plug.
    Status(Who),
    /// Switches ports on, all when none is named.
    On(Ports),
    /// Switches ports off, all when none is named.
    Off(Ports),
    /// Switches ports the other way; without any the whole plug: off when a port is on, else on.
    Toggle(Ports),
    /// Shows the power of each port, again and again.
    Watch {
        /// Which plug.
        #[command(flatten)]
        who: Who,
        /// Pause between two looks; plugs want to be left alone in between.
        #[arg(long, default_value = "5s", value_parser = humantime::parse_duration)]
        every: Duration,
        /// End after so many looks.
        #[arg(long)]
        times: Option<u32>,
    },
    /// Gives a plug or one of its ports a name, which it keeps itself.
    Rename {
        /// Which plug.
        #[command(flatten)]
        who: Who,
        /// The new name.
        name: String,
        /// A port, by number or name.
        #[arg(long)]
        port: Option<String>,
    },
    /// What some plugs can do.
    #[command(flatten)]
    Capability(CapabilityCommand),
    /// Sends any command of the protocol and prints the answer.
    Call {
        /// Name, id, serial, MAC or address.
        plug: String,
        /// Its number. Those that reset a plug or take it off the network are refused, 120 first of all.
        command: u16,
        /// Its arguments, as '{"port":1}'.
        arguments: Option<String>,
    },
}

/// Ports of a plug.
#[derive(Debug, Args)]
pub struct Ports {
    #[command(flatten)]
    who: Who,
    /// Ports, by number or name, as 1,2 or 1 2; 0 is all of them.
    #[arg(value_delimiter = ',')]
    ports: Vec<String>,
}

/// Carries a command out and prints what came of it.
///
/// # Errors
///
/// When the plug is not found, does not answer, cannot or will not, in a sentence that says so; when
/// `out` cannot be written.
pub async fn obey(settings: &Settings, command: &PlugCommand, out: &mut dyn Write) -> Result<()> {
    match command {
        PlugCommand::Status(who) => switch::status(settings, who, out).await,
        PlugCommand::On(ports) => switch::switch(settings, ports, switch::SwitchAction::On, out).await,
        PlugCommand::Off(ports) => switch::switch(settings, ports, switch::SwitchAction::Off, out).await,
        PlugCommand::Toggle(ports) => {
            switch::switch(settings, ports, switch::SwitchAction::Toggle, out).await
        }
        PlugCommand::Watch { who, every, times } => watch::watch(settings, who, *every, *times, out).await,
        PlugCommand::Rename { who, name, port } => {
            rename::rename(settings, who, name, port.as_deref(), out).await
        }
        PlugCommand::Capability(command) => command.run(capability::Runner { settings, out }).await,
        PlugCommand::Call { plug, command, arguments } => {
            call::call(settings, plug, *command, arguments.clone(), out).await
        }
    }
}

/// The number of ports of a plug, by asking it.
async fn count(plug: &mut Plug) -> Result<usize> {
    let name = plug.name();
    let reading = patiently(&format!("asking {name}"), plug.line.read()).await;
    reading.map(|reading| reading.ports.len()).map_err(|failure| plug.failed("for its ports", &failure))
}
