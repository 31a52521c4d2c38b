//! What a command is held against before anything moves: it goes through as a whole, or not at all.

use crate::model::{CommandError, CommandResult, Lock, Now, PerPort, SwitchAction, SwitchOrder};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

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
    pub(super) fn again(&mut self, now: &Now, order: &SwitchOrder, deadline: Duration) -> bool {
        if order.asker.mark.is_none() {
            return false;
        }
        let (mark, all) = (hash(&order.asker), hash(order));
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
    /// How many ports there are.
    pub(super) ports: u8,
    /// By port, port 1 first; those missing are not locked.
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
        let count = self.ports;
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
    now: &Now,
    order: &SwitchOrder,
    error: CommandError,
    port: Option<u8>,
) -> CommandResult {
    CommandResult {
        plug: order.plug.clone(),
        asker: order.asker.clone(),
        ports: BTreeMap::new(),
        error: Some((error, port)),
        detail: None,
        latency: Duration::ZERO,
        requests: 0,
        attempts: 0,
        unix_ms: now.unix_ms,
    }
}
