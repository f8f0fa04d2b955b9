//! Which accepted message a receipt belongs to, and whether it has come before.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hashbrown::{DefaultHashBuilder, HashMap};
use std::hash::BuildHasher;

const SHARDS: usize = 64;

/// Ids per shard that are remembered after their receipt, so that a second one is known as such: four million in all.
const REMEMBERED: usize = 1 << 16;

/// All binds' accepted ids: a receipt may come on any bind. Ids are kept as 64-bit hashes.
#[derive(Debug)]
pub(super) struct Receipts {
    hasher: DefaultHashBuilder,
    shards: Box<[Mutex<Shard>]>,
}

#[derive(Debug, Default)]
struct Shard {
    entries: HashMap<u64, Entry>,
    /// Finished ones, oldest first.
    finished: VecDeque<u64>,
}

#[derive(Debug, Clone, Copy)]
enum Entry {
    /// Submitted at this moment.
    Accepted(Instant),
    /// The receipt was here before the response.
    Early(Early),
    Finished,
}

/// A receipt without its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Early {
    pub arrived: Instant,
    pub delivered: bool,
}

/// What a receipt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// The first for a message submitted at this moment.
    First(Instant),
    Again,
    /// No such id yet.
    Unknown,
}

impl Receipts {
    pub fn new() -> Receipts {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Receipts { hasher: DefaultHashBuilder::default(), shards }
    }

    /// Notes the id of an accepted message. If its receipt was here already, returns that.
    pub fn accepted(&self, message_id: &[u8], submitted: Instant) -> Option<Early> {
        let key = self.hasher.hash_one(message_id);
        let mut shard = self.shard(key);
        match shard.entries.insert(key, Entry::Accepted(submitted)) {
            Some(Entry::Early(early)) => {
                shard.finish(key);
                Some(early)
            }
            _ => None,
        }
    }

    /// Notes a receipt.
    pub fn arrived(&self, message_id: &[u8], at: Instant, delivered: bool) -> Seen {
        let key = self.hasher.hash_one(message_id);
        let mut shard = self.shard(key);
        match shard.entries.get(&key).copied() {
            Some(Entry::Accepted(submitted)) => {
                shard.finish(key);
                Seen::First(submitted)
            }
            Some(Entry::Early(_) | Entry::Finished) => Seen::Again,
            None => {
                shard.entries.insert(key, Entry::Early(Early { arrived: at, delivered }));
                Seen::Unknown
            }
        }
    }

    fn shard(&self, key: u64) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(key % SHARDS as u64).unwrap_or(0);
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn finish(&mut self, key: u64) {
        self.entries.insert(key, Entry::Finished);
        self.finished.push_back(key);
        if self.finished.len() > REMEMBERED
            && let Some(oldest) = self.finished.pop_front()
        {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_belongs_to_its_message_once() {
        let (receipts, submitted) = (Receipts::new(), Instant::now());
        assert_eq!(receipts.accepted(b"17", submitted), None);
        assert_eq!(receipts.arrived(b"17", submitted, true), Seen::First(submitted));
        assert_eq!(receipts.arrived(b"17", submitted, true), Seen::Again);
    }

    #[test]
    fn a_receipt_before_the_response_is_matched_by_it() {
        let (receipts, at) = (Receipts::new(), Instant::now());
        assert_eq!(receipts.arrived(b"17", at, true), Seen::Unknown);
        assert_eq!(receipts.accepted(b"17", at), Some(Early { arrived: at, delivered: true }));
        assert_eq!(receipts.arrived(b"17", at, true), Seen::Again);
    }
}
