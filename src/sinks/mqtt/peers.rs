//! Other bridges on the same base topic: recognised, told, and which of two yields. A topic that
//! somebody left on the broker proves nothing; who answers a `health_check` lives. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::session::{Outgoing, Session};
use super::topics;
use crate::model::{Event, Notification, PlugId, iso};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use tracing::{info, warn};

/// Pause between two looks whether the other one is still there.
const ASK_EVERY: Duration = Duration::from_secs(15);

/// Unheard for so long, it has gone.
const GONE: Duration = Duration::from_secs(40);

/// Pause between two times that our own words are put right on the broker.
const STATE_EVERY: Duration = Duration::from_secs(1);
const INFO_EVERY: Duration = Duration::from_secs(5);

/// After another one has spoken, all is told again.
const AGAIN: Duration = Duration::from_secs(5);

/// Longer names of runs are cut off.
const MAX_NAME: usize = 40;

/// What is longer is not looked at as a whole, and so is no word of a bridge.
const MAX_PAYLOAD: usize = 64 * 1024;

/// The reason under which another bridge is a problem.
const REASON: &str = "another_bridge";

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
}

impl Session {
    /// Ourselves.
    pub(super) fn own_peer(&self) -> Peer {
        let facts = &self.settings.facts;
        Peer { run: facts.run.clone(), started: iso(facts.started_ms), take_over: facts.take_over }
    }

    /// Somebody has said on `bridge/state` that we are not online.
    pub(super) fn not_online_heard(&mut self) {
        if self.told.online_said {
            let earliest = self.peers.state_said.map_or(self.now.up, |said| said + STATE_EVERY);
            self.peers.state_at.get_or_insert(earliest.max(self.now.up));
        }
    }

    /// The availability of a plug was told, by us or by somebody else. The last word counts: ours may
    /// come back late.
    pub(super) fn availability_heard(&mut self, id: PlugId, payload: &str) {
        let Some(plug) = self.told.sent.get(&id).filter(|plug| topics::shown(plug)) else { return };
        if payload == topics::availability(plug) {
            self.peers.wrong.remove(&id);
        } else {
            self.peers.wrong.insert(id);
            self.peers.wrong_at.get_or_insert(self.now.up + STATE_EVERY);
        }
    }

    /// Somebody else has said a word on our `bridge/info`; `None` when it is not that of a bridge.
    pub(super) fn info_heard(&mut self, peer: Option<Peer>) {
        let earliest = self.peers.info_said.map_or(self.now.up, |said| said + INFO_EVERY);
        self.peers.info_at.get_or_insert(earliest.max(self.now.up));
        if let Some(peer) = peer {
            self.peer_heard(peer);
        }
    }

    /// Somebody else has answered a `health_check`: it lives.
    pub(super) fn answer_heard(&mut self, peer: Peer) {
        let own = self.own_peer();
        if peer.outranks(&own) && !peer.run.is_empty() {
            if !std::mem::replace(&mut self.peers.yielded, true) {
                self.send(Outgoing::Yield(peer));
            }
        } else {
            self.peer_heard(peer);
        }
    }

    fn peer_heard(&mut self, peer: Peer) {
        let known = self.peers.heard.as_ref().is_some_and(|(_, known)| known.run == peer.run);
        if !known {
            let sentence = peer.sentence(self.base());
            warn!("{sentence}");
            self.set_problem(REASON, Some(sentence));
            self.say_note(&Notification::Bridge(Event::AnotherBridge(peer.run.clone())));
            self.peers.ask_at = Some(self.now.up);
            self.told.birth_at.get_or_insert(self.now.up + AGAIN);
            self.read_meters_again();
        }
        self.peers.heard = Some((self.now.up, peer));
    }

    /// Puts our own words right, and looks whether the other one is still there.
    pub(super) fn mind_peers(&mut self) {
        let now = self.now.up;
        let due = |at: &mut Option<Duration>| at.take_if(|at| *at <= now).is_some();
        if due(&mut self.peers.state_at) && self.told.online_said {
            warn!(
                "another client published on {}/bridge/state that this bridge is offline; corrected",
                self.base()
            );
            self.publish(format!("{}/bridge/state", self.base()), "online", true);
            self.peers.state_said = Some(now);
        }
        if due(&mut self.peers.wrong_at) {
            for id in std::mem::take(&mut self.peers.wrong) {
                let Some(plug) = self.told.sent.get(&id) else { continue };
                let (topic, word) =
                    (format!("{}/{id}/availability", self.base()), topics::availability(plug));
                warn!(topic, "another client published a wrong availability; corrected to {word}");
                self.publish(topic, word, true);
            }
        }
        if due(&mut self.peers.info_at) && !self.told.bridge_info.is_empty() {
            self.publish(format!("{}/bridge/info", self.base()), self.told.bridge_info.clone(), true);
            self.peers.info_said = Some(now);
        }
        if due(&mut self.peers.ask_at) {
            if self.peers.heard.as_ref().is_some_and(|(at, _)| *at + GONE <= now) {
                info!("the other bridge on {} is gone", self.base());
                self.peers.heard = None;
                self.set_problem(REASON, None);
                // It may have left its own words behind.
                self.told.birth_at.get_or_insert(now);
                self.read_meters_again();
            } else {
                let ask = json!({"transaction": self.settings.facts.run}).to_string();
                self.publish(format!("{}/bridge/request/health_check", self.base()), ask, false);
                self.peers.ask_at = Some(now + ASK_EVERY);
            }
        }
    }
}
