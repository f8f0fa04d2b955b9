//! The SMSC side: listeners, login, the session task of a bound application.

mod connection;
pub mod deliver;
pub mod listener;
pub mod login;
mod places;
mod query;
mod session;
mod slowdown;
mod source;
mod throttled;
mod verify;
