//! Before a bridge acts: does another one live on the same base topic? On a connection of its own,
//! without a will, under a client id of its own, so that a living one notices nothing but a question.

use super::link::{Heard, Link, Said};
use super::peers::{self, Peer};
use super::settings::Settings;
use crate::pulse::Pulse;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use tracing::debug;

/// How long a broker may take to let us in; one that is slower is met by the session.
const TIMEOUT: Duration = Duration::from_secs(2);

/// What is retained has been shown after this time.
const SHOWN: Duration = Duration::from_millis(250);

/// A living one answers within this time.
const ANSWER: Duration = Duration::from_secs(2);

/// More bridges than this are not counted.
const MOST: usize = 16;

/// What a look hears.
enum Word {
    /// `bridge/state` says `online`, or something else.
    State(bool),
    /// `bridge/info`.
    Info,
    /// An answer to our question.
    DeviceResponse(Peer),
}

/// What a look for another bridge has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Looked {
    /// There is none.
    Nobody,
    /// One is said to be online and does not answer: it has ended without a word, or stands still.
    Silent,
    /// It answers.
    Living(Peer),
}

/// Whether another bridge lives on our base topic. It is asked when what is retained speaks for one,
/// or when there is a suspicion.
///
/// # Errors
///
/// Why that cannot be found out.
pub async fn find_other_bridge(settings: &Settings, suspicion: bool) -> Result<Looked, String> {
    let (base, run) = (&settings.announcer.base, settings.facts.run.clone());
    let mut address = settings.address.clone();
    address.client_id.push_str(&format!("-look{}", run.get(..4).unwrap_or_default()));
    let topics = ["bridge/state", "bridge/info", "bridge/response/health_check"];
    let topics = topics.map(|tail| format!("{base}/{tail}"));
    let [state, info, _] = topics.clone();
    let receive = move |topic: &str, payload: &[u8], retain: bool| {
        let own = || {
            let json = serde_json::from_slice::<Value>(payload).unwrap_or_default();
            json.get("transaction").and_then(Value::as_str) == Some(run.as_str())
        };
        let word = match topic {
            topic if topic == state => Some(Word::State(payload == b"online")),
            topic if topic == info => Some(Word::Info),
            _ if retain => None,
            _ => Peer::answering(payload).filter(|_| own()).map(Word::DeviceResponse),
        };
        word.map_or(Heard::Nothing, Heard::Must)
    };
    let mut link = Link::open(&address, None, &Arc::default(), &Pulse::unwatched(), receive)?;
    let mut until = Instant::now() + TIMEOUT;
    let (mut let_in, mut asked) = (false, false);
    let (mut online, mut named) = (None, false);
    let found = loop {
        let said = timeout_at(until, link.next()).await;
        let ask = match said {
            Err(_) if !let_in => return Err("the broker does not answer".into()),
            Err(_) if asked => break None,
            // All that is retained has been seen.
            Err(_) => true,
            Ok(Said::Down(why)) => return Err(why.to_string()),
            Ok(Said::Connected) => {
                let_in = true;
                until = Instant::now() + TIMEOUT;
                link.subscribe(&topics).await;
                false
            }
            Ok(Said::Subscribed(_)) => {
                until = Instant::now() + SHOWN;
                false
            }
            Ok(Said::Received(Word::State(word))) => {
                online = Some(word);
                named
            }
            Ok(Said::Received(Word::Info)) => {
                named = true;
                online.is_some()
            }
            Ok(Said::Received(Word::DeviceResponse(peer))) => break Some(peer),
        };
        if ask && !asked {
            if !suspicion && online != Some(true) {
                break None;
            }
            debug!(base, "something speaks for another bridge; asking it");
            asked = true;
            until = Instant::now() + ANSWER;
            let question = json!({"transaction": settings.facts.run}).to_string();
            link.publish(&format!("{base}/bridge/request/health_check"), question, false).await;
        }
    };
    link.close().await;
    Ok(match found {
        Some(peer) => Looked::Living(peer),
        None if online == Some(true) && asked => Looked::Silent,
        None => Looked::Nobody,
    })
}

/// A bridge that lives, and what is wrong with it in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherBridge {
    /// Which one.
    pub peer: Peer,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// All bridges that live on our base topic.
pub(super) async fn other_bridges(settings: &Settings) -> Result<Vec<OtherBridge>, String> {
    let (base, run) = (&settings.announcer.base, settings.facts.run.as_str());
    let mut address = settings.address.clone();
    address.client_id.push_str("-doctor");
    let answers = peers::answers(base);
    let receive = move |_: &str, payload: &[u8], retain: bool| {
        let Some(peer) = Peer::answering(payload).filter(|_| !retain) else { return Heard::Nothing };
        let json = serde_json::from_slice::<Value>(payload).unwrap_or_default();
        let problem = json.pointer("/data/health/problem").and_then(Value::as_str).map(Into::into);
        Heard::Must(OtherBridge { peer, problem })
    };
    let mut link = Link::open(&address, None, &Arc::default(), &Pulse::unwatched(), receive)?;
    let mut until = Instant::now() + TIMEOUT;
    let mut found: Vec<OtherBridge> = Vec::new();
    while let Ok(said) = timeout_at(until, link.next()).await {
        match said {
            Said::Down(why) => return Err(why.to_string()),
            Said::Connected => link.subscribe(std::slice::from_ref(&answers)).await,
            Said::Subscribed(_) => {
                until = Instant::now() + ANSWER;
                let question = json!({"transaction": run}).to_string();
                link.publish(&format!("{base}/bridge/request/health_check"), question, false).await;
            }
            Said::Received(one)
                if found.len() < MOST && !found.iter().any(|known| known.peer == one.peer) =>
            {
                found.push(one);
            }
            Said::Received(_) => {}
        }
    }
    link.close().await;
    Ok(found)
}
