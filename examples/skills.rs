//! Sets the clock of one plug, lets a port go off in some minutes and prints what the last hours took.
//!
//! ```text
//! cargo run --example skills -- 192.168.1.30 2 20
//! ```
//!
//! A plug that cannot do one of it says so, and the rest is done.
#![expect(clippy::print_stdout, reason = "a program that prints what it did")]

use anyhow::{Context, anyhow};
use plug2mqtt::io::{http::Http, line::Line};
use plug2mqtt::model::{Failure, Span};
use plug2mqtt::{bridge, config};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut words = std::env::args().skip(1);
    let mut word = |what| words.next().with_context(|| format!("usage: skills ADDRESS PORT MINUTES; {what}"));
    let ip = word("an address")?.parse().context("an address looks like 192.168.1.30")?;
    let (port, minutes) = (word("a port")?.parse()?, word("minutes")?.parse()?);
    let (settings, _) = config::load(None, config::environment(), &[])?;
    let quarry = bridge::quarries(&settings).into_iter().next().context("no family is switched on")?;
    let http = Http::new().map_err(anyhow::Error::msg)?;
    let failed = |failure| anyhow!("{ip} {failure}");
    let mut line = Line::to(&http, &quarry, ip).await.map_err(failed)?;

    match line.set_clock().await {
        Ok(Some(clock)) => println!("its clock is {} s off", clock.drift_s),
        Ok(None) | Err(Failure::Rejected(_)) => println!("its clock cannot be read"),
        Err(failure) => return Err(failed(failure)),
    }
    match line.set_countdown(port, minutes).await {
        Ok(Some(countdown)) => println!("port {port} goes off in {} s", countdown.left_s),
        Ok(None) => println!("it took the countdown and shows none"),
        Err(Failure::Rejected(why)) => println!("no countdown: {why}"),
        Err(failure) => return Err(failed(failure)),
    }
    // Raw figures, port 1 first, oldest hour first.
    if let Some(record) = line.history(Span::Hours).await.map_err(failed)? {
        println!("recorded until {}: {:?}", record.date.unwrap_or_default(), record.rows);
    }
    Ok(())
}
