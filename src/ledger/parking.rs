//! Receipts that no message was found for yet: which keys they are looked for under, and in which order their time ends.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::correlation::Key;
use crate::message::{MessageId, OperatorKey, Timestamp};

/// Receipts parked per operator at most: an operator that sends nothing but strangers' receipts must not fill memory and spool.
const PARKED_PER_OPERATOR: usize = 20_000;

/// The same of receipts that are looked for under one key: they are all looked at whenever a part gets that id.
const PARKED_ALIKE: usize = 64;

/// One operator's receipts, oldest first, with the keys they stand under.
type ByAge = BTreeMap<(Timestamp, MessageId), SmallVec<[Key; 2]>>;

/// The parked receipts of all operators. The receipts themselves are in the index.
#[derive(Debug, Default)]
pub(super) struct Parking {
    by_key: HashMap<Key, SmallVec<[MessageId; 1]>>,
    by_age: BTreeMap<OperatorKey, ByAge>,
}

impl Parking {
    pub fn add(&mut self, operator: OperatorKey, since: Timestamp, id: MessageId, keys: &[Key]) {
        for key in keys {
            self.by_key.entry(*key).or_default().push(id);
        }
        self.by_age.entry(operator).or_default().insert((since, id), SmallVec::from_slice(keys));
    }

    pub fn remove(&mut self, operator: OperatorKey, since: Timestamp, id: MessageId) {
        let keys = self.by_age.get_mut(&operator).and_then(|ages| ages.remove(&(since, id)));
        for key in keys.into_iter().flatten() {
            if let Some(ids) = self.by_key.get_mut(&key) {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    self.by_key.remove(&key);
                }
            }
        }
    }

    /// The receipts parked under `key`, oldest first.
    pub fn waiting_for(&self, key: Key) -> SmallVec<[MessageId; 1]> {
        self.by_key.get(&key).cloned().unwrap_or_default()
    }

    /// The oldest receipt under one of the keys, or of `operator`, when there are too many.
    pub fn excess(&self, operator: OperatorKey, keys: &[Key]) -> Option<MessageId> {
        let alike = keys.iter().filter_map(|key| self.by_key.get(key)).find(|ids| ids.len() > PARKED_ALIKE);
        if let Some(oldest) = alike.and_then(|ids| ids.first()) {
            return Some(*oldest);
        }
        let ages = self.by_age.get(&operator).filter(|ages| ages.len() > PARKED_PER_OPERATOR)?;
        ages.first_key_value().map(|((_, id), _)| *id)
    }

    /// Up to `count` receipts of each operator that came at `moment` or before.
    pub fn since(&self, moment: Timestamp, count: usize) -> Vec<MessageId> {
        let due = self.by_age.values().flat_map(|ages| ages.keys().take_while(|(since, _)| *since <= moment).take(count));
        due.map(|(_, id)| *id).collect()
    }

    /// The `count` receipts that came last, newest first.
    pub fn newest(&self, count: usize) -> Vec<MessageId> {
        let mut newest: Vec<(Timestamp, MessageId)> =
            self.by_age.values().flat_map(|ages| ages.keys().rev().take(count).copied()).collect();
        newest.sort_unstable_by(|one, other| other.cmp(one));
        newest.into_iter().take(count).map(|(_, id)| id).collect()
    }

    pub fn len(&self) -> usize {
        self.by_age.values().map(BTreeMap::len).sum()
    }
}
