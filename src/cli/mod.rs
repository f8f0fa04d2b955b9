//! One file per command.
pub mod route;
