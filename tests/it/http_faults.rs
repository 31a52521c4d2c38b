//! Web servers as no plug should have one: what can be read of a reply is read, nothing else is
//! believed, no reply grows without bounds and no server holds up another.

use crate::support::{TestBridge, addresses, on, run, spawned, strip, until};
use plug2mqtt::drivers;
use plug2mqtt::io::{clock::Clock, exchange::talk, http::Http};
use plug2mqtt::model::{
    DeviceInfo, DeviceRequest, DeviceResponse, DialectOptions, Discovered, Endpoint, Failure, Family,
    OwnSettings, PowerUnit,
};
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// How a server ends what it says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    Close,
    /// Closes with RST.
    Reset,
    /// Says no more and keeps the connection.
    Open,
    /// Says it byte by byte, more slowly than anybody waits.
    Drip,
    /// Says it again and again.
    Forever,
}

use End::{Close, Drip, Forever, Open, Reset};

/// A web server that knows its hardware and answers everything else as it is told.
#[derive(Clone)]
struct Server(Arc<Mutex<CliHarness>>);

struct CliHarness {
    reply: (Vec<u8>, End),
    /// What came in on each connection, as far as it was read at once.
    heard: Vec<String>,
    /// The most bytes anybody took of one reply.
    taken: usize,
}

impl Server {
    /// Its port on this address. Servers are told apart by the last byte of their MAC.
    async fn start(ip: Ipv4Addr, number: usize) -> (u16, Self) {
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Self(Arc::new(Mutex::new(CliHarness {
            reply: (status(GOOD, 11), Close),
            heard: Vec::new(),
            taken: 0,
        })));
        let all = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(all.clone().answer(stream, number));
            }
        });
        (port, server)
    }

    fn says(&self, bytes: Vec<u8>, end: End) {
        self.0.lock().unwrap().reply = (bytes, end);
    }

    async fn answer(self, mut stream: TcpStream, number: usize) {
        let mut buffer = [0; 8192];
        let Ok(length @ 1..) = stream.read(&mut buffer).await else { return };
        let head = String::from_utf8_lossy(&buffer[..length]).into_owned();
        let hardware =
            format!(r#"{{"response":124,"code":200,"data":{{"plcmac":"02:00:00:00:09:{number:02x}"}}}}"#);
        let (bytes, end) = match head.starts_with("GET /?cmd=124") {
            true => (format!("HTTP/1.1 200 OK\r\n\r\n{hardware}").into_bytes(), Close),
            false => self.0.lock().unwrap().reply.clone(),
        };
        self.0.lock().unwrap().heard.push(head);
        match end {
            Close | Reset => {
                let _ = stream.write_all(&bytes).await;
                if end == Reset {
                    // What was sent must have left, or the reset takes it back.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    stream.set_zero_linger().unwrap();
                }
            }
            Open => {
                let _ = stream.write_all(&bytes).await;
                while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
            }
            Drip => {
                for byte in bytes {
                    if stream.write_u8(byte).await.is_err() {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            }
            Forever => {
                let mut taken = 0;
                while stream.write_all(&bytes).await.is_ok() {
                    taken += bytes.len();
                    let most = &mut self.0.lock().unwrap().taken;
                    *most = taken.max(*most);
                }
            }
        }
    }
}

const GOOD: &str = "HTTP/1.1 200 OK\r\nContent-Length: LEN\r\n\r\nBODY";

/// A status reply with this power; `LEN`, `LESS`, `MORE` and `HEX` stand for its length.
fn status(pattern: &str, watts: u32) -> Vec<u8> {
    let body = format!(
        r#"{{"response":511,"code":200,"data":{{"watt":["{watts}.00"],"amp":["0.1"],"switch":[1]}}}}"#
    );
    let length = body.len();
    let pattern = pattern.replace("HEX", &format!("{length:x}")).replace("LEN", &length.to_string());
    let pattern =
        pattern.replace("MORE", &(length + 50).to_string()).replace("LESS", &(length - 9).to_string());
    let latin: Vec<u8> = pattern.replace("BODY", &body).chars().map(|c| u8::try_from(c).unwrap()).collect();
    latin
}

/// What is read whatever else is wrong with it.
const READ: &[(&str, &str, End)] = &[
    ("a length, and the connection stays open", GOOD, Open),
    ("no length", "HTTP/1.1 200 OK\r\n\r\nBODY", Close),
    ("no length, HTTP/1.0", "HTTP/1.0 200 OK\r\nServer: x\r\n\r\nBODY", Close),
    ("no length, and the connection stays open", "HTTP/1.1 200 OK\r\n\r\nBODY", Open),
    ("no length, then RST", "HTTP/1.1 200 OK\r\n\r\nBODY", Reset),
    ("complete, then RST", GOOD, Reset),
    ("a length too long", "HTTP/1.1 200 OK\r\nContent-Length: MORE\r\n\r\nBODY", Close),
    ("a length too long, and open", "HTTP/1.1 200 OK\r\nContent-Length: MORE\r\n\r\nBODY", Open),
    ("no reason", "HTTP/1.1 200\r\nContent-Length: LEN\r\n\r\nBODY", Close),
    ("bare LF", "HTTP/1.1 200 OK\nContent-Length: LEN\n\nBODY", Close),
    ("a bare LF before the body", "HTTP/1.1 200 OK\r\nContent-Length: LEN\r\n\nBODY", Close),
    ("an empty line first", "\r\nHTTP/1.1 200 OK\r\nContent-Length: LEN\r\n\r\nBODY", Close),
    ("Latin-1", "HTTP/1.1 200 OK\r\nServer: B\u{fc}ro\r\nContent-Length: LEN\r\n\r\nBODY", Close),
    ("two lengths", "HTTP/1.1 200 OK\r\nContent-Length: LEN\r\nContent-Length: LEN\r\n\r\nBODY", Close),
    (
        "length and chunks",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nHEX\r\nBODY\r\n0\r\n\r\n",
        Close,
    ),
    ("100 first", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: LEN\r\n\r\nBODY", Close),
    ("a blank before the colon", "HTTP/1.1 200 OK\r\nContent-Length : LEN\r\n\r\nBODY", Close),
    ("a line without a colon", "HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: LEN\r\n\r\nBODY", Close),
    ("a folded line", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: LEN\r\n\r\nBODY", Close),
    ("no head", "BODY", Close),
    ("no head, and open", "BODY", Open),
    ("HTTP/1.2", "HTTP/1.2 200 OK\r\nContent-Length: LEN\r\n\r\nBODY", Close),
    ("HTTP/2", "HTTP/2 200\r\nContent-Length: LEN\r\n\r\nBODY", Close),
    ("small letters", "http/1.1 200 ok\r\ncontent-length: LEN\r\n\r\nBODY", Close),
    ("chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHEX\r\nBODY\r\n0\r\n\r\n", Close),
    ("chunks without an end", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHEX\r\nBODY\r\n", Close),
    ("something behind", "HTTP/1.1 200 OK\r\n\r\nBODY\r\ntrailing", Close),
    ("something behind without end", "HTTP/1.1 200 OK\r\n\r\nBODY\r\n", Forever),
];

/// What says nothing that can be believed.
const REFUSED: &[(&str, &str, End)] = &[
    ("nothing", "", Close),
    ("nothing, then RST", "", Reset),
    ("nothing, and open", "", Open),
    ("half a head", "HTTP/1.1 200 OK\r\nContent-Le", Close),
    ("half a head, and open", "HTTP/1.1 200 OK\r\nContent-Le", Open),
    ("half of it", "HTTP/1.1 200 OK\r\n\r\n{\"response\":511,\"code\":200,\"data\":{\"wat", Close),
    ("half of it, and open", "HTTP/1.1 200 OK\r\n\r\n{\"response\":511,\"code\":200,\"data\":{\"wat", Open),
    ("a length too short", "HTTP/1.1 200 OK\r\nContent-Length: LESS\r\n\r\nBODY", Close),
    ("slowly", GOOD, Drip),
    ("bare LF in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHEX\nBODY\n0\n\n", Close),
    (
        "chunks in HTTP/1.0",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nHEX\r\nBODY\r\n0\r\n\r\n",
        Close,
    ),
    ("a negative length", "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nBODY", Close),
    ("a length that is none", "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nBODY", Close),
    ("lengths that differ", "HTTP/1.1 200 OK\r\nContent-Length: LEN\r\nContent-Length: 9\r\n\r\nBODY", Close),
    ("status 0", "HTTP/1.1 0 OK\r\nContent-Length: LEN\r\n\r\nBODY", Close),
    ("status 2000", "HTTP/1.1 2000 OK\r\nContent-Length: LEN\r\n\r\nBODY", Close),
    ("an error page", "HTTP/1.1 500 Oops\r\nContent-Length: LEN\r\n\r\nBODY", Close),
    ("a redirect", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\n\r\nBODY", Close),
    ("no content", "HTTP/1.1 204 No Content\r\n\r\nBODY", Close),
    ("a login page", "HTTP/1.1 200 OK\r\n\r\n<html>{login}</html>", Close),
    (
        "another answer",
        "HTTP/1.1 200 OK\r\n\r\n{\"response\":513,\"code\":200,\"data\":{\"switch\":[0]}}",
        Close,
    ),
    ("a refusal", "HTTP/1.1 200 OK\r\n\r\n{\"response\":511,\"code\":400}", Close),
    (
        "numbers beyond reason",
        "HTTP/1.1 200 OK\r\n\r\n{\"response\":511,\"code\":200,\"data\":{\"watt\":[1e999],\"switch\":[7]}}",
        Close,
    ),
    ("a head without end", "HTTP/1.1 200 OK\r\nX: y\r\n", Forever),
    ("a body without end", "HTTP/1.1 200 OK\r\n\r\n{\"response\":511,\"code\":200,\"x\":[1,", Forever),
    ("a body of blanks without end", "HTTP/1.1 200 OK\r\n\r\n          ", Forever),
];

fn plug(number: usize) -> String {
    format!("maxsmart-0200000009{number:02x}")
}

/// A house with this many web servers, all known and read once.
async fn servers(count: usize) -> (TestBridge, Vec<Server>) {
    let (mut hosts, mut list) = (Vec::new(), Vec::new());
    for (number, ip) in addresses(count).into_iter().enumerate() {
        let (port, server) = Server::start(ip, number).await;
        hosts.push(format!("{ip}:{port}"));
        list.push(server);
    }
    let mut house = TestBridge::new(vec![strip()]).await;
    house.start(&[("maxsmart.hosts", &hosts.join(","))], "").await;
    for number in 0..count {
        house.shows(&format!("{}/1/power", plug(number)), "11").await;
    }
    (house, list)
}

#[test]
fn what_can_be_read_of_a_broken_reply_is_read() {
    run(async {
        let (house, servers) = servers(READ.len()).await;
        for (number, (server, (_, pattern, end))) in (20..).zip(servers.iter().zip(READ)) {
            server.says(status(pattern, number), *end);
        }
        for (number, (what, ..)) in READ.iter().enumerate() {
            eprintln!("{what}: {}", plug(number));
            house.shows(&format!("{}/1/power", plug(number)), &(20 + number).to_string()).await;
            house.shows(&format!("{}/problem", plug(number)), "OFF").await;
        }
        house.close().await;
    });
}

#[test]
fn what_cannot_be_read_is_a_problem_and_changes_nothing() {
    run(async {
        let (house, servers) = servers(REFUSED.len()).await;
        let mark = house.mark();
        for (server, (_, pattern, end)) in servers.iter().zip(REFUSED) {
            let mut bytes = status(pattern, 99);
            if *end == Forever {
                // One head, and a piece that is then repeated.
                bytes = bytes.repeat(64);
            }
            server.says(bytes, *end);
        }
        for (number, (what, ..)) in REFUSED.iter().enumerate() {
            let problem = format!("plug2mqtt/{}/problem", plug(number));
            house.wait_after(mark, what, on(&problem, "ON")).await;
        }
        let said = house.since(mark);
        for (number, (what, ..)) in REFUSED.iter().enumerate() {
            for (tail, old) in [("1/power", "11"), ("1/current", "0.1"), ("1/state", "ON")] {
                let topic = format!("plug2mqtt/{}/{tail}", plug(number));
                let other = said.iter().find(|m| m.topic == topic && m.payload != old.as_bytes());
                assert_eq!(other, None, "{what}");
            }
        }
        for (server, (what, ..)) in servers.iter().zip(REFUSED) {
            // The buffers of two sockets, and what was on its way when the line was cut.
            let taken = server.0.lock().unwrap().taken;
            assert!(taken < 16 << 20, "{what}: {taken} bytes were taken");
            server.says(status(GOOD, 12), Close);
        }
        for number in 0..REFUSED.len() {
            house.shows(&format!("{}/problem", plug(number)), "OFF").await;
            house.shows(&format!("{}/availability", plug(number)), "online").await;
            house.shows(&format!("{}/1/power", plug(number)), "12").await;
        }
        house.close().await;
    });
}

#[test]
fn more_than_any_plug_has_to_say_is_cut_off() {
    run(async {
        let [ip] = addresses(1)[..] else { return };
        let (port, server) = Server::start(ip, 0).await;
        let place = Endpoint { ip: ip.into(), http: port, udp: 9 };
        let mut said = Vec::new();
        for length in [(64 << 10) - 100, (64 << 10) + 100] {
            let blanks = " ".repeat(length - status("BODY", 11).len());
            let body = format!("HTTP/1.1 200 OK\r\n\r\n{blanks}BODY");
            server.says(status(&body, 11), Close);
            said.push(read(place).await);
        }
        assert!(matches!(said[0], Ok(DeviceResponse::Reading(_))), "{said:?}");
        let Err(Failure::InvalidResponse(why)) = &said[1] else { panic!("{said:?}") };
        assert_eq!(why, "a reply of more than 64 KiB");
    });
}

/// One conversation with the plug at this place, which speaks HTTP.
async fn read(place: Endpoint) -> Result<DeviceResponse, Failure> {
    let driver = drivers::named("maxsmart").unwrap();
    let timeout = Duration::from_secs(2);
    let family = Family { udp_port: 9, http_port: 80, timeout, own: OwnSettings::default() };
    let found = Discovered { driver: "maxsmart", id: None, place, facts: DeviceInfo::default() };
    let options = DialectOptions { timeout, power_unit: PowerUnit::Auto, set_clock: false };
    let mut dialect = driver.attach(&family, &found, &options);
    let http = Http::new().unwrap();
    talk(&http, &mut Clock::start(), dialect.as_mut(), place, &DeviceRequest::Read, 2 * timeout).await.0
}

#[test]
fn a_request_is_one_piece_on_a_connection_of_its_own() {
    run(async {
        let (house, servers) = servers(1).await;
        until("some requests", || servers[0].0.lock().unwrap().heard.len() > 4).await;
        for head in &servers[0].0.lock().unwrap().heard {
            let lines: Vec<&str> = head.lines().collect();
            let known = ["511", "124", "502", "515", "512", "517"].map(|cmd| format!("GET /?cmd={cmd}"));
            assert!(known.iter().any(|known| lines[0].starts_with(known)), "{head}");
            assert!(head.ends_with("\r\n\r\n"), "{head:?}");
            assert!(lines.contains(&"Connection: close"), "{head}");
            assert_eq!(lines.iter().filter(|line| line.starts_with("Host: 127.")).count(), 1, "{head}");
            assert!(!head.to_lowercase().contains("user-agent"), "{head}");
        }
        house.close().await;
    });
}

#[test]
fn proxies_of_the_environment_are_for_others() {
    run(async {
        let [ip] = addresses(1)[..] else { return };
        let (port, server) = Server::start(ip, 0).await;
        let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = format!("http://{}", proxy.local_addr().unwrap());
        let mut probe = Command::new(env!("CARGO_BIN_EXE_plug2mqtt"));
        let probe = probe.args(["probe", &format!("{ip}:{port}"), "-s", "maxsmart.timeout=1s"]);
        for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
            probe.env(name, &at);
        }
        let mut child = spawned(probe.stdout(Stdio::null()).stderr(Stdio::null()));
        tokio::select! {
            _ = proxy.accept() => panic!("the proxy was asked"),
            () = until("the end of the probe", || child.try_wait().unwrap().is_some()) => {}
        }
        assert!(!server.0.lock().unwrap().heard.is_empty(), "the plug was not asked");
    });
}
