//! What comes in, understood: a topic and a payload become an order, or a refusal that says the
//! remedy. Pure.
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use crate::api::command::command;
use crate::api::{self, Asked, Entry, OwnRequest};
use crate::model::{Asker, CommandError, HubRequest, PlugId, PlugRequest, Request, SwitchOrder, port_number};

/// What came in on one of the topics subscribed to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Incoming {
    /// For the hub.
    HubRequest(HubRequest),
    /// For the link itself, with the transaction mark.
    Own(OwnRequest, Option<String>),
    /// A command that is refused: its result, and a sentence.
    Bad(PlugId, Option<String>, CommandError, String),
    /// A request that is refused: verb, transaction, remedy.
    BadRequest(String, Option<String>, String),
    /// A command to something that cannot be the id of a plug, as in the topic, with the sender's mark.
    Nobody(String, Option<String>),
    /// The same for what has no result.
    NobodyToGet(String),
}

/// Which requests are obeyed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Allow {
    /// Those that change things.
    pub(super) admin: bool,
    /// Raw commands.
    pub(super) raw: bool,
}

/// Which of our topics this is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Topic<'a> {
    Request(&'a str),
    Set(&'a str, Option<&'a str>),
    Get(&'a str),
}

/// The topics that are obeyed: requests, commands to plugs and to ports, and questions, in this order.
pub(super) fn filters(base: &str) -> [String; 4] {
    ["bridge/request/+", "+/set", "+/+/set", "+/get"].map(|tail| format!("{base}/{tail}"))
}

/// Takes a topic apart; `None` when it is not one the bridge obeys.
pub(super) fn topic<'a>(base: &str, topic: &'a str) -> Option<Topic<'a>> {
    let rest = topic.strip_prefix(base)?.strip_prefix('/')?;
    let mut levels = rest.split('/');
    match (levels.next()?, levels.next(), levels.next(), levels.next()) {
        ("bridge", Some("request"), Some(verb), None) => Some(Topic::Request(verb)),
        ("bridge", ..) => None,
        (device, Some("set"), None, None) => Some(Topic::Set(device, None)),
        (device, Some("get"), None, None) => Some(Topic::Get(device)),
        (device, Some(port), Some("set"), None) => Some(Topic::Set(device, Some(port))),
        _ => None,
    }
}

/// Understands a message on one of our topics.
pub(super) fn incoming(topic: &Topic<'_>, payload: &[u8], allow: Allow) -> Incoming {
    match *topic {
        Topic::Request(verb) => request(verb, payload, allow),
        Topic::Get(device) => match PlugId::new(device) {
            Some(id) => Incoming::HubRequest(HubRequest::Refresh(id)),
            None => Incoming::NobodyToGet(device.into()),
        },
        Topic::Set(device, port) => {
            let text = api::text(payload, "a command");
            let mark = text.as_ref().ok().and_then(|text| api::mark(text, "id"));
            let Some(plug) = PlugId::new(device) else { return Incoming::Nobody(device.into(), mark) };
            let port = match port {
                None => SwitchOrder::WHOLE,
                Some("0") => 0,
                Some(text) => match port_number(text).filter(|port| *port != SwitchOrder::WHOLE) {
                    Some(port) => port,
                    None => {
                        let why = "a port is a number, without zeros before it".into();
                        return Incoming::Bad(plug, mark, CommandError::UnknownPort, why);
                    }
                },
            };
            match text.and_then(|text| command(&plug, port, text)) {
                Ok(order) => Incoming::HubRequest(HubRequest::Switch(order)),
                Err(why) => Incoming::Bad(plug, mark, CommandError::BadPayload, why),
            }
        }
    }
}

fn request(verb: &str, payload: &[u8], allow: Allow) -> Incoming {
    let verb = match api::verb(verb) {
        Ok(verb) => verb,
        // Only verbs that exist are echoed into a topic.
        Err(why) => return Incoming::BadRequest("unknown".into(), None, why),
    };
    let text = api::text(payload, "a request");
    let mark = text.as_ref().ok().and_then(|text| api::mark(text, "transaction"));
    match text.and_then(|text| allowed(verb, text, allow)) {
        Ok(Asked::Hub(request)) => Incoming::HubRequest(HubRequest::Request(request, Asker::mqtt(mark))),
        Ok(Asked::Bridge(own)) => Incoming::Own(own, mark),
        Err(why) => Incoming::BadRequest(verb.name.into(), mark, why),
    }
}

/// What a request asks for, unless a setting forbids it.
fn allowed(verb: &Entry, text: &str, allow: Allow) -> Result<Asked, String> {
    let no_admin = || Err(format!("{} is switched off by mqtt.allow_admin = false", verb.name));
    if verb.changes && !allow.admin {
        return no_admin();
    }
    let asked = (verb.read)(text)?;
    match &asked {
        Asked::Hub(Request::PlugRequest(_, PlugRequest::Call(_))) if !allow.raw => Err(
            "call sends any command of a plug's protocol; a wrong one can reset a plug or take it off the \
             network. mqtt.allow_raw = true switches it on"
                .into(),
        ),
        Asked::Hub(Request::PlugRequest(_, request)) if request.changes() && !allow.admin => no_admin(),
        Asked::Hub(_) | Asked::Bridge(_) => Ok(asked),
    }
}

#[cfg(test)]
mod tests;
