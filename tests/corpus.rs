//! The fuzz targets without a fuzzer: every seed and every input that fuzzing has kept, and a few thousand changes of them.

use std::fs;
use std::path::Path;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

#[path = "../fuzz/src/lib.rs"]
mod targets;

/// Changed inputs per target.
const CHANGED: usize = 1_000;

/// Octets that mean something to one of the parsers more often than others do.
const TELLING: [u8; 12] = [0, 1, 2, 15, 16, 0x1B, 0x40, 0x7F, 0x80, 0xFE, 0xFF, b'\n'];

/// Inputs of a target by the name of their file, in the same order everywhere.
fn inputs(folder: &str, target: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder).join(target);
    let Ok(entries) = fs::read_dir(&folder) else { return Vec::new() };
    let mut files: Vec<_> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let read = |path: &Path| (path.display().to_string(), fs::read(path).expect("an input"));
    files.iter().map(|path| read(path)).collect()
}

/// A few changes as a fuzzer makes them: octets replaced, removed, put in, pieces repeated or taken from another input.
fn change(input: &mut Vec<u8>, other: &[u8], random: &mut SmallRng) {
    for _ in 0..random.random_range(1..=4) {
        let at = random.random_range(0..=input.len());
        let end = random.random_range(at..=input.len().min(at + 16));
        match random.random_range(0..6) {
            0 => drop(input.drain(at..end)),
            1 => input.insert(at, random.random()),
            2 => input.extend_from_within(at..end),
            3 => input[at..end].iter_mut().for_each(|octet| *octet ^= 1 << random.random_range(0..8)),
            4 => input[at..end].iter_mut().for_each(|octet| *octet = *TELLING.choose(random).expect("some")),
            _ => drop(input.splice(at.., other[other.len().min(at)..].iter().copied())),
        }
    }
}

fn replay(target: &str) {
    let (_, run) = targets::TARGETS.iter().find(|(name, _)| *name == target).expect("a target");
    let seeds = inputs("seeds", target);
    assert!(!seeds.is_empty(), "{target} has no seeds");
    let all: Vec<_> = seeds.into_iter().chain(inputs("corpus", target)).collect();
    for (name, input) in &all {
        told(name, input, *run);
    }
    let mut random = SmallRng::seed_from_u64(0x5EED);
    for _ in 0..CHANGED {
        let ((name, input), (_, other)) = (all.choose(&mut random).expect("some"), all.choose(&mut random).expect("some"));
        let mut input = input.clone();
        change(&mut input, other, &mut random);
        told(&format!("a change of {name}"), &input, *run);
    }
}

/// Runs the target, and says at a panic what the input was.
fn told(name: &str, input: &[u8], run: targets::Target) {
    if let Err(panic) = std::panic::catch_unwind(|| run(input)) {
        eprintln!("{name}: {}", input.escape_ascii());
        std::panic::resume_unwind(panic);
    }
}

macro_rules! stories {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })*

        #[test]
        fn every_target_is_replayed_and_can_be_fuzzed() {
            let names = [$(stringify!($target)),*];
            assert_eq!(names, targets::TARGETS.map(|(name, _)| name));
            for name in names {
                let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fuzz/fuzz_targets/{name}.rs"));
                assert!(path.is_file(), "{name} is in no binary");
            }
        }
    };
}

stories! {
    config control frame ledger message_id pair receipt_text routes session spool submission text udh views wire
}
