//! Figures about the connection to the broker; they outlive connections.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Figures about the connection to the broker.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) connected: AtomicBool,
    pub(super) connections: AtomicU64,
    pub(super) published: AtomicU64,
    pub(super) received: AtomicU64,
    pub(super) dropped: AtomicU64,
    pub(super) queued: AtomicU64,
    standing_by: AtomicBool,
}

/// The figures at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// There is a connection now.
    pub connected: bool,
    /// Connections there have been.
    pub connections: u64,
    /// Messages handed over to be published.
    pub published: u64,
    /// Messages received.
    pub received: u64,
    /// Messages that were refused or told to nobody.
    pub dropped: u64,
    /// Messages handed over and not acknowledged yet.
    pub queued: u64,
}

impl Counters {
    /// The figures now.
    pub fn counts(&self) -> Counts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Counts {
            connected: self.connected.load(Ordering::Relaxed),
            connections: count(&self.connections),
            published: count(&self.published),
            received: count(&self.received),
            dropped: count(&self.dropped),
            queued: count(&self.queued),
        }
    }

    /// This bridge does not act: another one does.
    pub fn standing_by(&self) -> bool {
        self.standing_by.load(Ordering::Relaxed)
    }

    /// This bridge acts from now on, or does not.
    pub fn stand_by(&self, stands: bool) {
        self.standing_by.store(stands, Ordering::Relaxed);
    }

    /// The built-in broker did not retain so many messages.
    pub fn refused(&self, messages: u64) {
        self.dropped.fetch_add(messages, Ordering::Relaxed);
    }

    /// What `bridge/health` says of them.
    pub(super) fn metrics(&self) -> Metrics {
        let counts = self.counts();
        Metrics {
            published: counts.published,
            received: counts.received,
            queued: counts.queued,
            dropped: counts.dropped,
            memory_mb: resident().map(|bytes| (bytes as f64 / 1_048_576.0 * 10.0).round() / 10.0),
        }
    }

    /// A connection stands, or has ended.
    pub(super) fn connected(&self, stands: bool) {
        self.connected.store(stands, Ordering::Relaxed);
        self.queued.store(0, Ordering::Relaxed);
        if stands {
            self.connections.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What only the owner of the connection knows of it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Metrics {
    /// Messages published.
    pub published: u64,
    /// Messages received.
    pub received: u64,
    /// Messages handed over and not acknowledged.
    pub queued: u64,
    /// Messages lost because something was full.
    pub dropped: u64,
    /// Memory in use, megabytes.
    pub memory_mb: Option<f64>,
}

/// Resident memory in bytes, where the system tells it.
pub fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024)
}
