//! Examines the broker for a person on call: does it let us in, may we subscribe and publish where a
//! session must, and what of ours lies around? On a connection of its own; nothing retained is
//! touched.

use super::cleanup::{self, Around};
use super::homeassistant::plug_of;
use super::link::{Heard, Link, Said};
use super::memory::Memory;
use super::migration;
use super::peer_probe::{OtherBridge, other_bridges};
use super::settings::Settings;
use crate::model::{PlugId, View};
use crate::pulse::Pulse;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The longest wait for the broker.
const TIMEOUT: Duration = Duration::from_secs(8);

/// How long messages to ourselves may take.
const ROUND: Duration = Duration::from_secs(2);

/// What was found out about the broker.
#[derive(Debug)]
pub struct BrokerReport {
    /// How long it took to be let in.
    pub took: Duration,
    /// Filters that a session subscribes to and the broker refuses.
    pub refused: Vec<String>,
    /// Topics that we published to without hearing it: the broker drops what we say there.
    pub dropped: Vec<String>,
    /// Bridges that act on our base topic.
    pub living: Vec<OtherBridge>,
    /// What the bridge that was there last, or is there now and then, said to be wrong with it.
    pub problem: Option<String>,
    /// Retained topics of ours that nobody owns, or why that is not known.
    pub leftovers: Result<Vec<String>, String>,
    /// Plugs that have topics and that a bridge lists on the broker, though we remember nothing of them.
    pub elsewhere: Vec<String>,
}

/// Those of these topics that nobody owns, and plugs of which we know nothing but that a bridge lists them:
/// another user's bridge knows what is theirs.
fn judge(around: Around, owned: &BTreeSet<String>, view: &View) -> (Vec<String>, Vec<String>) {
    let ours: BTreeSet<&str> = view.plugs.keys().map(PlugId::as_str).collect();
    let strangers: BTreeSet<&str> =
        around.listed.iter().map(String::as_str).filter(|id| !ours.contains(id)).collect();
    let of = |topic: &str| topic.split('/').find_map(|part| strangers.get(plug_of(part)).copied());
    let (mut leftovers, mut elsewhere) = (Vec::new(), BTreeSet::new());
    for topic in around.topics.into_iter().filter(|topic| !owned.contains(topic)) {
        match of(&topic) {
            Some(id) => drop(elsewhere.insert(id.to_owned())),
            None => leftovers.push(topic),
        }
    }
    (leftovers, elsewhere.into_iter().collect())
}

/// Examines the broker; `view` is what we know of plugs, `memory` what this sink keeps of them.
///
/// # Errors
///
/// Why the broker does not let us in, in a sentence.
pub async fn check_broker(settings: &Settings, view: &View, memory: &Memory) -> Result<BrokerReport, String> {
    let mut address = settings.address.clone();
    address.client_id.push_str("-doctor");
    let base = &settings.announcer.base;
    let announces = settings.announcer.is_on();
    let mut filters: Vec<String> =
        ["bridge/request/+", "+/set", "+/get", "+/+/set"].map(|tail| format!("{base}/{tail}")).into();
    // Nobody else has such topics, and nothing is left on them.
    let mut own = vec![format!("{base}/bridge/doctor")];
    if announces {
        filters.push(settings.birth_topic.clone());
        // Where announcements go, but not to Home Assistant: it warns of devices it has never heard of.
        own.push(format!("{}/device/plug2mqtt_doctor/check", settings.announcer.prefix));
    }
    filters.extend(own.iter().cloned());

    let listened: BTreeSet<String> = own.iter().cloned().collect();
    let receive = move |topic: &str, _: &[u8], retain: bool| {
        if !retain && listened.contains(topic) { Heard::Must(topic.to_owned()) } else { Heard::Nothing }
    };
    let began = Instant::now();
    let mut link = Link::open(&address, None, &Arc::default(), &Pulse::unwatched(), receive)?;
    let mut report = BrokerReport {
        took: Duration::ZERO,
        refused: Vec::new(),
        dropped: own.clone(),
        living: Vec::new(),
        problem: None,
        leftovers: Ok(Vec::new()),
        elsewhere: Vec::new(),
    };
    let mut until = began + TIMEOUT;
    while !report.dropped.is_empty() {
        match timeout_at(until, link.next()).await {
            Err(_) if report.took.is_zero() => return Err("the broker does not answer".into()),
            Err(_) => break,
            Ok(Said::Down(why)) => return Err(why.to_string()),
            Ok(Said::Connected) => {
                report.took = began.elapsed();
                link.subscribe(&filters).await;
            }
            Ok(Said::Subscribed(refused)) => {
                report.refused =
                    refused.into_iter().filter_map(|place| filters.get(place).cloned()).collect();
                until = Instant::now() + ROUND;
                for topic in &own {
                    link.publish(topic, "", false).await;
                }
            }
            Ok(Said::Received(topic)) => report.dropped.retain(|own| *own != topic),
        }
    }
    link.close().await;
    // What we may not hear says nothing about what we may say.
    report.dropped.retain(|topic| !report.refused.contains(topic));
    report.living = other_bridges(settings).await?;
    let owned = migration::owned(&settings.announcer, view, memory);
    let mut around = cleanup::look(settings).await;
    report.problem = around.as_mut().ok().and_then(|around| around.problem.take());
    let judged = around.map(|around| judge(around, &owned, view));
    report.leftovers = judged.map(|(leftovers, elsewhere)| {
        report.elsewhere = elsewhere;
        leftovers
    });
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::{Around, BTreeSet, View, judge};

    #[test]
    fn topics_of_plugs_that_a_bridge_lists_are_no_leftovers() {
        let topics = [
            "homeassistant/device/plug2mqtt_maxsmart-a/config",
            "homeassistant/device/plug2mqtt_maxsmart-a_p2/config",
            "homeassistant/device/plug2mqtt_maxsmart-gone/config",
            "homeassistant/switch/maxsmart-a/switch_1/config",
            "plug2mqtt/bridge/devices",
            "plug2mqtt/maxsmart-a-000009/state",
            "plug2mqtt/maxsmart-a/state",
            "plug2mqtt/maxsmart-gone/state",
        ];
        let around = Around {
            topics: topics.map(str::to_owned).into(),
            listed: ["maxsmart-a", "maxsmart-b"].map(str::to_owned).into(),
            ..Around::default()
        };
        let owned = BTreeSet::from(["plug2mqtt/bridge/devices".to_owned()]);
        let (leftovers, elsewhere) = judge(around, &owned, &View::default());
        assert_eq!(leftovers, [topics[2], topics[5], topics[7]]);
        assert_eq!(elsewhere, ["maxsmart-a"]);
    }
}
