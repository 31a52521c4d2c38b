//! The plugs of a house: the simulated ones of `src/sim`, where they are, and what became of them.

use crate::random::Random;
use plug2mqtt::model::PlugId;
use plug2mqtt::sim::{Answer, Faults, Firmware, Load, Strip};
use std::net::Ipv4Addr;
use std::time::Duration;

/// A reply on its way, and what the plug was like when it said it.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) plug: usize,
    pub(crate) relays: Vec<bool>,
    pub(crate) tells_relays: bool,
    pub(crate) watts: Vec<f64>,
}

pub(crate) struct Model {
    pub(crate) strip: Strip,
    pub(crate) faults: Faults,
    pub(crate) ip: Ipv4Addr,
    /// It is on the network.
    pub(crate) here: bool,
    pub(crate) mac: String,
    pub(crate) serial: String,
    pub(crate) loads: Vec<Load>,
    heard: u64,
    sent: u64,
}

impl Model {
    pub(crate) fn new(place: usize, serial: String, random: &mut Random) -> Self {
        let ports = if random.chance(60) { 6 } else { 1 };
        let lot = random.range(0, 9);
        let strip = match ports {
            6 => match lot {
                0..=3 => Strip::strip_1_30(&serial),
                4..=5 => Strip::strip_2_11(&serial),
                6..=7 => Strip::strip_3_36(&serial),
                _ => Strip::strip_5_11(&serial),
            },
            _ => match lot {
                0..=4 => Strip::plug_1_30(&serial),
                5..=7 => Strip::plug_2_11(&serial),
                _ => Strip::plug_2_0(&serial),
            },
        };
        let mac = format!("02:00:00:00:00:{:02x}", place + 1);
        let strip = if random.chance(30) { strip.forgetting_relays() } else { strip };
        let relays: Vec<bool> = (0..ports).map(|_| random.chance(50)).collect();
        let strip = strip.mac(&mac).named(&format!("Plug {place}")).with_relays(&relays);
        let mut model = Self {
            strip,
            faults: Faults::default(),
            ip: Ipv4Addr::new(192, 0, 2, u8::try_from(place + 10).unwrap()),
            here: true,
            mac,
            serial,
            loads: vec![Load::Nothing; ports],
            heard: 0,
            sent: 0,
        };
        for port in 1..=ports {
            model.plug_in(port, any_load(random));
        }
        model
    }

    pub(crate) fn plug_in(&mut self, port: usize, load: Load) {
        self.loads[port - 1] = load;
        self.strip.plug_in(port, load);
    }

    /// Its id, unless another plug has the same serial.
    pub(crate) fn id(&self) -> PlugId {
        PlugId::of("maxsmart", &self.serial).unwrap()
    }

    /// Its id when it came second with its serial.
    pub(crate) fn qualified_id(&self) -> PlugId {
        let tail: String = self.mac.replace(':', "").chars().skip(6).collect();
        PlugId::of("maxsmart", &format!("{}-{tail}", self.serial)).unwrap()
    }

    /// Its id when its serial could not be read when it was found.
    pub(crate) fn mac_id(&self) -> PlugId {
        PlugId::of("maxsmart", &self.mac.replace(':', "")).unwrap()
    }

    /// An update changes what it speaks; relays and loads stay.
    pub(crate) fn update(&mut self, now_s: f64) -> bool {
        let serial = &self.serial;
        let next = match (self.strip.firmware(), self.strip.ports()) {
            (Firmware::V1, 6) => Strip::strip_2_11(serial),
            (Firmware::V1, _) => Strip::plug_2_11(serial),
            (Firmware::V2 | Firmware::V3, 6) => Strip::strip_5_11(serial),
            (Firmware::V2, _) => Strip::plug_2_0(serial),
            _ => return false,
        };
        let next = next.mac(&self.mac).named(self.strip.name()).with_relays(self.strip.relays());
        self.strip = next;
        self.strip.begin(now_s);
        for (port, load) in (1..).zip(self.loads.clone()) {
            self.strip.plug_in(port, load);
        }
        self.strip.reboot(now_s);
        true
    }

    pub(crate) fn reachable(&self, now_s: f64) -> bool {
        self.here && self.faults.reachable() && self.strip.is_up(now_s)
    }

    pub(crate) fn said(&self, plug: usize, now_s: f64) -> Said {
        Said {
            plug,
            relays: self.strip.relays().to_vec(),
            tells_relays: self.strip.firmware() != Firmware::Plug2,
            watts: self.strip.watts(now_s),
        }
    }

    /// One HTTP request: what comes back, whether it is as the plug said it, and how much later.
    pub(crate) fn http(&mut self, now_s: f64, target: &str) -> (Answer, bool, Duration) {
        let reply = if self.faults.reachable() { self.strip.http(now_s, target) } else { None };
        let original = reply.clone();
        let answer = self.faults.http(&self.serial, reply);
        let (whole, drip) = match &answer {
            Answer::Whole(bytes) => (Some(bytes) == original.as_ref(), Duration::ZERO),
            Answer::Drip(bytes, pause) => {
                let length = u32::try_from(bytes.len()).unwrap();
                (Some(bytes) == original.as_ref(), *pause * length)
            }
            Answer::Hang | Answer::Close => (false, Duration::ZERO),
        };
        (answer, whole, self.faults.delay + drip)
    }

    /// One datagram: what comes back, each with whether it is as the plug said it.
    pub(crate) fn datagram(&mut self, now_s: f64, bytes: &[u8]) -> (Vec<(Vec<u8>, bool)>, Duration) {
        self.heard += 1;
        let mut out = Vec::new();
        if self.here && self.faults.hears(self.heard) {
            for reply in self.strip.datagram(now_s, bytes) {
                self.sent += 1;
                let arriving = self.faults.datagram(self.sent, &self.serial, reply.clone());
                // A disguise changes who says it, not what is said.
                let disguised = self.faults.wrong_serial.is_some();
                out.extend(arriving.into_iter().map(|bytes| {
                    let whole = disguised || bytes == reply;
                    (bytes, whole)
                }));
            }
        }
        (out, self.faults.delay)
    }
}

pub(crate) fn any_load(random: &mut Random) -> Load {
    let milliwatts = u32::try_from(random.range(1, 2_000)).unwrap() * 1_000;
    match random.range(0, 9) {
        0..=2 => Load::Nothing,
        3..=6 => Load::Constant { milliwatts },
        7 => Load::Standby { milliwatts: milliwatts / 1000 },
        8 => Load::Fridge { milliwatts: milliwatts / 10 },
        _ => Load::Kettle { milliwatts },
    }
}

/// Something that goes wrong with a plug.
pub(crate) fn any_fault(random: &mut Random) -> Faults {
    let mut faults = Faults::default();
    match random.range(0, 12) {
        0 => faults.off = true,
        1 => faults.hang = true,
        2 => faults.refuse = true,
        3 => faults.delay = random.ms(50, 6_000),
        4 => faults.empty = true,
        5 => faults.truncate = Some(random.below(300)),
        6 => faults.garbage = true,
        7 => faults.drip = Some(random.ms(1, 40)),
        8 => faults.lose_request_every = random.range(1, 4),
        9 => faults.lose_reply_every = random.range(1, 4),
        10 => faults.double = true,
        11 => faults.wrong_serial = Some(b"\xff\xfe".to_vec()),
        _ => {
            faults.delay = random.ms(1, 900);
            faults.lose_reply_every = random.range(2, 5);
            faults.double = true;
        }
    }
    faults
}
