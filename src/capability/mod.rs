//! An errand carried out: which ask comes next, what its answer means, and whether the plug did what
//! it said. Pure, so that the bridge and the command line go the same way; knows the vocabulary and
//! nothing else.

mod against;
mod clock;
mod record;
mod wish;

pub use against::against;
pub use clock::{drift, warning};

use crate::model::{
    CapabilityReply, CapabilityRequest, CapabilityState, Clock, DeviceRequest, DeviceResponse, Failure,
    LeaderGroup, Lock, Meaning, Moment, PerPort, PlugRequest, Presence, RuleChange, RuleWish, Timer,
    UNKNOWN_SKILL,
};
use jiff::civil::DateTime;
use std::collections::VecDeque;

/// What an errand is held against before anything is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct Guard {
    /// What the plug is called in sentences.
    pub who: String,
    /// How many ports it has.
    pub ports: u8,
    /// It may be changed.
    pub control: bool,
    /// By port, port 1 first; those missing are not locked.
    pub locks: Vec<Lock>,
    /// Protection has latched a port off.
    pub latched: bool,
    /// Ports that followed another when it was last heard that any did.
    pub followed: Vec<u8>,
}

/// An errand on its way.
#[derive(Debug)]
pub struct Task {
    errand: PlugRequest,
    guard: Guard,
    /// Ports still to be asked about, the present one first.
    todo: VecDeque<u8>,
    timers: Vec<(u8, Option<Timer>)>,
    /// The change that is asked for, once it is known what was.
    change: Option<Change>,
    /// The clock by which new rules come, where the plug told it.
    clock: Option<Clock>,
    /// Somebody has learnt what the figures of its record mean.
    learnt: bool,
}

#[derive(Debug)]
enum Change {
    /// The same as the next one, once the clock by which the rule will come was asked for.
    Clocked(RuleChange, usize),
    /// With the number of rules there were.
    Rules(RuleChange, usize),
    Leader(LeaderGroup),
    Presence(Presence),
}

impl Task {
    /// Checks what can be checked before the plug is asked.
    ///
    /// # Errors
    ///
    /// Why it will not be asked, in a sentence that names the remedy.
    pub fn new(errand: PlugRequest, guard: Guard) -> Result<Self, String> {
        guard.check(&errand)?;
        let mut todo = VecDeque::new();
        if let PlugRequest::Countdown { port, .. } = errand {
            todo.extend(port.map_or(1..=guard.ports, |port| port..=port));
        }
        Ok(Self { errand, guard, todo, timers: Vec::new(), change: None, clock: None, learnt: false })
    }

    /// What somebody wants.
    pub fn errand(&self) -> &PlugRequest {
        &self.errand
    }

    /// What the figures of the plug's record mean, when that was learnt.
    pub fn learn(&mut self, meaning: Meaning) {
        if let PlugRequest::History { meaning: known, .. } = &mut self.errand {
            *known = Some(meaning);
            self.learnt = true;
        }
    }

    /// What to ask now.
    pub fn ask(&self) -> DeviceRequest {
        let port = self.todo.front().copied().unwrap_or_default();
        DeviceRequest::CapabilityRequest(match (&self.change, &self.errand) {
            (Some(Change::Clocked(..)), _) => CapabilityRequest::Clock,
            (Some(Change::Rules(change, _)), _) => CapabilityRequest::ChangeRules(change.clone()),
            (Some(Change::Leader(group)), _) => CapabilityRequest::SetLeader(group.clone()),
            (Some(Change::Presence(presence)), _) => CapabilityRequest::SetPresence(presence.clone()),
            (None, PlugRequest::History { span, .. }) => return DeviceRequest::History(*span),
            (None, PlugRequest::Clock { set: true }) => CapabilityRequest::SetClock,
            (None, PlugRequest::Clock { set: false }) => CapabilityRequest::Clock,
            (None, PlugRequest::Countdown { minutes: Some(minutes), .. }) => {
                CapabilityRequest::SetTimer { port, minutes: *minutes }
            }
            (None, PlugRequest::Countdown { minutes: None, .. }) => CapabilityRequest::Timer(port),
            (None, PlugRequest::Schedule(_)) => CapabilityRequest::Rules,
            (None, PlugRequest::Price(None)) => CapabilityRequest::Price,
            (None, PlugRequest::Price(Some(price))) => CapabilityRequest::SetPrice(*price),
            (None, PlugRequest::Leader(_)) => CapabilityRequest::Leader,
            (None, PlugRequest::PresenceSimulation(_)) => CapabilityRequest::Presence,
            (None, PlugRequest::Call { command, arguments }) => {
                CapabilityRequest::Call { command: *command, arguments: arguments.clone() }
            }
            (None, PlugRequest::Rename { port, name }) => {
                CapabilityRequest::Rename { port: *port, name: name.clone() }
            }
        })
    }

    /// Takes the answer to [`ask`](Self::ask); `None` when there is more to ask.
    ///
    /// # Errors
    ///
    /// [`Failure::Rejected`] when the plug cannot, will not or did not; says why.
    pub fn hear(&mut self, answer: DeviceResponse, now: &Moment) -> Result<Option<CapabilityState>, Failure> {
        if let Some(Change::Clocked(change, before)) =
            self.change.take_if(|change| matches!(change, Change::Clocked(..)))
        {
            self.clock = match answer {
                DeviceResponse::CapabilityRequest(CapabilityReply::Clock(clock)) => clock,
                // Without a clock that is told the rule is still a rule.
                DeviceResponse::Refused(_) | DeviceResponse::Unsupported => None,
                DeviceResponse::CapabilityRequest(_)
                | DeviceResponse::History(_)
                | DeviceResponse::Reading(_)
                | DeviceResponse::Identity(_) => {
                    return Err(mixed_up());
                }
            };
            self.change = Some(Change::Rules(change, before));
            return Ok(None);
        }
        let told = match answer {
            DeviceResponse::CapabilityRequest(told) => told,
            DeviceResponse::History(history) => {
                let PlugRequest::History { port, meaning, .. } = &self.errand else { return Err(mixed_up()) };
                return Ok(Some(CapabilityState::Record(record::record(
                    &history,
                    *port,
                    *meaning,
                    self.learnt,
                    now,
                ))));
            }
            DeviceResponse::Refused(why) => return Err(Failure::Rejected(why)),
            DeviceResponse::Unsupported if matches!(self.errand, PlugRequest::History { .. }) => {
                return Err(Failure::Rejected("it keeps no record, or does not tell it".into()));
            }
            DeviceResponse::Unsupported => return Err(Failure::Rejected(UNKNOWN_SKILL.into())),
            DeviceResponse::Reading(_) | DeviceResponse::Identity(_) => return Err(mixed_up()),
        };
        match told {
            CapabilityReply::Clock(clock) => Ok(Some(CapabilityState::Clock(clock))),
            CapabilityReply::Price(price) => Ok(Some(CapabilityState::Price(price))),
            CapabilityReply::Raw(text) => Ok(Some(CapabilityState::Raw(text))),
            CapabilityReply::Timer(timer) => self.timer(timer),
            CapabilityReply::Name(told) => self.renamed(told.as_ref()),
            CapabilityReply::Rules(rules) => match (self.change.take(), &self.errand) {
                (Some(Change::Rules(change, before)), _) => {
                    let obeyed = match &change {
                        RuleChange::Add(_) => rules.len() > before,
                        RuleChange::Change(rule) => rules.contains(rule),
                        RuleChange::Delete(id) => !rules.iter().any(|rule| rule.id == *id),
                    };
                    if obeyed { Ok(Some(listed(rules, self.clock, now))) } else { Err(disobeyed()) }
                }
                (_, PlugRequest::Schedule(Some(wish))) => {
                    let change =
                        wish::rule_change(wish, &rules, &self.guard, now).map_err(Failure::Rejected)?;
                    self.change = Some(match &change {
                        RuleChange::Add(rule) | RuleChange::Change(rule) if rule.enabled => {
                            Change::Clocked(change, rules.len())
                        }
                        RuleChange::Add(_) | RuleChange::Change(_) | RuleChange::Delete(_) => {
                            Change::Rules(change, rules.len())
                        }
                    });
                    Ok(None)
                }
                _ => Ok(Some(listed(rules, None, now))),
            },
            CapabilityReply::Leader(group) => match (self.change.take(), &self.errand) {
                (Some(Change::Leader(wanted)), _) if wanted != group => Err(disobeyed()),
                (None, PlugRequest::Leader(Some(wish))) => {
                    let wanted = wish::group(wish, group, &self.guard).map_err(Failure::Rejected)?;
                    self.change = Some(Change::Leader(wanted));
                    Ok(None)
                }
                _ => Ok(Some(CapabilityState::Leader(group))),
            },
            CapabilityReply::Presence(presence) => match (self.change.take(), &self.errand) {
                (Some(Change::Presence(wanted)), _) if wanted != presence => Err(disobeyed()),
                (None, PlugRequest::PresenceSimulation(Some(wish))) => {
                    let wanted = wish::presence(wish, presence, &self.guard).map_err(Failure::Rejected)?;
                    self.change = Some(Change::Presence(wanted));
                    Ok(None)
                }
                _ => Ok(Some(CapabilityState::PresenceSimulation(presence))),
            },
            CapabilityReply::Hardware(_) => Err(mixed_up()),
        }
    }

    fn timer(&mut self, timer: Option<Timer>) -> Result<Option<CapabilityState>, Failure> {
        let PlugRequest::Countdown { minutes, .. } = &self.errand else { return Err(mixed_up()) };
        let Some(port) = self.todo.pop_front() else { return Err(mixed_up()) };
        if minutes.is_some_and(|minutes| (minutes > 0) != timer.is_some()) {
            return Err(disobeyed());
        }
        self.timers.push((port, timer));
        Ok(self.todo.is_empty().then(|| CapabilityState::Countdowns(std::mem::take(&mut self.timers))))
    }

    fn renamed(&self, told: Option<&crate::model::Name>) -> Result<Option<CapabilityState>, Failure> {
        let PlugRequest::Rename { port, name } = &self.errand else { return Err(mixed_up()) };
        let kept_here = match told {
            Some(told) if told == name => None,
            Some(told) => Some(format!("the plug took the name and still calls itself {told}")),
            None => Some("the plug took the name and does not tell it".into()),
        };
        Ok(Some(CapabilityState::Renamed { port: *port, name: name.clone(), kept_here }))
    }
}

impl Guard {
    fn check(&self, errand: &PlugRequest) -> Result<(), String> {
        if errand.changes() && !self.control {
            return Err(format!(
                "{} is read-only; read_only in the settings or its options says so",
                self.who
            ));
        }
        for port in errand.ports() {
            if !(1..=self.ports).contains(&port) {
                return Err(format!("{} has no port {port}; it has 1 to {}", self.who, self.ports));
            }
        }
        if let PlugRequest::Countdown { port, minutes: Some(minutes) } = errand {
            let port = port.ok_or("a countdown is set for one port: name it")?;
            match minutes {
                0 => {}
                1..=1440 => self.may(port, false)?,
                1441.. => return Err("minutes must be 1 to 1440, 0 to cancel".into()),
            }
        }
        if matches!(errand, PlugRequest::Call { .. }) && self.locks.iter().any(|lock| *lock != Lock::None) {
            let who = &self.who;
            return Err(format!(
                "{who} has locked ports, which a raw command could switch; unlock them first"
            ));
        }
        if matches!(errand, PlugRequest::Call { .. }) && self.latched {
            let who = &self.who;
            return Err(format!(
                "{who} has latched ports, which a raw command could switch on; reset them first (overload_reset)"
            ));
        }
        if let PlugRequest::Schedule(Some(RuleWish::Add(content))) = errand
            && !content.is_whole()
        {
            return Err(wish::INCOMPLETE.into());
        }
        Ok(())
    }

    /// A port may be switched this way by what the plug is told to do by itself.
    fn may(&self, port: u8, on: bool) -> Result<(), String> {
        match self.lock(port).refuses(on) {
            true => Err(format!("port {port} of {} is locked; unlock it first", self.who)),
            false => Ok(()),
        }
    }

    fn lock(&self, port: u8) -> Lock {
        self.locks.port(port).copied().unwrap_or(Lock::None)
    }
}

fn listed(rules: Vec<crate::model::Rule>, clock: Option<Clock>, now: &Moment) -> CapabilityState {
    let dated = |mut rule: crate::model::Rule| {
        let comes = rule.comes(now);
        rule.minute = comes.map_or(rule.minute, minute);
        (rule, comes.map(|comes| comes.strftime("%Y-%m-%d").to_string()))
    };
    CapabilityState::Schedule(rules.into_iter().map(dated).collect(), clock)
}

fn minute(time: DateTime) -> u16 {
    u16::from(time.hour().unsigned_abs()) * 60 + u16::from(time.minute().unsigned_abs())
}

fn disobeyed() -> Failure {
    Failure::Rejected("it said yes and shows no such change".into())
}

fn mixed_up() -> Failure {
    Failure::InvalidResponse("an answer to something else".into())
}

#[cfg(test)]
mod tests;
