//! Datagrams as networks and bad plugs deliver them: only the plug's own answer to the question in
//! hand counts, whatever else arrives, in whatever order and number.

use crate::support::{TestBridge, addresses, on, quiet, run, strip, watts};
use plug2mqtt::sim::Strip;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

/// The timeout with one plug in these tests.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How a question for the status is answered; discovery is always answered well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Well,
    /// With lies from another port and another address first.
    AfterLiesOfOthers,
    /// With nothing, noise, halves and answers of and to others first.
    AfterNoise,
    /// Only when asked again.
    SecondTime,
    Twice,
    /// With far more behind it than is read.
    Padded,
    // From here on it is no answer.
    Never,
    /// When nobody waits any more.
    Late,
    Empty,
    Half,
    /// With far more before it than is read.
    Buried,
    OthersSerial,
    OtherCommand,
    NoData,
    Denied,
    /// Nothing but lies of others.
    Lies,
    /// Thousands of datagrams without sense.
    Flood,
}

const READ: &[Way] =
    &[Way::AfterLiesOfOthers, Way::AfterNoise, Way::SecondTime, Way::Twice, Way::Padded, Way::Well];

const REFUSED: &[Way] = &[
    Way::Never,
    Way::Late,
    Way::Empty,
    Way::Half,
    Way::Buried,
    Way::OthersSerial,
    Way::OtherCommand,
    Way::NoData,
    Way::Denied,
    Way::Lies,
    Way::Flood,
];

/// A strip with firmware 5.11 behind a socket that does with its answers as it is told.
struct Plug {
    desk: Arc<Mutex<(Strip, Way)>>,
    ear: JoinHandle<()>,
}

impl Plug {
    async fn start(ip: Ipv4Addr, port: u16, number: usize) -> Self {
        let strip = Strip::strip_5_11(&serial(number)).mac(&format!("02:00:00:00:08:{number:02x}"));
        let desk = Arc::new(Mutex::new((quiet(strip), Way::Well)));
        let socket = UdpSocket::bind((ip, port)).await.unwrap();
        let ear = tokio::spawn(listen(socket, Arc::clone(&desk)));
        Self { desk, ear }
    }

    fn set(&self, way: Way, load: u32) {
        let mut desk = self.desk.lock().unwrap();
        desk.0.plug_in(1, watts(load));
        desk.1 = way;
    }
}

fn serial(number: usize) -> String {
    format!("SWP60000000008{number:02}")
}

fn id(number: usize) -> String {
    format!("maxsmart-{}", serial(number).to_lowercase())
}

async fn listen(socket: UdpSocket, desk: Arc<Mutex<(Strip, Way)>>) {
    let socket = Arc::new(socket);
    let mut buffer = [0; 2048];
    let mut before = None;
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let question = buffer[..length].to_vec();
        let (right, lie, way) = {
            let (strip, way) = &mut *desk.lock().unwrap();
            let right = strip.datagram(1.0, &question).concat();
            let mut other = strip.clone();
            other.plug_in(1, watts(99));
            (right, other.datagram(1.0, &question).concat(), *way)
        };
        // A question comes from a port of its own; it is asked again from the same.
        let again = before.replace(from) == Some(from);
        if question.starts_with(b"V3") {
            tokio::spawn(answer(Arc::clone(&socket), from, way, again, right, lie));
        } else if !right.is_empty() {
            let _ = socket.send_to(&right, from).await;
        }
    }
}

async fn answer(socket: Arc<UdpSocket>, to: SocketAddr, way: Way, again: bool, right: Vec<u8>, lie: Vec<u8>) {
    let own = socket.local_addr().unwrap();
    let say = |bytes: Vec<u8>| {
        let socket = Arc::clone(&socket);
        async move { drop(socket.send_to(&bytes, to).await) }
    };
    let text = String::from_utf8(lie.clone()).unwrap();
    let serial_of_another = text.replacen("\"code\"", "\"sn\":\"SWP6000000000777\",\"code\"", 1).into_bytes();
    let to_another = text.replace("\"response\":90", "\"response\":20").into_bytes();
    assert!(serial_of_another != lie && to_another != lie, "the answer has changed: {text}");
    match way {
        Way::Well => say(right).await,
        Way::AfterLiesOfOthers | Way::Lies => {
            for ip in [own.ip(), Ipv4Addr::new(127, 0, 0, 1).into()] {
                let other = UdpSocket::bind((ip, 0)).await.unwrap();
                let _ = other.send_to(&lie, to).await;
            }
            if way == Way::AfterLiesOfOthers {
                say(right).await;
            }
        }
        Way::AfterNoise => {
            let half = lie[..lie.len() / 2].to_vec();
            for noise in [vec![], vec![0xff; 100], half, b"{}".to_vec(), to_another, serial_of_another] {
                say(noise).await;
            }
            say(right).await;
        }
        Way::SecondTime if !again => {}
        Way::SecondTime => say(right).await,
        Way::Twice => {
            say(right.clone()).await;
            say(right).await;
        }
        Way::Padded => say([right, vec![b' '; 40_000]].concat()).await,
        Way::Never => {}
        Way::Late => {
            tokio::time::sleep(TIMEOUT + Duration::from_millis(100)).await;
            say(lie).await;
        }
        Way::Empty => say(vec![]).await,
        Way::Half => say(lie[..lie.len() / 2].to_vec()).await,
        Way::Buried => say([vec![b' '; 40_000], lie].concat()).await,
        Way::OthersSerial => say(serial_of_another).await,
        Way::OtherCommand => say(to_another).await,
        Way::NoData => say(br#"V3{"response":90,"code":200}"#.to_vec()).await,
        Way::Denied => say(text.replace("\"code\":200", "\"code\":400").into_bytes()).await,
        Way::Flood => {
            for _ in 0..2000 {
                say(vec![b'{'; 1400]).await;
            }
        }
    }
}

/// A house with this many strips behind such sockets, all known and read once.
async fn plugs(count: usize) -> (TestBridge, Vec<Plug>) {
    let mut house = TestBridge::new(vec![strip()]).await;
    let port = house.shelf.ports().0;
    let (mut hosts, mut plugs) = (Vec::new(), Vec::new());
    for (number, ip) in addresses(count).into_iter().enumerate() {
        hosts.push(ip.to_string());
        plugs.push(Plug::start(ip, port, number).await);
    }
    house.start(&[("maxsmart.hosts", &hosts.join(",")), ("maxsmart.timeout", "1s")], "").await;
    for number in 0..count {
        house.shows(&format!("{}/1/power", id(number)), "10").await;
    }
    (house, plugs)
}

#[test]
fn the_right_answer_is_found_among_others() {
    run(async {
        let (house, plugs) = plugs(READ.len()).await;
        let mark = house.mark();
        for (load, (plug, way)) in (20..).zip(plugs.iter().zip(READ)) {
            plug.set(*way, load);
        }
        for (number, way) in READ.iter().enumerate() {
            eprintln!("{way:?}: {}", id(number));
            house.shows(&format!("{}/1/power", id(number)), &(20 + number).to_string()).await;
            house.shows(&format!("{}/problem", id(number)), "OFF").await;
            let lie = on(&format!("plug2mqtt/{}/1/power", id(number)), "99");
            assert!(!house.since(mark).iter().any(lie), "{way:?}");
        }
        house.close().await;
    });
}

#[test]
fn what_is_no_answer_is_a_problem_and_changes_nothing() {
    run(async {
        let (house, plugs) = plugs(REFUSED.len() + 1).await;
        let (gone, mark) = (REFUSED.len(), house.mark());
        for (plug, way) in plugs.iter().zip(REFUSED) {
            plug.set(*way, 10);
        }
        // Nobody listens there any more, and the network says so.
        plugs[gone].ear.abort();
        for number in 0..=gone {
            let what = format!("{:?}", REFUSED.get(number));
            let topic = |tail: &str| format!("plug2mqtt/{}/{tail}", id(number));
            house.wait_after(mark, &what, on(&topic("problem"), "ON")).await;
            house.wait_after(mark, &what, on(&topic("availability"), "offline")).await;
            let lie = on(&topic("1/power"), "99");
            assert!(!house.since(mark).iter().any(lie), "{what}");
        }
        for (number, plug) in plugs[..gone].iter().enumerate() {
            plug.set(Way::Well, 30);
            house.shows(&format!("{}/1/power", id(number)), "30").await;
            house.shows(&format!("{}/availability", id(number)), "online").await;
        }
        house.close().await;
    });
}
