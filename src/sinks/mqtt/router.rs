//! Routes what the broker sends: orders are for the hub, at once; the rest is for the session. Pure,
//! because it runs in the task that polls the connection and must never wait.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use super::energy_recovery;
use super::incoming::{self, Allow, Incoming, Topic};
use super::peers::{self, Peer};
use super::settings::Settings;
use crate::model::{HubRequest, Metered, PlugId};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// Words that are told of availability are shorter.
const MAX_WORD: usize = 16;

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq)]
pub enum Routed {
    /// The hub, now. Then [`Received::obeyed`] or [`Received::full`] is for the session.
    HubRequest(HubRequest),
    /// The session.
    Rest(Received),
    /// Nobody.
    Nothing,
}

/// Something received that the session must see.
#[derive(Debug, Clone, PartialEq)]
pub struct Received(pub(super) Rest);

/// What is not, or not only, for the hub.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Rest {
    /// A command or request found retained on this topic.
    Retained(String),
    /// An order that found the hub's desk full.
    Full(HubRequest),
    /// An order went through; its topic may hold a retained copy.
    Obeyed(String),
    /// Anything else that is not for the hub; and what tells its topic and payload from others.
    Other(Incoming, u64),
    /// Home Assistant started.
    Birth,
    /// A discovery topic was emptied.
    Emptied(String),
    /// A discovery message came back.
    Announced,
    /// What an earlier run has told about energy.
    Metered(Metered),
    /// What is retained has been seen.
    Mark,
    /// Somebody says that this bridge is not online.
    NotOnline,
    /// The availability of a plug, as it was told by us or anybody; longer words are cut off.
    Availability(PlugId, String),
    /// A word on `bridge/info` that is not ours; of another bridge, or of nobody.
    Info(Option<Peer>),
    /// Another bridge has answered a `health_check`.
    DeviceResponse(Peer),
}

impl Received {
    /// The order that came on this topic went to the hub.
    pub fn obeyed(topic: &str) -> Self {
        Self(Rest::Obeyed(topic.into()))
    }

    /// It must reach the session, however much waits already: what was told earlier cannot be asked
    /// for again in this run, and what others say of us is put right.
    pub fn matters(&self) -> bool {
        matches!(
            self.0,
            Rest::Metered(_)
                | Rest::Mark
                | Rest::Announced
                | Rest::NotOnline
                | Rest::Availability(..)
                | Rest::Info(_)
                | Rest::DeviceResponse(_)
        )
    }

    /// The hub had no room for this order.
    pub fn full(order: HubRequest) -> Self {
        Self(Rest::Full(order))
    }
}

/// Routes what comes in.
#[derive(Debug, Clone)]
pub struct Router {
    settings: Arc<Settings>,
    mark: String,
    state: String,
    answers: String,
}

impl Router {
    /// A router for the topics that these settings name.
    pub fn new(settings: Arc<Settings>) -> Self {
        let base = &settings.announcer.base;
        let mark = energy_recovery::mark(base);
        let (state, answers) = (format!("{base}/bridge/state"), peers::answers(base));
        Self { settings, mark, state, answers }
    }

    /// What is said on one of the bridge's own topics.
    fn own(&self, topic: &str, payload: &[u8], retain: bool) -> Option<Rest> {
        let own = |peer: &Peer| peer.run == self.settings.facts.run;
        if topic == self.state {
            // What lay there when we came is answered by our own word.
            (payload != b"online" && !retain).then_some(Rest::NotOnline)
        } else if topic == self.answers {
            Peer::answering(payload).filter(|peer| !retain && !own(peer)).map(Rest::DeviceResponse)
        } else if retain {
            Some(Rest::Mark)
        } else {
            let peer = Peer::informing(payload);
            (!peer.as_ref().is_some_and(own)).then_some(Rest::Info(peer))
        }
    }

    /// Whom this message is for.
    pub fn route(&self, topic: &str, payload: &[u8], retain: bool) -> Routed {
        let rest = |rest: Rest| Routed::Rest(Received(rest));
        let (base, prefix) = (&self.settings.announcer.base, &self.settings.announcer.prefix);
        if topic == self.settings.birth_topic {
            return if !retain && payload == b"online" { rest(Rest::Birth) } else { Routed::Nothing };
        }
        let Some(parts) = incoming::topic(base, topic) else {
            if [&self.mark, &self.state, &self.answers].into_iter().any(|own| topic == own) {
                return self.own(topic, payload, retain).map_or(Routed::Nothing, rest);
            }
            let discovery = topic.strip_prefix(prefix).is_some_and(|rest| rest.ends_with("/config"));
            if discovery {
                return rest(if payload.is_empty() { Rest::Emptied(topic.into()) } else { Rest::Announced });
            }
            if retain {
                let metered = energy_recovery::meter(base, topic, payload);
                return metered.map_or(Routed::Nothing, |metered| rest(Rest::Metered(metered)));
            }
            if let Some(id) = peers::availability_of(base, topic) {
                let word = payload.get(..MAX_WORD).unwrap_or(payload);
                return rest(Rest::Availability(id, String::from_utf8_lossy(word).into_owned()));
            }
            return Routed::Nothing;
        };
        if payload.is_empty() && !matches!(parts, Topic::Get(_)) {
            // Somebody, most likely we, cleared a retained command or request.
            return Routed::Nothing;
        }
        if retain {
            return rest(Rest::Retained(topic.into()));
        }
        let allow = Allow { admin: self.settings.allow_admin, raw: self.settings.allow_raw };
        match incoming::incoming(&parts, payload, allow) {
            Incoming::HubRequest(order) => Routed::HubRequest(order),
            other @ (Incoming::Own(..)
            | Incoming::Bad(..)
            | Incoming::BadRequest(..)
            | Incoming::Nobody(..)
            | Incoming::NobodyToGet(_)) => {
                let mut said = DefaultHasher::new();
                (topic, payload).hash(&mut said);
                rest(Rest::Other(other, said.finish()))
            }
        }
    }
}
