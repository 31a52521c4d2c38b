//! How much may be retained: enough for any house, and never more than the file can be read again.
//!
//! The broker bounds the number of retained messages and the size of each; both together would be
//! gigabytes. So the bounds are drawn closer as the room fills: who publishes what does not fit is
//! told "quota exceeded", and the small values of topics that are there go on.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Mutex, OnceLock, PoisonError, Weak};

use mqtt5::broker::events::{BrokerEventHandler, RetainedSetEvent};
use mqtt5::broker::router::MessageRouter;

/// What retained messages may fill, in bytes of the file.
const ROOM: usize = 24 << 20;

/// The largest retained message, and how many there may be.
pub(super) const LARGEST: usize = 1 << 20;
pub(super) const MOST: usize = 20_000;

/// Values no larger than this replace what a topic has however full it is.
const SMALL: usize = 256;

/// What a line of the file needs beside topic and payload.
const LINE: usize = 32;

/// Watches what the broker retains, and draws its bounds.
#[derive(Default)]
pub(super) struct Room {
    router: OnceLock<Weak<MessageRouter>>,
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    costs: HashMap<String, usize>,
    sum: usize,
    /// It was said that there is little left.
    told: bool,
}

impl Room {
    /// From now on the bounds are those that the room leaves.
    pub(super) fn bound(&self, router: Weak<MessageRouter>) {
        let _ = self.router.set(router);
        self.draw(&mut self.held.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn note(&self, event: &RetainedSetEvent) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let cost = if event.cleared { 0 } else { cost(&event.topic, &event.payload) };
        let old = match cost {
            0 => held.costs.remove(&*event.topic),
            cost => held.costs.insert(event.topic.to_string(), cost),
        };
        held.sum = held.sum + cost - old.unwrap_or(0);
        self.draw(&mut held);
    }

    fn draw(&self, held: &mut Held) {
        let Some(router) = self.router.get().and_then(Weak::upgrade) else { return };
        let left = ROOM.saturating_sub(held.sum);
        // 0 would be no bound.
        let most = if left == 0 { held.costs.len().clamp(1, MOST) } else { MOST };
        router.update_retained_limits(most, left.clamp(SMALL, LARGEST));
        let scarce = left < LARGEST || held.costs.len() >= MOST;
        if scarce && !held.told {
            let largest = held.costs.iter().max_by_key(|(_, cost)| **cost);
            let largest: String =
                largest.map(|(topic, _)| topic.chars().take(100).collect()).unwrap_or_default();
            tracing::warn!(
                topics = held.costs.len(),
                bytes = held.sum,
                ?largest,
                "the room for retained messages of the built-in broker is nearly used up: what does not fit is refused; empty topics that nobody needs, or use a broker of your own (mqtt.url)"
            );
        }
        // Not again while it comes and goes.
        held.told = scarce || (held.told && left < 2 * LARGEST);
    }
}

impl BrokerEventHandler for Room {
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
