//! Messages that no operator of the configuration in force may carry. They wait for a reload, however many there are: only what finds
//! them again is kept, and their texts are read back when a reload has come, a slice at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Gateway, Settings, lock};
use crate::journal::{Allowance, Lookup};
use crate::ledger::{Event, Failure, PartSet, Waiting};
use crate::message::{AccountKey, Job, MessageId, OperatorKey, Timestamp};
use crate::receipt::State;

/// Messages read back in one go on the journal thread.
const SLICE: usize = 512;

/// Slices asked for at a time.
const SLICES: usize = 10;

/// As [`Waiting`], without the message.
#[derive(Debug, Clone, Copy)]
struct Stranded {
    id: MessageId,
    account: AccountKey,
    bound_to: Option<OperatorKey>,
    done: PartSet,
    expires_at: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Unrouted {
    /// Until the next reload.
    waiting: Vec<Stranded>,
    /// There has been one since: to be looked up again, in the order of acceptance.
    due: VecDeque<Stranded>,
}

impl Unrouted {
    fn all(&self) -> impl Iterator<Item = &Stranded> {
        self.waiting.iter().chain(&self.due)
    }
}

impl Gateway {
    /// No operator of these settings may carry the message.
    pub(super) fn strand(&self, waiting: &Waiting, settings: &Arc<Settings>) {
        let Waiting { id, account, bound_to, done, ref job } = *waiting;
        let stranded = Stranded { id, account, bound_to, done, expires_at: job.message.expires_at };
        let mut unrouted = lock(&self.unrouted);
        // A reload stores the new settings first and comes here for what waits then: between the two nothing can slip through.
        if Arc::ptr_eq(settings, &self.settings()) {
            unrouted.waiting.push(stranded);
        } else {
            unrouted.due.push_back(stranded);
        }
    }

    /// The configuration has changed: there may be a route now.
    pub(super) fn look_up_again(&self) {
        let Unrouted { waiting, due } = &mut *lock(&self.unrouted);
        due.extend(waiting.drain(..));
    }

    /// Has some of those that are due read back and queued. To be called after a reload, and every second or so.
    pub fn route_stranded(self: &Arc<Self>) {
        let Some(journal) = self.journal().filter(|journal| !journal.gate().has_failed()) else { return };
        let due = lock(&self.unrouted).due.len();
        for _ in 0..due.div_ceil(SLICE).min(SLICES) {
            let gateway = self.clone();
            journal.tell(move |lookup| gateway.route_slice(lookup));
        }
    }

    fn route_slice(&self, lookup: &mut dyn Lookup) {
        let slice: Vec<Stranded> = {
            let due = &mut lock(&self.unrouted).due;
            due.drain(..due.len().min(SLICE)).collect()
        };
        let mut allowance = Allowance::default();
        let mut slice = slice.into_iter();
        while !allowance.is_used_up()
            && let Some(stranded) = slice.next()
        {
            match lookup.job(stranded.id) {
                None if lookup.read_failed() => lock(&self.unrouted).due.push_back(stranded),
                job => {
                    allowance.count(job.as_deref());
                    self.route(stranded, job);
                }
            }
        }
        let due = &mut lock(&self.unrouted).due;
        slice.rev().for_each(|stranded| due.push_front(stranded));
    }

    /// As if the journal had read each of those that are due, and found this.
    #[cfg(test)]
    pub(super) fn route_stranded_as(&self, job: &Arc<Job>) {
        let due = std::mem::take(&mut lock(&self.unrouted).due);
        due.into_iter().for_each(|stranded| self.route(stranded, Some(job.clone())));
    }

    fn route(&self, stranded: Stranded, job: Option<Arc<Job>>) {
        let Stranded { id, account, bound_to, done, .. } = stranded;
        match job {
            Some(job) => self.route_again(Waiting { id, account, bound_to, done, job }),
            None => {
                let failure = Failure { state: State::Undeliverable, status: 0 };
                self.damaged([Event::Failed { id, operator: None, parts: None, failure }]);
            }
        }
    }

    /// Takes out those whose validity has ended.
    pub fn expire_unrouted(&self, now: Timestamp) -> Vec<MessageId> {
        let Unrouted { waiting, due } = &mut *lock(&self.unrouted);
        let expired = |stranded: &mut Stranded| stranded.expires_at <= now;
        let mut ids: Vec<MessageId> = waiting.extract_if(.., expired).map(|stranded| stranded.id).collect();
        due.retain_mut(|stranded| {
            let over = expired(stranded);
            ids.extend(over.then_some(stranded.id));
            !over
        });
        ids
    }

    /// Messages that no operator of the present configuration may carry; they wait for a reload.
    pub fn unrouted(&self) -> usize {
        lock(&self.unrouted).all().count()
    }

    /// Is this one of them?
    pub fn is_unrouted(&self, id: MessageId) -> bool {
        lock(&self.unrouted).all().any(|stranded| stranded.id == id)
    }
}
