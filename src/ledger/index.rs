//! Everything that is pending, by id: what the spool's live records mean.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::event::{MAX_PARTS, PartSet};
use crate::message::{AccountKey, Address, Job, MessageId, Mo, OperatorKey, ReceiptRequest, Timestamp};
use crate::receipt::{Receipt, State};
use crate::spool::Location;

/// A live thing and where its newest full record lies.
#[derive(Debug)]
pub(super) struct Item {
    pub location: Location,
    pub what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Message(Pending),
    Mail { account: AccountKey },
    Parked(Box<Parked>),
    MoPart(Box<Mo>),
}

/// An accepted message that is not final yet. Kept small: there may be ten million of them.
#[derive(Debug)]
pub(super) struct Pending {
    pub account: AccountKey,
    pub receipt: ReceiptRequest,
    /// Empty until an operator has taken or refused a part.
    pub parts: Box<[Part]>,
    /// The payload while it is hot; read back from the spool otherwise.
    pub job: Option<Arc<Job>>,
}

/// One part of a message, from the operator's answer on.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub state: PartState,
    pub operator: Option<OperatorKey>,
    /// Seconds since the Unix epoch when the operator took it; 0 before.
    pub sent_at: u32,
    pub operator_id: SmallVec<[u8; 16]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartState {
    Waiting,
    Sent,
    Final { state: State, error: u16 },
}

impl Pending {
    /// Makes room for `total` parts when the first of them is heard of; `None` for a part that is not one of at most [`MAX_PARTS`].
    pub fn part_mut(&mut self, part: u8, total: u8) -> Option<&mut Part> {
        if usize::from(total) > MAX_PARTS {
            return None;
        }
        if self.parts.len() < usize::from(total) {
            let mut parts = std::mem::take(&mut self.parts).into_vec();
            let fresh = Part { state: PartState::Waiting, operator: None, sent_at: 0, operator_id: SmallVec::new() };
            parts.resize(total.into(), fresh);
            self.parts = parts.into_boxed_slice();
        }
        self.parts.get_mut(usize::from(part))
    }

    /// Parts that need not be sent (again).
    pub fn done(&self) -> PartSet {
        self.parts.iter().enumerate().filter(|(_, p)| p.state != PartState::Waiting).fold(0, |set, (i, _)| set | 1 << i)
    }

    /// Will nothing more be heard of any part? Where no receipt is asked for, a part that was sent is at its end.
    pub fn is_settled(&self) -> bool {
        self.parts.iter().all(|part| match part.state {
            PartState::Waiting => false,
            PartState::Sent => !self.receipt.wants_any(),
            PartState::Final { .. } => true,
        })
    }

    /// The operator that has taken a part already: the others must go the same way.
    pub fn bound_to(&self) -> Option<OperatorKey> {
        self.parts.iter().find(|p| p.state != PartState::Waiting).and_then(|p| p.operator)
    }
}

/// A receipt that no message could be found for yet.
#[derive(Debug, Clone)]
pub(super) struct Parked {
    pub operator: OperatorKey,
    pub receipt: Receipt,
    pub source: Address,
    pub destination: Address,
    pub since: Timestamp,
}

/// The map of live things, and the payloads kept hot: the newest ones, first in, first out.
#[derive(Debug)]
pub(super) struct Index {
    items: HashMap<MessageId, Item>,
    hot: VecDeque<MessageId>,
    hot_limit: usize,
    messages: usize,
}

impl Index {
    pub fn new(hot_limit: usize) -> Self {
        Index { items: HashMap::new(), hot: VecDeque::new(), hot_limit, messages: 0 }
    }

    pub fn insert(&mut self, id: MessageId, item: Item) -> Option<Item> {
        if let What::Message(pending) = &item.what {
            self.messages += 1;
            if pending.job.is_some() {
                self.keep_hot(id);
            }
        }
        let old = self.items.insert(id, item);
        self.messages -= usize::from(matches!(&old, Some(Item { what: What::Message(_), .. })));
        old
    }

    fn keep_hot(&mut self, id: MessageId) {
        self.hot.push_back(id);
        if self.hot.len() > self.hot_limit
            && let Some(oldest) = self.hot.pop_front()
            && let Some(Item { what: What::Message(pending), .. }) = self.items.get_mut(&oldest)
        {
            pending.job = None;
        }
    }

    pub fn get(&self, id: MessageId) -> Option<&Item> {
        self.items.get(&id)
    }

    pub fn get_mut(&mut self, id: MessageId) -> Option<&mut Item> {
        self.items.get_mut(&id)
    }

    pub fn message_mut(&mut self, id: MessageId) -> Option<&mut Pending> {
        match self.items.get_mut(&id) {
            Some(Item { what: What::Message(pending), .. }) => Some(pending),
            _ => None,
        }
    }

    pub fn remove(&mut self, id: MessageId) -> Option<Item> {
        let item = self.items.remove(&id);
        self.messages -= usize::from(matches!(&item, Some(Item { what: What::Message(_), .. })));
        item
    }

    pub fn contains(&self, id: MessageId) -> bool {
        self.items.contains_key(&id)
    }

    pub fn iter(&self) -> impl Iterator<Item = (MessageId, &Item)> {
        self.items.iter().map(|(id, item)| (*id, item))
    }

    /// Every live thing.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Messages among the live things.
    pub fn messages(&self) -> usize {
        self.messages
    }
}
