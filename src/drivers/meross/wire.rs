//! The message: a signed header around a payload. Written with a fresh id and the time from [`Now`]; read with
//! care for who answers, to what, and whether under our key.

use super::crypt::{md5_hex, sign};
use super::lenient::{count, text, whole};
use crate::model::{Failure, Now};
use serde_json::{Value, json};

/// Where answers go. Over HTTP any text will do.
pub const REPLY_TOPIC: &str = "/app/0-plug2mqtt/subscribe";

/// More than any plug says.
pub const LONGEST: usize = 64 << 10;

/// What to do when a plug refuses our key.
pub const WRONG_KEY: &str = "wrong or missing key (5001): set the key it was paired with";

/// A request that is on its way, as its answer must fit it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its id.
    pub message_id: String,
    /// What it is about, with `Appliance.` before it.
    pub namespace: String,
    /// The message.
    pub bytes: Vec<u8>,
}

/// Writes a request about `namespace`, which stands here without `Appliance.`.
pub fn write(key: &str, method: &str, namespace: &str, payload: &Value, now: &Now) -> Sent {
    let message_id = md5_hex(&format!("{} {}", now.nonce, now.unix_ms));
    let (namespace, timestamp) = (format!("Appliance.{namespace}"), now.unix_ms / 1000);
    let message = json!({
        "header": {
            "from": REPLY_TOPIC,
            "messageId": message_id,
            "method": method,
            "namespace": namespace,
            "payloadVersion": 1,
            "sign": sign(&message_id, key, timestamp),
            "timestamp": timestamp,
            "timestampMs": 0,
            "triggerSrc": "plug2mqtt",
        },
        "payload": payload,
    });
    Sent { message_id, namespace, bytes: message.to_string().into_bytes() }
}

/// A message from a plug.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Its id; that of the request it answers.
    pub message_id: String,
    /// `GETACK`, `SETACK`, `PUSH`, `ERROR` ...
    pub method: String,
    /// What it is about, with `Appliance.` before it.
    pub namespace: String,
    /// Who says so: from the topic in `from`, in lower case.
    pub uuid: Option<String>,
    /// The plug's clock: seconds since 1970 UTC, or since it started.
    pub timestamp: u64,
    /// What it says.
    pub payload: Value,
    sign: String,
}

impl Message {
    /// Reads a message.
    ///
    /// # Errors
    ///
    /// [`Failure::InvalidResponse`] for what is none.
    pub fn read(bytes: &[u8]) -> Result<Self, Failure> {
        let invalid = |what: &str| Failure::InvalidResponse(what.into());
        if bytes.len() > LONGEST {
            return Err(invalid("far too long"));
        }
        let mut message: Value = serde_json::from_slice(bytes).map_err(|_| invalid("not JSON"))?;
        let payload = message.get_mut("payload").map(Value::take).unwrap_or_default();
        let head =
            message.get("header").filter(|head| head.is_object()).ok_or_else(|| invalid("no header"))?;
        let word = |key: &str| text(head, key).map(str::to_owned);
        Ok(Self {
            message_id: word("messageId").ok_or_else(|| invalid("no message id"))?,
            method: word("method").ok_or_else(|| invalid("no method"))?,
            namespace: word("namespace").ok_or_else(|| invalid("no namespace"))?,
            uuid: text(head, "from").and_then(uuid),
            timestamp: head.get("timestamp").and_then(count).unwrap_or(0),
            sign: word("sign").unwrap_or_default(),
            payload,
        })
    }

    /// Whether it is signed with this key. Some firmware signs wrongly.
    pub fn is_signed(&self, key: &str) -> bool {
        self.sign.eq_ignore_ascii_case(&sign(&self.message_id, key, self.timestamp))
    }

    /// What it answers to what was sent to the plug with this uuid, if that is known.
    ///
    /// # Errors
    ///
    /// Whose answer it is, if another's; what is wrong with it; why the plug refuses.
    pub fn answer(&self, sent: &Sent, of: Option<&str>) -> Result<&Value, Failure> {
        match (of, self.uuid.as_deref()) {
            (Some(ours), Some(theirs)) if !ours.eq_ignore_ascii_case(theirs) => {
                return Err(Failure::WrongDevice(theirs.into()));
            }
            (_, None) => return Err(Failure::InvalidResponse("does not say who it is from".into())),
            _ => {}
        }
        if self.message_id != sent.message_id {
            return Err(Failure::InvalidResponse("the answer to another request".into()));
        }
        if self.method == "ERROR" {
            return Err(self.refusal());
        }
        if self.namespace != sent.namespace {
            return Err(Failure::InvalidResponse("an answer about something else".into()));
        }
        match self.method.as_str() {
            "GETACK" | "SETACK" | "DELETEACK" | "PUSH" => Ok(&self.payload),
            _ => Err(Failure::InvalidResponse("a method that is no answer".into())),
        }
    }

    /// Why a plug refuses.
    fn refusal(&self) -> Failure {
        let error = self.payload.get("error");
        let code = error.and_then(|error| error.get("code")).and_then(whole);
        Failure::Rejected(match code {
            Some(5001) => WRONG_KEY.into(),
            Some(code) => format!("error {code}"),
            None => "an error without a code".into(),
        })
    }
}

/// The uuid in a topic `/appliance/<uuid>/publish`. It is not always hexadecimal.
pub fn uuid(topic: &str) -> Option<String> {
    let rest = topic.strip_prefix("/appliance/")?;
    let (uuid, end) = rest.split_once('/')?;
    let fits = (12..=57).contains(&uuid.len()) && uuid.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (fits && matches!(end, "publish" | "subscribe")).then(|| uuid.to_ascii_lowercase())
}
