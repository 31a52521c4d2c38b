//! Switches one port of one plug, reads back and says what the plug says.
//!
//! ```text
//! cargo run --example switch -- 192.168.1.30 2 on
//! ```
//!
//! No broker and no bridge are involved; do not point it at a plug a bridge is serving at the same time. The ports
//! can be set as for the bridge: `PLUG2MQTT_MAXSMART__HTTP_PORT=8080`.
#![expect(clippy::print_stdout, reason = "a program that prints what it did")]

use anyhow::{Context, bail};
use plug2mqtt::io::{http::Http, line::Line};
use plug2mqtt::model::Switch;
use plug2mqtt::{bridge, config};
use std::collections::BTreeMap;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [address, port, state] = words.as_slice() else { bail!("usage: switch ADDRESS PORT on|off") };
    let ip = address.parse().context("an address looks like 192.168.1.30")?;
    let port: u8 = port.parse().ok().filter(|port| *port > 0).context("ports are numbered from 1")?;
    let on = match state.as_str() {
        "on" => true,
        "off" => false,
        _ => bail!("a port goes on or off"),
    };

    let (settings, _) = config::load(None, config::environment(), &[])?;
    let quarry = bridge::quarries(&settings).into_iter().next().context("no family is switched on")?;
    let http = Http::new().map_err(anyhow::Error::msg)?;
    let failed = |failure| anyhow::anyhow!("{ip} {failure}");
    let mut line = Line::to(&http, &quarry, ip).await.map_err(failed)?;

    // The switch and the read-back are one conversation: what comes back was measured after it.
    let reading = line.switch(Switch::Ports(BTreeMap::from([(port, on)]))).await.map_err(failed)?;
    let told = reading.ports.get(usize::from(port) - 1).and_then(|port| port.relay);
    match told {
        Some(now) if now == on => println!("port {port} is {state}"),
        Some(_) => bail!("port {port} did not obey"),
        None => bail!("the plug does not speak of port {port}"),
    }
    Ok(())
}
