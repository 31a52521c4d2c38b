//! Prints the watts of each port of one plug, and again whenever one moved by more than a watt.
//!
//! ```text
//! cargo run --example watch -- 192.168.1.30
//! ```
//!
//! A failed poll is said once and tried again: Wi-Fi plugs miss one now and then. Ctrl-C ends it.
#![expect(clippy::print_stdout, reason = "a program that prints what it sees")]

use anyhow::{Context, anyhow};
use plug2mqtt::io::{http::Http, line::Line};
use plug2mqtt::{bridge, config};
use std::time::Duration;

/// A smaller movement is not worth a line.
const WATT: f64 = 1.0;

/// Real plugs want to be left alone in between; the vendor's app asks this often.
const PAUSE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let word = std::env::args().nth(1).context("usage: watch ADDRESS")?;
    let ip = word.parse().context("an address looks like 192.168.1.30")?;
    let (settings, _) = config::load(None, config::environment(), &[])?;
    let quarry = bridge::quarries(&settings).into_iter().next().context("no family is switched on")?;
    let http = Http::new().map_err(anyhow::Error::msg)?;
    let mut line = Line::to(&http, &quarry, ip).await.map_err(|failure| anyhow!("{ip} {failure}"))?;
    let mut shown: Vec<Option<f64>> = Vec::new();
    let mut well = true;
    let mut beat = tokio::time::interval(PAUSE);
    loop {
        beat.tick().await;
        match line.read().await {
            Ok(reading) => {
                well = true;
                shown.resize(reading.ports.len(), None);
                for ((number, port), shown) in (1..).zip(&reading.ports).zip(&mut shown) {
                    let Some(watts) = port.watts else { continue };
                    if shown.is_none_or(|before| (before - watts).abs() > WATT) {
                        println!("port {number}: {watts:.1} W");
                        *shown = Some(watts);
                    }
                }
            }
            Err(failure) if well => {
                well = false;
                println!("{ip} {failure}");
            }
            Err(_) => {}
        }
    }
}
