//! Whether discovery messages arrive: MQTT 3.1.1 has no word for a message that the broker's access rules do not
//! let through. The topics of some are subscribed to, and the first one must come back. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::time::Duration;
use tracing::{info, warn};

/// How long after its subscription a retained message may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Echo {
    waits: Waits,
    /// It was told that they do not arrive.
    told: bool,
    /// It was told, and is true no more.
    right_again: bool,
}

#[derive(Debug, Default)]
enum Waits {
    /// Nothing was published on this connection.
    #[default]
    Begin,
    /// For the broker's word that this topic is subscribed to.
    Subscription(String),
    /// For the message on this topic, until then.
    Message(String, Duration),
    /// It is known.
    End,
}

impl Echo {
    pub(super) fn connected(&mut self) {
        self.waits = Waits::Begin;
    }

    /// A message was published on this topic, and it is being subscribed to.
    pub(super) fn published(&mut self, topic: &str) {
        if matches!(self.waits, Waits::Begin) {
            self.waits = Waits::Subscription(topic.to_owned());
        }
    }

    /// These topics are subscribed to, or the broker does not allow that, which tells nothing.
    pub(super) fn subscribed(&mut self, now: Duration, topics: &[String], refused: bool) {
        if let Waits::Subscription(topic) = &self.waits
            && topics.contains(topic)
        {
            self.waits = if refused { Waits::End } else { Waits::Message(topic.clone(), now + PATIENCE) };
        }
    }

    /// A discovery message has come back.
    pub(super) fn came_back(&mut self) {
        self.waits = Waits::End;
        if std::mem::take(&mut self.told) {
            info!("discovery messages arrive at the broker again");
            self.right_again = true;
        }
    }

    pub(super) fn wake_at(&self) -> Option<Duration> {
        match self.waits {
            Waits::Message(_, until) => Some(until),
            Waits::Begin | Waits::Subscription(_) | Waits::End => None,
        }
    }

    /// What is wrong, or nothing any more, once that has changed; told in the log once. While messages are left out
    /// for their size, that is why.
    pub(super) fn problem(&mut self, now: Duration, left_out: bool) -> Option<Option<String>> {
        if std::mem::take(&mut self.right_again) {
            return Some(None);
        }
        let Waits::Message(topic, _) = &self.waits else { return None };
        self.wake_at().filter(|until| *until <= now)?;
        if left_out {
            self.waits = Waits::End;
            return None;
        }
        let sentence = format!(
            "discovery messages do not arrive on {topic}: allow this user to write and read it in the broker's access \
             rules (mosquitto: acl_file), or Home Assistant shows nothing"
        );
        self.waits = Waits::End;
        if !std::mem::replace(&mut self.told, true) {
            warn!("{sentence}");
        }
        Some(Some(sentence))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "homeassistant/device/one/config";

    fn asked(echo: &mut Echo, s: u64) {
        echo.connected();
        echo.published(TOPIC);
        echo.published("homeassistant/device/two/config");
        assert_eq!(echo.wake_at(), None);
        echo.subscribed(Duration::from_secs(s), &["homeassistant/device/two/config".into()], false);
        assert_eq!(echo.wake_at(), None, "another one");
        echo.subscribed(Duration::from_secs(s), &[TOPIC.into()], false);
        assert_eq!(echo.wake_at(), Some(Duration::from_secs(s) + PATIENCE));
    }

    #[test]
    fn what_does_not_come_back_is_told_once_on_each_connection_until_something_does() {
        let mut echo = Echo::default();
        for begin in [0, 100] {
            asked(&mut echo, begin);
            assert_eq!(echo.problem(Duration::from_secs(begin + 9), false), None);
            let told = echo.problem(Duration::from_secs(begin + 10), false).flatten().expect("told");
            assert!(told.contains(TOPIC) && told.contains("access rules"), "{told}");
            assert_eq!((echo.problem(Duration::from_secs(begin + 900), false), echo.wake_at()), (None, None));
        }
        echo.came_back();
        assert_eq!(echo.problem(Duration::from_secs(150), false), Some(None));
        asked(&mut echo, 200);
        echo.came_back();
        assert_eq!(echo.problem(Duration::from_secs(900), false), None);
        asked(&mut echo, 1000);
        echo.connected();
        assert_eq!(
            echo.problem(Duration::from_secs(2000), false),
            None,
            "the connection was lost, not the message"
        );
    }

    #[test]
    fn what_is_too_large_for_the_broker_is_no_matter_of_its_rules() {
        let mut echo = Echo::default();
        asked(&mut echo, 0);
        assert_eq!(echo.problem(Duration::from_secs(900), true), None);
        assert_eq!(echo.problem(Duration::from_secs(900), false), None);
    }

    #[test]
    fn a_subscription_that_is_refused_tells_nothing() {
        let mut echo = Echo::default();
        echo.published(TOPIC);
        echo.subscribed(Duration::ZERO, &[TOPIC.into()], true);
        assert_eq!(echo.problem(Duration::from_secs(900), false), None);
    }
}
