//! What goes wrong: plugs, network, broker, bridge and clocks.

use crate::bridge::Disk;
use crate::check::Checked;
use crate::plan::{BASE, settings};
use crate::plugs::{any_fault, any_load};
use crate::world::{Event, Net, World, tell, word};
use plug2mqtt::hub::Input;
use std::net::Ipv4Addr;
use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// A plug misbehaves for a while.
    Fault(usize, Duration),
    Healthy(usize),
    /// Datagrams are lost, doubled and late for a while.
    Net(Duration),
    NetGood,
    Press(usize),
    PlugIn(usize),
    /// A plug loses its power for a while; it may come back elsewhere.
    PowerCut(usize, Duration, Option<Ipv4Addr>),
    Back(usize, Option<Ipv4Addr>),
    /// Two plugs come back with each other's address.
    Swap(usize, usize),
    Update(usize),
    /// The wall clock jumps, milliseconds.
    Clock(i64),
    /// Summer time begins or ends.
    Summer,
    /// The broker restarts, with or without what it retained.
    Broker {
        forgets: bool,
        away: Duration,
    },
    BrokerUp,
    /// The line to the broker is cut; both notice, or nobody does for a while.
    Cut {
        noticed: bool,
    },
    Will(u64),
    /// The bridge is told to stop, or killed.
    Stop,
    Restart,
    Kill,
    /// From here on nothing goes wrong any more.
    Calm,
    /// What a killed bridge or a torn file has left behind is what the request is for.
    CleanUp,
}

impl World {
    /// Draws the lots of this seed.
    pub(crate) fn lay_out_troubles(&mut self) {
        let fleet = self.plugs.len();
        for _ in 0..self.plan.troubles {
            let at = self.random.ms(0, u64::try_from(self.plan.chaos.as_millis()).unwrap());
            let plug = self.random.below(fleet);
            let elsewhere = self.plan.broadcast && !self.plan.twins;
            let trouble = match self.random.range(0, 99) {
                0..=19 => Trouble::Fault(plug, self.random.ms(200, 200_000)),
                20..=29 => Trouble::Net(self.random.secs(1, 300)),
                30..=44 => Trouble::Press(plug),
                45..=51 => Trouble::PlugIn(plug),
                52..=58 => Trouble::PowerCut(plug, self.random.secs(0, 120), None),
                59..=62 if elsewhere => {
                    let ip = Ipv4Addr::new(192, 0, 2, u8::try_from(self.random.range(100, 250)).unwrap());
                    Trouble::PowerCut(plug, self.random.secs(5, 120), Some(ip))
                }
                63..=66 if elsewhere && fleet > 1 => Trouble::Swap(plug, (plug + 1) % fleet),
                67..=70 => Trouble::Update(plug),
                71..=74 => {
                    let hours = i64::try_from(self.random.range(0, 48)).unwrap() - 24;
                    Trouble::Clock(hours * 3_600_000 + 1)
                }
                75..=77 => Trouble::Summer,
                78..=84 => {
                    let away = self.random.ms(100, 120_000);
                    Trouble::Broker { forgets: self.random.chance(50), away }
                }
                85..=89 => Trouble::Cut { noticed: self.random.chance(50) },
                90..=94 => Trouble::Restart,
                95..=99 => Trouble::Kill,
                _ => Trouble::Press(plug),
            };
            self.at(at, Event::Trouble(trouble));
        }
        self.at(self.plan.chaos, Event::Trouble(Trouble::Calm));
        self.next_client();
    }

    fn calm(&self) -> bool {
        self.now >= self.plan.chaos
    }

    pub(crate) fn trouble(&mut self, trouble: Trouble) -> Checked {
        if !matches!(trouble, Trouble::Stop | Trouble::Will(_)) {
            tell!(self, "-- {trouble:?}");
        }
        let now_s = self.now_s();
        match trouble {
            Trouble::Fault(plug, time) => {
                if self.random.chance(25) {
                    let what = self.plugs[plug].seize(&mut self.random);
                    tell!(self, "   {what}");
                } else {
                    self.plugs[plug].faults = any_fault(&mut self.random);
                    tell!(self, "   {:?}", self.plugs[plug].faults);
                }
                self.later(time, Event::Trouble(Trouble::Healthy(plug)));
            }
            Trouble::Healthy(plug) => self.plugs[plug].heal(),
            Trouble::Net(time) => {
                let random = &mut self.random;
                self.net =
                    Net { lose: random.range(0, 60), double: random.range(0, 40), late: random.range(0, 40) };
                self.later(time, Event::Trouble(Trouble::NetGood));
            }
            Trouble::NetGood => self.net = Net::default(),
            Trouble::Press(plug) => {
                let port = self.random.below(self.plugs[plug].ports()) + 1;
                self.plugs[plug].press(now_s, port);
                let on = self.plugs[plug].relays()[port - 1];
                tell!(self, "   port {port} goes {}", word(on));
            }
            Trouble::PlugIn(plug) => {
                let port = self.random.below(self.plugs[plug].ports()) + 1;
                let load = any_load(&mut self.random);
                self.plugs[plug].drawn(now_s);
                self.plugs[plug].plug_in(port, load);
            }
            Trouble::PowerCut(plug, time, ip) => {
                self.plugs[plug].lose_power(now_s);
                self.later(time, Event::Trouble(Trouble::Back(plug, ip)));
            }
            Trouble::Back(..) if self.calm() => {}
            Trouble::Back(plug, ip) => self.come_back(plug, ip),
            Trouble::Swap(one, other) => {
                let (first, second) = (self.plugs[one].ip, self.plugs[other].ip);
                for (plug, ip) in [(one, second), (other, first)] {
                    self.plugs[plug].lose_power(now_s);
                    let away = self.random.secs(5, 60);
                    self.later(away, Event::Trouble(Trouble::Back(plug, Some(ip))));
                }
            }
            Trouble::Update(plug) => {
                self.plugs[plug].update(now_s);
            }
            Trouble::Clock(ms) => {
                self.wall_ms += ms;
                self.check.meters.jumped();
            }
            Trouble::Summer => {
                self.zone = if self.zone.1 == 0 { (7200, 3600) } else { (3600, 0) };
            }
            Trouble::Broker { forgets, away } => self.broker_stops(forgets, away),
            Trouble::BrokerUp => self.broker.up = true,
            Trouble::Cut { noticed } => self.cut(noticed),
            Trouble::Will(link) => self.last_will(link),
            Trouble::Stop => {
                if let Some(bridge) = self.bridge.as_mut().filter(|bridge| bridge.stopping.is_some())
                    && !bridge.stop_begun
                {
                    bridge.stop_begun = true;
                    self.hub(Input::Stop)?;
                }
            }
            Trouble::Restart => {
                if self.random.chance(30) {
                    // What is announced until the stop has the old form.
                    self.plan.changed = Some(settings(&mut self.random));
                }
                self.stop();
            }
            Trouble::Kill => self.kill(),
            Trouble::Calm => self.all_well(),
            Trouble::CleanUp => {
                self.spread(format!("{BASE}/bridge/request/cleanup"), "{}".into(), false);
            }
        }
        Ok(())
    }

    fn come_back(&mut self, plug: usize, ip: Option<Ipv4Addr>) {
        if self.plugs[plug].here {
            return;
        }
        let ip = ip.unwrap_or(self.plugs[plug].ip);
        let taken = self.plugs.iter().enumerate().any(|(n, other)| n != plug && other.here && other.ip == ip);
        let free = (10..250).map(|last| Ipv4Addr::new(192, 0, 2, last));
        let mut free = free.filter(|ip| self.plugs.iter().all(|plug| plug.ip != *ip));
        let ip = if taken { free.next().expect("a house with few plugs") } else { ip };
        let now_s = self.now_s();
        let model = &mut self.plugs[plug];
        model.ip = ip;
        model.regain_power(now_s);
        tell!(self, "   plug {plug} is back at {ip}");
    }

    fn broker_stops(&mut self, forgets: bool, away: Duration) {
        if !self.broker.up {
            return;
        }
        self.broker.up = false;
        if forgets {
            self.broker.retained.clear();
            let young = self.bridge.as_ref().is_none_or(|b| b.started + Duration::from_secs(1) > self.now);
            if young && self.check.crashed {
                // Before the bridge could read back what its file does not have.
                self.check.meters.crashed(&self.broker.retained);
            }
        }
        self.lose_link(true);
        self.later(away, Event::Trouble(Trouble::BrokerUp));
    }

    fn cut(&mut self, noticed: bool) {
        let Some(link) = &mut self.broker.link else { return };
        link.dead = true;
        let number = link.number;
        let after = if noticed { Duration::ZERO } else { self.random.secs(20, 40) };
        self.later(after, Event::Trouble(Trouble::Will(number)));
        self.lose_link(noticed);
    }

    /// The bridge will notice that its connection is gone.
    fn lose_link(&mut self, soon: bool) {
        let after = if soon { self.random.ms(0, 50) } else { self.random.secs(20, 40) };
        if let Some((run, link)) = self.bridge.as_ref().and_then(|b| Some((b.run, b.link?))) {
            self.later(after, Event::Down { run, link });
        }
        if !self.broker.up {
            self.broker.link = None;
        }
    }

    /// The broker says what a lost client wanted said.
    fn last_will(&mut self, number: u64) {
        if self.broker.link.as_ref().is_some_and(|link| link.number == number) {
            self.broker.link = None;
            self.spread(format!("{BASE}/bridge/state"), "offline".into(), true);
        }
    }

    /// The bridge is gone from one moment to the next, perhaps while it writes its file.
    fn kill(&mut self) {
        let Some(bridge) = self.bridge.take() else { return };
        self.check.killed(self.now);
        let saving = bridge.saving.back();
        let bad_card = self.random.chance(20);
        if saving.is_some() || bad_card {
            tell!(self, "   its file is older than it, or damaged");
            // What a plug has shown that it can do may have to be learnt again.
            self.check.reshaped();
        }
        if let Some(text) = saving {
            match self.random.range(0, 3) {
                0 => {}
                1 => self.disk.save(text.clone()),
                // Between the two renames.
                2 => {
                    let Disk { state, before, .. } = &mut self.disk;
                    *before = state.take().or(before.take());
                }
                _ => {
                    let length = self.random.below(text.len());
                    self.disk.replace(text[..length].to_vec());
                }
            }
        }
        if bad_card && let Some(text) = &mut self.disk.state {
            let place = self.random.below(text.len());
            if self.random.chance(50) {
                text.truncate(place);
            } else if let Some(byte) = text.get_mut(place) {
                *byte ^= 1 << self.random.below(8);
            }
        }
        if let Some(link) = bridge.link {
            let after = self.random.ms(0, 30_000);
            self.later(after, Event::Trouble(Trouble::Will(link)));
        }
        let pause = self.random.secs(1, 20);
        self.later(pause, Event::Start);
    }

    /// Everything is well again and stays so.
    fn all_well(&mut self) {
        self.net = Net::default();
        // One may be gone for good.
        let now_s = self.now_s();
        let gone = (self.plugs.len() > 1 && self.random.chance(20)).then_some(0);
        for plug in 0..self.plugs.len() {
            self.plugs[plug].heal();
            if gone != Some(plug) {
                self.come_back(plug, None);
            }
        }
        // At last: nobody has its address in the moment it goes.
        if let Some(gone) = gone {
            self.plugs[gone].lose_power(now_s);
        }
        tell!(self, "   gone for good: {gone:?}");
        self.broker.up = true;
        if self.broker.link.as_ref().is_some_and(|link| link.dead) {
            self.broker.link = None;
        }
        if self.bridge.is_none() {
            self.later(Duration::from_secs(1), Event::Start);
        }
        if self.check.crashed {
            self.at(self.plan.end - Duration::from_secs(20), Event::Trouble(Trouble::CleanUp));
        }
    }

    /// Lays out what clients do next.
    pub(crate) fn next_client(&mut self) {
        let every = self.plan.command_every * 1000;
        let after = self.random.ms(10, every * 2);
        // The last minutes are for looking, not for moving things.
        if !self.calm() {
            self.later(after, Event::Client);
        }
    }
}
