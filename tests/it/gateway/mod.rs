//! The gateway over real sockets: simulated plugs, clients by hand, strangers.

mod caller;

use crate::support::{TIMEOUT, run};
use caller::{Caller, Heard, Login, connect, message, tls};
use md5::{Digest, Md5};
use plug2mqtt::drivers::meross::crypt::{LanKey, mac};
use plug2mqtt::drivers::meross::wire::write;
use plug2mqtt::gateway::codec::{Level, Packet, QoS};
use plug2mqtt::gateway::{self, Figures, Gateway, Keys, Limits, Message, Undelivered};
use plug2mqtt::model::Now;
use plug2mqtt::sim::{Deed, Kind, Meross};
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, TlsConfiguration, Transport};
use rustls::crypto::ring;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::future::Future;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

const LARGEST: usize = 16 * 1024;
const NOW: u64 = 1_795_219_200;
const HOST: &str = "127.0.0.1";

/// A folder with a certificate: a key takes its time to be made.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        gateway::certificate::keep(folder.path(), HOST, NOW, &ring::default_provider()).unwrap();
        folder
    });
    made.path()
}

/// A gateway with what plugs have said to it.
struct House {
    gateway: Gateway,
    inbox: mpsc::Receiver<Message>,
}

impl House {
    async fn new(limits: Limits) -> Self {
        Self::with_keys(limits, Keys::new([SecretString::from("pippo")], [])).await
    }

    async fn with_keys(limits: Limits, keys: Keys) -> Self {
        let (said, inbox) = mpsc::channel(gateway::INBOX);
        let listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings = gateway::Settings { listen, host: HOST, keys, folder: folder(), limits };
        Self { gateway: gateway::start(settings, NOW, said).await.unwrap(), inbox }
    }

    fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    async fn heard(&mut self) -> Message {
        timeout(TIMEOUT, self.inbox.recv()).await.expect("something is said").expect("the gateway runs")
    }

    /// Waits until the figures are so.
    async fn until(&self, wanted: impl Fn(&Figures) -> bool) {
        let seen = async {
            while !wanted(&self.gateway.figures()) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(TIMEOUT, seen).await.unwrap_or_else(|_| panic!("{:?}", self.gateway.figures()));
    }

    /// Waits until so many plugs are connected.
    async fn until_plugs(&self, count: usize) {
        let seen = async {
            while self.gateway.plugs().len() != count {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(TIMEOUT, seen).await.unwrap_or_else(|_| panic!("{:?}", self.gateway.plugs()));
    }
}

/// The login of a plug with this number.
fn login(number: u16) -> Login {
    let [high, low] = number.to_be_bytes();
    let mac = format!("02:00:00:00:{high:02x}:{low:02x}");
    let hash = Md5::new().chain_update(&mac).chain_update("pippo").finalize();
    let password = hash.iter().fold(String::from("0_"), |text, byte| text + &format!("{byte:02x}"));
    let uuid = format!("01234567890123456789{}", mac.replace(':', ""));
    Login { uuid, mac, password, keep_alive_s: 120, level: Level::V31 }
}

fn own_topic(login: &Login) -> String {
    format!("/appliance/{}/publish", login.uuid)
}

fn command_topic(login: &Login) -> String {
    format!("/appliance/{}/subscribe", login.uuid)
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    timeout(TIMEOUT, what).await.expect("in time")
}

fn now(nonce: u64) -> Now {
    Now { up: Duration::from_secs(1), unix_ms: NOW * 1000, utc_offset_s: 0, dst_s: 0, nonce }
}

/// A simulated plug that was told this gateway.
fn told(kind: &'static Kind, number: u8) -> Meross {
    let mut plug = Meross::new(kind, number).with_key("pippo");
    let gateway = json!({"host": HOST, "port": 8883, "secondHost": HOST, "secondPort": 8883, "redirect": 1});
    let payload = json!({"key": {"gateway": gateway, "key": "pippo", "userId": "0"}});
    let sent = write("pippo", "SET", "Config.Key", &payload, &now(u64::from(number)));
    let key = LanKey::new(plug.uuid(), "pippo", mac(plug.uuid()).unwrap());
    let bytes = if plug.encrypts() { key.seal(&sent.bytes) } else { sent.bytes };
    plug.post(1.0, "/config", &bytes).expect("it answers");
    plug
}

#[test]
fn a_simulated_plug_of_every_kind_comes_in_asks_the_time_and_obeys() {
    run(async {
        let mut house = House::new(Limits::default()).await;
        for (number, kind) in (1..).zip(Kind::ALL) {
            let mut plug = told(kind, number);
            let Some(its) = plug.login() else { panic!("{} was told no gateway", kind.name) };
            let login = Login {
                uuid: plug.uuid().into(),
                mac: its.username,
                password: its.password,
                keep_alive_s: its.keep_alive_s,
                level: Level::V31,
            };
            // After the restart that being told causes.
            let mut now_s = 100.0;
            let mut caller = Caller::new(house.address()).await;
            assert_eq!(caller.log_in(&login).await, Heard::ConnAck(0), "{}", kind.name);
            caller.send(&Packet::Subscribe(1, vec![(&its.subscribes, QoS::AtLeastOnce)])).await;
            assert_eq!(caller.hear().await, Heard::SubAck(vec![0]));
            plug.mqtt_connected(now_s);
            let mut said = Vec::new();
            for deed in plug.mqtt_due(now_s) {
                let Deed::Publish(topic, payload) = deed else { panic!("{deed:?}") };
                caller.publish(&topic, &payload, 7).await;
                assert_eq!(caller.hear().await, Heard::PubAck(7));
                let message = house.heard().await;
                assert_eq!((message.uuid.as_str(), &message.topic), (plug.uuid(), &topic));
                assert_eq!(message.payload, payload);
                said.push(serde_json::from_slice::<Value>(&payload).unwrap()["header"]["namespace"].clone());
            }
            let first = if kind.ability.contains(&"System.Clock") { "System.Clock" } else { "Control.Bind" };
            assert_eq!(said[0], format!("Appliance.{first}"), "{}", kind.name);

            now_s += 1.0;
            let ask = write("pippo", "GET", "System.All", &json!({}), &now(99));
            house.gateway.publish(&its.subscribes, ask.bytes.clone()).unwrap();
            assert_eq!(caller.hear().await, Heard::Command(its.subscribes.clone(), ask.bytes.clone()));
            for deed in plug.mqtt_hear(now_s, &its.subscribes, &ask.bytes) {
                let Deed::Publish(topic, payload) = deed else { panic!("{deed:?}") };
                caller.publish(&topic, &payload, 8).await;
            }
            let reply = house.heard().await;
            assert_eq!(
                (reply.uuid.as_str(), reply.topic.as_str()),
                (plug.uuid(), "/app/0-plug2mqtt/subscribe")
            );
            let reply: Value = serde_json::from_slice(&reply.payload).unwrap();
            assert_eq!(reply["header"]["method"], "GETACK", "{}", kind.name);
        }
        house.until_plugs(0).await;
    });
}

#[test]
fn a_client_of_mqtt_3_1_1_comes_in_over_tls() {
    run(async {
        let mut house = House::new(Limits::default()).await;
        let login = login(1);
        let client_id = format!("fmware:{}_0123456789abcdef", login.uuid);
        let mut options = MqttOptions::new(client_id, HOST, house.address().port());
        options.set_credentials(&login.mac, &login.password);
        options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(Arc::new(tls()))));
        let (client, mut events) = AsyncClient::new(options, 10);
        let (subscribe, publish) = (command_topic(&login), own_topic(&login));
        client.subscribe(&subscribe, rumqttc::QoS::AtLeastOnce).await.unwrap();
        client.publish(&publish, rumqttc::QoS::AtLeastOnce, false, "{}").await.unwrap();
        let mut acknowledged = false;
        loop {
            match soon(events.poll()).await.unwrap() {
                Event::Incoming(Incoming::PubAck(_)) => {
                    acknowledged = true;
                    house.gateway.publish(&subscribe, b"do it".to_vec()).unwrap();
                }
                Event::Incoming(Incoming::Publish(command)) => {
                    assert_eq!((command.topic, command.payload.as_ref()), (subscribe, &b"do it"[..]));
                    break;
                }
                Event::Incoming(_) | Event::Outgoing(_) => {}
            }
        }
        assert!(acknowledged);
        assert_eq!((house.heard().await.topic, house.gateway.plugs()[0].level), (publish, Level::V311));
    });
}

/// Logs in by OpenSSL, with these options; gives what comes back.
async fn by_openssl(gateway: SocketAddr, options: &'static [&'static str], login: Login) -> Vec<u8> {
    let call = move || {
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-quiet", "-connect", &gateway.to_string()]).args(options);
        openssl.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = openssl.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // It may have given up already.
        let _ = stdin.write_all(&[connect(&login), vec![0xe0, 0]].concat());
        let mut answer = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut answer).unwrap();
        drop(stdin);
        child.wait().unwrap();
        answer
    };
    soon(tokio::task::spawn_blocking(call)).await.unwrap()
}

#[test]
fn openssl_agrees_on_what_the_documentation_names_and_on_nothing_older() {
    run(async {
        let house = House::new(Limits::default()).await;
        let works: [&[&str]; 5] = [
            &["-tls1_3"],
            &["-tls1_2"],
            &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"],
            &["-tls1_2", "-cipher", "ECDHE-RSA-AES256-GCM-SHA384"],
            &["-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"],
        ];
        for options in works {
            let answer = by_openssl(house.address(), options, login(1)).await;
            assert_eq!(answer, [0x20, 2, 0, 0], "{options:?}");
        }
        let fails: [&[&str]; 4] = [
            &["-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0"],
            &["-tls1_2", "-cipher", "AES128-GCM-SHA256"],
            &["-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA"],
            &["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"],
        ];
        for options in fails {
            let answer = by_openssl(house.address(), options, login(1)).await;
            assert!(answer.is_empty(), "{options:?}: {answer:?}");
        }
        house.until(|figures| figures.strangers_lost == 4).await;
    });
}

#[test]
fn who_has_no_key_or_no_name_of_its_own_is_refused() {
    run(async {
        let own = (login(3).mac, SecretString::from("secret"));
        let keys = Keys::new([SecretString::from("pippo")], [own]);
        let house = House::with_keys(Limits::default(), keys).await;
        let (one, two) = (login(1), login(2));
        let wrong = Login { password: two.password.clone(), ..one.clone() };
        let as_other = Login { uuid: two.uuid.clone(), ..one.clone() };
        let no_plug = Login { uuid: "x".into(), ..one.clone() };
        for (login, code) in [(wrong, 5), (as_other, 5), (login(3), 5), (no_plug, 2)] {
            let mut caller = Caller::new(house.address()).await;
            assert_eq!(caller.log_in(&login).await, Heard::ConnAck(code), "{login:?}");
            assert_eq!(caller.hear().await, Heard::Closed);
        }
        let newer = b"\x10\x0d\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x00";
        let mut caller = Caller::new(house.address()).await;
        caller.write(newer).await;
        assert_eq!((caller.hear().await, caller.hear().await), (Heard::ConnAck(1), Heard::Closed));
        let figures = house.gateway.figures();
        assert_eq!((figures.refused, figures.logins, house.gateway.plugs().len()), (4, 0, 0));
    });
}

#[test]
fn what_a_plug_says_in_anothers_name_reaches_nobody() {
    run(async {
        let mut house = House::new(Limits::default()).await;
        let (one, two) = (login(1), login(2));
        let mut caller = Caller::plug(house.address(), &one).await;
        let _other = Caller::plug(house.address(), &two).await;
        for topic in [own_topic(&two), command_topic(&two), "plug2mqtt/1/set".into()] {
            caller.publish(&topic, b"forged", 9).await;
            assert_eq!(caller.hear().await, Heard::PubAck(9), "{topic}");
        }
        caller.publish(&own_topic(&one), b"own", 9).await;
        assert_eq!(house.heard().await.payload, b"own");
        assert_eq!(house.gateway.figures().ignored, 3);
    });
}

#[test]
fn who_sends_nothing_or_nonsense_is_shown_out_and_keeps_no_plug_out() {
    run(async {
        let limits = Limits { login_within: Duration::from_millis(700), ..Limits::default() };
        let house = House::new(limits).await;
        let mut silent = TcpStream::connect(house.address()).await.unwrap();
        let mut after_tls = Caller::new(house.address()).await;
        let mut half = Caller::new(house.address()).await;
        half.write(&connect(&login(1))[..20]).await;
        let mut plain = TcpStream::connect(house.address()).await.unwrap();
        plain.write_all(&connect(&login(1))).await.unwrap();
        let mut web = TcpStream::connect(house.address()).await.unwrap();
        web.write_all(b"GET / HTTP/1.1\r\nHost: plugs.lan\r\n\r\n").await.unwrap();
        let started = Instant::now();
        let _plug = Caller::plug(house.address(), &login(2)).await;
        for stream in [&mut plain, &mut web, &mut silent] {
            let mut rest = Vec::new();
            let _ = soon(stream.read_to_end(&mut rest)).await;
            assert!(rest.len() < 100, "{rest:?}");
        }
        assert_eq!((soon(half.hear()).await, soon(after_tls.hear()).await), (Heard::Closed, Heard::Closed));
        assert!(started.elapsed() < Duration::from_secs(5));
        house.until(|figures| figures.strangers_lost == 5).await;
        assert_eq!(house.gateway.plugs().len(), 1);
    });
}

#[test]
fn packets_cut_at_every_byte_are_put_together_or_forgotten() {
    run(async {
        let mut house = House::new(Limits::default()).await;
        let one = login(1);
        let bytes = [connect(&one), message(&own_topic(&one), b"{\"whole\":1}", 5)].concat();
        // Byte by byte.
        let mut caller = Caller::new(house.address()).await;
        for byte in &bytes {
            caller.write(&[*byte]).await;
        }
        assert_eq!((caller.hear().await, caller.hear().await), (Heard::ConnAck(0), Heard::PubAck(5)));
        assert_eq!(house.heard().await.payload, b"{\"whole\":1}");
        // All at once.
        caller = Caller::new(house.address()).await;
        caller.write(&bytes).await;
        assert_eq!((caller.hear().await, caller.hear().await), (Heard::ConnAck(0), Heard::PubAck(5)));
        house.heard().await;
        drop(caller);
        // And then nothing more.
        let ends = connect(&one).len();
        for cut in 0..bytes.len() {
            let mut caller = Caller::new(house.address()).await;
            caller.write(&bytes[..cut]).await;
            if cut >= ends {
                assert_eq!(caller.hear().await, Heard::ConnAck(0));
            }
        }
        house.until_plugs(0).await;
        assert!(house.inbox.try_recv().is_err());
    });
}

#[test]
fn a_plug_that_comes_again_takes_its_place_and_keeps_it() {
    run(async {
        let house = House::new(Limits::default()).await;
        let one = login(1);
        let mut first = Caller::plug(house.address(), &one).await;
        let shouting = Login { uuid: one.uuid.to_uppercase(), ..one.clone() };
        let mut second = Caller::plug(house.address(), &shouting).await;
        assert_eq!(soon(first.hear()).await, Heard::Closed);
        drop(first);
        house.gateway.publish(&command_topic(&one), b"do it".to_vec()).unwrap();
        assert_eq!(second.hear().await, Heard::Command(command_topic(&shouting), b"do it".to_vec()));
        let plugs = house.gateway.plugs();
        assert_eq!((plugs.len(), plugs[0].mac.as_str(), plugs[0].subscribed), (1, one.mac.as_str(), true));
        drop(second);
        house.until_plugs(0).await;
        let away = house.gateway.publish(&command_topic(&one), b"do it".to_vec());
        assert_eq!(away, Err(Undelivered::Away));
    });
}

#[test]
fn commands_go_to_plugs_that_take_them_and_nowhere_else() {
    run(async {
        let house = House::new(Limits::default()).await;
        let one = login(1);
        let mut caller = Caller::new(house.address()).await;
        assert_eq!(caller.log_in(&one).await, Heard::ConnAck(0));
        let topic = command_topic(&one);
        let publish = |topic: &str, bytes: usize| house.gateway.publish(topic, vec![b' '; bytes]);
        assert_eq!(publish(&topic, 1), Err(Undelivered::Deaf));
        caller.subscribe(&one).await;
        assert_eq!(publish(&topic, LARGEST + 1), Err(Undelivered::TooLarge));
        assert_eq!(publish(&own_topic(&one), 1), Err(Undelivered::Topic));
        assert_eq!(publish(&command_topic(&login(2)), 1), Err(Undelivered::Away));
        publish(&topic, 3).unwrap();
        assert_eq!(caller.hear().await, Heard::Command(topic.clone(), b"   ".to_vec()));
        caller.send(&Packet::Unsubscribe(3, vec![&topic])).await;
        house.until(|_| !house.gateway.plugs()[0].subscribed).await;
        assert_eq!(publish(&topic, 1), Err(Undelivered::Deaf));
    });
}

#[test]
fn a_plug_that_does_not_read_is_cut_off_and_holds_up_no_other() {
    run(async {
        let limits = Limits { write_within: Duration::from_millis(300), ..Limits::default() };
        let house = House::new(limits).await;
        let (slow, quick) = (login(1), login(2));
        let _slow = Caller::plug(house.address(), &slow).await;
        let mut caller = Caller::plug(house.address(), &quick).await;
        let mut sent = 0;
        // More than all buffers between the two take.
        while house.gateway.publish(&command_topic(&slow), vec![b' '; LARGEST]) != Err(Undelivered::Away) {
            sent += 1;
            assert!(sent < 5000, "{:?}", house.gateway.plugs());
            if sent % 8 == 0 {
                house.gateway.publish(&command_topic(&quick), b"quick".to_vec()).unwrap();
                assert_eq!(
                    soon(caller.hear()).await,
                    Heard::Command(command_topic(&quick), b"quick".to_vec())
                );
            }
        }
        house.until_plugs(1).await;
        assert_eq!(house.gateway.plugs()[0].mac, quick.mac);
    });
}

#[test]
fn a_flood_is_read_at_its_pace_and_holds_up_no_other() {
    run(async {
        let mut house = House::new(Limits::default()).await;
        let (loud, quiet) = (login(1), login(2));
        let mut shouting = Caller::plug(house.address(), &loud).await;
        let mut caller = Caller::plug(house.address(), &quiet).await;
        let started = Instant::now();
        for id in 1..=80 {
            shouting.publish(&own_topic(&loud), b"!", id).await;
        }
        caller.publish(&own_topic(&quiet), b"?", 1).await;
        let mut heard = 0;
        while soon(house.heard()).await.payload != b"?" {
            heard += 1;
        }
        assert!(heard < 70, "{heard} before the other");
        while heard < 80 {
            assert_eq!(house.heard().await.payload, b"!");
            heard += 1;
        }
        assert!(started.elapsed() > Duration::from_secs(1), "{:?}", started.elapsed());
        // Commands reach it all the while.
        house.gateway.publish(&command_topic(&loud), b"do it".to_vec()).unwrap();
        while !matches!(soon(shouting.hear()).await, Heard::Command(..)) {}
    });
}

#[test]
fn a_plug_that_falls_silent_is_left_after_one_and_a_half_times_its_promise() {
    run(async {
        let house = House::new(Limits::default()).await;
        let one = Login { keep_alive_s: 1, level: Level::V311, ..login(1) };
        let mut caller = Caller::plug(house.address(), &one).await;
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(2000) {
            sleep(Duration::from_millis(500)).await;
            caller.send(&Packet::PingReq).await;
            assert_eq!(caller.hear().await, Heard::Pong);
        }
        let silent = Instant::now();
        assert_eq!(soon(caller.hear()).await, Heard::Closed);
        assert!(silent.elapsed() > Duration::from_millis(1400), "{:?}", silent.elapsed());
        house.until_plugs(0).await;
    });
}

#[test]
fn what_breaks_the_protocol_ends_the_connection() {
    run(async {
        let house = House::new(Limits::default()).await;
        let one = login(1);
        let large = message(&own_topic(&one), &vec![b' '; LARGEST], 1);
        let twice = b"\x34\x07\x00\x03/a/\x00\x01".to_vec();
        for bytes in
            [large, twice, connect(&one), vec![0, 0], vec![0x30, 0xff, 0xff, 0xff, 0xff], vec![0xe0, 0]]
        {
            let mut caller = Caller::plug(house.address(), &one).await;
            caller.write(&bytes).await;
            assert_eq!(soon(caller.hear()).await, Heard::Closed, "{:?}", &bytes[..bytes.len().min(8)]);
            house.until_plugs(0).await;
        }
    });
}

#[test]
fn there_is_an_end_to_plugs_in_all_and_from_one_address() {
    run(async {
        let limits = Limits { plugs: 3, plugs_each: 2, ..Limits::default() };
        let house = House::new(limits).await;
        let mut inside = Vec::new();
        for (number, ip, code) in [(1, 1, 0), (2, 1, 0), (3, 1, 3), (4, 2, 0), (5, 3, 3), (1, 1, 0)] {
            let mut caller = Caller::from([127, 0, 0, ip], house.address()).await;
            assert_eq!(caller.log_in(&login(number)).await, Heard::ConnAck(code), "{number} from {ip}");
            inside.push(caller);
        }
        assert_eq!((house.gateway.plugs().len(), house.gateway.figures().turned_away), (3, 2));
    });
}

#[test]
fn ten_thousand_connections_keep_neither_plugs_nor_a_new_one_out() {
    run(async {
        let house = House::new(Limits::default()).await;
        let one = login(1);
        let mut inside = Caller::plug(house.address(), &one).await;
        let mut held = Vec::new();
        for number in 0..10_000 {
            let stranger = soon(TcpStream::connect(house.address())).await.unwrap();
            if held.len() < 100 {
                held.push(stranger);
            }
            if number % 1000 == 0 {
                inside.send(&Packet::PingReq).await;
                assert_eq!(soon(inside.hear()).await, Heard::Pong);
            }
        }
        house.until(|figures| figures.connections == 10_001).await;
        // Of those that are held, most were closed at once.
        let figures = house.gateway.figures();
        assert!(figures.turned_away >= 84, "{figures:?}");
        let mut another = Caller::from([127, 0, 0, 2], house.address()).await;
        assert_eq!(soon(another.log_in(&login(2))).await, Heard::ConnAck(0));
        assert_eq!(house.gateway.plugs().len(), 2);
    });
}

#[test]
fn stopping_closes_everything_and_gives_the_port_back() {
    run(async {
        let House { gateway, mut inbox } = House::new(Limits::default()).await;
        let address = gateway.address();
        let mut plug = Caller::plug(address, &login(1)).await;
        let mut stranger = Caller::new(address).await;
        soon(gateway.stop()).await;
        assert_eq!((soon(plug.hear()).await, soon(stranger.hear()).await), (Heard::Closed, Heard::Closed));
        assert!(soon(inbox.recv()).await.is_none(), "nobody is left to say anything");
        let (said, _inbox) = mpsc::channel(1);
        let start = || {
            let (keys, limits) = (Keys::default(), Limits::default());
            let settings = gateway::Settings { listen: address, host: HOST, keys, folder: folder(), limits };
            gateway::start(settings, NOW, said.clone())
        };
        let again = start().await.unwrap();
        assert_eq!(again.address(), address);
        let taken = start().await.unwrap_err().to_string();
        assert!(taken.contains("gateway.listen") && taken.contains(&address.to_string()), "{taken}");
        // One that is given back meanwhile is waited for.
        let (third, ()) = tokio::join!(start(), async {
            sleep(Duration::from_millis(200)).await;
            drop(again);
        });
        assert_eq!(third.unwrap().address(), address);
    });
}
