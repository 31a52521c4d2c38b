//! What is needed to refuse well: commands lately obeyed, whose retained copies are no news, and how often a
//! sender of refused commands is told the truth. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::incoming::Incoming;
use super::topics;
use crate::model::{Asker, CommandError, CommandResult, Notification, PlugId, View};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

/// Commands lately obeyed, remembered to recognise their retained copies.
const MAX_OBEYED: usize = 64;

/// How long after a command its topic is looked at for a retained copy.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// A retained copy of a command is recognised for so long.
const COPY: Duration = Duration::from_secs(60);

/// A refused command with the mark, topic and payload of another one is the same for so long.
const SAME: Duration = Duration::from_secs(10);

/// How often in a second the states of one plug are said again for commands that are refused.
const MAX_SPRUNG: u32 = 16;

/// What is known of commands on one connection.
#[derive(Debug, Default)]
pub(super) struct Rejections {
    obeyed: VecDeque<(Duration, String)>,
    look_at: Option<Duration>,
    /// Commands with a mark of their sender that were refused: when, and what tells topic and payload.
    refused: VecDeque<(Duration, u64)>,
    /// Since when, and how often, the states of a plug were said again for refused commands.
    sprung: BTreeMap<PlugId, (Duration, u32)>,
}

impl Rejections {
    /// A command on this topic was obeyed; the topic may hold a retained copy.
    pub(super) fn obeyed(&mut self, now: Duration, topic: String) {
        self.obeyed.push_back((now, topic));
        if self.obeyed.len() > MAX_OBEYED {
            self.obeyed.pop_front();
        }
        self.look_at.get_or_insert(now + LOOK_AFTER);
    }

    /// Whether this command with a mark of its sender was refused lately: what comes once more has had its
    /// result.
    pub(super) fn again(&mut self, now: Duration, refused: &Incoming, said: u64) -> bool {
        let (Incoming::Bad(_, Some(_), ..) | Incoming::Nobody(_, Some(_))) = refused else { return false };
        self.refused.retain(|(at, _)| now.saturating_sub(*at) < SAME);
        if self.refused.iter().any(|(_, before)| *before == said) {
            return true;
        }
        self.refused.push_back((now, said));
        if self.refused.len() > MAX_OBEYED {
            self.refused.pop_front();
        }
        false
    }

    /// When to look for retained copies.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        self.look_at
    }

    /// Whether it is time to look for retained copies.
    pub(super) fn looks(&mut self, now: Duration) -> bool {
        self.look_at.take_if(|at| *at <= now).is_some()
    }

    /// Whether what is retained on this topic is the copy of a command that was obeyed.
    pub(super) fn is_copy(&self, now: Duration, topic: &str) -> bool {
        self.obeyed.iter().any(|(at, obeyed)| obeyed == topic && now.saturating_sub(*at) < COPY)
    }

    /// Whether the states of this plug are said again for a refused command; whoever sends a flood is told the
    /// truth now and then.
    pub(super) fn springs_back(&mut self, now: Duration, plug: &PlugId) -> bool {
        let (since, count) = self.sprung.entry(plug.clone()).or_insert((now, 0));
        if now.saturating_sub(*since) >= Duration::from_secs(1) {
            (*since, *count) = (now, 0);
        }
        *count += 1;
        *count <= MAX_SPRUNG
    }
}

/// The result of a command that never reached the hub.
pub(super) fn failed(
    plug: PlugId,
    id: Option<String>,
    error: CommandError,
    detail: &str,
    unix_ms: u64,
) -> CommandResult {
    CommandResult {
        plug,
        asker: Asker::mqtt(id),
        ports: BTreeMap::new(),
        error: Some((error, None)),
        detail: Some(detail.into()),
        latency: Duration::ZERO,
        requests: 0,
        attempts: 0,
        unix_ms,
    }
}

/// A message went to a name, to what was never an id, or to a plug that is only listed: says why that is no
/// use, and which ids there are.
pub(super) fn nobody(device: &str, view: &View) -> String {
    let why = if view.plugs.keys().any(|id| id.as_str() == device) {
        format!("{device} is not adopted yet: it will be once it is read, as long as adopt is ON")
    } else {
        format!("{device:?} is not the id of a plug; {}", topics::ids(view))
    };
    warn!("command rejected: {why}");
    why
}

/// A result that says there is no such plug also says which there are.
pub(super) fn explained(note: Arc<Notification>, view: &View) -> Arc<Notification> {
    match &*note {
        Notification::Result(result)
            if matches!(result.error, Some((CommandError::UnknownDevice, _))) && result.detail.is_none() =>
        {
            let why = nobody(result.plug.as_str(), view);
            Arc::new(Notification::Result(CommandResult { detail: Some(why), ..result.clone() }))
        }
        Notification::Result(_)
        | Notification::Plug(..)
        | Notification::Bridge(_)
        | Notification::Response(_) => note,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PlugView;

    #[test]
    fn a_refused_command_with_a_mark_has_one_result_while_it_may_come_again() {
        let mut rejections = Rejections::default();
        let s = Duration::from_secs;
        let mark = |mark: Option<&str>| Incoming::Nobody("Kitchen".into(), mark.map(Into::into));
        assert!(!rejections.again(s(0), &mark(Some("7")), 1));
        assert!(rejections.again(s(9), &mark(Some("7")), 1));
        assert!(!rejections.again(s(9), &mark(Some("7")), 2), "another one");
        assert!(!rejections.again(s(10), &mark(Some("7")), 1), "a new one");
        assert!(!rejections.again(s(10), &mark(None), 3) && !rejections.again(s(10), &mark(None), 3));
        for said in 0..1000 {
            rejections.again(s(11), &mark(Some("7")), said);
        }
        assert_eq!(rejections.refused.len(), MAX_OBEYED);
    }

    #[test]
    fn a_plug_that_is_only_listed_is_not_called_unknown_in_the_same_breath_as_it_is_named() {
        let id = PlugId::new("maxsmart-a").expect("an id");
        let plugs = [(id.clone(), Arc::new(PlugView::unknown(id)))].into();
        let view = View { plugs, ..View::default() };
        assert_eq!(
            nobody("maxsmart-a", &view),
            "maxsmart-a is not adopted yet: it will be once it is read, as long as adopt is ON"
        );
        assert_eq!(nobody("Kitchen", &view), "\"Kitchen\" is not the id of a plug; there are maxsmart-a");
        assert_eq!(nobody("x", &View::default()), "\"x\" is not the id of a plug; no plug is known yet");
    }
}
