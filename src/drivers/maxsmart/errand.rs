//! The conversation about a skill: who is asked what, in which order, by which dialect. Only the
//! setting of the clock and raw commands go without the web server.

use super::{Exchange, Reply, Step, Tongue, Way, skill, wire};
use crate::drivers::Message;
use crate::model::{Answer, Failure, Hardware, Moment, PerPort, Skill, Told};

impl Tongue {
    pub(super) fn plan_skill(&mut self, skill: &Skill, now: &Moment) {
        self.plan_identity(now);
        self.plan_way();
        let exchanges: &[Exchange] = match skill {
            Skill::Rename { .. } => &[Exchange::Act, Exchange::Look],
            // What is set counts from the time on the plug.
            Skill::SetTimer { .. } => &[Exchange::Clock, Exchange::Act, Exchange::Look],
            Skill::Timer(_) => &[Exchange::Clock, Exchange::Look],
            Skill::SetClock
            | Skill::ChangeRules(_)
            | Skill::SetPrice(_)
            | Skill::SetLeader(_)
            | Skill::SetPresence(_) => &[Exchange::Act, Exchange::Look],
            Skill::Clock
            | Skill::Rules
            | Skill::Price
            | Skill::Leader
            | Skill::Presence
            | Skill::Hardware
            | Skill::Call { .. } => &[Exchange::Look],
        };
        self.plan.extend(exchanges);
        self.skill = Some(skill.clone());
        self.clock = None;
    }

    /// What is sent; `None` when this dialect does not have it.
    pub(super) fn say(&self, exchange: Exchange, way: Way, now: &Moment) -> Option<Message> {
        let (skill, serial) = (self.skill.as_ref()?, self.serial.as_deref());
        if exchange == Exchange::Act && *skill == Skill::SetClock {
            return Some(Message::Datagram(wire::discovery(true, now)));
        }
        if way == Way::V3 {
            return skill::v3_call(skill, serial).map(Message::Datagram);
        }
        if exchange == Exchange::Look && matches!(skill, Skill::Rename { .. }) {
            return Some(Message::Datagram(wire::discovery(false, now)));
        }
        let target = if exchange == Exchange::Clock {
            skill::clock(serial)
        } else if exchange == Exchange::Act {
            skill::act(skill, serial, self.clock.as_ref(), now)?.1
        } else {
            skill::look(skill, serial)?.1
        };
        Some(Message::Get(target))
    }

    /// A timer can be had without the clock: then ours has to do.
    pub(super) fn hear_clock(&mut self, reply: Reply<'_>, now: &Moment) -> Result<Step, Failure> {
        match reply {
            Reply::Bytes(bytes) => {
                let bytes = wire::mine(bytes, self.serial.as_deref())?;
                self.clock = skill::heard_clock(bytes, now).ok();
            }
            Reply::Closed => {}
            Reply::Unreachable | Reply::Timeout => return Err(reply.failure().unwrap_or(Failure::Timeout)),
        }
        self.plan.pop_front();
        Ok(self.next(now))
    }

    pub(super) fn hear_act(&mut self, reply: Reply<'_>, now: &Moment) -> Result<Step, Failure> {
        let Some(skill) = &self.skill else {
            return Err(Failure::InvalidResponse("an answer to nothing".into()));
        };
        let bytes = match reply {
            Reply::Bytes(bytes) => bytes,
            Reply::Closed => return done(Answer::Unsupported),
            Reply::Unreachable | Reply::Timeout => return Err(reply.failure().unwrap_or(Failure::Timeout)),
        };
        if *skill == Skill::SetClock {
            let hello =
                wire::hello(bytes).ok_or_else(|| Failure::InvalidResponse("not a discovery reply".into()))?;
            self.same_plug(&hello)?;
            if self.way == Some(Way::V3) {
                // It cannot be read back there.
                return done(Answer::Skill(Told::Clock(None)));
            }
        } else {
            let command = skill::act(skill, None, None, now).map_or(0, |(command, _)| command);
            match wire::accepted(wire::mine(bytes, self.serial.as_deref())?, command.into()) {
                Ok(()) => {}
                Err(Failure::Rejected(why)) => return done(Answer::Refused(why)),
                Err(failure) => return Err(failure),
            }
        }
        self.plan.pop_front();
        Ok(self.next(now))
    }

    pub(super) fn hear_look(&mut self, reply: Reply<'_>, now: &Moment) -> Result<Step, Failure> {
        let Some(skill) = &self.skill else {
            return Err(Failure::InvalidResponse("an answer to nothing".into()));
        };
        let bytes = match reply {
            Reply::Bytes(bytes) => bytes,
            // It has the name; that it cannot be heard is no failure.
            Reply::Timeout if matches!(skill, Skill::Rename { .. }) => {
                return done(Answer::Skill(Told::Name(None)));
            }
            Reply::Closed => return done(Answer::Unsupported),
            Reply::Unreachable | Reply::Timeout => return Err(reply.failure().unwrap_or(Failure::Timeout)),
        };
        if let Skill::Rename { port, .. } = skill {
            let hello =
                wire::hello(bytes).ok_or_else(|| Failure::InvalidResponse("not a discovery reply".into()))?;
            self.same_plug(&hello)?;
            let name = match *port {
                0 => hello.facts.name,
                port => hello.facts.port_names.port(port).cloned().flatten(),
            };
            return done(Answer::Skill(Told::Name(name)));
        }
        wire::mine(bytes, self.serial.as_deref())?;
        match skill::heard(skill, bytes, self.clock.as_ref(), now) {
            Ok(Told::Hardware(Hardware { mac: Some(theirs), .. }))
                if self.mac.is_some_and(|mine| mine != theirs) =>
            {
                Err(Failure::WrongDevice(format!("MAC {theirs}")))
            }
            Ok(told) => {
                self.tells_clock |= matches!(told, Told::Clock(_));
                done(Answer::Skill(told))
            }
            Err(Failure::Rejected(why)) => done(Answer::Refused(why)),
            // A reply without anything in it: firmware that knows the number and nothing more.
            Err(Failure::InvalidResponse(what)) if what == wire::NO_DATA => done(Answer::Unsupported),
            Err(failure) => Err(failure),
        }
    }
}

fn done(answer: Answer) -> Result<Step, Failure> {
    Ok(Step::Done(Box::new(answer)))
}
