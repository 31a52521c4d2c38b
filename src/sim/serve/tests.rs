use super::*;
use std::future::Future;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const SERIAL: &str = "SWP6000000000001";
const READ_RELAYS: &str = "/?cmd=513";
const HELLO: &[u8] = b"00dv=all;";
const STATUS: &[u8] = br#"V3{"sn":"SWP6000000000001","cmd":90}"#;
const SWITCH_OFF: &[u8] = br#"V3{"sn":"SWP6000000000001","cmd":20,"port":1,"state":0}"#;

/// Fails a test that waits for what never comes.
async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), what).await.expect("in time")
}

async fn put(strip: Strip) -> Served {
    let place =
        Endpoint { ip: Ipv4Addr::new(127, 0, 77, 1), udp_port: 0, http_port: 0, broadcasts: Vec::new() };
    serve(strip, place).await.expect("serving")
}

async fn client() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    socket.set_broadcast(true).expect("broadcast");
    socket
}

async fn hear(client: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 70_000];
    let (length, from) = soon(client.recv_from(&mut buffer)).await.expect("a datagram");
    buffer.truncate(length);
    (buffer, from)
}

async fn ask(client: &UdpSocket, plug: &Served, request: &[u8]) -> Vec<u8> {
    client.send_to(request, plug.udp_addr()).await.expect("sent");
    let (reply, from) = hear(client).await;
    assert_eq!(from, plug.udp_addr());
    reply
}

async fn get(plug: &Served, target: &str) -> io::Result<Vec<u8>> {
    let mut stream = soon(TcpStream::connect(plug.http_addr())).await?;
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await?;
    let mut reply = Vec::new();
    soon(stream.read_to_end(&mut reply)).await?;
    Ok(reply)
}

async fn relays(plug: &Served) -> String {
    let reply = String::from_utf8(get(plug, READ_RELAYS).await.expect("a reply")).expect("text");
    reply.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).expect("a head")
}

#[tokio::test]
async fn a_plug_answers_both_transports() {
    let plug = put(Strip::strip_1_30(SERIAL)).await;
    assert!(
        ask(&client().await, &plug, HELLO)
            .await
            .starts_with(br#"{"response":0,"data":{"sn":"SWP6000000000001""#)
    );
    plug.press(6);
    assert_eq!(relays(&plug).await, r#"{"response":513,"code":200,"data":{"switch":[1,1,1,1,1,0]}}"#);
    let raw = r#"/?cmd=200&json={"port": 0, "state": 0}"#;
    assert!(get(&plug, raw).await.expect("a reply").ends_with(br#"{"response":200,"code":200}"#));
    assert_eq!(plug.strip(|strip| strip.relays().to_vec()), [false; 6]);
    assert_eq!(get(&plug, "/?cmd=999").await.expect("closed"), b"");
    assert_eq!((plug.requests(), plug.max_connections()), (4, 1));
    assert_eq!(plug.watts(), [0.0; 6]);
    plug.stop().await;
}

#[tokio::test]
async fn anything_but_a_get_is_closed_without_a_word() {
    let plug = put(Strip::strip_1_30(SERIAL)).await;
    for request in
        ["POST /?cmd=511 HTTP/1.1\r\n\r\n", "hello\r\n\r\n", "GET /?cmd=511\r\n\r\n", "\u{0}\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(plug.http_addr()).await.expect("connected");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut reply = Vec::new();
        soon(stream.read_to_end(&mut reply)).await.expect("closed");
        assert_eq!(reply, b"", "{request:?}");
    }
}

#[tokio::test]
async fn v5_has_its_http_port_closed() {
    let plug = put(Strip::strip_5_11(SERIAL)).await;
    let refused = get(&plug, READ_RELAYS).await.expect_err("refused");
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    let client = client().await;
    assert_eq!(ask(&client, &plug, SWITCH_OFF).await, br#"V3{"response":20,"code":200}"#);
    assert!(ask(&client, &plug, STATUS).await.ends_with(br#""switch":[0,1,1,1,1,1]}}"#));
}

#[tokio::test]
async fn a_refusing_plug_comes_back_on_the_same_port() {
    let plug = put(Strip::strip_1_30(SERIAL)).await;
    let before = plug.http_addr();
    for _ in 0..3 {
        plug.set_faults(Faults { refuse: true, ..Faults::default() }).await.expect("set");
        let refused = get(&plug, READ_RELAYS).await.expect_err("refused");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        plug.set_faults(Faults::default()).await.expect("set");
        assert!(!get(&plug, READ_RELAYS).await.expect("a reply").is_empty());
    }
    assert_eq!(plug.http_addr(), before);
}

#[tokio::test]
async fn an_unplugged_plug_swallows_datagrams() {
    let plug = put(Strip::strip_5_11(SERIAL)).await;
    let client = client().await;
    plug.set_faults(Faults { off: true, ..Faults::default() }).await.expect("set");
    client.send_to(SWITCH_OFF, plug.udp_addr()).await.expect("sent");
    soon(async {
        while plug.requests() < 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    plug.set_faults(Faults::default()).await.expect("set");
    assert!(ask(&client, &plug, STATUS).await.ends_with(br#""switch":[1,1,1,1,1,1]}}"#));
}

#[tokio::test]
async fn hanging_connections_are_counted_until_the_client_leaves() {
    let plug = put(Strip::strip_1_30(SERIAL)).await;
    plug.set_faults(Faults { hang: true, ..Faults::default() }).await.expect("set");
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(plug.http_addr()).await.expect("connected");
        stream.write_all(b"GET /?cmd=511 HTTP/1.1\r\n\r\n").await.expect("sent");
        held.push(stream);
    }
    soon(async {
        while plug.open_connections() < 3 {
            tokio::task::yield_now().await;
        }
        drop(held);
        while plug.open_connections() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(plug.max_connections(), 3);
    plug.set_faults(Faults::default()).await.expect("set");
    assert!(!get(&plug, READ_RELAYS).await.expect("a reply").is_empty());
}

#[tokio::test]
async fn faults_change_what_arrives() {
    let plug = put(Strip::strip_1_30(SERIAL)).await;
    let whole = get(&plug, READ_RELAYS).await.expect("a reply");
    let drip = Faults { drip: Some(Duration::ZERO), delay: Duration::from_millis(1), ..Faults::default() };
    plug.set_faults(drip).await.expect("set");
    assert_eq!(get(&plug, READ_RELAYS).await.expect("a reply"), whole);
    plug.set_faults(Faults { oversized: true, ..Faults::default() }).await.expect("set");
    assert!(get(&plug, READ_RELAYS).await.expect("a reply").len() > 10_000_000);
    let client = client().await;
    assert!(ask(&client, &plug, HELLO).await.len() > 65_000);
    plug.set_faults(Faults { truncate: Some(7), ..Faults::default() }).await.expect("set");
    assert_eq!(get(&plug, READ_RELAYS).await.expect("a reply"), b"HTTP/1.");
    plug.set_faults(Faults { empty: true, ..Faults::default() }).await.expect("set");
    assert_eq!(get(&plug, READ_RELAYS).await.expect("closed"), b"");
    assert_eq!(ask(&client, &plug, HELLO).await, b"");
}

#[tokio::test]
async fn lost_and_doubled_datagrams_keep_their_order() {
    let plug = put(Strip::strip_5_11(SERIAL)).await;
    let client = client().await;
    plug.set_faults(Faults { lose_request_every: 2, double: true, ..Faults::default() }).await.expect("set");
    for request in [HELLO, SWITCH_OFF, STATUS] {
        client.send_to(request, plug.udp_addr()).await.expect("sent");
    }
    let mut heard = Vec::new();
    for _ in 0..4 {
        heard.push(hear(&client).await.0);
    }
    let starts = heard.iter().map(|bytes| bytes.get(..14).map(<[u8]>::to_vec).unwrap_or_default());
    let expected = [r#"{"response":0,"#, r#"{"response":0,"#, r#"V3{"response":"#, r#"V3{"response":"#];
    assert_eq!(starts.collect::<Vec<_>>(), expected.map(|text| text.as_bytes().to_vec()));
    assert_eq!(plug.strip(|strip| strip.switched().count()), 0);
}

#[tokio::test]
async fn an_answer_can_be_late() {
    let plug = put(Strip::strip_5_11(SERIAL)).await;
    plug.set_faults(Faults { delay: Duration::from_millis(50), ..Faults::default() }).await.expect("set");
    let asked = tokio::time::Instant::now();
    assert_eq!(ask(&client().await, &plug, SWITCH_OFF).await, br#"V3{"response":20,"code":200}"#);
    assert!(asked.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn a_plug_moves_to_another_address_and_keeps_its_ports() {
    let plug = put(Strip::strip_1_30(SERIAL)).await;
    plug.press(1);
    let (udp, http) = (plug.udp_addr(), plug.http_addr());
    plug.move_to(Ipv4Addr::new(127, 0, 77, 2)).await.expect("moved");
    assert_eq!(plug.udp_addr(), SocketAddr::from(([127, 0, 77, 2], udp.port())));
    assert_eq!(plug.ip(), Ipv4Addr::new(127, 0, 77, 2));
    let gone = TcpStream::connect(http).await.expect_err("nobody there");
    assert_eq!(gone.kind(), io::ErrorKind::ConnectionRefused);
    assert!(relays(&plug).await.contains("[0,1,1,1,1,1]"));
    assert!(!ask(&client().await, &plug, HELLO).await.is_empty());
    plug.move_to(Ipv4Addr::new(127, 0, 77, 1)).await.expect("moved back");
    assert_eq!((plug.udp_addr(), plug.http_addr()), (udp, http));
    plug.stop().await;
    assert!(plug.move_to(Ipv4Addr::new(127, 0, 77, 2)).await.is_err());
}

#[tokio::test]
async fn a_stopped_plug_leaves_its_ports_free() {
    let plug = put(Strip::strip_1_30(SERIAL)).await;
    assert!(!get(&plug, READ_RELAYS).await.expect("a reply").is_empty());
    let (udp, http) = (plug.udp_addr(), plug.http_addr());
    plug.stop().await;
    let place =
        Endpoint { ip: plug.ip(), udp_port: udp.port(), http_port: http.port(), broadcasts: Vec::new() };
    let again = serve(Strip::strip_1_30(SERIAL), place).await.expect("free");
    assert_eq!(again.udp_addr(), udp);
}

#[tokio::test]
async fn a_rebooting_plug_is_away() {
    let plug = put(Strip::strip_1_30(SERIAL)).await;
    plug.reboot();
    let mut stream = TcpStream::connect(plug.http_addr()).await.expect("connected");
    stream.write_all(b"GET /?cmd=511 HTTP/1.1\r\n\r\n").await.expect("sent");
    soon(async {
        while plug.open_connections() < 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(plug.strip(|strip| strip.requests()), 0);
}

#[tokio::test]
async fn every_plug_of_a_shelf_answers_a_broadcast_from_its_own_address() {
    let strips = vec![
        (Ipv4Addr::new(127, 0, 77, 11), Strip::strip_1_30(SERIAL)),
        (Ipv4Addr::new(127, 0, 77, 12), Strip::plug_2_11("SWP1000000000002")),
        (Ipv4Addr::new(127, 0, 77, 13), Strip::strip_5_11("SWP6000000000003")),
    ];
    let shelf = Shelf::serve(strips, 0, 0).await.expect("serving");
    let off = shelf.plug("SWP1000000000002").expect("on the shelf");
    off.set_faults(Faults { off: true, ..Faults::default() }).await.expect("set");
    let client = client().await;
    let (udp_port, http_port) = shelf.ports();
    client.send_to(HELLO, (Shelf::LOOPBACK_BROADCAST, udp_port)).await.expect("sent");
    let mut heard = [hear(&client).await.1, hear(&client).await.1];
    heard.sort();
    assert_eq!(heard, [11, 13].map(|last| SocketAddr::from(([127, 0, 77, last], udp_port))));
    assert!(shelf.plugs().iter().all(|plug| plug.http_addr().port() == http_port && plug.requests() == 1));
    shelf.stop().await;
}

#[tokio::test]
async fn one_plug_can_hear_broadcasts_on_its_own() {
    let place = Endpoint {
        ip: Ipv4Addr::new(127, 0, 77, 21),
        udp_port: 0,
        http_port: 0,
        broadcasts: vec![Shelf::LOOPBACK_BROADCAST],
    };
    let plug = serve(Strip::strip_5_11(SERIAL), place).await.expect("serving");
    let client = client().await;
    client.send_to(HELLO, (Shelf::LOOPBACK_BROADCAST, plug.udp_addr().port())).await.expect("sent");
    assert_eq!(hear(&client).await.1, plug.udp_addr());
}
