//! Prints the watts of each port of one plug, and again whenever one moved by more than a watt.
//!
//! ```text
//! cargo run --example watch -- 192.168.1.30
//! ```
//!
//! A failed poll is said once and tried again: Wi-Fi plugs miss one now and then. Ctrl-C ends it.
#![expect(clippy::print_stdout, reason = "a program that prints what it sees")]

use anyhow::Context;
use plug2mqtt::Plug;
use std::time::Duration;

/// A smaller movement is not worth a line.
const WATT: f64 = 1.0;

/// Real plugs want to be left alone in between; the vendor's app asks this often.
const PAUSE: Duration = Duration::from_secs(5);

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let host = std::env::args().nth(1).context("usage: watch ADDRESS")?;
    let plug = Plug::connect(&host).await?;
    println!("{plug}: {}, firmware {}", plug.model(), plug.info().firmware.as_deref().unwrap_or("unknown"));
    let mut shown: Vec<Option<f64>> = vec![None; plug.port_count().into()];
    let mut well = true;
    let mut beat = tokio::time::interval(PAUSE);
    loop {
        beat.tick().await;
        match plug.read().await {
            Ok(reading) => {
                well = true;
                for ((port, reading), shown) in plug.ports().zip(&reading.ports).zip(&mut shown) {
                    let Some(watts) = reading.watts else { continue };
                    if shown.is_none_or(|before| (before - watts).abs() > WATT) {
                        println!("{port}: {watts:.1} W");
                        *shown = Some(watts);
                    }
                }
            }
            Err(error) if well => {
                well = false;
                println!("{error}");
            }
            Err(_) => {}
        }
    }
}
