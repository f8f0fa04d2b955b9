//! One file per command.

pub mod check;
pub mod ctl;
pub mod demo;
pub mod hash_password;
pub mod load;
pub mod route;
pub mod send;
pub mod serve;
pub mod simulate;
pub mod split;
pub mod views;

use std::fmt::Display;
use std::io::Write;

/// Writes a line to standard output. Whoever reads may have seen enough and gone, which is no reason to end in a panic.
fn say(line: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}
