//! A line of millions: a deque in blocks, so that it grows and shrinks without copying itself, and so that what has expired is found
//! without looking at everything.

use std::cell::Cell;
use std::collections::VecDeque;

use crate::message::{MessageId, Timestamp};

/// Entries of a full block.
const FULL: usize = 512;

/// Room that a line keeps when it is empty.
const KEPT: usize = 16;

/// What stands in a line.
pub(super) trait Entry: Clone {
    fn id(&self) -> MessageId;
    fn expires_at(&self) -> Timestamp;
}

#[derive(Debug)]
pub(super) struct Blocks<T> {
    blocks: VecDeque<Block<T>>,
    len: usize,
}

#[derive(Debug)]
struct Block<T> {
    entries: VecDeque<T>,
    /// Nothing here expires before.
    earliest: Timestamp,
}

impl<T: Entry> Block<T> {
    fn new() -> Self {
        Block { entries: VecDeque::new(), earliest: Timestamp::NEVER }
    }
}

impl<T: Entry> Blocks<T> {
    pub fn new() -> Self {
        Blocks { blocks: VecDeque::new(), len: 0 }
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub fn front(&self) -> Option<&T> {
        self.blocks.front()?.entries.front()
    }

    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.blocks.iter().flat_map(|block| &block.entries)
    }

    /// In order; what is changed must not be the id or the expiry.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.blocks.iter_mut().flat_map(|block| &mut block.entries)
    }

    pub fn push_back(&mut self, entry: T) {
        if self.blocks.back().is_none_or(|block| block.entries.len() >= FULL) {
            self.blocks.push_back(Block::new());
        }
        if let Some(block) = self.blocks.back_mut() {
            block.earliest = block.earliest.min(entry.expires_at());
            block.entries.push_back(entry);
            self.len += 1;
        }
    }

    /// Puts an entry before those with larger ids, taking them to be in order.
    pub fn insert(&mut self, entry: T) {
        let later = |other: &T| other.id() >= entry.id();
        let at = self.blocks.partition_point(|block| !block.entries.back().is_some_and(later));
        let Some(block) = self.blocks.get_mut(at) else { return self.push_back(entry) };
        let place = block.entries.partition_point(|other| !later(other));
        self.len += 1;
        if place == 0 && block.entries.len() >= FULL {
            let earliest = entry.expires_at();
            return self.blocks.insert(at, Block { entries: VecDeque::from([entry]), earliest });
        }
        block.earliest = block.earliest.min(entry.expires_at());
        block.entries.insert(place, entry);
    }

    pub fn pop_front_if(&mut self, wanted: impl FnOnce(&mut T) -> bool) -> Option<T> {
        let block = self.blocks.front_mut()?;
        let entry = block.entries.pop_front_if(wanted)?;
        self.len -= 1;
        if self.len == 0 {
            // Most lines are short and soon there again.
            block.entries.shrink_to(KEPT);
            block.earliest = Timestamp::NEVER;
        } else if block.entries.is_empty() {
            self.blocks.pop_front();
        }
        Some(entry)
    }

    /// From an id on, taking them to be in order.
    pub fn iter_from(&self, from: MessageId) -> impl Iterator<Item = &T> {
        let at = self.blocks.partition_point(|block| block.entries.back().is_none_or(|last| last.id() < from));
        self.blocks.range(at..).flat_map(|block| &block.entries).skip_while(move |entry| entry.id() < from)
    }

    /// Takes out the first that `wanted` names, if it is among the first `most`; looks no further.
    pub fn take_first(&mut self, most: usize, wanted: impl Fn(&T) -> bool) -> Option<T> {
        let mut left = most;
        for at in 0..self.blocks.len() {
            let entries = &mut self.blocks[at].entries;
            let looked_at = left.min(entries.len());
            let Some(place) = entries.iter().take(looked_at).position(&wanted) else {
                left -= looked_at;
                if left == 0 {
                    return None;
                }
                continue;
            };
            let entry = entries.remove(place);
            if entries.is_empty() {
                self.blocks.remove(at);
            }
            self.len -= 1;
            return entry;
        }
        None
    }

    /// Takes out what `wanted` names.
    pub fn take_out(&mut self, taken: &mut Vec<T>, wanted: impl FnMut(&T) -> bool) {
        self.take_from(taken, |_| true, wanted);
    }

    /// Takes out what `wanted` names among the ids from `from` to `to`, taking them to be in order.
    pub fn take_between(&mut self, taken: &mut Vec<T>, (from, to): (MessageId, MessageId), mut wanted: impl FnMut(&T) -> bool) {
        let concerned = |block: &Block<T>| {
            let ends = block.entries.front().zip(block.entries.back());
            ends.is_some_and(|(first, last)| first.id() <= to && last.id() >= from)
        };
        self.take_from(taken, concerned, |entry| (from..=to).contains(&entry.id()) && wanted(entry));
    }

    /// Takes out what has expired, until so many are `taken`.
    pub fn expire(&mut self, now: Timestamp, taken: &mut Vec<T>, most: usize) {
        let left = Cell::new(most.saturating_sub(taken.len()));
        let concerned = |block: &Block<T>| left.get() > 0 && block.earliest <= now;
        self.take_from(taken, concerned, |entry| {
            let take = left.get() > 0 && entry.expires_at() <= now;
            left.set(left.get() - usize::from(take));
            take
        });
    }

    /// Looks only at blocks that are `concerned`.
    fn take_from(&mut self, taken: &mut Vec<T>, concerned: impl Fn(&Block<T>) -> bool, mut wanted: impl FnMut(&T) -> bool) {
        let before = taken.len();
        for block in self.blocks.iter_mut().filter(|block| concerned(block)) {
            let mut earliest = Timestamp::NEVER;
            block.entries.retain(|entry| {
                let take = wanted(entry);
                if take {
                    taken.push(entry.clone());
                } else {
                    earliest = earliest.min(entry.expires_at());
                }
                !take
            });
            block.earliest = earliest;
        }
        if taken.len() > before {
            self.len -= taken.len() - before;
            self.blocks.retain(|block| !block.entries.is_empty());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Plain(u64, u64);

    impl Entry for Plain {
        fn id(&self) -> MessageId {
            MessageId(self.0)
        }
        fn expires_at(&self) -> Timestamp {
            Timestamp(self.1)
        }
    }

    fn ids(line: &Blocks<Plain>) -> Vec<u64> {
        line.iter().map(|entry| entry.0).collect()
    }

    proptest! {
        #[test]
        fn it_is_a_line_in_order_whatever_leaves_and_comes_back(
            count in 0u64..3_000,
            gone in prop::collection::vec(0u64..3_000, 0..1_500),
            popped in 0usize..700,
        ) {
            let mut line = Blocks::new();
            (0..count).for_each(|id| line.push_back(Plain(id, 0)));
            let (mut taken, gone) = (Vec::new(), std::collections::BTreeSet::from_iter(gone));
            line.take_out(&mut taken, |entry| gone.contains(&entry.0));
            taken.extend(std::iter::from_fn(|| line.pop_front_if(|_| true)).take(popped));
            prop_assert_eq!(line.len(), count as usize - taken.len());
            prop_assert_eq!(ids(&line), (0..count).filter(|id| !taken.iter().any(|t| t.0 == *id)).collect::<Vec<_>>());
            taken.reverse();
            taken.into_iter().for_each(|entry| line.insert(entry));
            prop_assert_eq!(ids(&line), (0..count).collect::<Vec<_>>());
            prop_assert_eq!(line.len(), count as usize);
        }

        #[test]
        fn the_first_is_taken_from_the_front_alone(count in 0u64..2_000, wanted in 0u64..2_000, most in 0usize..2_000) {
            let mut line = Blocks::new();
            (0..count).for_each(|id| line.push_back(Plain(id, id)));
            let looked_at = Cell::new(0);
            let taken = line.take_first(most, |entry| {
                looked_at.set(looked_at.get() + 1);
                entry.0 == wanted
            });
            let is_there = wanted < count.min(most as u64);
            prop_assert_eq!(taken, is_there.then_some(Plain(wanted, wanted)));
            prop_assert_eq!(looked_at.get() as u64, if is_there { wanted + 1 } else { count.min(most as u64) });
            prop_assert_eq!((line.len() as u64, ids(&line).len() as u64), (count - u64::from(is_there), count - u64::from(is_there)));
        }

        #[test]
        fn what_expires_leaves_and_nothing_else(expiries in prop::collection::vec(0u64..100, 0..2_000), now in 0u64..100, most in 0usize..2_500) {
            let mut line = Blocks::new();
            (0..).zip(&expiries).for_each(|(id, expiry)| line.push_back(Plain(id, *expiry)));
            let mut taken = Vec::new();
            line.expire(Timestamp(now), &mut taken, most);
            let expired = expiries.iter().filter(|expiry| **expiry <= now).count();
            prop_assert!(taken.iter().all(|entry| entry.1 <= now));
            prop_assert_eq!((taken.len(), line.len()), (expired.min(most), expiries.len() - expired.min(most)));
            for block in &line.blocks {
                prop_assert!(block.entries.iter().all(|entry| entry.expires_at() >= block.earliest));
                prop_assert!(most < expired || block.earliest > Timestamp(now), "it would be looked at again for nothing");
            }
        }
    }
}
