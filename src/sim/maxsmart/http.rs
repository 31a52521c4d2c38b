//! The plug's side of TCP port 80: `GET /?cmd=<n>[&json=<object>]`.

use super::wire::{self, Object};
use super::{Firmware, Strip};
use crate::sim::{Request, clock};
use serde_json::Value;

const LONGEST_NAME: usize = 32;

impl Strip {
    /// Hears one request and gives the complete reply; `None` means closed without a word.
    pub fn http(&mut self, now_s: f64, asked: &Request<'_>) -> Option<Vec<u8>> {
        if !self.firmware.speaks_http() || !self.is_up(now_s) {
            return None;
        }
        self.requests += 1;
        self.count(now_s);
        let (cmd, args) = request(asked)?;
        let body = self.command(clock::whole_seconds(now_s), cmd, &args)?;
        // The missing blank after "Content-Type:" is as captured from 1.06.
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Type:text/plain\r\n\r\n", body.len());
        Some((head + &body).into_bytes())
    }

    fn command(&mut self, second: u64, cmd: u64, args: &Value) -> Option<String> {
        let data = match cmd {
            124 => self.hardware(),
            200 => {
                let only = (self.ports() == 1 && args.get("port").is_none()).then_some(0);
                let port = only.or_else(|| wire::number(args, "port"))?;
                let code = self.switch(port, wire::number(args, "state")?);
                return Some(wire::envelope(cmd, code, None).end());
            }
            201 => {
                let code = self.rename(wire::number(args, "port")?, args.get("name")?.as_str()?);
                return Some(wire::envelope(cmd, code, None).end());
            }
            502 => Object::new().put("time", clock::render(self.local(second))).end(),
            510 => self.statistics(second, wire::number(args, "type")?)?,
            511 => self.status(second),
            513 => Object::new().put("switch", self.switch_array()).end(),
            _ => return self.skill(second, cmd, args),
        };
        Some(wire::envelope(cmd, wire::DONE, Some(&data)).end())
    }

    fn hardware(&self) -> String {
        let object = Object::new().put("plcmac", self.mac.as_str()).put("plcdak", "0000-0000-0000-0000");
        object.put("cpuid", self.cpuid.as_deref().unwrap_or("")).put("server", "www.maxsmart.ch").end()
    }

    /// Certain for 1.30 only; the client that claims more for 2.11 and 3.x does not try it there itself.
    fn rename(&mut self, port: u64, name: &str) -> u16 {
        if self.firmware != Firmware::V1 || name.is_empty() || name.chars().count() > LONGEST_NAME {
            return wire::REFUSED;
        }
        let place = usize::try_from(port).unwrap_or(usize::MAX).checked_sub(1);
        match place {
            None => name.clone_into(&mut self.name),
            Some(place) => match self.port_names.get_mut(place) {
                Some(old) => name.clone_into(old),
                None => return wire::REFUSED,
            },
        }
        wire::DONE
    }
}

/// The command and its arguments; nothing but a GET is understood.
pub(super) fn request(asked: &Request<'_>) -> Option<(u64, Value)> {
    let query = Some(asked).filter(|asked| asked.method == "GET")?.target.strip_prefix("/?cmd=")?;
    let (cmd, json) = query.split_once("&json=").unwrap_or((query, ""));
    let args = if json.is_empty() { Value::Null } else { serde_json::from_slice(&unescape(json)).ok()? };
    Some((cmd.parse().ok()?, args))
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        let escaped = (first == b'%').then(|| tail.get(..2)).flatten();
        let byte = escaped.and_then(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
        match byte {
            Some(byte) => {
                out.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => out.push(if first == b'+' { b' ' } else { first }),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::load::Load;

    const SERIAL: &str = "SWP6000000000001";

    fn body(strip: &mut Strip, target: &str) -> Option<String> {
        let reply = String::from_utf8(strip.http(0.0, &Request::get(target))?).expect("text");
        let (head, body) = reply.split_once("\r\n\r\n").expect("a head");
        assert_eq!(
            head,
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nContent-Type:text/plain", body.len())
        );
        Some(body.to_owned())
    }

    fn check(strip: &mut Strip, target: &str, expected: Option<&str>) {
        assert_eq!(body(strip, target).as_deref(), expected, "{target}");
    }

    #[test]
    fn every_spelling_of_a_relay_command_is_taken() {
        for (target, relays) in [
            (
                "/?cmd=200&json=%7B%22sn%22%3A%22SWP6000000000001%22%2C%22port%22%3A2%2C%22state%22%3A0%7D",
                [1, 0, 1, 1, 1, 1],
            ),
            ("/?cmd=200&json=%7B%22port%22:1,%22state%22:0%7D", [0, 1, 1, 1, 1, 1]),
            ("/?cmd=200&json=%7B%22port%22%3A+1%2C+%22state%22%3A+0%7D", [0, 1, 1, 1, 1, 1]),
            ("/?cmd=200&json=%7B%22port%22%3A+%220%22%2C+%22state%22%3A+0%7D", [0; 6]),
            ("/?cmd=200&json=%7B%22port%22:6,%20%22state%22:0%7D", [1, 1, 1, 1, 1, 0]),
            (r#"/?cmd=200&json={"port":0,"state":0}"#, [0; 6]),
            (r#"/?cmd=0200&json={"port": 3, "state": 0}"#, [1, 1, 0, 1, 1, 1]),
        ] {
            let mut strip = Strip::strip_1_30(SERIAL);
            check(&mut strip, target, Some(r#"{"response":200,"code":200}"#));
            assert_eq!(strip.switch_array(), relays, "{target}");
        }
    }

    #[test]
    fn what_a_plug_does_not_understand_gives_no_bytes() {
        let mut strip = Strip::strip_1_30(SERIAL);
        for target in [
            "",
            "/",
            "/index.html",
            "/?cmd=",
            "/?cmd=999",
            "/?cmd=200",
            "/?cmd=510",
            "/?cmd=200&json=%7B",
            "/?cmd=200&json=%7B%22port%22:1%7D",
            "/?cmd=200&json=%7B%22state%22:1%7D",
            "/?cmd=201&json=%7B%22port%22:1%7D",
            "/?cmd=511&json=%zz%",
        ] {
            check(&mut strip, target, None);
        }
        check(
            &mut strip,
            "/?cmd=200&json=%7B%22port%22:7,%22state%22:1%7D",
            Some(r#"{"response":200,"code":400}"#),
        );
    }

    #[test]
    fn a_one_port_plug_takes_port_0_1_or_none() {
        for port in ["%22port%22:0,", "%22port%22:1,", ""] {
            let mut plug = Strip::plug_1_30("SWP1000000000001");
            let target = format!("/?cmd=200&json=%7B{port}%22state%22:0%7D");
            check(&mut plug, &target, Some(r#"{"response":200,"code":200}"#));
            assert_eq!(plug.relays(), [false]);
        }
    }

    #[test]
    fn status_has_the_number_types_of_its_firmware() {
        let load = Load::Constant { milliwatts: 5_200 };
        let strip = |strip: Strip| strip.load(1, load).with_relays(&[true, false, false, false]);
        let v1 = concat!(
            r#"{"response":511,"code":200,"data":{"watt":["5.20","0.00","0.00","0.00","0.00","0.00"],"#,
            r#""amp":["0.2","0.2","0.2","0.2","0.2","0.2"],"switch":[1,0,0,0,1,1]}}"#
        );
        check(&mut strip(Strip::strip_1_30(SERIAL)), "/?cmd=511", Some(v1));
        let v3 = r#"{"response":511,"code":200,"data":{"watt":[5200,0,0,0,0,0],"amp":[22,0,0,0,0,0],"switch":[1,0,0,0,1,1]}}"#;
        for firmware in [Strip::strip_2_11(SERIAL), Strip::strip_3_36(SERIAL)] {
            check(&mut strip(firmware), "/?cmd=511", Some(v3));
        }
        let plug = Strip::plug_1_30("SWP1000000000001").load(1, Load::Constant { milliwatts: 18_330 });
        let loaded = r#"{"response":511,"code":200,"data":{"watt":["18.33"],"amp":["0.1"],"switch":[1]}}"#;
        check(&mut plug.clone(), "/?cmd=511", Some(loaded));
        let relay = r#"{"response":513,"code":200,"data":{"switch":[0]}}"#;
        check(&mut plug.with_relays(&[false]), "/?cmd=513", Some(relay));
        for closed in [Strip::strip_5_11(SERIAL), Strip::plug_2_0("SWW1000000000001")] {
            check(&mut closed.clone(), "/?cmd=511", None);
        }
    }

    #[test]
    fn rename_works_on_1_30_only_and_shows_in_discovery() {
        let target = "/?cmd=201&json=%7B%22port%22:2,%22name%22:%22B%C3%BCro+%26+Bad%22%7D";
        let mut strip = Strip::strip_1_30(SERIAL);
        check(&mut strip, target, Some(r#"{"response":201,"code":200}"#));
        assert_eq!(strip.port_names().get(1).map(String::as_str), Some("Büro & Bad"));
        check(
            &mut strip,
            r#"/?cmd=201&json={"port":0,"name":"Desk"}"#,
            Some(r#"{"response":201,"code":200}"#),
        );
        assert_eq!(strip.name(), "Desk");
        let long = format!(r#"/?cmd=201&json={{"port":1,"name":"{}"}}"#, "x".repeat(33));
        check(&mut strip, &long, Some(r#"{"response":201,"code":400}"#));
        check(&mut strip, r#"/?cmd=201&json={"port":7,"name":"x"}"#, Some(r#"{"response":201,"code":400}"#));
        check(&mut Strip::strip_2_11(SERIAL), target, Some(r#"{"response":201,"code":400}"#));
    }

    #[test]
    fn clock_and_hardware_are_told() {
        let mut strip = Strip::strip_1_30(SERIAL);
        strip.datagram(0.0, b"00dv=all,2018-10-13,00:23:35,13;");
        check(
            &mut strip,
            "/?cmd=502",
            Some(r#"{"response":502,"code":200,"data":{"time":"2018-10-13,00:23:35"}}"#),
        );
        let hardware = concat!(
            r#"{"response":124,"code":200,"data":{"plcmac":"02:00:00:00:00:01","plcdak":"0000-0000-0000-0000","#,
            r#""cpuid":"AABBCCDDEEFF554433221100","server":"www.maxsmart.ch"}}"#
        );
        check(&mut strip, "/?cmd=124", Some(hardware));
    }

    #[test]
    fn statistics_have_a_row_per_port_and_their_firmwares_types() {
        let load = Load::Constant { milliwatts: 50_000 };
        for (kind, buckets, hours, date) in
            [(0, 24, 1, "2018-10-11-21"), (1, 31, 24, "2018-10-11"), (2, 12, 720, "2018-10")]
        {
            let mut strip = Strip::strip_1_30(SERIAL).load(2, load).with_relays(&[false]);
            strip.datagram(0.0, b"00dv=all,2018-10-11,21:05:00,13;");
            let reply =
                body(&mut strip, &format!("/?cmd=510&json=%7B%22type%22:{kind}%7D")).expect("a reply");
            let reply: Value = serde_json::from_str(&reply).expect("JSON");
            assert_eq!(reply.pointer("/data/date"), Some(&date.into()));
            assert_eq!(reply.pointer("/data/watt").and_then(Value::as_array).map(Vec::len), Some(6));
            assert_eq!(reply.pointer("/data/watt/0"), Some(&vec!["0.00"; buckets].into()));
            let mut want = vec![format!("{}.00", hours * 50); buckets];
            if kind == 0 {
                // The hour is five minutes old.
                want[buckets - 1] = "4.16".into();
            }
            assert_eq!(reply.pointer("/data/watt/1"), Some(&want.into()));
        }
        let mut plug = Strip::plug_2_11("SWP1000000000001").load(1, load);
        let reply = body(&mut plug, "/?cmd=510&json=%7B%22type%22:0%7D").expect("a reply");
        assert!(reply.contains(r#""date":null,"watt":[[50,50,"#), "{reply}");
        assert!(reply.ends_with("50,50,0]]}}"), "{reply}");
        check(&mut plug, "/?cmd=510&json=%7B%22type%22:3%7D", None);
    }

    #[test]
    fn hours_in_service_are_counted_truly_whatever_the_relays_do_later() {
        let load = Load::Constant { milliwatts: 600_000 };
        let mut strip = Strip::strip_1_30(SERIAL).load(1, load);
        strip.datagram(0.0, b"00dv=all,2018-10-11,21:00:00,13;");
        strip.count(1_800.0);
        strip.press(1);
        let reply = body(&mut strip, "/?cmd=510&json=%7B%22type%22:0%7D").expect("a reply");
        assert!(reply.contains("2018-10-11-21"), "{reply}");
        let reply = strip.http(7_200.0, &Request::get("/?cmd=510&json=%7B%22type%22:0%7D")).expect("a reply");
        let reply = String::from_utf8(reply).expect("text");
        assert!(reply.contains("2018-10-11-23"), "{reply}");
        assert!(reply.contains(r#""300.00","0.00","0.00"],"#), "{reply}");
    }
}
