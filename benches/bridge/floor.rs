//! The floor: a bridge that does the least possible with the same crates, and the measure for the real one.
//!
//! One task with its own timer per strip, phases spread over the interval. Polls, publishes state and power retained when they moved, obeys
//! `<base>/<id>/<port>/set` with a relay command and a read-back. No discovery, availability, energy, back-off or bounds.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, EventLoop, MqttOptions, NetworkOptions, Packet, Publish, QoS};
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};

use crate::program::FloorArgs;

#[derive(Deserialize)]
struct Answer {
    data: Status,
}

#[derive(Deserialize)]
struct Status {
    watt: Vec<String>,
    switch: Vec<u8>,
}

struct Wish {
    port: usize,
    on: bool,
}

struct Floor {
    args: FloorArgs,
    http: Option<reqwest::Client>,
    mqtt: AsyncClient,
}

struct Strip {
    address: SocketAddr,
    id: String,
    told: HashMap<usize, (u8, f64)>,
}

/// Runs for ever.
pub(crate) fn run(args: FloorArgs) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve(args))
}

async fn serve(args: FloorArgs) -> anyhow::Result<()> {
    let mut options = MqttOptions::new("floor", args.broker.ip().to_string(), args.broker.port());
    options.set_keep_alive(Duration::from_secs(20));
    let (mqtt, mut events) = AsyncClient::new(options, 1024);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    events.set_network_options(network);

    let http = if args.raw { None } else { Some(client(args.timeout())?) };
    let fleet = std::fs::read_to_string(&args.fleet)?;
    let floor = Rc::new(Floor { args, http, mqtt });
    let mut wishes = HashMap::new();
    let strips: Vec<_> = fleet.lines().filter_map(|line| line.split_once(' ')).collect();
    for (index, (address, id)) in (0_u32..).zip(&strips) {
        let (sender, receiver) = mpsc::channel(16);
        wishes.insert((*id).to_owned(), sender);
        let strip = Strip { address: address.parse()?, id: (*id).to_owned(), told: HashMap::new() };
        let phase = floor.args.interval() * index / u32::try_from(strips.len())?;
        spawn_local(strip.live(floor.clone(), phase, receiver));
    }
    listen(&floor, &mut events, &wishes).await
}

fn client(limit: Duration) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).http1_only().timeout(limit).build()
}

async fn listen(
    floor: &Floor,
    events: &mut EventLoop,
    wishes: &HashMap<String, mpsc::Sender<Wish>>,
) -> anyhow::Result<()> {
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                floor.mqtt.try_subscribe(format!("{}/+/+/set", floor.args.base), QoS::AtLeastOnce)?;
            }
            Ok(Event::Incoming(Packet::Publish(publish))) => hand_over(&publish, wishes),
            Ok(_) => {}
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

fn hand_over(publish: &Publish, wishes: &HashMap<String, mpsc::Sender<Wish>>) {
    let mut levels = publish.topic.rsplit('/').skip(1);
    if let (Some(port), Some(id)) = (levels.next(), levels.next())
        && let (Ok(port), Some(sender)) = (port.parse(), wishes.get(id))
    {
        let _ = sender.try_send(Wish { port, on: publish.payload.as_ref() == b"ON" });
    }
}

impl Strip {
    async fn live(mut self, floor: Rc<Floor>, phase: Duration, mut wishes: mpsc::Receiver<Wish>) {
        let mut ticks = interval_at(Instant::now() + phase, floor.args.interval());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(wish) = wishes.recv() => {
                    let path = format!("/?cmd=200&json=%7B%22port%22:{},%22state%22:{}%7D", wish.port, u8::from(wish.on));
                    let _ = floor.get(self.address, &path).await;
                }
                _ = ticks.tick() => {}
            }
            if let Ok(body) = floor.get(self.address, "/?cmd=511").await
                && let Ok(answer) = serde_json::from_slice::<Answer>(&body)
            {
                self.tell(&floor, &answer.data).await;
            }
        }
    }

    async fn tell(&mut self, floor: &Floor, status: &Status) {
        for (port, (on, watt)) in (1..).zip(status.switch.iter().zip(&status.watt)) {
            let watt: f64 = watt.parse().unwrap_or(0.0);
            let told = self.told.get(&port).copied();
            let switched = told.is_none_or(|(old, _)| old != *on);
            let moved = told.is_none_or(|(_, old)| (old - watt).abs() > 1.0);
            if switched {
                floor.publish(&self.id, port, "state", if *on == 1 { "ON" } else { "OFF" }).await;
            }
            if switched || moved {
                floor.publish(&self.id, port, "power", &watt.to_string()).await;
                self.told.insert(port, (*on, watt));
            }
        }
    }
}

impl Floor {
    async fn publish(&self, id: &str, port: usize, leaf: &str, payload: &str) {
        let topic = format!("{}/{id}/{port}/{leaf}", self.args.base);
        let _ = self.mqtt.publish(topic, QoS::AtLeastOnce, true, payload).await;
    }

    async fn get(&self, address: SocketAddr, path: &str) -> anyhow::Result<Vec<u8>> {
        let Some(http) = &self.http else {
            return timeout(self.args.timeout(), raw_get(address, path)).await?;
        };
        let request = http.get(format!("http://{address}{path}")).header("connection", "close");
        Ok(request.send().await?.bytes().await?.to_vec())
    }
}

async fn raw_get(address: SocketAddr, path: &str) -> anyhow::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut reply = Vec::with_capacity(1024);
    while stream.read_buf(&mut reply).await? > 0 {}
    let head = reply.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(0) + 4;
    Ok(reply.split_off(head.min(reply.len())))
}
