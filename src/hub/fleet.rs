//! All plugs: who is looked at when, who may be spoken to, and what each of them has to say. What concerns more than
//! the plugs, like searching and writing, is left to the hub, see [`Due`].

use super::agenda::Agenda;
use super::change::Change;
use super::contract::Effect;
use super::floors::Floors;
use super::in_flight::InFlight;
use super::namesakes::Namesakes;
use super::plug::{News, Plug};
use super::rules::Rules;
use crate::model::{
    BridgeView, DeviceRequest, Endpoint, Energy, Event, Metered, Metrics, Notification, Now, Outcome,
    PersistedPlug, PlugId, Reading, View, Who,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tracing::warn;

/// Plugs known at one time, at the most; further ones are ignored with a warning.
pub const MAX_PLUGS: usize = 8192;

const _: () = assert!(
    crate::model::SinkMemory::MAX_KEYS > 2 * MAX_PLUGS,
    "sinks may keep something of each plug, and of those gone"
);

/// Events that wait for somebody to listen, at the most.
const MAX_UNHEARD: usize = 2 * MAX_PLUGS;

/// All plugs.
#[derive(Debug)]
pub(super) struct Fleet {
    pub(super) rules: Rules,
    /// Boxed: a tree keeps a third of its places free.
    plugs: BTreeMap<PlugId, Box<Plug>>,
    effects: VecDeque<Effect>,
    agenda: Agenda,
    in_flight: InFlight,
    /// When plugs that wait will find room.
    room_at: Option<Duration>,
    namesakes: Namesakes,
    /// What earlier runs have told about energy, of plugs not read yet; `None` while that is not
    /// known.
    floors: Option<BTreeMap<PlugId, Floors>>,
    /// What is told once somebody listens.
    unheard: Vec<(PlugId, Event)>,
    view: Arc<View>,
    stopping: bool,
    due: Due,
}

/// What the plugs want of the hub.
#[derive(Debug, Default)]
pub(super) struct Due {
    /// Told once the change is written.
    pub(super) pledges: Vec<(Change, Notification)>,
    /// Plugs whose commands may have something to be written.
    pub(super) commands: BTreeSet<PlugId>,
    /// What they remember is to be written within this time.
    pub(super) save_within: Option<Duration>,
    /// Something known did not answer.
    pub(super) missed: bool,
}

/// How long a change that nobody waits for may wait to be written.
pub(super) const SAVE_AFTER: Duration = Duration::from_millis(500);

impl Fleet {
    pub(super) fn new(rules: Rules, bridge: BridgeView, now: &Now) -> Self {
        Self {
            rules,
            plugs: BTreeMap::new(),
            effects: VecDeque::new(),
            agenda: Agenda::default(),
            in_flight: InFlight::new(now),
            room_at: None,
            namesakes: Namesakes::default(),
            floors: None,
            unheard: Vec::new(),
            view: Arc::new(View { bridge: Arc::new(bridge), plugs: BTreeMap::new() }),
            stopping: false,
            due: Due::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.plugs.len()
    }

    pub(super) fn get(&self, id: &PlugId) -> Option<&Plug> {
        self.plugs.get(id).map(Box::as_ref)
    }

    /// To be followed by [`settle`](Self::settle), or what calls it.
    pub(super) fn get_mut(&mut self, id: &PlugId) -> Option<&mut Plug> {
        self.plugs.get_mut(id).map(Box::as_mut)
    }

    /// One plug, and what it may have to be told.
    pub(super) fn with_rules(&mut self, id: &PlugId) -> Option<(&mut Plug, &Rules)> {
        self.plugs.get_mut(id).map(|plug| (plug.as_mut(), &self.rules))
    }

    pub(super) fn plugs(&self) -> impl Iterator<Item = &Plug> {
        self.plugs.values().map(Box::as_ref)
    }

    /// The ids of all plugs that are like this.
    pub(super) fn ids(&self, like: impl Fn(&Plug) -> bool) -> Vec<PlugId> {
        self.plugs().filter(|plug| like(plug)).map(|plug| plug.device().id().clone()).collect()
    }

    pub(super) fn add(
        &mut self,
        now: &Now,
        id: &PlugId,
        driver: &'static str,
        kept: PersistedPlug,
        adopted: bool,
    ) {
        let ordinal = u32::try_from(self.plugs.len()).unwrap_or(u32::MAX);
        if let Some(plug) = Plug::new(id.clone(), driver, kept, adopted, ordinal, &self.rules, now) {
            self.plugs.insert(id.clone(), Box::new(plug));
            self.attend(now, id);
        }
    }

    pub(super) fn take(&mut self, id: &PlugId) -> Option<Box<Plug>> {
        self.drain(id);
        let mut plug = self.plugs.remove(id)?;
        // Who is left alone with the name drops the end of its serial when it is shown anew.
        if let Some(name) = plug.device().own_name().cloned() {
            self.namesakes.unlist(id, &name);
        }
        self.agenda.remove(id, plug.appointment());
        Arc::make_mut(&mut self.view).plugs.remove(id);
        self.unheard.retain(|(gone, _)| gone != id);
        self.effects.push_back(Effect::Reattach(id.clone()));
        Some(plug)
    }

    pub(super) fn effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(super) fn push(&mut self, effect: Effect) {
        self.effects.push_back(effect);
    }

    pub(super) fn tell(&mut self, note: Notification) {
        self.effects.push_back(Effect::Tell(note));
    }

    /// What the plugs want of the hub, since the last call; `None` when that is nothing.
    pub(super) fn take_due(&mut self) -> Option<Due> {
        let Due { pledges, commands, save_within, missed } = &self.due;
        let nothing = pledges.is_empty() && commands.is_empty() && save_within.is_none() && !missed;
        (!nothing).then(|| std::mem::take(&mut self.due))
    }

    /// What is remembered is to be written soon.
    pub(super) fn save_soon(&mut self) {
        self.due.save_within = self.due.save_within.into_iter().chain([SAVE_AFTER]).min();
    }

    pub(super) fn view(&self) -> Arc<View> {
        Arc::clone(&self.view)
    }

    pub(super) fn show_bridge(&mut self, bridge: &BridgeView) {
        Arc::make_mut(&mut self.view).bridge = Arc::new(bridge.clone());
    }

    /// Figures about all plugs that were adopted, as they are now.
    pub(super) fn figures(&self) -> Metrics {
        let known = self.plugs.iter().filter(|(_, plug)| plug.device().is_known());
        let plugs = known.map(|(id, plug)| (id.clone(), plug.figures())).collect();
        Metrics { view: Arc::clone(&self.view), plugs }
    }

    /// When a plug is to be looked at.
    pub(super) fn wake_at(&self) -> Option<Duration> {
        self.agenda.first().into_iter().chain(self.room_at).min()
    }

    /// Looks at all plugs that are due.
    pub(super) fn tick(&mut self, now: &Now) {
        while let Some(id) = self.agenda.take_due(now) {
            if let Some(plug) = self.plugs.get_mut(&id) {
                plug.appointment().has_come();
            }
            self.attend(now, &id);
        }
    }

    /// Looks at one plug that is due: ends what is overdue, begins what can begin.
    pub(super) fn attend(&mut self, now: &Now, id: &PlugId) {
        let Some(plug) = self.plugs.get_mut(id) else { return };
        plug.tick(now, &self.rules);
        self.raise_meters(now, id);
        self.drain(id);
        let Some(plug) = self.plugs.get_mut(id) else { return };
        if plug.command_ready(now) {
            self.begin(now, id);
        } else if plug.poll_due(now) {
            self.agenda.queue(id, plug.appointment());
        }
        self.settle(now, id);
    }

    /// Starts as many waiting polls as there is room for.
    pub(super) fn pump(&mut self, now: &Now) {
        self.room_at = None;
        while self.agenda.wait() {
            if !self.in_flight.has_room(now, self.plugs.len()) {
                self.room_at = self.in_flight.room_at(now, self.plugs.len());
                return;
            }
            let Some(id) = self.agenda.take_waiting() else { return };
            if let Some(plug) = self.plugs.get_mut(&id) {
                plug.appointment().has_room();
                self.begin(now, &id);
                self.settle(now, &id);
            }
        }
    }

    /// Begins a conversation with a plug, if it has something to say and its line is free.
    fn begin(&mut self, now: &Now, id: &PlugId) {
        if self.stopping {
            return;
        }
        let Some(plug) = self.plugs.get_mut(id) else { return };
        let place = plug.device().place();
        // Removed and found again elsewhere, it may still be spoken to where it was.
        if self.in_flight.engaged(&place) || self.in_flight.speaks_to(&Who::Plug(id.clone())) {
            plug.postpone(now, Duration::from_millis(100));
            return;
        }
        let Some((ask, limit)) = plug.begin(now) else { return };
        self.talk(now, Who::Plug(id.clone()), place, ask, limit);
    }

    /// Somebody is spoken to at this address.
    pub(super) fn engaged(&self, place: &Endpoint) -> bool {
        self.in_flight.engaged(place)
    }

    pub(super) fn talk(&mut self, now: &Now, who: Who, place: Endpoint, ask: DeviceRequest, limit: Duration) {
        self.in_flight.begin(now, who.clone(), place);
        self.effects.push_back(Effect::Talk { who, place, ask, limit });
    }

    /// A conversation has ended.
    pub(super) fn ended(&mut self, who: &Who) {
        self.in_flight.end(who);
    }

    /// That with a plug has.
    pub(super) fn answered(&mut self, now: &Now, id: &PlugId, outcome: Outcome) {
        let fleet = self.plugs.len();
        // It may have been removed while it was being asked.
        let Some(plug) = self.plugs.get_mut(id) else { return };
        plug.answered(now, &self.rules, fleet, outcome);
        self.attend(now, id);
    }

    /// What a plug has said unasked goes the way of a poll's answer, if it came from where the plug is; it is
    /// polled when it is due all the same.
    pub(super) fn pushed(&mut self, now: &Now, id: &PlugId, from: Option<IpAddr>, reading: Reading) {
        let Some(plug) = self.plugs.get_mut(id) else { return };
        let place = plug.device().place();
        if place == Endpoint::UNKNOWN || from.is_some_and(|from| from != place.ip) {
            return;
        }
        plug.pushed(now, &self.rules, reading);
        self.attend(now, id);
    }

    /// Notes when a plug is to be looked at, and shows its picture.
    pub(super) fn settle(&mut self, now: &Now, id: &PlugId) {
        let Some(plug) = self.plugs.get_mut(id) else { return };
        if plug.device().has_fresh_view() {
            self.tell_apart(now, id);
        }
        self.drain(id);
        let Some(plug) = self.plugs.get_mut(id) else { return };
        let at = plug.wake_at();
        self.agenda.note(id, plug.appointment(), at);
        if let Some(view) = plug.device_mut().take_view() {
            Arc::make_mut(&mut self.view).plugs.insert(id.clone(), view);
        }
    }

    /// Hands on what a plug has to say.
    fn drain(&mut self, id: &PlugId) {
        let Some(plug) = self.plugs.get_mut(id) else { return };
        let mut save_within = plug.take_save_within();
        let mut soon = plug.device_mut().take_changed();
        if plug.commands().wait_for_disk() {
            self.due.commands.insert(id.clone());
        }
        for news in plug.take_news() {
            match news {
                News::Tell(note) => self.effects.push_back(Effect::Tell(note)),
                News::TellWhenWritten(change, note) => self.due.pledges.push((change, note)),
                News::TellWhenHeard(event) if self.floors.is_some() => {
                    self.effects.push_back(Effect::Tell(Notification::Plug(id.clone(), event)));
                }
                News::TellWhenHeard(event) if self.unheard.len() < MAX_UNHEARD => {
                    self.unheard.push((id.clone(), event));
                }
                News::TellWhenHeard(_) => {
                    warn!(plug = %id, "too many events wait for the broker; dropped one")
                }
                News::Remember => soon = true,
                News::Missed => self.due.missed = true,
            }
        }
        save_within = if soon { Some(SAVE_AFTER) } else { save_within };
        self.due.save_within = self.due.save_within.into_iter().chain(save_within).min();
    }

    /// Plugs that call themselves the same are told apart until they are named.
    fn tell_apart(&mut self, now: &Now, id: &PlugId) {
        let Some(plug) = self.plugs.get_mut(id) else { return };
        if let Some((before, own)) = plug.device_mut().take_own_name() {
            let alone = before.and_then(|before| self.namesakes.unlist(id, &before));
            let first = own.and_then(|own| self.namesakes.list(id, own));
            for other in alone.into_iter().chain(first) {
                self.fit_name(now, &other);
                self.settle(now, &other);
            }
        }
        self.fit_name(now, id);
    }

    fn fit_name(&mut self, now: &Now, id: &PlugId) {
        let Some(plug) = self.plugs.get_mut(id) else { return };
        let namesake = plug.device().own_name().is_some_and(|name| self.namesakes.shared(name));
        plug.set_namesake(now, &self.rules, namesake);
    }

    /// What earlier runs have told about energy: the floors of all meters. From now on somebody listens.
    pub(super) fn metered(&mut self, now: &Now, told: Vec<Metered>) {
        let floors = self.floors.get_or_insert_default();
        for one in told {
            let Some(energy) = Energy::from_kwh(one.kwh) else {
                warn!(plug = %one.plug, kwh = one.kwh, "ignoring an impossible retained energy value");
                continue;
            };
            if floors.len() < MAX_PLUGS || floors.contains_key(&one.plug) {
                floors.entry(one.plug).or_default().insert(one.port, energy);
            }
        }
        for (id, event) in std::mem::take(&mut self.unheard) {
            self.tell(Notification::Plug(id, event));
        }
        for id in self.ids(|plug| plug.waits_for_floors(now)) {
            self.raise_meters(now, &id);
            self.settle(now, &id);
        }
    }

    /// What others have told meanwhile, of meters that are shown and of those that are not yet.
    pub(super) fn metered_meanwhile(&mut self, now: &Now, told: Vec<Metered>, apart: Duration) {
        let shown = |one: &Metered| self.plugs.get(&one.plug).is_some_and(|plug| plug.meter().certain());
        let (shown, others): (Vec<Metered>, Vec<Metered>) = told.into_iter().partition(shown);
        let mut floors: BTreeMap<PlugId, Floors> = BTreeMap::new();
        for one in shown {
            let Some(energy) = Energy::from_kwh(one.kwh) else { continue };
            floors.entry(one.plug).or_default().insert(one.port, energy);
        }
        for (id, floors) in floors {
            if let Some(plug) = self.plugs.get_mut(&id) {
                plug.lift_meters(now, &floors, apart);
            }
            self.settle(now, &id);
        }
        self.metered(now, others);
        self.save_soon();
    }

    /// A plug's meters may be shown once it was read and it is known what they must not fall below.
    fn raise_meters(&mut self, now: &Now, id: &PlugId) {
        if let (Some(floors), Some(plug)) = (&mut self.floors, self.plugs.get_mut(id))
            && plug.waits_for_floors(now)
        {
            plug.raise_meters(now, &floors.remove(id).unwrap_or_default());
        }
    }

    /// A plug goes by other settings from now on.
    pub(super) fn refitted(&mut self, now: &Now, id: &PlugId) {
        if let Some((plug, rules)) = self.with_rules(id) {
            plug.refit(rules, now);
            plug.refresh(now);
        }
        self.attend(now, id);
    }

    /// Begins nothing new, and gives every waiting command its result; `again`, those on the wire, too.
    pub(super) fn stop(&mut self, now: &Now, again: bool) {
        self.stopping = true;
        self.agenda.clear_waiting();
        for id in self.ids(|_| true) {
            if let Some(plug) = self.plugs.get_mut(&id) {
                plug.give_up(now, again);
            }
            self.drain(&id);
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }
}
