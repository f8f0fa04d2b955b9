//! One account's messages in one lane: the near ones as they are, those far back as little more than an id.

use std::sync::Arc;

use hashbrown::HashMap;

use super::blocks::{Blocks, Entry};
use super::{Item, LOAD_AT_ONCE, LOAD_OCTETS, Pulled, QUANTUM, Suspicion};
use crate::ledger::PartSet;
use crate::message::{AccountKey, MessageId, Payload, Timestamp};

#[derive(Debug)]
pub(super) struct Line<P> {
    account: AccountKey,
    pub near: Blocks<Item<P>>,
    /// All of these come after the near ones.
    pub far: Blocks<Far>,
    /// Parts that need not be sent (again), of those far ones that have any.
    begun: HashMap<MessageId, PartSet>,
    /// Near messages without payload.
    cold: usize,
    pub deficit: u32,
    /// Messages whose payload was asked for and has not come yet; none of the line is asked for meanwhile.
    pub asked: Vec<MessageId>,
}

/// A message far back. Kept small: there may be ten million of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Far {
    id: MessageId,
    expires_at: Timestamp,
    /// Seconds since the Unix epoch.
    queued_at: u32,
    attempts: u16,
    priority: u8,
    /// Sessions that died while it was in flight, fewer than make a suspect, and vague refusals: four bits each.
    counts: u8,
}

/// As much as four bits hold; of neither does more make a difference.
const COUNTED: u8 = 0x0F;

impl<P> Entry for Item<P> {
    fn id(&self) -> MessageId {
        self.id
    }
    fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

impl Entry for Far {
    fn id(&self) -> MessageId {
        self.id
    }
    fn expires_at(&self) -> Timestamp {
        self.expires_at
    }
}

impl<P: Payload> Line<P> {
    pub fn new(account: AccountKey) -> Self {
        Line { account, near: Blocks::new(), far: Blocks::new(), begun: HashMap::new(), cold: 0, deficit: 0, asked: Vec::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.near.is_empty() && self.far.is_empty()
    }

    /// Payloads in memory.
    pub fn hot(&self) -> usize {
        self.near.len() - self.cold
    }

    pub fn push_near(&mut self, item: Item<P>) {
        self.cold += usize::from(item.payload.is_none());
        self.near.push_back(item);
    }

    /// The message is far back: its payload is left to the spool.
    pub fn push_far(&mut self, item: &Item<P>) {
        if item.done != 0 {
            self.begun.insert(item.id, item.done);
        }
        self.far.push_back(Far {
            id: item.id,
            expires_at: item.expires_at,
            queued_at: u32::try_from(item.queued_at.0 / 1000).unwrap_or(u32::MAX),
            attempts: item.attempts,
            priority: item.priority,
            counts: item.suspicion.deaths.min(COUNTED) | item.vague_refusals.min(COUNTED) << 4,
        });
    }

    /// Puts a message in its place among the near ones.
    pub fn put_back(&mut self, item: Item<P>) {
        self.cold += usize::from(item.payload.is_none());
        self.near.insert(item);
    }

    /// When the first message came.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.near.front().map(|item| item.queued_at).or_else(|| self.far.front().map(Far::queued_at))
    }

    pub fn first(&self) -> Option<MessageId> {
        self.near.front().map(|item| item.id).or_else(|| self.far.front().map(|far| far.id))
    }

    pub fn pop_first(&mut self) -> Option<Item<P>> {
        if let Some(item) = self.near.pop_front_if(|_| true) {
            self.cold -= usize::from(item.payload.is_none());
            return Some(item);
        }
        let far = self.far.pop_front_if(|_| true)?;
        Some(self.whole(far))
    }

    /// A message that was far back, without its payload.
    fn whole(&mut self, far: Far) -> Item<P> {
        Item { done: self.begun.remove(&far.id).unwrap_or(0), ..far.item(self.account) }
    }

    /// Takes messages in their turn; are there any?
    pub fn pull(&mut self, budget: &mut u32, cost: &impl Fn(&P) -> u32, pulled: &mut Pulled<P>) -> bool {
        if self.deficit == 0 {
            self.deficit = QUANTUM;
        }
        let mut taken = false;
        while *budget > 0 && self.deficit > 0 {
            let Some(item) = self.near.pop_front_if(|item| item.payload.is_some()) else { break };
            let parts = item.payload.as_ref().map_or(1, |payload| cost(payload)).max(1);
            self.deficit = self.deficit.saturating_sub(parts);
            *budget = budget.saturating_sub(parts);
            pulled.items.push(item);
            taken = true;
        }
        self.ask(&mut pulled.load);
        taken
    }

    /// Asks for payloads when the messages at the front soon have none.
    fn ask(&mut self, load: &mut Vec<MessageId>) {
        if !self.asked.is_empty() || (self.cold == 0 && (self.far.is_empty() || self.near.len() >= LOAD_AT_ONCE / 2)) {
            return;
        }
        while self.cold < LOAD_AT_ONCE && self.near.len() < LOAD_AT_ONCE {
            let Some(far) = self.far.pop_front_if(|_| true) else { break };
            let item = self.whole(far);
            self.push_near(item);
        }
        if self.is_soon_cold() {
            self.asked = self.near.iter().filter(|item| item.payload.is_none()).take(LOAD_AT_ONCE).map(|item| item.id).collect();
            load.extend(&self.asked);
        }
    }

    /// Is a payload missing among the first messages, and are those before it not too large to be kept besides?
    fn is_soon_cold(&self) -> bool {
        let near = || self.near.iter().take(LOAD_AT_ONCE / 2);
        let Some(cold) = near().position(|item| item.payload.is_none()) else { return false };
        let before: usize = near().take(cold).filter_map(|item| item.payload.as_deref()).map(Payload::octets).sum();
        before <= LOAD_OCTETS
    }

    /// Takes in the payloads it asked for; how many messages had to go because theirs cannot be read. Looks no further than the last
    /// of them.
    pub fn fill(&mut self, held: &mut HashMap<MessageId, Option<Arc<P>>>) -> usize {
        let mut open = std::mem::take(&mut self.asked).into_iter().filter(|id| held.contains_key(id)).count();
        let mut lost = Vec::new();
        for item in self.near.iter_mut() {
            if open == 0 {
                break;
            }
            let Some(payload) = held.remove(&item.id) else { continue };
            open -= 1;
            match payload {
                Some(payload) => self.cold -= usize::from(item.payload.replace(payload).is_none()),
                None if item.payload.is_none() => lost.push(item.id),
                None => {}
            }
        }
        let mut gone = Vec::new();
        if !lost.is_empty() {
            self.near.take_out(&mut gone, |item| lost.contains(&item.id));
            self.cold -= gone.len();
        }
        gone.len()
    }

    /// The message so many places behind the first one from `from` on.
    pub fn nth_from(&self, from: MessageId, places: usize) -> Option<MessageId> {
        let far = self.far.iter_from(from).map(|far| far.id);
        self.near.iter_from(from).map(|item| item.id).chain(far).nth(places)
    }

    /// Messages from `from` to `to`, at most so many.
    pub fn between(&self, (from, to): (MessageId, MessageId), most: usize) -> impl Iterator<Item = Item<P>> {
        let done = |far: &Far| self.begun.get(&far.id).copied().unwrap_or(0);
        let far = self.far.iter_from(from).map(move |far| Item { done: done(far), ..far.item(self.account) });
        let all = self.near.iter_from(from).cloned().chain(far);
        all.take(most).filter(move |item| (from..=to).contains(&item.id))
    }

    /// Takes out every message from `from` to `to` that `wanted` names.
    pub fn take_between(
        &mut self,
        taken: &mut Vec<Item<P>>,
        range: (MessageId, MessageId),
        wanted: &mut impl FnMut(&Item<P>) -> bool,
    ) {
        let before = taken.len();
        self.near.take_between(taken, range, &mut *wanted);
        self.cold -= taken[before..].iter().filter(|item| item.payload.is_none()).count();
        let (account, begun) = (self.account, &self.begun);
        let mut far = Vec::new();
        let whole = |far: &Far| Item { done: begun.get(&far.id).copied().unwrap_or(0), ..far.item(account) };
        self.far.take_between(&mut far, range, |far| wanted(&whole(far)));
        taken.extend(far.into_iter().map(|far| self.whole(far)));
    }

    /// Takes out a message that is among the first `most` of the near ones.
    pub fn take_early(&mut self, id: MessageId, most: usize) -> Option<Item<P>> {
        let item = self.near.take_first(most, |item| item.id == id)?;
        self.cold -= usize::from(item.payload.is_none());
        Some(item)
    }

    /// Takes out what has expired, until so many are `taken`.
    pub fn expire(&mut self, now: Timestamp, taken: &mut Vec<Item<P>>, most: usize) {
        let before = taken.len();
        self.near.expire(now, taken, most);
        self.cold -= taken[before..].iter().filter(|item| item.payload.is_none()).count();
        let mut far = Vec::new();
        self.far.expire(now, &mut far, most.saturating_sub(taken.len()));
        taken.extend(far.into_iter().map(|far| self.whole(far)));
    }

    /// Everything, in order.
    pub fn iter(&self) -> impl Iterator<Item = Item<P>> {
        let done = |far: &Far| self.begun.get(&far.id).copied().unwrap_or(0);
        let far = self.far.iter().map(move |far| Item { done: done(far), ..far.item(self.account) });
        self.near.iter().cloned().chain(far)
    }
}

impl Far {
    fn queued_at(&self) -> Timestamp {
        Timestamp(u64::from(self.queued_at) * 1000)
    }

    fn item<P>(&self, account: AccountKey) -> Item<P> {
        Item {
            id: self.id,
            account,
            priority: self.priority,
            attempts: self.attempts,
            vague_refusals: self.counts >> 4,
            suspicion: Suspicion { deaths: self.counts & COUNTED, alone: 0 },
            done: 0,
            queued_at: self.queued_at(),
            expires_at: self.expires_at,
            payload: None,
        }
    }
}
