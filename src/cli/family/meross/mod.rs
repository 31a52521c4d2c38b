//! `meross`: a plug is set up over its own access point, pointed to another broker over the LAN, or reset.

mod key;
mod line;
mod moves;
mod setup;
mod time;
mod wait;

use super::Progress;
use crate::config::{Errors, FamilySettings, Settings};
use anyhow::Result;
use clap::{Args, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

/// The family.
const NAME: &str = "meross";

/// Where its plugs listen when no settings say so.
const HTTP_PORT: u16 = 80;

/// What can be done with plugs of this family.
#[derive(Debug, Subcommand)]
pub enum MerossCommand {
    /// Sets up a plug over its own access point, which this computer has joined: Wi-Fi, broker and key.
    Setup(Setup),
    /// Points a plug that is in the network, and whose key is known, to another broker.
    Repoint(Repoint),
    /// Resets a plug to its factory state: it leaves the network and forgets everything.
    Reset(Reset),
}

/// What a plug is to be told.
#[derive(Debug, Args)]
pub struct Setup {
    /// Where the plug is, with :PORT if not 80.
    #[arg(long, default_value = crate::drivers::meross::provision::ACCESS_POINT)]
    host: String,
    /// Wi-Fi network to join; asked for without.
    #[arg(long, value_name = "NAME")]
    wifi: Option<String>,
    /// Access point of that network, if it has several.
    #[arg(long, value_name = "MAC")]
    bssid: Option<String>,
    /// File with the password of the network; else WIFI_PASSWORD of the environment, else it is asked for.
    #[arg(long, value_name = "FILE")]
    wifi_password_file: Option<PathBuf>,
    /// The network hides its name: do not look for it in the list.
    #[arg(long, requires_all = ["wifi", "channel"])]
    hidden: bool,
    /// Channel of a hidden network.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=14), requires = "hidden")]
    channel: Option<u64>,
    /// Protection of a hidden network: 0 open, 2 WEP, 4 WPA, 6 WPA2, 8 WPA and WPA2.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(0..=8))]
    encryption: u64,
    /// Cipher of a hidden network: 0 none, 1 WEP, 2 TKIP, 3 AES, 4 TKIP and AES.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=4))]
    cipher: u64,
    /// Broker or gateway the plug is to use, with TLS, port 8883 unless named; asked for without.
    #[arg(long, value_name = "HOST:PORT")]
    to: Option<String>,
    /// File with the key for the plug, made if missing; else meross.key of the settings, else meross.key in the state directory.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// How long to wait for the plug to appear in the network; 0s not at all.
    #[arg(long, default_value = "3m", value_parser = humantime::parse_duration)]
    wait: Duration,
    /// Only ask the plug, and print the messages that would change something, without secrets.
    #[arg(long)]
    dry_run: bool,
}

/// Which plug, and where it is to go.
#[derive(Debug, Args)]
pub struct Repoint {
    /// Name, id, serial, MAC or address.
    plug: String,
    /// Broker or gateway the plug is to use, with TLS, port 8883 unless named.
    #[arg(long, value_name = "HOST:PORT")]
    to: String,
    /// File with its key; else meross.key of the settings.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Do not ask whether that is meant.
    #[arg(long)]
    yes: bool,
    /// Print the message without secrets instead of sending it.
    #[arg(long)]
    dry_run: bool,
}

/// Which plug.
#[derive(Debug, Args)]
pub struct Reset {
    /// Name, id, serial, MAC or address.
    plug: String,
    /// File with its key; else meross.key of the settings.
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// That is meant. Without it nothing is sent.
    #[arg(long)]
    yes_factory_reset: bool,
    /// Print the message without secrets instead of sending it.
    #[arg(long)]
    dry_run: bool,
}

/// Where the settings have the path of the key.
const KEY_FILE: &str = "meross.key_file";

impl MerossCommand {
    /// A setup makes the key, so that its file need not be there yet.
    pub(super) fn makes(&mut self, errors: &Errors) -> Option<&'static str> {
        let Self::Setup(setup) = self else { return None };
        let path = errors.iter().find(|problem| problem.key == KEY_FILE)?.missing.clone()?;
        setup.key_file.get_or_insert(path);
        Some(KEY_FILE)
    }

    pub(super) fn is_dry(&self) -> bool {
        match self {
            Self::Setup(setup) => setup.dry_run,
            Self::Repoint(repoint) => repoint.dry_run,
            Self::Reset(reset) => reset.dry_run,
        }
    }
}

pub(super) async fn obey(
    settings: &Settings,
    command: &MerossCommand,
    out: &mut dyn Write,
    progress: &Progress,
) -> Result<()> {
    match command {
        MerossCommand::Setup(flags) => Box::pin(setup::setup(settings, flags, out, progress)).await,
        MerossCommand::Repoint(flags) => moves::repoint(settings, flags, out, progress).await,
        MerossCommand::Reset(flags) => moves::reset(settings, flags, out, progress).await,
    }
}

/// The section of the family in the settings.
fn section(settings: &Settings) -> Option<&FamilySettings> {
    settings.families.iter().find(|family| family.driver.name() == NAME)
}
