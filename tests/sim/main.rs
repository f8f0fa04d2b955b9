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

/// In the last of them messages of several accounts move to another operator: in the order of a hash map, once.
#[test]
fn a_seed_repeats_every_event_whatever_ran_before_it() {
    let seeds = [1, 2, 3, 9518];
    let digest = |seed: &u64| (*seed, run(*seed, Faults::ALL, false).digest);
    let forwards: Vec<_> = seeds.iter().map(digest).collect();
    let mut backwards: Vec<_> = seeds.iter().rev().map(digest).collect();
    backwards.reverse();
    assert_eq!(forwards, backwards);
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
