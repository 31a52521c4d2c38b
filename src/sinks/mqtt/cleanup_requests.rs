//! Requests for a cleanup: one look at the broker serves all who ask meanwhile. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use serde_json::{Value, json};

/// Requests for a cleanup that may wait for one look.
const MAX_WAITING: usize = 16;

/// Topics named in an answer.
const MAX_NAMED: usize = 1000;

/// Who waits for a look: whether it is only to say what it would do, and the sender's mark.
#[derive(Debug, Default)]
pub(super) struct CleanupRequests(Vec<(bool, Option<String>)>);

/// The answer to one of them.
pub(super) type Answer = (Option<String>, Result<Value, String>);

impl CleanupRequests {
    /// Somebody asks. Whether the broker is to be looked at.
    ///
    /// # Errors
    ///
    /// When too many wait already.
    pub(super) fn ask(&mut self, dry_run: bool, mark: Option<String>) -> Result<bool, Answer> {
        if self.0.len() >= MAX_WAITING {
            let why = format!("{MAX_WAITING} cleanups wait already; wait for their answers");
            return Err((mark, Err(why)));
        }
        let first = self.0.is_empty();
        self.0.push((dry_run, mark));
        Ok(first)
    }

    /// Nobody will be answered on this connection.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether somebody wants more than to know.
    pub(super) fn clears(&self) -> bool {
        self.0.iter().any(|(dry_run, _)| !dry_run)
    }

    /// The answers to all who have asked, with the topics that nobody owns or why they are not known.
    pub(super) fn answers(&mut self, orphans: &Result<Vec<String>, String>) -> Vec<Answer> {
        let asked = std::mem::take(&mut self.0);
        let answer = |dry_run: bool| {
            let orphans = orphans.as_ref().map_err(Clone::clone)?;
            let named: Vec<&String> = orphans.iter().take(MAX_NAMED).collect();
            Ok(json!({"dry_run": dry_run, "count": orphans.len(), "topics": named}))
        };
        asked.into_iter().map(|(dry_run, mark)| (mark, answer(dry_run))).collect()
    }
}
