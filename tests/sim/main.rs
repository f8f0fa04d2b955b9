//! The whole core in one thread, under a clock that jumps, with everything that goes wrong drawn from a seed.

mod app;
mod centre;
mod disk;
mod judge;
mod network;
mod node;
mod run;
mod world;

use run::{Faults, run};

#[test]
fn without_mishaps_everything_arrives_once() {
    let report = run(1, Faults::default(), std::env::var_os("SIM_LOUD").is_some());
    assert!(report.violations.is_empty(), "{}\n{}", report.tail.join("\n"), report.violations.join("\n"));
}
