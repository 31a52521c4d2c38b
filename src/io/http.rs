//! HTTP to plugs: one request a connection, everything that can be read is read, nothing is
//! believed beyond its size. The only file that knows reqwest.

use crate::model::{Endpoint, Failure};
use reqwest::header::{CONNECTION, HeaderValue};
use reqwest::{Client, Response, Url, redirect::Policy, retry};
use std::collections::BTreeMap;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// More than any plug has to say.
const MAX_BODY: usize = 64 * 1024;

/// A plug on the network takes a connection in by the third time the kernel asks, 3 s after the first, or
/// something between does not let it through.
const CONNECT: Duration = Duration::from_secs(4);

const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// Plugs of which an address is kept parsed.
const MAX_USUAL: usize = 8192;

/// The HTTP transport. Clones are the same one.
#[derive(Debug, Clone)]
pub struct Http {
    client: Client,
    /// What is asked most at each address: parsing it again would cost as much as reading the
    /// reply, and polls all ask the same.
    usual: Arc<Mutex<BTreeMap<SocketAddr, Asked>>>,
}

#[derive(Debug)]
struct Asked {
    target: Box<str>,
    url: Url,
    /// The last question was another one.
    missed: bool,
}

impl Http {
    /// A client that goes straight to the plug, whatever the environment says about proxies, that
    /// keeps no connection (plugs refuse everybody while one is kept), follows no redirect and says
    /// nothing twice by itself.
    ///
    /// # Errors
    ///
    /// When the system lets no client be made at all.
    pub fn new() -> Result<Self, String> {
        let client = Client::builder()
            .no_proxy()
            .pool_max_idle_per_host(0)
            .redirect(Policy::none())
            .retry(retry::never().max_retries_per_request(0))
            .http1_only()
            .http1_title_case_headers()
            .http1_ignore_invalid_headers_in_responses(true)
            .http1_allow_spaces_after_header_name_in_responses(true)
            .http1_allow_obsolete_multiline_headers_in_responses(true)
            .http09_responses()
            .connect_timeout(CONNECT)
            // One request in one write, and a deadline above: options of the socket would be calls for nothing.
            .tcp_nodelay(false)
            .tcp_keepalive(None)
            .tcp_keepalive_interval(None)
            .tcp_keepalive_retries(None);
        #[cfg(target_os = "linux")]
        let client = client.tcp_user_timeout(None);
        let client = client.build().map_err(|error| chain(&error))?;
        Ok(Self { client, usual: Arc::default() })
    }

    /// `GET` of a target like `/?cmd=511`; the body up to the end of its JSON.
    pub(super) async fn get(&self, place: Endpoint, target: &str) -> Result<Vec<u8>, Failure> {
        self.send(self.client.get(self.url(place, target)?)).await
    }

    /// `POST` of a JSON text.
    pub(crate) async fn post(
        &self,
        place: Endpoint,
        target: &str,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, Failure> {
        let request = self.client.post(self.url(place, target)?);
        self.send(request.header("Content-Type", "application/json").body(body)).await
    }

    fn url(&self, place: Endpoint, target: &str) -> Result<Url, Failure> {
        let address = place.tcp();
        let parse = || {
            let url = Url::parse(&format!("http://{address}{target}"));
            url.map_err(|error| Failure::Unreachable(error.to_string()))
        };
        let Ok(mut usual) = self.usual.lock() else { return parse() };
        if let Some(asked) = usual.get_mut(&address) {
            if *asked.target == *target {
                asked.missed = false;
                return Ok(asked.url.clone());
            }
            // One question between two polls is no new habit.
            if !std::mem::replace(&mut asked.missed, true) {
                return parse();
            }
        }
        let url = parse()?;
        if usual.len() < MAX_USUAL || usual.contains_key(&address) {
            usual.insert(address, Asked { target: target.into(), url: url.clone(), missed: false });
        }
        Ok(url)
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Vec<u8>, Failure> {
        let response = request.header(CONNECTION, CLOSE).send().await.map_err(|error| classify(&error))?;
        if !response.status().is_success() {
            return Err(Failure::InvalidResponse(format!("HTTP status {}", response.status().as_u16())));
        }
        body(response).await
    }
}

/// Reads until the JSON is complete. What arrived before an error is kept: old firmware announces
/// lengths it does not keep and leaves connections open.
async fn body(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut scan = Scan::default();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                if bytes.len() + chunk.len() > MAX_BODY {
                    return Err(Failure::InvalidResponse(format!(
                        "a reply of more than {} KiB",
                        MAX_BODY / 1024
                    )));
                }
                bytes.extend_from_slice(&chunk);
                if scan.complete(&chunk) {
                    return Ok(bytes);
                }
            }
            Ok(None) if bytes.is_empty() => return Err(Failure::Closed),
            Err(error) if bytes.is_empty() => return Err(classify(&error)),
            Ok(None) | Err(_) => return Ok(bytes),
        }
    }
}

fn classify(error: &reqwest::Error) -> Failure {
    let text = chain(error);
    // A late body is both a timeout and a decoding error; the timeout is the cause.
    if error.is_connect() && error.is_timeout() {
        Failure::Unreachable(format!("no connection within {} s", CONNECT.as_secs()))
    } else if error.is_timeout() {
        Failure::Timeout
    } else if error.is_connect() {
        Failure::Unreachable(text)
    } else if closed(error) {
        Failure::Closed
    } else {
        Failure::InvalidResponse(text)
    }
}

fn closed(error: &reqwest::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        let reset = cause.downcast_ref::<std::io::Error>().is_some_and(|io| {
            matches!(
                io.kind(),
                std::io::ErrorKind::ConnectionReset
                    | std::io::ErrorKind::BrokenPipe
                    | std::io::ErrorKind::UnexpectedEof
            )
        });
        if reset || cause.to_string().contains("connection closed before message completed") {
            return true;
        }
        source = cause.source();
    }
    false
}

/// The innermost causes: reqwest's own line says only "error sending request".
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

/// Finds the end of the first JSON object or array in a stream of bytes.
#[derive(Debug, Default)]
struct Scan {
    depth: usize,
    in_text: bool,
    escaped: bool,
}

impl Scan {
    fn complete(&mut self, chunk: &[u8]) -> bool {
        chunk.iter().any(|&byte| self.step(byte))
    }

    fn step(&mut self, byte: u8) -> bool {
        match byte {
            _ if self.escaped => self.escaped = false,
            b'\\' if self.in_text => self.escaped = true,
            b'"' if self.depth > 0 => self.in_text = !self.in_text,
            _ if self.in_text => {}
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' if self.depth > 0 => {
                self.depth -= 1;
                return self.depth == 0;
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::Scan;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn scan_stops_at_the_closing_brace_only() {
        let check = |text: &str, want: bool| {
            assert_eq!(Scan::default().complete(text.as_bytes()), want, "{text}");
            let mut bytewise = Scan::default();
            assert_eq!(text.bytes().any(|byte| bytewise.complete(&[byte])), want, "{text} byte by byte");
        };
        check(r#"{"a":[1,2],"b":{"c":"}"}}"#, true);
        check(r#"{"a":"\"}","b":"#, false);
        check(r#"{"a":"\\"}"#, true);
        check("", false);
        check("12", false);
        check("} {", false);
        check("[1]", true);
    }

    /// Any object or list.
    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,12}|[\\\\\"{}\\[\\]]{0,8}".prop_map(Value::from),
        ];
        let any = leaf.prop_recursive(5, 40, 6, |inner| {
            let list = prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from);
            let pairs = prop::collection::btree_map("[a-z\\\\\"{}]{0,6}", inner, 0..6);
            prop_oneof![list, pairs.prop_map(|pairs| pairs.into_iter().collect())]
        });
        any.prop_map(|value| if value.is_object() { value } else { Value::Array(vec![value]) })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_ends_where_the_json_ends_however_it_is_cut(value in json(), before in "[ \r\n]{0,3}", piece in 1usize..40) {
            let text = format!("{before}{value}");
            let mut scan = Scan::default();
            let mut taken = 0;
            for piece in text.as_bytes().chunks(piece) {
                taken += piece.len();
                prop_assert_eq!(scan.complete(piece), taken == text.len(), "{} after {}", text, taken);
            }
        }
    }
}
