//! Messages that one bind of an operator sends again, and what an answer to the former attempt says of them meanwhile.
//!
//! The former attempt may have been another bind's: its late answer comes there, and must count for the message here.

use std::sync::{Arc, Mutex};

use hashbrown::HashMap;

use super::lock;
use crate::ledger::PartSet;
use crate::message::MessageId;

/// The messages that are in flight at one operator and have been there before.
#[derive(Debug, Default)]
pub(super) struct Resent(Mutex<HashMap<MessageId, Parts>>);

#[derive(Debug)]
struct Parts {
    /// Into how many parts it is cut.
    total: u8,
    /// Parts of which a late answer says that the operator has them.
    taken: PartSet,
}

impl Resent {
    /// The message is in flight again, cut into `total` parts, until the handle is dropped.
    pub fn begins(self: &Arc<Self>, id: MessageId, total: u8) -> SentAgain {
        lock(&self.0).insert(id, Parts { total, taken: 0 });
        SentAgain { resent: self.clone(), id }
    }

    /// The operator took a part in a former attempt. False when the message is not in flight here, or cut in another way now.
    pub fn taken(&self, id: MessageId, part: u8, total: u8) -> bool {
        let mut messages = lock(&self.0);
        let parts = messages.get_mut(&id).filter(|parts| parts.total == total);
        parts.map(|parts| parts.taken |= 1 << part).is_some()
    }
}

/// A message that is sent again, as long as it is in flight.
#[derive(Debug)]
pub struct SentAgain {
    resent: Arc<Resent>,
    id: MessageId,
}

impl SentAgain {
    /// The parts that the operator took in a former attempt, as has become known during this one.
    pub fn taken(&self) -> PartSet {
        lock(&self.resent.0).get(&self.id).map_or(0, |parts| parts.taken)
    }
}

impl Drop for SentAgain {
    fn drop(&mut self) {
        lock(&self.resent.0).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: MessageId = MessageId(1);

    #[test]
    fn a_late_answer_counts_while_the_message_is_in_flight_again() {
        let resent = Arc::new(Resent::default());
        assert!(!resent.taken(ID, 0, 3), "not in flight");
        let again = resent.begins(ID, 3);
        assert!(resent.taken(ID, 0, 3));
        assert!(resent.taken(ID, 2, 3));
        assert_eq!(again.taken(), 0b101);
        drop(again);
        assert!(!resent.taken(ID, 1, 3), "not in flight any more");
    }

    #[test]
    fn a_part_of_a_message_that_is_cut_in_another_way_now_is_none_of_it() {
        let resent = Arc::new(Resent::default());
        let again = resent.begins(ID, 2);
        assert!(!resent.taken(ID, 0, 3));
        assert_eq!(again.taken(), 0);
    }
}
