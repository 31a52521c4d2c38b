//! A broker as a model: what it retains, the bridge's one connection and its subscriptions.

use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Broker {
    pub(crate) up: bool,
    pub(crate) retained: BTreeMap<String, String>,
    pub(crate) link: Option<Link>,
}

/// The bridge's connection as the broker sees it.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) number: u64,
    pub(crate) filters: Vec<String>,
    /// Messages arrive in order: no sooner than this.
    pub(crate) busy_until: Duration,
    /// The line is cut and nobody has noticed.
    pub(crate) dead: bool,
}

impl Broker {
    /// Takes a message to be kept.
    pub(crate) fn retain(&mut self, topic: &str, payload: &str) {
        if payload.is_empty() {
            self.retained.remove(topic);
        } else {
            self.retained.insert(topic.to_owned(), payload.to_owned());
        }
    }

    /// What a new subscription is shown.
    pub(crate) fn show(&self, filter: &str) -> Vec<(String, String)> {
        let fitting = self.retained.iter().filter(|(topic, _)| fits(filter, topic));
        fitting.map(|(topic, payload)| (topic.clone(), payload.clone())).collect()
    }
}

/// Whether a topic fits a filter with the wildcards `+` and `#`.
pub(crate) fn fits(filter: &str, topic: &str) -> bool {
    // Byte by byte: no other function of the simulation is called as often.
    let mut levels = topic.bytes().peekable();
    for (place, byte) in filter.bytes().enumerate() {
        match byte {
            b'#' => return true,
            b'+' => while levels.next_if(|byte| *byte != b'/').is_some() {},
            _ => match levels.next() {
                Some(level) if level == byte => {}
                // `a/#` is about `a`, too.
                None => return filter.get(place..) == Some("/#"),
                Some(_) => return false,
            },
        }
    }
    levels.next().is_none()
}
