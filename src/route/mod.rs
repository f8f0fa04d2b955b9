//! Which operators may carry a message: an immutable table of prefixes, ported numbers and rules.
