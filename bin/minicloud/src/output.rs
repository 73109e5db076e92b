//! Prints results: readable tables for people, JSON for programs.

use serde::Serialize;

use crate::cli::Output;

/// Prints `rows` under `headings`, or `value` as JSON.
pub fn print(
    output: Output,
    headings: &[&str],
    rows: &[Vec<String>],
    value: &impl Serialize,
) -> anyhow::Result<()> {
    match output {
        Output::Table => print!("{}", table(headings, rows)),
        Output::Json => println!("{}", serde_json::to_string_pretty(value)?),
    }
    Ok(())
}

/// Columns as wide as their widest cell, three spaces apart, as kubectl's.
pub fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|h| h.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String]| {
        let mut text = String::new();
        for (cell, width) in cells.iter().zip(&widths) {
            text.push_str(cell);
            text.extend(std::iter::repeat_n(
                ' ',
                width + 3 - cell.chars().count().min(*width),
            ));
        }
        format!("{}\n", text.trim_end())
    };
    let headings: Vec<String> = headings.iter().map(|h| (*h).to_owned()).collect();
    let mut out = line(&headings);
    for row in rows {
        out.push_str(&line(row));
    }
    out
}

/// Bytes in the largest binary unit that keeps three digits: `1.5 GiB`.
pub fn bytes(count: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = 0;
    while value >= 1024.0 && unit < units.len() - 1 {
        value /= 1024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{count} B")
    } else {
        format!("{value:.1} {}", units[unit])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        let rows = [
            vec!["a".into(), "bb".into()],
            vec!["ccc".into(), String::new()],
        ];
        assert_eq!(table(&["X", "YY"], &rows), "X     YY\na     bb\nccc\n");
        assert_eq!(
            (bytes(1023), bytes(1536)),
            ("1023 B".into(), "1.5 KiB".into())
        );
    }
}
