//! A family nobody has built, as a driver would be in its folder: a socket with two ports that answers JSON by
//! datagram and is switched by an HTTP request with a body.

use plug2mqtt::drivers::{Dialect, Driver, Message, Probe, Reply, Request, Step};
use plug2mqtt::model::{
    DeviceInfo, DeviceRequest, DeviceResponse, DialectOptions, Discovered, Endpoint, Energy, Failure, Family,
    FamilyInfo, Mac, Name, Now, PlugId, PortReading, Pushed, Reading, Setting, SettingKind, Switch,
};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

pub(super) const HELLO: &[u8] = b"TOY?";
pub(super) const READ: &[u8] = b"TOY READ";

static FAMILY: FamilyInfo = FamilyInfo {
    name: "toy",
    about: "Toy sockets, which exist in tests alone.",
    udp_port: 7007,
    http_port: Some(7008),
    timeout: Duration::from_secs(2),
    poll_interval: Duration::from_secs(7),
    slow_poll_interval: None,
    set_clock: None,
    rating_w: Some(2300),
    recorded: None,
    settings: &[
        Setting {
            key: "pin",
            doc: "Number on the label, without which a socket does not switch.",
            kind: SettingKind::Secret { allowed: "four digits", check: four_digits },
        },
        Setting {
            key: "room",
            doc: "Only sockets in this room are answered for.",
            kind: SettingKind::Text { allowed: "text", check: |_| Ok(()) },
        },
        Setting {
            key: "listen",
            doc: "UDP port of this machine to which sockets say what has changed.",
            kind: SettingKind::Text { allowed: "a port", check: a_port },
        },
        Setting {
            key: "cloud.port",
            doc: "Port of the cloud that sockets are told.",
            kind: SettingKind::Text { allowed: "a port", check: a_port },
        },
        Setting {
            key: "cloud.token",
            doc: "What sockets show to the cloud.",
            kind: SettingKind::Secret { allowed: "four digits", check: four_digits },
        },
        Setting { key: "beep", doc: "Beep at each switch.", kind: SettingKind::Switch(true) },
    ],
};

fn four_digits(pin: &str) -> Result<(), String> {
    let fits = pin.len() == 4 && pin.bytes().all(|digit| digit.is_ascii_digit());
    if fits { Ok(()) } else { Err("is not four digits; read it off the label".into()) }
}

fn a_port(text: &str) -> Result<(), String> {
    text.parse::<u16>().map(drop).map_err(|_| "is not a port".into())
}

/// The family.
#[derive(Debug)]
pub(super) struct Toy;

impl Driver for Toy {
    fn info(&self) -> &'static FamilyInfo {
        &FAMILY
    }

    fn probes(&self, family: &Family, _: &Now) -> Vec<Probe> {
        vec![Probe { bytes: HELLO.into(), port: family.udp_port }]
    }

    fn recognise(&self, family: &Family, from: SocketAddr, datagram: &[u8]) -> Option<Discovered> {
        let place = Endpoint { ip: from.ip(), http: family.http_port, udp: family.udp_port };
        let hello = parsed(datagram)?;
        let room = family.own.text("room");
        let found = found(&hello, place)?;
        room.is_none_or(|room| hello["room"] == room).then_some(found)
    }

    fn listens(&self, family: &Family) -> Option<u16> {
        family.own.text("listen")?.parse().ok()
    }

    fn pushed(&self, _: &Family, from: SocketAddr, datagram: &[u8]) -> Option<Pushed> {
        let said = parsed(datagram)?;
        let mac = Mac::parse(said["mac"].as_str()?)?;
        let plug = PlugId::of(FAMILY.name, &mac.bare())?;
        Some(Pushed { plug, from: Some(from.ip()), reading: reading(&said)? })
    }

    fn attach(&self, family: &Family, plug: &Discovered, options: &DialectOptions) -> Box<dyn Dialect> {
        Box::new(ToyDialect {
            place: plug.place,
            pin: family.own.text("pin").unwrap_or_default().into(),
            beep: family.own.switch("beep"),
            timeout: options.timeout,
            plan: VecDeque::new(),
            identifies: false,
        })
    }
}

fn parsed(bytes: &[u8]) -> Option<Value> {
    serde_json::from_slice(bytes).ok().filter(|json: &Value| json["toy"] == 1)
}

fn found(hello: &Value, place: Endpoint) -> Option<Discovered> {
    let mac = Mac::parse(hello["mac"].as_str()?)?;
    let mut facts = DeviceInfo::default();
    facts.name = hello["name"].as_str().and_then(Name::clean);
    facts.manufacturer = "Toys".into();
    facts.model = "Two-way socket".into();
    facts.mac = Some(mac);
    Some(Discovered { driver: FAMILY.name, id: PlugId::of(FAMILY.name, &mac.bare()), place, facts })
}

/// What a socket says of its ports, asked or not.
fn reading(said: &Value) -> Option<Reading> {
    let mut reading = Reading::default();
    for told in said["ports"].as_array()?.iter().take(2) {
        let mut port = PortReading::default();
        port.relay = told["on"].as_bool();
        port.watts = told["w"].as_f64();
        port.amps = told["a"].as_f64();
        port.volts = told["v"].as_f64();
        port.energy = told["kwh"].as_f64().and_then(Energy::from_kwh);
        reading.ports.push(port);
    }
    Some(reading)
}

#[derive(Debug)]
struct ToyDialect {
    place: Endpoint,
    pin: String,
    beep: bool,
    timeout: Duration,
    /// Requests still to be sent.
    plan: VecDeque<Message>,
    identifies: bool,
}

impl ToyDialect {
    fn next(&mut self) -> Option<Step> {
        let what = self.plan.pop_front()?;
        Some(Step::Send(Request { what, timeout: self.timeout }))
    }
}

impl Dialect for ToyDialect {
    fn start(&mut self, ask: &DeviceRequest, _: &Now) -> Step {
        self.plan.clear();
        self.identifies = *ask == DeviceRequest::Identify;
        match ask {
            DeviceRequest::Identify => self.plan.push_back(Message::Datagram(HELLO.into())),
            DeviceRequest::Read => self.plan.push_back(Message::Datagram(READ.into())),
            DeviceRequest::Switch(switch) => {
                let ports = match switch {
                    Switch::All(on) => vec![(1, *on), (2, *on)],
                    Switch::Ports(ports) => ports.iter().map(|(&port, &on)| (port, on)).collect(),
                };
                self.plan.extend(ports.into_iter().map(|(port, on)| {
                    let body = json!({"pin": self.pin, "port": port, "on": on, "beep": self.beep});
                    Message::Post("/relay".into(), body.to_string().into_bytes())
                }));
            }
            DeviceRequest::Capability(_) => {}
        }
        self.next().unwrap_or_else(|| Step::Done(Box::new(DeviceResponse::Unsupported)))
    }

    fn handle_response(&mut self, reply: Reply<'_>, _: &Now) -> Result<Step, Failure> {
        let Reply::Bytes(bytes) = reply else { return Err(reply.failure().unwrap_or(Failure::Timeout)) };
        let nonsense = || Failure::InvalidResponse("not what a toy says".into());
        let said = parsed(bytes).ok_or_else(nonsense)?;
        if let Some(why) = said["error"].as_str() {
            return Err(Failure::Rejected(why.into()));
        }
        if self.identifies {
            let found = found(&said, self.place).ok_or_else(nonsense)?;
            return Ok(Step::Done(Box::new(DeviceResponse::Identity(found))));
        }
        if let Some(step) = self.next() {
            return Ok(step);
        }
        Ok(Step::Done(Box::new(DeviceResponse::Reading(reading(&said).ok_or_else(nonsense)?))))
    }
}
