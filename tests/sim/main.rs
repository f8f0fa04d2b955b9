//! The whole core in one thread, under a clock that jumps, with everything that goes wrong drawn from a seed.

mod app;
mod centre;
mod chaos;
mod disk;
mod judge;
mod layout;
mod network;
mod node;
mod run;
mod seeds;
mod stories;
mod world;

use run::{Faults, run};

#[test]
fn without_mishaps_everything_arrives_once() {
    seeds::check(&run(1, Faults::default(), false));
}

#[test]
fn a_seed_repeats_every_event() {
    for seed in 1..4 {
        assert_eq!(run(seed, Faults::ALL, false).digest, run(seed, Faults::ALL, false).digest, "seed {seed}");
    }
}

#[test]
fn with_all_mishaps_nothing_is_lost() {
    seeds::run_all();
}

/// What judges the gateway must be able to find it guilty.
#[test]
fn a_disk_that_lies_about_fdatasync_is_noticed() {
    let faults = Faults { crashes: true, lies: true, ..Faults::default() };
    let lost = |seed| run(seed, faults, false).violations.iter().any(|what| what.contains("neither sent nor reported"));
    assert!((0..10).any(lost));
}
