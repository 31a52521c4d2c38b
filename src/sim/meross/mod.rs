//! Simulated Meross plugs, strips and a meter: signed JSON over HTTP, encrypted where firmware wants it, a search by
//! datagram, and the plug's side of MQTT as messages.
//!
//! `Meross` owns keys, identity and transports and says which requests are heard; `appliance` answers them. It refuses
//! to know sockets and real time: whoever calls brings the seconds since the plug was put into service.

mod ability;
mod appliance;
mod clock;
mod crypt;
mod firmware;
mod kind;
mod meter;
mod mqtt;
mod schedule;
mod tell;
mod wire;

pub use appliance::Toggled;
pub use kind::{Head, Kind, Measures, Relays, TooLong};
pub use mqtt::{Deed, Login};
pub use tell::Gateway;

use super::load::Load;
use super::model::{Model, Request};
use super::{BOOT_S, clock as seconds};
use appliance::Appliance;
use firmware::Firmware;
use mqtt::{Say, Session};
use wire::Heard;

/// A longer reply does not fit into a plug's memory; two captured failures lie between this and 3 kB.
const LONGEST_REPLY: usize = 2_200;
/// The same on the processor of the meter, which nobody has measured.
const LONGEST_REPLY_ESP: usize = 6_000;
/// A simulated plug of the family.
#[derive(Clone, Debug)]
pub struct Meross {
    kind: &'static Kind,
    firmware: Firmware,
    session: Session,
    silent_on_udp: bool,
    reboots_when_confused: bool,
    up_from_s: f64,
    requests: u64,
}

impl Meross {
    /// A plug of this kind with this number at the end of uuid and address, paired under the key `pippo`, on, with
    /// the time from servers and no zone.
    pub fn new(kind: &'static Kind, number: u8) -> Self {
        let uuid = format!("0123456789012345678902000000{:02x}{number:02x}", 0x4d);
        let mac = format!("02:00:00:00:4d:{number:02x}");
        let appliance = Appliance::new(kind, &uuid, &mac, Some(1_795_219_200));
        Self {
            kind,
            firmware: Firmware::new(kind, &uuid, appliance),
            session: Session::new(),
            silent_on_udp: !kind.answers_search,
            reboots_when_confused: false,
            up_from_s: 0.0,
            requests: 0,
        }
    }

    /// Pairs it under this key.
    pub fn with_key(mut self, key: &str) -> Self {
        self.firmware.pair(Some(key));
        self
    }

    /// As it comes from the factory: no key, and no signature is checked.
    pub fn unpaired(mut self) -> Self {
        self.firmware.pair(None);
        self
    }

    /// Where time servers answer, and what they show at second 0, UTC; `None` where they are blocked.
    pub fn with_time(mut self, unix_s: Option<u64>) -> Self {
        self.firmware.appliance.set_servers(unix_s);
        self
    }

    /// Gives it another identity, before anything else is set; the MAC stays.
    pub fn with_uuid(mut self, uuid: &str) -> Self {
        let appliance = Appliance::new(self.kind, uuid, &self.mac(), Some(1_795_219_200));
        self.firmware = Firmware::new(self.kind, uuid, appliance);
        self
    }

    /// The address it tells.
    pub fn at(mut self, ip: &str) -> Self {
        self.firmware.appliance.set_ip(ip);
        self
    }

    /// Plugs something into an outlet, with a number from 1.
    pub fn load(mut self, outlet: usize, load: Load) -> Self {
        self.firmware.appliance.plug_in(outlet, load);
        self
    }

    /// Sets all relays.
    pub fn with_relays(mut self, on: bool) -> Self {
        self.firmware.appliance.set_relays(on);
        self
    }

    /// Lets the loads live this many times faster.
    pub fn living_faster(mut self, times: u32) -> Self {
        self.firmware.appliance.set_hurry(u64::from(times.max(1)));
        self
    }

    /// The first figure of a day carries that of the day before, as on 2.1.15.
    pub fn carrying_days(mut self) -> Self {
        self.firmware.appliance.carry_days();
        self
    }

    /// Answers no search, as most.
    pub fn silent_on_udp(mut self) -> Self {
        self.silent_on_udp = true;
        self
    }

    /// Answers a search, though its kind was not seen to.
    pub fn answering_searches(mut self) -> Self {
        self.silent_on_udp = false;
        self
    }

    /// Restarts on what it does not understand.
    pub fn rebooting_when_confused(mut self) -> Self {
        self.reboots_when_confused = true;
        self
    }

    /// Signs its answers with something else than its key, as some firmware does.
    pub fn signing_wrongly(mut self) -> Self {
        self.firmware.sign_wrongly();
        self
    }

    /// Its kind.
    pub fn kind(&self) -> &'static Kind {
        self.kind
    }

    /// Its identity.
    pub fn uuid(&self) -> &str {
        self.firmware.uuid()
    }

    /// Its hardware address.
    pub fn mac(&self) -> String {
        self.firmware.appliance.mac().to_owned()
    }

    /// Its key, empty while it has none.
    pub fn key(&self) -> &str {
        self.firmware.key()
    }

    /// The broker it calls.
    pub fn gateway(&self) -> &Gateway {
        self.firmware.appliance.gateway()
    }

    /// The network it was told to join: name and password.
    pub fn wifi(&self) -> Option<(&str, &str)> {
        self.firmware.wifi().map(|(name, password)| (name.as_str(), password.as_str()))
    }

    /// Whether what is said to it over the LAN must be encrypted.
    pub fn encrypts(&self) -> bool {
        self.firmware.encrypts()
    }

    /// Whether the relay of a channel is closed.
    pub fn relay(&self, channel: usize) -> Option<bool> {
        self.firmware.appliance.relay(channel)
    }

    /// The latest relay commands, oldest first, whoever gave them.
    pub fn toggled(&self) -> impl Iterator<Item = Toggled> + '_ {
        self.firmware.appliance.toggled()
    }

    /// Requests that reached it by any way.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// How often it was thrown back to the factory's state.
    pub fn resets(&self) -> u64 {
        self.firmware.resets()
    }

    /// Watt-hours that it has truly counted, all outlets together.
    pub fn drawn_wh(&mut self, now_s: f64) -> u64 {
        self.live(now_s);
        self.firmware.appliance.drawn_wh()
    }

    /// Plugs something else into an outlet.
    pub fn plug_in(&mut self, now_s: f64, outlet: usize, load: Load) {
        self.live(now_s);
        self.firmware.appliance.plug_in(outlet, load);
    }

    /// An update of its firmware brings encryption.
    pub fn update(&mut self, now_s: f64) {
        self.restart(now_s, false);
        self.firmware.update();
    }

    /// Loses the record of the running day.
    pub fn lose_today(&mut self, now_s: f64) {
        let second = self.live(now_s);
        self.firmware.appliance.lose_today(second);
    }

    /// Stays connected to its broker and hears nothing any more, or does again.
    pub fn set_deaf(&mut self, deaf: bool) {
        self.session.set_deaf(deaf);
    }

    fn live(&mut self, now_s: f64) -> u64 {
        let second = seconds::whole_seconds(now_s);
        self.firmware.appliance.live(second);
        second
    }

    fn restart(&mut self, now_s: f64, relays_fall: bool) {
        let second = self.live(now_s);
        self.up_from_s = now_s + BOOT_S;
        self.session.lost();
        self.firmware.restarted();
        self.firmware.appliance.restart(second + seconds::whole_seconds(BOOT_S), relays_fall);
    }

    /// Hears an HTTP POST and gives the whole reply; `None` closes the connection without a word.
    pub fn post(&mut self, now_s: f64, path: &str, body: &[u8]) -> Option<Vec<u8>> {
        let known = path == "/config" || (self.kind.refoss && path == "/public");
        if !self.is_up(now_s) || !known {
            return None;
        }
        self.requests += 1;
        let second = self.live(now_s);
        let answer = self.firmware.answer_post(second, body);
        if self.restart_if_asked(now_s) {
            // What it acknowledged before is still sent.
        } else if answer.is_none() && self.reboots_when_confused {
            self.restart(now_s, false);
        }
        let answer = answer?;
        let longest = if self.kind.refoss { LONGEST_REPLY_ESP } else { LONGEST_REPLY };
        let too_long = answer.len() > longest && !self.firmware.is_sealed(body);
        let answer = match self.kind.too_long {
            TooLong::Closes if too_long => return None,
            TooLong::Reboots if too_long => {
                self.restart(now_s, true);
                return None;
            }
            TooLong::Cuts if too_long => answer.get(..longest)?,
            TooLong::Closes | TooLong::Reboots | TooLong::Cuts => &answer,
        };
        Some(wire::http(self.kind.head, answer))
    }

    fn restart_if_asked(&mut self, now_s: f64) -> bool {
        let asked = self.firmware.take_restart();
        if let Some(relays_fall) = asked {
            self.restart(now_s, relays_fall);
        }
        asked.is_some()
    }

    /// How it logs in at its broker; `None` while nobody has told it one.
    pub fn login(&self) -> Option<Login> {
        let (key, gateway) = (self.firmware.key(), self.gateway());
        (self.firmware.has_key() && !gateway.host.is_empty()).then(|| Login {
            client_id: format!("fmware:{}_0123456789abcdef", self.uuid()),
            username: self.mac(),
            password: crypt::mqtt_password(&gateway.user, self.firmware.appliance.mac(), key),
            keep_alive_s: if self.kind.outlets > 1 { 30 } else { 120 },
            subscribes: self.firmware.topic("subscribe"),
        })
    }

    /// Is connected to its broker.
    pub fn mqtt_connected(&mut self, now_s: f64) {
        let second = self.live(now_s);
        self.session.connected(self.kind, second);
        self.firmware.appliance.set_online(true);
        // What happened while it was away is not told.
        self.firmware.appliance.pushes().for_each(drop);
    }

    /// Has lost its broker.
    pub fn mqtt_lost(&mut self) {
        self.session.lost();
        self.firmware.appliance.set_online(false);
    }

    /// What it does at its broker now; to be asked every second while it is connected.
    pub fn mqtt_due(&mut self, now_s: f64) -> Vec<Deed> {
        let second = self.live(now_s);
        if !self.session.is_connected() {
            return Vec::new();
        }
        let pushes: Vec<appliance::Push> = self.firmware.appliance.pushes().collect();
        let mut deeds = Vec::new();
        for say in self.session.say(self.kind, second) {
            deeds.extend(self.say(now_s, second, say));
        }
        if !self.session.is_deaf() {
            deeds.extend(
                pushes.into_iter().map(|(namespace, payload)| self.push(second, namespace, "PUSH", &payload)),
            );
        }
        deeds
    }

    /// Hears what its broker delivers. What was caused by it comes with the next `mqtt_due`.
    pub fn mqtt_hear(&mut self, now_s: f64, topic: &str, bytes: &[u8]) -> Vec<Deed> {
        if !self.is_up(now_s) || !self.session.is_connected() || self.session.is_deaf() {
            return Vec::new();
        }
        if topic != self.firmware.topic("subscribe") {
            return Vec::new();
        }
        self.requests += 1;
        let second = self.live(now_s);
        let Some(heard) = Heard::read(bytes) else {
            return self.confused(now_s);
        };
        let signed = heard.is_signed(self.key());
        match (heard.namespace.as_str(), heard.method.as_str()) {
            ("Appliance.System.Clock", "PUSH") if signed => {
                let now = heard.payload.get("clock").and_then(|clock| wire::number(clock, "timestamp"));
                if let Some(now) = now.filter(|_| self.session.hears_clock(second, &heard.message_id)) {
                    self.firmware.appliance.hear_clock(second, now);
                }
                Vec::new()
            }
            ("Appliance.Control.Bind", "SETACK") if signed => {
                let bound = self.session.hears_bound(&heard.message_id);
                let said = if bound { [Say::Report, Say::Time].as_slice() } else { &[] };
                said.iter().filter_map(|say| self.say(now_s, second, *say)).collect()
            }
            ("Appliance.Control.ConsumptionConfig", "PUSH") if signed => {
                self.session.hears_echo();
                Vec::new()
            }
            ("Appliance.System.Clock" | "Appliance.Control.ConsumptionConfig", "PUSH")
            | (_, "SETACK" | "GETACK") => Vec::new(),
            _ => {
                let answer = self.firmware.answer(second, &heard);
                let restarts = self.restart_if_asked(now_s);
                match answer {
                    Some(answer) => vec![Deed::Publish(heard.from, answer.into_bytes())],
                    None if restarts => vec![Deed::Reboot],
                    None => self.confused(now_s),
                }
            }
        }
    }

    fn say(&mut self, now_s: f64, second: u64, say: Say) -> Option<Deed> {
        match say {
            Say::Leave => {
                self.firmware.appliance.set_online(false);
                Some(Deed::Close)
            }
            Say::Reboot => {
                self.restart(now_s, false);
                Some(Deed::Reboot)
            }
            Say::Clock | Say::Bind | Say::Config | Say::Report | Say::Time => {
                let (namespace, method, payload) = self.firmware.opening(second, say)?;
                Some(self.push(second, namespace, method, &payload))
            }
        }
    }

    /// Publishes something of its own.
    fn push(&mut self, second: u64, namespace: &str, method: &str, payload: &str) -> Deed {
        let (message_id, message) = self.firmware.speak(second, namespace, method, payload);
        if namespace == "Appliance.Control.Bind" || namespace == "Appliance.System.Clock" {
            self.session.asked(&message_id);
        }
        Deed::Publish(self.firmware.topic("publish"), message.into_bytes())
    }

    fn confused(&mut self, now_s: f64) -> Vec<Deed> {
        if !self.reboots_when_confused {
            return Vec::new();
        }
        self.restart(now_s, false);
        vec![Deed::Reboot]
    }
}

impl Model for Meross {
    fn serial(&self) -> &str {
        self.firmware.uuid()
    }

    fn speaks_http(&self) -> bool {
        true
    }

    fn is_up(&self, now_s: f64) -> bool {
        now_s >= self.up_from_s
    }

    fn datagram(&mut self, now_s: f64, bytes: &[u8]) -> Vec<Vec<u8>> {
        if !self.is_up(now_s) || self.silent_on_udp {
            return Vec::new();
        }
        self.requests += 1;
        let (uuid, appliance) = (self.firmware.uuid(), &self.firmware.appliance);
        let answer = wire::is_search(bytes, self.kind.refoss)
            .then(|| tell::introduction(self.kind, uuid, appliance.mac(), appliance.ip()));
        answer.map(String::into_bytes).into_iter().collect()
    }

    /// There is nothing to be had by GET.
    fn http(&mut self, now_s: f64, request: &Request<'_>) -> Option<Vec<u8>> {
        if request.method == "POST" { self.post(now_s, request.target, request.body) } else { None }
    }

    fn press(&mut self, now_s: f64, port: usize) {
        let second = self.live(now_s);
        if let Some(channel) = self.firmware.appliance.channel(port) {
            let on = self.relay(channel).unwrap_or(false);
            self.firmware.appliance.switch(second, channel, !on);
        }
    }

    fn reboot(&mut self, now_s: f64) {
        self.restart(now_s, false);
    }

    fn watts(&self, now_s: f64) -> Vec<f64> {
        let second = seconds::whole_seconds(now_s);
        let outlets = 1..=self.kind.outlets;
        outlets.map(|outlet| f64::from(self.firmware.appliance.milliwatts(outlet, second)) / 1000.0).collect()
    }
}

#[cfg(test)]
mod tests;
