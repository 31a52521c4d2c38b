//! What every capability has in common on the command line: whom it is about, the request that the words
//! mean, and the answer for people.

use super::{Request, read};
use std::fmt;
use std::future::Future;

pub(super) use read::minute_of as time_of_day;

/// A plug, and for whom the answer is.
#[derive(Debug, clap::Args)]
pub struct Target {
    /// Name, id, serial, MAC or address.
    pub plug: String,
    /// For scripts.
    #[arg(long, global = true)]
    pub json: bool,
}

/// The face of a request on the command line.
pub trait Face {
    /// The request.
    type Request: Request;

    /// What the plug is asked, for sentences.
    const ABOUT: &'static str;

    /// Which plug.
    fn target(&self) -> &Target;

    /// What the plug is asked, for sentences, where that depends on the words.
    fn about(&self) -> &'static str {
        Self::ABOUT
    }

    /// It speaks of ports: the plug must say first how many it has.
    fn counts_ports(&self) -> bool {
        false
    }

    /// It sets a clock, for which the time zone must be known.
    fn sets_clock(&self) -> bool {
        false
    }

    /// The request that the words mean; `port` finds a port by number or name.
    ///
    /// # Errors
    ///
    /// Those of `port`.
    fn request<E>(&self, port: impl Fn(&str) -> Result<u8, E>) -> Result<Self::Request, E>;

    /// The answer for people.
    fn text(&self, answer: &<Self::Request as Request>::Answer, plug: &dyn Labels) -> Text;
}

/// What a plug and its ports are called, and how these are locked.
pub trait Labels {
    /// The name of the plug.
    fn name(&self) -> String;
    /// The name of a port, when it has one.
    fn port_name(&self, port: u8) -> String;
    /// Characters of a line of the screen, where the answer goes to one.
    fn columns(&self) -> Option<usize>;
    /// By port, port 1 first; those missing are not locked.
    fn locks(&self) -> Vec<crate::core::Lock>;
}

/// An answer for people: a table, then lines.
#[derive(Debug, Default)]
pub struct Text {
    /// The rows of the table, its head first.
    pub rows: Vec<Vec<String>>,
    /// What stands below.
    pub lines: Vec<String>,
    /// For other programs: a line stays one, however wide the screen is.
    pub whole_lines: bool,
}

impl Text {
    pub(super) fn line(line: String) -> Self {
        Self { lines: vec![line], ..Self::default() }
    }

    pub(super) fn table<const N: usize>(head: [&str; N]) -> Self {
        Self { rows: vec![head.map(Into::into).into()], ..Self::default() }
    }

    pub(super) fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }
}

/// As `1, 2, 5`.
pub(super) fn list<T: fmt::Display>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Carries a command out, whichever it is.
pub trait Runner {
    /// What comes of it.
    type Output;

    /// Does so.
    fn run<F: Face>(self, face: &F) -> impl Future<Output = Self::Output>;
}

/// How wide bars may be behind so many characters of a line: at most `most`, at least a few.
pub fn bar_width(columns: Option<usize>, before: usize, most: u32) -> u32 {
    let left = columns.map_or(usize::MAX, |columns| columns.saturating_sub(before));
    u32::try_from(left).unwrap_or(u32::MAX).clamp(4, most)
}

/// A bar of at most `width` characters, in eighths.
pub fn bar(share: f64, width: u32) -> String {
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let mut left = (share.clamp(0.0, 1.0) * f64::from(width * 8)).round();
    let mut text = String::new();
    while left >= 8.0 {
        text.push('█');
        left -= 8.0;
    }
    let part = (1..8).rev().find(|part| left >= f64::from(*part));
    text + PARTS.get(part.map_or(0, |part| part as usize)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{bar, bar_width};

    #[test]
    fn bars_fit_into_the_screen() {
        for (columns, want) in [(None, 40), (Some(200), 40), (Some(60), 28), (Some(40), 8), (Some(20), 4)] {
            assert_eq!(bar_width(columns, 32, 40), want, "{columns:?}");
        }
    }

    #[test]
    fn bars_grow_in_eighths() {
        for (share, want) in
            [(0.0, ""), (0.5, "██"), (1.0, "████"), (7.0, "████"), (0.28125, "█▏"), (f64::NAN, "")]
        {
            assert_eq!(bar(share, 4), want, "{share}");
        }
    }
}
