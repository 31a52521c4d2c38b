//! A line to one plug for setting it up: who is there, encryption, and what is told to it.

use super::HTTP_PORT;
use crate::cli::progress::patiently;
use crate::drivers::meross::provision::{Deed, Talk, exchange_payload, point};
use crate::drivers::meross::status::All;
use crate::io::clock::Clock;
use crate::io::http::Http;
use crate::model::{Endpoint, Failure, Now};
use anyhow::{Result, anyhow, bail};
use serde_json::{Value, json};
use std::time::Duration;

/// Where requests go.
const PATH: &str = "/config";

/// How long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The same where the plug must look around first.
const LONG_PATIENCE: Duration = Duration::from_secs(40);

/// Whom the plug is expected to belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody, or us from a setup that was broken off.
    Nobody,
    /// Whoever has the key.
    Us,
}

/// A plug that has said who it is.
pub(super) struct Line {
    http: Http,
    clock: Clock,
    place: Endpoint,
    owner: Owner,
    talk: Talk,
    /// Its answer to `System.All`.
    payload: Value,
    /// The same, understood.
    all: Option<All>,
}

impl Line {
    /// Asks who is there.
    ///
    /// # Errors
    ///
    /// In a sentence that says what to do.
    pub(super) async fn open(place: Endpoint, key: &str, owner: Owner) -> Result<Self> {
        let http = Http::new().map_err(|why| anyhow!("no HTTP client can be made: {why}"))?;
        let (clock, talk) = (Clock::start(), Talk::new(key));
        let mut line = Self { http, clock, place, owner, talk, payload: Value::Null, all: None };
        patiently(&format!("asking {}", place.ip), line.introduce()).await?;
        Ok(line)
    }

    async fn introduce(&mut self) -> Result<()> {
        let told = self.get("System.Ability").await.map_err(|failure| self.nobody(&failure))?;
        self.talk.learn(&told).map_err(|failure| self.nobody(&failure))?;
        if self.talk.encrypts() && !(self.owner == Owner::Nobody && self.exchange().await?) {
            self.talk.seal_by_key().map_err(|failure| self.trouble("who it is", &failure))?;
        }
        self.look().await
    }

    /// Asks it for everything.
    pub(super) async fn look(&mut self) -> Result<()> {
        self.payload =
            self.get("System.All").await.map_err(|failure| self.trouble("about itself", &failure))?;
        self.all = All::read(&self.payload);
        match self.all {
            Some(_) => Ok(()),
            None => bail!("{} tells nothing of itself; please report it", self.place.ip),
        }
    }

    /// Exchanges keys with a plug that belongs to nobody; false when it will not.
    async fn exchange(&mut self) -> Result<bool> {
        let ours = agreement::begin()?;
        let now = self.clock.now();
        let request = self.talk.write("SET", "Encrypt.ECDHE", &exchange_payload(ours.point()), &now);
        let answer = match self.post(request, TIMEOUT).await {
            Ok(answer) => answer,
            // A plug that was told its key in an earlier setup may refuse.
            Err(Failure::Closed | Failure::Rejected(_)) => return Ok(false),
            Err(failure) => bail!(self.trouble("to exchange keys", &failure)),
        };
        let Some(secret) = point(&answer).and_then(|point| ours.secret(&point)) else {
            bail!("{} answers the exchange of keys with something else; please report it", self.place.ip);
        };
        self.talk.seal_by_exchange(&secret);
        Ok(true)
    }

    /// The present.
    pub(super) fn now(&mut self) -> Now {
        self.clock.now()
    }

    /// Whether it can be asked about this.
    pub(super) fn has(&self, namespace: &str) -> bool {
        self.talk.has(namespace)
    }

    /// Who it is, for other lines.
    pub(super) fn uuid(&self) -> &str {
        self.talk.uuid().unwrap_or_default()
    }

    /// Its answer to `System.All`.
    pub(super) fn payload(&self) -> &Value {
        &self.payload
    }

    /// The same, understood.
    pub(super) fn all(&self) -> Option<&All> {
        self.all.as_ref()
    }

    /// What it is, for people.
    pub(super) fn title(&self) -> String {
        let Some(all) = &self.all else { return self.place.ip.to_string() };
        let info = &all.info;
        let mac = info.mac.map_or_else(|| self.uuid().to_owned(), |mac| mac.to_string());
        let version = |what: &str, text: &Option<String>| {
            text.as_ref().map(|text| format!(", {what} {text}")).unwrap_or_default()
        };
        let (hardware, firmware) = (version("hardware", &info.hardware), version("firmware", &info.firmware));
        format!("{} {} ({mac}{hardware}{firmware})", info.manufacturer, info.model)
    }

    /// Asks about one thing.
    pub(super) async fn get(&mut self, namespace: &str) -> Result<Value, Failure> {
        let timeout = if namespace == "Config.WifiList" { LONG_PATIENCE } else { TIMEOUT };
        let now = self.clock.now();
        let request = self.talk.write("GET", namespace, &json!({}), &now);
        self.post(request, timeout).await
    }

    /// Sets its clock and its zone.
    pub(super) async fn set_time(&mut self, payload: &Value) -> Result<Value, Failure> {
        let now = self.clock.now();
        let request = self.talk.write("SET", "System.Time", payload, &now);
        self.post(request, TIMEOUT).await
    }

    /// Tells it whom it belongs to.
    pub(super) async fn tell(&mut self, deed: Deed<'_>) -> Result<Value, Failure> {
        let now = self.clock.now();
        let request = self.talk.tell(deed, &self.payload, &now)?;
        self.post(request, TIMEOUT).await
    }

    /// What would be sent, without secrets.
    ///
    /// # Errors
    ///
    /// When the plug knows nothing of it.
    pub(super) fn rehearse(&mut self, deed: Deed<'_>) -> Result<String> {
        let now = self.clock.now();
        let written = self.talk.tell(deed, &self.payload, &now);
        written.map_err(|failure| self.trouble("to do this", &failure))?;
        Ok(self.talk.shown())
    }

    /// The same of the time.
    pub(super) fn rehearse_time(&mut self, payload: &Value) -> String {
        let now = self.clock.now();
        self.talk.write("SET", "System.Time", payload, &now);
        self.talk.shown()
    }

    async fn post(&mut self, request: Vec<u8>, timeout: Duration) -> Result<Value, Failure> {
        let answer = tokio::time::timeout(timeout, self.http.post(self.place, PATH, request)).await;
        self.talk.hear(&answer.unwrap_or(Err(Failure::Timeout))?)
    }

    /// What failed, and what to do.
    pub(super) fn trouble(&self, what: &str, failure: &Failure) -> anyhow::Error {
        let who = self.title();
        // An encrypting plug does not say more when it cannot read what was sent.
        let unread = matches!(failure, Failure::Closed) && self.talk.is_sealed() && self.all.is_none();
        match failure {
            _ if is_refusal(failure) || unread => {
                anyhow!("{who} was asked {what} and refuses: {}", self.key())
            }
            Failure::Rejected(why) => anyhow!("{who} was asked {what}: no, {why}"),
            Failure::Unreachable(_)
            | Failure::Timeout
            | Failure::Closed
            | Failure::InvalidResponse(_)
            | Failure::WrongDevice(_) => anyhow!("{who} was asked {what} and {failure}"),
        }
    }

    /// What to do about a key that does not fit.
    fn key(&self) -> &'static str {
        match self.owner {
            Owner::Nobody => {
                "it was paired under another key. Hold its button for about 5 s until the LED alternates, join its access point again, and run this again"
            }
            Owner::Us => "the key is not that of the plug. Set meross.key or name its file with --key-file",
        }
    }

    /// That there is no such plug, or that it belongs to somebody.
    fn nobody(&self, failure: &Failure) -> anyhow::Error {
        let place = match self.place.http {
            HTTP_PORT => self.place.ip.to_string(),
            port => format!("{}:{port}", self.place.ip),
        };
        if is_refusal(failure) {
            return anyhow!("the plug at {place} refuses to answer: {}", self.key());
        }
        let there = matches!(failure, Failure::InvalidResponse(_) | Failure::Rejected(_) | Failure::Closed);
        match (self.owner, there) {
            (_, true) => {
                anyhow!("whoever is at {place} is no Meross plug, or one of an unknown kind: it {failure}")
            }
            (Owner::Nobody, false) => anyhow!(
                "no plug answers at {place}, which {failure}. Hold the button of the plug for about 5 s until its LED alternates, join its Wi-Fi network Meross_... with this computer, and run this again"
            ),
            (Owner::Us, false) => {
                anyhow!(
                    "no plug answers at {place}, which {failure}; check the address, its power and its Wi-Fi"
                )
            }
        }
    }
}

/// It does not take our signature.
fn is_refusal(failure: &Failure) -> bool {
    matches!(failure, Failure::Rejected(why) if why.contains("5001"))
}

/// Our half of an exchange of keys.
#[cfg(feature = "tls")]
mod agreement {
    use anyhow::{Result, anyhow};
    use rustls::crypto::{ActiveKeyExchange, ring::kx_group::SECP256R1};

    pub(super) struct Half(Box<dyn ActiveKeyExchange>);

    pub(super) fn begin() -> Result<Half> {
        SECP256R1.start().map(Half).map_err(|error| anyhow!("no key can be exchanged: {error}"))
    }

    impl Half {
        /// Our point, uncompressed.
        pub(super) fn point(&self) -> &[u8] {
            self.0.pub_key()
        }

        /// The x of the shared point; `None` where theirs is not on the curve.
        pub(super) fn secret(self, theirs: &[u8]) -> Option<Vec<u8>> {
            self.0.complete(theirs).ok().map(|secret| secret.secret_bytes().to_vec())
        }
    }
}

/// A build without TLS has no curve.
#[cfg(not(feature = "tls"))]
mod agreement {
    use anyhow::{Result, bail};

    pub(super) struct Half;

    pub(super) fn begin() -> Result<Half> {
        bail!("this plug wants an exchange of keys, which this build cannot do; use one with the feature tls")
    }

    impl Half {
        pub(super) fn point(&self) -> &[u8] {
            &[]
        }

        pub(super) fn secret(self, _theirs: &[u8]) -> Option<Vec<u8>> {
            None
        }
    }
}
