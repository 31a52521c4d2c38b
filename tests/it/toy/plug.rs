//! The socket's side, simulated: shares nothing with the driver.

use plug2mqtt::sim::{Model, Request};
use serde_json::{Value, json};

/// A simulated socket.
#[derive(Clone, Debug)]
pub(super) struct Socket {
    pub(super) on: [bool; 2],
    pub(super) pin: &'static str,
    pub(super) beeps: u32,
    /// What its counters show.
    pub(super) kwh: [f64; 2],
    pub(super) volts: f64,
}

impl Socket {
    pub(super) fn new(pin: &'static str) -> Self {
        Self { on: [false; 2], pin, beeps: 0, kwh: [100.0, 7.5], volts: 229.5 }
    }

    fn ports(&self) -> Vec<u8> {
        let port = |(on, kwh): (&bool, &f64)| {
            let (watts, amps) = if *on { (46.0, 0.2) } else { (0.0, 0.0) };
            json!({"on": on, "w": watts, "a": amps, "v": self.volts, "kwh": kwh})
        };
        let ports: Vec<Value> = self.on.iter().zip(&self.kwh).map(port).collect();
        json!({"toy": 1, "ports": ports}).to_string().into_bytes()
    }

    /// What it says unasked when its first port was pressed; of the other one nothing.
    pub(super) fn news(&self) -> Vec<u8> {
        let port = json!({"on": self.on[0], "w": if self.on[0] { 46.0 } else { 0.0 }});
        json!({"toy": 1, "mac": "02:00:00:00:00:a1", "ports": [port]}).to_string().into_bytes()
    }

    fn switch(&mut self, body: &Value) -> Option<Vec<u8>> {
        if body["pin"] != self.pin {
            return Some(br#"{"toy":1,"error":"wrong pin"}"#.into());
        }
        let port = usize::try_from(body["port"].as_u64()?).ok()?.checked_sub(1)?;
        *self.on.get_mut(port)? = body["on"].as_bool()?;
        self.beeps += u32::from(body["beep"] == true);
        Some(self.ports())
    }
}

impl Model for Socket {
    fn serial(&self) -> &str {
        "0200000000a1"
    }

    fn speaks_http(&self) -> bool {
        true
    }

    fn is_up(&self, _: f64) -> bool {
        true
    }

    fn datagram(&mut self, _: f64, bytes: &[u8]) -> Vec<Vec<u8>> {
        match bytes {
            b"TOY?" => {
                let hello = json!({"toy": 1, "mac": "02:00:00:00:00:a1", "name": "Toy box", "room": "attic"});
                vec![hello.to_string().into_bytes()]
            }
            b"TOY READ" => vec![self.ports()],
            _ => Vec::new(),
        }
    }

    fn http(&mut self, _: f64, request: &Request<'_>) -> Option<Vec<u8>> {
        if (request.method, request.target) != ("POST", "/relay") {
            return None;
        }
        let body = self.switch(&serde_json::from_slice(request.body).ok()?)?;
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
        Some([head.into_bytes(), body].concat())
    }

    fn press(&mut self, _: f64, port: usize) {
        if let Some(on) = port.checked_sub(1).and_then(|place| self.on.get_mut(place)) {
            *on = !*on;
        }
    }

    fn reboot(&mut self, _: f64) {}

    fn watts(&self, _: f64) -> Vec<f64> {
        self.on.iter().map(|on| if *on { 46.0 } else { 0.0 }).collect()
    }
}
