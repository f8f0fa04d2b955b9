//! The SMSC side: listeners, login, the session task of a bound application.

pub mod login;
