//! The table of a report, in Markdown and for a terminal.

use std::fmt::Write as _;

use super::findings::Cell;
use super::text;

/// The figures of a report.
#[derive(Debug)]
pub(super) struct Table {
    /// The router first, then the relay if there is one, then others.
    pub(super) servers: Vec<String>,
    pub(super) rows: Vec<Row>,
}

/// One benchmark.
#[derive(Debug)]
pub(super) struct Row {
    /// What was run.
    pub(super) title: String,
    /// What the figures are.
    pub(super) unit: &'static str,
    /// One for each server.
    pub(super) cells: Vec<Cell>,
}

impl Row {
    /// The ratio of the first server to another, in the middle of their rounds.
    fn ratio(&self, column: usize) -> Option<String> {
        let (own, other) = (self.cells[0].middle()?, self.cells.get(column)?.middle()?);
        (other > 0.0).then(|| text::digits(own / other))
    }
}

impl Table {
    /// In Markdown, each figure of each round in its cell.
    pub(super) fn markdown(&self) -> String {
        let has_cpu = |column: usize| self.rows.iter().any(|row| row.cells[column].has_cpu());
        let mut head = "| |".to_owned();
        for (column, server) in self.servers.iter().enumerate() {
            let _ = write!(head, " {server} |");
            if has_cpu(column) {
                head.push_str(" CPU us |");
            }
            if column > 0 {
                let _ = write!(head, " {} to it |", self.servers[0]);
            }
        }
        let mut text = format!("{head}\n|{}\n", "---|".repeat(head.matches('|').count() - 1));
        for row in &self.rows {
            let _ = write!(text, "| `{}`, {} |", row.title, row.unit);
            for (column, cell) in row.cells.iter().enumerate() {
                let _ = write!(text, " {} |", cell.figures());
                if has_cpu(column) {
                    let _ = write!(text, " {} |", cell.cpu());
                }
                if column > 0 {
                    let _ = write!(text, " {} |", row.ratio(column).unwrap_or_default());
                }
            }
            text.push('\n');
        }
        text
    }

    /// For a terminal: each benchmark with a line for each server.
    pub(super) fn lines(&self) -> String {
        let name = self.servers.iter().map(|server| server.chars().count()).max().unwrap_or_default();
        let mut blocks = Vec::new();
        for row in &self.rows {
            let mut block = format!("{}  ({})\n", row.title, row.unit);
            let wide = row.cells.iter().map(|cell| cell.figures().len()).max().unwrap_or_default();
            let measured = self.servers.iter().zip(&row.cells).enumerate();
            for (column, (server, cell)) in measured.filter(|(_, (_, cell))| !cell.is_empty()) {
                let _ = write!(block, "  {server:name$}  {:wide$}", cell.figures());
                if cell.has_cpu() {
                    let _ = write!(block, "  CPU {} us", cell.cpu());
                }
                if let Some(ratio) = row.ratio(column).filter(|_| column > 0) {
                    let _ = write!(block, "  ratio {ratio}");
                }
                block.truncate(block.trim_end().len());
                block.push('\n');
            }
            blocks.push(block);
        }
        blocks.join("\n")
    }
}
