//! Reads a reply captured from a plug out of a file and prints what the drivers make of it: a discovery datagram, or
//! the answer to a question how the plug is. For bug reports, and for whoever adds a firmware.
//!
//! ```text
//! curl -s 'http://192.168.1.30/?cmd=511' > reply.json
//! cargo run --example decode -- reply.json
//! ```
//!
//! Nothing is sent: a dialect takes bytes and gives steps, whoever holds the socket.
#![expect(clippy::print_stdout, reason = "a program that prints what it understands")]

use anyhow::Context;
use plug2mqtt::drivers::{self, Driver, Reply, Step};
use plug2mqtt::io::clock::Clock;
use plug2mqtt::model::{
    DeviceInfo, DeviceRequest, DeviceResponse, DialectOptions, Discovered, Endpoint, Family, OwnSettings,
    PowerUnit, Reading,
};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(5);

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("usage: decode FILE")?;
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {path}"))?;
    let family = Family { udp_port: 8888, http_port: 80, timeout: TIMEOUT, own: OwnSettings::default() };
    for driver in drivers::ALL {
        if let Some(found) = driver.recognise(&family, Endpoint::UNKNOWN.datagram(), &bytes) {
            println!("{}: a discovery reply\n{found:#?}", driver.name());
        } else if let Some(reading) = reading(*driver, &family, &bytes) {
            println!("{}: a reading\n{reading:#?}", driver.name());
        } else {
            println!("{}: nothing of this family", driver.name());
        }
    }
    Ok(())
}

/// Begins to ask how a plug is, and hands the captured bytes in wherever they are taken for an answer; what they do
/// not answer stays unanswered.
fn reading(driver: &dyn Driver, family: &Family, bytes: &[u8]) -> Option<Reading> {
    let plug = Discovered {
        driver: driver.name(),
        id: None,
        place: Endpoint::UNKNOWN,
        facts: DeviceInfo::default(),
    };
    let options = DialectOptions { timeout: TIMEOUT, power_unit: PowerUnit::Auto, set_clock: false };
    let mut dialect = driver.attach(family, &plug, &options);
    let now = Clock::start().now();
    let mut step = dialect.start(&DeviceRequest::Read, &now);
    for _ in 0..drivers::MAX_STEPS {
        step = match step {
            Step::Done(answer) => {
                let DeviceResponse::Reading(reading) = *answer else { return None };
                return Some(reading);
            }
            Step::Send(_) => {
                let heard = dialect.handle_response(Reply::Bytes(bytes), &now);
                heard.or_else(|_| dialect.handle_response(Reply::Timeout, &now)).ok()?
            }
        };
    }
    None
}
