//! The programs under test: how each is started, watched and ended.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::time::sleep;

use crate::fleet;

pub(crate) const BASE: &str = "plug2mqtt";

/// A program that bridges strips to MQTT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum Program {
    Plug2mqtt,
    FloorRaw,
    FloorReqwest,
    Python,
}

/// What the floor program is told.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct FloorArgs {
    /// Address of the broker.
    #[arg(long)]
    pub(crate) broker: SocketAddr,
    /// File with a line `address:port id` per strip.
    #[arg(long)]
    pub(crate) fleet: PathBuf,
    #[arg(long, default_value = BASE)]
    pub(crate) base: String,
    #[arg(long, default_value_t = 5000)]
    interval_ms: u64,
    #[arg(long, default_value_t = 5000)]
    timeout_ms: u64,
    /// Raw sockets instead of reqwest.
    #[arg(long)]
    pub(crate) raw: bool,
}

impl FloorArgs {
    pub(crate) fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    pub(crate) plug2mqtt: PathBuf,
    pub(crate) python: PathBuf,
}

/// What a program is to do in one scene.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) strips: usize,
    pub(crate) interval_ms: u64,
    pub(crate) timeout_ms: u64,
    pub(crate) http_port: u16,
    pub(crate) udp_port: u16,
    pub(crate) broker: SocketAddr,
    /// Time between two searches for strips; the bridge's own default if not given.
    pub(crate) search_ms: Option<u64>,
    /// Settings, state and standard error go here.
    pub(crate) directory: PathBuf,
}

/// A child process that is killed when dropped.
pub(crate) struct Running {
    child: Child,
    stderr: PathBuf,
}

/// The plug id of strip `index`.
pub(crate) fn plug_id(index: usize) -> String {
    format!("maxsmart-{}", fleet::serial(index).to_lowercase())
}

/// A port that is free on every loopback address, for TCP and UDP, below the range the kernel hands out.
pub(crate) fn free_port() -> anyhow::Result<u16> {
    for _ in 0..200 {
        let port = fastrand::u16(20_000..32_000);
        let tcp = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
        let udp = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port));
        if tcp.is_ok() && udp.is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between 20000 and 32000")
}

/// A command that dies with the harness where `setpriv` is at hand, and may open as many files as allowed.
pub(crate) fn tethered(program: &Path) -> Command {
    let limit = r#"ulimit -n "$(ulimit -Hn)" 2>/dev/null; command -v setpriv >/dev/null && exec setpriv --pdeathsig KILL -- "$@"; exec "$@""#;
    let mut command = Command::new("sh");
    command.args(["-c", limit, "sh"]).arg(program).stdin(Stdio::null());
    command
}

/// This very binary.
pub(crate) fn own_binary() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("the path of the benchmark itself")
}

impl Program {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plug2mqtt => "plug2mqtt",
            Self::FloorRaw => "floor raw sockets",
            Self::FloorReqwest => "floor reqwest",
            Self::Python => "maxsmart + paho",
        }
    }

    /// Starts the program, behind `wrapper` (for example a profiler) if there is one.
    pub(crate) fn start(
        self,
        binaries: &Binaries,
        task: &Task,
        wrapper: &[String],
    ) -> anyhow::Result<Running> {
        let line = self.command_line(binaries, task)?;
        let mut words = wrapper.iter().cloned().chain(line);
        let program = words.next().context("an empty command line")?;
        let stderr = task.directory.join("stderr");
        let child = tethered(Path::new(&program))
            .args(words)
            .env_clear()
            .envs(std::env::vars().filter(|(key, _)| key == "PATH" || key == "HOME"))
            .stdout(Stdio::null())
            .stderr(File::create(&stderr)?)
            .spawn()
            .with_context(|| format!("cannot start {}", self.name()))?;
        Ok(Running { child, stderr })
    }

    fn command_line(self, binaries: &Binaries, task: &Task) -> anyhow::Result<Vec<String>> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        if self == Self::Plug2mqtt {
            let config = write_config(&binaries.plug2mqtt, task)?;
            return Ok(vec![text(&binaries.plug2mqtt), "run".into(), "--config".into(), text(&config)]);
        }
        let fleet = text(&write_fleet(task)?);
        let (broker, interval, timeout) =
            (task.broker.to_string(), task.interval_ms.to_string(), task.timeout_ms.to_string());
        if self == Self::Python {
            let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/maxsmart_paho.py").to_owned();
            return Ok(vec![text(&binaries.python), script, broker, fleet, BASE.into(), interval, timeout]);
        }
        let mut line = vec![text(&own_binary()?), "floor".into()];
        for (flag, value) in
            [("--broker", broker), ("--fleet", fleet), ("--interval-ms", interval), ("--timeout-ms", timeout)]
        {
            line.extend([flag.to_owned(), value]);
        }
        if self == Self::FloorRaw {
            line.push("--raw".into());
        }
        Ok(line)
    }
}

fn write_fleet(task: &Task) -> anyhow::Result<PathBuf> {
    let mut text = String::new();
    for index in 0..task.strips {
        writeln!(text, "{}:{} {}", fleet::address(index), task.http_port, plug_id(index))?;
    }
    let path = task.directory.join("fleet");
    fs::write(&path, text)?;
    Ok(path)
}

/// Sections that a build may or may not know; written only if it does.
const OPTIONAL: [(&str, &str); 3] =
    [("meross", "enabled = false"), ("inplug", "enabled = false"), ("web", "listen = \"127.0.0.1:{web}\"")];
/// The bridge takes no longer list; larger fleets are found by broadcast.
const MAX_HOSTS: usize = 256;

fn write_config(binary: &Path, task: &Task) -> anyhow::Result<PathBuf> {
    let listed = if task.strips <= MAX_HOSTS { task.strips } else { 0 };
    let hosts: Vec<_> = (0..listed).map(|index| format!("\"{}\"", fleet::address(index))).collect();
    let state = task.directory.join("state");
    fs::create_dir_all(&state)?;
    let mut text = format!(
        r#"[mqtt]
url = "mqtt://{broker}"
base_topic = "{BASE}"
[home_assistant]
discovery = "off"
[maxsmart]
broadcast = ["127.255.255.255"]
hosts = [{hosts}]
udp_port = {udp}
http_port = {http}
poll_interval = "{interval}ms"
timeout = "{timeout}ms"
[state]
directory = "{state}"
[log]
level = "warn"
"#,
        broker = task.broker,
        hosts = hosts.join(", "),
        udp = task.udp_port,
        http = task.http_port,
        interval = task.interval_ms,
        timeout = task.timeout_ms,
        state = state.display(),
    );
    if let Some(search_ms) = task.search_ms {
        writeln!(text, "[discovery]\ninterval = \"{search_ms}ms\"")?;
    }
    let known = schema(binary);
    for (section, line) in OPTIONAL {
        if known["properties"].get(section).is_some() {
            writeln!(text, "[{section}]\n{}", line.replace("{web}", &free_port()?.to_string()))?;
        }
    }
    let path = task.directory.join("plug2mqtt.toml");
    fs::write(&path, text)?;
    Ok(path)
}

/// The schema of the bridge's settings; null if it does not tell.
fn schema(binary: &Path) -> serde_json::Value {
    let output =
        Command::new(binary).args(["config", "schema"]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    output.ok().and_then(|output| serde_json::from_slice(&output.stdout).ok()).unwrap_or_default()
}

impl Running {
    pub(crate) fn new(child: Child, stderr: PathBuf) -> Self {
        Self { child, stderr }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// An error with the end of its standard error if the program is gone.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("the program ended with {status}: {}", self.last_words());
        }
        Ok(())
    }

    pub(crate) fn last_words(&self) -> String {
        let text = fs::read_to_string(&self.stderr).unwrap_or_default();
        let skip = text.chars().count().saturating_sub(2000);
        text.chars().skip(skip).collect()
    }

    /// Asks the program to end, kills it after `timeout`. Whether it ended by itself.
    pub(crate) async fn stop(mut self, timeout: Duration) -> bool {
        signal("TERM", deepest_child(self.pid()));
        let deadline = Instant::now() + timeout;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            sleep(Duration::from_millis(5)).await;
        }
        false
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A profiler may run the program as its child; the signal is for the program.
fn deepest_child(pid: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    match children.split_whitespace().next().and_then(|child| child.parse().ok()) {
        Some(child) => deepest_child(child),
        None => pid,
    }
}

fn signal(name: &str, pid: u32) {
    let _ = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status();
}
