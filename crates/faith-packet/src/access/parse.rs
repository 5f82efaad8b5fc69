//! A whole access list as text: its rules, or everything that is wrong with it.

use std::fmt;

use thiserror::Error;

use super::rule::{Rule, RuleError};

/// How many malformed lines are reported one by one. Someone who gave the wrong file learns no more
/// from the ten thousandth.
const REPORTED: usize = 20;

/// A malformed line.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("line {line}: {error}")]
pub struct LineError {
    /// Which one, counted from 1.
    pub line: usize,
    /// What is wrong with it.
    #[source]
    pub error: RuleError,
}

/// The malformed lines of an access list; there is at least one.
///
/// It is shown as `NAME:LINE: what is wrong`, a line for each, and how many more there are.
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

    /// The first twenty of them.
    #[must_use]
    pub fn errors(&self) -> &[LineError] {
        &self.errors
    }

    /// How many more there are.
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

/// Reads the rules of an access list, in their order. `name` is what errors call it, a path mostly.
///
/// # Errors
///
/// [`AccessListErrors`] with every malformed line.
pub fn parse(text: &str, name: &str) -> Result<Vec<Rule>, AccessListErrors> {
    Ok(parse_lines(text, name)?.into_iter().map(|(_, rule)| rule).collect())
}

/// The same, each rule with the number of its line.
pub(super) fn parse_lines(text: &str, name: &str) -> Result<Vec<(usize, Rule)>, AccessListErrors> {
    let mut rules = Vec::new();
    let mut errors = Vec::new();
    let mut more = 0;
    for (line, text) in (1..).zip(text.lines()) {
        match rule_of(text) {
            Ok(rule) => rules.extend(rule.map(|rule| (line, rule))),
            Err(error) if errors.len() < REPORTED => errors.push(LineError { line, error }),
            Err(_) => more += 1,
        }
    }
    if errors.is_empty() { Ok(rules) } else { Err(AccessListErrors { name: name.to_owned(), errors, more }) }
}

/// The rule of a line that may be blank or end in a comment.
fn rule_of(line: &str) -> Result<Option<Rule>, RuleError> {
    // In a file whose lines end with carriage returns alone, one comment would swallow every rule.
    if line.contains('\r') {
        return Err(RuleError::CarriageReturn);
    }
    let rule = line.split_once('#').map_or(line, |(rule, _)| rule);
    if rule.trim_ascii().is_empty() { Ok(None) } else { rule.parse().map(Some) }
}
