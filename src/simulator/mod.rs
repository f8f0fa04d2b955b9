//! Simulated operators and clients for the demo, tests and benchmarks.
