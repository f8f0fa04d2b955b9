//! How long the answer to a refused bind is held back. Pure: time and the hash key come in as arguments.
//!
//! Every refusal doubles the delay of the next one from the same source, and of the next one for the same account, whatever its
//! reason and whether or not there is such an account. Right credentials are never delayed.
//!
//! The memory is a table of fixed size, by a keyed hash: nobody can make it grow, and nobody can make it forget by coming from many
//! addresses or for many names. Strangers who share a slot share its delay, which costs only those who are refused.

use std::hash::{BuildHasher, Hash};
use std::time::{Duration, Instant};

use super::source::Source;

/// Delay of the first refusal.
pub const FIRST: Duration = Duration::from_millis(250);
/// No answer is held back longer.
pub const LONGEST: Duration = Duration::from_secs(30);
/// After this long without a refusal a slot begins anew.
pub const QUIET: Duration = Duration::from_secs(600);

/// Slots for sources, and as many for accounts.
const SLOTS: usize = 4096;

/// The refusals of late.
#[derive(Debug)]
pub struct Slowdown<S> {
    sources: Box<[Slot]>,
    accounts: Box<[Slot]>,
    key: S,
}

#[derive(Debug, Clone, Copy, Default)]
struct Slot {
    refusals: u32,
    last: Option<Instant>,
}

impl<S: BuildHasher> Slowdown<S> {
    /// `key`: unknown to peers, who could otherwise choose whose slot they share.
    pub fn new(key: S) -> Self {
        Slowdown { sources: slots(), accounts: slots(), key }
    }

    /// Notes a refusal; returns how long after the bind its answer may leave.
    pub fn refused(&mut self, source: Source, system_id: &[u8], now: Instant) -> Duration {
        let source = slot(&self.key, &mut self.sources, source).refused(now);
        source.max(slot(&self.key, &mut self.accounts, system_id).refused(now))
    }
}

impl Slot {
    fn refused(&mut self, now: Instant) -> Duration {
        if self.last.is_some_and(|last| now.saturating_duration_since(last) >= QUIET) {
            self.refusals = 0;
        }
        self.last = Some(now);
        let delay = FIRST.saturating_mul(1 << self.refusals.min(16)).min(LONGEST);
        self.refusals = self.refusals.saturating_add(1);
        delay
    }
}

fn slots() -> Box<[Slot]> {
    vec![Slot::default(); SLOTS].into_boxed_slice()
}

fn slot<'a>(key: &impl BuildHasher, slots: &'a mut [Slot], of: impl Hash) -> &'a mut Slot {
    let place = key.hash_one(of) % SLOTS as u64;
    &mut slots[place as usize]
}

#[cfg(test)]
#[path = "slowdown_tests.rs"]
mod tests;
