//! User instructions a poll: the figure that a noisy machine cannot blur.
//!
//! The program runs twice under a counter, ended after few polls and after many; the difference leaves the start out. `perf` counts where
//! the machine lets it, else valgrind. The program is slower under valgrind, so its polls are counted by the fleet, not assumed.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::time::{Instant, sleep};

use crate::goals::Bench;
use crate::measure::{Row, float};
use crate::program::Program;
use crate::scene::{Scene, Stage};

pub(crate) const LIMIT: f64 = 110_000.0;
const STRIPS: usize = 50;
const FEW: u64 = 250;
const MANY: u64 = 1250;
const TIMEOUT: Duration = Duration::from_secs(40);

/// What counts the instructions.
#[derive(Clone, Copy, Debug)]
enum Counter {
    Perf,
    Valgrind,
}

impl Counter {
    fn find() -> anyhow::Result<Self> {
        let perf = Command::new("perf").args(["stat", "-x,", "-e", "instructions:u", "true"]).output();
        if perf.is_ok_and(|output| parse_perf(&String::from_utf8_lossy(&output.stderr)).is_some()) {
            return Ok(Self::Perf);
        }
        let valgrind =
            Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        ensure!(
            valgrind.is_ok_and(|status| status.success()),
            "neither perf counts instructions here nor is valgrind installed"
        );
        Ok(Self::Valgrind)
    }

    fn wrapper(self, log: &Path) -> Vec<String> {
        let log = log.display();
        let line = match self {
            Self::Perf => format!("perf stat -x, -e instructions:u -o {log} --"),
            Self::Valgrind => {
                format!(
                    "valgrind --tool=cachegrind --cache-sim=no --branch-sim=no --cachegrind-out-file=/dev/null --log-file={log}"
                )
            }
        };
        line.split(' ').map(str::to_owned).collect()
    }

    fn parse(self, log: &str) -> Option<u64> {
        match self {
            Self::Perf => parse_perf(log),
            Self::Valgrind => {
                let line = log.lines().find(|line| line.contains("I   refs:"))?;
                line.rsplit(' ').next()?.replace(',', "").parse().ok()
            }
        }
    }
}

fn parse_perf(log: &str) -> Option<u64> {
    let line = log.lines().find(|line| line.contains("instructions:u"))?;
    line.split(',').next()?.parse().ok()
}

/// Runs the program until it has polled `polls` times. Instructions and polls made.
async fn count(bench: &Bench, program: Program, counter: Counter, polls: u64) -> anyhow::Result<(u64, u64)> {
    let stage = Stage { strips: STRIPS, interval_ms: 1000, timeout_ms: 5000 };
    let mut scene = Scene::set(&bench.binaries, program, stage).await?;
    let log = scene.task.directory.join("instructions");
    scene.start(&counter.wrapper(&log))?;
    let deadline = Instant::now() + TIMEOUT;
    let mut made = 0;
    while made < polls {
        if let Some(running) = &mut scene.program {
            running.check()?;
        }
        ensure!(Instant::now() < deadline, "{}: only {made} polls in {TIMEOUT:?}", program.name());
        sleep(Duration::from_millis(20)).await;
        made = scene.fleet.total_polls().await?;
    }
    scene.stop().await;
    let made = scene.fleet.total_polls().await?;
    let text = fs::read_to_string(&log).unwrap_or_default();
    match counter.parse(&text) {
        Some(instructions) => Ok((instructions, made)),
        None => bail!("no instruction count in: {text}"),
    }
}

/// User instructions a poll, and by what they were counted.
pub(crate) async fn a_poll(bench: &Bench, program: Program) -> anyhow::Result<(f64, &'static str)> {
    let counter = Counter::find()?;
    let (few, few_polls) = count(bench, program, counter, FEW).await.context("the short run")?;
    let (many, many_polls) = count(bench, program, counter, MANY).await.context("the long run")?;
    ensure!(
        many > few && many_polls > few_polls,
        "the long run did less than the short one: {many} against {few} instructions"
    );
    let name = match counter {
        Counter::Perf => "perf",
        Counter::Valgrind => "valgrind",
    };
    Ok((float(many - few) / float(many_polls - few_polls), name))
}

/// The row for goal 9.
pub(crate) async fn row(bench: &Bench) -> anyhow::Result<Row> {
    let figure = "user instructions a poll, 50 strips at 1 s";
    match a_poll(bench, bench.subject).await {
        Ok((each, by)) => {
            Ok(Row::judged(9, figure, format!("{:.1} k ({by})", each / 1000.0), "<= 110 k", each <= LIMIT))
        }
        Err(error) => Ok(Row::noted(9, figure, format!("not measured: {error:#}"))),
    }
}
