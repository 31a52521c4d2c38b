//! One simulated INPLUG, or another plug that speaks like a Broadlink SP2: identity, relay, load, sessions, lock.
//!
//! Owns the state and what hand, app and mains can do to it; `wire` knows the packets. It refuses to know sockets and
//! real time: whoever calls brings the seconds since the plug was put into service.

mod family;
mod wire;

pub(super) use family::FAMILY;

use super::load::Load;
use super::model::{Label, Model, Request};
use super::{BOOT_S, clock};
use std::collections::VecDeque;
use wire::{Heard, Packet};

const SWITCHED_KEPT: usize = 1024;

/// How a simulated plug answers questions about power.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meter {
    /// As the INPLUG: milliwatts.
    Milliwatts,
    /// As the SP3S: packed decimal digits.
    Digits,
    /// Not at all: "not supported".
    None,
}

/// A simulated plug of the family, with one port.
#[derive(Clone, Debug)]
pub struct Inplug {
    device: u16,
    mac: [u8; 6],
    name: String,
    meter: Meter,
    relay: bool,
    load: Load,
    hurry: u64,
    locked: bool,
    brief: bool,
    id: u32,
    key: [u8; 16],
    in_session: bool,
    exchanges: u64,
    kept_alive: u64,
    up_from_s: f64,
    requests: u64,
    switched: VecDeque<bool>,
}

impl Inplug {
    /// A Watts Clever INPLUG with this last byte of its address, off.
    pub fn new(number: u8) -> Self {
        Self::of(0x2716, Meter::Milliwatts, number)
    }

    /// A plug without a meter, type 0x2717.
    pub fn without_meter(number: u8) -> Self {
        Self::of(0x2717, Meter::None, number)
    }

    /// An SP3S, which tells power in decimal digits, type 0x947a.
    pub fn sp3s(number: u8) -> Self {
        Self::of(0x947a, Meter::Digits, number)
    }

    fn of(device: u16, meter: Meter, number: u8) -> Self {
        Self {
            device,
            mac: [0x02, 0, 0, 0, 0x27, number],
            name: "INPLUG".into(),
            meter,
            relay: false,
            load: Load::Nothing,
            hurry: 1,
            locked: false,
            brief: false,
            id: 1,
            key: *b"made up, number ",
            in_session: false,
            exchanges: 0,
            kept_alive: 0,
            up_from_s: 0.0,
            requests: 0,
            switched: VecDeque::new(),
        }
        .rekeyed()
    }

    /// Gives it a name.
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Plugs something in.
    pub fn load(mut self, load: Load) -> Self {
        self.load = load;
        self
    }

    /// Sets the relay.
    pub fn with_relay(mut self, on: bool) -> Self {
        self.relay = on;
        self
    }

    /// Gives it another type number, as that of a device nobody has listed.
    pub fn of_type(mut self, device: u16) -> Self {
        self.device = device;
        self
    }

    /// Answers a status with one block; others send 0x200 bytes.
    pub fn brief(mut self) -> Self {
        self.brief = true;
        self
    }

    /// Lets the load live this many times faster, so that something happens while one watches.
    pub fn living_faster(mut self, times: u32) -> Self {
        self.hurry = u64::from(times.max(1));
        self
    }

    /// Locks or unlocks it, as the vendor's app does: it refuses key exchanges and hears no broadcasts. Sessions end.
    pub fn lock(&mut self, locked: bool) {
        self.locked = locked;
        self.in_session = false;
    }

    /// Drops its session: the next command is refused with -7 until there was a key exchange.
    pub fn expire(&mut self) {
        self.in_session = false;
    }

    /// Plugs something else in.
    pub fn plug_in(&mut self, load: Load) {
        self.load = load;
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its hardware address, twelve digits.
    pub fn mac(&self) -> String {
        self.mac.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether the relay is closed.
    pub fn relay(&self) -> bool {
        self.relay
    }

    /// Key exchanges that succeeded.
    pub fn exchanges(&self) -> u64 {
        self.exchanges
    }

    /// Keep-alives heard.
    pub fn kept_alive(&self) -> u64 {
        self.kept_alive
    }

    /// Datagrams that reached the plug.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// The latest commands that moved the relay or left it, oldest first.
    pub fn switched(&self) -> impl Iterator<Item = bool> + '_ {
        self.switched.iter().copied()
    }

    /// Another key, which depends on the plug and on how often it was changed.
    fn rekeyed(mut self) -> Self {
        self.rekey();
        self
    }

    fn rekey(&mut self) {
        let [.., last] = self.mac;
        for (byte, place) in self.key.iter_mut().zip(1u8..) {
            *byte = byte.wrapping_mul(5).wrapping_add(last).wrapping_add(place);
        }
    }

    fn milliwatts(&self, now_s: f64) -> u32 {
        let second = clock::whole_seconds(now_s) * self.hurry;
        if self.relay { self.load.milliwatts(1, second) } else { 0 }
    }

    fn packet(&mut self, now_s: f64, packet: &Packet<'_>) -> Option<Vec<u8>> {
        match packet.number {
            0x65 => {
                packet.plain(None).filter(|plain| plain.len() == 80)?;
                if self.locked {
                    return Some(packet.refusal(self.mac, -1));
                }
                self.in_session = true;
                self.exchanges += 1;
                let mut keys = self.id.to_le_bytes().to_vec();
                keys.extend(self.key);
                keys.extend([0; 12]);
                Some(packet.reply(self.mac, None, &keys))
            }
            0x6a => {
                let command = packet.plain(Some(&self.key));
                let Some(command) = command.filter(|_| self.in_session && packet.id == self.id) else {
                    return Some(packet.refusal(self.mac, -7));
                };
                Some(match self.command(now_s, &command) {
                    Ok(plain) => packet.reply(self.mac, Some(&self.key), &plain),
                    Err(-4) => packet.refusal(self.mac, -4),
                    Err(error) => packet.long_refusal(self.mac, error),
                })
            }
            _ => None,
        }
    }

    fn command(&mut self, now_s: f64, command: &[u8]) -> Result<Vec<u8>, i16> {
        let milliwatts = self.milliwatts(now_s);
        let mut reply = command.to_vec();
        match (command, self.meter) {
            ([0x01, ..], _) => {
                reply = vec![0x01, 0, 0, 0, u8::from(self.relay)];
                reply.resize(if self.brief { 16 } else { 0x200 }, 0);
            }
            ([0x02, _, _, _, state, ..], _) => {
                self.relay = state & 1 == 1;
                if self.switched.len() == SWITCHED_KEPT {
                    self.switched.pop_front();
                }
                self.switched.push_back(self.relay);
            }
            ([0x04, ..], Meter::Milliwatts) => {
                let [a, b, c, _] = milliwatts.to_le_bytes();
                reply = vec![0x04, 0, 0, 0, a, b, c];
            }
            ([0x04, ..], Meter::Digits | Meter::None) => return Err(-4),
            ([0x08, 0x00, 0xfe, 0x01, 0x05, 0x01, 0, 0, 0, 0x2d, ..], Meter::Digits) => {
                let pair = |power: u32| {
                    let two = milliwatts / 10 / 100u32.pow(power) % 100;
                    u8::try_from(two / 10 * 16 + two % 10).unwrap_or_default()
                };
                reply = vec![0x08, 0x00, 0xfe, 0x01, 0x05, pair(0), pair(1), pair(2)];
            }
            ([0x68, ..], _) => reply = vec![0x68, 0, 0, 0, 29, 0],
            ([0x00, 0, 0, 0, ..], _) if command.len() == 80 => self.configure(command),
            _ => return Err(-5),
        }
        Ok(reply)
    }

    /// Name and lock, as the vendor's app sets them.
    fn configure(&mut self, command: &[u8]) {
        let name = command.iter().skip(4).copied().take_while(|byte| *byte != 0).take(62).collect();
        if let Ok(name) = String::from_utf8(name) {
            self.name = name;
        }
        self.locked = command.get(0x43) == Some(&1);
    }
}

impl Model for Inplug {
    fn serial(&self) -> &str {
        ""
    }

    fn speaks_http(&self) -> bool {
        false
    }

    fn is_up(&self, now_s: f64) -> bool {
        now_s >= self.up_from_s
    }

    fn datagram(&mut self, now_s: f64, bytes: &[u8]) -> Vec<Vec<u8>> {
        if !self.is_up(now_s) {
            return Vec::new();
        }
        self.requests += 1;
        let reply = match wire::hear(bytes) {
            Some(Heard::Hello) => {
                Some(wire::introduction(bytes, self.device, self.mac, &self.name, self.locked))
            }
            Some(Heard::KeepAlive) => {
                self.kept_alive += 1;
                None
            }
            Some(Heard::Packet(packet)) => self.packet(now_s, &packet),
            None => None,
        };
        reply.into_iter().collect()
    }

    /// A locked plug is silent.
    fn broadcast(&mut self, now_s: f64, bytes: &[u8]) -> Vec<Vec<u8>> {
        if self.locked { Vec::new() } else { self.datagram(now_s, bytes) }
    }

    fn http(&mut self, _: f64, _: &Request<'_>) -> Option<Vec<u8>> {
        None
    }

    fn press(&mut self, _: f64, port: usize) {
        self.relay ^= port == 1;
    }

    /// Off the network for [`BOOT_S`] seconds, the relay as it was, the session gone and its key another.
    fn reboot(&mut self, now_s: f64) {
        self.up_from_s = now_s + BOOT_S;
        self.in_session = false;
        self.rekey();
    }

    fn watts(&self, now_s: f64) -> Vec<f64> {
        vec![f64::from(self.milliwatts(now_s)) / 1000.0]
    }

    fn label(&self) -> Label {
        let (name, id) = (self.name.clone(), format!("inplug-{}", self.mac()));
        Label { name, id, kind: "INPLUG".into() }
    }

    fn plug_in(&mut self, port: usize, load: Load) {
        if port == 1 {
            self.plug_in(load);
        }
    }

    fn obey(&mut self, word: &str) -> bool {
        match word {
            "lock" => self.lock(true),
            "unlock" => self.lock(false),
            "expire" => self.expire(),
            _ => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests;
