//! Everything that is pending, by id: what the spool's live records mean.

use std::sync::Arc;

use super::by_id::ById;
use super::correlation::suffix;
use super::event::{MAX_PARTS, PartSet, Received};
use super::part::{Part, PartState, Parts};
use crate::message::{AccountKey, Job, Message, MessageId, Mo, OperatorKey, Payload, ReceiptRequest};
use crate::receipt::State;
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
    Parked(Box<Received>),
    MoPart(Box<Mo>),
}

/// An accepted message that is not final yet. Kept small: there may be ten million of them.
#[derive(Debug)]
pub(super) struct Pending {
    pub account: AccountKey,
    pub receipt: ReceiptRequest,
    /// Last digits of the number it goes to, see [`suffix`](super::correlation::suffix).
    pub destination: u32,
    /// Empty until an operator has taken or refused a part.
    pub parts: Parts,
}

impl Pending {
    pub fn new(account: AccountKey, message: &Message, parts: Parts) -> Self {
        Pending { account, receipt: message.receipt, destination: suffix(&message.destination.digits), parts }
    }

    /// Makes room for `total` parts when the first of them is heard of; `None` for a part that is not one of at most [`MAX_PARTS`].
    ///
    /// Who has a message may have to cut the rest of it into more or fewer parts than its beginning, after a reload. One of which nothing
    /// is left to be sent stays as it is.
    pub fn part_mut(&mut self, part: u8, total: u8) -> Option<&mut Part> {
        let total = usize::from(total);
        if total > MAX_PARTS || usize::from(part) >= total {
            return None;
        }
        let unsent = |part: &Part| part.state == PartState::Waiting;
        // One that is known already says nothing new of how many there are.
        if self.is_to_be_sent() && self.parts.get(usize::from(part)).is_none_or(unsent) {
            let kept = self.parts.iter().rposition(|part| !unsent(part)).map_or(0, |last| last + 1);
            self.parts.resize(total.max(kept));
        }
        self.parts.get_mut(usize::from(part))
    }

    /// Parts that need not be sent (again).
    pub fn done(&self) -> PartSet {
        self.parts.iter().enumerate().filter(|(_, p)| p.state != PartState::Waiting).fold(0, |set, (i, _)| set | 1 << i)
    }

    /// Is there a part that must be sent (again)?
    pub fn is_to_be_sent(&self) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|part| part.state == PartState::Waiting)
    }

    /// Will nothing more be heard of any part? Where no receipt is asked for, a part that was sent is at its end.
    pub fn is_settled(&self) -> bool {
        self.parts.iter().all(|part| match part.state {
            PartState::Waiting => false,
            PartState::Sent { .. } => !self.receipt.wants_any(),
            PartState::Final { .. } => true,
        })
    }

    /// What has become of all of it, when this is the state of its last part: a message of which a part was not delivered was not either.
    pub fn outcome(&self, last: State) -> (State, u16) {
        let failed = self.parts.iter().find_map(|part| match part.state {
            PartState::Final { state, error, .. } if state != State::Delivered => Some((state, error)),
            _ => None,
        });
        failed.filter(|_| matches!(last, State::Delivered | State::Accepted)).unwrap_or((last, 0))
    }

    /// The operator that has taken a part already: the others must go the same way.
    pub fn bound_to(&self) -> Option<OperatorKey> {
        self.parts.iter().find(|p| p.state != PartState::Waiting).and_then(Part::operator)
    }
}

/// The map of live things, and the payloads kept hot.
#[derive(Debug)]
pub(super) struct Index {
    items: ById<Item>,
    /// The payload of a message stands where its id says, until it is finished or a newer one stands there.
    hot: Vec<Option<Arc<Job>>>,
    messages: usize,
}

impl Index {
    /// `hot`: how many of the newest ids have their payload in memory.
    pub fn new(hot: usize) -> Self {
        Index { items: ById::new(), hot: vec![None; hot], messages: 0 }
    }

    pub fn insert(&mut self, id: MessageId, item: Item) -> Option<Item> {
        self.messages += usize::from(matches!(&item.what, What::Message(_)));
        let old = self.items.insert(id, item);
        self.messages -= usize::from(matches!(&old, Some(Item { what: What::Message(_), .. })));
        old
    }

    /// Keeps the payload of a message in memory for a while, unless it is large.
    pub fn keep_hot(&mut self, job: Arc<Job>) {
        if !job.is_large()
            && let Some(place) = self.hot_place(job.id)
        {
            *place = Some(job);
        }
    }

    fn hot_place(&mut self, id: MessageId) -> Option<&mut Option<Arc<Job>>> {
        let at = id.0.checked_rem(self.hot.len() as u64)?;
        self.hot.get_mut(usize::try_from(at).ok()?)
    }

    /// The payload of a message, if it is in memory.
    pub fn hot(&self, id: MessageId) -> Option<&Arc<Job>> {
        let at = id.0.checked_rem(self.hot.len() as u64)?;
        self.hot.get(usize::try_from(at).ok()?)?.as_ref().filter(|job| job.id == id)
    }

    /// Takes the payload of a message out of memory.
    pub fn take_hot(&mut self, id: MessageId) -> Option<Arc<Job>> {
        self.hot_place(id)?.take_if(|job| job.id == id)
    }

    pub fn get(&self, id: MessageId) -> Option<&Item> {
        self.items.get(id)
    }

    /// Anything about a thing, to have read it.
    pub fn look(&self, id: MessageId) -> u64 {
        self.items.get(id).map_or(0, |item| item.location.offset.into())
    }

    pub fn get_mut(&mut self, id: MessageId) -> Option<&mut Item> {
        self.items.get_mut(id)
    }

    pub fn message_mut(&mut self, id: MessageId) -> Option<&mut Pending> {
        match self.items.get_mut(id) {
            Some(Item { what: What::Message(pending), .. }) => Some(pending),
            _ => None,
        }
    }

    pub fn remove(&mut self, id: MessageId) -> Option<Item> {
        let item = self.items.remove(id);
        if let Some(Item { what: What::Message(_), .. }) = &item {
            self.messages -= 1;
            self.take_hot(id);
        }
        item
    }

    pub fn contains(&self, id: MessageId) -> bool {
        self.items.contains(id)
    }

    /// Everything, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (MessageId, &Item)> {
        self.items.iter()
    }

    /// Groups of neighbouring ids, in order; for [`ids_of`](Self::ids_of).
    pub fn pages(&self) -> Vec<u64> {
        self.items.pages()
    }

    /// The last group before this one; for [`items_of`](Self::items_of).
    pub fn page_before(&self, page: u64) -> Option<u64> {
        self.items.page_before(page)
    }

    /// Everything of a group, in order.
    pub fn items_of(&self, page: u64) -> impl Iterator<Item = (MessageId, &Item)> {
        self.items.items_of(page)
    }

    /// The ids of a group now, in order.
    pub fn ids_of(&self, page: u64) -> impl Iterator<Item = MessageId> + use<> {
        self.items.ids_of(page)
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
