//! `watch`: the power of each port with a bar, drawn over itself in a terminal, line after line
//! elsewhere; one JSON object a line for scripts.

use super::Who;
use super::switch::value;
use crate::capability::cli::{bar, bar_width};
use crate::cli::find::{Plug, find};
use crate::cli::progress::patiently;
use crate::cli::screen::columns;
use crate::config::Settings;
use crate::model::Reading;
use anyhow::Result;
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// A full bar is at least this much.
const SCALE_W: f64 = 60.0;
const WIDTH: u32 = 30;

/// What stands before it: number, name, relay, power and blanks.
const BEFORE: usize = 37;

pub(super) async fn watch(
    settings: &Settings,
    who: &Who,
    every: Duration,
    times: Option<u32>,
    out: &mut dyn Write,
) -> Result<()> {
    let mut plug = find(settings, &who.plug).await?;
    let redraw = std::io::stdout().is_terminal();
    let mut beat = tokio::time::interval(every.max(Duration::from_millis(100)));
    let (mut lines, mut scale, mut looks) = (0, SCALE_W, 0);
    while times.is_none_or(|times| looks < times) {
        beat.tick().await;
        looks += 1;
        let what = format!("asking {}", plug.name());
        let read = patiently(&what, plug.line.read()).await;
        if who.json {
            let line = match &read {
                Ok(reading) => value(&plug, reading),
                Err(failure) => {
                    json!({"id": plug.id(), "name": plug.name(), "error": failure.to_string()})
                }
            };
            writeln!(out, "{line}")?;
            out.flush()?;
            continue;
        }
        let text = match read {
            Ok(reading) => draw(&plug, &reading, &mut scale, columns(&std::io::stdout())),
            // A plug misses a question now and then; who watches wants to see it come back.
            Err(failure) => format!("{} {failure}\n", plug.name()),
        };
        if redraw && lines > 0 {
            write!(out, "\x1b[{lines}A\x1b[J")?;
        }
        write!(out, "{text}")?;
        out.flush()?;
        lines = text.lines().count();
    }
    Ok(())
}

/// One line a port: what is wider than the screen would take two, and be drawn over in part.
fn draw(plug: &Plug, reading: &Reading, scale: &mut f64, columns: Option<usize>) -> String {
    let width = bar_width(columns, BEFORE, WIDTH);
    let watts: Vec<f64> = reading.ports.iter().map(|port| port.watts.unwrap_or(0.0)).collect();
    *scale = watts.iter().fold(*scale, |most, watts| most.max(*watts));
    let mut text = format!("{}  {:.1} W\n", plug.name(), watts.iter().sum::<f64>());
    for ((number, port), watts) in (1..).zip(&reading.ports).zip(watts) {
        let relay = match port.relay {
            Some(true) => "on",
            Some(false) => "off",
            None => "?",
        };
        let name: String = plug.port_name(number).chars().take(16).collect();
        let line =
            format!("{number:>3} {name:<16} {relay:<3} {watts:>8.1} W  {}", bar(watts / *scale, width));
        let line: String = line.chars().take(columns.unwrap_or(usize::MAX)).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
