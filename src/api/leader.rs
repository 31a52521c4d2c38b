//! The port that others follow.

use super::{Asked, Verb, errand, some};
use crate::model::{LeaderWish, PlugRequest};
use serde::Deserialize;
use serde_json::Value as Json;

/// Read which port leads which, or set it; what is not given stays.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leader {
    /// Given back in the answer.
    pub transaction: Option<Json>,
    /// Which plug, as in `bridge/devices`.
    pub id: Option<String>,
    /// The port that leads, 1 to N, or `"none"`.
    pub leader: Option<Json>,
    /// The ports that follow, 1 to N.
    pub followers: Option<Vec<u8>>,
    /// Watts drawn by the leader above which the followers are on: 2, 5, 10 or 35.
    pub limit_w: Option<u16>,
}

impl Verb for Leader {
    const NAME: &'static str = "leader";
    const CHANGES: bool = false;

    fn ask(self) -> Result<Asked, String> {
        let leader = self.leader.as_ref().map(leader).transpose()?;
        let wish =
            LeaderWish { leader, followers: some(self.followers, "followers")?, limit_w: self.limit_w };
        errand(
            self.id.as_deref(),
            PlugRequest::Leader(Some(wish).filter(|wish| *wish != LeaderWish::default())),
        )
    }
}

/// The number of a port, also as text, or `none`.
fn leader(json: &Json) -> Result<Option<u8>, String> {
    let word = json.as_str().map(str::trim);
    let number = json.as_u64().and_then(|port| u8::try_from(port).ok());
    match number.or(word.and_then(|word| word.parse().ok())) {
        Some(port) => Ok(Some(port)),
        None if word == Some("none") => Ok(None),
        None => Err("leader is the number of a port, or none".into()),
    }
}
