//! What earlier runs have told about energy, read back once from the broker before this run tells
//! any: no meter may show less, even when the state file is gone. Pure.
//!
//! Brokers do not say when the last retained message of a subscription has been sent. They send in
//! order, though, so a second subscription follows, to a topic that has just been published; its
//! message comes after all others. Should it not come, or in another order, time ends the phase.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::session::{Outgoing, Session};
use crate::model::{HubRequest, Metered, Moment, PlugId};
use std::collections::BTreeMap;
use std::time::Duration;
use tracing::{debug, warn};

/// Quiet after the last message that ends the phase.
const QUIET: Duration = Duration::from_millis(500);

/// The longest wait for the next message.
const LONGEST: Duration = Duration::from_secs(10);

/// The longest it may take, as long as something comes.
const ENDLESS: Duration = Duration::from_secs(120);

/// A look that comes so much later than it was due: the program or its machine stood still.
const STALLED: Duration = Duration::from_secs(1);

/// The meters of as many plugs as are ever known, with all ports they can have.
const MAX_METERS: usize = 8192 * 17;

/// Longer payloads are no number.
const MAX_PAYLOAD: usize = 32;

/// How far reading back has come.
#[derive(Debug, Default)]
pub(super) struct ReadBack {
    done: bool,
    /// The mark was seen.
    marked: bool,
    ends_at: Option<Duration>,
    began: Duration,
    found: BTreeMap<(PlugId, Option<u8>), f64>,
}

impl ReadBack {
    pub(super) fn done(&self) -> bool {
        self.done
    }

    pub(super) fn ends_at(&self) -> Option<Duration> {
        self.ends_at
    }

    /// A retained meter.
    pub(super) fn take(&mut self, now: &Moment, told: Metered) {
        if self.ends_at.is_none() {
            return;
        }
        let pause = if self.marked { QUIET } else { LONGEST };
        self.ends_at = Some((now.up + pause).min(self.began + ENDLESS));
        if self.found.len() < MAX_METERS {
            self.found.insert((told.plug, told.port), told.kwh);
        }
    }

    /// The message that comes after all others.
    pub(super) fn marked(&mut self, now: &Moment) {
        if self.ends_at.is_some() {
            self.marked = true;
            self.ends_at = Some(now.up + QUIET);
        }
    }
}

impl Session {
    /// Begins once in a run, and again after a connection that did not last until the end; what
    /// that has brought stays.
    pub(super) fn begin_read_back(&mut self) {
        if self.read_back.done {
            return;
        }
        let [port, plug, mark] = filters(self.base());
        self.look_at(vec![port, plug]);
        self.subscribe(vec![mark]);
        let found = std::mem::take(&mut self.read_back.found);
        let began = self.now.up;
        self.read_back = ReadBack { ends_at: Some(began + LONGEST), began, found, ..ReadBack::default() };
    }

    pub(super) fn end_read_back(&mut self) {
        let now = self.now.up;
        let Some(at) = self.read_back.ends_at.filter(|at| *at <= now) else { return };
        // Nobody has listened meanwhile: what has come may still wait to be heard.
        if now.saturating_sub(at) > STALLED && now < self.read_back.began + ENDLESS {
            let pause = if self.read_back.marked { QUIET } else { LONGEST };
            self.read_back.ends_at = Some(now + pause);
            return;
        }
        if !self.read_back.marked {
            let what = format!(
                "the broker does not show what it has retained below {}, so meters may begin anew; allow \
                 reading it in its access rules, or restart when it is quicker",
                self.base()
            );
            warn!("{what}");
            self.set_problem("read_back", Some(what));
        }
        let found = std::mem::take(&mut self.read_back.found);
        self.read_back = ReadBack { done: true, ..ReadBack::default() };
        debug!(meters = found.len(), "read back from the broker");
        let [port, plug, _] = filters(self.base());
        self.send(Outgoing::Unsubscribe(vec![port, plug]));
        let told = found.into_iter().map(|((plug, port), kwh)| Metered { plug, port, kwh }).collect();
        self.send(Outgoing::HubRequest(HubRequest::Metered(told)));
    }
}

fn filters(base: &str) -> [String; 3] {
    [format!("{base}/+/+/energy"), format!("{base}/+/energy"), mark(base)]
}

/// The topic whose message comes after all others.
pub(super) fn mark(base: &str) -> String {
    format!("{base}/bridge/info")
}

/// A meter as an earlier run told it; `None` when the topic is none of these.
pub(super) fn meter(base: &str, topic: &str, payload: &[u8]) -> Option<Metered> {
    let rest = topic.strip_prefix(base)?.strip_prefix('/')?.strip_suffix("/energy")?;
    let (plug, port) = match rest.split_once('/') {
        Some((plug, port)) => (plug, Some(port.parse::<u8>().ok()?)),
        None => (rest, None),
    };
    let plug = PlugId::new(plug)?;
    let text = std::str::from_utf8(payload).ok().filter(|text| text.len() <= MAX_PAYLOAD);
    let kwh = text.and_then(|text| text.parse::<f64>().ok()).filter(|kwh| kwh.is_finite() && *kwh >= 0.0);
    if kwh.is_none() {
        debug!(topic, "retained energy that is no number; ignored");
    }
    Some(Metered { plug, port, kwh: kwh? })
}

#[cfg(test)]
mod tests;
