//! The program: flags, settings, logging, exit codes.

use clap::{Parser, Subcommand};
mod log;

use log::Log;
use plug2mqtt::bridge::{self, Ended, Instance};
use plug2mqtt::cli::{self, screen, screen::Prose};
use plug2mqtt::config::{self, Settings};
use plug2mqtt::drivers;
use plug2mqtt::io::store::Store;
use sd_notify::{NotifyState, notify};
use std::future::Future;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info};

/// The plug or the broker did not answer or obey.
const NO_ANSWER: u8 = 1;

/// Something is wrong with the settings (sysexits.h EX_CONFIG).
const BAD_SETTINGS: u8 = 78;

/// Makes LAN smart plugs switches and sensors over MQTT.
#[derive(Debug, Parser)]
#[command(
    version,
    about,
    max_term_width = 80,
    after_help = "Without a command the bridge runs. Exit codes: 0 done, 1 nobody found or no answer, 2 usage, 78 settings or a taken port."
)]
struct Flags {
    /// Settings file (default: plug2mqtt.toml here, else /etc/plug2mqtt/plug2mqtt.toml, else none).
    #[arg(short, long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One setting, as mqtt.base_topic=home; may be repeated.
    #[arg(short, long = "set", global = true, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
    /// Says what it does, for every command: log.level = "debug"; twice, the bytes too.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Option<Command>,
}

impl Flags {
    /// Reads the settings as the flags say.
    fn settings(&self) -> Result<(Settings, Option<PathBuf>), config::Errors> {
        let mut set = self.set.clone();
        if self.verbose > 0 {
            let level = if self.verbose == 1 { "debug" } else { "trace" };
            set.push(("log.level".into(), level.into()));
        }
        config::load(self.config.as_deref(), config::environment(), &set, drivers::ALL)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The bridge.
    Run {
        /// Act though another bridge acts on the base topic; that one waits from then on.
        #[arg(long)]
        take_over: bool,
    },
    /// The bridge, a broker and simulated plugs, all on loopback.
    Demo,
    /// Finds plugs and prints them; touches no broker.
    Discover {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Asks one address everything it will tell.
    Probe {
        /// Address or name, with :PORT if its web server is not on port 80.
        host: String,
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Looks for everything that can be wrong, and says what to do about it.
    Doctor {
        /// For scripts.
        #[arg(long)]
        json: bool,
    },
    /// Writes down everything a plug says, without what is personal, to be attached to a report.
    Record {
        /// Name, id, serial, MAC or address.
        plug: String,
        /// Write it here instead of to standard output.
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
    /// Serves a recording as a simulated plug.
    Replay {
        /// What `record` wrote.
        file: PathBuf,
        /// Address to serve it on.
        #[arg(long, default_value = "127.0.9.1")]
        ip: std::net::Ipv4Addr,
        /// Take ports that are free, instead of those in the settings of its family.
        #[arg(long)]
        free_ports: bool,
    },
    #[command(flatten)]
    Plug(cli::plug::PlugCommand),
    #[command(flatten)]
    Family(cli::family::FamilyCommand),
    /// Prints the exact Home Assistant discovery messages of a known plug.
    ShowDiscovery {
        /// Id or name.
        plug: String,
    },
    /// Works on the settings.
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Serves the demo's simulated plugs on this machine's addresses, for trying things out.
    ///
    /// A plug alone on its machine may listen on 0.0.0.0: it hears broadcasts and survives a new address.
    Simulate {
        /// Address and firmware, as 127.0.9.1=strip-1.30; without any, the demo's shelf.
        #[arg(value_name = "IP=KIND")]
        plugs: Vec<String>,
        /// Take ports that are free, instead of those in the settings of each family.
        #[arg(long)]
        free_ports: bool,
        /// Broadcast address to answer on, as 172.30.0.255; may be repeated.
        #[arg(long, value_name = "ADDRESS")]
        broadcast: Vec<std::net::Ipv4Addr>,
        /// Number of the first plug, which goes into its serial and MAC.
        #[arg(long, default_value_t = 1)]
        number: u8,
    },
}

#[derive(Debug, Subcommand)]
enum ConfigAction {
    /// Says whether the settings are valid.
    Check,
    /// Prints the settings in effect, secrets hidden.
    Show,
    /// Writes a commented settings file, with the plugs found.
    Init {
        /// Write it here instead of to standard output.
        #[arg(short, long)]
        output: Option<PathBuf>,
        /// Do not look for plugs first.
        #[arg(long)]
        no_search: bool,
    },
    /// Prints the JSON schema of the settings.
    Schema,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("give KEY=VALUE, as mqtt.base_topic=home")?;
    Ok((key.trim().into(), value.into()))
}

fn main() -> ExitCode {
    let mut flags = Flags::parse();
    if let Some(Command::Config { action: ConfigAction::Schema }) = flags.command {
        return printed(cli::config::schema(drivers::ALL, &mut std::io::stdout().lock()));
    }
    let mut loaded = flags.settings();
    if let (Err(errors), Some(Command::Family(command))) = (&loaded, &mut flags.command)
        && let Some(setting) = command.makes(errors)
    {
        flags.set.push((setting.into(), String::new()));
        loaded = flags.settings();
    }
    let (settings, file) = match loaded {
        Ok(loaded) => loaded,
        Err(errors) => {
            complain(&errors.to_string());
            return ExitCode::from(BAD_SETTINGS);
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let serving = matches!(flags.command, None | Some(Command::Run { .. } | Command::Demo));
    let log = Log::start(&settings, serving);
    let code = runtime.block_on(obey(flags, settings, file.as_deref(), &log));
    // What must be finished has been waited for; a read from the terminal or a name server may never end.
    runtime.shutdown_background();
    log.finish();
    code
}

async fn obey(flags: Flags, settings: Settings, file: Option<&Path>, log: &Log) -> ExitCode {
    let mut out = std::io::stdout();
    match &flags.command {
        None => run(&flags, settings, log, false).await,
        Some(Command::Run { take_over }) => run(&flags, settings, log, *take_over).await,
        Some(Command::Demo) => demo(settings, log).await,
        Some(Command::Discover { json }) => match cli::discover::look(&settings).await {
            Ok((seen, _)) if *json => found(&seen, cli::discover::json(&seen, &mut out)),
            Ok((seen, others)) => {
                let columns = screen::columns(&out);
                let mut prose = Prose::new(out, columns);
                let table =
                    cli::discover::table(&settings, &seen, columns.unwrap_or(screen::USUAL), &mut prose);
                found(&seen, table.and_then(|()| cli::discover::others(&others, &mut prose)))
            }
            Err(why) => failed(&why),
        },
        Some(Command::Probe { host, json }) => {
            let columns = screen::columns(&out).filter(|_| !json);
            match cli::probe::probe(&settings, host, *json, &mut Prose::new(out, columns)).await {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::from(NO_ANSWER),
                Err(error) => printed(Err(error)),
            }
        }
        Some(Command::Doctor { json }) => {
            let findings = cli::doctor::examine(&settings, file).await;
            let print = if *json { cli::doctor::json } else { cli::doctor::print };
            let columns = screen::columns(&out).filter(|_| !json);
            match print(&findings, &mut Prose::new(out, columns)) {
                Ok(true) => ExitCode::SUCCESS,
                Ok(false) => ExitCode::from(NO_ANSWER),
                Err(error) => printed(Err(error)),
            }
        }
        Some(Command::Record { plug, output }) => {
            // Without a file it is the recording itself.
            let columns = screen::columns(&out).filter(|_| output.is_some());
            let mut out = Prose::new(out, columns);
            ended(cli::record::record(&settings, plug, output.as_deref(), &mut out).await)
        }
        Some(Command::Replay { file, ip, free_ports }) => {
            let stop = stop_signal();
            ended(cli::record::replay(&settings, file, *ip, *free_ports, &mut out, stop).await)
        }
        Some(Command::Plug(command)) => ended(cli::plug::obey(&settings, command, &mut out).await),
        Some(Command::Family(command)) => {
            let columns = screen::columns(&out).filter(|_| !command.is_dry());
            let (mut out, progress) = (Prose::new(out, columns), cli::family::Progress::default());
            let work = Box::pin(cli::family::obey(&settings, command, &mut out, &progress));
            tokio::select! {
                result = work => ended(result),
                () = stop_signal() => failed(progress.said()),
            }
        }
        Some(Command::ShowDiscovery { plug }) => {
            let memory = Store::peek(&bridge::state_directory(&settings));
            let memory = memory.map_err(|error| anyhow::anyhow!("{error}; {}", error.remedy()));
            ended(memory.and_then(|memory| cli::discover::show_discovery(&settings, memory, plug, &mut out)))
        }
        Some(Command::Config { action }) => configure(action, &settings, file).await,
        Some(Command::Simulate { plugs, free_ports, broadcast, number }) => {
            let (free_ports, broadcast) = (*free_ports, broadcast.clone());
            let stage = cli::demo::Stage { number: *number, free_ports, broadcast };
            let outs: (&mut dyn Write, &mut dyn Write) = (&mut out, &mut std::io::stderr());
            ended(cli::demo::simulate(&settings, plugs, &stage, outs, stop_signal()).await)
        }
    }
}

/// The bridge, again after each restart that is asked for, with the settings read anew.
async fn run(flags: &Flags, mut settings: Settings, log: &Log, take_over: bool) -> ExitCode {
    let mut instance = Instance::new();
    instance.take_over = take_over;
    // Who sits there reads why it does not act; a service manager would only see it end.
    instance.waits = !std::io::stdin().is_terminal() && !std::io::stderr().is_terminal();
    instance.waiting = || {
        let state = NotifyState::Status("another bridge acts on the base topic; waiting for it to end");
        // It may take for ever, and that is no failure to start, nor does it hang.
        drop(notify(&[state, NotifyState::ExtendTimeoutUsec(60_000_000), NotifyState::Watchdog]));
    };
    let mut signals = match Signals::new() {
        Ok(signals) => signals,
        Err(error) => return failed(&format!("cannot hear signals: {error}")),
    };
    // Those that worked, while fresh ones are tried.
    let mut proven = None;
    loop {
        let ready = |broker: &str| {
            info!(version = env!("CARGO_PKG_VERSION"), broker, "plug2mqtt started");
            drop(notify(&[NotifyState::Ready]));
        };
        let mut fresh = None;
        let stop = async { fresh = signals.stop_or_reload(flags).await };
        let ended = bridge::run_as(&settings, &instance, log.logging(), ready, stop).await;
        let fresh = match ended {
            Ok(Ended::Stopped) if fresh.is_none() => return ExitCode::SUCCESS,
            Ok(Ended::Stopped) => fresh,
            Ok(ended @ (Ended::Yielded | Ended::StoodStill)) => {
                instance.after(ended);
                None
            }
            Ok(Ended::Restart) => match flags.settings() {
                Ok((fresh, _)) => Some(fresh),
                Err(errors) => {
                    error!("settings are invalid now; keeping the current ones:\n{errors}");
                    None
                }
            },
            Err(why) => {
                let Some(old) = proven.take() else {
                    log.complain(&why.to_string());
                    return ExitCode::from(BAD_SETTINGS);
                };
                error!("the new settings cannot be used: {why}; keeping the previous ones");
                settings = old;
                log.adopt(&settings);
                continue;
            }
        };
        if let Some(fresh) = fresh {
            log.adopt(&fresh);
            proven = Some(std::mem::replace(&mut settings, fresh));
        }
    }
}

/// What a running bridge is told from outside.
struct Signals {
    term: Signal,
    int: Signal,
    hup: Signal,
    terminal: bool,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hup: signal(SignalKind::hangup())?,
            terminal: std::io::stdin().is_terminal(),
        })
    }

    /// Ready when the program is told to stop, or to go on with the settings that come with it.
    async fn stop_or_reload(&mut self, flags: &Flags) -> Option<Settings> {
        loop {
            let reload = tokio::select! {
                _ = self.term.recv() => false,
                _ = self.int.recv() => false,
                // The same signal says that the terminal has gone.
                _ = self.hup.recv() => !self.terminal || std::io::stdin().is_terminal(),
            };
            if !reload {
                drop(notify(&[NotifyState::Stopping]));
                return None;
            }
            match NotifyState::monotonic_usec_now() {
                Ok(now) => drop(notify(&[NotifyState::Reloading, now])),
                Err(_) => drop(notify(&[NotifyState::Reloading])),
            }
            match flags.settings() {
                Ok((fresh, _)) => {
                    info!("settings reloaded; restarting with them");
                    return Some(fresh);
                }
                Err(errors) => {
                    error!("settings not reloaded, keeping the current ones: {errors}");
                    drop(notify(&[NotifyState::Ready]));
                }
            }
        }
    }
}

async fn demo(mut settings: Settings, log: &Log) -> ExitCode {
    let (shelf, state) = match (cli::demo::shelf().await, tempfile::tempdir()) {
        (Ok(shelf), Ok(state)) => (shelf, state),
        (Err(error), _) | (_, Err(error)) => return failed(&format!("the demo cannot start: {error}")),
    };
    cli::demo::aim(&mut settings, &shelf);
    settings.mqtt.url = None;
    settings.state.directory = Some(state.path().into());
    // The usual port if it is free, so that the lines to try are short.
    if std::net::TcpListener::bind(settings.broker.listen).is_err() {
        settings.broker.listen.set_port(0);
    }
    let (base, aimed) = (settings.mqtt.base_topic.clone(), settings.clone());
    let ready = |broker: &str| {
        let file = cli::demo::note_settings(&aimed, broker, state.path());
        drop(file.and_then(|file| cli::demo::greet(&shelf, &base, broker, &file, &mut std::io::stdout())));
    };
    let ended = loop {
        let ended = bridge::run_logged(&settings, log.logging(), &ready, stop_signal()).await;
        if !matches!(ended, Ok(Ended::Restart | Ended::StoodStill)) {
            break ended;
        }
    };
    shelf.stop().await;
    match ended {
        Ok(_) => ExitCode::SUCCESS,
        Err(why) => {
            log.complain(&why.to_string());
            ExitCode::from(BAD_SETTINGS)
        }
    }
}

async fn configure(action: &ConfigAction, settings: &Settings, file: Option<&Path>) -> ExitCode {
    let mut out = std::io::stdout();
    match action {
        ConfigAction::Check => match bridge::check_tls(settings) {
            Ok(()) => printed(cli::config::check(settings, file, &mut out)),
            Err(why) => {
                complain(&why);
                ExitCode::from(BAD_SETTINGS)
            }
        },
        ConfigAction::Show => printed(cli::config::show(settings, file, &mut out)),
        ConfigAction::Schema => printed(cli::config::schema(&settings.drivers(), &mut out)),
        ConfigAction::Init { output, no_search } => {
            let seen = match no_search {
                true => Vec::new(),
                false => cli::discover::look(settings).await.unwrap_or_default().0,
            };
            // Without a state file no names were given yet.
            let memory = Store::peek(&bridge::state_directory(settings)).unwrap_or_default();
            let plugs = cli::config::Discovered::all(&seen, &memory);
            match cli::config::init(&settings.drivers(), &plugs, output.as_deref(), &mut out) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => failed(&error.to_string()),
            }
        }
    }
}

/// Ready when the program is told to stop.
fn stop_signal() -> impl Future<Output = ()> {
    let signals =
        signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    async move {
        let Ok((mut term, mut int)) = signals else { return std::future::pending().await };
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        drop(notify(&[NotifyState::Stopping]));
    }
}

fn complain(text: &str) {
    let text = screen::wrapped(&format!("plug2mqtt: {text}"), screen::columns(&std::io::stderr()));
    drop(writeln!(std::io::stderr(), "{text}"));
}

fn failed(text: &str) -> ExitCode {
    complain(text);
    ExitCode::from(NO_ANSWER)
}

/// How a command ends; a reader that has gone (`| head`) is no failure.
fn ended(result: anyhow::Result<()>) -> ExitCode {
    let Err(why) = result else { return ExitCode::SUCCESS };
    match why.downcast_ref::<std::io::Error>() {
        Some(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        _ => {
            complain(&format!("{why:#}"));
            ExitCode::from(cli::exit_code(&why))
        }
    }
}

/// That nobody was found is told apart, for scripts.
fn found(seen: &[cli::discover::Seen], result: std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) if seen.is_empty() => ExitCode::from(NO_ANSWER),
        result => printed(result),
    }
}

/// A reader that has gone (`| head`) is no failure.
fn printed(result: std::io::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => failed(&error.to_string()),
    }
}
