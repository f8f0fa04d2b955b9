//! Durable per-account delivery of receipts and MO messages.
