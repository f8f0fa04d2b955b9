//! The ESME side: binds to operators, what they are sent and what they answer.
//!
//! [`outcome`], [`pace`], [`submit`] and [`deliver`] decide and are pure; `bind` is the task that owns one connection, `traffic` what
//! that connection is doing while bound, and [`pool`] starts and stops the tasks as the configuration says.

mod bind;
pub mod deliver;
mod give_way;
pub mod outcome;
pub mod pace;
pub mod pool;
pub mod submit;
mod traffic;
