//! What is fuzzed: one function for each parser that a stranger or a file can reach.
//!
//! A target takes any octets and panics when a property does not hold. `cargo fuzz` calls it with octets that it invents
//! (`fuzz_targets/`), `tests/corpus.rs` with those of `seeds/` and `corpus/`.

pub mod config;
pub mod control;
pub mod frame;
pub mod ledger;
pub mod message_id;
pub mod pair;
pub mod receipt_text;
pub mod routes;
pub mod session;
pub mod spool;
pub mod submission;
pub mod text;
pub mod udh;
pub mod views;
pub mod wire;

mod stage;

/// Reads any octets; panics when a property does not hold.
pub type Target = fn(&[u8]);

/// All of them, by name.
pub const TARGETS: [(&str, Target); 15] = [
    ("config", config::run),
    ("control", control::run),
    ("frame", frame::run),
    ("ledger", ledger::run),
    ("message_id", message_id::run),
    ("pair", pair::run),
    ("receipt_text", receipt_text::run),
    ("routes", routes::run),
    ("session", session::run),
    ("spool", spool::run),
    ("submission", submission::run),
    ("text", text::run),
    ("udh", udh::run),
    ("views", views::run),
    ("wire", wire::run),
];
