//! One file per command.

pub mod check;
pub mod hash_password;
pub mod load;
pub mod route;
pub mod send;
pub mod simulate;
pub mod split;
