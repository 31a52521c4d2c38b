use std::collections::BTreeMap;

use super::store::STORE_FILE;
use super::*;
use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, LastWill, MqttOptions, Packet};

const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const BRIDGE: Owner<'_> = Owner { client_id: "bridge", will: ("home/bridge/state", "offline") };

fn options(id: &str, at: SocketAddr) -> MqttOptions {
    let mut options = MqttOptions::new(id, at.ip().to_string(), at.port());
    options.set_max_packet_size(2 << 20, 2 << 20);
    options
}

fn client(id: &str, at: SocketAddr) -> (AsyncClient, EventLoop) {
    AsyncClient::new(options(id, at), 100)
}

async fn next(events: &mut EventLoop, wanted: impl Fn(&Packet) -> bool) -> Packet {
    loop {
        if let Event::Incoming(packet) = events.poll().await.expect("the link holds")
            && wanted(&packet)
        {
            return packet;
        }
    }
}

async fn retain(at: SocketAddr, topics: usize) {
    let (client, mut events) = client("writer", at);
    let publishing = tokio::spawn(async move {
        for n in 0..topics {
            let payload = format!("value {n}");
            client
                .publish(format!("shelf/{n}/state"), rumqttc::QoS::AtLeastOnce, true, payload)
                .await
                .expect("the broker is there");
        }
        client
    });
    for _ in 0..topics {
        next(&mut events, |packet| matches!(packet, Packet::PubAck(_))).await;
    }
    drop(publishing.await.expect("the broker is there"));
}

/// Subscribes to everything and returns what arrives until nothing does for a moment.
async fn read_back(at: SocketAddr, topics: usize) -> BTreeMap<String, Vec<u8>> {
    read_back_with(at, topics, rumqttc::QoS::AtLeastOnce).await
}

async fn read_back_with(at: SocketAddr, topics: usize, qos: rumqttc::QoS) -> BTreeMap<String, Vec<u8>> {
    let (client, mut events) = client("reader", at);
    client.subscribe("#", qos).await.expect("the broker is there");
    let mut seen = BTreeMap::new();
    while seen.len() < topics {
        let Packet::Publish(publish) = next(&mut events, |packet| matches!(packet, Packet::Publish(_))).await
        else {
            unreachable!("asked for it")
        };
        assert!(publish.retain);
        seen.insert(publish.topic, publish.payload.to_vec());
    }
    seen
}

#[tokio::test]
async fn retained_messages_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("broker");
    let broker = start(LOCAL, None, Some(&store), None).await.unwrap();
    retain(broker.addr(), 20).await;
    let (client, mut events) = client("odd", broker.addr());
    client.publish("odd", rumqttc::QoS::AtLeastOnce, true, vec![0xff, 0x00, 0x10]).await.unwrap();
    next(&mut events, |packet| matches!(packet, Packet::PubAck(_))).await;
    broker.stop().await;

    let broker = start(LOCAL, None, Some(&store), None).await.unwrap();
    let seen = read_back(broker.addr(), 21).await;
    assert_eq!(seen.get("shelf/7/state").unwrap(), b"value 7");
    assert_eq!(seen.get("odd").unwrap(), &[0xff, 0x00, 0x10]);
    broker.stop().await;
}

/// A file with these messages of the bridge in it.
fn stored(folder: &Path, messages: impl Iterator<Item = (String, String)>) {
    let kept = |text| serde_json::json!({"qos": 1, "text": text, "own": true});
    let all: serde_json::Map<_, _> = messages.map(|(topic, text)| (topic, kept(text))).collect();
    std::fs::write(folder.join(STORE_FILE), serde_json::to_vec(&all).unwrap()).unwrap();
}

#[tokio::test]
async fn a_subscription_is_sent_all_that_is_retained() {
    const TOPICS: usize = 30_000;
    let folder = tempfile::tempdir().unwrap();
    stored(folder.path(), (0..TOPICS).map(|n| (format!("home/{n}/state"), "x".repeat(400))));
    let broker = start(LOCAL, None, Some(folder.path()), Some(BRIDGE)).await.unwrap();
    for qos in [rumqttc::QoS::AtMostOnce, rumqttc::QoS::AtLeastOnce] {
        let all = timeout(Duration::from_secs(60), read_back_with(broker.addr(), TOPICS, qos)).await;
        assert_eq!(all.map(|all| all.len()), Ok(TOPICS), "{qos:?}");
    }
    broker.stop().await;
}

#[tokio::test]
async fn the_will_of_who_was_killed_with_the_broker_is_carried_out() {
    let folder = tempfile::tempdir().unwrap();
    let left = ["home/bridge/state", "home/plug/availability"].map(|topic| (topic.into(), "online".into()));
    stored(folder.path(), left.into_iter());
    let broker = start(LOCAL, None, Some(folder.path()), Some(BRIDGE)).await.unwrap();
    let seen = read_back(broker.addr(), 2).await;
    assert_eq!(seen["home/bridge/state"], b"offline");
    assert_eq!(seen["home/plug/availability"], b"online", "it stands as it was told");
    broker.stop().await;
}

#[tokio::test]
async fn a_damaged_store_is_kept_aside() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(STORE_FILE), "{ not json").unwrap();
    let broker = start(LOCAL, None, Some(folder.path()), None).await.unwrap();
    broker.stop().await;
    assert!(folder.path().join("retained.json.bad").exists());
    // One that is larger than any house makes it is not read to its end.
    let file = std::fs::File::create(folder.path().join(STORE_FILE)).unwrap();
    file.set_len(1 << 40).unwrap();
    std::fs::remove_file(folder.path().join("retained.json.bad")).unwrap();
    start(LOCAL, None, Some(folder.path()), None).await.unwrap().stop().await;
    assert!(folder.path().join("retained.json.bad").exists());
}

#[tokio::test]
async fn links_in_the_place_of_its_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [own, elsewhere, link] = ["own", "elsewhere", "link"].map(|name| folder.path().join(name));
    std::fs::create_dir(&own).unwrap();
    std::fs::create_dir(&elsewhere).unwrap();
    let precious = elsewhere.join("precious");
    std::fs::write(&precious, "{}").unwrap();
    std::os::unix::fs::symlink(&precious, own.join(STORE_FILE)).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
    for (place, wrong) in [(&own, own.join(STORE_FILE)), (&link, link.clone())] {
        let refused = start(LOCAL, None, Some(place), None).await.unwrap_err().to_string();
        let said = format!("{}: is a symbolic link; remove it", wrong.display());
        assert!(refused.contains(&said), "{refused}");
    }
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 1);
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "{}");
}

#[tokio::test]
async fn nobody_can_fill_it() {
    let broker = start(LOCAL, None, None, None).await.unwrap();
    let at = broker.addr();
    // Larger than it takes: the link ends, and nothing of it is kept.
    let mut options = options("large", at);
    options.set_max_packet_size(8 << 20, 8 << 20);
    let (large, mut events) = AsyncClient::new(options, 10);
    large.publish("large", rumqttc::QoS::AtLeastOnce, true, vec![b'x'; 3 << 20]).await.unwrap();
    while !matches!(events.poll().await, Err(_) | Ok(Event::Incoming(Packet::PubAck(_)))) {}
    retain(at, 1).await;
    assert_eq!(read_back(at, 1).await.keys().collect::<Vec<_>>(), ["shelf/0/state"]);
    // More clients than a house has are turned away; there is room again when others leave.
    let mut inside = Vec::new();
    for n in 0..220 {
        let (client, mut events) = client(&format!("client-{n}"), at);
        if matches!(events.poll().await, Ok(Event::Incoming(Packet::ConnAck(_)))) {
            inside.push((client, events));
        }
    }
    assert!((190..=200).contains(&inside.len()), "{}", inside.len());
    drop(inside);
    let came_in = async {
        while client("late", at).1.poll().await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(10), came_in).await.unwrap();
    broker.stop().await;
}

/// A client that is told why a message was refused.
fn mqtt5_client(id: &str, at: SocketAddr) -> (rumqttc::v5::AsyncClient, rumqttc::v5::EventLoop) {
    let mut options = rumqttc::v5::MqttOptions::new(id, at.ip().to_string(), at.port());
    options.set_max_packet_size(Some(3 << 20));
    rumqttc::v5::AsyncClient::new(options, 10)
}

/// Publishes one retained message by MQTT 5 and says whether it was taken.
async fn taken(
    (client, events): &mut (rumqttc::v5::AsyncClient, rumqttc::v5::EventLoop),
    topic: String,
    payload: Vec<u8>,
) -> bool {
    use rumqttc::v5::mqttbytes::{QoS, v5::Packet, v5::PubAckReason};
    client.publish(topic, QoS::AtLeastOnce, true, payload).await.expect("there is room in the queue");
    loop {
        if let rumqttc::v5::Event::Incoming(Packet::PubAck(ack)) =
            events.poll().await.expect("the link holds")
        {
            assert!(matches!(ack.reason, PubAckReason::Success | PubAckReason::QuotaExceeded), "{ack:?}");
            return ack.reason == PubAckReason::Success;
        }
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_and_what_was_kept_can_be_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(LOCAL, None, Some(folder.path()), None).await.unwrap();
    let mut filler = mqtt5_client("filler", broker.addr());
    assert!(taken(&mut filler, "house/switch".into(), b"ON".to_vec()).await);
    // Text, binary, and what grows most in the file.
    let mut kept = 1;
    for n in 0..90 {
        let byte = [b'x', 0xff, 0x01][n % 3];
        kept += usize::from(taken(&mut filler, format!("fill/{n}"), vec![byte; 500_000]).await);
    }
    assert!((10..60).contains(&kept), "{kept}");
    // To the brim: no new topic, but the small values of those that are there.
    for n in 0..200 {
        kept += usize::from(taken(&mut filler, format!("brim/{n}"), vec![b'x'; 20_000]).await);
    }
    for n in 0..2000 {
        kept += usize::from(taken(&mut filler, format!("drop/{n}"), vec![b'x'; 200]).await);
    }
    assert!(!taken(&mut filler, "new".into(), b"1".to_vec()).await);
    assert!(taken(&mut filler, "house/switch".into(), b"OFF".to_vec()).await);
    broker.stop().await;

    let broker = start(LOCAL, None, Some(folder.path()), None).await.unwrap();
    let seen = timeout(Duration::from_secs(30), read_back(broker.addr(), kept)).await.unwrap();
    assert_eq!(seen.get("house/switch").unwrap(), b"OFF");
    // There is room again when somebody tidies up.
    let mut filler = mqtt5_client("filler", broker.addr());
    assert!(!taken(&mut filler, "new".into(), vec![b'x'; 400_000]).await);
    for topic in seen.keys().filter(|topic| topic.starts_with("fill/")) {
        assert!(taken(&mut filler, topic.clone(), Vec::new()).await);
    }
    assert!(taken(&mut filler, "new".into(), vec![b'x'; 400_000]).await);
    broker.stop().await;
}

#[tokio::test]
async fn nobody_takes_the_room_of_the_bridge_and_what_is_refused_of_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let broker = start(LOCAL, None, Some(folder.path()), Some(BRIDGE)).await.unwrap();
    let mut filler = mqtt5_client("filler", broker.addr());
    for size in [1 << 20, 200_000, 40_000, 8_000, 1_600, 300, 60] {
        let mut n = 0;
        while taken(&mut filler, format!("fill/{size}/{n}"), vec![b'x'; size]).await {
            n += 1;
        }
    }
    let refused = broker.refused();
    let (bridge, mut events) = client("bridge", broker.addr());
    let (watcher, mut seen) = client("watcher", broker.addr());
    watcher.subscribe("home/full/#", rumqttc::QoS::AtLeastOnce).await.unwrap();
    next(&mut seen, |packet| matches!(packet, Packet::SubAck(_))).await;
    let mut say = async |topic: String, payload: Vec<u8>| {
        bridge.publish(topic, rumqttc::QoS::AtLeastOnce, true, payload).await.unwrap();
        next(&mut events, |packet| matches!(packet, Packet::PubAck(_))).await;
    };
    let devices = (2 << 20) - 4096;
    say("home/bridge/devices".into(), vec![b'x'; devices]).await;
    for n in 0..10 {
        say(format!("home/plug/{n}/switch"), b"ON".to_vec()).await;
    }
    assert_eq!(*refused.borrow(), Refused::default(), "what others lack is not the bridge's");
    assert!(!taken(&mut filler, "new".into(), b"1".to_vec()).await);
    // Until its own is full: told each time, still delivered, and what is there goes on.
    let mut large = 0;
    while refused.borrow().count == 0 {
        say(format!("home/large/{large}"), vec![b'x'; devices]).await;
        large += 1;
    }
    assert_eq!(refused.borrow().count, 1);
    assert!(refused.borrow().why.as_ref().unwrap().contains("mqtt.url"));
    say("home/full/1".into(), vec![b'x'; devices]).await;
    assert_eq!(refused.borrow().count, 2);
    next(&mut seen, |packet| matches!(packet, Packet::Publish(_))).await;
    say("home/plug/7/switch".into(), b"OFF".to_vec()).await;
    assert_eq!(refused.borrow().count, 2);
    broker.stop().await;

    // Whose is what outlives a restart.
    let broker = start(LOCAL, None, Some(folder.path()), Some(BRIDGE)).await.unwrap();
    let mut filler = mqtt5_client("filler", broker.addr());
    assert!(!taken(&mut filler, "new".into(), b"1".to_vec()).await);
    let refused = broker.refused();
    let (bridge, mut events) = client("bridge", broker.addr());
    let mut say = async |topic: String, payload: Vec<u8>| {
        bridge.publish(topic, rumqttc::QoS::AtLeastOnce, true, payload).await.unwrap();
        next(&mut events, |packet| matches!(packet, Packet::PubAck(_))).await;
    };
    say("home/full/1".into(), vec![b'x'; devices]).await;
    assert!(refused.borrow().why.is_some());
    // As soon as there is room it is told too.
    for n in 0..large {
        say(format!("home/large/{n}"), Vec::new()).await;
    }
    assert_eq!(*refused.borrow(), Refused { count: 1, why: None });
    let (reader, mut kept) = client("reader", broker.addr());
    reader.subscribe("home/#", rumqttc::QoS::AtLeastOnce).await.unwrap();
    let mut all = BTreeMap::new();
    while all.len() < 11 {
        if let Packet::Publish(publish) = next(&mut kept, |packet| matches!(packet, Packet::Publish(_))).await
        {
            all.insert(publish.topic.clone(), publish.payload.len());
        }
    }
    assert_eq!((all["home/bridge/devices"], all["home/plug/7/switch"]), (devices, 3));
    broker.stop().await;
}

#[test]
fn a_runtime_of_many_threads_is_refused() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let started = runtime.map(|runtime| runtime.block_on(start(LOCAL, None, None, None)));
    if let Ok(started) = started {
        assert!(started.unwrap_err().to_string().contains("one thread"));
    }
}

#[test]
fn the_room_a_message_takes_is_what_the_file_needs() {
    for (topic, payload) in [
        ("a/b", &b"21.5"[..]),
        ("\"\\", b"\n\t\x01\x1f{\"a\":\"\\\"}"),
        ("x", "\u{e9}\u{1f50c}".as_bytes()),
        ("bin", b"\xff\x00\x01"),
    ] {
        let needs = store::line(topic, payload);
        let cost = room::cost(topic, payload);
        assert!((needs..needs + 30).contains(&cost), "{topic}: {needs} {cost}");
    }
}

#[tokio::test]
async fn two_thousand_retained_topics_reach_one_subscriber() {
    let broker = start(LOCAL, None, None, None).await.unwrap();
    retain(broker.addr(), 2000).await;
    let seen = timeout(Duration::from_secs(20), read_back(broker.addr(), 2000)).await.unwrap();
    assert_eq!(seen.len(), 2000);
    broker.stop().await;
}

#[tokio::test]
async fn a_large_retained_message_passes() {
    let broker = start(LOCAL, None, None, None).await.unwrap();
    let (client, mut events) = client("large", broker.addr());
    client.publish("large", rumqttc::QoS::AtLeastOnce, true, vec![b'x'; 1 << 20]).await.unwrap();
    next(&mut events, |packet| matches!(packet, Packet::PubAck(_))).await;
    let seen = read_back(broker.addr(), 1).await;
    assert_eq!(seen.get("large").unwrap().len(), 1 << 20);
    broker.stop().await;
}

#[tokio::test]
async fn only_the_right_password_opens() {
    let secret = SecretString::from("00123");
    let broker = start(LOCAL, Some(("bridge", &secret)), None, None).await.unwrap();
    let attempt = async |credentials: Option<(&str, &str)>| {
        let mut options = options("somebody", broker.addr());
        if let Some((username, password)) = credentials {
            options.set_credentials(username, password);
        }
        let (_client, mut events) = AsyncClient::new(options, 10);
        events.poll().await
    };
    for wrong in [None, Some(("bridge", "123")), Some(("other", "00123")), Some(("bridge", "00123 "))] {
        let refused = attempt(wrong).await;
        let code = rumqttc::ConnectReturnCode::BadUserNamePassword;
        assert!(matches!(&refused, Err(ConnectionError::ConnectionRefused(c)) if *c == code), "{refused:?}");
    }
    // More refusals than the crate's own limit of five locks nobody out.
    for _ in 0..3 {
        assert!(attempt(Some(("bridge", "no"))).await.is_err());
    }
    assert!(attempt(Some(("bridge", "00123"))).await.is_ok());
    broker.stop().await;
}

#[tokio::test]
async fn a_taken_port_says_what_to_do() {
    let first = start(LOCAL, None, None, None).await.unwrap();
    let error = start(first.addr(), None, None, None).await.unwrap_err();
    let addr = first.addr();
    assert!(matches!(error, BrokerError::Taken(taken) if taken == addr));
    let wanted = format!(
        "a broker already listens on {addr}: set mqtt.url = \"mqtt://{addr}\" to use it, or choose another broker.listen"
    );
    assert_eq!(error.to_string(), wanted);
    first.stop().await;
}

#[tokio::test]
async fn an_address_of_somebody_else_is_refused() {
    let error = start("192.0.2.1:1883".parse().unwrap(), None, None, None).await.unwrap_err();
    assert!(matches!(error, BrokerError::Listen { .. }), "{error}");
}

#[tokio::test]
async fn a_file_in_the_place_of_the_folder_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = start(LOCAL, None, Some(&file), None).await.unwrap_err();
    assert!(matches!(error, BrokerError::Store { .. }), "{error}");
}

#[tokio::test]
async fn a_will_is_published_when_the_link_is_cut() {
    let broker = start(LOCAL, None, None, None).await.unwrap();
    let (watcher, mut seen) = client("watcher", broker.addr());
    watcher.subscribe("will", rumqttc::QoS::AtLeastOnce).await.unwrap();
    next(&mut seen, |packet| matches!(packet, Packet::SubAck(_))).await;
    let mut options = options("mortal", broker.addr());
    options.set_last_will(LastWill::new("will", "offline", rumqttc::QoS::AtLeastOnce, true));
    let (mortal, mut events) = AsyncClient::new(options, 10);
    next(&mut events, |packet| matches!(packet, Packet::ConnAck(_))).await;
    drop((mortal, events));
    let Packet::Publish(publish) = next(&mut seen, |packet| matches!(packet, Packet::Publish(_))).await
    else {
        unreachable!("asked for it")
    };
    assert_eq!(&publish.payload[..], b"offline");
    broker.stop().await;
}

#[tokio::test]
async fn stopping_is_quick_with_clients_that_stay_and_say_nothing() {
    let broker = start(LOCAL, None, None, None).await.unwrap();
    let _mute = tokio::net::TcpStream::connect(broker.addr()).await.unwrap();
    let (_client, mut events) = client("idle", broker.addr());
    next(&mut events, |packet| matches!(packet, Packet::ConnAck(_))).await;
    let begun = std::time::Instant::now();
    broker.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}
