//! `record` and `replay`: a plug's traffic as a text file that can be sent to strangers, and the plug
//! that says it all again. A recording begins with `HEAD`; the simulated plugs of its family read the rest.
//!
//! A line `>` is a question, the line `<` after it what came back: text with `\xNN` for bytes that are none and `\\\\` for
//! a backslash, or `!closed`, `!unreachable`, `!timeout`.

use super::find::find;
use super::progress::patiently;
use crate::capability::CAPABILITIES;
use crate::config::Settings;
use crate::drivers::Message;
use crate::io::line::Line;
use crate::io::probe::exchange;
use crate::io::recorder::{Heard, Log};
use crate::model::{Call, Failure, Query};
use crate::sim::{self, AnyModel, Endpoint, Family};
use anyhow::{Context, Result, anyhow, bail};
use std::future::Future;
use std::io::{ErrorKind, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

/// What begins every recording, before the name of the family.
const HEAD: &str = "# plug2mqtt recording 1 of family ";

/// The largest recording that is read.
const MAX_RECORDING: u64 = 16 << 20;

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
    let Some((driver, recorded)) = driver.and_then(|driver| Some((driver, driver.info().recorded.as_ref()?)))
    else {
        bail!("plugs of the family {} cannot be recorded: they speak in secret keys", plug.found.driver);
    };
    let (log, name, place) = (Log::default(), plug.name(), plug.found.place);
    plug.line = plug.line.tapped(&log);
    patiently(&format!("recording {name}"), everything(&mut plug.line, recorded.calls)).await;
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
    let text = written(&log, driver.info().name, recorded.personal, plug.found.facts.serial.as_deref());
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
async fn everything(line: &mut Line, calls: &[u16]) {
    drop(line.identify().await);
    let ports = line.read().await.map_or(0, |reading| reading.ports.len());
    let calls = calls.iter().map(|&command| Query::Call(Call { command, arguments: None }));
    let all = CAPABILITIES.iter().flat_map(|one| (one.reads)(u8::try_from(ports).unwrap_or(u8::MAX)));
    for query in all.chain(calls) {
        drop(line.capability(query).await);
    }
}

fn written(log: &Log, family: &str, personal: &[Personal], serial: Option<&str>) -> String {
    let mut text = format!("{HEAD}{family}\n# by plug2mqtt {}\n# {}.\n", env!("CARGO_PKG_VERSION"), stays());
    for exchange in log.all() {
        let sent = match &exchange.sent {
            Message::Get(target) => format!("GET {}", escape(&readable(target))),
            Message::Datagram(bytes) => format!("UDP {}", escape(bytes)),
            Message::Post(..) => continue,
        };
        let heard = match &exchange.heard {
            Heard::Bytes(bytes) => escape(bytes),
            Heard::Closed => "!closed".into(),
            Heard::Unreachable => "!unreachable".into(),
            Heard::Silent => "!timeout".into(),
        };
        let anonymous = |text: &str| anonymous(text, personal, serial);
        text.push_str(&format!("> {}\n< {}\n", anonymous(&sent), anonymous(&heard)));
    }
    text
}

/// `/?json=%7B..%7D` as `/?json={..}`; what would then mean something else stays as it is.
fn readable(target: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = target.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let digits = (first == b'%').then(|| std::str::from_utf8(tail.get(..2)?).ok()).flatten();
        let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match byte.filter(|byte| !b"%+&#".contains(byte)) {
            Some(byte) => {
                bytes.push(byte);
                rest = tail.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    bytes
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

/// A key, and what stands in the place of its value, see [`Recorded`](crate::model::Recorded).
type Personal = (&'static str, &'static str);

/// Takes out whose plug it is.
fn anonymous(text: &str, personal: &[Personal], serial: Option<&str>) -> String {
    let mut text = text.to_owned();
    for (key, instead) in personal {
        text = replaced(&text, &format!("\"{key}\""), instead);
    }
    // It may stand anywhere.
    let Some(serial) = serial.filter(|serial| serial.len() >= 8) else { return text };
    let same = personal.iter().find(|(_, instead)| instead.len() == serial.len());
    text.replace(serial, &masked(serial, same.map_or("", |(_, instead)| instead)))
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

/// Something made up of the same form.
fn masked(value: &str, instead: &str) -> String {
    if value.len() == instead.len() && value.is_ascii() {
        let keep = |(own, made): (char, char)| if made == '.' { own } else { made };
        return value.chars().zip(instead.chars()).map(keep).collect();
    }
    value.chars().map(|c| if c.is_alphanumeric() { '0' } else { c }).collect()
}

/// Serves a recording as a plug until `stop`, on the ports of its family or on free ones; prints `READY udp=N http=N`
/// when it answers.
///
/// # Errors
///
/// When the file cannot be read or its address cannot be bound.
pub async fn replay(
    settings: &Settings,
    file: &Path,
    ip: Ipv4Addr,
    free_ports: bool,
    out: &mut dyn Write,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let text =
        crate::file::read(file, MAX_RECORDING).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.with_context(|| format!("cannot read {}", file.display()))?;
    let recording = recording(&text).map_err(|why| anyhow!("{} is no recording: {why}", file.display()));
    let (family, plug) = recording?;
    let (udp_port, http_port) = super::demo::ports(settings, family, free_ports);
    let place = Endpoint { ip, udp_port, http_port, broadcasts: Vec::new() };
    let served = sim::serve(plug, place).await.with_context(|| format!("cannot serve on {ip}"))?;
    writeln!(out, "READY udp={} http={}", served.udp_addr().port(), served.http_addr().port())?;
    out.flush()?;
    stop.await;
    served.stop().await;
    Ok(())
}

fn recording(text: &str) -> Result<(&'static Family, AnyModel), String> {
    let head = text.lines().next().and_then(|head| head.strip_prefix(HEAD));
    let name = head.ok_or_else(|| format!("it does not begin with {HEAD:?}"))?.trim_end();
    let family = sim::FAMILIES.iter().find(|family| family.name == name);
    let read = family.and_then(|family| Some((family, family.recording?)));
    let (family, read) = read.ok_or_else(|| format!("plugs of the family {name:?} are not replayed"))?;
    Ok((family, read(text)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drivers::ALL;

    #[test]
    fn nobody_can_tell_whose_plug_it_was() {
        let serial = Some("SWP6012345678901");
        let personal = ALL[0].info().recorded.as_ref().expect("text").personal;
        let check = |text: &str, want: &str| assert_eq!(anonymous(text, personal, serial), want, "{text}");
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
            written(&log, ALL[0].name(), &[], None)
        };
        let text = exchange("{\"start\":\"\u{1}\\Bü\"}".as_bytes());
        assert!(
            text.ends_with("> GET /?cmd=515&json={\"port\":1}\n< {\"start\":\"\\x01\\\\Bü\"}\n"),
            "{text}"
        );
        let text = exchange(b"\xff\n\x00");
        assert!(text.ends_with("< \\xff\\x0a\\x00\n"), "{text}");
        assert!(recording(&text).is_ok());
    }
}
