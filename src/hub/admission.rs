//! What a command is held against before anything moves: it goes through as a whole, or not at all.

use super::plug::Plug;
use super::{Effect, Hub, Rules, presentation};
use crate::model::{
    CommandError, CommandResult, Event, Lock, Moment, Notification, PerPort, SwitchAction, SwitchOrder,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;
use tracing::{debug, warn};

/// Marked commands remembered for one plug.
const MAX_MARKED: usize = 256;

/// Commands with a mark of their sender, until their deadline: what comes once more is the same one.
#[derive(Debug, Default)]
pub(super) struct Marked {
    /// Mark, all of the command, and until when.
    seen: VecDeque<(u64, u64, Duration)>,
}

impl Marked {
    /// Whether this command came before. A sender that uses one mark for different commands does not
    /// mark them at all: then only what it said last counts.
    fn again(&mut self, now: &Moment, order: &SwitchOrder, deadline: Duration) -> bool {
        let Some(id) = &order.id else { return false };
        let (mark, all) = (hash(id), hash(order));
        self.seen.retain(|(_, _, until)| *until > now.up);
        if self.seen.iter().any(|(_, seen, _)| *seen == all) {
            return true;
        }
        self.seen.retain(|(seen, ..)| *seen != mark);
        if self.seen.len() >= MAX_MARKED {
            self.seen.pop_front();
        }
        self.seen.push_back((mark, all, deadline));
        false
    }
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

/// What a command is held against before anything moves.
#[derive(Debug)]
pub(super) struct SwitchContext<'a> {
    /// By port, port 1 first.
    pub(super) locks: &'a [Lock],
    /// Ports that protection has latched off.
    pub(super) latched: &'a BTreeSet<u8>,
    /// As last told, port 1 first.
    pub(super) relays: &'a [Option<bool>],
    pub(super) control: bool,
    pub(super) reachable: bool,
    pub(super) stopping: bool,
}

impl SwitchContext<'_> {
    /// Checks everything, then says which port goes where.
    pub(super) fn wishes(
        &self,
        order: &SwitchOrder,
        in_hand: impl Fn(u8) -> Option<bool>,
    ) -> Result<BTreeMap<u8, bool>, (CommandError, Option<u8>)> {
        let count = u8::try_from(self.locks.len()).unwrap_or(u8::MAX);
        if !self.control {
            return Err((CommandError::ReadOnly, None));
        }
        let mut wishes = BTreeMap::new();
        for (&port, &wish) in &order.ports {
            let targets = match port {
                SwitchOrder::WHOLE => 1..=count,
                0 if count > 1 => 1..=count,
                1.. if port <= count => port..=port,
                _ => return Err((CommandError::UnknownPort, Some(port))),
            };
            let on = match wish {
                SwitchAction::On => true,
                SwitchAction::Off => false,
                SwitchAction::Toggle => !self
                    .bound_for(targets.clone(), &in_hand)
                    .ok_or((CommandError::UnknownState, Some(port)))?,
            };
            for target in targets {
                // A timed port goes both ways.
                let refused = |lock: &Lock| lock.refuses(on) || (order.hold.is_some() && lock.refuses(!on));
                if self.locks.port(target).is_some_and(refused) {
                    return Err((CommandError::Locked, Some(target)));
                }
                if self.latched.contains(&target) && (on || order.hold.is_some()) {
                    return Err((CommandError::Latched, Some(target)));
                }
                wishes.insert(target, on);
            }
        }
        if self.stopping {
            return Err((CommandError::Busy, None));
        }
        if !self.reachable {
            return Err((CommandError::Offline, None));
        }
        Ok(wishes)
    }

    /// Where these ports are, or will be once the commands in hand are done; on when any is on.
    fn bound_for(
        &self,
        mut ports: std::ops::RangeInclusive<u8>,
        in_hand: impl Fn(u8) -> Option<bool>,
    ) -> Option<bool> {
        ports.try_fold(false, |any, port| {
            let told = self.relays.port(port).copied().flatten();
            Some(any | in_hand(port).or(told)?)
        })
    }
}

/// The result of a command that was refused at the door.
pub(super) fn refusal(
    now: &Moment,
    order: &SwitchOrder,
    error: CommandError,
    port: Option<u8>,
) -> CommandResult {
    CommandResult {
        plug: order.plug.clone(),
        id: order.id.clone(),
        ports: BTreeMap::new(),
        error: Some((error, port)),
        detail: None,
        latency: Duration::ZERO,
        requests: 0,
        attempts: 0,
        unix_ms: now.unix_ms,
    }
}

impl Plug {
    /// Hands in a command. Whatever comes of it, it ends in exactly one result; one that was delivered
    /// twice, too.
    pub(super) fn command(
        &mut self,
        now: &Moment,
        rules: &Rules,
        order: SwitchOrder,
        stopping: bool,
        effects: &mut VecDeque<Effect>,
    ) {
        let life = rules.command_timeout.min(order.ttl.unwrap_or(rules.command_timeout));
        let deadline = now.up + life + order.stagger * u32::from(self.kept.offer.ports);
        if self.marked.again(now, &order, deadline) {
            debug!(plug = %self.id, mark = order.id, "the same command once more; taken once");
            return;
        }
        let locks = self.locks();
        let relays: Vec<Option<bool>> = self.view.ports.iter().map(|port| port.relay).collect();
        let scene = SwitchContext {
            locks: &locks,
            latched: &self.kept.latched,
            relays: &relays,
            control: self.view.control,
            // A plug not asked yet in this run gets the chance to answer.
            reachable: !stopping && (self.online() || (!self.read && self.schedule.misses() == 0)),
            stopping,
        };
        self.desk.accept(now, order, &scene, rules.command_timeout);
        self.report(now, effects);
    }

    /// Ends commands that are overdue, or to which the door was closed since; what must go back does,
    /// unless it is closed to that.
    pub(super) fn tick_desk(&mut self, now: &Moment) {
        let (online, talking, control) = (self.online(), self.talking.is_some(), self.view.control);
        let (rules, kept) = (&self.rules, &self.kept);
        let bars = |port, on| match (control, presentation::lock(rules, kept, port).refuses(on)) {
            (false, _) => Some(CommandError::ReadOnly),
            (true, true) => Some(CommandError::Locked),
            (true, false) => (on && kept.latched.contains(&port)).then_some(CommandError::Latched),
        };
        self.desk.tick(now, online, talking, bars);
        for dropped in self.desk.dropped() {
            let (port, on, reason) = (dropped.port, dropped.on, dropped.why);
            warn!(plug = %self.id, port, on, "timed switch dropped: {reason}");
            self.untold.push(Event::ReturnDropped { port, on, reason });
            self.guard.not_returned(port, on, reason);
            self.word_problem(now);
        }
    }
}

impl Hub {
    pub(super) fn switch(&mut self, now: &Moment, order: SwitchOrder) {
        let id = order.plug.clone();
        let busy = self.stopping;
        match self.plugs.get_mut(&id).filter(|plug| plug.adopted && plug.kept.offer.ports > 0) {
            Some(plug) => {
                plug.command(now, &self.rules, order, busy, &mut self.effects);
                self.attend(now, &id);
            }
            None => {
                let note = refusal(now, &order, CommandError::UnknownDevice, None);
                self.tell(Notification::Result(note));
            }
        }
    }
}
