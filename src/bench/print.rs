//! What a benchmark prints: one line of JSON for programs, a few lines for people.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use super::failure::Failure;
use super::run::Flaws;

/// A benchmark, and how its results are printed.
#[derive(Clone, Debug, Args)]
pub(super) struct Printed<A: Args> {
    #[command(flatten)]
    pub(super) args: A,
    /// Print one line of JSON on a terminal too, as it is printed elsewhere
    #[arg(long)]
    json: bool,
}

/// What a benchmark has found.
pub(super) trait Results: Serialize {
    /// For people.
    fn lines(&self) -> Lines;

    /// What went wrong.
    fn flaws(&self) -> Flaws;
}

/// What people read beside each other: what it is, and how it is.
pub(super) type Lines = Vec<(&'static str, String)>;

/// The object that a benchmark prints.
#[derive(Debug, Serialize)]
struct Report<'a, P, R> {
    benchmark: &'a str,
    #[serde(flatten)]
    parameters: &'a P,
    #[serde(flatten)]
    results: &'a R,
}

impl<A: Args + Serialize> Printed<A> {
    /// Prints what a benchmark has found; the exit code says whether something went wrong.
    pub(super) fn conclude(&self, benchmark: &str, results: &impl Results) -> Result<ExitCode, Failure> {
        print(self.json, &Report { benchmark, parameters: &self.args, results }, &results.lines())?;
        Ok(if results.flaws() == Flaws::default() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Prints one object of JSON, or the lines if a person reads and did not ask for JSON.
pub(super) fn print(json: bool, object: &impl Serialize, lines: &[(&str, String)]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    if json || !stdout.is_terminal() {
        serde_json::to_writer(&mut stdout, object)?;
        stdout.write_all(b"\n")?;
    } else {
        for (what, how) in lines {
            writeln!(stdout, "{what:10}  {how}")?;
        }
    }
    stdout.flush()
}
