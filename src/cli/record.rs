//! `record` and `replay`: a plug's traffic as a text file that can be sent to strangers, and the plug
//! that says it all again. The form is described in `sim/replay.rs`.

use super::find::find;
use super::progress::patiently;
use crate::capability::CAPABILITIES;
use crate::config::Settings;
use crate::drivers::Message;
use crate::io::line::Line;
use crate::io::probe::exchange;
use crate::io::recorder::{Heard, Log};
use crate::model::{Call, Failure, Query};
use crate::sim::{self, Endpoint, Recording};
use anyhow::{Context, Result, anyhow, bail};
use std::future::Future;
use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

/// The largest recording that is read.
const MAX_RECORDING: u64 = 16 << 20;

/// Keys whose values tell whose plug it is or let others in; what stands in their place.
const PERSONAL: [(&str, &str); 9] = [
    ("sn", "000000000001"),
    ("mac", "02:00:00:00:00:01"),
    ("plcmac", "02:00:00:00:00:01"),
    ("pclmac", "02:00:00:00:00:01"),
    ("sak", ""),
    ("regid", ""),
    ("plcdak", ""),
    ("pcldak", ""),
    ("cpuid", ""),
];

/// What of its owner is still in a recording, as it cannot be told from what a fault is about.
fn stays() -> String {
    let personal: Vec<&str> = CAPABILITIES.iter().filter_map(|capability| capability.personal).collect();
    format!("Serial, MAC and credentials are replaced. What stays: {}", personal.join(", "))
}

/// Asks a plug everything that changes nothing, and writes what it said to `file`, else to `out`.
///
/// # Errors
///
/// When the plug is not found, is of another family, or the file cannot be written.
pub async fn record(settings: &Settings, word: &str, file: Option<&Path>, out: &mut dyn Write) -> Result<()> {
    let mut plug = find(settings, word).await?;
    let driver = settings.family(plug.found.driver).map(|family| family.driver);
    let Some(driver) = driver.filter(|driver| driver.info().plain_text) else {
        bail!("plugs of the family {} cannot be recorded: they speak in secret keys", plug.found.driver);
    };
    let (log, name, place) = (Log::default(), plug.name(), plug.found.place);
    plug.line = plug.line.tapped(&log);
    patiently(&format!("recording {name}"), everything(&mut plug.line)).await;
    for (_, question) in driver.ways(&plug.found.facts) {
        let answer =
            exchange(place, &question, Duration::from_millis(1500), |reply| Some(reply.to_vec())).await;
        let heard = match answer {
            Ok((bytes, _)) => Heard::Bytes(bytes),
            Err(Failure::Unreachable(_)) => Heard::Unreachable,
            Err(_) => Heard::Silent,
        };
        log.add(Message::Datagram(question), heard);
    }
    let text = written(&log, plug.found.facts.serial.as_deref());
    match file {
        Some(file) => {
            let written = crate::file::new(file).and_then(|mut new| new.write_all(text.as_bytes()));
            written.map_err(|error| {
                if error.kind() == ErrorKind::AlreadyExists {
                    anyhow!("{} already exists and is not overwritten; name another file", file.display())
                } else {
                    anyhow!("cannot write {}: {error}", file.display())
                }
            })?;
            writeln!(
                out,
                "{} exchanges with {name} are in {}. {}: look at it before you send it to anybody.",
                log.all().len(),
                file.display(),
                stays()
            )?;
        }
        None => out.write_all(text.as_bytes())?,
    }
    Ok(())
}

/// Asks everything; what the plug does not know is worth recording, too.
async fn everything(line: &mut Line) {
    drop(line.identify().await);
    let ports = line.read().await.map_or(0, |reading| reading.ports.len());
    let relays = Query::Call(Call { command: 513, arguments: None });
    let all = CAPABILITIES.iter().flat_map(|one| (one.reads)(u8::try_from(ports).unwrap_or(u8::MAX)));
    for query in all.chain([relays]) {
        drop(line.capability(query).await);
    }
}

fn written(log: &Log, serial: Option<&str>) -> String {
    let mut text =
        format!("# plug2mqtt recording 1\n# by plug2mqtt {}\n# {}.\n", env!("CARGO_PKG_VERSION"), stays());
    for exchange in log.all() {
        let sent = match &exchange.sent {
            Message::Get(target) => format!("GET {}", request(target)),
            Message::Datagram(bytes) => format!("UDP {}", escape(bytes)),
            Message::Post(..) => continue,
        };
        let heard = match &exchange.heard {
            Heard::Bytes(bytes) => escape(bytes),
            Heard::Closed => "!closed".into(),
            Heard::Unreachable => "!unreachable".into(),
            Heard::Silent => "!silent".into(),
        };
        text.push_str(&format!("> {}\n< {}\n", anonymous(&sent, serial), anonymous(&heard, serial)));
    }
    text
}

/// `/?cmd=515&json=%7B..%7D` as `515 {..}`.
fn request(target: &str) -> String {
    let query = target.strip_prefix("/?cmd=").unwrap_or(target);
    let Some((command, json)) = query.split_once("&json=") else { return query.into() };
    let mut bytes = Vec::new();
    let mut rest = json.bytes();
    while let Some(byte) = rest.next() {
        let digits: Option<String> = (byte == b'%').then(|| rest.by_ref().take(2).map(char::from).collect());
        bytes.push(digits.and_then(|digits| u8::from_str_radix(&digits, 16).ok()).unwrap_or(byte));
    }
    format!("{command} {}", escape(&bytes))
}

/// Text as it is; what is none as `\xNN`.
fn escape(bytes: &[u8]) -> String {
    let hex = |byte: u8| format!("\\x{byte:02x}");
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => text.push_str("\\\\"),
                c if c.is_control() => text.extend(c.to_string().bytes().map(hex)),
                c => text.push(c),
            }
        }
        text.extend(chunk.invalid().iter().copied().map(hex));
    }
    text
}

/// Takes out whose plug it is.
fn anonymous(text: &str, serial: Option<&str>) -> String {
    let mut text = text.to_owned();
    for (key, instead) in PERSONAL {
        text = replaced(&text, &format!("\"{key}\""), instead);
    }
    match serial.filter(|serial| serial.len() >= 8) {
        Some(serial) => text.replace(serial, &masked(serial, "000000000001")),
        None => text,
    }
}

/// Replaces the text values behind a key, in JSON that may be broken.
fn replaced(text: &str, key: &str, instead: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(key) {
        let (before, after) = rest.split_at(at + key.len());
        out.push_str(before);
        rest = after;
        let value =
            after.trim_start().strip_prefix(':').map(str::trim_start).and_then(|v| v.strip_prefix('"'));
        let Some(value) = value else { continue };
        let end = value.find('"').unwrap_or(value.len());
        let (value, tail) = value.split_at(end);
        out.push_str(":\"");
        out.push_str(&masked(value, instead));
        rest = tail;
    }
    out + rest
}

/// Something made up of the same form: four characters of a serial tell its kind.
fn masked(value: &str, instead: &str) -> String {
    match (value.get(..4), instead.len()) {
        _ if value.is_empty() => String::new(),
        (Some(kind), 12) if value.len() == 16 => format!("{kind}{instead}"),
        (_, 17) if value.len() == 17 => instead.into(),
        _ => value.chars().map(|c| if c.is_alphanumeric() { '0' } else { c }).collect(),
    }
}

/// Serves a recording as a plug until `stop`; prints `READY udp=N http=N` when it answers.
///
/// # Errors
///
/// When the file cannot be read or its address cannot be bound.
pub async fn replay(
    file: &Path,
    ip: Ipv4Addr,
    udp_port: u16,
    http_port: u16,
    out: &mut dyn Write,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let text =
        crate::file::read(file, MAX_RECORDING).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    let recording =
        Recording::read(&text).map_err(|why| anyhow::anyhow!("{} is no recording: {why}", file.display()))?;
    let place = Endpoint { ip, udp_port, http_port, broadcasts: Vec::new() };
    let served = sim::serve(recording, place).await.with_context(|| format!("cannot serve on {ip}"))?;
    writeln!(out, "READY udp={} http={}", served.udp_addr().port(), served.http_addr().port())?;
    out.flush()?;
    stop.await;
    served.stop().await;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_can_tell_whose_plug_it_was() {
        let serial = Some("SWP6012345678901");
        let check = |text: &str, want: &str| assert_eq!(anonymous(text, serial), want, "{text}");
        check(r#"{"sn":"SWP6012345678901","port":1}"#, r#"{"sn":"SWP6000000000001","port":1}"#);
        check(r#"{"sn" : "SWP6999"}"#, r#"{"sn":"0000000"}"#);
        check(
            r#"{"mac":"02:12:34:56:78:9A","sak":"123456789ABC"}"#,
            r#"{"mac":"02:00:00:00:00:01","sak":"000000000000"}"#,
        );
        check(
            r#"{"regid":"rvg012345678","plcdak":"12AB-34CD"}"#,
            r#"{"regid":"000000000000","plcdak":"0000-0000"}"#,
        );
        check(r#"{"name":"SWP6012345678901","sn":7,"mac":"#, r#"{"name":"SWP6000000000001","sn":7,"mac":"#);
        check(r#"{"sak":"12"#, r#"{"sak":"00"#);
        check("!closed", "!closed");
    }

    #[test]
    fn bytes_that_are_no_text_survive() {
        let exchange = |body: &[u8]| {
            let log = Log::default();
            log.add(Message::Get("/?cmd=515&json=%7B%22port%22%3A1%7D".into()), Heard::Bytes(body.into()));
            written(&log, None)
        };
        let text = exchange("{\"start\":\"\u{1}\\Bü\"}".as_bytes());
        assert!(text.ends_with("> GET 515 {\"port\":1}\n< {\"start\":\"\\x01\\\\Bü\"}\n"), "{text}");
        let text = exchange(b"\xff\n\x00");
        assert!(text.ends_with("< \\xff\\x0a\\x00\n"), "{text}");
        assert!(Recording::read(&text).is_ok());
    }
}
