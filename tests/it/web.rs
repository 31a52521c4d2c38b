//! The web listener, as Prometheus and a watchdog see it.

use crate::support::{BrokerFaults, TIMEOUT, TestBridge, run, strip, until};
use plug2mqtt::sim::Faults;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Status and text of a page; `None` while nobody listens.
fn get(address: SocketAddr, path: &str, accept: &str) -> Option<(u16, String)> {
    get_as("localhost", address, path, accept)
}

/// The same by this name.
fn get_as(host: &str, address: SocketAddr, path: &str, accept: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(address).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let request =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: {accept}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).ok()?;
    let status = reply.split(' ').nth(1)?.parse().ok()?;
    Some((status, reply))
}

async fn page(address: SocketAddr, path: &'static str, accept: &'static str) -> (u16, String) {
    let asked = tokio::task::spawn_blocking(move || get(address, path, accept));
    asked.await.unwrap().expect("somebody listens")
}

#[test]
fn figures_are_there_in_both_formats_and_follow_what_happens() {
    run(async {
        let address = free();
        let mut house = TestBridge::new(vec![strip()]).await;
        house.start(&[("web.listen", &address.to_string())], "").await;
        let (status, text) = page(address, "/metrics", "application/openmetrics-text; version=1.0.0").await;
        assert_eq!(status, 200);
        assert!(text.contains("content-type: application/openmetrics-text"), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
        let (status, text) = page(address, "/metrics", "*/*").await;
        assert_eq!(status, 200);
        assert!(text.contains("content-type: text/plain; version=0.0.4"), "{text}");
        for line in [
            "plug2mqtt_plug_up{plug=\"maxsmart-swp6000000000001\"} 1.0",
            "plug2mqtt_port_relay_on{plug=\"maxsmart-swp6000000000001\",port=\"6\"} 1.0",
            "plug2mqtt_mqtt_connected{} 1.0",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
        house.command("maxsmart-swp6000000000001/6/set", "OFF").await;
        let (_, text) = page(address, "/metrics", "*/*").await;
        for line in [
            "plug2mqtt_port_relay_on{plug=\"maxsmart-swp6000000000001\",port=\"6\"} 0.0",
            "plug2mqtt_plug_commands_total{plug=\"maxsmart-swp6000000000001\",outcome=\"ok\"} 1.0",
            "plug2mqtt_plug_command_duration_seconds_count{plug=\"maxsmart-swp6000000000001\"} 1",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
        house.plug(0).set_faults(Faults { off: true, ..Faults::default() }).await.unwrap();
        house.shows("maxsmart-swp6000000000001/availability", "offline").await;
        let (_, text) = page(address, "/metrics", "*/*").await;
        assert!(text.contains("plug2mqtt_plug_up{plug=\"maxsmart-swp6000000000001\"} 0.0"), "{text}");
        assert_eq!(page(address, "/elsewhere", "*/*").await.0, 404);
        house.close().await;
        assert!(get(address, "/metrics", "*/*").is_none(), "the listener ends with the bridge");
    });
}

#[test]
fn a_foreign_name_is_turned_away_and_the_first_page_says_where_one_is() {
    run(async {
        let address = free();
        let mut house = TestBridge::new(vec![strip()]).await;
        house.start(&[("web.listen", &address.to_string()), ("web.hosts", "plugs.lan")], "").await;
        let (status, text) = page(address, "/", "*/*").await;
        assert!(status == 200 && text.contains("plug2mqtt") && text.contains("href=\"/metrics\""), "{text}");
        for (host, wanted) in [
            ("evil.example:8099", 421),
            ("127.0.0.1.evil.example", 421),
            ("plugs.lan:8099", 200),
            ("127.0.0.1:8099", 200),
            ("[::1]:8099", 200),
        ] {
            for path in ["/", "/metrics", "/healthz"] {
                let asked = tokio::task::spawn_blocking(move || get_as(host, address, path, "*/*"));
                assert_eq!(asked.await.unwrap().map(|(status, _)| status), Some(wanted), "{host} {path}");
            }
        }
        house.close().await;
    });
}

#[test]
fn it_is_alive_at_once_and_ready_when_broker_and_plugs_are_there() {
    run(async {
        let address = free();
        let (mut house, script) = TestBridge::scripted(vec![strip()]).await;
        script.set(BrokerFaults { refuse_login: true, ..BrokerFaults::default() });
        house.launch(&[("web.listen", &address.to_string())], "");
        until("the listener", || TcpStream::connect(address).is_ok()).await;
        assert_eq!(page(address, "/healthz", "*/*").await.0, 200);
        let (status, text) = page(address, "/readyz", "*/*").await;
        assert_eq!(status, 503);
        assert!(text.contains("no connection to the broker"), "{text}");
        script.set(BrokerFaults::default());
        while page(address, "/readyz", "*/*").await.0 != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        house.close().await;
    });
}

#[test]
fn who_keeps_connections_is_shown_out_and_keeps_nobody_from_anything_else() {
    run(async {
        let address = free();
        let mut house = TestBridge::new(vec![strip()]).await;
        house.start(&[("web.listen", &address.to_string())], "").await;
        // Twice as many as are let in: half say nothing, half begin a request and never end it.
        let mut idle = Vec::new();
        for number in 0..64 {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            if number % 2 == 0 {
                stream.write_all(b"GET /metrics HTTP/1.1\r\nX: ").await.unwrap();
            }
            idle.push(stream);
        }
        assert_eq!(house.command("maxsmart-swp6000000000001/1/set", "OFF").await["status"], "ok");
        for mut stream in idle.drain(..48) {
            let end = timeout(TIMEOUT, stream.read(&mut [0; 64])).await.expect("an end");
            assert!(!matches!(end, Ok(1..)), "{end:?}");
        }
        assert_eq!(page(address, "/healthz", "*/*").await.0, 200);
        house.close().await;
    });
}

#[test]
fn a_taken_address_is_named_with_the_remedy() {
    run(async {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap().to_string();
        let mut house = TestBridge::new(vec![strip()]).await;
        house.launch(&[("web.listen", &address)], "");
        let why = house.ended().await.expect_err("it cannot begin");
        assert!(why.contains(&format!("web.listen {address}")) && why.contains("choose another"), "{why}");
    });
}
