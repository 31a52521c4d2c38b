//! What stands behind the messages of a simulated Meross plug: relays, meter, clock, schedule, and its answer to each
//! namespace.
//!
//! Refuses to know keys, signatures and transports: it is told what is asked and says the payload of the answer.

use super::clock::Clock;
use super::kind::{Kind, Measures, Relays};
use super::meter::{Records, When};
use super::schedule::{List, Schedule};
use super::tell::{self, Gateway};
use super::wire::number;
use crate::sim::load::Load;
use serde_json::Value;
use std::collections::VecDeque;

const SWITCHED_KEPT: usize = 1024;
const PUSHES_KEPT: usize = 64;
/// How long a lingering meter tells the power before it was switched, in seconds.
const LINGERS_S: u64 = 3;
const DECIVOLTS: u32 = 2_300;
const NO_CHANNEL: u64 = 4_294_967_295;

/// A relay command that was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Toggled {
    /// The channel as commanded.
    pub channel: usize,
    /// Whether it was switched on.
    pub on: bool,
}

#[derive(Clone, Copy, Debug)]
struct Relay {
    on: bool,
    changed: u64,
}

/// Something said to whoever listens at the broker: namespace and payload.
pub(super) type Push = (&'static str, String);

/// The state of a plug.
#[derive(Clone, Debug)]
pub(super) struct Appliance {
    kind: &'static Kind,
    uuid: String,
    mac: String,
    ip: String,
    gateway: Gateway,
    online: bool,
    clock: Clock,
    /// Channel 0 first; that of a strip stands for all and shows what was last said to it.
    relays: Vec<Relay>,
    loads: Vec<Load>,
    records: Vec<Records>,
    schedule: Schedule,
    hurry: u64,
    led_off: u64,
    over_temp: u64,
    signal: u64,
    next: u64,
    lingering: Option<(u64, u32)>,
    pushes: VecDeque<Push>,
    toggled: VecDeque<Toggled>,
}

impl Appliance {
    pub(super) fn new(kind: &'static Kind, uuid: &str, mac: &str, servers: Option<u64>) -> Self {
        let channels = if kind.has_master() { kind.outlets + 1 } else { kind.outlets };
        Self {
            kind,
            uuid: uuid.into(),
            mac: mac.into(),
            ip: "127.0.0.1".into(),
            gateway: Gateway::default(),
            online: false,
            clock: Clock::new(servers),
            relays: vec![Relay { on: true, changed: 0 }; channels],
            loads: vec![Load::Nothing; kind.outlets],
            records: vec![Records::new(); kind.outlets],
            schedule: Schedule::default(),
            hurry: 1,
            led_off: 0,
            over_temp: 1,
            signal: 76,
            next: 0,
            lingering: None,
            pushes: VecDeque::new(),
            toggled: VecDeque::new(),
        }
    }

    pub(super) fn mac(&self) -> &str {
        &self.mac
    }

    pub(super) fn ip(&self) -> &str {
        &self.ip
    }

    pub(super) fn set_ip(&mut self, ip: &str) {
        ip.clone_into(&mut self.ip);
    }

    pub(super) fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    pub(super) fn set_gateway(&mut self, gateway: Gateway) {
        self.gateway = gateway;
    }

    pub(super) fn set_online(&mut self, online: bool) {
        self.online = online;
    }

    pub(super) fn set_servers(&mut self, servers: Option<u64>) {
        self.clock = Clock::new(servers);
    }

    pub(super) fn set_hurry(&mut self, times: u64) {
        self.hurry = times;
    }

    pub(super) fn carry_days(&mut self) {
        self.records.iter_mut().for_each(Records::carry);
    }

    pub(super) fn lose_today(&mut self, second: u64) {
        let local = self.clock.local(second);
        self.records.iter_mut().for_each(|records| records.lose(local));
    }

    pub(super) fn plug_in(&mut self, outlet: usize, load: Load) {
        if let Some(place) = outlet.checked_sub(1).and_then(|place| self.loads.get_mut(place)) {
            *place = load;
        }
    }

    pub(super) fn set_relays(&mut self, on: bool) {
        self.relays.iter_mut().for_each(|relay| relay.on = on);
    }

    /// Whether the relay of this channel is closed.
    pub(super) fn relay(&self, channel: usize) -> Option<bool> {
        self.relays.get(channel).map(|relay| relay.on).filter(|_| self.kind.relays != Relays::None)
    }

    pub(super) fn toggled(&self) -> impl Iterator<Item = Toggled> + '_ {
        self.toggled.iter().copied()
    }

    /// Watt-hours truly drawn, all outlets together.
    pub(super) fn drawn_wh(&self) -> u64 {
        self.records.iter().map(Records::total_wh).sum()
    }

    pub(super) fn pushes(&mut self) -> impl Iterator<Item = Push> + '_ {
        self.pushes.drain(..)
    }

    /// What it knows about the time, for messages.
    pub(super) fn timestamp(&self, second: u64) -> u64 {
        self.clock.now(second)
    }

    /// Is told the time by a broker.
    pub(super) fn hear_clock(&mut self, second: u64, now: u64) {
        self.clock.set(second, now);
    }

    /// Starts anew: the relays as they were, unless its memory ran over.
    pub(super) fn restart(&mut self, second: u64, relays_fall: bool) {
        self.clock.restart(second);
        self.online = false;
        self.pushes.clear();
        if relays_fall {
            self.set_relays(false);
        }
    }

    /// The channel of an outlet, which has a number from 1.
    pub(super) fn channel(&self, outlet: usize) -> Option<usize> {
        let place = outlet.checked_sub(1).filter(|place| *place < self.kind.outlets)?;
        Some(if self.kind.has_master() { outlet } else { place })
    }

    /// The power of an outlet, with a number from 1, in milliwatts.
    pub(super) fn milliwatts(&self, outlet: usize, second: u64) -> u32 {
        let on =
            self.channel(outlet).and_then(|channel| self.relays.get(channel)).is_some_and(|relay| relay.on);
        let load = outlet.checked_sub(1).and_then(|place| self.loads.get(place)).copied();
        load.filter(|_| on).map_or(0, |load| load.milliwatts(outlet, second * self.hurry))
    }

    fn measures(&self) -> bool {
        self.clock.is_set() && (self.clock.has_zone() || !self.kind.needs_zone)
    }

    /// Lives until this second.
    pub(super) fn live(&mut self, second: u64) {
        while self.next < second {
            let at = self.next;
            self.next += 1;
            let local = self.clock.local(at);
            let calendar = (self.clock.is_set() && local.is_multiple_of(60))
                .then(|| (local % 86_400 / 60, weekday(local)));
            for (channel, on) in self.schedule.due(at, calendar) {
                self.switch(at, usize::try_from(channel).unwrap_or(usize::MAX), on);
            }
            if self.kind.measures != Measures::Nothing && self.measures() {
                let when = When { now: self.clock.now(at), local };
                for outlet in 1..=self.kind.outlets {
                    let milliwatts = self.milliwatts(outlet, at);
                    if let Some(records) = self.records.get_mut(outlet - 1) {
                        records.count(when, milliwatts);
                    }
                }
            }
        }
    }

    /// Switches a channel, whoever wants it, and tells it. No such channel, no effect.
    pub(super) fn switch(&mut self, second: u64, channel: usize, on: bool) -> bool {
        if self.relay(channel).is_none() {
            return false;
        }
        if self.kind.lingers {
            self.lingering = Some((second + LINGERS_S, self.milliwatts(1, second)));
        }
        let now = self.clock.now(second);
        let weekday = weekday(self.clock.local(second));
        let all = self.kind.has_master() && channel == 0;
        for (place, relay) in self.relays.iter_mut().enumerate() {
            if all || place == channel {
                *relay = Relay { on, changed: now };
                self.schedule.switched(place as u64, on, second, weekday);
            }
        }
        if self.toggled.len() == SWITCHED_KEPT {
            self.toggled.pop_front();
        }
        self.toggled.push_back(Toggled { channel, on });
        let push = match self.kind.relays {
            Relays::Toggle => ("Appliance.Control.Toggle", format!(r#"{{"toggle":{}}}"#, self.toggle())),
            _ if all => ("Appliance.Control.ToggleX", format!(r#"{{"togglex":{}}}"#, self.all_togglex())),
            Relays::List => {
                ("Appliance.Control.ToggleX", format!(r#"{{"togglex":[{}]}}"#, self.togglex(channel)))
            }
            Relays::One | Relays::None => {
                ("Appliance.Control.ToggleX", format!(r#"{{"togglex":{}}}"#, self.togglex(channel)))
            }
        };
        if self.pushes.len() == PUSHES_KEPT {
            self.pushes.pop_front();
        }
        self.pushes.push_back(push);
        true
    }

    fn toggle(&self) -> String {
        let relay = self.relays.first().copied().unwrap_or(Relay { on: false, changed: 0 });
        format!(r#"{{"onoff":{},"lmTime":{}}}"#, u8::from(relay.on), relay.changed)
    }

    fn togglex(&self, channel: usize) -> String {
        let relay = self.relays.get(channel).copied().unwrap_or(Relay { on: false, changed: 0 });
        format!(r#"{{"channel":{channel},"onoff":{},"lmTime":{}}}"#, u8::from(relay.on), relay.changed)
    }

    fn all_togglex(&self) -> String {
        let all: Vec<String> = (0..self.relays.len()).map(|channel| self.togglex(channel)).collect();
        format!("[{}]", all.join(","))
    }

    /// The payload of the answer to a GET; `None` closes the connection.
    pub(super) fn get(&self, second: u64, namespace: &str, payload: &Value) -> Option<String> {
        let wrap = |key: &str, value: String| Some(format!(r#"{{"{key}":{value}}}"#));
        match namespace {
            "System.All" => wrap("all", self.all(second)),
            "System.Hardware" => wrap("hardware", self.hardware()),
            "System.Firmware" => wrap("firmware", self.firmware()),
            "System.Time" => wrap("time", self.clock.tell(second)),
            "System.Online" => wrap("online", tell::online(self.kind, self.online)),
            "System.Debug" => {
                let (up_s, offset_s) = (self.clock.up_s(second), self.clock.offset_s(self.clock.now(second)));
                wrap("debug", tell::debug(self.kind, &self.gateway, &self.ip, self.signal, (up_s, offset_s)))
            }
            "System.Runtime" => wrap("runtime", tell::runtime(self.kind, self.signal)),
            "System.Position" => wrap("position", r#"{"longitude":0,"latitude":0}"#.into()),
            "System.DNDMode" => wrap("DNDMode", format!(r#"{{"mode":{}}}"#, self.led_off)),
            "Control.Toggle" => wrap("toggle", self.toggle()),
            "Control.ToggleX" => Some(self.tell_togglex(payload)),
            "Control.Electricity" => wrap("electricity", self.electricity(second)),
            "Control.ElectricityX" => wrap("electricity", self.circuits(second)),
            "Control.ConsumptionX" => wrap("consumptionx", self.records.first()?.tell_days()),
            "Control.ConsumptionH" => wrap("consumptionH", self.hours(payload)),
            "Control.ConsumptionConfig" => wrap("config", tell::calibration(self.kind)?),
            "Control.CircuitFactor" => {
                let circuits =
                    (1..=self.kind.outlets).map(|one| format!(r#"{{"channel":{one},"factor":1}}"#));
                wrap("circuitFactor", format!("[{}]", circuits.collect::<Vec<_>>().join(",")))
            }
            "Control.Timer" => wrap("timer", self.schedule.tell_old(List::Timers)),
            "Control.Trigger" => wrap("trigger", self.schedule.tell_old(List::Triggers)),
            "Control.TimerX" => Some(self.schedule.tell(List::Timers, id(payload, List::Timers))),
            "Control.TriggerX" => Some(self.schedule.tell(List::Triggers, id(payload, List::Triggers))),
            "Digest.TimerX" => wrap("digest", self.schedule.digest(List::Timers)),
            "Digest.TriggerX" => wrap("digest", self.schedule.digest(List::Triggers)),
            "Config.OverTemp" => wrap("overTemp", format!(r#"{{"enable":{},"type":1}}"#, self.over_temp)),
            "Config.Info" => wrap("info", r#"{"homekit":{}}"#.into()),
            "Config.Trace" => wrap("trace", r#"{"ssid":"","bssid":"","rssi":"0","code":0,"info":""}"#.into()),
            "Encrypt.Suite" => wrap("suite", r#"{"ka":"ecdhe256","se":"mrskey","ds":""}"#.into()),
            // What captures show to be closed, and what nobody has asked.
            _ => None,
        }
    }

    /// Carries out a SET; `None` closes the connection.
    pub(super) fn set(&mut self, second: u64, namespace: &str, payload: &Value) -> Option<()> {
        match namespace {
            "System.Time" => self.clock.take(second, payload.get("time").filter(|time| time.is_object())?),
            "System.Position" => drop(payload.get("position")?),
            "System.DNDMode" => self.led_off = number(payload.get("DNDMode")?, "mode")?,
            "Config.OverTemp" => self.over_temp = number(payload.get("overTemp")?, "enable")?,
            "Control.Toggle" => self.command(second, 0, number(payload.get("toggle")?, "onoff")?)?,
            "Control.ToggleX" => {
                let one = payload.get("togglex").filter(|one| one.is_object())?;
                self.command(second, number(one, "channel")?, number(one, "onoff")?)?;
            }
            "Control.Timer" => self.schedule.set_old(List::Timers, payload.get("timer")?.as_array()?)?,
            "Control.Trigger" => {
                self.schedule.set_old(List::Triggers, payload.get("trigger")?.as_array()?)?
            }
            "Control.TimerX" => self.schedule.set(List::Timers, payload.get("timerx")?)?,
            "Control.TriggerX" => self.schedule.set(List::Triggers, payload.get("triggerx")?)?,
            _ => return None,
        }
        Some(())
    }

    /// Carries out a DELETE, which the vendor's app sends for timers and rules.
    pub(super) fn delete(&mut self, namespace: &str, payload: &Value) -> Option<()> {
        let list = match namespace {
            "Control.TimerX" => List::Timers,
            "Control.TriggerX" => List::Triggers,
            _ => return None,
        };
        self.schedule.delete(list, Some(id(payload, list)).filter(|id| !id.is_empty())?);
        Some(())
    }

    /// What a request by PUSH is answered with.
    pub(super) fn query(&self, namespace: &str) -> Option<String> {
        (namespace == "Config.StandbyKiller")
            .then(|| r#"{"config":[{"channel":0,"power":0,"time":300,"enable":2,"alert":2}]}"#.into())
    }

    /// An `onoff` that is neither leaves the relay, as one report says.
    fn command(&mut self, second: u64, channel: u64, onoff: u64) -> Option<()> {
        let channel = usize::try_from(channel).ok()?;
        self.relay(channel)?;
        if onoff < 2 {
            self.switch(second, channel, onoff == 1);
        }
        Some(())
    }

    fn tell_togglex(&self, payload: &Value) -> String {
        let channel = payload.pointer("/togglex/channel").and_then(Value::as_u64);
        let channel =
            channel.and_then(|channel| usize::try_from(channel).ok()).filter(|one| *one < self.relays.len());
        match self.kind.relays {
            Relays::One if !self.kind.has_master() || channel.is_some() => {
                let channel = channel.unwrap_or(0);
                format!(r#"{{"channel":{channel},"togglex":{}}}"#, self.togglex(channel))
            }
            Relays::Toggle | Relays::One | Relays::List | Relays::None => {
                format!(r#"{{"channel":{NO_CHANNEL},"togglex":{}}}"#, self.all_togglex())
            }
        }
    }

    fn all(&self, second: u64) -> String {
        let (hardware, firmware, online) =
            (self.hardware(), self.firmware(), tell::online(self.kind, self.online));
        let time = self.clock.tell(second);
        let system = format!(
            r#""system":{{"hardware":{hardware},"firmware":{firmware},"time":{time},"online":{online}}}"#
        );
        let schedule = &self.schedule;
        let (timers, triggers) = (schedule.digest(List::Timers), schedule.digest(List::Triggers));
        let rest = match self.kind.relays {
            Relays::Toggle => {
                let (timers, triggers) = (schedule.tell_old(List::Timers), schedule.tell_old(List::Triggers));
                format!(r#""control":{{"toggle":{},"trigger":{triggers},"timer":{timers}}}"#, self.toggle())
            }
            Relays::None => r#""digest":{}"#.into(),
            // The MSS305 tells no more; the MSS110 does.
            Relays::List if self.kind.measures != Measures::Nothing => {
                format!(r#""digest":{{"togglex":{}}}"#, self.all_togglex())
            }
            Relays::One | Relays::List => format!(
                r#""digest":{{"togglex":{},"triggerx":{triggers},"timerx":{timers}}}"#,
                self.all_togglex()
            ),
        };
        format!("{{{system},{rest}}}")
    }

    pub(super) fn hardware(&self) -> String {
        tell::hardware(self.kind, &self.uuid, &self.mac)
    }

    pub(super) fn firmware(&self) -> String {
        tell::firmware(self.kind, &self.gateway, &self.ip)
    }

    pub(super) fn time(&self, second: u64) -> String {
        self.clock.tell(second)
    }

    fn electricity(&self, second: u64) -> String {
        let mut milliwatts = self.milliwatts(1, second);
        if let Some((_, before)) = self.lingering.filter(|(until, _)| second < *until) {
            milliwatts = before;
        }
        let decivolts = if self.measures() { DECIVOLTS } else { 0 };
        let milliwatts = if self.measures() { milliwatts } else { 0 };
        let milliamps = milliamps(milliwatts);
        let config =
            tell::calibration(self.kind).map(|config| format!(r#","config":{config}"#)).unwrap_or_default();
        format!(r#"{{"channel":0,"current":{milliamps},"voltage":{decivolts},"power":{milliwatts}{config}}}"#)
    }

    fn circuits(&self, second: u64) -> String {
        let circuit = |channel: usize| {
            let milliwatts = if self.measures() { self.milliwatts(channel, second) } else { 0 };
            let millivolts = if self.measures() { DECIVOLTS * 100 } else { 0 };
            let wh =
                channel.checked_sub(1).and_then(|place| self.records.get(place)).map_or(0, Records::total_wh);
            format!(
                r#"{{"channel":{channel},"current":{},"voltage":{millivolts},"power":{milliwatts},"mConsume":{wh},"factor":{}}}"#,
                milliamps(milliwatts),
                if milliwatts == 0 { "0" } else { "0.9" }
            )
        };
        format!("[{}]", (1..=self.kind.outlets).map(circuit).collect::<Vec<_>>().join(","))
    }

    fn hours(&self, payload: &Value) -> String {
        let circuits = self.kind.measures == Measures::Circuits;
        let wanted = payload.get("consumptionH").and_then(Value::as_array);
        let wanted: Vec<u64> =
            wanted.into_iter().flatten().filter_map(|one| number(one, "channel")).collect();
        let first = usize::from(circuits);
        let all = (first..)
            .zip(&self.records)
            .filter(|(channel, _)| wanted.is_empty() || wanted.contains(&(*channel as u64)));
        let all: Vec<String> = all.map(|(channel, records)| records.tell_hours(channel, circuits)).collect();
        format!("[{}]", all.join(","))
    }
}

/// Nine tenths of what is drawn does work; there is a current of its own.
fn milliamps(milliwatts: u32) -> u32 {
    let current = u64::from(milliwatts) * 100 / (u64::from(DECIVOLTS) * 9);
    u32::try_from(current).unwrap_or(u32::MAX)
}

/// Sunday is 0; 1970 began on a Thursday.
fn weekday(local: u64) -> u64 {
    (local / 86_400 + 4) % 7
}

fn id(payload: &Value, list: List) -> &str {
    payload.get(list.key()).and_then(|one| one.get("id")).and_then(Value::as_str).unwrap_or_default()
}
