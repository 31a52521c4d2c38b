//! One plug: when it is asked next, whether it is well, what it is called. Its commands live in
//! `command.rs`, the question what is worth telling in `change.rs`.

use super::command::Desk;
use super::{Effect, Pace, PlugRules, Rules};
use crate::model::{
    Answer, Ask, Cause, CommandError, Event, Facts, Failure, Found, Lock, Moment, Note, Outcome, Place,
    PlugId, PlugView, PortReading, PortView, PowerUnit, Reading, Remembered, SwitchOrder,
};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tracing::{debug, info, warn};

/// A dead plug is tried at least this often.
const MAX_BACK_OFF: Duration = Duration::from_secs(30);

/// Groups the polls of an interval fall into at the most, so that one wake-up serves many.
const GROUPS: u32 = 4;

/// What is known of one plug, and what it waits for.
#[derive(Debug)]
pub(super) struct Plug {
    pub(super) id: PlugId,
    pub(super) driver: &'static str,
    /// What outlives the process.
    pub(super) kept: Remembered,
    pub(super) rules: PlugRules,
    pub(super) adopted: bool,
    /// It was read in this run.
    pub(super) read: bool,
    pub(super) pace: Pace,
    /// As told.
    pub(super) view: Arc<PlugView>,
    pub(super) fresh_view: bool,
    /// As last read, port 1 first.
    pub(super) live: Vec<PortReading>,
    pub(super) live_volts: Option<f64>,
    pub(super) live_signal: Option<f64>,
    pub(super) thresholds: super::change::Thresholds,
    pub(super) beat_at: Duration,
    pub(super) desk: Desk,
    /// When it was last heard in a search.
    pub(super) heard_at: Duration,
    /// Its entry on the agenda.
    pub(super) agenda: Option<Duration>,
    /// It waits for room in the air.
    pub(super) queued: bool,
    /// Timed commands changed what must be remembered.
    pub(super) reverts_changed: bool,
    /// When the conversation it is in began, and where it was then.
    talking: Option<(Duration, Place)>,
    due: Duration,
    /// Further early polls, soonest first.
    burst: VecDeque<Duration>,
    misses: u32,
    back_off: Option<Duration>,
    /// Position in the fleet, spreads the polls over the groups.
    ordinal: u32,
    /// Everything is to be told at the next reading.
    everything: bool,
    /// Nothing is begun before: another conversation has its address.
    held: Duration,
}

/// What the hub must react to after an answer.
#[derive(Debug, Default)]
pub(super) struct News {
    pub(super) adopted: bool,
    pub(super) online: bool,
    pub(super) offline: Option<String>,
    pub(super) missed: bool,
    pub(super) forget: bool,
    pub(super) remember: bool,
}

impl Plug {
    pub(super) fn new(
        id: PlugId,
        driver: &'static str,
        kept: Remembered,
        adopted: bool,
        ordinal: u32,
        rules: &Rules,
        now: &Moment,
    ) -> Option<Self> {
        let own = rules.plugs.get(&id).cloned().unwrap_or_default();
        let pace = *rules.families.get(driver)?;
        let view = PlugView {
            id: id.clone(),
            driver,
            facts: Arc::new(kept.facts.clone()),
            name: "".into(),
            ip: None,
            adopted,
            offer: kept.offer,
            online: false,
            control: true,
            relays_remembered: false,
            deleted: kept.deleted,
            ports: Vec::new(),
            watts: None,
            volts: None,
            signal: None,
            problem: None,
            latency_ms: None,
            last_seen_ms: None,
            unix_ms: now.unix_ms,
            beat: 0,
            echo: 0,
        };
        let mut plug = Self {
            desk: Desk::new(&kept.reverts, now),
            id,
            driver,
            kept,
            rules: own,
            adopted,
            read: false,
            pace,
            view: Arc::new(view),
            fresh_view: true,
            live: Vec::new(),
            live_volts: None,
            live_signal: None,
            thresholds: super::change::Thresholds::default(),
            beat_at: now.up,
            heard_at: now.up,
            agenda: None,
            queued: false,
            reverts_changed: false,
            talking: None,
            due: now.up,
            burst: VecDeque::new(),
            misses: 0,
            back_off: None,
            ordinal,
            everything: true,
            held: Duration::ZERO,
        };
        plug.refit(rules, now);
        Some(plug)
    }

    /// Takes over names, locks, pace and thresholds from settings and options.
    pub(super) fn refit(&mut self, rules: &Rules, now: &Moment) {
        let options = &self.kept.options;
        if let Some(family) = rules.families.get(self.driver) {
            self.pace = *family;
        }
        if let Some(poll) = self.rules.poll.or(options.poll_interval_ms.map(Duration::from_millis)) {
            self.pace.poll = poll;
        }
        self.thresholds = super::change::Thresholds {
            watts: self.rules.power_change.or(options.power_change).unwrap_or(rules.power_change),
            amps: options.current_change.unwrap_or(rules.current_change),
            volts: rules.voltage_change,
        };
        let control = !(rules.read_only || self.rules.read_only || options.read_only == Some(true));
        let name = self.name();
        let ports = self.port_views();
        self.show(now, |view| {
            view.control = control;
            view.name = name;
            view.ports = ports;
        });
        let (facts, ip, offer) = (&self.kept.facts, self.ip_text(), self.kept.offer);
        let facts =
            if *self.view.facts == *facts { Arc::clone(&self.view.facts) } else { Arc::new(facts.clone()) };
        let (adopted, deleted) = (self.adopted, self.kept.deleted);
        self.show(now, |view| {
            view.facts = facts;
            view.ip = ip;
            view.offer = offer;
            view.adopted = adopted;
            view.deleted = deleted;
        });
    }

    /// Changes the picture; it counts as fresh only when something is different.
    pub(super) fn show(&mut self, now: &Moment, change: impl FnOnce(&mut PlugView)) {
        let mut view = PlugView::clone(&self.view);
        change(&mut view);
        self.show_instead(now, view);
    }

    /// Shows another picture, if it is another one.
    pub(super) fn show_instead(&mut self, now: &Moment, mut view: PlugView) {
        if view != *self.view {
            view.unix_ms = now.unix_ms;
            self.view = Arc::new(view);
            self.fresh_view = true;
        }
    }

    fn name(&self) -> Arc<str> {
        let facts = &self.kept.facts;
        let chosen = self.rules.name.as_ref().or(self.kept.name.as_ref()).or(facts.name.as_ref());
        match chosen {
            Some(name) => name.as_str().into(),
            None if facts.model.is_empty() => self.id.as_str().into(),
            None => facts.model.as_str().into(),
        }
    }

    fn port_views(&self) -> Vec<PortView> {
        let named = |port: u8| {
            let own =
                usize::from(port).checked_sub(1).and_then(|i| self.kept.facts.port_names.get(i)?.as_ref());
            let name = self.rules.port_names.get(&port).or(self.kept.port_names.get(&port)).or(own);
            name.map_or_else(|| format!("Port {port}").into(), |name| Arc::from(name.as_str()))
        };
        let old = |port: u8| usize::from(port).checked_sub(1).and_then(|i| self.view.ports.get(i)).cloned();
        (1..=self.kept.offer.ports)
            .map(|port| {
                let lock = Some(self.lock(port)).filter(|lock| *lock != Lock::None);
                PortView { name: named(port), lock, ..old(port).unwrap_or_default() }
            })
            .collect()
    }

    /// What settings and options together refuse for this port.
    pub(super) fn lock(&self, port: u8) -> Lock {
        let settings = self.rules.locks.get(&port).copied().unwrap_or(Lock::None);
        let options = self.kept.options.port.get(&port).and_then(|port| port.lock).unwrap_or(Lock::None);
        settings.and(options)
    }

    fn ip_text(&self) -> Option<Arc<str>> {
        (self.kept.place != Place::NOWHERE).then(|| self.kept.place.to_string().into())
    }

    pub(super) fn power_unit(&self) -> PowerUnit {
        self.rules.power_unit.or(self.kept.options.power_unit).unwrap_or_default()
    }

    pub(super) fn found(&self) -> Found {
        Found {
            driver: self.driver,
            id: Some(self.id.clone()),
            place: self.kept.place,
            facts: self.kept.facts.clone(),
        }
    }

    /// It is worth remembering: taken in and read at least once.
    pub(super) fn kept(&self) -> bool {
        self.adopted && self.kept.offer.ports > 0
    }

    pub(super) fn kept_as(&self) -> Remembered {
        Remembered { reverts: self.desk.reverts(), ..self.kept.clone() }
    }

    pub(super) fn online(&self) -> bool {
        self.view.online
    }

    /// It did not answer lately, or nobody knows where it is.
    pub(super) fn missing(&self) -> bool {
        self.misses > 0 || self.kept.place == Place::NOWHERE
    }

    pub(super) fn wake_at(&self) -> Option<Duration> {
        if !self.adopted {
            return None;
        }
        let poll = (self.free() && !self.queued).then_some(self.due.max(self.held));
        let command = self.desk.ready_at().filter(|_| self.free()).map(|at| at.max(self.held));
        [poll, command, self.desk.alarm()].into_iter().flatten().min()
    }

    /// Nothing is in the way of a conversation.
    fn free(&self) -> bool {
        self.adopted && self.talking.is_none() && self.kept.place != Place::NOWHERE
    }

    pub(super) fn poll_due(&self, now: &Moment) -> bool {
        self.free() && self.due.max(self.held) <= now.up
    }

    pub(super) fn command_ready(&self, now: &Moment) -> bool {
        self.free() && self.held <= now.up && self.desk.ready(now)
    }

    pub(super) fn postpone(&mut self, now: &Moment, by: Duration) {
        self.held = now.up + by;
    }

    /// Poll now, tell everything at the answer.
    pub(super) fn refresh(&mut self, now: &Moment) {
        self.everything = true;
        self.due = now.up;
    }

    /// It was heard where it should be: no need to wait for the end of the back-off.
    pub(super) fn look_now(&mut self, now: &Moment) {
        self.due = now.up;
    }

    /// It has a new address.
    pub(super) fn move_to(&mut self, place: Place, now: &Moment) {
        self.kept.place = place;
        self.due = now.up;
        self.back_off = None;
        let ip = self.ip_text();
        self.show(now, |view| view.ip = ip);
    }

    /// Its address belongs to another plug now.
    pub(super) fn evict(&mut self, now: &Moment) {
        self.kept.place = Place::NOWHERE;
        self.everything = true;
        self.burst.clear();
        self.show(now, |view| {
            view.ip = None;
            view.online = false;
            view.problem = Some("another plug has its address now".into());
        });
    }

    /// Takes over what it says about itself; true when that is new. What it does not say any more
    /// is kept: not every firmware says everything every time.
    pub(super) fn renew(&mut self, facts: Facts) -> bool {
        let old = &self.kept.facts;
        let port_names = if facts.port_names.is_empty() { old.port_names.clone() } else { facts.port_names };
        let facts = Facts {
            name: facts.name.or(old.name.clone()),
            port_names,
            model_id: facts.model_id.or(old.model_id.clone()),
            serial: facts.serial.or(old.serial.clone()),
            mac: facts.mac.or(old.mac),
            firmware: facts.firmware.or(old.firmware.clone()),
            hardware: facts.hardware.or(old.hardware.clone()),
            manufacturer: facts.manufacturer,
            model: facts.model,
        };
        let new = facts != *old;
        self.kept.facts = facts;
        new
    }

    pub(super) fn set_deleted(&mut self, now: &Moment) {
        self.kept.deleted = true;
        self.show(now, |view| view.deleted = true);
    }

    /// Ends what is overdue.
    pub(super) fn tick(&mut self, now: &Moment, effects: &mut VecDeque<Effect>) {
        let online = self.online();
        self.desk.tick(now, online, self.talking.is_some());
        self.report(now, effects);
    }

    /// What to say now, and for how long. Commands go before polls.
    pub(super) fn begin(&mut self, now: &Moment) -> Option<(Ask, Duration)> {
        if !self.free() {
            return None;
        }
        let (ask, limit) = match self.desk.send(now, self.kept.offer.ports) {
            Some((switch, left)) => (Ask::Switch(switch), self.pace.timeout.min(left)),
            None if self.due <= now.up => (Ask::Read, self.pace.timeout),
            None => return None,
        };
        self.talking = Some((now.up, self.kept.place));
        Some((ask, limit))
    }

    /// Takes the end of a conversation.
    pub(super) fn answered(
        &mut self,
        now: &Moment,
        rules: &Rules,
        outcome: Outcome,
        effects: &mut VecDeque<Effect>,
    ) -> News {
        let (began, place) = self.talking.take().unwrap_or((now.up, self.kept.place));
        let moved = place != self.kept.place;
        let mut news = News::default();
        self.desk.count(outcome.requests);
        match outcome.result {
            Ok(Answer::Reading(reading)) => self.read(now, rules, reading, outcome.took, effects, &mut news),
            Ok(Answer::Identity(_) | Answer::Unsupported) => {
                debug!(plug = %self.id, "answered something that was not asked");
            }
            Err(failure) => {
                let intervals = (now.up - began).as_millis() / self.pace.poll.as_millis().max(1);
                let missed = u32::try_from(intervals).unwrap_or(u32::MAX).max(1);
                self.desk.failed(now, &failure);
                // The silence of the address it has left says nothing about the plug.
                if !moved {
                    self.missed(now, rules, missed, &failure, &mut news);
                }
            }
        }
        self.schedule(now, began);
        if moved {
            self.look_now(now);
        }
        let online = self.online();
        self.desk.tick(now, online, false);
        self.report(now, effects);
        news.remember |= std::mem::take(&mut self.reverts_changed);
        news
    }

    fn read(
        &mut self,
        now: &Moment,
        rules: &Rules,
        reading: Reading,
        took: Duration,
        effects: &mut VecDeque<Effect>,
        news: &mut News,
    ) {
        let first = !self.read;
        self.read = true;
        self.back_off = None;
        self.misses = 0;
        if self.widen(&reading) {
            news.adopted = self.kept.offer.ports > 0 && self.view.offer.ports == 0;
            news.remember = true;
            self.refit(rules, now);
        }
        if !self.online() {
            news.online = !first;
            match first {
                true => info!(plug = %self.id, name = %self.view.name, at = %self.kept.place, "answers"),
                false => info!(plug = %self.id, name = %self.view.name, at = %self.kept.place, "is back"),
            }
        }
        let everything = std::mem::take(&mut self.everything);
        let moved = self.absorb(now, &reading, took, rules.heartbeat, everything);
        for &(port, on, cause) in &moved {
            let what = if on { "on" } else { "off" };
            info!(plug = %self.id, port, cause = cause.map(Cause::as_str), "is {what}");
            if cause == Some(Cause::Local) {
                self.reverts_changed |= self.desk.cancel_revert(port);
                let event = Event::SwitchedLocally { port, on };
                effects.push_back(Effect::Tell(Note::Plug(self.id.clone(), event)));
            }
        }
        let relays: BTreeMap<u8, Option<bool>> =
            (1..).zip(reading.ports.iter().map(|port| port.relay)).collect();
        let commanded = self.desk.read(now, &relays);
        self.reverts_changed |= commanded.reverts_changed;
        if commanded.any || !moved.is_empty() {
            self.hurry(now);
        }
    }

    /// Learns what the plug has to offer; true when that grew.
    fn widen(&mut self, reading: &Reading) -> bool {
        let mut offer = self.kept.offer;
        offer.ports = offer.ports.max(u8::try_from(reading.ports.len()).unwrap_or(u8::MAX));
        offer.power |= reading.ports.iter().any(|port| port.watts.is_some());
        offer.current |= reading.ports.iter().any(|port| port.amps.is_some());
        offer.voltage |= reading.volts.is_some();
        offer.signal |= reading.signal.is_some();
        let facts = reading.facts.as_ref().filter(|facts| **facts != self.kept.facts);
        let grew = offer != self.kept.offer || facts.is_some();
        if let Some(facts) = facts {
            self.kept.facts = facts.clone();
        }
        self.kept.offer = offer;
        grew
    }

    /// Something moved: look again soon, and a few times more.
    fn hurry(&mut self, now: &Moment) {
        let beat = self.pace.burst.min(self.pace.poll);
        let early = std::iter::once(beat / 2);
        let later = (1..=u32::from(self.pace.burst_polls)).map(|n| beat * n);
        self.burst = early.chain(later).map(|after| now.up + after).collect();
    }

    /// Polls went unanswered: after enough of them it is offline, and asked ever more rarely.
    fn missed(&mut self, now: &Moment, rules: &Rules, missed: u32, failure: &Failure, news: &mut News) {
        let before = self.misses;
        self.misses = self.misses.saturating_add(missed);
        debug!(plug = %self.id, at = %self.kept.place, misses = self.misses, "{failure}");
        news.missed = true;
        let why = failure.to_string();
        if matches!(failure, Failure::Nonsense(_) | Failure::Stranger(_) | Failure::Denied(_)) {
            self.show(now, |view| view.problem = Some(why.clone()));
        }
        if self.misses < rules.misses {
            return;
        }
        let back_off = self.back_off.unwrap_or(self.pace.poll) * 2;
        self.back_off = Some(back_off.min(MAX_BACK_OFF.max(self.pace.poll)));
        if self.kept.offer.ports == 0 {
            news.forget = true;
        } else if before < rules.misses {
            warn!(plug = %self.id, name = %self.view.name, at = %self.kept.place, "is offline: {why}");
            news.offline = self.online().then(|| why.clone());
            self.burst.clear();
            // The first answer after this tells everything again.
            self.everything = true;
            self.show(now, |view| {
                view.online = false;
                view.problem = Some(why);
            });
        }
    }

    /// Sets the time of the next poll: on the grid of its group, earlier after something moved,
    /// later when it is dead.
    fn schedule(&mut self, now: &Moment, began: Duration) {
        if let Some(back_off) = self.back_off {
            self.due = now.up + back_off;
            return;
        }
        if self.misses > 0 {
            // Whether it is dead must be known soon: no waiting for the grid.
            self.due = (began + self.pace.poll).max(now.up + self.pace.poll / 100);
            return;
        }
        while self.burst.front().is_some_and(|at| *at <= now.up) {
            self.burst.pop_front();
        }
        let poll = self.pace.poll;
        let grid = self.grid(now.up, poll);
        self.due = self.burst.front().map_or(grid, |burst| grid.min(*burst));
    }

    /// The next time its group is due, at least a tenth of an interval away.
    fn grid(&self, up: Duration, poll: Duration) -> Duration {
        let step = poll.as_micros().max(1);
        let phase = step * u128::from(self.ordinal % GROUPS) / u128::from(GROUPS);
        let earliest = up.as_micros() + step / 10;
        let turns = earliest.saturating_sub(phase).div_ceil(step);
        let at = phase + turns * step;
        Duration::from_micros(u64::try_from(at).unwrap_or(u64::MAX))
    }

    /// Hands in a command. Whatever comes of it, it ends in exactly one result.
    pub(super) fn command(
        &mut self,
        now: &Moment,
        rules: &Rules,
        order: SwitchOrder,
        stopping: bool,
        effects: &mut VecDeque<Effect>,
    ) {
        let locks: Vec<Lock> = (1..=self.kept.offer.ports).map(|port| self.lock(port)).collect();
        let relays: Vec<Option<bool>> = self.view.ports.iter().map(|port| port.relay).collect();
        let scene = super::command::Scene {
            locks: &locks,
            relays: &relays,
            control: self.view.control,
            // A plug not asked yet in this run gets the chance to answer.
            reachable: !stopping && (self.online() || (!self.read && self.misses == 0)),
            stopping,
        };
        self.reverts_changed |= self.desk.accept(now, order, &scene, rules.command_timeout);
        self.report(now, effects);
    }

    /// The program stops: waiting commands end now.
    pub(super) fn give_up(&mut self, now: &Moment, effects: &mut VecDeque<Effect>) {
        self.desk.give_up(now);
        self.report(now, effects);
    }

    /// Sends off the results of commands that ended.
    fn report(&mut self, now: &Moment, effects: &mut VecDeque<Effect>) {
        for ended in self.desk.ended() {
            let ports = &self.view.ports;
            let state = |port: u8| usize::from(port).checked_sub(1).and_then(|i| ports.get(i)?.relay);
            let (result, silent) = ended.result(&self.id, now, state);
            if let Some((error, port)) = result.error {
                warn!(plug = %self.id, port, error = error.as_str(), "did not switch");
                let port = port.or(result.ports.keys().next().copied().filter(|_| result.ports.len() == 1));
                if error != CommandError::Superseded {
                    let event = Event::CommandFailed { port: port.unwrap_or(0), error };
                    effects.push_back(Effect::Tell(Note::Plug(self.id.clone(), event)));
                }
                self.show(now, |view| view.echo = view.echo.wrapping_add(1));
            }
            if !silent {
                effects.push_back(Effect::Tell(Note::Result(result)));
            }
        }
    }
}
