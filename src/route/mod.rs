//! Which operators may carry a message: an immutable table of prefixes, ported numbers and rules.
//!
//! ```text
//! number    what the application wrote  -> E.164 digits, TON 1, NPI 1
//! table     digits, account, sender     -> operators in order of preference
//! explain   the same walk, told step by step
//! inbound   number and first word of an MO message -> account
//! ```
//!
//! Everything here is pure: files come in as readers, names become keys by a function of the caller. Building a table
//! collects every fault of its sources and then refuses the whole, so that a running table is never half of what was meant.

mod builder;
mod dialling;
mod digits;
mod explain;
mod fault;
mod inbound;
mod number;
mod ported;
mod prefix_table;
mod rows;
mod table;

#[cfg(test)]
mod builder_tests;
#[cfg(test)]
mod explain_tests;
#[cfg(test)]
mod number_tests;
#[cfg(test)]
mod sample_tests;
#[cfg(test)]
mod table_tests;

pub use builder::{RouteRule, TableBuilder};
pub use digits::Digits;
pub use explain::{Explanation, Question, Step, Verdict};
pub use fault::Fault;
pub use inbound::{Inbound, InboundRule, first_word};
pub use number::{InvalidNumber, LONGEST_SHORT_CODE, NumberRules};
pub use table::{Choice, Query, Table};
