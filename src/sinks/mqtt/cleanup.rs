//! Finds retained topics of ours that nobody owns any more: on a connection of its own, so that
//! the session's narrow subscriptions stay as they are.

use super::link::{Heard, Link, Said};
use super::settings::Settings;
use crate::model::{PlugId, shortened};
use crate::pulse::Pulse;
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// A broker that has been quiet for this long has shown everything.
const QUIET: Duration = Duration::from_millis(700);

/// The longest look.
const LONGEST: Duration = Duration::from_secs(10);

/// More leftovers than this are dealt with in a second round.
const MAX_FOUND: usize = 50_000;

/// Characters of a problem that are told.
const MAX_PROBLEM: usize = 500;

/// Whether a topic below our base is one of those a bridge has: another one's base, or anything else,
/// may be there, too.
fn usual(tail: &str, families: &[&str]) -> bool {
    let (first, rest) = tail.split_once('/').unwrap_or((tail, ""));
    let family = || PlugId::new(first).is_some_and(|id| families.contains(&id.family()));
    (first == "bridge" && !rest.is_empty()) || family()
}

/// What lies around.
#[derive(Debug, Default)]
pub(super) struct Around {
    /// All retained topics of plugs and bridge below our base, and all discovery topics that speak of it.
    pub(super) topics: Vec<String>,
    /// The plugs in `bridge/devices`.
    pub(super) listed: BTreeSet<String>,
    /// The problem in `bridge/info`.
    pub(super) problem: Option<String>,
}

/// The plugs in the text of `bridge/devices`.
fn listed(payload: &[u8]) -> BTreeSet<String> {
    let json = serde_json::from_slice::<Value>(payload).unwrap_or_default();
    let plugs = json.as_array().into_iter().flatten();
    plugs.filter_map(|plug| PlugId::new(plug["id"].as_str()?)).map(|id| id.to_string()).collect()
}

/// The problem in the text of `bridge/info`.
fn problem(payload: &[u8]) -> Option<String> {
    let json = serde_json::from_slice::<Value>(payload).unwrap_or_default();
    json.get("problem").and_then(Value::as_str).map(|problem| shortened(problem, MAX_PROBLEM))
}

/// Looks around.
pub(super) async fn look(settings: &Settings) -> Result<Around, String> {
    let Settings { address, announcer, families, .. } = settings;
    let (mut address, families) = (address.clone(), families.clone());
    address.client_id.push_str("-cleanup");
    let (base, prefix) = (announcer.base.clone(), announcer.prefix.clone());
    let below = format!("{base}/");
    let ours = format!("\"{base}/bridge/state\"");
    let (list, info) = (format!("{base}/bridge/devices"), format!("{base}/bridge/info"));
    let receive = move |topic: &str, payload: &[u8], retain: bool| {
        let mine = topic.strip_prefix(&below).is_some_and(|tail| usual(tail, &families))
            || String::from_utf8_lossy(payload).contains(&ours);
        if !retain || !mine || payload.is_empty() {
            return Heard::Nothing;
        }
        let plugs = if topic == list { listed(payload) } else { BTreeSet::new() };
        let problem = if topic == info { problem(payload) } else { None };
        Heard::Must((topic.to_owned(), plugs, problem))
    };
    let mut link = Link::open(&address, None, &Arc::default(), &Pulse::unwatched(), receive)?;
    let end = Instant::now() + LONGEST;
    let (mut found, mut listed, mut problem) = (BTreeSet::new(), BTreeSet::new(), None);
    let mut until = end;
    loop {
        match timeout_at(until.min(end), link.next()).await {
            Err(_) if until == end && found.is_empty() => {
                return Err("the broker did not answer in time".into());
            }
            Err(_) => break,
            Ok(Said::Down(why)) => return Err(why.to_string()),
            Ok(Said::Connected) => {
                link.look_at(&[
                    format!("{base}/#"),
                    format!("{prefix}/+/+/config"),
                    format!("{prefix}/+/+/+/config"),
                ])
                .await;
            }
            Ok(Said::Subscribed(refused)) => {
                if refused.contains(&0) {
                    return Err(format!("the broker refuses to show {base}/#; allow it in its access rules"));
                }
                until = Instant::now() + QUIET;
            }
            Ok(Said::Received((topic, plugs, wrong))) => {
                listed.extend(plugs);
                problem = problem.or(wrong);
                until = Instant::now() + QUIET;
                found.insert(topic);
                if found.len() >= MAX_FOUND {
                    break;
                }
            }
        }
    }
    link.close().await;
    Ok(Around { topics: found.into_iter().collect(), listed, problem })
}
