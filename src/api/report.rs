//! What plugs say, as JSON.

use crate::capability::warning;
use crate::model::{CapabilityState, RecordRow, Rule, Timer, time};
use serde_json::{Map, Value, json};

/// A report about the plug with this id.
pub fn report(id: &str, report: &CapabilityState) -> Value {
    let mut all = match report {
        CapabilityState::Clock(clock) => {
            json!({"time": clock.map(|clock| clock.local.to_string()), "drift_s": clock.map(|clock| clock.drift_s)})
        }
        CapabilityState::Countdowns(timers) => {
            let one = |(port, timer): &(u8, Option<Timer>)| {
                let (minutes, left) = (timer.map(|timer| timer.minutes), timer.map(|timer| timer.left_s));
                json!({"port": port, "minutes": minutes, "left_s": left})
            };
            json!({"countdowns": timers.iter().map(one).collect::<Vec<_>>()})
        }
        CapabilityState::Schedule(rules, clock) => {
            let one = |(rule, date): &(Rule, Option<String>)| {
                let days = rule.once.is_none().then(|| rule.days.to_string());
                json!({
                    "id": rule.id, "enabled": rule.enabled, "time": time(rule.minute), "days": days, "date": date,
                    "ports": rule.ports,
                })
            };
            let rules = rules.iter().map(one).collect::<Vec<_>>();
            match clock.as_ref().and_then(|clock| Some((clock.drift_s, warning(clock)?))) {
                Some((drift_s, warning)) => json!({"rules": rules, "drift_s": drift_s, "warning": warning}),
                None => json!({"rules": rules}),
            }
        }
        CapabilityState::Record(record) => {
            let cost = |wh: f64| record.price.map(|price| rounded(wh / 1000.0 * price, 1e4));
            let one = |row: &RecordRow| {
                json!({
                    "time": row.time, "wh": row.wh.map(|wh| rounded(wh, 1e2)), "cost": row.wh.and_then(cost),
                    "ports": row.ports,
                })
            };
            let mut all = json!({
                "port": record.port, "price": record.price, "currency": record.currency.map(|c| c.to_string()),
                "learnt": record.learnt, "rows": record.rows.iter().map(one).collect::<Vec<_>>(),
            });
            if let (Some(all), Some(warning)) = (all.as_object_mut(), &record.warning) {
                all.insert("warning".into(), Value::from(warning.as_str()));
            }
            all
        }
        CapabilityState::Price(price) => {
            let (price, currency) = price.map(|price| (price.cost, price.currency.to_string())).unzip();
            json!({"price": price, "currency": currency})
        }
        CapabilityState::Leader(group) => {
            json!({"leader": group.leader(), "followers": group.followers(), "limit_w": group.limit_w})
        }
        CapabilityState::PresenceSimulation(presence) => {
            let ports = (1u8..).zip(&presence.ports).filter(|(_, on)| **on).map(|(port, _)| port);
            json!({
                "enabled": presence.enabled, "days": presence.days.to_string(), "from": time(presence.from),
                "to": time(presence.to), "ports": ports.collect::<Vec<_>>(),
            })
        }
        CapabilityState::Raw(text) => {
            json!({"answer": serde_json::from_str(text).unwrap_or_else(|_| Value::from(text.as_str()))})
        }
        CapabilityState::Renamed { port, name, kept_here } => {
            let mut all = json!({"name": name.as_str(), "kept_by": if kept_here.is_some() { "bridge" } else { "plug" }});
            if let Some(object) = all.as_object_mut() {
                object.extend((*port > 0).then(|| ("port".to_owned(), Value::from(*port))));
                object.extend(kept_here.as_deref().map(|why| ("reason".to_owned(), Value::from(why))));
            }
            all
        }
    };
    let mut whole = Map::from_iter([("id".to_owned(), Value::from(id))]);
    whole.extend(all.as_object_mut().map(std::mem::take).unwrap_or_default());
    Value::Object(whole)
}

/// To the last part of a unit that is worth telling: sums of decimals are not quite decimals.
fn rounded(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}
