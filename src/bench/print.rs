//! What a benchmark prints: one line of JSON for programs, a few lines for people.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

/// How results are printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Printer {
    /// As JSON, also on a terminal.
    json: bool,
}

/// What people read beside each other: what it is, and how it is.
pub(super) type Lines = Vec<(&'static str, String)>;

/// The line that a benchmark prints.
#[derive(Debug, Serialize)]
struct Report<'a, P, R> {
    benchmark: &'a str,
    #[serde(flatten)]
    parameters: &'a P,
    #[serde(flatten)]
    results: &'a R,
}

impl Printer {
    /// As JSON unless a person reads.
    pub(super) fn new(json: bool) -> Self {
        Self { json: json || !io::stdout().is_terminal() }
    }

    /// Prints what a benchmark has found.
    pub(super) fn report(
        self,
        benchmark: &str,
        parameters: &impl Serialize,
        results: &impl Serialize,
        lines: Lines,
    ) -> io::Result<()> {
        self.print(&Report { benchmark, parameters, results }, lines)
    }

    /// Prints one object of JSON, or the lines.
    pub(super) fn print(self, object: &impl Serialize, lines: Lines) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        if self.json {
            serde_json::to_writer(&mut stdout, object)?;
            stdout.write_all(b"\n")?;
        } else {
            for (what, how) in lines {
                writeln!(stdout, "{what:10}  {how}")?;
            }
        }
        stdout.flush()
    }
}
