//! Which accepted message a receipt belongs to, and whether it has come before.

use std::collections::HashMap;
use std::hash::BuildHasher;

use hashbrown::DefaultHashBuilder;

/// Places at the beginning. Each remembers its message until another needs the place, so this many receipts back a second one is
/// known as such.
const PLACES: usize = 1 << 20;

/// All binds' accepted ids: a receipt may come on any bind.
///
/// Ids are numbers as a rule, and given in order. An id's place follows from its last digits, so that ids given one after the
/// other lie side by side in memory, and what is answered and reported together is found in a few cache lines. Two that want
/// the same place are no problem, only slower: the later one goes to a map.
#[derive(Debug)]
pub(super) struct Receipts {
    hasher: DefaultHashBuilder,
    places: Vec<Place>,
    elsewhere: HashMap<u64, Entry>,
    /// Accepted or early, and not finished.
    open: usize,
}

/// Times are microseconds of one clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Entry {
    Free,
    /// Submitted then.
    Accepted(u64),
    /// The receipt was here before the response.
    Early(Early),
    Finished,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    key: u64,
    entry: Entry,
}

/// A receipt without its response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Early {
    pub arrived: u64,
    pub delivered: bool,
}

/// What a receipt is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// The first for a message submitted then.
    First(u64),
    Again,
    /// No such id yet.
    Unknown,
}

impl Receipts {
    pub fn new() -> Receipts {
        Receipts { hasher: DefaultHashBuilder::default(), places: empty(PLACES), elsewhere: HashMap::new(), open: 0 }
    }

    /// Notes the id of an accepted message. If its receipt was here already, returns that.
    pub fn accepted(&mut self, message_id: &[u8], submitted: u64) -> Option<Early> {
        let entry = self.entry(message_id);
        match std::mem::replace(entry, Entry::Accepted(submitted)) {
            Entry::Early(early) => {
                *entry = Entry::Finished;
                self.open -= 1;
                return Some(early);
            }
            Entry::Free | Entry::Finished => self.open += 1,
            Entry::Accepted(_) => {}
        }
        self.make_room();
        None
    }

    /// Notes a receipt.
    pub fn arrived(&mut self, message_id: &[u8], at: u64, delivered: bool) -> Seen {
        let entry = self.entry(message_id);
        match *entry {
            Entry::Accepted(submitted) => {
                *entry = Entry::Finished;
                self.open -= 1;
                Seen::First(submitted)
            }
            Entry::Early(_) | Entry::Finished => Seen::Again,
            Entry::Free => {
                *entry = Entry::Early(Early { arrived: at, delivered });
                self.open += 1;
                self.make_room();
                Seen::Unknown
            }
        }
    }

    /// What is known of an id.
    fn entry(&mut self, message_id: &[u8]) -> &mut Entry {
        let key = key(&self.hasher, message_id);
        let index = index(key, self.places.len());
        let place = &mut self.places[index];
        if place.key != key {
            let is_taken = !matches!(place.entry, Entry::Free | Entry::Finished);
            if is_taken || self.elsewhere.contains_key(&key) {
                return self.elsewhere.entry(key).or_insert(Entry::Free);
            }
            *place = Place { key, entry: Entry::Free };
        }
        &mut place.entry
    }

    /// Keeps at least half of the places free for what comes, and the map small.
    fn make_room(&mut self) {
        let crowded = self.open > self.places.len() / 2 || self.elsewhere.len() > self.places.len() / 4;
        if !crowded {
            return;
        }
        let wider = empty(self.places.len() * 2);
        let known = std::mem::replace(&mut self.places, wider);
        let further = std::mem::take(&mut self.elsewhere);
        for (key, entry) in known.into_iter().map(|place| (place.key, place.entry)).chain(further) {
            let index = index(key, self.places.len());
            match (self.places[index].entry, entry) {
                (Entry::Free, _) => self.places[index] = Place { key, entry },
                // What is finished gives way to what is not.
                (_, Entry::Free | Entry::Finished) => {}
                (Entry::Finished, _) => self.places[index] = Place { key, entry },
                _ => {
                    self.elsewhere.insert(key, entry);
                }
            }
        }
    }
}

fn empty(places: usize) -> Vec<Place> {
    vec![Place { key: 0, entry: Entry::Free }; places]
}

fn index(key: u64, places: usize) -> usize {
    key as usize & (places - 1)
}

/// A number for an id: half a hash of all of it, half the value of its last eight digits.
#[inline]
fn key(hasher: &DefaultHashBuilder, message_id: &[u8]) -> u64 {
    let (mut decimal, mut hexadecimal, mut is_decimal) = (0u32, 0u32, true);
    for &octet in &message_id[message_id.len().saturating_sub(8)..] {
        let digit = u32::from(octet & 0x0F) + if octet > b'9' { 9 } else { 0 };
        decimal = decimal.wrapping_mul(10).wrapping_add(digit);
        hexadecimal = hexadecimal << 4 | digit & 0x0F;
        is_decimal &= octet <= b'9';
    }
    let value = if is_decimal { decimal } else { hexadecimal };
    hasher.hash_one(message_id) & 0xFFFF_FFFF_0000_0000 | u64::from(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_belongs_to_its_message_once() {
        let mut receipts = Receipts::new();
        assert_eq!(receipts.accepted(b"17", 5), None);
        assert_eq!(receipts.arrived(b"17", 9, true), Seen::First(5));
        assert_eq!(receipts.arrived(b"17", 9, true), Seen::Again);
    }

    #[test]
    fn a_receipt_before_the_response_is_matched_by_it() {
        let mut receipts = Receipts::new();
        assert_eq!(receipts.arrived(b"17", 9, true), Seen::Unknown);
        assert_eq!(receipts.accepted(b"17", 5), Some(Early { arrived: 9, delivered: true }));
        assert_eq!(receipts.arrived(b"17", 9, true), Seen::Again);
    }

    #[test]
    fn ids_with_the_same_last_digits_are_told_apart() {
        let mut receipts = Receipts::new();
        let ids: Vec<String> = (0..1000).map(|id| format!("{id}00000042")).collect();
        for (submitted, id) in (0..).zip(&ids) {
            assert_eq!(receipts.accepted(id.as_bytes(), submitted), None);
        }
        for (submitted, id) in (0..).zip(&ids) {
            assert_eq!(receipts.arrived(id.as_bytes(), 9, true), Seen::First(submitted));
        }
    }

    #[test]
    fn more_open_messages_than_places_find_room() {
        let mut receipts = Receipts { places: empty(8), ..Receipts::new() };
        for id in 0..1000u64 {
            receipts.accepted(format!("{:x}", id * 7_777_777).as_bytes(), id);
        }
        for id in 0..1000u64 {
            assert_eq!(receipts.arrived(format!("{:x}", id * 7_777_777).as_bytes(), 9, true), Seen::First(id));
        }
        assert_eq!(receipts.open, 0);
    }

    #[test]
    fn consecutive_ids_lie_side_by_side_in_either_notation() {
        let hasher = DefaultHashBuilder::default();
        for (earlier, later) in [("1790000000000041", "1790000000000042"), ("gw10000abcf", "gw10000abd0")] {
            let index = |id: &str| index(key(&hasher, id.as_bytes()), PLACES);
            assert_eq!(index(earlier) + 1, index(later));
        }
    }
}
