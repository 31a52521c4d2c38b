//! When to search, and what is said about what searches find.

use crate::model::{Asker, Backoff, Endpoint, Now, PlugId};
use std::collections::BTreeMap;
use std::time::Duration;

/// Pause between a reason to search and the search, and between two such searches.
const SOON: Duration = Duration::from_secs(1);
const SOON_AGAIN: Backoff = Backoff::doubling(Duration::from_secs(5), Duration::from_secs(86_400));

/// A search and first talks with those it found are over by then.
const OVER: Duration = Duration::from_secs(5);

/// Scans that may run at one time.
const MAX_SCANS: usize = 8;

/// Missing plugs that are searched for where they were last, at the most.
const MAX_MISSING: usize = 64;

/// When to search next.
#[derive(Debug)]
pub(super) struct Search {
    at: Duration,
    /// Searches in a row that left somebody missing, who is searched for ever more rarely.
    vain: u32,
    last: Option<Duration>,
    /// When it is seen whether the first search has found anybody.
    verdict: Option<Duration>,
    /// Scans that wait for their time to be up.
    scans: Vec<Scan>,
}

/// A scan somebody asked for.
#[derive(Debug)]
pub(super) struct Scan {
    until: Duration,
    pub(super) asker: Asker,
    /// Who was found, and whether they were not known.
    pub(super) found: BTreeMap<PlugId, bool>,
}

impl Search {
    pub(super) fn new(up: Duration) -> Self {
        Self { at: up, vain: 0, last: None, verdict: Some(up + OVER), scans: Vec::new() }
    }

    pub(super) fn wake_at(&self) -> Duration {
        self.scans.iter().map(|scan| scan.until).chain(self.verdict).fold(self.at, Duration::min)
    }

    /// Search at once, and again soon for what is missing then.
    pub(super) fn anew(&mut self, now: &Now) {
        self.at = now.up;
        self.vain = 0;
    }

    /// Something known is missing: search soon, but not ever faster.
    pub(super) fn soon(&mut self, now: &Now) {
        let free = self.last.map_or(Duration::ZERO, |last| last + SOON_AGAIN.pause(self.vain));
        self.at = self.at.min((now.up + SOON).max(free));
    }

    /// Searches at once for somebody who wants to know whom that finds.
    ///
    /// # Errors
    ///
    /// Too many want to know already.
    pub(super) fn scan(&mut self, now: &Now, time: Duration, asker: Asker) -> Result<(), String> {
        if self.scans.len() >= MAX_SCANS {
            return Err(format!("{MAX_SCANS} scans are running already; wait for one of them to end"));
        }
        self.scans.push(Scan { until: now.up + time, asker, found: BTreeMap::new() });
        self.at = now.up;
        Ok(())
    }

    /// A plug was heard, one that is `new` or not.
    pub(super) fn heard(&mut self, id: &PlugId, new: bool) {
        for scan in &mut self.scans {
            scan.found.entry(id.clone()).or_insert(new);
        }
    }

    /// Scans whose time is up.
    pub(super) fn over(&mut self, now: &Now) -> Vec<Scan> {
        let (over, running) = std::mem::take(&mut self.scans).into_iter().partition(|s| s.until <= now.up);
        self.scans = running;
        over
    }

    /// It is time to search.
    pub(super) fn is_due(&self, now: &Now) -> bool {
        self.at <= now.up
    }

    /// A search begins while these are missing; the next one is in `pause`. Where it looks beside everywhere.
    pub(super) fn begin(
        &mut self,
        now: &Now,
        missing: Vec<(&'static str, Endpoint)>,
        pause: Duration,
    ) -> Vec<(&'static str, Endpoint)> {
        self.vain = if missing.is_empty() { 0 } else { self.vain.saturating_add(1) };
        self.last = Some(now.up);
        self.at = now.up + pause;
        missing.into_iter().filter(|(_, place)| *place != Endpoint::UNKNOWN).take(MAX_MISSING).collect()
    }

    /// Whether the first search is over, and nobody was found. True once; while somebody is still being `asked`, it
    /// is too early to say.
    pub(super) fn first_is_over(&mut self, now: &Now, asking: bool) -> bool {
        if self.verdict.is_none_or(|at| at > now.up) {
            return false;
        }
        self.verdict = asking.then_some(now.up + OVER);
        !asking
    }
}
