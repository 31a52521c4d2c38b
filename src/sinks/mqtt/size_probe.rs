//! How large a message may be that the broker takes. MQTT 3.1.1 has no word for it: some brokers end
//! the connection when a larger one comes, some acknowledge it and drop it. So a message is sent to
//! ourselves, on a connection of its own, until the border is found.

use super::link::{Address, Heard, Link, Said};
use crate::pulse::Pulse;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A broker that does not take so much behind the topic has another fault.
const LEAST: usize = 64;

/// The longest wait for a message to ourselves.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What comes behind a message whose size is in question.
const MARK: &[u8] = b".";

/// Where messages to ourselves go.
pub(super) fn topic(base: &str) -> String {
    format!("{base}/bridge/size")
}

/// What was found out about a size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passes,
    Lost,
    Unknown,
}

/// The largest size, up to `wanted`, of a message with its topic that passes; rounded down a little.
/// `None` when that cannot be found out.
pub(super) async fn largest_message(address: &Address, base: &str, wanted: usize) -> Option<usize> {
    if send(address, base, wanted).await == Fate::Passes {
        return Some(wanted);
    }
    let least = topic(base).len() + LEAST;
    let (mut passes, mut lost) = (least, wanted.max(least));
    if send(address, base, least).await != Fate::Passes {
        return None;
    }
    while lost - passes > passes / 16 {
        let middle = passes + (lost - passes) / 2;
        match send(address, base, middle).await {
            Fate::Passes => passes = middle,
            Fate::Lost => lost = middle,
            Fate::Unknown => return None,
        }
    }
    Some(passes)
}

/// Whether a message of this size comes back to us.
async fn send(address: &Address, base: &str, size: usize) -> Fate {
    let mut address = address.clone();
    address.client_id.push_str("-size");
    let topic = topic(base);
    let filler = size.saturating_sub(topic.len());
    let receive = move |_: &str, payload: &[u8], _: bool| {
        let passes = payload.len() == filler;
        if passes || payload == MARK { Heard::Must(passes) } else { Heard::Nothing }
    };
    let Ok(mut link) = Link::open(&address, None, &Arc::default(), &Pulse::unwatched(), receive) else {
        return Fate::Unknown;
    };
    let until = Instant::now() + TIMEOUT;
    let mut sent = false;
    let fate = loop {
        match timeout_at(until, link.next()).await {
            Ok(Said::Connected) => link.subscribe(std::slice::from_ref(&topic)).await,
            Ok(Said::Subscribed(refused)) if refused.is_empty() => {
                sent = true;
                link.publish(&topic, vec![b' '; filler], false).await;
                link.publish(&topic, MARK, false).await;
            }
            Ok(Said::Received(true)) => break Fate::Passes,
            Ok(Said::Received(false)) => break Fate::Lost,
            Ok(Said::Down(_)) if sent => break Fate::Lost,
            Ok(Said::Subscribed(_) | Said::Down(_)) | Err(_) => break Fate::Unknown,
        }
    };
    link.close().await;
    fate
}
