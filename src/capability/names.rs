//! Names of a plug and its ports that it keeps itself.

use super::conversation::Conversation;
use super::device::mixed_up;
use super::{Capability, Guard, Query, QueryReply, Request};
use crate::core::{Failure, Name, Now};
use serde_json::{Value as Json, json};

pub(super) static CAPABILITY: Capability = Capability {
    name: "names",
    requests: &["device_rename", "port_rename"],
    command: Some("rename"),
    personal: Some("names of the plug and its ports"),
    shown: &[],
    reads: |_| Vec::new(),
    slow_poll: None,
};

/// Gives a plug or a port a name, to be kept by the plug.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rename {
    /// Which port, 0 for the whole plug.
    pub port: u8,
    /// The new name.
    pub name: Name,
}

/// A new name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renamed {
    /// Which port, 0 for the whole plug.
    pub port: u8,
    /// The name.
    pub name: Name,
    /// Why the bridge has to keep it; `None` when the plug does, and tells it.
    pub kept_here: Option<String>,
}

impl Request for Rename {
    const VERB: &'static str = "port_rename";
    type Answer = Renamed;
    type Conversation = Self;

    fn verb(&self) -> &'static str {
        if self.port == 0 { "device_rename" } else { Self::VERB }
    }

    fn changes(&self) -> bool {
        true
    }

    fn ports(&self) -> Vec<u8> {
        Some(self.port).filter(|port| *port > 0).into_iter().collect()
    }

    fn open(self, _: Guard) -> Result<Self, String> {
        Ok(self)
    }

    fn report(Renamed { port, name, kept_here }: &Renamed) -> Json {
        let mut all =
            json!({"name": name.as_str(), "kept_by": if kept_here.is_some() { "bridge" } else { "plug" }});
        if let Some(object) = all.as_object_mut() {
            object.extend((*port > 0).then(|| ("port".to_owned(), Json::from(*port))));
            object.extend(kept_here.as_deref().map(|why| ("reason".to_owned(), Json::from(why))));
        }
        all
    }
}

impl Conversation for Rename {
    type Answer = Renamed;

    fn query(&self) -> Query {
        Query::Names(self.clone())
    }

    fn take(&mut self, reply: QueryReply, _: &Now) -> Result<Option<Renamed>, Failure> {
        let QueryReply::Names(told) = reply else { return Err(mixed_up()) };
        let kept_here = match told {
            Some(told) if told == self.name => None,
            Some(told) => Some(format!("the plug took the name and still calls itself {told}")),
            None => Some("the plug took the name and does not tell it".into()),
        };
        Ok(Some(Renamed { port: self.port, name: self.name.clone(), kept_here }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::device::UNKNOWN;
    use super::super::tests::{guard, play};
    use super::*;
    use crate::capability::DeviceResponse;

    #[test]
    fn a_name_that_the_plug_does_not_tell_is_kept_here() {
        let rename = Rename { port: 2, name: Name::clean("Flur").expect("a name") };
        let kept = |told: Option<&str>| {
            let told = QueryReply::Names(told.and_then(Name::clean)).into();
            play(rename.clone(), guard(), vec![told]).1.expect("an answer").kept_here
        };
        assert_eq!(kept(Some("Flur")), None);
        assert!(kept(Some("PORT2")).is_some_and(|why| why.contains("PORT2")));
        assert!(kept(None).is_some());
        let no = play(rename, guard(), vec![DeviceResponse::Unsupported]).1.expect_err("no");
        assert!(no.contains(UNKNOWN), "{no}");
    }
}
