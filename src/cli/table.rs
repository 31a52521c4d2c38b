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

/// Writes rows into so many columns of a screen: those columns of the table that are named in
/// `spare` are left out one after another, then the widest is cut.
///
/// # Errors
///
/// When `out` cannot be written.
pub fn fit(rows: &[Vec<String>], screen: usize, spare: &[usize], out: &mut dyn Write) -> io::Result<()> {
    let mut rows: Vec<Vec<(usize, String)>> =
        rows.iter().map(|row| row.iter().cloned().enumerate().collect()).collect();
    let widths = |rows: &[Vec<(usize, String)>]| -> Vec<usize> {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width =
            |n: usize| rows.iter().filter_map(|row| row.get(n)).map(|(_, cell)| cell.chars().count()).max();
        (0..columns).map(|n| width(n).unwrap_or(0)).collect()
    };
    let total = |widths: &[usize]| widths.iter().sum::<usize>() + 2 * widths.len().saturating_sub(1);
    for column in spare {
        if total(&widths(&rows)) > screen {
            rows.iter_mut().for_each(|row| row.retain(|(number, _)| number != column));
        }
    }
    loop {
        let widths = widths(&rows);
        let over = total(&widths).saturating_sub(screen);
        let widest =
            widths.iter().enumerate().max_by_key(|(_, width)| **width).filter(|(_, width)| **width > 8);
        let (1.., Some((column, width))) = (over, widest) else { break };
        // As much as is needed, but not below the next one: they are then cut alike.
        let keep = width.saturating_sub(over.min(width.div_ceil(4))).max(8);
        for (_, cell) in rows.iter_mut().filter_map(|row| row.get_mut(column)) {
            if cell.chars().count() > keep {
                *cell =
                    cell.chars().take(keep.saturating_sub(1)).collect::<String>().trim_end().to_owned() + "…";
            }
        }
    }
    let rows: Vec<Vec<String>> =
        rows.into_iter().map(|row| row.into_iter().map(|(_, cell)| cell).collect()).collect();
    write(&rows, out)
}

/// A row.
pub fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(String::from).into()
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
    fn a_table_fits_the_screen_by_leaving_out_and_then_by_cutting() {
        let rows =
            [row(["ID", "MODEL", "NAME", "NOW"]), row(["maxsmart-1", "Some maker", "Küche", "1 of 6 on"])];
        let at = |screen: usize| {
            let mut out = Vec::new();
            fit(&rows, screen, &[1], &mut out).expect("written");
            String::from_utf8(out).expect("text")
        };
        assert!(at(80).contains("MODEL") && at(40).contains("MODEL"));
        assert!(!at(39).contains("MODEL") && at(39).contains("maxsmart-1  Küche  1 of 6 on"));
        for screen in 26..40 {
            assert!(at(screen).lines().all(|line| line.chars().count() <= screen), "{}", at(screen));
        }
        assert!(at(26).contains('…'));
    }
}
