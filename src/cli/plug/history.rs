//! `history`: what the plug has recorded, as a chart, a table for spreadsheets or JSON.

use super::{Spans, Unit, Who, count, run, shown};
use crate::cli::find::find;
use crate::cli::table::bar;
use crate::config::Settings;
use crate::model::{CapabilityState, Meaning, PlugRequest, RecordRow, Span};
use anyhow::Result;
use std::io::Write;

const WIDTH: u32 = 40;

/// How the record is to be read and shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) span: Spans,
    pub(super) unit: Unit,
    pub(super) dated_first: bool,
    pub(super) csv: bool,
}

impl Wish {
    fn span(&self) -> Span {
        match self.span {
            Spans::Hours => Span::Hours,
            Spans::Days => Span::Days,
            Spans::Months => Span::Months,
        }
    }

    fn meaning(&self) -> Meaning {
        let wh = match self.unit {
            Unit::Wh => 1.0,
            Unit::Kwh => 1000.0,
            Unit::Mwh => 0.001,
        };
        Meaning { wh, dated_first: self.dated_first }
    }
}

pub(super) async fn history(
    settings: &Settings,
    who: &Who,
    port: Option<&str>,
    wish: Wish,
    out: &mut dyn Write,
) -> Result<()> {
    let mut plug = find(settings, &who.plug).await?;
    let ports = if port.is_some() { count(&mut plug).await? } else { 0 };
    let port = port.map(|word| plug.port(word, ports)).transpose()?;
    let errand = PlugRequest::History { span: wish.span(), port, meaning: Some(wish.meaning()) };
    let report = run(&mut plug, errand, ports, "for its record").await?;
    let Some(CapabilityState::Record(record)) = shown(&plug, who, report, out)? else { return Ok(()) };
    let cost = |wh: f64| record.price.map(|price| wh / 1000.0 * price);
    let text =
        |number: Option<f64>, digits: usize| number.map(|n| format!("{n:.digits$}")).unwrap_or_default();
    if wish.csv {
        let ports = record.rows.first().map_or(0, |row| row.ports.len());
        let ports: Vec<String> = (1..=ports).map(|port| format!("port_{port}_wh")).collect();
        writeln!(out, "time,{},wh,cost", ports.join(","))?;
        for RecordRow { time, wh, ports } in &record.rows {
            let ports: Vec<String> = ports.iter().map(|wh| text(*wh, 2)).collect();
            writeln!(out, "{},{},{},{}", time, ports.join(","), text(*wh, 2), text(wh.and_then(cost), 4))?;
        }
        return Ok(());
    }
    let subject = match port {
        Some(port) => format!("port {port} {}", plug.port_name(port)),
        None => "all ports".into(),
    };
    writeln!(out, "{}, {}", plug.name(), subject.trim_end())?;
    let most = record.rows.iter().filter_map(|row| row.wh).fold(0.0, f64::max);
    for RecordRow { time, wh, .. } in &record.rows {
        let bar = bar(wh.unwrap_or(0.0) / most.max(f64::MIN_POSITIVE), WIDTH);
        let figure = wh.map_or("-".into(), energy);
        writeln!(out, "{time:<16} {figure:>12}  {bar}")?;
    }
    let sum: f64 = record.rows.iter().filter_map(|row| row.wh).sum();
    let price = cost(sum).zip(record.currency).map(|(cost, currency)| format!(", {cost:.2} {currency}"));
    writeln!(out, "together {}{}", energy(sum), price.unwrap_or_default())?;
    match record.warning {
        Some(warning) => Ok(writeln!(out, "{warning}")?),
        None => Ok(()),
    }
}

/// Energy in the unit that people would take: 0.3 Wh, 840.0 Wh, 2.35 kWh, 12.4 kWh.
fn energy(wh: f64) -> String {
    let kwh = wh / 1000.0;
    match wh {
        ..0.05 if wh > 0.0 => format!("{wh:.2} Wh"),
        ..999.95 => format!("{wh:.1} Wh"),
        ..9995.0 => format!("{kwh:.2} kWh"),
        ..999_950.0 => format!("{kwh:.1} kWh"),
        _ => format!("{:.2} MWh", kwh / 1000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::energy;

    #[test]
    fn energy_is_shown_in_the_unit_of_its_size() {
        for (wh, want) in [
            (0.0, "0.0 Wh"),
            (0.02, "0.02 Wh"),
            (0.3, "0.3 Wh"),
            (999.94, "999.9 Wh"),
            (999.96, "1.00 kWh"),
            (2350.0, "2.35 kWh"),
            (9999.0, "10.0 kWh"),
            (12_400.0, "12.4 kWh"),
            (72_000_000.0, "72.00 MWh"),
        ] {
            assert_eq!(energy(wh), want, "{wh}");
        }
    }
}
