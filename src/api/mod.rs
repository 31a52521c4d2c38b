//! Requests, commands and answers as JSON, for whoever hands them in: each verb is a struct, in a file of its
//! own or in that of its capability, whose fields are the keys it takes. A key that is not among them is refused and named, as nothing
//! that was meant by it would be done. Pure: text in, [`Asked`] or a sentence with the remedy out.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

pub mod adoption;
pub mod answer;
pub mod bridge;
pub mod command;
pub mod device_options;
pub mod energy_set;
pub mod log_level;
pub mod overload_reset;
mod plug_request;
mod read;
pub mod rename;

pub use read::mark;

use crate::capability::{self, RequestVisitor, each_request};
use crate::model::{PlugId, PlugRequest, Request};
use serde::de::DeserializeOwned;
use std::sync::LazyLock;

/// Longer commands and requests are refused unread, in bytes.
const MAX_PAYLOAD: usize = 4096;

/// What a request asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// Something of the hub.
    Hub(Request),
    /// Something of the bridge around it.
    Bridge(OwnRequest),
}

/// What the bridge does without the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OwnRequest {
    /// Publish everything again.
    Republish,
    /// Clear retained topics that no plug owns.
    Cleanup {
        /// Only say which.
        dry_run: bool,
    },
    /// Say how the bridge is.
    HealthCheck,
    /// Read the settings again, and start anew.
    Restart,
}

/// The keys of a verb.
pub trait Verb: DeserializeOwned {
    /// As in its topic.
    const NAME: &'static str;
    /// Under which key a payload that is a plain word belongs.
    const WORD: Option<&'static str> = None;
    /// It changes something, whatever its keys say.
    const CHANGES: bool = true;

    /// What it asks for.
    ///
    /// # Errors
    ///
    /// What is wrong with it, with the remedy.
    fn ask(self) -> Result<Asked, String>;
}

/// A verb of the registry.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// As in its topic.
    pub name: &'static str,
    /// It changes something whatever its keys say; of a request to one plug, what it asks for tells.
    pub changes: bool,
    /// Its keys, `transaction` among them.
    pub keys: fn() -> Vec<&'static str>,
    /// Understands a request; an error says the remedy.
    pub read: fn(&str) -> Result<Asked, String>,
}

const fn entry<T: Verb>() -> Entry {
    Entry {
        name: T::NAME,
        changes: T::CHANGES,
        keys: || read::keys::<T>().to_vec(),
        read: read::request::<T>,
    }
}

/// Requests to the bridge.
static OWN: [Entry; 14] = [
    entry::<adoption::Scan>(),
    entry::<adoption::Adopt>(),
    entry::<adoption::DeviceRemove>(),
    entry::<rename::DeviceRename>(),
    entry::<rename::PortRename>(),
    entry::<device_options::DeviceOptions>(),
    entry::<adoption::DeviceReplace>(),
    entry::<energy_set::EnergySet>(),
    entry::<overload_reset::OverloadReset>(),
    entry::<bridge::Republish>(),
    entry::<bridge::Cleanup>(),
    entry::<log_level::LogLevel>(),
    entry::<bridge::HealthCheck>(),
    entry::<bridge::Restart>(),
];

/// Requests to one plug, as its capability has them.
struct Verbs(Vec<Entry>);

impl RequestVisitor for Verbs {
    fn visit<R: capability::Request + DeserializeOwned + Into<PlugRequest>>(&mut self) {
        let (keys, read) = (plug_request::keys::<R>, plug_request::request::<R>);
        self.0.push(Entry { name: R::VERB, changes: false, keys, read });
    }
}

static ALL: LazyLock<Vec<Entry>> = LazyLock::new(|| {
    let mut all = Verbs(OWN.to_vec());
    each_request(&mut all);
    all.0
});

/// All verbs.
pub fn verbs() -> &'static [Entry] {
    &ALL
}

/// The verb with this name.
///
/// # Errors
///
/// Which ones there are.
pub fn verb(name: &str) -> Result<&'static Entry, String> {
    verbs().iter().find(|verb| verb.name == name).ok_or_else(|| {
        let all: Vec<&str> = verbs().iter().map(|verb| verb.name).collect();
        format!("unknown request; there are {}", all.join(", "))
    })
}

/// The text of a payload.
///
/// # Errors
///
/// Why `what` has none.
pub fn text<'a>(payload: &'a [u8], what: &str) -> Result<&'a str, String> {
    if payload.len() > MAX_PAYLOAD {
        return Err(format!("{what} has at most {MAX_PAYLOAD} bytes"));
    }
    Ok(std::str::from_utf8(payload).map_err(|_| format!("{what} is UTF-8 text"))?.trim())
}

/// The plug that a key names.
fn plug(key: &str, text: Option<&str>) -> Result<PlugId, String> {
    let text = text.ok_or_else(|| format!("give \"{key}\", as in bridge/devices"))?;
    PlugId::new(text).ok_or_else(|| format!("{text:?} is not the id of a plug; bridge/devices lists them"))
}

/// Something for one plug itself.
fn to_plug(id: Option<&str>, request: PlugRequest) -> Result<Asked, String> {
    Ok(Asked::Hub(Request::PlugRequest(plug("id", id)?, request)))
}

#[cfg(test)]
mod tests;
