//! The SMSC side: listeners, login, the session task of a bound application.

pub mod deliver;
pub mod listener;
pub mod login;
mod query;
mod session;
