//! What waits to be sent: the messages of one operator, or the mailbox of one account. Fair between accounts, in priority lanes, in
//! order within an account.
//!
//! Deficit round robin: an account may send [`QUANTUM`] parts before the next one has its turn, so that a campaign of one does not
//! delay the one-time passwords of another. The payloads of the first messages are in memory; those far back are only an id, and
//! are asked for in time. Pure: no clock, no lock.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;

use hashbrown::HashMap;

use crate::ledger::PartSet;
use crate::message::{AccountKey, MessageId, Timestamp};

/// Parts an account may send in its turn.
const QUANTUM: u32 = 8;

/// Priority lanes: priority_flag 0 to 3 (SMPP 5.0 section 4.7.14).
const LANES: usize = 4;

/// Most payloads asked for at a time.
const LOAD_AT_ONCE: usize = 512;

/// A message that waits, or comes back to wait again.
#[derive(Debug)]
pub struct Item<P> {
    pub id: MessageId,
    pub account: AccountKey,
    pub priority: u8,
    /// Attempts that ended with a temporary error or an unknown outcome.
    pub attempts: u16,
    /// Parts that need not be sent (again).
    pub done: PartSet,
    pub queued_at: Timestamp,
    pub expires_at: Timestamp,
    /// `None` while only the spool has the payload.
    pub payload: Option<Arc<P>>,
}

/// What a pull gave.
#[derive(Debug)]
pub struct Pulled<P> {
    /// Ready to be sent, in order; each has its payload.
    pub items: Vec<Item<P>>,
    /// Messages whose payload is needed next; answer with [`Queue::fill`].
    pub load: Vec<MessageId>,
}

/// The queue.
#[derive(Debug)]
pub struct Queue<P> {
    lanes: [Lane<P>; LANES],
    delayed: BinaryHeap<Reverse<Delayed<P>>>,
    delays: u64,
    len: usize,
    hot: usize,
    hot_limit: usize,
    earliest_expiry: Timestamp,
}

#[derive(Debug)]
struct Lane<P> {
    ring: VecDeque<AccountKey>,
    accounts: HashMap<AccountKey, Line<P>>,
}

/// One account's messages in one lane.
#[derive(Debug)]
struct Line<P> {
    items: VecDeque<Item<P>>,
    deficit: u32,
    loading: bool,
}

#[derive(Debug)]
struct Delayed<P> {
    until: Timestamp,
    order: u64,
    item: Item<P>,
}

impl<P> Clone for Item<P> {
    fn clone(&self) -> Self {
        Item { payload: self.payload.clone(), ..*self }
    }
}

impl<P> PartialEq for Delayed<P> {
    fn eq(&self, other: &Self) -> bool {
        (self.until, self.order) == (other.until, other.order)
    }
}
impl<P> Eq for Delayed<P> {}
impl<P> PartialOrd for Delayed<P> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<P> Ord for Delayed<P> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.until, self.order).cmp(&(other.until, other.order))
    }
}

impl<P> Queue<P> {
    /// `hot_limit`: messages whose payload may stay in memory.
    pub fn new(hot_limit: usize) -> Self {
        Queue {
            lanes: std::array::from_fn(|_| Lane { ring: VecDeque::new(), accounts: HashMap::new() }),
            delayed: BinaryHeap::new(),
            delays: 0,
            len: 0,
            hot: 0,
            hot_limit,
            earliest_expiry: Timestamp::NEVER,
        }
    }

    /// Messages here, those that wait for their time included.
    pub fn len(&self) -> usize {
        self.len
    }

    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a message behind the others of its account.
    pub fn push(&mut self, mut item: Item<P>) {
        if self.hot >= self.hot_limit {
            item.payload = None;
        }
        self.enter(item, false);
    }

    /// Takes a message back that could not be sent for no fault of its own: it is the next of its account again.
    pub fn put_back(&mut self, item: Item<P>) {
        self.enter(item, true);
    }

    /// Adds a message that must not be sent before `until`.
    pub fn delay(&mut self, item: Item<P>, until: Timestamp) {
        self.count_in(&item);
        self.delays += 1;
        self.delayed.push(Reverse(Delayed { until, order: self.delays, item }));
    }

    fn count_in(&mut self, item: &Item<P>) {
        self.len += 1;
        self.hot += usize::from(item.payload.is_some());
        self.earliest_expiry = self.earliest_expiry.min(item.expires_at);
    }

    fn enter(&mut self, item: Item<P>, front: bool) {
        self.count_in(&item);
        self.place(item, front);
    }

    fn place(&mut self, item: Item<P>, front: bool) {
        let lane = &mut self.lanes[usize::from(item.priority).min(LANES - 1)];
        let account = item.account;
        let line = lane.accounts.entry(account).or_insert_with(Line::new);
        if line.items.is_empty() {
            lane.ring.push_back(account);
        }
        if front {
            let at = line.items.iter().take_while(|other| other.id < item.id).count();
            line.items.insert(at, item);
        } else {
            line.items.push_back(item);
        }
    }

    /// When the next delayed message becomes ready.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.delayed.peek().map(|Reverse(d)| d.until)
    }

    /// When the message that has waited longest came, in the order of each account's line.
    pub fn oldest(&self) -> Option<Timestamp> {
        let fronts = self.lanes.iter().flat_map(|lane| lane.accounts.values()).filter_map(|line| line.items.front());
        let delayed = self.delayed.iter().map(|Reverse(d)| &d.item);
        fronts.chain(delayed.take(1)).map(|item| item.queued_at).min()
    }

    /// Looks for a message everywhere; with it, when its time comes if it must wait for that.
    pub fn find(&self, id: MessageId) -> Option<(&Item<P>, Option<Timestamp>)> {
        let lines = self.lanes.iter().flat_map(|lane| lane.accounts.values());
        let ready = lines.flat_map(|line| &line.items).map(|item| (item, None));
        let delayed = self.delayed.iter().map(|Reverse(d)| (&d.item, Some(d.until)));
        ready.chain(delayed).find(|(item, _)| item.id == id)
    }

    /// Takes the next messages, together at most `parts` parts as `cost` counts them (the last may exceed it).
    pub fn pull(&mut self, now: Timestamp, parts: u32, cost: impl Fn(&P) -> u32) -> Pulled<P> {
        while self.next_due().is_some_and(|until| until <= now) {
            if let Some(Reverse(delayed)) = self.delayed.pop() {
                self.place(delayed.item, true);
            }
        }
        let mut pulled = Pulled { items: Vec::new(), load: Vec::new() };
        let mut budget = parts;
        for lane in self.lanes.iter_mut().rev() {
            lane.pull(&mut budget, &cost, &mut pulled);
            if budget == 0 {
                break;
            }
        }
        self.len -= pulled.items.len();
        self.hot -= pulled.items.len();
        pulled
    }

    /// Gives the payloads asked for by a pull back to their places; a message whose payload is `None` could not be read and is
    /// taken out (the spool has quarantined it).
    pub fn fill(&mut self, payloads: Vec<(MessageId, Option<Arc<P>>)>) {
        let mut held: HashMap<MessageId, Option<Arc<P>>> = payloads.into_iter().collect();
        for line in self.lanes.iter_mut().flat_map(|lane| lane.accounts.values_mut()) {
            if held.is_empty() {
                return;
            }
            if !line.items.iter().take(2 * LOAD_AT_ONCE).any(|item| held.contains_key(&item.id)) {
                continue;
            }
            line.loading = false;
            let before = line.items.len();
            let mut filled = 0;
            line.items.retain_mut(|item| match held.remove(&item.id) {
                Some(Some(payload)) if item.payload.is_none() => {
                    item.payload = Some(payload);
                    filled += 1;
                    true
                }
                Some(None) => false,
                _ => true,
            });
            self.hot += filled;
            self.len -= before - line.items.len();
        }
    }

    /// The payloads asked for could not be asked for elsewhere: the next pull asks again.
    pub fn ask_again(&mut self) {
        for line in self.lanes.iter_mut().flat_map(|lane| lane.accounts.values_mut()) {
            line.loading = false;
        }
    }

    /// Takes out what must not be sent any more. Looks at every message, but only when one of them has expired.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Item<P>> {
        if self.earliest_expiry > now {
            return Vec::new();
        }
        self.take_out(|item| item.expires_at <= now)
    }

    /// Takes the first `count` out, payload or not.
    pub fn take_oldest(&mut self, count: usize) -> Vec<Item<P>> {
        let mut ids: Vec<MessageId> =
            self.lanes.iter().flat_map(|l| l.accounts.values()).flat_map(|l| &l.items).map(|i| i.id).collect();
        if count == 0 || ids.is_empty() {
            return Vec::new();
        }
        ids.sort_unstable();
        let last = ids[count.min(ids.len()) - 1];
        self.take_out(|item| item.id <= last)
    }

    /// Takes a message out wherever it stands.
    pub fn remove(&mut self, id: MessageId) -> Option<Item<P>> {
        self.take_out(|item| item.id == id).pop()
    }

    /// Takes out every message that `wanted` names.
    pub fn take_out(&mut self, wanted: impl Fn(&Item<P>) -> bool) -> Vec<Item<P>> {
        let mut taken = Vec::new();
        let mut earliest = Timestamp::NEVER;
        let mut keep = |item: &mut Item<P>| {
            let take = wanted(item);
            if take {
                taken.push(item.clone());
            } else {
                earliest = earliest.min(item.expires_at);
            }
            !take
        };
        for lane in &mut self.lanes {
            for line in lane.accounts.values_mut() {
                line.items.retain_mut(&mut keep);
            }
            lane.accounts.retain(|_, line| !line.items.is_empty());
            lane.ring.retain(|account| lane.accounts.contains_key(account));
        }
        let delayed = std::mem::take(&mut self.delayed).into_vec();
        self.delayed = delayed.into_iter().filter_map(|Reverse(mut d)| keep(&mut d.item).then_some(Reverse(d))).collect();
        self.earliest_expiry = earliest;
        self.len -= taken.len();
        self.hot -= taken.iter().filter(|item| item.payload.is_some()).count();
        taken
    }
}

impl<P> Lane<P> {
    fn pull(&mut self, budget: &mut u32, cost: &impl Fn(&P) -> u32, pulled: &mut Pulled<P>) {
        let mut stalled = 0;
        while *budget > 0 && stalled < self.ring.len() {
            let Some(account) = self.ring.pop_front() else { return };
            let Some(line) = self.accounts.get_mut(&account) else { continue };
            let taken = line.pull(budget, cost, pulled);
            if line.items.is_empty() {
                self.accounts.remove(&account);
            } else {
                // An account whose turn was cut short by the budget goes on where it stopped.
                let unfinished = *budget == 0 && line.deficit > 0;
                if unfinished { self.ring.push_front(account) } else { self.ring.push_back(account) }
            }
            stalled = if taken { 0 } else { stalled + 1 };
        }
    }
}

impl<P> Line<P> {
    fn new() -> Self {
        Line { items: VecDeque::new(), deficit: 0, loading: false }
    }

    fn pull(&mut self, budget: &mut u32, cost: &impl Fn(&P) -> u32, pulled: &mut Pulled<P>) -> bool {
        if self.deficit == 0 {
            self.deficit = QUANTUM;
        }
        let mut taken = false;
        while *budget > 0 && self.deficit > 0 {
            let Some(item) = self.items.pop_front_if(|item| item.payload.is_some()) else { break };
            let parts = item.payload.as_ref().map_or(1, |payload| cost(payload)).max(1);
            self.deficit = self.deficit.saturating_sub(parts);
            *budget = budget.saturating_sub(parts);
            pulled.items.push(item);
            taken = true;
        }
        self.ask(pulled);
        taken
    }

    /// Asks for payloads when the messages at the front soon have none.
    fn ask(&mut self, pulled: &mut Pulled<P>) {
        if self.loading {
            return;
        }
        let Some(first_cold) = self.items.iter().take(LOAD_AT_ONCE).position(|item| item.payload.is_none()) else { return };
        if first_cold < LOAD_AT_ONCE / 2 {
            let cold = self.items.iter().skip(first_cold).filter(|item| item.payload.is_none()).take(LOAD_AT_ONCE);
            pulled.load.extend(cold.map(|item| item.id));
            self.loading = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Job;

    fn item(id: u64, account: u16) -> Item<Job> {
        Item {
            id: MessageId(id),
            account: AccountKey(account),
            priority: 0,
            attempts: 0,
            done: 0,
            queued_at: Timestamp(id),
            expires_at: Timestamp(1_000_000),
            payload: Some(crate::message::test_job(id, AccountKey(account))),
        }
    }

    fn ids(pulled: &Pulled<Job>) -> Vec<u64> {
        pulled.items.iter().map(|item| item.id.0).collect()
    }

    #[test]
    fn messages_of_one_account_leave_in_order() {
        let mut queue = Queue::new(100);
        (0..20).for_each(|id| queue.push(item(id, 1)));
        assert_eq!(ids(&queue.pull(Timestamp(0), 15, |_| 1)), (0..15).collect::<Vec<_>>());
        assert_eq!(ids(&queue.pull(Timestamp(0), 15, |_| 1)), (15..20).collect::<Vec<_>>());
        assert!(queue.is_empty());
    }

    #[test]
    fn a_message_is_found_wherever_it_waits_and_nowhere_once_it_has_left() {
        let mut queue = Queue::new(100);
        queue.push(item(1, 1));
        queue.delay(item(2, 1), Timestamp(50));
        let when = |id| queue.find(MessageId(id)).map(|(_, not_before)| not_before);
        assert_eq!((when(1), when(2), when(3)), (Some(None), Some(Some(Timestamp(50))), None));
        assert_eq!(ids(&queue.pull(Timestamp(0), 9, |_| 1)), [1]);
        assert!(queue.find(MessageId(1)).is_none());
    }

    #[test]
    fn a_campaign_does_not_delay_another_account() {
        let mut queue = Queue::new(2_000);
        (0..1_000).for_each(|id| queue.push(item(id, 1)));
        queue.push(item(5_000, 2));
        assert!(ids(&queue.pull(Timestamp(0), QUANTUM + 1, |_| 1)).contains(&5_000));
    }

    #[test]
    fn a_higher_priority_goes_first() {
        let mut queue = Queue::new(100);
        queue.push(item(1, 1));
        queue.push(Item { priority: 3, ..item(2, 1) });
        assert_eq!(ids(&queue.pull(Timestamp(0), 2, |_| 1)), [2, 1]);
    }

    #[test]
    fn what_is_put_back_is_next_and_in_order_again() {
        let mut queue = Queue::new(100);
        (0..6).for_each(|id| queue.push(item(id, 1)));
        let mut pulled = queue.pull(Timestamp(0), 3, |_| 1).items;
        pulled.reverse();
        pulled.into_iter().for_each(|item| queue.put_back(item));
        assert_eq!(ids(&queue.pull(Timestamp(0), 6, |_| 1)), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_delayed_message_waits_for_its_time() {
        let mut queue = Queue::new(100);
        queue.delay(item(1, 1), Timestamp(50));
        assert!(queue.pull(Timestamp(49), 5, |_| 1).items.is_empty());
        assert_eq!(queue.next_due(), Some(Timestamp(50)));
        assert_eq!(ids(&queue.pull(Timestamp(50), 5, |_| 1)), [1]);
    }

    #[test]
    fn beyond_the_hot_limit_only_ids_are_kept_and_payloads_are_asked_for_in_time() {
        let mut queue = Queue::new(2);
        (0..4).for_each(|id| queue.push(item(id, 1)));
        let pulled = queue.pull(Timestamp(0), 4, |_| 1);
        assert_eq!(ids(&pulled), [0, 1]);
        assert_eq!(pulled.load, [MessageId(2), MessageId(3)]);
        assert!(queue.pull(Timestamp(0), 4, |_| 1).load.is_empty(), "asked for once only");
        let job = |id| (MessageId(id), item(id, 1).payload);
        queue.fill(vec![job(2), (MessageId(3), None)]);
        assert_eq!(ids(&queue.pull(Timestamp(0), 4, |_| 1)), [2]);
        assert!(queue.is_empty(), "a message that cannot be read leaves the queue");
    }

    #[test]
    fn expired_messages_are_taken_out_wherever_they_stand() {
        let mut queue = Queue::new(100);
        queue.push(Item { expires_at: Timestamp(10), ..item(1, 1) });
        queue.push(item(2, 1));
        queue.delay(Item { expires_at: Timestamp(10), ..item(3, 2) }, Timestamp(500));
        assert!(queue.expire(Timestamp(9)).is_empty());
        let mut expired: Vec<u64> = queue.expire(Timestamp(10)).iter().map(|i| i.id.0).collect();
        expired.sort_unstable();
        assert_eq!(expired, [1, 3]);
        assert_eq!(queue.len(), 1);
        assert_eq!(ids(&queue.pull(Timestamp(600), 5, |_| 1)), [2]);
    }
}
