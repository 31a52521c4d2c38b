//! What the plug does by itself and what it only keeps: countdowns, rules, leader and followers, presence
//! simulation, price.
//!
//! Countdowns and rules switch relays by the plug's clock. Leader and followers and presence simulation are kept and
//! told, not carried out. No source shows these commands on 3.x; there they are unknown.

use super::wire::{self, Object};
use super::{Firmware, Strip};
use crate::sim::clock;
use serde_json::Value;

const MOST_RULES: usize = 12;
const DAY_S: u64 = 86_400;

/// What was set.
#[derive(Clone, Debug)]
pub(super) struct Skills {
    /// When each port goes off: begin by the plug's clock, and minutes.
    timers: Vec<Option<(u64, u64)>>,
    rules: Vec<Rule>,
    cost: String,
    money: u64,
    master: Vec<u64>,
    limit: u64,
    presence: Presence,
}

#[derive(Clone, Debug)]
struct Rule {
    id: i64,
    enabled: bool,
    ports: Vec<u64>,
    minute: u64,
    day: u64,
    week: Vec<u64>,
}

#[derive(Clone, Debug)]
struct Presence {
    enabled: u64,
    week: Vec<u64>,
    time: Vec<u64>,
    ports: Vec<u64>,
}

impl Skills {
    pub(super) fn new(ports: usize) -> Self {
        let presence = Presence { enabled: 0, week: vec![0; 7], time: vec![0, 0], ports: vec![0; ports] };
        Self {
            timers: vec![None; ports],
            rules: Vec::new(),
            cost: "0.21".into(),
            money: 0,
            master: vec![if ports == 1 { 0 } else { 2 }; ports],
            limit: 0,
            presence,
        }
    }
}

impl Strip {
    /// Switches what is due at this second.
    pub(super) fn keep_time(&mut self, second: u64) {
        let local = self.local(second);
        for (timer, relay) in self.skills.timers.iter_mut().zip(&mut self.relays) {
            if timer.is_some_and(|(start, minutes)| local >= start + minutes * 60) {
                *timer = None;
                *relay = false;
            }
        }
        if !local.is_multiple_of(60) {
            return;
        }
        for rule in self.skills.rules.iter_mut().filter(|rule| rule.enabled) {
            // 1970 began on a Thursday.
            let weekday = usize::try_from((local / DAY_S + 4) % 7).unwrap_or(0);
            let today = match rule.day {
                0 => rule.week.get(weekday) == Some(&1),
                day => day / DAY_S == local / DAY_S,
            };
            if !today || rule.minute != local % DAY_S / 60 {
                continue;
            }
            rule.enabled = rule.day == 0;
            for (relay, wish) in self.relays.iter_mut().zip(&rule.ports) {
                match wish {
                    0 => *relay = false,
                    1 => *relay = true,
                    _ => {}
                }
            }
        }
    }

    /// The answer to a command about skills; `None` for one that this plug does not know.
    pub(super) fn skill(&mut self, second: u64, cmd: u64, args: &Value) -> Option<String> {
        if self.firmware == Firmware::V3 {
            return None;
        }
        let data = match cmd {
            202 | 204..=207 => {
                let code = self.set_skill(second, cmd, args)?;
                return Some(wire::envelope(cmd, code, None).end());
            }
            512 => {
                Object::new().put("master", self.skills.master.clone()).put("limit", self.skills.limit).end()
            }
            515 => self.timer(wire::number(args, "port")?)?,
            516 => self.rules(wire::number(args, "page")?),
            517 => {
                let Presence { enabled, week, time, ports } = self.skills.presence.clone();
                Object::new().put("en", enabled).put("week", week).put("time", time).put("port", ports).end()
            }
            _ => return None,
        };
        Some(wire::envelope(cmd, wire::DONE, Some(&data)).end())
    }

    /// What was told about money, for the record.
    pub(super) fn price(&self) -> (&str, u64) {
        (&self.skills.cost, self.skills.money)
    }

    fn set_skill(&mut self, second: u64, cmd: u64, args: &Value) -> Option<u16> {
        let ports = self.ports();
        match cmd {
            202 => {
                let (master, limit) = (numbers(args, "master")?, wire::number(args, "limit")?);
                let leaders = master.iter().filter(|role| **role == 1).count();
                if master.len() != ports || leaders > 1 || limit > 3 {
                    return Some(wire::REFUSED);
                }
                (self.skills.master, self.skills.limit) = (master, limit);
            }
            204 => {
                let start = args.get("start").or(args.get("Start"))?.as_str().and_then(clock::parse)?;
                let minutes = wire::number(args, "delay")?;
                let port = usize::try_from(wire::number(args, "port")?).ok()?;
                let Some(timer) = port.checked_sub(1).and_then(|place| self.skills.timers.get_mut(place))
                else {
                    return Some(wire::REFUSED);
                };
                *timer = (minutes > 0).then_some((start, minutes));
                self.keep_time(second);
            }
            205 => {
                self.skills.cost = args.get("cost")?.as_str()?.to_owned();
                self.skills.money = wire::number(args, "money")?;
            }
            206 => return self.set_rule(args),
            _ => {
                let (week, time) = (numbers(args, "week")?, numbers(args, "time")?);
                let (enabled, wishes) = (wire::number(args, "en")?, numbers(args, "port")?);
                if week.len() != 7 || time.len() != 2 || wishes.len() != ports {
                    return Some(wire::REFUSED);
                }
                self.skills.presence = Presence { enabled, week, time, ports: wishes };
            }
        }
        Some(wire::DONE)
    }

    fn set_rule(&mut self, args: &Value) -> Option<u16> {
        let (mode, id) = (wire::number(args, "mode")?, args.get("id")?.as_i64()?);
        let place = self.skills.rules.iter().position(|rule| rule.id == id);
        let rule = || {
            let rule = Rule {
                id,
                enabled: wire::number(args, "en")? == 1,
                ports: numbers(args, "port")?,
                minute: wire::number(args, "time")?,
                day: wire::number(args, "day")?,
                week: numbers(args, "week")?,
            };
            (rule.ports.len() == self.ports() && rule.week.len() == 7).then_some(rule)
        };
        match (mode, place) {
            (0, None) if self.skills.rules.len() < MOST_RULES => {
                let rule = rule()?;
                self.skills.rules.push(rule);
            }
            (1, Some(place)) => {
                let rule = rule()?;
                *self.skills.rules.get_mut(place)? = rule;
            }
            (2, Some(place)) => drop(self.skills.rules.remove(place)),
            _ => return Some(wire::REFUSED),
        }
        Some(wire::DONE)
    }

    fn timer(&self, port: u64) -> Option<String> {
        let place = usize::try_from(port).ok()?.checked_sub(1)?;
        Some(match self.skills.timers.get(place)? {
            Some((start, minutes)) => {
                Object::new().put("start", clock::render(*start)).put("delay", *minutes).end()
            }
            // Whatever lies in its memory, control characters and all (FHEM's SOP112 page).
            None => Object::new().put_raw("start", "\"\u{1}\u{0}\u{1f}ab\u{7}\"").put("delay", 0).end(),
        })
    }

    fn rules(&self, page: u64) -> String {
        let rule = |rule: &Rule| {
            let object = Object::new().put("id", rule.id).put("en", u64::from(rule.enabled));
            let object = object.put("port", rule.ports.clone()).put("time", rule.minute);
            object.put("day", rule.day).put("week", rule.week.clone()).end()
        };
        let rules: Vec<String> = self.skills.rules.iter().map(rule).collect();
        let object = Object::new().put("total", rules.len()).put("page", page);
        object.put_raw("rule", &format!("[{}]", rules.join(","))).end()
    }
}

fn numbers(args: &Value, key: &str) -> Option<Vec<u64>> {
    args.get(key)?.as_array()?.iter().map(Value::as_u64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip() -> Strip {
        let mut strip = Strip::strip_1_30("SWP6000000000001");
        // A Saturday.
        strip.datagram(0.0, b"00dv=all,2026-11-21,12:00:00,13;");
        strip
    }

    fn say(strip: &mut Strip, now_s: f64, target: &str) -> Option<String> {
        let reply = String::from_utf8(strip.http(now_s, &crate::sim::Request::get(target))?).expect("text");
        reply.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
    }

    fn done(cmd: u16) -> Option<String> {
        Some(format!(r#"{{"response":{cmd},"code":200}}"#))
    }

    #[test]
    fn a_timer_switches_its_port_off_once() {
        let mut strip = strip();
        let idle = say(&mut strip, 0.0, r#"/?cmd=515&json={"port":3}"#).expect("an answer");
        assert!(idle.contains('\u{1}') && idle.ends_with(r#""delay":0}}"#), "{idle:?}");
        let set = r#"/?cmd=204&json={"port":3,"start":"2026-11-21,12:00:00","delay":2}"#;
        assert_eq!(say(&mut strip, 1.0, set), done(204));
        let told = r#"{"response":515,"code":200,"data":{"start":"2026-11-21,12:00:00","delay":2}}"#;
        assert_eq!(say(&mut strip, 2.0, r#"/?cmd=515&json={"port":3}"#).as_deref(), Some(told));
        strip.count(119.0);
        assert_eq!(strip.relays(), [true; 6]);
        strip.count(122.0);
        assert_eq!(strip.relays(), [true, true, false, true, true, true]);
        strip.press(3);
        strip.count(300.0);
        assert_eq!(strip.relays(), [true; 6]);
        assert_eq!(
            say(&mut strip, 1.0, r#"/?cmd=204&json={"port":7,"start":"2026-11-21,12:00:00","delay":2}"#)
                .as_deref(),
            Some(r#"{"response":204,"code":400}"#)
        );
    }

    #[test]
    fn rules_switch_by_the_clock_and_one_that_comes_once_is_spent() {
        let mut strip = strip();
        let weekly = r#"/?cmd=206&json={"mode":0,"id":7,"en":1,"port":[0,2,2,2,2,2],"time":721,"day":0,"week":[0,0,0,0,0,0,1]}"#;
        // 2026-11-21 12:02.
        let once = r#"/?cmd=206&json={"mode":0,"id":8,"en":1,"port":[1,0,2,2,2,2],"time":722,"day":1795262520,"week":[0,0,0,0,0,0,0]}"#;
        assert_eq!([say(&mut strip, 0.0, weekly), say(&mut strip, 0.0, once)], [done(206), done(206)]);
        strip.count(61.0 + 1.0);
        assert_eq!(strip.relays(), [false, true, true, true, true, true]);
        strip.count(122.0);
        assert_eq!(strip.relays(), [true, false, true, true, true, true]);
        let told = say(&mut strip, 122.0, r#"/?cmd=516&json={"page":0}"#).expect("an answer");
        assert!(told.contains(r#""total":2"#) && told.contains(r#"{"id":8,"en":0,"#), "{told}");
        assert_eq!(say(&mut strip, 122.0, r#"/?cmd=206&json={"mode":2,"id":8}"#), done(206));
        let gone = say(&mut strip, 122.0, r#"/?cmd=206&json={"mode":2,"id":8}"#);
        assert_eq!(gone.as_deref(), Some(r#"{"response":206,"code":400}"#));
        for id in 100..111 {
            assert_eq!(
                say(&mut strip, 122.0, &weekly.replace("\"id\":7", &format!("\"id\":{id}"))),
                done(206)
            );
        }
        let thirteenth = say(&mut strip, 122.0, &weekly.replace("\"id\":7", "\"id\":99"));
        assert_eq!(thirteenth.as_deref(), Some(r#"{"response":206,"code":400}"#));
    }

    #[test]
    fn the_rest_is_kept_and_told() {
        let mut strip = strip();
        assert_eq!(say(&mut strip, 0.0, r#"/?cmd=202&json={"master":[1,0,2,2,2,2],"limit":3}"#), done(202));
        let told = r#"{"response":512,"code":200,"data":{"master":[1,0,2,2,2,2],"limit":3}}"#;
        assert_eq!(say(&mut strip, 0.0, "/?cmd=512").as_deref(), Some(told));
        let two = say(&mut strip, 0.0, r#"/?cmd=202&json={"master":[1,1,2,2,2,2],"limit":0}"#);
        assert_eq!(two.as_deref(), Some(r#"{"response":202,"code":400}"#));
        assert_eq!(say(&mut strip, 0.0, r#"/?cmd=205&json={"cost":"0.31","money":3}"#), done(205));
        let record = say(&mut strip, 0.0, r#"/?cmd=510&json={"type":2}"#).expect("a record");
        assert!(record.contains(r#""cost":"0.31","money":3,"#), "{record}");
        let presence = r#"{"en":1,"week":[0,1,1,1,1,1,0],"time":[1080,1380],"port":[1,0,0,0,0,1]}"#;
        assert_eq!(say(&mut strip, 0.0, &format!("/?cmd=207&json={presence}")), done(207));
        let told = format!(r#"{{"response":517,"code":200,"data":{presence}}}"#);
        assert_eq!(say(&mut strip, 0.0, "/?cmd=517").as_deref(), Some(told.as_str()));
        let mut young = Strip::strip_3_36("SWP6000000000001");
        assert_eq!(say(&mut young, 0.0, "/?cmd=512"), None);
    }
}
