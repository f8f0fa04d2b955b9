//! An account as the running process knows it: its limits, its sessions, its mailbox.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::Notify;

use super::{Settings, lock};
use crate::link;
use crate::message::{AccountKey, Mail, Timestamp};
use crate::metrics::{AccountMetrics, Metrics};
use crate::queue::{Item, Pulled, Queue, Suspicion};
use crate::rate::Rate;

/// Items of a mailbox are all of one lane.
pub const MAIL_PRIORITY: u8 = 0;

/// Outlives reloads; what the configuration says of the account is in [`super::AccountSettings`].
#[derive(Debug)]
pub struct AccountState {
    pub key: AccountKey,
    pub name: Arc<str>,
    pub metrics: AccountMetrics,
    /// Submits per second over all sessions.
    rate: ArcSwap<Rate>,
    /// Messages accepted and not final.
    pending: AtomicU64,
    /// Those of them that are with the journal and not yet durable.
    committing: AtomicU64,
    sessions: AtomicUsize,
    mailbox: Mutex<Queue<Mail>>,
    mail: Notify,
}

impl AccountState {
    pub(super) fn new(key: AccountKey, name: Arc<str>, settings: &Settings, metrics: &Metrics) -> Self {
        AccountState {
            key,
            metrics: AccountMetrics::new(metrics, &name),
            rate: ArcSwap::from_pointee(rate_of(settings, key)),
            pending: AtomicU64::new(0),
            committing: AtomicU64::new(0),
            sessions: AtomicUsize::new(0),
            mailbox: Mutex::new(Queue::new(settings.config.limits.hot_messages / 4)),
            mail: Notify::new(),
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

    /// Counts messages in that are about to be made durable.
    pub fn accepting(&self, count: u64) {
        self.pending.fetch_add(count, Ordering::Relaxed);
    }

    /// Messages are final, or were refused after all.
    pub fn finished(&self, count: u64) {
        // Messages read back at start were counted by `accepting` as well.
        self.pending.fetch_sub(count, Ordering::Relaxed);
    }

    pub fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    /// Counts messages in that are handed to the journal; returns how many are there now.
    pub fn committing(&self, count: u64) -> u64 {
        self.committing.fetch_add(count, Ordering::Relaxed) + count
    }

    /// The journal has answered, or had no room.
    pub fn committed(&self, count: u64) {
        self.committing.fetch_sub(count, Ordering::Relaxed);
    }

    /// Takes a seat for one more session, unless `limit` are taken.
    pub fn seat(self: &Arc<Self>, limit: usize) -> Option<Seat> {
        let taken =
            self.sessions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| (count < limit).then_some(count + 1));
        taken.ok()?;
        self.metrics.sessions.increment(1.0);
        Some(Seat(self.clone()))
    }

    pub fn sessions(&self) -> usize {
        self.sessions.load(Ordering::Relaxed)
    }

    /// Adds items to the mailbox.
    pub fn post(&self, mail: impl IntoIterator<Item = Arc<Mail>>) {
        let mut mailbox = lock(&self.mailbox);
        for mail in mail {
            mailbox.push(mail_item(self.key, mail));
        }
        drop(mailbox);
        self.mail.notify_one();
    }

    /// Takes up to `count` items to be delivered now.
    pub fn pull_mail(&self, now: Timestamp, count: usize) -> Pulled<Mail> {
        let mut mailbox = lock(&self.mailbox);
        let pulled = mailbox.pull(now, u32::try_from(count).unwrap_or(u32::MAX), |_| 1);
        if !mailbox.is_empty() && !pulled.items.is_empty() {
            // More than this session can take: another one may have room.
            self.mail.notify_one();
        }
        pulled
    }

    /// The mailbox itself, for what is not on the way of every item.
    pub fn mailbox<T>(&self, with: impl FnOnce(&mut Queue<Mail>) -> T) -> T {
        with(&mut lock(&self.mailbox))
    }

    /// Waits until there may be mail.
    pub async fn mail_waiting(&self) {
        self.mail.notified().await;
    }

    /// Wakes a session that may deliver.
    pub fn wake(&self) {
        self.mail.notify_one();
    }
}

fn mail_item(account: AccountKey, mail: Arc<Mail>) -> Item<Mail> {
    Item {
        id: mail.id,
        account,
        priority: MAIL_PRIORITY,
        attempts: 0,
        vague_refusals: 0,
        suspicion: Suspicion::default(),
        done: 0,
        queued_at: mail.created_at,
        expires_at: mail.expires_at,
        payload: Some(mail),
    }
}

/// A whole second's submits may come at once: the limit is "per second".
fn rate_of(settings: &Settings, key: AccountKey) -> Rate {
    let limit = settings.account(key).and_then(|account| account.config.rate);
    Rate::new(limit, limit.unwrap_or(1), link::now())
}

/// A session's place among its account's; dropped with the session.
#[derive(Debug)]
pub struct Seat(Arc<AccountState>);

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.sessions.fetch_sub(1, Ordering::Relaxed);
        self.0.metrics.sessions.decrement(1.0);
    }
}
