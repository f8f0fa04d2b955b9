//! One file per command.

pub mod check;
pub mod hash_password;
pub mod route;
pub mod serve;
pub mod split;
