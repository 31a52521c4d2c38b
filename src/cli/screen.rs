//! Text that fits the screen of whoever reads it.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use terminal_size::{Width, terminal_size_of};

/// Columns where nobody says how many there are.
pub const USUAL: usize = 80;

/// Columns of the terminal this goes to, [`USUAL`] where it does not tell; none when it is no terminal.
/// `COLUMNS` has the last word.
pub fn columns(to: &(impl AsFd + IsTerminal)) -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|said| said.parse().ok()).filter(|said| *said > 0);
    let terminal = || terminal_size_of(to).map_or(USUAL, |(Width(columns), _)| usize::from(columns));
    said.or_else(|| to.is_terminal().then(terminal))
}

/// Breaks a line between words. What does not fit goes on below where its text begins: behind the
/// first words that are followed by more than one blank, as in a table.
fn broken(line: &str, columns: usize) -> Vec<String> {
    let length = |text: &str| text.chars().count();
    if length(line) <= columns {
        return vec![line.to_owned()];
    }
    let start = line.len() - line.trim_start().len();
    let gap = line.get(start..).and_then(|text| text.rfind("  ")).map(|gap| start + gap + 2);
    let (head, rest) = line.split_at(gap.filter(|gap| *gap < columns / 2).unwrap_or(0));
    let hang = if head.is_empty() { start + 2 } else { length(head) };
    let mut lines = vec![head.to_owned()];
    for word in rest.split_inclusive(' ') {
        let Some(last) = lines.last_mut() else { break };
        let fits = length(last) + length(word.trim_end()) <= columns;
        if fits || last.trim().is_empty() {
            last.push_str(word);
        } else {
            lines.push(format!("{:hang$}{word}", ""));
        }
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// A text broken between words, where there are columns to fit into.
pub fn wrapped(text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return text.to_owned() };
    text.split('\n').flat_map(|line| broken(line, columns.max(20))).collect::<Vec<_>>().join("\n")
}

/// Standard output for prose: lines are broken between words on a terminal.
#[derive(Debug)]
pub struct Prose<W> {
    to: W,
    columns: Option<usize>,
    line: Vec<u8>,
}

impl<W: Write> Prose<W> {
    /// Writes to `to`, which has so many columns.
    pub fn new(to: W, columns: Option<usize>) -> Self {
        Self { to, columns, line: Vec::new() }
    }
}

impl<W: Write> Write for Prose<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for byte in bytes {
            self.line.push(*byte);
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.to.write_all(wrapped(&String::from_utf8_lossy(&line), self.columns).as_bytes())?;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let rest = std::mem::take(&mut self.line);
        self.to.write_all(&rest)?;
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_go_on_below_their_text() {
        let text = "bad   broker      nobody listens at mqtt://broker.lan:1883, so it is off\nshort";
        assert_eq!(
            wrapped(text, Some(50)),
            "bad   broker      nobody listens at\n                  mqtt://broker.lan:1883, so it is\n                  off\nshort"
        );
        assert_eq!(wrapped(text, None), text);
        assert_eq!(wrapped("  one two three four five", Some(20)), "  one two three four\n    five");
        let long = "x".repeat(200);
        assert_eq!(wrapped(&format!("{long} y"), Some(30)), format!("{long}\n  y"));
        let mut out = Vec::new();
        writeln!(Prose::new(&mut out, Some(20)), "one two three {} five", "four".to_owned()).unwrap();
        assert_eq!(String::from_utf8_lossy(&out), "one two three four\n  five\n");
    }
}
