//! What a command is held against before anything moves: it goes through as a whole, or not at all.

use crate::model::{CommandError, CommandResult, Lock, Moment, SwitchOrder, Wish};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a command is held against before anything moves.
#[derive(Debug)]
pub(super) struct Scene<'a> {
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

impl Scene<'_> {
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
                Wish::On => true,
                Wish::Off => false,
                Wish::Toggle => !self
                    .bound_for(targets.clone(), &in_hand)
                    .ok_or((CommandError::UnknownState, Some(port)))?,
            };
            for target in targets {
                let lock = usize::from(target).checked_sub(1).and_then(|i| self.locks.get(i));
                // A timed port goes both ways.
                let refused = |lock: &Lock| lock.refuses(on) || (order.hold.is_some() && lock.refuses(!on));
                if lock.is_some_and(refused) {
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
            let told = usize::from(port).checked_sub(1).and_then(|i| *self.relays.get(i)?);
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
