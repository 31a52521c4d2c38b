//! The meters of one plug: power becomes energy, gaps stay gaps, and no figure ever falls.

use super::counters::Counters;
use super::day::Day;
use super::floors::{self, Floors};
use super::gaps::Gaps;
use super::hours::Filled;
use crate::model::{
    Energy, Hours, MAX_PORTS, MAX_WATTS, Meaning, MeterState, Now, PerPort, PlugId, PlugView, PortMeterState,
    RawHistory, port_index,
};
use std::time::Duration;
use tracing::warn;

/// Energy is told at most this often.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Readings further apart than this many polls have a gap between them, but not below [`SHORT`].
const GAP_POLLS: u32 = 3;
const SHORT: Duration = Duration::from_secs(15);

/// How soon meters are written down: when they moved by a watt-hour, by less, and when only time did.
const SAVE_FAR: Duration = Duration::from_secs(10);
const SAVE_MOVED: Duration = Duration::from_secs(60);
const SAVE_STILL: Duration = Duration::from_secs(600);

/// A clock that was behind at the start is believed after this long: nobody is going to set it.
const SETTLED: Duration = Duration::from_secs(3600);

/// A clock that moves by more against the time that has passed was set.
const CLOCK_SET_MS: u64 = 60_000;

/// The meters of one plug.
#[derive(Debug, Default)]
pub(super) struct Meter {
    ports: Vec<Port>,
    unmetered: Duration,
    /// Of this run, as far as they are in `unmetered`.
    gaps: Gaps,
    /// When it was metered last, milliseconds since 1970; 0 while it never was.
    unix_ms: u64,
    /// The same in this run.
    read_at: Option<Duration>,
    /// The wall clock shows less than when it was metered last: how long it was not metered before
    /// this run is told when the clock is right again.
    behind: bool,
    /// [`Now::zero_ms`] when it was read last.
    zero_ms: u64,
    /// What the meters showed when this run began, until it is known what earlier runs have told.
    began: Option<Began>,
    told_at: Duration,
    day: Day,
    /// Those of the plug itself.
    counters: Counters,
    /// By the hour, for plugs that may have a record of their own.
    hours: Option<Box<Hours>>,
    /// The total at the last reading, and when it was last asked to be written down soon.
    noted: Energy,
    written: Energy,
}

#[derive(Debug, Default)]
struct Began {
    ports: Vec<Energy>,
    /// Since when somebody may have been told more than the meters showed; 0 for ever.
    unix_ms: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Port {
    energy: Energy,
    watts: f64,
    /// When `watts` was read in this run.
    at: Option<Duration>,
    /// It is not told any more: `at` is until when that was counted as not metered.
    blind: bool,
    /// When somebody set its figure.
    set_at: Option<Duration>,
}

impl Port {
    /// Its power was not told. When that was so for too long: how much more time was not metered.
    fn go_blind(&mut self, now: &Now, longest: Duration) -> Option<Duration> {
        let passed = now.up.saturating_sub(self.at?);
        if passed <= longest && !self.blind {
            return None;
        }
        *self = Self { watts: 0.0, at: Some(now.up), blind: true, ..*self };
        Some(passed)
    }
}

/// What one port says in a reading.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) watts: Option<f64>,
    /// What the plug's own counter shows.
    pub(super) counter: Option<Energy>,
    /// Its relay has just moved because the bridge wanted it, not some time since the last reading.
    pub(super) switched: bool,
}

impl Meter {
    pub(super) fn new(tally: &MeterState) -> Self {
        let port = |kept: &PortMeterState| Port { energy: kept.energy, watts: kept.watts, ..Port::default() };
        Self {
            ports: tally.ports.iter().map(port).collect(),
            unmetered: Duration::from_millis(tally.unmetered_ms),
            gaps: Gaps::default(),
            unix_ms: tally.unix_ms,
            read_at: None,
            behind: false,
            zero_ms: 0,
            began: Some(Began {
                ports: tally.ports.iter().map(|port| port.energy).collect(),
                unix_ms: tally.certain_ms.unwrap_or(tally.unix_ms),
            }),
            told_at: Duration::ZERO,
            day: Day::new(tally.since.clone()),
            counters: Counters::new(&tally.counters),
            hours: tally.hours.clone(),
            noted: Energy::default(),
            written: tally.ports.iter().map(|port| port.energy.shown()).sum(),
        }
    }

    /// As it is to be remembered.
    pub(super) fn tally(&self) -> MeterState {
        let port = |port: &Port| PortMeterState { energy: port.energy, watts: port.watts };
        MeterState {
            ports: self.ports.iter().map(port).collect(),
            unmetered_ms: u64::try_from(self.unmetered.as_millis()).unwrap_or(u64::MAX),
            unix_ms: self.unix_ms,
            // A run that ends before it knows must not vouch for its figures to the next one.
            certain_ms: self.began.as_ref().map(|began| began.unix_ms).filter(|ms| *ms != self.unix_ms),
            since: self.day.since().clone(),
            counters: self.counters.state(),
            hours: self.hours.clone(),
        }
    }

    /// Takes in a reading, port 1 first. Power is taken to have gone in a straight line from the
    /// reading before, unless that was too long ago. True when an hour has ended.
    pub(super) fn take(&mut self, now: &Now, samples: impl Iterator<Item = Sample>, poll: Duration) -> bool {
        self.day.begin(now, self.ports.iter().map(|port| port.energy));
        self.mind_day(now);
        let longest = longest(poll);
        // A restart that was quick enough is no gap.
        let away = Duration::from_millis(now.ms_since(self.unix_ms).unwrap_or(0));
        let metered_before = self.unix_ms != 0;
        let mut unmetered = Duration::ZERO;
        let mut any = false;
        let mut counted_for = None;
        let mut drawn = [Energy::default(); MAX_PORTS];
        for (index, sample) in samples.enumerate() {
            if self.ports.len() <= index {
                self.ports.push(Port::default());
            }
            let Some(port) = self.ports.get_mut(index) else { continue };
            let told = sample.counter.and_then(|shows| self.counters.told(index, now, shows, away));
            // A figure of the counter needs no power.
            let Some(watts) = sample.watts.or(sample.counter.map(|_| port.watts)) else {
                // What was drawn meanwhile is in the counter's next figure.
                if self.counters.is_told(index, now) {
                    any = true;
                    continue;
                }
                // It was metered before this run, and is not told since.
                if port.at.is_none() && metered_before && port.energy != Energy::default() {
                    port.at = Some(now.up);
                    unmetered = unmetered.max(if away > longest { away } else { Duration::ZERO });
                    any = true;
                }
                if let Some(passed) = port.go_blind(now, longest) {
                    unmetered = unmetered.max(passed);
                    any = true;
                }
                continue;
            };
            any = true;
            let before = match port.at {
                Some(at) => Some(now.up.saturating_sub(at)),
                None => metered_before.then_some(away),
            };
            if let Some(passed) = before {
                let (counted, missing) = match told {
                    // Whatever was between: the plug has counted it.
                    Some(drawn) => (drawn, Duration::ZERO),
                    None if passed <= longest && !port.blind => {
                        let to = if sample.switched { port.watts } else { watts };
                        let drawn = Energy::drawn(port.watts, to, millis(passed));
                        // What was before the first figure of a counter is in no later one.
                        match sample.counter {
                            Some(_) => (drawn, Duration::ZERO),
                            None => self.counters.between(index, now, drawn),
                        }
                    }
                    None => (Energy::default(), passed),
                };
                port.energy.add(counted);
                // What bridges a quick restart may have been told before it: no reason to go beyond.
                if let (None, Some(began)) = (port.at, &mut self.began)
                    && let Some(start) = began.ports.get_mut(index)
                {
                    start.add(counted);
                }
                unmetered = unmetered.max(missing);
                counted_for = counted_for.max(Some(passed));
                if let Some(drawn) = drawn.get_mut(index) {
                    *drawn = counted;
                }
            }
            let blind = port.blind && sample.watts.is_none();
            *port = Port { watts, at: Some(now.up), blind, ..*port };
        }
        // Ports that are silent at different times: time in which some port was not metered.
        if !unmetered.is_zero() {
            self.unmetered += self.gaps.count(unmetered, now);
        }
        let was_set = any && self.stamp(now, longest);
        let drawn = drawn.get(..self.ports.len()).unwrap_or_default();
        if let Some(hours) = self.hours.as_deref_mut().filter(|_| was_set) {
            // Which hours were metered is not known any more.
            *hours = Hours::new(now);
        }
        match (&mut self.hours, counted_for) {
            (Some(hours), Some(passed)) => hours.book(now, passed, drawn, unmetered.is_zero()),
            _ => false,
        }
    }

    /// Looks at the clock: the day may end, or have ended, whether the plug is there or not. True while
    /// that is to be told.
    pub(super) fn mind_day(&mut self, now: &Now) -> bool {
        // A clock that was set back far is looked at by the next reading.
        let believed =
            now.plausible() && !self.behind && now.unix_ms.saturating_add(CLOCK_SET_MS) >= self.unix_ms;
        self.day.mind(now, believed, self.ports.iter().map(|port| port.energy))
    }

    /// When to do so again.
    pub(super) fn day_at(&self) -> Option<Duration> {
        self.day.at()
    }

    /// A day has begun while the plug is away for so long that what it was told to have drawn before
    /// this run can be laid beside what is remembered, without a reading.
    pub(super) fn waits_for_day(&self, now: &Now, poll: Duration) -> bool {
        let away = now.ms_since(self.unix_ms).map(Duration::from_millis);
        self.day.has_turned() && self.read_at.is_none() && away.is_some_and(|away| away > longest(poll))
    }

    /// Notes when it was metered last. True when the wall clock cannot be laid beside what was
    /// metered before: it was set, or is behind.
    fn stamp(&mut self, now: &Now, longest: Duration) -> bool {
        let before = self.read_at.replace(now.up);
        let passed = now.up.saturating_sub(before.unwrap_or(now.up));
        // What the clock would show if it had been right when it was metered last.
        let expected = self.unix_ms.saturating_add(millis(passed));
        let believed = self.unix_ms >= Now::RELEASED_MS;
        self.behind |= believed && (!now.plausible() || (before.is_none() && now.unix_ms < self.unix_ms));
        let zero_ms = std::mem::replace(&mut self.zero_ms, now.zero_ms());
        let was_set = before.is_some() && zero_ms.abs_diff(self.zero_ms) > CLOCK_SET_MS;
        let wrong = now.unix_ms < expected && (now.up < SETTLED || !now.plausible());
        if self.behind && wrong {
            self.unix_ms = expected;
            return true;
        }
        if std::mem::take(&mut self.behind) {
            let away = Duration::from_millis(now.ms_since(expected).unwrap_or(0));
            self.unmetered += if away > longest { away } else { Duration::ZERO };
        }
        self.unix_ms = now.unix_ms;
        was_set
    }

    /// Keeps hours from now on, or not any more.
    pub(super) fn keep_hours(&mut self, now: &Now, keep: bool) {
        match keep {
            true => drop(self.hours.get_or_insert_with(|| Box::new(Hours::new(now)))),
            false => self.hours = None,
        }
    }

    /// The plug's own counters are others from now on.
    pub(super) fn forget_counters(&mut self) {
        self.counters = Counters::default();
    }

    /// Hours were missed that the plug's own record could fill.
    pub(super) fn wants_record(&self, now: &Now) -> bool {
        self.hours.as_ref().is_some_and(|hours| hours.wants_record(now))
    }

    /// Adds what a plug's own record has for hours that were missed.
    ///
    /// # Errors
    ///
    /// Why the record cannot be believed, in words.
    pub(super) fn fill(&mut self, now: &Now, record: &RawHistory) -> Result<Vec<Filled>, &'static str> {
        let Some(hours) = &mut self.hours else { return Ok(Vec::new()) };
        let filled = hours.compare(record, now)?;
        self.day.reopen();
        hours.fill(&filled);
        for hour in &filled {
            for (index, (port, missed)) in self.ports.iter_mut().zip(&hour.ports).enumerate() {
                port.energy.add(*missed);
                self.day.credit(now, index, *missed, hour.unix_ms);
            }
        }
        Ok(filled)
    }

    /// How a plug's own record is to be read, when it agrees with what was metered.
    pub(super) fn meaning(&self, now: &Now, record: &RawHistory) -> Option<Meaning> {
        self.hours.as_ref()?.meaning(record, now)
    }

    /// What earlier runs have told is known: no meter shows less. Before this none shows anything.
    pub(super) fn raise(&mut self, id: &PlugId, ports: u8, floors: &Floors, now: &Now) {
        let Some(began) = self.began.take() else { return };
        self.ports.resize(self.ports.len().max(ports.into()), Port::default());
        self.day.reopen();
        let floors = floors::complete(floors, &began.ports, self.ports.len());
        for (index, port) in self.ports.iter_mut().enumerate() {
            let start = began.ports.get(index).copied().unwrap_or_default();
            let Some(floor) = floors.get(index).copied() else { continue };
            let lead = floor.beyond(start);
            if began.unix_ms != 0 {
                // No time where the clock cannot be believed: what was told after the file was written.
                let passed = now.ms_since(began.unix_ms).unwrap_or(0);
                let mut most = Energy::drawn(MAX_WATTS, MAX_WATTS, passed);
                most.add(Energy::drawn(MAX_WATTS, MAX_WATTS, millis(SAVE_STILL)));
                if lead > most {
                    warn!(plug = %id, port = index + 1, retained = %floor, remembered = %start, "ignoring the energy retained on the broker: more than can have been consumed; correct it with energy_set if it is right");
                    continue;
                }
            }
            port.energy.add(lead);
            self.counters.lifted(index, now, lead);
            // Since the file was written; without one nobody knows when.
            self.day.credit(now, index, lead, began.unix_ms);
            if let Some(hours) = &mut self.hours {
                hours.credit(index, lead);
            }
        }
    }

    /// What others have told while this run could not see it, for so long: another bridge may have metered
    /// in its place. No meter shows less.
    pub(super) fn lift(&mut self, id: &PlugId, floors: &Floors, apart: Duration, now: &Now) {
        let span = apart + SAVE_STILL;
        let most = Energy::drawn(MAX_WATTS, MAX_WATTS, millis(span));
        let began: Vec<Energy> = self.ports.iter().map(|port| port.energy).collect();
        let since_ms = now.unix_ms.saturating_sub(millis(apart));
        for (index, floor) in floors::complete(floors, &began, began.len()).into_iter().enumerate() {
            let Some(port) = self.ports.get_mut(index) else { continue };
            let lead = floor.beyond(port.energy);
            // What was set by hand is right, and may not have reached the broker.
            let set = port.set_at.is_some_and(|at| at + span >= now.up);
            if lead == Energy::default() || set {
                continue;
            }
            if lead > most {
                warn!(plug = %id, port = index + 1, retained = %floor, metered = %port.energy, "ignoring the energy retained on the broker: more than can have been consumed meanwhile; correct it with energy_set if it is right");
                continue;
            }
            port.energy.add(lead);
            self.counters.lifted(index, now, lead);
            self.day.reopen();
            self.day.credit(now, index, lead, since_ms);
            if let Some(hours) = &mut self.hours {
                hours.credit(index, lead);
            }
        }
    }

    /// Somebody knows better.
    pub(super) fn set(&mut self, now: &Now, port: u8, energy: Energy) {
        let Some(index) = port_index(port) else { return };
        if self.ports.len() <= index {
            self.ports.resize(index + 1, Port::default());
        }
        if let Some(port) = self.ports.get_mut(index) {
            self.day.set(index, port.energy, energy);
            (port.energy, port.set_at) = (energy, Some(now.up));
            self.counters.set(index);
        }
        // From here on the figure is what was said, whatever earlier runs have told.
        if let Some(began) = &mut self.began {
            began.ports.resize(began.ports.len().max(index + 1), Energy::default());
            if let Some(start) = began.ports.get_mut(index) {
                *start = Energy::MAX;
            }
        }
    }

    /// It may be shown: nobody was ever told more.
    pub(super) fn certain(&self) -> bool {
        self.began.is_none()
    }

    /// What a port has drawn, exactly.
    pub(super) fn exact(&self, port: u8) -> Energy {
        self.ports.port(port).map(|port| port.energy).unwrap_or_default()
    }

    /// What a port has drawn, cut off after the digits that are shown.
    pub(super) fn port(&self, port: u8) -> Energy {
        self.exact(port).shown()
    }

    /// Whether this port has drawn anything, in this run or before.
    pub(super) fn has_metered(&self, port: u8) -> bool {
        self.exact(port) != Energy::default()
    }

    /// The sum of what the ports show.
    pub(super) fn total(&self) -> Energy {
        self.ports.iter().map(|port| port.energy.shown()).sum()
    }

    pub(super) fn unmetered_s(&self) -> u64 {
        self.unmetered.as_secs()
    }

    /// It has moved far enough from what was told, and long enough ago.
    pub(super) fn worth(&self, now: &Now, told: Option<Energy>, threshold: Energy) -> bool {
        self.certain()
            && (self.day.has_turned()
                || told.is_none_or(|told| {
                    now.up >= self.told_at + TOLD_EVERY && self.total().beyond(told) >= threshold
                }))
    }

    /// How soon it should be written down; `None` while nothing was ever metered.
    pub(super) fn save_within(&mut self) -> Option<Duration> {
        let total = self.total();
        // It may have been set to less.
        self.written = self.written.min(total);
        let moved = std::mem::replace(&mut self.noted, total) != total;
        let within = if total.beyond(self.written).wh() >= 1.0 {
            self.written = total;
            SAVE_FAR
        } else if moved {
            SAVE_MOVED
        } else {
            SAVE_STILL
        };
        (self.unix_ms != 0).then_some(within)
    }

    /// Shows what the meters show, all at once, so that what the ports show adds up to what the plug shows.
    pub(super) fn show(&mut self, now: &Now, view: &mut PlugView) {
        if !self.certain() {
            return;
        }
        let lately = self.day.take_due(now);
        for (index, (port, told)) in (1u8..).zip(&mut view.ports).enumerate() {
            told.energy = Some(self.port(port));
            told.lately = if lately { self.day.drawn(index, self.exact(port)) } else { told.lately };
        }
        view.energy = Some(self.total());
        view.unmetered_s = self.unmetered_s();
        self.told_at = now.up;
    }
}

/// Readings further apart have a gap between them.
fn longest(poll: Duration) -> Duration {
    (poll * GAP_POLLS).max(SHORT)
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
