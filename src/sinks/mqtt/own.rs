//! What the bridge says about itself, and requests that the link answers without the hub. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::migration;
use super::session::{Health, Metrics, Outgoing, Session};
use super::topics::{self, LinkStats};
use crate::api::{OwnRequest, answer};
use serde_json::{Value, json};
use tracing::info;

/// Requests for a cleanup that may wait for one look.
const MAX_CLEANUPS: usize = 16;

/// Characters of what is wrong with the bridge in its health.
const MAX_PROBLEM: usize = 200;

/// Topics named in an answer.
const MAX_NAMED: usize = 1000;

impl Session {
    pub(super) fn own(&mut self, own: &OwnRequest, mark: Option<String>) {
        match own {
            OwnRequest::Republish => {
                self.announce_all();
                self.respond("republish", mark.as_deref(), Ok(json!({})));
            }
            OwnRequest::HealthCheck => self.send(Outgoing::Health(Health::Check(mark))),
            OwnRequest::Restart => {
                self.respond("restart", mark.as_deref(), Ok(json!({})));
                info!("restarting as requested");
                self.send(Outgoing::Restart);
            }
            OwnRequest::Cleanup { dry_run } => self.clean_up(*dry_run, mark),
        }
    }

    /// Topic, payload and retain flag of what [`Outgoing::Health`] asked for; `None` when the broker takes no
    /// message of that size.
    pub fn health(&mut self, wanted: &Health, figures: Metrics) -> Option<(String, String, bool)> {
        let said = self.health_of(wanted, figures);
        self.fits(&said.0, said.0.len() + said.1.len(), said.2).then_some(said)
    }

    fn health_of(&self, wanted: &Health, figures: Metrics) -> (String, String, bool) {
        let link = LinkStats {
            reconnects: self.connections.saturating_sub(1),
            published: figures.published,
            received: figures.received,
            queued: figures.queued,
            dropped: figures.dropped,
        };
        let version = self.settings.facts.version;
        // All of it is in `bridge/info`.
        let problem = self.problem().map(|problem| match problem.char_indices().nth(MAX_PROBLEM) {
            Some((end, _)) => format!("{}...", problem.get(..end).unwrap_or_default()),
            None => problem,
        });
        let health = topics::health(&self.view, link, version, figures.memory_mb, problem.as_deref());
        let base = self.base();
        match wanted {
            Health::Topic => (format!("{base}/bridge/health"), health.to_string(), true),
            Health::Check(mark) => {
                let own = self.own_peer();
                let healthy = json!({
                    "healthy": true, "run": own.run, "started": own.started, "take_over": own.take_over,
                    "health": health,
                });
                let payload = answer::answer(Ok(healthy), mark.as_deref());
                (format!("{base}/bridge/response/health_check"), payload.to_string(), false)
            }
        }
    }

    /// Says what is wrong for this reason; `None` when nothing is any more.
    pub(super) fn set_problem(&mut self, reason: &'static str, sentence: Option<String>) {
        if self.problems.get(reason) == sentence.as_ref() {
            return;
        }
        match sentence {
            Some(sentence) => self.problems.insert(reason, sentence),
            None => self.problems.remove(reason),
        };
        self.told.bridge = None;
    }

    /// All that is wrong with the bridge, in one text.
    pub(super) fn problem(&self) -> Option<String> {
        let all = self.problems.values().chain(self.view.bridge.problems.values());
        let all: Vec<&str> = all.map(String::as_str).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// One look serves all who ask meanwhile.
    fn clean_up(&mut self, dry_run: bool, transaction: Option<String>) {
        if self.cleanups.len() >= MAX_CLEANUPS {
            let why = format!("{MAX_CLEANUPS} cleanups wait already; wait for their answers");
            return self.respond("cleanup", transaction.as_deref(), Err(why));
        }
        if self.cleanups.is_empty() {
            self.send(Outgoing::LookAround);
        }
        self.cleanups.push((dry_run, transaction));
    }

    /// Answers all who have asked for a cleanup.
    pub(super) fn looked(&mut self, topics: Result<Vec<String>, String>) {
        let asked = std::mem::take(&mut self.cleanups);
        let topics = match topics {
            Ok(topics) => topics,
            Err(why) => {
                for (_, transaction) in asked {
                    self.respond("cleanup", transaction.as_deref(), Err(why.clone()));
                }
                return;
            }
        };
        let owned = migration::owned(self.announcer(), &self.view, &self.memory);
        let orphans: Vec<String> = topics.into_iter().filter(|topic| !owned.contains(topic)).collect();
        if asked.iter().any(|(dry_run, _)| !dry_run) {
            self.empty(orphans.clone());
            info!(topics = orphans.len(), "cleared orphaned retained topics");
        }
        let named: Vec<&String> = orphans.iter().take(MAX_NAMED).collect();
        for (dry_run, transaction) in asked {
            let data = json!({"dry_run": dry_run, "count": orphans.len(), "topics": named});
            self.respond("cleanup", transaction.as_deref(), Ok(data));
        }
    }

    pub(super) fn respond(&mut self, verb: &str, mark: Option<&str>, result: Result<Value, String>) {
        let payload = answer::answer(result, mark);
        self.publish(format!("{}/bridge/response/{verb}", self.base()), payload.to_string(), false);
    }
}
