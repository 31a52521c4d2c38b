//! The plug's side of UDP port 8888: discovery and V3.

use super::wire::{self, Object};
use super::{Firmware, SetClock, Strip};
use crate::sim::clock;
use serde_json::Value;

/// A made-up cloud credential; real ones stay on real plugs.
const SAK: &str = "000000000000";
/// A made-up cloud account.
const REGID: &str = "rvg000000000";

impl Strip {
    /// Hears one datagram and gives the datagrams that the plug sends back to its sender.
    pub fn datagram(&mut self, now_s: f64, bytes: &[u8]) -> Vec<Vec<u8>> {
        if !self.is_up(now_s) {
            return Vec::new();
        }
        self.requests += 1;
        let second = clock::whole_seconds(now_s);
        self.count_to(second);
        let reply = match bytes.strip_prefix(b"V3") {
            Some(request) => self.v3(second, request),
            None => self.discovery(second, bytes),
        };
        reply.map(String::into_bytes).into_iter().collect()
    }

    /// `00dv=all,<date>,<time>,<zone>;` or `00sw=...`; everything after `all` may be missing or nonsense, a date sets
    /// the clock. The plug does not read the rest: maxsmart sends `00dv=all,{datetime};` unformatted and is answered.
    fn discovery(&mut self, second: u64, bytes: &[u8]) -> Option<String> {
        let text = std::str::from_utf8(bytes).ok()?;
        let rest = text.strip_prefix("00dv=all").or_else(|| text.strip_prefix("00sw=all"))?;
        if let Some(local) = rest.strip_prefix(',').and_then(|rest| clock::parse(rest.split(';').next()?)) {
            self.clock = SetClock { local, at: second };
        }
        Some(Object::new().put("response", 0).put_raw("data", &self.introduction()).end())
    }

    fn introduction(&self) -> String {
        let (serial, name, mac) = (self.serial.as_str(), self.name.as_str(), self.mac.as_str());
        let object = Object::new().put("sn", serial);
        match self.firmware {
            Firmware::V1 => {
                let object = object.put("name", name);
                let object =
                    if self.ports() > 1 { object.put("pname", self.port_names.clone()) } else { object };
                let object = object.put("mac", mac).put("sak", SAK).put("ver", self.version);
                object.put("register", 0).put("nver", self.version).put("protect", 0).end()
            }
            Firmware::V2 => {
                object.put("name", name).put("mac", mac).put("sak", SAK).put("ver", self.version).end()
            }
            Firmware::V3 | Firmware::V5 => {
                let object = object.put("regid", REGID).put("sak", SAK);
                object.put("name", name).put("mac", mac).put("ver", self.version).end()
            }
            Firmware::Plug2 => object.put("name", name).put("mac", mac).put("sak", SAK).end(),
        }
    }

    /// `{"sn":..,"cmd":90}` and `{"sn":..,"cmd":20,"port":..,"state":..}`, with any text behind (the app appends
    /// `  ip=<address>`). 90 works without a serial, 20 needs one.
    fn v3(&mut self, second: u64, request: &[u8]) -> Option<String> {
        if !self.firmware.speaks_v3() {
            return None;
        }
        let request: Value = serde_json::Deserializer::from_slice(request).into_iter().next()?.ok()?;
        let serial = request.get("sn").and_then(Value::as_str);
        if self.heeds_serial && serial.is_some_and(|serial| serial != self.serial) {
            return None;
        }
        let response = wire::number(&request, "cmd")?;
        let reply = match response {
            90 if self.firmware == Firmware::V2 => wire::envelope(response, wire::DONE, None),
            90 => wire::envelope(response, wire::DONE, Some(&self.status(second))),
            20 => {
                let arguments = wire::number(&request, "port").zip(wire::number(&request, "state"));
                let code = match (serial, arguments) {
                    (Some(_), Some((port, state))) => self.switch(port, state),
                    _ => wire::REFUSED,
                };
                wire::envelope(response, code, None)
            }
            _ => return None,
        };
        let reply = match self.firmware {
            Firmware::Plug2 => reply.put("sn", self.serial.as_str()),
            Firmware::V1 | Firmware::V2 | Firmware::V3 | Firmware::V5 => reply,
        };
        Some(format!("{}{}", if self.bare_replies { "" } else { "V3" }, reply.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::load::Load;

    const SERIAL: &str = "SWP6000000000001";

    fn check(strip: &mut Strip, request: &str, reply: Option<&str>) {
        let replies = strip.datagram(0.0, request.as_bytes());
        let texts: Vec<_> = replies.iter().map(|bytes| String::from_utf8_lossy(bytes)).collect();
        assert_eq!(texts, Vec::from_iter(reply), "{request}");
    }

    #[test]
    fn each_firmware_introduces_itself_as_captured() {
        let strip = concat!(
            r#"{"response":0,"data":{"sn":"SWP6000000000001","name":"STRIP","#,
            r#""pname":["PORT1","PORT2","PORT3","PORT4","PORT5","PORT6"],"mac":"02:00:00:00:00:01","#,
            r#""sak":"000000000000","ver":"1.30","register":0,"nver":"1.30","protect":0}}"#
        );
        check(&mut Strip::strip_1_30(SERIAL), "00dv=all,2018-10-07,10:48:42,13;", Some(strip));
        let plug = concat!(
            r#"{"response":0,"data":{"sn":"SWP1000000000001","name":"Büro \"2\"","mac":"02:00:00:00:00:02","#,
            r#""sak":"000000000000","ver":"2.11"}}"#
        );
        let mut named = Strip::plug_2_11("SWP1000000000001").named("Büro \"2\"").mac("02:00:00:00:00:02");
        check(&mut named, "00dv=all;", Some(plug));
        let v5 = concat!(
            r#"{"response":0,"data":{"sn":"SWP6000000000001","regid":"rvg000000000","sak":"000000000000","#,
            r#""name":"STRIP","mac":"02:00:00:00:00:01","ver":"5.11"}}"#
        );
        check(&mut Strip::strip_5_11(SERIAL), "00sw=all,,,;", Some(v5));
        let plug2 = r#"{"response":0,"data":{"sn":"SWW1000000000001","name":"SWITCH","mac":"02:00:00:00:00:01","sak":"000000000000"}}"#;
        check(&mut Strip::plug_2_0("SWW1000000000001"), "00dv=all,2026-11-21,00:27:19,12;", Some(plug2));
    }

    #[test]
    fn every_form_of_discovery_is_answered_and_only_a_date_sets_the_clock() {
        for (request, time) in [
            ("00dv=all,2018-10-07,10:48:42,13;", "2018-10-07,10:48:42"),
            ("00dv=all;", "2013-12-26,00:00:00"),
            ("00dv=all", "2013-12-26,00:00:00"),
            ("00sw=all,2016-05-27,16:51:00,20;", "2016-05-27,16:51:00"),
            ("00sw=all,,,;", "2013-12-26,00:00:00"),
            ("00dv=all,2026-11-21,00:27:19;", "2026-11-21,00:27:19"),
            ("00dv=all,{datetime};", "2013-12-26,00:00:00"),
        ] {
            let mut strip = Strip::strip_1_30(SERIAL);
            assert_eq!(strip.datagram(0.0, request.as_bytes()).len(), 1, "{request}");
            assert_eq!(strip.time(0.0), time, "{request}");
        }
    }

    #[test]
    fn noise_gets_no_answer() {
        let mut strip = Strip::strip_5_11(SERIAL);
        for request in [
            "",
            "V",
            "V3",
            "V3{",
            "V3[]",
            r#"V3{"sn":"x","cmd":91}"#,
            "hello",
            "00xx=all;",
            r#"{"sn":"x","cmd":90}"#,
        ] {
            check(&mut strip, request, None);
        }
        assert!(strip.datagram(0.0, b"00dv=all,\xff").is_empty());
        assert_eq!(strip.requests(), 10);
    }

    #[test]
    fn v3_reads_and_switches_on_5_11() {
        let mut strip = Strip::strip_5_11(SERIAL)
            .load(1, Load::Constant { milliwatts: 18_330 })
            .with_relays(&[true, false, false, false]);
        let status = r#"V3{"response":90,"code":200,"data":{"watt":[18330,0,0,0,0,0],"amp":[79,0,0,0,0,0],"switch":[1,0,0,0,1,1]}}"#;
        check(&mut strip, r#"V3{"sn":"SWP6000000000001","cmd":90}"#, Some(status));
        check(&mut strip, r#"V3{"cmd": 90}"#, Some(status));
        check(&mut strip, r#"V3{"cmd":90,"sn":"SWP6000000000001"}  ip=192.0.2.1"#, Some(status));
        check(
            &mut strip,
            r#"V3{"sn":"SWP6000000000001","cmd":20,"port":0,"state":0}"#,
            Some(r#"V3{"response":20,"code":200}"#),
        );
        assert_eq!(strip.relays(), [false; 6]);
        for refused in [
            r#"V3{"cmd":20,"port":1,"state":1}"#,
            r#"V3{"sn":"SWP6000000000001","cmd":20,"port":7,"state":1}"#,
            r#"V3{"sn":"SWP6000000000001","cmd":20,"port":1}"#,
        ] {
            check(&mut strip, refused, Some(r#"V3{"response":20,"code":400}"#));
        }
        assert_eq!(strip.relays(), [false; 6]);
    }

    #[test]
    fn the_prefix_can_be_missing() {
        let mut strip = Strip::strip_5_11(SERIAL).bare_replies();
        check(
            &mut strip,
            r#"V3{"sn":"SWP6000000000001","cmd":20,"port":1,"state":1}"#,
            Some(r#"{"response":20,"code":200}"#),
        );
    }

    #[test]
    fn anothers_serial_is_heeded_only_on_wish() {
        let switch = r#"V3{"sn":"SWP6000000000009","cmd":20,"port":1,"state":0}"#;
        let mut careless = Strip::strip_5_11(SERIAL);
        check(&mut careless, switch, Some(r#"V3{"response":20,"code":200}"#));
        assert_eq!(careless.relays().first(), Some(&false));
        let mut careful = Strip::strip_5_11(SERIAL).heeding_serial();
        check(&mut careful, switch, None);
        check(&mut careful, r#"V3{"sn":"SWP6000000000009","cmd":90}"#, None);
        assert_eq!(careful.relays().first(), Some(&true));
    }

    #[test]
    fn v3_differs_on_the_other_firmwares() {
        let read = r#"V3{"sn":"SWW1000000000001","cmd":90}"#;
        let switch = r#"V3{"sn":"SWW1000000000001","cmd":20,"port":1,"state":0}"#;
        check(&mut Strip::strip_1_30(SERIAL), read, None);
        check(&mut Strip::strip_3_36(SERIAL), read, None);
        check(&mut Strip::plug_2_11("SWP1000000000001"), read, Some(r#"V3{"response":90,"code":200}"#));
        let mut plug = Strip::plug_2_0("SWW1000000000001").load(1, Load::Constant { milliwatts: 2_300 });
        let status =
            r#"V3{"response":90,"code":200,"data":{"watt":[2300],"amp":[10]},"sn":"SWW1000000000001"}"#;
        check(&mut plug, read, Some(status));
        check(&mut plug, switch, Some(r#"V3{"response":20,"code":200,"sn":"SWW1000000000001"}"#));
        assert_eq!(plug.relays(), [false]);
    }
}
