//! What waits to be sent: the messages of one operator, or the mailbox of one account. Fair between accounts, in priority lanes, in
//! order within an account.
//!
//! Deficit round robin: an account may send [`QUANTUM`] parts before the next one has its turn, so that a campaign of one does not
//! delay the one-time passwords of another. The payloads of the first messages are in memory; those far back are only an id, and
//! are asked for in time. Pure: no clock, no lock.

mod blocks;
mod line;
mod suspects;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use line::Line;
use suspects::Suspects;
pub use suspects::{Blame, Suspicion};

use crate::ledger::PartSet;
use crate::message::{AccountKey, MessageId, Payload, Timestamp};

/// Parts an account may send in its turn.
const QUANTUM: u32 = 8;

/// Priority lanes: priority_flag 0 to 3 (SMPP 5.0 section 4.7.14).
const LANES: usize = 4;

/// How far into a line a single message is looked for.
const SEARCHED: usize = 2_000;

/// Most payloads asked for at a time.
const LOAD_AT_ONCE: usize = 512;

/// Octets of payload that are read back at a time: some 35 messages of the largest kind. More are asked for when no more than this is left
/// at the front of a line, so a line holds about twice as many.
pub const LOAD_OCTETS: usize = 2 * 1024 * 1024;

/// A slice looks at so many messages of each account, even if they are more in all than it was asked for.
const LEAST_OF_A_LINE: usize = 8;

/// Most messages that a look takes out because they have expired.
const EXPIRED_AT_ONCE: usize = 10_000;

/// A message that waits, or comes back to wait again.
#[derive(Debug)]
pub struct Item<P> {
    pub id: MessageId,
    pub account: AccountKey,
    pub priority: u8,
    /// Attempts that ended with a temporary error or an unknown outcome.
    pub attempts: u16,
    /// Those of them that ended with a refusal which does not say whether another one makes sense.
    pub vague_refusals: u8,
    pub suspicion: Suspicion,
    /// Parts that need not be sent (again).
    pub done: PartSet,
    /// Since when it waits; if it is scheduled, from when on it will.
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

/// Some of what waits, looked at but not taken out: see [`Queue::slice`].
#[derive(Debug)]
pub struct Slice<P> {
    /// Those far back without their payload.
    pub items: Vec<Item<P>>,
    /// Where the next slice begins; `None` when there is none.
    pub next: Option<MessageId>,
}

/// The queue.
#[derive(Debug)]
pub struct Queue<P> {
    lanes: [Lane<P>; LANES],
    delayed: BinaryHeap<Reverse<Delayed<P>>>,
    suspects: Suspects<P>,
    /// Of the delayed: those whose time has never come yet.
    scheduled: usize,
    delays: u32,
    len: usize,
    hot: usize,
    hot_limit: usize,
    /// None of the delayed expires before.
    delayed_expiry: Timestamp,
}

#[derive(Debug)]
struct Lane<P> {
    /// Accounts with messages, in the order of their turns.
    ring: VecDeque<AccountKey>,
    /// Sorted, for what is taken out of several lines to come in the same order every time.
    accounts: BTreeMap<AccountKey, Line<P>>,
}

#[derive(Debug)]
struct Delayed<P> {
    until: Timestamp,
    /// Among those of one moment. Begins anew after four thousand million.
    order: u32,
    /// The operator's status, after which it waits; 0 when it was not refused.
    refusal: u32,
    item: Item<P>,
}

/// A message that was looked for.
#[derive(Debug)]
pub struct Found<P> {
    pub item: Item<P>,
    /// When its time comes, if it must wait for that.
    pub until: Option<Timestamp>,
    /// The operator's status, after which it waits for that; 0 when it was not refused.
    pub refusal: u32,
}

impl<P: Payload> Item<P> {
    /// Without its payload if that is large: it is read back when its turn comes.
    fn lean(self) -> Self {
        Item { payload: self.payload.filter(|payload| !payload.is_large()), ..self }
    }
}

impl<P> Clone for Item<P> {
    fn clone(&self) -> Self {
        Item { payload: self.payload.clone(), ..*self }
    }
}

impl<P> Delayed<P> {
    /// Not to be sent before, and so not waiting: as against one that is to be tried again.
    fn is_scheduled(&self) -> bool {
        self.until <= self.item.queued_at
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

impl<P: Payload> Queue<P> {
    /// `hot_limit`: messages whose payload may stay in memory.
    pub fn new(hot_limit: usize) -> Self {
        Queue {
            lanes: std::array::from_fn(|_| Lane { ring: VecDeque::new(), accounts: BTreeMap::new() }),
            delayed: BinaryHeap::new(),
            suspects: Suspects::new(),
            scheduled: 0,
            delays: 0,
            len: 0,
            hot: 0,
            hot_limit,
            delayed_expiry: Timestamp::NEVER,
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
    pub fn push(&mut self, item: Item<P>) {
        if item.suspicion.is_suspect() {
            return self.suspect(item, Timestamp(0));
        }
        let item = item.lean();
        self.len += 1;
        let room = self.hot < self.hot_limit;
        let line = self.lanes[lane(item.priority)].line(item.account);
        if room && line.far.is_empty() && item.payload.is_some() {
            self.hot += 1;
            line.push_near(item);
        } else {
            line.push_far(&item);
        }
    }

    /// Takes a message back that could not be sent for no fault of its own: it is the next of its account again.
    pub fn put_back(&mut self, item: Item<P>) {
        if item.suspicion.is_suspect() {
            return self.suspect(item, Timestamp(0));
        }
        self.len += 1;
        self.hot += usize::from(item.payload.is_some());
        self.lanes[lane(item.priority)].line(item.account).put_back(item);
    }

    /// Adds a message that must not be sent before `until`.
    pub fn delay(&mut self, item: Item<P>, until: Timestamp) {
        self.delay_refused(item, until, 0);
    }

    /// The same for one that an operator has refused with this status.
    pub fn delay_refused(&mut self, item: Item<P>, until: Timestamp, refusal: u32) {
        if item.suspicion.is_suspect() {
            return self.suspect(item, until);
        }
        let mut item = item.lean();
        if self.hot >= self.hot_limit {
            item.payload = None;
        }
        self.len += 1;
        self.hot += usize::from(item.payload.is_some());
        self.delayed_expiry = self.delayed_expiry.min(item.expires_at);
        self.delays = self.delays.wrapping_add(1);
        let delayed = Delayed { until, order: self.delays, refusal, item };
        self.scheduled += usize::from(delayed.is_scheduled());
        self.delayed.push(Reverse(delayed));
    }

    /// Keeps a message that must be sent alone, and not before `until`.
    fn suspect(&mut self, item: Item<P>, until: Timestamp) {
        self.len += 1;
        self.hot += usize::from(item.payload.is_some());
        self.suspects.insert(item, until);
    }

    /// When the first of the messages that must be sent alone may be tried.
    pub fn next_suspect(&self) -> Option<Timestamp> {
        self.suspects.next_due()
    }

    /// Takes a message that must be sent alone.
    pub fn pull_suspect(&mut self, now: Timestamp) -> Option<Item<P>> {
        let item = self.suspects.pull(now)?;
        self.len -= 1;
        self.hot -= usize::from(item.payload.is_some());
        Some(item)
    }

    fn lines(&self) -> impl Iterator<Item = &Line<P>> {
        self.lanes.iter().flat_map(|lane| lane.accounts.values())
    }

    fn lines_mut(&mut self) -> impl Iterator<Item = &mut Line<P>> {
        self.lanes.iter_mut().flat_map(|lane| lane.accounts.values_mut())
    }

    /// Messages that a pull at `now` could give: all but suspects and those whose time has not come. When one of the delayed is due,
    /// it counts as one whatever stands behind it.
    pub fn ready(&self, now: Timestamp) -> usize {
        self.len - self.delayed.len() - self.suspects.len() + usize::from(self.next_due().is_some_and(|until| until <= now))
    }

    /// When the next delayed message becomes ready.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.delayed.peek().map(|Reverse(d)| d.until)
    }

    /// Messages whose time has come, although it may not be their turn, or who wait to be tried again.
    pub fn due(&self) -> usize {
        self.len - self.scheduled
    }

    /// Since when the message that has waited longest has, of those that are [due](Self::due).
    pub fn oldest(&self) -> Option<Timestamp> {
        let delayed = self.delayed.iter().take(SEARCHED).map(|Reverse(delayed)| delayed);
        let tried = delayed.filter(|delayed| !delayed.is_scheduled()).map(|delayed| delayed.item.queued_at);
        self.lines().filter_map(Line::oldest).chain(tried).chain(self.suspects.oldest()).min()
    }

    /// Looks for a message everywhere.
    pub fn find(&self, id: MessageId) -> Option<Found<P>> {
        let ready = self.lines().flat_map(Line::iter).find(|item| item.id == id);
        let ready = ready.map(|item| Found { item, until: None, refusal: 0 });
        let delayed = || {
            let Reverse(delayed) = self.delayed.iter().find(|Reverse(delayed)| delayed.item.id == id)?;
            Some(Found { item: delayed.item.clone(), until: Some(delayed.until), refusal: delayed.refusal })
        };
        ready.or_else(delayed).or_else(|| self.suspects.find(id))
    }

    /// Takes the next messages, together at most `parts` parts as `cost` counts them (the last may exceed it).
    pub fn pull(&mut self, now: Timestamp, parts: u32, cost: impl Fn(&P) -> u32) -> Pulled<P> {
        self.end_delays(now);
        let most = self.ready(now).min(parts as usize);
        let mut pulled = Pulled { items: Vec::with_capacity(most), load: Vec::new() };
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
        for line in self.lines_mut() {
            if line.asked.first().is_some_and(|first| held.contains_key(first)) {
                let before = line.hot();
                lost += line.fill(&mut held);
                filled += line.hot() - before;
            }
        }
        self.hot += filled;
        self.len -= lost;
        self.settle();
    }

    /// The payloads asked for could not be asked for elsewhere: the next pull asks again.
    pub fn ask_again(&mut self) {
        self.lines_mut().for_each(|line| line.asked.clear());
    }

    /// Takes out what must not be sent any more, so many at a time that the others need not wait for it long.
    pub fn expire(&mut self, now: Timestamp) -> Vec<Item<P>> {
        let mut expired = Vec::new();
        self.lines_mut().for_each(|line| line.expire(now, &mut expired, EXPIRED_AT_ONCE));
        if self.delayed_expiry <= now {
            self.take_delayed(&mut expired, |item| item.expires_at <= now);
        }
        self.suspects.take_out(&mut expired, |item| item.expires_at <= now);
        self.taken(&expired);
        expired
    }

    /// Takes the first `count` out, payload or not, delayed or not.
    pub fn take_oldest(&mut self, count: usize) -> Vec<Item<P>> {
        let mut delayed: Vec<MessageId> = if count == 0 { Vec::new() } else { self.delayed_ids() };
        delayed.sort_unstable_by(|a, b| b.cmp(a));
        let (mut taken, mut delayed_taken) = (Vec::new(), HashSet::new());
        while taken.len() + delayed_taken.len() < count {
            let first = self.lines_mut().filter(|line| !line.is_empty()).min_by_key(|line| line.first());
            match (first, delayed.last()) {
                (Some(line), id) if id.is_none_or(|id| line.first() < Some(*id)) => taken.extend(line.pop_first()),
                (_, Some(_)) => delayed_taken.extend(delayed.pop()),
                (_, None) => break,
            }
        }
        if !delayed_taken.is_empty() {
            self.take_delayed(&mut taken, |item| delayed_taken.contains(&item.id));
        }
        self.taken(&taken);
        taken
    }

    fn delayed_ids(&self) -> Vec<MessageId> {
        self.delayed.iter().map(|Reverse(delayed)| delayed.item.id).collect()
    }

    /// Takes a message out that is delayed or not far from the front of its line; one far back is not found.
    pub fn remove(&mut self, account: AccountKey, priority: u8, id: MessageId) -> Option<Item<P>> {
        let mut taken = Vec::new();
        if self.suspects.contains(id) {
            self.suspects.take_out(&mut taken, |item| item.id == id);
        } else if self.delayed.len() <= SEARCHED && self.delayed.iter().any(|Reverse(delayed)| delayed.item.id == id) {
            self.take_delayed(&mut taken, |item| item.id == id);
        } else {
            let line = self.lanes[lane(priority)].accounts.get_mut(&account)?;
            taken.extend(line.take_early(id, SEARCHED));
        }
        self.taken(&taken);
        taken.pop()
    }

    /// Puts the delayed whose time has come in their places.
    pub fn end_delays(&mut self, now: Timestamp) {
        while self.next_due().is_some_and(|until| until <= now) {
            if let Some(Reverse(delayed)) = self.delayed.pop() {
                self.scheduled -= usize::from(delayed.is_scheduled());
                let item = delayed.item;
                self.lanes[lane(item.priority)].line(item.account).put_back(item);
            }
        }
    }

    /// Looks at about `most` of the messages in the lines, those with the smallest ids from `from` on.
    pub fn slice(&self, from: MessageId, most: usize) -> Slice<P> {
        let each = (most / self.lines().count().max(1)).max(LEAST_OF_A_LINE);
        let end = self.lines().filter_map(|line| line.nth_from(from, each - 1)).min();
        let range = (from, end.unwrap_or(MessageId(u64::MAX)));
        let items = self.lines().flat_map(|line| line.between(range, each)).collect();
        Slice { items, next: end.map(|end| MessageId(end.0 + 1)) }
    }

    /// Takes out the messages of the lines from `from` to `to` that `wanted` names.
    pub fn take_slice(&mut self, from: MessageId, to: MessageId, mut wanted: impl FnMut(&Item<P>) -> bool) -> Vec<Item<P>> {
        let mut taken = Vec::new();
        self.lines_mut().for_each(|line| line.take_between(&mut taken, (from, to), &mut wanted));
        self.taken(&taken);
        taken
    }

    /// Takes out the messages that `wanted` names of those that are in no line: the delayed and the suspects.
    pub fn take_aside(&mut self, mut wanted: impl FnMut(&Item<P>) -> bool) -> Vec<Item<P>> {
        let mut taken = Vec::new();
        self.suspects.take_out(&mut taken, &mut wanted);
        self.take_delayed(&mut taken, wanted);
        self.taken(&taken);
        taken
    }

    fn take_delayed(&mut self, taken: &mut Vec<Item<P>>, mut wanted: impl FnMut(&Item<P>) -> bool) {
        let mut earliest = Timestamp::NEVER;
        self.delayed.retain(|Reverse(delayed)| {
            let take = wanted(&delayed.item);
            if take {
                self.scheduled -= usize::from(delayed.is_scheduled());
                taken.push(delayed.item.clone());
            } else {
                earliest = earliest.min(delayed.item.expires_at);
            }
            !take
        });
        self.delayed_expiry = earliest;
    }

    /// Counts what was taken out, and ends the turns of accounts that have nothing left.
    fn taken(&mut self, taken: &[Item<P>]) {
        self.len -= taken.len();
        self.hot -= taken.iter().filter(|item| item.payload.is_some()).count();
        if !taken.is_empty() {
            self.settle();
        }
    }

    fn settle(&mut self) {
        for Lane { ring, accounts } in &mut self.lanes {
            ring.retain(|account| accounts.get(account).is_some_and(|line| !line.is_empty()));
        }
    }
}

/// The lane of a priority_flag.
fn lane(priority: u8) -> usize {
    usize::from(priority).min(LANES - 1)
}

impl<P: Payload> Lane<P> {
    /// The line of an account to which a message comes: it has its turn from now on.
    fn line(&mut self, account: AccountKey) -> &mut Line<P> {
        let line = self.accounts.entry(account).or_insert_with(|| Line::new(account));
        if line.is_empty() {
            self.ring.push_back(account);
        }
        line
    }

    fn pull(&mut self, budget: &mut u32, cost: &impl Fn(&P) -> u32, pulled: &mut Pulled<P>) {
        let mut stalled = 0;
        while *budget > 0 && stalled < self.ring.len() {
            let Some(account) = self.ring.pop_front() else { return };
            let Some(line) = self.accounts.get_mut(&account) else { continue };
            let taken = line.pull(budget, cost, pulled);
            if line.is_empty() {
                line.deficit = 0;
            } else {
                // An account whose turn was cut short by the budget goes on where it stopped.
                let unfinished = *budget == 0 && line.deficit > 0;
                if unfinished { self.ring.push_front(account) } else { self.ring.push_back(account) }
            }
            stalled = if taken { 0 } else { stalled + 1 };
        }
    }
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
