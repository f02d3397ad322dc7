//! What a suite has found: figures of several rounds, what was seen besides, and what went wrong.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;

use super::failure::Failure;
use super::suite::Measured;
use super::text;

/// The figures of one benchmark with one server, round by round.
#[derive(Debug, Default)]
pub(super) struct Cell {
    /// One for each round; `None` if nothing was measured in it.
    figures: Vec<Option<f64>>,
    /// Microseconds of the server per operation.
    cpu: Vec<f64>,
}

impl Cell {
    /// Takes note of a round; returns what went wrong in it.
    pub(super) fn add(&mut self, measured: Result<&Measured, &str>) -> Option<String> {
        let figure =
            measured.ok().and_then(|printed| printed.server_rss_kb_per_session.or(printed.per_second));
        self.figures.push(figure);
        match measured {
            Ok(printed) => {
                self.cpu.extend(printed.server_cpu_us_per_op);
                Some(printed.flaws.to_string()).filter(|flaws| !flaws.is_empty())
            }
            Err(reason) => Some(reason.to_owned()),
        }
    }

    /// Whether anything was measured.
    pub(super) fn is_empty(&self) -> bool {
        self.measured().next().is_none()
    }

    /// Whether the CPU time of the server was measured.
    pub(super) fn has_cpu(&self) -> bool {
        !self.cpu.is_empty()
    }

    /// The figure of each round.
    pub(super) fn figures(&self) -> String {
        list(self.measured(), text::short)
    }

    /// The CPU time of each round.
    pub(super) fn cpu(&self) -> String {
        list(self.cpu.iter().copied(), text::digits)
    }

    /// The ratio of the figures to those of another, in the middle of the rounds in which both were measured.
    pub(super) fn ratio_to(&self, other: &Self) -> Option<f64> {
        let rounds = self.figures.iter().zip(&other.figures);
        middle(rounds.filter_map(|(own, other)| Some(own.as_ref()? / other.filter(|other| *other > 0.0)?)))
    }

    /// The cost of an operation in microseconds, in the middle of all rounds: CPU time of the server if that was
    /// measured, or else the time of which each takes a part.
    pub(super) fn cost(&self) -> Option<f64> {
        let time = || middle(self.measured()).filter(|figure| *figure > 0.0).map(|figure| 1e6 / figure);
        middle(self.cpu.iter().copied()).or_else(time)
    }

    fn measured(&self) -> impl Iterator<Item = f64> {
        self.figures.iter().flatten().copied()
    }
}

fn list(figures: impl Iterator<Item = f64>, text: fn(f64) -> String) -> String {
    figures.map(text).collect::<Vec<_>>().join(", ")
}

/// The median.
fn middle(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let last = figures.len().checked_sub(1)?;
    Some(f64::midpoint(figures[last / 2], figures[last.div_ceil(2)]))
}

/// What a suite has found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// For a document.
    pub(super) markdown: String,
    /// For a terminal, if that is something else.
    pub(super) lines: Option<String>,
    /// What went wrong.
    pub(super) wrong: Vec<String>,
}

/// The file of a document, open before there is anything to write.
pub(super) struct Document {
    file: File,
    name: String,
}

impl Document {
    /// Opens it. What it holds stays until the document is written.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let name = path.display().to_string();
        match File::options().write(true).create(true).truncate(false).open(path) {
            Ok(file) => Ok(Self { file, name }),
            Err(source) => Err(Failure::Write { file: name, source }),
        }
    }

    fn write(mut self, text: &str) -> Result<(), Failure> {
        // What is no file, such as a terminal, has no length.
        let _ = self.file.set_len(0);
        self.file.write_all(text.as_bytes()).map_err(|source| Failure::Write { file: self.name, source })
    }
}

impl Findings {
    /// Writes the document, or prints what suits those who read.
    pub(super) fn publish(&self, document: Option<Document>) -> Result<ExitCode, Failure> {
        if let Some(document) = document {
            document.write(&self.markdown)?;
        } else {
            let mut stdout = io::stdout().lock();
            let text = self.lines.as_ref().filter(|_| stdout.is_terminal()).unwrap_or(&self.markdown);
            stdout.write_all(text.as_bytes())?;
            stdout.flush()?;
        }
        Ok(if self.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    /// What went wrong, or that nothing did.
    pub(super) fn verdict(&self) -> String {
        if self.wrong.is_empty() {
            return "Nothing was lost, repeated, out of order or answered by an error in any of them.\n"
                .to_owned();
        }
        let wrong = self.wrong.iter().map(|wrong| format!("- {wrong}\n"));
        std::iter::once("What went wrong:\n\n".to_owned()).chain(wrong).collect()
    }
}

/// A block of commands in Markdown.
pub(super) fn commands(commands: impl Iterator<Item = Vec<String>>) -> String {
    let mut text = "\nWith the router this was run:\n\n```sh\n".to_owned();
    for command in commands {
        let _ = writeln!(text, "realmkeeper {}", command.join(" "));
    }
    text + "```\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_rounds_is_their_median() {
        let middle = |figures: &[f64]| middle(figures.iter().copied());
        assert_eq!(middle(&[]), None);
        assert_eq!(middle(&[3.0]), Some(3.0));
        assert_eq!(middle(&[4.0, 1.0]), Some(2.5));
        assert_eq!(middle(&[9.0, 1.0, 2.0]), Some(2.0));
    }

    #[test]
    fn a_ratio_is_that_of_figures_of_the_same_round() {
        let cell = |figures: &[Option<f64>]| Cell { figures: figures.into(), cpu: Vec::new() };
        let own = cell(&[Some(8.0), Some(3.0), None, Some(5.0), Some(9.0)]);
        let other = cell(&[Some(10.0), Some(4.0), Some(1.0), Some(10.0), None]);
        assert_eq!(own.ratio_to(&other), Some(0.75));
        assert_eq!(own.ratio_to(&cell(&[])), None);
        assert_eq!(own.ratio_to(&cell(&[Some(0.0)])), None);
    }
}
