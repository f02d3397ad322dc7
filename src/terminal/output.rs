//! What a command prints.

use crate::client::Failure;
use anstream::AutoStream;
use anstyle::Style;
use std::io::{self, IsTerminal, Stdout, Write};

/// Standard output, without colour where it is no terminal or NO_COLOR is set.
pub(super) struct Output {
    stdout: AutoStream<Stdout>,
    /// Whether a person reads along.
    pub(super) is_terminal: bool,
}

impl Output {
    /// Standard output.
    pub(super) fn new() -> Self {
        let stdout = io::stdout();
        Self { is_terminal: stdout.is_terminal(), stdout: AutoStream::auto(stdout) }
    }

    /// How many columns the terminal has, if it is one.
    pub(super) fn width(&self) -> Option<u16> {
        let size = terminal_size::terminal_size_of(io::stdout()).filter(|_| self.is_terminal);
        size.map(|(width, _)| width.0)
    }

    /// Prints a line.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.styled(Style::new(), text)
    }

    /// Prints a line in a style.
    pub(super) fn styled(&mut self, style: Style, text: &str) -> Result<(), Failure> {
        writeln!(self.stdout, "{style}{text}{style:#}")?;
        Ok(self.stdout.flush()?)
    }
}
