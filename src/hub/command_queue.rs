//! One plug's commands, from the desk they land on to the one result each of them gets. The newest
//! wins per port; what comes in a burst, or while the plug is busy, leaves in few requests.

use super::admission::SwitchContext;
use super::blame::Blame;
use super::command::Command;
use super::returns::{Dropped, Returns, Timed, UNNUMBERED};
use crate::model::{
    Backoff, Cause, CommandError, Failure, Now, Origin, PerPort, PortReading, Revert, Switch, SwitchOrder,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Commands this close together are one burst. Its first leaves at once, the others wait for its end.
const BURST: Duration = Duration::from_millis(10);

/// The longest a burst is waited for after a command has left.
const GATHER: Duration = Duration::from_millis(40);

/// Pause before a command is sent again.
const RETRY: Backoff = Backoff::doubling(Duration::from_millis(250), Duration::from_secs(2));

/// The commands of one plug.
#[derive(Debug, Default)]
pub(super) struct CommandQueue {
    commands: BTreeMap<u64, Command>,
    /// At most one order a port.
    orders: BTreeMap<u8, PortOrder>,
    /// On the wire: port, command, direction.
    flight: BTreeMap<u8, (u64, bool)>,
    ended: Vec<Command>,
    last_ticket: u64,
    /// When the last command came in.
    came_at: Option<Duration>,
    /// Nothing leaves before: more of a burst may come.
    gather_until: Duration,
    /// When the last command left.
    left_at: Option<Duration>,
    /// Ports confirmed since then.
    settled: BTreeMap<u8, bool>,
    blame: Blame,
    returns: Returns,
}

#[derive(Debug)]
struct PortOrder {
    command: u64,
    on: bool,
    not_before: Duration,
    deadline: Duration,
    attempts: u32,
    failed: Option<CommandError>,
}

impl CommandQueue {
    /// With what an earlier run has timed.
    pub(super) fn new(reverts: &BTreeMap<u8, Revert>, now: &Now) -> Self {
        Self { returns: Returns::new(reverts, now), ..Self::default() }
    }

    /// What an earlier run has timed may have been cancelled since.
    pub(super) fn distrust(&mut self) {
        self.returns.distrust();
    }

    /// Ports that go back by themselves, to be remembered.
    pub(super) fn reverts(&self) -> BTreeMap<u8, Revert> {
        self.returns.kept()
    }

    /// Returns that will not be carried out, since the last call.
    pub(super) fn dropped(&mut self) -> Vec<Dropped> {
        self.returns.take_dropped()
    }

    /// Somebody took the matter into their own hands.
    pub(super) fn cancel_revert(&mut self, port: u8) {
        self.returns.put(port, None);
        if let Some(command) = self.orders.get(&port).and_then(|order| self.commands.get_mut(&order.command))
        {
            command.replaced.remove(&port);
        }
    }

    /// There is nothing to end or to begin.
    fn is_idle(&self) -> bool {
        self.orders.is_empty() && self.ended.is_empty() && self.returns.is_empty()
    }

    /// This port goes back by itself.
    pub(super) fn is_timed(&self, port: u8) -> bool {
        self.returns.get(port).is_some()
    }

    /// A command for this port is in hand, or was sent since then.
    pub(super) fn touched(&self, port: u8, since: Duration) -> bool {
        self.orders.contains_key(&port) || self.blame.touched(port, since)
    }

    /// What moved a relay to `on`, if it was one of these commands.
    pub(super) fn cause(&self, now: &Now, port: u8, on: bool) -> Option<Cause> {
        self.blame.cause(now, port, on)
    }

    /// Takes a command in, or refuses it as a whole before anything moves.
    pub(super) fn accept(
        &mut self,
        now: &Now,
        order: SwitchOrder,
        scene: &SwitchContext<'_>,
        timeout: Duration,
    ) {
        let wishes = scene.wishes(&order, |port| self.orders.get(&port).map(|order| order.on));
        let refused = wishes.as_ref().err().copied();
        let wishes = wishes.unwrap_or_default();
        let ports = wishes.keys().copied().collect();
        let command = Command::ordered(now, &order, ports, refused);
        self.enter(now, command, &wishes, order.stagger, timeout.min(order.ttl.unwrap_or(timeout)));
    }

    /// Takes in what the bridge does by itself. Whether it may is for the caller to know.
    pub(super) fn own(&mut self, now: &Now, wishes: &BTreeMap<u8, bool>, cause: Cause, life: Duration) {
        let command = Command::new(now, cause, wishes.keys().copied().collect());
        self.enter(now, command, wishes, Duration::ZERO, life);
    }

    fn enter(
        &mut self,
        now: &Now,
        mut command: Command,
        wishes: &BTreeMap<u8, bool>,
        stagger: Duration,
        life: Duration,
    ) {
        if command.is_over() {
            self.ended.push(command);
            return;
        }
        self.gather(now);
        self.last_ticket += 1;
        let number = self.last_ticket;
        for (turn, (&port, &on)) in (0u32..).zip(wishes) {
            let sent = self.orders.get(&port).is_some_and(|order| order.attempts > 0);
            let before = self.returns.get(port);
            self.fail(port, CommandError::Superseded);
            let not_before = now.up + stagger * turn;
            command.deadline = not_before + life;
            let was = if sent { before } else { self.returns.get(port) };
            let wait = not_before - now.up;
            self.provide(now, &mut command, (port, on), wait, before, was);
            let order = PortOrder {
                command: number,
                on,
                not_before,
                deadline: command.deadline,
                attempts: 0,
                failed: None,
            };
            self.orders.insert(port, order);
        }
        self.commands.insert(number, command);
    }

    /// The way back of a port, or the end of one, before it is switched: `before` the command that this
    /// one has superseded was taken out, and as it `was` without that, if that never left. What is not written yet when a
    /// relay moves is lost with the program: so a timed port waits until its way back is, and one that
    /// shall not go back until that is. Where it would have gone anyhow it may go at once.
    fn provide(
        &mut self,
        now: &Now,
        command: &mut Command,
        (port, on): (u8, bool),
        wait: Duration,
        before: Option<Timed>,
        was: Option<Timed>,
    ) {
        if command.cause == Cause::Countdown {
            return;
        }
        let back = command.hold.map(|hold| Timed::after(wait + hold, !on, now));
        if self.returns.put(port, back) || before != back {
            command.replaced.insert(port, was);
        }
        if !matches!(command.cause, Cause::Command(_)) {
            // Protection waits for nothing.
            return;
        }
        if let Some(change) = self.returns.unwritten(port) {
            command.gate = command.gate.max(change);
            let early = before.or(was).is_none_or(|was| was.on() == on);
            if command.hold.is_some() || !early || command.held > 0 {
                command.held = command.gate;
            }
        }
    }

    /// A command has come in: says how long it waits for others.
    fn gather(&mut self, now: &Now) {
        let burst = self.came_at.replace(now.up).is_some_and(|at| at + BURST >= now.up);
        self.gather_until = match self.left_at {
            Some(left) if burst => (left + GATHER).min(now.up + BURST),
            _ => Duration::ZERO,
        };
    }

    /// Something can be sent now.
    pub(super) fn ready(&self, now: &Now) -> bool {
        self.ready_at().is_some_and(|at| at <= now.up)
    }

    /// When something can be sent.
    pub(super) fn ready_at(&self) -> Option<Duration> {
        let first = self.orders.values().filter(|order| !self.is_held(order));
        let first = first.map(|order| order.not_before).min()?;
        Some(first.max(self.gather_until))
    }

    /// It waits for the disk.
    fn is_held(&self, order: &PortOrder) -> bool {
        self.commands.get(&order.command).is_some_and(|command| command.held > 0)
    }

    /// It is on the wire; what is there for its port may be an older command that it has replaced.
    fn in_the_air(&self, port: u8, order: &PortOrder) -> bool {
        self.flight.get(&port).is_some_and(|(command, _)| *command == order.command)
    }

    /// When something must end or go back.
    pub(super) fn alarm(&self) -> Option<Duration> {
        let order = self.orders.iter().filter(|(port, order)| !self.in_the_air(**port, order));
        let back = self.returns.alarm(|port| self.orders.contains_key(&port));
        let told = self.ended.iter().map(Command::timeout);
        order.map(|(_, order)| order.deadline).chain(back).chain(told).min()
    }

    /// What to send now, and how long it may take.
    pub(super) fn send(&mut self, now: &Now, count: u8) -> Option<(Switch, Duration)> {
        if !self.ready(now) {
            return None;
        }
        if self.left_at.is_none_or(|at| at + GATHER * 2 < now.up) {
            self.settled.clear();
        }
        let mut left = Duration::MAX;
        let mut ports = BTreeMap::new();
        for (&port, order) in &mut self.orders {
            let held = self.commands.get(&order.command).is_some_and(|command| command.held > 0);
            if held || order.not_before > now.up || order.deadline <= now.up {
                continue;
            }
            order.attempts += 1;
            left = left.min(order.deadline - now.up);
            ports.insert(port, order.on);
            let cause =
                self.commands.get_mut(&order.command).map_or(Cause::Command(Origin::default()), |command| {
                    command.sent(order.attempts);
                    command.cause
                });
            self.flight.insert(port, (order.command, order.on));
            self.blame.sent(now, port, order.on, cause);
        }
        let direction = *ports.values().next()?;
        self.left_at = Some(now.up);
        let bound = |port: u8| ports.get(&port).or(self.settled.get(&port)).copied();
        let together = count > 1 && ports.len() > 1 && (1..=count).all(|port| bound(port) == Some(direction));
        Some((if together { Switch::All(direction) } else { Switch::Ports(ports) }, left))
    }

    /// Requests that went out for the commands in the air.
    pub(super) fn count(&mut self, requests: u32) {
        let commands: BTreeSet<u64> = self.flight.values().map(|(command, _)| *command).collect();
        for number in commands {
            if let Some(command) = self.commands.get_mut(&number) {
                command.count(requests);
            }
        }
    }

    /// Holds what the plug says against what was wished.
    /// True when it was about them.
    pub(super) fn read(&mut self, now: &Now, ports: &[PortReading]) -> bool {
        self.blame.heard();
        let mut any = false;
        let flight = std::mem::take(&mut self.flight);
        let tried: Vec<u8> =
            self.orders.iter().filter(|(_, o)| o.attempts > 0).map(|(&port, _)| port).collect();
        for port in tried {
            let Some(order) = self.orders.get_mut(&port) else { continue };
            let relay = ports.port(port).and_then(|heard| heard.relay);
            if relay == Some(order.on) {
                let on = order.on;
                any = true;
                self.settled.insert(port, on);
                self.confirm(now, port);
            } else if flight.contains_key(&port) {
                order.failed = Some(CommandError::NotConfirmed);
                order.not_before = now.up + RETRY.pause(order.attempts.saturating_sub(1));
            }
        }
        any || !flight.is_empty()
    }

    /// The conversation failed: what was on the wire is tried again until its deadline.
    pub(super) fn failed(&mut self, now: &Now, failure: &Failure) {
        let flight = std::mem::take(&mut self.flight);
        for (port, (command, _)) in flight {
            let Some(order) = self.orders.get_mut(&port).filter(|order| order.command == command) else {
                continue;
            };
            order.failed = Some(CommandError::Timeout);
            order.not_before = now.up + RETRY.pause(order.attempts.saturating_sub(1));
            if let Failure::Rejected(why) = failure {
                if let Some(command) = self.commands.get_mut(&command) {
                    command.explain(why);
                }
                self.fail(port, CommandError::NotConfirmed);
            }
        }
    }

    /// Ends what is overdue, hopeless because the plug is offline, or not allowed any more; starts what
    /// must go back, unless something `bars` it.
    pub(super) fn tick(
        &mut self,
        now: &Now,
        online: bool,
        talking: bool,
        bars: impl Fn(u8, bool) -> Option<CommandError>,
    ) {
        self.returns.watch_clock(now);
        if self.is_idle() {
            return;
        }
        let barred = self.orders.iter().filter(|(port, order)| !self.in_the_air(**port, order));
        let barred = barred.filter_map(|(&port, order)| {
            let why = bars(port, order.on)?;
            // What is locked both ways goes back where it was.
            let back = self.commands.get(&order.command).is_some_and(|command| command.cause == Cause::Lock)
                && (why, bars(port, !order.on)) == (CommandError::Locked, Some(CommandError::Locked));
            (!back).then_some((port, why))
        });
        for (port, error) in barred.collect::<Vec<_>>() {
            self.fail(port, error);
        }
        let lost = |order: &PortOrder| !online && order.failed.is_some() && !talking;
        let over = self.orders.iter().filter(|(port, order)| {
            !self.in_the_air(**port, order) && (order.deadline <= now.up || lost(order))
        });
        let over: Vec<(u8, CommandError)> = over
            .map(|(&port, order)| match order.failed {
                Some(_) if lost(order) => (port, CommandError::Offline),
                Some(failed) => (port, failed),
                None if self.is_held(order) => (port, CommandError::NotSaved),
                None => (port, CommandError::Expired),
            })
            .collect();
        for (port, error) in over {
            self.fail(port, error);
        }
        let orders = &self.orders;
        for (port, on) in self.returns.due(now, |port| orders.contains_key(&port)) {
            if bars(port, on).is_some() {
                self.cancel_revert(port);
                continue;
            }
            self.returns.try_again(now, port, online);
            if online {
                self.own(now, &BTreeMap::from([(port, on)]), Cause::Countdown, Duration::from_secs(10));
            }
        }
        if self.ended.iter().any(|command| command.gate > 0 && command.timeout() <= now.up) {
            self.lost("the disk does not answer", true);
        }
    }

    /// Nothing more will be sent: whatever is not on the wire ends now, or even what is.
    pub(super) fn give_up(&mut self, even_sent: bool) {
        if even_sent {
            self.flight.clear();
        }
        let idle = self.orders.iter().filter(|(port, order)| !self.in_the_air(**port, order));
        for port in idle.map(|(&port, _)| port).collect::<Vec<_>>() {
            self.fail(port, CommandError::Busy);
        }
    }

    /// Commands that ended since the last call, unless they wait for the disk.
    pub(super) fn ended(&mut self) -> Vec<Command> {
        let (over, waiting) =
            std::mem::take(&mut self.ended).into_iter().partition(|command| command.gate == 0);
        self.ended = waiting;
        over
    }

    /// Results wait for the disk no longer.
    pub(super) fn wait_no_more(&mut self) {
        self.ended.iter_mut().for_each(|command| command.gate = 0);
    }

    /// Whether returns have changed since they were numbered last.
    pub(super) fn unnumbered(&self) -> bool {
        self.returns.unnumbered() || self.commands.values().chain(&self.ended).any(Command::unnumbered)
    }

    /// Somebody or something waits for the disk.
    pub(super) fn wait_for_disk(&self) -> bool {
        self.unnumbered() || self.awaited().is_some()
    }

    /// The newest change that somebody waits for.
    pub(super) fn awaited(&self) -> Option<u64> {
        self.commands.values().chain(&self.ended).map(|command| command.gate).filter(|gate| *gate > 0).max()
    }

    /// What has changed has this number now.
    pub(super) fn number(&mut self, number: u64) {
        self.returns.number(number);
        self.commands.values_mut().chain(&mut self.ended).for_each(|command| command.number(number));
    }

    /// Changes up to this number are written. True when nothing is left to be.
    pub(super) fn written(&mut self, number: u64) -> bool {
        self.returns.written(number);
        self.commands.values_mut().chain(&mut self.ended).for_each(|command| command.written(number));
        self.returns.all_written()
            && self.commands.values().chain(&self.ended).all(|command| command.gate == 0)
    }

    /// What waits to be written is not, or at best later (`perhaps`), and it is as if it had not been
    /// asked for. What a command has written before stays: a timed port has its way back.
    pub(super) fn lost(&mut self, why: &str, perhaps: bool) {
        let held = self.orders.iter().filter(|(_, order)| self.is_held(order));
        for port in held.map(|(&port, _)| port).collect::<Vec<_>>() {
            let command = self.orders.get(&port).and_then(|order| self.commands.get_mut(&order.command));
            if let Some(command) = command {
                command.explain(why);
            }
            self.fail(port, CommandError::NotSaved);
            self.returns.taken_back(port, perhaps);
        }
        for command in self.commands.values_mut().chain(&mut self.ended).filter(|command| command.gate > 0) {
            command.gate = 0;
            if command.hold.is_some() || command.has_failed() {
                continue;
            }
            for (port, was) in std::mem::take(&mut command.replaced) {
                self.returns.put(port, was);
                self.returns.taken_back(port, perhaps);
                command.fail(port, CommandError::NotSaved);
                command.explain(why);
            }
        }
    }

    /// The plug says so: the order is done.
    fn confirm(&mut self, now: &Now, port: u8) {
        let Some(order) = self.orders.remove(&port) else { return };
        let Some(command) = self.commands.get_mut(&order.command) else { return };
        let changed = match (command.hold, command.cause) {
            (_, Cause::Countdown) => self.returns.put(port, None),
            (Some(hold), _) => self.returns.put(port, Some(Timed::after(hold, !order.on, now))),
            (None, _) => false,
        };
        if changed {
            command.gate = UNNUMBERED;
        }
        self.close(order.command, port);
    }

    fn fail(&mut self, port: u8, error: CommandError) {
        let Some(order) = self.orders.remove(&port) else { return };
        let Some(command) = self.commands.get_mut(&order.command) else { return };
        command.fail(port, error);
        let was = command.replaced.remove(&port);
        // It may have been obeyed all the same.
        let unsure = matches!(error, CommandError::Timeout | CommandError::Offline | CommandError::Busy);
        let changed = match was {
            // It never left, and is as if it had never come.
            Some(was) if order.attempts == 0 => self.returns.put(port, was),
            // What may be on must not stay on.
            _ if order.on && unsure => false,
            _ => command.hold.is_some() && self.returns.put(port, None),
        };
        if changed {
            command.gate = UNNUMBERED;
        }
        self.close(order.command, port);
    }

    fn close(&mut self, number: u64, port: u8) {
        let Some(command) = self.commands.get_mut(&number) else { return };
        command.close(port);
        if command.is_over()
            && let Some(command) = self.commands.remove(&number)
        {
            self.ended.push(command);
        }
    }
}
