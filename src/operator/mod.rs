//! The ESME side: binds to operators, what they are sent and what they answer.
//!
//! [`outcome`], [`pace`], [`submit`] and [`deliver`] decide and are pure; `bind` is the task that owns one connection, `pool` starts
//! and stops these tasks as the configuration says.

pub mod deliver;
pub mod outcome;
pub mod pace;
pub mod submit;
