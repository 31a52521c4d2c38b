//! What the bridge publishes about itself: `bridge/info`, `bridge/problem`, `bridge/devices`, `bridge/health`.
//! Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::counters::Metrics;
use super::settings::Settings;
use super::topics;
use crate::model::{BridgeView, View, shortened};
use serde_json::Value;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// Characters of what is wrong with the bridge in its health.
const MAX_PROBLEM: usize = 200;

/// The reasons under which something is a problem of the bridge.
pub(super) const ANOTHER_BRIDGE: &str = "another_bridge";
pub(super) const TOO_LARGE: &str = "too_large";
pub(super) const READ_BACK: &str = "read_back";
pub(super) const REFUSED: &str = "refused";
pub(super) const DISCOVERY: &str = "discovery";
const UNSTEADY: &str = "unsteady";

/// A connection that lasts so long is a good one.
const STEADY: Duration = Duration::from_secs(60);

/// Pause between two lists of a fleet that is still being published.
const LIST_EVERY: Duration = Duration::from_secs(1);

/// What is wrong with the connection or on the broker, and what the broker has of the bridge.
#[derive(Debug, Default)]
pub(super) struct BridgeTopics {
    /// A sentence for each reason.
    problems: BTreeMap<&'static str, String>,
    /// When the connection has lasted long enough, where those before it soon ended.
    steady_at: Option<Duration>,
    sent: Sent,
}

/// The bridge as the broker has it, on one connection.
#[derive(Debug, Default)]
struct Sent {
    bridge: Option<Arc<BridgeView>>,
    info: String,
    problem: Option<Option<String>>,
    /// Of `bridge/devices`, hashed: of a fleet it is long.
    devices: Option<u64>,
    devices_at: Option<Duration>,
    health_of: Option<u64>,
}

/// What must be published.
#[derive(Debug, Default)]
pub(super) struct Renewed {
    /// Topics and payloads.
    pub(super) messages: Vec<(String, String)>,
    /// And then `bridge/health`, of which only the owner of the connection knows all.
    pub(super) health: bool,
}

impl BridgeTopics {
    /// Everything is to be published anew, on a new connection.
    pub(super) fn connected(&mut self, now: Duration) {
        self.sent = Sent::default();
        self.steady_at = self.problems.contains_key(UNSTEADY).then(|| now + STEADY);
    }

    /// One connection after the other has soon ended; a problem until one lasts.
    pub(super) fn unsteady(&mut self, why: String) {
        self.steady_at = None;
        self.set_problem(UNSTEADY, Some(why));
    }

    /// Everything is to be published again.
    pub(super) fn restart(&mut self) {
        self.sent = Sent { devices_at: self.sent.devices_at, ..Sent::default() };
    }

    /// What is wrong for this reason; `None` when nothing is any more.
    pub(super) fn set_problem(&mut self, reason: &'static str, sentence: Option<String>) {
        if self.problems.get(reason) == sentence.as_ref() {
            return;
        }
        match sentence {
            Some(sentence) => self.problems.insert(reason, sentence),
            None => self.problems.remove(reason),
        };
        self.sent.bridge = None;
    }

    /// What ended the connections was found, and is avoided.
    pub(super) fn steady(&mut self) {
        self.steady_at = None;
        self.set_problem(UNSTEADY, None);
    }

    /// All that is wrong with the bridge, in one text.
    fn problem(&self, bridge: &BridgeView) -> Option<String> {
        let all = self.problems.values().chain(bridge.problems.values());
        let all: Vec<&str> = all.map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// The list of plugs has changed.
    pub(super) fn list_changed(&mut self, now: Duration) {
        self.sent.devices_at.get_or_insert(now);
    }

    /// When there is a list to publish, or a problem is over.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        self.sent.devices_at.into_iter().chain(self.steady_at).min()
    }

    /// `bridge/info` as the broker has it; empty while it has none.
    pub(super) fn info(&self) -> &str {
        &self.sent.info
    }

    /// What differs between what the broker has and what is. While not all plugs are `done`, the list is not
    /// complete.
    pub(super) fn renew(&mut self, now: Duration, settings: &Settings, view: &View, done: bool) -> Renewed {
        let base = &settings.announcer.base;
        let mut messages = Vec::new();
        if self.steady_at.take_if(|at| *at <= now).is_some() {
            self.set_problem(UNSTEADY, None);
        }
        if self.sent.bridge.as_ref().is_none_or(|sent| !Arc::ptr_eq(sent, &view.bridge)) {
            self.sent.bridge = Some(Arc::clone(&view.bridge));
            let problem = self.problem(&view.bridge);
            let info = topics::bridge_info(base, &settings.facts, &view.bridge, problem.as_deref());
            let info = info.to_string();
            if info != self.sent.info {
                messages.push((format!("{base}/bridge/info"), info.clone()));
                self.sent.info = info;
            }
            if self.sent.problem.as_ref() != Some(&problem) {
                let word = topics::on_off(problem.is_some());
                messages.push((format!("{base}/bridge/problem"), word.into()));
                // Figures of a minute ago do not say it.
                self.sent.health_of = None;
                self.sent.problem = Some(problem);
            }
        }
        if self.sent.devices.is_none() || self.sent.devices_at.is_some_and(|at| at <= now) {
            let again = self.sent.devices.is_some();
            self.sent.devices_at = (again && !done).then(|| now + LIST_EVERY);
            let devices = topics::devices(view);
            let mut hasher = DefaultHasher::new();
            devices.hash(&mut hasher);
            let says = Some(hasher.finish());
            if std::mem::replace(&mut self.sent.devices, says) != says {
                messages.push((format!("{base}/bridge/devices"), devices));
                // How many are online is told with who they are.
                self.sent.health_of = None;
            }
        }
        let figures = Some(view.bridge.stats.unix_ms);
        let health = std::mem::replace(&mut self.sent.health_of, figures) != figures;
        Renewed { messages, health }
    }

    /// `bridge/health`.
    pub(super) fn health(&self, view: &View, version: &str, reconnects: u64, figures: Metrics) -> Value {
        // All of it is in `bridge/info`.
        let problem = self.problem(&view.bridge).map(|problem| shortened(&problem, MAX_PROBLEM));
        topics::health(view, version, reconnects, figures, problem.as_deref())
    }
}
