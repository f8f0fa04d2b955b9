//! Chance: what spreads retries and starts counters where nobody expects them. Not for secrets.

use std::sync::{Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

/// A source of random numbers: the thread's own, or one that a seed repeats.
#[derive(Debug, Default)]
pub struct Chance {
    seeded: Option<Mutex<StdRng>>,
}

impl Chance {
    /// The same numbers in every run with the same seed, as long as they are asked for in the same order.
    pub fn seeded(seed: u64) -> Self {
        Chance { seeded: Some(Mutex::new(StdRng::seed_from_u64(seed))) }
    }

    /// A fraction, from 0 to just below 1.
    pub fn fraction(&self) -> f64 {
        self.draw(|rng| rng.random(), || rand::rng().random())
    }

    pub fn number(&self) -> u16 {
        self.draw(|rng| rng.random(), || rand::rng().random())
    }

    fn draw<T>(&self, seeded: impl FnOnce(&mut StdRng) -> T, own: impl FnOnce() -> T) -> T {
        match &self.seeded {
            Some(rng) => seeded(&mut rng.lock().unwrap_or_else(PoisonError::into_inner)),
            None => own(),
        }
    }
}
