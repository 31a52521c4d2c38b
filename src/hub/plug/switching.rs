//! What the relays of one plug are told to do, and by whom: commands, what protection switches off, what locks and a
//! restart put back. The plug says how things stand; what follows comes back as [`News`].

use super::device::Device;
use super::lock::{Locks, Standing};
use super::news::News;
use super::reboot::{self, Restart};
use crate::hub::admission::{Marked, SwitchContext};
use crate::hub::change::Change;
use crate::hub::command_queue::CommandQueue;
use crate::hub::effective::Effective;
use crate::hub::protection::{self, Moved, Protection, Seen};
use crate::hub::rules::Rules;
use crate::model::{
    Cause, Clock, CommandError, DeviceResponse, Event, Failure, Notification, Now, PerPort, PlugFigures,
    PlugId, PortReading, RawRule, Remedy, SwitchOrder,
};
use std::collections::BTreeSet;
use std::time::Duration;
use tracing::{debug, info, warn};

/// What the relays of one plug are told to do.
#[derive(Debug)]
pub(super) struct Switching {
    pub(super) commands: CommandQueue,
    pub(super) restart: Restart,
    pub(super) protection: Protection,
    marked: Marked,
    locks: Box<Locks>,
    /// Ports that protection has latched off.
    latched: BTreeSet<u8>,
}

/// How things stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlugContext<'a> {
    pub(super) device: &'a Device,
    /// As last read, port 1 first.
    pub(super) live: &'a [PortReading],
    /// How long a command lives.
    pub(super) life: Duration,
}

impl<'a> PlugContext<'a> {
    pub(super) fn new(device: &'a Device, live: &'a [PortReading], rules: &Rules) -> Self {
        Self { device, live, life: rules.command_timeout }
    }

    fn news(&self, event: Event) -> News {
        News::Tell(Notification::Plug(self.device.id.clone(), event))
    }
}

/// What follows from a reading.
#[derive(Debug, Default)]
pub(super) struct Follows {
    pub(super) news: Vec<News>,
    /// More power than allowed may become an alarm: look again soon.
    pub(super) rising: bool,
    /// What is wrong has changed.
    pub(super) reword: bool,
}

impl Switching {
    pub(super) fn new(commands: CommandQueue, latched: BTreeSet<u8>) -> Self {
        Self {
            commands,
            latched,
            restart: Restart::default(),
            protection: Protection::default(),
            marked: Marked::default(),
            locks: Box::default(),
        }
    }

    /// Other hardware has taken the place of the plug: what was wrong with the old one is over.
    pub(super) fn renew(&mut self) {
        self.restart = Restart::default();
        self.protection = Protection::default();
        *self.locks = Locks::default();
    }

    /// Ports that protection has latched off.
    pub(super) fn latched(&self) -> &BTreeSet<u8> {
        &self.latched
    }

    /// Takes over limits and locks.
    pub(super) fn fit(&mut self, now: &Now, device: &Device) {
        self.weigh_rules(now, &device.id, &device.settings);
        self.protection.fit(device.own(), device.settings.pace.rating_w, device.ports());
        self.latched.retain(|port| self.protection.latches(*port));
        // Shown with the next reading.
        self.protection.word(&self.latched);
    }

    /// Puts what is wrong into words; true when they are others than before.
    pub(super) fn word(&mut self) -> bool {
        self.protection.word(&self.latched)
    }

    /// Shows what is wrong, if that has changed.
    pub(super) fn word_problem(&mut self, now: &Now, device: &mut Device) {
        let before = self.protection.problem().map(str::to_owned);
        // Whatever else is wrong is told first.
        if self.word() && device.view.problem == before {
            let problem = self.protection.problem().map(str::to_owned);
            device.view.show(now, |view| view.problem = problem);
        }
    }

    /// The results of commands that have ended; and whether relays may have moved though one has failed.
    pub(super) fn ended(
        &mut self,
        now: &Now,
        device: &mut Device,
        figures: &mut PlugFigures,
    ) -> (Vec<News>, bool) {
        let (mut news, mut moved) = (Vec::new(), false);
        for ended in self.commands.ended() {
            let state = |port: u8| device.view.ports.port(port).and_then(|port| port.relay);
            let (result, silent) = ended.result(&device.id, now, state);
            figures.commands.count(result.error.map_or("ok", |(error, _)| error.as_str()));
            if let Some((error, port)) = result.error {
                warn!(plug = %device.id, port, error = error.as_str(), "switching failed");
                device.view.show(now, |view| view.echo = view.echo.wrapping_add(1));
                if error != CommandError::Superseded {
                    let only = result.ports.keys().next().copied().filter(|_| result.ports.len() == 1);
                    let event = Event::CommandFailed { port: port.or(only).unwrap_or(0), error };
                    news.push(News::Tell(Notification::Plug(device.id.clone(), event)));
                    moved |= result.attempts > 0 && device.online();
                }
            } else {
                figures.command_times.note(result.latency);
                self.protection.commanded(result.ports.keys());
                self.word_problem(now, device);
            }
            if !silent {
                news.push(News::Tell(Notification::Result(result)));
            }
        }
        (news, moved)
    }

    /// Hands in a command. Whatever comes of it, it ends in exactly one result; one that was delivered
    /// twice, too. A plug not asked yet in this run gets the chance to answer, it is `reachable`.
    pub(super) fn command(
        &mut self,
        now: &Now,
        context: PlugContext<'_>,
        order: SwitchOrder,
        (reachable, stopping): (bool, bool),
    ) {
        let ports = context.device.ports();
        let life = context.life.min(order.ttl.unwrap_or(context.life));
        let deadline = now.up + life + order.stagger * u32::from(ports);
        if self.marked.again(now, &order, deadline) {
            debug!(plug = %context.device.id, mark = order.asker.mark, "the same command once more; taken once");
            return;
        }
        let relays: Vec<Option<bool>> = context.device.view.ports.iter().map(|port| port.relay).collect();
        let allowed = SwitchContext {
            ports,
            locks: context.device.settings.locks(),
            latched: &self.latched,
            relays: &relays,
            control: context.device.view.control,
            reachable: reachable && !stopping,
            stopping,
        };
        self.commands.accept(now, order, &allowed, context.life);
    }

    /// Ends commands that are overdue, or to which the door was closed since; what must go back does,
    /// unless it is closed to that.
    pub(super) fn tick(&mut self, now: &Now, context: PlugContext<'_>, talking: bool) -> Vec<News> {
        let latched = &self.latched;
        let bars =
            |port, on| match (context.device.view.control, context.device.settings.lock(port).refuses(on)) {
                (false, _) => Some(CommandError::ReadOnly),
                (true, true) => Some(CommandError::Locked),
                (true, false) => (on && latched.contains(&port)).then_some(CommandError::Latched),
            };
        self.commands.tick(now, context.device.view.online, talking, bars);
        let mut news = Vec::new();
        for dropped in self.commands.dropped() {
            let (port, on, reason) = (dropped.port, dropped.on, dropped.why);
            warn!(plug = %context.device.id, port, on, "timed switch dropped: {reason}");
            news.push(News::TellWhenHeard(Event::ReturnDropped { port, on, reason }));
            self.protection.not_returned(port, on, reason);
        }
        news
    }

    /// Before a reading is taken in that is the first, or the first after a pause: the ports as they may have to be
    /// put back.
    pub(super) fn before(&self, device: &Device) -> Vec<reboot::Port> {
        let restores = !device.own().restore.is_empty();
        let ports = if restores { device.view.ports.as_slice() } else { &[] };
        reboot::before(ports, |port| self.commands.is_timed(port))
    }

    /// After a reading: says which relays have moved; raises alarms, and does about them what the settings say;
    /// puts locked ports back that somebody else has moved. `heard` is what was read this time, `before` what
    /// [`before`](Self::before) has shown, if the reading is the first or the first after a pause.
    pub(super) fn read(
        &mut self,
        now: &Now,
        rules: &Rules,
        context: PlugContext<'_>,
        heard: &[PortReading],
        moved: &[Moved],
        before: Option<Vec<reboot::Port>>,
    ) -> Follows {
        let mut news = Vec::new();
        for &(port, on, cause) in moved {
            let what = if on { "on" } else { "off" };
            info!(plug = %context.device.id, port, cause = cause.map(Cause::as_str), "port switched {what}");
            if cause == Some(Cause::Local) {
                self.commands.cancel_revert(port);
                news.push(context.news(Event::SwitchedLocally { port, on }));
            }
        }
        let back = before.is_some();
        self.restart.read(now, before, context.live, now.up + context.life);
        let follows = self.protection.follows(now, context.device.settings.pace.poll, back);
        let Seen { alarms, rising, news: mut reword } = self.protection.look(now, heard, moved, follows);
        for (port, ..) in moved.iter().filter(|(_, on, cause)| *on && *cause == Some(Cause::Local)) {
            // Somebody stands before it. After misses it may just as well have restarted.
            if follows == protection::Follows::AtOnce && self.latched.remove(port) {
                reword = true;
                news.push(News::Remember);
                info!(plug = %context.device.id, port, "overload reset by the button on the device");
            }
        }
        for alarm in alarms {
            let off = alarm.ports_off(context.live, |port| context.device.settings.lock(port));
            let remedy = match context.device.view.control && !off.is_empty() {
                false => Remedy::None,
                true if alarm.latches() => Remedy::Latch,
                true => Remedy::Off,
            };
            if remedy != Remedy::None {
                self.commands.own(now, &off, Cause::Overload, context.life);
            }
            let (port, hazard, watts, limit) = (alarm.port, alarm.hazard, alarm.watts, alarm.limit);
            warn!(plug = %context.device.id, port, watts, limit, remedy = remedy.as_str(), "{}", hazard.as_str());
            let event = Event::Overload { port, hazard, watts, limit, remedy };
            if remedy == Remedy::Latch {
                self.latched.extend(off.keys());
                reword = true;
                // Whoever hears of a latch may rely on it.
                let note = Notification::Plug(context.device.id.clone(), event);
                news.extend([News::Remember, News::TellWhenWritten(Change::Latch, note)]);
            } else {
                news.push(context.news(event));
            }
        }
        news.extend(self.enforce_locks(now, rules, context, moved));
        Follows { news, rising, reword }
    }

    /// Puts locked ports back that somebody else has moved, if the settings say so.
    fn enforce_locks(
        &mut self,
        now: &Now,
        rules: &Rules,
        context: PlugContext<'_>,
        moved: &[Moved],
    ) -> Vec<News> {
        let mut news = Vec::new();
        for &(port, on, cause) in moved {
            if cause == Some(Cause::Lock) {
                news.push(context.news(Event::LockEnforced { port, on }));
            }
            if rules.lock_enforce
                && cause == Some(Cause::Local)
                && context.device.settings.lock(port).refuses(on)
            {
                self.locks.moved_to(port, on);
            }
        }
        if !self.locks.mind() {
            return news;
        }
        let standing = |port| Standing {
            relay: context.live.port(port).and_then(|live| live.relay),
            lock: context.device.settings.lock(port),
            spared: self.latched.contains(&port) || self.protection.has_cut_out(port),
            busy: !context.device.view.control || self.commands.touched(port, Duration::MAX),
        };
        let wishes = self.locks.put_back(now, standing);
        if !wishes.is_empty() {
            info!(plug = %context.device.id, ?wishes, "lock enforced: switching ports back");
            self.commands.own(now, &wishes, Cause::Lock, context.life);
        }
        news
    }

    /// The plug has told its rules; true when it is said of others than before that they go against a lock.
    pub(super) fn rules_told(&mut self, now: &Now, context: PlugContext<'_>, rules: &[RawRule]) -> bool {
        let ports = context.device.ports();
        self.locks.rules_told(rules, ports);
        self.weigh_rules(now, &context.device.id, &context.device.settings)
    }

    fn weigh_rules(&mut self, now: &Now, id: &PlugId, settings: &Effective) -> bool {
        let defied = self.locks.weigh_rules(id, settings.locks(), now);
        let news = defied.is_some();
        if let Some(defied) = defied {
            self.protection.defied(defied);
        }
        news
    }

    /// The plug has told what time it is. When that shows that it has restarted, restores what the settings say,
    /// where nobody has taken the matter into their own hands.
    pub(super) fn clock_told(&mut self, now: &Now, context: PlugContext<'_>, clock: &Clock) -> Option<News> {
        if !self.restart.told(now, clock) {
            return None;
        }
        info!(plug = %context.device.id, name = %context.device.view.name, "device restarted: its clock was reset");
        let free = |port, on, since| {
            let latched = on && self.latched.contains(&port);
            !self.commands.touched(port, since) && !latched && !context.device.settings.lock(port).refuses(on)
        };
        let restored = self.restart.put_back(now, &context.device.own().restore, context.live, free);
        if let Some((wishes, life)) = restored.filter(|_| context.device.view.control) {
            info!(plug = %context.device.id, ?wishes, "restoring ports after the restart of the device");
            self.commands.own(now, &wishes, Cause::Restore, life);
        }
        Some(context.news(Event::DeviceRestarted))
    }

    /// Asked for its clock, the plug has not told it.
    pub(super) fn clock_missed(&mut self, now: &Now, id: &PlugId, answer: Result<DeviceResponse, Failure>) {
        match &answer {
            Ok(_) => debug!(plug = %id, "does not tell its clock"),
            Err(failure) => debug!(plug = %id, "asked for its clock: {failure}"),
        }
        self.restart.missed(now, answer.is_err());
    }

    /// Lets ports be switched on again; those that were latched.
    pub(super) fn release(&mut self, port: Option<u8>) -> BTreeSet<u8> {
        let free = |latched: &u8| port.is_none_or(|port| port == *latched);
        let freed: BTreeSet<u8> = self.latched.iter().copied().filter(free).collect();
        self.latched.retain(|latched| !freed.contains(latched));
        freed
    }

    /// Ports are latched again.
    pub(super) fn latch(&mut self, ports: &BTreeSet<u8>) {
        self.latched.extend(ports);
    }
}
