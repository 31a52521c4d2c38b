//! Tables for people.

use std::io::{self, Write};

/// Writes rows in columns as wide as they need to be.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn write(rows: &[Vec<String>], out: &mut dyn Write) -> io::Result<()> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}

/// A row.
pub fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(String::from).into()
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
    use super::*;

    #[test]
    fn columns_line_up_and_lines_have_no_tail() {
        let mut out = Vec::new();
        let rows = [row(["ID", "NAME"]), row(["longer", "Büro"]), row(["x", ""])];
        write(&rows, &mut out).expect("written");
        assert_eq!(String::from_utf8_lossy(&out), "ID      NAME\nlonger  Büro\nx\n");
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
