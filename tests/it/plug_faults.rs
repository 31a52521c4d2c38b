//! Plugs that misbehave: what was known stays, the plug is marked, the others are undisturbed, and
//! all is well again once the plug is.

use crate::support::{House, STRIP, addresses, on, quiet, run, strip};
use plug2mqtt::sim::{Faults, Strip};
use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

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
    let mut house = House::new(plugs).await;
    house.start(&[], "").await;
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
        let mut house = House::new(vec![strip().forgetting_relays()]).await;
        house.start(&[], "").await;
        let mark = house.mark();
        house.plug(0).reboot();
        house.wait_after(mark, "offline", on(&format!("plug2mqtt/{STRIP}/availability"), "offline")).await;
        house.wait_after(mark, "back", on(&format!("plug2mqtt/{STRIP}/availability"), "online")).await;
        house.shows(&format!("{STRIP}/0/state"), "OFF").await;
        house.close().await;
    });
}

/// What a web server says to a question for the status, and how it ends.
#[derive(Clone, Default)]
struct Reply {
    bytes: Vec<u8>,
    stays_open: bool,
}

/// A web server that knows its hardware and answers everything else as it is told.
async fn web_server(ip: Ipv4Addr) -> (u16, Arc<Mutex<Reply>>) {
    let listener = TcpListener::bind((ip, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let reply = Arc::new(Mutex::new(Reply::default()));
    let now = Arc::clone(&reply);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, Arc::clone(&now)));
        }
    });
    (port, reply)
}

async fn answer(mut stream: TcpStream, reply: Arc<Mutex<Reply>>) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read_buf(&mut head).await, Ok(1..)) {
            return;
        }
    }
    let hardware = r#"{"response":124,"code":200,"data":{"plcmac":"02:00:00:00:09:09"}}"#;
    let reply = match head.starts_with(b"GET /?cmd=124") {
        true => Reply { bytes: format!("HTTP/1.1 200 OK\r\n\r\n{hardware}").into(), stays_open: false },
        false => reply.lock().unwrap().clone(),
    };
    let _ = stream.write_all(&reply.bytes).await;
    if reply.stays_open {
        while matches!(stream.read(&mut [0; 64]).await, Ok(1..)) {}
    }
}

/// A status reply with this power; `LEN` and `HEX` stand for its length.
fn status(pattern: &str, watts: u32) -> Vec<u8> {
    let mut body = String::new();
    write!(
        body,
        r#"{{"response":511,"code":200,"data":{{"watt":["{watts}.00"],"amp":["0.1"],"switch":[1]}}}}"#
    )
    .unwrap();
    let pattern =
        pattern.replace("LEN", &body.len().to_string()).replace("HEX", &format!("{:x}", body.len()));
    let pattern = pattern.replace("MORE", &(body.len() + 50).to_string());
    pattern.replace("BODY", &body).into_bytes()
}

#[test]
fn replies_of_broken_web_servers_are_read_as_far_as_they_can_be() {
    run(async {
        let mut house = House::new(vec![strip()]).await;
        let [ip] = addresses(1)[..] else { return };
        let (port, reply) = web_server(ip).await;
        reply.lock().unwrap().bytes = status("HTTP/1.1 200 OK\r\nContent-Length: LEN\r\n\r\nBODY", 11);
        let host = format!("{ip}:{port}");
        house.start(&[("maxsmart.hosts", &host)], "").await;
        let plug = "maxsmart-020000000909";
        house.shows(&format!("{plug}/1/power"), "11").await;
        let readable = [
            ("no length", "HTTP/1.1 200 OK\r\n\r\nBODY", false),
            ("no length and the connection stays open", "HTTP/1.1 200 OK\r\n\r\nBODY", true),
            ("HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nBODY", false),
            ("bare LF", "HTTP/1.1 200 OK\nContent-Length: LEN\n\nBODY", false),
            ("no reason", "HTTP/1.1 200\r\nContent-Length: LEN\r\n\r\nBODY", false),
            ("no head", "BODY", false),
            ("a length too long", "HTTP/1.1 200 OK\r\nContent-Length: MORE\r\n\r\nBODY", false),
            ("a blank before the colon", "HTTP/1.1 200 OK\r\nContent-Length : LEN\r\n\r\nBODY", false),
            (
                "a line without a colon",
                "HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: LEN\r\n\r\nBODY",
                false,
            ),
            ("a folded line", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: LEN\r\n\r\nBODY", false),
            (
                "chunks",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHEX\r\nBODY\r\n0\r\n\r\n",
                false,
            ),
            (
                "chunks without an end",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHEX\r\nBODY\r\n",
                false,
            ),
            ("something behind", "HTTP/1.1 200 OK\r\n\r\nBODY\r\ntrailing", false),
        ];
        for (n, (what, pattern, stays_open)) in (0..).zip(readable) {
            let watts = 20 + 2 * n;
            *reply.lock().unwrap() = Reply { bytes: status(pattern, watts), stays_open };
            house.shows(&format!("{plug}/1/power"), &watts.to_string()).await;
            assert_eq!(house.value(&format!("{plug}/problem")).as_deref(), Some("OFF"), "{what}");
        }
        let good = status("HTTP/1.1 200 OK\r\n\r\nBODY", 90);
        for (what, pattern) in [
            ("an error page", "HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}"),
            ("a redirect", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\n\r\n"),
            ("a login page", "HTTP/1.1 200 OK\r\n\r\n<html>{login}</html>"),
            (
                "another answer",
                "HTTP/1.1 200 OK\r\n\r\n{\"response\":513,\"code\":200,\"data\":{\"switch\":[0]}}",
            ),
            ("a refusal", "HTTP/1.1 200 OK\r\n\r\n{\"response\":511,\"code\":400}"),
            (
                "numbers beyond reason",
                "HTTP/1.1 200 OK\r\n\r\n{\"response\":511,\"code\":200,\"data\":{\"watt\":[1e999],\"switch\":[7]}}",
            ),
            ("half of it", "HTTP/1.1 200 OK\r\n\r\n{\"response\":511,\"code\":200,\"data\":{\"wat"),
        ] {
            let mark = house.mark();
            *reply.lock().unwrap() = Reply { bytes: status(pattern, 99), stays_open: false };
            let problem = format!("plug2mqtt/{plug}/problem");
            house.wait_after(mark, what, on(&problem, "ON")).await;
            *reply.lock().unwrap() = Reply { bytes: good.clone(), stays_open: false };
            house.wait_after(mark, what, on(&problem, "OFF")).await;
            house.shows(&format!("{plug}/availability"), "online").await;
            house.shows(&format!("{plug}/1/state"), "ON").await;
        }
        house.close().await;
    });
}
