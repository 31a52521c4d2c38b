//! One plug: whether it is well, and what a reading, a command and a silence mean for its parts. Each part, a
//! file beside this one, keeps its own state, takes what it needs as arguments and returns what follows; the
//! plug hands that on, and tells the hub by way of [`News`].

mod backfill;
mod deadband;
mod device;
mod hardware;
mod live;
mod lock;
mod news;
mod persisted;
mod picture;
mod questions;
mod readings;
mod reboot;
mod requests;
mod schedule;
mod slow_poll;
mod switching;
mod talk;

use super::agenda::Appointment;
use super::command_queue::CommandQueue;
use super::floors::Floors;
use super::meter::Meter;
use super::rules::Rules;
use crate::model::{
    Asker, ClockQuery, DeviceInfo, DeviceRequest, DeviceResponse, Endpoint, Event, FIRST_CONTACT, Failure,
    LATER_CONTACT, Notification, Now, Outcome, PersistedPlug, PlugFigures, PlugId, PlugRequest, PortReading,
    Query, QueryReply, Reading, Span, SwitchOrder,
};
use device::Device;
use questions::Questions;
use readings::{Given, Readings};
use requests::Ended;
use schedule::Schedule;
use slow_poll::{BRIEF, SlowPoll};
use std::collections::BTreeSet;
use std::time::Duration;
use switching::{PlugContext, Switching};
use talk::{About, Talk};
use tracing::{debug, info, warn};

pub(crate) use news::News;

/// What is known of one plug, and what it waits for.
#[derive(Debug)]
pub(crate) struct Plug {
    device: Device,
    readings: Readings,
    switching: Switching,
    questions: Box<Questions>,
    schedule: Schedule,
    appointment: Appointment,
    figures: Box<PlugFigures>,
    /// It was read in this run.
    read: bool,
    /// When it was last heard in a search.
    heard_at: Duration,
    /// The conversation it is in.
    talking: Option<Talk>,
    /// That is with hardware that is not its own any more.
    stale: bool,
    news: Vec<News>,
    /// Its meters are to be written down within this time.
    save_within: Option<Duration>,
}

impl Plug {
    pub(crate) fn new(
        id: PlugId,
        driver: &'static str,
        mut kept: PersistedPlug,
        adopted: bool,
        ordinal: u32,
        rules: &Rules,
        now: &Now,
    ) -> Option<Self> {
        let (tally, latched) = (std::mem::take(&mut kept.tally), std::mem::take(&mut kept.latched));
        let commands = CommandQueue::new(&std::mem::take(&mut kept.reverts), now);
        let mut plug = Self {
            device: Device::new(now, rules, id, driver, kept, adopted)?,
            readings: Readings::new(&tally, now),
            switching: Switching::new(commands, latched),
            questions: Box::default(),
            schedule: Schedule::new(now, ordinal),
            appointment: Appointment::default(),
            figures: Box::default(),
            read: false,
            heard_at: now.up,
            talking: None,
            stale: false,
            news: Vec::new(),
            save_within: None,
        };
        plug.refit(rules, now);
        Some(plug)
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    pub(crate) fn device_mut(&mut self) -> &mut Device {
        &mut self.device
    }

    /// What the agenda has noted about it.
    pub(crate) fn appointment(&mut self) -> &mut Appointment {
        &mut self.appointment
    }

    /// All that outlives the process.
    pub(crate) fn memory(&self) -> PersistedPlug {
        let latched = self.switching.latched().clone();
        let (reverts, tally) = (self.switching.commands.reverts(), self.readings.meter.tally());
        PersistedPlug { reverts, latched, tally, ..self.device.kept().clone() }
    }

    /// It was read in this run.
    pub(crate) fn is_read(&self) -> bool {
        self.read
    }

    /// It did not answer lately, or nobody knows where it is.
    pub(crate) fn missing(&self) -> bool {
        self.schedule.misses() > 0 || self.device.kept.place == Endpoint::UNKNOWN
    }

    /// When it was last heard in a search.
    pub(crate) fn heard_at(&self) -> Duration {
        self.heard_at
    }

    /// What the hub is to do, since the last call.
    pub(crate) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// How soon its meters are to be written down, since the last call.
    pub(crate) fn take_save_within(&mut self) -> Option<Duration> {
        self.save_within.take()
    }

    fn online(&self) -> bool {
        self.device.online()
    }

    fn tell_bridge(&mut self, event: Event) {
        self.news.push(News::Tell(Notification::Bridge(event)));
    }

    fn tell(&mut self, event: Event) {
        self.news.push(News::Tell(Notification::Plug(self.device.id.clone(), event)));
    }

    /// When it is to be looked at; one that is queued for a poll waits for no other.
    pub(crate) fn wake_at(&self) -> Option<Duration> {
        if !self.device.is_adopted() {
            return None;
        }
        let poll = (self.free() && !self.appointment.is_queued()).then_some(self.due());
        let command =
            self.switching.commands.ready_at().filter(|_| self.free()).map(|at| at.max(self.schedule.held()));
        [
            poll,
            command,
            self.switching.commands.alarm(),
            self.questions.requests.alarm(),
            self.readings.meter.day_at(),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// Nothing is in the way of a conversation.
    fn free(&self) -> bool {
        self.device.is_adopted() && self.talking.is_none() && self.device.kept.place != Endpoint::UNKNOWN
    }

    /// When it is to be asked something, commands aside.
    fn due(&self) -> Duration {
        let poll = self.schedule.at();
        if !self.online() {
            return poll;
        }
        let asks = self.questions.at().map(|at| at.max(self.schedule.rests_until()));
        let other =
            [self.readings.backfill.at(), self.switching.restart.at(), asks].into_iter().flatten().min();
        other.map_or(poll, |at| poll.min(at.max(self.schedule.held())))
    }

    pub(crate) fn poll_due(&self, now: &Now) -> bool {
        self.free() && self.due() <= now.up
    }

    pub(crate) fn command_ready(&self, now: &Now) -> bool {
        self.free() && self.schedule.held() <= now.up && self.switching.commands.ready(now)
    }

    pub(crate) fn postpone(&mut self, now: &Now, by: Duration) {
        self.schedule.hold(now, by);
    }

    /// Poll now, tell everything at the answer.
    pub(crate) fn refresh(&mut self, now: &Now) {
        self.readings.heartbeat.next();
        self.schedule.refresh(now);
    }

    /// The same for somebody who wants to see all of it, what has not changed as well.
    pub(crate) fn tell_all(&mut self, now: &Now) {
        self.readings.heartbeat.ask();
        self.schedule.refresh(now);
    }

    /// It was heard where it should be: no need to wait for the end of the back-off.
    pub(crate) fn look_now(&mut self, now: &Now) {
        self.schedule.look_now(now);
    }

    /// Ends what is overdue.
    pub(crate) fn tick(&mut self, now: &Now, rules: &Rules) {
        let news = self.switching.tick(
            now,
            PlugContext::new(&self.device, self.readings.live.ports(), rules),
            self.talking.is_some(),
        );
        if !news.is_empty() {
            self.news.extend(news);
            self.switching.word_problem(now, &mut self.device);
        }
        self.report(now);
        if self.readings.meter.mind_day(now) && self.read && self.device.kept.offer.metered() {
            self.show_energy(now);
        }
        if self.questions.requests.wait() {
            let lost = !self.online() && (self.read || self.schedule.misses() >= rules.misses);
            for ended in self.questions.requests.overdue(now, lost) {
                self.finish(now, rules, ended);
            }
        }
    }

    /// What to say now, and for how long.
    pub(crate) fn begin(&mut self, now: &Now) -> Option<(DeviceRequest, Duration)> {
        if !self.free() {
            return None;
        }
        let (about, ask, limit) = self.question(now)?;
        self.talking = Some(Talk::begin(now, self.device.kept.place, about));
        Some((ask, limit))
    }

    /// Commands go before polls, and these before all that can wait.
    fn question(&mut self, now: &Now) -> Option<(About, DeviceRequest, Duration)> {
        let timeout = self.device.settings.pace.timeout;
        if let Some((switch, left)) = self.switching.commands.send(now, self.device.kept.offer.ports) {
            // Each request has its time, and so has the look at what came of them.
            let limit = (timeout * (switch.requests() + 1)).min(left);
            return Some((About::Command, DeviceRequest::Switch(switch), limit));
        }
        if self.schedule.at() <= now.up {
            let in_contact = self.device.kept.offer.ports > 0 && self.schedule.misses() == 0;
            let limit = timeout * if in_contact { LATER_CONTACT } else { FIRST_CONTACT };
            return Some((About::Poll, DeviceRequest::Read, limit));
        }
        if !self.online() {
            return None;
        }
        if self.switching.restart.take_due(now) {
            let ask = DeviceRequest::Capability(Query::Clock(ClockQuery::Read));
            return Some((About::Clock, ask, timeout.min(BRIEF)));
        }
        let rested = self.schedule.rests_until() <= now.up;
        if rested && let Some((ask, limit)) = self.questions.requests.send(now, timeout) {
            return Some((About::Request, ask, limit));
        }
        if self.readings.backfill.take_due(now) {
            return Some((About::History, DeviceRequest::Capability(Query::History(Span::Hours)), timeout));
        }
        let (query, limit) = self.questions.slow_poll.due(now, timeout).filter(|_| rested)?;
        Some((About::SlowPoll(query.clone()), DeviceRequest::Capability(query), limit))
    }

    /// Takes the end of a conversation. To be followed by [`tick`](Self::tick).
    pub(crate) fn answered(&mut self, now: &Now, rules: &Rules, fleet: usize, outcome: Outcome) {
        let talk = self.talking.take().unwrap_or_else(|| Talk::begin(now, self.device.place(), About::Poll));
        self.schedule.rest(now);
        if std::mem::take(&mut self.stale) {
            return self.look_now(now);
        }
        // What a dialect knows by itself was not heard from the plug.
        if outcome.result.is_ok() && outcome.requests > 0 {
            self.figures.seen_ms = Some(now.unix_ms);
        }
        match talk.about {
            About::Poll | About::Command => self.polled(now, rules, fleet, talk, outcome),
            About::History => self.record_told(now, outcome.result),
            About::Clock => self.asked_for_clock(now, rules, outcome.result),
            About::Request => self.request_answered(now, rules, outcome.result),
            About::SlowPoll(query) => self.slowly_polled(now, rules, &query, outcome.result),
        }
    }

    /// A poll, or a command and the look at what came of it, has ended.
    fn polled(&mut self, now: &Now, rules: &Rules, fleet: usize, talk: Talk, outcome: Outcome) {
        let (moved, commanded) = (talk.place != self.device.kept.place, talk.about == About::Command);
        self.switching.commands.count(outcome.requests);
        if !commanded {
            self.figures.count_poll(outcome.result.as_ref().err(), outcome.took);
        }
        // A command that failed is no missed poll, and puts none off.
        let polls_wait = commanded && outcome.result.is_err();
        match outcome.result {
            Ok(DeviceResponse::Reading(reading)) => {
                self.take_reading(now, rules, reading, Some(outcome.took))
            }
            Ok(_) => debug!(plug = %self.device.id, "answered something that was not asked"),
            Err(failure) => {
                self.switching.commands.failed(now, &failure);
                // The silence of the address it has left says nothing about the plug.
                if !moved && !polls_wait {
                    let poll = self.device.settings.pace.poll.as_millis().max(1);
                    let missed = u32::try_from((now.up - talk.began).as_millis() / poll).unwrap_or(u32::MAX);
                    self.missed(now, rules, missed.max(1), &failure);
                }
            }
        }
        if !polls_wait {
            self.schedule.next(now, talk.began, &self.device.settings.pace, fleet);
        }
        if moved || talk.is_overtaken(self.readings.live.ports()) {
            self.look_now(now);
        }
    }

    /// Polls went unanswered: after enough of them it is offline, and asked ever more rarely.
    fn missed(&mut self, now: &Now, rules: &Rules, missed: u32, failure: &Failure) {
        let before = self.schedule.misses();
        self.schedule.missed(missed);
        let misses = self.schedule.misses();
        let (why, unread) = (failure.to_string(), self.device.ports() == 0);
        self.device.unanswered(now, misses, before == 0, failure);
        if misses >= rules.misses {
            self.schedule.slow_down();
        }
        if misses >= rules.misses && before < rules.misses {
            if !unread {
                let (id, name, place) = (&self.device.id, &self.device.view.name, self.device.place());
                warn!(plug = %id, %name, at = %place, "device offline: {why}");
            }
            // One that was never read is told, too, once.
            if self.online() || unread {
                self.tell_bridge(Event::DeviceOffline(self.device.id.clone(), why.clone()));
            }
            self.schedule.calm();
            // The first answer after this tells everything again.
            self.readings.heartbeat.next();
            self.device.show_offline(now, &why);
        }
        if !unread {
            // One that was never read is there, or was never: no search brings it nearer.
            self.news.push(News::Missed);
        }
    }

    /// Takes what it has said unasked, of some ports or all; not before it was read. While it is switched, that
    /// confirms nothing: who knows whether it was said before or after. It may have to be asked once more.
    pub(crate) fn pushed(&mut self, now: &Now, rules: &Rules, mut reading: Reading) {
        if let Some(talk) = self.talking.as_mut().filter(|talk| talk.about == About::Command) {
            talk.note(&reading);
        } else if self.device.is_adopted() && self.read {
            reading.ports.resize(self.device.ports().into(), PortReading::default());
            reading.relays_remembered |= self.device.view.relays_remembered;
            self.figures.seen_ms = Some(now.unix_ms);
            self.take_reading(now, rules, reading, None);
        }
    }

    /// What follows from a reading; how long it took to ask for it.
    fn take_reading(&mut self, now: &Now, rules: &Rules, mut reading: Reading, took: Option<Duration>) {
        self.figures.renewals += u64::from(reading.renewed);
        self.figures.refused += reading.refused.len() as u64;
        let before = self.ports_before();
        let (first, away) = (!self.read, !self.online());
        self.read = true;
        self.schedule.answered();
        let mut adopted = false;
        let offer = self.readings.offer(self.device.kept.offer, &reading, took.is_some());
        if self.device.widen(offer, reading.facts.as_ref()) {
            adopted = offer.ports > 0 && self.device.view.offer.ports == 0;
            self.refit(rules, now);
        }
        // What goes beyond its ports is not believed yet.
        reading.ports.truncate(offer.ports.into());
        if away {
            let what = if first { "online" } else { "online again" };
            info!(plug = %self.device.id, name = %self.device.view.name, at = %self.device.kept.place, "device {what}");
        }
        let locked = !self.device.settings.locks().is_empty();
        self.questions.slow_poll.consider(now, away, offer.ports, locked, self.device.settings.pace.ask);
        let given = Given { rules, settings: &self.device.settings, offer, took };
        let view = &mut self.device.view;
        let moved = self.readings.absorb(now, given, &reading, &mut self.switching, view);
        let follows = self.switching.read(
            now,
            rules,
            PlugContext::new(&self.device, self.readings.live.ports(), rules),
            &reading.ports,
            &moved,
            before,
        );
        self.news.extend(follows.news);
        if follows.reword {
            self.switching.word_problem(now, &mut self.device);
        }
        self.save_within = self.readings.meter.save_within();
        if self.switching.commands.read(now, &reading.ports) || !moved.is_empty() || follows.rising {
            self.schedule.hurry(now, &self.device.settings.pace);
        }
        if adopted {
            self.tell_bridge(Event::DeviceAdopted(self.device.id.clone()));
        }
        if away && !first {
            self.tell_bridge(Event::DeviceOnline(self.device.id.clone()));
        }
    }

    /// Before a reading is taken in: the ports as they may have to be put back, if it is the first or the first
    /// after a pause.
    fn ports_before(&self) -> Option<Vec<reboot::Port>> {
        match self.read {
            false => Some(Vec::new()),
            true if self.missing() || !self.online() => Some(self.switching.before(&self.device)),
            true => None,
        }
    }

    /// Hands in a command. Whatever comes of it, it ends in exactly one result.
    pub(crate) fn command(&mut self, now: &Now, rules: &Rules, order: SwitchOrder, stopping: bool) {
        let reachable = self.online() || (!self.read && self.schedule.misses() == 0);
        self.switching.command(
            now,
            PlugContext::new(&self.device, self.readings.live.ports(), rules),
            order,
            (reachable, stopping),
        );
        self.report(now);
    }

    /// What its commands have to be written.
    pub(crate) fn commands(&mut self) -> &mut CommandQueue {
        &mut self.switching.commands
    }

    /// The program stops, or the plug is removed: waiting commands end now, or even those on the
    /// wire.
    pub(crate) fn give_up(&mut self, now: &Now, even_sent: bool) {
        self.switching.commands.give_up(even_sent);
        self.report(now);
        self.news.extend(self.questions.give_up(&self.device.id, even_sent));
    }

    /// It is removed or replaced: nothing waits any more, not even for the disk.
    pub(crate) fn leave(&mut self, now: &Now) {
        self.give_up(now, true);
        self.switching.commands.wait_no_more();
        self.report(now);
    }

    /// Sends off the results of commands that ended.
    fn report(&mut self, now: &Now) {
        let (news, moved) = self.switching.ended(now, &mut self.device, &mut self.figures);
        self.news.extend(news);
        if moved {
            self.schedule.look_soon(now, &self.device.settings.pace);
        }
    }

    /// Lets ports be switched on again; those that were latched.
    pub(crate) fn release(&mut self, now: &Now, port: Option<u8>) -> BTreeSet<u8> {
        let freed = self.switching.release(port);
        self.news.push(News::Remember);
        self.switching.word_problem(now, &mut self.device);
        freed
    }

    /// Ports are latched again.
    pub(crate) fn latch(&mut self, now: &Now, ports: &BTreeSet<u8>) {
        self.switching.latch(ports);
        self.switching.word_problem(now, &mut self.device);
    }

    fn record_told(&mut self, now: &Now, answer: Result<DeviceResponse, Failure>) {
        let told = self.readings.record_told(now, &self.device.id, self.device.ports(), answer);
        let Some(event) = told else { return };
        if matches!(event, Event::EnergyFilled { .. }) {
            self.news.push(News::Remember);
            self.readings.show_energy(now, &mut self.device.view);
        }
        self.tell(event);
    }

    fn asked_for_clock(&mut self, now: &Now, rules: &Rules, answer: Result<DeviceResponse, Failure>) {
        if let Ok(DeviceResponse::Capability(reply @ QueryReply::Clock(Some(_)))) = &answer {
            self.learn(now, rules, &Query::Clock(ClockQuery::Read), reply);
        } else {
            self.switching.clock_missed(now, &self.device.id, answer);
        }
    }

    /// Takes in what the plug has told, whoever asked.
    fn learn(&mut self, now: &Now, rules: &Rules, query: &Query, reply: &QueryReply) {
        let context = PlugContext::new(&self.device, self.readings.live.ports(), rules);
        if let QueryReply::Clock(Some(clock)) = reply {
            self.news.extend(self.switching.clock_told(now, context, clock));
        } else if let QueryReply::Schedule(told) = reply
            && self.switching.rules_told(now, context, told)
        {
            self.switching.word_problem(now, &mut self.device);
        }
        self.questions.learn(now, &mut self.device, query, reply);
    }

    fn slowly_polled(
        &mut self,
        now: &Now,
        rules: &Rules,
        query: &Query,
        answer: Result<DeviceResponse, Failure>,
    ) {
        if let Ok(DeviceResponse::Capability(reply)) = &answer {
            self.learn(now, rules, query, reply);
        }
        self.questions.slowly_polled(now, &self.device, query, &answer);
        self.show_capabilities(now, rules);
    }

    /// Once everything was asked, shows what the plug can do.
    fn show_capabilities(&mut self, now: &Now, rules: &Rules) {
        if self.questions.show_capabilities(now, &mut self.device) {
            self.refit(rules, now);
        }
    }

    /// Hands in a request. Whatever comes of it, it ends in exactly one response.
    pub(crate) fn request(&mut self, now: &Now, rules: &Rules, request: PlugRequest, asker: Asker) {
        let verb = request.verb();
        let latched = !self.switching.latched().is_empty();
        let task = match self.questions.admit(now, &self.device, latched, request) {
            Ok(task) => task,
            Err(why) => return self.news.push(questions::refuse(verb, asker, why)),
        };
        // A plug not asked yet in this run gets the chance to answer.
        if !self.online() && (self.read || self.schedule.misses() > 0) {
            return self.finish(now, rules, Ended::unanswered(task.request().clone(), asker));
        }
        self.questions.requests.enter(now, task, asker);
    }

    fn request_answered(&mut self, now: &Now, rules: &Rules, answer: Result<DeviceResponse, Failure>) {
        // Nobody waits for it any more.
        let Some(query) = self.questions.asked() else { return };
        if let Ok(DeviceResponse::Capability(reply)) = &answer {
            self.learn(now, rules, &query, reply);
        }
        self.show_capabilities(now, rules);
        let meaning = self.readings.meaning(now, &answer);
        if let Some(ended) = self.questions.requests.answered(now, meaning, answer) {
            self.finish(now, rules, ended);
        }
    }

    fn finish(&mut self, now: &Now, rules: &Rules, ended: Ended) {
        let (news, renamed) = questions::finish(&mut self.device, ended);
        if renamed {
            self.refit(rules, now);
        }
        self.news.push(news);
    }

    /// Takes over names, locks, pace and thresholds from settings and options.
    pub(crate) fn refit(&mut self, rules: &Rules, now: &Now) {
        self.device.fit(rules);
        self.switching.fit(now, &self.device);
        self.device.show(now);
    }

    pub(crate) fn adopt(&mut self, now: &Now, rules: &Rules) {
        self.device.adopt();
        self.refit(rules, now);
    }

    /// Whether another plug calls itself the same.
    pub(crate) fn set_namesake(&mut self, now: &Now, rules: &Rules, namesake: bool) {
        if self.device.set_namesake(namesake) {
            self.refit(rules, now);
        }
    }

    /// What it has drawn.
    pub(crate) fn meter(&self) -> &Meter {
        &self.readings.meter
    }

    /// To be followed by [`show_energy`](Self::show_energy) when it is to be seen.
    pub(crate) fn meter_mut(&mut self) -> &mut Meter {
        &mut self.readings.meter
    }

    /// Shows what the meters show.
    pub(crate) fn show_energy(&mut self, now: &Now) {
        self.readings.show_energy(now, &mut self.device.view);
    }

    /// Its energy waits for what earlier runs have told, and may be shown once that is known: it was read, or a
    /// day has begun while it is away.
    pub(crate) fn waits_for_floors(&self, now: &Now) -> bool {
        let (meter, poll) = (&self.readings.meter, self.device.settings.pace.poll);
        !meter.certain() && (self.read || (self.device.is_known() && meter.waits_for_day(now, poll)))
    }

    /// What earlier runs have told about its energy is known now: from here on it may be shown.
    pub(crate) fn raise_meters(&mut self, now: &Now, floors: &Floors) {
        self.readings.meter.raise(&self.device.id, self.device.kept.offer.ports, floors, now);
        self.news.push(News::Remember);
        if self.device.kept.offer.metered() {
            self.show_energy(now);
        }
    }

    /// Others have told of its energy while this run could not see it, for so long.
    pub(crate) fn lift_meters(&mut self, now: &Now, floors: &Floors, apart: Duration) {
        let lifted = self.readings.lift(now, &self.device.id, floors, apart);
        if lifted && self.device.kept.offer.metered() {
            self.show_energy(now);
        }
    }

    /// It has a new address.
    pub(crate) fn move_to(&mut self, place: Endpoint, now: &Now) {
        self.device.move_to(now, place);
        self.figures.moves += 1;
        self.schedule.start_over(now);
    }

    /// Its address belongs to another plug now.
    pub(crate) fn evict(&mut self, now: &Now) {
        let why = "another plug has its address now";
        if self.online() {
            self.tell_bridge(Event::DeviceOffline(self.device.id.clone(), why.into()));
        }
        self.readings.heartbeat.next();
        self.schedule.calm();
        self.device.move_to(now, Endpoint::UNKNOWN);
        self.device.show_offline(now, why);
    }

    /// It was heard in a search, and says this about itself; true when that is new.
    pub(crate) fn heard(&mut self, now: &Now, rules: &Rules, facts: DeviceInfo) -> bool {
        self.heard_at = now.up;
        let new = self.device.heard(facts);
        if new {
            self.refit(rules, now);
        }
        new
    }

    /// Other hardware takes its place. What it was called, what it was told and what it has metered
    /// stay.
    pub(crate) fn become_hardware(&mut self, other: &Self, now: &Now, rules: &Rules) {
        self.device.replace(now, &other.device);
        self.questions.slow_poll = SlowPoll::default();
        self.switching.renew();
        self.readings.renew(now);
        self.stale = self.talking.is_some();
        self.read = false;
        self.schedule.answered();
        self.schedule.calm();
        self.move_to(other.device.place(), now);
        self.refit(rules, now);
    }

    pub(crate) fn figures(&self) -> PlugFigures {
        let (heard, metered) = (self.online(), self.device.kept.offer.metered());
        PlugFigures {
            ports: self.readings.figures(heard, metered),
            unmetered_s: self.readings.meter.unmetered_s(),
            ..PlugFigures::clone(&self.figures)
        }
    }
}
