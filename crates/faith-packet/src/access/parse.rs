//! Reads a whole access list: its rules, or all of its malformed lines.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use super::rule::{Rule, RuleError};

/// The number of malformed lines that are reported one by one. More lines would not help an operator
/// who gave the wrong file.
const REPORTED: usize = 20;

/// A malformed line.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}: {error}")]
pub struct LineError {
    /// Its number, counted from 1.
    pub line: usize,
    /// Its error.
    #[source]
    pub error: RuleError,
}

/// The malformed lines of an access list, at least one.
///
/// Displays as `NAME:LINE: ERROR`, one line for each, and the number of further malformed lines.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub struct AccessListErrors {
    name: String,
    errors: Vec<LineError>,
    more: usize,
}

impl AccessListErrors {
    /// The name of the list, as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first twenty malformed lines.
    #[must_use]
    pub fn errors(&self) -> &[LineError] {
        &self.errors
    }

    /// The number of further malformed lines.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }
}

impl fmt::Display for AccessListErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, LineError { line, error }) in self.errors.iter().enumerate() {
            let separator = if index > 0 { "\n" } else { "" };
            write!(f, "{separator}{}:{line}: {error}", self.name)?;
        }
        match self.more {
            0 => Ok(()),
            1 => write!(f, "\n{}: 1 more line is malformed", self.name),
            more => write!(f, "\n{}: {more} more lines are malformed", self.name),
        }
    }
}

/// Reads the rules of an access list, in their order. `name` names the list in errors; it is usually a path.
///
/// # Errors
///
/// [`AccessListErrors`] with the malformed lines.
pub fn parse(text: &str, name: &str) -> Result<Vec<Rule>, AccessListErrors> {
    Ok(parse_lines(text, name)?.rules.into_iter().map(|(_, rule)| rule).collect())
}

/// The rules of a text.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Each rule with its line in its file, or in the text.
    pub(super) rules: Vec<(usize, Rule)>,
    /// The place of the first rule of each file, and the file.
    pub(super) files: Vec<(usize, Arc<str>)>,
}

/// Does the same as [`parse()`], and gives each rule with its line number and its file.
pub(super) fn parse_lines(text: &str, name: &str) -> Result<Lines, AccessListErrors> {
    let Lines { mut rules, mut files } = Lines::default();
    let mut errors = Vec::new();
    let mut more = 0;
    let mut before = 0;
    for (line, text) in (1..).zip(text.lines()) {
        if let Some(file) = file_of(text) {
            files.push((rules.len(), file.into()));
            before = line;
        }
        match rule_of(text) {
            Ok(rule) => rules.extend(rule.map(|rule| (line - before, rule))),
            Err(error) if errors.len() < REPORTED => errors.push(LineError { line, error }),
            Err(_) => more += 1,
        }
    }
    if errors.is_empty() {
        Ok(Lines { rules, files })
    } else {
        Err(AccessListErrors { name: name.to_owned(), errors, more })
    }
}

/// The file that begins after this line.
fn file_of(line: &str) -> Option<&str> {
    line.strip_prefix("#line 1 \"")?.strip_suffix('"')
}

/// The rule of a line that may be blank or end in a comment.
fn rule_of(line: &str) -> Result<Option<Rule>, RuleError> {
    // If lines end with carriage returns alone, one comment would swallow all rules after it.
    if line.contains('\r') {
        return Err(RuleError::CarriageReturn);
    }
    let rule = line.split_once('#').map_or(line, |(rule, _)| rule);
    if rule.trim_ascii().is_empty() { Ok(None) } else { rule.parse().map(Some) }
}
