//! Recovery: the records of the spool, in order, make the ledger what it was.

use bytes::{BufMut, Bytes};
use smallvec::SmallVec;

use super::codec::{self, Reader, Unreadable};
use super::event::{Effect, Event, Failure, MailEnd, Waiting};
use super::index::{Item, Pending, What};
use super::part::{Part, PartState, Parts};
use super::quarantine::Case;
use super::records::{self, Closes, PartFinal, Sent, TakenPart};
use super::{Ledger, Log, Rules, Turn, kind};
use crate::message::{AccountKey, MailContent, Message, MessageId, Mo, Timestamp};
use crate::receipt::State;
use crate::spool::Location;

/// What recovery found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restored {
    pub messages: usize,
    pub mailbox_items: usize,
    pub parked_receipts: usize,
    pub mo_parts: usize,
}

/// Effects handed to the queues and mailboxes together: each is locked once, and what has been read back is held no longer.
const DELIVERED_AT_ONCE: usize = 1_024;

impl Ledger {
    /// Takes one record of the spool in, in the order in which they were appended. Changes to unknown things are passed over: the
    /// thing has been finished, or moved to a later full record that says more.
    pub fn restore(&mut self, kind: u8, id: MessageId, location: Location, payload: Bytes) -> Result<(), Unreadable> {
        let mut r = Reader(payload);
        match kind {
            kind::MESSAGE | kind::CARRIED | kind::QUARANTINED => {
                let (message, parts, case) = records::whole(kind, &mut r, &self.operators)?;
                self.restore_message(id, location, &message, parts, case);
            }
            kind::SENT => self.restore_sent(records::sent(&mut r)?),
            kind::PART_FINAL => self.restore_part_final(id, &records::part_final(&mut r)?),
            kind::DONE => self.restore_ends(id, &mut r)?,
            kind::FINISHED => {
                let (at, state, last) = records::finished(&mut r)?;
                if let Some(change) = last {
                    self.restore_part_final(id, &change);
                }
                self.restore_finished(id, state, at);
            }
            kind::MAIL => self.restore_mail(id, location, &mut r)?,
            kind::PARKED => {
                let parked = records::parked(&mut r, &self.operators)?;
                self.index.insert(id, Item { location, what: What::Parked(Box::new(parked)) });
            }
            kind::MO_PART => {
                let mo = codec::mo(&mut r)?;
                self.newest = self.newest.max(mo.received_at);
                self.index.insert(id, Item { location, what: What::MoPart(Box::new(mo)) });
            }
            _ => return Err(Unreadable),
        }
        Ok(())
    }

    fn restore_message(&mut self, id: MessageId, location: Location, message: &Message, parts: Parts, case: Option<Case>) {
        let account = AccountKey(self.accounts.intern(&message.account));
        self.newest = self.newest.max(message.accepted_at);
        self.history.note(id, message.accepted_at, &message.destination.digits);
        self.index.insert(id, Item { location, what: What::Message(Pending::new(account, message, parts)) });
        // The newest record says whether it is in quarantine.
        match case {
            Some(case) => self.quarantine.insert(id, account, message, case),
            None => drop(self.quarantine.remove(id)),
        }
    }

    fn restore_end(&mut self, id: MessageId) -> Option<Item> {
        self.quarantine.remove(id);
        self.index.remove(id)
    }

    fn restore_finished(&mut self, id: MessageId, state: State, at: Timestamp) {
        if let Some(Item { what: What::Message(pending), .. }) = self.restore_end(id) {
            self.history.push_restored(at, id, state, pending);
        }
    }

    /// All of it is read before any of it counts: a record that cannot be read closes nothing.
    fn restore_mail(&mut self, id: MessageId, location: Location, r: &mut Reader) -> Result<(), Unreadable> {
        let Closes { things: closed, part } = records::closes(r)?;
        let mail = codec::mail(id, r)?;
        self.newest = self.newest.max(mail.created_at);
        let Ledger { index, forwarded, .. } = self;
        let parts = closed.iter().filter_map(|id| match &index.get(*id)?.what {
            What::MoPart(mo) => Some(&**mo),
            _ => None,
        });
        forwarded.restore(&parts.collect::<SmallVec<[&Mo; 4]>>(), &mail);
        if let Some((message, change)) = part {
            self.restore_part_final(message, &change);
        }
        for finished in closed {
            match &mail.content {
                MailContent::Receipt(receipt) => self.restore_finished(finished, receipt.state, mail.created_at),
                MailContent::Mo(_) => drop(self.restore_end(finished)),
            }
        }
        let account = AccountKey(self.accounts.intern(&mail.account));
        self.index.insert(id, Item { location, what: What::Mail { account } });
        Ok(())
    }

    /// All of it is read before any of it counts, as everywhere here.
    fn restore_ends(&mut self, first: MessageId, r: &mut Reader) -> Result<(), Unreadable> {
        let others = records::ids(r)?;
        std::iter::once(first).chain(others).for_each(|id| drop(self.restore_end(id)));
        Ok(())
    }

    fn restore_sent(&mut self, Sent { at, operator, parts }: Sent) {
        let operator = self.operators.intern(&operator);
        for TakenPart { id, part, total, operator_id, finishes } in parts {
            if let Some(slot) = self.index.message_mut(id).and_then(|p| p.part_mut(part, total)) {
                *slot = Part { state: PartState::Sent { operator, at }, operator_id: operator_id[..].into() };
            }
            if finishes {
                self.restore_finished(id, State::Accepted, Timestamp(u64::from(at) * 1_000));
            }
        }
    }

    fn restore_part_final(&mut self, id: MessageId, change: &PartFinal) {
        // The receipt that tells it may have been moved behind what followed.
        let part = self.index.message_mut(id).and_then(|p| p.parts.get(usize::from(change.part)));
        if part.is_some_and(|part| matches!(part.state, PartState::Final { .. })) {
            return;
        }
        let operator = (!change.operator.is_empty()).then(|| self.operators.intern(&change.operator));
        if let Some(slot) = self.index.message_mut(id).and_then(|p| p.part_mut(change.part, change.total)) {
            let operator = operator.or(slot.operator());
            slot.state = PartState::Final { operator, state: change.state, error: change.error };
        }
    }

    /// After the last record: everything that waits is handed to the queues and mailboxes in the order of acceptance, and the maps
    /// that records do not carry are built again.
    pub fn resume<L: Log, R: Rules>(&mut self, t: &mut Turn<'_, L, R>, mut deliver: impl FnMut(&mut Vec<Effect>)) -> Restored {
        self.history.forget_notes();
        let mut restored = Restored::default();
        self.resumed_at = t.now;
        self.forwarded.not_after(t.now);
        for page in self.index.pages() {
            for id in self.index.ids_of(page) {
                self.resume_one(id, &mut restored, t);
                if t.effects.len() >= DELIVERED_AT_ONCE {
                    deliver(t.effects);
                }
            }
        }
        deliver(t.effects);
        restored
    }

    fn resume_one<L: Log, R: Rules>(&mut self, id: MessageId, restored: &mut Restored, t: &mut Turn<'_, L, R>) {
        let Some(item) = self.index.get(id) else { return };
        match &item.what {
            What::Message(_) => {
                restored.messages += 1;
                self.resume_message(id, t);
            }
            What::Mail { account } => {
                restored.mailbox_items += 1;
                let account = *account;
                match self.mail(id, t.log) {
                    Some(mail) => t.effects.push(Effect::Mail { account, mail }),
                    None => self.unreadable.push(id),
                }
            }
            What::Parked(_) => {
                restored.parked_receipts += 1;
                self.resume_parked(id, t);
            }
            What::MoPart(_) => {
                restored.mo_parts += 1;
                self.resume_mo_part(id, t);
            }
        }
    }

    fn resume_message<L: Log, R: Rules>(&mut self, id: MessageId, t: &mut Turn<'_, L, R>) {
        let Some(pending) = self.index.message_mut(id) else { return };
        let (account, done, bound_to) = (pending.account, pending.done(), pending.bound_to());
        let waiting = pending.is_to_be_sent();
        // Before its record is read: a damaged one counts as pending like any other.
        t.effects.push(Effect::Restored { account });
        self.resume_parts(id, t);
        if self.resume_quarantined(id, t) {
            return;
        }
        if !waiting {
            return;
        }
        match self.job(id, t.log, t.rules) {
            Some(job) => t.effects.push(Effect::Queue(Waiting { id, account, bound_to, done, job })),
            None => self.unreadable.push(id),
        }
    }

    /// Gives up what the start has found whole and then could not read: nothing else would ever ask for it. (A disk that only failed
    /// just then lets no gateway start.)
    pub(super) fn end_unreadable<L: Log, R: Rules>(&mut self, t: &mut Turn<'_, L, R>) {
        for id in std::mem::take(&mut self.unreadable) {
            let event = match self.index.get(id).map(|item| &item.what) {
                Some(What::Mail { .. }) => Event::MailDone(vec![(id, MailEnd::Damaged)]),
                _ => {
                    Event::Failed { id, operator: None, parts: None, failure: Failure { state: State::Undeliverable, status: 0 } }
                }
            };
            self.apply(event, t);
        }
    }

    /// Writes the live thing at `location` again at the head of the log, so that its segment becomes free. Nothing happens when the
    /// record there is no longer the newest of its thing.
    pub fn carry(&mut self, id: MessageId, location: Location, kind: u8, payload: &[u8], log: &mut impl Log) {
        let Some(item) = self.index.get(id) else { return };
        if item.location != location {
            return;
        }
        self.scratch.clear();
        let kind = match &item.what {
            What::Message(pending) => {
                let Ok(message) = codec::message(&mut Reader(Bytes::copy_from_slice(payload))) else { return };
                let case = self.quarantine.case(id);
                records::put_whole(&mut self.scratch, &message, &pending.parts, case, &mut self.operators)
            }
            What::Mail { .. } | What::Parked(_) | What::MoPart(_) => {
                self.scratch.put_slice(payload);
                kind
            }
        };
        let moved = log.append_full(kind, id, &self.scratch);
        log.release(location);
        self.relocate(id, location, moved);
    }

    /// The newest full record of `id` stands at `to` now, if it stood at `from` before; false when it did not, and the record at `to`
    /// is of no use.
    pub fn relocate(&mut self, id: MessageId, from: Location, to: Location) -> bool {
        match self.index.get_mut(id).filter(|item| item.location == from) {
            Some(item) => {
                item.location = to;
                true
            }
            None => false,
        }
    }

    /// Some records of `segment` cannot be read any more (the spool has quarantined them): what is still in memory is written
    /// again, the rest is given up. Returns how many things were given up.
    pub fn give_up<L: Log, R: Rules>(&mut self, segment: u32, t: &mut Turn<'_, L, R>) -> usize {
        let concerned = self.index.iter().filter(|(_, item)| item.location.segment == segment);
        let mut concerned: Vec<(MessageId, Location)> = concerned.map(|(id, item)| (id, item.location)).collect();
        concerned.sort_unstable_by_key(|(id, _)| *id);
        let mut lost = 0;
        for (id, location) in concerned {
            self.scratch.clear();
            if let Some(kind) = self.put_from_memory(id) {
                let moved = t.log.append_full(kind, id, &self.scratch);
                t.log.release(location);
                self.relocate(id, location, moved);
                continue;
            }
            lost += 1;
            if self.index.message_mut(id).is_some() {
                self.finish(id, None, State::Unknown, t);
            } else {
                self.close(id, t);
            }
        }
        lost
    }

    /// Puts the full record of a live thing into `scratch`; `None` when only the spool has it.
    fn put_from_memory(&mut self, id: MessageId) -> Option<u8> {
        match &self.index.get(id)?.what {
            What::Message(Pending { parts, .. }) => {
                let message = &self.index.hot(id)?.message;
                Some(records::put_whole(&mut self.scratch, message, parts, self.quarantine.case(id), &mut self.operators))
            }
            What::Parked(parked) => {
                records::put_parked(&mut self.scratch, parked, &mut self.operators);
                Some(kind::PARKED)
            }
            What::MoPart(mo) => {
                codec::put_mo(&mut self.scratch, mo);
                Some(kind::MO_PART)
            }
            What::Mail { .. } => None,
        }
    }
}
