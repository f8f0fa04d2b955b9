//! The SMSC side: listeners, login, the session task of a bound application.
