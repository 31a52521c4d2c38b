//! Watts Clever INPLUG, Ankuoo NEO PRO and the other plugs that speak like a Broadlink SP2: the
//! conversation. One dialect: hello to be sure who it is, key exchange, then status, meter and
//! switch under the session's key. A session that the plug has dropped is made anew where it is
//! missed. The MAC is the identity.
//!
//! # A walk: how it sits in the seams of [`Driver`] and [`Dialect`]
//!
//! INPLUG is Broadlink's UDP protocol on port 80. `probes` gives the 48-byte hello with the time
//! from [`Now`], `recognise` reads type, MAC and name from the 128-byte reply; the MAC is the
//! identity. The dialect begins without a session key: a conversation then opens with hello, because
//! whoever has the address gives its key to anybody, and the key exchange (0x65), whose answer
//! brings id and key; status (0x6a `01`) and meter (0x6a `04`) follow. Error -7 or -2 in a reply
//! means the key has expired: `hear` goes back to hello and key exchange once and then repeats the
//! step it was at, all in the same conversation. Error -4 to the meter is remembered in the dialect,
//! the reading then has no watts and the sinks offer no sensor. A datagram that is not the answer to
//! the request in hand (count, id, checksum) is [`Failure::InvalidResponse`]; the transport keeps listening
//! until its time is up. A switch is 0x6a `02` followed by status in the same conversation. `forget`
//! drops the key. A keep-alive is a step whose answer nobody waits for, before the others.

mod crypt;
mod family;
mod kind;
mod meter;
mod others;
mod wire;

use super::{Dialect, Driver, Message, Probe, Reply, Request, Step};
use crate::model::{
    DeviceInfo, DeviceRequest, DeviceResponse, DialectOptions, Discovered, Endpoint, Failure, Family,
    FamilyInfo, Mac, Now, PlugId, PortReading, Reading, Switch,
};
use crypt::Key;
use kind::Kind;
use meter::Meter;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;
use wire::{Envelope, Purpose, Refusal};

/// How long a question may take whose answer is not needed.
const BRIEF: Duration = Duration::from_millis(600);

/// A keep-alive has no answer; this is only how long the line is kept for it.
const NO_ANSWER: Duration = Duration::from_millis(10);

/// Between two keep-alives. Firmware that wants them waits three minutes.
const KEEP_ALIVE: Duration = Duration::from_secs(120);

/// Said to whoever has to unlock a plug.
const LOCKED: &str =
    "it is locked: open the vendor's app, choose this plug, its settings, and switch \"lock device\" off";

/// The INPLUG and its kin.
#[derive(Debug)]
pub struct Inplug;

impl Driver for Inplug {
    fn info(&self) -> &'static FamilyInfo {
        &family::FAMILY
    }

    fn probes(&self, family: &Family, now: &Now) -> Vec<Probe> {
        vec![Probe { bytes: wire::hello(now), port: family.udp_port }]
    }

    fn recognise(&self, family: &Family, from: SocketAddr, datagram: &[u8]) -> Option<Discovered> {
        let place = Endpoint { ip: from.ip(), http: family.http_port, udp: family.udp_port };
        found(place, &wire::hello_reply(datagram)?)
    }

    fn stray(&self, datagram: &[u8]) -> String {
        match wire::hello_reply(datagram) {
            Some(hello) => no_plug(&hello),
            None if wire::is_hello_reply(datagram) => NO_MAC.into(),
            None => super::not_understood(datagram),
        }
    }

    fn attach(&self, family: &Family, plug: &Discovered, options: &DialectOptions) -> Box<dyn Dialect> {
        Box::new(InplugDialect {
            place: plug.place,
            facts: plug.facts.clone(),
            timeout: options.timeout,
            keep_alive: family.own.switch("keep_alive"),
            kept_alive: None,
            device: None,
            locked: false,
            session: None,
            healed: false,
            lost: false,
            others: None,
            meter: Meter::Asked { missed: 0, proven: false },
            firmware_asked: false,
            plan: VecDeque::new(),
            envelope: None,
            reading: Reading::default(),
            sent_at: Duration::ZERO,
            took: Duration::ZERO,
        })
    }
}

/// Said of one that answers and tells no MAC, or one of zeros.
const NO_MAC: &str = "it answers and tells no MAC, by which it could be told from others: it is left alone";

fn found(place: Endpoint, hello: &wire::Hello) -> Option<Discovered> {
    let kind = kind::kind(hello.device)?;
    let facts = DeviceInfo {
        name: hello.name.clone(),
        manufacturer: kind.maker.into(),
        model: kind.model.into(),
        model_id: Some(format!("{:#06x}", hello.device)),
        mac: Some(hello.mac),
        ..DeviceInfo::default()
    };
    Some(Discovered { driver: Inplug.name(), id: PlugId::of(Inplug.name(), &hello.mac.bare()), place, facts })
}

/// One exchange of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exchange {
    /// "Somebody is there", without an answer.
    KeepAlive,
    /// Who are you?
    Hello,
    /// The same, asked for its own sake.
    Identity,
    /// Key exchange.
    Keys,
    Firmware,
    Relay(bool),
    Status,
    Meter,
}

/// What came back on a command: its payload, or what the plug refuses with.
type Heard = Result<Result<Vec<u8>, Refusal>, Failure>;

/// A session with a plug.
#[derive(Debug, Clone, Copy)]
struct Session {
    id: u32,
    key: Key,
}

/// How one plug is spoken to.
#[derive(Debug)]
struct InplugDialect {
    place: Endpoint,
    facts: DeviceInfo,
    timeout: Duration,
    keep_alive: bool,
    /// When the last keep-alive was sent.
    kept_alive: Option<Duration>,
    /// Its type, once it has told.
    device: Option<u16>,
    /// It said so in hello.
    locked: bool,
    session: Option<Session>,
    /// The session was made anew in this conversation.
    healed: bool,
    /// A session was given up that has not been made anew yet.
    lost: bool,
    /// The bits of the relay byte that are not the relay; `None` while they were not read.
    others: Option<u8>,
    meter: Meter,
    firmware_asked: bool,
    /// What is still to be said; the front is on the wire.
    plan: VecDeque<Exchange>,
    /// What the answer to the packet on the wire must fit.
    envelope: Option<Envelope>,
    /// What was read in this conversation.
    reading: Reading,
    /// When the step it is at began, and how long the last status took.
    sent_at: Duration,
    took: Duration,
}

impl Dialect for InplugDialect {
    fn start(&mut self, ask: &DeviceRequest, now: &Now) -> Step {
        self.plan.clear();
        self.healed = false;
        self.reading = Reading::default();
        match ask {
            DeviceRequest::Identify => self.plan.push_back(Exchange::Identity),
            DeviceRequest::Read => {
                if self.keep_alive && self.kept_alive.is_none_or(|at| at + KEEP_ALIVE <= now.up) {
                    self.kept_alive = Some(now.up);
                    self.plan.push_back(Exchange::KeepAlive);
                }
                self.plan_session();
                if !self.firmware_asked {
                    self.plan.push_back(Exchange::Firmware);
                }
                self.plan.extend([Exchange::Status, Exchange::Meter]);
            }
            DeviceRequest::Switch(switch) => {
                let on = match switch {
                    Switch::All(on) => Some(*on),
                    Switch::Ports(ports) => ports.get(&1).copied(),
                };
                if let Some(on) = on {
                    // The session of one plug may do for another that has got its address.
                    match self.session {
                        Some(_) => self.plan.push_back(Exchange::Hello),
                        None => self.plan_session(),
                    }
                    if self.others.is_none() && self.kind().is_none_or(|kind| kind.night_light) {
                        self.plan.push_back(Exchange::Status);
                    }
                    self.plan.extend([Exchange::Relay(on), Exchange::Status]);
                }
            }
            DeviceRequest::Capability(_) => {}
        }
        self.next(now)
    }

    fn handle_response(&mut self, reply: Reply<'_>, now: &Now) -> Result<Step, Failure> {
        let Some(exchange) = self.plan.front().copied() else {
            return Err(Failure::InvalidResponse("an answer to nothing".into()));
        };
        match exchange {
            Exchange::KeepAlive => {}
            Exchange::Hello | Exchange::Identity => {
                let hello = self.hear_hello(reply)?;
                if exchange == Exchange::Identity {
                    let found = found(self.place, &hello);
                    let found = found.ok_or_else(|| Failure::Rejected(no_plug(&hello)))?;
                    return Ok(Step::Done(Box::new(DeviceResponse::Identity(found))));
                }
            }
            Exchange::Keys => self.hear_keys(reply)?,
            Exchange::Firmware | Exchange::Relay(_) | Exchange::Status | Exchange::Meter => {
                let heard = self.payload(reply);
                if let Ok(Err(refusal)) = heard
                    && refusal.is_session_lost()
                    && !self.healed
                {
                    self.healed = true;
                    self.session = None;
                    self.plan.push_front(Exchange::Keys);
                    self.plan.push_front(Exchange::Hello);
                    return Ok(self.next(now));
                }
                self.take(exchange, heard, now)?;
            }
        }
        self.plan.pop_front();
        Ok(self.next(now))
    }

    fn reset_session(&mut self) {
        self.lost |= self.session.take().is_some();
    }
}

impl InplugDialect {
    /// Whoever has this address now would give its key to anybody: first make sure who it is.
    fn plan_session(&mut self) {
        if self.session.is_none() {
            self.plan.extend([Exchange::Hello, Exchange::Keys]);
        }
    }

    fn kind(&self) -> Option<Kind> {
        kind::kind(self.device?)
    }

    fn next(&mut self, now: &Now) -> Step {
        if self.plan.front() == Some(&Exchange::Meter) && !self.asks_meter() {
            self.plan.pop_front();
        }
        let brief = BRIEF.min(self.timeout / 4);
        self.sent_at = now.up;
        let (what, timeout) = match self.plan.front() {
            Some(Exchange::KeepAlive) => (wire::keep_alive(), NO_ANSWER.min(self.timeout)),
            Some(Exchange::Hello | Exchange::Identity) => (wire::hello(now), self.timeout),
            Some(Exchange::Keys) => (self.seal(now, Purpose::Keys, &wire::introduction()), self.timeout),
            Some(Exchange::Firmware) => (self.seal(now, Purpose::Command, &wire::FIRMWARE), brief),
            Some(Exchange::Relay(on)) => {
                let payload = wire::relay(*on, self.others.unwrap_or(0));
                (self.seal(now, Purpose::Command, &payload), self.timeout)
            }
            Some(Exchange::Status) => (self.seal(now, Purpose::Command, &wire::STATUS), self.timeout),
            // The rest of the reading must not be lost with it, nor the figure of a plug that is slow.
            Some(Exchange::Meter) => {
                let question = self.question();
                let timeout = (self.timeout / 2).max(self.took * 2).min(self.timeout);
                (self.seal(now, Purpose::Command, question), timeout)
            }
            None if self.reading.ports.is_empty() => {
                return Step::Done(Box::new(DeviceResponse::Unsupported));
            }
            None => {
                let renewed = self.healed | std::mem::take(&mut self.lost);
                let reading = Reading { renewed, ..std::mem::take(&mut self.reading) };
                return Step::Done(Box::new(DeviceResponse::Reading(reading)));
            }
        };
        Step::Send(Request { what: Message::Datagram(what), timeout })
    }

    fn seal(&mut self, now: &Now, purpose: Purpose, payload: &[u8]) -> Vec<u8> {
        let [low, high, ..] = now.nonce.to_le_bytes();
        let session = match purpose {
            Purpose::Keys => None,
            Purpose::Command => self.session,
        };
        let (id, key) = session.map_or((0, Key::FIRST), |session| (session.id, session.key));
        let envelope = Envelope {
            purpose,
            device: self.device.unwrap_or_default(),
            // Clients of the family keep this bit set.
            count: u16::from_le_bytes([low, high]) | 0x8000,
            mac: self.facts.mac.map(wire::reversed).unwrap_or_default(),
            id,
            key,
        };
        self.envelope = Some(envelope);
        wire::seal(&envelope, payload)
    }

    /// The payload of the answer to what is on the wire, or what it refuses with.
    fn payload(&self, reply: Reply<'_>) -> Heard {
        let nothing = || Failure::InvalidResponse("an answer to nothing".into());
        match reply {
            Reply::Bytes(bytes) => wire::open(bytes, self.envelope.as_ref().ok_or_else(nothing)?),
            Reply::Closed | Reply::Unreachable | Reply::Timeout => {
                Err(reply.failure().unwrap_or(Failure::Timeout))
            }
        }
    }

    /// Takes the answer to a command.
    fn take(&mut self, exchange: Exchange, heard: Heard, now: &Now) -> Result<(), Failure> {
        match exchange {
            Exchange::Firmware => self.hear_firmware(heard),
            Exchange::Status => {
                self.hear_status(&answered(heard)?)?;
                self.took = now.up.saturating_sub(self.sent_at);
                Ok(())
            }
            Exchange::Meter => self.hear_meter(heard),
            // What a plug answers to a switch is written down nowhere: its status tells.
            Exchange::Relay(_) => answered(heard).map(drop),
            Exchange::KeepAlive | Exchange::Hello | Exchange::Identity | Exchange::Keys => Ok(()),
        }
    }

    fn hear_hello(&mut self, reply: Reply<'_>) -> Result<wire::Hello, Failure> {
        let Reply::Bytes(bytes) = reply else { return Err(reply.failure().unwrap_or(Failure::Timeout)) };
        let hello = wire::hello_reply(bytes).ok_or_else(|| match wire::is_hello_reply(bytes) {
            true => Failure::Rejected(NO_MAC.into()),
            false => Failure::InvalidResponse("not a hello".into()),
        })?;
        match self.facts.mac {
            Some(mac) if mac != hello.mac => return Err(Failure::WrongDevice(stranger(hello.mac))),
            _ => self.facts.mac = Some(hello.mac),
        }
        if let Some(Discovered { facts, .. }) = found(self.place, &hello) {
            let name = facts.name.clone().or(self.facts.name.take());
            self.facts = DeviceInfo { name, firmware: self.facts.firmware.take(), ..facts };
        }
        self.device = Some(hello.device);
        self.locked = hello.locked;
        Ok(hello)
    }

    fn hear_keys(&mut self, reply: Reply<'_>) -> Result<(), Failure> {
        if reply == Reply::Timeout && self.locked {
            return Err(Failure::Rejected(LOCKED.into()));
        }
        match self.payload(reply)? {
            Ok(plain) => {
                let short = || Failure::InvalidResponse("a key exchange without a key".into());
                let (id, key) = wire::session(&plain).ok_or_else(short)?;
                self.session = Some(Session { id, key });
                Ok(())
            }
            Err(Refusal::LOCKED) => Err(Failure::Rejected(LOCKED.into())),
            Err(refusal) => Err(refused(refusal)),
        }
    }

    /// Nice to know; whatever comes of it, it is not asked again.
    fn hear_firmware(&mut self, heard: Heard) -> Result<(), Failure> {
        match heard {
            Err(failure @ Failure::InvalidResponse(_)) => return Err(failure),
            Ok(Ok(plain)) => {
                if let Some(number) = wire::firmware(&plain) {
                    self.facts.firmware = Some(number.to_string());
                    self.reading.facts = Some(self.facts.clone());
                }
            }
            Ok(Err(_)) | Err(_) => {}
        }
        self.firmware_asked = true;
        Ok(())
    }

    fn hear_status(&mut self, plain: &[u8]) -> Result<(), Failure> {
        let kind = self.kind();
        let state = wire::status(plain, kind.is_some_and(|kind| kind.proven));
        // Not a refusal: what is no plug must be forgotten.
        let state = state.ok_or_else(|| {
            let device = self.device.unwrap_or_default();
            Failure::InvalidResponse(format!("type {device:#06x} does not speak like an SP2 plug"))
        })?;
        self.others = Some(if kind.is_some_and(|kind| kind.night_light) { state & 2 } else { 0 });
        self.reading.ports = vec![PortReading { relay: Some(state & 1 == 1), ..PortReading::default() }];
        Ok(())
    }
}

/// The payload, or the refusal as a failure.
fn answered(heard: Heard) -> Result<Vec<u8>, Failure> {
    heard?.map_err(refused)
}

/// What passes is waited for: the transport goes on asking while there is time.
fn refused(refusal: Refusal) -> Failure {
    match refusal.passes() {
        true => Failure::InvalidResponse(refusal.words()),
        false => Failure::Rejected(refusal.words()),
    }
}

/// Who says hello and is no plug of this kind.
fn no_plug(hello: &wire::Hello) -> String {
    let (model, what) = others::other(hello.device).unwrap_or(("type not listed", "not known"));
    let name = hello.name.as_ref().map(|name| format!(" \"{name}\"")).unwrap_or_default();
    format!("{model}{name}, type {:#06x}, is {what}: it is left alone", hello.device)
}

fn stranger(mac: Mac) -> String {
    format!("{}-{}", Inplug.name(), mac.bare())
}

#[cfg(test)]
mod tests;
