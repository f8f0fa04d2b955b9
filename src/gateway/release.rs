//! What must follow once a group is durable: messages into operator queues, items into mailboxes, figures into the metrics.
//!
//! The journal thread does this for hundreds of events at a time, so everything bound for one queue or mailbox is gathered first:
//! each lock is taken once and each owner woken once per group, not per message.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;

use super::{AccountState, Gateway, OperatorState, Settings};
use crate::ledger::{Effect, Note, Rules, Waiting};
use crate::message::{AccountKey, Job, Mail, Masked, OperatorKey, Timestamp};
use crate::metrics::Counts;
use crate::queue::{Item, Suspicion};

/// A group's consequences on their way; [`Release::finish`] lets them arrive.
pub(super) struct Release<'a> {
    gateway: &'a Gateway,
    settings: Guard<Arc<Settings>>,
    now: Timestamp,
    operators: Gathered<OperatorState, ForOperator>,
    accounts: Gathered<AccountState, ForAccount>,
}

/// What is bound for each owner, by the owner's key.
struct Gathered<O, B> {
    owners: Vec<Option<(Arc<O>, B)>>,
}

#[derive(Default)]
struct ForOperator {
    queue: Vec<(Item<Job>, Timestamp)>,
    receipts: Counts,
}

#[derive(Default)]
struct ForAccount {
    mailbox: Vec<Arc<Mail>>,
    /// Messages that are final now.
    finished: u64,
    mail_ended: Counts,
}

impl<O, B: Default> Gathered<O, B> {
    fn new() -> Self {
        Gathered { owners: Vec::new() }
    }

    /// The owner with this key; `find` is asked once a group.
    fn of(&mut self, key: u16, find: impl FnOnce() -> Arc<O>) -> &mut (Arc<O>, B) {
        let at = usize::from(key);
        if self.owners.len() <= at {
            self.owners.resize_with(at + 1, || None);
        }
        self.owners[at].get_or_insert_with(|| (find(), B::default()))
    }

    fn into_owners(self) -> impl Iterator<Item = (Arc<O>, B)> {
        self.owners.into_iter().flatten()
    }
}

impl<'a> Release<'a> {
    pub fn new(gateway: &'a Gateway) -> Self {
        let (settings, now) = (gateway.settings.load(), gateway.clock.now());
        Release { gateway, settings, now, operators: Gathered::new(), accounts: Gathered::new() }
    }

    fn operator(&mut self, key: OperatorKey) -> &mut (Arc<OperatorState>, ForOperator) {
        let gateway = self.gateway;
        self.operators.of(key.0, || gateway.operator(key))
    }

    fn account(&mut self, key: AccountKey) -> &mut (Arc<AccountState>, ForAccount) {
        let gateway = self.gateway;
        self.accounts.of(key.0, || gateway.account(key))
    }

    pub fn effect(&mut self, effect: Effect) {
        match effect {
            Effect::Queue(waiting) => self.queue(waiting),
            Effect::Mail { account, mail } => self.account(account).1.mailbox.push(mail),
            Effect::Restored { account } => self.account(account).0.accepting(1),
            Effect::Finished { account } => self.account(account).1.finished += 1,
            Effect::MoUnroutable { operator, number } => {
                self.gateway.inbound_metrics.unroutable.increment(1);
                if self.gateway.may_complain() {
                    let number = Masked(&number.digits);
                    tracing::warn!(%operator, %number, "a mobile-originated message is refused: no [[inbound]] rule has its number");
                }
            }
            Effect::Note(note) => self.note(note),
        }
    }

    /// See [`Gateway::queue`].
    pub fn queue(&mut self, mut waiting: Waiting) {
        let bound_to = waiting.bound_to.filter(|key| self.is_known(*key));
        // The operator that has the other parts may be out of the configuration. What another one sends of the rest no telephone could
        // join to them: it waits until the operator is back, or the validity over.
        let is_torn = waiting.bound_to.is_some() && bound_to.is_none();
        let mut chosen = bound_to.or_else(|| self.choose(&waiting.job.route)).filter(|_| !is_torn);
        if chosen.is_none() && !is_torn {
            // Its route is that of an older configuration: it was on its way when that changed, or has been in quarantine since.
            let message = waiting.job.message.clone();
            let route = self.settings.route(&message);
            chosen = self.choose(&route);
            waiting.job = Arc::new(Job { id: waiting.id, account: waiting.account, message, route });
        }
        match chosen {
            Some(key) => {
                let item = item(&waiting, self.now);
                self.operator(key).1.queue.push(item);
            }
            None => self.gateway.strand(&waiting, &self.settings),
        }
    }

    fn is_known(&self, key: OperatorKey) -> bool {
        self.settings.operator(key).is_some()
    }

    fn choose(&mut self, route: &[OperatorKey]) -> Option<OperatorKey> {
        let up = route.iter().find(|key| self.is_known(**key) && self.operator(**key).0.is_up()).copied();
        up.or_else(|| route.iter().find(|key| self.is_known(**key)).copied())
    }

    /// Lets everything arrive where it is bound for.
    pub fn finish(self) {
        for (operator, ForOperator { queue, mut receipts }) in self.operators.into_owners() {
            if !queue.is_empty() {
                operator.push_all(queue, self.now);
            }
            receipts.move_into(&operator.metrics.receipts_received);
        }
        for (account, ForAccount { mailbox, finished, mut mail_ended }) in self.accounts.into_owners() {
            account.finished(finished);
            if !mailbox.is_empty() {
                account.post(mailbox);
            }
            mail_ended.move_into(&account.metrics.mailbox_ended);
        }
    }

    fn note(&mut self, note: Note) {
        match note {
            Note::PartFailed { operator: Some(operator), state } => {
                self.operator(operator).0.metrics.parts_failed.increment(state.word(), 1);
            }
            Note::PartFailed { operator: None, state } => {
                self.gateway.no_operator_metrics.parts_failed.increment(state.word(), 1);
            }
            Note::ReceiptMatched { operator, state, milliseconds } => {
                let (operator, bound) = self.operator(operator);
                bound.receipts.add(state.word());
                operator.metrics.receipt_seconds.record(seconds(milliseconds));
            }
            Note::MailEnded { account, how, count } => self.account(account).1.mail_ended.add_many(how.word(), count),
            Note::ReceiptRepeated { operator, .. }
            | Note::ReceiptParked { operator }
            | Note::ReceiptUnparked { operator }
            | Note::ReceiptAmbiguous { operator }
            | Note::ReceiptUnmatched { operator }
            | Note::ReceiptMissing { operator: Some(operator) }
            | Note::NoOperatorId { operator } => self.oddity(operator, note),
            Note::Quarantined { operator } => {
                let metrics = &self.operator(operator).0.metrics;
                metrics.quarantined.increment(1);
                metrics.quarantine.increment(1.0);
            }
            Note::InQuarantine { operator } => self.operator(operator).0.metrics.quarantine.increment(1.0),
            Note::LeftQuarantine { operator } => self.operator(operator).0.metrics.quarantine.decrement(1.0),
            Note::MoReceived => self.gateway.inbound_metrics.received.increment(1),
            Note::MoIncomplete => self.gateway.inbound_metrics.incomplete.increment(1),
            Note::MoRepeated => self.gateway.inbound_metrics.repeated.increment(1),
            Note::MoRouted { account } => self.account(account).0.metrics.mo_routed.increment(1),
            Note::ReceiptMissing { operator: None } => self.gateway.no_operator_metrics.receipts_missing.increment(1),
        }
    }

    /// What an operator's receipts and responses should not be like.
    fn oddity(&mut self, operator: OperatorKey, note: Note) {
        let metrics = &self.operator(operator).0.metrics;
        let counter = match note {
            Note::ReceiptRepeated { contradicts: true, .. } => &metrics.receipts_contradictory,
            Note::ReceiptRepeated { .. } => &metrics.receipts_repeated,
            Note::ReceiptParked { .. } => &metrics.receipts_parked,
            Note::ReceiptUnparked { .. } => &metrics.receipts_unparked,
            Note::ReceiptAmbiguous { .. } => &metrics.receipts_ambiguous,
            Note::ReceiptUnmatched { .. } => &metrics.receipts_unmatched,
            Note::ReceiptMissing { .. } => &metrics.receipts_missing,
            Note::NoOperatorId { .. } => &metrics.responses_without_id,
            _ => return,
        };
        counter.increment(1);
    }
}

fn seconds(milliseconds: u64) -> f64 {
    Duration::from_millis(milliseconds).as_secs_f64()
}

fn item(waiting: &Waiting, now: Timestamp) -> (Item<Job>, Timestamp) {
    let message = &waiting.job.message;
    // One from the future was accepted while the clock was wrong: all its times are as much too late.
    let ahead = message.accepted_at.since(now);
    let not_before = message.not_before.minus(ahead);
    let item = Item {
        id: waiting.id,
        account: waiting.account,
        priority: message.priority,
        attempts: 0,
        vague_refusals: 0,
        suspicion: Suspicion::default(),
        done: waiting.done,
        queued_at: message.accepted_at.minus(ahead).max(not_before),
        expires_at: message.expires_at.minus(ahead),
        payload: Some(waiting.job.clone()),
    };
    (item, not_before)
}

#[cfg(test)]
#[path = "release_tests.rs"]
mod tests;
