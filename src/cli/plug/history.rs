//! `history`: what the plug has recorded, as a chart, a table for spreadsheets or JSON.

use super::{Spans, Unit, Who};
use crate::cli::find::find;
use crate::cli::progress::patiently;
use crate::cli::table::bar;
use crate::config::Settings;
use crate::io::clock::Clock;
use crate::model::{Currency, History, Moment, Span};
use anyhow::{Result, bail};
use jiff::ToSpan;
use jiff::civil::DateTime;
use serde_json::json;
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
}

/// One bucket: when it began, and watt-hours of each port.
#[derive(Debug, PartialEq)]
struct Bucket {
    time: String,
    ports: Vec<Option<f64>>,
}

impl Bucket {
    /// Of one port, or of all together.
    fn wh(&self, port: Option<u8>) -> Option<f64> {
        match port {
            Some(port) => self.ports.get(usize::from(port) - 1).copied().flatten(),
            None => self.ports.iter().flatten().copied().reduce(|a, b| a + b),
        }
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
    let now = Clock::start().now();
    let what = format!("asking {} for its record", plug.name());
    let told = patiently(&what, plug.line.history(wish.span())).await;
    let Some(record) = told.map_err(|failure| plug.failed("for its record", &failure))? else {
        bail!("{} ({}) keeps no record, or does not tell it", plug.name(), plug.id());
    };
    let port = port.map(|word| plug.port(word, record.rows.len())).transpose()?;
    let buckets = buckets(&record, wish, &now);
    let cost = |wh: f64| record.cost.map(|cost| wh / 1000.0 * cost);
    let currency = record.currency.map(|number| Currency::of_number(number).to_string());
    if who.json {
        let row = |bucket: &Bucket| {
            let wh = bucket.wh(port);
            json!({"time": bucket.time, "wh": wh, "cost": wh.and_then(cost), "ports": bucket.ports})
        };
        let rows: Vec<_> = buckets.iter().map(row).collect();
        let whole = json!({
            "id": plug.id(), "port": port, "price": record.cost, "currency": currency, "rows": rows,
        });
        return Ok(writeln!(out, "{}", serde_json::to_string_pretty(&whole)?)?);
    }
    let text =
        |number: Option<f64>, digits: usize| number.map(|n| format!("{n:.digits$}")).unwrap_or_default();
    if wish.csv {
        let ports: Vec<String> = (1..=record.rows.len()).map(|port| format!("port_{port}_wh")).collect();
        writeln!(out, "time,{},wh,cost", ports.join(","))?;
        for bucket in &buckets {
            let wh = bucket.wh(port);
            let ports: Vec<String> = bucket.ports.iter().map(|wh| text(*wh, 2)).collect();
            writeln!(
                out,
                "{},{},{},{}",
                bucket.time,
                ports.join(","),
                text(wh, 2),
                text(wh.and_then(cost), 4)
            )?;
        }
        return Ok(());
    }
    let subject = match port {
        Some(port) => format!("port {port} {}", plug.port_name(port)),
        None => "all ports".into(),
    };
    writeln!(out, "{}, {}", plug.name(), subject.trim_end())?;
    let most = buckets.iter().filter_map(|bucket| bucket.wh(port)).fold(0.0, f64::max);
    for bucket in &buckets {
        let wh = bucket.wh(port);
        let bar = bar(wh.unwrap_or(0.0) / most.max(f64::MIN_POSITIVE), WIDTH);
        let figure = wh.map_or("-".into(), |wh| format!("{wh:.1} Wh"));
        writeln!(out, "{:<16} {figure:>12}  {bar}", bucket.time)?;
    }
    let sum: f64 = buckets.iter().filter_map(|bucket| bucket.wh(port)).sum();
    let price = cost(sum).zip(currency).map(|(cost, currency)| format!(", {cost:.2} {currency}"));
    Ok(writeln!(out, "together {:.3} kWh{}", sum / 1000.0, price.unwrap_or_default())?)
}

fn buckets(record: &History, wish: Wish, now: &Moment) -> Vec<Bucket> {
    let count = record.rows.iter().map(Vec::len).max().unwrap_or(0);
    let factor = match wish.unit {
        Unit::Wh => 1.0,
        Unit::Kwh => 1000.0,
        Unit::Mwh => 0.001,
    };
    let dated = record.date.as_deref().and_then(date);
    let told = dated.unwrap_or_else(|| now.local());
    let back = i64::try_from(count).unwrap_or(0) - 1;
    let first_named = wish.dated_first && dated.is_some();
    (0..count)
        .zip(0_i64..)
        .map(|(place, nth)| {
            let steps = if first_named { nth } else { nth - back };
            let (span, form) = match record.span {
                Span::Hours => (steps.hours(), "%Y-%m-%d %H:00"),
                Span::Days => (steps.days(), "%Y-%m-%d"),
                Span::Months => (steps.months(), "%Y-%m"),
            };
            let time = told.checked_add(span).map(|at| at.strftime(form).to_string()).unwrap_or_default();
            let wh = |row: &Vec<Option<f64>>| row.get(place).copied().flatten().map(|figure| figure * factor);
            Bucket { time, ports: record.rows.iter().map(wh).collect() }
        })
        .collect()
}

/// Reads `2018-10-11-21`, `2018-10-11` or `2018-10`.
fn date(text: &str) -> Option<DateTime> {
    let mut parts = text.trim().splitn(4, '-');
    let year = parts.next()?.parse().ok()?;
    let month = parts.next()?.parse().ok()?;
    let mut small = |fallback: i8| parts.next().map_or(Some(fallback), |part| part.parse().ok());
    let (day, hour) = (small(1)?, small(0)?);
    DateTime::new(year, month, day, hour, 0, 0, 0).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn times(span: Span, date: Option<&str>, dated_first: bool) -> Vec<String> {
        let rows = vec![vec![Some(1.0), None, Some(2.5)], vec![Some(3.0)]];
        let record = History { span, date: date.map(Into::into), rows, cost: None, currency: None };
        let wish = Wish { span: Spans::Hours, unit: Unit::Kwh, dated_first, csv: false };
        // 2026-11-21 11:00 UTC, an hour more here.
        let now =
            Moment { up: Duration::ZERO, unix_ms: 1_795_258_800_000, utc_offset_s: 3600, dst_s: 0, nonce: 0 };
        let buckets = buckets(&record, wish, &now);
        assert_eq!(
            buckets.iter().map(|bucket| bucket.wh(None)).collect::<Vec<_>>(),
            [Some(4000.0), None, Some(2500.0)]
        );
        assert_eq!(buckets.first().and_then(|bucket| bucket.wh(Some(2))), Some(3000.0));
        buckets.into_iter().map(|bucket| bucket.time).collect()
    }

    #[test]
    fn buckets_carry_their_time_by_either_reading_of_the_date() {
        let newest = times(Span::Hours, Some("2018-10-11-01"), false);
        assert_eq!(newest, ["2018-10-10 23:00", "2018-10-11 00:00", "2018-10-11 01:00"]);
        let oldest = times(Span::Hours, Some("2018-10-11-01"), true);
        assert_eq!(oldest, ["2018-10-11 01:00", "2018-10-11 02:00", "2018-10-11 03:00"]);
        assert_eq!(times(Span::Days, Some("2018-10-01"), false), ["2018-09-29", "2018-09-30", "2018-10-01"]);
        assert_eq!(times(Span::Months, Some("2018-01"), false), ["2017-11", "2017-12", "2018-01"]);
        // A plug without a date: the newest is now.
        let undated = times(Span::Hours, None, true);
        assert_eq!(undated, ["2026-11-21 10:00", "2026-11-21 11:00", "2026-11-21 12:00"]);
        assert_eq!(times(Span::Hours, Some("nonsense"), false), undated);
    }
}
