//! The seed's chance, and the trace of what happened.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::time::Instant;

/// Events shown of a run that failed.
const TAIL: usize = 150;

/// What all of a run share. Every choice is drawn here, so that the seed repeats them all.
pub struct World {
    started: Instant,
    state: Mutex<State>,
}

struct State {
    rng: StdRng,
    /// Of all events, with their times: two runs of a seed must agree.
    hash: u64,
    events: u64,
    tail: VecDeque<String>,
    /// Everything goes to the standard output as well.
    loud: bool,
    /// What must not have happened.
    violations: Vec<String>,
}

/// Locks what only this thread uses.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl World {
    pub fn new(seed: u64, loud: bool) -> Arc<World> {
        let rng = StdRng::seed_from_u64(seed);
        let (tail, violations) = (VecDeque::new(), Vec::new());
        let state = State { rng, hash: 0xcbf2_9ce4_8422_2325, events: 0, tail, loud, violations };
        Arc::new(World { started: Instant::now(), state: Mutex::new(state) })
    }

    /// True in so many of a hundred cases.
    pub fn percent(&self, share: u32) -> bool {
        lock(&self.state).rng.random_range(0..100) < share
    }

    /// A number from `low` to `high`, both included.
    pub fn number(&self, low: u64, high: u64) -> u64 {
        lock(&self.state).rng.random_range(low..=high)
    }

    pub fn index(&self, count: usize) -> usize {
        lock(&self.state).rng.random_range(0..count)
    }

    pub fn millis(&self, low: u64, high: u64) -> Duration {
        Duration::from_millis(self.number(low, high))
    }

    /// Since the run began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Notes an event.
    pub fn event(&self, what: fmt::Arguments<'_>) {
        let line = format!("{:>11.3} {what}", self.elapsed().as_secs_f64());
        let mut state = lock(&self.state);
        for octet in line.bytes() {
            state.hash = (state.hash ^ u64::from(octet)).wrapping_mul(0x0000_0100_0000_01b3);
        }
        state.events += 1;
        if state.loud {
            println!("{line}");
        }
        if state.tail.len() >= TAIL {
            state.tail.pop_front();
        }
        state.tail.push_back(line);
    }

    /// Notes that a promise has been broken.
    pub fn violation(&self, what: fmt::Arguments<'_>) {
        self.event(format_args!("VIOLATION: {what}"));
        lock(&self.state).violations.push(what.to_string());
    }

    pub fn violations(&self) -> Vec<String> {
        lock(&self.state).violations.clone()
    }

    /// Hash and number of all events.
    pub fn digest(&self) -> (u64, u64) {
        let state = lock(&self.state);
        (state.hash, state.events)
    }

    pub fn tail(&self) -> Vec<String> {
        lock(&self.state).tail.iter().cloned().collect()
    }
}
