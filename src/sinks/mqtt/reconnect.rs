//! Connections that end: when the next one is tried, and what is said about it. One that was accepted
//! and soon ended is a failure like one that was refused.

use super::in_flight::Sent;
use super::link::Lost;
use crate::model::Backoff;
use std::time::Duration;
use tokio::time::Instant;

/// A broker that is only being restarted is back within this time; until then it is tried again
/// quickly, so that everything is told again within a second of its return.
const RESTART: Duration = Duration::from_secs(60);
const QUICK_PAUSE: Duration = Duration::from_millis(700);

/// Pause before connecting again after that, with jitter.
const AGAIN: Backoff = Backoff::doubling(Duration::from_secs(1), Duration::from_secs(60));

/// The same where the connection is accepted and soon ends: it may be of use now and then.
const ACCEPTED: Backoff = Backoff { factor: 1.5, ..AGAIN };

/// A connection that lasted this long was a good one, unless the pause before it was as long.
const GOOD: Duration = Duration::from_secs(10);

/// So many in a row that were accepted and soon ended have a cause of their own.
const SHORT: u32 = 3;

/// What went wrong since the last good connection.
#[derive(Debug, Default)]
pub(super) struct Reconnect {
    /// Pauses there were after it was not tried again quickly any more.
    pauses: u32,
    since: Option<Instant>,
    told: Option<Lost>,
    /// Connections in a row that were accepted and soon ended.
    short: u32,
    /// The last of them sent the same too large message.
    suspect: Option<Sent>,
}

impl Reconnect {
    /// A connection has ended, `lasted` so long if it was accepted. How long to wait, and whether this
    /// is worth a line in the log.
    pub(super) fn ended(&mut self, why: &Lost, lasted: Option<Duration>) -> (Duration, bool) {
        match lasted {
            Some(lasted) if lasted >= GOOD.max(self.pause()) => *self = Self::default(),
            Some(_) => self.short += 1,
            None => {}
        }
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        let quick = waited < RESTART && !why.is_refusal() && self.short < SHORT;
        let wait = if quick { QUICK_PAUSE } else { self.pause() };
        self.pauses += u32::from(!quick);
        let news = self.told.as_ref().map(Lost::kind) != Some(why.kind());
        self.told = Some(why.clone());
        (wait.mul_f64(0.75 + fastrand::f64() / 2.0), news)
    }

    /// The next pause.
    fn pause(&self) -> Duration {
        let pauses = if self.short < SHORT { AGAIN } else { ACCEPTED };
        pauses.pause(self.pauses)
    }

    /// The size of a message that may be too large: two connections in a row have ended with it.
    pub(super) fn suspect(&mut self, why: &Lost) -> Option<usize> {
        let suspect = if let Lost::Cut { suspect, .. } = why { suspect.clone() } else { None };
        let again = self.short > 1 && suspect.is_some() && self.suspect.is_some();
        self.suspect = suspect;
        self.suspect.as_ref().filter(|_| again).map(|sent| sent.size)
    }

    /// What is said, once, when one connection after the other ends. Whether large messages were taken tells two
    /// causes apart.
    pub(super) fn explained(&self, why: &Lost, client_id: &str) -> Option<String> {
        let Lost::Cut { why, last, suspect, .. } = why else { return None };
        let cause = match suspect {
            Some(Sent { topic, size }) => format!(
                "It has not acknowledged {size} bytes to {topic:?}, so most likely it takes no message of that size: \
                 raise its limit (mosquitto: max_packet_size)"
            ),
            None => format!(
                "All that is large was acknowledged, so most likely another program uses the client id {client_id}: \
                 give this one another mqtt.client_id. Or the access rules do not let it publish on {:?}, which was \
                 sent last",
                last.topic
            ),
        };
        (self.short == SHORT).then(|| {
            format!(
                "{SHORT} connections in a row were accepted by the broker and soon ended ({why}). {cause}; the \
                 broker's log says more"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(kind: &str, why: &str, suspect: Option<usize>) -> Lost {
        let sent = |size| Sent { topic: "home/x".into(), size };
        Lost::Cut { kind: kind.into(), why: why.into(), last: sent(7), suspect: suspect.map(sent) }
    }

    #[test]
    fn connections_that_soon_end_are_failures_and_their_pauses_grow() {
        let mut reconnect = Reconnect::default();
        let why = cut("reset", "reset by peer", None);
        let mut end = |lasted: u64| reconnect.ended(&why, Some(Duration::from_secs(lasted))).0.as_secs_f64();
        let waits: Vec<f64> = (0..14).map(|_| end(1)).collect();
        assert!(waits[..2].iter().all(|wait| *wait < 1.0), "a broker may be restarting: {waits:?}");
        assert!(waits[6] > 3.0 && waits[13] > 40.0, "{waits:?}");
        assert!(end(59) > 40.0, "shorter than the pause before it");
        assert!(end(61) < 1.0, "a good one");
    }

    #[test]
    fn the_likely_cause_is_said_after_three_of_them_once() {
        let said = |suspect| {
            let mut reconnect = Reconnect::default();
            let why = cut("reset", "reset by peer", suspect);
            let said: Vec<Option<String>> = (0..6)
                .map(|_| {
                    reconnect.ended(&why, Some(Duration::ZERO));
                    reconnect.explained(&why, "me")
                })
                .collect();
            let [None, None, Some(said), None, None, None] = said.as_slice() else { panic!("{said:?}") };
            assert!(said.contains("reset by peer"), "{said}");
            said.clone()
        };
        let (small, large) = (said(None), said(Some(9000)));
        assert!(small.contains("client id me") && small.contains("\"home/x\""), "{small}");
        assert!(large.contains("9000 bytes") && !large.contains("client id"), "{large}");
    }

    #[test]
    fn repetitions_are_known_by_their_kind_and_not_by_their_text() {
        let mut reconnect = Reconnect::default();
        let mut news = |why: Lost| reconnect.ended(&why, None).1;
        assert!(news(cut("reset", "after 1.2 s", None)));
        assert!(!news(cut("reset", "after 1.3 s", None)));
        assert!(news(cut("eof", "after 1.3 s", None)));
        assert!(news(Lost::ClientId));
        assert!(!news(Lost::ClientId));
    }

    #[test]
    fn a_message_is_suspected_when_two_connections_have_ended_with_it() {
        let mut reconnect = Reconnect::default();
        let mut suspect = |size| {
            let why = cut("reset", "", size);
            reconnect.ended(&why, Some(Duration::ZERO));
            reconnect.suspect(&why)
        };
        assert_eq!(suspect(Some(9000)), None);
        assert_eq!(suspect(None), None);
        assert_eq!(suspect(Some(9000)), None);
        assert_eq!(suspect(Some(9100)), Some(9100));
    }
}
