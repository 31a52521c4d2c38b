//! Somebody who listens to everything on a broker, and publishes.

use super::TIMEOUT;
use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, Packet, QoS};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) payload: Vec<u8>,
    pub(crate) retain: bool,
}

impl Message {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap_or_else(|_| panic!("{} is not JSON", self.text()))
    }
}

/// A message with this topic and payload.
pub(crate) fn on(topic: &str, payload: &str) -> impl Fn(&Message) -> bool + use<> {
    let (topic, payload) = (topic.to_owned(), payload.to_owned());
    move |message| message.topic == topic && message.payload == payload.as_bytes()
}

/// A message on this topic with a payload like this.
pub(crate) fn with<L: Fn(&str) -> bool>(topic: &str, like: L) -> impl Fn(&Message) -> bool + use<L> {
    let topic = topic.to_owned();
    move |message| message.topic == topic && like(&message.text())
}

pub(super) struct Client {
    client: AsyncClient,
    log: watch::Receiver<Vec<Message>>,
    task: JoinHandle<()>,
}

impl Client {
    /// Connects and listens to everything.
    pub(super) async fn new(port: u16) -> Self {
        let mut options = MqttOptions::new(format!("test-{:08x}", fastrand::u32(..)), "127.0.0.1", port);
        options.set_max_packet_size(16 << 20, 16 << 20).set_keep_alive(Duration::from_secs(30));
        let (client, events) = AsyncClient::new(options, 64);
        client.subscribe("#", QoS::AtLeastOnce).await.expect("room in the channel");
        let (tell, log) = watch::channel(Vec::new());
        let (ready, mut subscribed) = watch::channel(false);
        let task = tokio::spawn(listen(events, tell, ready));
        timeout(TIMEOUT, subscribed.wait_for(|yes| *yes)).await.expect("in time").expect("a broker");
        Self { client, log, task }
    }

    pub(super) fn log(&self) -> watch::Receiver<Vec<Message>> {
        self.log.clone()
    }

    pub(super) async fn publish(&self, topic: &str, payload: Vec<u8>, retain: bool) {
        self.client.publish(topic, QoS::AtLeastOnce, retain, payload).await.expect("a connection");
    }

    /// What a newcomer is shown: everything until its own first word comes back.
    pub(super) async fn retained(port: u16) -> BTreeMap<String, String> {
        let newcomer = Self::new(port).await;
        let end = format!("end/{:08x}", fastrand::u32(..));
        newcomer.publish(&end, b"end".to_vec(), false).await;
        let mut log = newcomer.log();
        let log = timeout(TIMEOUT, log.wait_for(|log| log.iter().any(|m| m.topic == end))).await;
        let log = log.expect("in time").expect("a broker");
        log.iter().filter(|m| m.retain).map(|m| (m.topic.clone(), m.text())).collect()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen(mut events: EventLoop, tell: watch::Sender<Vec<Message>>, ready: watch::Sender<bool>) {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::SubAck(_))) => drop(ready.send(true)),
            Ok(Event::Incoming(Packet::Publish(message))) => {
                let (topic, payload, retain) = (message.topic, message.payload.to_vec(), message.retain);
                tell.send_modify(|log| log.push(Message { topic, payload, retain }));
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}
