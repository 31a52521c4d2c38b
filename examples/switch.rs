//! Switches one port of one plug and prints what the plug says afterwards.
//!
//! ```text
//! cargo run --example switch -- 192.168.1.30 2 on
//! cargo run --example switch -- maxsmart-swp6000000000001 2 toggle
//! ```
//!
//! A plug is named by its address, with the port behind it if that is not the usual one (`127.0.9.1:8080`), or by its
//! id. No broker and no bridge are involved; do not point it at a plug a bridge is serving at the same time.
#![expect(clippy::print_stdout, reason = "a program that prints what it did")]

use anyhow::{Context, bail};
use plug2mqtt::{Plug, PlugId};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [who, port, to] = words.as_slice() else { bail!("usage: switch ADDRESS|ID PORT on|off|toggle") };
    // An address has dots or colons, an id has none.
    let plug = match PlugId::new(who) {
        Some(id) => Plug::find(id.as_str()).await?,
        None => Plug::connect(who).await?,
    };
    let port = plug.port(port.parse().context("ports are numbered from 1")?)?;
    let now = match to.as_str() {
        "on" => port.turn_on().await?,
        "off" => port.turn_off().await?,
        "toggle" => port.toggle().await?,
        _ => bail!("a port goes on, off, or toggles"),
    };
    let state = if now.relay == Some(true) { "on" } else { "off" };
    println!("{port} of {plug} is {state}");
    Ok(())
}
