//! How fast lines of one kind are told. A kind is a place in the program that logs, whatever it says:
//! a burst of lines and then one a second. What is held back is counted and summed up.

use std::collections::HashMap;
use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::callsite::Identifier;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber, error, info, warn};
use tracing_subscriber::layer::{Context, Layer};

/// Lines of one kind that are told at once: all plugs of a large house may be found together.
const BURST: u32 = 100;

/// Then one more after each of these.
const REFILL: Duration = Duration::from_secs(1);

/// Of a line that stands for others.
const MAX_SAMPLE: usize = 120;

/// A layer for the subscriber. Clones are the same layer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Pace(Arc<Mutex<HashMap<Identifier, Kind>>>);

/// What is known of one kind.
#[derive(Debug)]
struct Kind {
    level: Level,
    /// Lines that may still be told, as they were at that time.
    left: u32,
    since: Instant,
    held: u64,
    sample: String,
}

impl Kind {
    /// Whether a line may be told now.
    fn admits(&mut self, now: Instant) -> bool {
        let refills = now.duration_since(self.since).as_secs() / REFILL.as_secs();
        let refills = u32::try_from(refills).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(refills).min(BURST);
        self.since += REFILL * refills;
        let admitted = self.left > 0;
        self.left = self.left.saturating_sub(1);
        admitted
    }
}

impl Pace {
    /// Says how many lines were held back since the last time.
    pub(crate) fn sum_up(&self) {
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = kinds.values_mut().filter(|kind| kind.held > 0);
        let held: Vec<_> = held
            .map(|kind| (kind.level, std::mem::take(&mut kind.held), std::mem::take(&mut kind.sample)))
            .collect();
        drop(kinds);
        for (level, lines, like) in held {
            if level == Level::ERROR {
                error!(target: super::OWN, "{lines} more lines like this: {like}");
            } else if level == Level::WARN {
                warn!(target: super::OWN, "{lines} more lines like this: {like}");
            } else {
                info!(target: super::OWN, "{lines} more lines like this: {like}");
            }
        }
    }

    fn admits(&self, event: &Event<'_>, now: Instant) -> bool {
        let meta = event.metadata();
        // Who asks for details gets them all; what is said about the log is said seldom anyway.
        if *meta.level() > Level::INFO || meta.target() == super::OWN {
            return true;
        }
        let mut kinds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kind = kinds.entry(meta.callsite()).or_insert_with(|| Kind {
            level: *meta.level(),
            left: BURST,
            since: now,
            held: 0,
            sample: String::new(),
        });
        let admitted = kind.admits(now);
        if !admitted {
            kind.held += 1;
            if kind.held == 1 {
                event.record(&mut Sample(&mut kind.sample));
            }
        }
        admitted
    }
}

impl<S: Subscriber> Layer<S> for Pace {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        self.admits(event, Instant::now())
    }
}

/// Takes the text of a line.
struct Sample<'a>(&'a mut String);

impl Visit for Sample<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            let mut text = String::new();
            // Writing to a string cannot fail.
            let _ = write!(text, "{value:?}");
            self.0.extend(text.chars().filter(|c| !c.is_control()).take(MAX_SAMPLE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::writer::Way;
    use super::*;
    use std::io;
    use tracing_subscriber::prelude::*;

    #[derive(Clone, Default)]
    struct Text(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Text {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_flood_of_one_kind_is_cut_counted_and_costs_other_kinds_nothing() {
        let (pace, way, text) = (Pace::default(), Way::default(), Text::default());
        way.start(text.clone(), Pace::default()).unwrap();
        let lines = tracing_subscriber::fmt::layer().with_writer(way.clone()).with_ansi(false);
        let registry = tracing_subscriber::registry().with(pace.clone()).with(lines);
        tracing::subscriber::with_default(registry, || {
            for n in 0..5000 {
                warn!(n, "knocks at the door");
                tracing::debug!(n, "a detail");
            }
            error!("something else");
            pace.sum_up();
            pace.sum_up();
        });
        way.finish(Duration::from_secs(10));
        let text = String::from_utf8(text.0.lock().unwrap().clone()).unwrap();
        let count = |part: &str| text.lines().filter(|line| line.contains(part)).count();
        let told = count(": knocks at the door");
        assert!((100..150).contains(&told), "{told}");
        assert_eq!(count("something else"), 1);
        assert_eq!(count("more lines like this: knocks at the door"), 1, "{text}");
    }

    #[test]
    fn a_kind_recovers() {
        let start = Instant::now();
        let mut kind = Kind { level: Level::WARN, left: BURST, since: start, held: 0, sample: String::new() };
        let admitted = |kind: &mut Kind, at: Duration| (0..1000).filter(|_| kind.admits(start + at)).count();
        assert_eq!(admitted(&mut kind, Duration::ZERO), 100);
        assert_eq!(admitted(&mut kind, Duration::from_millis(900)), 0);
        assert_eq!(admitted(&mut kind, Duration::from_millis(2100)), 2);
        assert_eq!(admitted(&mut kind, Duration::from_secs(3600)), 100);
    }
}
