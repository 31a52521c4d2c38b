//! Protection: more power than allowed, power behind an open relay, a relay that fell under high
//! load. [`Guard`] only looks at readings; what follows from an alarm is an ordinary command.

use super::ledger::Change;
use super::plug::Plug;
use super::{Effect, Limit, PlugRules, Rules};
use crate::model::{Cause, Event, Hazard, Moment, Notification, OverloadAction, PortReading, Remedy};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use tracing::{info, warn};

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
pub(super) struct Guard {
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

impl Guard {
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
        now: &Moment,
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
        let whole = PortReading { relay: None, watts: told.then_some(known), amps: None };
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
    pub(super) fn follows(&self, now: &Moment, poll: Duration, back: bool) -> Follows {
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
    fn overload(&mut self, now: &Moment, port: u8, watts: f64, seamless: bool, seen: &mut Seen) {
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
        now: &Moment,
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

impl Plug {
    /// After a reading: raises alarms, and does about them what the settings say. True when there is
    /// something to remember.
    pub(super) fn protect(
        &mut self,
        now: &Moment,
        rules: &Rules,
        heard: &[PortReading],
        moved: &[Moved],
        back: bool,
        effects: &mut VecDeque<Effect>,
    ) -> bool {
        let follows = self.guard.follows(now, self.pace.poll, back);
        let Seen { alarms, rising, mut news } = self.guard.look(now, heard, moved, follows);
        let latched = self.kept.latched.len();
        for (port, ..) in moved.iter().filter(|(_, on, cause)| *on && *cause == Some(Cause::Local)) {
            // Somebody stands before it. After misses it may just as well have restarted.
            if follows == Follows::AtOnce && self.kept.latched.remove(port) {
                info!(plug = %self.id, port, "overload reset by the button on the device");
            }
        }
        let mut remember = latched != self.kept.latched.len();
        for alarm in alarms {
            let remedy = self.remedy(now, rules, &alarm);
            remember |= remedy == Remedy::Latch;
            let Alarm { port, hazard, watts, limit, .. } = alarm;
            warn!(plug = %self.id, port, watts, limit, remedy = remedy.as_str(), "{}", hazard.as_str());
            let note =
                Notification::Plug(self.id.clone(), Event::Overload { port, hazard, watts, limit, remedy });
            match remedy {
                // Whoever hears of a latch may rely on it.
                Remedy::Latch => self.pledges.push((Change::Latch, note)),
                Remedy::None | Remedy::Off => effects.push_back(Effect::Tell(note)),
            }
        }
        news |= remember;
        if rising {
            self.schedule.hurry(now, &self.pace);
        }
        if news {
            self.word_problem(now);
        }
        remember
    }

    /// Switches off what must be, as far as locks allow.
    fn remedy(&mut self, now: &Moment, rules: &Rules, alarm: &Alarm) -> Remedy {
        let latch = match alarm.action {
            OverloadAction::Ignore | OverloadAction::Tell => return Remedy::None,
            OverloadAction::Off => false,
            OverloadAction::Latch => true,
        };
        if !self.view.control {
            return Remedy::None;
        }
        let ports = if alarm.port == 0 { 1..=self.kept.offer.ports } else { alarm.port..=alarm.port };
        let live = (1u8..).zip(&self.live);
        let off: BTreeSet<u8> =
            live.filter(|(_, live)| live.relay == Some(false)).map(|(port, _)| port).collect();
        // What is off draws nothing, unless this is about one that does.
        let ports = ports.filter(|port| alarm.port != 0 || !off.contains(port));
        let wishes: BTreeMap<u8, bool> =
            ports.filter(|port| !self.lock(*port).refuses(false)).map(|port| (port, false)).collect();
        if wishes.is_empty() {
            return Remedy::None;
        }
        if latch {
            self.kept.latched.extend(wishes.keys());
        }
        self.desk.own(now, &wishes, Cause::Overload, rules.command_timeout);
        if latch { Remedy::Latch } else { Remedy::Off }
    }

    /// Lets ports be switched on again; those that were latched.
    pub(super) fn release(&mut self, now: &Moment, port: Option<u8>) -> BTreeSet<u8> {
        let free = |latched: &u8| port.is_none_or(|port| port == *latched);
        let freed: BTreeSet<u8> = self.kept.latched.iter().copied().filter(free).collect();
        self.kept.latched.retain(|latched| !freed.contains(latched));
        self.word_problem(now);
        freed
    }

    /// Ports are latched again.
    pub(super) fn latch(&mut self, now: &Moment, ports: &BTreeSet<u8>) {
        self.kept.latched.extend(ports);
        self.word_problem(now);
    }

    pub(super) fn word_problem(&mut self, now: &Moment) {
        let before = self.guard.problem().map(str::to_owned);
        // Whatever else is wrong is told first.
        if self.guard.word(&self.kept.latched) && self.view.problem == before {
            let problem = self.guard.problem().map(str::to_owned);
            self.show(now, |view| view.problem = problem);
        }
    }
}

#[cfg(test)]
mod tests;
