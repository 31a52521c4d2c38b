//! What a plug has recorded by itself, as it tells it: raw figures, whose unit and time must be
//! learnt.

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
