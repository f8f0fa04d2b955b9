//! The configuration: raw (serde) to checked (validated, resolved).
