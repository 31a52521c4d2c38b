//! Sets the clock of one plug, lets a port go off in some minutes, and prints its schedule and what the last hours took.
//!
//! ```text
//! cargo run --example capabilities -- 192.168.1.30 2 20
//! ```
//!
//! A plug that cannot do one of it says so, and the rest is done.
#![expect(clippy::print_stdout, reason = "a program that prints what it did")]

use anyhow::{Context, bail};
use plug2mqtt::{Error, Plug, Span};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [host, port, minutes] = words.as_slice() else { bail!("usage: capabilities ADDRESS PORT MINUTES") };
    let minutes: u64 = minutes.parse().context("minutes are a number")?;
    let plug = Plug::connect(host).await?;
    let port = plug.port(port.parse().context("ports are numbered from 1")?)?;

    if let Some(clock) = able(plug.set_clock().await)? {
        println!("its clock: {}", clock.map_or("set".into(), |clock| format!("{} s off", clock.drift_s)));
    }
    if let Some(Some(countdown)) = able(port.set_countdown(Duration::from_secs(60 * minutes)).await)? {
        println!("{port} goes off in {} s", countdown.left_s);
    }
    for rule in able(plug.schedule().await)?.unwrap_or_default() {
        let (hour, minute) = (rule.at / 60, rule.at % 60);
        println!("at {hour:02}:{minute:02} {}: on {:?}, off {:?}", rule.days, rule.on, rule.off);
    }
    // Oldest hour first.
    for row in able(plug.history(Span::Hours).await)?.map(|history| history.rows).unwrap_or_default() {
        println!("{}  {:8.1} Wh", row.time, row.wh.unwrap_or_default());
    }
    Ok(())
}

/// What a plug cannot or will not do is no reason to stop.
fn able<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(told) => Ok(Some(told)),
        Err(error @ (Error::Unsupported { .. } | Error::Rejected { .. })) => {
            println!("{error}");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
