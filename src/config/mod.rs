//! The configuration: text to raw (spanned tables) to checked (validated, resolved).

pub mod checked;
pub mod fault;

pub use checked::*;
pub use fault::{Fault, Severity};
