//! Keeps what the built-in broker retains in one file.
//!
//! The broker's own file store writes and syncs one file per retained message *before* delivering
//! it, which costs a memory card its life and every message its latency. So the broker keeps
//! everything in memory, and this saves the retained messages together: soon after a topic appears
//! or disappears, once a minute while only values change, and at the end.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use mqtt5::QoS;
use mqtt5::broker::router::MessageRouter;
use mqtt5::packet::publish::PublishPacket;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use super::BrokerError;
use super::room::Room;
use crate::file::{self, Replacement};

pub(super) const STORE_FILE: &str = "retained.json";
pub(super) const STORE_MAX_BYTES: u64 = 128 << 20;
const LOOK_EVERY: Duration = Duration::from_secs(5);
const SAVE_VALUES_EVERY: Duration = Duration::from_secs(60);

/// A retained message as it is kept in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    qos: u8,
    /// The payload when it is UTF-8, as nearly all are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The payload in hex when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
    /// The bridge has written it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    own: bool,
}

impl Kept {
    fn len(&self) -> usize {
        [&self.text, &self.hex].into_iter().flatten().map(String::len).sum()
    }

    fn of(message: &PublishPacket, own: bool) -> Self {
        let qos = message.qos as u8;
        match std::str::from_utf8(&message.payload) {
            Ok(text) => Self { qos, text: Some(text.into()), hex: None, own },
            Err(_) => {
                let hex = message.payload.iter().map(|byte| format!("{byte:02x}")).collect();
                Self { qos, text: None, hex: Some(hex), own }
            }
        }
    }

    fn publish(self, topic: String) -> Option<PublishPacket> {
        let payload = match (self.text, self.hex) {
            (Some(text), _) => text.into_bytes(),
            (None, Some(hex)) => hex
                .as_bytes()
                .chunks(2)
                .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
                .collect::<Option<_>>()?,
            (None, None) => return None,
        };
        let qos = match self.qos {
            0 => QoS::AtMostOnce,
            1 => QoS::AtLeastOnce,
            _ => QoS::ExactlyOnce,
        };
        Some(PublishPacket::new(topic, payload, qos).with_retain(true))
    }
}

/// Keeps the file equal to what the broker retains.
#[derive(Debug)]
pub(super) struct Keeper {
    file: PathBuf,
    room: Arc<Room>,
    saved: BTreeMap<String, Kept>,
}

impl Keeper {
    /// Gives the broker what was saved, and this last will in the place of what its topic had. A file that
    /// cannot be understood is kept aside.
    pub(super) async fn open(
        folder: &Path,
        router: &MessageRouter,
        room: Arc<Room>,
        will: Option<(&str, &str)>,
    ) -> Result<Self, BrokerError> {
        let file = folder.join(STORE_FILE);
        let made = file::no_link(folder).and_then(|()| private_folder(folder));
        made.map_err(|source| BrokerError::Store { path: folder.into(), source })?;
        let saved: BTreeMap<String, Kept> = match read(&file).map_err(|source| BrokerError::Store { path: file.clone(), source })? {
            None => BTreeMap::new(),
            Some(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                let aside = file.with_extension("json.bad");
                let moved = std::fs::rename(&file, &aside).is_ok();
                tracing::warn!(%error, file = %file.display(), aside = moved, "retained messages cannot be read; starting without them");
                BTreeMap::new()
            }),
        };
        for (topic, mut kept) in saved.clone() {
            if let Some((_, payload)) = will.filter(|(will, _)| *will == topic) {
                (kept.text, kept.hex) = (Some(payload.into()), None);
            }
            if kept.own {
                room.own(&topic);
            }
            if let Some(message) = kept.publish(topic) {
                router.route_message(&message, None).await;
            }
        }
        Ok(Self { file, room, saved })
    }

    /// Runs until `stopped` is sent or dropped, saves a last time and returns itself.
    pub(super) async fn keep(
        mut self,
        router: Arc<MessageRouter>,
        mut stopped: oneshot::Receiver<()>,
    ) -> Self {
        let mut last = Instant::now();
        let mut sick = false;
        loop {
            let stopping = timeout(LOOK_EVERY, &mut stopped).await.is_ok();
            let now = retained(&router, &self.room).await;
            let moved = !now.keys().eq(self.saved.keys());
            if now != self.saved && (stopping || moved || last.elapsed() >= SAVE_VALUES_EVERY) {
                last = Instant::now();
                match self.save(now).await {
                    Ok(()) => sick = false,
                    Err(error) if !sick => {
                        sick = true;
                        tracing::warn!(%error, file = %self.file.display(), "retained messages cannot be saved");
                    }
                    Err(_) => {}
                }
            }
            if stopping {
                return self;
            }
        }
    }

    /// How many topics the file holds.
    pub(super) fn topics(&self) -> usize {
        self.saved.len()
    }

    async fn save(&mut self, mut now: BTreeMap<String, Kept>) -> io::Result<()> {
        let file = self.file.clone();
        let mut bytes = serde_json::to_vec(&now)?;
        // The broker's bounds leave no room for this; but a file that cannot be read again is worth nothing.
        while bytes.len() as u64 > STORE_MAX_BYTES {
            let Some(topic) = now.iter().max_by_key(|(_, kept)| kept.len()).map(|(topic, _)| topic.clone())
            else {
                break;
            };
            tracing::warn!(?topic, "too much is retained; this message is not kept over a restart");
            now.remove(&topic);
            bytes = serde_json::to_vec(&now)?;
        }
        let write = move || Replacement::write(&file, |to| to.write_all(&bytes))?.put();
        tokio::task::spawn_blocking(write).await.map_err(io::Error::other)??;
        self.saved = now;
        Ok(())
    }
}

/// What would be worth keeping: a message that expires would come back without its expiry.
async fn retained(router: &MessageRouter, room: &Room) -> BTreeMap<String, Kept> {
    let messages = router.get_retained_messages("#").await;
    let lasting = messages.iter().filter(|m| m.properties.get_message_expiry_interval().is_none());
    let kept = |message: &PublishPacket| Kept::of(message, room.is_own(&message.topic_name));
    lasting.map(|message| (message.topic_name.clone(), kept(message))).collect()
}

/// How many bytes of the file a message needs.
#[cfg(test)]
pub(super) fn line(topic: &str, payload: &[u8]) -> usize {
    let message = PublishPacket::new(topic.to_owned(), payload.to_vec(), QoS::AtLeastOnce);
    let all = BTreeMap::from([(topic.to_owned(), Kept::of(&message, true))]);
    serde_json::to_vec(&all).expect("it is plain").len()
}

fn private_folder(folder: &Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

fn read(file: &Path) -> io::Result<Option<Vec<u8>>> {
    match file::read_own(file, STORE_MAX_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        // Nothing that could be understood: it is kept aside.
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => Ok(Some(Vec::new())),
        other => other.map(Some),
    }
}
