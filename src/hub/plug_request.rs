//! What one plug is asked beyond reading, switching and its record: errands that somebody waits
//! for, and the questions of the slow round in `slow_poll.rs`. None of them makes a plug count as
//! offline, and a refusal is an answer.

use super::ledger::Change;
use super::plug::Plug;
use super::slow_poll::Round;
use super::{Effect, Hub, Rules};
use crate::capability::{Guard, Task};
use crate::model::{
    ClockRequest, DeviceRequest, DeviceResponse, Failure, Moment, Name, Notification, PerPort, PlugAnswer,
    PlugId, PlugRequest, Query, QueryReply, Rename, Renamed, Response, ResponseData, Span,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, info};

/// Errands that may wait at one plug.
const MAX_WAITING: usize = 8;

/// Pause after any conversation: plugs want to be left alone in between.
const BREATH: Duration = Duration::from_millis(100);

/// An errand has ended after this long, whatever happens.
const LIFE: Duration = Duration::from_secs(30);

/// The errands of one plug, and its round.
#[derive(Debug, Default)]
pub(super) struct Errands {
    /// In the order in which they came; the first is on its way.
    waiting: VecDeque<Ticket>,
    /// What the plug is being asked.
    asked: Option<Asked>,
    /// Nothing is asked before.
    rests_until: Duration,
    pub(super) round: Round,
    /// Ports that followed another, when any last did.
    pub(super) followed: Vec<u8>,
}

/// An errand somebody waits for.
#[derive(Debug)]
struct Ticket {
    transaction: Option<String>,
    task: Task,
    until: Duration,
}

#[derive(Debug, Clone)]
enum Asked {
    /// What the first of those that wait wants to know.
    PlugRequest,
    /// For the round.
    Round(Query),
}

impl Errands {
    /// When something is to be asked, polls and commands aside.
    pub(super) fn at(&self) -> Option<Duration> {
        let at = if self.waiting.is_empty() { self.round.at()? } else { Duration::ZERO };
        Some(at.max(self.rests_until))
    }

    /// A conversation has ended.
    pub(super) fn rest(&mut self, now: &Moment) {
        self.rests_until = now.up + BREATH;
    }

    /// When something must end.
    pub(super) fn alarm(&self) -> Option<Duration> {
        let idle = self.waiting.iter().skip(usize::from(self.first_is_asked()));
        idle.map(|ticket| ticket.until).min()
    }

    fn first_is_asked(&self) -> bool {
        matches!(self.asked, Some(Asked::PlugRequest))
    }

    /// What to ask now for somebody who waits, and how long it may take.
    pub(super) fn send(&mut self, now: &Moment, timeout: Duration) -> Option<(DeviceRequest, Duration)> {
        let ticket = self.waiting.front().filter(|_| self.rests_until <= now.up)?;
        self.asked = Some(Asked::PlugRequest);
        Some((
            DeviceRequest::Capability(ticket.task.query()),
            timeout.min(ticket.until.saturating_sub(now.up)),
        ))
    }

    /// What to ask now in the round, and how long it may take.
    pub(super) fn look_around(
        &mut self,
        now: &Moment,
        timeout: Duration,
    ) -> Option<(DeviceRequest, Duration)> {
        let (query, limit) = self.round.due(now, timeout).filter(|_| self.rests_until <= now.up)?;
        self.asked = Some(Asked::Round(query.clone()));
        Some((DeviceRequest::Capability(query), limit))
    }
}

impl Plug {
    /// Hands in an errand. Whatever comes of it, it ends in exactly one response.
    fn errand(
        &mut self,
        now: &Moment,
        rules: &Rules,
        errand: PlugRequest,
        transaction: Option<String>,
        effects: &mut VecDeque<Effect>,
    ) {
        let verb = errand.verb();
        let mut refuse = |why: String, transaction: Option<String>| {
            let response = Response { verb, transaction, result: Err(why) };
            effects.push_back(Effect::Tell(Notification::Response(response)));
        };
        if self.errands.waiting.len() >= MAX_WAITING {
            let why =
                format!("{MAX_WAITING} requests wait for {} already; wait for one of them to end", self.id);
            return refuse(why, transaction);
        }
        if errand == PlugRequest::Clock(ClockRequest { set: true })
            && let Some(why) = self.clock_stands(now)
        {
            return refuse(why, transaction);
        }
        let task = match Task::new(errand, self.guard()) {
            Ok(task) => task,
            Err(why) => return refuse(why, transaction),
        };
        let ticket = Ticket { transaction, task, until: now.up + LIFE };
        // A plug not asked yet in this run gets the chance to answer.
        if !self.online() && (self.read || self.schedule.misses() > 0) {
            return self.finish(now, rules, ticket, Err("does not answer at present".into()), effects);
        }
        self.errands.waiting.push_back(ticket);
    }

    /// Why no clock can be set at present.
    fn clock_stands(&self, now: &Moment) -> Option<String> {
        if now.unix_ms < self.pace.clock_from_ms {
            let shown = now.local().strftime("%Y-%m-%d %H:%M");
            return Some(format!(
                "the clock of the bridge's own machine shows {shown}, which is in the past; set that first"
            ));
        }
        (!self.pace.zone_known).then(|| {
            "no time zone is known, so the plug would be set to UTC; set timezone, as in timezone = \"Europe/Berlin\"".into()
        })
    }

    fn guard(&self) -> Guard {
        let (ports, locks) = (self.kept.offer.ports, self.locks());
        let latched = !self.kept.latched.is_empty();
        let (who, followed) = (self.id.to_string(), self.errands.followed.clone());
        Guard { who, ports, control: self.view.control, locks, latched, followed }
    }

    /// Ends errands that are overdue, or hopeless because the plug is offline.
    pub(super) fn tick_errands(&mut self, now: &Moment, rules: &Rules, effects: &mut VecDeque<Effect>) {
        if self.errands.waiting.is_empty() {
            return;
        }
        let lost = !self.online() && (self.read || self.schedule.misses() >= rules.misses);
        let first = usize::from(self.errands.first_is_asked());
        let all: Vec<Ticket> = self.errands.waiting.drain(first..).collect();
        for ticket in all {
            if ticket.until <= now.up {
                let late = Err("did not get round to it in time".into());
                self.finish(now, rules, ticket, late, effects);
            } else if lost {
                let why = Err("does not answer at present".into());
                self.finish(now, rules, ticket, why, effects);
            } else {
                self.errands.waiting.push_back(ticket);
            }
        }
    }

    /// The program stops, or the plug is removed.
    pub(super) fn give_up_errands(&mut self, even_sent: bool, effects: &mut VecDeque<Effect>) {
        if even_sent {
            self.errands.asked = None;
        }
        let first = usize::from(self.errands.first_is_asked());
        for ticket in self.errands.waiting.drain(first..) {
            let why = format!("{} was removed or replaced, or the bridge stops; ask again later", self.id);
            let (verb, transaction) = (ticket.task.request().verb(), ticket.transaction);
            let response = Response { verb, transaction, result: Err(why) };
            effects.push_back(Effect::Tell(Notification::Response(response)));
        }
    }

    /// A plug has answered, or not. True when that must be remembered.
    pub(super) fn errand_answered(
        &mut self,
        now: &Moment,
        rules: &Rules,
        answer: Result<DeviceResponse, Failure>,
        effects: &mut VecDeque<Effect>,
    ) -> bool {
        // Nobody waits for it any more.
        let Some(asked) = self.errands.asked.take() else { return false };
        let query = match &asked {
            Asked::PlugRequest => self.errands.waiting.front().map(|ticket| ticket.task.query()),
            Asked::Round(query) => Some(query.clone()),
        };
        if let (Some(query), Ok(DeviceResponse::Capability(reply))) = (query, &answer) {
            if let QueryReply::Clock(Some(clock)) = reply {
                self.clock_told(now, clock, effects);
            }
            self.learn(now, &query, reply);
        }
        if let Asked::Round(query) = &asked {
            self.errands.round.answered(now, query, &answer);
            if let Err(failure) = &answer {
                debug!(plug = %self.id, ?query, "asked in its round: {failure}");
            }
        }
        let remember = self.show_capabilities(now, rules);
        if matches!(asked, Asked::Round(_)) {
            return remember;
        }
        let Some(mut ticket) = self.errands.waiting.pop_front() else { return remember };
        if let Ok(DeviceResponse::Capability(QueryReply::History(record))) = &answer {
            if record.span == Span::Hours {
                self.record.learn(self.meter.meaning(now, record));
            }
            if let Some(meaning) = self.record.meaning() {
                ticket.task.learn(meaning);
            }
        }
        match answer.and_then(|answer| ticket.task.hear(answer, now)) {
            Ok(None) => self.errands.waiting.push_front(ticket),
            Ok(Some(report)) => self.finish(now, rules, ticket, Ok(report), effects),
            Err(Failure::Rejected(why)) => self.finish(now, rules, ticket, Err(why), effects),
            Err(failure) => self.finish(now, rules, ticket, Err(failure.to_string()), effects),
        }
        remember
    }

    /// Answers whoever waits, about a name once it is written. A name that the plug does not keep is
    /// kept here.
    fn finish(
        &mut self,
        now: &Moment,
        rules: &Rules,
        ticket: Ticket,
        result: Result<PlugAnswer, String>,
        effects: &mut VecDeque<Effect>,
    ) {
        let errand = ticket.task.request();
        let verb = errand.verb();
        let result = match (errand, result) {
            (PlugRequest::Names(Rename { port, name }), Err(why)) => {
                let kept_here = Some(format!("the plug was asked to take the name: {why}"));
                Ok(PlugAnswer::Names(Renamed { port: *port, name: name.clone(), kept_here }))
            }
            (_, result) => result.map_err(|why| format!("{}: {why}", self.id)),
        };
        let mut renamed = None;
        match &result {
            Ok(PlugAnswer::Names(Renamed { port, name, kept_here })) => {
                let was = match port {
                    0 => self.kept.name.clone(),
                    port => self.kept.port_names.get(port).cloned(),
                };
                renamed = Some(Change::Name(self.id.clone(), *port, was));
                self.keep_name(*port, name, kept_here.is_some());
                self.refit(rules, now);
            }
            Ok(_) if errand.changes() => info!(plug = %self.id, verb, "device changed as requested"),
            Ok(_) | Err(_) => {}
        }
        let result = result.map(|report| ResponseData::PlugAnswer(self.id.clone(), report));
        let note = Notification::Response(Response { verb, transaction: ticket.transaction, result });
        match renamed {
            Some(change) => self.pledges.push((change, note)),
            None => effects.push_back(Effect::Tell(note)),
        }
    }

    /// A new name, kept by the plug or here.
    fn keep_name(&mut self, port: u8, name: &Name, here: bool) {
        let kept = &mut self.kept;
        match (port, here) {
            (0, true) => kept.name = Some(name.clone()),
            (0, false) => {
                kept.name = None;
                Arc::make_mut(&mut kept.facts).name = Some(name.clone());
            }
            (_, true) => drop(kept.port_names.insert(port, name.clone())),
            (_, false) => {
                kept.port_names.remove(&port);
                let names = &mut Arc::make_mut(&mut kept.facts).port_names;
                names.resize(names.len().max(port.into()), None);
                if let Some(own) = names.port_mut(port) {
                    *own = Some(name.clone());
                }
            }
        }
    }
}

impl Hub {
    /// Hands a request to the plug it is for; the response comes when the plug has answered.
    pub(super) fn errand(
        &mut self,
        now: &Moment,
        id: &PlugId,
        errand: PlugRequest,
        transaction: Option<String>,
    ) -> Result<(), String> {
        if self.stopping {
            return Err("the bridge stops; ask again when it runs".into());
        }
        let known = self.plugs.get_mut(id).filter(|plug| plug.adopted && plug.kept.offer.ports > 0);
        let Some(plug) = known else { return Err(super::request::unknown(id)) };
        if let PlugRequest::Names(Rename { port, .. }) = &errand {
            plug.may_rename(*port)?;
        }
        plug.errand(now, &self.rules, errand, transaction, &mut self.effects);
        self.attend(now, id);
        Ok(())
    }
}
