//! What must hold, checked after every step. The numbers are those of `docs/testing.md`.

use crate::guard::Guard;
use crate::plan::{BASE, PREFIX};
use crate::plugs::{Model, Said};
use crate::world::{LATEST, World, tell};
use plug2mqtt::hub::Rules;
use plug2mqtt::model::{CommandResult, Event, PlugId, PlugView, Switch, SwitchAction, SwitchOrder, View};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// A promise that was broken.
#[derive(Debug, Clone)]
pub(crate) struct Broken {
    pub(crate) invariant: u8,
    pub(crate) what: String,
}

/// The longest a request to a plug may take.
const ERRAND: Duration = Duration::from_secs(31);

pub(crate) type Checked = Result<(), Broken>;

impl Broken {
    pub(crate) fn of(invariant: u8, what: impl Into<String>) -> Self {
        Self { invariant, what: what.into() }
    }
}

/// Between a command's deadline and its result; also how long a command that has just ended still
/// explains what leaves.
const SLACK: Duration = Duration::from_millis(100);

/// The longest until what was learnt is written down.
const WRITTEN_AFTER: Duration = Duration::from_secs(1);

/// A command as a client gave it.
#[derive(Debug)]
struct Command {
    number: u64,
    plug: PlugId,
    mark: Option<String>,
    wishes: BTreeMap<u8, SwitchAction>,
    arrived: Duration,
    deadline: Duration,
    ended: Option<Duration>,
    /// Ports that were where it wanted them when the plug spoke of them.
    seen: BTreeSet<u8>,
}

impl Command {
    fn covers(&self, port: u8, on: bool) -> bool {
        let fits = |wish: &SwitchAction| *wish == SwitchAction::Toggle || (*wish == SwitchAction::On) == on;
        [port, 0, SwitchOrder::WHOLE].iter().any(|port| self.wishes.get(port).is_some_and(fits))
    }
}

/// A port that may go back by itself.
#[derive(Debug)]
struct Timer {
    plug: PlugId,
    command: u64,
    wishes: BTreeMap<u8, SwitchAction>,
    /// Ports somebody has taken into their own hands since, and was told so.
    cancelled: BTreeSet<u8>,
    from: Duration,
}

/// A conversation that may move relays.
#[derive(Debug)]
struct Switching {
    plug: PlugId,
    allowed: BTreeSet<(u8, bool)>,
    until: Duration,
}

#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) polls: u64,
    /// Requests to plugs without an answer: their marks, and when they came.
    errands: BTreeMap<String, Duration>,
    commands: Vec<Command>,
    timers: Vec<Timer>,
    switching: BTreeMap<u64, Switching>,
    /// Conversations with plugs that were asked twice who they are and did not say: the bridge
    /// believes them in the end, and may be wrong.
    pub(crate) nameless: BTreeSet<u64>,
    /// Plugs whose place another one has taken in such a conversation.
    misled: BTreeSet<PlugId>,
    /// Plugs that may show ports of another one since.
    widened: BTreeSet<PlugId>,
    /// What each plug said last in this run.
    said: BTreeMap<PlugId, (Duration, Said)>,
    pub(crate) meters: crate::energy::Meters,
    pub(crate) guard: Guard,
    /// Meters held against what was drawn.
    pub(crate) energies: u64,
    /// Unique ids by discovery topic.
    announced: BTreeMap<String, BTreeSet<String>>,
    /// Announcements that were wider than the one before, and when.
    grown: Vec<(Duration, String)>,
    plain: BTreeMap<PlugId, i64>,
    /// Something was forgotten: the bridge was killed, or its state file torn.
    pub(crate) crashed: bool,
    restarted: bool,
    /// Which of two plugs with one serial has the plain id may change when all is forgotten.
    twins: bool,
}

impl Check {
    pub(crate) fn new(twins: bool, rules: &Rules) -> Self {
        Self {
            polls: 0,
            errands: BTreeMap::new(),
            commands: Vec::new(),
            timers: Vec::new(),
            switching: BTreeMap::new(),
            nameless: BTreeSet::new(),
            misled: BTreeSet::new(),
            widened: BTreeSet::new(),
            said: BTreeMap::new(),
            meters: crate::energy::Meters::default(),
            guard: Guard::new(rules),
            energies: 0,
            announced: BTreeMap::new(),
            grown: Vec::new(),
            plain: BTreeMap::new(),
            crashed: false,
            restarted: false,
            twins,
        }
    }

    /// A run begins. What was in hand when the last one was killed has gone with it.
    pub(crate) fn started(&mut self) {
        self.errands.clear();
        self.restarted |= !self.said.is_empty();
        self.said.clear();
        self.misled.clear();
        self.nameless.clear();
        self.plain.clear();
        self.guard.started();
        for command in &mut self.commands {
            command.ended.get_or_insert(command.arrived);
        }
    }

    /// A run has ended in good order: nothing is left without a result.
    pub(crate) fn stopped(&mut self, now: Duration) -> Checked {
        if let Some(open) = self.commands.iter().find(|c| c.ended.is_none() && c.mark.is_some()) {
            return Err(Broken::of(1, format!("the bridge stopped without a result for {open:?}")));
        }
        if let Some((plug, count)) = self.plain.iter().find(|(_, count)| **count != 0) {
            return Err(Broken::of(1, format!("{count} commands for {plug} have no result at {now:?}")));
        }
        match self.errands.first_key_value() {
            Some((mark, _)) => Err(Broken::of(1, format!("the bridge stopped without an answer to {mark}"))),
            None => Ok(()),
        }
    }

    /// A command reached the bridge; says when it must have ended.
    pub(crate) fn commanded(
        &mut self,
        now: Duration,
        number: u64,
        order: &SwitchOrder,
        life: Duration,
    ) -> Duration {
        let life = order.ttl.map_or(life, |ttl| life.min(ttl));
        let deadline = now + life + order.stagger * 16;
        self.commands
            .retain(|c| c.ended.is_none() || now.saturating_sub(c.deadline) < Duration::from_secs(5));
        self.commands.retain(|c| c.mark.is_some() || now.saturating_sub(c.deadline) < Duration::from_secs(5));
        self.commands.push(Command {
            number,
            plug: order.plug.clone(),
            mark: order.asker.mark.clone(),
            wishes: order.ports.clone(),
            arrived: now,
            deadline,
            ended: None,
            seen: BTreeSet::new(),
        });
        if order.asker.mark.is_none() {
            *self.plain.entry(order.plug.clone()).or_default() += 1;
        }
        if let Some(hold) = order.hold {
            self.timers.push(Timer {
                plug: order.plug.clone(),
                command: number,
                wishes: order.ports.clone(),
                cancelled: BTreeSet::new(),
                from: now + hold,
            });
        }
        deadline + SLACK
    }

    /// The time a command had is up.
    pub(crate) fn due(&self, number: u64, same_run: bool) -> Checked {
        let open = |c: &&Command| c.number == number && c.ended.is_none() && c.mark.is_some();
        match self.commands.iter().find(open).filter(|_| same_run) {
            Some(command) => Err(Broken::of(1, format!("has no result after its deadline: {command:?}"))),
            None => Ok(()),
        }
    }

    /// The hub says how a command ended.
    pub(crate) fn result(&mut self, now: Duration, result: &CommandResult) -> Checked {
        let Some(mark) = &result.asker.mark else {
            let open = self.plain.entry(result.plug.clone()).or_default();
            *open -= 1;
            return if *open < 0 {
                Err(Broken::of(1, format!("a result too many: {result:?}")))
            } else {
                Ok(())
            };
        };
        let command = self.commands.iter_mut().find(|c| c.mark.as_ref() == Some(mark));
        let Some(command) = command.filter(|command| command.ended.is_none()) else {
            return Err(Broken::of(1, format!("a result for no command in hand: {result:?}")));
        };
        command.ended = Some(now);
        if now > command.deadline + SLACK {
            return Err(Broken::of(1, format!("ended after its deadline: {command:?}")));
        }
        if result.error.is_some() {
            return Ok(());
        }
        let tells = self.said.get(&result.plug).is_none_or(|(_, said)| said.tells_relays);
        let unseen = command.wishes.keys().find(|&port| {
            let whole = matches!(*port, 0 | SwitchOrder::WHOLE);
            !whole && !command.seen.contains(port)
        });
        if let Some(port) = unseen.filter(|_| tells) {
            let what = format!("confirmed, and the plug never said so of port {port}: {command:?}");
            return Err(Broken::of(3, what));
        }
        // Whoever switches a timed port takes it into their own hands.
        let (plug, number, wishes) = (command.plug.clone(), command.number, command.wishes.clone());
        let whole = wishes.keys().any(|port| matches!(*port, 0 | SwitchOrder::WHOLE));
        for timer in self.timers.iter_mut().filter(|t| t.plug == plug && t.command < number) {
            let ports = timer.wishes.keys().filter(|port| whole || wishes.contains_key(port));
            let ports: Vec<u8> = ports.copied().collect();
            timer.cancelled.extend(ports);
        }
        Ok(())
    }

    fn command_of(&self, result: &CommandResult) -> Option<&Command> {
        self.commands.iter().find(|command| command.mark.is_some() && command.mark == result.asker.mark)
    }

    /// Its ports go back by themselves.
    pub(crate) fn is_timed(&self, result: &CommandResult) -> bool {
        let command = self.command_of(result);
        command.is_some_and(|command| self.timers.iter().any(|timer| timer.command == command.number))
    }

    /// Something else came for the plug since, or nobody can say which command this was.
    pub(crate) fn has_newer(&self, result: &CommandResult) -> bool {
        let number = self.command_of(result).map(|command| command.number);
        number.is_none_or(|number| {
            self.commands.iter().any(|command| command.plug == result.plug && command.number > number)
        })
    }

    /// Something is told about a plug.
    pub(crate) fn told(&mut self, now: Duration, plug: &PlugId, event: &Event, plugs: &[Model]) -> Checked {
        // What another plug has said in its name since may have looked like anything.
        match self.misled.contains(plug) || self.widened.contains(plug) {
            true => {
                self.guard.told_of_another(now, plug, event);
                Ok(())
            }
            false => self.guard.told(now, plug, event, plugs),
        }
    }

    /// Somebody asks something of a plug.
    pub(crate) fn plug_request(&mut self, now: Duration, mark: String) -> Checked {
        self.errands.insert(mark, now);
        self.none_is_late(now)
    }

    /// The answer to a request.
    pub(crate) fn answered(&mut self, now: Duration, verb: &str, mark: &str) -> Checked {
        if self.errands.remove(mark).is_none() {
            return Err(Broken::of(1, format!("an answer to {verb} {mark}, which nobody has asked")));
        }
        self.none_is_late(now)
    }

    /// Each request to a plug is answered in its time.
    pub(crate) fn none_is_late(&self, now: Duration) -> Checked {
        match self.errands.iter().find(|(_, came)| now > **came + ERRAND) {
            Some((mark, came)) => {
                Err(Broken::of(1, format!("the request {mark} of {came:?} is not answered")))
            }
            None => Ok(()),
        }
    }

    /// Why a port may be sent this way now.
    fn explained(&self, now: Duration, plug: &PlugId, port: u8, on: bool) -> bool {
        let command = self.commands.iter().any(|c| {
            c.plug == *plug
                && c.covers(port, on)
                && now < c.deadline
                && c.ended.is_none_or(|ended| now - ended <= SLACK)
        });
        let timer = self.timers.iter().any(|t| {
            // Back is the other way than there.
            let back =
                |wish: &SwitchAction| *wish == SwitchAction::Toggle || (*wish == SwitchAction::Off) == on;
            let live = |p: &&u8| !t.cancelled.contains(*p);
            let ports = [port, 0, SwitchOrder::WHOLE];
            let port = ports.iter().filter(live).any(|p| t.wishes.get(p).is_some_and(back));
            t.plug == *plug && port && (self.restarted || t.from <= now)
        });
        command || timer || self.guard.explains(now, plug, port, on)
    }

    /// A conversation begins that is to move relays.
    pub(crate) fn begins_switching(
        &mut self,
        now: Duration,
        talk: u64,
        plug: &PlugId,
        switch: &Switch,
        ports: u8,
        until: Duration,
    ) -> Checked {
        let wanted: BTreeMap<u8, bool> = match switch {
            Switch::All(on) => (1..=ports).map(|port| (port, *on)).collect(),
            Switch::Ports(ports) => ports.clone(),
        };
        for (&port, &on) in &wanted {
            if !self.explained(now, plug, port, on) {
                return Err(Broken::of(2, format!("{plug} port {port} is sent {on} and nobody wants it")));
            }
        }
        self.switching.retain(|_, switching| switching.until + LATEST * 4 > now);
        let allowed = wanted.into_iter().collect();
        self.switching.insert(talk, Switching { plug: plug.clone(), allowed, until });
        Ok(())
    }

    /// Whom a conversation that may move relays is with.
    pub(crate) fn switching(&self, talk: Option<u64>) -> Option<&PlugId> {
        self.switching.get(&talk?).map(|switching| &switching.plug)
    }

    /// A relay moved by a request.
    pub(crate) fn moved(
        &self,
        now: Duration,
        plug: usize,
        wanted: Option<usize>,
        port: u8,
        on: bool,
        talk: Option<u64>,
    ) -> Checked {
        let Some(switching) = talk.and_then(|talk| self.switching.get(&talk)) else {
            return Err(Broken::of(2, format!("plug {plug} port {port} moved without a command")));
        };
        let nameless = talk.is_some_and(|talk| self.nameless.contains(&talk));
        if wanted != Some(plug) && !nameless && !self.misled.contains(&switching.plug) {
            let whom = &switching.plug;
            return Err(Broken::of(2, format!("plug {plug} port {port} moved, but {whom} was meant")));
        }
        if !switching.allowed.contains(&(port, on)) {
            return Err(Broken::of(2, format!("plug {plug} port {port} went {on} against {switching:?}")));
        }
        if now > switching.until + LATEST + SLACK {
            return Err(Broken::of(2, format!("plug {plug} port {port} moved after the deadline")));
        }
        Ok(())
    }

    /// What a plug said last of its power.
    pub(crate) fn said_watts(&self, plug: &PlugId) -> Vec<f64> {
        self.said.get(plug).map(|(_, said)| said.watts.clone()).unwrap_or_default()
    }

    /// A conversation brought an answer: who was asked twice who it is, and did not say, is believed.
    pub(crate) fn believed(&mut self, talk: u64, plug: &PlugId, owner: Option<usize>, speaker: usize) {
        let nameless = self.nameless.remove(&talk);
        if owner == Some(speaker) {
            self.misled.remove(plug);
        } else if nameless {
            self.meters.lose(plug);
            self.misled.insert(plug.clone());
            self.widened.insert(plug.clone());
        }
    }

    /// A conversation brought a reading.
    pub(crate) fn read(
        &mut self,
        now: Duration,
        talk: u64,
        plug: &PlugId,
        owner: Option<usize>,
        said: Option<Said>,
    ) -> Checked {
        self.polls += 1;
        let Some(said) = said else {
            return Err(Broken::of(3, format!("a reading of {plug} that no plug has said")));
        };
        self.believed(talk, plug, owner, said.plug);
        if owner != Some(said.plug) && !self.misled.contains(plug) {
            return Err(Broken::of(3, format!("what plug {} said is taken for {plug}'s word", said.plug)));
        }
        for command in self.commands.iter_mut().filter(|c| c.ended.is_none() && c.plug == *plug) {
            let there = (1u8..).zip(&said.relays).filter(|(port, on)| command.covers(*port, **on));
            let there: Vec<u8> = there.map(|(port, _)| port).collect();
            command.seen.extend(there);
        }
        self.guard.read(now, plug, &said);
        self.said.insert(plug.clone(), (now, said));
        Ok(())
    }

    /// The bridge publishes.
    pub(crate) fn published(
        &mut self,
        now: Duration,
        view: &View,
        topic: &str,
        payload: &str,
        retain: bool,
    ) -> Checked {
        if payload.is_empty() {
            self.announced.remove(topic);
        }
        if retain {
            self.meters.told(topic, payload)?;
        }
        if !retain || payload.is_empty() {
            return Ok(());
        }
        if topic.starts_with(PREFIX) {
            return self.announces(now, topic, payload);
        }
        let rest = topic.strip_prefix(BASE).and_then(|rest| rest.strip_prefix('/'));
        let Some((id, tail)) = rest.and_then(|rest| rest.split_once('/')) else { return Ok(()) };
        let Some(id) = PlugId::new(id) else { return Ok(()) };
        let Some(plug) = view.plugs.get(&id) else {
            return Err(Broken::of(5, format!("{topic} = {payload}, and there is no such plug")));
        };
        let truth = match tail.split_once('/') {
            None if tail == "availability" => Some(if plug.online { "online" } else { "offline" }.to_owned()),
            Some((port, what)) => {
                let port = port.parse::<usize>().ok().and_then(|port| port.checked_sub(1));
                let Some(shown) = port.and_then(|index| plug.ports.get(index)) else { return Ok(()) };
                match what {
                    "state" => Some(shown.relay.map_or("None", |on| if on { "ON" } else { "OFF" }).into()),
                    "power" => {
                        let told = payload.parse::<f64>().unwrap_or(f64::NAN);
                        let near = shown.watts.is_some_and(|watts| (watts - told).abs() < 0.001);
                        Some(if near { payload.to_owned() } else { format!("{:?}", shown.watts) })
                    }
                    _ => None,
                }
            }
            None => None,
        };
        match truth.filter(|truth| truth != payload) {
            Some(truth) => Err(Broken::of(3, format!("{topic} = {payload}, known is {truth}"))),
            None => Ok(()),
        }
    }

    /// A discovery message: its entities stay who they are.
    fn announces(&mut self, now: Duration, topic: &str, payload: &str) -> Checked {
        let Ok(message) = serde_json::from_str::<Value>(payload) else {
            return Err(Broken::of(5, format!("{topic} is no JSON")));
        };
        if message.get("migrate_discovery").is_some() {
            return Ok(());
        }
        let mut ids = BTreeSet::new();
        unique_ids(&message, &mut ids);
        let before = self.announced.insert(topic.to_owned(), ids.clone());
        if before.as_ref().is_some_and(|before| !ids.is_subset(before)) {
            self.grown.push((now, topic.to_owned()));
        }
        let widened = self.widened.iter().any(|plug| topic.contains(plug.as_str()));
        match before.filter(|before| !self.twins && !widened && !before.is_subset(&ids)) {
            Some(before) => {
                let gone: Vec<_> = before.difference(&ids).collect();
                Err(Broken::of(5, format!("{topic} has lost the entities {gone:?}")))
            }
            None => Ok(()),
        }
    }

    /// Forms of announcements change: entities may move from one topic to another.
    pub(crate) fn reshaped(&mut self) {
        self.announced.clear();
    }

    /// The bridge is killed. What a plug showed that it can do a moment ago was not written down
    /// and must be learnt again.
    pub(crate) fn killed(&mut self, now: Duration) {
        self.crashed = true;
        for (at, topic) in std::mem::take(&mut self.grown) {
            if now.saturating_sub(at) < WRITTEN_AFTER {
                self.announced.remove(&topic);
            }
        }
    }
}

fn unique_ids(value: &Value, ids: &mut BTreeSet<String>) {
    match value {
        Value::Object(all) => {
            ids.extend(all.get("uniq_id").and_then(Value::as_str).map(str::to_owned));
            all.values().for_each(|value| unique_ids(value, ids));
        }
        Value::Array(all) => all.iter().for_each(|value| unique_ids(value, ids)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl World {
    /// The picture has changed: whatever is new in it was said by the plug.
    pub(crate) fn check_view(&mut self, old: &View, new: &View) -> Checked {
        for (id, plug) in &new.plugs {
            let before = old.plugs.get(id);
            if before.is_some_and(|before| Arc::ptr_eq(before, plug)) {
                continue;
            }
            self.check_plug(id, before.map(|before| &**before), plug)?;
        }
        self.check.meters.adds_up(new)?;
        if new.plugs.len() > self.plugs.len() + 1 {
            return Err(Broken::of(5, format!("{} plugs are shown", new.plugs.len())));
        }
        Ok(())
    }

    fn check_plug(&self, id: &PlugId, old: Option<&PlugView>, new: &PlugView) -> Checked {
        let said = self.check.said.get(id).map(|(_, said)| said);
        if self.check.misled.contains(id) {
            return Ok(());
        }
        let own = said.map_or(usize::MAX, |said| said.relays.len());
        let own = if self.check.widened.contains(id) { own } else { usize::MAX };
        for (index, port) in new.ports.iter().enumerate().take(own) {
            let before = old.and_then(|old| old.ports.get(index));
            if let Some(on) = port.relay {
                let tells = said.is_some_and(|said| said.tells_relays);
                let word = said.and_then(|said| said.relays.get(index).copied());
                // One that does not tell its relays is believed what it acknowledged and draws.
                if said.is_none() || (tells && word != Some(on)) {
                    let what = format!("{id} port {} is shown {on}, said was {word:?}", index + 1);
                    return Err(Broken::of(3, what));
                }
            }
            if let Some(watts) = port.watts
                && before.and_then(|before| before.watts) != Some(watts)
            {
                let word = said.and_then(|said| said.watts.get(index).copied());
                // An SP3S cuts off what is below ten milliwatts.
                if word.is_none_or(|word| (word - watts).abs() > 0.0101) {
                    let what = format!("{id} port {} is shown {watts} W, said was {word:?}", index + 1);
                    return Err(Broken::of(3, what));
                }
            }
        }
        Ok(())
    }

    /// All troubles have been over for a while: what the broker retains is what the plugs are.
    pub(crate) fn finish(&mut self) -> Checked {
        tell!(self, "the end");
        let Some(bridge) = &self.bridge else { return Err(Broken::of(3, "the bridge does not run")) };
        if bridge.link.is_none() {
            return Err(Broken::of(3, "the bridge is not connected to the broker"));
        }
        let view = Arc::clone(&bridge.view);
        let retained = &self.broker.retained;
        let shows = |topic: String, wanted: &str| {
            let is = retained.get(&topic).map(String::as_str);
            if is == Some(wanted) {
                Ok(())
            } else {
                Err(Broken::of(3, format!("{topic} is {is:?}, the truth is {wanted}")))
            }
        };
        shows(format!("{BASE}/bridge/state"), "online")?;
        let now_s = self.now_s();
        let mut known = BTreeSet::new();
        for id in view.plugs.keys() {
            let Some(place) = self.owner(id) else {
                return Err(Broken::of(5, format!("{id} is shown and there is no such plug")));
            };
            known.insert(place);
        }
        for (place, model) in self.plugs.iter().enumerate() {
            if model.here && !known.contains(&place) {
                return Err(Broken::of(3, format!("plug {place} is there and not shown")));
            }
        }
        let slack = self.plan.rules.power_change + 0.02;
        for id in view.plugs.keys() {
            let Some(model) = self.owner(id).map(|place| &self.plugs[place]) else { continue };
            let online = if model.reachable(now_s) { "online" } else { "offline" };
            shows(format!("{BASE}/{id}/availability"), online)?;
            if !model.here {
                continue;
            }
            let watts = model.watts(now_s);
            for (index, (on, watts)) in model.relays().iter().zip(watts).enumerate() {
                let port = index + 1;
                if model.tells_relays() {
                    shows(format!("{BASE}/{id}/{port}/state"), if *on { "ON" } else { "OFF" })?;
                }
                let steady = matches!(
                    model.loads[index],
                    plug2mqtt::sim::Load::Nothing | plug2mqtt::sim::Load::Constant { .. }
                );
                let told = retained.get(&format!("{BASE}/{id}/{port}/power"));
                let told = told.and_then(|told| told.parse::<f64>().ok());
                // What it draws now is asked for a moment after it was switched.
                let since_ms = view.plugs.get(id).and_then(|plug| plug.ports.get(index)?.since_ms);
                let lately = since_ms.is_some_and(|ms| self.unix_ms().saturating_sub(ms) < 10_000);
                let wrong = !lately && told.is_none_or(|told| (told - watts).abs() > slack);
                if steady && model.meters() && wrong {
                    return Err(Broken::of(3, format!("{id} port {port} draws {watts} W, told is {told:?}")));
                }
            }
        }
        self.check_energy(&view)?;
        self.nothing_is_left(&view)
    }

    /// Every retained topic has an owner.
    fn nothing_is_left(&self, view: &View) -> Checked {
        let mut owned: BTreeSet<String> = ["state", "info", "devices", "health", "problem"]
            .map(|tail| format!("{BASE}/bridge/{tail}"))
            .into();
        let announcer = &self.plan.settings.announcer;
        owned.extend(announcer.bridge().map(|message| message.topic));
        for (id, plug) in &view.plugs {
            owned.extend(announcer.messages(plug).into_iter().map(|message| message.topic));
            let tails =
                ["state", "availability", "info", "power", "energy", "problem", "latency", "last_seen"];
            let slow = ["clock_drift", "leader", "leader_limit", "presence_simulation"];
            owned.extend(tails.iter().chain(&slow).map(|tail| format!("{BASE}/{id}/{tail}")));
            for port in 0..=plug.offer.ports {
                let tails = [
                    "state",
                    "power",
                    "current",
                    "energy",
                    "countdown",
                    "countdown_end",
                    "energy_today",
                    "energy_month",
                ];
                owned.extend(tails.iter().map(|tail| format!("{BASE}/{id}/{port}/{tail}")));
            }
        }
        match self.broker.retained.keys().find(|topic| !owned.contains(*topic)) {
            Some(topic) => Err(Broken::of(5, format!("{topic} is retained and nobody owns it"))),
            None => Ok(()),
        }
    }
}
