//! What a plug has recorded by itself, as it tells it: raw figures, whose unit and time must be
//! learnt.

use jiff::{civil::DateTime, tz::Offset};

/// How long the buckets of a record are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// The last 24 hours.
    Hours,
    /// The last 30 or 31 days.
    Days,
    /// The last 12 months.
    Months,
}

/// A plug's own record of energy, raw.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
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

impl History {
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
}
