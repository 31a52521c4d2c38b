//! The message a Meross plug hears and writes: a signed header around a payload, and the HTTP reply around that.
//!
//! Knows no namespaces. Keys stand in the order in which captures show them.

use super::crypt;
use super::kind::Head;
use serde_json::Value;

const SEARCH: &str = "49f33d8a2de2f2089ccf45ba8cdd4440";
const SEARCH_REFOSS: &str = "48cbd88f969eb3c486085cfe7b5eb1e4";

/// A request, taken apart.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) message_id: String,
    pub(super) method: String,
    pub(super) namespace: String,
    pub(super) from: String,
    pub(super) payload: Value,
    /// Who asked is told.
    pub(super) has_source: bool,
    sign: String,
    timestamp: u64,
}

impl Heard {
    /// Takes a message apart; `None` for what makes a plug close the connection.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        Self::of(serde_json::from_slice(bytes).ok()?)
    }

    /// The same of what is JSON already.
    pub(super) fn of(mut message: Value) -> Option<Self> {
        let payload = message.get_mut("payload").map(Value::take).filter(Value::is_object)?;
        let head = message.get("header")?;
        let text = |key: &str| head.get(key).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            message_id: text("messageId")?,
            method: text("method")?,
            namespace: text("namespace")?,
            from: text("from").unwrap_or_default(),
            has_source: text("triggerSrc").is_some_and(|source| !source.is_empty()),
            sign: text("sign").unwrap_or_default(),
            timestamp: number(head, "timestamp").unwrap_or(0),
            payload,
        })
    }

    /// Whether it is signed with this key.
    pub(super) fn is_signed(&self, key: &str) -> bool {
        self.sign == crypt::sign(&self.message_id, key, self.timestamp)
    }
}

/// A message of the plug's own, but for its payload.
#[derive(Clone, Debug)]
pub(super) struct Letter<'a> {
    pub(super) message_id: &'a str,
    pub(super) namespace: &'a str,
    pub(super) method: &'a str,
    pub(super) from: &'a str,
    pub(super) source: Option<&'a str>,
    pub(super) timestamp: u64,
    pub(super) key: &'a str,
}

impl Letter<'_> {
    /// Writes and signs it.
    pub(super) fn write(&self, payload: &str) -> String {
        let (id, namespace, from) = (quoted(self.message_id), quoted(self.namespace), quoted(self.from));
        let source = self.source.map(|source| format!(r#""triggerSrc":"{source}","#)).unwrap_or_default();
        let sign = crypt::sign(self.message_id, self.key, self.timestamp);
        format!(
            concat!(
                r#"{{"header":{{"messageId":{},"namespace":{},"method":"{}","payloadVersion":1,"from":{},{}"#,
                r#""timestamp":{},"timestampMs":0,"sign":"{}"}},"payload":{}}}"#
            ),
            id, namespace, self.method, from, source, self.timestamp, sign, payload
        )
    }
}

/// The whole HTTP reply; it ends where the connection is closed.
pub(super) fn http(head: Head, body: &str) -> Vec<u8> {
    let head = match head {
        Head::Long => {
            "HTTP/1.1 200 OK\r\nServer: HTTPD\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nPragma: no-cache\r\n\
             Content-Type: application/json;charset=UTF-8\r\nConnection: close\r\n\r\n"
        }
        Head::Short => "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n",
        Head::LineFeeds => "HTTP/1.1 200 OK\nContent-Type: application/json\nConnection: close\n\n",
    };
    [head, body].concat().into_bytes()
}

/// A text as it stands in JSON.
pub(super) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

/// A number; some clients send it as text.
pub(super) fn number(object: &Value, key: &str) -> Option<u64> {
    let value = object.get(key)?;
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Whether a datagram asks who is there, and means this make.
pub(super) fn is_search(bytes: &[u8], refoss: bool) -> bool {
    let question: Option<Value> = serde_json::from_slice(bytes).ok();
    let id = question.as_ref().and_then(|question| question.get("id")?.as_str());
    id == Some(if refoss { SEARCH_REFOSS } else { SEARCH })
}
