//! One simulated MaxSmart or Revogi strip or plug: identity, relays, loads, clock.
//!
//! Owns the state and what the hand can do to it; `datagram` and `http` speak for it. It refuses to know sockets
//! and real time: whoever calls brings the seconds since the plug was put into service.

mod capability;
mod datagram;
mod family;
mod history;
mod http;
mod make;
mod replay;
mod wire;

pub(super) use family::FAMILY;
pub use history::{Drawn, Metrics};
pub use make::Firmware;
pub use replay::Recording;

use super::clock;
use super::load::Load;
use super::model::{Label, Model, Request};
use std::collections::VecDeque;

/// Seconds after a reboot in which the plug is not on the network.
pub const BOOT_S: f64 = 4.0;
const SWITCHED_KEPT: usize = 1024;

/// One relay command that the plug carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switched {
    /// The port as commanded; 0 means all.
    pub port: usize,
    /// Whether it was switched on.
    pub on: bool,
}

/// A simulated strip (six ports) or plug (one port).
#[derive(Clone, Debug)]
pub struct Strip {
    firmware: Firmware,
    version: &'static str,
    serial: String,
    mac: String,
    name: String,
    port_names: Vec<String>,
    cpuid: Option<String>,
    relays: Vec<bool>,
    loads: Vec<Load>,
    bare_replies: bool,
    /// Loads live this many times faster.
    hurry: u64,
    heeds_serial: bool,
    forgets_relays: bool,
    clock: SetClock,
    figures: Metrics,
    record: history::Record,
    skills: capability::Skills,
    up_from_s: f64,
    requests: u64,
    switched: VecDeque<Switched>,
}

#[derive(Clone, Copy, Debug)]
struct SetClock {
    local: u64,
    at: u64,
}

impl Strip {
    /// The firmware family.
    pub fn firmware(&self) -> Firmware {
        self.firmware
    }

    /// The serial number.
    pub fn serial(&self) -> &str {
        &self.serial
    }

    /// The name of the whole device.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of the ports, whether or not this firmware tells them.
    pub fn port_names(&self) -> &[String] {
        &self.port_names
    }

    /// The number of ports.
    pub fn ports(&self) -> usize {
        self.relays.len()
    }

    /// The relays, port 1 first.
    pub fn relays(&self) -> &[bool] {
        &self.relays
    }

    /// The power of each port, port 1 first, in watts.
    pub fn watts(&self, now_s: f64) -> Vec<f64> {
        self.milliwatts(clock::whole_seconds(now_s))
            .into_iter()
            .map(|milliwatts| f64::from(milliwatts) / 1000.0)
            .collect()
    }

    /// The local time on the plug's clock.
    pub fn time(&self, now_s: f64) -> String {
        clock::render(self.local(clock::whole_seconds(now_s)))
    }

    /// Requests that reached the plug in any dialect, whether it knew them or not.
    pub fn requests(&self) -> u64 {
        self.requests
    }

    /// The latest relay commands that were carried out, oldest first.
    pub fn switched(&self) -> impl Iterator<Item = Switched> + '_ {
        self.switched.iter().copied()
    }

    /// Presses the button of a port: its relay toggles and nothing is told to anybody. No such port, no effect.
    pub fn press(&mut self, port: usize) {
        if let Some(relay) = port.checked_sub(1).and_then(|place| self.relays.get_mut(place)) {
            *relay = !*relay;
        }
    }

    /// Plugs something else into a port. No such port, no effect.
    pub fn plug_in(&mut self, port: usize, load: Load) {
        if let Some(place) = port.checked_sub(1).and_then(|place| self.loads.get_mut(place)) {
            *place = load;
        }
    }

    /// Cuts the power for a moment: off the network for [`BOOT_S`] seconds, the clock unset, the relays as they were
    /// unless the plug forgets them.
    pub fn reboot(&mut self, now_s: f64) {
        self.count(now_s);
        self.up_from_s = now_s + BOOT_S;
        self.clock = SetClock { local: clock::UNSET, at: clock::whole_seconds(now_s) };
        if self.forgets_relays {
            self.relays.fill(false);
        }
    }

    /// Whether the plug is on the network, which it is not while it boots.
    pub fn is_up(&self, now_s: f64) -> bool {
        now_s >= self.up_from_s
    }

    fn local(&self, second: u64) -> u64 {
        self.clock.local + second.saturating_sub(self.clock.at)
    }

    fn milliwatts(&self, second: u64) -> Vec<u32> {
        let ports = self.relays.iter().zip(&self.loads).zip(1..);
        ports
            .map(|((&on, load), port)| if on { load.milliwatts(port, second * self.hurry) } else { 0 })
            .collect()
    }

    /// Carries out a relay command and gives the answer code.
    fn switch(&mut self, port: u64, state: u64) -> u16 {
        let on = match state {
            0 => false,
            1 => true,
            _ => return wire::REFUSED,
        };
        let port = usize::try_from(port).unwrap_or(usize::MAX);
        match port.checked_sub(1) {
            None => self.relays.fill(on),
            Some(place) => match self.relays.get_mut(place) {
                Some(relay) => *relay = on,
                None => return wire::REFUSED,
            },
        }
        if self.switched.len() == SWITCHED_KEPT {
            self.switched.pop_front();
        }
        self.switched.push_back(Switched { port, on });
        wire::DONE
    }
}

impl Model for Strip {
    fn serial(&self) -> &str {
        self.serial()
    }

    fn speaks_http(&self) -> bool {
        self.firmware.speaks_http()
    }

    fn is_up(&self, now_s: f64) -> bool {
        self.is_up(now_s)
    }

    fn datagram(&mut self, now_s: f64, bytes: &[u8]) -> Vec<Vec<u8>> {
        self.datagram(now_s, bytes)
    }

    fn http(&mut self, now_s: f64, request: &Request<'_>) -> Option<Vec<u8>> {
        self.http(now_s, request)
    }

    fn press(&mut self, now_s: f64, port: usize) {
        self.count(now_s);
        self.press(port);
    }

    fn reboot(&mut self, now_s: f64) {
        self.reboot(now_s);
    }

    fn watts(&self, now_s: f64) -> Vec<f64> {
        self.watts(now_s)
    }

    fn label(&self) -> Label {
        let id = format!("maxsmart-{}", self.serial.to_lowercase());
        Label { name: self.name.clone(), id, kind: format!("{:?}", self.firmware) }
    }

    fn plug_in(&mut self, port: usize, load: Load) {
        self.plug_in(port, load);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip() -> Strip {
        Strip::strip_1_30("SWP6000000000001")
    }

    #[test]
    fn the_button_toggles_one_relay_and_its_power() {
        let mut strip = strip().load(2, Load::Constant { milliwatts: 60_000 });
        assert_eq!(strip.watts(0.0).get(1), Some(&60.0));
        strip.press(2);
        assert_eq!(strip.relays(), [true, false, true, true, true, true]);
        assert_eq!(strip.watts(0.0).get(1), Some(&0.0));
        strip.press(2);
        strip.press(0);
        strip.press(7);
        assert_eq!(strip.relays(), [true; 6]);
        assert_eq!(strip.switched().count(), 0);
    }

    #[test]
    fn commands_switch_one_or_all_and_refuse_the_rest() {
        let mut strip = strip();
        assert_eq!([strip.switch(0, 0), strip.switch(3, 1)], [wire::DONE; 2]);
        assert_eq!(strip.relays(), [false, false, true, false, false, false]);
        assert_eq!([strip.switch(7, 1), strip.switch(1, 2), strip.switch(u64::MAX, 1)], [wire::REFUSED; 3]);
        let seen: Vec<_> = strip.switched().collect();
        assert_eq!(seen, [Switched { port: 0, on: false }, Switched { port: 3, on: true }]);
    }

    #[test]
    fn the_list_of_commands_is_bounded() {
        let mut strip = strip();
        for _ in 0..SWITCHED_KEPT + 5 {
            strip.switch(1, 1);
        }
        assert_eq!(strip.switched().count(), SWITCHED_KEPT);
    }

    #[test]
    fn a_reboot_takes_seconds_unsets_the_clock_and_may_forget_relays() {
        let mut keeps = strip();
        keeps.datagram(10.0, b"00dv=all,2026-11-21,00:27:19,13;");
        assert_eq!(keeps.time(15.0), "2026-11-21,00:27:24");
        keeps.reboot(20.0);
        assert!(!keeps.is_up(23.9) && keeps.is_up(24.0));
        assert!(keeps.datagram(21.0, b"00dv=all;").is_empty());
        assert_eq!(keeps.http(21.0, &Request::get("/?cmd=511")), None);
        assert_eq!(keeps.time(30.0), "2013-12-26,00:00:10");
        assert_eq!(keeps.relays(), [true; 6]);
        let mut forgets = strip().forgetting_relays();
        forgets.reboot(0.0);
        assert_eq!(forgets.relays(), [false; 6]);
    }
}
