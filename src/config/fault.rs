//! What is wrong with a configuration, and where: the one type that every check reports in.

use std::fmt;
use std::sync::Arc;

/// Whether the daemon can run with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is refused whole.
    Error,
    /// The configuration serves, but its author should look at it.
    Warning,
}

/// One fault: the place, the field as its author knows it, and what was expected there.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Fault {
    /// The file as it was named on the command line or in the configuration.
    pub file: Arc<str>,
    /// Line, from 1; 0 when the fault is of the file as a whole.
    pub line: u32,
    /// Column in characters, from 1; 0 when only the line is known.
    pub column: u32,
    /// The field with its section, `account.window`; empty when it is of no field.
    pub field: String,
    pub message: String,
    pub severity: Severity,
}

impl Fault {
    /// An error in a line of a file: the constructor for checks outside this module, such as those of the route table.
    pub fn error(file: &str, line: u32, field: &str, message: impl Into<String>) -> Fault {
        Fault {
            file: Arc::from(file),
            line,
            column: 0,
            field: field.to_owned(),
            message: message.into(),
            severity: Severity::Error,
        }
    }

    /// As [`Fault::error`], for what is allowed but unwise.
    pub fn warning(file: &str, line: u32, field: &str, message: impl Into<String>) -> Fault {
        Fault { severity: Severity::Warning, ..Fault::error(file, line, field, message) }
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        f.write_str(": ")?;
        if self.severity == Severity::Warning {
            f.write_str("warning: ")?;
        }
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}
