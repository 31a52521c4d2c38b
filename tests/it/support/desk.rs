//! Somebody at the command line, in a house.

use super::{TestBridge, spawned};
use plug2mqtt::sim::Strip;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The program beside a shelf of plugs.
pub(crate) struct CliHarness {
    pub(crate) house: TestBridge,
    file: PathBuf,
}

/// A lock on port 6 of the usual strip, and of another one with its serial, whichever is found first.
pub(crate) const LOCK: &str = "[device.maxsmart-swp6000000000001.port.6]\nlock = \"on\"\n\
     [device.maxsmart-swp6000000000001-000001.port.6]\nlock = \"on\"\n\
     [device.maxsmart-swp6000000000001-000009.port.6]\nlock = \"on\"";

impl CliHarness {
    pub(crate) async fn new(plugs: Vec<Strip>) -> Self {
        Self::beside(TestBridge::new(plugs).await)
    }

    pub(crate) fn beside(house: TestBridge) -> Self {
        let file = house.settings_file("");
        Self { house, file }
    }

    /// The address of a plug.
    pub(crate) fn at(&self, place: usize) -> String {
        self.house.plug(place).ip().to_string()
    }

    /// Runs a command for a plug: exit code, standard output, standard error.
    pub(crate) async fn run(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_plug2mqtt"));
        command.args(words).arg("-c").arg(&self.file).args(["-s", "maxsmart.timeout=5s"]);
        command.current_dir(self.house.folder()).env_clear().env("TZ", "UTC").stdin(Stdio::null());
        let child = spawned(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let output = tokio::task::spawn_blocking(move || child.wait_with_output()).await.unwrap().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// A command that goes well.
    pub(crate) async fn ok(&self, words: &[&str]) -> String {
        let (code, out, err) = self.run(words).await;
        assert_eq!((code, err.as_str()), (Some(0), ""), "{words:?}: {out}");
        out
    }

    /// The same, in JSON.
    pub(crate) async fn json(&self, words: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[words, &["--json"]].concat()).await).unwrap()
    }

    /// A command that fails, with a sentence that says so.
    pub(crate) async fn fails(&self, words: &[&str], parts: &[&str]) {
        self.ends(1, words, parts).await;
    }

    /// A command that cannot be meant, with a sentence that says so.
    pub(crate) async fn misused(&self, words: &[&str], parts: &[&str]) {
        self.ends(2, words, parts).await;
    }

    async fn ends(&self, wanted: i32, words: &[&str], parts: &[&str]) {
        let (code, out, err) = self.run(words).await;
        assert_eq!(code, Some(wanted), "{words:?}: {out}{err}");
        for part in parts {
            assert!(err.contains(part), "{words:?}: {part} is missing: {err}");
        }
    }
}
