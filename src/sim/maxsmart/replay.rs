//! A recording of a plug's traffic, served as a plug: what was asked then is answered as it was answered then.
//!
//! ```text
//! # plug2mqtt recording 1 of family maxsmart
//! > GET /?cmd=511
//! < {"response":511,"code":200,"data":{"watt":["5.20"],"amp":["0.1"],"switch":[1]}}
//! > UDP 00dv=all;
//! < {"response":0,"data":{"sn":"SWP1000000000001","name":"SWITCH"}}
//! > GET /?cmd=516&json={"page":0}
//! < !closed
//! ```
//!
//! A line `>` is a question, the line `<` after it what came back: text with `\xNN` for bytes that are none and `\\` for
//! a backslash, or `!closed`, `!unreachable`, `!timeout`. A question that comes more often than it was recorded gets
//! the last answer again. Serials in questions are not compared, nor are dates.

use super::http::request;
use crate::sim::model::{Model, Request};
use serde_json::{Map, Value};

/// More than any recording has.
const MOST: usize = 10_000;

/// What begins every recording.
const HEAD: &str = "# plug2mqtt recording 1 of family maxsmart";

/// A plug that says what another one said.
#[derive(Clone, Debug)]
pub struct Recording {
    serial: String,
    has_web: bool,
    exchanges: Vec<Exchange>,
}

#[derive(Clone, Debug)]
struct Exchange {
    question: Question,
    /// `None`: nothing.
    answer: Option<Vec<u8>>,
    given: bool,
}

/// A question, without what differs from one client to another.
#[derive(Clone, Debug, PartialEq)]
struct Question {
    way: Way,
    command: u64,
    arguments: Map<String, Value>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Discovery,
    V3,
    Web,
}

impl Recording {
    /// Reads a recording.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and in which line.
    pub fn read(text: &str) -> Result<Self, String> {
        let mut lines = (1..).zip(text.lines());
        if lines.next().is_none_or(|(_, line)| line.trim_end() != HEAD) {
            return Err(format!("it does not begin with {HEAD:?}"));
        }
        let mut recording = Self { serial: String::new(), has_web: false, exchanges: Vec::new() };
        let mut asked = None;
        for (number, line) in lines {
            let fail = |why: &str| format!("line {number}: {why}");
            if let Some(question) = line.strip_prefix("> ") {
                asked = Some(Question::read(question).ok_or_else(|| fail("not a question"))?);
            } else if let Some(answer) = line.strip_prefix("< ") {
                let question: Question = asked.clone().ok_or_else(|| fail("an answer to nothing"))?;
                recording.has_web |= question.way == Way::Web && answer != "!unreachable";
                let answer = match answer {
                    "!closed" | "!unreachable" | "!timeout" => None,
                    text => Some(unescape(text).ok_or_else(|| fail("a broken escape"))?),
                };
                if let Some(serial) = answer.as_deref().and_then(serial) {
                    recording.serial = serial;
                }
                recording.exchanges.push(Exchange { question, answer, given: false });
            } else if !line.is_empty() && !line.starts_with('#') {
                return Err(fail("neither question, answer nor comment"));
            }
            if recording.exchanges.len() > MOST {
                return Err(fail("too much"));
            }
        }
        if recording.exchanges.is_empty() { Err("there is nothing in it".into()) } else { Ok(recording) }
    }

    /// The answer that comes next; `None` when nothing was ever answered, or asked.
    fn answer(&mut self, question: &Question) -> Option<Vec<u8>> {
        let like = |exchange: &Exchange| exchange.question == *question;
        let exact = self.exchanges.iter().any(like);
        // Arguments that were not recorded: what was told about others is better than nothing.
        let fits = |exchange: &Exchange| {
            like(exchange)
                || (!exact
                    && (exchange.question.way, exchange.question.command) == (question.way, question.command))
        };
        let fresh = self.exchanges.iter().position(|exchange| fits(exchange) && !exchange.given);
        let place = fresh.or_else(|| self.exchanges.iter().rposition(fits))?;
        let exchange = self.exchanges.get_mut(place)?;
        exchange.given = true;
        exchange.answer.clone()
    }
}

impl Question {
    fn read(text: &str) -> Option<Self> {
        if let Some(datagram) = text.strip_prefix("UDP ") {
            return Self::datagram(&unescape(datagram)?);
        }
        let target = String::from_utf8(unescape(text.strip_prefix("GET ")?)?).ok()?;
        Self::get(&Request::get(&target))
    }

    fn get(asked: &Request<'_>) -> Option<Self> {
        let (command, arguments) = request(asked)?;
        Some(Self::new(Way::Web, command, arguments.as_object().cloned().unwrap_or_default()))
    }

    fn datagram(bytes: &[u8]) -> Option<Self> {
        if let Some(json) = bytes.strip_prefix(b"V3") {
            let mut stream = serde_json::Deserializer::from_slice(json).into_iter::<Map<String, Value>>();
            let mut arguments = stream.next()?.ok()?;
            let command = arguments.remove("cmd")?.as_u64()?;
            return Some(Self::new(Way::V3, command, arguments));
        }
        let asks = bytes.starts_with(b"00dv=all") || bytes.starts_with(b"00sw=all");
        asks.then(|| Self::new(Way::Discovery, 0, Map::new()))
    }

    fn new(way: Way, command: u64, mut arguments: Map<String, Value>) -> Self {
        arguments.remove("sn");
        Self { way, command, arguments }
    }
}

impl Model for Recording {
    fn serial(&self) -> &str {
        &self.serial
    }

    fn speaks_http(&self) -> bool {
        self.has_web
    }

    fn is_up(&self, _: f64) -> bool {
        true
    }

    fn datagram(&mut self, _: f64, bytes: &[u8]) -> Vec<Vec<u8>> {
        let answer = Question::datagram(bytes).and_then(|question| self.answer(&question));
        answer.into_iter().collect()
    }

    fn http(&mut self, _: f64, asked: &Request<'_>) -> Option<Vec<u8>> {
        let body = self.answer(&Question::get(asked)?)?;
        let mut reply =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Type:text/plain\r\n\r\n", body.len())
                .into_bytes();
        reply.extend(body);
        Some(reply)
    }

    fn press(&mut self, _: f64, _: usize) {}

    fn reboot(&mut self, _: f64) {}

    fn watts(&self, _: f64) -> Vec<f64> {
        Vec::new()
    }
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match (first, tail.first()) {
            (b'\\', Some(b'\\')) => {
                out.push(b'\\');
                rest = tail.get(1..)?;
            }
            (b'\\', Some(b'x')) => {
                let digits = std::str::from_utf8(tail.get(1..3)?).ok()?;
                out.push(u8::from_str_radix(digits, 16).ok()?);
                rest = tail.get(3..)?;
            }
            (b'\\', _) => return None,
            (byte, _) => out.push(byte),
        }
    }
    Some(out)
}

/// The serial in a discovery reply.
fn serial(bytes: &[u8]) -> Option<String> {
    let reply: Value = serde_json::from_slice(bytes).ok()?;
    reply.pointer("/data/sn")?.as_str().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# plug2mqtt recording 1 of family maxsmart
# a comment

> UDP 00dv=all;
< {"response":0,"data":{"sn":"SWP1000000000001","name":"B\\u00fcro"}}
> GET /?cmd=511
< first
> GET /?cmd=511
< second\x01\xff
> GET /?cmd=516&json={"page":0,"sn":"SWP1000000000001"}
< !closed
> UDP V3{"sn":"SWP1000000000001","cmd":90}
< !timeout
> GET /?cmd=515&json={"port":1}
< one
> GET /?cmd=515&json={"port":2}
< two
"#;

    fn body(plug: &mut Recording, target: &str) -> Option<Vec<u8>> {
        let reply = plug.http(0.0, &Request::get(target))?;
        let end = reply.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        reply.get(end + 4..).map(Into::into)
    }

    #[test]
    fn what_was_asked_then_is_answered_as_then() {
        let mut plug = Recording::read(TEXT).expect("a recording");
        assert!(plug.speaks_http());
        assert_eq!(plug.serial(), "SWP1000000000001");
        let hello = plug.datagram(0.0, b"00dv=all,2026-11-21,10:00:00,13;");
        assert!(hello.iter().any(|bytes| bytes.ends_with(br#""name":"B\u00fcro"}}"#)), "{hello:?}");
        assert_eq!(body(&mut plug, "/?cmd=511").as_deref(), Some(&b"first"[..]));
        assert_eq!(body(&mut plug, "/?cmd=511").as_deref(), Some(&b"second\x01\xff"[..]));
        assert_eq!(body(&mut plug, "/?cmd=511").as_deref(), Some(&b"second\x01\xff"[..]));
        assert_eq!(body(&mut plug, "/?cmd=516&json=%7B%22page%22%3A0%7D"), None);
        assert_eq!(
            body(&mut plug, "/?cmd=515&json=%7B%22port%22%3A2%2C%22sn%22%3A%22X%22%7D"),
            Some(b"two".into())
        );
        assert_eq!(body(&mut plug, "/?cmd=515&json=%7B%22port%22%3A3%7D"), Some(b"one".into()));
        assert_eq!(body(&mut plug, "/?cmd=502"), None);
        for silent in [&br#"V3{"cmd":90}"#[..], br#"V3{"cmd":20}"#, b"noise"] {
            assert!(plug.datagram(0.0, silent).is_empty());
        }
    }

    #[test]
    fn what_is_no_recording_is_refused_with_its_line() {
        for (text, why) in [
            ("", "does not begin"),
            ("# plug2mqtt recording 2\n", "does not begin"),
            ("# plug2mqtt recording 1 of family maxsmart\n", "nothing in it"),
            ("# plug2mqtt recording 1 of family maxsmart\n< {}\n", "line 2: an answer to nothing"),
            ("# plug2mqtt recording 1 of family maxsmart\n> PUT 1\n", "line 2: not a question"),
            (
                "# plug2mqtt recording 1 of family maxsmart\n> GET /?cmd=511\n< \\y\n",
                "line 3: a broken escape",
            ),
            ("# plug2mqtt recording 1 of family maxsmart\nhello\n", "line 2: neither"),
        ] {
            let refused = Recording::read(text).expect_err(text);
            assert!(refused.contains(why), "{refused}");
        }
        let endless = format!(
            "# plug2mqtt recording 1 of family maxsmart\n> GET /?cmd=511\n{}",
            "< {}\n".repeat(MOST + 1)
        );
        assert!(Recording::read(&endless).is_err_and(|why| why == format!("line {}: too much", MOST + 3)));
        let deaf = "# plug2mqtt recording 1 of family maxsmart\n> GET /?cmd=511\n< !unreachable\n";
        assert!(!Recording::read(deaf).expect("a recording").speaks_http());
    }
}
