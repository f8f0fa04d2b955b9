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
