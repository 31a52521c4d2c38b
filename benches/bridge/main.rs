//! Judges the bridge by the twelve goals of `docs/performance.md`, as ratios to a floor program and to the Python library, in one run.
//!
//! ```text
//! cargo bench --bench bridge                              all goals, about 20 minutes
//! cargo bench --bench bridge -- --quick                   smaller fleets, a smoke test
//! cargo bench --bench bridge -- --only 1,4,8
//! cargo bench --bench bridge -- --subject floor-reqwest   judge the floor, to test the benchmark
//! cargo bench --bench bridge -- instructions              user instructions a poll, for continuous integration
//! cargo bench --bench bridge -- gateway                   memory for a thousand plugs at the gateway
//! ```
//!
//! Needs mosquitto; `instructions` needs perf or valgrind too. The Python peer needs an interpreter with `maxsmart` and `paho-mqtt`, named
//! with `--python`; its rows are left out without. All traffic stays on 127.0.0.0/8. Exit code 0: all goals met, 1: not, 2: cannot run.
#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a program that prints a table, over fleets of its own making"
)]

mod cost;
mod fleet;
mod floor;
#[cfg(feature = "gateway")]
mod gateway;
mod goals;
mod instructions;
mod latency;
mod measure;
mod program;
mod robust;
mod scene;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tokio::task::LocalSet;

use crate::goals::Bench;
use crate::measure::{HEAD, Row};
use crate::program::{Binaries, FloorArgs, Program};

#[derive(Parser)]
struct Args {
    /// Only these goals, for example 1,4,8.
    #[arg(long, value_delimiter = ',')]
    only: Vec<u8>,
    /// Smaller fleets and shorter windows.
    #[arg(long, global = true)]
    quick: bool,
    /// The program to judge.
    #[arg(long, global = true, value_enum, default_value_t = Program::Plug2mqtt)]
    subject: Program,
    /// The bridge's binary; otherwise `$PLUG2MQTT_BIN`, otherwise the one built along.
    #[arg(long, global = true)]
    plug2mqtt: Option<PathBuf>,
    /// A Python with maxsmart and paho-mqtt; otherwise `$PLUG2MQTT_BENCH_PYTHON`, otherwise `python3`.
    #[arg(long, global = true)]
    python: Option<PathBuf>,
    /// Passed by `cargo bench`.
    #[arg(long, global = true, hide = true)]
    bench: bool,
    #[command(subcommand)]
    part: Option<Part>,
}

#[derive(Subcommand)]
enum Part {
    /// Counts user instructions a poll and fails above the limit.
    Instructions {
        /// User instructions a poll may cost.
        #[arg(long, default_value_t = instructions::LIMIT)]
        limit: f64,
    },
    /// Measures what a thousand plugs at the gateway take, and fails above the limit.
    #[cfg(feature = "gateway")]
    Gateway {
        /// Mebibytes that they may take.
        #[arg(long, default_value_t = gateway::LIMIT)]
        limit: f64,
    },
    /// The gateway (started by the benchmark itself).
    #[cfg(feature = "gateway")]
    #[command(hide = true)]
    GatewayServe,
    /// The simulated strips (started by the benchmark itself).
    #[command(hide = true)]
    Fleet { count: usize, http_port: u16, udp_port: u16 },
    /// The floor program (started by the benchmark itself).
    #[command(hide = true)]
    Floor(FloorArgs),
}

fn main() -> ExitCode {
    if std::env::args_os().len() == 1 {
        // `cargo test --all-targets` runs this program too, without the argument that `cargo bench` passes.
        println!("nothing to do without an argument; try --help");
        return ExitCode::SUCCESS;
    }
    let args = Args::parse();
    let result = match args.part {
        Some(Part::Fleet { count, http_port, udp_port }) => {
            fleet::run(count, http_port, udp_port).map(|()| ExitCode::SUCCESS)
        }
        #[cfg(feature = "gateway")]
        Some(Part::Gateway { limit }) => {
            gateway::run(limit).map(|met| if met { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
        #[cfg(feature = "gateway")]
        Some(Part::GatewayServe) => gateway::serve().map(|()| ExitCode::SUCCESS),
        Some(Part::Floor(floor)) => floor::run(floor).map(|()| ExitCode::SUCCESS),
        Some(Part::Instructions { limit }) => judge(&args, Some(limit)),
        None => judge(&args, None),
    };
    result.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        ExitCode::from(2)
    })
}

fn judge(args: &Args, instructions: Option<f64>) -> anyhow::Result<ExitCode> {
    scene::mosquitto().context("mosquitto is not installed: apt-get install mosquitto")?;
    let mut bench = bench(args);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let work = async {
        match instructions {
            Some(limit) => count(&bench, limit).await,
            None => run(&mut bench, &args.only).await,
        }
    };
    LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            result = work => result,
            _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
        }
    })
}

fn bench(args: &Args) -> Bench {
    let from = |flag: &Option<PathBuf>, variable: &str, default: &str| {
        flag.clone()
            .or_else(|| std::env::var_os(variable).map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from(default))
    };
    let binaries = Binaries {
        plug2mqtt: from(&args.plug2mqtt, "PLUG2MQTT_BIN", env!("CARGO_BIN_EXE_plug2mqtt")),
        python: from(&args.python, "PLUG2MQTT_BENCH_PYTHON", "python3"),
    };
    let has_python = !args.quick && has_peer(&binaries.python);
    Bench {
        binaries,
        subject: args.subject,
        has_python,
        quick: args.quick,
        commands: HashMap::new(),
        sick: None,
    }
}

fn has_peer(python: &Path) -> bool {
    let mut probe = Command::new(python);
    probe.args(["-c", "import maxsmart, paho.mqtt.client"]).stdout(Stdio::null()).stderr(Stdio::null());
    probe.status().is_ok_and(|status| status.success())
}

async fn count(bench: &Bench, limit: f64) -> anyhow::Result<ExitCode> {
    let (each, by) = instructions::a_poll(bench, bench.subject).await?;
    let met = each <= limit;
    println!("{}: {each:.0} user instructions a poll ({by}), limit {limit:.0}", bench.subject.name());
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn run(bench: &mut Bench, only: &[u8]) -> anyhow::Result<ExitCode> {
    let quick = if bench.quick { " (quick: small fleets, not for the record)" } else { "" };
    println!("Judged: {}{quick}\n\n{HEAD}", bench.subject.name());
    let mut met = true;
    for goal in goals::ALL.filter(|goal| only.is_empty() || only.contains(goal)) {
        let rows = bench.measure(goal).await.unwrap_or_else(|error| {
            met = false;
            vec![Row::noted(goal, "could not be measured", format!("{error:#}").replace(['\n', '|'], " "))]
        });
        for row in &rows {
            println!("{row}");
            met &= !row.missed();
        }
    }
    Ok(if met { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
