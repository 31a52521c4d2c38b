//! Protection: more power than allowed, power behind an open relay, a relay that fell under high
//! load. [`Protection`] only looks at readings; what follows from an alarm is an ordinary command.

use super::rules::{Limit, PlugRules};
use crate::model::{Cause, Hazard, Lock, Now, OverloadAction, PortReading};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// An overload is over below this part of its limit.
const CALM: f64 = 0.95;

/// An overload that goes on though it should have been switched off is an alarm again after this.
const AGAIN: Duration = Duration::from_secs(60);

/// More watts than this, for this long, are power though the relay says off: meters show residues, and
/// lag behind the relay.
const LEAK_W: f64 = 5.0;
const LEAK_FOR: Duration = Duration::from_secs(30);

/// A relay that goes off by itself when more than this part of the rating was drawn may have cut out.
const HEAVY: f64 = 0.9;

/// Readings further apart than this many polls, but not below [`SHORT`], say nothing about the time
/// between them.
const GAP_POLLS: u32 = 3;
const SHORT: Duration = Duration::from_secs(15);

/// What a relay did: port, where it is now, what moved it.
pub(super) type Moved = (u8, bool, Option<Cause>);

/// Watches over the power of one plug.
#[derive(Debug, Default)]
pub(super) struct Protection {
    /// The plug as a whole first, then its ports.
    watches: Vec<Watch>,
    rating: Option<f64>,
    looked_at: Option<Duration>,
    /// Ports that did not go back by themselves: where they would have gone, and why not.
    strayed: BTreeMap<u8, (bool, &'static str)>,
    /// What the plug does not tell any more, in words.
    untold: Option<String>,
    /// Which rules in the plug go against a lock.
    defied: Vec<String>,
    /// What is wrong now, in words.
    problem: Option<String>,
}

/// What is watched at one port, or over all.
#[derive(Debug, Default)]
struct Watch {
    limit: Limit,
    /// Watts when it was looked at last.
    drew: f64,
    over: Option<Duration>,
    /// When the alarm was raised, and at how many watts.
    raised: Option<(Duration, f64)>,
    leaks: Option<Duration>,
    leak: Option<f64>,
    cut_out: Option<f64>,
}

/// Something is wrong at a port; port 0 is the plug as a whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Alarm {
    pub(super) port: u8,
    pub(super) hazard: Hazard,
    pub(super) watts: f64,
    pub(super) limit: Option<f64>,
    action: OverloadAction,
}

/// What a look has brought.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Seen {
    pub(super) alarms: Vec<Alarm>,
    /// It may become an alarm: look again soon.
    pub(super) rising: bool,
    /// What is wrong has changed.
    pub(super) news: bool,
}

/// How a reading follows on the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// No poll was missed.
    AtOnce,
    /// Polls were missed: long enough for a restart, too short to begin counting anew.
    AfterMisses,
    AfterPause,
}

impl Protection {
    /// Takes over the limits; what is going on is not forgotten.
    pub(super) fn fit(&mut self, rules: &PlugRules, rating_w: Option<u16>, ports: u8) {
        self.rating = rating_w.map(f64::from);
        let whole = rules.limits.get(&0).copied().unwrap_or_default();
        let count = 1 + usize::from(ports);
        self.watches.reserve_exact(count.saturating_sub(self.watches.len()));
        self.watches.resize_with(count, Watch::default);
        for (port, watch) in (0u8..).zip(&mut self.watches) {
            let own = match port {
                // What a plug with a single port draws is what its port draws.
                0 if ports < 2 => Limit { action: OverloadAction::Ignore, ..whole },
                0 => whole,
                1 if ports == 1 => {
                    let own = rules.limits.get(&1).copied().unwrap_or(whole);
                    Limit { watts: own.watts.or(whole.watts), ..own }
                }
                _ => rules.limits.get(&port).copied().unwrap_or(Limit { watts: None, ..whole }),
            };
            watch.limit = Limit { watts: own.watts.or(self.rating), ..own };
        }
    }

    /// What is wrong, in words.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// This port does not go back by itself.
    pub(super) fn not_returned(&mut self, port: u8, on: bool, why: &'static str) {
        self.strayed.insert(port, (on, why));
    }

    /// Somebody has said where these ports are to be.
    pub(super) fn commanded<'a>(&mut self, ports: impl Iterator<Item = &'a u8>) {
        for port in ports {
            self.strayed.remove(port);
        }
    }

    /// What the plug does not tell any more; true when that is news.
    pub(super) fn not_told(&mut self, what: Option<String>) -> bool {
        let news = self.untold != what;
        self.untold = what;
        news
    }

    /// These rules in the plug go against a lock.
    pub(super) fn defied(&mut self, rules: Vec<String>) {
        self.defied = rules;
    }

    /// It may have cut out by itself, and is off since.
    pub(super) fn has_cut_out(&self, port: u8) -> bool {
        self.watches.get(usize::from(port)).is_some_and(|watch| watch.cut_out.is_some())
    }

    /// Whether protection latches this port.
    pub(super) fn latches(&self, port: u8) -> bool {
        let latches = |watch: &Watch| watch.limit.action == OverloadAction::Latch;
        [0, usize::from(port)].iter().any(|&index| self.watches.get(index).is_some_and(latches))
    }

    /// Looks at what was read, port 1 first, and at the relays that have moved since. What was not read
    /// this time says nothing: the power known from before may be that of another state of the relay.
    pub(super) fn look(
        &mut self,
        now: &Now,
        heard: &[PortReading],
        moved: &[Moved],
        follows: Follows,
    ) -> Seen {
        let seamless = follows != Follows::AfterPause;
        self.looked_at = Some(now.up);
        let mut seen = Seen { news: !moved.is_empty() && !self.strayed.is_empty(), ..Seen::default() };
        self.commanded(moved.iter().map(|(port, ..)| port));
        let known: f64 = heard.iter().filter_map(|port| port.watts).sum();
        let limit = self.watches.first().and_then(|watch| watch.limit.watts);
        // What some ports draw is the least that all do: too much is too much.
        let all = !heard.is_empty() && heard.iter().all(|port| port.watts.is_some());
        let told = all || limit.is_some_and(|limit| known > limit);
        let whole = PortReading { relay: None, watts: told.then_some(known), ..PortReading::default() };
        let heard = std::iter::once(&whole).chain(heard);
        for ((port, watch), heard) in (0u8..).zip(&mut self.watches).zip(heard) {
            let fell = moved.contains(&(port, false, Some(Cause::Local)));
            let heavy = self.rating.is_some_and(|rating| watch.drew >= HEAVY * rating);
            if fell && heavy && follows == Follows::AtOnce {
                watch.cut_out = Some(watch.drew);
                seen.alarm(port, Hazard::CutOut, watch.drew, None, OverloadAction::Tell);
            } else if watch.cut_out.is_some() && heard.relay == Some(true) {
                watch.cut_out = None;
                seen.news = true;
            }
            let Some(watts) = heard.watts else { continue };
            watch.drew = watts;
            watch.overload(now, port, watts, seamless, &mut seen);
            watch.leak(now, port, watts, heard.relay, seamless, &mut seen);
        }
        seen
    }

    /// How this reading follows on the one before; a plug that is `back` has missed polls.
    pub(super) fn follows(&self, now: &Now, poll: Duration, back: bool) -> Follows {
        let longest = (poll * GAP_POLLS).max(SHORT);
        match self.looked_at.is_some_and(|at| now.up.saturating_sub(at) <= longest) {
            true if back => Follows::AfterMisses,
            true => Follows::AtOnce,
            false => Follows::AfterPause,
        }
    }

    /// Puts what is wrong into words; true when they are others than before.
    pub(super) fn word(&mut self, latched: &BTreeSet<u8>) -> bool {
        let mut text = String::new();
        let mut add = |what: std::fmt::Arguments<'_>| {
            let blank = if text.is_empty() { "" } else { "; " };
            text.push_str(blank);
            text.push_str(&what.to_string());
        };
        let single = self.watches.len() == 2;
        for (port, watch) in (0u8..).zip(&self.watches) {
            let it = if port == 0 || single { "the plug".to_owned() } else { format!("port {port}") };
            if let (Some((_, watts)), Some(limit)) = (watch.raised, watch.limit.watts) {
                add(format_args!("{it} is overloaded: {watts:.0} W, allowed are {limit:.0} W"));
            }
            if let Some(watts) = watch.leak {
                add(format_args!("{it} draws {watts:.0} W though its relay says off"));
            }
            if let Some(watts) = watch.cut_out {
                add(format_args!("{it} went off by itself at {watts:.0} W: it may have cut out"));
            }
            if let Some((on, why)) = self.strayed.get(&port) {
                let what = if *on { "on" } else { "off" };
                add(format_args!("{it} was not switched back {what}: {why}"));
            }
            if latched.contains(&port) {
                add(format_args!("{it} was overloaded and is latched until it is released"));
            }
        }
        if let Some(what) = &self.untold {
            add(format_args!("{what}"));
        }
        for what in &self.defied {
            add(format_args!("{what}"));
        }
        let problem = (!text.is_empty()).then_some(text);
        let news = problem != self.problem;
        self.problem = problem;
        news
    }
}

impl Seen {
    fn alarm(&mut self, port: u8, hazard: Hazard, watts: f64, limit: Option<f64>, action: OverloadAction) {
        self.alarms.push(Alarm { port, hazard, watts, limit, action });
        self.news = true;
    }
}

impl Watch {
    fn overload(&mut self, now: &Now, port: u8, watts: f64, seamless: bool, seen: &mut Seen) {
        let Limit { watts: Some(limit), after, action } = self.limit else { return };
        if action == OverloadAction::Ignore || watts <= limit * CALM {
            self.over = None;
            seen.news |= self.raised.take().is_some();
        } else if watts > limit {
            if self.over.is_none() || !seamless {
                self.over = Some(now.up);
                seen.rising = true;
            }
            let lasts = self.over.is_some_and(|since| now.up.saturating_sub(since) >= after);
            let acts = matches!(action, OverloadAction::Off | OverloadAction::Latch);
            let due = self.raised.is_none_or(|(at, _)| acts && now.up.saturating_sub(at) >= AGAIN);
            if lasts && due {
                self.raised = Some((now.up, watts));
                seen.alarm(port, Hazard::Overload, watts, Some(limit), action);
            }
        } else if self.raised.is_none() {
            self.over = None;
        }
    }

    fn leak(
        &mut self,
        now: &Now,
        port: u8,
        watts: f64,
        relay: Option<bool>,
        seamless: bool,
        seen: &mut Seen,
    ) {
        if relay != Some(false) || watts <= LEAK_W {
            self.leaks = None;
            seen.news |= self.leak.take().is_some();
            return;
        }
        let since = *self.leaks.get_or_insert(now.up);
        if !seamless {
            self.leaks = Some(now.up);
        } else if self.leak.is_none() && now.up.saturating_sub(since) >= LEAK_FOR {
            self.leak = Some(watts);
            seen.alarm(port, Hazard::PowerWhileOff, watts, None, OverloadAction::Tell);
        }
    }
}

impl Alarm {
    /// The ports to be switched off, as far as locks allow; none where the settings want nothing done.
    pub(super) fn ports_off(&self, live: &[PortReading], lock: impl Fn(u8) -> Lock) -> BTreeMap<u8, bool> {
        if matches!(self.action, OverloadAction::Ignore | OverloadAction::Tell) {
            return BTreeMap::new();
        }
        let all = (1u8..).zip(live).filter(|(port, _)| [0, *port].contains(&self.port));
        // What is off draws nothing, unless this is about one that does.
        let on = all.filter(|(_, live)| self.port != 0 || live.relay != Some(false)).map(|(port, _)| port);
        on.filter(|port| !lock(*port).refuses(false)).map(|port| (port, false)).collect()
    }

    /// What is switched off stays off until it is reset.
    pub(super) fn latches(&self) -> bool {
        self.action == OverloadAction::Latch
    }
}

#[cfg(test)]
mod tests;
