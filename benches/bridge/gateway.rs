//! What a thousand plugs at the gateway cost in memory: the gateway in a process of its own, plugs by hand in this one. Each logs in, subscribes,
//! says something and is told something, as long as a plug's messages get.

#[path = "../../tests/it/gateway/caller.rs"]
#[expect(dead_code, reason = "the tests want more of it")]
mod caller;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use md5::{Digest as _, Md5};
use plug2mqtt::gateway::codec::Level;
use plug2mqtt::gateway::{self, Keys, Limits};
use plug2mqtt::sinks::mqtt::resident;
use secrecy::SecretString;
use tokio::io::AsyncBufReadExt as _;
use tokio::sync::mpsc;

use caller::{Caller, Heard, Login};

/// Mebibytes that a thousand plugs may take.
pub(crate) const LIMIT: f64 = 25.0;

const PLUGS: u16 = 1000;
const LARGEST: usize = 16 * 1024;
const MESSAGE: [u8; 3000] = [b' '; 3000];

/// The gateway. Tells its address; then, for each line it reads, tells all plugs something and how many they are.
pub(crate) fn serve() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let (said, mut inbox) = mpsc::channel(gateway::INBOX);
        let settings = gateway::Settings {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            host: "127.0.0.1",
            keys: Keys::new([SecretString::from("key")], []),
            folder: folder.path(),
            limits: Limits::default(),
        };
        let gateway = gateway::start(settings, 1_795_219_200, said).await?;
        tokio::spawn(async move { while inbox.recv().await.is_some() {} });
        println!("{}", gateway.address());
        let mut lines = tokio::io::BufReader::new(tokio::io::stdin()).lines();
        while lines.next_line().await?.is_some() {
            let plugs = gateway.plugs();
            for plug in &plugs {
                let topic = format!("/appliance/{}/subscribe", plug.uuid.as_str());
                gateway.publish(&topic, MESSAGE.into())?;
            }
            println!("{} {}", plugs.len(), resident().context("no /proc")?);
        }
        Ok(())
    })
}

struct Served {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Served {
    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }

    /// Plugs, and bytes that they and everything else take.
    fn figures(&mut self) -> anyhow::Result<(usize, u64)> {
        self.orders.write_all(b"\n")?;
        let line = self.line()?;
        let (plugs, bytes) = line.split_once(' ').context("no figures")?;
        Ok((plugs.parse()?, bytes.parse()?))
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Prints what they take; whether that is within the limit.
pub(crate) fn run(limit: f64) -> anyhow::Result<bool> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("gateway-serve")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let (orders, answers) = child.stdin.take().zip(child.stdout.take()).context("no pipes")?;
    let mut served = Served { child, orders, answers: BufReader::new(answers) };
    let address: SocketAddr = served.line()?.parse()?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let mut first = come(address, 0).await?;
        let (_, before) = served.figures()?;
        ensure!(matches!(first.hear().await, Heard::Command(..)), "nothing is heard");
        let (mut plugs, began) = (vec![first], Instant::now());
        for number in 1..=PLUGS {
            plugs.push(come(address, number).await?);
        }
        let took = began.elapsed();
        let (count, _) = served.figures()?;
        ensure!(count == plugs.len(), "{count} of {} plugs are connected", plugs.len());
        for plug in &mut plugs {
            ensure!(matches!(plug.hear().await, Heard::Command(..)), "nothing is heard");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (_, after) = served.figures()?;
        let mib = after.saturating_sub(before) as f64 / f64::from(1 << 20);
        println!("{PLUGS} plugs at the gateway: {mib:.1} MiB (at most {limit}), connected in {took:.1?}");
        Ok(mib <= limit)
    })
}

async fn come(address: SocketAddr, number: u16) -> anyhow::Result<Caller> {
    let [high, low] = number.to_be_bytes();
    let mac = format!("02:00:00:00:{high:02x}:{low:02x}");
    let hash = Md5::new().chain_update(&mac).chain_update("key").finalize();
    let password = hash.iter().fold(String::from("0_"), |text, byte| text + &format!("{byte:02x}"));
    let uuid = format!("01234567890123456789{}", mac.replace(':', ""));
    let login = Login { uuid, mac, password, keep_alive_s: 120, level: Level::V31 };
    // No more from one address than are let in.
    let mut caller = Caller::from([127, 0, 0, low % 8 + 1], address).await;
    ensure!(caller.log_in(&login).await == Heard::ConnAck(0), "plug {number} is refused");
    caller.subscribe(&login).await;
    caller.publish(&format!("/appliance/{}/publish", login.uuid), &MESSAGE, 7).await;
    ensure!(caller.hear().await == Heard::PubAck(7), "plug {number} is not heard");
    Ok(caller)
}
