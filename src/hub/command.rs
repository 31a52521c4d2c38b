//! One plug's commands, from the desk they land on to the one result each of them gets. The newest
//! wins per port; what comes in a burst, or while the plug is busy, leaves in few requests.

use super::door::Scene;
use crate::model::{
    Cause, CommandError, CommandResult, Failure, Moment, PlugId, PortReading, Revert, Switch, SwitchOrder,
};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Commands this close together are one burst. Its first leaves at once, the others wait for its end.
const BURST: Duration = Duration::from_millis(10);

/// The longest a burst is waited for after a command has left.
const GATHER: Duration = Duration::from_millis(40);

/// A relay that moves this long after it was told to is put down to the command.
const BLAME: Duration = Duration::from_secs(15);

/// Pause before a command is sent again; doubles up to [`MAX_RETRY`].
const RETRY: Duration = Duration::from_millis(250);
const MAX_RETRY: Duration = Duration::from_secs(2);

/// Pause before a timed port that could not be put back is tried again.
const REVERT_AGAIN: Duration = Duration::from_secs(30);

/// The wall clock was set when it moved by more than this against the time since start.
const CLOCK_SET_MS: u64 = 1000;

/// The commands of one plug.
#[derive(Debug, Default)]
pub(super) struct Desk {
    tickets: BTreeMap<u64, Ticket>,
    /// At most one order a port.
    orders: BTreeMap<u8, PortOrder>,
    /// On the wire: port, ticket, direction.
    flight: BTreeMap<u8, (u64, bool)>,
    ended: Vec<Ended>,
    last_ticket: u64,
    /// When the last command came in.
    came_at: Option<Duration>,
    /// Nothing leaves before: more of a burst may come.
    gather_until: Duration,
    /// When the last command left.
    left_at: Option<Duration>,
    /// Ports confirmed since then.
    settled: BTreeMap<u8, bool>,
    /// What was sent lately: port, direction, when, for what cause.
    blame: BTreeMap<u8, (bool, Duration, Cause)>,
    reverts: BTreeMap<u8, Timed>,
    /// [`Moment::zero_ms`] as it was last seen.
    zero_ms: u64,
}

/// One command as it was handed in.
#[derive(Debug)]
struct Ticket {
    id: Option<String>,
    arrived: Duration,
    hold: Option<Duration>,
    /// All ports it is about.
    ports: BTreeSet<u8>,
    open: BTreeSet<u8>,
    error: Option<(CommandError, Option<u8>)>,
    detail: Option<String>,
    requests: u32,
    attempts: u32,
    cause: Cause,
}

impl Ticket {
    fn new(now: &Moment, cause: Cause, ports: BTreeSet<u8>) -> Self {
        Self {
            id: None,
            arrived: now.up,
            hold: None,
            open: ports.clone(),
            ports,
            error: None,
            detail: None,
            requests: 0,
            attempts: 0,
            cause,
        }
    }
}

#[derive(Debug)]
struct PortOrder {
    ticket: u64,
    on: bool,
    not_before: Duration,
    deadline: Duration,
    attempts: u32,
    failed: Option<CommandError>,
}

/// A port that goes back by itself.
#[derive(Debug, Clone, Copy)]
struct Timed {
    kept: Revert,
    at: Duration,
    /// By an earlier run, which knew the time of day.
    of_old: bool,
}

/// A command that came to its end.
#[derive(Debug)]
pub(super) struct Ended {
    ticket: Ticket,
}

/// What a reading meant for the commands in hand.
#[derive(Debug, Default)]
pub(super) struct Settled {
    pub(super) any: bool,
    pub(super) reverts_changed: bool,
}

impl Ended {
    /// Its result, and whether to keep quiet about it (what the bridge does by itself).
    pub(super) fn result(
        self,
        plug: &PlugId,
        now: &Moment,
        state: impl Fn(u8) -> Option<bool>,
    ) -> (CommandResult, bool) {
        let ticket = self.ticket;
        let result = CommandResult {
            plug: plug.clone(),
            id: ticket.id,
            ports: ticket.ports.iter().map(|&port| (port, state(port))).collect(),
            error: ticket.error,
            detail: ticket.detail,
            latency: now.up.saturating_sub(ticket.arrived),
            requests: ticket.requests,
            attempts: ticket.attempts,
            unix_ms: now.unix_ms,
        };
        (result, ticket.cause != Cause::Mqtt)
    }
}

impl Desk {
    pub(super) fn new(reverts: &BTreeMap<u8, Revert>, now: &Moment) -> Self {
        let timed = |kept: &Revert| Timed { kept: *kept, at: now.up + kept.left(now), of_old: true };
        Self {
            reverts: reverts.iter().map(|(&port, kept)| (port, timed(kept))).collect(),
            zero_ms: now.zero_ms(),
            ..Self::default()
        }
    }

    /// Somebody may have set the clock, as it happens soon after the start of a machine that keeps no
    /// time. What an earlier run has timed ends by the new time, what this one has by its own. True
    /// when timed ports changed.
    fn watch_clock(&mut self, now: &Moment) -> bool {
        let old = std::mem::replace(&mut self.zero_ms, now.zero_ms());
        if old.abs_diff(self.zero_ms) <= CLOCK_SET_MS {
            return false;
        }
        for timed in self.reverts.values_mut() {
            if timed.of_old {
                timed.at = now.up + timed.kept.left(now);
            } else {
                timed.kept = Revert::after(timed.at.saturating_sub(now.up), timed.kept.on, now);
            }
        }
        !self.reverts.is_empty()
    }

    /// Ports that go back by themselves, to be remembered.
    pub(super) fn reverts(&self) -> BTreeMap<u8, Revert> {
        self.reverts.iter().map(|(&port, timed)| (port, timed.kept)).collect()
    }

    /// Somebody took the matter into their own hands.
    pub(super) fn cancel_revert(&mut self, port: u8) -> bool {
        self.reverts.remove(&port).is_some()
    }

    /// This port goes back by itself.
    pub(super) fn is_timed(&self, port: u8) -> bool {
        self.reverts.contains_key(&port)
    }

    /// A command for this port is in hand, or was sent since then.
    pub(super) fn touched(&self, port: u8, since: Duration) -> bool {
        self.orders.contains_key(&port) || self.blame.get(&port).is_some_and(|(_, at, _)| *at >= since)
    }

    /// What moved a relay to `on`, if it was one of these commands.
    pub(super) fn cause(&self, now: &Moment, port: u8, on: bool) -> Option<Cause> {
        let (blamed, at, cause) = self.blame.get(&port)?;
        (*blamed == on && now.up.saturating_sub(*at) < BLAME).then_some(*cause)
    }

    /// Takes a command in, or refuses it as a whole before anything moves. True when timed ports
    /// changed.
    pub(super) fn accept(
        &mut self,
        now: &Moment,
        order: SwitchOrder,
        scene: &Scene<'_>,
        timeout: Duration,
    ) -> bool {
        let wishes = scene.wishes(&order, |port| self.orders.get(&port).map(|order| order.on));
        let refused = wishes.as_ref().err().copied();
        let wishes = wishes.unwrap_or_default();
        let ports = wishes.keys().copied().collect();
        let ticket =
            Ticket { id: order.id, hold: order.hold, error: refused, ..Ticket::new(now, Cause::Mqtt, ports) };
        self.enter(now, ticket, &wishes, order.stagger, timeout.min(order.ttl.unwrap_or(timeout)))
    }

    /// Takes in what the bridge does by itself. Whether it may is for the caller to know. True when
    /// timed ports changed.
    pub(super) fn own(
        &mut self,
        now: &Moment,
        wishes: &BTreeMap<u8, bool>,
        cause: Cause,
        life: Duration,
    ) -> bool {
        let ticket = Ticket::new(now, cause, wishes.keys().copied().collect());
        self.enter(now, ticket, wishes, Duration::ZERO, life)
    }

    fn enter(
        &mut self,
        now: &Moment,
        ticket: Ticket,
        wishes: &BTreeMap<u8, bool>,
        stagger: Duration,
        life: Duration,
    ) -> bool {
        if ticket.open.is_empty() {
            self.ended.push(Ended { ticket });
            return false;
        }
        self.gather(now);
        self.last_ticket += 1;
        let number = self.last_ticket;
        let anew = ticket.cause != Cause::Timer;
        self.tickets.insert(number, ticket);
        let mut reverts_changed = false;
        for (turn, (&port, &on)) in (0u32..).zip(wishes) {
            self.fail(port, CommandError::Superseded);
            let not_before = now.up + stagger * turn;
            let order = PortOrder {
                ticket: number,
                on,
                not_before,
                deadline: not_before + life,
                attempts: 0,
                failed: None,
            };
            self.orders.insert(port, order);
            reverts_changed |= anew && self.reverts.remove(&port).is_some();
        }
        reverts_changed
    }

    /// A command has come in: says how long it waits for others.
    fn gather(&mut self, now: &Moment) {
        let burst = self.came_at.replace(now.up).is_some_and(|at| at + BURST >= now.up);
        self.gather_until = match self.left_at {
            Some(left) if burst => (left + GATHER).min(now.up + BURST),
            _ => Duration::ZERO,
        };
    }

    /// Something can be sent now.
    pub(super) fn ready(&self, now: &Moment) -> bool {
        self.ready_at().is_some_and(|at| at <= now.up)
    }

    /// When something can be sent.
    pub(super) fn ready_at(&self) -> Option<Duration> {
        let first = self.orders.values().map(|order| order.not_before).min()?;
        Some(first.max(self.gather_until))
    }

    /// It is on the wire; what is there for its port may be an older command that it has replaced.
    fn in_the_air(&self, port: u8, order: &PortOrder) -> bool {
        self.flight.get(&port).is_some_and(|(ticket, _)| *ticket == order.ticket)
    }

    /// When something must end or go back.
    pub(super) fn alarm(&self) -> Option<Duration> {
        let order = self.orders.iter().filter(|(port, order)| !self.in_the_air(**port, order));
        let revert = self.reverts.iter().filter(|(port, _)| !self.orders.contains_key(port));
        order.map(|(_, order)| order.deadline).chain(revert.map(|(_, timed)| timed.at)).min()
    }

    /// What to send now, and how long it may take.
    pub(super) fn send(&mut self, now: &Moment, count: u8) -> Option<(Switch, Duration)> {
        if !self.ready(now) {
            return None;
        }
        if self.left_at.is_none_or(|at| at + GATHER * 2 < now.up) {
            self.settled.clear();
        }
        let mut left = Duration::MAX;
        let mut ports = BTreeMap::new();
        for (&port, order) in &mut self.orders {
            if order.not_before > now.up || order.deadline <= now.up {
                continue;
            }
            order.attempts += 1;
            left = left.min(order.deadline - now.up);
            ports.insert(port, order.on);
            let cause = self.tickets.get_mut(&order.ticket).map_or(Cause::Mqtt, |ticket| {
                ticket.attempts = ticket.attempts.max(order.attempts);
                ticket.cause
            });
            self.flight.insert(port, (order.ticket, order.on));
            self.blame.insert(port, (order.on, now.up, cause));
        }
        let direction = *ports.values().next()?;
        self.left_at = Some(now.up);
        let bound = |port: u8| ports.get(&port).or(self.settled.get(&port)).copied();
        let together = count > 1 && ports.len() > 1 && (1..=count).all(|port| bound(port) == Some(direction));
        Some((if together { Switch::All(direction) } else { Switch::Ports(ports) }, left))
    }

    /// Requests that went out for the commands in the air.
    pub(super) fn count(&mut self, requests: u32) {
        let tickets: BTreeSet<u64> = self.flight.values().map(|(ticket, _)| *ticket).collect();
        for number in tickets {
            if let Some(ticket) = self.tickets.get_mut(&number) {
                ticket.requests += requests;
            }
        }
    }

    /// Holds what the plug says against what was wished.
    pub(super) fn read(&mut self, now: &Moment, ports: &[PortReading]) -> Settled {
        let mut settled = Settled::default();
        let flight = std::mem::take(&mut self.flight);
        let tried: Vec<u8> =
            self.orders.iter().filter(|(_, o)| o.attempts > 0).map(|(&port, _)| port).collect();
        for port in tried {
            let Some(order) = self.orders.get_mut(&port) else { continue };
            let heard = usize::from(port).checked_sub(1).and_then(|index| ports.get(index));
            let relay = heard.and_then(|heard| heard.relay);
            if relay == Some(order.on) {
                let on = order.on;
                settled.any = true;
                self.settled.insert(port, on);
                settled.reverts_changed |= self.confirm(now, port);
            } else if flight.contains_key(&port) {
                order.failed = Some(CommandError::NotConfirmed);
                order.not_before = now.up + retry_after(order.attempts);
            }
        }
        settled.any |= !flight.is_empty();
        settled
    }

    /// The conversation failed: what was on the wire is tried again until its deadline.
    pub(super) fn failed(&mut self, now: &Moment, failure: &Failure) {
        let flight = std::mem::take(&mut self.flight);
        for (port, (ticket, _)) in flight {
            let Some(order) = self.orders.get_mut(&port).filter(|order| order.ticket == ticket) else {
                continue;
            };
            order.failed = Some(CommandError::Timeout);
            order.not_before = now.up + retry_after(order.attempts);
            if let Failure::Denied(why) = failure {
                if let Some(ticket) = self.tickets.get_mut(&ticket) {
                    ticket.detail = Some(why.clone());
                }
                self.fail(port, CommandError::NotConfirmed);
            }
        }
    }

    /// Ends what is overdue, hopeless because the plug is offline, or not allowed any more; starts what
    /// must go back, unless something `bars` it. True when timed ports changed.
    pub(super) fn tick(
        &mut self,
        now: &Moment,
        online: bool,
        talking: bool,
        bars: impl Fn(u8, bool) -> Option<CommandError>,
    ) -> bool {
        let mut reverts_changed = self.watch_clock(now);
        let barred = self.orders.iter().filter(|(port, order)| !self.in_the_air(**port, order));
        let barred = barred.filter_map(|(&port, order)| Some((port, bars(port, order.on)?)));
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
                None => (port, CommandError::Expired),
            })
            .collect();
        for (port, error) in over {
            self.fail(port, error);
        }
        let back =
            self.reverts.iter().filter(|(port, timed)| timed.at <= now.up && !self.orders.contains_key(port));
        let back: Vec<(u8, bool)> = back.map(|(&port, timed)| (port, timed.kept.on)).collect();
        for (port, on) in back {
            if bars(port, on).is_some() {
                reverts_changed |= self.cancel_revert(port);
                continue;
            }
            if let Some(timed) = self.reverts.get_mut(&port) {
                timed.at = now.up + REVERT_AGAIN;
            }
            if online {
                self.own(now, &BTreeMap::from([(port, on)]), Cause::Timer, Duration::from_secs(10));
            }
        }
        reverts_changed
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

    /// Commands that ended since the last call.
    pub(super) fn ended(&mut self) -> Vec<Ended> {
        std::mem::take(&mut self.ended)
    }

    /// The plug says so: the order is done. True when a timed port was set or has gone back.
    fn confirm(&mut self, now: &Moment, port: u8) -> bool {
        let Some(order) = self.orders.remove(&port) else { return false };
        let Some(ticket) = self.tickets.get(&order.ticket) else { return false };
        let changed = match (ticket.hold, ticket.cause) {
            (_, Cause::Timer) => self.reverts.remove(&port).is_some(),
            (Some(hold), _) => {
                let kept = Revert::after(hold, !order.on, now);
                self.reverts.insert(port, Timed { kept, at: now.up + hold, of_old: false });
                true
            }
            (None, _) => false,
        };
        self.close(order.ticket, port);
        changed
    }

    fn fail(&mut self, port: u8, error: CommandError) {
        let Some(order) = self.orders.remove(&port) else { return };
        if let Some(ticket) = self.tickets.get_mut(&order.ticket) {
            ticket.error.get_or_insert((error, Some(port)));
        }
        self.close(order.ticket, port);
    }

    fn close(&mut self, number: u64, port: u8) {
        let Some(ticket) = self.tickets.get_mut(&number) else { return };
        ticket.open.remove(&port);
        if ticket.open.is_empty()
            && let Some(ticket) = self.tickets.remove(&number)
        {
            self.ended.push(Ended { ticket });
        }
    }
}

fn retry_after(attempts: u32) -> Duration {
    (RETRY * 2u32.saturating_pow(attempts.saturating_sub(1).min(8))).min(MAX_RETRY)
}
