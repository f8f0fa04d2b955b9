//! What every session looks at before it accepts: whether the spool takes submissions, and how far the disk is behind.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::spool::Limit;

/// Can submissions be taken now? Read by every session before it accepts; written by the journal thread.
#[derive(Debug)]
pub struct Gate {
    /// [`NOT_FULL`], or the limit that the spool has reached.
    full: AtomicU8,
    failed: AtomicBool,
    /// Everything the ledger keeps.
    live: AtomicU64,
    opened: Instant,
    /// When the commit under way began, in microseconds since `opened`; [`NO_COMMIT`] between commits.
    committing: AtomicU64,
}

const NO_COMMIT: u64 = u64::MAX;

const NOT_FULL: u8 = u8::MAX;

impl Gate {
    pub(super) fn new(now: Instant) -> Self {
        Gate {
            full: AtomicU8::new(NOT_FULL),
            failed: AtomicBool::new(false),
            live: AtomicU64::new(0),
            opened: now,
            committing: AtomicU64::new(NO_COMMIT),
        }
    }

    /// The spool has reached its size or the disk its reserve: ESME_RMSGQFUL.
    pub fn is_full(&self) -> bool {
        self.full().is_some()
    }

    /// The limit that it has reached, if it has.
    pub fn full(&self) -> Option<Limit> {
        let full = self.full.load(Ordering::Relaxed);
        [Limit::MaxSize, Limit::DiskReserve].into_iter().find(|limit| *limit as u8 == full)
    }

    /// The disk does not take writes: ESME_RSYSERR.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Messages, mailbox items, parked receipts and MO parts, as of the newest commit.
    pub fn live(&self) -> u64 {
        self.live.load(Ordering::Relaxed)
    }

    /// How long the commit under way has taken so far; zero between commits.
    pub fn commit_age(&self, now: Instant) -> Duration {
        match self.committing.load(Ordering::Relaxed) {
            NO_COMMIT => Duration::ZERO,
            began => now.saturating_duration_since(self.opened + Duration::from_micros(began)),
        }
    }

    pub(super) fn commit_began(&self, now: Instant) {
        let began = now.saturating_duration_since(self.opened).as_micros();
        self.committing.store(u64::try_from(began).unwrap_or(NO_COMMIT), Ordering::Relaxed);
    }

    pub(super) fn commit_ended(&self) {
        self.committing.store(NO_COMMIT, Ordering::Relaxed);
    }

    /// What it was before.
    pub(super) fn set_full(&self, full: Option<Limit>) -> Option<Limit> {
        let before = self.full();
        self.full.store(full.map_or(NOT_FULL, |limit| limit as u8), Ordering::Relaxed);
        before
    }

    pub(super) fn set_failed(&self, failed: bool) {
        self.failed.store(failed, Ordering::Relaxed);
    }

    pub(super) fn keeps(&self, live: usize) {
        self.live.store(live as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gate_tells_how_long_a_commit_has_taken_and_nothing_between_commits() {
        let start = Instant::now();
        let after = |milliseconds| start + Duration::from_millis(milliseconds);
        let gate = Gate::new(start);
        assert_eq!(gate.commit_age(after(10)), Duration::ZERO);
        gate.commit_began(after(10));
        assert_eq!(gate.commit_age(after(1_510)), Duration::from_millis(1_500));
        gate.commit_ended();
        assert_eq!(gate.commit_age(after(2_000)), Duration::ZERO);
    }
}
