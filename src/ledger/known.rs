//! Names of operators at hand, without the lock of the table that all threads share.

use std::sync::Arc;

use crate::message::{Names, OperatorKey};

/// A table of names, and those of its names that were asked for: a key keeps its name for ever.
#[derive(Debug)]
pub(super) struct KnownNames {
    table: Arc<Names>,
    known: Vec<Option<Arc<str>>>,
}

impl KnownNames {
    pub fn new(table: Arc<Names>) -> Self {
        KnownNames { table, known: Vec::new() }
    }

    pub fn table(&self) -> &Arc<Names> {
        &self.table
    }

    pub fn intern(&self, name: &str) -> OperatorKey {
        OperatorKey(self.table.intern(name))
    }

    /// The name behind a key; empty without one.
    pub fn name(&mut self, key: Option<OperatorKey>) -> &str {
        let Some(OperatorKey(key)) = key else { return "" };
        let at = usize::from(key);
        if self.known.len() <= at {
            self.known.resize(at + 1, None);
        }
        self.known[at].get_or_insert_with(|| self.table.name(key))
    }
}
