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

/// How far into a line a single message is looked for.
const SEARCHED: usize = 2_000;

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
    /// Messages whose payload was asked for and has not come yet; none of the line is asked for meanwhile.
    asked: Vec<MessageId>,
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
    pub fn delay(&mut self, mut item: Item<P>, until: Timestamp) {
        if self.hot >= self.hot_limit {
            item.payload = None;
        }
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
        let ring = &mut lane.ring;
        let line = lane.accounts.entry(account).or_insert_with(|| {
            ring.push_back(account);
            Line::new()
        });
        if front {
            let at = line.items.iter().take_while(|other| other.id < item.id).count();
            line.items.insert(at, item);
        } else {
            line.items.push_back(item);
        }
    }

    /// Messages that a pull at `now` could give: all but those whose time has not come. When one of the delayed is due, it counts as
    /// one whatever stands behind it.
    pub fn ready(&self, now: Timestamp) -> usize {
        self.len - self.delayed.len() + usize::from(self.next_due().is_some_and(|until| until <= now))
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
        let (mut filled, mut lost) = (0, 0);
        for line in self.lanes.iter_mut().flat_map(|lane| lane.accounts.values_mut()) {
            if line.asked.first().is_some_and(|first| held.contains_key(first)) {
                let (f, l) = line.fill(&mut held);
                (filled, lost) = (filled + f, lost + l);
            }
        }
        self.hot += filled;
        self.len -= lost;
    }

    /// The payloads asked for could not be asked for elsewhere: the next pull asks again.
    pub fn ask_again(&mut self) {
        for line in self.lanes.iter_mut().flat_map(|lane| lane.accounts.values_mut()) {
            line.asked.clear();
        }
    }

    /// Takes out what must not be sent any more. Looks at every message, but only when one of them has expired.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Item<P>> {
        if self.earliest_expiry > now {
            return Vec::new();
        }
        self.take_out(|item| item.expires_at <= now)
    }

    /// Takes the first `count` out, payload or not, delayed or not.
    pub fn take_oldest(&mut self, count: usize) -> Vec<Item<P>> {
        let lines = self.lanes.iter().flat_map(|lane| lane.accounts.values());
        let delayed = self.delayed.iter().map(|Reverse(delayed)| delayed.item.id);
        let mut ids: Vec<MessageId> = lines.flat_map(|line| &line.items).map(|item| item.id).chain(delayed).collect();
        let Some(last) = count.min(ids.len()).checked_sub(1) else { return Vec::new() };
        let (_, last, _) = ids.select_nth_unstable(last);
        let last = *last;
        self.take_out(|item| item.id <= last)
    }

    /// Takes a message out that is delayed or not far from the front of its line; one far back is not found.
    pub fn remove(&mut self, account: AccountKey, priority: u8, id: MessageId) -> Option<Item<P>> {
        if self.delayed.len() <= SEARCHED && self.delayed.iter().any(|Reverse(delayed)| delayed.item.id == id) {
            return self.take_out(|item| item.id == id).pop();
        }
        let lane = &mut self.lanes[usize::from(priority).min(LANES - 1)];
        let line = lane.accounts.get_mut(&account)?;
        let at = line.items.iter().take(SEARCHED).position(|item| item.id == id)?;
        let item = line.items.remove(at)?;
        self.len -= 1;
        self.hot -= usize::from(item.payload.is_some());
        Some(item)
    }

    /// Takes out every message that `wanted` names.
    pub fn take_out(&mut self, mut wanted: impl FnMut(&Item<P>) -> bool) -> Vec<Item<P>> {
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
        Line { items: VecDeque::new(), deficit: 0, asked: Vec::new() }
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
        if !self.asked.is_empty() {
            return;
        }
        let Some(first_cold) = self.items.iter().take(LOAD_AT_ONCE).position(|item| item.payload.is_none()) else { return };
        if first_cold < LOAD_AT_ONCE / 2 {
            let cold = self.items.iter().skip(first_cold).filter(|item| item.payload.is_none()).take(LOAD_AT_ONCE);
            self.asked = cold.map(|item| item.id).collect();
            pulled.load.extend(&self.asked);
        }
    }

    /// Takes in the payloads it asked for; how many came, and how many messages had to go because theirs cannot be read. Looks no
    /// further than the last of them: the line may be millions long.
    fn fill(&mut self, held: &mut HashMap<MessageId, Option<Arc<P>>>) -> (usize, usize) {
        let mut open = std::mem::take(&mut self.asked).into_iter().filter(|id| held.contains_key(id)).count();
        let (mut at, mut filled, mut lost) = (0, 0, 0);
        while open > 0 && at < self.items.len() {
            let item = &mut self.items[at];
            match held.remove(&item.id) {
                Some(Some(payload)) => {
                    filled += usize::from(item.payload.replace(payload).is_none());
                    open -= 1;
                }
                Some(None) if item.payload.is_none() => {
                    self.items.remove(at);
                    (open, lost) = (open - 1, lost + 1);
                    continue;
                }
                Some(None) => open -= 1,
                None => {}
            }
            at += 1;
        }
        (filled, lost)
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
