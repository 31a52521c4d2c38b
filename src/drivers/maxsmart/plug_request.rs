//! The conversation about a capability: who is asked what, in which order, by which dialect. Only the
//! setting of the clock and raw commands go without the web server.

use super::{Exchange, MaxsmartDialect, Reply, Step, Way, capability, wire};
use crate::drivers::Message;
use crate::model::{ClockQuery, DeviceResponse, Failure, Hardware, Now, PerPort, Query, QueryReply, Rename};

impl MaxsmartDialect {
    pub(super) fn plan_capability(&mut self, query: &Query, now: &Now) {
        self.plan_identity(now);
        self.plan_way();
        // A countdown is by the time on the plug.
        let clock = matches!(query, Query::Countdown(_));
        let set_clock = *query == Query::Clock(ClockQuery::Set);
        let acts = set_clock || capability::act(query, None, None, now).is_some();
        self.plan.extend(clock.then_some(Exchange::Clock));
        self.plan.extend(acts.then_some(Exchange::Act));
        self.plan.push_back(Exchange::Look);
        self.query = Some(query.clone());
        self.clock = None;
    }

    /// What is sent; `None` when this dialect does not have it.
    pub(super) fn say(&self, exchange: Exchange, way: Way, now: &Now) -> Option<Message> {
        let (query, serial) = (self.query.as_ref()?, self.serial.as_deref());
        if exchange == Exchange::Act && *query == Query::Clock(ClockQuery::Set) {
            return Some(Message::Datagram(wire::discovery(true, now)));
        }
        if way == Way::V3 {
            return capability::v3_call(query, serial).map(Message::Datagram);
        }
        if exchange == Exchange::Look && matches!(query, Query::Names(_)) {
            return Some(Message::Datagram(wire::discovery(false, now)));
        }
        let target = if exchange == Exchange::Clock {
            capability::clock(serial)
        } else if exchange == Exchange::Act {
            capability::act(query, serial, self.clock.as_ref(), now)?.1
        } else {
            capability::look(query, serial)?.1
        };
        Some(Message::Get(target))
    }

    /// A timer can be had without the clock: then ours has to do.
    pub(super) fn hear_clock(&mut self, reply: Reply<'_>, now: &Now) -> Result<Step, Failure> {
        match reply {
            Reply::Bytes(bytes) => {
                let bytes = wire::mine(bytes, self.serial.as_deref())?;
                self.clock = capability::heard_clock(bytes, now).ok();
            }
            Reply::Closed => {}
            Reply::Unreachable | Reply::Timeout => return Err(reply.failure().unwrap_or(Failure::Timeout)),
        }
        self.plan.pop_front();
        Ok(self.next(now))
    }

    pub(super) fn hear_act(&mut self, reply: Reply<'_>, now: &Now) -> Result<Step, Failure> {
        let Some(query) = &self.query else {
            return Err(Failure::InvalidResponse("an answer to nothing".into()));
        };
        let bytes = match reply {
            Reply::Bytes(bytes) => bytes,
            Reply::Closed => return done(DeviceResponse::Unsupported),
            Reply::Unreachable | Reply::Timeout => return Err(reply.failure().unwrap_or(Failure::Timeout)),
        };
        if *query == Query::Clock(ClockQuery::Set) {
            let hello =
                wire::hello(bytes).ok_or_else(|| Failure::InvalidResponse("not a discovery reply".into()))?;
            self.same_plug(&hello)?;
            if self.way == Some(Way::V3) {
                // It cannot be read back there.
                return done(DeviceResponse::Capability(QueryReply::Clock(None)));
            }
        } else {
            let command = capability::act(query, None, None, now).map_or(0, |(command, _)| command);
            match wire::accepted(wire::mine(bytes, self.serial.as_deref())?, command.into()) {
                Ok(()) => {}
                Err(Failure::Rejected(why)) => return done(DeviceResponse::Refused(why)),
                Err(failure) => return Err(failure),
            }
        }
        self.plan.pop_front();
        Ok(self.next(now))
    }

    pub(super) fn hear_look(&mut self, reply: Reply<'_>, now: &Now) -> Result<Step, Failure> {
        let Some(query) = &self.query else {
            return Err(Failure::InvalidResponse("an answer to nothing".into()));
        };
        let bytes = match reply {
            Reply::Bytes(bytes) => bytes,
            // It has the name; that it cannot be heard is no failure.
            Reply::Timeout if matches!(query, Query::Names(_)) => {
                return done(DeviceResponse::Capability(QueryReply::Names(None)));
            }
            Reply::Closed => return done(DeviceResponse::Unsupported),
            Reply::Unreachable | Reply::Timeout => return Err(reply.failure().unwrap_or(Failure::Timeout)),
        };
        if let Query::Names(Rename { port, .. }) = query {
            let hello =
                wire::hello(bytes).ok_or_else(|| Failure::InvalidResponse("not a discovery reply".into()))?;
            self.same_plug(&hello)?;
            let name = match *port {
                0 => hello.facts.name,
                port => hello.facts.port_names.port(port).cloned().flatten(),
            };
            return done(DeviceResponse::Capability(QueryReply::Names(name)));
        }
        wire::mine(bytes, self.serial.as_deref())?;
        match capability::heard(query, bytes, self.clock.as_ref(), now) {
            Ok(QueryReply::Hardware(Hardware { mac: Some(theirs), .. }))
                if self.mac.is_some_and(|mine| mine != theirs) =>
            {
                Err(Failure::WrongDevice(format!("MAC {theirs}")))
            }
            Ok(told) => {
                self.tells_clock |= matches!(told, QueryReply::Clock(_));
                done(DeviceResponse::Capability(told))
            }
            Err(Failure::Rejected(why)) => done(DeviceResponse::Refused(why)),
            // A reply without anything in it: firmware that knows the number and nothing more.
            Err(Failure::InvalidResponse(what)) if what == wire::NO_DATA => done(DeviceResponse::Unsupported),
            Err(failure) => Err(failure),
        }
    }
}

fn done(answer: DeviceResponse) -> Result<Step, Failure> {
    Ok(Step::Done(Box::new(answer)))
}
