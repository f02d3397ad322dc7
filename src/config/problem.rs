//! What is wrong with a file, and where.

use std::{fmt, ops::Range};

/// Something that a person should change in a configuration file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    file: String,
    line: usize,
    column: usize,
    key: String,
    text: String,
    severity: Severity,
}

/// Whether a file can be used although it has a problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Severity {
    /// It cannot.
    Error,
    /// It can.
    Warning,
}

impl Problem {
    /// The line and the column, which count from 1.
    #[cfg(feature = "fuzzing")]
    pub(crate) fn position(&self) -> (usize, usize) {
        (self.line, self.column)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, key, text, severity } = self;
        write!(f, "{file}:{line}:{column}: ")?;
        if *severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !key.is_empty() {
            write!(f, "{key}: ")?;
        }
        f.write_str(text)
    }
}

/// The problems of one file.
#[derive(Debug)]
pub(super) struct Problems<'a> {
    file: String,
    text: &'a str,
    found: Vec<Problem>,
    /// Those of other files that this one names.
    elsewhere: Vec<Problem>,
}

impl<'a> Problems<'a> {
    /// No problem yet with a file of this name and text.
    pub(super) fn new(file: String, text: &'a str) -> Self {
        Self { file, text, found: Vec::new(), elsewhere: Vec::new() }
    }

    /// The name of the file.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// Notes what makes the file unusable.
    pub(super) fn error(&mut self, span: Range<usize>, key: &str, text: impl Into<String>) {
        self.note(Severity::Error, span, key, text.into());
    }

    /// Notes what may not be meant so.
    pub(super) fn warning(&mut self, span: Range<usize>, key: &str, text: impl Into<String>) {
        self.note(Severity::Warning, span, key, text.into());
    }

    /// Whether nothing at a key and below it has errors.
    pub(super) fn is_sound(&self, key: &str) -> bool {
        self.errors_below(key).next().is_none()
    }

    /// Whether neither a list of tables nor a key of its tables has errors; what is below those may have.
    pub(super) fn has_sound_tables(&self, key: &str) -> bool {
        self.errors_below(key).all(|rest| rest.matches('.').count() > 1)
    }

    /// Takes in those of another file that this one names.
    pub(super) fn include(&mut self, other: Problems<'_>) {
        let (Ok(problems) | Err(problems)) = other.into_result();
        self.elsewhere.extend(problems);
    }

    /// All, in the order of the file; an error if one of them is. Those of other files follow.
    pub(super) fn into_result(mut self) -> Result<Vec<Problem>, Vec<Problem>> {
        self.found.sort_by_key(|problem| (problem.line, problem.column));
        self.found.append(&mut self.elsewhere);
        let is_error = |problem: &Problem| problem.severity == Severity::Error;
        if self.found.iter().any(is_error) { Err(self.found) } else { Ok(self.found) }
    }

    /// What follows a key in the keys of errors.
    fn errors_below(&self, key: &str) -> impl Iterator<Item = &str> {
        let errors = self.found.iter().filter(|problem| problem.severity == Severity::Error);
        errors.filter_map(move |problem| problem.key.strip_prefix(key))
    }

    fn note(&mut self, severity: Severity, span: Range<usize>, key: &str, text: String) {
        let (line, column) = position(self.text, span.start);
        let (file, key) = (self.file.clone(), key.to_owned());
        self.found.push(Problem { file, line, column, key, text, severity });
    }
}

/// The line and the column of an offset, both from 1; the column counts characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}
