//! Any command of a plug's protocol, for those who know it.

use super::conversation::Once;
use super::{Capability, Guard, Query, QueryReply, Request, read};
use crate::core::Lock;
use serde::Deserialize;
use serde_json::{Value as Json, json};

pub(super) static CAPABILITY: Capability = Capability {
    name: "call",
    requests: &[Call::VERB],
    command: Some("call"),
    personal: None,
    shown: &[],
    reads: |_| Vec::new(),
    slow_poll: None,
};

/// A command of the plug's protocol.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Its number.
    pub command: u16,
    /// Its arguments, a JSON object, as its protocol has them.
    #[serde(default, deserialize_with = "read::object_as_text")]
    pub arguments: Option<String>,
}

impl Request for Call {
    const VERB: &'static str = "call";
    /// JSON with secrets masked.
    type Answer = String;
    type Conversation = Once<String>;

    fn changes(&self) -> bool {
        true
    }

    fn open(self, guard: Guard) -> Result<Once<String>, String> {
        let who = &guard.who;
        if guard.locks.iter().any(|lock| *lock != Lock::None) {
            return Err(format!(
                "{who} has locked ports, which a raw command could switch; unlock them first"
            ));
        }
        if guard.latched {
            return Err(format!(
                "{who} has latched ports, which a raw command could switch on; reset them first (overload_reset)"
            ));
        }
        Ok(Once::new(
            Query::Call(self),
            |reply| {
                if let QueryReply::Call(text) = reply { Some(text) } else { None }
            },
        ))
    }

    fn report(answer: &String) -> Json {
        json!({"answer": serde_json::from_str(answer).unwrap_or_else(|_| Json::from(answer.as_str()))})
    }
}
