//! What was measured: printed for people, and kept as JSON for whoever compares runs.

use std::path::Path;

use serde_json::{Map, Value, json};

/// Figures taken on a machine like the test hosts, not in this run.
pub const SUCH_A_HOST: &str = "measured on such a host";
/// Figures that users and the project's own pages give.
pub const PUBLISHED: &str = "docs.k3s.io and users' reports";
/// Figures taken by this run.
pub const THIS_RUN: &str = "this run";

/// One line.
#[derive(Debug, Default)]
pub struct Row {
    /// What was measured.
    pub what: &'static str,
    /// The figures in words.
    pub measured: String,
    /// The figures as numbers; the unit is the end of the name.
    pub figures: Vec<(&'static str, f64)>,
    /// What others need, and where that comes from.
    pub anchor: String,
    /// Where the anchor comes from.
    pub source: &'static str,
    /// What is aimed at.
    pub aim: String,
    /// Whether the aim is met; without an aim, nothing.
    pub met: Option<bool>,
}

/// The rows in the order in which they were measured.
#[derive(Debug, Default)]
pub struct Table(Vec<Row>);

impl Table {
    /// Adds a row, and tells of it: the whole takes minutes.
    pub fn add(&mut self, row: Row) {
        eprintln!("  {}: {}", row.what, row.measured);
        self.0.push(row);
    }

    /// Prints the rows as a table in Markdown.
    pub fn print(&self) {
        println!("| what | measured | anchor | source | aim | met |");
        println!("|---|---|---|---|---|---|");
        for row in &self.0 {
            let met = row.met.map_or("", |met| if met { "yes" } else { "NO" });
            println!(
                "| {} | {} | {} | {} | {} | {met} |",
                row.what, row.measured, row.anchor, row.source, row.aim
            );
        }
    }

    /// Writes the rows as JSON.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, file: &Path) -> anyhow::Result<()> {
        let row = |row: &Row| {
            let figures: Map<String, Value> = row
                .figures
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect();
            json!({"what": row.what, "measured": row.measured, "figures": figures, "anchor": row.anchor,
                "source": row.source, "aim": row.aim, "met": row.met})
        };
        let rows: Vec<Value> = self.0.iter().map(row).collect();
        std::fs::write(file, serde_json::to_string_pretty(&rows)?)?;
        Ok(())
    }
}

/// The time below which `percent` of the sorted times are: the nearest rank, so that the 99th of 20 is the longest.
pub fn at(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or_default()
}

/// Sorts times.
pub fn sorted(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times
}
