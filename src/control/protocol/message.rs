//! Where a message is, and which messages are meant.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ledger::PartStatus;
use crate::message::Masked;

/// A subscriber's number in a request: masked wherever it is shown, because requests are logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Number(pub String);

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Masked(self.0.as_bytes()), f)
    }
}

/// A message, pending or finished not too long ago.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    pub id: String,
    pub account: Arc<str>,
    /// `pending`, or the final state's word: DELIVRD, UNDELIV, ...
    pub state: String,
    pub place: Place,
    pub accepted_at: Option<u64>,
    pub finished_at: Option<u64>,
    pub expires_at: Option<u64>,
    /// Masked.
    pub source: Option<String>,
    /// Masked.
    pub destination: Option<String>,
    /// Operators that may carry it by the configuration in force, in order of preference.
    pub route: Vec<Arc<str>>,
    /// Empty until an operator has answered for a part.
    pub parts: Vec<PartStatus>,
}

/// Where a message is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "at")]
pub enum Place {
    /// In an operator's queue.
    Queue {
        operator: Arc<str>,
        since: u64,
        attempts: u16,
        not_before: Option<u64>,
        /// With what an operator has refused it, after which it waits for that moment: `ESME_RSYSERR 0x08`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    /// On its way to an operator whose response is awaited.
    Operator,
    /// Taken by the operator; its receipt is awaited.
    Receipt,
    /// It brings sessions down, the last time that of `operator`.
    Quarantine {
        operator: Arc<str>,
        since: u64,
        attempts: u8,
        reason: String,
    },
    /// No operator of the configuration may carry it: it waits for a reload.
    Unrouted,
    /// In a queue too long to be searched, or on its way.
    QueueOrOperator,
    Finished,
}

/// Messages that were looked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Messages {
    /// Newest first.
    pub messages: Vec<FoundMessage>,
    /// There are others, older than these.
    pub more: bool,
    /// False when the search took too long, and was ended before it had seen the oldest messages.
    pub complete: bool,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundMessage {
    #[serde(flatten)]
    pub message: Message,
    /// False when no more than the last digits of its number are known: it may have gone to another one that ends in the same.
    pub certain: bool,
}
