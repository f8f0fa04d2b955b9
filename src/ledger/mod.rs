//! What has happened to every accepted message: a pure state machine, fed with events in the order the journal thread takes them.
//!
//! One owner for everything that must stay consistent: which messages are pending, which parts an operator has taken, whose a
//! receipt is, what lies in a mailbox. Each event becomes at most one spool record per change of state, so that a torn write can
//! never leave half a change; recovery replays the records through [`restore`](Ledger::restore). Effects leave only after the
//! journal thread has committed the records.
//!
//! No locks, no clock, no I/O: the spool is reached through [`Log`], the configuration through [`Rules`].

mod ahead;
mod apply;
mod awaiting;
mod by_id;
mod codec;
mod correlation;
mod event;
mod forwarded;
mod index;
mod known;
mod mo;
mod pages;
mod parking;
mod part;
mod put_off;
mod quarantine;
mod receipt_mail;
mod receipts;
mod records;
mod restore;
mod search;
mod sent;
mod status;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

pub use codec::{Unreadable, put_message};
pub use correlation::{Key, KeyMaker, Keys};
pub use event::{
    Effect, Event, Failure, MAX_PARTS, MailEnd, Note, OperatorId, PartSet, Received, Release, SentPart, Status, Submissions,
    Waiting, all_parts,
};
pub use quarantine::{Case, Quarantined};
pub use restore::Restored;
pub use search::{Among, Look, Recipient, Sought};
use status::History;
pub use status::{MessageStatus, PartStatus, StrayReceipt};

use crate::message::{AccountKey, Address, Job, Mail, Message, MessageId, Names, OperatorKey, Timestamp};
use crate::receipt::{ReceiptId, ReceiptPolicy};
use crate::spool::Location;
use awaiting::Awaiting;
use correlation::Correlation;
use forwarded::Forwarded;
use index::{Index, Pending, What};
use known::KnownNames;
use mo::Reassembly;
use parking::Parking;
use put_off::PutOff;
use quarantine::Quarantine;

/// Kinds of spool records. "Full" ones say everything about a thing; the others are changes to it.
pub mod kind {
    /// Full: an accepted message.
    pub const MESSAGE: u8 = 1;
    /// Full: a message with the state of its parts, written when the record before it is moved.
    pub const CARRIED: u8 = 2;
    /// An operator took parts of one message or several, which may finish some of them.
    pub const SENT: u8 = 3;
    /// A part got its final state while others have not.
    pub const PART_FINAL: u8 = 4;
    /// The thing is finished, and so are those whose ids the payload names.
    pub const DONE: u8 = 5;
    /// Full: a mailbox item; it may finish a message or the parts of an MO message in the same breath.
    pub const MAIL: u8 = 6;
    /// Full: a receipt that no message was found for yet.
    pub const PARKED: u8 = 7;
    /// Full: one part of an MO message.
    pub const MO_PART: u8 = 8;
    /// Full: as `CARRIED`, of a message in quarantine. A later full record of the message without that has released it.
    pub const QUARANTINED: u8 = 9;
    /// The message has its final state, of which nobody is told.
    pub const FINISHED: u8 = 10;
}

/// Where records go: the spool, or a test's memory.
pub trait Log {
    /// Appends a full record of a live thing.
    fn append_full(&mut self, kind: u8, id: MessageId, payload: &[u8]) -> Location;
    /// Appends a change to a live thing.
    fn append_change(&mut self, kind: u8, id: MessageId, payload: &[u8]);
    /// The full record at `location` is not needed any more.
    fn release(&mut self, location: Location);
    /// Reads a full record back; `None` when it is damaged (the spool has quarantined it).
    fn read(&mut self, location: Location) -> Option<(u8, Bytes)>;
    /// Did a read since the last call fail for a reason that may pass? Then what it was to read is not damaged.
    fn read_failed(&mut self) -> bool {
        false
    }
}

/// What every change is made with: the time, the log, the rules, and the list of what must follow.
pub struct Turn<'a, L, R> {
    pub now: Timestamp,
    pub log: &'a mut L,
    pub rules: &'a R,
    pub effects: &'a mut Vec<Effect>,
}

/// What the ledger needs to know of the configuration in force.
pub trait Rules {
    /// Operators that may carry the message, in order of preference.
    fn route(&self, message: &Message) -> SmallVec<[OperatorKey; 4]>;
    fn receipt_policy(&self, account: AccountKey) -> ReceiptPolicy;
    /// How this operator's receipts write the id its responses gave.
    fn receipt_id(&self, operator: OperatorKey) -> ReceiptId;
    /// The account an MO message belongs to, by its number and first word; `None`: its beginning is not here.
    fn inbound(&self, number: &Address, text: Option<&str>) -> Option<Arc<str>>;
    fn limits(&self) -> &Limits;
}

/// Times and sizes the ledger keeps to.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How long a mailbox item is kept.
    pub mail_time_to_live: Duration,
    /// How long an operator's receipt is awaited after its response.
    pub receipt_timeout: Duration,
    /// How long a receipt waits for the response it belongs to.
    pub early_receipt: Duration,
    /// How long the parts of an MO message wait for each other.
    pub mo_reassembly: Duration,
}

/// The ids given so far. Shared with the sessions, which number their submissions themselves.
#[derive(Debug, Clone, Default)]
pub struct Ids(Arc<AtomicU64>);

impl Ids {
    pub fn starting_at(next: u64) -> Self {
        Ids(Arc::new(AtomicU64::new(next)))
    }

    /// Ids given from now on are at least `next`.
    pub fn raise(&self, next: u64) {
        self.0.fetch_max(next, Ordering::Relaxed);
    }

    /// The id that will be given next.
    pub fn peek(&self) -> MessageId {
        MessageId(self.0.load(Ordering::Relaxed))
    }

    /// Gives an id.
    pub fn next(&self) -> MessageId {
        MessageId(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// The state machine. See the module's story.
#[derive(Debug)]
pub struct Ledger {
    index: Index,
    keys: KeyMaker,
    correlation: Correlation,
    parking: Parking,
    quarantine: Quarantine,
    put_off: PutOff,
    /// When this life began, if there was one before, and the newest moment that the records of that one name.
    resumed_at: Timestamp,
    newest: Timestamp,
    /// What could not be read when it began.
    unreadable: Vec<MessageId>,
    /// Receipts found parked at start: a torn write may have left out that they had found their owner.
    recheck: Vec<MessageId>,
    /// Messages with parts that wait for a receipt, by the second the first of them was sent.
    awaiting: Awaiting,
    reassembly: Reassembly,
    forwarded: Forwarded,
    history: History,
    unmatched: VecDeque<StrayReceipt>,
    ids: Ids,
    accounts: Arc<Names>,
    operators: KnownNames,
    /// Records are written here first.
    scratch: Vec<u8>,
    /// And those that grow while others are written.
    list: Vec<u8>,
}

/// Unmatched receipts kept for `smppgw ctl receipts`, and so many of the parked ones shown there.
const UNMATCHED_KEPT: usize = 1_000;

/// How long others have after a start, at most, to bring what they could not while the gateway was down: operators bind anew, and try
/// again what was not acknowledged, later and later.
pub const RETURN: Duration = Duration::from_secs(3_600);

/// Events that time alone brings, handled per call of [`Ledger::tick`].
const EXPIRIES_PER_TICK: usize = 10_000;

impl Ledger {
    /// An empty ledger. `hot`: of so many of the newest ids the payload stays in memory; `history`: finished messages kept for look-up.
    pub fn new(ids: Ids, keys: KeyMaker, accounts: Arc<Names>, operators: Arc<Names>, hot: usize, history: usize) -> Self {
        Ledger {
            index: Index::new(hot),
            keys,
            correlation: Correlation::default(),
            parking: Parking::default(),
            quarantine: Quarantine::new(),
            put_off: PutOff::default(),
            resumed_at: Timestamp(0),
            newest: Timestamp(0),
            unreadable: Vec::new(),
            recheck: Vec::new(),
            awaiting: Awaiting::default(),
            reassembly: Reassembly::default(),
            forwarded: Forwarded::default(),
            history: History::new(history),
            unmatched: VecDeque::new(),
            ids,
            accounts,
            operators: KnownNames::new(operators),
            scratch: Vec::new(),
            list: Vec::new(),
        }
    }

    /// Where the newest full record of every live thing lies.
    pub fn locations(&self) -> impl Iterator<Item = Location> {
        self.index.iter().map(|(_, item)| item.location)
    }

    /// Ids given from now on are at least `next`.
    pub fn ids_from(&self, next: u64) {
        self.ids.raise(next);
    }

    /// What has waited from this moment on, or longer, has waited for `limit`. `None` as long as nothing has: after a start everything
    /// waits for a while again, because while the gateway was down nobody could bring what is waited for.
    fn waited_since(&self, now: Timestamp, limit: Duration) -> Option<Timestamp> {
        let returned = now >= self.resumed_at.plus(limit.min(RETURN));
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        now.0.checked_sub(limit).map(Timestamp).filter(|_| returned)
    }

    /// When the newest of what was read back came, as the clock was then.
    pub fn newest_read_back(&self) -> Timestamp {
        self.newest
    }

    /// Every live thing: pending messages, mailbox items, parked receipts, MO parts.
    pub fn live(&self) -> usize {
        self.index.len()
    }

    /// Accepted messages that are not final.
    pub fn pending_messages(&self) -> usize {
        self.index.messages()
    }

    /// The message behind a live id, from memory or the spool.
    fn message(&self, id: MessageId, log: &mut impl Log) -> Option<Held> {
        let item = self.index.get(id)?;
        let What::Message(_) = item.what else { return None };
        held(self.index.hot(id), item.location, log)
    }

    /// The mailbox item, read back from the spool; `None` when it cannot be read.
    pub fn mail(&self, id: MessageId, log: &mut impl Log) -> Option<Arc<Mail>> {
        let item = self.index.get(id)?;
        let What::Mail { .. } = item.what else { return None };
        let mut reader = codec::Reader(log.read(item.location)?.1);
        records::closes(&mut reader).ok()?;
        codec::mail(id, &mut reader).ok().map(Arc::new)
    }

    /// The message as the binds need it, read back from the spool when its payload was dropped from memory.
    pub fn job(&self, id: MessageId, log: &mut impl Log, rules: &impl Rules) -> Option<Arc<Job>> {
        match self.message(id, log)? {
            Held::Hot(job) => Some(job),
            Held::Cold(message) => {
                let What::Message(Pending { account, .. }) = self.index.get(id)?.what else { return None };
                let route = rules.route(&message);
                Some(Arc::new(Job { id, account, message: *message, route }))
            }
        }
    }
}

/// A pending message that can be read now.
enum Held {
    Hot(Arc<Job>),
    Cold(Box<Message>),
}

impl std::ops::Deref for Held {
    type Target = Message;
    fn deref(&self) -> &Message {
        match self {
            Held::Hot(job) => &job.message,
            Held::Cold(message) => message,
        }
    }
}

fn held(hot: Option<&Arc<Job>>, location: Location, log: &mut impl Log) -> Option<Held> {
    match hot {
        Some(job) => Some(Held::Hot(job.clone())),
        None => codec::message(&mut codec::Reader(log.read(location)?.1)).ok().map(|message| Held::Cold(Box::new(message))),
    }
}
