//! What the ledger can tell about a message: the answer to "where is my message?".

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::index::{Parked, Part, PartState, Pending, What};
use super::{Ledger, Log};
use crate::message::{Masked, MessageId, Names, Timestamp};
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

impl PartStatus {
    /// Had the part a final state, and another one than `state`?
    pub(super) fn contradicts(&self, state: State) -> bool {
        let open = [WAITING, SENT].contains(&self.state.as_str());
        !open && self.state != state.word()
    }
}

const WAITING: &str = "waiting";
const SENT: &str = "sent";

/// A receipt that belonged to nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnmatchedReceipt {
    pub operator: Arc<str>,
    pub operator_id: String,
    pub state: String,
    pub source: String,
    /// Unix milliseconds when it came.
    pub received_at: u64,
}

impl UnmatchedReceipt {
    pub(super) fn new(parked: &Parked, operators: &Names) -> Self {
        UnmatchedReceipt {
            operator: operators.name(parked.operator.0),
            operator_id: String::from_utf8_lossy(&parked.receipt.id).into_owned(),
            state: parked.receipt.state.word().to_owned(),
            source: Masked(&parked.source.digits).to_string(),
            received_at: parked.since.0,
        }
    }
}

impl MessageStatus {
    pub(super) fn finished(
        now: Timestamp,
        id: MessageId,
        state: State,
        pending: Pending,
        accounts: &Names,
        operators: &Names,
    ) -> Self {
        MessageStatus {
            id,
            account: accounts.name(pending.account.0),
            state: Some(state),
            accepted_at: pending.job.as_ref().map(|job| job.message.accepted_at.0),
            finished_at: Some(now.0),
            destination: pending.job.as_ref().map(|job| Masked(&job.message.destination.digits).to_string()),
            parts: parts(&pending.parts, operators),
        }
    }
}

fn parts(parts: &[Part], operators: &Names) -> Vec<PartStatus> {
    let status = |p: &Part| PartStatus {
        operator: p.operator.map(|key| operators.name(key.0)),
        operator_id: String::from_utf8_lossy(&p.operator_id).into_owned(),
        state: match p.state {
            PartState::Waiting => WAITING.to_owned(),
            PartState::Sent => SENT.to_owned(),
            PartState::Final { state, .. } => state.word().to_owned(),
        },
        error: if let PartState::Final { error, .. } = p.state { error } else { 0 },
    };
    parts.iter().map(status).collect()
}

/// The last finished messages, by id.
#[derive(Debug)]
pub(super) struct History {
    by_id: HashMap<MessageId, Finished>,
    order: VecDeque<MessageId>,
    limit: usize,
}

/// A finished message, kept small; [`MessageStatus`] is made of it on demand.
type Finished = Box<MessageStatus>;

impl History {
    pub fn new(limit: usize) -> Self {
        History { by_id: HashMap::new(), order: VecDeque::new(), limit }
    }

    pub fn push(&mut self, status: MessageStatus) {
        if self.limit == 0 {
            return;
        }
        if self.order.len() >= self.limit
            && let Some(oldest) = self.order.pop_front()
        {
            self.by_id.remove(&oldest);
        }
        self.order.push_back(status.id);
        self.by_id.insert(status.id, Box::new(status));
    }

    pub fn get(&self, id: MessageId) -> Option<&MessageStatus> {
        self.by_id.get(&id).map(|b| &**b)
    }
}

impl Ledger {
    /// The message behind `id`: pending, or finished not too long ago.
    pub fn status(&self, id: MessageId, log: &mut impl Log) -> Option<MessageStatus> {
        let Some(item) = self.index.get(id) else { return self.history.get(id).cloned() };
        let What::Message(pending) = &item.what else { return None };
        let message = self.message(id, log);
        Some(MessageStatus {
            id,
            account: self.accounts.name(pending.account.0),
            state: None,
            accepted_at: message.as_ref().map(|m| m.accepted_at.0),
            finished_at: None,
            destination: message.as_ref().map(|m| Masked(&m.destination.digits).to_string()),
            parts: parts(&pending.parts, &self.operators),
        })
    }

    /// Receipts that found no message, newest first.
    pub fn unmatched(&self) -> impl Iterator<Item = &UnmatchedReceipt> {
        self.unmatched.iter().rev()
    }

    /// Receipts parked now, waiting for the response they belong to.
    pub fn parked(&self) -> usize {
        self.parking.len()
    }
}
