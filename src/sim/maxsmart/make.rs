//! The members of the family, ready made, and what can be set before one goes into service.

use super::{SetClock, Strip};
use crate::sim::clock;
use crate::sim::load::Load;
use std::collections::VecDeque;

/// The families of firmware that differ on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// 1.06 to 1.30: HTTP only, watts and amps as strings.
    V1,
    /// 2.11: HTTP with integers; V3 status answers 200 without data; no port names.
    V2,
    /// 3.36 and 3.49: HTTP with integers.
    V3,
    /// 5.11 and 5.12: HTTP port closed, V3 datagrams only.
    V5,
    /// The MaxSmart 2.0 plug: V3 datagrams only, status without relays, answers carry the serial.
    Plug2,
}

impl Firmware {
    /// Whether port 80 is open.
    pub fn speaks_http(self) -> bool {
        match self {
            Firmware::V1 | Firmware::V2 | Firmware::V3 => true,
            Firmware::V5 | Firmware::Plug2 => false,
        }
    }

    /// Whether V3 datagrams are answered.
    pub fn speaks_v3(self) -> bool {
        match self {
            Firmware::V2 | Firmware::V5 | Firmware::Plug2 => true,
            Firmware::V1 | Firmware::V3 => false,
        }
    }
}

impl Strip {
    /// A six-port power station with firmware 1.30.
    pub fn strip_1_30(serial: &str) -> Self {
        Self::new(Firmware::V1, "1.30", serial, 6).cpuid("AABBCCDDEEFF554433221100")
    }

    /// A one-port plug with firmware 1.30.
    pub fn plug_1_30(serial: &str) -> Self {
        Self::new(Firmware::V1, "1.30", serial, 1).cpuid("AABBCCDDEEFF554433221101")
    }

    /// A six-port power station with firmware 2.11.
    pub fn strip_2_11(serial: &str) -> Self {
        Self::new(Firmware::V2, "2.11", serial, 6).cpuid("AABBCCDDEEFF554433221102")
    }

    /// A one-port plug with firmware 2.11.
    pub fn plug_2_11(serial: &str) -> Self {
        Self::new(Firmware::V2, "2.11", serial, 1).cpuid("AABBCCDDEEFF554433221103")
    }

    /// A six-port strip with firmware 3.36.
    pub fn strip_3_36(serial: &str) -> Self {
        Self::new(Firmware::V3, "3.36", serial, 6).cpuid("AABBCCDDEEFF554433221104")
    }

    /// A six-port strip with firmware 5.11.
    pub fn strip_5_11(serial: &str) -> Self {
        Self::new(Firmware::V5, "5.11", serial, 6)
    }

    /// A MaxSmart 2.0 one-port plug. No source shows its version, so it tells none.
    pub fn plug_2_0(serial: &str) -> Self {
        Self::new(Firmware::Plug2, "", serial, 1)
    }

    /// Gives the device a name.
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Gives the ports names, port 1 first; surplus names are dropped, missing ones stay.
    pub fn naming_ports(mut self, names: &[&str]) -> Self {
        for (place, name) in self.port_names.iter_mut().zip(names) {
            (*name).clone_into(place);
        }
        self
    }

    /// Sets the address of the network card, as `02:00:00:00:00:01`.
    pub fn mac(mut self, mac: &str) -> Self {
        mac.clone_into(&mut self.mac);
        self
    }

    /// Sets the processor's number, 24 hexadecimal digits.
    pub fn cpuid(mut self, cpuid: &str) -> Self {
        self.cpuid = Some(cpuid.to_owned());
        self
    }

    /// Plugs a load into a port.
    pub fn load(mut self, port: usize, load: Load) -> Self {
        self.plug_in(port, load);
        self
    }

    /// Sets all relays at once, port 1 first; missing ones stay.
    pub fn with_relays(mut self, on: &[bool]) -> Self {
        for (relay, on) in self.relays.iter_mut().zip(on) {
            *relay = *on;
        }
        self
    }

    /// Answers V3 without the prefix `V3`, as in the vendor's sheet; openHAB and mh-maxsmart2 saw it with one.
    pub fn bare_replies(mut self) -> Self {
        self.bare_replies = true;
        self
    }

    /// Ignores V3 datagrams with another's serial, as the vendor's sheet suggests; openHAB saw that all react.
    pub fn heeding_serial(mut self) -> Self {
        self.heeds_serial = true;
        self
    }

    /// Lets the loads live this many times faster, so that something happens while one watches.
    pub fn living_faster(mut self, times: u32) -> Self {
        self.hurry = u64::from(times.max(1));
        self
    }

    /// Writes the figures of its history so.
    pub fn with_figures(mut self, figures: super::Metrics) -> Self {
        self.figures = figures;
        self
    }

    /// Comes back from a reboot with all relays off.
    pub fn forgetting_relays(mut self) -> Self {
        self.forgets_relays = true;
        self
    }

    fn new(firmware: Firmware, version: &'static str, serial: &str, ports: usize) -> Self {
        let usual = [
            Load::Standby { milliwatts: 5_200 },
            Load::Fridge { milliwatts: 85_000 },
            Load::Kettle { milliwatts: 2_000_000 },
            Load::Constant { milliwatts: 18_330 },
            Load::Nothing,
            Load::Nothing,
        ];
        Self {
            firmware,
            version,
            serial: serial.to_owned(),
            mac: "02:00:00:00:00:01".to_owned(),
            name: if ports == 1 { "SWITCH" } else { "STRIP" }.to_owned(),
            port_names: (1..=ports).map(|port| format!("PORT{port}")).collect(),
            cpuid: None,
            relays: vec![true; ports],
            loads: usual.into_iter().take(ports).collect(),
            bare_replies: false,
            hurry: 1,
            heeds_serial: false,
            forgets_relays: false,
            clock: SetClock { local: clock::UNSET, at: 0 },
            figures: super::Metrics::default(),
            record: super::history::Record::default(),
            skills: super::capability::Skills::new(ports),
            up_from_s: 0.0,
            requests: 0,
            switched: VecDeque::new(),
        }
    }
}
