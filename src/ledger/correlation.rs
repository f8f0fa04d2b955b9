//! Which message a receipt belongs to: (operator, its id) -> (message, part).
//!
//! A key is a 64-bit fingerprint of the operator and one spelling of the id, so that an entry has a fixed small size whatever
//! operators send: among ten million entries a stranger's id is taken for one of ours once in 10^12 receipts, and then the numbers
//! in the receipt still contradict it. Ids repeat (wrap-around, restarted centres): several messages may stand under one key, and
//! those numbers decide between them. What they cannot decide is reported as ambiguous, never guessed.

use std::hash::{BuildHasher, Hash};

use hashbrown::{DefaultHashBuilder, HashTable};
use smallvec::SmallVec;

use super::event::MAX_PARTS;
use crate::message::{Address, MessageId, OperatorKey};
use crate::receipt::{self, ReceiptId};

/// Tables that the entries are spread over, so that each grows in a moment. Not a power of two: at ten million entries, as many
/// as a gateway is made for, they are then five sixths full, and not half empty because they have just doubled.
const SHARDS: u64 = 768;

/// Fingerprint of an operator and one spelling of an id it gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64);

/// The keys a receipt is looked up by.
pub type Keys = SmallVec<[Key; 2]>;

/// Makes keys. Those of one ledger come from clones of one maker; they are made where the ids are read, so that the journal thread,
/// which everything waits for, only looks them up.
#[derive(Debug, Clone, Default)]
pub struct KeyMaker {
    hasher: DefaultHashBuilder,
}

impl KeyMaker {
    /// The key of the id in an operator's response; `None` when it gave none.
    pub fn of_response(&self, operator: OperatorKey, form: ReceiptId, id: &[u8]) -> Option<Key> {
        receipt::id::stored_key(form, id).map(|id| self.key(operator, &id))
    }

    /// The keys to look an operator's receipt up by, in order.
    pub fn of_receipt(&self, operator: OperatorKey, form: ReceiptId, id: &[u8]) -> Keys {
        receipt::id::sought_keys(form, id).map(|id| self.key(operator, &id)).collect()
    }

    /// The key of `id` in the namespace of `operator`: all its binds share one (interop: receipts come on any of them).
    fn key(&self, operator: OperatorKey, id: &(impl Hash + ?Sized)) -> Key {
        Key(self.hasher.hash_one((operator, id)))
    }
}

/// A part that waits for its receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub message: MessageId,
    pub part: u8,
}

/// What is known of a [`Target`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sight {
    /// Last digits of the number it was sent to, see [`suffix`]; 0 when it had too few or is no longer known.
    pub destination: u32,
    /// It has no final state yet.
    pub waits: bool,
}

/// What a look-up found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    One(Target),
    /// Several parts could be meant.
    Ambiguous,
    Nothing,
}

/// A key and its target in 16 octets: there may be ten million of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    key: Key,
    /// The message's id, and in the lowest bits the part.
    place: u64,
}

/// Bits of a place that hold the part.
const PART_BITS: u32 = MAX_PARTS.ilog2();

impl Entry {
    fn new(key: Key, target: Target) -> Self {
        Entry { key, place: target.message.0 << PART_BITS | u64::from(target.part) & (MAX_PARTS as u64 - 1) }
    }

    fn target(self) -> Target {
        Target { message: MessageId(self.place >> PART_BITS), part: (self.place & (MAX_PARTS as u64 - 1)) as u8 }
    }
}

/// The entries of parts that wait for their receipts, and of others that are remembered for a while, so that repeated receipts are
/// recognised. What can be forgotten is found by going through the tables round by round ([`sweep`](Self::sweep)): that touches memory
/// in order, where taking out entry by entry would touch it anywhere.
#[derive(Debug)]
pub struct Correlation {
    shards: Box<[HashTable<Entry>]>,
    len: usize,
    /// The table that the round under way comes to next; none between rounds.
    round: Option<usize>,
    /// A round begins when there are more entries than this.
    begins_above: usize,
    /// Entries that the round has to look at for those that have come since it began.
    owed: usize,
}

/// Entries looked at, while a round lasts, for each one that comes: a round ends before a quarter as many have come as there were.
const PACE: usize = 8;

/// Parts that may be known by the same id, the newest of them: an operator that gives all of them one id must not cost more than one that
/// does not.
const ALIKE: usize = 64;

/// Fewer entries than this are not worth a round.
const FEW: usize = 1_024;

impl Default for Correlation {
    fn default() -> Self {
        Correlation { shards: (0..SHARDS).map(|_| HashTable::new()).collect(), len: 0, round: None, begins_above: FEW, owed: 0 }
    }
}

impl Correlation {
    pub fn insert(&mut self, key: Key, target: Target) {
        let entry = Entry::new(key, target);
        let table = &mut self.shards[shard(key)];
        let (mut alike, mut oldest) = (0, entry);
        for other in table.iter_hash(key.0).filter(|other| other.key == key) {
            if *other == entry {
                return;
            }
            alike += 1;
            oldest = if other.place < oldest.place { *other } else { oldest };
        }
        if alike >= ALIKE {
            let Ok(place) = table.find_entry(key.0, |other| *other == oldest) else { return }; // the others are newer
            place.remove();
            self.len -= 1;
        }
        table.insert_unique(key.0, entry, |other| other.key.0);
        self.len += 1;
        self.owed += PACE;
    }

    /// The part a receipt with these keys means, given the two addresses of its deliver_sm and what is known of each part.
    ///
    /// An address that confirms the number sent to counts more than none that could; a part that waits for its receipt more than
    /// one that has its final state, for ids come round again. A receipt whose addresses contradict the number sent to belongs to
    /// somebody else.
    pub fn find(&self, keys: &[Key], source: &Address, destination: &Address, look: impl Fn(Target) -> Sight) -> Found {
        let addresses = (suffix(&source.digits), suffix(&destination.digits));
        let mut best: SmallVec<[Target; 2]> = SmallVec::new();
        let mut best_rank = (Fit::Unknown, false);
        for target in keys.iter().flat_map(|key| self.targets(*key)) {
            let sight = look(target);
            let Some(fit) = fit(sight.destination, addresses) else { continue };
            let rank = (fit, sight.waits);
            if best.is_empty() || rank > best_rank {
                best.clear();
                best_rank = rank;
            }
            if rank == best_rank && !best.contains(&target) {
                best.push(target);
            }
        }
        match best.iter().max() {
            None => Found::Nothing,
            // When all of them have their final state the receipt is a repeated one, whichever it is; the newest may be remembered.
            Some(newest) if best.len() == 1 || !best_rank.1 => Found::One(*newest),
            Some(_) => Found::Ambiguous,
        }
    }

    fn targets(&self, key: Key) -> impl Iterator<Item = Target> {
        self.shards[shard(key)].iter_hash(key.0).filter(move |entry| entry.key == key).map(|entry| entry.target())
    }

    /// The messages that stand under the key.
    pub fn messages(&self, key: Key) -> impl Iterator<Item = MessageId> {
        self.targets(key).map(|target| target.message)
    }

    /// A message that stands under the key.
    pub fn look(&self, key: Key) -> Option<MessageId> {
        self.messages(key).next()
    }

    /// Forgets what need not be kept, a slice at a time: as much is looked at as makes up for what came since the last call.
    pub fn sweep(&mut self, keep: impl Fn(MessageId) -> bool) {
        let owed = std::mem::take(&mut self.owed);
        if self.round.is_none() && self.len > self.begins_above {
            self.round = Some(0);
        }
        let Some(first) = self.round else { return };
        let (mut next, mut looked) = (first, 0);
        while looked < owed {
            let Some(shard) = self.shards.get_mut(next) else {
                self.round = None;
                self.begins_above = self.len + self.len / 4 + FEW;
                return;
            };
            let before = shard.len();
            shard.retain(|entry| keep(entry.target().message));
            self.len -= before - shard.len();
            looked += before;
            next += 1;
        }
        self.round = Some(next);
    }
}

/// The tables themselves use the lowest and the highest bits.
fn shard(key: Key) -> usize {
    ((key.0 >> 24) % SHARDS) as usize
}

/// How sure the addresses of a receipt are about a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    Unknown,
    Confirmed,
}

/// `None` when the addresses contradict the number sent to. Without a source number there is no contradiction: the destination is
/// then the sender of the message, as the standard has it, or the recipient where an operator swaps them.
fn fit(sent_to: u32, (source, destination): (u32, u32)) -> Option<Fit> {
    if sent_to == 0 {
        return Some(Fit::Unknown);
    }
    if sent_to == source || sent_to == destination {
        return Some(Fit::Confirmed);
    }
    (source == 0).then_some(Fit::Unknown)
}

/// What stands for the last digits of an address that has too few.
pub const NO_SUFFIX: u32 = 0;

/// The last seven digits of an address as a number, plus one so that it is never [`NO_SUFFIX`], for fewer than seven digits. Seven
/// survive every way of writing a number: national, international, with or without `+`.
pub fn suffix(digits: &[u8]) -> u32 {
    const DIGITS: usize = 7;
    // Almost always there is nothing else among them.
    if let Some(last) = digits.last_chunk::<DIGITS>().filter(|last| last.iter().all(u8::is_ascii_digit)) {
        return last.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')) + 1;
    }
    let mut value = 0u32;
    let mut scale = 1u32;
    let mut count = 0;
    for digit in digits.iter().rev().filter(|c| c.is_ascii_digit()).take(DIGITS) {
        value += u32::from(digit - b'0') * scale;
        scale *= 10;
        count += 1;
    }
    if count == DIGITS { value + 1 } else { NO_SUFFIX }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(keys: &KeyMaker, id: u64) -> (Key, Target) {
        (keys.key(OperatorKey(1), &id), Target { message: MessageId(id), part: 0 })
    }

    #[test]
    fn what_need_not_be_kept_is_forgotten_by_and_by_and_nothing_else() {
        const KEPT: u64 = 2_000;
        let (mut correlation, keys) = (Correlation::default(), KeyMaker::default());
        let mut most = 0;
        for id in 0..100_000 {
            let (key, target) = numbered(&keys, id);
            correlation.insert(key, target);
            // Every hundredth lives on, besides the newest.
            if id % 50 == 0 {
                correlation.sweep(|other| other.0 % 100 == 0 || other.0 + KEPT > id);
            }
            most = most.max(correlation.len - id as usize / 100);
        }
        assert!(most < 2 * KEPT as usize + 2 * FEW, "{most} at once");
        assert_eq!(correlation.len, correlation.shards.iter().map(HashTable::len).sum::<usize>());
        let known = |id| {
            let (key, target) = numbered(&keys, id);
            correlation.targets(key).any(|found| found == target)
        };
        assert!((0..100_000).filter(|id| id % 100 == 0 || id + KEPT >= 100_000).all(known));
    }

    #[test]
    fn an_operator_that_gives_every_part_the_same_id_costs_no_more_than_another() {
        let (mut correlation, keys) = (Correlation::default(), KeyMaker::default());
        let key = keys.key(OperatorKey(1), &1u64);
        let target = |id| Target { message: MessageId(id), part: 0 };
        (1..=10_000).for_each(|id| correlation.insert(key, target(id)));
        let looked = std::cell::Cell::new(0);
        let looks = |seen: Target| {
            looked.set(looked.get() + 1);
            Sight { destination: u32::try_from(seen.message.0).unwrap(), waits: true }
        };
        let to = |digits: &str| Address { digits: digits.as_bytes().into(), ..Address::default() };
        assert_eq!(correlation.find(&[key], &to(""), &to(""), looks), Found::Ambiguous);
        assert_eq!((looked.get(), correlation.len), (ALIKE, ALIKE));
        // The number still tells the newest of them apart.
        assert_eq!(correlation.find(&[key], &to("0009999"), &to(""), looks), Found::One(target(10_000)));
    }

    #[test]
    fn the_suffix_of_a_number_is_its_last_seven_digits_however_it_is_written() {
        for number in ["358401234567", "+358401234567", "0401234567", "1234567", "+358 40 123 4567", "040-123 45 67"] {
            assert_eq!(suffix(number.as_bytes()), 1_234_568, "{number}");
        }
        for short in ["", "123456", "12345a", "INFO", "1 2 3 4 5 6"] {
            assert_eq!(suffix(short.as_bytes()), 0, "{short}");
        }
    }

    #[test]
    fn a_million_parts_that_wait_are_not_gone_through_again_and_again() {
        let (mut correlation, keys) = (Correlation::default(), KeyMaker::default());
        let looked = std::cell::Cell::new(0u64);
        for id in 0..1_000_000 {
            let (key, target) = numbered(&keys, id);
            correlation.insert(key, target);
            correlation.sweep(|_| {
                looked.set(looked.get() + 1);
                true
            });
        }
        assert!(looked.get() < 10 * 1_000_000, "{} looks", looked.get());
    }
}
