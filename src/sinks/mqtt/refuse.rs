//! What is refused on the way in, and how that is told: one result or answer each, and one line of the
//! log. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::incoming::{self, Incoming, Topic};
use super::session::Session;
use super::topics::{self, Nature};
use crate::model::{CommandError, CommandResult, Event, HubRequest, Notification, PlugId};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

/// A retained copy of a command is recognised for so long.
const COPY: Duration = Duration::from_secs(60);

/// How often in a second the states of one plug are said again for commands that are refused.
const MAX_SPRUNG: u32 = 16;

impl Session {
    /// Tells who sent something that is not obeyed, and why.
    pub(super) fn refuse(&mut self, incoming: Incoming) {
        match incoming {
            Incoming::Bad(plug, mark, error, why) => {
                warn!(%plug, "command rejected: {why}");
                self.fail(plug, mark, error, &why);
            }
            Incoming::BadRequest(verb, transaction, why) => {
                warn!(verb, "request rejected: {why}");
                self.respond(&verb, transaction.as_deref(), Err(why));
            }
            Incoming::Nobody(device, mark) => {
                let why = self.nobody(&device);
                let payload = topics::refusal(mark, CommandError::UnknownDevice, &why, self.now.unix_ms);
                self.publish(format!("{}/{device}/response", self.base()), payload.to_string(), false);
            }
            Incoming::NobodyToGet(device) => drop(self.nobody(&device)),
            Incoming::Own(..) | Incoming::HubRequest(_) => {}
        }
    }

    /// A result that says there is no such plug also says which there are.
    pub(super) fn explained(&self, note: Arc<Notification>) -> Arc<Notification> {
        match &*note {
            Notification::Result(result)
                if matches!(result.error, Some((CommandError::UnknownDevice, _)))
                    && result.detail.is_none() =>
            {
                let why = self.nobody(result.plug.as_str());
                Arc::new(Notification::Result(CommandResult { detail: Some(why), ..result.clone() }))
            }
            Notification::Result(_)
            | Notification::Plug(..)
            | Notification::Bridge(_)
            | Notification::Response(_) => note,
        }
    }

    /// A message went to a name, or to what was never an id: says which ids there are.
    fn nobody(&self, device: &str) -> String {
        let why = format!("{device:?} is not the id of a plug; {}", topics::ids(&self.view));
        warn!("command rejected: {why}");
        why
    }

    /// A command that lay on the broker must not fire, now or ever.
    pub(super) fn refuse_retained(&mut self, topic: &str) {
        self.told.emptied.insert(topic.to_owned());
        self.publish(topic, "", true);
        let recently =
            |(at, obeyed): &(Duration, String)| obeyed == topic && self.now.up.saturating_sub(*at) < COPY;
        let copy = self.told.obeyed.iter().any(recently);
        warn!(topic, "retained command: {}", if copy { "copy cleared" } else { "rejected and cleared" });
        if let Some(Topic::Set(device, port)) = incoming::topic(self.base(), topic)
            && let Some(plug) = PlugId::new(device)
        {
            let number = port.and_then(|port| port.parse().ok()).unwrap_or(0);
            self.say_note(&Notification::Bridge(Event::RetainedCommand(plug.clone(), number)));
            if !copy {
                self.fail(plug, None, CommandError::Retained, "a retained command is never obeyed");
            }
        }
    }

    pub(super) fn refuse_full(&mut self, order: HubRequest) {
        match order {
            HubRequest::Switch(order) => {
                self.fail(order.plug, order.id, CommandError::Busy, "too many commands at once");
            }
            HubRequest::Request(_, transaction) => {
                self.respond("unknown", transaction.as_deref(), Err("too many requests at once".into()));
            }
            HubRequest::Refresh(_)
            | HubRequest::Keep(_)
            | HubRequest::Metered(_)
            | HubRequest::MeteredMeanwhile(..) => {}
        }
    }

    /// Whoever sends a flood is told the truth now and then.
    fn springs_back_too_often(&mut self, plug: &PlugId) -> bool {
        if !self.told.sent.contains_key(plug) {
            return true;
        }
        let (since, count) = self.told.sprung.entry(plug.clone()).or_insert((self.now.up, 0));
        if self.now.up.saturating_sub(*since) >= Duration::from_secs(1) {
            (*since, *count) = (self.now.up, 0);
        }
        *count += 1;
        *count > MAX_SPRUNG
    }

    /// Says that a command failed, and what the relays really are.
    fn fail(&mut self, plug: PlugId, id: Option<String>, error: CommandError, detail: &str) {
        let result = CommandResult {
            plug: plug.clone(),
            id,
            ports: BTreeMap::new(),
            error: Some((error, None)),
            detail: Some(detail.into()),
            latency: Duration::ZERO,
            requests: 0,
            attempts: 0,
            unix_ms: self.now.unix_ms,
        };
        self.say_note(&Notification::Result(result));
        if self.springs_back_too_often(&plug) {
            return;
        }
        let sent = self.told.sent.get(&plug).map(|sent| topics::retained(self.base(), sent));
        for state in sent.into_iter().flatten().filter(|message| message.nature == Nature::State) {
            self.publish(state.topic, state.payload, true);
        }
    }
}
