//! What a plug has recorded by itself: as it tells it, and made readable, with times and watt-hours.

use super::clock::{NEVER_SET, REMEDY, never_set};
use super::conversation::Conversation;
use super::device::mixed_up;
use super::{Capability, Currency, Guard, Query, QueryReply, Request};
use crate::core::{Failure, Now, PerPort};
use jiff::civil::DateTime;
use jiff::{SignedDuration, ToSpan, tz::Offset};
use serde::Deserialize;
use serde_json::{Value as Json, json};

pub(super) static CAPABILITY: Capability = Capability {
    name: "history",
    requests: &[HistoryRequest::VERB],
    command: Some("history"),
    personal: Some("the consumption it has recorded"),
    shown: &[],
    reads: |_| [Span::Hours, Span::Days, Span::Months].map(Query::History).into(),
    slow_poll: None,
};

/// How long the buckets of a record are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "bridge", derive(clap::ValueEnum))]
pub enum Span {
    /// The last 24 hours.
    #[default]
    Hours,
    /// The last 30 or 31 days.
    Days,
    /// The last 12 months.
    Months,
}

/// A plug's own record of energy, as it tells it: raw figures, whose unit and time must be learnt.
#[derive(Debug, Clone, PartialEq)]
pub struct RawHistory {
    /// How long a bucket is.
    pub span: Span,
    /// The date it carries, as it stands: of the first or of the last bucket, or none at all.
    pub date: Option<String>,
    /// A row for each port, port 1 first; oldest bucket first. Figures are finite and not negative;
    /// what was not is `None`.
    pub rows: Vec<Vec<Option<f64>>>,
    /// What a kilowatt-hour costs, as somebody told the plug.
    pub cost: Option<f64>,
    /// The number of the currency somebody told the plug.
    pub currency: Option<u64>,
}

impl RawHistory {
    /// The hour its date names (`2018-10-11-21`), in hours of local time since 1970; `None` when it
    /// has none.
    pub fn dated_hour(&self) -> Option<u64> {
        let mut parts = self.date.as_deref()?.trim().splitn(4, '-').map(|part| part.parse::<i16>().ok());
        let mut next = || parts.next().flatten();
        let (year, month, day, hour) = (next()?, next()?, next()?, next()?);
        let small = |number: i16| i8::try_from(number).ok();
        let date = DateTime::new(year, small(month)?, small(day)?, small(hour)?, 0, 0, 0).ok()?;
        u64::try_from(Offset::UTC.to_timestamp(date).ok()?.as_second() / 3600).ok()
    }

    fn count(&self) -> usize {
        self.rows.iter().map(Vec::len).max().unwrap_or(0)
    }
}

/// How the figures of a record are to be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Meaning {
    /// Watt-hours that a figure of 1 stands for.
    pub wh: f64,
    /// The date is that of the oldest figure, not of the newest.
    pub dated_first: bool,
}

impl Meaning {
    /// What fits best what people have seen: watt-hours, dated by the newest.
    pub const USUAL: Self = Self { wh: 1.0, dated_first: false };
}

/// The energy that a plug has recorded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct History {
    /// Of one port only.
    pub port: Option<u8>,
    /// What a kilowatt-hour costs, as somebody told the plug.
    pub price: Option<f64>,
    /// In which currency.
    pub currency: Option<Currency>,
    /// Unit and date were not assumed: they agree with what was metered.
    pub learnt: bool,
    /// What is wrong with its dates, in a sentence.
    pub warning: Option<String>,
    /// Oldest first.
    pub rows: Vec<HistoryRow>,
}

/// One hour, day or month of a record.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct HistoryRow {
    /// When it began, as `2026-11-21 22:00`, `2026-11-21` or `2026-11`.
    pub time: String,
    /// Watt-hours of the port asked for, or of all together.
    pub wh: Option<f64>,
    /// Watt-hours of each port, port 1 first.
    pub ports: Vec<Option<f64>>,
}

/// Reads the energy that a plug has recorded.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistoryRequest {
    /// By `hours` (a day, if not given), `days` (a month) or `months` (a year).
    pub span: Option<Span>,
    /// Which port, 1 to N; the sum if not given.
    pub port: Option<u8>,
    /// How its figures are to be read, when that is known.
    #[serde(skip)]
    pub meaning: Option<Meaning>,
}

impl Request for HistoryRequest {
    const VERB: &'static str = "history";
    type Answer = History;
    type Conversation = Conversing;

    fn changes(&self) -> bool {
        false
    }

    fn ports(&self) -> Vec<u8> {
        self.port.into_iter().collect()
    }

    fn open(self, _: Guard) -> Result<Conversing, String> {
        Ok(Conversing { request: self, learnt: false })
    }

    fn report(history: &History) -> Json {
        let cost = |wh: f64| history.price.map(|price| rounded(wh / 1000.0 * price, 1e4));
        let one = |row: &HistoryRow| {
            json!({
                "time": row.time, "wh": row.wh.map(|wh| rounded(wh, 1e2)), "cost": row.wh.and_then(cost),
                "ports": row.ports,
            })
        };
        let mut all = json!({
            "port": history.port, "price": history.price, "currency": history.currency.map(|c| c.to_string()),
            "learnt": history.learnt, "rows": history.rows.iter().map(one).collect::<Vec<_>>(),
        });
        if let (Some(all), Some(warning)) = (all.as_object_mut(), &history.warning) {
            all.insert("warning".into(), Json::from(warning.as_str()));
        }
        all
    }
}

/// To the last part of a unit that is worth telling: sums of decimals are not quite decimals.
fn rounded(number: f64, parts: f64) -> f64 {
    (number * parts).round() / parts
}

/// Asks for the record; what it means may be learnt on the way.
#[derive(Debug)]
pub struct Conversing {
    request: HistoryRequest,
    learnt: bool,
}

impl Conversing {
    /// Somebody has learnt what the figures of the plug's record mean.
    pub(super) fn learn(&mut self, meaning: Meaning) {
        self.request.meaning = Some(meaning);
        self.learnt = true;
    }
}

impl Conversation for Conversing {
    type Answer = History;

    fn query(&self) -> Query {
        Query::History(self.request.span.unwrap_or_default())
    }

    fn take(&mut self, reply: QueryReply, now: &Now) -> Result<Option<History>, Failure> {
        let QueryReply::History(raw) = reply else { return Err(mixed_up()) };
        let HistoryRequest { port, meaning, .. } = self.request;
        Ok(Some(readable(&raw, port, meaning, self.learnt, now)))
    }

    fn refused(&mut self, why: Option<String>) -> Result<Option<History>, Failure> {
        Err(Failure::Rejected(why.unwrap_or_else(|| "it keeps no record, or does not tell it".into())))
    }
}

/// Reads a record by the meaning that somebody has learnt or wants; without one it is assumed.
fn readable(
    raw: &RawHistory,
    port: Option<u8>,
    meaning: Option<Meaning>,
    learnt: bool,
    now: &Now,
) -> History {
    let meaning = meaning.unwrap_or(Meaning::USUAL);
    let dated = raw.date.as_deref().and_then(date);
    let back = i64::try_from(raw.count()).unwrap_or(0) - 1;
    History {
        port,
        price: raw.cost,
        currency: raw.currency.map(Currency::of_number),
        learnt,
        warning: dated.and_then(|dated| misdated(raw, dated, back, now)),
        rows: rows(raw, port, meaning, now),
    }
}

fn rows(raw: &RawHistory, port: Option<u8>, meaning: Meaning, now: &Now) -> Vec<HistoryRow> {
    let count = raw.count();
    let dated = raw.date.as_deref().and_then(date);
    let told = dated.unwrap_or_else(|| now.local());
    let back = i64::try_from(count).unwrap_or(0) - 1;
    let first_named = meaning.dated_first && dated.is_some();
    (0..count)
        .zip(0_i64..)
        .map(|(place, nth)| {
            let steps = if first_named { nth } else { nth - back };
            let (span, form) = match raw.span {
                Span::Hours => (steps.hours(), "%Y-%m-%d %H:00"),
                Span::Days => (steps.days(), "%Y-%m-%d"),
                Span::Months => (steps.months(), "%Y-%m"),
            };
            let time = told.checked_add(span).map(|at| at.strftime(form).to_string()).unwrap_or_default();
            let wh =
                |row: &Vec<Option<f64>>| row.get(place).copied().flatten().map(|figure| figure * meaning.wh);
            let ports: Vec<Option<f64>> = raw.rows.iter().map(wh).collect();
            let wh = match port {
                Some(port) => ports.port(port).copied().flatten(),
                None => ports.iter().flatten().copied().reduce(|a, b| a + b),
            };
            HistoryRow { time, wh, ports }
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

/// What is wrong with the clock by which a record is dated: neither its first nor its last date is
/// about now.
fn misdated(raw: &RawHistory, dated: DateTime, count: i64, now: &Now) -> Option<String> {
    let (length, bucket, margin_h) = match raw.span {
        Span::Hours => (count.hours(), "hour", 2),
        Span::Days => (count.days(), "day", 48),
        Span::Months => (count.months(), "month", 62 * 24),
    };
    let about =
        |time: DateTime| time.duration_since(now.local()).abs() <= SignedDuration::from_hours(margin_h);
    if about(dated) || dated.checked_add(length).is_ok_and(about) {
        return None;
    }
    let date = dated.strftime("%Y-%m-%d");
    let why = if never_set(dated) { NEVER_SET } else { " and is wrong" };
    Some(format!(
        "the dates are by the plug's clock, which shows {date}{why}; the last line is the present {bucket}; {REMEDY}"
    ))
}

/// The command line.
#[cfg(feature = "bridge")]
mod cli {
    use super::*;
    use crate::capability::cli::{Face, Labels, Target, Text, bar, bar_width};

    /// The widest bar of the chart.
    const WIDTH: u32 = 40;

    /// What stands before it: time, energy and blanks.
    const BEFORE: usize = 32;

    /// Shows what the plug has recorded.
    #[derive(Debug, clap::Args)]
    pub struct Command {
        #[command(flatten)]
        target: Target,
        /// The last hours, days or months.
        #[arg(long, value_enum, default_value = "hours")]
        span: Span,
        /// One port, by number or name; else their sum.
        #[arg(long)]
        port: Option<String>,
        /// For spreadsheets.
        #[arg(long, conflicts_with = "json")]
        csv: bool,
        /// What the plug's figures are. Sources disagree; watt-hours fit best.
        #[arg(long, value_enum, default_value = "wh")]
        unit: Unit,
        /// The plug's date is that of the oldest figure, not of the newest.
        #[arg(long)]
        dated_first: bool,
    }

    /// What figures in a record are.
    #[derive(Debug, Clone, Copy, clap::ValueEnum)]
    enum Unit {
        /// Watt-hours.
        Wh,
        /// Kilowatt-hours.
        Kwh,
        /// Thousandths of watt-hours.
        Mwh,
    }

    impl Face for Command {
        type Request = HistoryRequest;
        const ABOUT: &'static str = "for its record";

        fn target(&self) -> &Target {
            &self.target
        }

        fn counts_ports(&self) -> bool {
            self.port.is_some()
        }

        fn request<E>(&self, port: impl Fn(&str) -> Result<u8, E>) -> Result<HistoryRequest, E> {
            let wh = match self.unit {
                Unit::Wh => 1.0,
                Unit::Kwh => 1000.0,
                Unit::Mwh => 0.001,
            };
            Ok(HistoryRequest {
                span: Some(self.span),
                port: self.port.as_deref().map(port).transpose()?,
                meaning: Some(Meaning { wh, dated_first: self.dated_first }),
            })
        }

        fn text(&self, history: &History, plug: &dyn Labels) -> Text {
            if self.csv { csv(history) } else { chart(history, plug) }
        }
    }

    fn cost(history: &History, wh: f64) -> Option<f64> {
        history.price.map(|price| wh / 1000.0 * price)
    }

    fn csv(history: &History) -> Text {
        let text =
            |number: Option<f64>, digits: usize| number.map(|n| format!("{n:.digits$}")).unwrap_or_default();
        let ports = history.rows.first().map_or(0, |row| row.ports.len());
        let ports: Vec<String> = (1..=ports).map(|port| format!("port_{port}_wh")).collect();
        let head = format!("time,{},wh,cost", ports.join(","));
        let row = |HistoryRow { time, wh, ports }: &HistoryRow| {
            let ports: Vec<String> = ports.iter().map(|wh| text(*wh, 2)).collect();
            let cost = wh.and_then(|wh| cost(history, wh));
            format!("{time},{},{},{}", ports.join(","), text(*wh, 2), text(cost, 4))
        };
        let lines = std::iter::once(head).chain(history.rows.iter().map(row)).collect();
        Text { lines, whole_lines: true, ..Text::default() }
    }

    fn chart(history: &History, plug: &dyn Labels) -> Text {
        let subject = match history.port {
            Some(port) => format!("port {port} {}", plug.port_name(port)),
            None => "all ports".into(),
        };
        let most = history.rows.iter().filter_map(|row| row.wh).fold(0.0, f64::max);
        let width = bar_width(plug.columns(), BEFORE, WIDTH);
        let mut lines = vec![format!("{}, {}", plug.name(), subject.trim_end())];
        lines.extend(history.rows.iter().map(|HistoryRow { time, wh, .. }| {
            let bar = bar(wh.unwrap_or(0.0) / most.max(f64::MIN_POSITIVE), width);
            let figure = wh.map_or("-".into(), energy);
            format!("{time:<16} {figure:>12}  {bar}")
        }));
        let sum: f64 = history.rows.iter().filter_map(|row| row.wh).sum();
        let price = cost(history, sum).zip(history.currency);
        let price = price.map(|(cost, currency)| format!(", {cost:.2} {currency}")).unwrap_or_default();
        lines.push(format!("together {}{price}", energy(sum)));
        lines.extend(history.warning.clone());
        Text { lines, ..Text::default() }
    }

    /// Energy in the unit that people would take: 0.3 Wh, 840.0 Wh, 2.35 kWh, 12.4 kWh.
    pub(super) fn energy(wh: f64) -> String {
        let kwh = wh / 1000.0;
        match wh {
            ..0.05 if wh > 0.0 => format!("{wh:.2} Wh"),
            ..999.95 => format!("{wh:.1} Wh"),
            ..9995.0 => format!("{kwh:.2} kWh"),
            ..999_950.0 => format!("{kwh:.1} kWh"),
            _ => format!("{:.2} MWh", kwh / 1000.0),
        }
    }
}
#[cfg(feature = "bridge")]
pub(super) use cli::Command;

#[cfg(test)]
mod tests {
    use super::super::tests::now;
    use super::*;

    fn times(span: Span, date: Option<&str>, dated_first: bool) -> Vec<String> {
        let figures = vec![vec![Some(1.0), None, Some(2.5)], vec![Some(3.0)]];
        let history =
            RawHistory { span, date: date.map(Into::into), rows: figures, cost: None, currency: None };
        let now = now();
        let meaning = Meaning { wh: 1000.0, dated_first };
        let all = rows(&history, None, meaning, &now);
        assert_eq!(all.iter().map(|row| row.wh).collect::<Vec<_>>(), [Some(4000.0), None, Some(2500.0)]);
        let second = rows(&history, Some(2), meaning, &now);
        assert_eq!(second.first().and_then(|row| row.wh), Some(3000.0));
        all.into_iter().map(|row| row.time).collect()
    }

    #[test]
    fn rows_carry_their_time_by_either_reading_of_the_date() {
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

    #[test]
    fn dates_of_a_clock_that_is_wrong_are_explained_and_right_ones_are_not() {
        let now = now();
        let warning = |span, date: &str, count: usize| {
            let rows = vec![vec![Some(1.0); count]];
            let history = RawHistory { span, date: Some(date.into()), rows, cost: None, currency: None };
            readable(&history, None, None, false, &now).warning
        };
        // By the newest and by the oldest.
        for (span, count, dates) in [
            (Span::Hours, 24, ["2026-11-21-12", "2026-11-20-13"]),
            (Span::Days, 31, ["2026-11-21", "2026-10-22"]),
            (Span::Months, 12, ["2026-11", "2025-12"]),
        ] {
            for date in dates {
                assert_eq!(warning(span, date, count), None, "{date}");
            }
            let never = warning(span, "2013-12-26", count).expect("years ago");
            assert!(
                never.contains("2013-12-26, as nobody has set it") && never.contains("set it:"),
                "{never}"
            );
            let wrong = warning(span, "2026-05-02", count).expect("half a year off");
            assert!(wrong.contains("2026-05-02 and is wrong"), "{wrong}");
        }
        assert!(warning(Span::Hours, "1970-01-01-03", 24).is_some_and(|why| why.contains("present hour")));
    }

    #[cfg(feature = "bridge")]
    #[test]
    fn energy_is_shown_in_the_unit_of_its_size() {
        use super::cli::energy;
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
