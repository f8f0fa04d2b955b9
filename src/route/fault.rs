//! What is wrong with a source, said so that it can be put right.

use std::fmt;

/// One fault of a table's source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, as the caller named it.
    pub source: String,
    /// Line in the file, from 1.
    pub line: u32,
    /// The column or key.
    pub field: &'static str,
    /// What was found and what was expected.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.source, self.line, self.field, self.message)
    }
}

/// Collects faults, and stops keeping them when a file is plainly not what it was taken for.
#[derive(Debug, Default)]
pub(super) struct Faults {
    kept: Vec<Fault>,
    dropped: u64,
}

impl Faults {
    /// A wrong file of ten million lines must not fill the memory with ten million complaints.
    pub(super) const KEPT: usize = 1000;

    pub(super) fn add(&mut self, source: &str, line: u32, field: &'static str, message: impl Into<String>) {
        if self.kept.len() < Self::KEPT {
            self.kept.push(Fault { source: source.to_owned(), line, field, message: message.into() });
        } else {
            self.dropped += 1;
        }
    }

    /// `Err` with everything collected, or `value` when there was nothing.
    pub(super) fn refuse_or<T>(mut self, value: T) -> Result<T, Vec<Fault>> {
        let Some(last) = self.kept.last() else { return Ok(value) };
        if self.dropped > 0 {
            let message = format!("{} more faults are not listed", self.dropped);
            self.kept.push(Fault { message, ..last.clone() });
        }
        Err(self.kept)
    }
}
