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
    /// The ratio of the first server to another.
    fn ratio(&self, column: usize) -> Option<String> {
        self.cells[0].ratio_to(self.cells.get(column)?).map(text::digits)
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

#[cfg(test)]
mod tests {
    use super::super::run::Flaws;
    use super::super::suite::Measured;
    use super::*;

    fn cell(rounds: &[(f64, Option<f64>)]) -> Cell {
        let mut cell = Cell::default();
        for (per_second, cpu) in rounds {
            let measured =
                Measured { per_second: Some(*per_second), server_cpu_us_per_op: *cpu, ..Measured::default() };
            assert_eq!(cell.add(Ok(&measured)), None);
        }
        cell
    }

    fn row(title: &str, cells: [Cell; 3]) -> Row {
        Row { title: title.to_owned(), unit: "calls/s", cells: cells.into() }
    }

    #[test]
    fn servers_stand_side_by_side_and_what_was_not_measured_is_left_out() {
        let router = || cell(&[(600e3, Some(1.5)), (650e3, Some(1.4)), (700e3, Some(1.3))]);
        let relay = cell(&[(1.2e6, Some(0.5)), (1.3e6, Some(0.6)), (1.4e6, Some(0.7))]);
        let servers = ["router", "relay", "other"].map(str::to_owned).into();
        let rows = vec![
            row("rpc --window 32", [router(), relay, cell(&[(5000.0, None)])]),
            row("meta", [router(), Cell::default(), Cell::default()]),
        ];
        let table = Table { servers, rows };
        let markdown = "\
| | router | CPU us | relay | CPU us | router to it | other | router to it |
|---|---|---|---|---|---|---|---|
| `rpc --window 32`, calls/s | 600k, 650k, 700k | 1.50, 1.40, 1.30 | 1.20M, 1.30M, 1.40M | 0.50, 0.60, 0.70 | 0.50 | 5.00k | 120 |
| `meta`, calls/s | 600k, 650k, 700k | 1.50, 1.40, 1.30 |  |  |  |  |  |
";
        assert_eq!(table.markdown(), markdown);
        let lines = "\
rpc --window 32  (calls/s)
  router  600k, 650k, 700k     CPU 1.50, 1.40, 1.30 us
  relay   1.20M, 1.30M, 1.40M  CPU 0.50, 0.60, 0.70 us  ratio 0.50
  other   5.00k                ratio 120

meta  (calls/s)
  router  600k, 650k, 700k  CPU 1.50, 1.40, 1.30 us
";
        assert_eq!(table.lines(), lines);
    }

    #[test]
    fn what_went_wrong_is_told() {
        let flaws = Flaws { lost: 1200, out_of_order: 1, ..Flaws::default() };
        let told = Cell::default().add(Ok(&Measured { flaws, ..Measured::default() }));
        assert_eq!(told.as_deref(), Some("1,200 lost, 1 out of order"));
        assert_eq!(Cell::default().add(Err("no connection")).as_deref(), Some("no connection"));
    }
}
