//! How much may be retained: enough for any house, and never more than the file can be read again.
//!
//! The bridge and everybody else have room of their own, so that nobody's messages push out the bridge's. Who
//! publishes what does not fit is told "quota exceeded"; the bridge, whose protocol has no such answer, is
//! told by [`Refused`].
//!
//! The broker inside knows bounds for all topics alike: the number of retained messages and the size of each.
//! So they are drawn before each message for whom and what it is. That takes a runtime of one thread: nothing
//! else runs between drawing the bounds and the look at them.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use mqtt5::broker::events::{BrokerEventHandler, ClientPublishEvent, PublishAction, RetainedSetEvent};
use mqtt5::broker::router::MessageRouter;
use mqtt5::packet::publish::PublishPacket;
use tokio::sync::watch;

/// What the bridge's retained messages may fill, in bytes of the file, and how many there may be: a thousand
/// strips of six ports and more.
const OWN_ROOM: usize = 64 << 20;
const MOST_OWN: usize = 250_000;

/// Beyond these, the bridge's topics that are there may still grow by so much.
const SPARE: usize = 8 << 20;

/// The same of everybody else together.
const ROOM: usize = 24 << 20;
const MOST: usize = 20_000;

/// How much may be retained by all, and how many messages.
pub(super) const MOST_BYTES: usize = OWN_ROOM + SPARE + ROOM + 6 * LARGEST;
pub(super) const MOST_RETAINED: usize = MOST_OWN + MOST;

/// The largest retained message of anybody else.
const LARGEST: usize = 1 << 20;

/// Values no larger than this replace what a topic has however full it is.
const SMALL: usize = 256;

/// What a line of the file needs beside topic and payload.
const LINE: usize = 40;

/// All of it can be read again, even where a last message is escaped byte by byte.
const _: () = assert!(MOST_BYTES as u64 <= super::store::STORE_MAX_BYTES);

/// What was refused of the bridge's messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused {
    /// How many.
    pub count: u64,
    /// Why, and what to do about it; `None` while there is room.
    pub why: Option<String>,
}

/// Watches what the broker retains, and draws its bounds.
#[derive(Debug)]
pub(super) struct Room {
    /// The client id of the bridge.
    owner: Option<String>,
    router: OnceLock<Weak<MessageRouter>>,
    held: Mutex<Held>,
    refused: watch::Sender<Refused>,
}

#[derive(Debug, Default)]
struct Held {
    topics: HashMap<String, Share>,
    own: Sum,
    others: Sum,
    /// It was said that there is little left.
    told: bool,
}

/// What one topic takes, and whether the bridge has written it.
#[derive(Debug, Clone, Copy)]
struct Share {
    cost: usize,
    own: bool,
}

#[derive(Debug, Default)]
struct Sum {
    bytes: usize,
    topics: usize,
}

impl Held {
    fn sum(&mut self, own: bool) -> &mut Sum {
        if own { &mut self.own } else { &mut self.others }
    }

    fn set(&mut self, topic: &str, share: Option<Share>) {
        let old = match share {
            Some(share) => self.topics.insert(topic.to_owned(), share),
            None => self.topics.remove(topic),
        };
        if let Some(old) = old {
            let sum = self.sum(old.own);
            (sum.bytes, sum.topics) = (sum.bytes - old.cost, sum.topics - 1);
        }
        if let Some(new) = share {
            let sum = self.sum(new.own);
            (sum.bytes, sum.topics) = (sum.bytes + new.cost, sum.topics + 1);
        }
    }

    /// What is left for everybody else on this topic, in bytes.
    fn left(&self, topic: &str) -> usize {
        let replaced = self.topics.get(topic).filter(|share| !share.own).map_or(0, |share| share.cost);
        ROOM.saturating_sub(self.others.bytes - replaced)
    }

    /// Whether the bridge may retain this.
    fn takes(&self, topic: &str, cost: usize) -> bool {
        match self.topics.get(topic) {
            Some(old) => {
                let replaced = if old.own { old.cost } else { 0 };
                self.own.bytes - replaced + cost <= OWN_ROOM + SPARE
            }
            None => self.own.topics < MOST_OWN && self.own.bytes + cost <= OWN_ROOM,
        }
    }
}

impl Room {
    pub(super) fn of(owner: Option<&str>) -> Self {
        Self {
            owner: owner.map(str::to_owned),
            router: OnceLock::new(),
            held: Mutex::default(),
            refused: watch::Sender::default(),
        }
    }

    /// What is refused of the bridge's messages.
    pub(super) fn refused(&self) -> watch::Receiver<Refused> {
        self.refused.subscribe()
    }

    /// From now on the bounds are those that the room leaves.
    pub(super) fn bound(&self, router: Weak<MessageRouter>) {
        let _ = self.router.set(router);
        self.draw(&mut self.held(), "", false);
    }

    /// This client publishes on this topic; next it is held against the bounds.
    pub(super) fn comes(&self, client_id: &str, topic: &str) {
        self.draw(&mut self.held(), topic, self.is_owner(client_id));
    }

    /// The bridge has written what this topic is given next.
    pub(super) fn own(&self, topic: &str) {
        self.held().set(topic, Some(Share { cost: 0, own: true }));
    }

    /// Whether the bridge has written what this topic has.
    pub(super) fn is_own(&self, topic: &str) -> bool {
        self.held().topics.get(topic).is_some_and(|share| share.own)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_owner(&self, client_id: &str) -> bool {
        self.owner.as_deref() == Some(client_id)
    }

    /// It was within the bounds, and is routed next. The bridge's own is weighed here, where it is known whole.
    fn passes(&self, event: &ClientPublishEvent) -> PublishAction {
        let own = self.is_owner(&event.client_id);
        let mut held = self.held();
        if !event.retain || event.payload.is_empty() {
            self.draw(&mut held, "", false);
            return PublishAction::Continue;
        }
        let mut cost = cost(&event.topic, &event.payload);
        if !own {
            // Weighed when it has been retained.
            cost = held.topics.get(&*event.topic).map_or(0, |share| share.cost);
        } else if !held.takes(&event.topic, cost) {
            self.draw(&mut held, "", false);
            self.refuse(&event.topic);
            let mut message = PublishPacket::new(&*event.topic, event.payload.clone(), event.qos);
            message.packet_id = event.packet_id;
            return PublishAction::Transform(message);
        }
        self.draw(&mut held, &event.topic, own);
        // What others write is entered when it has been retained: with QoS 2 that may never be.
        if own || held.topics.contains_key(&*event.topic) {
            held.set(&event.topic, Some(Share { cost, own }));
        }
        PublishAction::Continue
    }

    fn refuse(&self, topic: &str) {
        let why = format!(
            "the built-in broker has no room for more of this bridge's retained messages ({} topics, {} MiB): after a restart of other programs some states are missing there; use a broker of your own (mqtt.url)",
            MOST_OWN,
            OWN_ROOM >> 20
        );
        self.refused.send_modify(|refused| {
            if refused.why.is_none() {
                tracing::warn!(topic, "message not retained: {why}");
            }
            *refused = Refused { count: refused.count + 1, why: Some(why) };
        });
    }

    fn note(&self, event: &RetainedSetEvent) {
        let mut held = self.held();
        let own = held.topics.get(&*event.topic).is_some_and(|share| share.own);
        let share = Share { cost: cost(&event.topic, &event.payload), own };
        held.set(&event.topic, (!event.cleared).then_some(share));
        let roomy = held.own.topics < MOST_OWN && held.own.bytes < OWN_ROOM - LARGEST;
        if roomy && self.refused.borrow().why.is_some() {
            self.refused.send_modify(|refused| refused.why = None);
        }
        self.draw(&mut held, "", false);
    }

    /// Draws the bounds for a message on this topic; 0 is no bound.
    fn draw(&self, held: &mut Held, topic: &str, own: bool) {
        let Some(router) = self.router.get().and_then(Weak::upgrade) else { return };
        if own {
            return router.update_retained_limits(0, 0);
        }
        let left = held.left(topic);
        let full = left == 0 || held.others.topics >= MOST;
        router.update_retained_limits(usize::from(full), left.clamp(SMALL, LARGEST));
        let scarce = left < LARGEST || held.others.topics >= MOST;
        if scarce && !held.told {
            let theirs = held.topics.iter().filter(|(_, share)| !share.own);
            let largest = theirs.max_by_key(|(_, share)| share.cost);
            let largest: String =
                largest.map(|(topic, _)| topic.chars().take(100).collect()).unwrap_or_default();
            tracing::warn!(
                topics = held.others.topics,
                bytes = held.others.bytes,
                ?largest,
                "the room for retained messages of other programs on the built-in broker is nearly used up: what does not fit is refused; empty topics that nobody needs, or use a broker of your own (mqtt.url)"
            );
        }
        // Not again while it comes and goes.
        held.told = scarce || (held.told && left < 2 * LARGEST);
    }
}

impl BrokerEventHandler for Room {
    fn on_client_publish<'a>(
        &'a self,
        event: ClientPublishEvent,
    ) -> Pin<Box<dyn Future<Output = PublishAction> + Send + 'a>> {
        Box::pin(std::future::ready(self.passes(&event)))
    }

    fn on_retained_set<'a>(
        &'a self,
        event: RetainedSetEvent,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        self.note(&event);
        Box::pin(std::future::ready(()))
    }
}

/// The bytes of the file that a message needs.
pub(super) fn cost(topic: &str, payload: &[u8]) -> usize {
    let payload = match std::str::from_utf8(payload) {
        Ok(text) => escaped(text),
        Err(_) => 2 * payload.len(),
    };
    LINE + escaped(topic) + payload
}

fn escaped(text: &str) -> usize {
    let one = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(one).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mqtt5::QoS;

    #[test]
    fn what_was_never_retained_takes_no_room() {
        let room = Room::of(Some("bridge"));
        let event = |client: &str| ClientPublishEvent {
            client_id: client.into(),
            user_id: None,
            topic: "one/topic".into(),
            payload: b"x".to_vec().into(),
            qos: QoS::ExactlyOnce,
            retain: true,
            packet_id: Some(1),
            response_topic: None,
            correlation_data: None,
        };
        assert!(matches!(room.passes(&event("guest")), PublishAction::Continue));
        assert_eq!(room.held().others.topics, 0, "its end may never come");
        assert!(matches!(room.passes(&event("bridge")), PublishAction::Continue));
        assert_eq!(room.held().own.topics, 1);
        assert!(matches!(room.passes(&event("guest")), PublishAction::Continue));
        let held = room.held();
        assert_eq!((held.own.topics, held.others.topics), (0, 1), "it is theirs now");
    }
}
