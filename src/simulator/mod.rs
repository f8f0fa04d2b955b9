//! Simulated operators and clients for the demo, tests and benchmarks.
//!
//! [`Smsc`] is an operator that misbehaves on demand; [`load`] is a client that measures and loses nothing unseen. Both speak SMPP
//! by themselves (see `wire`), and neither waits for the other: what one read brought is answered by one write.

pub mod load;
pub mod smsc;

mod address;
mod histogram;
mod line_file;
mod receipt_fields;
mod stamp;
mod wire;

#[cfg(test)]
mod tests;

pub use address::address;
pub use histogram::{Histogram, Quantiles};
pub use line_file::LineFile;
pub use receipt_fields::ReceiptFields;
pub use smsc::{Behaviour, Counts, Mo, Record, Smsc, SmscSettings};
pub use wire::{Input, OutOfStep, Pdu};
