//! Clock, percentiles, a process's CPU time and memory, and the table of results.

use std::fmt;
use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

/// Microseconds since 1970, the clock shared by fleet and harness.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// The value below which `percent` of the sorted samples lie; NaN without samples.
pub(crate) fn percentile(samples: &[f64], percent: usize) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

pub(crate) fn median(samples: &[f64]) -> f64 {
    percentile(samples, 50)
}

#[expect(clippy::cast_precision_loss, reason = "counters far below 2^52")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "counters far below 2^52")]
pub(crate) fn float_len(count: usize) -> f64 {
    count as f64
}

/// Milliseconds between two stamps.
pub(crate) fn ms_between(from_us: u64, to_us: u64) -> f64 {
    float(to_us.saturating_sub(from_us)) / 1000.0
}

/// User plus system time of a process in microseconds, from `/proc/<pid>/stat` (ticks of 10 ms).
pub(crate) fn cpu_us(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks: u64 =
        after_name.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks * 10_000
}

/// Resident and anonymous memory of a process in MiB, from `/proc/<pid>/smaps_rollup`.
pub(crate) fn memory_mib(pid: u32) -> (f64, f64) {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let kib = |key: &str| {
        let line = rollup.lines().find(|line| line.starts_with(key));
        line.and_then(|line| line.split_whitespace().nth(1))
            .and_then(|number| number.parse::<f64>().ok())
            .unwrap_or(f64::NAN)
    };
    (kib("Rss:") / 1024.0, kib("Anonymous:") / 1024.0)
}

/// Most connections being opened (`SYN_SENT`) towards one of our strips right now, from `/proc/net/tcp`.
pub(crate) fn most_opening(http_port: u16) -> usize {
    let table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    let suffix = format!(":{http_port:04X}");
    let mut remotes: Vec<_> = table
        .lines()
        .map(|line| line.split_whitespace().skip(2).take(2).collect::<Vec<_>>())
        .filter_map(|fields| match fields.as_slice() {
            [remote, "02"] if remote.ends_with(&suffix) => Some((*remote).to_owned()),
            _ => None,
        })
        .collect();
    remotes.sort();
    remotes.chunk_by(|one, other| one == other).map(<[_]>::len).max().unwrap_or(0)
}

/// One line of the result.
pub(crate) struct Row {
    goal: u8,
    figure: String,
    value: String,
    target: String,
    met: Option<bool>,
}

impl Row {
    /// A figure with a goal.
    pub(crate) fn judged(goal: u8, figure: &str, value: String, target: &str, met: bool) -> Self {
        Self { goal, figure: figure.to_owned(), value, target: target.to_owned(), met: Some(met) }
    }

    /// A figure for comparison, or one that could not be judged.
    pub(crate) fn noted(goal: u8, figure: &str, value: String) -> Self {
        Self { goal, figure: figure.to_owned(), value, target: String::new(), met: None }
    }

    pub(crate) fn missed(&self) -> bool {
        self.met == Some(false)
    }
}

/// The head of the Markdown table.
pub(crate) const HEAD: &str = "| # | figure | value | goal | met |\n| --- | --- | --- | --- | --- |";

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let met = match self.met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        write!(f, "| {} | {} | {} | {} | {met} |", self.goal, self.figure, self.value, self.target)
    }
}
