//! Carries between the session and the world: one connection from its beginning to its end. What
//! comes over channels and from the broker goes into the session; what the session wants is sent.

use super::channels::{Channels, Leave};
use super::cleanup;
use super::contract::{Input, Outgoing};
use super::counters::Counters;
use super::link::{Heard, Link, Lost, Said};
use super::log::Lines;
use super::router::{Received, Routed, Router};
use super::session::Session;
use super::settings::Settings;
use super::size_probe::largest_message;
use super::topics;
use crate::model::Notification;
use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tracing::info;

/// Orders on one topic in so short a time are noted once.
const NOTED: Duration = Duration::from_millis(100);

/// One connection, with the session that speaks on it.
pub(super) struct Connection<'a> {
    settings: &'a Arc<Settings>,
    channels: &'a mut Channels,
    counters: &'a Arc<Counters>,
    session: &'a mut Session,
    link: Link<Received>,
    /// What looks around have brought.
    looked: (mpsc::Sender<Input>, mpsc::Receiver<Input>),
    /// Another bridge goes on: not a word more, not even the last one.
    yielded: bool,
}

/// The topic of the order that was obeyed last, and when that was noted.
#[derive(Default)]
struct Obeyed(Option<(String, Instant)>);

impl Obeyed {
    /// It was noted a moment ago; a flood is noted once.
    fn again(&mut self, topic: &str) -> bool {
        let noted = |(last, at): &(String, Instant)| last == topic && at.elapsed() < NOTED;
        let again = self.0.as_ref().is_some_and(noted);
        if !again {
            self.0 = Some((topic.to_owned(), Instant::now()));
        }
        again
    }
}

/// Why the loop woke up.
enum Woken {
    Said(Said<Received>),
    Changed,
    Notification(Arc<Notification>),
    Looked(Input),
    Line(Value),
    Refused,
    Stop,
    Time,
}

/// The next log line; never, when nobody opted in.
async fn next_line(lines: &mut Option<Lines>) -> Option<Value> {
    match lines {
        Some(lines) => lines.recv().await,
        None => std::future::pending().await,
    }
}

/// The word to stop, or the end of whoever could say it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    drop(stop.wait_for(|stop| *stop).await);
}

impl<'a> Connection<'a> {
    pub(super) fn open(
        settings: &'a Arc<Settings>,
        channels: &'a mut Channels,
        counters: &'a Arc<Counters>,
        session: &'a mut Session,
    ) -> Result<Self, String> {
        let will = Some(topics::last_will(&settings.announcer.base));
        let (router, orders) = (Router::new(Arc::clone(settings)), channels.orders.clone());
        let mut obeyed = Obeyed::default();
        let receive = move |topic: &str, payload: &[u8], retain: bool| {
            match router.route(topic, payload, retain) {
                // From here to the hub without a detour: somebody waits for a light.
                Routed::HubRequest(order) => match orders.send(order.plug().cloned(), order) {
                    Ok(()) if obeyed.again(topic) => Heard::Nothing,
                    Ok(()) => Heard::May(Received::obeyed(topic)),
                    Err(order) => Heard::May(Received::full(order)),
                },
                Routed::Rest(received) if received.matters() => Heard::Must(received),
                Routed::Rest(received) => Heard::May(received),
                Routed::Nothing => Heard::Nothing,
            }
        };
        let link = Link::open(&settings.address, will, counters, &channels.pulse, receive)?;
        Ok(Self { settings, channels, counters, session, link, looked: mpsc::channel(4), yielded: false })
    }

    /// Runs until the connection is lost (`Err`) or the program stops (`Ok`).
    pub(super) async fn run(mut self, connected_at: &mut Option<Instant>) -> Result<(), Lost> {
        if !self.connect().await? {
            return Ok(());
        }
        let address = &self.settings.address;
        info!(broker = format!("{}:{}", address.host, address.port), "connected to the MQTT broker");
        *connected_at = Some(Instant::now());
        self.counters.connected(true);
        // What was told while nobody listened is gone; it was never meant to wait.
        while self.channels.notes.try_recv().is_some() {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
        self.channels.notes.open();
        let view = Arc::clone(&self.channels.view.borrow_and_update());
        self.hand_in(Input::Connected(view)).await;
        loop {
            if self.yielded {
                self.link.close().await;
                return Ok(());
            }
            let wait = self.session.wake_at().saturating_sub((self.channels.clock)().up);
            let woken = tokio::select! {
                said = self.link.next() => Woken::Said(said),
                changed = self.channels.view.changed() => if changed.is_ok() { Woken::Changed } else { Woken::Time },
                note = self.channels.notes.recv() => Woken::Notification(note),
                Some(looked) = self.looked.1.recv() => Woken::Looked(looked),
                Some(line) = next_line(&mut self.channels.log) => Woken::Line(line),
                Ok(()) = self.channels.refused.changed() => Woken::Refused,
                () = stopped(&mut self.channels.stop) => Woken::Stop,
                () = sleep(wait) => Woken::Time,
            };
            match woken {
                Woken::Changed => self.show().await,
                Woken::Said(Said::Connected) | Woken::Time => self.feed(Input::Tick).await,
                Woken::Said(Said::Subscribed(refused)) => self.feed(Input::Subscribed(refused)).await,
                Woken::Said(Said::Received(received)) => self.feed(Input::Received(received)).await,
                Woken::Said(Said::Down(why)) => return Err(why),
                Woken::Notification(note) => {
                    self.counters.dropped.fetch_add(self.channels.notes.missed(), Ordering::Relaxed);
                    self.feed(Input::Notification(note)).await;
                }
                Woken::Looked(looked) => self.feed(looked).await,
                Woken::Refused => {
                    let why = self.channels.refused.borrow_and_update().clone();
                    self.feed(Input::Refused(why)).await;
                }
                Woken::Line(line) => self.feed(Input::Line(line)).await,
                Woken::Stop => {
                    while let Some(note) = self.channels.notes.try_recv() {
                        self.feed(Input::Notification(note)).await;
                    }
                    self.feed(Input::Stop).await;
                    self.link.close().await;
                    return Ok(());
                }
            }
        }
    }

    /// Waits for the broker's word; false when the program stops meanwhile.
    async fn connect(&mut self) -> Result<bool, Lost> {
        loop {
            tokio::select! {
                said = self.link.next() => match said {
                    Said::Connected => return Ok(true),
                    Said::Down(why) => return Err(why),
                    Said::Subscribed(_) | Said::Received(_) => {}
                },
                () = stopped(&mut self.channels.stop) => return Ok(false),
            }
        }
    }

    /// Hands in what happened, after the picture it belongs to.
    async fn feed(&mut self, input: Input) {
        if self.channels.view.has_changed().unwrap_or(true) {
            self.show().await;
        }
        self.hand_in(input).await;
    }

    async fn show(&mut self) {
        let view = Arc::clone(&self.channels.view.borrow_and_update());
        self.hand_in(Input::Shown(view)).await;
    }

    async fn hand_in(&mut self, input: Input) {
        let now = (self.channels.clock)();
        self.session.handle(&now, input);
        while let Some(outgoing) = self.session.outgoing() {
            self.carry_out(outgoing).await;
        }
    }

    async fn carry_out(&mut self, outgoing: Outgoing) {
        match outgoing {
            Outgoing::Publish { topic, payload, retain } => self.link.publish(&topic, payload, retain).await,
            Outgoing::Subscribe(filters) => self.link.subscribe(&filters).await,
            Outgoing::LookAt(filters) => self.link.look_at(&filters).await,
            Outgoing::Unsubscribe(filters) => self.link.unsubscribe(&filters).await,
            Outgoing::HubRequest(order) => self.channels.orders.must_send(order.plug().cloned(), order),
            Outgoing::Health(wanted) => {
                let figures = self.counters.metrics();
                if let Some((topic, payload, retain)) = self.session.health(&wanted, figures) {
                    self.link.publish(&topic, payload, retain).await;
                }
            }
            Outgoing::LookAround => {
                let (settings, looked) = (Arc::clone(self.settings), self.looked.0.clone());
                tokio::spawn(async move {
                    let around = cleanup::look(&settings).await;
                    drop(looked.send(Input::Looked(around.map(|around| around.topics))).await);
                });
            }
            Outgoing::Measure(wanted) => {
                let (settings, looked) = (Arc::clone(self.settings), self.looked.0.clone());
                tokio::spawn(async move {
                    let base = &settings.announcer.base;
                    if let Some(passes) = largest_message(&settings.address, base, wanted).await {
                        drop(looked.send(Input::Measured { wanted, passes }).await);
                    }
                });
            }
            Outgoing::Restart => drop(self.channels.leave.try_send(Leave::Restart)),
            Outgoing::Yield(peer) => {
                self.yielded = true;
                drop(self.channels.leave.try_send(Leave::Yield(peer)));
            }
        }
    }
}
