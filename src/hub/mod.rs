//! The hub decides. It owns what is known of every plug, when each is asked next, which commands
//! are in hand and what is worth telling. It refuses to know sockets, clocks, drivers and MQTT:
//! time comes in with each call, work goes out as [`Effect`]s.
//!
//! The contract: every [`handle`](Hub::handle) is followed by draining [`effect`](Hub::effect)
//! until it is empty; then [`wake_at`](Hub::wake_at) says when to come back with
//! [`Input::Tick`] and [`view`](Hub::view) what everybody may see.
//!
//! | file | what it decides |
//! | --- | --- |
//! | `mod.rs` | who is due, what came of it, what goes out |
//! | `freshness.rs` | one plug: which values are too old, how many ports it has |
//! | `in_flight.rs` | how many may be spoken to at one time |
//! | `plug.rs` | one plug: health, what its answers mean |
//! | `presentation.rs` | one plug: what it is called, what it shows |
//! | `hardware.rs` | one plug: where it is, what it says about itself |
//! | `health.rs` | one plug: what follows when it does not answer |
//! | `schedule.rs` | when one plug is asked next |
//! | `admission.rs`, `command.rs` | one plug's commands: taken in, waiting, sent, confirmed, failed, expired |
//! | `ticket.rs`, `returns.rs` | one command until its result is told; ports that go back by themselves |
//! | `protection.rs` | one plug's protection: overload, power behind an open relay, what is done about it |
//! | `deadband.rs` | which readings are worth telling |
//! | `meter.rs` | one plug's energy: counted, never lower, gaps declared |
//! | `floors.rs` | what others have told of energy, held against the meters |
//! | `period.rs` | what was drawn today and this month |
//! | `hours.rs` | energy by the hour, and what a plug's own record may fill |
//! | `plug_request.rs` | requests to one plug: waiting, asked, answered |
//! | `slow_poll.rs` | what a plug is asked now and then, and its clock |
//! | `record.rs` | when a plug is asked for its own record |
//! | `reboot.rs` | whether one plug has restarted, and what is put back then |
//! | `registry.rs` | who is who: found, moved, doubled, adopted, removed |
//! | `hosts.rs` | who is named in the settings and keeps silent |
//! | `unsupported.rs` | who answers and is no plug, told once |
//! | `request.rs` | requests to the bridge |
//! | `ledger.rs` | what is written before it is acknowledged, and taken back when it cannot be |
//! | `problem.rs` | what is wrong with the bridge itself |
//! | `stats.rs` | figures about the work |
//! | `rules.rs` | the settings, in the hub's words |
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

mod admission;
mod command;
mod deadband;
mod floors;
mod freshness;
mod hardware;
mod health;
mod hosts;
mod hours;
mod in_flight;
mod ledger;
mod lock;
mod meter;
mod period;
mod plug;
mod plug_request;
mod presentation;
mod problem;
mod protection;
mod reboot;
mod record;
mod registry;
mod request;
mod returns;
mod rules;
mod schedule;
mod slow_poll;
mod stats;
#[cfg(test)]
pub(crate) mod tests;
mod ticket;
mod unsupported;

pub use registry::NOBODY;
pub use rules::{Limit, Pace, PlugRules, Rules};

use crate::model::{
    BridgeView, DeviceRequest, Endpoint, Event, Found, HubRequest, LogLevel, Moment, Notification, Outcome,
    PersistedState, PlugId, Stats, Stray, View, Who,
};
use in_flight::Air;
use plug::Plug;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

/// Plugs known at one time, at the most; further ones are ignored with a warning.
pub const MAX_PLUGS: usize = 8192;

const _: () = assert!(
    crate::model::SinkMemory::MAX_KEYS > 2 * MAX_PLUGS,
    "sinks may keep something of each plug, and of those gone"
);

/// How often the figures in the view are renewed.
const STATS_EVERY: Duration = Duration::from_secs(60);

/// What the hub is told.
#[derive(Debug)]
pub enum Input {
    /// A plug made itself known: an answer to a probe.
    Heard(Found),
    /// Somebody answered a probe who is no plug.
    Stray(Stray),
    /// Hosts from the settings that did not answer the probe that has just ended.
    Unheard(Vec<(&'static str, Endpoint)>),
    /// The networks of this machine are others than before.
    Network,
    /// A conversation ended.
    Answered(Outcome),
    /// A sink wants something.
    Commanded(HubRequest),
    /// What [`Effect::Save`] asked for is written, or why it is not.
    Saved(Result<(), String>),
    /// Something is wrong with the bridge itself, in a sentence with the remedy; or not any more.
    Problem(&'static str, Option<String>),
    /// The time named by [`Hub::wake_at`] has come.
    Tick,
    /// The program is about to stop: begin nothing new, give every waiting command its result; said
    /// again, those on the wire, too.
    Stop,
}

/// What the hub wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Look for plugs: everywhere, and by unicast where missing ones were last.
    Probe(Vec<(&'static str, Endpoint)>),
    /// Ask these hosts again whether they are there, and nobody else.
    DeviceRequest(Vec<(&'static str, Endpoint)>),
    /// Hold one conversation and report its [`Outcome`].
    Talk {
        /// With whom.
        who: Who,
        /// Where.
        place: Endpoint,
        /// What to ask.
        ask: DeviceRequest,
        /// The longest it may take.
        limit: Duration,
    },
    /// What a dialect took for granted about this plug has changed: attach it anew.
    Reattach(PlugId),
    /// Tell the sinks.
    Tell(Notification),
    /// Log this much from now on.
    Log(LogLevel),
    /// Write [`Hub::memory`] down, as it is now, and report [`Input::Saved`]. Nothing more is to be
    /// written until then.
    Save,
}

/// Everything known, and what to do next.
#[derive(Debug)]
pub struct Hub {
    rules: Rules,
    /// Boxed: a tree keeps a third of its places free.
    plugs: BTreeMap<PlugId, Box<Plug>>,
    memory: PersistedState,
    effects: VecDeque<Effect>,
    /// When each plug wants to be looked at; one entry a plug.
    agenda: BTreeSet<(Duration, PlugId)>,
    /// Plugs that are due while too many polls are in the air.
    waiting: VecDeque<PlugId>,
    /// Conversations under way.
    air: Air,
    /// When plugs that wait will find room.
    room_at: Option<Duration>,
    search: registry::Search,
    hosts: hosts::Hosts,
    strays: unsupported::Strays,
    /// What earlier runs have told about energy, of plugs not read yet; `None` while that is not
    /// known.
    floors: Option<BTreeMap<PlugId, meter::Floors>>,
    adopt_until: Option<Duration>,
    bridge: BridgeView,
    view: Arc<View>,
    ledger: ledger::Ledger,
    namesakes: presentation::Namesakes,
    stats_at: Duration,
    took_ms: VecDeque<u64>,
    stopping: bool,
}

impl Hub {
    /// Wakes up with what is remembered. Known plugs are due at once, before any search.
    pub fn new(mut rules: Rules, memory: PersistedState, now: &Moment) -> Self {
        rules.learn_time(&memory);
        let bridge = BridgeView {
            adopt: memory.adopt.unwrap_or(rules.adopt),
            log_level: rules.log_level,
            read_only: rules.read_only,
            problems: BTreeMap::new(),
            stats: Stats { unix_ms: now.unix_ms, ..Stats::default() },
            meters_read: 0,
        };
        let mut hub = Self {
            rules,
            plugs: BTreeMap::new(),
            memory: PersistedState { plugs: BTreeMap::new(), ..memory.clone() },
            effects: VecDeque::new(),
            agenda: BTreeSet::new(),
            waiting: VecDeque::new(),
            air: Air::new(now),
            room_at: None,
            search: registry::Search::new(now.up),
            hosts: hosts::Hosts::new(),
            strays: unsupported::Strays::default(),
            floors: None,
            adopt_until: None,
            view: Arc::new(View { bridge: Arc::new(bridge.clone()), plugs: BTreeMap::new() }),
            bridge,
            ledger: ledger::Ledger::default(),
            namesakes: presentation::Namesakes::default(),
            stats_at: now.up + STATS_EVERY,
            took_ms: VecDeque::new(),
            stopping: false,
        };
        hub.recall(memory, now);
        hub
    }

    /// Takes one input. Drain [`effect`](Self::effect) afterwards.
    pub fn handle(&mut self, now: &Moment, input: Input) {
        match input {
            Input::Heard(found) => self.heard(now, found),
            Input::Stray(stray) => self.strays.heard(&stray),
            Input::Unheard(hosts) => self.unheard(now, hosts),
            Input::Network => self.network_changed(now),
            Input::Answered(outcome) => self.answered(now, outcome),
            Input::Commanded(order) => self.commanded(now, order),
            Input::Saved(result) => self.saved(now, result),
            Input::Problem(reason, sentence) => self.set_problem(reason, sentence),
            Input::Tick => self.tick(now),
            Input::Stop => self.stop(now),
        }
        self.pump(now);
        self.write(now);
    }

    /// The next thing to do, until there is none.
    pub fn effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to come back with [`Input::Tick`], in [`Moment::up`].
    pub fn wake_at(&self) -> Duration {
        if self.stopping {
            return Duration::MAX;
        }
        let mut at = self.stats_at.min(self.search.wake_at());
        let plug = self.agenda.first().map(|(due, _)| *due);
        for due in [plug, self.ledger.wake_at(), self.adopt_until, self.room_at, self.hosts.again]
            .into_iter()
            .flatten()
        {
            at = at.min(due);
        }
        at
    }

    /// What everybody may see now.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view)
    }

    fn tell(&mut self, note: Notification) {
        self.effects.push_back(Effect::Tell(note));
    }

    fn tick(&mut self, now: &Moment) {
        self.mind_the_disk(now);
        if self.adopt_until.is_some_and(|at| at <= now.up) {
            self.adopt_until = None;
            self.bridge.adopt = false;
            self.show_bridge();
        }
        if self.stats_at <= now.up {
            self.stats_at = now.up + STATS_EVERY;
            self.renew_stats(now);
            self.prune(now);
        }
        self.search_tick(now);
        self.hosts_tick(now);
        while let Some((due, _)) = self.agenda.first()
            && *due <= now.up
            && let Some((_, id)) = self.agenda.pop_first()
        {
            if let Some(plug) = self.plugs.get_mut(&id) {
                plug.agenda = None;
            }
            self.attend(now, &id);
        }
    }

    /// Looks at one plug that is due: ends what is overdue, begins what can begin.
    fn attend(&mut self, now: &Moment, id: &PlugId) {
        let Some(plug) = self.plugs.get_mut(id) else { return };
        plug.tick(now, &self.rules, &mut self.effects);
        self.raise_meter(now, id);
        let Some(plug) = self.plugs.get_mut(id) else { return };
        if plug.command_ready(now) {
            self.begin(now, id);
        } else if plug.poll_due(now) && !plug.queued {
            plug.queued = true;
            self.waiting.push_back(id.clone());
        }
        self.settle(now, id);
    }

    /// Starts as many waiting polls as the air has room for.
    fn pump(&mut self, now: &Moment) {
        self.room_at = None;
        while !self.waiting.is_empty() {
            if !self.air.has_room(now, self.plugs.len()) {
                self.room_at = self.air.room_at(now, self.plugs.len());
                return;
            }
            let Some(id) = self.waiting.pop_front() else { return };
            if let Some(plug) = self.plugs.get_mut(&id) {
                plug.queued = false;
                self.begin(now, &id);
                self.settle(now, &id);
            }
        }
    }

    /// Begins a conversation with a plug, if it has something to say and its line is free.
    fn begin(&mut self, now: &Moment, id: &PlugId) {
        if self.stopping {
            return;
        }
        let Some(plug) = self.plugs.get_mut(id) else { return };
        // Removed and found again elsewhere, it may still be spoken to where it was.
        if self.air.engaged(&plug.kept.place) || self.air.speaks_to(&Who::Plug(id.clone())) {
            plug.postpone(now, Duration::from_millis(100));
            return;
        }
        let Some((ask, limit)) = plug.begin(now) else { return };
        let place = plug.kept.place;
        self.talk(now, Who::Plug(id.clone()), place, ask, limit);
    }

    fn talk(&mut self, now: &Moment, who: Who, place: Endpoint, ask: DeviceRequest, limit: Duration) {
        self.air.begin(now, who.clone(), place);
        self.effects.push_back(Effect::Talk { who, place, ask, limit });
    }

    fn answered(&mut self, now: &Moment, outcome: Outcome) {
        self.air.end(&outcome.who);
        match outcome.who.clone() {
            Who::Endpoint(driver, place) => self.identified(now, driver, place, outcome.result),
            Who::Plug(id) => {
                self.count(&outcome);
                let fleet = self.plugs.len();
                // It may have been removed while it was being asked.
                let Some(plug) = self.plugs.get_mut(&id) else { return };
                let news = plug.answered(now, &self.rules, fleet, outcome, &mut self.effects);
                self.raise_meter(now, &id);
                self.react(now, &id, news);
            }
        }
    }

    /// What follows from a plug's news: events, search, memory.
    fn react(&mut self, now: &Moment, id: &PlugId, news: plug::News) {
        if news.adopted {
            self.tell(Notification::Bridge(Event::DeviceAdopted(id.clone())));
        }
        if news.online {
            self.tell(Notification::Bridge(Event::DeviceOnline(id.clone())));
        }
        if let Some(why) = news.offline {
            self.tell(Notification::Bridge(Event::DeviceOffline(id.clone(), why)));
        }
        if news.missed {
            self.search.soon(now);
        }
        if news.remember {
            self.save_soon(now);
        } else if let Some(time) = news.save_within {
            self.save_within(now, time);
        }
        self.attend(now, id);
    }

    /// Puts a plug's next wish on the agenda and its picture into the view.
    fn settle(&mut self, now: &Moment, id: &PlugId) {
        self.number(now, id);
        let listens = self.floors.is_some();
        let Some(plug) = self.plugs.get_mut(id) else { return };
        if let Some(entry) = plug.agenda.take() {
            self.agenda.remove(&(entry, id.clone()));
        }
        if let Some(due) = plug.wake_at() {
            plug.agenda = Some(due);
            self.agenda.insert((due, id.clone()));
        }
        if plug.fresh_view {
            self.tell_apart(now, id);
        }
        let Some(plug) = self.plugs.get_mut(id) else { return };
        if plug.fresh_view {
            plug.fresh_view = false;
            Arc::make_mut(&mut self.view).plugs.insert(id.clone(), Arc::clone(&plug.view));
        }
        if listens {
            for event in std::mem::take(&mut plug.untold) {
                self.effects.push_back(Effect::Tell(Notification::Plug(id.clone(), event)));
            }
        }
    }

    fn commanded(&mut self, now: &Moment, order: HubRequest) {
        match order {
            HubRequest::Switch(order) => self.switch(now, order),
            HubRequest::Refresh(id) => {
                let Some(plug) = self.plugs.get_mut(&id) else {
                    warn!(plug = %id, "refresh requested for an unknown device");
                    return;
                };
                plug.tell_all(now);
                self.attend(now, &id);
            }
            HubRequest::Request(request, transaction) => self.request(now, request, transaction),
            HubRequest::Metered(told) => self.metered(now, told),
            HubRequest::MeteredMeanwhile(told, apart) => self.metered_meanwhile(now, told, apart),
            HubRequest::Keep(keep) => {
                let (section, key) = (keep.section, keep.key.clone());
                match self.memory.sinks.keep(keep) {
                    Ok(true) => self.save_soon(now),
                    Ok(false) => {}
                    Err(why) => warn!(section, key, "not kept over restarts: {why}"),
                }
            }
        }
    }

    fn stop(&mut self, now: &Moment) {
        // Said again, it means that conversations have been broken off.
        let again = std::mem::replace(&mut self.stopping, true);
        self.waiting.clear();
        for id in self.plugs.keys().cloned().collect::<Vec<_>>() {
            if let Some(plug) = self.plugs.get_mut(&id) {
                plug.give_up(now, again, &mut self.effects);
            }
            // What ends now may have returns to be written first.
            self.number(now, &id);
        }
        self.write_all();
    }
}
