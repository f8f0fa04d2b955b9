//! A socket (TCP or TLS) and the small driver that moves bytes between it and a Session.

pub mod tls;
