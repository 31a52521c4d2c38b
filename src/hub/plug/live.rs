//! How old what a plug has told is: a value that was not told for some polls is not known any more, and
//! neither is anything about a port that is not told at all. And how many ports it has: that changes
//! only when it was told several times.

use crate::model::{Now, PerPort, PortReading, Reading};
use std::time::Duration;

/// A value that was not told for so many polls is not known any more, but not before [`SHORT`].
const POLLS: u32 = 3;
const SHORT: Duration = Duration::from_secs(15);

/// So often in a row another number of ports must be told to be believed: more, and fewer.
const MORE: u8 = 3;
const FEWER: u8 = 12;

/// Ports named one by one in what is said about them.
const NAMED: usize = 3;

/// A plug as it was last read.
#[derive(Debug, Default)]
pub(super) struct Live {
    /// Port 1 first.
    ports: Vec<PortReading>,
    volts: Option<f64>,
    signal: Option<f64>,
    ages: Ages,
}

/// When each value was told last.
#[derive(Debug, Default)]
struct Ages {
    /// Port 1 first: relay, power, current and voltage.
    ports: Vec<[Age; 4]>,
    volts: Age,
    signal: Age,
    /// When it was read first.
    since: Option<Duration>,
    /// Another number of ports than it has, and how often in a row that was told.
    shape: Option<(u8, u8)>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Age {
    /// When it was told last; `None` while it never was.
    at: Option<Duration>,
    /// It was told, and is not any more.
    lost: bool,
}

impl Age {
    /// Takes a value in, or its absence. What an earlier run has had is awaited from `since` on.
    fn take<T>(
        &mut self,
        up: Duration,
        longest: Duration,
        since: Option<Duration>,
        live: &mut Option<T>,
        heard: Option<T>,
    ) {
        if heard.is_some() {
            *live = heard;
            *self = Self { at: Some(up), lost: false };
        } else if self.at.or(since).is_some_and(|at| up.saturating_sub(at) > longest) {
            *live = None;
            self.lost = true;
        }
    }
}

impl Ages {
    /// How many ports there are, by what was told now and before.
    fn shape(&mut self, known: u8, told: u8) -> u8 {
        if known == 0 || told == known {
            self.shape = None;
            return told;
        }
        let times = match self.shape {
            Some((same, times)) if same == told => times.saturating_add(1),
            _ => 1,
        };
        self.shape = Some((told, times));
        if times < if told > known { MORE } else { FEWER } {
            return known;
        }
        self.shape = None;
        told
    }

    /// What is not told any more, in words.
    fn words(&self) -> Option<String> {
        let mut missing = Vec::new();
        for (kind, what) in ["state", "power", "current", "voltage"].into_iter().enumerate() {
            let lost =
                |(port, ages): (u8, &[Age; 4])| ages.get(kind).is_some_and(|age| age.lost).then_some(port);
            let ports: Vec<String> =
                (1u8..).zip(&self.ports).filter_map(lost).map(|port| port.to_string()).collect();
            match ports.len() {
                0 => {}
                _ if self.ports.len() == 1 => missing.push(what.to_owned()),
                1 => missing.push(format!("{what} of port {}", ports.concat())),
                2..=NAMED => missing.push(format!("{what} of ports {}", ports.join(", "))),
                many => missing.push(format!("{what} of {many} ports")),
            }
        }
        let rest = [("voltage", self.volts), ("signal", self.signal)];
        missing.extend(rest.iter().filter(|(_, age)| age.lost).map(|(what, _)| (*what).to_owned()));
        (!missing.is_empty()).then(|| format!("not told any more: {}", missing.join(", ")))
    }
}

impl Live {
    /// How many ports there are, by what was told now and before.
    pub(super) fn shape(&mut self, known: u8, told: u8) -> u8 {
        self.ages.shape(known, told)
    }

    /// Takes a reading of so many ports in. A value is too old after three times `poll`; a port that
    /// `has_metered` before this run is expected to do so again.
    pub(super) fn take_in(
        &mut self,
        now: &Now,
        reading: &Reading,
        ports: u8,
        poll: Duration,
        has_metered: impl Fn(u8) -> bool,
    ) {
        let longest = (poll * POLLS).max(SHORT);
        self.ports.resize(ports.into(), PortReading::default());
        let ages = &mut self.ages;
        ages.ports.resize(ports.into(), <[Age; 4]>::default());
        let since = *ages.since.get_or_insert(now.up);
        let both = self.ports.iter_mut().zip(&mut ages.ports);
        for (port, (live, [relay, watts, amps, volts])) in (1u8..).zip(both) {
            let told = reading.ports.port(port);
            let heard = told.copied().unwrap_or_default();
            let longest = if told.is_some() { longest } else { Duration::ZERO };
            let metered = Some(since).filter(|_| has_metered(port));
            // What it drew when it was on says nothing about what it draws when it is off, nor the reverse.
            let off = heard.relay == Some(false);
            let moved = heard.relay.zip(live.relay).is_some_and(|(now, before)| now != before);
            let timeout = if off && live.relay == Some(false) { Duration::ZERO } else { longest };
            if off || moved {
                (live.watts, live.amps) = (None, None);
            }
            relay.take(now.up, longest, None, &mut live.relay, heard.relay);
            watts.take(now.up, timeout, metered, &mut live.watts, heard.watts);
            amps.take(now.up, timeout, None, &mut live.amps, heard.amps);
            volts.take(now.up, longest, None, &mut live.volts, heard.volts);
        }
        ages.volts.take(now.up, longest, None, &mut self.volts, reading.volts);
        ages.signal.take(now.up, longest, None, &mut self.signal, reading.signal);
    }

    /// Port 1 first.
    pub(super) fn ports(&self) -> &[PortReading] {
        &self.ports
    }

    pub(super) fn volts(&self) -> Option<f64> {
        self.volts
    }

    pub(super) fn signal(&self) -> Option<f64> {
        self.signal
    }

    /// Watts over all ports, as far as they are told; `None` while one is not told that was.
    pub(super) fn watts(&self) -> Option<f64> {
        if self.ages.ports.iter().any(|[_, watts, ..]| watts.lost) {
            return None;
        }
        self.ports.iter().filter_map(|port| port.watts).reduce(|a, b| a + b)
    }

    /// What is not told any more, in words.
    pub(super) fn missing(&self) -> Option<String> {
        self.ages.words()
    }
}

#[cfg(test)]
mod tests {
    use super::{Ages, FEWER, MORE};

    #[test]
    fn another_number_of_ports_is_believed_when_it_was_told_several_times_in_a_row() {
        let mut ages = Ages::default();
        assert_eq!(ages.shape(0, 6), 6);
        assert_eq!(ages.shape(6, 16), 6);
        assert_eq!(ages.shape(6, 6), 6);
        for _ in 1..MORE {
            assert_eq!(ages.shape(6, 16), 6);
        }
        assert_eq!(ages.shape(6, 15), 6, "in a row, the same");
        for _ in 1..MORE {
            assert_eq!(ages.shape(6, 16), 6);
        }
        assert_eq!(ages.shape(6, 16), 16);
        for _ in 1..FEWER {
            assert_eq!(ages.shape(16, 6), 16);
        }
        assert_eq!(ages.shape(16, 6), 6);
    }
}
