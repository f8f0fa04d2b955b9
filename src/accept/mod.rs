//! Whether a submission becomes a message: field rules, sender policy, throttles.
