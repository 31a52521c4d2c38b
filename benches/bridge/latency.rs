//! Goals 1, 2 and 12: what a person at a switch, or at a button on the strip, waits for.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::fleet::{Mode, Order, PORTS, Relay};
use crate::goals::{Bench, soak};
use crate::measure::{Row, float, median, ms_between, percentile};
use crate::program::Program;
use crate::scene::{Scene, Stage, topic};

/// Latencies of one program.
#[derive(Clone, Default)]
pub(crate) struct Commands {
    relay_ms: Vec<f64>,
    state_ms: Vec<f64>,
    sent: usize,
    lost: usize,
    doubled: usize,
    /// From the relay command to the first poll that is not its read-back.
    next_poll_ms: Vec<f64>,
}

impl Commands {
    fn add(&mut self, other: Self) {
        self.relay_ms.extend(other.relay_ms);
        self.state_ms.extend(other.state_ms);
        self.next_poll_ms.extend(other.next_poll_ms);
        self.sent += other.sent;
        self.lost += other.lost;
        self.doubled += other.doubled;
    }
}

struct Sent {
    strip: usize,
    port: usize,
    on: bool,
    at_us: u64,
}

/// Sends `rounds` batches of commands, each to `parallel` different ones of the `targets`, and waits for the new states.
async fn command(
    scene: &mut Scene,
    targets: &[usize],
    rounds: usize,
    parallel: usize,
) -> anyhow::Result<Commands> {
    scene.fleet.order(&Order::Reset).await?;
    let mut switches = HashMap::new();
    let mut sent = Vec::new();
    let mut result = Commands::default();
    let timeout = Duration::from_millis(3000 + scene.task.interval_ms * u64::from(parallel > 1));
    for _ in 0..rounds {
        let mut strips = targets.to_vec();
        fastrand::shuffle(&mut strips);
        let first = sent.len();
        for &strip in strips.iter().take(parallel) {
            // Polls follow the scene's start and the last state told; commands must not keep step.
            let most_ms = if parallel > 1 { scene.task.interval_ms / 4 } else { 40 };
            sleep(Duration::from_millis(fastrand::u64(5..most_ms))).await;
            let port = fastrand::usize(1..=PORTS);
            let on = switches.entry((strip, port)).or_insert(true);
            *on = !*on;
            let at_us = scene.watcher.command(strip, port, word(*on)).await?;
            sent.push(Sent { strip, port, on: *on, at_us });
        }
        for one in sent.iter().skip(first) {
            let told = scene
                .watcher
                .told(&topic(one.strip, one.port, "state"), word(one.on), one.at_us, timeout)
                .await;
            result.state_ms.extend(told.map(|at_us| ms_between(one.at_us, at_us)));
        }
    }
    let relays = scene.fleet.relays().await?;
    for (index, one) in sent.iter().enumerate() {
        let next =
            sent.iter().skip(index + 1).find(|other| (other.strip, other.port) == (one.strip, one.port));
        let until_us = next.map_or(u64::MAX, |next| next.at_us);
        let hits: Vec<_> =
            relays.iter().filter(|relay| is_for(relay, one) && relay.at_us < until_us).collect();
        result.sent += 1;
        result.lost += usize::from(hits.is_empty());
        result.doubled += usize::from(hits.len() > 1);
        result.relay_ms.extend(hits.first().map(|relay| ms_between(one.at_us, relay.at_us)));
    }
    Ok(result)
}

fn is_for(relay: &Relay, sent: &Sent) -> bool {
    (relay.strip, relay.port, relay.on) == (sent.strip, sent.port, sent.on) && relay.at_us >= sent.at_us
}

fn word(on: bool) -> &'static str {
    if on { "ON" } else { "OFF" }
}

/// Commands to ten healthy strips at five seconds a poll, the programs in turn; kept for the goals that follow.
async fn healthy(bench: &mut Bench, programs: &[Program]) -> anyhow::Result<()> {
    let missing: Vec<_> =
        programs.iter().copied().filter(|program| !bench.commands.contains_key(program)).collect();
    let passes = if bench.quick { 1 } else { 3 };
    for _ in 0..passes {
        for &program in &missing {
            let mut scene = Scene::play(&bench.binaries, program, bench.slow_stage()).await?;
            let (rounds, parallel) = match (program, bench.quick) {
                (Program::Python, true) => (1, 10),
                (Program::Python, false) => (3, 10),
                (_, true) => (40, 1),
                (_, false) => (120, 1),
            };
            let all: Vec<_> = (0..10).collect();
            let mut run = command(&mut scene, &all, rounds, parallel).await?;
            if program == bench.subject {
                run.next_poll_ms = after_command(&mut scene).await?;
            }
            bench.commands.entry(program).or_default().add(run);
        }
    }
    Ok(())
}

/// One command to each strip; how long until the strip is polled again, the read-back aside.
async fn after_command(scene: &mut Scene) -> anyhow::Result<Vec<f64>> {
    scene.fleet.order(&Order::Reset).await?;
    let mut gaps = Vec::new();
    for strip in 0..10 {
        let state = scene.watcher.last(&topic(strip, 1, "state")).is_some_and(|last| last.payload == "ON");
        let at_us = scene.watcher.command(strip, 1, word(!state)).await?;
        scene.watcher.told(&topic(strip, 1, "state"), word(!state), at_us, Duration::from_secs(3)).await;
    }
    for relay in scene.fleet.relays().await? {
        gaps.extend(
            next_poll(scene, relay.strip, relay.at_us + 100_000, scene.task.interval_ms)
                .await?
                .map(|at_us| ms_between(relay.at_us, at_us)),
        );
    }
    Ok(gaps)
}

/// The first poll of a strip after `after_us`, waited for at most `patience_ms` longer than a second.
async fn next_poll(
    scene: &Scene,
    strip: usize,
    after_us: u64,
    patience_ms: u64,
) -> anyhow::Result<Option<u64>> {
    let deadline = Instant::now() + Duration::from_millis(patience_ms + 1000);
    loop {
        let polls = scene.fleet.polls(strip).await?;
        if let Some(&at_us) = polls.iter().find(|&&at_us| at_us > after_us) {
            return Ok(Some(at_us));
        }
        if Instant::now() > deadline {
            return Ok(None);
        }
        sleep(Duration::from_millis(20)).await;
    }
}

fn pair(samples: &[f64]) -> String {
    format!("p50 {:.2} ms, p90 {:.2} ms", median(samples), percentile(samples, 90))
}

/// Publish to new state on MQTT.
pub(crate) async fn goal_1(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    let mut programs = vec![Program::FloorRaw, bench.subject];
    if bench.has_python {
        programs.push(Program::Python);
    }
    healthy(bench, &programs).await?;
    let subject = bench.commands[&bench.subject].state_ms.clone();
    let floor = bench.commands[&Program::FloorRaw].state_ms.clone();
    let p50 = median(&subject) / median(&floor);
    let p90 = percentile(&subject, 90) / percentile(&floor, 90);
    let mut rows = vec![
        Row::noted(1, "publish to state, floor raw", pair(&floor)),
        Row::noted(1, "publish to state", pair(&subject)),
        Row::judged(1, "publish to state, p50 / floor", format!("{p50:.2}"), "<= 2", p50 <= 2.0),
        Row::judged(1, "publish to state, p90 / floor", format!("{p90:.2}"), "<= 3", p90 <= 3.0),
    ];
    if let Some(python) = bench.commands.get(&Program::Python) {
        let ratio = median(&python.state_ms) / median(&subject);
        rows.push(Row::noted(1, "publish to state, maxsmart + paho", pair(&python.state_ms)));
        rows.push(Row::judged(
            1,
            "publish to state, maxsmart + paho / p50",
            format!("{ratio:.0}"),
            ">= 500",
            ratio >= 500.0,
        ));
    } else {
        rows.push(Row::noted(
            1,
            "publish to state, maxsmart + paho",
            "not measured, no Python peer".to_owned(),
        ));
    }
    Ok(rows)
}

/// Publish to relay GET, healthy and with a tenth of the fleet hung or unplugged.
pub(crate) async fn goal_2(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    healthy(bench, &[Program::FloorReqwest, bench.subject]).await?;
    let subject = bench.commands[&bench.subject].clone();
    let floor = bench.commands[&Program::FloorReqwest].clone();
    let p50 = median(&subject.relay_ms) / median(&floor.relay_ms);
    let sick_floor = among_sick(bench, Program::FloorReqwest).await?;
    let sick = if bench.subject == Program::FloorReqwest {
        sick_floor.clone()
    } else {
        among_sick(bench, bench.subject).await?
    };
    let p90 = percentile(&sick.relay_ms, 90) / percentile(&sick_floor.relay_ms, 90);
    let (sent, lost, doubled) =
        (subject.sent + sick.sent, subject.lost + sick.lost, subject.doubled + sick.doubled);
    Ok(vec![
        Row::noted(2, "publish to relay, floor reqwest", pair(&floor.relay_ms)),
        Row::noted(2, "publish to relay", pair(&subject.relay_ms)),
        Row::judged(2, "publish to relay, p50 / floor reqwest", format!("{p50:.2}"), "<= 1.5", p50 <= 1.5),
        Row::noted(2, "a tenth sick: publish to relay, floor reqwest", pair(&sick_floor.relay_ms)),
        Row::noted(2, "a tenth sick: publish to relay", pair(&sick.relay_ms)),
        Row::judged(2, "a tenth sick: p90 / floor reqwest", format!("{p90:.2}"), "<= 2", p90 <= 2.0),
        Row::judged(
            2,
            "commands lost, doubled",
            format!("{lost}, {doubled} of {sent}"),
            "0, 0",
            lost + doubled == 0,
        ),
    ])
}

async fn among_sick(bench: &Bench, program: Program) -> anyhow::Result<Commands> {
    let count = if bench.quick { 40 } else { 200 };
    let mut scene = Scene::play(&bench.binaries, program, Stage::new(count, 1000)).await?;
    let sick: Vec<_> = (0..count / 10).collect();
    let (hung, gone) = sick.split_at(sick.len() / 2);
    scene.fleet.mode(hung, Mode::Hang).await?;
    scene.fleet.mode(gone, Mode::Vanish).await?;
    soak(Duration::from_secs(if bench.quick { 2 } else { 4 })).await;
    let healthy: Vec<_> = (sick.len()..count).collect();
    let rounds = if bench.quick { 40 } else { 200 };
    command(&mut scene, &healthy, rounds, 1).await
}

/// Buttons pressed on ten strips at five seconds a poll: from the poll's answer to MQTT, and to the next poll.
async fn presses(bench: &Bench, program: Program) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let mut scene = Scene::play(&bench.binaries, program, bench.slow_stage()).await?;
    scene.fleet.order(&Order::Reset).await?;
    let (mut told_ms, mut next_ms) = (Vec::new(), Vec::new());
    let rounds = if bench.quick { 1 } else { 5 };
    for round in 0..rounds {
        let on = round % 2 == 1;
        let mut pressed_us = Vec::new();
        for strip in 0..10 {
            pressed_us.push(crate::measure::now_us());
            scene.fleet.order(&Order::Press { strip, port: 3 }).await?;
        }
        let mut states = Vec::new();
        for (strip, since_us) in pressed_us.into_iter().enumerate() {
            states.push(
                scene
                    .watcher
                    .told(&topic(strip, 3, "state"), word(on), since_us, Duration::from_secs(8))
                    .await,
            );
        }
        let log = scene.fleet.presses().await?;
        for press in log.iter().rev().take(10) {
            if let Some(at_us) = states.get(press.strip).copied().flatten() {
                told_ms.push(ms_between(press.polled_us, at_us));
            }
            let next = next_poll(&scene, press.strip, press.polled_us, scene.task.interval_ms).await?;
            next_ms.extend(next.map(|at_us| ms_between(press.polled_us, at_us)));
        }
    }
    Ok((told_ms, next_ms))
}

/// Buttons pressed on a few of fifty strips at a second a poll, at any time: from the poll's answer to MQTT.
async fn among_fifty(bench: &Bench, program: Program) -> anyhow::Result<Vec<f64>> {
    const STRIPS: usize = 50;
    let mut scene = Scene::play(&bench.binaries, program, Stage::new(STRIPS, 1000)).await?;
    // What a program does once after its start is not meant.
    soak(Duration::from_secs(if bench.quick { 2 } else { 10 })).await;
    scene.fleet.order(&Order::Reset).await?;
    let mut told_ms = Vec::new();
    let mut on = [true; STRIPS];
    for _ in 0..if bench.quick { 10 } else { 100 } {
        let mut strips: Vec<_> = (0..STRIPS).collect();
        fastrand::shuffle(&mut strips);
        strips.truncate(4);
        let mut pressed = Vec::new();
        for strip in strips {
            sleep(Duration::from_millis(fastrand::u64(0..250))).await;
            on[strip] = !on[strip];
            pressed.push((strip, crate::measure::now_us()));
            scene.fleet.order(&Order::Press { strip, port: 3 }).await?;
        }
        let mut states = HashMap::new();
        for &(strip, since_us) in &pressed {
            let state = topic(strip, 3, "state");
            let told = scene.watcher.told(&state, word(on[strip]), since_us, Duration::from_secs(5)).await;
            states.insert(strip, told);
        }
        for press in scene.fleet.presses().await?.iter().rev().take(pressed.len()) {
            let told = states.get(&press.strip).copied().flatten();
            told_ms.extend(told.map(|at_us| ms_between(press.polled_us, at_us)));
        }
    }
    Ok(told_ms)
}

fn slowest(samples: &[f64]) -> String {
    format!("p50 {:.2} ms, p99 {:.2} ms", median(samples), percentile(samples, 99))
}

/// A button pressed on the strip.
pub(crate) async fn goal_12(bench: &mut Bench) -> anyhow::Result<Vec<Row>> {
    healthy(bench, &[bench.subject]).await?;
    let command_next = bench.commands[&bench.subject].next_poll_ms.clone();
    let (floor, _) = presses(bench, Program::FloorRaw).await?;
    let (subject, next) = presses(bench, bench.subject).await?;
    let ratio = median(&subject) / median(&floor);
    let soon = |samples: &[f64]| percentile(samples, 90) <= 1050.0;
    let busy_floor = among_fifty(bench, Program::FloorRaw).await?;
    let busy = among_fifty(bench, bench.subject).await?;
    Ok(vec![
        Row::noted(12, "poll to state, floor raw", pair(&floor)),
        Row::noted(12, "poll to state", pair(&subject)),
        Row::judged(12, "poll to state, p50 / floor", format!("{ratio:.2}"), "<= 2", ratio <= 2.0),
        Row::noted(12, "50 strips at 1 s: poll to state, floor raw", slowest(&busy_floor)),
        Row::judged(
            12,
            "50 strips at 1 s: poll to state",
            slowest(&busy),
            "p50 <= 1 ms, p99 <= 6 ms",
            median(&busy) <= 1.0 && percentile(&busy, 99) <= 6.0,
        ),
        Row::judged(
            12,
            "polled again after a change",
            format!("{} of {:.0}", pair(&next), float(next.len() as u64)),
            "p90 <= 1 s",
            soon(&next),
        ),
        Row::judged(
            12,
            "polled again after a command",
            pair(&command_next),
            "p90 <= 1 s",
            soon(&command_next),
        ),
    ])
}
