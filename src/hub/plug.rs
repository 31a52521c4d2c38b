//! One plug: whether it is well and what its answers mean. What it shows of itself is decided in
//! `presentation.rs` and `deadband.rs`, when it is asked next in `schedule.rs`; its commands live in
//! `command.rs`.

use super::admission::Marked;
use super::command::CommandQueue;
use super::ledger::Change;
use super::meter::Meter;
use super::plug_request::Errands;
use super::protection::Guard;
use super::reboot::Restart;
use super::record::Record;
use super::schedule::Schedule;
use super::{Effect, Pace, PlugRules, Rules};
use crate::model::{
    Cause, ClockQuery, CommandError, DeviceInfo, DeviceRequest, DeviceResponse, Endpoint, Event,
    FIRST_CONTACT, Found, Moment, Notification, Outcome, PerPort, PersistedPlug, PlugFigures, PlugId,
    PlugView, PortReading, PowerUnit, Query, Reading, Span, Switch,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, info, warn};

/// What is known of one plug, and what it waits for.
#[derive(Debug)]
pub(super) struct Plug {
    pub(super) id: PlugId,
    pub(super) driver: &'static str,
    /// What outlives the process.
    pub(super) kept: PersistedPlug,
    pub(super) rules: PlugRules,
    pub(super) adopted: bool,
    /// It was read in this run.
    pub(super) read: bool,
    pub(super) pace: Pace,
    /// As told.
    pub(super) view: Arc<PlugView>,
    pub(super) fresh_view: bool,
    pub(super) listed: super::presentation::Listed,
    /// As last read, port 1 first.
    pub(super) live: Vec<PortReading>,
    pub(super) live_volts: Option<f64>,
    pub(super) live_signal: Option<f64>,
    pub(super) ages: super::freshness::Ages,
    pub(super) meter: Meter,
    pub(super) record: Record,
    pub(super) errands: Box<Errands>,
    pub(super) restart: Restart,
    pub(super) locks: Box<super::lock::Locks>,
    pub(super) figures: Box<PlugFigures>,
    pub(super) thresholds: super::deadband::Thresholds,
    pub(super) beat_at: Duration,
    pub(super) desk: CommandQueue,
    pub(super) marked: Marked,
    pub(super) guard: Guard,
    /// When it was last heard in a search.
    pub(super) heard_at: Duration,
    pub(super) agenda: Option<Duration>,
    /// It waits for room in the air.
    pub(super) queued: bool,
    /// Told once it is written.
    pub(super) pledges: Vec<(Change, Notification)>,
    /// Told once somebody listens.
    pub(super) untold: Vec<Event>,
    /// The conversation it is in.
    pub(super) talking: Option<Talk>,
    pub(super) schedule: Schedule,
    /// Everything is to be told at the next reading.
    pub(super) everything: bool,
    /// And also what has not changed.
    pub(super) asked: bool,
    /// The conversation it is in is with hardware that is not its own any more.
    pub(super) stale: bool,
}

/// A conversation with a plug.
#[derive(Debug, Clone, Copy)]
pub(super) struct Talk {
    began: Duration,
    /// Where the plug was then.
    place: Endpoint,
    about: About,
}

/// What a conversation is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum About {
    Poll,
    Command,
    /// The plug's own record.
    Record,
    /// Something only some plugs can do.
    PlugRequest,
    /// The plug's clock.
    Clock,
}

/// What the hub must react to after an answer.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) adopted: bool,
    pub(super) online: bool,
    pub(super) offline: Option<String>,
    pub(super) missed: bool,
    pub(super) remember: bool,
    /// Its meters are to be written down within this time.
    pub(super) save_within: Option<Duration>,
}

impl Plug {
    pub(super) fn new(
        id: PlugId,
        driver: &'static str,
        mut kept: PersistedPlug,
        adopted: bool,
        ordinal: u32,
        rules: &Rules,
        now: &Moment,
    ) -> Option<Self> {
        let own = rules.plugs.get(&id).cloned().unwrap_or_default();
        let pace = *rules.families.get(driver)?;
        let view = PlugView {
            driver,
            facts: Arc::clone(&kept.facts),
            adopted,
            offer: kept.offer,
            unix_ms: now.unix_ms,
            ..PlugView::unknown(id.clone())
        };
        let mut plug = Self {
            desk: CommandQueue::new(&kept.reverts, now),
            marked: Marked::default(),
            guard: Guard::default(),
            id,
            driver,
            meter: Meter::new(&std::mem::take(&mut kept.tally)),
            record: Record::default(),
            errands: Box::default(),
            restart: Restart::default(),
            locks: Box::default(),
            figures: Box::default(),
            kept,
            rules: own,
            adopted,
            read: false,
            pace,
            view: Arc::new(view),
            fresh_view: true,
            listed: Default::default(),
            live: Vec::new(),
            live_volts: None,
            live_signal: None,
            ages: Default::default(),
            thresholds: super::deadband::Thresholds::default(),
            beat_at: now.up,
            heard_at: now.up,
            agenda: None,
            queued: false,
            pledges: Vec::new(),
            untold: Vec::new(),
            talking: None,
            schedule: Schedule::new(now, ordinal),
            everything: true,
            asked: false,
            stale: false,
        };
        plug.refit(rules, now);
        Some(plug)
    }

    pub(super) fn power_unit(&self) -> PowerUnit {
        self.rules.power_unit.or(self.kept.options.power_unit).unwrap_or_default()
    }

    pub(super) fn found(&self) -> Found {
        Found {
            driver: self.driver,
            id: Some(self.kept.hardware.as_ref().unwrap_or(&self.id).clone()),
            place: self.kept.place,
            facts: DeviceInfo::clone(&self.kept.facts),
        }
    }

    /// It is worth remembering: taken in and read at least once.
    pub(super) fn kept(&self) -> bool {
        self.adopted && self.kept.offer.ports > 0
    }

    pub(super) fn kept_as(&self) -> PersistedPlug {
        PersistedPlug { reverts: self.desk.reverts(), tally: self.meter.tally(), ..self.kept.clone() }
    }

    pub(super) fn online(&self) -> bool {
        self.view.online
    }

    /// It did not answer lately, or nobody knows where it is.
    pub(super) fn missing(&self) -> bool {
        self.schedule.misses() > 0 || self.kept.place == Endpoint::UNKNOWN
    }

    pub(super) fn wake_at(&self) -> Option<Duration> {
        if !self.adopted {
            return None;
        }
        let poll = (self.free() && !self.queued).then_some(self.due());
        let command = self.desk.ready_at().filter(|_| self.free()).map(|at| at.max(self.schedule.held()));
        [poll, command, self.desk.alarm(), self.errands.alarm(), self.meter.day_at()]
            .into_iter()
            .flatten()
            .min()
    }

    /// Nothing is in the way of a conversation.
    fn free(&self) -> bool {
        self.adopted && self.talking.is_none() && self.kept.place != Endpoint::UNKNOWN
    }

    /// When it is to be asked something, commands aside.
    fn due(&self) -> Duration {
        let poll = self.schedule.at();
        let other = [self.record.at(), self.restart.at(), self.errands.at()].into_iter().flatten().min();
        other.filter(|_| self.online()).map_or(poll, |at| poll.min(at.max(self.schedule.held())))
    }

    pub(super) fn poll_due(&self, now: &Moment) -> bool {
        self.free() && self.due() <= now.up
    }

    pub(super) fn command_ready(&self, now: &Moment) -> bool {
        self.free() && self.schedule.held() <= now.up && self.desk.ready(now)
    }

    pub(super) fn postpone(&mut self, now: &Moment, by: Duration) {
        self.schedule.hold(now, by);
    }

    /// Poll now, tell everything at the answer.
    pub(super) fn refresh(&mut self, now: &Moment) {
        self.everything = true;
        self.schedule.refresh(now);
    }

    /// The same for somebody who wants to see all of it, what has not changed as well.
    pub(super) fn tell_all(&mut self, now: &Moment) {
        self.asked = true;
        self.refresh(now);
    }

    /// It was heard where it should be: no need to wait for the end of the back-off.
    pub(super) fn look_now(&mut self, now: &Moment) {
        self.schedule.look_now(now);
    }

    /// Ends what is overdue.
    pub(super) fn tick(&mut self, now: &Moment, rules: &Rules, effects: &mut VecDeque<Effect>) {
        self.tick_desk(now);
        self.report(now, effects);
        if self.meter.mind_day(now) && self.read && self.kept.offer.power {
            self.show_energy(now);
        }
        self.tick_errands(now, rules, effects);
    }

    /// Its energy may be shown: it was read, or a day has begun while it is away.
    pub(super) fn shows_energy(&self, now: &Moment) -> bool {
        self.read || (self.kept() && self.meter.waits_for_day(now, self.pace.poll))
    }

    /// What to say now, and for how long. Commands go before polls.
    pub(super) fn begin(&mut self, now: &Moment) -> Option<(DeviceRequest, Duration)> {
        if !self.free() {
            return None;
        }
        let timeout = self.pace.timeout;
        let first = if self.kept.offer.ports > 0 { timeout } else { timeout * FIRST_CONTACT };
        let ((ask, limit), about) = if let Some((switch, left)) = self.desk.send(now, self.kept.offer.ports) {
            // Each request has its time, and so has the look at what came of them.
            let requests = match &switch {
                Switch::All(_) => 1,
                Switch::Ports(ports) => u32::try_from(ports.len()).unwrap_or(u32::MAX),
            };
            ((DeviceRequest::Switch(switch), (timeout * (requests + 1)).min(left)), About::Command)
        } else if self.schedule.at() <= now.up {
            ((DeviceRequest::Read, first), About::Poll)
        } else if !self.online() {
            return None;
        } else if self.restart.take_due(now) {
            (
                (
                    DeviceRequest::Capability(Query::Clock(ClockQuery::Read)),
                    timeout.min(super::slow_poll::BRIEF),
                ),
                About::Clock,
            )
        } else if let Some(asked) = self.errands.send(now, timeout) {
            (asked, About::PlugRequest)
        } else if self.record.take_due(now) {
            ((DeviceRequest::Capability(Query::History(Span::Hours)), timeout), About::Record)
        } else {
            (self.errands.look_around(now, timeout)?, About::PlugRequest)
        };
        self.talking = Some(Talk { began: now.up, place: self.kept.place, about });
        Some((ask, limit))
    }

    /// Takes the end of a conversation.
    pub(super) fn answered(
        &mut self,
        now: &Moment,
        rules: &Rules,
        fleet: usize,
        outcome: Outcome,
        effects: &mut VecDeque<Effect>,
    ) -> News {
        let silent = Talk { began: now.up, place: self.kept.place, about: About::Poll };
        let Talk { began, place, about } = self.talking.take().unwrap_or(silent);
        let moved = place != self.kept.place;
        self.errands.rest(now);
        let mut news = News::default();
        if std::mem::take(&mut self.stale) {
            self.look_now(now);
            return news;
        }
        // What a dialect knows by itself was not heard from the plug.
        if outcome.result.is_ok() && outcome.requests > 0 {
            self.figures.seen_ms = Some(now.unix_ms);
        }
        if about == About::Record {
            news.remember = self.recorded(now, outcome.result, effects);
            return news;
        }
        if about == About::Clock {
            self.clocked(now, outcome.result, effects);
            return news;
        }
        if about == About::PlugRequest {
            news.remember = self.errand_answered(now, rules, outcome.result, effects);
            return news;
        }
        self.desk.count(outcome.requests);
        if about == About::Poll {
            self.count_poll(&outcome);
        }
        let mut polls_wait = false;
        match outcome.result {
            Ok(DeviceResponse::Reading(reading)) => {
                self.read(now, rules, reading, outcome.took, effects, &mut news)
            }
            Ok(
                DeviceResponse::Identity(_)
                | DeviceResponse::Capability(_)
                | DeviceResponse::Refused(_)
                | DeviceResponse::Unsupported,
            ) => {
                debug!(plug = %self.id, "answered something that was not asked");
            }
            Err(failure) => {
                let intervals = (now.up - began).as_millis() / self.pace.poll.as_millis().max(1);
                self.desk.failed(now, &failure);
                // A command that failed is no missed poll, and puts none off.
                polls_wait = about == About::Command;
                // The silence of the address it has left says nothing about the plug.
                if !moved && !polls_wait {
                    let missed = u32::try_from(intervals).unwrap_or(u32::MAX).max(1);
                    self.missed(now, rules, missed, &failure, &mut news);
                }
            }
        }
        if !polls_wait {
            self.schedule.next(now, began, &self.pace, fleet);
        }
        if moved {
            self.look_now(now);
        }
        self.tick_desk(now);
        self.report(now, effects);
        news
    }

    fn read(
        &mut self,
        now: &Moment,
        rules: &Rules,
        mut reading: Reading,
        took: Duration,
        effects: &mut VecDeque<Effect>,
        news: &mut News,
    ) {
        self.figures.renewals += u64::from(reading.renewed);
        self.figures.refused += reading.refused.len() as u64;
        let before = self.before();
        let first = !self.read;
        self.read = true;
        self.schedule.answered();
        if self.widen(&reading) {
            news.adopted = self.kept.offer.ports > 0 && self.view.offer.ports == 0;
            news.remember = true;
            self.refit(rules, now);
        }
        // What goes beyond its ports is not believed yet.
        reading.ports.truncate(self.kept.offer.ports.into());
        if !self.online() {
            news.online = !first;
            let what = if first { "online" } else { "online again" };
            info!(plug = %self.id, name = %self.view.name, at = %self.kept.place, "device {what}");
        }
        self.consider_round(now, !self.online());
        let everything = std::mem::take(&mut self.everything);
        let moved = self.absorb(now, &reading, took, rules, everything);
        if std::mem::take(&mut self.asked) {
            self.show(now, |view| view.echo = view.echo.wrapping_add(1));
        }
        for &(port, on, cause) in &moved {
            let what = if on { "on" } else { "off" };
            info!(plug = %self.id, port, cause = cause.map(Cause::as_str), "port switched {what}");
            if cause == Some(Cause::Local) {
                self.desk.cancel_revert(port);
                let event = Event::SwitchedLocally { port, on };
                effects.push_back(Effect::Tell(Notification::Plug(self.id.clone(), event)));
            }
        }
        let back = before.is_some();
        self.came_back(now, rules, before);
        news.remember |= self.protect(now, rules, &reading.ports, &moved, back, effects);
        self.enforce(now, rules, &moved, effects);
        news.save_within = self.meter.save_within();
        if self.desk.read(now, &reading.ports) || !moved.is_empty() {
            self.schedule.hurry(now, &self.pace);
        }
    }

    /// Learns what the plug has to offer; true when that has changed.
    fn widen(&mut self, reading: &Reading) -> bool {
        let mut offer = self.kept.offer;
        let told = u8::try_from(reading.ports.len()).unwrap_or(u8::MAX);
        offer.ports = self.ages.shape(offer.ports, told);
        if offer.ports != self.kept.offer.ports && self.kept.offer.ports > 0 {
            warn!(plug = %self.id, ports = offer.ports, before = self.kept.offer.ports, "number of ports changed");
        }
        offer.power |= reading.ports.iter().any(|port| port.watts.is_some());
        offer.current |= reading.ports.iter().any(|port| port.amps.is_some());
        offer.voltage |= reading.volts.is_some();
        offer.signal |= reading.signal.is_some();
        let facts = reading.facts.as_ref().filter(|facts| **facts != *self.kept.facts);
        let new = offer != self.kept.offer || facts.is_some();
        if let Some(facts) = facts {
            self.kept.facts = Arc::new(facts.clone());
        }
        self.kept.offer = offer;
        new
    }

    /// The program stops, or the plug is removed: waiting commands end now, or even those on the
    /// wire.
    pub(super) fn give_up(&mut self, now: &Moment, even_sent: bool, effects: &mut VecDeque<Effect>) {
        self.desk.give_up(even_sent);
        self.report(now, effects);
        self.give_up_errands(even_sent, effects);
    }

    /// It is removed or replaced: nothing waits any more, not even for the disk.
    pub(super) fn leave(&mut self, now: &Moment, effects: &mut VecDeque<Effect>) {
        self.give_up(now, true, effects);
        self.desk.wait_no_more();
        self.report(now, effects);
    }

    /// Sends off the results of commands that ended.
    pub(super) fn report(&mut self, now: &Moment, effects: &mut VecDeque<Effect>) {
        for ended in self.desk.ended() {
            let ports = &self.view.ports;
            let state = |port: u8| ports.port(port).and_then(|port| port.relay);
            let (result, silent) = ended.result(&self.id, now, state);
            self.figures.commands.count(result.error.map_or("ok", |(error, _)| error.as_str()));
            if result.error.is_none() {
                self.figures.command_times.note(result.latency);
                self.guard.commanded(result.ports.keys());
                self.word_problem(now);
            }
            if let Some((error, port)) = result.error {
                warn!(plug = %self.id, port, error = error.as_str(), "switching failed");
                let port = port.or(result.ports.keys().next().copied().filter(|_| result.ports.len() == 1));
                if error != CommandError::Superseded {
                    let event = Event::CommandFailed { port: port.unwrap_or(0), error };
                    effects.push_back(Effect::Tell(Notification::Plug(self.id.clone(), event)));
                }
                self.show(now, |view| view.echo = view.echo.wrapping_add(1));
                if result.attempts > 0 && error != CommandError::Superseded && self.online() {
                    // The relays may have moved all the same.
                    self.schedule.look_soon(now, &self.pace);
                }
            }
            if !silent {
                effects.push_back(Effect::Tell(Notification::Result(result)));
            }
        }
    }
}
