//! Plugs that misbehave: what was known stays, the plug is marked, the others are undisturbed, and
//! all is well again once the plug is.

use crate::support::{STRIP, TestBridge, on, quiet, run, strip};
use plug2mqtt::sim::{Faults, Strip};
use std::time::Duration;

/// Faults and whether they take a plug offline.
fn faults(http: bool) -> Vec<(Faults, bool)> {
    let none = Faults::default;
    vec![
        (Faults { off: true, ..none() }, true),
        (Faults { hang: true, ..none() }, true),
        (Faults { refuse: true, ..none() }, true),
        (Faults { delay: Duration::from_secs(1), ..none() }, true),
        (Faults { empty: true, ..none() }, true),
        (Faults { truncate: Some(20), ..none() }, true),
        (Faults { garbage: true, ..none() }, true),
        (Faults { drip: Some(Duration::from_millis(20)), ..none() }, http),
        (Faults { oversized: true, ..none() }, http),
        // Datagrams only.
        (Faults { lose_request_every: 1, ..none() }, !http),
        (Faults { lose_reply_every: 1, ..none() }, !http),
        (Faults { lose_reply_every: 4, double: true, ..none() }, false),
    ]
}

async fn every_fault(http: bool) {
    let faults = faults(http);
    let make = |n: usize| {
        let mac = format!("02:00:00:00:01:{n:02x}");
        let serial = format!("SWP60000000001{n:02}");
        let plug = if http { Strip::strip_1_30(&serial) } else { Strip::strip_5_11(&serial) };
        quiet(plug.mac(&mac))
    };
    let plugs = std::iter::once(strip()).chain((1..=faults.len()).map(make)).collect();
    let id = |n: usize| format!("maxsmart-swp60000000001{n:02}");
    let mut house = TestBridge::new(plugs).await;
    // Nothing but polls: a busy machine has enough to do with them. It takes three in a row that fail to be offline,
    // each with more time than such a machine needs.
    let pace = [
        ("maxsmart.slow_poll_interval", "1h"),
        ("maxsmart.poll_interval", "600ms"),
        ("maxsmart.burst_interval", "600ms"),
        ("maxsmart.timeout", "700ms"),
    ];
    house.start(&pace, "").await;
    for n in 1..=faults.len() {
        house.shows(&format!("{}/availability", id(n)), "online").await;
    }
    let mark = house.mark();
    for (n, (fault, _)) in (1..).zip(&faults) {
        house.plug(n).set_faults(fault.clone()).await.unwrap();
    }
    for (n, (_, offline)) in (1..).zip(&faults) {
        if *offline {
            house.shows(&format!("{}/availability", id(n)), "offline").await;
            house.shows(&format!("{}/problem", id(n)), "ON").await;
        }
    }
    house.polls(0, 3).await;
    let said = house.since(mark);
    for (n, (fault, offline)) in (1..).zip(&faults) {
        let gone = said.iter().any(on(&format!("plug2mqtt/{}/availability", id(n)), "offline"));
        assert_eq!(gone, *offline, "{fault:?}");
        for (tail, old) in [("1/state", "ON"), ("1/power", "10"), ("4/state", "ON"), ("power", "10")] {
            let topic = format!("plug2mqtt/{}/{tail}", id(n));
            let other = said.iter().find(|m| m.topic == topic && m.payload != old.as_bytes());
            assert_eq!(other, None, "{fault:?}");
        }
        // Somebody presses a button while nobody is listening.
        house.plug(n).press(3);
    }
    assert!(!said.iter().any(on(&format!("plug2mqtt/{STRIP}/availability"), "offline")), "the healthy one");
    for n in 1..=faults.len() {
        house.plug(n).set_faults(Faults::default()).await.unwrap();
    }
    for n in 1..=faults.len() {
        for (tail, value) in [("availability", "online"), ("problem", "OFF"), ("3/state", "OFF")] {
            house.shows(&format!("{}/{tail}", id(n)), value).await;
        }
        // The simulation does not see a client leave while it dawdles.
        let dawdles = !faults[n - 1].0.delay.is_zero() || faults[n - 1].0.drip.is_some();
        assert!(dawdles || house.plug(n).max_connections() <= 1, "{:?}", faults[n - 1].0);
    }
    let last = format!("{}/5/set", id(faults.len()));
    assert_eq!(house.command(&last, "OFF").await["status"], "ok");
    house.close().await;
}

#[test]
fn every_fault_of_an_http_plug_is_survived() {
    run(every_fault(true));
}

#[test]
fn every_fault_of_a_v3_plug_is_survived() {
    run(every_fault(false));
}

#[test]
fn a_reboot_is_survived_with_the_relays_as_they_are_afterwards() {
    run(async {
        let mut house = TestBridge::new(vec![strip().forgetting_relays()]).await;
        house.start(&[], "").await;
        let mark = house.mark();
        house.plug(0).reboot();
        house.wait_after(mark, "offline", on(&format!("plug2mqtt/{STRIP}/availability"), "offline")).await;
        house.wait_after(mark, "back", on(&format!("plug2mqtt/{STRIP}/availability"), "online")).await;
        house.shows(&format!("{STRIP}/0/state"), "OFF").await;
        house.close().await;
    });
}
