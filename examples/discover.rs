//! Finds the plugs on this network and prints who they are.
//!
//! ```text
//! cargo run --example discover
//! cargo run --example discover -- 127.255.255.255 inplug=8081
//! ```
//!
//! The second line asks by one broadcast address only, and families at other UDP ports than the usual ones: it finds
//! what `plug2mqtt simulate -s maxsmart.http_port=8080 -s inplug.udp_port=8081` serves on loopback.
#![expect(clippy::print_stdout, reason = "a program that prints what it finds")]

use anyhow::Context;
use plug2mqtt::Client;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut client = Client::new()?;
    for word in std::env::args().skip(1) {
        client = match word.split_once('=') {
            Some((family, port)) => client.udp_port(family, port.parse().context("a port is a number")?)?,
            None => client.broadcast([word.parse().context("an address looks like 192.168.1.255")?]),
        };
    }
    for plug in client.discover(Duration::from_secs(3)).await {
        let info = plug.info();
        println!("{plug}: {} {}", info.manufacturer, info.model);
    }
    Ok(())
}
