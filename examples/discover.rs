//! Finds the plugs on this network and prints who they are.
//!
//! ```text
//! cargo run --example discover
//! ```
//!
//! Settings come from the environment, as for the bridge. To find the plugs that `plug2mqtt simulate --udp-port 8888
//! --http-port 8080` serves on loopback:
//!
//! ```text
//! PLUG2MQTT_MAXSMART__BROADCAST=127.255.255.255 PLUG2MQTT_MAXSMART__HTTP_PORT=8080 cargo run --example discover
//! ```
#![expect(clippy::print_stdout, reason = "a program that prints what it finds")]

use plug2mqtt::io::probe::search;
use plug2mqtt::model::Heard;
use plug2mqtt::{bridge, config};
use tokio::sync::mpsc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let (settings, _) = config::load(None, config::environment(), &[])?;
    for quarry in bridge::quarries(&settings) {
        let (heard, mut answers) = mpsc::channel(64);
        let print = async {
            while let Some(heard) = answers.recv().await {
                let Heard::Plug(plug) = heard else { continue };
                let id = plug.id.map_or_else(|| "(does not say who it is)".into(), String::from);
                let name = plug.facts.name.as_ref().map_or("", |name| name.as_str());
                let firmware = plug.facts.firmware.as_deref().unwrap_or("?");
                println!("{:<15}  {id}  firmware {firmware}  {name}", plug.place.to_string());
            }
        };
        let ask = async {
            search(&quarry, &[], &heard).await;
            // The end of the answers.
            drop(heard);
        };
        tokio::join!(ask, print);
    }
    Ok(())
}
