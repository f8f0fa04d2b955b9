//! Running many seeds, as the environment says: SIM_SEEDS how many, SIM_SEED a single one, told in full.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Once, mpsc};
use std::time::Duration;

use crate::run::{Faults, Report, run};

/// Seeds of an ordinary test run.
const FEW: u64 = 24;

/// No run takes so long.
const STUCK: Duration = Duration::from_secs(120);

thread_local! {
    /// What has panicked on this thread: the runtime hides it when it was a task.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn catch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.with_borrow_mut(|panics| panics.push(panic.to_string()));
            before(panic);
        }));
    });
}

/// Runs a seed; a panic anywhere in it is a violation.
fn guarded(seed: u64, faults: Faults, loud: bool) -> Report {
    catch_panics();
    let result = catch_unwind(AssertUnwindSafe(|| run(seed, faults, loud)));
    let panics = PANICS.take();
    let mut report = result.unwrap_or(Report { seed, violations: Vec::new(), tail: Vec::new(), digest: (0, 0) });
    report.violations.extend(panics);
    report
}

/// Fails when the run has broken a promise, and shows how it came to that.
pub fn check(report: &Report) {
    if !report.violations.is_empty() {
        let (tail, violations) = (report.tail.join("\n"), report.violations.join("\n"));
        panic!("seed {} failed:\n{tail}\n\nviolated by seed {}:\n{violations}\n", report.seed, report.seed);
    }
}

/// The faults of a seed: mostly all together, sometimes one kind alone.
fn faults_of(seed: u64) -> Faults {
    let none = Faults::default();
    match seed % 10 {
        0 => Faults { crashes: true, holes: true, ..none },
        1 => Faults { network: true, operators: true, ..none },
        2 => Faults { disk: true, crashes: true, holes: true, ..none },
        3 => Faults { damage: true, ..Faults::ALL },
        _ => Faults::ALL,
    }
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().filter(|value| !value.is_empty()).and_then(|value| value.parse().ok())
}

/// Runs the seeds the environment asks for, on all processors.
pub fn run_all() {
    if let Some(seed) = from_environment("SIM_SEED") {
        return check(&guarded(seed, faults_of(seed), true));
    }
    let first = from_environment("SIM_FIRST").unwrap_or(0);
    let end = first + from_environment("SIM_SEEDS").unwrap_or(FEW);
    let next = AtomicU64::new(first);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let mut failed: Vec<Report> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(|| work(&next, end))).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    });
    failed.sort_by_key(|report| report.seed);
    let seeds: Vec<u64> = failed.iter().map(|report| report.seed).collect();
    if let Some(first) = failed.first() {
        eprintln!("failed: {seeds:?}; \"make sim SEED={}\" tells the first one in full", seeds[0]);
        check(first);
    }
}

/// Runs seeds until none is left; those that failed.
fn work(next: &AtomicU64, end: u64) -> Vec<Report> {
    let mut failed = Vec::new();
    loop {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        if seed >= end {
            return failed;
        }
        let report = timed(seed, || guarded(seed, faults_of(seed), false));
        if let Some(first) = report.violations.first() {
            eprintln!("seed {seed} failed: {}", first.lines().next().unwrap_or_default());
            failed.push(report);
        }
    }
}

/// A task that never waits lets no time pass, and its run would never end: the process does.
pub fn timed(seed: u64, run: impl FnOnce() -> Report) -> Report {
    let (done, is_done) = mpsc::channel::<()>();
    let watch = move || {
        if is_done.recv_timeout(STUCK) == Err(RecvTimeoutError::Timeout) {
            eprintln!("seed {seed} failed: it does not end; \"make sim SEED={seed}\" shows where it stands still");
            std::process::exit(1);
        }
    };
    let watcher = std::thread::spawn(watch);
    let report = run();
    drop(done);
    // It had nothing to say.
    let _ = watcher.join();
    report
}
