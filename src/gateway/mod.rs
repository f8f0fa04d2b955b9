//! What all tasks share: the configuration in force, the accounts with their mailboxes, the operators with their queues, the journal.
//!
//! Nothing here decides about a message: it is where the stages find each other.

mod account;
mod operators;
mod references;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Instant;

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub use account::{AccountState, Seat};
pub use operators::{OperatorState, SenderUp};
pub use references::References;
pub use settings::{AccountSettings, ListenerTls, OperatorSettings, Settings};
pub(crate) use settings::{strictness, timers};

use crate::clock::Clock;
use crate::journal::{Commit, Host, Journal};
use crate::ledger::{Effect, IdText, Ids, Note, Rules, Waiting};
use crate::message::{AccountKey, Job, MessageId, Names, OperatorKey, Timestamp};
use crate::metrics::{InboundMetrics, ListenerMetrics, Metrics, PduFaults, SpoolMetrics, SubmitMetrics};
use crate::queue::Item;

/// The shared state of one gateway.
#[derive(Debug)]
pub struct Gateway {
    pub clock: Clock,
    pub ids: Ids,
    pub account_names: Arc<Names>,
    pub operator_names: Arc<Names>,
    /// Concatenation references (3GPP TS 23.040 section 9.2.3.24.1).
    pub references: References,
    pub metrics: Metrics,
    pub listener_metrics: ListenerMetrics,
    pub submit_metrics: SubmitMetrics,
    pub upstream_faults: PduFaults,
    pub operator_faults: PduFaults,
    inbound_metrics: InboundMetrics,
    spool_metrics: SpoolMetrics,
    settings: ArcSwap<Settings>,
    accounts: RwLock<Vec<Arc<AccountState>>>,
    operators: RwLock<Vec<Arc<OperatorState>>>,
    journal: OnceLock<Journal>,
    last_commit: RwLock<Option<Commit>>,
    /// Called when a message has no operator at all; set by a reload that took its route away.
    unrouted: std::sync::Mutex<Vec<Waiting>>,
    lost: std::sync::Mutex<Vec<MessageId>>,
    /// Counts reloads, for sessions to notice.
    reloads: watch::Sender<u64>,
}

impl Gateway {
    pub fn new(
        settings: Settings,
        account_names: Arc<Names>,
        operator_names: Arc<Names>,
        ids: Ids,
        metrics: Metrics,
    ) -> Arc<Self> {
        let gateway = Gateway {
            clock: Clock::start(),
            ids,
            account_names,
            operator_names,
            references: References::new(rand::random()),
            listener_metrics: ListenerMetrics::new(&metrics),
            submit_metrics: SubmitMetrics::new(&metrics),
            upstream_faults: PduFaults::upstream(&metrics),
            operator_faults: PduFaults::operator(&metrics),
            inbound_metrics: InboundMetrics::new(&metrics),
            spool_metrics: SpoolMetrics::new(&metrics),
            metrics,
            settings: ArcSwap::from_pointee(settings),
            accounts: RwLock::default(),
            operators: RwLock::default(),
            journal: OnceLock::new(),
            last_commit: RwLock::default(),
            unrouted: std::sync::Mutex::default(),
            lost: std::sync::Mutex::default(),
            reloads: watch::Sender::new(0),
        };
        Arc::new(gateway)
    }

    /// The configuration in force.
    pub fn settings(&self) -> Arc<Settings> {
        self.settings.load_full()
    }

    /// Takes a new configuration into force, whole.
    pub fn swap_settings(&self, settings: Settings) {
        self.settings.store(Arc::new(settings));
        // The guard must be gone before messages that still have no operator come back.
        let unrouted = std::mem::take(&mut *lock(&self.unrouted));
        for waiting in unrouted {
            self.route_again(waiting);
        }
    }

    /// Takes out unrouted messages whose validity has ended.
    pub fn expire_unrouted(&self, now: Timestamp) -> Vec<MessageId> {
        let expired = |waiting: &mut Waiting| waiting.job.message.expires_at <= now;
        lock(&self.unrouted).extract_if(.., expired).map(|waiting| waiting.id).collect()
    }

    /// Notes messages whose record is damaged: they will never be sent, and their owners are to be told.
    pub fn lost(&self, ids: Vec<MessageId>) {
        lock(&self.lost).extend(ids);
    }

    /// Takes what [`Gateway::lost`] noted.
    pub fn take_lost(&self) -> Vec<MessageId> {
        std::mem::take(&mut lock(&self.lost))
    }

    /// Looks up a message's route in the configuration in force and queues it there.
    pub fn route_again(&self, mut waiting: Waiting) {
        let message = waiting.job.message.clone();
        let route = self.settings().route(&message);
        waiting.job = Arc::new(Job { id: waiting.id, account: waiting.account, message, route });
        self.queue(waiting);
    }

    /// Lets the sessions look at the new configuration.
    pub fn announce_reload(&self) {
        self.reloads.send_modify(|count| *count += 1);
    }

    /// Changes at each reload.
    pub fn reloads(&self) -> watch::Receiver<u64> {
        self.reloads.subscribe()
    }

    /// Set once, when the journal has started.
    pub fn set_journal(&self, journal: Journal) {
        // Only the daemon's start calls this.
        let _ = self.journal.set(journal);
    }

    /// The journal; `None` only while the gateway is starting.
    pub fn journal(&self) -> Option<&Journal> {
        self.journal.get()
    }

    /// The state of an account, made when first asked for.
    pub fn account(&self, key: AccountKey) -> Arc<AccountState> {
        if let Some(state) = self.accounts.read().unwrap_or_else(PoisonError::into_inner).get(usize::from(key.0)) {
            return state.clone();
        }
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        while accounts.len() <= usize::from(key.0) {
            let next = AccountKey(u16::try_from(accounts.len()).unwrap_or(u16::MAX));
            let name = self.account_names.name(next.0);
            accounts.push(Arc::new(AccountState::new(next, name, &self.settings(), &self.metrics)));
        }
        accounts[usize::from(key.0)].clone()
    }

    /// The state of an operator, made when first asked for.
    pub fn operator(&self, key: OperatorKey) -> Arc<OperatorState> {
        if let Some(state) = self.operators.read().unwrap_or_else(PoisonError::into_inner).get(usize::from(key.0)) {
            return state.clone();
        }
        let mut operators = self.operators.write().unwrap_or_else(PoisonError::into_inner);
        while operators.len() <= usize::from(key.0) {
            let next = OperatorKey(u16::try_from(operators.len()).unwrap_or(u16::MAX));
            let name = self.operator_names.name(next.0);
            operators.push(Arc::new(OperatorState::new(next, name, &self.settings(), &self.metrics)));
        }
        operators[usize::from(key.0)].clone()
    }

    /// All accounts that ever had a key.
    pub fn accounts(&self) -> Vec<Arc<AccountState>> {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All operators that ever had a key.
    pub fn operators(&self) -> Vec<Arc<OperatorState>> {
        self.operators.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Figures of the newest commit.
    pub fn last_commit(&self) -> Option<Commit> {
        *self.last_commit.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages that no operator of the present configuration may carry; they wait for a reload.
    pub fn unrouted(&self) -> usize {
        lock(&self.unrouted).len()
    }

    /// Is this one of them?
    pub fn is_unrouted(&self, id: MessageId) -> bool {
        lock(&self.unrouted).iter().any(|waiting| waiting.id == id)
    }

    /// Puts a message into the queue of the operator that is to carry it: the one that has parts of it already, else the first of its
    /// route that is up, else the first.
    pub fn queue(&self, waiting: Waiting) {
        let route = &waiting.job.route;
        let settings = self.settings();
        let known = |key: &OperatorKey| settings.operator(*key).is_some();
        let up = |key: &&OperatorKey| known(key) && self.operator(**key).is_up();
        let chosen =
            waiting.bound_to.filter(known).or_else(|| route.iter().find(up).or_else(|| route.iter().find(|k| known(k))).copied());
        match chosen {
            Some(key) => self.operator(key).push(item(&waiting, self.clock.now())),
            None => lock(&self.unrouted).push(waiting),
        }
    }

    fn note(&self, note: Note) {
        let operator = |key: OperatorKey| self.operator(key);
        match note {
            Note::PartSent { operator: key, milliseconds } => {
                let state = operator(key);
                state.metrics.sent.increment(1);
                state.metrics.sent_seconds.record(seconds(milliseconds));
            }
            Note::PartFailed { operator: Some(key), state } => operator(key).metrics.parts_failed.increment(state.word(), 1),
            Note::ReceiptMatched { operator: key, state, milliseconds } => {
                let operator = operator(key);
                operator.metrics.receipts_received.increment(state.word(), 1);
                operator.metrics.receipt_seconds.record(seconds(milliseconds));
            }
            Note::ReceiptRepeated { operator: key, contradicts: true } => {
                operator(key).metrics.receipts_contradictory.increment(1)
            }
            Note::ReceiptRepeated { operator: key, .. } => operator(key).metrics.receipts_repeated.increment(1),
            Note::ReceiptParked { operator: key } => operator(key).metrics.receipts_parked.increment(1),
            Note::ReceiptUnparked { operator: key } => operator(key).metrics.receipts_unparked.increment(1),
            Note::ReceiptAmbiguous { operator: key } => operator(key).metrics.receipts_ambiguous.increment(1),
            Note::ReceiptUnmatched { operator: key } => operator(key).metrics.receipts_unmatched.increment(1),
            Note::ReceiptMissing { operator: Some(key) } => operator(key).metrics.receipts_missing.increment(1),
            Note::NoOperatorId { operator: key } => operator(key).metrics.responses_without_id.increment(1),
            Note::MoReceived => self.inbound_metrics.received.increment(1),
            Note::MoUnroutable => self.inbound_metrics.unroutable.increment(1),
            Note::MoIncomplete => self.inbound_metrics.incomplete.increment(1),
            Note::MoRouted { account } => self.account(account).metrics.mo_routed.increment(1),
            Note::MailEnded { account, how } => self.account(account).metrics.mailbox_ended.increment(how.word(), 1),
            Note::ReceiptMissing { operator: None } | Note::PartFailed { operator: None, .. } => {}
        }
    }
}

fn seconds(milliseconds: u64) -> f64 {
    std::time::Duration::from_millis(milliseconds).as_secs_f64()
}

fn item(waiting: &Waiting, now: Timestamp) -> (Item<Job>, Timestamp) {
    let message = &waiting.job.message;
    let item = Item {
        id: waiting.id,
        account: waiting.account,
        priority: message.priority,
        attempts: 0,
        done: waiting.done,
        queued_at: now,
        expires_at: message.expires_at,
        payload: Some(waiting.job.clone()),
    };
    (item, message.not_before)
}

impl Host for Gateway {
    type Rules = Settings;

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn rules(&self) -> Arc<Settings> {
        self.settings()
    }

    fn deliver(&self, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            match effect {
                Effect::Queue(waiting) => self.queue(waiting),
                Effect::Mail { account, mail } => self.account(account).post(mail, self.clock.now()),
                Effect::Restored { account } => self.account(account).accepting(1),
                Effect::Finished { account } => self.account(account).finished(),
                Effect::Note(note) => self.note(note),
            }
        }
    }

    fn committed(&self, commit: Commit) {
        let metrics = &self.spool_metrics;
        metrics.commit_seconds.record(commit.took.as_secs_f64());
        metrics.commit_bytes.record(commit.bytes as f64);
        metrics.commit_records.record(commit.events as f64);
        metrics.used_bytes.set(commit.stats.used_bytes as f64);
        metrics.live_bytes.set(commit.stats.live_bytes as f64);
        metrics.free_bytes.set(commit.stats.free_space as f64);
        metrics.quarantined.absolute(commit.stats.quarantined);
        metrics.accepting.set(1.0);
        *self.last_commit.write().unwrap_or_else(PoisonError::into_inner) = Some(commit);
    }

    fn disk_failed(&self) {
        self.spool_metrics.failures.increment(1);
        self.spool_metrics.accepting.set(0.0);
    }
}

/// Locks a mutex whose holder cannot leave it half changed: every critical section here is a few assignments.
pub(crate) fn lock<T: ?Sized>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The monotonic time.
pub(crate) fn monotonic() -> Instant {
    crate::link::now()
}

/// The id of a message as applications know it: the node's name and at least eight hexadecimal digits; for SMPP 3.3, whose ids are at
/// most eight such digits, the last eight only.
pub fn message_id_text(node: &str, id: MessageId, short: bool) -> String {
    String::from_utf8_lossy(&message_id_octets(node, id, short)).into_owned()
}

/// [`message_id_text`] without memory of its own.
fn message_id_octets(node: &str, id: MessageId, short: bool) -> IdText {
    let (node, number) = if short { ("", id.0 & SHORT_ID) } else { (node, id.0) };
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(8);
    let mut text = IdText::from_slice(node.as_bytes());
    text.extend((0..digits).rev().map(|place| b"0123456789abcdef"[(number >> (4 * place)) as usize & 0xF]));
    text
}

/// What an SMPP 3.3 id holds of ours.
const SHORT_ID: u64 = 0xFFFF_FFFF;

/// Reads what [`message_id_text`] wrote, in either form. `next` is the id not given yet: of the ids a short one may mean, the newest
/// that has been given is meant.
pub fn parse_message_id(node: &str, text: &str, next: MessageId) -> Option<MessageId> {
    if let Some(digits) = text.strip_prefix(node).filter(|digits| digits.len() >= 8) {
        return u64::from_str_radix(digits, 16).ok().map(MessageId);
    }
    let last = u64::from_str_radix(text, 16).ok().filter(|last| *last <= SHORT_ID)?;
    let newest = (next.0 & !SHORT_ID) | last;
    Some(MessageId(if newest < next.0 { newest } else { newest.checked_sub(SHORT_ID + 1).unwrap_or(newest) }))
}
