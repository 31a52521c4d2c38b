//! What earlier runs and other bridges have told about energy, read back from the broker before this run
//! tells any: no meter may show less, even when the state file is gone. It is read again at each connection
//! and when another bridge is heard; meanwhile the energy on the broker stays as it is. Pure.
//!
//! Brokers do not say when the last retained message of a subscription has been sent. They send in
//! order, though, so a second subscription follows, to a topic that has just been published; its
//! message comes after all others. Should it not come, or in another order, time ends the phase.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::session::{Outgoing, Session};
use crate::model::{HubRequest, Metered, Moment, PlugId, PlugView};
use std::collections::{BTreeMap, BTreeSet};
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
pub(super) struct ReadBack {
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

impl ReadBack {
    /// Nothing is to be had from this broker.
    pub(super) fn in_vain(&self) -> bool {
        self.in_vain
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
    /// Begins at each connection; what one has brought that did not last until the end stays. Others may
    /// have metered for so long.
    pub(super) fn begin_read_back(&mut self, apart: Duration) {
        if self.read_back.in_vain {
            return;
        }
        let [port, plug, _] = filters(self.base());
        self.look_at(vec![port, plug]);
        let (began, old) = (self.now.up, std::mem::take(&mut self.read_back));
        self.read_back = ReadBack {
            done: old.done,
            ends_at: Some(began + LONGEST),
            began,
            found: old.found,
            apart: old.apart.max(apart),
            holds: old.holds,
            ..ReadBack::default()
        };
    }

    /// Asks for the message that comes after all others.
    pub(super) fn read_mark(&mut self) {
        if !self.read_back.in_vain {
            self.subscribe(vec![mark(self.base())]);
        }
    }

    /// Another bridge was heard, or is gone.
    pub(super) fn read_meters_again(&mut self) {
        let ReadBack { done, ends_at, began, .. } = self.read_back;
        if done && ends_at.is_none() && self.now.up >= began + AGAIN_EVERY {
            self.begin_read_back(Duration::ZERO);
            self.read_mark();
        }
    }

    /// What was found is not known to the meters yet: energy stays on the broker as it is.
    pub(super) fn holds_energy(&self) -> bool {
        self.read_back.done && (self.read_back.ends_at.is_some() || self.read_back.waits_for.is_some())
    }

    /// The picture of a plug with the energy that the broker has, while energy is held back.
    pub(super) fn holding(&mut self, id: &PlugId, plug: &PlugView) -> Option<Arc<PlugView>> {
        if !self.holds_energy() {
            return None;
        }
        self.read_back.holds = true;
        let sent = self.told.sent.get(id);
        let mut held = plug.clone();
        held.energy = sent.and_then(|sent| sent.energy);
        for (index, port) in held.ports.iter_mut().enumerate() {
            port.energy = sent.and_then(|sent| sent.ports.get(index)?.energy);
        }
        Some(Arc::new(held))
    }

    /// Tells the energy that was held back, when the meters have heard what was found.
    pub(super) fn release_energy(&mut self) {
        let read = self.view.bridge.meters_read;
        if self.read_back.waits_for.take_if(|before| *before != read).is_none() {
            return;
        }
        if std::mem::take(&mut self.read_back.holds) {
            let view = Arc::clone(&self.view);
            let differs = |id: &&PlugId| {
                let sent = self.told.sent.get(*id);
                sent.is_some_and(|sent| view.plugs.get(*id).is_some_and(|plug| !Arc::ptr_eq(sent, plug)))
            };
            let held: Vec<PlugId> = view.plugs.keys().filter(differs).cloned().collect();
            let waiting: BTreeSet<PlugId> = self.told.todo.iter().cloned().collect();
            self.told.todo.extend(held.into_iter().filter(|id| !waiting.contains(id)));
        }
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
        if !self.read_back.marked && !self.read_back.done {
            let what = format!(
                "the broker does not show what it has retained below {}, so meters may begin anew; allow \
                 reading it in its access rules, or restart when it is quicker",
                self.base()
            );
            warn!("{what}");
            self.set_problem("read_back", Some(what));
        }
        let old = std::mem::take(&mut self.read_back);
        let (found, waits_for) = (old.found, old.done.then_some(self.view.bridge.meters_read));
        self.read_back = ReadBack {
            done: true,
            in_vain: !old.marked && !old.done,
            began: old.began,
            waits_for,
            holds: old.holds,
            ..ReadBack::default()
        };
        debug!(meters = found.len(), "read back from the broker");
        let [port, plug, _] = filters(self.base());
        self.send(Outgoing::Unsubscribe(vec![port, plug]));
        let told = found.into_iter().map(|((plug, port), kwh)| Metered { plug, port, kwh }).collect();
        self.send(Outgoing::HubRequest(match old.done {
            true => HubRequest::MeteredMeanwhile(told, old.apart),
            false => HubRequest::Metered(told),
        }));
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
