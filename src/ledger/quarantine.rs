//! Messages that bring sessions down: kept, durably, but not sent again until somebody releases them, drops them, or their validity
//! ends. Until then their owner hears nothing, because nothing is decided.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::event::{Effect, Event, Failure, Note, Release, Status, Waiting};
use super::index::{Item, What};
use super::{EXPIRIES_PER_TICK, Ledger, Log, Rules, Turn, records};
use crate::message::{AccountKey, Job, Masked, Message, MessageId, OperatorKey, Timestamp};
use crate::receipt::State;
use crate::smpp::CommandStatus;
use crate::smpp::status::name;

/// Why a message was quarantined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    /// The operator whose session died last.
    pub operator: OperatorKey,
    /// Sessions that died in a row while the message was in flight.
    pub sessions: u8,
    /// The operator's answer, after which the session was of no use; 0 when it gave none.
    pub status: u32,
    pub since: Timestamp,
}

impl Case {
    /// For people.
    pub fn reason(&self) -> String {
        match self.status {
            0 => "the session dies of it without an answer".to_owned(),
            status => format!("the session ends with {}", name(CommandStatus::from(status))),
        }
    }
}

/// A quarantined message as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    pub id: MessageId,
    /// Its id is known to the application in the form of SMPP 3.3.
    pub short_id: bool,
    pub account: Arc<str>,
    pub operator: Arc<str>,
    /// Masked.
    pub destination: Box<str>,
    pub expires_at: Timestamp,
    pub case: Case,
}

#[derive(Debug)]
struct Entry {
    case: Case,
    account: AccountKey,
    short_id: bool,
    destination: Box<str>,
    expires_at: Timestamp,
}

/// Which messages are in quarantine: few, so they may cost a little more than others.
#[derive(Debug)]
pub(super) struct Quarantine {
    entries: BTreeMap<MessageId, Entry>,
    /// None of them expires before.
    earliest: Timestamp,
}

impl Quarantine {
    pub fn new() -> Self {
        Quarantine { entries: BTreeMap::new(), earliest: Timestamp::NEVER }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn case(&self, id: MessageId) -> Option<&Case> {
        self.entries.get(&id).map(|entry| &entry.case)
    }

    pub fn insert(&mut self, id: MessageId, account: AccountKey, message: &Message, case: Case) {
        let destination = Masked(&message.destination.digits).to_string().into();
        let (short_id, expires_at) = (message.short_id, message.expires_at);
        self.earliest = self.earliest.min(expires_at);
        self.entries.insert(id, Entry { case, account, short_id, destination, expires_at });
    }

    pub fn remove(&mut self, id: MessageId) -> Option<Case> {
        self.entries.remove(&id).map(|entry| entry.case)
    }

    /// Messages whose validity has ended, at most so many.
    fn expired(&mut self, now: Timestamp, most: usize) -> Vec<MessageId> {
        if now < self.earliest {
            return Vec::new();
        }
        let expired = self.entries.iter().filter(|(_, entry)| entry.expires_at <= now);
        let expired: Vec<MessageId> = expired.map(|(id, _)| *id).take(most).collect();
        let left = self.entries.iter().filter(|(id, _)| expired.binary_search(id).is_err());
        self.earliest = left.map(|(_, entry)| entry.expires_at).min().unwrap_or(Timestamp::NEVER);
        expired
    }
}

impl Ledger {
    /// Takes a message that was in flight out of the way.
    pub(super) fn quarantine(&mut self, job: &Arc<Job>, case: Case, t: &mut Turn<'_, impl Log, impl Rules>) {
        let Some(Item { what: What::Message(pending), .. }) = self.index.get(job.id) else { return };
        if !pending.is_to_be_sent() {
            return; // answered after all
        }
        self.quarantine.insert(job.id, job.account, &job.message, case);
        self.write_whole(job, t);
        t.effects.push(Effect::Note(Note::Quarantined { operator: case.operator }));
    }

    /// Writes a message again as it is now, in or out of quarantine: the record counts for all that was written of it before.
    fn write_whole(&mut self, job: &Arc<Job>, t: &mut Turn<'_, impl Log, impl Rules>) {
        let Some(Item { what: What::Message(pending), location }) = self.index.get(job.id) else { return };
        self.scratch.clear();
        let case = self.quarantine.case(job.id);
        let kind = records::put_whole(&mut self.scratch, &job.message, &pending.parts, case, &mut self.operators);
        let location = *location;
        let moved = t.log.append_full(kind, job.id, &self.scratch);
        t.log.release(location);
        self.relocate(job.id, location, moved);
    }

    /// Somebody has decided about a quarantined message. Answered with ESME_RINVMSGID when it is not in quarantine, ESME_RSYSERR when it
    /// cannot be read just now.
    pub(super) fn release(&mut self, id: MessageId, how: Release, t: &mut Turn<'_, impl Log, impl Rules>) -> Status {
        let Some(case) = self.quarantine.case(id).copied() else { return CommandStatus::EsmeRinvmsgid.into() };
        match (how, self.job(id, t.log, t.rules)) {
            (Release::Queue, Some(job)) => {
                self.leave_quarantine(id, t);
                self.write_whole(&job, t);
                let Some(pending) = self.index.message_mut(id) else { return 0 };
                let (account, bound_to, done) = (pending.account, pending.bound_to(), pending.done());
                t.effects.push(Effect::Queue(Waiting { id, account, bound_to, done, job }));
            }
            (Release::Queue, None) if t.log.read_failed() => return CommandStatus::EsmeRsyserr.into(),
            // Its record is damaged, or it is to be dropped: it will never be sent.
            (Release::Queue | Release::Drop, _) => {
                self.give_up_quarantined(id, State::Undeliverable, Some(case.operator), case.status, t);
            }
        }
        0
    }

    fn give_up_quarantined(
        &mut self,
        id: MessageId,
        state: State,
        operator: Option<OperatorKey>,
        status: u32,
        t: &mut Turn<'_, impl Log, impl Rules>,
    ) {
        self.leave_quarantine(id, t);
        self.apply(Event::Failed { id, operator, parts: None, failure: Failure { state, status } }, t);
    }

    /// The message is not in quarantine any more, if it was.
    pub(super) fn leave_quarantine(&mut self, id: MessageId, t: &mut Turn<'_, impl Log, impl Rules>) {
        if self.quarantine.is_empty() {
            return;
        }
        if let Some(case) = self.quarantine.remove(id) {
            t.effects.push(Effect::Note(Note::LeftQuarantine { operator: case.operator }));
        }
    }

    /// Quarantined messages whose validity has ended are reported like any other.
    pub(super) fn expire_quarantine(&mut self, t: &mut Turn<'_, impl Log, impl Rules>) {
        for id in self.quarantine.expired(t.now, EXPIRIES_PER_TICK) {
            self.give_up_quarantined(id, State::Expired, None, 0, t);
        }
    }

    /// A message read back at start stays where it was; false when it is not in quarantine.
    pub(super) fn resume_quarantined(&mut self, id: MessageId, t: &mut Turn<'_, impl Log, impl Rules>) -> bool {
        let to_be_sent = matches!(self.index.message_mut(id), Some(pending) if pending.is_to_be_sent());
        match self.quarantine.case(id) {
            Some(case) if to_be_sent => {
                t.effects.push(Effect::Note(Note::InQuarantine { operator: case.operator }));
                true
            }
            Some(_) => {
                self.quarantine.remove(id);
                false
            }
            None => false,
        }
    }

    /// Everything in quarantine, in the order of acceptance.
    pub fn quarantined(&self) -> impl Iterator<Item = Quarantined> {
        self.quarantine.entries.iter().map(|(id, entry)| Quarantined {
            id: *id,
            short_id: entry.short_id,
            account: self.accounts.name(entry.account.0),
            operator: self.operators.table().name(entry.case.operator.0),
            destination: entry.destination.clone(),
            expires_at: entry.expires_at,
            case: entry.case,
        })
    }
}
