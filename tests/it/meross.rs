//! Simulated Meross plugs, understood by the driver's own words.

use plug2mqtt::drivers::meross::ability::Ability;
use plug2mqtt::drivers::meross::crypt::{LanKey, mac};
use plug2mqtt::drivers::meross::ledger::{Ledger, days};
use plug2mqtt::drivers::meross::status::All;
use plug2mqtt::drivers::meross::wire::{Message, write};
use plug2mqtt::drivers::meross::{electricity, search};
use plug2mqtt::model::{Failure, Now};
use plug2mqtt::sim::{Kind, Load, Meross, Model};
use serde_json::{Value, json};
use std::time::Duration;

const UUID: &str = "0123456789012345678901234567891a";

fn now() -> Now {
    Now {
        up: Duration::from_secs(1),
        unix_ms: 1_795_219_292_000,
        utc_offset_s: 3600,
        dst_s: 0,
        nonce: 0x0123_4567_89ab_cdef,
    }
}

/// Asks a simulated plug and gives the payload of its answer.
fn ask(
    plug: &mut Meross,
    now_s: f64,
    method: &str,
    namespace: &str,
    payload: &Value,
) -> Result<Value, Failure> {
    let sent = write(plug.key(), method, namespace, payload, &now());
    let key = LanKey::new(plug.uuid(), plug.key(), mac(plug.uuid()).unwrap());
    let sealed = plug.encrypts() && namespace != "System.Ability";
    let bytes = if sealed { key.seal(&sent.bytes) } else { sent.bytes.clone() };
    let reply = plug.post(now_s, "/config", &bytes).ok_or(Failure::Closed)?;
    let text = String::from_utf8(reply).unwrap();
    let body = text.split_once("\r\n\r\n").or_else(|| text.split_once("\n\n")).unwrap().1;
    let body = if sealed { key.open(body.as_bytes()).unwrap() } else { body.as_bytes().to_vec() };
    let message = Message::read(&body)?;
    assert!(message.is_signed(plug.key()));
    message.answer(&sent, Some(plug.uuid())).cloned()
}

/// A plug whose uuid ends with its MAC.
fn plug(kind: &'static Kind) -> Meross {
    Meross::new(kind, 7)
        .with_uuid("01234567890123456789020000004d07")
        .load(1, Load::Constant { milliwatts: 60_000 })
}

#[test]
fn every_simulated_kind_is_understood() {
    for kind in Kind::ALL {
        let mut plug = plug(kind);
        let ability =
            Ability::read(&ask(&mut plug, 1.0, "GET", "System.Ability", &json!({})).unwrap()).unwrap();
        assert_eq!(
            (ability.encrypts(), ability.packed()),
            (kind.encrypts(), kind.max_commands),
            "{}",
            kind.name
        );
        let all = All::read(&ask(&mut plug, 1.0, "GET", "System.All", &json!({})).unwrap()).unwrap();
        assert_eq!(all.uuid.as_deref(), Some(plug.uuid()));
        assert_eq!(all.info.mac.map(|mac| mac.to_string()), Some(plug.mac()));
        assert_eq!(all.info.firmware.as_deref(), Some(kind.firmware));
        assert_eq!((all.is_old, all.has_master()), (ability.has("Control.Toggle"), kind.has_master()));
        for (namespace, circuits) in [("Control.Electricity", false), ("Control.ElectricityX", true)] {
            if !ability.has(namespace) {
                continue;
            }
            let zone =
                json!({"time": {"timestamp": 1_795_219_292, "timezone": "Europe/Zurich", "timeRule": []}});
            ask(&mut plug, 2.0, "SET", "System.Time", &zone).unwrap();
            let payload = ask(&mut plug, 3.0, "GET", namespace, &json!({})).unwrap();
            let first = electricity::read(&payload, circuits)[0];
            assert_eq!((first.watts, first.volts), (Some(60.0), Some(230.0)), "{}", kind.name);
        }
        let answers = search::QUESTIONS.map(|question| plug.datagram(1.0, question.as_bytes()));
        let answers: Vec<_> = answers.into_iter().flatten().collect();
        assert_eq!(answers.len(), usize::from(kind.answers_search));
        for answer in answers {
            let found = search::read(&answer).unwrap();
            assert_eq!((found.uuid.as_str(), found.info.mac), (plug.uuid(), all.info.mac));
        }
    }
    assert!(search::QUESTIONS.iter().all(|question| search::read(question.as_bytes()).is_none()));
}

#[test]
fn the_ledger_counts_what_a_simulated_plug_draws_over_forty_midnights() {
    for carrying in [false, true] {
        let mut plug = Meross::new(&Kind::MSS310_HW2, 7).load(1, Load::Constant { milliwatts: 60_000 });
        if carrying {
            plug = plug.carrying_days();
        }
        let mut ledger = Ledger::default();
        let records = |plug: &mut Meross, now_s| {
            let payload =
                ask(plug, now_s, "GET", "Control.ConsumptionX", &json!({"consumptionx": []})).unwrap();
            days(&payload)
        };
        let mut hour = 30.0;
        ledger.take(UUID, &records(&mut plug, hour * 3600.0));
        let start = plug.drawn_wh(hour * 3600.0);
        while hour < 24.0 * 40.0 {
            hour += 0.5;
            ledger.take(UUID, &records(&mut plug, hour * 3600.0));
        }
        let drawn = plug.drawn_wh(hour * 3600.0) - start;
        assert_eq!(ledger.total().wh().round(), drawn as f64, "carrying {carrying}");
    }
}
