//! What the ledger is told, and what it tells back: the vocabulary between the sessions and the journal thread.

use std::sync::Arc;

use smallvec::SmallVec;

use super::codec::put_message;
use super::correlation::{Key, Keys};
use super::quarantine::Case;
use crate::message::{AccountKey, Address, Job, Mail, MessageId, Mo, OperatorKey, Timestamp};
use crate::receipt::{Receipt, State};

/// The id an operator gave a part, as its submit_sm_resp wrote it.
pub type OperatorId = SmallVec<[u8; 24]>;

/// Something that happened to a message. Events of one batch become durable together, before any of them is answered.
#[derive(Debug)]
pub enum Event {
    /// Submissions passed every rule; once durable they are ours.
    Accept(Box<Submissions>),
    /// An operator took parts.
    Sent { operator: OperatorKey, parts: Vec<SentPart> },
    /// Parts will never be sent: those of the set, of so many; `None` for all that have not been sent.
    Failed { id: MessageId, operator: Option<OperatorKey>, parts: Option<(PartSet, u8)>, failure: Failure },
    /// An operator delivered receipts.
    Receipts(Vec<Received>),
    /// An operator delivered a mobile-originated message or a part of one. In a box, because most events are far smaller.
    Mo(Box<Mo>),
    /// Items have left their mailbox.
    MailDone(Vec<(MessageId, MailEnd)>),
    /// A message that was in flight brings sessions down: it is kept, but not sent again.
    Quarantine { job: Arc<Job>, case: Case },
    /// Somebody has decided about a quarantined message.
    Release { id: MessageId, how: Release },
}

impl Event {
    /// How many things happened: a list counts as many events as it holds.
    pub fn count(&self) -> usize {
        match self {
            Event::Accept(submissions) => submissions.len(),
            Event::Sent { parts, .. } => parts.len(),
            Event::Receipts(receipts) => receipts.len(),
            Event::MailDone(items) => items.len(),
            _ => 1,
        }
    }
}

/// Submissions with their records, which are written where the PDUs are read: the journal thread, which everything waits for, copies
/// them.
#[derive(Debug, Default)]
pub struct Submissions {
    /// Each with the place in `records` where its own ends.
    pub(super) jobs: Vec<(Arc<Job>, usize)>,
    /// The payloads of their records.
    pub(super) records: Vec<u8>,
}

impl Submissions {
    /// An empty list with room for so many short messages.
    pub fn with_capacity(messages: usize) -> Self {
        const SHORT: usize = 128;
        Submissions { jobs: Vec::with_capacity(messages), records: Vec::with_capacity(SHORT * messages) }
    }

    pub fn push(&mut self, job: Arc<Job>) {
        put_message(&mut self.records, &job.message);
        self.jobs.push((job, self.records.len()));
    }

    pub fn len(&self) -> usize {
        self.jobs.len()
    }

    pub fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    /// Their ids, in order.
    pub fn ids(&self) -> impl Iterator<Item = MessageId> {
        self.jobs.iter().map(|(job, _)| job.id)
    }
}

impl From<Arc<Job>> for Event {
    /// One submission.
    fn from(job: Arc<Job>) -> Self {
        let mut submissions = Submissions::default();
        submissions.push(job);
        Event::Accept(submissions.into())
    }
}

/// A part that an operator took: `part` (from 0) of `total`.
#[derive(Debug, Clone)]
pub struct SentPart {
    pub job: Arc<Job>,
    pub part: u8,
    pub total: u8,
    pub operator_id: OperatorId,
    /// What its receipt is looked up by; `None` when no receipt is wanted, or the response gave no id.
    pub key: Option<Key>,
    /// The answer came late, when the message was neither in flight at its operator again nor found in that operator's queue. Another one
    /// may have it, cut in another way: the part is none of that one's.
    pub strayed: bool,
}

/// What becomes of a quarantined message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// It is queued again, as if it had never been tried.
    Queue,
    /// It ends as undeliverable, and its owner is told.
    Drop,
}

/// A receipt as an operator delivered it.
#[derive(Debug, Clone)]
pub struct Received {
    pub operator: OperatorKey,
    pub receipt: Receipt,
    /// What its message is looked up by, in this order; none when it names no id.
    pub keys: Keys,
    /// The handset's number, mostly.
    pub source: Address,
    pub destination: Address,
    pub received_at: Timestamp,
}

/// Why parts will never be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The state its owner is told: REJECTD, UNDELIV, EXPIRED or DELETED.
    pub state: State,
    /// The operator's status, 0 when the reason is ours.
    pub status: u32,
}

/// How a mailbox item ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailEnd {
    /// The application acknowledged it.
    Delivered,
    /// The application refused it for good (ESME_RX_P_APPN, ESME_RX_R_APPN, or another permanent status).
    Refused,
    /// Its time to live ended.
    Expired,
    /// Its record is damaged.
    Damaged,
}

impl MailEnd {
    /// The word it is counted under.
    pub fn word(self) -> &'static str {
        match self {
            MailEnd::Delivered => "delivered",
            MailEnd::Refused => "refused",
            MailEnd::Expired => "expired",
            MailEnd::Damaged => "damaged",
        }
    }
}

/// A set of part numbers (from 0), at most [`MAX_PARTS`] of them.
pub type PartSet = u64;

/// Most parts one message may have: the width of a [`PartSet`].
pub const MAX_PARTS: usize = 64;

/// The set of all parts of a message of `total` parts.
pub fn all_parts(total: u8) -> PartSet {
    if usize::from(total) >= MAX_PARTS { PartSet::MAX } else { (1 << total) - 1 }
}

/// What the sender of an event is answered, as an SMPP status; `0` means that it is durable.
pub type Status = u32;

/// What must be done once the batch is durable.
#[derive(Debug)]
pub enum Effect {
    /// Parts not in `done` wait for this message's operator.
    Queue(Waiting),
    /// A receipt or MO message is in its owner's mailbox.
    Mail { account: AccountKey, mail: Arc<Mail> },
    /// A message read back at start is pending: it takes a share of its account's queue limit.
    Restored { account: AccountKey },
    /// A message is no longer pending: its account's share of the queue limit is free again.
    Finished { account: AccountKey },
    /// No account owns the number that an MO message went to.
    MoUnroutable { operator: Arc<str>, number: Box<Address> },
    /// Something worth counting.
    Note(Note),
}

/// A message that waits to be sent.
#[derive(Debug, Clone)]
pub struct Waiting {
    pub id: MessageId,
    pub account: AccountKey,
    /// Where it must go: set when some parts have already gone there, so that the handset can join them.
    pub bound_to: Option<OperatorKey>,
    /// Parts that need not be sent again.
    pub done: PartSet,
    pub job: Arc<Job>,
}

/// Things to be counted; the journal thread turns them into metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    PartFailed {
        operator: Option<OperatorKey>,
        state: State,
    },
    /// A receipt matched a message. Milliseconds since acceptance.
    ReceiptMatched {
        operator: OperatorKey,
        state: State,
        milliseconds: u64,
    },
    /// A receipt for a part that already had its final state; `contradicts` when the state differs.
    ReceiptRepeated {
        operator: OperatorKey,
        contradicts: bool,
    },
    /// A receipt that came before the response it belongs to, or belongs to nothing.
    ReceiptParked {
        operator: OperatorKey,
    },
    /// A parked receipt found its message.
    ReceiptUnparked {
        operator: OperatorKey,
    },
    /// A parked receipt found nothing in its time.
    ReceiptUnmatched {
        operator: OperatorKey,
    },
    /// Several messages could own it: parked, never guessed.
    ReceiptAmbiguous {
        operator: OperatorKey,
    },
    /// An operator gave no receipt within the time allowed.
    ReceiptMissing {
        operator: Option<OperatorKey>,
    },
    /// A message was put in quarantine.
    Quarantined {
        operator: OperatorKey,
    },
    /// A message read back at start is in quarantine.
    InQuarantine {
        operator: OperatorKey,
    },
    /// A message is not in quarantine any more.
    LeftQuarantine {
        operator: OperatorKey,
    },
    MoReceived,
    /// An MO message was put in the mailbox.
    MoRouted {
        account: AccountKey,
    },
    /// Parts of an MO message did not all come; what came was forwarded.
    MoIncomplete,
    /// A part of an MO message came again, and goes no further.
    MoRepeated,
    /// The operator's response carried no id: no receipt can be matched.
    NoOperatorId {
        operator: OperatorKey,
    },
    /// Items left the mailbox.
    MailEnded {
        account: AccountKey,
        how: MailEnd,
        count: u64,
    },
}
