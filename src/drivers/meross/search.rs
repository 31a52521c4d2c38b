//! The search by datagram: a question to port 9988, from port 9989. Some plugs answer, many do not; it needs no key.

use super::crypt;
use super::lenient::text;
use crate::model::{DeviceInfo, Mac, Name};
use serde_json::Value;

/// Where plugs listen.
pub const PORT: u16 = 9988;

/// Where the question comes from.
pub const FROM_PORT: u16 = 9989;

/// The questions, to plugs of both makes.
pub const QUESTIONS: [&str; 2] = [
    r#"{"id":"49f33d8a2de2f2089ccf45ba8cdd4440","devName":"*"}"#,
    r#"{"id":"48cbd88f969eb3c486085cfe7b5eb1e4","devName":"*"}"#,
];

/// Somebody who answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introduction {
    /// Who it is, in lower case.
    pub uuid: String,
    /// What it is.
    pub info: DeviceInfo,
}

/// Reads an answer; `None` for what is none, our own questions among it.
pub fn read(datagram: &[u8]) -> Option<Introduction> {
    let answer: Value = serde_json::from_slice(datagram.get(..datagram.len().min(4096))?).ok()?;
    let word = |key: &str| text(&answer, key).and_then(Name::clean).map(String::from);
    let uuid = text(&answer, "uuid")?.to_ascii_lowercase();
    let fits = (12..=57).contains(&uuid.len()) && uuid.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let kind = word("deviceType").filter(|_| fits)?;
    let info = DeviceInfo {
        name: text(&answer, "devName").and_then(Name::clean),
        manufacturer: if kind.starts_with("em") { "Refoss" } else { "Meross" }.into(),
        model: kind.to_ascii_uppercase(),
        model_id: Some(kind),
        mac: text(&answer, "mac").and_then(Mac::parse).or_else(|| crypt::mac(&uuid)),
        firmware: word("devSoftWare"),
        hardware: word("devHardWare"),
        ..DeviceInfo::default()
    };
    Some(Introduction { uuid, info })
}
