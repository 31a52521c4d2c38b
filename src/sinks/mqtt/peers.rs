//! Other bridges on the same base topic: recognised, told, and which of two yields. A topic that
//! somebody left on the broker proves nothing; who answers a `health_check` lives. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::bridge_facts::BridgeFacts;
use crate::model::{PlugId, iso};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// Pause between two looks whether the other one is still there.
const ASK_EVERY: Duration = Duration::from_secs(15);

/// Unheard for so long, it has gone.
const GONE: Duration = Duration::from_secs(40);

/// Pause between two times that our own words are put right on the broker.
const STATE_EVERY: Duration = Duration::from_secs(1);
const INFO_EVERY: Duration = Duration::from_secs(5);

/// Longer names of runs are cut off.
const MAX_NAME: usize = 40;

/// What is longer is not looked at as a whole, and so is no word of a bridge.
const MAX_PAYLOAD: usize = 64 * 1024;

/// A running process, as it tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// A random number made at its start; empty of a version that does not tell one.
    pub run: String,
    /// When it was started, as it tells it.
    pub started: String,
    /// It was told to act though another one does.
    pub take_over: bool,
}

impl Peer {
    /// This process.
    pub(super) fn own(facts: &BridgeFacts) -> Self {
        Self { run: facts.run.clone(), started: iso(facts.started_ms), take_over: facts.take_over }
    }

    /// What it answers to a `health_check`.
    pub(super) fn healthy(&self, health: Value) -> Value {
        json!({
            "healthy": true, "run": self.run, "started": self.started, "take_over": self.take_over, "health": health,
        })
    }

    /// The one that says this on `bridge/info`.
    pub(super) fn informing(payload: &[u8]) -> Option<Self> {
        let json = serde_json::from_slice::<Value>(payload.get(..MAX_PAYLOAD).unwrap_or(payload)).ok()?;
        json.get("version").is_some_and(Value::is_string).then(|| Self::read(&json))
    }

    /// The one that answers a `health_check` like this.
    pub(super) fn answering(payload: &[u8]) -> Option<Self> {
        let json = serde_json::from_slice::<Value>(payload.get(..MAX_PAYLOAD).unwrap_or(payload)).ok()?;
        let data = json.get("data")?;
        (data.get("healthy") == Some(&Value::Bool(true))).then(|| Self::read(data))
    }

    fn read(json: &Value) -> Self {
        let text = |key: &str| {
            let text = json.get(key).and_then(Value::as_str).unwrap_or_default();
            text.chars().filter(|c| c.is_ascii_graphic()).take(MAX_NAME).collect::<String>()
        };
        let take_over = json.get("take_over").and_then(Value::as_bool).unwrap_or_default();
        Self { run: text("run"), started: text("started"), take_over }
    }

    /// Of two that act this one goes on and `other` yields: it was told to take over, or it is the
    /// older one. Of two that were told to, it is the one told last.
    pub(super) fn outranks(&self, other: &Self) -> bool {
        let age = |peer: &Self| (peer.started.clone(), peer.run.clone());
        match (self.take_over, other.take_over) {
            (true, true) => age(self) > age(other),
            (true, false) => true,
            (false, true) => false,
            (false, false) => age(self) < age(other),
        }
    }

    /// What is to be said of it.
    pub fn sentence(&self, base: &str) -> String {
        let since =
            if self.started.is_empty() { String::new() } else { format!(", started {}", self.started) };
        let run = if self.run.is_empty() { String::new() } else { format!(" (run {}{since})", self.run) };
        format!(
            "another bridge acts on the base topic {base}{run}; stop one of the two, or give each its own mqtt.base_topic"
        )
    }
}

/// Where a `health_check` is answered.
pub(super) fn answers(base: &str) -> String {
    format!("{base}/bridge/response/health_check")
}

/// Where the availability of all plugs is told.
pub(super) fn availabilities(base: &str) -> String {
    format!("{base}/+/availability")
}

/// The plug whose availability is told on this topic.
pub(super) fn availability_of(base: &str, topic: &str) -> Option<PlugId> {
    PlugId::new(topic.strip_prefix(base)?.strip_prefix('/')?.strip_suffix("/availability")?)
}

/// What is known of others on this base topic.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// Who was heard last, and when.
    heard: Option<(Duration, Peer)>,
    ask_at: Option<Duration>,
    /// When our own words are put right, and when that was done last.
    state_at: Option<Duration>,
    state_said: Option<Duration>,
    info_at: Option<Duration>,
    info_said: Option<Duration>,
    yielded: bool,
    /// Plugs of which somebody says another availability than we have told, and when that is put right.
    wrong: BTreeSet<PlugId>,
    wrong_at: Option<Duration>,
}

/// What is to be done about others.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Say once more that this bridge is online.
    pub(super) state: bool,
    /// Say once more what it is.
    pub(super) info: bool,
    /// Say once more whether these plugs are available.
    pub(super) availability: BTreeSet<PlugId>,
    /// Ask whether the other one is still there.
    pub(super) ask: bool,
    /// The other one has gone; it may have left its own words behind.
    pub(super) gone: bool,
}

impl Peers {
    /// When there is something to do.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        [self.ask_at, self.state_at, self.info_at, self.wrong_at].into_iter().flatten().min()
    }

    /// What belongs to one connection begins anew.
    pub(super) fn connected(&mut self) {
        (self.state_at, self.info_at, self.wrong_at) = (None, None, None);
        self.wrong.clear();
    }

    /// Somebody has said on `bridge/state` that we are not online, though we have said so.
    pub(super) fn not_online_heard(&mut self, now: Duration) {
        let earliest = self.state_said.map_or(now, |said| said + STATE_EVERY);
        self.state_at.get_or_insert(earliest.max(now));
    }

    /// The availability of a plug was told, by us or by somebody else, and is right or not. The last word counts:
    /// ours may come back late.
    pub(super) fn availability_heard(&mut self, now: Duration, id: PlugId, right: bool) {
        if right {
            self.wrong.remove(&id);
        } else {
            self.wrong.insert(id);
            self.wrong_at.get_or_insert(now + STATE_EVERY);
        }
    }

    /// Somebody else has said a word on our `bridge/info`.
    pub(super) fn info_heard(&mut self, now: Duration) {
        let earliest = self.info_said.map_or(now, |said| said + INFO_EVERY);
        self.info_at.get_or_insert(earliest.max(now));
    }

    /// Another bridge was heard. Whether it is one not heard before.
    pub(super) fn heard(&mut self, now: Duration, peer: Peer) -> bool {
        let known = self.heard.as_ref().is_some_and(|(_, known)| known.run == peer.run);
        if !known {
            self.ask_at = Some(now);
        }
        self.heard = Some((now, peer));
        !known
    }

    /// This one yields to another. Whether it has not done so before.
    pub(super) fn yields(&mut self) -> bool {
        !std::mem::replace(&mut self.yielded, true)
    }

    /// What is to be done now.
    pub(super) fn due(&mut self, now: Duration) -> Due {
        let is_due = |at: &mut Option<Duration>| at.take_if(|at| *at <= now).is_some();
        let mut due =
            Due { state: is_due(&mut self.state_at), info: is_due(&mut self.info_at), ..Due::default() };
        if due.state {
            self.state_said = Some(now);
        }
        if due.info {
            self.info_said = Some(now);
        }
        if is_due(&mut self.wrong_at) {
            due.availability = std::mem::take(&mut self.wrong);
        }
        if is_due(&mut self.ask_at) {
            due.gone = self.heard.as_ref().is_some_and(|(at, _)| *at + GONE <= now);
            due.ask = !due.gone;
            if due.gone {
                self.heard = None;
            } else {
                self.ask_at = Some(now + ASK_EVERY);
            }
        }
        due
    }
}
