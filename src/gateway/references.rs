//! Reference numbers of concatenated messages.

use std::sync::atomic::{AtomicU16, Ordering};

/// Slots of the table; pairs that share one only share the counter.
const SLOTS: usize = 1 << 14;

/// A counter per (sender, recipient) pair, so that two long messages to one handset never carry the same reference while their parts
/// may still be in flight (3GPP TS 23.040 section 9.2.3.24.1). Begins at random, so that a restart does not repeat.
#[derive(Debug)]
pub struct References {
    counters: Box<[AtomicU16]>,
    start: u16,
}

impl References {
    pub fn new(start: u16) -> Self {
        References { counters: (0..SLOTS).map(|_| AtomicU16::new(0)).collect(), start }
    }

    /// The next reference for the pair.
    pub fn next(&self, sender: &[u8], recipient: &[u8]) -> u16 {
        let mut pair = crc32fast::Hasher::new();
        pair.update(sender);
        pair.update(recipient);
        let slot = pair.finalize() as usize % SLOTS;
        self.counters[slot].fetch_add(1, Ordering::Relaxed).wrapping_add(self.start)
    }
}
