//! What the ledger can tell about a message: the answer to "where is my message?".

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::by_id::ById;
use super::event::Received;
use super::index::{Pending, What};
use super::part::{Part, PartState, Parts};
use super::quarantine::Case;
use super::search::Recipient;
use super::{Ledger, Log, UNMATCHED_KEPT};
use crate::message::{AccountKey, Address, Job, Masked, Message, MessageId, Names, Timestamp};
use crate::receipt::State;

/// A message, pending or finished.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageStatus {
    #[serde(skip)]
    pub id: MessageId,
    pub account: Arc<str>,
    /// Final state, or `None` while it is pending.
    #[serde(skip)]
    pub state: Option<State>,
    /// Unix milliseconds when it was accepted; absent for finished messages.
    pub accepted_at: Option<u64>,
    /// Unix milliseconds when it became final.
    pub finished_at: Option<u64>,
    /// Masked destination; absent for finished messages.
    pub destination: Option<String>,
    pub parts: Vec<PartStatus>,
    /// Why it is in quarantine, if it is.
    #[serde(skip)]
    pub quarantine: Option<Case>,
}

impl MessageStatus {
    /// With what the message itself says.
    fn of(self, message: &Message) -> Self {
        let destination = Some(Masked(&message.destination.digits).to_string());
        MessageStatus { accepted_at: Some(message.accepted_at.0), destination, ..self }
    }
}

/// One part as its operator knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartStatus {
    pub operator: Option<Arc<str>>,
    /// The operator's id, to ask the operator with.
    pub operator_id: String,
    /// `waiting`, `sent`, or a final state word (DELIVRD, UNDELIV, ...).
    pub state: String,
    /// The operator's error code, when it gave one.
    pub error: u16,
}

/// A receipt without a message, so far or for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StrayReceipt {
    pub operator: Arc<str>,
    pub operator_id: String,
    pub state: String,
    pub source: String,
    /// Unix milliseconds when it came.
    pub received_at: u64,
}

impl StrayReceipt {
    pub(super) fn new(parked: &Received, operators: &Names) -> Self {
        StrayReceipt {
            operator: operators.name(parked.operator.0),
            operator_id: String::from_utf8_lossy(&parked.receipt.id).into_owned(),
            state: parked.receipt.state.word().to_owned(),
            source: Masked(&parked.source.digits).to_string(),
            received_at: parked.received_at.0,
        }
    }
}

fn parts(parts: &[Part], operators: &Names) -> Vec<PartStatus> {
    let status = |p: &Part| PartStatus {
        operator: p.operator().map(|key| operators.name(key.0)),
        operator_id: String::from_utf8_lossy(&p.operator_id.octets()).into_owned(),
        state: match p.state {
            PartState::Waiting => "waiting".to_owned(),
            PartState::Sent { .. } => "sent".to_owned(),
            PartState::Final { state, .. } => state.word().to_owned(),
        },
        error: if let PartState::Final { error, .. } = p.state { error } else { 0 },
    };
    parts.iter().map(status).collect()
}

/// A finished message, kept small; [`MessageStatus`] is made of it on demand.
#[derive(Debug)]
pub(super) struct Finished {
    id: MessageId,
    account: AccountKey,
    state: State,
    /// With the number it went to; absent when its payload was no longer in memory.
    accepted_at: Option<Accepted>,
    finished_at: Timestamp,
    /// Last digits of the number it went to, see [`suffix`](super::correlation::suffix).
    pub destination: u32,
    pub parts: Parts,
}

impl Finished {
    pub fn new(now: Timestamp, id: MessageId, state: State, pending: Pending, job: Option<Arc<Job>>) -> Self {
        let accepted = |job: Arc<Job>| (job.message.accepted_at, SmallVec::from_slice(&job.message.destination.digits));
        Finished {
            id,
            account: pending.account,
            state,
            accepted_at: job.map(accepted),
            finished_at: now,
            destination: pending.destination,
            parts: pending.parts,
        }
    }

    /// Who got it.
    pub fn recipient(&self) -> Recipient {
        let number = self.accepted_at.as_ref().map(|(_, digits)| Address { digits: digits.clone(), ..Address::default() });
        Recipient { account: self.account, number }
    }

    fn status(&self, accounts: &Names, operators: &Names) -> MessageStatus {
        let accepted = self.accepted_at.as_ref();
        MessageStatus {
            id: self.id,
            account: accounts.name(self.account.0),
            state: Some(self.state),
            accepted_at: accepted.map(|(at, _)| at.0),
            finished_at: Some(self.finished_at.0),
            destination: accepted.map(|(_, digits)| Masked(digits).to_string()),
            parts: parts(&self.parts, operators),
            quarantine: None,
        }
    }
}

/// When a message was accepted, and the number it goes to.
type Accepted = (Timestamp, SmallVec<[u8; 22]>);

/// The last finished messages.
#[derive(Debug)]
pub(super) struct History {
    finished: ById<Finished>,
    /// Their ids, in the order they finished.
    order: VecDeque<MessageId>,
    limit: usize,
    /// While the records of a spool are read: the messages accepted last, some of which may turn out to be finished.
    notes: Notes,
}

#[derive(Debug, Default)]
struct Notes {
    accepted: HashMap<MessageId, Accepted>,
    /// Their ids, oldest first.
    order: VecDeque<MessageId>,
}

impl History {
    pub fn new(limit: usize) -> Self {
        History { finished: ById::new(), order: VecDeque::new(), limit, notes: Notes::default() }
    }

    /// The record of a message has been read.
    pub fn note(&mut self, id: MessageId, at: Timestamp, number: &[u8]) {
        let Notes { accepted, order } = &mut self.notes;
        if self.limit == 0 || accepted.insert(id, (at, SmallVec::from_slice(number))).is_some() {
            return;
        }
        order.push_back(id);
        if order.len() > self.limit
            && let Some(oldest) = order.pop_front()
        {
            accepted.remove(&oldest);
        }
    }

    /// All records have been read.
    pub fn forget_notes(&mut self) {
        self.notes = Notes::default();
    }

    /// Records say that the message has finished.
    pub fn push_restored(&mut self, finished_at: Timestamp, id: MessageId, state: State, pending: Pending) {
        let (state, _) = pending.outcome(state);
        let Pending { account, destination, parts, .. } = pending;
        let accepted_at = self.notes.accepted.remove(&id);
        self.push(Finished { id, account, state, accepted_at, finished_at, destination, parts });
    }

    /// As many are remembered at most.
    pub fn limit(&self) -> usize {
        self.limit
    }

    pub fn push(&mut self, finished: Finished) {
        if self.limit == 0 {
            return;
        }
        if self.order.len() >= self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.finished.remove(oldest);
        }
        self.order.push_back(finished.id);
        self.finished.insert(finished.id, finished);
    }

    /// Something of each that goes when so many are added, to have read it.
    pub fn look_at_oldest(&self, added: usize) -> impl Iterator<Item = u64> {
        let leaving = (self.order.len() + added).saturating_sub(self.limit);
        self.order.iter().take(leaving).filter_map(|id| self.get(*id)).map(|finished| finished.finished_at.0)
    }

    pub fn get(&self, id: MessageId) -> Option<&Finished> {
        self.finished.get(id)
    }

    pub fn contains(&self, id: MessageId) -> bool {
        self.finished.contains(id)
    }

    #[cfg(test)]
    pub fn ids(&self) -> impl Iterator<Item = MessageId> {
        self.order.iter().copied()
    }

    /// The last group of neighbouring ids before this one; for [`items_of`](Self::items_of).
    pub fn page_before(&self, page: u64) -> Option<u64> {
        self.finished.page_before(page)
    }

    /// Everything of a group, in order of the ids.
    pub fn items_of(&self, page: u64) -> impl Iterator<Item = (MessageId, &Finished)> {
        self.finished.items_of(page)
    }
}

impl Ledger {
    /// The message behind `id`: pending, or finished not too long ago.
    pub fn status(&self, id: MessageId, log: &mut impl Log) -> Option<MessageStatus> {
        let status = self.standing(id)?;
        match (status.state, self.message(id, log)) {
            (None, Some(message)) => Some(status.of(&message)),
            _ => Some(status),
        }
    }

    /// The same from memory alone: of a pending message whose payload is on disk only, it lacks what that says.
    pub fn standing(&self, id: MessageId) -> Option<MessageStatus> {
        let operators = self.operators.table();
        let Some(item) = self.index.get(id) else {
            return self.history.get(id).map(|finished| finished.status(&self.accounts, operators));
        };
        let What::Message(pending) = &item.what else { return None };
        Some(MessageStatus {
            id,
            account: self.accounts.name(pending.account.0),
            state: None,
            accepted_at: None,
            finished_at: None,
            destination: None,
            parts: parts(&pending.parts, operators),
            quarantine: self.quarantine.case(id).copied(),
        })
    }

    /// Receipts that found no message, newest first.
    pub fn unmatched(&self) -> impl Iterator<Item = &StrayReceipt> {
        self.unmatched.iter().rev()
    }

    /// How many receipts are parked now, waiting for the response they belong to.
    pub fn parked(&self) -> usize {
        self.parking.len()
    }

    /// Those of them that came last, newest first: as many as are remembered of the unmatched.
    pub fn newest_parked(&self) -> impl Iterator<Item = StrayReceipt> {
        let newest = self.parking.newest(UNMATCHED_KEPT).into_iter();
        newest.filter_map(|id| self.parked_receipt(id)).map(|parked| StrayReceipt::new(parked, self.operators.table()))
    }
}
