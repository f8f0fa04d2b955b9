//! One file per command.

pub mod split;
