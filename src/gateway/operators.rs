//! An operator as the running process knows it: its queue, its rate, which of its binds are up.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::blame::Accused;
use super::resent::{Resent, SentAgain};
use super::{Settings, lock};
use crate::link;
use crate::message::{Job, MessageId, OperatorKey, Timestamp};
use crate::metrics::{Metrics, OperatorMetrics};
use crate::queue::{Blame, Item, Pulled, Queue};
use crate::rate::Rate;

/// Outlives reloads; what the configuration says of the operator is in [`super::OperatorSettings`].
#[derive(Debug)]
pub struct OperatorState {
    pub key: OperatorKey,
    pub name: Arc<str>,
    pub metrics: OperatorMetrics,
    /// Submits per second over all binds.
    rate: ArcSwap<Rate>,
    /// Binds on which messages can be sent.
    senders: AtomicUsize,
    queue: Mutex<Queue<Job>>,
    ready: Notify,
    accused: Accused,
    resent: Arc<Resent>,
    /// A bind sends suspects alone.
    probing: AtomicBool,
}

impl OperatorState {
    pub(super) fn new(key: OperatorKey, name: Arc<str>, settings: &Settings, metrics: &Metrics) -> Self {
        let operators = settings.config.operators.len().max(1);
        OperatorState {
            key,
            metrics: OperatorMetrics::new(metrics, &name),
            rate: ArcSwap::from_pointee(rate_of(settings, key)),
            senders: AtomicUsize::new(0),
            queue: Mutex::new(Queue::new(settings.config.limits.hot_messages / operators)),
            ready: Notify::new(),
            accused: Accused::nobody(),
            resent: Arc::default(),
            probing: AtomicBool::new(false),
            name,
        }
    }

    /// Takes over what a reload may have changed.
    pub fn reconfigure(&self, settings: &Settings) {
        self.rate.store(Arc::new(rate_of(settings, self.key)));
    }

    pub fn rate(&self) -> arc_swap::Guard<Arc<Rate>> {
        self.rate.load()
    }

    /// Is there a bind on which messages can be sent?
    pub fn is_up(&self) -> bool {
        self.senders() > 0
    }

    pub fn senders(&self) -> usize {
        self.senders.load(Ordering::Relaxed)
    }

    /// A sending bind has come up.
    pub fn sender_up(self: &Arc<Self>) -> SenderUp {
        self.senders.fetch_add(1, Ordering::Relaxed);
        SenderUp(self.clone())
    }

    /// Adds a message, to be sent not before the moment given with it.
    pub fn push(&self, item: (Item<Job>, Timestamp), now: Timestamp) {
        self.push_all([item], now);
    }

    /// Adds messages, each to be sent not before the moment given with it.
    pub fn push_all(&self, items: impl IntoIterator<Item = (Item<Job>, Timestamp)>, now: Timestamp) {
        let mut queue = lock(&self.queue);
        items.into_iter().for_each(|(item, not_before)| put(&mut queue, item, not_before, 0, now));
        drop(queue);
        self.ready.notify_one();
    }

    /// Adds a message that an operator has refused with this status, 0 if it has not said anything; to be tried again not before that moment.
    pub fn push_again(&self, (item, not_before): (Item<Job>, Timestamp), refusal: u32, now: Timestamp) {
        put(&mut lock(&self.queue), item, not_before, refusal, now);
        self.ready.notify_one();
    }

    /// Takes messages of up to `parts` parts to be sent now.
    pub fn pull(&self, now: Timestamp, parts: u32, cost: impl Fn(&Job) -> u32) -> Pulled<Job> {
        let mut queue = lock(&self.queue);
        let pulled = queue.pull(now, parts, cost);
        if !queue.is_empty() && !pulled.items.is_empty() {
            // More than this bind can take: another one may have room.
            self.ready.notify_one();
        }
        pulled
    }

    /// The queue itself, for what is not on the way of every message.
    pub fn queue<T>(&self, with: impl FnOnce(&mut Queue<Job>) -> T) -> T {
        with(&mut lock(&self.queue))
    }

    /// Waits until there may be something to send.
    pub async fn work_waiting(&self) {
        self.ready.notified().await;
    }

    /// A session has died with nothing but this message in flight, or of the answer to it.
    pub fn accuse(&self, id: MessageId) -> Blame {
        self.accused.accuse(id)
    }

    /// Has a session died with a single message in flight, and nothing been answered since?
    pub fn is_in_doubt(&self) -> bool {
        self.accused.is_any()
    }

    /// The operator has answered messages.
    pub fn answers(&self) {
        self.accused.acquit();
    }

    /// A bind sends a message again, cut into `total` parts, until the handle is dropped.
    pub fn sends_again(&self, id: MessageId, total: u8) -> SentAgain {
        self.resent.begins(id, total)
    }

    /// An answer has come after all: the operator took this part of `total`. False when no bind is sending the message again in such parts.
    pub fn took(&self, id: MessageId, part: u8, total: u8) -> bool {
        self.resent.taken(id, part, total)
    }

    /// Makes the caller the one that sends suspects; `None` while another bind is.
    pub fn probe(self: &Arc<Self>) -> Option<Probe> {
        (!self.probing.swap(true, Ordering::Relaxed)).then(|| Probe(self.clone()))
    }

    /// Is there a bind that sends suspects?
    pub fn is_probing(&self) -> bool {
        self.probing.load(Ordering::Relaxed)
    }

    /// Wakes a bind that may send.
    pub fn wake(&self) {
        self.ready.notify_one();
    }
}

fn put(queue: &mut Queue<Job>, item: Item<Job>, not_before: Timestamp, refusal: u32, now: Timestamp) {
    if not_before > now.min(item.queued_at) {
        queue.delay_refused(item, not_before, refusal);
    } else {
        queue.push(item);
    }
}

/// A tenth of a second's messages may leave at once: operators measure over short times.
fn rate_of(settings: &Settings, key: OperatorKey) -> Rate {
    let limit = settings.operator(key).and_then(|operator| operator.config.rate);
    Rate::new(limit, limit.map_or(1, |rate| rate.div_ceil(10)), link::now())
}

/// A sending bind that is up; dropped when it goes down.
#[derive(Debug)]
pub struct SenderUp(Arc<OperatorState>);

impl Drop for SenderUp {
    fn drop(&mut self) {
        self.0.senders.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The task of sending suspects, each alone: one bind at a time has it, the others go on. Dropped when that bind has found none left,
/// or goes down.
#[derive(Debug)]
pub struct Probe(Arc<OperatorState>);

impl Drop for Probe {
    fn drop(&mut self) {
        self.0.probing.store(false, Ordering::Relaxed);
        // Another bind may have to take over, or at least to wait for the next suspect's time.
        self.0.wake();
    }
}
