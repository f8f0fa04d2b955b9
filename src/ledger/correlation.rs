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

    /// The part a receipt with this key means, given the two addresses of its deliver_sm. A receipt whose addresses both contradict
    /// the number sent to belongs to somebody else.
    pub fn find(&self, key: Key, source: &Address, destination: &Address) -> Found {
        let Some(targets) = self.map.get(&key) else { return Found::Nothing };
        let (source, destination) = (suffix(&source.digits), suffix(&destination.digits));
        let mut fitting = targets.iter().filter(|t| {
            t.destination == 0 || (source == 0 && destination == 0) || t.destination == source || t.destination == destination
        });
        match (fitting.next(), fitting.next()) {
            (None, _) => Found::Nothing,
            (Some(target), None) => Found::One(*target),
            (Some(_), Some(_)) => Found::Ambiguous,
        }
    }

    /// The message is final: the key of its part is remembered for a while longer, then forgotten.
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

    /// Parts that wait for a receipt or are still remembered.
    pub fn len(&self) -> usize {
        self.map.len()
    }

    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }
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
