//! Requests to one plug that somebody waits for, beyond switching. None of them makes a plug count as offline, and
//! a refusal is an answer.

use crate::capability::Task;
use crate::model::{
    Asker, DeviceRequest, DeviceResponse, Failure, Meaning, Now, PlugAnswer, PlugId, PlugRequest, Query,
    QueryReply,
};
use std::collections::VecDeque;
use std::time::Duration;

/// Requests that may wait at one plug.
const MAX_WAITING: usize = 8;

/// A request has ended after this long, whatever happens.
const LIFE: Duration = Duration::from_secs(30);

/// The requests to one plug.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// In the order in which they came.
    waiting: VecDeque<Waiting>,
    /// The plug is being asked what the first wants to know.
    asked: bool,
}

/// A request somebody waits for.
#[derive(Debug)]
struct Waiting {
    asker: Asker,
    task: Task,
    until: Duration,
}

/// A request that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) asker: Asker,
    pub(super) request: PlugRequest,
    pub(super) result: Result<PlugAnswer, String>,
}

impl Ended {
    /// One the plug has not answered.
    pub(super) fn unanswered(request: PlugRequest, asker: Asker) -> Self {
        Self { asker, request, result: Err("does not answer at present".into()) }
    }
}

impl Waiting {
    fn end(self, result: Result<PlugAnswer, String>) -> Ended {
        Ended { asker: self.asker, request: self.task.request().clone(), result }
    }
}

impl Requests {
    /// Whether one more may wait.
    ///
    /// # Errors
    ///
    /// Why not, with the remedy.
    pub(super) fn has_room(&self, id: &PlugId) -> Result<(), String> {
        match self.waiting.len() < MAX_WAITING {
            true => Ok(()),
            false => {
                Err(format!("{MAX_WAITING} requests wait for {id} already; wait for one of them to end"))
            }
        }
    }

    pub(super) fn enter(&mut self, now: &Now, task: Task, asker: Asker) {
        self.waiting.push_back(Waiting { asker, task, until: now.up + LIFE });
    }

    /// Somebody waits.
    pub(super) fn wait(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// When something must end.
    pub(super) fn alarm(&self) -> Option<Duration> {
        self.waiting.iter().skip(usize::from(self.asked)).map(|waiting| waiting.until).min()
    }

    /// What to ask now, and how long it may take.
    pub(super) fn send(&mut self, now: &Now, timeout: Duration) -> Option<(DeviceRequest, Duration)> {
        let first = self.waiting.front()?;
        self.asked = true;
        Some((DeviceRequest::Capability(first.task.query()), timeout.min(first.until.saturating_sub(now.up))))
    }

    /// What the plug was asked; `None` when nobody waits for it any more.
    pub(super) fn asked(&self) -> Option<Query> {
        self.waiting.front().filter(|_| self.asked).map(|first| first.task.query())
    }

    /// The plug has answered, or not; `meaning` is that of its record, where it is known. The request, if it
    /// has ended.
    pub(super) fn answered(
        &mut self,
        now: &Now,
        meaning: Option<Meaning>,
        answer: Result<DeviceResponse, Failure>,
    ) -> Option<Ended> {
        self.asked = false;
        let mut first = self.waiting.pop_front()?;
        if let (Ok(DeviceResponse::Capability(QueryReply::History(_))), Some(meaning)) = (&answer, meaning) {
            first.task.learn(meaning);
        }
        Some(match answer.and_then(|answer| first.task.hear(answer, now)) {
            Ok(None) => {
                self.waiting.push_front(first);
                return None;
            }
            Ok(Some(state)) => first.end(Ok(state)),
            Err(Failure::Rejected(why)) => first.end(Err(why)),
            Err(failure) => first.end(Err(failure.to_string())),
        })
    }

    /// Those that are overdue, or hopeless because the plug is `lost`.
    pub(super) fn overdue(&mut self, now: &Now, lost: bool) -> Vec<Ended> {
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let idle: Vec<Waiting> = self.waiting.drain(usize::from(self.asked)..).collect();
        let mut over = Vec::new();
        for waiting in idle {
            if waiting.until <= now.up {
                over.push(waiting.end(Err("did not get round to it in time".into())));
            } else if lost {
                over.push(waiting.end(Err("does not answer at present".into())));
            } else {
                self.waiting.push_back(waiting);
            }
        }
        over
    }

    /// The program stops, or the plug is removed: all end that the plug is not asked for, or even that.
    pub(super) fn give_up(&mut self, id: &PlugId, even_sent: bool) -> Vec<Ended> {
        self.asked &= !even_sent;
        let why = || format!("{id} was removed or replaced, or the bridge stops; ask again later");
        self.waiting.drain(usize::from(self.asked)..).map(|waiting| waiting.end(Err(why()))).collect()
    }
}
