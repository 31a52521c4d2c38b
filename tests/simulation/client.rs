//! What people and their programs do over MQTT: commands of every form, sense and nonsense, requests,
//! Home Assistant.

use crate::check::Checked;
use crate::plan::{BASE, BIRTH, PREFIX};
use crate::world::{World, tell};

impl World {
    pub(crate) fn client(&mut self) -> Checked {
        self.next_client();
        let plug = self.random.below(self.plugs.len());
        let qualified = self.plan.twins && self.random.chance(50);
        let model = &self.plugs[plug];
        let id = if qualified { model.qualified_id() } else { model.id() };
        let ports = model.ports() as u64;
        let port = self.random.range(1, ports);
        let word = self.random.pick(&["ON", "OFF", "ON", "OFF", "on", "TOGGLE", "1", "false"]);
        let number = self.number();
        let (topic, payload, retain) = match self.random.range(0, 99) {
            0..=24 => (format!("{id}/{port}/set"), word.to_owned(), false),
            25..=31 => (format!("{id}/set"), word.to_owned(), false),
            32..=34 => (format!("{id}/0/set"), word.to_owned(), false),
            35..=64 => (format!("{id}/{port}/set"), self.command(number, word), false),
            65..=69 => (format!("{id}/set"), self.several(number, ports), false),
            70..=72 => (format!("{id}/{port}/set"), word.to_owned(), true),
            73..=76 => {
                let nonsense = ["", "perhaps", "{", r#"{"state":7}"#, r#"{"id":"x"}"#, "\u{7f}", "ON OFF"];
                (format!("{id}/{port}/set"), self.random.pick(&nonsense).to_owned(), false)
            }
            77..=78 => ("maxsmart-nobody/1/set".to_owned(), self.command(number, word), false),
            79..=82 => (format!("{id}/get"), "get".to_owned(), false),
            83..=96 => self.request(&id.to_string(), port),
            97..=98 => {
                self.spread(BIRTH.to_owned(), "online".to_owned(), false);
                return Ok(());
            }
            _ => {
                let topic = format!("{PREFIX}/device/plug2mqtt_{id}/config");
                tell!(self, "somebody deletes {topic}");
                return Ok(());
            }
        };
        // Several in a row now and then.
        for _ in 0..self.random.pick(&[1, 1, 1, 1, 2, 3]) {
            let payload = payload.replace("MARK", &format!("c{}", self.number()));
            tell!(self, "somebody says {topic} {payload}{}", if retain { " (retained)" } else { "" });
            self.spread(format!("{BASE}/{topic}"), payload, retain);
        }
        Ok(())
    }

    fn command(&mut self, _number: u64, word: &str) -> String {
        let mut more = String::new();
        if self.random.chance(30) {
            more += &format!(r#","ttl_ms":{}"#, self.random.range(50, 10_000));
        }
        if self.random.chance(15) {
            more += &format!(r#","for_s":{}"#, self.random.range(1, 300));
        }
        format!(r#"{{"state":"{word}","id":"MARK"{more}}}"#)
    }

    fn several(&mut self, _number: u64, ports: u64) -> String {
        let list: Vec<String> = (1..=ports)
            .filter(|_| self.random.chance(60))
            .map(|port| format!(r#""{port}":"{}""#, if port % 2 == 0 { "ON" } else { "OFF" }))
            .collect();
        let stagger = if self.random.chance(40) { self.random.range(10, 1000) } else { 0 };
        format!(r#"{{"ports":{{{}}},"id":"MARK","stagger_ms":{stagger}}}"#, list.join(","))
    }

    fn request(&mut self, id: &str, port: u64) -> (String, String, bool) {
        let lock = self.random.pick(&["none", "none", "on", "off", "both"]);
        let (verb, payload) = match self.random.range(0, 29) {
            0..=2 => ("scan", "{}".to_owned()),
            3..=5 => {
                ("device_rename", format!(r#"{{"id":"{id}","name":"Name {}"}}"#, self.random.range(1, 99)))
            }
            6..=7 => ("port_rename", format!(r#"{{"id":"{id}","port":{port},"name":"Lamp"}}"#)),
            8..=10 => {
                let options = format!(r#"{{"port":{{"{port}":{{"lock":"{lock}"}}}}}}"#);
                ("device_options", format!(r#"{{"id":"{id}","options":{options}}}"#))
            }
            11 => {
                let read_only = self.random.chance(40);
                ("device_options", format!(r#"{{"id":"{id}","options":{{"read_only":{read_only}}}}}"#))
            }
            12..=13 => ("device_remove", format!(r#"{{"id":"{id}"}}"#)),
            14 => ("republish", "{}".to_owned()),
            15 => ("cleanup", "{}".to_owned()),
            16 => ("cleanup", r#"{"dry_run":true}"#.to_owned()),
            17 => ("health_check", "{}".to_owned()),
            18 => ("restart", "{}".to_owned()),
            19 if port.is_multiple_of(2) => ("overload_reset", format!(r#"{{"id":"{id}"}}"#)),
            20..=28 => return self.plug_request(id, port),
            _ => ("nonsense", "{".to_owned()),
        };
        (format!("bridge/request/{verb}"), payload, false)
    }

    /// A request for the plug itself; none that would let it switch by itself.
    fn plug_request(&mut self, id: &str, port: u64) -> (String, String, bool) {
        let (verb, more) = match self.random.range(0, 9) {
            0 => ("clock", ""),
            1 => ("clock", r#","set":true"#),
            2 => ("countdown", ""),
            3 => ("schedule", ""),
            4 => ("price", r#","price":0.3,"currency":"CHF""#),
            5 => ("leader", r#","leader":1,"followers":[2]"#),
            6 => (
                "presence_simulation",
                r#","enabled":true,"days":"daily","from":"18:00","to":"1:00","ports":[1]"#,
            ),
            7 => ("history", ""),
            8 => ("call", r#","command":511"#),
            _ => ("port_rename", r#","name":"Lamp","device_too":true"#),
        };
        let port = if verb == "port_rename" { format!(r#","port":{port}"#) } else { String::new() };
        let payload = format!(r#"{{"id":"{id}","transaction":"MARK"{port}{more}}}"#);
        (format!("bridge/request/{verb}"), payload, false)
    }
}
