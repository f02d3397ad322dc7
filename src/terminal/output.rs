//! What a command prints.

use crate::client::Failure;
use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use std::io::{self, IsTerminal, Stdout, Write};

/// Standard output, without styles where it is no terminal or NO_COLOR is set. Text is written as it is.
pub(super) struct Output {
    stdout: Stdout,
    has_styles: bool,
    /// Whether a person reads along.
    pub(super) is_terminal: bool,
}

impl Output {
    /// Standard output.
    pub(super) fn new() -> Self {
        let stdout = io::stdout();
        let has_styles = AutoStream::choice(&stdout) != ColorChoice::Never;
        Self { is_terminal: stdout.is_terminal(), has_styles, stdout }
    }

    /// How many columns the terminal has, if it is one.
    pub(super) fn width(&self) -> Option<u16> {
        let size = terminal_size::terminal_size_of(io::stdout()).filter(|_| self.is_terminal);
        size.map(|(width, _)| width.0)
    }

    /// Prints a line.
    pub(super) fn line(&mut self, text: &str) -> Result<(), Failure> {
        writeln!(self.stdout, "{text}")?;
        Ok(self.stdout.flush()?)
    }

    /// Prints a line in a style.
    pub(super) fn styled(&mut self, style: Style, text: &str) -> Result<(), Failure> {
        match self.has_styles {
            true => self.line(&format!("{style}{text}{style:#}")),
            false => self.line(text),
        }
    }
}
