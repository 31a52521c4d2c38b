//! Goals 8 to 11: memory, CPU, capacity, start.

use std::time::Duration;

use tokio::time::Instant;

use crate::fleet::{Order, PORTS};
use crate::goals::{Bench, soak};
use crate::instructions;
use crate::measure::{Row, cpu_us, float, median, memory_mib, ms_between};
use crate::program::Program;
use crate::robust::due;
use crate::scene::{Scene, Stage, topic};

struct Memory {
    early_mib: f64,
    late_mib: f64,
    anonymous_mib: f64,
}

async fn memory(bench: &Bench, program: Program, strips: usize) -> anyhow::Result<Memory> {
    let scene = Scene::play(&bench.binaries, program, Stage::new(strips, 1000)).await?;
    let (first_s, then_s) = if bench.quick { (1, 2) } else { (10, 45) };
    soak(Duration::from_secs(first_s)).await;
    let (early_mib, _) = memory_mib(scene.pid());
    soak(Duration::from_secs(then_s)).await;
    let (late_mib, anonymous_mib) = memory_mib(scene.pid());
    Ok(Memory { early_mib, late_mib, anonymous_mib })
}

/// Resident memory.
pub(crate) async fn goal_8(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let large = if bench.quick { 200 } else { 1000 };
    let mut rows = Vec::new();
    for (strips, limit_mib) in [(10, 8.0), (large, 14.0)] {
        let Memory { early_mib, late_mib, anonymous_mib } = memory(bench, bench.subject, strips).await?;
        let growth = late_mib - early_mib;
        let value = format!("{late_mib:.1} (anonymous {anonymous_mib:.1})");
        rows.push(Row::judged(
            8,
            &format!("RSS MiB, {strips} strips"),
            value,
            &format!("<= {limit_mib}"),
            late_mib <= limit_mib,
        ));
        let flat = growth <= (early_mib * 0.03).max(0.25);
        rows.push(Row::judged(
            8,
            &format!("growth MiB, {strips} strips"),
            format!("{growth:+.2}"),
            "flat",
            flat,
        ));
    }
    if !bench.quick {
        for program in bench.peers() {
            let memory = memory(bench, program, 1000).await?;
            rows.push(Row::noted(
                8,
                &format!("RSS MiB, 1000 strips, {}", program.name()),
                format!("{:.1}", memory.late_mib),
            ));
        }
    }
    Ok(rows)
}

/// More strips than the bridge hears in one search.
const ONE_SEARCH: usize = 4000;

/// CPU of a program over a window.
struct Load {
    us_a_poll: f64,
    core_share: f64,
    /// The fleet's own; near 1 the fleet is the limit.
    fleet_share: f64,
    polls_a_second: f64,
    due: f64,
}

async fn load(bench: &Bench, program: Program, stage: Stage, wrapper: &[String]) -> anyhow::Result<Load> {
    let mut scene = Scene::set(&bench.binaries, program, stage).await?;
    if stage.strips > ONE_SEARCH && program == Program::Plug2mqtt {
        scene.introduce().await?;
    }
    scene.start(wrapper)?;
    scene.settle().await?;
    soak(Duration::from_secs(if stage.strips > ONE_SEARCH { 6 } else { 2 })).await;
    scene.fleet.order(&Order::Reset).await?;
    let (began, cpu, fleet_cpu) = (Instant::now(), cpu_us(scene.pid()), cpu_us(scene.fleet.pid()));
    soak(Duration::from_secs(if bench.quick { 3 } else { 12 })).await;
    let report = scene.fleet.report().await?;
    let spent_us = float(cpu_us(scene.pid()) - cpu);
    let fleet_us = float(cpu_us(scene.fleet.pid()) - fleet_cpu);
    let seconds = began.elapsed().as_secs_f64();
    let polls = float(report.strips.iter().map(|strip| strip.polls).sum());
    Ok(Load {
        us_a_poll: spent_us / polls.max(1.0),
        core_share: spent_us / seconds / 1e6,
        fleet_share: fleet_us / seconds / 1e6,
        polls_a_second: polls / seconds,
        due: due(&report.strips, stage.interval_ms),
    })
}

/// CPU a poll.
pub(crate) async fn goal_9(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    let sizes: &[(usize, f64)] = if bench.quick { &[(200, 0.5)] } else { &[(200, 0.5), (1000, 0.8)] };
    for &(strips, goal) in sizes {
        let (mut floors, mut subjects) = (Vec::new(), Vec::new());
        for _ in 0..if bench.quick { 1 } else { 3 } {
            floors.push(load(bench, Program::FloorReqwest, Stage::new(strips, 1000), &[]).await?.us_a_poll);
            subjects.push(load(bench, bench.subject, Stage::new(strips, 1000), &[]).await?.us_a_poll);
        }
        let (floor, subject) = (median(&floors), median(&subjects));
        let ratio = subject / floor;
        rows.push(Row::noted(
            9,
            &format!("CPU us a poll, {strips} strips, floor reqwest"),
            format!("{floor:.0}"),
        ));
        rows.push(Row::noted(9, &format!("CPU us a poll, {strips} strips"), format!("{subject:.0}")));
        let figure = format!("CPU a poll, {strips} strips / floor reqwest");
        rows.push(Row::judged(9, &figure, format!("{ratio:.2}"), &format!("<= {goal}"), ratio <= goal));
        for program in bench.peers().into_iter().filter(|program| *program != Program::FloorReqwest) {
            let peer = load(bench, program, Stage::new(strips, 1000), &[]).await?.us_a_poll;
            rows.push(Row::noted(
                9,
                &format!("CPU us a poll, {strips} strips, {}", program.name()),
                format!("{peer:.0}"),
            ));
        }
    }
    if !bench.quick {
        rows.push(instructions::row(bench).await?);
    }
    Ok(rows)
}

/// Capacity.
pub(crate) async fn goal_10(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let many = if bench.quick { 1000 } else { 5000 };
    let Load { core_share, fleet_share, due, .. } =
        load(bench, bench.subject, Stage::new(many, 1000), &[]).await?;
    let pinned = ["taskset", "-c", "0"].map(str::to_owned);
    let full = load(bench, bench.subject, Stage::new(many, 500), &pinned).await?;
    let capacity = 1e6 / full.us_a_poll;
    let value = format!(
        "{capacity:.0} ({:.0} made of {} due, at {:.2} of a core; fleet {:.2})",
        full.polls_a_second,
        2 * many,
        full.core_share,
        full.fleet_share
    );
    let mut rows = vec![
        Row::judged(
            10,
            &format!("{many} strips at 1 s: polls / due"),
            format!("{due:.3} (fleet at {fleet_share:.2} of a core)"),
            ">= 0.99",
            due >= 0.99,
        ),
        Row::judged(
            10,
            &format!("{many} strips at 1 s: share of a core"),
            format!("{core_share:.2}"),
            "< 0.6",
            core_share < 0.6,
        ),
        Row::judged(10, "polls a second of CPU, twice as many due", value, ">= 7000", capacity >= 7000.0),
    ];
    if !bench.quick {
        // What the system and the HTTP client take of it, whatever stands above them.
        for program in [Program::FloorRaw, Program::FloorReqwest] {
            let floor = load(bench, program, Stage::new(many, 1000), &[]).await?;
            let value = format!(
                "{:.2}, ours / its {:.2} ({:.3} of due)",
                floor.core_share,
                core_share / floor.core_share,
                floor.due
            );
            let figure = format!("{many} strips at 1 s: share of a core, {}", program.name());
            rows.push(Row::noted(10, &figure, value));
        }
    }
    Ok(rows)
}

struct Start {
    first_ms: f64,
    all_ms: f64,
    in_air: usize,
}

/// Starts with strips known from an earlier run.
async fn start(
    bench: &Bench,
    program: Program,
    strips: usize,
    delay_ms: u64,
    times: usize,
) -> anyhow::Result<Vec<Start>> {
    let mut scene =
        Scene::play(&bench.binaries, program, Stage::new(strips, bench.slow_stage().interval_ms)).await?;
    let mut starts = Vec::new();
    for _ in 0..times {
        scene.stop().await;
        scene.fleet.order(&Order::DelayMs(delay_ms)).await?;
        scene.fleet.order(&Order::Reset).await?;
        scene.watcher.forget();
        let began_us = scene.start(&[])?;
        scene.settle().await?;
        let told = |leaf: &'static str| {
            let names =
                (0..strips).flat_map(move |strip| (1..=PORTS).map(move |port| topic(strip, port, leaf)));
            names.filter_map(|name| scene.watcher.last(&name)).map(|last| last.at_us).collect::<Vec<_>>()
        };
        let first_us = told("power").into_iter().chain(told("state")).min().unwrap_or(u64::MAX);
        let all_us = told("state").into_iter().max().unwrap_or(u64::MAX);
        let in_air = scene.fleet.report().await?.in_air_max;
        starts.push(Start {
            first_ms: ms_between(began_us, first_us),
            all_ms: ms_between(began_us, all_us),
            in_air,
        });
    }
    Ok(starts)
}

/// Start.
pub(crate) async fn goal_11(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let few = start(bench, bench.subject, 10, 0, if bench.quick { 2 } else { 7 }).await?;
    let many = start(bench, bench.subject, 200, 50, if bench.quick { 1 } else { 3 }).await?;
    let first = median(&few.iter().map(|start| start.first_ms).collect::<Vec<_>>());
    let ten = median(&few.iter().map(|start| start.all_ms).collect::<Vec<_>>());
    let all = median(&many.iter().map(|start| start.all_ms).collect::<Vec<_>>());
    let in_air = many.iter().map(|start| start.in_air).max().unwrap_or(0);
    let mut rows = vec![
        Row::judged(11, "start to first telemetry", format!("{first:.0} ms"), "<= 50 ms", first <= 50.0),
        Row::judged(11, "start to 10 known strips told", format!("{ten:.0} ms"), "<= 250 ms", ten <= 250.0),
        Row::judged(
            11,
            "start to 200 known strips told (50 ms an answer)",
            format!("{all:.0} ms"),
            "<= 1500 ms",
            all <= 1500.0,
        ),
        Row::judged(11, "start with 200: polls in the air", in_air.to_string(), "<= 16", in_air <= 16),
    ];
    if !bench.quick {
        for program in bench.peers() {
            let peer = start(bench, program, 10, 0, 3).await?;
            let first = median(&peer.iter().map(|start| start.first_ms).collect::<Vec<_>>());
            rows.push(Row::noted(
                11,
                &format!("start to first telemetry, {}", program.name()),
                format!("{first:.0} ms"),
            ));
        }
    }
    Ok(rows)
}
