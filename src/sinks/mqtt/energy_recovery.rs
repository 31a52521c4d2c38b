//! What earlier runs and other bridges have told about energy, read back from the broker before this run
//! tells any: no meter may show less, even when the state file is gone. It is read again at each connection
//! and when another bridge is heard; meanwhile the energy on the broker stays as it is. Pure.
//!
//! Brokers do not say when the last retained message of a subscription has been sent. They send in
//! order, though, so a second subscription follows, to a topic that has just been published; its
//! message comes after all others. Should it not come, or in another order, time ends the phase.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::model::{HubRequest, Metered, PlugId, PlugView, port_number};
use std::collections::BTreeMap;
use std::sync::Arc;
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

/// Others who are heard make the meters be read again at most this often.
const AGAIN_EVERY: Duration = Duration::from_secs(60);

/// How far reading back has come.
#[derive(Debug, Default)]
pub(super) struct EnergyRecovery {
    done: bool,
    /// The mark was seen.
    marked: bool,
    /// It came to its end without a mark: the broker does not show what it has.
    in_vain: bool,
    ends_at: Option<Duration>,
    began: Duration,
    found: BTreeMap<(PlugId, Option<u8>), f64>,
    /// For how long others may have metered; not in a run's first time, which shows no energy before.
    apart: Duration,
    /// [`BridgeView::meters_read`](crate::model::BridgeView) before the hub has heard of what was found.
    waits_for: Option<u32>,
    /// Energy was held back.
    holds: bool,
}

/// What was read back.
#[derive(Debug)]
pub(super) struct Recovered {
    /// What the hub is to hear of it.
    pub(super) told: HubRequest,
    /// Why that may not be all, in a sentence.
    pub(super) problem: Option<String>,
}

impl EnergyRecovery {
    /// Nothing is to be had from this broker.
    pub(super) fn in_vain(&self) -> bool {
        self.in_vain
    }

    pub(super) fn ends_at(&self) -> Option<Duration> {
        self.ends_at
    }

    /// Begins at each connection; what one has brought that did not last until the end stays. Others may have
    /// metered for so long. Whether it begins: then the [`filters`] are to be subscribed to, the last one at last.
    pub(super) fn begin(&mut self, now: Duration, apart: Duration) -> bool {
        if self.in_vain {
            return false;
        }
        let old = std::mem::take(self);
        *self = Self {
            done: old.done,
            ends_at: Some(now + LONGEST),
            began: now,
            found: old.found,
            apart: old.apart.max(apart),
            holds: old.holds,
            ..Self::default()
        };
        true
    }

    /// The same while a connection lasts, now and then.
    pub(super) fn begin_again(&mut self, now: Duration) -> bool {
        let may = self.done && self.ends_at.is_none() && now >= self.began + AGAIN_EVERY;
        may && self.begin(now, Duration::ZERO)
    }

    /// A retained meter.
    pub(super) fn take(&mut self, now: Duration, told: Metered) {
        if self.ends_at.is_none() {
            return;
        }
        let pause = if self.marked { QUIET } else { LONGEST };
        self.ends_at = Some((now + pause).min(self.began + ENDLESS));
        if self.found.len() < MAX_METERS {
            self.found.insert((told.plug, told.port), told.kwh);
        }
    }

    /// The message that comes after all others.
    pub(super) fn marked(&mut self, now: Duration) {
        if self.ends_at.is_some() {
            self.marked = true;
            self.ends_at = Some(now + QUIET);
        }
    }

    /// What was found is not known to the meters yet: energy stays on the broker as it is.
    pub(super) fn holds_energy(&self) -> bool {
        self.done && (self.ends_at.is_some() || self.waits_for.is_some())
    }

    /// The picture of a plug with the energy that the broker has of it, `sent`, while energy is held back.
    pub(super) fn holding(&mut self, plug: &PlugView, sent: Option<&PlugView>) -> Option<Arc<PlugView>> {
        if !self.holds_energy() {
            return None;
        }
        self.holds = true;
        let mut held = plug.clone();
        held.energy = sent.and_then(|sent| sent.energy);
        for (index, port) in held.ports.iter_mut().enumerate() {
            port.energy = sent.and_then(|sent| sent.ports.get(index)?.energy);
        }
        Some(Arc::new(held))
    }

    /// Whether energy that was held back may be published now: the meters have heard what was found.
    pub(super) fn releases_energy(&mut self, meters_read: u32) -> bool {
        let heard = self.waits_for.take_if(|before| *before != meters_read).is_some();
        heard && std::mem::take(&mut self.holds)
    }

    /// What was read back, once, when that has come to its end.
    pub(super) fn end(&mut self, now: Duration, base: &str, meters_read: u32) -> Option<Recovered> {
        let at = self.ends_at.filter(|at| *at <= now)?;
        // Nobody has listened meanwhile: what has come may still wait to be heard.
        if now.saturating_sub(at) > STALLED && now < self.began + ENDLESS {
            let pause = if self.marked { QUIET } else { LONGEST };
            self.ends_at = Some(now + pause);
            return None;
        }
        let old = std::mem::take(self);
        *self = Self {
            done: true,
            in_vain: !old.marked && !old.done,
            began: old.began,
            waits_for: old.done.then_some(meters_read),
            holds: old.holds,
            ..Self::default()
        };
        let problem = self.in_vain.then(|| {
            format!(
                "the broker does not show {}, which it is told to retain, so meters may begin anew; allow reading \
                 and writing below {base} in its access rules, and messages of 1 KiB, or restart when it is quicker",
                mark(base)
            )
        });
        if let Some(problem) = &problem {
            warn!("{problem}");
        }
        debug!(meters = old.found.len(), "read back from the broker");
        let told = old.found.into_iter().map(|((plug, port), kwh)| Metered { plug, port, kwh }).collect();
        let told = match old.done {
            true => HubRequest::MeteredMeanwhile(told, old.apart),
            false => HubRequest::Metered(told),
        };
        Some(Recovered { told, problem })
    }
}

/// What is subscribed to: the meters of ports, those of plugs, and the topic whose message comes after all others.
pub(super) fn filters(base: &str) -> [String; 3] {
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
        Some((plug, port)) => (plug, Some(port_number(port)?)),
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
