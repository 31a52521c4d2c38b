//! Commands to switch: a word, or an object.

use super::read::{self, MAX_MARK, mark, wish, wish_json};
use crate::model::{Asker, PlugId, SwitchAction, SwitchOrder};
use serde::Deserialize;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// The longest a timed command may hold, in seconds.
const MAX_HOLD_S: u64 = 7 * 86_400;

/// JSON form of a command.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// `ON`, `OFF` or `TOGGLE`, also `true`, `false`, `1` or `0`.
    pub state: Option<Json>,
    /// A state for each port, 1 to N; on the topic of the whole plug, instead of `state`.
    #[serde(default, deserialize_with = "read::some_by_port")]
    pub ports: Option<BTreeMap<u8, Json>>,
    /// It lives no longer than this, in ms.
    pub ttl_ms: Option<u64>,
    /// Back to the opposite after this long: 1 to 604800 s.
    #[serde(default, deserialize_with = "read::seconds")]
    pub for_s: Option<u64>,
    /// Pause between one port and the next, 0 to 60000 ms.
    pub stagger_ms: Option<u64>,
    /// Given back in the result; at most 128 characters.
    pub id: Option<Json>,
}

/// Understands a command to a port, or to [the whole plug](SwitchOrder::WHOLE).
///
/// # Errors
///
/// What is wrong with it, with the remedy.
pub fn command(plug: &PlugId, port: u8, text: &str) -> Result<SwitchOrder, String> {
    let order = |ports| SwitchOrder {
        plug: plug.clone(),
        ports,
        asker: Asker::default(),
        ttl: None,
        hold: None,
        stagger: Duration::ZERO,
        said: hash(&(port, text)),
    };
    let quoted = serde_json::from_str::<String>(text).ok();
    if let Some(wish) = wish(quoted.as_deref().unwrap_or(text)) {
        return Ok(order(BTreeMap::from([(port, wish)])));
    }
    if !text.starts_with('{') {
        return Err("a command is ON, OFF, TOGGLE or a JSON object with \"state\"".into());
    }
    let json: Command = read::object("a command", "command", "id", text)?;
    let long =
        |id: &Json| id.as_str().map_or_else(|| id.to_string(), Into::into).chars().nth(MAX_MARK).is_some();
    if json.id.as_ref().is_some_and(long) {
        return Err(format!("an id has at most {MAX_MARK} characters"));
    }
    let mut order = order(json.wishes(port)?);
    order.asker.mark = mark(text, "id");
    order.ttl = json.ttl_ms.map(Duration::from_millis);
    order.hold = match json.for_s {
        Some(s) if !(1..=MAX_HOLD_S).contains(&s) => return Err("for_s must be 1 to 604800".into()),
        seconds => seconds.map(Duration::from_secs),
    };
    order.stagger = match json.stagger_ms {
        Some(ms) if ms > 60_000 => return Err("stagger_ms must be 0 to 60000".into()),
        ms => Duration::from_millis(ms.unwrap_or_default()),
    };
    Ok(order)
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

impl Command {
    fn wishes(&self, port: u8) -> Result<BTreeMap<u8, SwitchAction>, String> {
        let state = |json: &Json| wish_json(json).ok_or_else(|| "a state is ON, OFF or TOGGLE".to_owned());
        let wishes = match (&self.state, &self.ports) {
            (Some(json), None) => BTreeMap::from([(port, state(json)?)]),
            (None, Some(ports)) if port == SwitchOrder::WHOLE => {
                let one = |(port, json): (&u8, &Json)| Ok((*port, state(json)?));
                ports.iter().map(one).collect::<Result<_, String>>()?
            }
            _ => return Err("give either \"state\", or \"ports\" on the topic of the whole plug".into()),
        };
        if wishes.is_empty() {
            return Err("give 1 to 16 ports".into());
        }
        Ok(wishes)
    }
}
