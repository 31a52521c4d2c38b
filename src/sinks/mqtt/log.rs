//! `bridge/log`: the program's own log lines, for those who opt in. A layer of the subscriber puts
//! them into a bounded channel; a line like the one before is folded, and a flood is cut.

use crate::model::{LogLevel, iso};
use serde_json::{Map, Value, json};
use std::fmt::{self, Debug};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Lines that may wait; more are dropped and counted in the next line.
const MAX_WAITING: usize = 64;

/// Lines a second, at the most.
const MAX_RATE: u32 = 10;

/// The same line again within this time is counted instead of told.
const FOLD: Duration = Duration::from_secs(60);

/// Lines on their way to the broker.
pub type Lines = mpsc::Receiver<Value>;

/// A layer for the subscriber. Clones are the same layer.
#[derive(Debug, Clone)]
pub struct LogTopic {
    way: Arc<Mutex<Way>>,
}

/// Where lines go, and how many.
#[derive(Debug, Default)]
struct Way {
    level: Option<Level>,
    lines: Option<mpsc::Sender<Value>>,
    pace: Pace,
}

#[derive(Debug, Default)]
struct Pace {
    last: String,
    last_at: Option<Instant>,
    folded: u32,
    second: Option<Instant>,
    told: u32,
    dropped: u32,
}

impl LogTopic {
    /// A layer that tells lines down to `level`; without one it tells none.
    pub fn new(level: Option<LogLevel>) -> Self {
        let topic = Self { way: Arc::default() };
        topic.set_level(level);
        topic
    }

    /// Tells lines down to this level from now on.
    pub fn set_level(&self, level: Option<LogLevel>) {
        let level = level.map(|level| match level {
            LogLevel::Error => Level::ERROR,
            LogLevel::Warn => Level::WARN,
            // Below that a log about publishing would be published.
            LogLevel::Info | LogLevel::Debug | LogLevel::Trace => Level::INFO,
        });
        if let Ok(mut way) = self.way.lock() {
            way.level = level;
        }
    }

    /// Where lines arrive from now on.
    pub fn lines(&self) -> Lines {
        let (lines, arriving) = mpsc::channel(MAX_WAITING);
        if let Ok(mut way) = self.way.lock() {
            way.lines = Some(lines);
        }
        arriving
    }
}

impl Pace {
    /// Whether this line is told, and what was kept back before it.
    fn admit(&mut self, line: &str, now: Instant) -> Option<(u32, u32)> {
        if line == self.last && self.last_at.is_some_and(|at| now.duration_since(at) < FOLD) {
            self.folded += 1;
            return None;
        }
        if self.second.is_none_or(|second| now.duration_since(second) >= Duration::from_secs(1)) {
            self.second = Some(now);
            self.told = 0;
        }
        if self.told >= MAX_RATE {
            self.dropped += 1;
            return None;
        }
        self.told += 1;
        self.last = line.into();
        self.last_at = Some(now);
        Some((std::mem::take(&mut self.folded), std::mem::take(&mut self.dropped)))
    }
}

impl<S: Subscriber> Layer<S> for LogTopic {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let meta = event.metadata();
        let told = self.way.lock().is_ok_and(|way| way.level.is_some_and(|level| *meta.level() <= level));
        if !told || !meta.target().starts_with("plug2mqtt") {
            return;
        }
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = meta.level().as_str().to_lowercase();
        let line = format!("{level} {} {:?}", fields.message, fields.others);
        let Ok(mut way) = self.way.lock() else { return };
        let Some((folded, dropped)) = way.pace.admit(&line, Instant::now()) else { return };
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut all = json!({
            "ts": iso(u64::try_from(since.as_millis()).unwrap_or_default()),
            "level": level,
            "message": fields.message,
        });
        if let Some(object) = all.as_object_mut() {
            object.extend(fields.others);
            for (key, count) in [("repeated", folded), ("dropped", dropped)] {
                if count > 0 {
                    object.insert(key.into(), count.into());
                }
            }
        }
        if way.lines.as_ref().is_some_and(|lines| lines.try_send(all).is_err()) {
            way.pace.dropped += 1;
        }
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Map<String, Value>,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = bounded(value);
        if field.name() == "message" {
            self.message = text;
        } else {
            self.others.insert(field.name().into(), text.into());
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.others.insert(field.name().into(), value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.others.insert(field.name().into(), value.into());
    }
}

fn bounded(value: &dyn Debug) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = fmt::write(&mut text, format_args!("{value:?}"));
    text.chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::prelude::*;

    fn lines(log: impl FnOnce()) -> Vec<Value> {
        let layer = LogTopic::new(Some(LogLevel::Warn));
        let mut lines = layer.lines();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        std::iter::from_fn(|| lines.try_recv().ok()).collect()
    }

    #[test]
    fn lines_carry_their_fields_and_nothing_below_the_level() {
        let told = lines(|| {
            tracing::warn!(plug = "maxsmart-x1", port = 3u8, "did not switch");
            tracing::info!("quiet");
            tracing::warn!(target: "rumqttc", "not ours");
        });
        assert_eq!(told.len(), 1);
        assert_eq!(
            (&told[0]["message"], &told[0]["plug"], &told[0]["port"]),
            (&json!("did not switch"), &json!("maxsmart-x1"), &json!(3))
        );
        assert_eq!(told[0]["level"], "warn");
    }

    #[test]
    fn repetitions_are_folded_and_floods_are_cut() {
        let told = lines(|| {
            for _ in 0..5 {
                tracing::error!("again");
            }
            for n in 0..100 {
                tracing::error!(n, "flood");
            }
        });
        assert!(told.len() <= 11, "{}", told.len());
        assert_eq!(told[1]["repeated"], 4);
    }
}
