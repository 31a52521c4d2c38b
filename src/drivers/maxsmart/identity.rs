//! Who a plug is: asked for its own sake, and before a plug is believed or moved.

use super::{Exchange, Maxsmart, MaxsmartDialect, STREAK, status, wire};
use crate::drivers::{Driver, Reply, Step};
use crate::model::{DeviceResponse, Discovered, Failure, Now};
use std::time::Duration;

/// How long an identity question may take, unless the plug is known to be slower: it is a single datagram, and plugs behind a router that
/// lets none through are still served over HTTP.
pub(super) const IDENTITY_PATIENCE: Duration = Duration::from_millis(600);

/// A plug not heard for longer may have given its address to another one meanwhile: none has lost
/// its power, booted and got a new address sooner.
pub(super) const SURE: Duration = Duration::from_secs(8);

impl MaxsmartDialect {
    pub(super) fn plan_identity(&mut self, now: &Now) {
        let lately = self.heard_at.is_some_and(|at| now.up.saturating_sub(at) <= SURE);
        self.checked &= lately || !self.introduced;
        if !self.checked {
            self.plan.push_back(Exchange::Hello);
        }
    }

    /// How long discovery is waited for: whoever takes long for its status takes as long for this.
    pub(super) fn identity_patience(&self) -> Duration {
        IDENTITY_PATIENCE.min(self.timeout / 4).max(self.took * 2).min(self.timeout)
    }

    pub(super) fn hear_hello(&mut self, reply: Reply<'_>, now: &Now) -> Result<Step, Failure> {
        self.asked_at = now.up;
        let identifying = self.plan.get(1) == Some(&Exchange::Hardware);
        if let Reply::Bytes(bytes) = reply {
            let hello = hello(bytes)?;
            if identifying {
                let found = self.found(hello);
                if found.id.is_some() {
                    return Ok(Step::Done(Box::new(DeviceResponse::Identity(found))));
                }
                self.heard = Some(Box::new(found));
            } else {
                // Whoever is there does tell.
                self.evasive = 0;
                self.same_plug(&hello)?;
                self.introduced = true;
                self.greeted = true;
                if !self.in_vain {
                    // What failed while nothing was heard says nothing about how to ask.
                    self.v3_first = self.prefers_v3;
                }
            }
        } else if self.introduced && !identifying {
            // It may be another plug that has its address now. Asked again once it has answered
            // something, a plug that was only booting says so.
            if !self.doubtful {
                self.doubtful = true;
                self.plan.push_front(Exchange::Status);
                return Ok(self.next(now));
            }
            self.evasive = self.evasive.saturating_add(1);
            if self.evasive < STREAK {
                return Err(Failure::Timeout);
            }
        }
        // Otherwise silence proves nothing: routers drop datagrams.
        self.checked = true;
        self.plan.pop_front();
        Ok(self.next(now))
    }

    /// It is the plug that is meant.
    pub(super) fn same_plug(&self, hello: &wire::Hello) -> Result<(), Failure> {
        self.id.as_ref().map_or(Ok(()), |mine| hello.is_of(mine, self.serial.as_deref(), self.mac))
    }

    pub(super) fn hear_hardware(&mut self, reply: Reply<'_>, now: &Now) -> Result<Step, Failure> {
        let mut found = self.heard.as_deref().cloned().unwrap_or_else(|| Discovered {
            driver: Maxsmart.name(),
            id: None,
            place: self.place,
            facts: wire::facts_unknown(),
        });
        let data = match reply {
            Reply::Bytes(bytes) => wire::data(bytes, 124),
            Reply::Closed | Reply::Unreachable | Reply::Timeout => {
                Err(reply.failure().unwrap_or(Failure::Closed))
            }
        };
        let told = data.and_then(|data| {
            found.id = wire::hardware_id(&data, &mut found.facts);
            let none = || Failure::InvalidResponse("it has neither serial nor MAC nor cpuid".into());
            found.id.is_some().then_some(found).ok_or_else(none)
        });
        match told {
            Ok(found) => {
                // Its serial, which only discovery tells, makes another id than its MAC.
                let slow = now.up.saturating_sub(self.sent_at) > self.identity_patience();
                if self.heard.is_some() || !slow {
                    return Ok(Step::Done(Box::new(DeviceResponse::Identity(found))));
                }
                self.heard = Some(Box::new(found));
                self.plan = [Exchange::LateHello].into();
                Ok(self.next(now))
            }
            Err(failure) => {
                self.plan.pop_front();
                // It may speak V3 alone, and be slow.
                if self.heard.is_none() {
                    self.plan.push_back(Exchange::LateHello);
                }
                self.nameless(failure, now)
            }
        }
    }

    pub(super) fn hear_late_hello(&mut self, reply: Reply<'_>, now: &Now) -> Result<Step, Failure> {
        if let Reply::Bytes(bytes) = reply {
            let found = self.found(hello(bytes)?);
            if found.id.is_some() {
                return Ok(Step::Done(Box::new(DeviceResponse::Identity(found))));
            }
        }
        if let Some(found) = self.heard.take() {
            return Ok(Step::Done(Box::new(DeviceResponse::Identity(*found))));
        }
        self.plan.pop_front();
        let failure = self.anonymous.take().unwrap_or(Failure::Timeout);
        self.nameless(failure, now)
    }

    /// Its hardware does not say who it is, and discovery does not either, or is still to be asked.
    fn nameless(&mut self, failure: Failure, now: &Now) -> Result<Step, Failure> {
        if self.plan.is_empty() {
            // To close the connection is how firmware says that it does not know a command.
            if failure != Failure::Closed {
                return Err(failure);
            }
            self.plan.push_back(Exchange::Anybody);
        }
        self.anonymous = Some(failure);
        Ok(self.next(now))
    }

    /// What is wrong with one that does not say who it is.
    pub(super) fn hear_anybody(&self, reply: Reply<'_>) -> Failure {
        match reply {
            Reply::Bytes(bytes) if status::status(bytes, 511, None, self.unit).is_ok() => Failure::Rejected(
                "it tells its status, and neither serial number nor MAC address, by which it could be told from others"
                    .into(),
            ),
            Reply::Bytes(_) | Reply::Closed | Reply::Unreachable | Reply::Timeout => Failure::Closed,
        }
    }

    fn found(&self, hello: wire::Hello) -> Discovered {
        Discovered { driver: Maxsmart.name(), id: hello.id(), place: self.place, facts: hello.facts }
    }
}

fn hello(bytes: &[u8]) -> Result<wire::Hello, Failure> {
    wire::hello(bytes).ok_or_else(|| Failure::InvalidResponse("not a discovery reply".into()))
}
