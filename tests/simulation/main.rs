//! A simulated house, hour after hour: the hub, the real dialects, the simulated plugs and the MQTT
//! session on a virtual clock, with a model network and a model broker, and everything that can go
//! wrong between them. No sockets, no runtime, no real time; a seed is the same story every time.
//!
//! `SEEDS=10000 cargo test --test simulation` plays that many seeds, `SEED=123 cargo test --test
//! simulation -- --nocapture` tells the story of one.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test is told by its panics"
)]

mod bridge;
mod broker;
mod check;
mod client;
mod counter;
mod energy;
mod guard;
mod plan;
mod plugs;
mod random;
mod trouble;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use world::{Ending, World};

/// Seeds played when nothing else is said.
const SEEDS: u64 = 60;

/// Lines of a story that are shown when a seed has failed by itself.
const SHOWN: usize = 60;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

#[test]
fn the_promises_hold_in_every_seed() {
    if let Some(seed) = number("SEED") {
        return story(seed);
    }
    let (first, count) = (number("FIRST").unwrap_or(0), number("SEEDS").unwrap_or(SEEDS));
    let began = Instant::now();
    let next = AtomicU64::new(first);
    let [polls, alarms, restarts] = [0; 3].map(AtomicU64::new);
    let failed: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while failed.lock().unwrap().is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    match play(seed) {
                        Ok(ending) => {
                            polls.fetch_add(ending.polls, Ordering::Relaxed);
                            alarms.fetch_add(ending.alarms, Ordering::Relaxed);
                            restarts.fetch_add(ending.restarts, Ordering::Relaxed);
                        }
                        Err(why) => {
                            let mut failed = failed.lock().unwrap();
                            if failed.as_ref().is_none_or(|(other, _)| seed < *other) {
                                *failed = Some((seed, why));
                            }
                        }
                    }
                }
            });
        }
    });
    let (took, [polls, alarms, restarts]) =
        (began.elapsed(), [polls, alarms, restarts].map(AtomicU64::into_inner));
    println!(
        "{count} seeds of an hour, {polls} readings, {alarms} alarms, {restarts} restarts, {:.1} s",
        took.as_secs_f64()
    );
    if let Some((seed, why)) = failed.into_inner().unwrap() {
        panic!(
            "{}\nseed {seed}: {why}\nthe whole story: SEED={seed} cargo test --test simulation -- --nocapture",
            last_lines(seed)
        );
    }
    assert!(polls > count, "hardly anything was read");
    assert!((alarms > 0 && restarts > 0) || count < SEEDS, "{alarms} alarms, {restarts} restarts");
}

#[test]
fn a_seed_is_the_same_story_every_time() {
    let tell = |seed| World::play(seed, true).story;
    let first = tell(7);
    assert!(first.len() > 100, "{}", first.len());
    assert_eq!(first, tell(7));
    assert_ne!(first, tell(8));
}

/// How a seed ended well, or what went wrong in it.
fn play(seed: u64) -> Result<Ending, String> {
    let ending = catch_unwind(AssertUnwindSafe(|| World::play(seed, false)));
    let ending = ending.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        format!("panic: {}", text.unwrap_or("without words"))
    })?;
    match &ending.broken {
        Some(broken) => Err(format!("invariant {}: {}", broken.invariant, broken.what)),
        None => Ok(ending),
    }
}

/// What happened last in a seed that has failed.
fn last_lines(seed: u64) -> String {
    match catch_unwind(AssertUnwindSafe(|| World::play(seed, true))) {
        Ok(ending) => ending.story[ending.story.len().saturating_sub(SHOWN)..].join("\n"),
        Err(_) => "it panics".into(),
    }
}

fn story(seed: u64) {
    let ending = World::play(seed, true);
    for line in &ending.story {
        println!("{line}");
    }
    if let Some(broken) = ending.broken {
        panic!("seed {seed}: invariant {}: {}", broken.invariant, broken.what);
    }
}
