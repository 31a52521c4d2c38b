//! Max Hauri MaxSmart and Revogi strips and plugs: the conversation. Two dialects, HTTP (firmware
//! 1.x to 3.x) and UDP V3 (5.x and the 2.0 plug), chosen by asking, because the firmware number
//! alone does not tell and an update can turn one into the other.

mod capability;
mod family;
mod identity;
mod models;
mod plug_request;
mod status;
mod wire;

pub use models::model_of;

use super::{Dialect, Driver, Message, Probe, Reply, Request, Step};
use crate::model::{
    Clock, DeviceInfo, DeviceRequest, DeviceResponse, DialectOptions, Discovered, Endpoint, Failure, Family,
    FamilyInfo, Mac, Now, PlugId, PowerUnit, Query, QueryReply, Reading, Span, Switch,
};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// Conversations in a row that must fail before the dialect is chosen anew, and before a plug that
/// has told who it is may keep silent about it though it answers otherwise.
const STREAK: u32 = 3;

/// How often a plug that has told who it is, and has stopped to, is asked again.
const EVASIVE_AGAIN: Duration = Duration::from_secs(15);

/// How long a plug that answers again is left with the clock it has, so that somebody can read it, and how
/// often one that does not tell its clock is told the time then.
const UNTOLD: Duration = Duration::from_secs(60);
const TOLD_EVERY: Duration = Duration::from_secs(300);

/// The MaxSmart and Revogi family.
#[derive(Debug)]
pub struct Maxsmart;

impl Driver for Maxsmart {
    fn info(&self) -> &'static FamilyInfo {
        &family::FAMILY
    }

    fn probes(&self, family: &Family, now: &Now) -> Vec<Probe> {
        // Without the time: a plug that has restarted shows that by its clock.
        vec![Probe { bytes: wire::discovery(false, now), port: family.udp_port }]
    }

    fn recognise(&self, family: &Family, from: SocketAddr, datagram: &[u8]) -> Option<Discovered> {
        let hello = wire::hello(datagram)?;
        let place = Endpoint { ip: from.ip(), http: family.http_port, udp: family.udp_port };
        Some(Discovered { driver: self.name(), id: hello.id(), place, facts: hello.facts })
    }

    fn ways(&self, plug: &DeviceInfo) -> Vec<(&'static str, Vec<u8>)> {
        vec![("V3", wire::v3_status(plug.serial.as_deref()))]
    }

    fn attach(&self, _: &Family, plug: &Discovered, options: &DialectOptions) -> Box<dyn Dialect> {
        // 5.x has no web server at all: ask it the way it answers first.
        let v3_first = plug.facts.firmware.as_deref().is_some_and(|v| v.starts_with("5."));
        Box::new(MaxsmartDialect {
            id: plug.id.clone(),
            place: plug.place,
            serial: plug.facts.serial.clone(),
            unit: options.power_unit,
            set_clock: options.set_clock,
            tells_clock: false,
            time_at: None,
            timeout: options.timeout,
            v3_first,
            prefers_v3: v3_first,
            greeted: false,
            in_vain: false,
            way: None,
            tried: Vec::new(),
            mac: plug.facts.mac,
            introduced: plug.facts.name.is_some(),
            doubtful: false,
            evasive: 0,
            asked_at: Duration::ZERO,
            checked: false,
            heard_at: None,
            sent_at: Duration::ZERO,
            took: Duration::ZERO,
            streak: 0,
            acknowledged: BTreeMap::new(),
            plan: VecDeque::new(),
            heard: None,
            anonymous: None,
            query: None,
            clock: None,
        })
    }
}

/// One of the two dialects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Http,
    V3,
}

/// One exchange of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Exchange {
    /// Discovery by unicast: who are you?
    Hello,
    /// Discovery that carries the time, whatever comes back.
    Time,
    /// HTTP 124: hardware ids.
    Hardware,
    /// Discovery by unicast once more, now with the whole timeout.
    LateHello,
    /// HTTP 511 of one that does not say who it is: is it a plug at all?
    Anybody,
    Status,
    /// HTTP 510: what was recorded.
    History(Span),
    Relay {
        port: u8,
        on: bool,
    },
    /// A capability: what time is it on the plug?
    Clock,
    /// A capability: change it.
    Act,
    /// A capability: what is it now?
    Look,
}

/// How one MaxSmart plug is spoken to.
#[derive(Debug)]
struct MaxsmartDialect {
    id: Option<PlugId>,
    place: Endpoint,
    serial: Option<String>,
    unit: PowerUnit,
    set_clock: bool,
    /// It has told its clock: whoever has read it can set it, too.
    tells_clock: bool,
    /// When another is told the time next; `None` until it has answered.
    time_at: Option<Duration>,
    timeout: Duration,
    v3_first: bool,
    /// By its firmware, or because that worked last.
    prefers_v3: bool,
    /// It has said who it is in this conversation.
    greeted: bool,
    /// It did in the last one that failed, so the other way may be the right one.
    in_vain: bool,
    /// The dialect that worked; `None` while it must be tried out.
    way: Option<Way>,
    /// What was tried in this conversation, and how it failed.
    tried: Vec<(Way, Failure)>,
    mac: Option<Mac>,
    /// It has said who it is, at least once.
    introduced: bool,
    /// It has not when it was asked in this conversation.
    doubtful: bool,
    /// Conversations in a row in which it answered everything but that.
    evasive: u32,
    /// When it was asked last.
    asked_at: Duration,
    /// The identity was confirmed, or cannot be, since the line broke last.
    checked: bool,
    /// When it was heard last.
    heard_at: Option<Duration>,
    /// When the step it is at began, and how long the last status took.
    sent_at: Duration,
    took: Duration,
    /// Conversations failed in a row.
    streak: u32,
    /// For the 2.0 plug, which does not tell its relay: what was set and acknowledged.
    acknowledged: BTreeMap<u8, bool>,
    /// What is still to be said; the front is on the wire.
    plan: VecDeque<Exchange>,
    /// For `Identify`: what discovery said.
    heard: Option<Box<Discovered>>,
    /// And why its hardware does not say who it is.
    anonymous: Option<Failure>,
    /// For a capability: the question.
    query: Option<Query>,
    /// For a countdown: the plug's clock.
    clock: Option<Clock>,
}

impl Dialect for MaxsmartDialect {
    fn start(&mut self, ask: &DeviceRequest, now: &Now) -> Step {
        self.plan.clear();
        self.tried.clear();
        self.heard = None;
        (self.doubtful, self.greeted) = (false, false);
        match ask {
            DeviceRequest::Identify => self.plan.extend([Exchange::Hello, Exchange::Hardware]),
            DeviceRequest::Read => {
                let due = now.up.saturating_sub(self.asked_at) >= EVASIVE_AGAIN;
                self.checked &= !(self.introduced && self.evasive >= STREAK && due);
                self.plan_identity(now);
                let may_set = self.set_clock && !self.tells_clock && now.plausible();
                if may_set && self.time_at.is_some_and(|at| at <= now.up) {
                    self.plan.push_back(Exchange::Time);
                }
                self.plan.push_back(Exchange::Status);
            }
            DeviceRequest::Capability(Query::History(span)) => {
                self.plan_identity(now);
                self.plan_way();
                self.plan.push_back(Exchange::History(*span));
            }
            DeviceRequest::Switch(switch) => {
                // Addresses may have been swapped without a word being lost: one that tells who it is does so
                // before each relay that moves. One that told once, and then never again, is left in peace.
                self.checked &= !self.introduced || self.evasive >= STREAK;
                self.plan_identity(now);
                self.plan_way();
                match switch {
                    Switch::All(on) => self.plan.push_back(Exchange::Relay { port: 0, on: *on }),
                    Switch::Ports(ports) => {
                        self.plan.extend(ports.iter().map(|(&port, &on)| Exchange::Relay { port, on }))
                    }
                }
                self.plan.push_back(Exchange::Status);
            }
            DeviceRequest::Capability(query) => {
                if let Some(why) = capability::refused(query) {
                    return Step::Done(Box::new(DeviceResponse::Refused(why)));
                }
                self.plan_capability(query, now);
            }
        }
        self.next(now)
    }

    fn handle_response(&mut self, reply: Reply<'_>, now: &Now) -> Result<Step, Failure> {
        match self.plan.front().copied() {
            None => Err(Failure::InvalidResponse("an answer to nothing".into())),
            Some(Exchange::Hello) => self.hear_hello(reply, now),
            Some(Exchange::Time) => {
                self.time_at = Some(now.up + TOLD_EVERY);
                self.plan.pop_front();
                Ok(self.next(now))
            }
            Some(Exchange::Hardware) => self.hear_hardware(reply, now),
            Some(Exchange::LateHello) => self.hear_late_hello(reply, now),
            Some(Exchange::Anybody) => Err(self.hear_anybody(reply)),
            Some(Exchange::Status) => self.hear_status(reply, now),
            Some(Exchange::History(span)) => self.hear_history(reply, span, now),
            Some(Exchange::Relay { port, on }) => {
                self.acknowledge(reply, port, on)?;
                self.plan.pop_front();
                Ok(self.next(now))
            }
            Some(Exchange::Clock) => self.hear_clock(reply, now),
            Some(Exchange::Act) => self.hear_act(reply, now),
            Some(Exchange::Look) => self.hear_look(reply, now),
        }
    }

    fn reset_session(&mut self) {
        let about = self.plan.front();
        // Whatever was asked, it may be another plug that could not answer.
        self.checked = false;
        if matches!(about, Some(Exchange::History(_) | Exchange::Clock | Exchange::Act | Exchange::Look)) {
            // A question not every firmware knows says nothing about how to ask.
            return;
        }
        self.time_at = None;
        self.streak += 1;
        // The time may have been enough for one way only: each goes first in turn.
        self.v3_first ^= self.way.is_none() && !self.tried.is_empty();
        self.in_vain = self.greeted;
        if self.streak >= STREAK {
            self.way = None;
        }
    }
}

impl MaxsmartDialect {
    /// Reading first finds out which dialect it speaks, and moves nothing.
    fn plan_way(&mut self) {
        if self.way.is_none() {
            self.plan.push_back(Exchange::Status);
        }
    }

    /// The dialect to use next: the one known, else the likelier one not tried yet.
    fn way(&self) -> Option<Way> {
        let order = if self.v3_first { [Way::V3, Way::Http] } else { [Way::Http, Way::V3] };
        self.way.or_else(|| order.into_iter().find(|way| self.tried.iter().all(|(tried, _)| tried != way)))
    }

    fn next(&mut self, now: &Now) -> Step {
        self.sent_at = now.up;
        // Each way gets the whole time, also while it is not known which one works: a slow plug must not be
        // taken for one that does not speak so.
        let timeout = self.timeout;
        let way = self.way().unwrap_or(Way::Http);
        let serial = self.serial.as_deref();
        let (what, timeout) = match self.plan.front() {
            Some(exchange @ (Exchange::Hello | Exchange::Time)) => {
                let bytes = wire::discovery(*exchange == Exchange::Time, now);
                (Message::Datagram(bytes), self.identity_patience())
            }
            Some(Exchange::LateHello) => (Message::Datagram(wire::discovery(false, now)), timeout),
            Some(Exchange::Anybody) => (Message::Get(wire::STATUS.into()), timeout),
            Some(Exchange::Hardware) => (Message::Get(wire::HARDWARE.into()), timeout),
            Some(Exchange::Status) => match way {
                Way::Http => (Message::Get(wire::STATUS.into()), timeout),
                Way::V3 => (Message::Datagram(wire::v3_status(serial)), timeout),
            },
            Some(Exchange::History(span)) => match way {
                Way::Http => (Message::Get(wire::statistics(*span)), timeout),
                Way::V3 => return Step::Done(Box::new(DeviceResponse::Unsupported)),
            },
            Some(&Exchange::Relay { port, on }) => match way {
                Way::Http => (Message::Get(wire::relay(serial, port, on)), timeout),
                Way::V3 => (Message::Datagram(wire::v3_relay(serial, port, on)), timeout),
            },
            Some(exchange @ (Exchange::Clock | Exchange::Act | Exchange::Look)) => {
                match self.say(*exchange, way, now) {
                    Some(what) => (what, timeout),
                    None => return Step::Done(Box::new(DeviceResponse::Unsupported)),
                }
            }
            None => return Step::Done(Box::new(DeviceResponse::Unsupported)),
        };
        Step::Send(Request { what, timeout })
    }

    fn hear_status(&mut self, reply: Reply<'_>, now: &Now) -> Result<Step, Failure> {
        // Strays are heard after the last way has failed, too.
        let Some(way) = self.way() else { return Err(self.verdict()) };
        match self.status(reply, way) {
            Ok(mut reading) => {
                self.way = Some(way);
                (self.v3_first, self.in_vain) = (way == Way::V3, false);
                self.prefers_v3 = self.v3_first;
                self.heard_at = Some(now.up);
                self.took = now.up.saturating_sub(self.sent_at);
                self.plan.pop_front();
                if !self.plan.is_empty() {
                    return Ok(self.next(now));
                }
                self.streak = 0;
                self.time_at.get_or_insert(now.up + UNTOLD);
                self.recall(&mut reading);
                Ok(Step::Done(Box::new(DeviceResponse::Reading(reading))))
            }
            // A stray datagram: keep listening for the right one.
            Err(failure @ (Failure::InvalidResponse(_) | Failure::WrongDevice(_)))
                if way == Way::V3
                    && !matches!(failure, Failure::InvalidResponse(ref what) if what == wire::NO_DATA) =>
            {
                Err(failure)
            }
            // It names another serial: the other dialect would only say so again.
            Err(failure @ Failure::WrongDevice(_)) => Err(failure),
            Err(failure) => {
                self.tried.push((way, failure.clone()));
                match self.way {
                    Some(_) => Err(failure),
                    None if self.way().is_some() => Ok(self.next(now)),
                    None => Err(self.verdict()),
                }
            }
        }
    }

    /// Why it cannot be read, once every way has failed: what its own way says. That it does not know the other
    /// one is no news.
    fn verdict(&self) -> Failure {
        let own = if self.prefers_v3 { Way::V3 } else { Way::Http };
        let said = self.tried.iter().find(|(way, _)| *way == own).or(self.tried.last());
        said.map_or(Failure::Timeout, |(_, failure)| failure.clone())
    }

    /// A plug that closes without a word, or says no, does not know the command.
    fn hear_history(&mut self, reply: Reply<'_>, span: Span, now: &Now) -> Result<Step, Failure> {
        let answer = match reply {
            Reply::Bytes(bytes) => {
                match wire::mine(bytes, self.serial.as_deref()).and_then(|bytes| wire::history(bytes, span)) {
                    Ok(history) => QueryReply::History(history).into(),
                    Err(Failure::Rejected(_)) => DeviceResponse::Unsupported,
                    Err(failure) => return Err(failure),
                }
            }
            Reply::Closed => DeviceResponse::Unsupported,
            Reply::Unreachable | Reply::Timeout => return Err(reply.failure().unwrap_or(Failure::Timeout)),
        };
        self.heard_at = Some(now.up);
        Ok(Step::Done(Box::new(answer)))
    }

    fn status(&self, reply: Reply<'_>, way: Way) -> Result<Reading, Failure> {
        let Reply::Bytes(bytes) = reply else { return Err(reply.failure().unwrap_or(Failure::Closed)) };
        let command = if way == Way::Http { 511 } else { 90 };
        status::status(bytes, command, self.serial.as_deref(), self.unit)
    }

    fn acknowledge(&mut self, reply: Reply<'_>, port: u8, on: bool) -> Result<(), Failure> {
        let Reply::Bytes(bytes) = reply else { return Err(reply.failure().unwrap_or(Failure::Closed)) };
        let command = if self.way == Some(Way::V3) { 20 } else { 200 };
        wire::accepted(wire::mine(bytes, self.serial.as_deref())?, command)?;
        if port == 0 {
            self.acknowledged = (0..=16).map(|port| (port, on)).collect();
        } else {
            self.acknowledged.insert(port, on);
        }
        Ok(())
    }

    /// For a plug that told no relay: what was last set, and watts prove on.
    fn recall(&self, reading: &mut Reading) {
        if !reading.relays_remembered {
            return;
        }
        for (port, reading) in (1..).zip(&mut reading.ports) {
            let flows = reading.watts.is_some_and(|watts| watts > 0.0);
            reading.relay = if flows { Some(true) } else { self.acknowledged.get(&port).copied() };
        }
    }
}

#[cfg(test)]
mod tests;
