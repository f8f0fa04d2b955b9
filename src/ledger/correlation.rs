//! Which message a receipt belongs to: (operator, its id) -> (message, part).
//!
//! A key is a 128-bit fingerprint of the operator and one spelling of the id, so that an entry has a fixed small size whatever
//! operators send. Ids repeat (wrap-around, restarted centres): several messages may stand under one key, and the numbers in the
//! receipt decide between them. What they cannot decide is reported as ambiguous, never guessed.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash};

use hashbrown::hash_map::Entry;
use hashbrown::{DefaultHashBuilder, HashMap};
use smallvec::SmallVec;

use crate::message::{Address, MessageId, OperatorKey};

/// Fingerprint of an operator and one spelling of an id it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64, u64);

/// A part that waits for its receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    pub message: MessageId,
    pub part: u8,
    /// Last digits of the number it was sent to, see [`suffix`]; 0 when it had too few.
    pub destination: u32,
}

/// What a look-up found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    One(Target),
    /// Several parts could be meant.
    Ambiguous,
    Nothing,
}

/// The map, and the keys of parts that are finished but remembered for a while so that repeated receipts are recognised.
#[derive(Debug)]
pub struct Correlation {
    map: HashMap<Key, SmallVec<[Target; 1]>>,
    finished: VecDeque<(Key, MessageId, u8)>,
    remember: usize,
    first: DefaultHashBuilder,
    second: DefaultHashBuilder,
}

impl Correlation {
    /// `remember`: how many finished parts are kept to recognise repeated receipts.
    pub fn new(remember: usize) -> Self {
        Correlation {
            map: HashMap::new(),
            finished: VecDeque::new(),
            remember,
            first: DefaultHashBuilder::default(),
            second: DefaultHashBuilder::default(),
        }
    }

    /// The key of `id` in the namespace of `operator`: all its binds share one (interop: receipts come on any of them).
    pub fn key(&self, operator: OperatorKey, id: &(impl Hash + ?Sized)) -> Key {
        Key(self.first.hash_one((operator, 1u8, id)), self.second.hash_one((operator, 2u8, id)))
    }

    pub fn insert(&mut self, key: Key, target: Target) {
        match self.map.entry(key) {
            Entry::Vacant(slot) => {
                slot.insert(SmallVec::from_buf([target]));
            }
            Entry::Occupied(mut slot) => {
                if !slot.get().contains(&target) {
                    slot.get_mut().push(target);
                }
            }
        }
    }

    /// The part a receipt with these keys means, given the two addresses of its deliver_sm.
    ///
    /// An address that confirms the number sent to counts more than none that could; a part that `waits` for its receipt more than
    /// one that has its final state, for ids come round again. A receipt whose addresses contradict the number sent to belongs to
    /// somebody else.
    pub fn find(&self, keys: &[Key], source: &Address, destination: &Address, waits: impl Fn(Target) -> bool) -> Found {
        let addresses = (suffix(&source.digits), suffix(&destination.digits));
        let mut best: SmallVec<[Target; 2]> = SmallVec::new();
        let mut best_rank = (Fit::Unknown, false);
        for target in keys.iter().filter_map(|key| self.map.get(key)).flatten() {
            let Some(fit) = fit(*target, addresses) else { continue };
            let rank = (fit, waits(*target));
            if best.is_empty() || rank > best_rank {
                best.clear();
                best_rank = rank;
            }
            if rank == best_rank && !best.contains(target) {
                best.push(*target);
            }
        }
        match best[..] {
            [] => Found::Nothing,
            [target] => Found::One(target),
            // All of them have their final state: whichever it is, the receipt is a repeated one.
            [.., newest] if !best_rank.1 => Found::One(newest),
            [..] => Found::Ambiguous,
        }
    }

    /// The message is final: the key of its part is remembered for a while longer, then forgotten.
    ///
    /// Right after [`insert`](Self::insert) it makes a second id of a part known that long: what was sent again after no response
    /// has two.
    pub fn finish(&mut self, key: Key, message: MessageId, part: u8) {
        self.finished.push_back((key, message, part));
        if self.finished.len() > self.remember
            && let Some((key, message, part)) = self.finished.pop_front()
            && let Entry::Occupied(mut slot) = self.map.entry(key)
        {
            slot.get_mut().retain(|t| (t.message, t.part) != (message, part));
            if slot.get().is_empty() {
                slot.remove();
            }
        }
    }
}

/// How sure the addresses of a receipt are about a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Unknown,
    Confirmed,
}

/// `None` when the addresses contradict the number sent to. Without a source number there is no contradiction: the destination is
/// then the sender of the message, as the standard has it, or the recipient where an operator swaps them.
fn fit(target: Target, (source, destination): (u32, u32)) -> Option<Fit> {
    if target.destination == 0 {
        return Some(Fit::Unknown);
    }
    if target.destination == source || target.destination == destination {
        return Some(Fit::Confirmed);
    }
    (source == 0).then_some(Fit::Unknown)
}

/// The last seven digits of an address as a number, plus one so that it is never 0; 0 when it has fewer than seven digits. Seven
/// survive every way of writing a number: national, international, with or without `+`.
pub fn suffix(digits: &[u8]) -> u32 {
    const DIGITS: usize = 7;
    let mut value = 0u32;
    let mut scale = 1u32;
    let mut count = 0;
    for digit in digits.iter().rev().filter(|c| c.is_ascii_digit()).take(DIGITS) {
        value += u32::from(digit - b'0') * scale;
        scale *= 10;
        count += 1;
    }
    if count == DIGITS { value + 1 } else { 0 }
}
