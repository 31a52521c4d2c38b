//! The plugs of a house: the simulated ones of `src/sim`, where they are, and what became of them.

use crate::counter::Counter;
use crate::random::Random;
use plug2mqtt::model::PlugId;
use plug2mqtt::sim::{Answer, Drawn, Faults, Firmware, Inplug, Load, Model as _, Request, Strip};
use std::net::Ipv4Addr;
use std::time::Duration;

/// A reply on its way, and what the plug was like when it said it.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) plug: usize,
    /// How often it had restarted.
    pub(crate) boots: u64,
    pub(crate) relays: Vec<bool>,
    pub(crate) tells_relays: bool,
    pub(crate) watts: Vec<f64>,
}

/// What a plug is.
enum Body {
    Strip(Box<Strip>),
    Inplug {
        plug: Inplug,
        meters: bool,
        relays: [bool; 1],
        /// The next second to be counted, the power of the one before, and what it has drawn.
        next: u64,
        last: u64,
        drawn: Drawn,
    },
}

pub(crate) struct Model {
    body: Body,
    pub(crate) faults: Faults,
    stuck: bool,
    /// What power cuts, and ups and downs within a second, have added to its ups and downs, in milliwatts.
    cuts: u64,
    /// At what second its power was looked at last, and that power in milliwatts.
    noted: (u64, u64),
    pub(crate) ip: Ipv4Addr,
    /// It is on the network.
    pub(crate) here: bool,
    pub(crate) mac: String,
    pub(crate) serial: String,
    pub(crate) loads: Vec<Load>,
    /// Its own counter of energy, if it has one.
    pub(crate) counter: Option<Counter>,
    boots: u64,
    heard: u64,
    sent: u64,
}

impl Model {
    pub(crate) fn new(place: usize, serial: String, twins: bool, random: &mut Random) -> Self {
        let inplug = random.chance(25) && !(twins && place < 2);
        let number = u8::try_from(place + 1).unwrap();
        let (body, mac, serial) = if inplug {
            let lot = random.range(0, 4);
            let plug = match lot {
                0 => Inplug::without_meter(number),
                1 => Inplug::sp3s(number),
                2 => Inplug::new(number).brief(),
                _ => Inplug::new(number),
            };
            let on = random.chance(50);
            let plug = plug.named(&format!("Plug {place}")).with_relay(on);
            let mac = plug.mac();
            let body = Body::Inplug {
                plug,
                meters: lot > 0,
                relays: [on],
                next: 0,
                last: 0,
                drawn: Drawn::default(),
            };
            (body, mac.clone(), mac)
        } else {
            let mac = format!("02:00:00:00:00:{number:02x}");
            let strip = any_strip(&serial, random).mac(&mac).named(&format!("Plug {place}"));
            let relays: Vec<bool> = (0..strip.ports()).map(|_| random.chance(50)).collect();
            (Body::Strip(Box::new(strip.with_relays(&relays))), mac, serial)
        };
        let mut model = Self {
            body,
            faults: Faults::default(),
            stuck: false,
            cuts: 0,
            noted: (0, 0),
            ip: Ipv4Addr::new(192, 0, 2, u8::try_from(place + 10).unwrap()),
            here: true,
            mac,
            serial,
            loads: Vec::new(),
            counter: None,
            boots: 0,
            heard: 0,
            sent: 0,
        };
        model.loads = vec![Load::Nothing; model.ports()];
        for port in 1..=model.ports() {
            model.plug_in(port, any_load(random));
        }
        model
    }

    pub(crate) fn driver(&self) -> &'static str {
        match self.body {
            Body::Strip(_) => "maxsmart",
            Body::Inplug { .. } => "inplug",
        }
    }

    pub(crate) fn ports(&self) -> usize {
        self.relays().len()
    }

    pub(crate) fn relays(&self) -> &[bool] {
        match &self.body {
            Body::Strip(strip) => strip.relays(),
            Body::Inplug { relays, .. } => relays,
        }
    }

    /// It says where its relays are; else it is believed what it acknowledged and draws.
    pub(crate) fn tells_relays(&self) -> bool {
        !matches!(&self.body, Body::Strip(strip) if strip.firmware() == Firmware::Plug2)
    }

    /// It says what its ports draw.
    pub(crate) fn meters(&self) -> bool {
        !matches!(&self.body, Body::Inplug { meters: false, .. })
    }

    pub(crate) fn watts(&self, now_s: f64) -> Vec<f64> {
        match &self.body {
            Body::Strip(strip) => strip.watts(now_s),
            Body::Inplug { plug, .. } => plug.watts(now_s),
        }
    }

    /// Counts what was drawn until now, which must be done before that changes.
    pub(crate) fn drawn(&mut self, now_s: f64) -> Drawn {
        let counted = self.count(now_s);
        // It is counted by the second; a relay that went on and off again in one would leave no trace.
        let second = Duration::from_secs_f64(now_s).as_secs();
        let watts: f64 = self.watts(now_s).iter().sum();
        let milliwatts = u64::try_from(Duration::from_secs_f64(watts).as_millis()).unwrap();
        if self.noted.0 == second {
            self.cuts += self.noted.1.abs_diff(milliwatts);
        }
        self.noted = (second, milliwatts);
        Drawn { ups_and_downs: counted.ups_and_downs + self.cuts, ..counted }
    }

    fn count(&mut self, now_s: f64) -> Drawn {
        match &mut self.body {
            Body::Strip(strip) => strip.drawn(now_s),
            Body::Inplug { plug, next, last, drawn, .. } => {
                while (*next as f64) < now_s.floor() {
                    let drawing = if plug.relay() { self.loads[0] } else { Load::Nothing };
                    let milliwatts = drawing.milliwatts(1, *next).into();
                    *next += 1;
                    drawn.mws += milliwatts;
                    drawn.ups_and_downs += last.abs_diff(milliwatts);
                    *last = milliwatts;
                }
                *drawn
            }
        }
    }

    pub(crate) fn press(&mut self, now_s: f64, port: usize) {
        self.drawn(now_s);
        match &mut self.body {
            Body::Strip(strip) => strip.press(port),
            Body::Inplug { plug, relays, .. } => {
                plug.press(now_s, port);
                *relays = [plug.relay()];
            }
        }
    }

    /// Something goes wrong inside: a relay sticks, an INPLUG is locked or loses its session.
    pub(crate) fn seize(&mut self, random: &mut Random) -> &'static str {
        match (&mut self.body, random.range(0, 2)) {
            (Body::Inplug { plug, .. }, 0) => {
                plug.lock(true);
                "locked"
            }
            (Body::Inplug { plug, .. }, 1) => {
                plug.expire();
                "its session is lost"
            }
            _ => {
                self.stuck = true;
                "its relays stick"
            }
        }
    }

    pub(crate) fn heal(&mut self) {
        self.faults = Faults::default();
        self.stuck = false;
        if let Body::Inplug { plug, .. } = &mut self.body {
            plug.lock(false);
        }
    }

    /// Relays that stick have not moved, whatever the plug has said.
    fn stick(&mut self, now_s: f64, before: &[bool]) {
        if !self.stuck || self.relays() == before {
            return;
        }
        match &mut self.body {
            Body::Strip(strip) => **strip = strip.as_ref().clone().with_relays(before),
            Body::Inplug { plug, relays, .. } => {
                plug.press(now_s, 1);
                *relays = [plug.relay()];
            }
        }
    }

    /// The mains are gone, and whatever hangs on it draws nothing.
    pub(crate) fn lose_power(&mut self, now_s: f64) {
        if !self.here {
            return;
        }
        let before = self.drawn(now_s).mws;
        let second = self.drawn(now_s + 1.0).mws - before;
        self.cuts += 2 * second;
        self.here = false;
    }

    pub(crate) fn regain_power(&mut self, now_s: f64) {
        self.boots += 1;
        match &mut self.body {
            Body::Strip(strip) => {
                strip.begin(now_s);
                strip.reboot(now_s);
            }
            Body::Inplug { plug, next, .. } => {
                *next = (*next).max(Duration::from_secs_f64(now_s).as_secs());
                plug.reboot(now_s);
            }
        }
        self.here = true;
    }

    pub(crate) fn is_up(&self, now_s: f64) -> bool {
        match &self.body {
            Body::Strip(strip) => strip.is_up(now_s),
            Body::Inplug { plug, .. } => plug.is_up(now_s),
        }
    }

    pub(crate) fn speaks_http(&self) -> bool {
        matches!(&self.body, Body::Strip(strip) if strip.firmware().speaks_http())
    }

    pub(crate) fn plug_in(&mut self, port: usize, load: Load) {
        self.loads[port - 1] = load;
        match &mut self.body {
            Body::Strip(strip) => strip.plug_in(port, load),
            Body::Inplug { plug, .. } => plug.plug_in(load),
        }
    }

    /// Its id, unless another plug has the same serial.
    pub(crate) fn id(&self) -> PlugId {
        PlugId::of(self.driver(), &self.serial).unwrap()
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
    pub(crate) fn update(&mut self, now_s: f64) {
        let Body::Strip(strip) = &mut self.body else { return };
        let serial = &self.serial;
        let next = match (strip.firmware(), strip.ports()) {
            (Firmware::V1, 6) => Strip::strip_2_11(serial),
            (Firmware::V1, _) => Strip::plug_2_11(serial),
            (Firmware::V2 | Firmware::V3, 6) => Strip::strip_5_11(serial),
            (Firmware::V2, _) => Strip::plug_2_0(serial),
            _ => return,
        };
        **strip = next.mac(&self.mac).named(strip.name()).with_relays(strip.relays());
        strip.begin(now_s);
        for (port, load) in (1..).zip(self.loads.clone()) {
            strip.plug_in(port, load);
        }
        self.boots += 1;
        strip.reboot(now_s);
    }

    /// How often it has started anew.
    pub(crate) fn boots(&self) -> u64 {
        self.boots
    }

    pub(crate) fn reachable(&self, now_s: f64) -> bool {
        self.here && self.faults.reachable() && self.is_up(now_s)
    }

    pub(crate) fn said(&self, plug: usize, now_s: f64) -> Said {
        Said {
            plug,
            boots: self.boots,
            relays: self.relays().to_vec(),
            tells_relays: self.tells_relays(),
            watts: self.watts(now_s),
        }
    }

    /// One HTTP request: what comes back, whether it is as the plug said it, and how much later.
    pub(crate) fn http(&mut self, now_s: f64, target: &str) -> (Answer, bool, Duration) {
        let before = self.relays().to_vec();
        let reply = match &mut self.body {
            Body::Strip(strip) if self.faults.reachable() => strip.http(now_s, &Request::get(target)),
            Body::Strip(_) | Body::Inplug { .. } => None,
        };
        self.stick(now_s, &before);
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

    /// One datagram, perhaps to everybody: what comes back, each with whether it is as the plug said it.
    pub(crate) fn datagram(
        &mut self,
        now_s: f64,
        bytes: &[u8],
        everybody: bool,
    ) -> (Vec<(Vec<u8>, bool)>, Duration) {
        self.heard += 1;
        let mut out = Vec::new();
        if self.here && self.faults.hears(self.heard) {
            self.drawn(now_s);
            let before = self.relays().to_vec();
            let replies = match (&mut self.body, everybody) {
                (Body::Strip(strip), _) => strip.datagram(now_s, bytes),
                (Body::Inplug { plug, .. }, true) => plug.broadcast(now_s, bytes),
                (Body::Inplug { plug, relays, .. }, false) => {
                    let replies = plug.datagram(now_s, bytes);
                    *relays = [plug.relay()];
                    replies
                }
            };
            self.stick(now_s, &before);
            for reply in replies {
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

fn any_strip(serial: &str, random: &mut Random) -> Strip {
    let (six, lot) = (random.chance(60), random.range(0, 9));
    let strip = match (six, lot) {
        (true, 0..=3) => Strip::strip_1_30(serial),
        (true, 4..=5) => Strip::strip_2_11(serial),
        (true, 6..=7) => Strip::strip_3_36(serial),
        (true, _) => Strip::strip_5_11(serial),
        (false, 0..=4) => Strip::plug_1_30(serial),
        (false, 5..=7) => Strip::plug_2_11(serial),
        (false, _) => Strip::plug_2_0(serial),
    };
    if random.chance(30) { strip.forgetting_relays() } else { strip }
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
